//! That parents are there, and that nobody refers to those that are gone.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange};
use rustling_txn::{LockMode, LockWait, TableLockMode};

use crate::{
    Error, Result, SqlState, Value,
    catalog::{ForeignKey, TableId},
    engine::{constraints::shown, error::txn_error, session::Session, table::TableHandle},
    executor::ExecContext,
};

use super::{
    Written,
    actions::refuse_unseen,
    keys::{ChildSearch, child_values, encoded, parent_place, parent_types},
    locked_table,
};

/// A check that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The table with the foreign key.
    pub(crate) table: TableId,
    /// The foreign key's name.
    pub(crate) constraint: String,
    /// What is to be checked.
    pub(super) kind: CheckKind,
}

/// What is to be checked.
#[derive(Clone, Debug)]
pub(super) enum CheckKind {
    /// These rows of the table, by key, have parents.
    Children(Vec<Vec<u8>>),
    /// Nothing refers to these keys, unless they are there again.
    Parents(Vec<Vec<Value>>),
}

/// Notes the rows whose parents are to be looked for.
pub(super) fn note_children(table: &TableHandle, written: &[Written], pending: &mut Vec<Check>) {
    for key in &table.table.foreign_keys {
        let rows: Vec<Vec<u8>> = written
            .iter()
            .filter(|row| {
                let Some(new) = &row.new else { return false };
                let new = child_values(key, new);
                row.old
                    .as_ref()
                    .is_none_or(|old| child_values(key, old) != new)
                    && new.iter().any(|value| !matches!(value, Value::Null))
            })
            .map(|row| row.key.clone())
            .collect();
        if !rows.is_empty() {
            pending.push(Check {
                table: table.table.id,
                constraint: key.name.clone(),
                kind: CheckKind::Children(rows),
            });
        }
    }
}

/// Makes a check now.
pub(super) fn run(session: &Session, check: &Check, context: &ExecContext) -> Result<()> {
    // A constraint that is gone by now holds.
    let Some(child) = session.newest_table(check.table) else {
        return Ok(());
    };
    let Some(key) = child
        .table
        .foreign_keys
        .iter()
        .find(|key| key.name == check.constraint)
    else {
        return Ok(());
    };
    match &check.kind {
        CheckKind::Children(rows) => {
            let parent =
                locked_table(session, key.parent, TableLockMode::IntentionShared, context)?;
            let search = ChildSearch::new(&child, key, &parent);
            for row_key in rows {
                let stored = context
                    .transaction
                    .get_latest(child.keyspace, row_key)
                    .map_err(txn_error)?;
                if let Some(stored) = stored {
                    let row = search.decode(row_key, &stored)?;
                    has_parent(&child, key, &parent, &row, context)?;
                }
            }
            Ok(())
        }
        CheckKind::Parents(values) => {
            let parent =
                locked_table(session, key.parent, TableLockMode::IntentionShared, context)?;
            let mut gone: Vec<&[Value]> = Vec::with_capacity(values.len());
            for values in values {
                if !is_there(&parent, key, values, context)? {
                    gone.push(values);
                }
            }
            let search = ChildSearch::new(&child, key, &parent);
            context.transaction.begin_statement();
            let rows = search.rows(&gone, &context.transaction, context)?;
            if let Some((_, row)) = rows.first() {
                let values = child_values(key, row);
                return Err(still_referenced(&parent, key, &child.table.name, &values));
            }
            refuse_unseen(session, &search, &gone, &rows, context)
        }
    }
}

/// Whether the newest state has a parent with these values.
fn is_there(
    parent: &TableHandle,
    key: &ForeignKey,
    values: &[Value],
    context: &ExecContext,
) -> Result<bool> {
    let Some((keyspace, place)) = parent_place(parent, key, values)? else {
        return Ok(false);
    };
    let found = context
        .transaction
        .get_latest(keyspace, &place)
        .map_err(txn_error)?;
    Ok(found.is_some())
}

/// Fails where `row` of the child has no parent; locks it otherwise, so that it stays.
pub(super) fn has_parent(
    child: &TableHandle,
    key: &ForeignKey,
    parent: &TableHandle,
    row: &[Value],
    context: &ExecContext,
) -> Result<()> {
    let values = child_values(key, row);
    let nulls = values
        .iter()
        .filter(|value| matches!(value, Value::Null))
        .count();
    if nulls == values.len() || (nulls > 0 && !key.match_full) {
        return Ok(());
    }
    let violated = |detail: String| {
        Error::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                child.table.name, key.name
            ),
        )
        .of_table(&child.table.schema, &child.table.name)
        .of_constraint(&key.name)
        .detail(detail)
    };
    if nulls > 0 {
        return Err(violated(
            "MATCH FULL does not allow mixing of null and nonnull key values.".to_owned(),
        ));
    }
    if let Some((keyspace, place)) = parent_place(parent, key, &values)? {
        context
            .transaction
            .lock_row(keyspace, &place, LockMode::KeyShare, LockWait::Wait)
            .map_err(txn_error)?;
        let found = context
            .transaction
            .get_latest(keyspace, &place)
            .map_err(txn_error)?;
        if found.is_some() {
            return Ok(());
        }
    }
    Err(violated(format!(
        "Key ({})=({}) is not present in table \"{}\".",
        child_names(child, key),
        list(&values),
        parent.table.name
    )))
}

/// Fails where a row of the table has no parent: a foreign key that is added, or validated.
pub(in crate::engine) fn validate(
    child: &Arc<TableHandle>,
    key: &ForeignKey,
    parent: &Arc<TableHandle>,
    context: &ExecContext,
) -> Result<()> {
    let search = ChildSearch::new(child, key, parent);
    let mut cursor = context
        .transaction
        .scan(child.keyspace, KeyRange::all(), Direction::Forward)
        .map_err(txn_error)?;
    let types = parent_types(parent, key);
    // Both tables are locked as a whole: rows need no locks, and a parent is looked for once.
    let mut known = hashbrown::HashSet::new();
    let mut count = 0u32;
    while let Some((row_key, stored)) = cursor.next().map_err(txn_error)? {
        count = count.wrapping_add(1);
        if count.is_multiple_of(128) {
            context.check()?;
        }
        let row = search.decode(row_key, stored)?;
        let values = child_values(key, &row);
        if let Some(encoded) = encoded(&values, &types)? {
            if known.contains(&encoded) {
                continue;
            }
            if is_there(parent, key, &values, context)? {
                // Bounded: what was seen before is only a short cut.
                if known.len() < 1 << 16 {
                    known.insert(encoded);
                }
                continue;
            }
        }
        has_parent(child, key, parent, &row, context)?;
    }
    Ok(())
}

fn child_names(child: &TableHandle, key: &ForeignKey) -> String {
    let names: Vec<&str> = key
        .columns
        .iter()
        .filter_map(|ordinal| child.table.columns.get(*ordinal))
        .map(|column| column.name.as_str())
        .collect();
    names.join(", ")
}

fn list(values: &[Value]) -> String {
    let values: Vec<String> = values.iter().map(shown).collect();
    values.join(", ")
}

/// The error of a parent that rows still refer to.
#[cold]
pub(super) fn still_referenced(
    parent: &TableHandle,
    key: &ForeignKey,
    child: &str,
    values: &[Value],
) -> Error {
    let names: Vec<&str> = key
        .parent_columns
        .iter()
        .filter_map(|number| parent.table.ordinal(*number))
        .filter_map(|ordinal| parent.table.columns.get(ordinal))
        .map(|column| column.name.as_str())
        .collect();
    Error::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{child}\"",
            parent.table.name, key.name
        ),
    )
    .of_constraint(&key.name)
    .detail(format!(
        "Key ({})=({}) is still referenced from table \"{child}\".",
        names.join(", "),
        list(values)
    ))
}
