//! What a transaction shares with its cursors, bulk writers and the manager's register.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hashbrown::HashMap;
use rustling_storage::{Batch, Durability, KeyspaceId, Reservation, Snapshot};

use crate::{
    error::{Error, Result, TransactionId},
    lock::{Limits, Locker, mode::Mode, table::LockName},
    manager::Inner,
    options::{IsolationLevel, TransactionOptions},
    serializable::{Interval, Participant},
    stats::TransactionInfo,
    sync::{Mutex, RwLock, RwLockReadGuard},
    write_set::WriteSet,
};

/// What reads see.
#[derive(Debug)]
enum View {
    /// The one snapshot of the transaction.
    Fixed(Snapshot),
    /// The snapshot of the statement, taken with its first read.
    PerStatement(RwLock<Option<Snapshot>>),
}

/// What only the one writer at a time touches.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Locks to release, tables among them.
    pub(crate) locks: Vec<LockName>,
    /// The table locks held.
    pub(crate) tables: HashMap<KeyspaceId, Mode, foldhash::fast::RandomState>,
    /// Bytes that the row locks cost.
    pub(crate) lock_bytes: usize,
    /// Bytes that the changes in memory cost.
    pub(crate) write_bytes: usize,
    /// Memory reserved for write set and locks.
    pub(crate) reservation: Option<Reservation>,
    /// The id of the next savepoint.
    pub(crate) next_savepoint: u64,
    /// Set where the write set is not whole any more; the transaction can only roll back.
    pub(crate) failed: Option<Error>,
    /// Whether the transaction has ended.
    pub(crate) finished: bool,
}

/// A transaction's shared part.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) manager: Arc<Inner>,
    pub(crate) locker: Locker,
    pub(crate) isolation: IsolationLevel,
    pub(crate) read_only: bool,
    pub(crate) durability: Durability,
    began: Duration,
    view: View,
    /// Its part among the serializable transactions.
    pub(crate) participant: Option<Arc<Participant>>,
    /// Whether the write set holds anything; false saves reads a look at it.
    dirty: AtomicBool,
    changes: AtomicU64,
    /// Set when the transaction ends and its write set is gone.
    ended: AtomicBool,
    writes: RwLock<WriteSet>,
    pub(crate) writer: Mutex<Writer>,
}

impl State {
    pub(crate) fn new(
        manager: &Arc<Inner>,
        id: TransactionId,
        options: &TransactionOptions,
        attempt: u32,
    ) -> Result<State> {
        let (view, participant) = match options.isolation {
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => {
                (View::PerStatement(RwLock::default()), None)
            }
            IsolationLevel::RepeatableRead | IsolationLevel::Snapshot => {
                (View::Fixed(manager.store.snapshot()), None)
            }
            IsolationLevel::Serializable => {
                let (snapshot, participant) = begin_serializable(manager, options)?;
                (View::Fixed(snapshot), Some(participant))
            }
        };
        let began = manager.clock().now();
        Ok(State {
            manager: Arc::clone(manager),
            locker: Locker::new(
                id,
                Limits {
                    timeout: options.lock_timeout,
                    deadline: options.statement_timeout.map(|timeout| began + timeout),
                },
                attempt,
            ),
            isolation: options.isolation,
            read_only: options.read_only,
            durability: options.durability,
            began,
            view,
            participant,
            dirty: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            writes: RwLock::default(),
            writer: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> TransactionId {
        self.locker.transaction
    }

    /// Takes the statement's snapshot where the level has one per statement.
    pub(crate) fn begin_statement(&self) {
        self.locker.clear_cancel();
        if let View::PerStatement(current) = &self.view {
            let fresh = self.manager.store.snapshot();
            *current.write() = Some(fresh);
        }
    }

    /// Sets how long waits for locks may take from now on.
    pub(crate) fn limit_waits(&self, timeout: Option<Duration>, statement: Option<Duration>) {
        let now = || self.manager.clock().now();
        self.locker.set_limits(Limits {
            timeout,
            deadline: statement.map(|statement| now() + statement),
        });
    }

    /// Gives the statement's snapshot back.
    pub(crate) fn end_statement(&self) {
        if let View::PerStatement(current) = &self.view {
            *current.write() = None;
        }
    }

    /// Runs `read` on the snapshot that reads use now.
    pub(crate) fn with_snapshot<R>(&self, read: impl FnOnce(&Snapshot) -> R) -> R {
        match &self.view {
            View::Fixed(snapshot) => read(snapshot),
            View::PerStatement(current) => {
                if let Some(snapshot) = current.read().as_ref() {
                    return read(snapshot);
                }
                let snapshot = current
                    .write()
                    .get_or_insert_with(|| self.manager.store.snapshot())
                    .clone();
                read(&snapshot)
            }
        }
    }

    /// Whether anything has been written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The own changes, to read.
    pub(crate) fn read_writes(&self) -> Result<RwLockReadGuard<'_, WriteSet>> {
        let writes = self.writes.read();
        if self.ended.load(Ordering::Relaxed) {
            Err(Error::Finished)
        } else {
            Ok(writes)
        }
    }

    /// Runs `change` on the own changes. Only under the writer's mutex.
    pub(crate) fn with_writes<R>(&self, change: impl FnOnce(&mut WriteSet) -> R) -> R {
        let mut writes = self.writes.write();
        self.dirty.store(true, Ordering::Release);
        change(&mut writes)
    }

    pub(crate) fn count_changes(&self, more: u64) {
        self.changes.fetch_add(more, Ordering::Relaxed);
    }

    /// Takes the own changes away from everybody; reads through cursors fail from here on.
    pub(crate) fn take_writes(&self) -> WriteSet {
        let mut writes = self.writes.write();
        self.ended.store(true, Ordering::Relaxed);
        std::mem::take(&mut writes)
    }

    /// Drops staging keyspaces that nothing refers to any more. Where the store refuses, they
    /// stay until it is opened again, which drops them.
    pub(crate) fn discard(&self, staging: impl IntoIterator<Item = KeyspaceId>) {
        let mut batch = Batch::new();
        for keyspace in staging {
            batch.drop_keyspace(keyspace);
        }
        if !batch.is_empty() {
            let _ = self.manager.store.commit(&batch, Durability::None);
        }
    }

    /// Bytes that the changes in memory cost.
    pub(crate) fn write_bytes(&self) -> usize {
        self.writes.read().bytes()
    }

    /// Marks the present state of the own changes as savepoint `id`.
    pub(crate) fn mark_savepoint(&self, id: u64) {
        self.writes.write().savepoint(id);
    }

    /// Forgets savepoint `id` and those after it.
    pub(crate) fn release_savepoint(&self, id: u64) {
        self.writes.write().release(id);
    }

    pub(crate) fn info(&self) -> TransactionInfo {
        let snapshot = match &self.view {
            View::Fixed(snapshot) => Some(snapshot.lsn()),
            View::PerStatement(current) => current.read().as_ref().map(Snapshot::lsn),
        };
        TransactionInfo {
            id: self.id(),
            isolation: self.isolation,
            read_only: self.read_only,
            age: self.manager.clock().now().saturating_sub(self.began),
            writes: self.changes(),
            snapshot,
            waits_for: self.manager.locks.waits_for(self.id()),
        }
    }
}

fn begin_serializable(
    manager: &Inner,
    options: &TransactionOptions,
) -> Result<(Snapshot, Arc<Participant>)> {
    let members = &manager.serializability;
    let take = || manager.store.snapshot();
    if !(options.deferrable && options.read_only) {
        return Ok(members.begin(options.read_only, take, &manager.counters));
    }
    let began = manager.clock().now();
    members
        .begin_deferred(
            take,
            options.lock_timeout,
            manager.clock(),
            &manager.counters,
        )
        .ok_or_else(|| Error::SafeSnapshotTimeout {
            waited: manager.clock().now().saturating_sub(began),
        })
}

/// Tracking what a serializable transaction reads and writes; nothing at the other levels.
impl State {
    /// Whether reads and writes must be tracked.
    pub(crate) fn needs_tracking(&self) -> bool {
        let participant = self.participant.as_ref();
        participant.is_some_and(|participant| !participant.is_safe())
    }

    /// Fails where the transaction was chosen to end.
    pub(crate) fn check_serializable(&self) -> Result<()> {
        match &self.participant {
            None => Ok(()),
            Some(participant) => self.manager.serializability.check(participant),
        }
    }

    /// Notes that `key` is read from the snapshot.
    pub(crate) fn track_read(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<()> {
        let Some(participant) = &self.participant else {
            return Ok(());
        };
        let members = &self.manager.serializability;
        members.read_key(participant, keyspace, key, &self.manager.counters)
    }

    /// Notes that every key of `interval` is read from the snapshot.
    pub(crate) fn track_interval(&self, keyspace: KeyspaceId, interval: &Interval) -> Result<()> {
        let Some(participant) = &self.participant else {
            return Ok(());
        };
        let members = &self.manager.serializability;
        members.read_interval(participant, keyspace, interval, &self.manager.counters)
    }

    /// Notes that `key`, whose lock is held, is written.
    pub(crate) fn track_write(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<()> {
        let Some(participant) = &self.participant else {
            return Ok(());
        };
        let members = &self.manager.serializability;
        members.write_key(participant, keyspace, key, &self.manager.counters)
    }

    /// Notes that any key of `keyspace`, which is locked, may be written.
    pub(crate) fn track_write_of_all(&self, keyspace: KeyspaceId) -> Result<()> {
        let Some(participant) = &self.participant else {
            return Ok(());
        };
        let members = &self.manager.serializability;
        members.write_all(participant, keyspace, &self.manager.counters)
    }
}
