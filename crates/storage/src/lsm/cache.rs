//! The block cache: decompressed, verified blocks of tables, shared by all of a store's.
//!
//! Sharded, and CLOCK within a shard: a block comes in unmarked, a hit marks it, and the hand
//! evicts unmarked blocks, so that what a scan touches once leaves before what is asked for
//! again. A hit takes a shared lock and sets a bit.
//!
//! A part of the cache's memory is for blocks that tables keep themselves, so that looking at them
//! costs no more than a look at memory ([`super::kept`]), and a part for what scans read
//! ahead ([`super::block_reader`]). How much there is of it changes from one moment to the next, as
//! the page cache has a claim on it too ([`crate::caches`]): where it comes to less, tables give up
//! what they keep, the ones that have kept something the longest first.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use super::{block::Block, buffers::Buffers, kept::Kept};
use crate::{
    caches::{Cache, Caches, Sharing},
    pins,
    sync::{Mutex, RwLock},
};

const MAX_SHARDS: usize = 16;
/// Bytes that a shard should have at least.
const SHARD_BYTES: usize = 256 << 10;

/// One byte of so many may be of blocks that tables keep, and of what is read ahead.
const KEPT: usize = 2;
const LENT: usize = 4;
/// Tables give something up where they keep more than their part and one byte of so many beyond it:
/// the limit goes up and down a little all the time.
const SLACK: usize = 8;
/// A block larger than one byte of so many is not worth all that would leave for it.
const LARGEST: usize = 4;

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
    /// Whose memory all of it is.
    caches: Arc<Caches>,
    /// Bytes of blocks that tables keep.
    kept: AtomicUsize,
    /// The memory of blocks that have left, for the next ones.
    buffers: Buffers,
    /// The tables that may keep some.
    keepers: Mutex<Keepers>,
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
        let more = bytes.saturating_sub(self.bytes);
        if self.cache.take(&self.cache.lent, LENT, more) {
            self.bytes += more;
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.cache.lent.fetch_sub(self.bytes, Ordering::Relaxed);
        self.cache.caches.give(Cache::Blocks, self.bytes);
    }
}

/// Counters of a block cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockStatistics {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) filtered: u64,
    pub(super) bytes: usize,
}

/// Tables that keep blocks, the one that has begun with it first.
#[derive(Debug, Default)]
struct Keepers {
    tables: VecDeque<Weak<Kept>>,
    /// How many there are when those that are gone are cleared out next.
    clear_at: usize,
}

/// Bytes that a block counts for.
pub(super) fn cost(block: &Block) -> usize {
    block.memory() + OVERHEAD
}

/// What is remembered of a block that has left.
fn thing(key: BlockKey) -> u64 {
    key.0.rotate_left(40) ^ key.1
}

impl BlockCache {
    /// An empty cache in memory that it shares.
    pub(super) fn new(caches: &Arc<Caches>) -> Arc<BlockCache> {
        let shards = (caches.allowance() / SHARD_BYTES).clamp(1, MAX_SHARDS);
        let cache = Arc::new(BlockCache {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            counters: std::array::from_fn(|_| CachePadded::default()),
            caches: Arc::clone(caches),
            kept: AtomicUsize::new(0),
            buffers: Buffers::default(),
            keepers: Mutex::default(),
            lent: AtomicUsize::new(0),
        });
        let weak: Weak<BlockCache> = Arc::downgrade(&cache);
        caches.join(Cache::Blocks, weak);
        cache
    }

    /// Where the memory for blocks comes from.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Bytes that the cache may come to.
    fn limit(&self) -> usize {
        self.caches.limit(Cache::Blocks)
    }

    #[inline]
    fn counters(&self) -> &Counters {
        &self.counters[pins::home() % COUNTERS]
    }

    #[inline]
    fn place(&self, key: BlockKey) -> usize {
        let mut hasher = PlaceHasher::default();
        hasher.write_u64(key.0);
        hasher.write_u64(key.1);
        (hasher.finish() >> 48) as usize % self.shards.len()
    }

    #[inline]
    fn shard(&self, key: BlockKey) -> &RwLock<Shard> {
        &self.shards[self.place(key)]
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
                drop(shard);
                self.counters().misses.fetch_add(1, Ordering::Relaxed);
                self.caches.note_missed(Cache::Blocks, thing(key));
                None
            }
        }
    }

    /// Keeps `block`, unless it is too large for the cache.
    pub(super) fn insert(&self, key: BlockKey, block: &Arc<Block>) {
        let cost = cost(block);
        if cost > self.limit() / LARGEST || !self.reserve(cost, self.place(key)) {
            self.note_refused(key);
            return;
        }
        let mut shard = self.shard(key).write();
        if shard.places.contains_key(&key) {
            drop(shard);
            self.caches.give(Cache::Blocks, cost);
            return;
        }
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

    /// Counts `bytes` more: of what is free, of what pages have beyond their share, or of blocks
    /// that leave for them, those of shard `first` before others. False where that cannot be had.
    fn reserve(&self, bytes: usize, first: usize) -> bool {
        let caches = &self.caches;
        if caches.try_take(Cache::Blocks, bytes) {
            return true;
        }
        caches.make_way(Cache::Blocks, bytes);
        // As long as pages cannot leave, there is no room even without any block.
        if caches.used_by(Cache::Pages).saturating_add(bytes) > caches.allowance() {
            return false;
        }
        if self.kept_beyond() > 0 {
            self.have_kept_given_up(bytes);
        }
        for number in 0..self.shards.len() {
            let at = (first + number) % self.shards.len();
            loop {
                if caches.try_take(Cache::Blocks, bytes) {
                    return true;
                }
                if self.evict(at).is_none() {
                    break;
                }
            }
        }
        false
    }

    /// Bytes that tables keep beyond their part, and a little more.
    fn kept_beyond(&self) -> usize {
        let limit = self.limit();
        let most = limit / KEPT + limit / SLACK;
        self.kept.load(Ordering::Relaxed).saturating_sub(most)
    }

    /// Drops a block of a shard, and answers what it counted for; `None` where there is none.
    fn evict(&self, shard: usize) -> Option<usize> {
        let evicted = self.shards[shard].write().evict();
        let Slot { key, block, .. } = evicted?;
        let cost = cost(&block);
        self.caches.give(Cache::Blocks, cost);
        self.caches.note_departed(Cache::Blocks, thing(key));
        if let Some(block) = Arc::into_inner(block) {
            self.buffers.give(block.into_buffer());
        }
        Some(cost)
    }

    /// Has tables give up `bytes` of what they keep, or a little more; how many they have.
    fn have_kept_given_up(&self, bytes: usize) -> usize {
        let mut freed = 0;
        // As many as there are, lest somebody adds new ones without end.
        let most = self.keepers.lock().tables.len();
        for _ in 0..most {
            let keeper = self.keepers.lock().tables.pop_front();
            if let Some(kept) = keeper.and_then(|keeper| keeper.upgrade()) {
                let released = kept.give_up();
                self.note_released(released);
                freed += released;
            }
            if freed >= bytes {
                break;
            }
        }
        freed
    }

    /// Says that a table keeps a block, the first since it gave up what it kept.
    pub(super) fn note_keeper(&self, kept: &Arc<Kept>) {
        let mut keepers = self.keepers.lock();
        if keepers.tables.len() >= keepers.clear_at {
            keepers.tables.retain(|table| table.strong_count() > 0);
            keepers.clear_at = 2 * keepers.tables.len() + 16;
        }
        keepers.tables.push_back(Arc::downgrade(kept));
    }

    /// Whether a table may keep `block`, which is here or not, itself. From then on it counts as kept,
    /// until [`BlockCache::note_released`].
    pub(super) fn may_keep(&self, key: BlockKey, block: &Block) -> bool {
        let cost = cost(block);
        if !self.count(&self.kept, KEPT, cost) {
            return false;
        }
        // There it is no more, or was not.
        let removed = self.shard(key).write().remove(key);
        self.caches.give(Cache::Blocks, removed);
        let may = self.reserve(cost, self.place(key));
        if !may {
            self.kept.fetch_sub(cost, Ordering::Relaxed);
        }
        may
    }

    /// Counts more bytes as `used`, of which one in `part` of the limit may be; false where there is
    /// no room.
    fn count(&self, used: &AtomicUsize, part: usize, bytes: usize) -> bool {
        let most = self.limit() / part;
        let counted = used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used + bytes).filter(|used| *used <= most)
        });
        counted.is_ok()
    }

    /// As [`BlockCache::count`], of memory that is taken too.
    fn take(&self, used: &AtomicUsize, part: usize, bytes: usize) -> bool {
        if !self.count(used, part, bytes) {
            return false;
        }
        let taken = self.reserve(bytes, 0);
        if !taken {
            used.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// Memory for what is read ahead, if there is any.
    pub(super) fn lend(cache: &Arc<BlockCache>, bytes: usize) -> Option<Loan> {
        cache.take(&cache.lent, LENT, bytes).then(|| Loan {
            cache: Arc::clone(cache),
            bytes,
        })
    }

    /// Whether a block of that length could be kept without another one leaving for it.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let used = self.caches.used_by(Cache::Blocks);
        used + len + OVERHEAD <= self.limit()
    }

    /// Says that a block at `key` was not kept, as others would have had to leave for it.
    pub(super) fn note_refused(&self, key: BlockKey) {
        self.caches.note_departed(Cache::Blocks, thing(key));
    }

    /// Says that blocks are kept no more that counted for so many bytes.
    pub(super) fn note_released(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
        self.caches.give(Cache::Blocks, bytes);
    }

    /// Says that a table takes so many bytes as long as it is open.
    pub(super) fn note_opened(&self, bytes: usize) {
        self.caches.note_fixed(bytes);
    }

    /// Says that it is open no more.
    pub(super) fn note_closed(&self, bytes: usize) {
        self.caches.note_unfixed(bytes);
    }

    /// Counts that a filter has spared a look into its table.
    #[inline]
    pub(super) fn note_filtered(&self) {
        self.counters().filtered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counters so far.
    pub(super) fn statistics(&self) -> BlockStatistics {
        let mut all = BlockStatistics {
            bytes: self.kept.load(Ordering::Relaxed) + self.lent.load(Ordering::Relaxed),
            ..BlockStatistics::default()
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

impl Sharing for BlockCache {
    fn shrink(&self, bytes: usize) {
        // What has left is counted here: others may come in meanwhile, without end.
        let mut freed = match self.kept_beyond() {
            0 => 0,
            beyond => self.have_kept_given_up(beyond),
        };
        // From all shards alike.
        let mut more = true;
        while more && freed < bytes {
            more = false;
            for shard in 0..self.shards.len() {
                if freed < bytes
                    && let Some(cost) = self.evict(shard)
                {
                    freed += cost;
                    more = true;
                }
            }
        }
        if freed < bytes {
            self.have_kept_given_up(bytes - freed);
        }
        // Somebody else needs the memory.
        self.buffers.shed();
    }
}

impl Shard {
    /// Removes the block at `key`, if it is here; how many bytes that were.
    fn remove(&mut self, key: BlockKey) -> usize {
        let at = self.places.remove(&key);
        let slot = at.and_then(|at| Some((at, self.slots[at].take()?)));
        let Some((at, slot)) = slot else { return 0 };
        let cost = cost(&slot.block);
        self.bytes -= cost;
        self.free.push(at);
        cost
    }

    /// Takes the first unmarked block from the hand on out; `None` where there is no block.
    fn evict(&mut self) -> Option<Slot> {
        // Two rounds: the first may unmark all.
        for _ in 0..2 * self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            let unmarked = slot.take_if(|slot| !slot.marked.swap(false, Ordering::Relaxed));
            if let Some(slot) = unmarked {
                self.places.remove(&slot.key);
                self.bytes -= cost(&slot.block);
                self.free.push(self.hand);
                return Some(slot);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::{block::Payload, kept::Role};

    fn block(len: usize) -> Arc<Block> {
        Arc::new(Block::filter(Payload::whole(vec![7; len].into())))
    }

    /// A cache of its own, for so many bytes.
    fn cache(limit: usize) -> Arc<BlockCache> {
        BlockCache::new(&Arc::new(Caches::new(limit, 4096)))
    }

    #[test]
    fn stays_within_its_limit() {
        let limit = MAX_SHARDS * SHARD_BYTES;
        let cache = cache(limit);
        for offset in 0..10_000 {
            cache.insert((1, offset), &block(1000));
            let bytes = cache.statistics().bytes;
            assert_eq!(bytes, cache.caches.used_by(Cache::Blocks));
            assert!(bytes <= limit);
        }
        assert!(cache.statistics().bytes > limit / 2);
        cache.insert((2, 0), &block(2 << 20));
        assert!(cache.get((2, 0)).is_none());
    }

    /// Keeps blocks with a table, until the cache says no; how many.
    fn keep_all(cache: &Arc<BlockCache>, number: u64, kept: &Arc<Kept>, one: &Arc<Block>) -> usize {
        for part in 0.. {
            let key = (number, part as u64);
            cache.insert(key, one);
            if !cache.may_keep(key, one) {
                return part;
            }
            assert!(cache.get(key).is_none(), "it is there once");
            assert!(kept.keep(part, Role::Filter, one));
            if kept.is_unknown() {
                cache.note_keeper(kept);
            }
        }
        0
    }

    #[test]
    fn what_tables_keep_counts() {
        let limit = MAX_SHARDS * SHARD_BYTES;
        let cache = cache(limit);
        let one = block(10_000);
        let table = Arc::new(Kept::new(1000));
        let kept = keep_all(&cache, 1, &table, &one);
        assert!((limit / KEPT - kept * cost(&one)) < cost(&one));
        for offset in 0..2_000 {
            cache.insert((2, offset), &one);
        }
        let full = cache.statistics().bytes;
        assert!(full <= limit && full > limit / 4 * 3, "{full}");
        assert!(table.look().get(0, Role::Filter).is_some());
        assert!(table.look().get(0, Role::Index).is_none());
        cache.note_released(table.give_up());
        assert!(table.look().get(0, Role::Filter).is_none());
        assert_eq!(cache.kept.load(Ordering::Relaxed), 0);
        for offset in 0..2_000 {
            cache.insert((3, offset), &one);
        }
        assert!(cache.statistics().bytes > limit / 4 * 3);
    }

    /// Where pages come to need the memory, tables give up what they keep: the one that has kept
    /// something the longest first, and all of them where that is needed.
    #[test]
    fn tables_give_up_what_they_keep() {
        let limit = MAX_SHARDS * SHARD_BYTES;
        let cache = cache(limit);
        let one = block(10_000);
        let tables: Vec<_> = (0..4).map(|_| Arc::new(Kept::new(50))).collect();
        for (number, table) in tables.iter().enumerate() {
            for part in 0..50 {
                assert!(cache.may_keep((number as u64, part as u64), &one));
                assert!(table.keep(part, Role::Index, &one));
                if table.is_unknown() {
                    cache.note_keeper(table);
                }
            }
        }
        let holds = || {
            let holds = |table: &Arc<Kept>| table.look().get(49, Role::Index).is_some();
            tables.iter().map(holds).collect::<Vec<_>>()
        };
        assert_eq!(holds(), [true; 4]);
        let bytes = cache.statistics().bytes;
        assert_eq!(bytes, 200 * cost(&one));
        cache.shrink(1);
        assert_eq!(holds(), [false, true, true, true]);
        assert_eq!(cache.statistics().bytes, 150 * cost(&one));
        // One that is gone counts no more, and is not asked.
        cache.note_released(tables[1].give_up());
        assert_eq!(cache.statistics().bytes, 100 * cost(&one));
        cache.shrink(60 * cost(&one));
        assert_eq!(holds(), [false; 4]);
        assert_eq!(cache.statistics().bytes, 0);
        assert_eq!(cache.caches.used_by(Cache::Blocks), 0);
        // They may keep blocks again, and are known again.
        assert!(cache.may_keep((3, 0), &one));
        assert!(tables[3].keep(0, Role::Filter, &one) && tables[3].is_unknown());
    }

    #[test]
    fn what_is_asked_for_again_outlives_a_scan() {
        let cache = cache(100_000);
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
