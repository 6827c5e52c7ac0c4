//! How a transaction behaves: isolation, durability, patience.

use std::time::Duration;

use rustling_storage::Durability;

/// What a transaction may see of others while it runs. `docs/mvcc.md` holds the table of
/// anomalies that each level excludes, kept true by a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Every statement sees what was committed when it began. A write waits for a concurrent
    /// writer of the same row and then re-checks the row.
    #[default]
    ReadCommitted,
    /// The whole transaction sees what was committed when it began. A write of a row that
    /// another transaction has changed since fails: the first updater wins. (Snapshot isolation
    /// as of Berenson et al., "A Critique of ANSI SQL Isolation Levels", 1995.)
    Snapshot,
}

/// How a transaction is begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// What it sees of others.
    pub isolation: IsolationLevel,
    /// Whether writes and row locks are refused.
    pub read_only: bool,
    /// When its commit answers.
    pub durability: Durability,
    /// How long one lock is waited for; `None` waits until it is free. Deadlocks are found in
    /// either case.
    pub lock_timeout: Option<Duration>,
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
    /// How often [`crate::TransactionManager::transaction`] runs its body before it hands a
    /// retryable error on.
    pub attempts: u32,
}

impl Default for ManagerOptions {
    fn default() -> ManagerOptions {
        ManagerOptions {
            write_set_bytes: None,
            attempts: 32,
        }
    }
}
