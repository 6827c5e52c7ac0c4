//! Loading sorted runs past the log.
//!
//! What is ingested goes to a staging keyspace in key order and is not logged: pages (or tables)
//! are filled one after the other and written once. It becomes part of another keyspace by a
//! batch with a merge, which is logged in a few bytes, and before which a checkpoint makes
//! durable what it refers to. A crash before that leaves a staging keyspace, which is dropped.

use std::{ops::Bound, sync::atomic::Ordering};

use super::{
    Store,
    core::Core,
    range::{Direction, KeyRange},
};
use crate::{
    batch::{Batch, Operation},
    btree::{MAX_KEY, MAX_VALUE, TreeEntry},
    cursor::VersionCursor,
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::KeyspaceId,
    page::PageStore,
    staging,
};

impl Store {
    /// Puts entries into a staging keyspace without logging them. Values are as
    /// [`staging::encode_put`] makes them. Keys ascend, and are greater than every key that the
    /// keyspace holds. One call takes effect as a whole, or, after an error, in part: drop the
    /// keyspace then.
    ///
    /// The entries are lost in a crash until a batch that merges the keyspace into another is
    /// committed, whatever its durability; that commit makes a checkpoint first. For large loads:
    /// a small one is cheaper to log.
    ///
    /// # Errors
    /// [`Error::UnknownKeyspace`]; [`Error::InvalidOption`] where the keyspace is no staging
    /// keyspace or keys do not ascend (nothing has happened then); [`Error::TooLarge`];
    /// [`Error::OutOfMemory`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Poisoned`],
    /// [`Error::Io`], [`Error::Corrupt`].
    pub fn ingest(&self, staging: KeyspaceId, entries: &[(&[u8], &[u8])]) -> Result<()> {
        self.inner.core.ingest(staging, entries)
    }
}

impl Core {
    fn ingest(&self, id: KeyspaceId, entries: &[(&[u8], &[u8])]) -> Result<()> {
        self.check_writable()?;
        let Some((first, _)) = entries.first() else {
            return Ok(());
        };
        self.make_memtable_room()?;
        let mut bytes = 0;
        let mut previous: Option<&[u8]> = None;
        for (key, value) in entries {
            check_len("key", key.len(), MAX_KEY)?;
            check_len("value", value.len(), MAX_VALUE)?;
            if previous.is_some_and(|previous| previous >= *key) {
                return Err(not_ascending());
            }
            if staging::decode(value).is_none() {
                return Err(Error::InvalidOption(
                    "an ingested value is not a put".into(),
                ));
            }
            previous = Some(key);
            bytes += key.len() + value.len();
        }
        // One at a time: whether keys ascend is looked up, and must stay so until they are in.
        let _turn = self.ingesting.lock();
        let _barrier = match self.barrier.try_read() {
            Some(barrier) => barrier,
            None => self.wait_points.barrier.time(|| self.barrier.read()),
        };
        let published = self.sequencer.published();
        let keyspace = self.trees.catalog.find_current(id);
        let keyspace = keyspace.filter(|keyspace| keyspace.exists_at(published));
        let keyspace = keyspace.ok_or(Error::UnknownKeyspace(id))?;
        if !keyspace.options.staging {
            return Err(Error::InvalidOption(format!("{id} is no staging keyspace")));
        }
        if holds_at_or_after(&keyspace, first)? {
            return Err(not_ascending());
        }
        let pages = &self.trees.media.pages;
        let _room = pages.reserve(4 * bytes / pages.payload_size() + 16)?;
        let entries: Vec<TreeEntry<'_>> = entries
            .iter()
            .map(|(key, value)| TreeEntry {
                key,
                value: Some(value),
            })
            .collect();
        // The next checkpoint holds this, though no commit says so.
        self.vacuumed.store(true, Ordering::Release);
        keyspace.add_unlogged();
        let watermark = self.pins.advance(published);
        PageStore::unlogged(|| keyspace.engine.apply(&entries, published, watermark))
    }

    /// Whether `batch` uses up what neither the log nor a checkpoint holds.
    pub(super) fn uses_unlogged(&self, batch: &Batch) -> bool {
        batch
            .operations()
            .iter()
            .filter_map(Operation::uses_up)
            .filter_map(|id| self.trees.catalog.find_current(id))
            .any(|keyspace| keyspace.is_unlogged())
    }

    /// Makes durable what `batch` uses up without its being in the log. Called before the batch
    /// is logged.
    pub(super) fn settle_unlogged(&self, batch: &Batch) -> Result<()> {
        while self.uses_unlogged(batch) {
            let unlogged: Vec<_> = batch
                .operations()
                .iter()
                .filter_map(Operation::uses_up)
                .filter_map(|id| self.trees.catalog.find_current(id))
                .filter(|keyspace| keyspace.is_unlogged())
                // What is added from here on, beside the commit, counts as another addition.
                .map(|keyspace| (keyspace.unlogged_additions(), keyspace))
                .collect();
            // A full disk can fail it and leave a working store.
            self.checkpoint()?;
            // Not before it is durable: somebody else may be about to commit the same.
            for (additions, keyspace) in unlogged {
                keyspace.settle_unlogged(additions);
            }
        }
        Ok(())
    }
}

fn not_ascending() -> Error {
    Error::InvalidOption("ingested keys do not ascend".into())
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<()> {
    match len > limit {
        true => Err(Error::TooLarge { what, len, limit }),
        false => Ok(()),
    }
}

/// Whether the keyspace has a version of `key` or of a greater key.
fn holds_at_or_after(keyspace: &Keyspace, key: &[u8]) -> Result<bool> {
    let range = KeyRange {
        start: Bound::Included(key.to_vec()),
        end: Bound::Unbounded,
    };
    keyspace.engine.cursor(range, Direction::Forward).advance()
}
