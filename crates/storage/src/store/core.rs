//! What all handles of an open store share.

use std::sync::atomic::Ordering;

use super::{
    background::Background, checkpoint::FrozenStore, options::StoreOptions, plan::Trees,
    stats::OpenStatistics,
};
use crate::{
    env::Env,
    error::{Error, Result},
    lsm::WrittenVersion,
    lsn::Lsn,
    memory::{MemoryBudget, Reservation},
    pins::PinRegistry,
    sequencer::Sequencer,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    vfs::VfsLock,
    waits::{WaitPoint, Waits},
    wal::{Compressibility, StoreId},
};

/// An open store.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) env: Env,
    pub(crate) options: StoreOptions,
    pub(crate) id: StoreId,
    pub(crate) created: i64,
    pub(crate) trees: Trees,
    pub(crate) sequencer: Sequencer,
    /// Held shared by every commit from before its LSN is assigned until it is applied, and
    /// alone by whoever needs to see exactly the commits up to one LSN: a checkpoint's freeze,
    /// and structural changes. Nobody flushes while holding it alone.
    pub(crate) barrier: RwLock<()>,
    pub(crate) pins: PinRegistry,
    /// The memory budget without what the caches have in any case.
    pub(crate) budget: MemoryBudget,
    /// The share of it that memtables and merges have, once there are any.
    pub(crate) table_memory: Mutex<Option<Reservation>>,
    pub(crate) waits: Waits,
    pub(crate) wait_points: WaitPoints,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    /// The last durable checkpoint holds the commits up to here.
    pub(crate) checkpointed_lsn: AtomicU64,
    /// What [`Core::written_work`] was when the last durable checkpoint was frozen.
    pub(crate) checkpointed_work: AtomicU64,
    /// What [`Wal::appended_bytes`](crate::wal::Wal::appended_bytes) was then.
    pub(crate) checkpointed_log: AtomicU64,
    /// Bytes of keys and values committed, in memory.
    pub(crate) committed_bytes: AtomicU64,
    /// Held by whoever compacts tables of all keyspaces.
    pub(crate) compacting: Mutex<()>,
    /// Held by whoever vacuums.
    pub(crate) vacuuming: Mutex<()>,
    /// How well what is logged compresses.
    pub(crate) compressibility: Compressibility,
    /// Whether pages were changed on nobody's behalf since the last freeze.
    pub(crate) vacuumed: AtomicBool,
    pub(crate) background: Background,
    pub(crate) closed: AtomicBool,
    /// How it was opened.
    pub(crate) opening: OpenStatistics,
    pub(crate) _lock: Option<Box<dyn VfsLock>>,
}

/// The waits that happen in this module.
#[derive(Debug)]
pub(crate) struct WaitPoints {
    /// A commit waits for a checkpoint to freeze, or the other way round.
    pub(crate) barrier: WaitPoint,
    /// A commit that changes which keyspaces there are waits for another one, or for who freezes or
    /// frees keyspaces.
    pub(crate) change: WaitPoint,
    /// A writer waits because checkpoints have fallen behind.
    pub(crate) debt: WaitPoint,
    /// The oldest of a group of asynchronous commits becomes durable: how long that took is how
    /// much a crash would have lost.
    pub(crate) asynchronous: WaitPoint,
    /// A writer waits because memtables take too much memory.
    pub(crate) memtable: WaitPoint,
    /// A writer waits because compactions have fallen behind: there are too many runs in front of a
    /// tree that it writes to, or too many bytes to be merged.
    pub(crate) compaction_front: WaitPoint,
    pub(crate) compaction_bytes: WaitPoint,
}

/// The durable checkpoint. The lock is held by whoever makes the next one.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// It holds exactly the commits up to here.
    pub(crate) lsn: Lsn,
    /// The tables that it lists: their files stay until another checkpoint is durable.
    pub(crate) tables: Vec<WrittenVersion>,
    /// [`crate::lsm::TableSpace::changes`] when it was frozen.
    pub(crate) table_changes: u64,
    /// The next one, where the disk had no room for its tables: it is written before another is
    /// frozen.
    pub(crate) unwritten: Option<FrozenStore>,
}

impl Core {
    /// Whether commits are taken.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.trees.poison.check()
    }

    /// Work that replaying everything since the store was opened would be, what was replayed
    /// then included (in memory: bytes committed).
    pub(crate) fn written_work(&self) -> u64 {
        match self.sequencer.wal() {
            Some(wal) => wal.appended_work(),
            None => self.committed_bytes.load(Ordering::Relaxed),
        }
    }

    /// How urgent a checkpoint is, in the measure of [`StoreOptions::checkpoint_wal_bytes`]: what
    /// a crash would leave to replay, counted as work or as the pages that it would read and
    /// change, whichever is more.
    pub(crate) fn debt(&self) -> u64 {
        let work = self.replay_debt();
        if self.sequencer.wal().is_none() {
            return work;
        }
        let pages = self.trees.media.pages.logged_pages() as u64;
        let limit = self.options.checkpoint_pages();
        work.max(pages.saturating_mul(self.options.checkpoint_wal_bytes) / limit)
    }

    /// Work that a crash would leave to replay now (in memory: bytes committed since the last
    /// clean-up).
    pub(crate) fn replay_debt(&self) -> u64 {
        self.written_work()
            .saturating_sub(self.checkpointed_work.load(Ordering::Relaxed))
    }
}
