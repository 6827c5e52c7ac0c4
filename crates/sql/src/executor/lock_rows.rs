//! Locking rows as they come: SELECT … FOR UPDATE and its like.

use std::sync::Arc;

use rustling_storage::Error as StorageError;
use rustling_txn::{Error as TxnError, LockMode, LockWait, RowState, TableLockMode, Transaction};

use crate::{
    Error, Result, SqlState, Value,
    bound::{LockStrength, LockWaitPolicy},
    engine::error::txn_error,
    executor::{ExecContext, Operator, RowBuffer, Substitute, build_with},
    planner::physical::{PhysicalPlan, PlannedLock},
};

/// Locks the tables of `locks` as locking rows of them does, so that their definitions stay;
/// `false`: one is gone.
pub(crate) fn lock_tables(transaction: &Transaction, locks: &[PlannedLock]) -> Result<bool> {
    for lock in locks {
        let wait = match lock.wait {
            LockWaitPolicy::NoWait => LockWait::NoWait,
            LockWaitPolicy::Wait | LockWaitPolicy::SkipLocked => LockWait::Wait,
        };
        match transaction.lock_table(lock.table.keyspace, intention(lock.strength), wait) {
            Ok(()) => {}
            Err(TxnError::Storage(StorageError::UnknownKeyspace(_))) => return Ok(false),
            Err(error) => return Err(lock_error(error, lock)),
        }
    }
    Ok(true)
}

/// Locks the rows of tables behind each of its input's rows, and gives those rows on that are
/// still there then.
pub(crate) struct LockRows {
    input: Box<dyn Operator>,
    plan: Arc<PhysicalPlan>,
    locks: Arc<[PlannedLock]>,
}

/// What became of a row by locking.
enum Locked {
    Unchanged,
    Changed,
    Skipped,
}

impl LockRows {
    /// Locks the rows of `input`, the operator of `plan`.
    pub(crate) fn new(
        input: Box<dyn Operator>,
        plan: Arc<PhysicalPlan>,
        locks: Arc<[PlannedLock]>,
    ) -> LockRows {
        LockRows { input, plan, locks }
    }

    fn lock(&self, context: &ExecContext, row: &[Value]) -> Result<Locked> {
        let mut locked = Locked::Unchanged;
        for lock in self.locks.iter() {
            let Some(key) = key_of(lock, row) else {
                continue;
            };
            let state = context
                .transaction
                .lock_row(
                    lock.table.keyspace,
                    key,
                    mode(lock.strength),
                    patience(lock.wait),
                )
                .map_err(|error| lock_error(error, lock))?;
            match state {
                RowState::Unchanged => {}
                RowState::Changed => locked = Locked::Changed,
                RowState::Skipped => return Ok(Locked::Skipped),
            }
        }
        Ok(locked)
    }

    /// Reads a row again whose tables' rows have changed and are locked now; `false` where it
    /// is not among the input's rows any more.
    fn check_again(&self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let mut substitutes = Vec::with_capacity(self.locks.len());
        for lock in self.locks.iter() {
            let Some(key) = key_of(lock, row) else {
                continue;
            };
            let newest = context
                .transaction
                .get_latest(lock.table.keyspace, key)
                .map_err(txn_error)?;
            let Some(stored) = newest else {
                return Ok(false);
            };
            substitutes.push(Substitute {
                row_key: lock.row_key,
                key: key.to_vec(),
                row: Some(stored),
            });
        }
        build_with(&self.plan, context, &substitutes)?.next(context, row)
    }
}

impl Operator for LockRows {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while self.input.next(context, row)? {
            match self.lock(context, row)? {
                Locked::Unchanged => return Ok(true),
                Locked::Changed => {
                    if self.check_again(context, row)? {
                        return Ok(true);
                    }
                }
                Locked::Skipped => context.check()?,
            }
        }
        Ok(false)
    }
}

/// The key of the row to be locked; `None` where an outer join has none.
fn key_of<'a>(lock: &PlannedLock, row: &'a [Value]) -> Option<&'a [u8]> {
    match row.get(lock.position) {
        Some(Value::Bytea(key)) => Some(key),
        _ => None,
    }
}

fn mode(strength: LockStrength) -> LockMode {
    match strength {
        LockStrength::KeyShare => LockMode::KeyShare,
        LockStrength::Share => LockMode::Share,
        LockStrength::NoKeyUpdate => LockMode::NoKeyUpdate,
        LockStrength::Update => LockMode::Exclusive,
    }
}

fn intention(strength: LockStrength) -> TableLockMode {
    match strength {
        LockStrength::KeyShare | LockStrength::Share => TableLockMode::IntentionShared,
        LockStrength::NoKeyUpdate | LockStrength::Update => TableLockMode::IntentionExclusive,
    }
}

fn patience(wait: LockWaitPolicy) -> LockWait {
    match wait {
        LockWaitPolicy::Wait => LockWait::Wait,
        LockWaitPolicy::SkipLocked => LockWait::SkipLocked,
        LockWaitPolicy::NoWait => LockWait::NoWait,
    }
}

fn lock_error(error: TxnError, lock: &PlannedLock) -> Error {
    match error {
        TxnError::LockNotAvailable { .. } => Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!(
                "could not obtain lock on row in relation \"{}\"",
                lock.table.table.name
            ),
        ),
        TxnError::ReadOnly => Error::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!(
                "cannot execute SELECT {} in a read-only transaction",
                lock.strength
            ),
        ),
        error => txn_error(error),
    }
}
