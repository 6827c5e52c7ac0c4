//! How a transaction behaves: isolation, durability, patience.

use std::time::Duration;

use rustling_storage::Durability;

/// What a transaction may see of others while it runs. `docs/mvcc.md` holds the table of
/// anomalies that each level excludes, kept true by a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Served as [`IsolationLevel::ReadCommitted`], as the SQL standard allows: a level may
    /// exclude more than it must.
    ReadUncommitted,
    /// Every statement sees what was committed when it began. A write waits for a concurrent
    /// writer of the same row and then re-checks the row.
    #[default]
    ReadCommitted,
    /// Served as [`IsolationLevel::Snapshot`], which excludes phantoms too.
    RepeatableRead,
    /// The whole transaction sees what was committed when it began. A write of a row that
    /// another transaction has changed since fails: the first updater wins. (Snapshot isolation
    /// as of Berenson et al., "A Critique of ANSI SQL Isolation Levels", 1995.)
    Snapshot,
    /// As [`IsolationLevel::Snapshot`]; besides, the outcome is that of running the transactions
    /// of this level one after the other in some order. Transactions whose reads and writes
    /// could make that impossible fail with [`crate::Error::Serialization`]. (Serializable
    /// snapshot isolation: Cahill et al., SIGMOD 2008; Ports and Grittner, VLDB 2012.)
    Serializable,
}

impl IsolationLevel {
    /// Every level, weakest first.
    pub const ALL: [IsolationLevel; 5] = [
        IsolationLevel::ReadUncommitted,
        IsolationLevel::ReadCommitted,
        IsolationLevel::RepeatableRead,
        IsolationLevel::Snapshot,
        IsolationLevel::Serializable,
    ];

    /// Whether reads see one snapshot throughout, and not one per statement.
    #[must_use]
    pub fn keeps_snapshot(self) -> bool {
        match self {
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => false,
            IsolationLevel::RepeatableRead
            | IsolationLevel::Snapshot
            | IsolationLevel::Serializable => true,
        }
    }
}

/// How a transaction is begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// What it sees of others.
    pub isolation: IsolationLevel,
    /// Whether writes and row locks are refused.
    pub read_only: bool,
    /// Whether a read-only transaction at [`IsolationLevel::Serializable`] begins by waiting
    /// until it has a snapshot that no running transaction can make inconsistent, so that it
    /// is not tracked and never fails. Without effect on others.
    pub deferrable: bool,
    /// When its commit answers.
    pub durability: Durability,
    /// How long one lock is waited for; `None` waits until it is free. Deadlocks are found in
    /// either case.
    pub lock_timeout: Option<Duration>,
    /// How long after the transaction began, or after [`crate::Transaction::limit_waits`] was
    /// called last, waits for locks end with [`crate::Error::StatementTimeout`].
    pub statement_timeout: Option<Duration>,
}

impl TransactionOptions {
    /// Options for isolation level `isolation`, otherwise the defaults.
    #[must_use]
    pub fn isolation(isolation: IsolationLevel) -> TransactionOptions {
        TransactionOptions {
            isolation,
            ..TransactionOptions::default()
        }
    }
}

/// How a manager treats its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerOptions {
    /// Bytes of keys, values and row locks that one transaction keeps in memory before its
    /// write set spills into the store. `None`: an eighth of the store's memory budget.
    pub write_set_bytes: Option<usize>,
    /// Bytes of a load ([`crate::BulkWriter`]) whose keys ascend that wait in memory, as long as
    /// there is room, and are logged with its end. A larger one goes past the log, into the pages
    /// or tables where it stays: that logs a few bytes, and costs a checkpoint. With
    /// [`rustling_storage::StoreOptions::wal_archive`] it is logged all the same.
    pub logged_load_bytes: usize,
    /// Bytes that tracking the reads and writes of all serializable transactions may take; the
    /// nearer, the coarser it becomes. `None`: a sixteenth of the store's memory budget.
    pub tracking_bytes: Option<usize>,
    /// Keys and intervals of a keyspace that one serializable transaction may have tracked one
    /// by one; beyond, they count as one interval.
    pub tracking_entries: usize,
    /// How often [`crate::TransactionManager::transaction`] runs its body before it hands a
    /// retryable error on.
    pub attempts: u32,
}

impl Default for ManagerOptions {
    fn default() -> ManagerOptions {
        ManagerOptions {
            write_set_bytes: None,
            logged_load_bytes: 4 << 20,
            tracking_bytes: None,
            tracking_entries: 1024,
            attempts: 32,
        }
    }
}
