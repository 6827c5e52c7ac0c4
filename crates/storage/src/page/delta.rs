//! What has changed since the last durable checkpoint.
//!
//! Two sets of changes exist at most: those of the *current* epoch, and, while a checkpoint is
//! being written, the *frozen* ones that it makes durable. Both are sharded by page id; the
//! lock of a page's shard orders every change of what is known about the page:
//!
//! ```text
//!            write()                eviction or checkpoint
//!   (none) ----------> InMemory ------------------------------> Written(slot)
//!                        |  ^               write()               |
//!                        |  +-------------------------------------+ (slot released)
//!                        | free()                                 | free() (slot released)
//!                        v                                        v
//!                      Freed <------------------------------------+
//! ```
//!
//! A slot in a current change is in no page table, durable or frozen, so it is released the
//! moment the change moves on. A slot in the page table is released when a checkpoint without
//! it is durable.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{buffer::PageBuffer, image::Location, store::PageId};
use crate::sync::{Mutex, MutexGuard};

/// Shards of the change sets.
const SHARDS: u32 = 64;

/// What happened to a page in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its image is in memory: in a frame that is dirty in this epoch, or set aside.
    InMemory,
    /// Its image was written.
    Written(Location),
    /// It was given back.
    Freed,
}

/// The changes of some of the pages.
#[derive(Debug)]
pub(super) struct Shard {
    /// The current epoch. The frozen changes belong to the one before.
    pub(super) epoch: u64,
    /// Changes of the current epoch.
    pub(super) current: BTreeMap<u32, Change>,
    /// Changes that a checkpoint is writing.
    pub(super) frozen: BTreeMap<u32, Change>,
    /// Frozen images of pages whose frame has moved on, or is gone.
    pub(super) aside: BTreeMap<u32, PageBuffer>,
    /// Frozen pages that the checkpoint is writing just now. A second slot for the same image
    /// would be one that nobody has been promised.
    pub(super) leaving: BTreeSet<u32>,
}

impl Shard {
    /// The newest change of a page.
    pub(super) fn newest(&self, id: PageId) -> Option<Change> {
        self.current
            .get(&id.0)
            .or_else(|| self.frozen.get(&id.0))
            .copied()
    }

    /// Whether the checkpoint is writing the image that page `id` has in that epoch.
    pub(super) fn is_leaving(&self, id: PageId, epoch: u64) -> bool {
        epoch != self.epoch && self.leaving.contains(&id.0)
    }

    /// The changes of that epoch, which is the current or the frozen one.
    pub(super) fn changes(&mut self, epoch: u64) -> &mut BTreeMap<u32, Change> {
        if epoch == self.epoch {
            &mut self.current
        } else {
            &mut self.frozen
        }
    }
}

/// All changes.
#[derive(Debug)]
pub(super) struct Deltas {
    shards: Box<[Mutex<Shard>]>,
    /// Pages that logged commits were the first to change in the current epoch, and in the
    /// frozen one.
    current_logged: AtomicUsize,
    frozen_logged: AtomicUsize,
}

thread_local! {
    /// Whether what this thread changes now is in no log.
    static UNLOGGED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a change that no log repeats.
pub(super) fn unlogged<R>(change: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            UNLOGGED.set(self.0);
        }
    }
    let _restore = Restore(UNLOGGED.replace(true));
    change()
}

impl Deltas {
    /// No changes yet; `epoch` is the current one.
    pub(super) fn new(epoch: u64) -> Deltas {
        let shard = || {
            Mutex::new(Shard {
                epoch,
                current: BTreeMap::new(),
                frozen: BTreeMap::new(),
                aside: BTreeMap::new(),
                leaving: BTreeSet::new(),
            })
        };
        Deltas {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            current_logged: AtomicUsize::new(0),
            frozen_logged: AtomicUsize::new(0),
        }
    }

    /// A page is changed for the first time in the current epoch. Nobody freezes meanwhile.
    pub(super) fn count_page(&self) {
        if !UNLOGGED.get() {
            self.current_logged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Pages that logged commits have changed since the durable checkpoint.
    pub(super) fn logged_pages(&self) -> usize {
        self.current_logged.load(Ordering::Relaxed) + self.frozen_logged.load(Ordering::Relaxed)
    }

    /// The shard that knows about page `id`.
    pub(super) fn shard(&self, id: PageId) -> MutexGuard<'_, Shard> {
        self.shards[(id.0 % SHARDS) as usize].lock()
    }

    /// Freezes the current changes: pointer work only, whatever their number.
    pub(super) fn freeze(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            debug_assert!(shard.frozen.is_empty());
            debug_assert!(shard.aside.is_empty() && shard.leaving.is_empty());
            shard.frozen = std::mem::take(&mut shard.current);
            shard.epoch += 1;
        }
        let logged = self.current_logged.swap(0, Ordering::Relaxed);
        self.frozen_logged.store(logged, Ordering::Relaxed);
    }

    /// The frozen changes by page id.
    pub(super) fn frozen(&self) -> Vec<(PageId, Change)> {
        let mut changes = Vec::new();
        for shard in &self.shards {
            changes.extend(
                shard
                    .lock()
                    .frozen
                    .iter()
                    .map(|(id, change)| (PageId(*id), *change)),
            );
        }
        changes.sort_unstable_by_key(|(id, _)| *id);
        changes
    }

    /// Forgets the frozen changes, which are durable now.
    pub(super) fn forget_frozen(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            debug_assert!(shard.aside.is_empty() && shard.leaving.is_empty());
            shard.frozen.clear();
        }
        self.frozen_logged.store(0, Ordering::Relaxed);
    }

    /// All shards at once, in order: a moment at which nothing changes.
    pub(super) fn lock_all(&self) -> Vec<MutexGuard<'_, Shard>> {
        self.shards.iter().map(Mutex::lock).collect()
    }
}
