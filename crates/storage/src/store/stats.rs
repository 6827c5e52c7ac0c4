//! Figures about an open store.

use std::{sync::atomic::Ordering, time::Duration};

use super::core::Core;
use crate::{
    caches::CacheStatistics,
    error::Result,
    lsm::TableStatistics,
    lsn::{KeyspaceId, Lsn},
    pins::PinStatistics,
    waits::WaitStatistics,
};

/// What a store is doing and what it has done since it was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreStatistics {
    /// The newest commit that snapshots see.
    pub published: Lsn,
    /// The newest commit that would survive a crash.
    pub durable: Lsn,
    /// The last checkpoint holds the commits up to here.
    pub checkpointed: Lsn,
    /// Versions that only snapshots below this LSN could see may be gone.
    pub watermark: Lsn,
    /// How the store was opened.
    pub opening: OpenStatistics,
    /// Bytes of log that would be replayed after a crash, as they lie on the disk.
    pub wal_lag_bytes: u64,
    /// How much there would be to replay: bytes before compression, and 64 for each entry. What
    /// [`crate::StoreOptions::checkpoint_wal_bytes`] bounds.
    pub replay_debt: u64,
    /// Bytes of log written since the store was opened.
    pub wal_bytes: u64,
    /// Log segments on disk.
    pub wal_segments: usize,
    /// How often [`crate::StoreOptions::wal_archive`] has refused a log segment since the store was
    /// opened. Segments gather meanwhile.
    pub archive_failures: u64,
    /// Why it did the last time.
    pub last_archive_failure: Option<String>,
    /// Keyspaces.
    pub keyspaces: usize,
    /// Snapshots alive.
    pub pins: PinStatistics,
    /// The page cache and the data file.
    pub pages: PageStatistics,
    /// Memtables, tables and compactions of LSM and hybrid keyspaces.
    pub tables: TableStatistics,
    /// How cached pages and cached blocks of tables divide the memory for caches.
    pub caches: CacheStatistics,
    /// Bytes of the memory budget in use, caches included.
    pub memory_used: usize,
    /// The memory budget in bytes.
    pub memory_limit: usize,
    /// Every named wait.
    pub waits: Vec<WaitStatistics>,
}

/// How a store was opened: where the time went, and what was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenStatistics {
    /// All of it.
    pub total: Duration,
    /// Superblock and page table.
    pub page_table: Duration,
    /// Engines as of the checkpoint: footers and indexes of tables.
    pub engines: Duration,
    /// Reading the log and decoding it.
    pub reading_log: Duration,
    /// Applying what was read.
    pub applying_log: Duration,
    /// Making durable what the log's end holds, and removing leftovers.
    pub settling: Duration,
    /// Commits that were replayed.
    pub replayed_commits: u64,
    /// Puts, deletions and other operations of them.
    pub replayed_operations: u64,
    /// Their bytes, decompressed.
    pub replayed_bytes: u64,
}

/// The page cache and the data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageStatistics {
    /// Accesses that found their page in memory.
    pub hits: u64,
    /// Pages read from disk.
    pub misses: u64,
    /// Pages that the system was asked for before a scan came to them.
    pub read_ahead: u64,
    /// Pages that left the cache for others.
    pub evictions: u64,
    /// Page images written before a checkpoint, to make room.
    pub eviction_writes: u64,
    /// Page images written by checkpoints.
    pub checkpoint_writes: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Bytes of pages in memory.
    pub cached_bytes: usize,
    /// Bytes of this process's memory that are in huge pages, as the system says, where
    /// [`crate::StoreOptions::huge_pages`] asks for them; 0 otherwise.
    pub huge_bytes: u64,
    /// Bytes that the next checkpoint has to write.
    pub dirty_bytes: usize,
    /// Pages in use.
    pub pages: u64,
    /// Length of the data file in bytes.
    pub file_bytes: u64,
    /// Bytes of it that hold nothing.
    pub free_bytes: u64,
}

impl PageStatistics {
    /// The part of accesses that found their page in memory, from 0 to 1.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        let all = self.hits + self.misses;
        if all == 0 {
            1.0
        } else {
            self.hits as f64 / all as f64
        }
    }
}

/// The size of a keyspace, from a few of its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyspaceEstimate {
    /// Entries, old versions included.
    pub entries: u64,
    /// Leaf pages; data blocks of an LSM tree.
    pub leaf_pages: u64,
    /// Levels of a B+ tree, 1 being a single leaf; places of an LSM tree that a point read may
    /// have to look at.
    pub depth: u32,
}

impl Core {
    /// Figures as of now.
    pub(crate) fn statistics(&self) -> StoreStatistics {
        let pool = self.trees.media.pages.stats();
        let caches = self.trees.media.pages.caches().statistics();
        let published = self.sequencer.published();
        let archive = self.sequencer.wal().map(crate::wal::Wal::archive_failures);
        let (archive_failures, last_archive_failure) = archive.unwrap_or_default();
        StoreStatistics {
            published,
            durable: self.sequencer.durable(),
            checkpointed: Lsn(self.checkpointed_lsn.load(Ordering::Relaxed)),
            watermark: self.pins.advance(published),
            opening: self.opening,
            wal_lag_bytes: self.sequencer.wal().map_or(0, |wal| {
                let checkpointed = self.checkpointed_log.load(Ordering::Relaxed);
                wal.appended_bytes().saturating_sub(checkpointed)
            }),
            replay_debt: match self.sequencer.wal() {
                Some(_) => self.replay_debt(),
                None => 0,
            },
            wal_bytes: self
                .sequencer
                .wal()
                .map_or(0, crate::wal::Wal::appended_bytes),
            wal_segments: self
                .sequencer
                .wal()
                .map_or(0, crate::wal::Wal::segment_count),
            archive_failures,
            last_archive_failure,
            keyspaces: self.trees.catalog.list(published).len(),
            pins: self.pins.statistics(),
            pages: PageStatistics {
                hits: pool.hits,
                misses: pool.misses,
                read_ahead: pool.read_ahead,
                evictions: pool.evictions,
                eviction_writes: pool.eviction_writes,
                checkpoint_writes: pool.checkpoint_writes,
                checkpoints: pool.checkpoints,
                cached_bytes: pool.cached_bytes,
                huge_bytes: pool.huge_bytes,
                dirty_bytes: pool.dirty_bytes,
                pages: pool.pages,
                file_bytes: pool.file_bytes,
                free_bytes: pool.free_bytes,
            },
            tables: self.table_statistics(),
            caches,
            memory_used: caches.page_bytes
                + caches.block_bytes
                + caches.fixed_bytes
                + self.budget.used(),
            memory_limit: self.options.memory_budget,
            waits: self.waits.snapshot(),
        }
    }

    /// The size of a keyspace, roughly.
    pub(crate) fn estimate(&self, keyspace: KeyspaceId) -> Result<KeyspaceEstimate> {
        let keyspace = self
            .trees
            .catalog
            .find(keyspace, self.sequencer.published())?;
        keyspace.engine.estimate()
    }
}
