//! Rows that belong to rows, a query for any number of them.

use std::collections::HashMap;

use rustling_sql::{
    Result, Row, Value,
    types::{Array, GroupKey},
};

use super::{
    Column, Field, Runs, Select, Table,
    rows::push_names,
    runs::{Fetch, Join, Read},
};
use crate::{Parameter, Statement};

/// The row that a foreign key leads to, where it is not NULL: `column` is what it refers to.
///
/// # Errors
/// What the query fails with.
pub fn parent<R: Table, F: Field, On: Runs>(
    column: Column<R, F>,
    key: impl Parameter<F::Sql>,
    on: On,
) -> On::Output<Option<R>> {
    let leads_nowhere = key.value().is_null();
    let query = Select::default().filter(column.eq(key)).first();
    on.run_query(Fetch::optional(query.statement()).unless(leads_nowhere))
}

/// The rows that refer to a key, where it is not NULL: `column` is their foreign key.
///
/// # Errors
/// What the query fails with.
pub fn children_of_one<R: Table, F: Field, On: Runs>(
    column: Column<R, F>,
    key: impl Parameter<F::Sql>,
    on: On,
) -> On::Output<Vec<R>> {
    let leads_nowhere = key.value().is_null();
    let query = Select::default().filter(column.eq(key));
    on.run_query(Fetch::all(query.statement()).unless(leads_nowhere))
}

/// For each of the foreign keys the row that it leads to: `column` is what they refer to.
///
/// # Errors
/// What the query fails with.
pub fn parents<R: Table + Clone, F: Field, On: Runs>(
    column: Column<R, F>,
    keys: Vec<Value>,
    on: On,
) -> On::Output<Vec<Option<R>>> {
    on.run_query(having(column, keys, |rows, join| {
        let rows = keyed::<R>(rows, join.column).collect::<Result<HashMap<GroupKey, R>>>()?;
        let keys = join.keys.into_iter();
        Ok(keys.map(|key| rows.get(&GroupKey(key)).cloned()).collect())
    }))
}

/// For each of the keys the rows that refer to it: `column` is their foreign key.
///
/// # Errors
/// What the query fails with.
pub fn children<R: Table, F: Field, On: Runs>(
    column: Column<R, F>,
    keys: Vec<Value>,
    on: On,
) -> On::Output<Vec<Vec<R>>> {
    on.run_query(having(column, keys, |rows, join| {
        let mut groups: Vec<Vec<R>> = join.keys.iter().map(|_| Vec::new()).collect();
        let mut places: HashMap<GroupKey, usize> = HashMap::new();
        for (place, key) in join.keys.into_iter().enumerate() {
            places.entry(GroupKey(key)).or_insert(place);
        }
        for row in keyed::<R>(rows, join.column) {
            let (key, row) = row?;
            if let Some(place) = places.get(&key) {
                groups[*place].push(row);
            }
        }
        Ok(groups)
    }))
}

/// The rows whose column has one of the keys.
fn having<R: Table, F: Field, T>(
    column: Column<R, F>,
    keys: Vec<Value>,
    read: Read<T>,
) -> Fetch<T> {
    let mut values = keys.clone();
    values.retain(|value| !value.is_null());
    values.sort_by(Value::compare);
    values.dedup();
    let lead_nowhere = values.is_empty();
    let mut statement = Statement::empty();
    statement.push_text("SELECT ");
    push_names::<R>(&mut statement, |_| true);
    statement.push_text(" FROM ");
    statement.push_text(R::NAME);
    statement.push_text(" WHERE ");
    statement.push_text(column.name());
    statement.push_text(" = ANY (");
    statement.push_value(Value::Array(Box::new(Array::new(values))));
    statement.push_text(")");
    let mut fetch = Fetch::new(Ok(statement), read).unless(lead_nowhere);
    fetch.join = Join {
        column: column.position(),
        keys,
    };
    fetch
}

/// The rows with the value that each has in a column.
fn keyed<R: Table>(
    rows: &mut dyn Iterator<Item = Result<Row>>,
    column: usize,
) -> impl Iterator<Item = Result<(GroupKey, R)>> {
    rows.map(move |row| {
        let row = R::from_row(&row?)?;
        Ok((GroupKey(row.value(column)), row))
    })
}
