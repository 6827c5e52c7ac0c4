//! What the transactions of a manager have done and waited for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustling_storage::{Lsn, WaitPoint, WaitStatistics, Waits};

use crate::{
    error::{LockResource, TransactionId},
    options::IsolationLevel,
    serializable::Sizes,
};

/// A counter that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything a manager counts.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) begun: Counter,
    pub(crate) committed: Counter,
    pub(crate) rolled_back: Counter,
    pub(crate) retried: Counter,
    pub(crate) write_conflicts: Counter,
    pub(crate) deadlocks: Counter,
    pub(crate) lock_timeouts: Counter,
    pub(crate) spilled_bytes: Counter,
    serialization_failures: Counter,
    unproven_serialization_failures: Counter,
    pub(crate) safe_snapshots: Counter,
    pub(crate) tracking_promotions: Counter,
    pub(crate) summarised_transactions: Counter,
    row_waits: WaitPoint,
    table_waits: WaitPoint,
}

impl Counters {
    /// All at zero; waits for locks are counted in `waits`.
    pub(crate) fn new(waits: &Waits) -> Counters {
        Counters {
            begun: Counter::default(),
            committed: Counter::default(),
            rolled_back: Counter::default(),
            retried: Counter::default(),
            write_conflicts: Counter::default(),
            deadlocks: Counter::default(),
            lock_timeouts: Counter::default(),
            spilled_bytes: Counter::default(),
            serialization_failures: Counter::default(),
            unproven_serialization_failures: Counter::default(),
            safe_snapshots: Counter::default(),
            tracking_promotions: Counter::default(),
            summarised_transactions: Counter::default(),
            row_waits: waits.point("lock.row"),
            table_waits: waits.point("lock.table"),
        }
    }

    /// Counts a wait for a row or a table lock.
    pub(crate) fn record_wait(&self, row: bool, waited: Duration) {
        if row {
            self.row_waits.record(waited)
        } else {
            self.table_waits.record(waited)
        }
    }

    /// Counts a transaction that must end; `proven` where what is known closes a circle.
    pub(crate) fn record_serialization_failure(&self, proven: bool) {
        self.serialization_failures.increment();
        if !proven {
            self.unproven_serialization_failures.increment();
        }
    }

    pub(crate) fn stats(
        &self,
        active: usize,
        (locks, lock_capacity): (usize, usize),
        tracked: Sizes,
    ) -> TransactionStats {
        TransactionStats {
            active,
            begun: self.begun.get(),
            committed: self.committed.get(),
            rolled_back: self.rolled_back.get(),
            retried: self.retried.get(),
            write_conflicts: self.write_conflicts.get(),
            deadlocks: self.deadlocks.get(),
            lock_timeouts: self.lock_timeouts.get(),
            spilled_bytes: self.spilled_bytes.get(),
            serialization_failures: self.serialization_failures.get(),
            unproven_serialization_failures: self.unproven_serialization_failures.get(),
            safe_snapshots: self.safe_snapshots.get(),
            tracking_promotions: self.tracking_promotions.get(),
            summarised_transactions: self.summarised_transactions.get(),
            tracked_transactions: tracked.members,
            tracked_bytes: tracked.bytes,
            row_lock_waits: self.row_waits.statistics(),
            table_lock_waits: self.table_waits.statistics(),
            locks,
            lock_capacity,
        }
    }
}

/// What the transactions of a manager have done since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionStats {
    /// Transactions that run now.
    pub active: usize,
    /// Transactions begun.
    pub begun: u64,
    /// Transactions committed.
    pub committed: u64,
    /// Transactions rolled back, for whatever reason.
    pub rolled_back: u64,
    /// Times that [`crate::TransactionManager::transaction`] began again.
    pub retried: u64,
    /// Writes refused since another transaction came first (SNAPSHOT).
    pub write_conflicts: u64,
    /// Deadlocks broken.
    pub deadlocks: u64,
    /// Lock requests given up.
    pub lock_timeouts: u64,
    /// Bytes of write sets moved into the store before their commit.
    pub spilled_bytes: u64,
    /// Transactions that had to end since they could have been part of a history without a
    /// serial order (SERIALIZABLE).
    pub serialization_failures: u64,
    /// Those of them whose known dependencies closed no circle: most of these would have done
    /// no harm.
    pub unproven_serialization_failures: u64,
    /// Read-only serializable transactions whose snapshot was safe when they began, so that
    /// they were not tracked.
    pub safe_snapshots: u64,
    /// Times that tracked keys and intervals of a transaction became one interval.
    pub tracking_promotions: u64,
    /// Committed transactions of which only a summary was kept, for want of memory.
    pub summarised_transactions: u64,
    /// Serializable transactions that are kept: those that run, and those that committed while
    /// one of these ran.
    pub tracked_transactions: usize,
    /// Bytes of what they have read and written.
    pub tracked_bytes: usize,
    /// Waits for rows (`lock.row`).
    pub row_lock_waits: WaitStatistics,
    /// Waits for tables (`lock.table`).
    pub table_lock_waits: WaitStatistics,
    /// Locks that are held or waited for now.
    pub locks: usize,
    /// Locks that the lock table has room for now.
    pub lock_capacity: usize,
}

/// A transaction that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionInfo {
    /// Its id.
    pub id: TransactionId,
    /// Its isolation level.
    pub isolation: IsolationLevel,
    /// Whether it may not write.
    pub read_only: bool,
    /// Time since it began.
    pub age: Duration,
    /// Changes it has made.
    pub writes: u64,
    /// The snapshot it holds, which keeps old versions alive.
    pub snapshot: Option<Lsn>,
    /// The lock it waits for.
    pub waits_for: Option<LockResource>,
}
