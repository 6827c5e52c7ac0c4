//! What the page cache and the block cache share: one allowance of memory, and who has how much
//! of it.
//!
//! As long as there is memory left of the allowance, each cache takes what it wants. When there is
//! none, a cache that wants more has it from the other, if that holds more than its *share*, and
//! else from itself: something of the one has left before something of the other comes in. The
//! two shares are the allowance, divided by a *boundary*, of which each cache has a little in any
//! case.
//!
//! The boundary moves by what a little more memory would have been worth. Each cache remembers
//! what has left it lately, about as much as half of the budget holds: a miss of something that is
//! remembered is one that more memory would have spared. When there have been enough of them,
//! the boundary moves a step towards the cache that had clearly fewer, and stays where it is
//! where the two are about alike. So memory is where a byte of it spares the most reads, and
//! caches that are equally in need do not take it from each other again and again.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use crossbeam_utils::CachePadded;

use crate::memory::{Borrower, MemoryBudget};

/// The boundary is a number of parts of the allowance, out of so many.
const PARTS: usize = 1024;
/// Parts that the boundary moves at once.
const STEP: usize = 16;
/// Parts that each cache has in any case.
const FLOOR: usize = 32;
/// Misses that more memory would have spared, at least, before the boundary moves: no fewer than
/// things leave a cache when it does.
const LEAST_SPARED: usize = 64;
/// How many times as many the one cache must have had of them as the other.
const CLEARLY: u32 = 2;
/// Bytes that one cache gives to the other at once, about.
const GIVEN: usize = 64 << 10;
/// Of the caches' own memory, what stays theirs whatever [`Caches::note_fixed`] says: one part in
/// this many.
const LEAST_OWN: usize = 4;
/// Bytes of what a cache remembers one thing for, if it is a block of a table.
const BLOCK: usize = 4 << 10;
/// The fewest things that are remembered.
const LEAST_REMEMBERED: usize = 64;

/// One of the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// The page cache.
    Pages,
    /// The block cache, with what tables keep and scans read ahead.
    Blocks,
}

impl Cache {
    const BOTH: [Cache; 2] = [Cache::Pages, Cache::Blocks];

    fn other(self) -> Cache {
        match self {
            Cache::Pages => Cache::Blocks,
            Cache::Blocks => Cache::Pages,
        }
    }
}

/// A cache, as the other one sees it.
pub(crate) trait Sharing: Send + Sync + std::fmt::Debug {
    /// Gives back `bytes` or a little more, as far as that goes. Waits for no latch: the caller may
    /// hold some.
    fn shrink(&self, bytes: usize);
}

/// What is known of one cache.
#[derive(Debug)]
struct Member {
    cache: OnceLock<Weak<dyn Sharing>>,
    used: CachePadded<AtomicUsize>,
    departed: Departed,
    /// Misses of what was remembered, since the boundary was looked at last.
    spared: AtomicU32,
}

impl Member {
    fn new(remembered: usize) -> Member {
        Member {
            cache: OnceLock::new(),
            used: CachePadded::new(AtomicUsize::new(0)),
            departed: Departed::new(remembered),
            spared: AtomicU32::new(0),
        }
    }
}

/// The memory of both caches.
#[derive(Debug)]
pub(crate) struct Caches {
    /// Bytes that the caches have in any case.
    own: usize,
    /// Whose memory they use beyond that, as far as it is free.
    lender: OnceLock<MemoryBudget>,
    /// Bytes of what the caches cannot give back.
    fixed: AtomicUsize,
    /// Bytes that both use.
    used: CachePadded<AtomicUsize>,
    pages: Member,
    blocks: Member,
    /// The block cache's parts of [`PARTS`].
    boundary: AtomicUsize,
    moves: AtomicU64,
}

/// How the memory for caches is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Bytes that cached pages and cached blocks of tables may take together now.
    pub limit: usize,
    /// Bytes of them that the page cache uses.
    pub page_bytes: usize,
    /// Bytes of them that the block cache uses.
    pub block_bytes: usize,
    /// Bytes that the page cache may insist on, however much the block cache would like to have;
    /// the rest of the limit is what the block cache may insist on.
    pub page_share: usize,
    /// How often the boundary between the two has moved.
    pub moves: u64,
    /// Bytes that maps of pages and open tables take beside the caches, which grow with the data.
    pub fixed_bytes: usize,
}

impl Caches {
    /// Caches for `own` bytes, of pages of that size among others.
    pub(crate) fn new(own: usize, page_size: usize) -> Caches {
        let pages = Member::new(own / page_size);
        let blocks = Member::new(own / BLOCK);
        let fixed = pages.departed.bytes() + blocks.departed.bytes();
        Caches {
            own,
            lender: OnceLock::new(),
            fixed: AtomicUsize::new(fixed),
            used: CachePadded::new(AtomicUsize::new(0)),
            pages,
            blocks,
            boundary: AtomicUsize::new(PARTS / 2),
            moves: AtomicU64::new(0),
        }
    }

    /// From now on `cache` is asked to make way for the other one.
    pub(crate) fn join(&self, which: Cache, cache: Weak<dyn Sharing>) {
        let _ = self.member(which).cache.set(cache);
    }

    /// Lets the caches use what is free of `budget`, until somebody reserves it.
    pub(crate) fn borrow_from(self: &Arc<Caches>, budget: &MemoryBudget) {
        let _ = self.lender.set(budget.clone());
        self.state_borrowed();
        let weak: Weak<Caches> = Arc::downgrade(self);
        budget.lend_to(weak);
    }

    fn member(&self, which: Cache) -> &Member {
        match which {
            Cache::Pages => &self.pages,
            Cache::Blocks => &self.blocks,
        }
    }

    /// Bytes that one cache uses.
    pub(crate) fn used_by(&self, which: Cache) -> usize {
        self.member(which).used.load(Ordering::Relaxed)
    }

    /// Bytes that both may use.
    pub(crate) fn allowance(&self) -> usize {
        let Some(lender) = self.lender.get() else {
            return self.own;
        };
        let fixed = self.fixed.load(Ordering::Relaxed);
        let rest = (self.own + lender.lendable()).saturating_sub(fixed);
        rest.max(self.own / LEAST_OWN)
    }

    /// What a cache may insist on.
    fn share(&self, which: Cache) -> usize {
        let allowance = self.allowance();
        let boundary = self.boundary.load(Ordering::Relaxed);
        let blocks = (allowance as u64 * boundary as u64 / PARTS as u64) as usize;
        match which {
            Cache::Blocks => blocks,
            Cache::Pages => allowance - blocks,
        }
    }

    /// Bytes that a cache can come to, without the other having to give up any of its share.
    pub(crate) fn limit(&self, which: Cache) -> usize {
        let rest = self.allowance().saturating_sub(self.used_by(which.other()));
        rest.max(self.share(which))
    }

    /// Whether `bytes` more are within the allowance.
    pub(crate) fn have_room(&self, bytes: usize) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        used.saturating_add(bytes) <= self.allowance()
    }

    /// Counts `bytes` more for a cache, if they are within the allowance.
    pub(crate) fn try_take(&self, which: Cache, bytes: usize) -> bool {
        let allowance = self.allowance();
        let taken = self
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= allowance)
            });
        if taken.is_err() {
            return false;
        }
        self.member(which).used.fetch_add(bytes, Ordering::Relaxed);
        self.state_borrowed();
        true
    }

    /// Counts `bytes` more for a cache, whether there is room or not.
    pub(crate) fn take(&self, which: Cache, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.member(which).used.fetch_add(bytes, Ordering::Relaxed);
        self.state_borrowed();
    }

    /// Counts `bytes` less for a cache.
    pub(crate) fn give(&self, which: Cache, bytes: usize) {
        self.member(which).used.fetch_sub(bytes, Ordering::Relaxed);
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.state_borrowed();
    }

    /// Counts bytes of maps that grow with the data: they are in memory as long as the data is
    /// there, and the caches have so much less.
    pub(crate) fn note_fixed(&self, bytes: usize) {
        self.fixed.fetch_add(bytes, Ordering::Relaxed);
        self.state_borrowed();
    }

    /// Says that bytes of [`Caches::note_fixed`] are gone.
    pub(crate) fn note_unfixed(&self, bytes: usize) {
        self.fixed.fetch_sub(bytes, Ordering::Relaxed);
        self.state_borrowed();
    }

    fn state_borrowed(&self) {
        if let Some(lender) = self.lender.get() {
            let all = self.used.load(Ordering::Relaxed) + self.fixed.load(Ordering::Relaxed);
            lender.set_borrowed(all.saturating_sub(self.own));
        }
    }

    /// Has the other cache make way for `bytes` of `which`, where it holds more than its share.
    /// Whether there is room is to be looked at afterwards.
    pub(crate) fn make_way(&self, which: Cache, bytes: usize) {
        let other = which.other();
        let beyond = self.used_by(other).saturating_sub(self.share(other));
        if beyond > 0 {
            // What has grown beside the caches is made way for here too, by who is to blame.
            let wanted = bytes.max(GIVEN).saturating_add(self.excess());
            self.shrink(other, beyond.min(wanted));
        }
    }

    fn shrink(&self, which: Cache, bytes: usize) {
        if let Some(cache) = self.member(which).cache.get().and_then(Weak::upgrade) {
            cache.shrink(bytes);
        }
    }

    fn excess(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        used.saturating_sub(self.allowance())
    }

    /// Remembers that `thing` has left a cache, or found no place in it.
    pub(crate) fn note_departed(&self, which: Cache, thing: u64) {
        self.member(which).departed.add(thing);
    }

    /// Says that `thing` was missed.
    pub(crate) fn note_missed(&self, which: Cache, thing: u64) {
        let member = self.member(which);
        if !member.departed.take(thing) {
            return;
        }
        let spared = member.spared.fetch_add(1, Ordering::Relaxed) + 1;
        let others = self.member(which.other()).spared.load(Ordering::Relaxed);
        if (spared + others) as usize >= self.decisive() {
            self.move_boundary();
        }
    }

    /// Misses after which the boundary is looked at.
    fn decisive(&self) -> usize {
        let step = self.allowance() / PARTS * STEP;
        (step / BLOCK).max(LEAST_SPARED)
    }

    fn move_boundary(&self) {
        let pages = self.pages.spared.swap(0, Ordering::Relaxed);
        let blocks = self.blocks.spared.swap(0, Ordering::Relaxed);
        // A boundary that nobody has come up to stays where it is, for the one who comes later.
        let is_held_back = |by: Cache, share: usize| self.used_by(by) > share;
        let part = self.allowance() / PARTS;
        let next = |boundary: usize| {
            let next = if pages > blocks.saturating_mul(CLEARLY) {
                let next = boundary.saturating_sub(STEP).max(FLOOR);
                is_held_back(Cache::Blocks, next * part).then_some(next)
            } else if blocks > pages.saturating_mul(CLEARLY) {
                let next = (boundary + STEP).min(PARTS - FLOOR);
                is_held_back(Cache::Pages, (PARTS - next) * part).then_some(next)
            } else {
                None
            };
            next.filter(|next| *next != boundary)
        };
        let moved = self
            .boundary
            .try_update(Ordering::Relaxed, Ordering::Relaxed, next);
        if moved.is_ok() {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Figures as of now.
    pub(crate) fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            limit: self.allowance(),
            page_bytes: self.used_by(Cache::Pages),
            block_bytes: self.used_by(Cache::Blocks),
            page_share: self.share(Cache::Pages),
            moves: self.moves.load(Ordering::Relaxed),
            fixed_bytes: self.fixed.load(Ordering::Relaxed),
        }
    }
}

impl Borrower for Caches {
    fn give_back(&self) {
        // Who holds more than its share first. Both shares are the allowance; but the one may hold
        // what it cannot give back, as pages that are being used.
        for which in Cache::BOTH {
            let beyond = self.used_by(which).saturating_sub(self.share(which));
            let wanted = self.excess().min(beyond);
            if wanted > 0 {
                self.shrink(which, wanted);
            }
        }
        let wanted = self.excess();
        if wanted > 0 {
            self.shrink(Cache::Blocks, wanted);
        }
    }
}

/// Things that have left a cache lately: as many as there are places, of which each holds a few bits
/// of the last one that came to it. What is remembered is forgotten by and by, and now and then one
/// thing is taken for another: both do no more than blur what is counted.
#[derive(Debug)]
struct Departed {
    places: Box<[AtomicU32]>,
}

impl Departed {
    fn new(things: usize) -> Departed {
        let places = things.max(LEAST_REMEMBERED);
        Departed {
            places: (0..places).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// The place of a thing, and its mark, which is not 0.
    fn place(&self, thing: u64) -> (&AtomicU32, u32) {
        // Numbers that follow each other are spread.
        let mixed = (thing ^ (thing >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let at = ((mixed >> 32) * self.places.len() as u64) >> 32;
        (&self.places[at as usize], mixed as u32 | 1)
    }

    fn add(&self, thing: u64) {
        let (place, mark) = self.place(thing);
        place.store(mark, Ordering::Relaxed);
    }

    /// Whether `thing` is remembered; not any more then.
    fn take(&self, thing: u64) -> bool {
        let (place, mark) = self.place(thing);
        let is_there = place.load(Ordering::Relaxed) == mark;
        if is_there {
            place.store(0, Ordering::Relaxed);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use parking_lot::Mutex;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    use super::*;

    const OWN: usize = 1 << 20;
    /// What is cached takes so much, so that it is remembered as long as the allowance is large.
    const THING: usize = BLOCK;

    /// A cache of equal things, of which the oldest leaves first.
    #[derive(Debug)]
    struct Queue {
        caches: Arc<Caches>,
        which: Cache,
        things: Mutex<VecDeque<u64>>,
    }

    impl Sharing for Queue {
        fn shrink(&self, bytes: usize) {
            for _ in 0..bytes.div_ceil(THING) {
                self.evict();
            }
        }
    }

    impl Queue {
        fn new(caches: &Arc<Caches>, which: Cache) -> Arc<Queue> {
            let queue = Arc::new(Queue {
                caches: Arc::clone(caches),
                which,
                things: Mutex::default(),
            });
            let weak: Weak<Queue> = Arc::downgrade(&queue);
            caches.join(which, weak);
            queue
        }

        fn evict(&self) -> bool {
            let Some(thing) = self.things.lock().pop_front() else {
                return false;
            };
            self.caches.give(self.which, THING);
            self.caches.note_departed(self.which, thing);
            true
        }

        /// Looks for a thing, and brings it in where it is missing; whether it was there.
        fn get(&self, thing: u64) -> bool {
            if self.things.lock().contains(&thing) {
                return true;
            }
            self.caches.note_missed(self.which, thing);
            if !self.caches.have_room(THING) {
                self.caches.make_way(self.which, THING);
            }
            while !self.caches.try_take(self.which, THING) {
                if !self.evict() {
                    return false;
                }
            }
            self.things.lock().push_back(thing);
            false
        }

        /// Reads `count` of so many things, any of them; how many were there.
        fn read(&self, random: &mut fastrand::Rng, things: u64, count: u32) -> u32 {
            (0..count)
                .map(|_| u32::from(self.get(random.u64(..things))))
                .sum()
        }
    }

    fn two() -> (Arc<Caches>, MemoryBudget, Arc<Queue>, Arc<Queue>) {
        let caches = Arc::new(Caches::new(OWN, THING));
        let budget = MemoryBudget::new(OWN);
        caches.borrow_from(&budget);
        let pages = Queue::new(&caches, Cache::Pages);
        let blocks = Queue::new(&caches, Cache::Blocks);
        (caches, budget, pages, blocks)
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Read {
            blocks: bool,
            things: u16,
            count: u16,
        },
        Reserve(u32),
        GiveBack,
        Grow(u16),
        Shrink,
    }

    impl Arbitrary for Step {
        fn arbitrary(g: &mut Gen) -> Step {
            match u8::arbitrary(g) % 8 {
                0 => Step::Reserve(u32::arbitrary(g) % (OWN as u32 + 9)),
                1 => Step::GiveBack,
                2 => Step::Grow(u16::arbitrary(g)),
                3 => Step::Shrink,
                _ => Step::Read {
                    blocks: bool::arbitrary(g),
                    things: u16::arbitrary(g) % 1000,
                    count: u16::arbitrary(g) % 2000,
                },
            }
        }
    }

    quickcheck! {
        /// Whatever is read, reserved and given back: both caches and what is reserved are within the
        /// budget at any moment, a reservation fails only where the rest of the budget is not enough,
        /// and neither cache is below its floor because of the other.
        fn all_of_it_is_within_the_budget(seed: u64, steps: Vec<Step>) -> bool {
            let mut random = fastrand::Rng::with_seed(seed);
            let (caches, budget, pages, blocks) = two();
            let (mut held, mut grown) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Read { blocks: of_blocks, things, count } => {
                        let cache = if of_blocks { &blocks } else { &pages };
                        for _ in 0..count {
                            cache.get(random.u64(..u64::from(things) + 1));
                            assert!(caches.used.load(Ordering::Relaxed) <= caches.allowance());
                        }
                        let reads = usize::from(things.min(count));
                        let floor = caches.allowance() / PARTS * FLOOR;
                        assert!(reads < 900 || caches.used_by(cache.which) + THING >= floor);
                    }
                    Step::Reserve(bytes) => {
                        let free = budget.limit() - budget.used();
                        let reserved = budget.reserve(bytes as usize, "a test");
                        assert_eq!(reserved.is_ok(), bytes as usize <= free);
                        held.extend(reserved.ok());
                    }
                    Step::GiveBack => drop(held.pop()),
                    Step::Grow(bytes) => {
                        caches.note_fixed(bytes.into());
                        grown.push(bytes);
                        // Whoever reserves something next finds it out.
                        drop(budget.reserve(0, "a test"));
                    }
                    Step::Shrink => {
                        if let Some(bytes) = grown.pop() {
                            caches.note_unfixed(bytes.into());
                        }
                    }
                }
                let both = caches.used_by(Cache::Pages) + caches.used_by(Cache::Blocks);
                assert_eq!(both, caches.used.load(Ordering::Relaxed));
                assert!(both <= caches.allowance(), "{both}");
                let fixed = caches.fixed.load(Ordering::Relaxed);
                let beyond = fixed.saturating_sub(OWN * 3 / 4);
                assert!(both + fixed + budget.used() <= 2 * OWN + beyond);
                assert_eq!(
                    caches.share(Cache::Pages) + caches.share(Cache::Blocks),
                    caches.allowance()
                );
            }
            true
        }
    }

    /// Each of two caches has all there is as long as the other wants nothing, and half of it from
    /// the moment on that the other does.
    #[test]
    fn what_one_does_not_use_the_other_does() {
        let mut random = fastrand::Rng::with_seed(1);
        let (caches, _budget, pages, blocks) = two();
        let allowance = caches.allowance();
        blocks.read(&mut random, 5000, 9000);
        assert!(caches.used_by(Cache::Blocks) + THING > allowance);
        assert_eq!(caches.moves.load(Ordering::Relaxed), 0);
        let things = (allowance / THING / 4) as u64;
        for thing in 0..things {
            pages.get(thing);
        }
        assert_eq!(caches.used_by(Cache::Pages), things as usize * THING);
        let left = caches.used_by(Cache::Blocks);
        assert!(left + GIVEN + THING > allowance * 3 / 4, "{left}");
    }

    /// The boundary goes where more memory spares more reads, comes back with the need, and stays
    /// where both are in need alike.
    #[test]
    fn the_boundary_follows_the_need() {
        let mut random = fastrand::Rng::with_seed(2);
        let (caches, _budget, pages, blocks) = two();
        let things = (caches.allowance() / THING) as u64;
        // Ten reads of one cache to one of the other, each of more than fits.
        let mut run = |often: &Queue, seldom: &Queue, rounds: u32| {
            let mut hits = 0;
            for _ in 0..rounds {
                hits += often.read(&mut random, things, 10);
                seldom.read(&mut random, things, 1);
            }
            (hits, caches.statistics())
        };
        let (_, before) = run(&blocks, &pages, 100);
        let (_, now) = run(&blocks, &pages, 5000);
        assert!(now.moves > before.moves, "{now:?}");
        let floor = now.limit / PARTS * FLOOR;
        assert!(
            now.page_share < now.limit / 8 && now.page_share >= floor,
            "{now:?}"
        );
        assert!(now.block_bytes > now.limit * 7 / 8, "{now:?}");
        let (hits, now) = run(&blocks, &pages, 1000);
        assert!(hits > 8000, "{hits} {now:?}");
        // And back.
        let (_, now) = run(&pages, &blocks, 5000);
        assert!(now.page_share > now.limit * 7 / 8, "{now:?}");
        let (hits, now) = run(&pages, &blocks, 1000);
        assert!(hits > 8000, "{hits} {now:?}");
        // Both alike.
        for _ in 0..3000 {
            pages.read(&mut random, things, 10);
            blocks.read(&mut random, things, 10);
        }
        let before = caches.statistics();
        for _ in 0..3000 {
            pages.read(&mut random, things, 10);
            blocks.read(&mut random, things, 10);
        }
        let now = caches.statistics();
        assert!(now.moves - before.moves < 10, "{before:?} {now:?}");
        let middle = now.limit / 4..now.limit * 3 / 4;
        assert!(middle.contains(&now.page_share), "{now:?}");
    }

    #[test]
    fn what_has_left_is_remembered() {
        let departed = Departed::new(1000);
        (0..100).for_each(|thing| departed.add(thing));
        let known = (0..100).filter(|thing| departed.take(*thing)).count();
        assert!(known > 85, "{known}");
        assert!((0..100).all(|thing| !departed.take(thing)));
        assert!((5000..9000).all(|thing| !departed.take(thing)));
    }

    /// Maps may be larger than all that could be lent: the caches keep something to work with.
    #[test]
    fn the_caches_keep_a_part_of_their_own() {
        let (caches, budget, pages, _blocks) = two();
        caches.note_fixed(9 * OWN);
        assert_eq!(caches.allowance(), OWN / LEAST_OWN);
        assert!(!pages.get(1) && pages.get(1));
        assert!(budget.reserve(OWN, "a test").is_ok());
        caches.note_unfixed(9 * OWN);
        assert!(caches.allowance() > OWN);
    }
}
