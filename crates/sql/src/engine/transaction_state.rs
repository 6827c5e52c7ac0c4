//! The transaction a session has open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustling_txn::{IsolationLevel as TxnIsolation, Savepoint, Transaction, TransactionOptions};

use crate::{
    Error, Result, SqlState,
    bound::IsolationLevel,
    engine::{
        catalog::CatalogSnapshot,
        database::Inner,
        error::{OBJECT_IN_USE, txn_error},
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
    savepoints: Vec<(String, Savepoint)>,
    pub(crate) isolation: IsolationLevel,
    pub(crate) read_only: bool,
    /// `now()`: microseconds since 1970 UTC.
    pub(crate) time: i64,
}

/// The transaction layer's options for a transaction of this session.
pub(crate) fn transaction_options(
    settings: &Settings,
    isolation: IsolationLevel,
    read_only: bool,
) -> Result<TransactionOptions> {
    let isolation = match isolation {
        IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => {
            TxnIsolation::ReadCommitted
        }
        IsolationLevel::RepeatableRead | IsolationLevel::Snapshot => TxnIsolation::Snapshot,
        IsolationLevel::Serializable => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "isolation level SERIALIZABLE is not supported",
            )
            .hint("Use REPEATABLE READ, which keeps one snapshot for the whole transaction."));
        }
    };
    // A lock is waited for no longer than the statement may take.
    let limits = [settings.lock_timeout, settings.statement_timeout];
    let lock_timeout = limits
        .into_iter()
        .filter(|limit| *limit > Duration::ZERO)
        .min();
    Ok(TransactionOptions {
        isolation,
        read_only,
        durability: settings.durability,
        lock_timeout,
    })
}

impl OpenTransaction {
    /// Begins a transaction block.
    pub(crate) fn begin(
        inner: &Inner,
        settings: &Settings,
        isolation: IsolationLevel,
        read_only: bool,
    ) -> Result<OpenTransaction> {
        let options = transaction_options(settings, isolation, read_only)?;
        // The catalog first, the snapshot then: an index of the catalog is in the snapshot.
        let keeps_snapshot = options.isolation == TxnIsolation::Snapshot;
        let catalog = keeps_snapshot.then(|| inner.catalog());
        Ok(OpenTransaction {
            transaction: Arc::new(inner.begin(options)?),
            failed: Arc::default(),
            catalog,
            changed_catalog: false,
            used: false,
            savepoints: Vec::new(),
            isolation,
            read_only,
            time: inner.env.wall_clock(),
        })
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

    /// Sets a savepoint.
    pub(crate) fn savepoint(&mut self, name: String) {
        self.savepoints.push((name, self.transaction.savepoint()));
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.savepoints
            .iter()
            .rposition(|(of, _)| of == name)
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
        if let Some((_, savepoint)) = self.savepoints.last() {
            self.transaction.rollback_to(savepoint).map_err(txn_error)?;
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
        for (_, savepoint) in self.savepoints.drain(position..).rev() {
            self.transaction.release(savepoint);
        }
        Ok(())
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
                    time,
                },
                Error::new(
                    OBJECT_IN_USE,
                    "cannot end the transaction: rows of a query in it are still being read",
                )
                .hint("Read all rows or drop the result first."),
            )),
        }
    }
}
