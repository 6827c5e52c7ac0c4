//! The transaction itself: reads, writes, savepoints, the end.

use std::sync::{Arc, Weak};

use rustling_storage::{Direction, EngineKind, KeyRange, KeyspaceId, KeyspaceOptions, Lsn};

use crate::{
    bulk::BulkWriter,
    cursor::{self, TransactionCursor},
    error::{Error, Result, TransactionId},
    lock::{
        LockWait,
        mode::{LockMode, TableLockMode},
    },
    options::IsolationLevel,
    state::{State, Writer},
    sync::MutexGuard,
    write_set::Lookup,
};

/// What became of a row since the snapshot, seen with its lock in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    /// The snapshot shows the newest version.
    Unchanged,
    /// A newer version has been committed: read it with [`Transaction::get_latest`] and check
    /// again whether the row still qualifies.
    Changed,
    /// Another transaction holds the row, and [`LockWait::SkipLocked`] was asked for.
    Skipped,
}

/// A point within a transaction to return to.
#[derive(Debug)]
pub struct Savepoint {
    transaction: TransactionId,
    id: u64,
}

/// Ends the lock waits of a transaction from another thread: what a "cancel" key does.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    state: Weak<State>,
}

impl CancelHandle {
    /// Lets the wait that the transaction is in, and every one it begins until its next
    /// [`Transaction::begin_statement`], fail with [`Error::Cancelled`].
    pub fn cancel(&self) {
        if let Some(state) = self.state.upgrade() {
            state.manager.locks.cancel(&state.locker);
        }
    }
}

/// A transaction. Threads may share it: reads run in parallel, writes one at a time. Dropping
/// it rolls it back.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) state: Arc<State>,
}

impl Transaction {
    pub(crate) fn new(state: Arc<State>) -> Transaction {
        Transaction { state }
    }

    /// Names the transaction.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.state.id()
    }

    /// Its isolation level.
    #[must_use]
    pub fn isolation(&self) -> IsolationLevel {
        self.state.isolation
    }

    /// Whether it refuses writes.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.state.read_only
    }

    /// The LSN up to which reads see the commits of others.
    #[must_use]
    pub fn snapshot_lsn(&self) -> Lsn {
        self.state.with_snapshot(rustling_storage::Snapshot::lsn)
    }

    /// A handle that ends this transaction's lock waits from another thread.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {
            state: Arc::downgrade(&self.state),
        }
    }

    /// Begins a statement: under READ COMMITTED reads see what is committed now, under
    /// the other levels nothing changes.
    pub fn begin_statement(&self) {
        self.state.begin_statement();
    }

    /// Sets how long one lock may be waited for, and how long from now all waits may go on:
    /// from then on they end with [`Error::StatementTimeout`].
    pub fn limit_waits(
        &self,
        lock_timeout: Option<std::time::Duration>,
        statement_timeout: Option<std::time::Duration>,
    ) {
        self.state.limit_waits(lock_timeout, statement_timeout);
    }

    /// Ends a statement. Under READ COMMITTED this gives its snapshot back, so that a
    /// transaction that idles keeps no old versions alive; the next read takes a fresh one.
    pub fn end_statement(&self) {
        self.state.end_statement();
    }

    /// The value of `key`: the own one, else the snapshot's.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(keyspace, key, <[u8]>::to_vec)
    }

    /// Runs `read` on the value of `key` in place; it must not call back into the transaction
    /// or the store.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn get_with<R>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if !self.state.is_dirty() {
            self.state.track_read(keyspace, key)?;
            return Ok(self
                .state
                .with_snapshot(|snapshot| snapshot.get_with(keyspace, key, read))?);
        }
        let lookup = self.state.read_writes()?.get_with(keyspace, key, read)?;
        match lookup {
            Lookup::Own(own) => Ok(own),
            Lookup::Nowhere => Ok(None),
            Lookup::Unwritten(read) => {
                self.state.track_read(keyspace, key)?;
                Ok(self
                    .state
                    .with_snapshot(|snapshot| snapshot.get_with(keyspace, key, read))?)
            }
        }
    }

    /// The newest value of `key`: the own one, else the one committed last, the snapshot
    /// notwithstanding. For checking a row again after [`RowState::Changed`].
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::WriteConflict`] under SERIALIZABLE, where the newest value is
    /// not the snapshot's.
    pub fn get_latest(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self
            .state
            .read_writes()?
            .get_with(keyspace, key, <[u8]>::to_vec)?
        {
            Lookup::Own(own) => Ok(own),
            Lookup::Nowhere => Ok(None),
            Lookup::Unwritten(read) => {
                if self.state.needs_tracking() {
                    self.state.track_read(keyspace, key)?;
                    self.state.check_conflict(keyspace, key)?;
                }
                let newest = self.state.manager.store.snapshot_ref();
                Ok(newest.get_with(keyspace, key, read)?)
            }
        }
    }

    /// Walks a range: the snapshot with the own changes laid over it. Changes made after the
    /// cursor was opened may or may not be seen.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<TransactionCursor> {
        cursor::open(&self.state, keyspace, range, direction)
    }

    /// The writer's part, where the transaction may write.
    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        if self.state.read_only {
            return Err(Error::ReadOnly);
        }
        self.state.writer()
    }

    /// Sets `key` to `value`, with the row locked exclusively until the end (or as it is locked
    /// already, where that is [`LockMode::NoKeyUpdate`]).
    ///
    /// # Errors
    /// [`Error::WriteConflict`] under SNAPSHOT, lock errors, [`Error::ReadOnly`],
    /// [`Error::Storage`].
    pub fn put(&self, keyspace: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        let mut writer = self.writer()?;
        // Who has locked the row against other writers may write it, references to its key
        // notwithstanding.
        let enough = LockMode::NoKeyUpdate.into();
        self.state
            .lock_for_write(&mut writer, keyspace, key, enough)?;
        self.state
            .change(&mut writer, keyspace, key, Some(value.to_vec()))
    }

    /// Removes `key`, with the row locked exclusively until the end; removing what is not
    /// there is no error.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<()> {
        let mut writer = self.writer()?;
        let enough = LockMode::Exclusive.into();
        self.state
            .lock_for_write(&mut writer, keyspace, key, enough)?;
        self.state.change(&mut writer, keyspace, key, None)
    }

    /// Sets `key`, which must not be there: neither among the own changes nor in the newest
    /// committed state. Of two transactions that insert one key the second waits for the end
    /// of the first.
    ///
    /// # Errors
    /// [`Error::KeyExists`], else as [`Transaction::put`].
    pub fn insert(&self, keyspace: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        let mut writer = self.writer()?;
        self.state.lock_for_insert(&mut writer, keyspace, key)?;
        self.state
            .change(&mut writer, keyspace, key, Some(value.to_vec()))
    }

    /// Locks a row, whether the key is there or not, and tells whether it has changed since
    /// the snapshot.
    ///
    /// # Errors
    /// [`Error::WriteConflict`] under SNAPSHOT where it has; lock errors; [`Error::ReadOnly`];
    /// [`Error::Storage`].
    pub fn lock_row(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        mode: LockMode,
        wait: LockWait,
    ) -> Result<RowState> {
        let mut writer = self.writer()?;
        self.state.lock_row(&mut writer, keyspace, key, mode, wait)
    }

    /// Locks a keyspace. [`LockWait::SkipLocked`] is as [`LockWait::NoWait`] here.
    ///
    /// # Errors
    /// Lock errors; [`Error::ReadOnly`] for the exclusive modes in a read-only transaction.
    pub fn lock_table(
        &self,
        keyspace: KeyspaceId,
        mode: TableLockMode,
        wait: LockWait,
    ) -> Result<()> {
        let shared = matches!(mode, TableLockMode::IntentionShared | TableLockMode::Shared);
        let mut writer = if shared {
            self.state.writer()?
        } else {
            self.writer()?
        };
        self.state
            .lock_table(&mut writer, keyspace, mode.into(), wait)
    }

    /// Creates a keyspace, usable at once here and for others after the commit.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn create_keyspace(&self, options: KeyspaceOptions) -> Result<KeyspaceId> {
        let _writer = self.writer()?;
        let keyspace = self.state.manager.store.allocate_keyspace_id();
        self.state
            .with_writes(|writes| writes.create(keyspace, options));
        self.state.count_changes(1);
        Ok(keyspace)
    }

    /// Whether this transaction has created the keyspace, so that nobody else can see it yet.
    ///
    /// # Errors
    /// [`Error::Finished`].
    pub fn creates_keyspace(&self, keyspace: KeyspaceId) -> Result<bool> {
        Ok(self.state.read_writes()?.creates(keyspace))
    }

    /// Drops a keyspace, which is locked exclusively until the end.
    ///
    /// # Errors
    /// [`Error::Storage`] where there is no such keyspace; lock errors; [`Error::ReadOnly`].
    pub fn drop_keyspace(&self, keyspace: KeyspaceId) -> Result<()> {
        let mut writer = self.writer()?;
        self.state.lock_table(
            &mut writer,
            keyspace,
            crate::lock::mode::Mode::Exclusive,
            LockWait::Wait,
        )?;
        if !self.state.read_writes()?.creates(keyspace) {
            self.state.track_write_of_all(keyspace)?;
        }
        self.state
            .with_writes(|writes| writes.drop_keyspace(keyspace));
        self.state.count_changes(1);
        Ok(())
    }

    /// Gives a keyspace another engine with the commit. What it holds is copied now, and others
    /// go on reading and writing it: no lock is taken. Where another transaction drops the
    /// keyspace before the commit, the commit fails.
    ///
    /// # Errors
    /// [`rustling_storage::Error::EngineChanging`] where this or another transaction is giving
    /// it an engine already, [`rustling_storage::Error::UnknownKeyspace`] and what else
    /// [`rustling_storage::Store::change_engine`] answers; [`Error::ReadOnly`].
    pub fn set_engine(&self, keyspace: KeyspaceId, engine: EngineKind) -> Result<()> {
        drop(self.writer()?);
        let created = {
            let writes = self.state.read_writes()?;
            writes.check_not_dropped(keyspace)?;
            writes.creates(keyspace)
        };
        if created {
            self.state
                .with_writes(|writes| writes.set_engine(keyspace, engine));
        } else {
            let store = &self.state.manager.store;
            let change = store.change_engine(keyspace, engine)?;
            let _writer = self.writer()?;
            self.state
                .with_writes(|writes| writes.change_engine(change));
        }
        self.state.count_changes(1);
        Ok(())
    }

    /// Marks the present state of the own changes.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        let mut writer = self.state.writer.lock();
        let id = writer.next_savepoint;
        writer.next_savepoint += 1;
        self.state.mark_savepoint(id);
        Savepoint {
            transaction: self.id(),
            id,
        }
    }

    /// Undoes every change since `savepoint`, which stays usable; later savepoints are gone.
    /// Locks taken since stay held.
    ///
    /// # Errors
    /// [`Error::UnknownSavepoint`] where it was released or rolled back past.
    pub fn rollback_to(&self, savepoint: &Savepoint) -> Result<()> {
        if savepoint.transaction != self.id() {
            return Err(Error::UnknownSavepoint);
        }
        let mut writer = self.state.writer()?;
        let void = self
            .state
            .with_writes(|writes| writes.rollback_to(savepoint.id))
            .ok_or(Error::UnknownSavepoint)?;
        self.state.discard(void.iter().map(|layer| layer.staging));
        self.state.settle_memory(&mut writer);
        Ok(())
    }

    /// Forgets `savepoint` and those after it; their changes stay.
    pub fn release(&self, savepoint: Savepoint) {
        if savepoint.transaction == self.id() {
            let mut writer = self.state.writer.lock();
            self.state.release_savepoint(savepoint.id);
            self.state.settle_memory(&mut writer);
        }
    }

    /// A writer for loads of any size in bounded memory. Locks the keyspace exclusively.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn bulk_writer(&self, keyspace: KeyspaceId) -> Result<BulkWriter> {
        let mut writer = self.writer()?;
        BulkWriter::new(&self.state, &mut writer, keyspace)
    }

    /// Whether changes have outgrown memory and wait in the store for the commit.
    #[must_use]
    pub fn spilled(&self) -> bool {
        self.state
            .read_writes()
            .is_ok_and(|writes| writes.is_spilled())
    }

    /// Makes the changes true, all at once, and answers when the durability asked for is
    /// reached: with the LSN of the commit, or, where nothing was written, of the newest one.
    ///
    /// # Errors
    /// [`Error::Storage`]: everything is rolled back, unless the error says
    /// [`rustling_storage::Error::Poisoned`], where only reopening the store tells. Under
    /// [`rustling_storage::Error::EngineChanging`] the transaction holds a large load for a
    /// keyspace whose engine changes, or has changed since: run it again when that has ended.
    pub fn commit(self) -> Result<Lsn> {
        self.state.commit()
    }

    /// Drops the changes.
    pub fn rollback(self) {
        drop(self);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.state.rollback();
    }
}
