//! Rows that belong to rows, a query for any number of them.

use std::collections::HashMap;

use rustling_sql::{
    Result, Value,
    types::{Array, GroupKey},
};

use super::{Column, Table, rows::push_names};
use crate::{Connection, Query, Statement};

/// The rows whose column has one of the values.
fn having<R: Table, F>(
    column: Column<R, F>,
    mut values: Vec<Value>,
    on: Connection<'_>,
) -> Result<Vec<R>> {
    values.retain(|value| !value.is_null());
    values.sort_by(Value::compare);
    values.dedup();
    if values.is_empty() {
        return Ok(Vec::new());
    }
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
    Query::new(on, statement, R::from_row).fetch_all()
}

fn position<R: Table, F>(column: Column<R, F>) -> usize {
    R::COLUMNS
        .iter()
        .position(|info| info.name == column.name())
        .unwrap_or(0)
}

/// For each of the foreign keys the row that it leads to: `column` is what they refer to.
///
/// # Errors
/// What the query fails with.
pub fn parents<'c, R: Table + Clone, F>(
    column: Column<R, F>,
    keys: Vec<Value>,
    on: impl Into<Connection<'c>>,
) -> Result<Vec<Option<R>>> {
    let at = position(column);
    let rows: HashMap<GroupKey, R> = having(column, keys.clone(), on.into())?
        .into_iter()
        .map(|row| (GroupKey(row.value(at)), row))
        .collect();
    Ok(keys
        .into_iter()
        .map(|key| rows.get(&GroupKey(key)).cloned())
        .collect())
}

/// For each of the keys the rows that refer to it: `column` is their foreign key.
///
/// # Errors
/// What the query fails with.
pub fn children<'c, R: Table, F>(
    column: Column<R, F>,
    keys: Vec<Value>,
    on: impl Into<Connection<'c>>,
) -> Result<Vec<Vec<R>>> {
    let at = position(column);
    let mut places: HashMap<GroupKey, usize> = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        places.entry(GroupKey(key.clone())).or_insert(place);
    }
    let mut groups: Vec<Vec<R>> = keys.iter().map(|_| Vec::new()).collect();
    for row in having(column, keys, on.into())? {
        if let Some(place) = places.get(&GroupKey(row.value(at))) {
            groups[*place].push(row);
        }
    }
    Ok(groups)
}
