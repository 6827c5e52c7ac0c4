//! Giving a keyspace another engine while it is read and written.
//!
//! 1. A commit creates the *replacement*: a staging keyspace with the new engine. From that
//!    commit *C* on, whatever is written to the keyspace goes to the replacement too, with the
//!    same LSNs, in live commits as in replayed ones. A snapshot from before *C* stays pinned
//!    until the copy is complete: a hybrid tree renames what goes down to its B+ tree to the newest
//!    commit that goes, which then is never *C* or newer, so that what is newer than *C* has really
//!    been written twice.
//! 2. A snapshot *S*, not older than *C*, is copied below that: of each key the newest version
//!    that *S* sees, unless it is newer than *C* and so there already. While *S* is pinned
//!    nothing newer than *S* is dropped anywhere, so that no deletion is forgotten before the
//!    copy has passed by its key. Versions keep their LSNs as far as any snapshot could tell
//!    them apart, deletions among them: who looks for conflicting writes finds them.
//! 3. A checkpoint makes the copy durable, which is in no log.
//! 4. A commit puts the replacement in the keyspace's place, whole or not at all, together with
//!    whatever else its batch holds. Snapshots from before it go on reading the old engine,
//!    which goes, like a dropped keyspace, once none is left.
//!
//! A crash before 4 leaves a staging keyspace, which is dropped when the store opens.

use std::sync::atomic::Ordering;

use super::{
    Store,
    core::Core,
    engine::{Engine, EngineCursor},
    range::{Direction, KeyRange},
};
use crate::{
    batch::{Batch, Operation},
    btree::{BTree, TreeEntry},
    cursor::{DecidedKey, VersionCursor, VersionRef},
    durability::Durability,
    engine::EngineKind,
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    staging,
};

/// Bytes of entries that are copied to a B+ tree in one piece, about.
const PIECE_BYTES: usize = 256 << 10;

/// A keyspace's contents under another engine, kept up to date with every commit, until
/// [`EngineChange::finish`] puts them in the keyspace's place. Dropping it before the batch is
/// committed leaves everything as it was.
#[derive(Debug)]
pub struct EngineChange {
    store: Store,
    keyspace: KeyspaceId,
    replacement: KeyspaceId,
}

impl EngineChange {
    /// The keyspace whose engine changes.
    #[must_use]
    pub fn keyspace(&self) -> KeyspaceId {
        self.keyspace
    }

    /// Adds the switch to `batch`. Keep the change until the batch has been committed.
    pub fn finish(&self, batch: &mut Batch) {
        batch.replace(self.keyspace, self.replacement);
    }
}

impl Drop for EngineChange {
    fn drop(&mut self) {
        let catalog = &self.store.inner.core.trees.catalog;
        if catalog.find_current(self.replacement).is_some() {
            let mut batch = Batch::new();
            batch.drop_keyspace(self.replacement);
            // Where the store takes no commits any more, opening it drops the replacement.
            let _ = self.store.commit(&batch, Durability::None);
        }
    }
}

impl Store {
    /// Copies a keyspace to another engine while it is read and written, and keeps the copy up
    /// to date; [`EngineChange::finish`] switches over. Takes as long as reading and writing
    /// everything takes; versions and dropped keyspaces are kept for as long. The same engine
    /// again is allowed, and packs the keyspace anew.
    ///
    /// # Errors
    /// [`Error::UnknownKeyspace`], also where the keyspace is dropped meanwhile;
    /// [`Error::EngineChanging`]; [`Error::InvalidOption`] for a staging keyspace;
    /// [`Error::OutOfMemory`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Poisoned`],
    /// [`Error::Io`], [`Error::Corrupt`].
    pub fn change_engine(&self, keyspace: KeyspaceId, engine: EngineKind) -> Result<EngineChange> {
        let core = &self.inner.core;
        core.check_writable()?;
        // Older than the commit that creates the replacement; see the module's description.
        let before = self.snapshot();
        let replacement = self.allocate_keyspace_id();
        let mut batch = Batch::new();
        batch.create_replacement(replacement, keyspace, engine);
        let created = core.commit(&batch, Durability::None)?;
        let change = EngineChange {
            store: self.clone(),
            keyspace,
            replacement,
        };
        self.fill(&change, created)?;
        drop(before);
        let mut batch = Batch::new();
        change.finish(&mut batch);
        core.settle_unlogged(&batch)?;
        Ok(change)
    }

    /// Gives a keyspace another engine while it is read and written: [`Store::change_engine`]
    /// and a durable commit that switches over. Answers its LSN.
    ///
    /// # Errors
    /// As [`Store::change_engine`] and [`Store::commit`].
    pub fn set_engine(&self, keyspace: KeyspaceId, engine: EngineKind) -> Result<Lsn> {
        let change = self.change_engine(keyspace, engine)?;
        let mut batch = Batch::new();
        change.finish(&mut batch);
        self.commit(&batch, Durability::Sync)
    }

    /// Copies what the keyspace holds to its replacement, which commit `created` has made.
    fn fill(&self, change: &EngineChange, created: Lsn) -> Result<()> {
        let core = &self.inner.core;
        let find = |id| {
            let found = core.trees.catalog.find_current(id);
            found.ok_or(Error::UnknownKeyspace(change.keyspace))
        };
        // Pinned until the copy is complete.
        let snapshot = self.snapshot();
        let source = find(change.keyspace)?;
        let target = find(change.replacement)?;
        let horizon = core.pins.advance(core.sequencer.published()).min(created);
        let mut versions = CopiedVersions {
            versions: source.engine.cursor(KeyRange::all(), Direction::Forward),
            decided: DecidedKey::default(),
            adopted: source.adopted(),
            at: snapshot.lsn(),
            created,
            horizon,
            lsn: Lsn::ZERO,
        };
        let go_on = || {
            core.check_writable()?;
            if core.trees.media.tables.is_closing() {
                return Err(Error::Closed);
            }
            match target.dropped() {
                Some(_) => Err(Error::UnknownKeyspace(change.keyspace)),
                None => Ok(()),
            }
        };
        target.add_unlogged();
        match target.engine.as_ref() {
            Engine::Lsm(lsm) => {
                let laid = lsm.lay_below(&mut versions, &go_on);
                // Whoever looked meanwhile may have found the tree busy.
                core.compact_soon();
                laid
            }
            Engine::BTree(tree) => core.copy_to(tree, &target, &mut versions, &go_on),
            Engine::Hybrid(hybrid) => core.copy_to(&hybrid.base, &target, &mut versions, &go_on),
        }
    }
}

impl Core {
    fn copy_to(
        &self,
        tree: &BTree,
        target: &Keyspace,
        versions: &mut CopiedVersions,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let pages = &self.trees.media.pages;
        let mut piece = Piece::default();
        let mut more = true;
        while more {
            piece.clear();
            more = loop {
                if piece.bytes.len() >= PIECE_BYTES {
                    break true;
                }
                if !versions.advance()? {
                    break false;
                }
                piece.push(versions.version());
            };
            self.make_memtable_room()?;
            let _barrier = match self.barrier.try_read() {
                Some(barrier) => barrier,
                None => self.wait_points.barrier.time(|| self.barrier.read()),
            };
            go_on()?;
            let bound = 2 * piece.bytes.len() / pages.payload_size() + piece.places.len() + 4;
            let _room = pages.reserve(bound)?;
            // The next checkpoint holds this, though no commit says so.
            self.vacuumed.store(true, Ordering::Release);
            target.add_unlogged();
            let watermark = self.pins.advance(self.sequencer.published());
            for (lsn, entries) in piece.by_lsn() {
                let applied = tree.apply(&entries, lsn, watermark);
                self.trees.poison.guard(applied)?;
            }
        }
        Ok(())
    }
}

/// Versions on their way: keys and values one after the other.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Of each version: its LSN, where its key and its value end, if it has one.
    places: Vec<(Lsn, usize, Option<usize>)>,
}

impl Piece {
    fn push(&mut self, version: VersionRef<'_>) {
        self.bytes.extend_from_slice(version.key);
        let key_end = self.bytes.len();
        self.bytes
            .extend_from_slice(version.value.unwrap_or_default());
        let end = version.value.map(|_| self.bytes.len());
        self.places.push((version.lsn, key_end, end));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// The entries, in their order, of each LSN. Nearly all have the same.
    fn by_lsn(&self) -> Vec<(Lsn, Vec<TreeEntry<'_>>)> {
        let mut start = 0;
        let mut sorted: Vec<(Lsn, TreeEntry<'_>)> = self
            .places
            .iter()
            .map(|(lsn, key_end, end)| {
                let key = &self.bytes[start..*key_end];
                let value = end.map(|end| &self.bytes[*key_end..end]);
                start = end.unwrap_or(*key_end);
                (*lsn, TreeEntry { key, value })
            })
            .collect();
        // Stable: keys stay in order.
        sorted.sort_by_key(|(lsn, _)| *lsn);
        sorted
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|some| {
                let (lsn, _) = some.first()?;
                Some((*lsn, some.iter().map(|(_, entry)| *entry).collect()))
            })
            .collect()
    }
}

/// What a replacement gets of an engine's versions. See the module's description.
struct CopiedVersions {
    versions: EngineCursor,
    decided: DecidedKey,
    /// Older versions hold staged values.
    adopted: Lsn,
    /// What the copied snapshot sees.
    at: Lsn,
    /// Newer versions go to both engines.
    created: Lsn,
    /// No snapshot tells versions up to here apart.
    horizon: Lsn,
    /// Of the current version.
    lsn: Lsn,
}

impl CopiedVersions {
    fn value<'a>(&self, version: VersionRef<'a>) -> Option<&'a [u8]> {
        match version.value {
            Some(staged) if version.lsn < self.adopted => staging::decode(staged),
            value => value,
        }
    }
}

impl VersionCursor for CopiedVersions {
    fn advance(&mut self) -> Result<bool> {
        while self.versions.advance()? {
            let version = self.versions.version();
            let lsn = version.lsn.max(self.adopted);
            if lsn > self.at || !self.decided.is_new(version.key) || lsn > self.created {
                continue;
            }
            if lsn > self.horizon || self.value(version).is_some() {
                self.lsn = lsn.max(self.horizon);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn version(&self) -> VersionRef<'_> {
        let version = self.versions.version();
        VersionRef {
            key: version.key,
            lsn: self.lsn,
            value: self.value(version),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.decided = DecidedKey::default();
        self.versions.seek(key)
    }
}

impl Operation {
    /// The keyspace whose unlogged entries the operation makes part of another.
    pub(super) fn uses_up(&self) -> Option<KeyspaceId> {
        match self {
            Operation::Merge { from, .. } => Some(*from),
            Operation::Replace { replacement, .. } => Some(*replacement),
            _ => None,
        }
    }
}
