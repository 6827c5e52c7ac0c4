//! The frames that pages are cached in.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use super::{
    buffer::{Arena, PageBuffer},
    chunked::ChunkedArray,
    eviction::{self, EvictionPolicy},
    options::PageStoreOptions,
    store::PageId,
};
use crate::{
    caches::{Cache, Caches},
    sync::{Mutex, RwLock, RwLockWriteGuard, atomic::AtomicU64},
};

/// The fewest frames a pool works with, however small its limit.
const LEAST_FRAMES: usize = 8;
/// Buffers without a page that are kept for the next ones, at most.
const MOST_SPARE: usize = 256;

/// A place for one page. The latch is the pin: a held frame is not evicted.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Frame {
    /// Protects what the frame holds.
    pub(super) latch: RwLock<Body>,
    /// The epoch in which the page was changed and to whose checkpoint the image belongs; 0
    /// where the page is as on disk. Changed only under the page's stripe lock.
    pub(super) dirty_epoch: AtomicU64,
    /// Accesses so far, roughly: racing increments may be lost, which harms nobody.
    accesses: AtomicU32,
}

/// What a frame holds.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The page, or 0 for none.
    pub(super) page: PageId,
    /// Room for the image header, then the payload. Empty where there is no page.
    pub(super) buffer: PageBuffer,
}

impl Frame {
    /// Counts an access.
    #[inline]
    pub(super) fn touch(&self) {
        let accesses = self.accesses.load(Ordering::Relaxed);
        self.accesses
            .store(accesses.wrapping_add(1), Ordering::Relaxed);
    }

    /// The image of `epoch` has been written. Where the page has been changed since, it stays
    /// dirty. Called under the page's shard lock.
    pub(super) fn mark_clean(&self, epoch: u64) {
        let _ = self
            .dirty_epoch
            .compare_exchange(epoch, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn accesses(&self) -> u32 {
        self.accesses.load(Ordering::Relaxed)
    }
}

/// All frames of a store and the memory they take.
#[derive(Debug)]
pub(super) struct Pool {
    frames: ChunkedArray<Frame>,
    /// Frames made so far.
    made: AtomicU32,
    /// Frames without a buffer.
    empty: Mutex<Vec<u32>>,
    /// Page buffers in use: in frames and set aside for a checkpoint.
    buffers: AtomicUsize,
    /// Buffers that pages have left, for the next pages. An allocator that keeps memory by thread
    /// would hold each page twice in the end: where it was made, and where another took its place.
    spare: Mutex<Vec<PageBuffer>>,
    /// Where buffers lie side by side, if they do.
    arena: Option<Arc<Arena>>,
    /// Whose memory they are.
    caches: Arc<Caches>,
    policy: Mutex<Box<dyn EvictionPolicy>>,
    page_size: usize,
}

impl Pool {
    /// A pool of about `cache_bytes`.
    pub(super) fn new(options: &PageStoreOptions) -> Pool {
        let page_size = options.page_size.bytes();
        let own = options.cache_bytes.max(LEAST_FRAMES * page_size);
        let arena = options.huge_pages.then(|| Arc::new(Arena::new(page_size)));
        Pool {
            frames: ChunkedArray::new(),
            made: AtomicU32::new(0),
            empty: Mutex::default(),
            buffers: AtomicUsize::new(0),
            spare: Mutex::default(),
            arena,
            caches: Arc::new(Caches::new(own, page_size)),
            policy: Mutex::new(eviction::policy(options.eviction)),
            page_size,
        }
    }

    /// The frame of that index.
    #[inline]
    pub(super) fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index)
    }

    /// The memory that pages share with cached blocks of tables.
    pub(super) fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }

    /// Whether there is a buffer, or room for one.
    pub(super) fn has_room(&self) -> bool {
        self.buffers() < LEAST_FRAMES
            || self.caches.have_room(self.page_size)
            || !self.spare.lock().is_empty()
    }

    /// Has cached blocks make way for a page, where they take more than their share.
    pub(super) fn make_way(&self) {
        self.caches.make_way(Cache::Pages, self.page_size);
    }

    /// Frames the pool may fill now, if nobody else wants the memory.
    pub(super) fn limit(&self) -> usize {
        (self.caches.limit(Cache::Pages) / self.page_size).max(LEAST_FRAMES)
    }

    /// Buffers in memory that hold something.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Ordering::Relaxed)
    }

    /// A buffer with anything in it. Goes over the limit: making room is the caller's part.
    pub(super) fn take_buffer(&self) -> PageBuffer {
        let spare = self.spare.lock().pop();
        self.buffers.fetch_add(1, Ordering::Relaxed);
        spare.unwrap_or_else(|| {
            self.caches.take(Cache::Pages, self.page_size);
            let slot = self.arena.as_ref().and_then(Arena::take);
            slot.unwrap_or_else(|| PageBuffer::allocated(self.page_size))
        })
    }

    /// Takes a buffer back.
    pub(super) fn give_buffer(&self, buffer: PageBuffer) {
        self.buffers.fetch_sub(1, Ordering::Relaxed);
        // Spare ones are memory as others are.
        if self.caches.have_room(0) {
            let mut spare = self.spare.lock();
            if spare.len() < MOST_SPARE {
                spare.push(buffer);
                return;
            }
        }
        drop(buffer);
        self.caches.give(Cache::Pages, self.page_size);
    }

    /// Whether buffers lie in huge pages, as far as the system has them.
    pub(super) fn has_huge_pages(&self) -> bool {
        self.arena.is_some()
    }

    /// Frees up to `most` buffers that are spare; how many.
    pub(super) fn shed_spare(&self, most: usize) -> usize {
        let shed = {
            let mut spare = self.spare.lock();
            let kept = spare.len().saturating_sub(most);
            spare.split_off(kept)
        };
        // Not under the lock: freeing many takes a while.
        let count = shed.len();
        drop(shed);
        self.caches.give(Cache::Pages, count * self.page_size);
        count
    }

    /// A frame with a buffer, with anything in it, and without a page, exclusively held. Goes over
    /// the limit: making room is the caller's part.
    pub(super) fn take_empty(&self) -> (u32, &Frame, RwLockWriteGuard<'_, Body>) {
        let index = self.empty.lock().pop();
        let index = index.unwrap_or_else(|| self.made.fetch_add(1, Ordering::Relaxed));
        let frame = self
            .frames
            .get_or_grow(index, |bytes| self.caches.note_fixed(bytes));
        // At most somebody looks for the page that was here before, sees that it is gone and
        // lets go at once.
        let mut body = frame.latch.write();
        body.buffer = self.take_buffer();
        (index, frame, body)
    }

    /// Puts a frame without a page back, and its buffer away.
    pub(super) fn put_empty(&self, index: u32, mut body: RwLockWriteGuard<'_, Body>) {
        debug_assert_eq!(body.page, PageId(0));
        let buffer = std::mem::take(&mut body.buffer);
        drop(body);
        if !buffer.is_empty() {
            self.give_buffer(buffer);
        }
        self.empty.lock().push(index);
    }

    /// `frame` holds `page` now.
    pub(super) fn inserted(&self, index: u32, frame: &Frame, page: PageId) {
        frame.touch();
        self.policy.lock().insert(index, page.0, frame.accesses());
    }

    /// `page` had to be read.
    pub(super) fn missed(&self, page: PageId) {
        self.caches.note_missed(Cache::Pages, u64::from(page.0));
    }

    /// `page` has left for others.
    pub(super) fn departed(&self, page: PageId) {
        self.caches.note_departed(Cache::Pages, u64::from(page.0));
    }

    /// `frame` holds nothing any more.
    pub(super) fn removed(&self, index: u32) {
        self.policy.lock().remove(index);
    }

    /// A frame that may be evicted, where nobody holds it. It is out of the policy's care until
    /// [`Pool::keep`] or [`Pool::inserted`].
    pub(super) fn victim(&self) -> Option<u32> {
        let accesses = |index| self.frames.get(index).map_or(0, Frame::accesses);
        self.policy.lock().victim(&accesses)
    }

    /// The victim stays.
    pub(super) fn keep(&self, index: u32, page: PageId) {
        self.policy.lock().restore(index, page.0);
    }

    /// Accesses of all frames so far.
    pub(super) fn total_accesses(&self) -> u64 {
        (0..self.made.load(Ordering::Relaxed))
            .filter_map(|index| self.frames.get(index))
            .map(|frame| u64::from(frame.accesses()))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{EvictionPolicyKind, PageSize};

    fn pool(huge_pages: bool) -> Pool {
        Pool::new(&PageStoreOptions {
            page_size: PageSize::Kib1,
            cache_bytes: 64 << 10,
            eviction: EvictionPolicyKind::Clock,
            huge_pages,
            ..PageStoreOptions::default()
        })
    }

    /// Buffers go from page to page as long as the pool is within its limit; beyond it they are
    /// given up. Spare ones are counted.
    #[test]
    fn buffers_are_handed_on_within_the_limit() {
        for huge_pages in [false, true] {
            hands_on_within_the_limit(&pool(huge_pages));
        }
    }

    fn hands_on_within_the_limit(pool: &Pool) {
        let spare = || pool.spare.lock().len();
        let used = || pool.caches.used_by(Cache::Pages) >> 10;
        let mut taken: Vec<PageBuffer> = (0..pool.limit()).map(|_| pool.take_buffer()).collect();
        assert!(!pool.has_room());
        let mut give = |count| taken.drain(..count).for_each(|one| pool.give_buffer(one));
        give(40);
        assert_eq!((pool.buffers(), spare(), used()), (24, 40, 64));
        give(24);
        assert_eq!((pool.buffers(), spare(), used()), (0, 64, 64));
        taken.extend((0..70).map(|_| pool.take_buffer()));
        assert_eq!((pool.buffers(), spare(), used()), (70, 0, 70));
        taken.drain(..6).for_each(|one| pool.give_buffer(one));
        assert_eq!((pool.buffers(), spare(), used()), (64, 0, 64));
        taken.drain(..3).for_each(|one| pool.give_buffer(one));
        assert_eq!((pool.buffers(), spare(), used()), (61, 3, 64));
        assert_eq!((pool.shed_spare(2), pool.shed_spare(9)), (2, 1));
        assert_eq!((spare(), used()), (0, 61));
    }
}
