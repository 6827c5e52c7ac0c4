//! The transaction a session has open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustling_storage::KeyspaceId;
use rustling_txn::{
    Error as TxnError, IsolationLevel as TxnIsolation, LockWait, Savepoint, TableLockMode,
    Transaction, TransactionOptions,
};

use crate::{
    Error, Result, SqlState,
    bound::{IsolationLevel, TableLock, TransactionModes},
    catalog::Table,
    engine::{
        catalog::CatalogSnapshot,
        database::Inner,
        error::{OBJECT_IN_USE, txn_error},
        prepared::Planned,
        settings::Settings,
    },
};

/// An open transaction block.
pub(crate) struct OpenTransaction {
    pub(crate) transaction: Arc<Transaction>,
    /// Set by an error: only ROLLBACK is taken then. Shared with open results.
    pub(crate) failed: Arc<AtomicBool>,
    /// The catalog that this transaction sees, where it is not the newest committed one: it
    /// has changed it, or keeps one snapshot.
    pub(crate) catalog: Option<Arc<CatalogSnapshot>>,
    /// Whether it has changed the catalog.
    pub(crate) changed_catalog: bool,
    /// Whether a statement has run: the isolation level is fixed then.
    pub(crate) used: bool,
    /// Savepoints, each with whether the transaction was read-only there.
    savepoints: Vec<(String, Savepoint, bool)>,
    pub(crate) isolation: IsolationLevel,
    pub(crate) read_only: bool,
    pub(crate) deferrable: bool,
    /// `now()`: microseconds since 1970 UTC.
    pub(crate) time: i64,
}

/// The transaction layer's options for a transaction of this session.
pub(crate) fn transaction_options(
    settings: &Settings,
    isolation: IsolationLevel,
    read_only: bool,
) -> TransactionOptions {
    let isolation = match isolation {
        IsolationLevel::ReadUncommitted => TxnIsolation::ReadUncommitted,
        IsolationLevel::ReadCommitted => TxnIsolation::ReadCommitted,
        IsolationLevel::RepeatableRead => TxnIsolation::RepeatableRead,
        IsolationLevel::Snapshot => TxnIsolation::Snapshot,
        IsolationLevel::Serializable => TxnIsolation::Serializable,
    };
    TransactionOptions {
        isolation,
        read_only,
        deferrable: false,
        durability: settings.durability,
        lock_timeout: limit(settings.lock_timeout),
        statement_timeout: limit(settings.statement_timeout),
    }
}

/// The lock that stands for one of PostgreSQL's: one that conflicts with all that it conflicts
/// with among statements that lock tables here. (Reading a table locks nothing, so nothing has
/// to keep readers out.)
fn table_mode(mode: TableLock) -> TableLockMode {
    match mode {
        TableLock::AccessShare | TableLock::RowShare => TableLockMode::IntentionShared,
        TableLock::RowExclusive => TableLockMode::IntentionExclusive,
        TableLock::Share => TableLockMode::Shared,
        TableLock::ShareUpdateExclusive | TableLock::ShareRowExclusive => {
            TableLockMode::SharedIntentionExclusive
        }
        TableLock::Exclusive | TableLock::AccessExclusive => TableLockMode::Exclusive,
    }
}

/// A time limit as a setting has it, where zero is none.
pub(crate) fn limit(setting: Duration) -> Option<Duration> {
    (setting > Duration::ZERO).then_some(setting)
}

impl OpenTransaction {
    /// Begins a transaction block.
    pub(crate) fn begin(
        inner: &Inner,
        settings: &Settings,
        modes: TransactionModes,
    ) -> Result<OpenTransaction> {
        let isolation = modes.isolation.unwrap_or(settings.isolation);
        let read_only = modes.read_only.unwrap_or(settings.read_only);
        let deferrable = modes.deferrable.unwrap_or(settings.deferrable);
        let options = TransactionOptions {
            deferrable,
            ..transaction_options(settings, isolation, read_only)
        };
        let keeps_snapshot = options.isolation.keeps_snapshot();
        let newest = keeps_snapshot.then(|| inner.catalog());
        let transaction = inner.begin(options)?;
        // What the snapshot holds, its own catalog says, neither an older nor a newer one.
        let catalog = match newest {
            Some(newest) if !inner.is_newest(newest.generation) => {
                Some(inner.load_catalog(&transaction)?)
            }
            newest => newest,
        };
        Ok(OpenTransaction {
            transaction: Arc::new(transaction),
            failed: Arc::default(),
            catalog,
            changed_catalog: false,
            used: false,
            savepoints: Vec::new(),
            isolation,
            read_only,
            deferrable,
            time: inner.env.wall_clock(),
        })
    }

    /// Whether a plan is good for the snapshot of the statement that has just begun.
    #[inline]
    pub(crate) fn fits(&self, planned: &Planned, inner: &Inner) -> bool {
        // A catalog of its own is that of its one snapshot, or one that nobody else can change.
        self.catalog.is_some() || planned.fits(inner)
    }

    /// How many savepoints there are.
    pub(crate) fn savepoints(&self) -> usize {
        self.savepoints.len()
    }

    /// Its modes.
    pub(crate) fn modes(&self) -> TransactionModes {
        TransactionModes {
            isolation: Some(self.isolation),
            read_only: Some(self.read_only),
            deferrable: Some(self.deferrable),
        }
    }

    /// Whether an earlier error must be rolled back first.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes an error.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Begins a statement. While an earlier result is still being read, its snapshot stays.
    pub(crate) fn begin_statement(&mut self) {
        self.used = true;
        if Arc::strong_count(&self.transaction) == 1 {
            self.transaction.begin_statement();
        }
    }

    /// Ends a statement whose result has been read: where no other is being read, a transaction
    /// without a snapshot of its own gives the statement's back.
    pub(crate) fn end_statement(&self) {
        if Arc::strong_count(&self.transaction) == 1 {
            self.transaction.end_statement();
        }
    }

    /// LOCK TABLE.
    pub(crate) fn lock_tables(
        &self,
        tables: &[Arc<Table>],
        mode: TableLock,
        no_wait: bool,
    ) -> Result<()> {
        let wait = if no_wait {
            LockWait::NoWait
        } else {
            LockWait::Wait
        };
        for table in tables {
            if table.view().is_some() {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is a view, not a table", table.name),
                ));
            }
            let keyspace = KeyspaceId(table.keyspace);
            let locked = self
                .transaction
                .lock_table(keyspace, table_mode(mode), wait);
            locked.map_err(|error| match error {
                TxnError::LockNotAvailable { .. } => Error::new(
                    SqlState::LOCK_NOT_AVAILABLE,
                    format!("could not obtain lock on relation \"{}\"", table.name),
                ),
                TxnError::ReadOnly => Error::new(
                    SqlState::READ_ONLY_SQL_TRANSACTION,
                    "cannot execute LOCK TABLE in a read-only transaction",
                ),
                error => txn_error(error),
            })?;
        }
        Ok(())
    }

    /// Sets a savepoint.
    pub(crate) fn savepoint(&mut self, name: String) {
        self.savepoints
            .push((name, self.transaction.savepoint(), self.read_only));
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.savepoints
            .iter()
            .rposition(|(of, ..)| of == name)
            .ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    /// Undoes everything since a savepoint, errors included.
    pub(crate) fn rollback_to(&mut self, name: &str, inner: &Inner) -> Result<()> {
        let position = self.position(name)?;
        self.savepoints.truncate(position + 1);
        if let Some((_, savepoint, read_only)) = self.savepoints.last() {
            self.transaction.rollback_to(savepoint).map_err(txn_error)?;
            self.read_only = *read_only;
        }
        if self.changed_catalog {
            self.catalog = Some(inner.load_catalog(&self.transaction)?);
        }
        self.failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets a savepoint and those after it.
    pub(crate) fn release(&mut self, name: &str) -> Result<()> {
        let position = self.position(name)?;
        for (_, savepoint, read_only) in self.savepoints.drain(position..).rev() {
            self.transaction.release(savepoint);
            self.read_only = read_only;
        }
        Ok(())
    }

    /// Fails while rows of a query in it are being read: it cannot end then.
    pub(crate) fn may_end(&self) -> Result<()> {
        if Arc::strong_count(&self.transaction) == 1 {
            Ok(())
        } else {
            Err(still_read())
        }
    }

    /// The transaction alone, to be committed.
    pub(crate) fn into_transaction(self) -> Result<Transaction, (OpenTransaction, Error)> {
        let OpenTransaction {
            transaction,
            failed,
            catalog,
            changed_catalog,
            used,
            savepoints,
            isolation,
            read_only,
            deferrable,
            time,
        } = self;
        match Arc::try_unwrap(transaction) {
            Ok(transaction) => Ok(transaction),
            Err(transaction) => Err((
                OpenTransaction {
                    transaction,
                    failed,
                    catalog,
                    changed_catalog,
                    used,
                    savepoints,
                    isolation,
                    read_only,
                    deferrable,
                    time,
                },
                still_read(),
            )),
        }
    }
}

#[cold]
fn still_read() -> Error {
    Error::new(
        OBJECT_IN_USE,
        "cannot end the transaction: rows of a query in it are still being read",
    )
    .hint("Read all rows or drop the result first.")
}
