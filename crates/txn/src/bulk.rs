//! Loads of any size in bounded memory, all or nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rustling_storage::{Direction, Error as StorageError, KeyRange, KeyspaceId};

use crate::{
    error::{Error, Result},
    lock::{LockWait, mode::Mode},
    spill::{StagingBatch, options_of},
    staged::Staged,
    state::{State, Writer},
    sync::Mutex,
    write_set::Layer,
};

/// Writes entries past the transaction's memory, from any number of threads. The entries join
/// the transaction with [`BulkWriter::finish`], and become visible to others with its commit;
/// dropping the writer, rolling back, or a crash leaves nothing of them.
///
/// [`BulkWriter::write`] replaces what is there, [`BulkWriter::insert`] refuses it. Use one of
/// them throughout: an insert that runs beside a write may miss its keys.
#[derive(Debug)]
pub struct BulkWriter {
    state: Arc<State>,
    keyspace: KeyspaceId,
    /// Whether the transaction creates the keyspace.
    private: bool,
    /// Whether each key must be checked for a newer version (SNAPSHOT: the first updater wins).
    check_conflicts: bool,
    /// Whether nobody has ever committed anything to the keyspace that is still there.
    starts_empty: bool,
    entries: AtomicU64,
    staged: Mutex<Staged>,
    /// Held by each insert, from its look for equal keys until its entries are there.
    inserted: Mutex<Inserted>,
    finished: bool,
}

/// What an insert must compare its keys with.
#[derive(Debug, Default)]
struct Inserted {
    /// The largest key inserted: entries that arrive in order have none to be compared with.
    largest: Option<Vec<u8>>,
}

impl BulkWriter {
    pub(crate) fn new(
        state: &Arc<State>,
        writer: &mut Writer,
        keyspace: KeyspaceId,
    ) -> Result<BulkWriter> {
        state.lock_table(writer, keyspace, Mode::Exclusive, LockWait::Wait)?;
        let store = &state.manager.store;
        let (target, private) = {
            let writes = state.read_writes()?;
            (
                options_of(store, &writes, keyspace),
                writes.creates(keyspace),
            )
        };
        if !private {
            state.track_write_of_all(keyspace)?;
        }
        let starts_empty = private
            || store
                .snapshot()
                .scan(keyspace, KeyRange::all(), Direction::Forward)?
                .next()?
                .is_none();
        Ok(BulkWriter {
            state: Arc::clone(state),
            keyspace,
            private,
            check_conflicts: !private && state.isolation.keeps_snapshot(),
            starts_empty,
            entries: AtomicU64::new(0),
            staged: Mutex::new(Staged::new(store, target)),
            inserted: Mutex::default(),
            finished: false,
        })
    }

    /// Sets each key to its value. Of equal keys the last within a call wins; between calls
    /// that run at once either may.
    ///
    /// # Errors
    /// [`Error::WriteConflict`] under SNAPSHOT, [`Error::Storage`]. Part of `entries` may be
    /// written then: drop the writer.
    pub fn write(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        for (key, _) in entries {
            self.check_conflict(key)?;
        }
        self.stage(entries)
    }

    /// Sets each key, none of which may be there: neither in the newest committed state, nor
    /// among what the transaction has written, nor among the entries inserted before. Calls
    /// from several threads take turns; entries in key order are checked fastest.
    ///
    /// # Errors
    /// [`Error::KeyExists`] with the first such key (nothing of `entries` is written then), else
    /// as [`BulkWriter::write`].
    pub fn insert(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let exists = |key: &[u8]| Error::KeyExists {
            keyspace: self.keyspace,
            key: key.to_vec(),
        };
        let mut sorted: Vec<&[u8]> = entries.iter().map(|(key, _)| key.as_slice()).collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(exists(pair[0]));
        }
        let own_empty = self.has_no_own_entries()?;
        let mut inserted = self.inserted.lock();
        for key in &sorted {
            if self.is_taken(key, own_empty, &inserted)? {
                return Err(exists(key));
            }
            self.check_conflict(key)?;
        }
        self.stage(entries)?;
        if let Some(last) = sorted.last()
            && inserted
                .largest
                .as_deref()
                .is_none_or(|largest| largest < *last)
        {
            inserted.largest = Some(last.to_vec());
        }
        Ok(())
    }

    /// Whether [`BulkWriter::insert`] would refuse this key now.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        let own_empty = self.has_no_own_entries()?;
        self.is_taken(key, own_empty, &self.inserted.lock())
    }

    fn is_taken(&self, key: &[u8], own_empty: bool, inserted: &Inserted) -> Result<bool> {
        let known = if self.starts_empty {
            !own_empty && self.state.is_own(self.keyspace, key)?
        } else {
            self.state.exists_now(self.keyspace, key)?
        };
        let before = inserted
            .largest
            .as_deref()
            .is_some_and(|largest| key <= largest);
        Ok(known || (before && self.is_staged(key)?))
    }

    fn is_staged(&self, key: &[u8]) -> Result<bool> {
        let keyspaces = {
            let staged = self.staged.lock();
            if let Some(is_in_memory) = staged.is_in_memory(key)? {
                return Ok(is_in_memory);
            }
            staged.keyspaces()
        };
        for keyspace in keyspaces {
            let version = self.state.manager.store.latest_version(keyspace, key)?;
            if version.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_no_own_entries(&self) -> Result<bool> {
        let writes = self.state.read_writes()?;
        Ok(!writes.has_changes(self.keyspace) && writes.layers_of(self.keyspace).next().is_none())
    }

    fn check_conflict(&self, key: &[u8]) -> Result<()> {
        if self.check_conflicts {
            self.state.check_conflict(self.keyspace, key)
        } else {
            Ok(())
        }
    }

    fn stage(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let manager = &self.state.manager;
        let staged_to = {
            let mut staged = self.staged.lock();
            staged.check()?;
            let taken = staged.take(entries, manager.logged_load_bytes, || self.is_untouched());
            taken.inspect_err(|error| staged.fail(error))?
        };
        if let Some(staging) = staged_to {
            let logged = self.log(staging, entries).map_err(Error::from);
            logged.inspect_err(|error| self.staged.lock().fail(error))?;
        }
        self.entries
            .fetch_add(entries.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Whether there is nothing that the load comes to lie upon.
    fn is_untouched(&self) -> Result<bool> {
        let store = &self.state.manager.store;
        Ok(self.has_no_own_entries()? && (self.private || store.is_empty(self.keyspace)?))
    }

    fn log(&self, staging: KeyspaceId, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), StorageError> {
        let mut batch = StagingBatch::new(&self.state.manager.store, staging);
        for (key, value) in entries {
            batch.push(key.clone(), Some(value))?;
        }
        batch.flush()
    }

    /// Entries written so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Makes the entries part of the transaction, above all that it has written so far.
    ///
    /// # Errors
    /// [`Error::Finished`] where the transaction has ended, [`Error::Storage`].
    pub fn finish(mut self) -> Result<()> {
        let state = Arc::clone(&self.state);
        let mut writer = state.writer()?;
        let private = {
            let writes = state.read_writes()?;
            writes.check_not_dropped(self.keyspace)?;
            writes.creates(self.keyspace)
        };
        let store = &state.manager.store;
        if !private && !store.contains_keyspace(self.keyspace) {
            return Err(Error::Storage(StorageError::UnknownKeyspace(self.keyspace)));
        }
        let entries = self.entries();
        let staged = self.staged.get_mut();
        staged.check()?;
        if entries == 0 {
            return Ok(());
        }
        staged.end()?;
        // What memory holds was written before and must lie below.
        state.spill(&mut writer)?;
        if state
            .read_writes()?
            .layers_of(self.keyspace)
            .next()
            .is_some()
        {
            state.discard(staged.move_above()?);
        }
        for staging in staged.keyspaces() {
            let layer = Layer {
                keyspace: self.keyspace,
                staging,
                snapshot: store.snapshot(),
                bytes: u64::MAX,
            };
            state.with_writes(|writes| writes.push_layer(layer));
        }
        state.count_changes(entries);
        self.finished = true;
        Ok(())
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.state.discard(self.staged.get_mut().keyspaces());
        }
    }
}
