//! Loads of any size in bounded memory, all or nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rustling_storage::{
    Batch, Direction, Durability, Error as StorageError, KeyRange, KeyspaceId, KeyspaceOptions,
    staging,
};

use crate::{
    error::{Error, Result},
    lock::{LockWait, mode::Mode},
    spill::{StagingBatch, options_of},
    state::{State, Writer},
    write_set::Layer,
};

/// The first bytes of a load are logged; those after them, as long as their keys ascend, are
/// written past the log and made durable by a checkpoint, which costs a few flushes of the disk.
const LOGGED_BYTES: u64 = 8 << 20;

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
    staging: KeyspaceId,
    /// Whether each key must be checked for a newer version (SNAPSHOT: the first updater wins).
    check_conflicts: bool,
    /// Whether nobody has ever committed anything to the keyspace that is still there.
    starts_empty: bool,
    entries: AtomicU64,
    /// Bytes of keys and values written so far.
    bytes: AtomicU64,
    /// Whether the keys of all entries ascend, as far as is known.
    ascends: AtomicBool,
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
        let staging = store.allocate_keyspace_id();
        let mut batch = Batch::new();
        batch.create_keyspace(
            staging,
            KeyspaceOptions {
                staging: true,
                ..target
            },
        );
        store.commit(&batch, Durability::None)?;
        Ok(BulkWriter {
            state: Arc::clone(state),
            keyspace,
            staging,
            check_conflicts: !private && state.isolation.keeps_snapshot(),
            starts_empty,
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ascends: AtomicBool::new(true),
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
        let store = &self.state.manager.store;
        Ok(known || (before && store.latest_version(self.staging, key)?.is_some()))
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
        let sizes = entries.iter().map(|(key, value)| key.len() + value.len());
        let bytes: usize = sizes.sum();
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before < LOGGED_BYTES || !self.ingest(entries, bytes)? {
            self.log(entries)?;
        }
        self.entries
            .fetch_add(entries.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Stages entries past the log, where all entries so far have ascended; false where these do
    /// not, and nothing has happened.
    fn ingest(&self, entries: &[(Vec<u8>, Vec<u8>)], bytes: usize) -> Result<bool> {
        let ascend = &self.ascends;
        if !ascend.load(Ordering::Relaxed) || !entries.is_sorted_by(|a, b| a.0 < b.0) {
            return Ok(false);
        }
        let mut values = Vec::with_capacity(bytes + entries.len());
        let mut ends = Vec::with_capacity(entries.len());
        for (_, value) in entries {
            values.extend_from_slice(&staging::encode_put(value));
            ends.push(values.len());
        }
        let mut start = 0;
        let staged: Vec<(&[u8], &[u8])> = entries
            .iter()
            .zip(ends)
            .map(|((key, _), end)| {
                let value = &values[start..end];
                start = end;
                (key.as_slice(), value)
            })
            .collect();
        match self.state.manager.store.ingest(self.staging, &staged) {
            Ok(()) => Ok(true),
            Err(StorageError::InvalidOption(_)) => {
                // Another call has been ahead of this one, and will be again.
                ascend.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn log(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = StagingBatch::new(&self.state.manager.store, self.staging);
        for (key, value) in entries {
            batch.push(key.clone(), Some(value))?;
        }
        batch.flush()?;
        Ok(())
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
        if !private && !state.manager.store.contains_keyspace(self.keyspace) {
            return Err(Error::Storage(StorageError::UnknownKeyspace(self.keyspace)));
        }
        if self.entries() == 0 {
            return Ok(());
        }
        // What memory holds was written before and must lie below.
        state.spill(&mut writer)?;
        let snapshot = state.manager.store.snapshot();
        let layer = Layer {
            keyspace: self.keyspace,
            staging: self.staging,
            snapshot,
            bytes: u64::MAX,
        };
        state.with_writes(|writes| writes.push_layer(layer));
        state.count_changes(self.entries());
        self.finished = true;
        Ok(())
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.state.discard([self.staging]);
        }
    }
}
