//! FOREIGN KEY constraints: checks and referential actions.
//!
//! A row that refers locks its parent in share mode until its transaction ends, and then looks
//! whether the parent is there; a parent that goes away is locked exclusively by its deletion,
//! and only then rows that refer are looked for, in what is committed by then. So whichever of
//! two concurrent transactions comes second sees what the first has done.
//!
//! - [`actions`]: CASCADE, SET NULL and SET DEFAULT, and RESTRICT.
//! - [`checks`]: that parents are there, and that nobody refers to those that are gone.
//! - [`keys`]: referring and referred keys.
//! - [`deferred`]: checks that wait for the end of the transaction.

mod actions;
mod checks;
pub(super) mod deferred;
pub(super) mod keys;

use std::{collections::VecDeque, sync::Arc};

use rustling_txn::{LockWait, TableLockMode};

use crate::{
    Error, Result, SqlState, Value,
    catalog::{ForeignKey, TableId},
    engine::{error::txn_error, session::Session, table::TableHandle},
    executor::ExecContext,
};

pub(super) use checks::validate;
pub(super) use deferred::{ConstraintModes, before_commit};

/// A row that was written: before and after.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The row's key in its table, as it is now; empty where the row is gone.
    pub(crate) key: Vec<u8>,
    /// `None`: the row is new.
    pub(crate) old: Option<Vec<Value>>,
    /// `None`: the row is gone.
    pub(crate) new: Option<Vec<Value>>,
}

/// Does what the foreign keys of and to `table` ask for after rows of it were written: actions
/// first, to their end, then the checks.
pub(crate) fn after_change(
    session: &mut Session,
    table: &Arc<TableHandle>,
    written: Vec<Written>,
    context: &mut ExecContext,
) -> Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    let mut waiting = VecDeque::from([(Arc::clone(table), written)]);
    let mut pending = Vec::new();
    while let Some((table, written)) = waiting.pop_front() {
        context.check()?;
        checks::note_children(&table, &written, &mut pending);
        for (child, at) in &table.referenced_by {
            let gone = keys::lost_parents(session, &table, *child, *at, &written)?;
            if gone.is_empty() {
                continue;
            }
            actions::act(session, &gone, context, &mut waiting, &mut pending)?;
        }
    }
    for check in pending {
        if deferred::is_deferred(session, &check)? {
            session.constraints.queue.push(check);
        } else {
            checks::run(session, &check, context)?;
        }
    }
    Ok(())
}

/// A foreign key with its table.
pub(super) fn foreign_key(table: &TableHandle, at: usize) -> Result<&ForeignKey> {
    table.table.foreign_keys.get(at).ok_or_else(|| {
        Error::new(
            SqlState::INTERNAL_ERROR,
            format!("table \"{}\" has no foreign key {at}", table.table.name),
        )
    })
}

/// A table by id as it is now, locked in `mode` so that its definition stays.
pub(super) fn locked_table(
    session: &Session,
    id: TableId,
    mode: TableLockMode,
    context: &ExecContext,
) -> Result<Arc<TableHandle>> {
    let gone = || {
        Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "a table of a foreign key was changed by a concurrent transaction",
        )
        .hint("Run the transaction again.")
    };
    for _ in 0..8 {
        let handle = session.newest_table(id).ok_or_else(gone)?;
        context
            .transaction
            .lock_table(handle.keyspace, mode, LockWait::Wait)
            .map_err(txn_error)?;
        let newest = session.newest_table(id);
        if newest.is_some_and(|newest| newest.table.version == handle.table.version) {
            return Ok(handle);
        }
    }
    Err(gone())
}

/// Fails where a row of the table has no parent, after a load.
pub(super) fn validate_all(
    session: &Session,
    table: &Arc<TableHandle>,
    context: &ExecContext,
) -> Result<()> {
    for key in &table.table.foreign_keys {
        let parent = locked_table(session, key.parent, TableLockMode::IntentionShared, context)?;
        validate(table, key, &parent, context)?;
    }
    Ok(())
}
