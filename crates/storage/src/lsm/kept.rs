//! Blocks that a table keeps itself: filters and indexes of its parts, which every point read looks
//! at, and which would cost it a look into the shared cache each.
//!
//! They count as memory of the cache ([`super::cache`]), which says whether there is room for one
//! more, and has all of a table's given up when there is not enough any more. So readers look at
//! them under a lock: a shard of it that threads share with few others.

use std::{
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use super::{block::Block, cache};
use crate::{
    pins,
    sync::{Mutex, RwLock, RwLockReadGuard},
};

/// Shards that threads are spread over.
const SHARDS: usize = 8;

/// Which block of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Filter,
    Index,
}

/// The blocks, by their parts.
#[derive(Debug)]
pub(super) struct KeptBlocks {
    /// Filter and index of every part.
    blocks: Box<[[OnceLock<Arc<Block>>; 2]]>,
}

impl KeptBlocks {
    fn none(parts: usize) -> Arc<KeptBlocks> {
        Arc::new(KeptBlocks {
            blocks: (0..parts).map(|_| Default::default()).collect(),
        })
    }

    fn place(&self, part: usize, role: Role) -> Option<&OnceLock<Arc<Block>>> {
        self.blocks.get(part)?.get(role as usize)
    }

    /// A block, if it is kept.
    #[inline]
    pub(super) fn get(&self, part: usize, role: Role) -> Option<&Arc<Block>> {
        self.place(part, role)?.get()
    }

    /// Bytes that they count for.
    fn cost(&self) -> usize {
        let kept = self.blocks.iter().flatten().filter_map(OnceLock::get);
        kept.map(|block| cache::cost(block)).sum()
    }
}

/// What a table keeps.
#[derive(Debug)]
pub(super) struct Kept {
    parts: usize,
    shards: [CachePadded<RwLock<Arc<KeptBlocks>>>; SHARDS],
    /// Whether the cache knows that there may be something.
    is_known: AtomicBool,
    /// Held by whoever gives the blocks up.
    giving_up: Mutex<()>,
}

impl Kept {
    /// Nothing, of a table of so many parts.
    pub(super) fn new(parts: usize) -> Kept {
        let none = KeptBlocks::none(parts);
        Kept {
            parts,
            shards: std::array::from_fn(|_| CachePadded::new(RwLock::new(Arc::clone(&none)))),
            is_known: AtomicBool::new(false),
            giving_up: Mutex::new(()),
        }
    }

    /// Bytes that it takes without any block.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self) + self.parts * size_of::<[OnceLock<Arc<Block>>; 2]>()
    }

    /// The blocks. Who has them given up waits for this: for looks at memory alone.
    #[inline]
    pub(super) fn look(&self) -> RwLockReadGuard<'_, Arc<KeptBlocks>> {
        self.shards[pins::home() % SHARDS].read()
    }

    /// Keeps a block from now on; false where there is one already.
    pub(super) fn keep(&self, part: usize, role: Role, block: &Arc<Block>) -> bool {
        let kept = self.look();
        kept.place(part, role)
            .is_some_and(|place| place.set(Arc::clone(block)).is_ok())
    }

    /// Whether the cache has yet to be told of this.
    pub(super) fn is_unknown(&self) -> bool {
        !self.is_known.swap(true, Ordering::Relaxed)
    }

    /// Gives all blocks up, and says how many bytes they counted for.
    pub(super) fn give_up(&self) -> usize {
        let _turn = self.giving_up.lock();
        self.is_known.store(false, Ordering::Relaxed);
        let none = KeptBlocks::none(self.parts);
        let mut given_up = Arc::clone(&none);
        for shard in &self.shards {
            given_up = mem::replace(&mut *shard.write(), Arc::clone(&none));
        }
        // Nobody else has them any more: whoever looks, does so under a shard's lock.
        given_up.cost()
    }
}
