//! The block cache: decompressed, verified blocks of tables, shared by all of a store's.
//!
//! Sharded, and CLOCK within a shard: a block comes in unmarked, a hit marks it, and the hand
//! evicts unmarked blocks, so that what a scan touches once leaves before what is asked for
//! again. A hit takes a shared lock and sets a bit.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;
use parking_lot::RwLock;

use super::block::Block;

const MAX_SHARDS: usize = 16;
/// Bytes that a shard should have at least.
const SHARD_BYTES: usize = 256 << 10;

/// Bytes counted for a block besides its own.
const OVERHEAD: usize = 96;

/// Which block: table number and offset.
type BlockKey = (u64, u64);

/// Table numbers and offsets are ours: one multiplication each spreads them.
#[derive(Clone, Copy, Debug, Default)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[derive(Debug)]
struct Slot {
    key: BlockKey,
    block: Arc<Block>,
    marked: AtomicBool,
}

#[derive(Debug, Default)]
struct Shard {
    places: HashMap<BlockKey, usize, BuildHasherDefault<PlaceHasher>>,
    slots: Vec<Option<Slot>>,
    /// Slots without a block. They are behind the hand, so that a new block has a whole round
    /// to be asked for again.
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Counted {
    shard: RwLock<Shard>,
    hits: AtomicU64,
    misses: AtomicU64,
    filtered: AtomicU64,
}

/// Blocks of tables in memory.
#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Box<[CachePadded<Counted>]>,
    /// Bytes that a shard may hold.
    shard_limit: usize,
}

/// Counters of a block cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheStatistics {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) filtered: u64,
    pub(super) bytes: usize,
}

fn cost(block: &Block) -> usize {
    block.bytes().len() + OVERHEAD
}

impl BlockCache {
    /// An empty cache for at most `limit` bytes.
    pub(super) fn new(limit: usize) -> BlockCache {
        let shards = (limit / SHARD_BYTES).clamp(1, MAX_SHARDS);
        BlockCache {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            shard_limit: limit / shards,
        }
    }

    #[inline]
    fn shard(&self, key: BlockKey) -> &Counted {
        let mut hasher = PlaceHasher::default();
        hasher.write_u64(key.0);
        hasher.write_u64(key.1);
        &self.shards[(hasher.finish() >> 48) as usize % self.shards.len()]
    }

    /// The block at `key`, if it is here.
    #[inline]
    pub(super) fn get(&self, key: BlockKey) -> Option<Arc<Block>> {
        let counted = self.shard(key);
        let shard = counted.shard.read();
        let at = shard.places.get(&key);
        match at.and_then(|at| shard.slots.get(*at)?.as_ref()) {
            Some(slot) => {
                // Storing only where needed keeps the line shared.
                if !slot.marked.load(Ordering::Relaxed) {
                    slot.marked.store(true, Ordering::Relaxed);
                }
                counted.hits.fetch_add(1, Ordering::Relaxed);
                Some(Arc::clone(&slot.block))
            }
            None => {
                counted.misses.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Keeps `block`, unless it is too large for the cache.
    pub(super) fn insert(&self, key: BlockKey, block: &Arc<Block>) {
        let cost = cost(block);
        if cost > self.shard_limit / 2 {
            return;
        }
        let mut shard = self.shard(key).shard.write();
        if shard.places.contains_key(&key) {
            return;
        }
        while shard.bytes + cost > self.shard_limit && shard.evict() {}
        let at = shard.free.pop().unwrap_or_else(|| {
            shard.slots.push(None);
            shard.slots.len() - 1
        });
        shard.slots[at] = Some(Slot {
            key,
            block: Arc::clone(block),
            marked: AtomicBool::new(false),
        });
        shard.places.insert(key, at);
        shard.bytes += cost;
    }

    /// Counts that the filter at `key` has spared a look into its table.
    #[inline]
    pub(super) fn note_filtered(&self, key: BlockKey) {
        self.shard(key).filtered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counters so far.
    pub(super) fn statistics(&self) -> CacheStatistics {
        let mut all = CacheStatistics::default();
        for counted in &self.shards {
            all.hits += counted.hits.load(Ordering::Relaxed);
            all.misses += counted.misses.load(Ordering::Relaxed);
            all.filtered += counted.filtered.load(Ordering::Relaxed);
            all.bytes += counted.shard.read().bytes;
        }
        all
    }
}

impl Shard {
    /// Drops the first unmarked block from the hand on; false where there is no block.
    fn evict(&mut self) -> bool {
        // Two rounds: the first may unmark all.
        for _ in 0..2 * self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            let unmarked = slot.take_if(|slot| !slot.marked.swap(false, Ordering::Relaxed));
            if let Some(slot) = unmarked {
                self.places.remove(&slot.key);
                self.bytes -= cost(&slot.block);
                self.free.push(self.hand);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize) -> Arc<Block> {
        Arc::new(Block::filter(vec![7; len]))
    }

    #[test]
    fn stays_within_its_limit() {
        let limit = MAX_SHARDS * SHARD_BYTES;
        let cache = BlockCache::new(limit);
        for offset in 0..10_000 {
            cache.insert((1, offset), &block(1000));
        }
        assert!(cache.statistics().bytes <= limit);
        assert!(cache.statistics().bytes > limit / 2);
        cache.insert((2, 0), &block(200_000));
        assert!(cache.get((2, 0)).is_none());
    }

    #[test]
    fn what_is_asked_for_again_outlives_a_scan() {
        let cache = BlockCache::new(100_000);
        for offset in 0..64 {
            cache.insert((1, offset), &block(1000));
            assert!(cache.get((1, offset)).is_some());
        }
        for offset in 0..400 {
            cache.insert((2, offset), &block(1000));
            for kept in 0..64 {
                cache.get((1, kept));
            }
        }
        let kept = (0..64)
            .filter(|offset| cache.get((1, *offset)).is_some())
            .count();
        assert!(kept > 56, "{kept}");
    }
}
