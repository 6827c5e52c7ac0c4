//! The frames that pages are cached in.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::{
    buffer::{Arena, PageBuffer},
    chunked::ChunkedArray,
    eviction::{self, EvictionPolicy},
    options::PageStoreOptions,
    store::PageId,
};
use crate::memory::MemoryBudget;

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
    /// Buffers that there may always be.
    own: usize,
    /// Whose memory holds more of them, as far as it is free.
    lender: OnceLock<MemoryBudget>,
    policy: Mutex<Box<dyn EvictionPolicy>>,
    page_size: usize,
}

impl Pool {
    /// A pool of about `cache_bytes`.
    pub(super) fn new(options: &PageStoreOptions) -> Pool {
        let page_size = options.page_size.bytes();
        let own = (options.cache_bytes / page_size).max(LEAST_FRAMES);
        let arena = options.huge_pages.then(|| Arc::new(Arena::new(page_size)));
        Pool {
            frames: ChunkedArray::new(),
            made: AtomicU32::new(0),
            empty: Mutex::default(),
            buffers: AtomicUsize::new(0),
            spare: Mutex::default(),
            arena,
            own,
            lender: OnceLock::new(),
            policy: Mutex::new(eviction::policy(options.eviction, own)),
            page_size,
        }
    }

    /// The frame of that index.
    #[inline]
    pub(super) fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index)
    }

    /// Whether another buffer stays within the limit.
    pub(super) fn has_room(&self) -> bool {
        let buffers = self.buffers.load(Ordering::Relaxed);
        buffers < self.own || buffers < self.limit()
    }

    /// Frames the pool may fill now.
    pub(super) fn limit(&self) -> usize {
        let lent = self.lender.get().map_or(0, MemoryBudget::lendable);
        self.own + lent / self.page_size
    }

    /// Lets the pool use what is free of `budget`.
    pub(super) fn borrow_from(&self, budget: &MemoryBudget) {
        let _ = self.lender.set(budget.clone());
        self.state_buffers(self.buffers());
    }

    fn state_buffers(&self, buffers: usize) {
        if let Some(lender) = self.lender.get() {
            lender.set_borrowed(buffers.saturating_sub(self.own) * self.page_size);
        }
    }

    /// Buffers in memory.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Ordering::Relaxed)
    }

    /// A buffer with anything in it. Goes over the limit: making room is the caller's part.
    pub(super) fn take_buffer(&self) -> PageBuffer {
        let spare = self.spare.lock().pop();
        let buffer = spare
            .or_else(|| self.arena.as_ref()?.take())
            .unwrap_or_else(|| PageBuffer::allocated(self.page_size));
        let before = self.buffers.fetch_add(1, Ordering::Relaxed);
        self.state_buffers(before + 1);
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give_buffer(&self, buffer: PageBuffer) {
        let before = self.buffers.fetch_sub(1, Ordering::Relaxed);
        self.state_buffers(before - 1);
        let mut spare = self.spare.lock();
        // Spare ones count as little as they last: they stay within the limit too.
        if spare.len() < MOST_SPARE && before + spare.len() <= self.limit() {
            spare.push(buffer);
        }
    }

    /// Whether buffers lie in huge pages, as far as the system has them.
    pub(super) fn has_huge_pages(&self) -> bool {
        self.arena.is_some()
    }

    /// Frees what is spare.
    pub(super) fn shed_spare(&self) {
        // Not under the lock: freeing many takes a while.
        let spare = std::mem::take(&mut *self.spare.lock());
        drop(spare);
    }

    /// A frame with a buffer, with anything in it, and without a page, exclusively held. Goes over
    /// the limit: making room is the caller's part.
    pub(super) fn take_empty(&self) -> (u32, &Frame, RwLockWriteGuard<'_, Body>) {
        let index = self.empty.lock().pop();
        let index = index.unwrap_or_else(|| self.made.fetch_add(1, Ordering::Relaxed));
        let frame = self.frames.get_or_grow(index);
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

    /// Buffers go from page to page as long as the pool is within its limit; beyond it they are
    /// given up.
    #[test]
    fn buffers_are_handed_on_within_the_limit() {
        for huge_pages in [false, true] {
            hands_on_within_the_limit(huge_pages);
        }
    }

    fn hands_on_within_the_limit(huge_pages: bool) {
        let pool = Pool::new(&PageStoreOptions {
            page_size: PageSize::Kib1,
            cache_bytes: 64 << 10,
            eviction: EvictionPolicyKind::Clock,
            huge_pages,
            ..PageStoreOptions::default()
        });
        let spare = || pool.spare.lock().len();
        let mut taken: Vec<PageBuffer> = (0..pool.limit()).map(|_| pool.take_buffer()).collect();
        assert!(!pool.has_room());
        let mut give = |count| taken.drain(..count).for_each(|one| pool.give_buffer(one));
        give(40);
        assert_eq!((pool.buffers(), spare()), (24, 40));
        give(24);
        assert_eq!((pool.buffers(), spare()), (0, 64));
        taken.extend((0..70).map(|_| pool.take_buffer()));
        assert_eq!((pool.buffers(), spare()), (70, 0));
        taken.drain(..6).for_each(|one| pool.give_buffer(one));
        assert_eq!((pool.buffers(), spare()), (64, 0));
        taken.drain(..3).for_each(|one| pool.give_buffer(one));
        assert_eq!((pool.buffers(), spare()), (61, 3));
        pool.shed_spare();
        assert_eq!(spare(), 0);
    }
}
