//! The store: keyspaces under one log, one clock and one memory budget.

mod background;
mod catalog;
mod check;
mod checkpoint;
mod commit;
mod compaction;
mod core;
mod engine;
mod engine_change;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gathered;
mod ingest;
mod open;
mod options;
mod plan;
mod range;
mod replay;
mod snapshot;
mod sort;
mod stats;
mod throttle;
mod vacuum;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use crossbeam_utils::CachePadded;

pub(crate) use self::engine::{Engine, EngineRecord};
pub use self::{
    check::check,
    engine_change::EngineChange,
    options::StoreOptions,
    range::{Direction, KeyRange},
    snapshot::{Cursor, Snapshot, SnapshotRef},
    stats::{KeyspaceEstimate, OpenStatistics, PageStatistics, StoreStatistics},
};
use self::{core::Core, vacuum::Vacuum};
pub use crate::durability::Durability;
use crate::{
    batch::Batch,
    engine::KeyspaceOptions,
    env::Env,
    error::Result,
    lsn::{KeyspaceId, Lsn},
    memory::MemoryBudget,
    pins,
    verify::VerifyReport,
    waits::Waits,
};

/// An open store. Cheap to clone; clones share it. When the last handle (snapshots and cursors
/// count) is dropped, everything committed is made durable and the directory is released.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
    holds: Arc<[Arc<CachePadded<Hold>>]>,
}

/// Snapshots that are made and dropped all the time would have their threads meet at one counter, if
/// it counted who keeps the store open: there are so many of them.
const HOLDS: usize = 16;

/// How snapshots of some of the threads keep the store open.
#[derive(Debug)]
struct Hold {
    core: Arc<Core>,
    _inner: Arc<Inner>,
}

/// What the handles share: dropping it closes the store. Background threads hold the core only.
#[derive(Debug)]
struct Inner {
    core: Arc<Core>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.background.stop();
        if !self.core.options.read_only && !self.core.closed.load(Ordering::Acquire) {
            // Whoever needs to know whether it worked calls `flush` or `close`.
            let _ = self.core.flush();
        }
    }
}

impl Store {
    /// Opens the store in `dir`, recovering what a crash has left, or creates one there.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] without [`StoreOptions::create`], [`crate::Error::Locked`],
    /// [`crate::Error::Corrupt`], [`crate::Error::Version`], [`crate::Error::InvalidOption`],
    /// [`crate::Error::OutOfMemory`], [`crate::Error::Io`].
    pub fn open(env: Env, dir: &Path, options: StoreOptions) -> Result<Store> {
        Ok(Store::of(open::open(env, dir, options)?))
    }

    /// A store in memory that is gone with its last handle. Pages that leave the cache stay in
    /// memory outside of [`StoreOptions::memory_budget`].
    ///
    /// # Errors
    /// [`crate::Error::InvalidOption`], [`crate::Error::OutOfMemory`].
    pub fn in_memory(options: StoreOptions) -> Result<Store> {
        Ok(Store::of(open::in_memory(options)?))
    }

    fn of(core: Arc<Core>) -> Store {
        let inner = Arc::new(Inner { core });
        let hold = |_| {
            Arc::new(CachePadded::new(Hold {
                core: Arc::clone(&inner.core),
                _inner: Arc::clone(&inner),
            }))
        };
        Store {
            holds: (0..HOLDS).map(hold).collect(),
            inner,
        }
    }

    /// What a snapshot of this thread holds.
    #[inline]
    fn hold(&self) -> &Arc<CachePadded<Hold>> {
        &self.holds[pins::home() % HOLDS]
    }

    /// An id for a keyspace to be created.
    #[must_use]
    pub fn allocate_keyspace_id(&self) -> KeyspaceId {
        self.inner.core.trees.catalog.allocate_id()
    }

    /// Whether a keyspace of that id exists now.
    #[must_use]
    pub fn contains_keyspace(&self, id: KeyspaceId) -> bool {
        self.inner
            .core
            .trees
            .catalog
            .find(id, self.published_lsn())
            .is_ok()
    }

    /// The keyspaces that exist now, by id.
    #[must_use]
    pub fn keyspaces(&self) -> Vec<(KeyspaceId, KeyspaceOptions)> {
        let all = self.inner.core.trees.catalog.list(self.published_lsn());
        all.iter()
            .map(|keyspace| (keyspace.id, keyspace.options))
            .collect()
    }

    /// Commits a batch, whole or not at all, and answers its LSN. Snapshots made from then on
    /// see it.
    ///
    /// # Errors
    /// Nothing has happened after [`crate::Error::UnknownKeyspace`],
    /// [`crate::Error::KeyspaceExists`], [`crate::Error::EngineChanging`] (a large load for a
    /// keyspace whose engine changes), [`crate::Error::TooLarge`],
    /// [`crate::Error::InvalidOption`], [`crate::Error::OutOfMemory`],
    /// [`crate::Error::ReadOnly`], [`crate::Error::Closed`], and after [`crate::Error::Io`] as
    /// long as later commits do not answer [`crate::Error::Poisoned`]: a full disk, mostly.
    /// Once the store is poisoned it is unknown whether this commit survives; reopen the store
    /// to find out.
    pub fn commit(&self, batch: &Batch, durability: Durability) -> Result<Lsn> {
        self.inner.core.commit(batch, durability)
    }

    /// A consistent view of everything committed so far.
    #[must_use]
    #[inline]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.hold())
    }

    /// As [`Store::snapshot`], for reads of single keys one after the other while the store is
    /// borrowed.
    #[must_use]
    #[inline]
    pub fn snapshot_ref(&self) -> SnapshotRef<'_> {
        SnapshotRef::new(&self.inner.core)
    }

    /// The newest commit that snapshots see.
    #[must_use]
    pub fn published_lsn(&self) -> Lsn {
        self.inner.core.sequencer.published()
    }

    /// The newest commit that would survive a crash now. In memory it is the newest of all.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        self.inner.core.sequencer.durable()
    }

    /// The oldest LSN that some snapshot still reads, or the newest commit where there is none.
    #[must_use]
    pub fn watermark(&self) -> Lsn {
        self.inner.core.pins.advance(self.published_lsn())
    }

    /// The commit that last changed `key`, whether it put or deleted it: `None` where there is
    /// no trace of one. A deletion leaves a trace as long as a snapshot from before it lives.
    ///
    /// # Errors
    /// [`crate::Error::UnknownKeyspace`], [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub fn latest_version(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Lsn>> {
        let published = self.published_lsn();
        let keyspace = self.inner.core.trees.catalog.find(keyspace, published)?;
        keyspace.get(key, published, |lsn, _| lsn)
    }

    /// The memory account for everything but the caches, which have the other half of
    /// [`StoreOptions::memory_budget`], and borrow from this one what nobody has reserved: write
    /// sets, operators, large commits, memtables.
    #[must_use]
    pub fn memory(&self) -> &MemoryBudget {
        &self.inner.core.budget
    }

    /// The register of waits: layers above count theirs here too.
    #[must_use]
    pub fn waits(&self) -> &Waits {
        &self.inner.core.waits
    }

    /// What the store is doing and has done.
    #[must_use]
    pub fn stats(&self) -> StoreStatistics {
        self.inner.core.statistics()
    }

    /// Whether the log is kept for restoring from, so that nothing should pass by it that can be
    /// logged: [`StoreOptions::wal_archive`].
    #[must_use]
    pub fn keeps_log(&self) -> bool {
        self.inner.core.options.wal_archive.is_some()
    }

    /// The size of a keyspace, from a few of its pages.
    ///
    /// # Errors
    /// [`crate::Error::UnknownKeyspace`], [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub fn keyspace_estimate(&self, id: KeyspaceId) -> Result<KeyspaceEstimate> {
        self.inner.core.estimate(id)
    }

    /// Makes every commit so far durable, whatever durability it asked for. Answers the newest
    /// durable commit.
    ///
    /// # Errors
    /// [`crate::Error::Io`], after which the store is poisoned; [`crate::Error::Poisoned`].
    pub fn flush(&self) -> Result<Lsn> {
        self.inner.core.flush()
    }

    /// Writes everything committed so far to the data file and cuts the log. Answers the newest
    /// commit that the checkpoint holds.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Poisoned`], [`crate::Error::ReadOnly`],
    /// [`crate::Error::Closed`].
    pub fn checkpoint(&self) -> Result<Lsn> {
        self.inner.core.check_writable()?;
        self.inner.core.checkpoint()
    }

    /// Drops every version that no snapshot sees any more, packs half-empty pages, and gives the
    /// space back to the file system. Commits and snapshots go on meanwhile. Background threads
    /// do the same to what has changed much, whenever the store has had no commits for
    /// [`StoreOptions::quiet_interval`].
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corrupt`], [`crate::Error::Poisoned`],
    /// [`crate::Error::ReadOnly`], [`crate::Error::Closed`].
    pub fn vacuum(&self) -> Result<()> {
        let core = &self.inner.core;
        core.check_writable()?;
        core.vacuum(Vacuum::Full, &|| true)?;
        Ok(())
    }

    /// Checks everything: superblocks, page table, free space, trees and tables. Commits wait
    /// meanwhile. Lists every finding instead of stopping at the first.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where a file cannot be read.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.inner.core.verify()
    }

    /// Makes a checkpoint and closes the store. Later commits through other handles answer
    /// [`crate::Error::Closed`]; snapshots that are still alive stay readable.
    ///
    /// # Errors
    /// As [`Store::checkpoint`]; what was durable before stays so.
    pub fn close(self) -> Result<()> {
        let core = &self.inner.core;
        if core.options.read_only || core.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        core.background.stop();
        core.checkpoint()?;
        if let Some(wal) = core.sequencer.wal() {
            // What the archive's thread was stopped before, where no checkpoint was needed.
            wal.remove_retired(|| true);
        }
        Ok(())
    }
}
