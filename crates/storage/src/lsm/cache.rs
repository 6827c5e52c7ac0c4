//! The block cache: decompressed, verified blocks of tables, shared by all of a store's.
//!
//! Sharded, and CLOCK within a shard: a block comes in unmarked, a hit marks it, and the hand
//! evicts unmarked blocks, so that what a scan touches once leaves before what is asked for
//! again. A hit takes a shared lock and sets a bit.
//!
//! A part of the cache's memory is for blocks that tables keep themselves, so that looking at them
//! costs no more than a look at memory ([`super::partitions`]), and a part for what scans read
//! ahead ([`super::block_reader`]).

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use crossbeam_utils::CachePadded;
use parking_lot::RwLock;

use super::block::Block;
use crate::pins;

const MAX_SHARDS: usize = 16;
/// Bytes that a shard should have at least.
const SHARD_BYTES: usize = 256 << 10;

/// One byte of so many may be of blocks that tables keep, and of what is read ahead.
const KEPT: usize = 2;
const LENT: usize = 4;

/// Counters that threads are spread over.
const COUNTERS: usize = 16;

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

/// Counted by some of the threads, so that they do not meet there.
#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    filtered: AtomicU64,
}

/// Blocks of tables in memory.
#[derive(Debug)]
pub(crate) struct BlockCache {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    counters: [CachePadded<Counters>; COUNTERS],
    /// Bytes for everything.
    limit: usize,
    /// Bytes of blocks that tables keep.
    kept: AtomicUsize,
    /// Bytes of what is read ahead.
    lent: AtomicUsize,
}

/// Memory that a scan has from the cache, until it is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    cache: Arc<BlockCache>,
    bytes: usize,
}

impl Loan {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it larger, if there is memory for that.
    pub(super) fn grow_to(&mut self, bytes: usize) {
        if self.cache.take(&self.cache.lent, LENT, bytes - self.bytes) {
            self.bytes = bytes;
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.cache.lent.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
    block.memory() + OVERHEAD
}

impl BlockCache {
    /// An empty cache for at most `limit` bytes.
    pub(super) fn new(limit: usize) -> BlockCache {
        let shards = (limit / SHARD_BYTES).clamp(1, MAX_SHARDS);
        BlockCache {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            counters: std::array::from_fn(|_| CachePadded::default()),
            limit,
            kept: AtomicUsize::new(0),
            lent: AtomicUsize::new(0),
        }
    }

    /// Bytes that a shard may hold now.
    fn shard_limit(&self) -> usize {
        let elsewhere = self.kept.load(Ordering::Relaxed) + self.lent.load(Ordering::Relaxed);
        self.limit.saturating_sub(elsewhere) / self.shards.len()
    }

    #[inline]
    fn counters(&self) -> &Counters {
        &self.counters[pins::home() % COUNTERS]
    }

    #[inline]
    fn shard(&self, key: BlockKey) -> &RwLock<Shard> {
        let mut hasher = PlaceHasher::default();
        hasher.write_u64(key.0);
        hasher.write_u64(key.1);
        &self.shards[(hasher.finish() >> 48) as usize % self.shards.len()]
    }

    /// The block at `key`, if it is here.
    #[inline]
    pub(super) fn get(&self, key: BlockKey) -> Option<Arc<Block>> {
        let shard = self.shard(key).read();
        let at = shard.places.get(&key);
        match at.and_then(|at| shard.slots.get(*at)?.as_ref()) {
            Some(slot) => {
                // Storing only where needed keeps the line shared.
                if !slot.marked.load(Ordering::Relaxed) {
                    slot.marked.store(true, Ordering::Relaxed);
                }
                self.counters().hits.fetch_add(1, Ordering::Relaxed);
                Some(Arc::clone(&slot.block))
            }
            None => {
                self.counters().misses.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Keeps `block`, unless it is too large for the cache.
    pub(super) fn insert(&self, key: BlockKey, block: &Arc<Block>) {
        let (cost, limit) = (cost(block), self.shard_limit());
        if cost > limit / 2 {
            return;
        }
        let mut shard = self.shard(key).write();
        if shard.places.contains_key(&key) {
            return;
        }
        while shard.bytes + cost > limit && shard.evict() {}
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

    /// Whether a table may keep `block`, which is here or not, itself. From then on it counts as kept,
    /// until [`BlockCache::note_released`].
    pub(super) fn may_keep(&self, key: BlockKey, block: &Block) -> bool {
        let may = self.take(&self.kept, KEPT, cost(block));
        if may {
            self.shard(key).write().remove(key);
        }
        may
    }

    /// Counts more bytes as `used`, of which one in `part` of the limit may be; false where there is
    /// no room.
    fn take(&self, used: &AtomicUsize, part: usize, bytes: usize) -> bool {
        let most = self.limit / part;
        let taken = used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used + bytes).filter(|used| *used <= most)
        });
        taken.is_ok()
    }

    /// Memory for what is read ahead, if there is any.
    pub(super) fn lend(cache: &Arc<BlockCache>, bytes: usize) -> Option<Loan> {
        cache.take(&cache.lent, LENT, bytes).then(|| Loan {
            cache: Arc::clone(cache),
            bytes,
        })
    }

    /// Whether a block of that length could be kept at `key` without another one leaving for it.
    pub(super) fn has_room(&self, key: BlockKey, len: usize) -> bool {
        self.shard(key).read().bytes + len + OVERHEAD <= self.shard_limit()
    }

    /// Says that `block` is kept no more.
    pub(super) fn note_released(&self, block: &Block) {
        self.kept.fetch_sub(cost(block), Ordering::Relaxed);
    }

    /// Counts that a filter has spared a look into its table.
    #[inline]
    pub(super) fn note_filtered(&self) {
        self.counters().filtered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counters so far.
    pub(super) fn statistics(&self) -> CacheStatistics {
        let mut all = CacheStatistics {
            bytes: self.kept.load(Ordering::Relaxed) + self.lent.load(Ordering::Relaxed),
            ..CacheStatistics::default()
        };
        for counters in &self.counters {
            all.hits += counters.hits.load(Ordering::Relaxed);
            all.misses += counters.misses.load(Ordering::Relaxed);
            all.filtered += counters.filtered.load(Ordering::Relaxed);
        }
        for shard in &self.shards {
            all.bytes += shard.read().bytes;
        }
        all
    }
}

impl Shard {
    fn remove(&mut self, key: BlockKey) {
        if let Some(at) = self.places.remove(&key)
            && let Some(slot) = self.slots[at].take()
        {
            self.bytes -= cost(&slot.block);
            self.free.push(at);
        }
    }

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
    use crate::lsm::block::Payload;

    fn block(len: usize) -> Arc<Block> {
        Arc::new(Block::filter(Payload::whole(vec![7; len].into())))
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
    fn what_tables_keep_counts() {
        let limit = MAX_SHARDS * SHARD_BYTES;
        let cache = BlockCache::new(limit);
        let one = block(10_000);
        let mut kept = 0;
        for offset in 0.. {
            let key = (1, offset);
            cache.insert(key, &one);
            if !cache.may_keep(key, &one) {
                break;
            }
            assert!(cache.get(key).is_none(), "it is there once");
            kept += 1;
        }
        assert!((limit / KEPT - kept * cost(&one)) < cost(&one));
        for offset in 0..2_000 {
            cache.insert((2, offset), &one);
        }
        let full = cache.statistics().bytes;
        assert!(full <= limit && full > limit / 4 * 3, "{full}");
        (0..kept).for_each(|_| cache.note_released(&one));
        for offset in 0..2_000 {
            cache.insert((3, offset), &one);
        }
        assert_eq!(cache.kept.load(Ordering::Relaxed), 0);
        assert!(cache.statistics().bytes > limit / 4 * 3);
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
