//! Single rows: found, written, deleted.

use std::iter;

use rustling_sql::{Error, Result, SqlState, Value};

use super::{ColumnInfo, Runs, Table, key_columns, runs::Fetch};
use crate::Statement;

/// How many values one INSERT of many rows may have.
const MAX_VALUES: usize = 4096;

pub(super) fn push_names<R: Table>(
    statement: &mut Statement,
    wanted: impl Fn(&ColumnInfo) -> bool,
) {
    for (at, column) in R::COLUMNS
        .iter()
        .filter(|column| wanted(column))
        .enumerate()
    {
        if at > 0 {
            statement.push_text(", ");
        }
        statement.push_text(column.name);
    }
}

/// Whether insert gives the column a value.
fn is_inserted(column: &ColumnInfo) -> bool {
    !column.generated && column.default.is_none()
}

fn push_insert<R: Table>(statement: &mut Statement) {
    statement.push_text("INSERT INTO ");
    statement.push_text(R::NAME);
    if R::COLUMNS.iter().any(is_inserted) {
        statement.push_text(" (");
        push_names::<R>(statement, is_inserted);
        statement.push_text(") VALUES ");
    } else {
        statement.push_text(" DEFAULT VALUES");
    }
}

fn push_values<R: Table>(statement: &mut Statement, row: &R) {
    let mut before = "(";
    for (at, column) in R::COLUMNS.iter().enumerate() {
        if is_inserted(column) {
            statement.push_text(before);
            statement.push_value(row.value(at));
            before = ", ";
        }
    }
    if before == ", " {
        statement.push_text(")");
    }
}

fn push_returning<R: Table>(statement: &mut Statement) {
    statement.push_text(" RETURNING ");
    push_names::<R>(statement, |_| true);
}

/// Adds the condition that finds the row; without a key there is none, and all would be found.
fn push_key<R: Table>(statement: &mut Statement, row: &R) -> Result<()> {
    let mut before = " WHERE ";
    for at in key_columns::<R>() {
        statement.push_text(before);
        statement.push_text(R::COLUMNS[at].name);
        statement.push_text(" = ");
        statement.push_value(row.value(at));
        before = " AND ";
    }
    if before == " WHERE " {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("the rows of {} have no primary key to find one by", R::NAME),
        ));
    }
    Ok(())
}

/// Inserts a row; gives it as it is then.
///
/// # Errors
/// What the statement fails with.
pub fn insert<R: Table, On: Runs>(row: &R, on: On) -> On::Output<R> {
    let mut statement = Statement::empty();
    push_insert::<R>(&mut statement);
    push_values(&mut statement, row);
    push_returning::<R>(&mut statement);
    on.run_query(Fetch::one(Ok(statement)))
}

/// Inserts many rows, several with each statement; gives their number. A future of it has copied
/// the values of all rows before the first statement runs.
///
/// # Errors
/// What a statement fails with. Rows of earlier ones are there then, unless it is all in one
/// transaction.
pub fn insert_all<R: Table, On: Runs>(rows: &[R], on: On) -> On::Output<u64> {
    let width = R::COLUMNS
        .iter()
        .filter(|column| is_inserted(column))
        .count();
    // Without values there is one row to a statement.
    let at_once = MAX_VALUES.checked_div(width).map_or(1, |rows| rows.max(1));
    let statements = rows.chunks(at_once).map(|rows| {
        let mut statement = Statement::empty();
        push_insert::<R>(&mut statement);
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                statement.push_text(", ");
            }
            push_values(&mut statement, row);
        }
        Ok(statement)
    });
    on.run_statements(statements, |inserted| inserted)
}

/// Inserts a row, or gives the row that has its key already the other values; gives it as it is
/// then. `target`: the columns of the key, as SQL writes them.
///
/// # Errors
/// What the statement fails with.
pub fn upsert<R: Table, On: Runs>(
    row: &R,
    target: &'static [&'static str],
    on: On,
) -> On::Output<R> {
    let mut statement = Statement::empty();
    push_insert::<R>(&mut statement);
    push_values(&mut statement, row);
    let mut before = " ON CONFLICT (";
    for name in target {
        statement.push_text(before);
        statement.push_text(name);
        before = ", ";
    }
    statement.push_text(") DO UPDATE SET ");
    // Setting a key column to itself makes rows that are nothing but key come back too.
    let is_target = |column: &ColumnInfo| target.contains(&column.name);
    let others = R::COLUMNS
        .iter()
        .filter(|column| is_inserted(column) && !is_target(column));
    let set: Vec<&ColumnInfo> = others.collect();
    let set = if set.is_empty() {
        R::COLUMNS
            .iter()
            .filter(|column| is_target(column))
            .collect()
    } else {
        set
    };
    for (at, column) in set.iter().enumerate() {
        if at > 0 {
            statement.push_text(", ");
        }
        statement.push_text(column.name);
        statement.push_text(" = EXCLUDED.");
        statement.push_text(column.name);
    }
    push_returning::<R>(&mut statement);
    on.run_query(Fetch::one(Ok(statement)))
}

/// Writes all columns of the row with this primary key; whether there is one.
///
/// # Errors
/// What the statement fails with.
pub fn update<R: Table, On: Runs>(row: &R, on: On) -> On::Output<bool> {
    on.run_statements(iter::once(written_over(row)), |affected| affected > 0)
}

fn written_over<R: Table>(row: &R) -> Result<Statement> {
    let mut statement = Statement::empty();
    statement.push_text("UPDATE ");
    statement.push_text(R::NAME);
    let mut before = " SET ";
    for (at, column) in R::COLUMNS.iter().enumerate() {
        if column.generated || column.primary_key {
            continue;
        }
        statement.push_text(before);
        statement.push_text(column.name);
        statement.push_text(" = ");
        statement.push_value(row.value(at));
        before = ", ";
    }
    if before == " SET " {
        // A row that is nothing but key stays as it is; whether it is there still counts.
        for at in key_columns::<R>().take(1) {
            for text in [before, R::COLUMNS[at].name, " = ", R::COLUMNS[at].name] {
                statement.push_text(text);
            }
        }
    }
    push_key(&mut statement, row)?;
    Ok(statement)
}

/// Deletes the row with this primary key; whether there was one.
///
/// # Errors
/// What the statement fails with.
pub fn delete<R: Table, On: Runs>(row: &R, on: On) -> On::Output<bool> {
    on.run_statements(iter::once(deleted(row)), |affected| affected > 0)
}

fn deleted<R: Table>(row: &R) -> Result<Statement> {
    let mut statement = Statement::empty();
    statement.push_text("DELETE FROM ");
    statement.push_text(R::NAME);
    push_key(&mut statement, row)?;
    Ok(statement)
}

fn found_by<R: Table>(column: usize, value: Value) -> Statement {
    let mut statement = Statement::empty();
    statement.push_text("SELECT ");
    push_names::<R>(&mut statement, |_| true);
    statement.push_text(" FROM ");
    statement.push_text(R::NAME);
    statement.push_text(" WHERE ");
    statement.push_text(R::COLUMNS[column].name);
    if value.is_null() {
        statement.push_text(" IS NULL");
    } else {
        statement.push_text(" = ");
        statement.push_value(value);
    }
    statement
}

/// The row that has a value in a unique column.
///
/// # Errors
/// What the query fails with.
pub fn find<R: Table, On: Runs>(column: usize, value: Value, on: On) -> On::Output<Option<R>> {
    on.run_query(Fetch::optional(Ok(found_by::<R>(column, value))))
}

/// The rows that have a value in a column.
///
/// # Errors
/// What the query fails with.
pub fn find_all<R: Table, On: Runs>(column: usize, value: Value, on: On) -> On::Output<Vec<R>> {
    on.run_query(Fetch::all(Ok(found_by::<R>(column, value))))
}
