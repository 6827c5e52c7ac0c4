//! The frames that pages are cached in.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::{
    chunked::ChunkedArray,
    eviction::{self, EvictionPolicy},
    options::{EvictionPolicyKind, PageSize},
    store::PageId,
};

/// The fewest frames a pool works with, however small its limit.
const LEAST_FRAMES: usize = 8;

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
    pub(super) buffer: Box<[u8]>,
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
    /// Page buffers in memory: in frames and set aside for a checkpoint.
    buffers: AtomicUsize,
    /// Buffers there should be at most.
    limit: usize,
    policy: Mutex<Box<dyn EvictionPolicy>>,
    page_size: usize,
}

impl Pool {
    /// A pool of about `cache_bytes`.
    pub(super) fn new(page_size: PageSize, cache_bytes: usize, kind: EvictionPolicyKind) -> Pool {
        let limit = (cache_bytes / page_size.bytes()).max(LEAST_FRAMES);
        Pool {
            frames: ChunkedArray::new(),
            made: AtomicU32::new(0),
            empty: Mutex::default(),
            buffers: AtomicUsize::new(0),
            limit,
            policy: Mutex::new(eviction::policy(kind, limit)),
            page_size: page_size.bytes(),
        }
    }

    /// The frame of that index.
    #[inline]
    pub(super) fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index)
    }

    /// Whether another buffer stays within the limit.
    pub(super) fn has_room(&self) -> bool {
        self.buffers.load(Ordering::Relaxed) < self.limit
    }

    /// Frames the pool may fill.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Buffers in memory.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Ordering::Relaxed)
    }

    /// Counts a buffer that exists from now on.
    pub(super) fn count_buffer(&self) {
        self.buffers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a buffer that is gone.
    pub(super) fn forget_buffer(&self) {
        self.buffers.fetch_sub(1, Ordering::Relaxed);
    }

    /// A frame with a buffer and without a page, exclusively held. Goes over the limit: making
    /// room is the caller's part.
    pub(super) fn take_empty(&self) -> (u32, &Frame, RwLockWriteGuard<'_, Body>) {
        let index = self.empty.lock().pop();
        let index = index.unwrap_or_else(|| self.made.fetch_add(1, Ordering::Relaxed));
        let frame = self.frames.get_or_grow(index);
        // At most somebody looks for the page that was here before, sees that it is gone and
        // lets go at once.
        let mut body = frame.latch.write();
        body.buffer = vec![0; self.page_size].into_boxed_slice();
        self.count_buffer();
        (index, frame, body)
    }

    /// Puts a frame without a page back, and its buffer away.
    pub(super) fn put_empty(&self, index: u32, mut body: RwLockWriteGuard<'_, Body>) {
        debug_assert_eq!(body.page, PageId(0));
        if !std::mem::take(&mut body.buffer).is_empty() {
            self.forget_buffer();
        }
        drop(body);
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
