//! What all LSM trees of a store share: the directory of tables, their numbers, the block cache,
//! the memory of memtables, counters, and the list of files that nobody needs any more.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{cache::BlockCache, format::TableIdentity};
use crate::{
    caches::Caches,
    codec::Codec,
    durability,
    env::Env,
    error::{Error, Result},
    poison::Poison,
    sync::{Mutex, atomic::AtomicBool},
};

/// The directory of tables within a store's.
const TABLE_DIR: &str = "tables";
/// How names of tables end.
const EXTENSION: &str = "sst";

/// Sizes that LSM trees go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableOptions {
    /// Bytes of memtables, over all trees, at which a checkpoint writes them out.
    pub(crate) memtable_bytes: usize,
    /// Bytes of keys and values at which a table is full.
    pub(crate) table_bytes: u64,
    /// Bytes of tables that level 1 should not exceed; every next level may have ten times more.
    pub(crate) level_bytes: u64,
    /// Bytes that compactions have yet to write for a tree ([`super::debt`]) from which on its writers
    /// are slowed down, and at which they wait.
    pub(crate) debt_soft_bytes: u64,
    pub(crate) debt_hard_bytes: u64,
    /// The codec of the deepest levels. Young levels, which are rewritten soon, have a fast one.
    pub(crate) codec: Codec,
    /// Bytes of a data block.
    pub(crate) block_bytes: usize,
    /// Bytes that a merge reads of each run at once, and gathers before it writes them.
    pub(crate) window_bytes: usize,
    /// How blocks are read.
    pub(crate) reads: TableReads,
    /// Whether blocks are read past the system's cache.
    pub(crate) direct: bool,
    /// Threads that share a large merge, the keys divided among them.
    pub(crate) compaction_threads: usize,
}

impl TableOptions {
    /// The codec of a level; 0 is what memtables are written to.
    pub(super) fn codec_of(&self, level: usize) -> Codec {
        match (self.codec, level) {
            (Codec::None, _) | (_, 0) => Codec::None,
            (_, 1) => Codec::Lz4,
            (codec, _) => codec,
        }
    }
}

/// How blocks of tables, which are not in the block cache, are read from their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableReads {
    /// By a system call each.
    #[default]
    Positional,
    /// From a map of the file in memory: a read of what the system has cached is a copy. What the
    /// system caches does not count towards the memory budget, though the process is seen to hold it.
    /// A device that cannot read a block ends the process (`SIGBUS`) instead of failing the
    /// statement, and so does whoever else shortens a table's file: nobody may. Each table takes a
    /// map, of which Linux gives a process `vm.max_map_count` (65,530 as it comes): that must be
    /// raised for more tables than this, or opening one answers `OutOfMemory`.
    Mapped,
}

/// Memtables, tables and compactions of all LSM trees of a store; counters are since it was
/// opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStatistics {
    /// Tables on disk that are in use.
    pub tables: usize,
    /// Their bytes.
    pub table_bytes: u64,
    /// Bytes of memory that memtables take.
    pub memtable_bytes: usize,
    /// Memtables written to tables.
    pub flushes: u64,
    /// Bytes written for that.
    pub flushed_bytes: u64,
    /// Merges of tables.
    pub compactions: u64,
    /// Parts of merges that were divided among threads.
    pub subcompactions: u64,
    /// Tables (or runs) that went to another level as they were.
    pub moves: u64,
    /// Bytes of tables read by merges.
    pub compaction_read_bytes: u64,
    /// Bytes of tables written by merges.
    pub compaction_written_bytes: u64,
    /// Bytes that merges have yet to write, about, until no level holds more than it should.
    pub compaction_debt_bytes: u64,
    /// The most runs in front of the levels of any keyspace.
    pub front_runs: usize,
    /// Point reads that a filter has spared a look into a table.
    pub filtered: u64,
    /// Blocks found in the block cache.
    pub cache_hits: u64,
    /// Blocks read from tables.
    pub cache_misses: u64,
    /// Bytes of blocks in the cache.
    pub cached_bytes: usize,
}

/// Counters of all LSM trees of a store, since it was opened.
#[derive(Debug, Default)]
pub(crate) struct TableCounters {
    pub(super) flushes: AtomicU64,
    pub(super) flushed_bytes: AtomicU64,
    pub(super) compactions: AtomicU64,
    pub(super) subcompactions: AtomicU64,
    pub(super) moves: AtomicU64,
    pub(super) compaction_read_bytes: AtomicU64,
    pub(super) compaction_written_bytes: AtomicU64,
}

impl TableCounters {
    pub(super) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

/// What all LSM trees of a store share.
#[derive(Debug)]
pub(crate) struct TableSpace {
    pub(super) env: Env,
    dir: PathBuf,
    pub(super) poison: Arc<Poison>,
    pub(super) options: TableOptions,
    pub(super) cache: Arc<BlockCache>,
    pub(super) counters: TableCounters,
    /// Bytes of all memtables that have not been written out, roughly.
    memtable_bytes: AtomicUsize,
    /// No table has this number or a higher one.
    next_number: AtomicU64,
    /// Files that no version lists any more and no reader uses.
    trash: Arc<Mutex<Vec<PathBuf>>>,
    /// How often compactions have changed which tables there are.
    changes: AtomicU64,
    /// Whether there may be trees whose compactions have fallen behind.
    has_debtors: AtomicBool,
    /// Whether the directory is known to exist.
    has_dir: Mutex<bool>,
    /// Set when the store closes: background work on tables ends early.
    closing: AtomicBool,
}

impl TableSpace {
    /// The space of the store in `dir`, whose cached blocks share the memory of `caches`. Nothing is
    /// read or made yet.
    pub(crate) fn new(
        env: Env,
        dir: &Path,
        poison: Arc<Poison>,
        options: TableOptions,
        caches: &Arc<Caches>,
    ) -> TableSpace {
        TableSpace {
            env,
            dir: dir.join(TABLE_DIR),
            poison,
            cache: BlockCache::new(caches),
            options,
            counters: TableCounters::default(),
            memtable_bytes: AtomicUsize::new(0),
            next_number: AtomicU64::new(1),
            trash: Arc::default(),
            changes: AtomicU64::new(0),
            has_debtors: AtomicBool::new(false),
            has_dir: Mutex::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Where the table of that number is.
    pub(super) fn path_of(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:012}.{EXTENSION}"))
    }

    /// A name for a new table. Makes the directory on first use, and its name durable.
    pub(super) fn new_identity(&self) -> Result<TableIdentity> {
        let mut has_dir = self.has_dir.lock();
        if !*has_dir {
            let dir = &self.dir;
            let made = self.env.vfs.create_dir_all(dir);
            match made.map_err(|error| Error::io("create", dir, error)) {
                Err(error) if error.is_disk_full() => return Err(error),
                other => self.poison.guard(other)?,
            }
            durability::sync_parent(&*self.env.vfs, dir, &self.poison)?;
            *has_dir = true;
        }
        Ok(TableIdentity {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            salt: self.env.random.next_u64(),
        })
    }

    /// Makes the names of new tables durable. Their bytes are so already.
    pub(crate) fn sync_names(&self) -> Result<()> {
        let any = self.path_of(0);
        durability::sync_parent(&*self.env.vfs, &any, &self.poison)
    }

    /// The number that the next table gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.load(Ordering::Relaxed)
    }

    /// Gives no table the number `next` or a lower one.
    pub(crate) fn spend_numbers_below(&self, next: u64) {
        self.next_number.fetch_max(next, Ordering::Relaxed);
    }

    /// Where files go that nobody needs.
    pub(super) fn trash(&self) -> Arc<Mutex<Vec<PathBuf>>> {
        Arc::clone(&self.trash)
    }

    /// Removes files that nobody needs. To be called after a checkpoint that does not name them
    /// has become durable, and not while another one is being written.
    pub(crate) fn empty_trash(&self) {
        if self.poison.is_poisoned() {
            // It is unknown which checkpoint is durable; opening finds out.
            return;
        }
        let mut files = std::mem::take(&mut *self.trash.lock());
        files.sort_unstable();
        for path in files {
            // One that stays is removed by the next opening.
            durability::unlink(&self.env, &path);
        }
    }

    /// Removes every table that is not in `wanted` (sorted numbers): leftovers of work that was
    /// cut short.
    pub(crate) fn remove_orphans(&self, wanted: &[u64]) -> Result<()> {
        let names = match self.env.vfs.read_dir(&self.dir) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", &self.dir, error)),
        };
        for name in names {
            let path = self.dir.join(&name);
            let Some(number) = number_of(&path) else {
                continue;
            };
            self.spend_numbers_below(number.saturating_add(1));
            if wanted.binary_search(&number).is_err() {
                durability::unlink(&self.env, &path);
            }
        }
        Ok(())
    }

    /// Counts `bytes` more in memtables.
    #[inline]
    pub(super) fn grow_memtables(&self, bytes: usize) {
        self.memtable_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` less in memtables.
    pub(super) fn shrink_memtables(&self, bytes: usize) {
        self.memtable_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of all memtables that have not been written out.
    #[inline]
    pub(crate) fn memtable_bytes(&self) -> usize {
        self.memtable_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of memtables at which a checkpoint is wanted.
    #[inline]
    pub(crate) fn memtable_limit(&self) -> usize {
        self.options.memtable_bytes
    }

    /// How often compactions have changed which tables there are: where this differs, another
    /// checkpoint has something to say.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether there may be trees whose compactions have fallen behind, beyond a soft limit of
    /// their debt.
    #[inline]
    pub(crate) fn has_debtors(&self) -> bool {
        self.has_debtors.load(Ordering::Relaxed)
    }

    /// Says that there is such a tree.
    pub(super) fn note_debtor(&self) {
        self.has_debtors.store(true, Ordering::Relaxed);
    }

    /// Says whether there are such trees.
    pub(crate) fn set_debtors(&self, any: bool) {
        self.has_debtors.store(any, Ordering::Relaxed);
    }

    /// Counters so far; which tables there are, and what they owe, is for the trees to say.
    pub(crate) fn statistics(&self) -> TableStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let cache = self.cache.statistics();
        TableStatistics {
            tables: 0,
            table_bytes: 0,
            memtable_bytes: self.memtable_bytes(),
            flushes: read(&counters.flushes),
            flushed_bytes: read(&counters.flushed_bytes),
            compactions: read(&counters.compactions),
            subcompactions: read(&counters.subcompactions),
            moves: read(&counters.moves),
            compaction_read_bytes: read(&counters.compaction_read_bytes),
            compaction_written_bytes: read(&counters.compaction_written_bytes),
            compaction_debt_bytes: 0,
            front_runs: 0,
            filtered: cache.filtered,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            cached_bytes: cache.bytes,
        }
    }

    /// Whether background work on tables shall end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends background work on tables early.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

/// The number in a table's file name.
fn number_of(path: &Path) -> Option<u64> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}
