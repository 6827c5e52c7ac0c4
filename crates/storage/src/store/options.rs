//! How a store is opened.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use crate::{
    codec::Codec,
    error::{Error, Result},
    lsm::{TableOptions, TableReads},
    page::{EvictionPolicyKind, PageSize, PageStoreOptions},
    wal::{LogArchive, MIN_SEGMENT},
};

/// Bytes that compactions may owe to a tree before its writers are slowed down, and stopped, in full
/// tables: with a next level ten times as large, level 1 is three times over its limit then, or
/// thirteen times.
const DEBT_SOFT_TABLES: u64 = 128;
const DEBT_HARD_TABLES: u64 = 512;

/// Bytes that memtables have at least. A budget whose other half has no room for that and for merges
/// refuses LSM and hybrid keyspaces.
const LEAST_MEMTABLES: usize = 4 << 10;

/// What merges read of a run at once: one part of the budget in so many, and within which bounds.
const WINDOW_PART: usize = 1024;
const WINDOW: (usize, usize) = (8 << 10, 256 << 10);
/// Runs that a merge reads at once, as a rule, and the tables that it writes.
const MERGED_AT_ONCE: usize = 8;
/// One part of the budget in so many is set aside for merges at most.
const MERGES_PART: usize = 16;

/// Options of [`crate::Store::open`]. The defaults suit a program that shares its machine.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Whether a missing store is created.
    pub create: bool,
    /// Whether the store is opened for reading only: nothing on disk is changed, and any number
    /// of processes may do so at once while none writes.
    pub read_only: bool,
    /// Bytes of a page: 4096, 8192 or 16384. An existing store keeps its own.
    pub page_size: u32,
    /// Bytes of memory for everything. Half of them are for caches: of pages, and of blocks of tables
    /// of LSM and hybrid keyspaces. The rest serves write sets and operators through
    /// [`crate::Store::memory`] and, once there is an LSM or hybrid keyspace, memtables (a sixth of
    /// all) and merges of tables. Half of what is free of the rest is lent to the caches, which make
    /// room when it is needed.
    ///
    /// The two caches share what they have by use: each takes what the other does not, and where
    /// both want more, it goes where it spares more reads. [`crate::CacheStatistics`] says how much
    /// each has now.
    pub memory_budget: usize,
    /// How pages are compressed from now on.
    pub codec: Codec,
    /// Which page leaves the cache when another needs its place.
    pub eviction: EvictionPolicyKind,
    /// How tables of LSM and hybrid keyspaces are read.
    pub table_reads: TableReads,
    /// Whether pages, and blocks of tables that are read, pass by the system's cache (`O_DIRECT` on
    /// Linux), so that memory holds them once and [`StoreOptions::memory_budget`] is all there is.
    /// Reads that the store's own cache does not answer go to the disk then, one at a time: for a
    /// budget that is most of the machine's memory. Beside the budget each thread that reads has
    /// 64 KiB for its transfers, and the process two of 1 MiB for long ones. What the file system cannot do answers `Unsupported`, and a device
    /// that transfers more at once than a page [`Error::Unavailable`].
    pub direct_io: bool,
    /// Whether cached pages lie side by side in huge pages (transparent ones of Linux), which spares
    /// the processor looking up where they are: for a budget of some gigabytes. Where the system is
    /// told to give none, opening answers [`Error::Unavailable`]; whether it had some is in
    /// [`crate::PageStatistics::huge_bytes`]. Where the cache gives pages back that it was lent, theirs
    /// are split for good.
    pub huge_pages: bool,
    /// Bytes of a log segment, at least 16 KiB. A session's first segments are smaller.
    pub wal_segment_bytes: u64,
    /// Log segments that are kept after a checkpoint has made them superfluous, the newest ones.
    pub wal_kept_segments: usize,
    /// Who is given each log segment before it is removed.
    pub wal_archive: Option<Arc<dyn LogArchive>>,
    /// Whether a flush of the log is one system call with the write before it, by `io_uring`: on
    /// Linux 5.6 or later, with the feature `io_uring`. That spares a system call for each flush and
    /// costs a hand-over to a thread of the kernel: what it is worth on a machine has to be measured
    /// there. Where the system has none, or not for this process, opening answers
    /// [`Error::Unavailable`].
    pub wal_io_uring: bool,
    /// Bytes of keys and values above which a commit is compressed in the log.
    pub wal_compress_above: usize,
    /// Bytes of log after which a background checkpoint begins, counted as the work of replaying
    /// them: before compression, and 64 more for each entry. Writers are slowed down when there
    /// is half as much again and wait at twice as much, so twice this and one commit bound how
    /// much is replayed after a crash. A checkpoint begins earlier where commits have changed half
    /// as many pages again as the cache holds: replaying reads each of them once.
    pub checkpoint_wal_bytes: u64,
    /// A background checkpoint begins at the latest this long after the last one, where there
    /// were commits.
    pub checkpoint_interval: Duration,
    /// A store without commits for this long is at rest: background threads make a checkpoint
    /// and give room back.
    pub quiet_interval: Duration,
    /// After how long the log is flushed for a [`crate::Durability::Async`] commit, at the latest: the
    /// commit is durable when that flush has ended. The wait `commit.async` says how long the oldest
    /// commit of each flush has had to wait for it, and so what a crash would have lost.
    pub async_flush_interval: Duration,
    /// Threads that share a large merge of tables, each with a range of keys of its own. One
    /// without background threads.
    pub compaction_threads: usize,
    /// Whether background threads flush, checkpoint and clean up. Without them this happens
    /// only in [`crate::Store::flush`], [`crate::Store::checkpoint`] and [`crate::Store::close`],
    /// in the calling thread, so that a run can be repeated exactly.
    pub background: bool,
    /// Whether the directory is locked against other processes. Without the lock two writers
    /// destroy each other's data.
    pub lock: bool,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            create: true,
            read_only: false,
            page_size: 8192,
            memory_budget: 256 << 20,
            codec: Codec::None,
            eviction: EvictionPolicyKind::default(),
            table_reads: TableReads::default(),
            direct_io: false,
            huge_pages: false,
            wal_segment_bytes: 16 << 20,
            wal_kept_segments: 0,
            wal_archive: None,
            wal_io_uring: false,
            wal_compress_above: 8 << 10,
            checkpoint_wal_bytes: 16 << 20,
            checkpoint_interval: Duration::from_secs(60),
            quiet_interval: Duration::from_secs(1),
            async_flush_interval: Duration::from_millis(10),
            compaction_threads: (available_parallelism().map_or(1, NonZero::get) / 2).clamp(1, 4),
            background: true,
            lock: true,
        }
    }
}

impl StoreOptions {
    /// Checks that the options make sense together.
    pub(crate) fn check(&self) -> Result<()> {
        self.codec.check()?;
        PageSize::from_bytes(self.page_size as usize)?;
        let invalid = |reason: String| Err(Error::InvalidOption(reason));
        if self.wal_segment_bytes < MIN_SEGMENT || self.wal_segment_bytes > 1 << 30 {
            return invalid(format!(
                "wal_segment_bytes is {}, not within {MIN_SEGMENT} and 1 GiB",
                self.wal_segment_bytes
            ));
        }
        if self.wal_io_uring
            && !self.read_only
            && !cfg!(all(feature = "io_uring", target_os = "linux"))
        {
            return invalid("this build leaves out io_uring (feature `io_uring`, on Linux)".into());
        }
        if self.checkpoint_wal_bytes == 0 {
            return invalid("checkpoint_wal_bytes is 0".into());
        }
        if self.direct_io && self.table_reads == TableReads::Mapped {
            return invalid(
                "direct_io passes by the system's cache, from which mapped tables are read: set \
                 table_reads to positional, or leave direct_io off"
                    .into(),
            );
        }
        Ok(())
    }

    /// Pages changed by commits at which a checkpoint begins. No fewer than the cache holds, or
    /// pages that stay there would be written more often; those beyond leave it, and are
    /// written, anyway.
    pub(crate) fn checkpoint_pages(&self) -> u64 {
        let cached = self.cache_bytes() as u64 / u64::from(self.page_size.max(1));
        (cached + cached / 2).max(8)
    }

    /// Bytes of the budget that caches have in any case.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.memory_budget / 2
    }

    /// What LSM trees go by. Their memtables have a sixth of the budget, taken from the half that is
    /// not the caches' once there is such a keyspace.
    pub(crate) fn tables(&self) -> TableOptions {
        let memtable_bytes = (self.memory_budget / 12).max(LEAST_MEMTABLES);
        let table_bytes = self
            .checkpoint_wal_bytes
            .min(memtable_bytes as u64)
            .max(4096);
        TableOptions {
            memtable_bytes,
            table_bytes,
            level_bytes: 4 * table_bytes,
            debt_soft_bytes: DEBT_SOFT_TABLES * table_bytes,
            debt_hard_bytes: DEBT_HARD_TABLES * table_bytes,
            codec: self.codec,
            block_bytes: 4096,
            window_bytes: (self.memory_budget / WINDOW_PART).clamp(WINDOW.0, WINDOW.1),
            reads: self.table_reads,
            direct: self.direct_io,
            compaction_threads: match self.background {
                true => self.compaction_threads,
                false => 1,
            },
        }
    }

    /// Bytes that LSM trees need for writing at any time, once there are some: two generations of
    /// memtables, and what merges read and write.
    pub(crate) fn table_working_bytes(&self) -> usize {
        let tables = self.tables();
        let merges = tables.compaction_threads * MERGED_AT_ONCE * tables.window_bytes;
        2 * tables.memtable_bytes + merges.min(self.memory_budget / MERGES_PART)
    }

    /// The page store's share of the options.
    pub(crate) fn pages(&self) -> Result<PageStoreOptions> {
        Ok(PageStoreOptions {
            page_size: PageSize::from_bytes(self.page_size as usize)?,
            codec: self.codec,
            cache_bytes: self.cache_bytes(),
            eviction: self.eviction,
            direct: self.direct_io,
            huge_pages: self.huge_pages,
        })
    }
}
