//! How a transaction takes its locks, and how writes find out that they came too late.

use rustling_storage::{Error as StorageError, KeyspaceId};

use crate::{
    error::{Error, Result},
    lock::{
        Acquired, LockWait, Wanted,
        mode::{LockMode, Mode},
        table::{LockName, Target},
    },
    state::{State, Writer},
    sync::MutexGuard,
    transaction::RowState,
    write_set::Lookup,
};

/// Bytes that a row lock costs beside its key: entry of the lock table, holder's list.
const LOCK_OVERHEAD: usize = 144;

/// How a row lock came about.
enum RowLock {
    /// Taken now.
    New(LockName),
    /// A lock of the row was held before: nobody has changed it since.
    Held,
    /// Not needed, since the keyspace as a whole is locked.
    Covered,
    /// Not needed, since nobody else knows the keyspace.
    Private,
    /// Not to be had without waiting.
    Unavailable,
}

impl State {
    /// The writer's part, where the transaction still runs.
    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        if writer.finished {
            return Err(Error::Finished);
        }
        match &writer.failed {
            Some(error) => Err(error.clone()),
            None => {
                self.check_serializable()?;
                Ok(writer)
            }
        }
    }

    /// Whether only this transaction knows `keyspace`; fails where it has dropped it.
    fn is_private(&self, keyspace: KeyspaceId) -> Result<bool> {
        if !self.is_dirty() {
            return Ok(false);
        }
        let writes = self.read_writes()?;
        writes.check_not_dropped(keyspace)?;
        Ok(writes.creates(keyspace))
    }

    /// Locks a keyspace, which must exist.
    pub(crate) fn lock_table(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        mode: Mode,
        wait: LockWait,
    ) -> Result<()> {
        if self.is_private(keyspace)? {
            return Ok(());
        }
        self.lock_shared_table(writer, keyspace, mode, wait == LockWait::Wait)
    }

    fn lock_shared_table(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        mode: Mode,
        wait: bool,
    ) -> Result<()> {
        let held = writer.tables.get(&keyspace).copied();
        if held.is_some_and(|held| held.covers(mode)) {
            return Ok(());
        }
        let manager = &self.manager;
        let target = Target {
            keyspace,
            row: None,
        };
        match manager.locks.acquire(
            &self.locker,
            target,
            Wanted {
                mode,
                enough: mode,
                wait,
            },
            self.changes(),
            &manager.counters,
        )? {
            Acquired::New(name) => writer.locks.push(name),
            Acquired::Upgraded | Acquired::Held => {}
            Acquired::Unavailable => {
                return Err(Error::LockNotAvailable {
                    resource: target.to_resource(),
                });
            }
        }
        // Whoever drops the keyspace holds it exclusively: from here on the answer stays true.
        if !manager.store.contains_keyspace(keyspace) {
            return Err(StorageError::UnknownKeyspace(keyspace).into());
        }
        writer
            .tables
            .insert(keyspace, held.map_or(mode, |held| held.join(mode)));
        Ok(())
    }

    /// Locks a row, its keyspace with the intention first.
    fn lock_key(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        key: &[u8],
        (mode, enough): (Mode, Mode),
        wait: LockWait,
    ) -> Result<RowLock> {
        if self.is_private(keyspace)? {
            return Ok(RowLock::Private);
        }
        self.lock_shared_table(writer, keyspace, mode.intention(), wait != LockWait::NoWait)?;
        if writer
            .tables
            .get(&keyspace)
            .is_some_and(|held| held.covers_rows(mode))
        {
            return Ok(RowLock::Covered);
        }
        let manager = &self.manager;
        let target = Target {
            keyspace,
            row: Some(key),
        };
        let wait = wait == LockWait::Wait;
        Ok(
            match manager.locks.acquire(
                &self.locker,
                target,
                Wanted { mode, enough, wait },
                self.changes(),
                &manager.counters,
            )? {
                Acquired::New(name) => {
                    writer.lock_bytes += key.len() + LOCK_OVERHEAD;
                    writer.locks.push(name.clone());
                    RowLock::New(name)
                }
                Acquired::Upgraded | Acquired::Held => RowLock::Held,
                Acquired::Unavailable => RowLock::Unavailable,
            },
        )
    }

    /// Gives a lock back that was taken last and turned out useless.
    fn unlock(&self, writer: &mut Writer, lock: RowLock) {
        if let RowLock::New(name) = lock {
            writer.lock_bytes -= name.row().map_or(0, |key| key.len() + LOCK_OVERHEAD);
            writer.locks.pop();
            self.manager.locks.release(&name, self.id());
        }
    }

    /// Whether a version newer than the snapshot has been committed. Only with the row locked.
    fn has_changed(&self, lock: &RowLock, keyspace: KeyspaceId, key: &[u8]) -> Result<bool> {
        match lock {
            RowLock::Private => Ok(false),
            _ => {
                let latest = self.manager.store.latest_version(keyspace, key)?;
                Ok(latest.is_some_and(|latest| {
                    latest > self.with_snapshot(rustling_storage::Snapshot::lsn)
                }))
            }
        }
    }

    /// Fails where a version of `key` newer than the snapshot has been committed. Only with the
    /// keyspace locked.
    pub(crate) fn check_conflict(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<()> {
        if self.has_changed(&RowLock::Covered, keyspace, key)? {
            return Err(self.write_conflict(keyspace, key));
        }
        Ok(())
    }

    fn write_conflict(&self, keyspace: KeyspaceId, key: &[u8]) -> Error {
        self.manager.counters.write_conflicts.increment();
        Error::WriteConflict {
            keyspace,
            key: key.to_vec(),
        }
    }

    /// Locks a row for a blind write, unless a mode that covers `enough` is held. Where the level
    /// keeps a snapshot the first updater wins.
    pub(crate) fn lock_for_write(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        key: &[u8],
        enough: Mode,
    ) -> Result<()> {
        let modes = (Mode::Exclusive, enough);
        let lock = self.lock_key(writer, keyspace, key, modes, LockWait::Wait)?;
        if self.isolation.keeps_snapshot() && !matches!(lock, RowLock::Held) {
            let is_private = matches!(lock, RowLock::Private);
            let checked = self.has_changed(&lock, keyspace, key);
            self.keep_unless(writer, lock, checked, |state| {
                state.write_conflict(keyspace, key)
            })?;
            if is_private {
                return Ok(());
            }
        }
        self.track_write(keyspace, key)
    }

    /// Keeps `lock` where `refuse` is false, else gives it back and fails.
    fn keep_unless(
        &self,
        writer: &mut Writer,
        lock: RowLock,
        refuse: Result<bool>,
        error: impl FnOnce(&State) -> Error,
    ) -> Result<()> {
        match refuse {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.unlock(writer, lock);
                Err(error(self))
            }
            Err(error) => {
                self.unlock(writer, lock);
                Err(error)
            }
        }
    }

    /// Locks a key that is to be inserted, and makes sure that it is not there.
    pub(crate) fn lock_for_insert(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        key: &[u8],
    ) -> Result<()> {
        let modes = (Mode::Exclusive, Mode::Exclusive);
        let lock = self.lock_key(writer, keyspace, key, modes, LockWait::Wait)?;
        let exists = self.exists_now(keyspace, key);
        let fresh = matches!(lock, RowLock::New(_) | RowLock::Covered);
        let is_private = matches!(lock, RowLock::Private);
        match exists {
            Ok(true) if self.needs_tracking() && !is_private => {
                // Whether the key is there is a read. A serial order knows no key that is there
                // but not in the snapshot.
                let changed = fresh && self.has_changed(&lock, keyspace, key)?;
                self.unlock(writer, lock);
                if changed {
                    return Err(self.write_conflict(keyspace, key));
                }
                self.track_read(keyspace, key)?;
                return Err(Error::KeyExists {
                    keyspace,
                    key: key.to_vec(),
                });
            }
            Ok(false) if fresh && self.isolation.keeps_snapshot() => {
                let changed = self.has_changed(&lock, keyspace, key);
                self.keep_unless(writer, lock, changed, |state| {
                    state.write_conflict(keyspace, key)
                })?;
            }
            exists => self.keep_unless(writer, lock, exists, |_| Error::KeyExists {
                keyspace,
                key: key.to_vec(),
            })?,
        }
        if is_private {
            Ok(())
        } else {
            self.track_write(keyspace, key)
        }
    }

    /// Whether the transaction has written `key`, and the value is still there; `None` where it
    /// has not written it.
    fn own_exists(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<bool>> {
        if !self.is_dirty() {
            return Ok(None);
        }
        Ok(match self.read_writes()?.get_with(keyspace, key, |_| ())? {
            Lookup::Own(own) => Some(own.is_some()),
            Lookup::Nowhere => Some(false),
            Lookup::Unwritten(_) => None,
        })
    }

    /// Whether `key` is there: among the own changes, else in the newest committed state.
    pub(crate) fn exists_now(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<bool> {
        if let Some(own) = self.own_exists(keyspace, key)? {
            return Ok(own);
        }
        let store = &self.manager.store;
        // Most inserted keys have never been there; only of the others is a tombstone possible.
        Ok(store.latest_version(keyspace, key)?.is_some()
            && store
                .snapshot_ref()
                .get_with(keyspace, key, |_| ())?
                .is_some())
    }

    /// Whether `key` is there among the own changes.
    pub(crate) fn is_own(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<bool> {
        Ok(self.own_exists(keyspace, key)?.unwrap_or(false))
    }

    /// Locks a row and tells what became of it since the snapshot.
    pub(crate) fn lock_row(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        key: &[u8],
        mode: LockMode,
        wait: LockWait,
    ) -> Result<RowState> {
        let mode = Mode::from(mode);
        self.make_lock_room(writer, key.len() + LOCK_OVERHEAD)?;
        let lock = self.lock_key(writer, keyspace, key, (mode, mode), wait)?;
        if matches!(lock, RowLock::Unavailable) {
            return match wait {
                LockWait::SkipLocked => Ok(RowState::Skipped),
                LockWait::Wait | LockWait::NoWait => {
                    let resource = Target {
                        keyspace,
                        row: Some(key),
                    }
                    .to_resource();
                    Err(Error::LockNotAvailable { resource })
                }
            };
        }
        let changed = self.has_changed(&lock, keyspace, key);
        match changed {
            Ok(true) if !self.isolation.keeps_snapshot() => Ok(RowState::Changed),
            changed => {
                self.keep_unless(writer, lock, changed, |state| {
                    state.write_conflict(keyspace, key)
                })?;
                Ok(RowState::Unchanged)
            }
        }
    }

    /// Exchanges the row locks of each keyspace that can be locked as a whole at once for that
    /// one lock. For transactions that have outgrown memory: row locks cannot spill.
    pub(crate) fn escalate(&self, writer: &mut Writer) {
        let keyspaces: Vec<_> = writer
            .tables
            .iter()
            .map(|(keyspace, mode)| (*keyspace, *mode))
            .collect();
        for (keyspace, mode) in keyspaces {
            if mode == Mode::IntentionShared
                || self
                    .lock_shared_table(writer, keyspace, Mode::Exclusive, false)
                    .is_err()
            {
                continue;
            }
            let id = self.id();
            let locks = &self.manager.locks;
            let lock_bytes = &mut writer.lock_bytes;
            writer.locks.retain(|name| match name.row() {
                Some(key) if name.keyspace() == keyspace => {
                    *lock_bytes -= key.len() + LOCK_OVERHEAD;
                    locks.release(name, id);
                    false
                }
                _ => true,
            });
            writer.locks.shrink_to_fit();
        }
    }
}
