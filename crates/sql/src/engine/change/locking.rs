//! The rows that UPDATE, DELETE and MERGE work on.

use rustling_txn::{LockMode, LockWait, RowState};

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    engine::{
        change::{ChangeAction, ChangeKind},
        error::txn_error,
        table::TableHandle,
    },
    executor::{self, ExecContext, MemoryMeter, RowBuffer, Substitute, row_bytes},
};

/// All rows of a change's source.
pub(super) fn collect(
    change: &ChangeAction,
    context: &ExecContext,
    purpose: &'static str,
) -> Result<(Vec<RowBuffer>, MemoryMeter)> {
    let mut source = executor::build(&change.source.root, context, None)?;
    let mut memory = MemoryMeter::new(context, purpose)?;
    let mut rows = Vec::new();
    let mut row = RowBuffer::new();
    while source.next(context, &mut row)? {
        memory.grow(2 * row_bytes(&row))?;
        rows.push(std::mem::take(&mut row));
    }
    Ok((rows, memory))
}

/// The rows that a change is about, each locked and as it is now, with their keys.
///
/// Rows that were changed by another transaction since the statement began are read again:
/// those that still qualify are taken as they are now (READ COMMITTED; PostgreSQL calls it
/// EvalPlanQual), the others are left out.
pub(super) fn lock_rows(
    change: &ChangeAction,
    row_key: ColumnId,
    context: &ExecContext,
) -> Result<Vec<(Vec<u8>, RowBuffer)>> {
    let (rows, _memory) = collect(change, context, "changing rows")?;
    lock_found(change, row_key, rows, context)
}

/// As [`lock_rows`], of rows that have been found.
pub(super) fn lock_found(
    change: &ChangeAction,
    row_key: ColumnId,
    rows: Vec<RowBuffer>,
    context: &ExecContext,
) -> Result<Vec<(Vec<u8>, RowBuffer)>> {
    let table = &change.table;
    let width = table.table.columns.len();
    let mut found: Vec<(Vec<u8>, RowBuffer)> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let Some(Value::Bytea(key)) = row.get_mut(width).map(std::mem::take) else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a row to be changed has no key",
            ));
        };
        found.push((key, row));
    }
    // A row is changed once, however often a join gives it.
    let mut seen = hashbrown::HashSet::new();
    found.retain(|(key, _)| seen.insert(key.clone()));
    let mode = row_lock(change);
    let mut locked = Vec::with_capacity(found.len());
    for (at, (key, row)) in found.into_iter().enumerate() {
        if at.is_multiple_of(128) {
            context.check()?;
        }
        let state = context
            .transaction
            .lock_row(table.keyspace, &key, mode, LockWait::Wait)
            .map_err(txn_error)?;
        match state {
            RowState::Unchanged => locked.push((key, row)),
            RowState::Changed => {
                let newest = context
                    .transaction
                    .get_latest(table.keyspace, &key)
                    .map_err(txn_error)?;
                let Some(stored) = newest else { continue };
                let substitute = Substitute {
                    row_key,
                    key: key.clone(),
                    row: Some(stored),
                };
                let mut again = executor::build(&change.source.root, context, Some(&substitute))?;
                let mut row = RowBuffer::new();
                if again.next(context, &mut row)? {
                    locked.push((key, row));
                }
            }
            RowState::Skipped => {}
        }
    }
    Ok(locked)
}

/// How the rows of a change are locked: others may go on relying on a row's keys where these do
/// not change.
fn row_lock(change: &ChangeAction) -> LockMode {
    match &change.kind {
        ChangeKind::Update { ordinals, .. } => lock_to_set(&change.table, ordinals),
        _ => LockMode::Exclusive,
    }
}

/// How a row is locked of which these columns are to be set.
pub(super) fn lock_to_set(table: &TableHandle, ordinals: &[usize]) -> LockMode {
    let unique = table.indexes.iter().filter(|index| index.unique);
    let mut keys = table
        .table
        .primary_key
        .iter()
        .chain(unique.flat_map(|index| &index.ordinals));
    if keys.any(|key| ordinals.contains(key)) {
        LockMode::Exclusive
    } else {
        LockMode::NoKeyUpdate
    }
}

/// Locks the row with this key, which must be as the statement's snapshot has it.
pub(super) fn lock_unchanged(
    change: &ChangeAction,
    key: &[u8],
    context: &ExecContext,
) -> Result<()> {
    let state = context
        .transaction
        .lock_row(
            change.table.keyspace,
            key,
            LockMode::Exclusive,
            LockWait::Wait,
        )
        .map_err(txn_error)?;
    if state == RowState::Unchanged {
        return Ok(());
    }
    Err(Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
    .hint("Run the transaction again."))
}
