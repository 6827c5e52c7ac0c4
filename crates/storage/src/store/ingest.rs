//! Loading sorted runs past the log.
//!
//! What is ingested goes to a staging keyspace in key order and is not logged: the pages of a
//! packed tree, or tables, are filled one after the other and written once. It becomes part of
//! another keyspace by a batch with a merge, which is logged in a few bytes, and before which a
//! checkpoint makes durable what it refers to. A crash before that leaves a staging keyspace,
//! which is dropped, or tables that nothing lists, which are removed.
//!
//! What the merge does depends on the engines, and moves an entry only where it must:
//!
//! | staged as | merged into | |
//! |---|---|---|
//! | B+ tree | an empty B+ tree or hybrid keyspace | the tree becomes the keyspace's, or its base |
//! | LSM | an LSM keyspace | each table goes to the deepest level that it fits into |
//! | LSM | a hybrid keyspace | the tables go to its front |
//! | anything | anything else | entries are put one by one, in the commit's name |

use std::sync::{Arc, atomic::Ordering};

use super::{Store, core::Core, engine::Engine};
use crate::{
    batch::{Batch, Operation},
    btree::{MAX_KEY, MAX_VALUE, TreeEntry},
    error::{Error, Result},
    keyspace::Keyspace,
    lsm::LsmTree,
    lsn::{KeyspaceId, Lsn},
    page::PageStore,
    staging,
};

impl Store {
    /// Puts entries into a staging keyspace without logging them. Values are as
    /// [`staging::encode_put`] makes them. Keys ascend, and are greater than every key that the
    /// keyspace holds. They can be read after [`Store::seal`], and may be before. After an error
    /// part of the entries may be there: drop the keyspace then.
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

    /// Has everything be read from now on that has been ingested into a staging keyspace. In an
    /// LSM keyspace this ends the table that is being written, which costs flushes of the disk;
    /// merging the keyspace does so by itself.
    ///
    /// # Errors
    /// As [`Store::ingest`], that of an earlier call among them.
    pub fn seal(&self, staging: KeyspaceId) -> Result<()> {
        let core = &self.inner.core;
        core.check_writable()?;
        let keyspace = core.staging_keyspace(staging)?;
        core.seal(&keyspace)
    }

    /// Whether a keyspace holds nothing: no entry, and no trace of one that only older snapshots
    /// see. What was staged as a B+ tree becomes part of an empty B+ tree or hybrid keyspace as it
    /// is.
    ///
    /// # Errors
    /// [`Error::UnknownKeyspace`], [`Error::Corrupt`], [`Error::Io`].
    pub fn is_empty(&self, keyspace: KeyspaceId) -> Result<bool> {
        let core = &self.inner.core;
        let found = core.trees.catalog.find(keyspace, self.published_lsn())?;
        found.engine.is_empty()
    }
}

impl Core {
    fn staging_keyspace(&self, id: KeyspaceId) -> Result<Arc<Keyspace>> {
        let published = self.sequencer.published();
        let keyspace = self.trees.catalog.find_current(id);
        let keyspace = keyspace.filter(|keyspace| keyspace.exists_at(published));
        let keyspace = keyspace.ok_or(Error::UnknownKeyspace(id))?;
        if !keyspace.options.staging || keyspace.replaces.is_some() {
            return Err(Error::InvalidOption(format!("{id} is no staging keyspace")));
        }
        Ok(keyspace)
    }

    fn ingest(&self, id: KeyspaceId, entries: &[(&[u8], &[u8])]) -> Result<()> {
        self.check_writable()?;
        let Some((first, _)) = entries.first() else {
            return Ok(());
        };
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
        }
        let keyspace = self.staging_keyspace(id)?;
        let entries: Vec<TreeEntry<'_>> = entries
            .iter()
            .map(|(key, value)| TreeEntry {
                key,
                value: Some(value),
            })
            .collect();
        let _turn = keyspace.ingesting.lock();
        match keyspace.engine.lsm() {
            Some(lsm) => self.ingest_to_tables(&keyspace, lsm, first, &entries),
            None => self.ingest_to_pages(&keyspace, first, &entries),
        }
    }

    fn ingest_to_tables(
        &self,
        keyspace: &Keyspace,
        lsm: &LsmTree,
        first: &[u8],
        entries: &[TreeEntry<'_>],
    ) -> Result<()> {
        check_ascending(keyspace, first)?;
        lsm.ingest(entries, self.sequencer.published())?;
        // Files were written outside of the barrier. A commit that has merged the keyspace since it
        // was looked up is seen here; one that comes later sees that there is something unsealed.
        self.enter(keyspace, |_| Ok(()))
    }

    fn ingest_to_pages(
        &self,
        keyspace: &Keyspace,
        first: &[u8],
        entries: &[TreeEntry<'_>],
    ) -> Result<()> {
        self.enter(keyspace, |published| {
            check_ascending(keyspace, first)?;
            let pages = &self.trees.media.pages;
            let sizes = entries
                .iter()
                .map(|entry| entry.key.len() + entry.value.map_or(0, <[u8]>::len));
            let bytes: usize = sizes.sum();
            let _room = pages.reserve(4 * bytes / pages.payload_size() + 16)?;
            self.add_unlogged(keyspace);
            let watermark = self.pins.advance(published);
            PageStore::unlogged(|| keyspace.engine.apply(entries, published, watermark))
        })
    }

    /// Runs a change of a staging keyspace that no commit makes, while no checkpoint is frozen and
    /// the keyspace is not merged.
    fn enter<R>(&self, keyspace: &Keyspace, change: impl FnOnce(Lsn) -> Result<R>) -> Result<R> {
        let _barrier = match self.barrier.try_read() {
            Some(barrier) => barrier,
            None => self.wait_points.barrier.time(|| self.barrier.read()),
        };
        let published = self.sequencer.published();
        match keyspace.exists_at(published) && keyspace.dropped().is_none() {
            true => change(published),
            false => Err(Error::UnknownKeyspace(keyspace.id)),
        }
    }

    /// Notes that a keyspace gets what no commit says. The barrier is held.
    fn add_unlogged(&self, keyspace: &Keyspace) {
        // The next checkpoint has something to say.
        self.vacuumed.store(true, Ordering::Release);
        keyspace.add_unlogged();
    }

    fn seal(&self, keyspace: &Keyspace) -> Result<()> {
        let Engine::Lsm(lsm) = keyspace.engine.as_ref() else {
            return Ok(());
        };
        let _turn = keyspace.ingesting.lock();
        let sealed = lsm.seal(|install| {
            self.enter(keyspace, |_| {
                self.add_unlogged(keyspace);
                match install() {
                    true => Ok(()),
                    false => Err(not_ascending()),
                }
            })
        });
        // Whoever looked meanwhile may have found the tree busy.
        self.compact_soon();
        sealed
    }

    /// The keyspaces with what neither the log nor a checkpoint holds, of those that `batch` uses
    /// up.
    fn unlogged_of(&self, batch: &Batch) -> Vec<Arc<Keyspace>> {
        let used = batch.operations().iter().filter_map(Operation::uses_up);
        let used = used.filter_map(|id| self.trees.catalog.find_current(id));
        let is_unlogged = |keyspace: &Arc<Keyspace>| {
            let lsm = keyspace.engine.lsm();
            keyspace.is_unlogged() || lsm.is_some_and(LsmTree::has_unsealed)
        };
        used.filter(is_unlogged).collect()
    }

    /// Whether `batch` uses up what neither the log nor a checkpoint holds.
    pub(super) fn uses_unlogged(&self, batch: &Batch) -> bool {
        !self.unlogged_of(batch).is_empty()
    }

    /// Makes durable what `batch` uses up without its being in the log. Called before the batch
    /// is logged.
    pub(super) fn settle_unlogged(&self, batch: &Batch) -> Result<()> {
        loop {
            let unlogged = self.unlogged_of(batch);
            if unlogged.is_empty() {
                return Ok(());
            }
            let mut additions = Vec::with_capacity(unlogged.len());
            for keyspace in &unlogged {
                self.seal(keyspace)?;
                // What is added from here on, beside the commit, counts as another addition.
                additions.push(keyspace.unlogged_additions());
            }
            // A full disk can fail it and leave a working store.
            self.checkpoint()?;
            // Not before it is durable: somebody else may be about to commit the same.
            for (keyspace, additions) in unlogged.iter().zip(additions) {
                keyspace.settle_unlogged(additions);
            }
        }
    }
}

/// Fails where the keyspace holds `key` or a greater key.
fn check_ascending(keyspace: &Keyspace, key: &[u8]) -> Result<()> {
    match keyspace.engine.holds_at_or_after(key)? {
        true => Err(not_ascending()),
        false => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, EngineKind, KeyspaceOptions, StoreOptions};

    /// Between the look for the keyspace and the first entry somebody merges it.
    #[test]
    fn what_comes_too_late_for_a_merge_is_refused() {
        let options = StoreOptions {
            background: false,
            ..StoreOptions::default()
        };
        let store = Store::in_memory(options).unwrap();
        let core = &store.inner.core;
        let [into, from] = [false, true].map(|staging| {
            let id = store.allocate_keyspace_id();
            let mut batch = Batch::new();
            let engine = EngineKind::Lsm;
            batch.create_keyspace(id, KeyspaceOptions { engine, staging });
            store.commit(&batch, Durability::None).unwrap();
            id
        });
        let found = core.staging_keyspace(from).unwrap();
        let mut batch = Batch::new();
        batch.merge(from, into);
        store.commit(&batch, Durability::None).unwrap();
        let staged = staging::encode_put(b"1");
        let entries = [TreeEntry {
            key: b"a",
            value: Some(&staged),
        }];
        let lsm = found.engine.lsm().unwrap();
        let late = core.ingest_to_tables(&found, lsm, b"a", &entries);
        assert!(
            matches!(late, Err(Error::UnknownKeyspace(id)) if id == from),
            "{late:?}"
        );
    }
}
