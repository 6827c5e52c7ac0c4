//! The memory that pages are cached in: each from the allocator, or side by side in huge pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    sync::Arc,
};

use memmap2::{MmapMut, MmapRaw};
use parking_lot::Mutex;

/// The usual huge page: of x86-64, and of AArch64 with pages of 4 KiB.
const HUGE: usize = 2 << 20;
/// Bytes that are asked of the system at a time.
const CHUNK: usize = 8 * HUGE;

/// Memory of one page; empty by default.
#[derive(Debug)]
pub(super) struct PageBuffer {
    start: NonNull<u8>,
    len: usize,
    /// Whose memory it is a part of; `None` for the allocator's.
    home: Option<Arc<Arena>>,
}

// SAFETY: the buffer is the only one who knows of its bytes, as a box is of its own.
#[expect(unsafe_code, reason = "raw memory")]
unsafe impl Send for PageBuffer {}
// SAFETY: as above; a shared buffer is only read.
#[expect(unsafe_code, reason = "raw memory")]
unsafe impl Sync for PageBuffer {}

impl PageBuffer {
    /// Zeros from the allocator.
    pub(super) fn allocated(len: usize) -> PageBuffer {
        let bytes: Box<[u8]> = vec![0; len].into_boxed_slice();
        PageBuffer {
            start: NonNull::from(Box::leak(bytes)).cast(),
            len,
            home: None,
        }
    }
}

impl Default for PageBuffer {
    fn default() -> PageBuffer {
        PageBuffer::allocated(0)
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` are those of a box that was given up for them, or of a slot of a
        // map that `home` keeps and has handed out to nobody else. Both were made of zeros, and are
        // ours until `drop`.
        #[expect(unsafe_code, reason = "raw memory")]
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.len)
        }
    }
}

impl DerefMut for PageBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `self` is borrowed exclusively.
        #[expect(unsafe_code, reason = "raw memory")]
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len)
        }
    }
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        match &self.home {
            Some(home) => home.give(self.start),
            None => {
                let bytes = ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len);
                // SAFETY: of `PageBuffer::allocated`, whose box these were.
                #[expect(unsafe_code, reason = "raw memory")]
                drop(unsafe { Box::from_raw(bytes) });
            }
        }
    }
}

/// Memory in huge pages, as far as the system has them, in slots of a page each.
#[derive(Debug)]
pub(super) struct Arena {
    page_size: usize,
    /// Whether a slot can be given back to the system by itself.
    #[cfg(target_os = "linux")]
    gives_slots_back: bool,
    chunks: Mutex<Chunks>,
}

#[derive(Debug, Default)]
struct Chunks {
    /// By the address of the first slot.
    all: BTreeMap<usize, Chunk>,
    /// Those with a free slot.
    with_room: BTreeSet<usize>,
}

#[derive(Debug)]
struct Chunk {
    map: MmapRaw,
    /// Where in the map the first huge page begins, and with it the first slot.
    first: usize,
    /// Slots that are free; the next one is taken from the end.
    free: Vec<u32>,
    /// Whether a slot was given back by itself. Then its huge page is in pieces, and must stay so:
    /// the system would fill it up again with memory that nobody uses.
    #[cfg(target_os = "linux")]
    in_pieces: bool,
}

impl Chunk {
    /// `None` where the system has no more memory.
    fn new(page_size: usize) -> Option<Chunk> {
        // A huge page more, since the first boundary may be anywhere in the first.
        let map = MmapMut::map_anon(CHUNK + HUGE).ok()?;
        // A wish: where there are no huge pages, the memory is as good as any.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let map = MmapRaw::from(map);
        Some(Chunk {
            first: map.as_ptr().align_offset(HUGE),
            map,
            // Ascending, so that one huge page is full before the next is touched.
            free: (0..(CHUNK / page_size) as u32).rev().collect(),
            #[cfg(target_os = "linux")]
            in_pieces: false,
        })
    }

    fn start(&self) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(self.first)
    }
}

impl Arena {
    /// For pages of that size.
    pub(super) fn new(page_size: usize) -> Arena {
        Arena {
            page_size,
            #[cfg(target_os = "linux")]
            gives_slots_back: page_size.is_multiple_of(rustix::param::page_size()),
            chunks: Mutex::default(),
        }
    }

    /// A buffer with anything in it, or `None` where the system has no more memory.
    pub(super) fn take(self: &Arc<Arena>) -> Option<PageBuffer> {
        let mut chunks = self.chunks.lock();
        let Chunks { all, with_room } = &mut *chunks;
        if with_room.is_empty() {
            let chunk = Chunk::new(self.page_size)?;
            let address = chunk.start().addr();
            all.insert(address, chunk);
            with_room.insert(address);
        }
        let address = *with_room.first()?;
        let chunk = all.get_mut(&address)?;
        let slot = chunk.free.pop()? as usize;
        if chunk.free.is_empty() {
            with_room.remove(&address);
        }
        Some(PageBuffer {
            start: NonNull::new(chunk.start().wrapping_add(slot * self.page_size))?,
            len: self.page_size,
            home: Some(Arc::clone(self)),
        })
    }

    /// Takes the slot at `start` back, which nobody uses any more, and its memory out of use.
    fn give(&self, start: NonNull<u8>) {
        let address = start.addr().get();
        let mut chunks = self.chunks.lock();
        let Chunks { all, with_room } = &mut *chunks;
        let Some((base, chunk)) = all.range_mut(..=address).next_back() else {
            return;
        };
        let base = *base;
        let offset = address - base;
        chunk.free.push((offset / self.page_size) as u32);
        if chunk.free.len() == CHUNK / self.page_size {
            with_room.remove(&base);
            all.remove(&base);
            return;
        }
        with_room.insert(base);
        #[cfg(target_os = "linux")]
        if self.gives_slots_back {
            if !chunk.in_pieces {
                let _ = chunk.map.advise(memmap2::Advice::NoHugePage);
                chunk.in_pieces = true;
            }
            // SAFETY: what is in the slot is lost, and it is nobody's. It is of whole pages of the
            // system, so that nothing beside it is lost.
            #[expect(unsafe_code, reason = "bytes go away")]
            let _ = unsafe {
                let unused = memmap2::UncheckedAdvice::DontNeed;
                chunk
                    .map
                    .unchecked_advise_range(unused, chunk.first + offset, self.page_size)
            };
        }
    }

    #[cfg(test)]
    fn chunk_count(&self) -> usize {
        self.chunks.lock().all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every buffer is nobody else's, whatever comes and goes around it.
    fn own_their_bytes(page_size: usize, take: &mut dyn FnMut() -> PageBuffer) {
        let mut random = fastrand::Rng::with_seed(page_size as u64);
        let mut held: Vec<(u32, PageBuffer)> = Vec::new();
        let (rounds, most) = if cfg!(miri) {
            (200, 30)
        } else {
            (20_000, 3000)
        };
        for round in 0..rounds {
            if held.len() < most && random.u8(..5) > 1 {
                let mut buffer = take();
                assert_eq!(buffer.len(), page_size);
                buffer[..4].copy_from_slice(&u32::to_le_bytes(round));
                buffer[page_size - 4..].copy_from_slice(&u32::to_le_bytes(round));
                held.push((round, buffer));
            } else if !held.is_empty() {
                let (number, buffer) = held.swap_remove(random.usize(..held.len()));
                assert_eq!(buffer[..4], u32::to_le_bytes(number));
                assert_eq!(buffer[page_size - 4..], u32::to_le_bytes(number));
            }
        }
        for (number, buffer) in held {
            assert_eq!(buffer[..4], u32::to_le_bytes(number));
            assert_eq!(buffer[page_size - 4..], u32::to_le_bytes(number));
        }
    }

    #[test]
    fn allocated_buffers_own_their_bytes() {
        own_their_bytes(4096, &mut || PageBuffer::allocated(4096));
        assert!(PageBuffer::default().is_empty());
    }

    #[test]
    fn buffers_of_an_arena_own_their_bytes() {
        for page_size in [1024, 4096, 16384] {
            let arena = Arc::new(Arena::new(page_size));
            own_their_bytes(page_size, &mut || arena.take().unwrap());
            assert_eq!(arena.chunk_count(), 0, "what nobody holds is given back");
        }
    }

    #[test]
    fn slots_lie_side_by_side_in_huge_pages() {
        let arena = Arc::new(Arena::new(8192));
        let slots = CHUNK / 8192;
        let buffers: Vec<PageBuffer> = (0..=slots).map(|_| arena.take().unwrap()).collect();
        assert_eq!(arena.chunk_count(), 2);
        assert!(buffers[0].as_ptr().addr().is_multiple_of(HUGE));
        for pair in buffers[..slots].windows(2) {
            assert_eq!(pair[0].as_ptr().addr() + 8192, pair[1].as_ptr().addr());
        }
    }

    /// A slot that nobody holds takes no memory: what was in it is gone.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_slot_given_back_is_out_of_use() {
        let arena = Arc::new(Arena::new(16384));
        let (mut before, mut slot, mut after) = (
            arena.take().unwrap(),
            arena.take().unwrap(),
            arena.take().unwrap(),
        );
        before.fill(1);
        slot.fill(2);
        after.fill(3);
        let place = slot.as_ptr();
        drop(slot);
        let slot = arena.take().unwrap();
        assert_eq!(slot.as_ptr(), place);
        if arena.gives_slots_back {
            assert!(slot.iter().all(|byte| *byte == 0));
        }
        assert!(before.iter().all(|byte| *byte == 1) && after.iter().all(|byte| *byte == 3));
    }

    #[test]
    fn threads_share_an_arena() {
        let arena = Arc::new(Arena::new(4096));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let arena = &arena;
                scope.spawn(move || own_their_bytes(4096, &mut || arena.take().unwrap()));
            }
        });
        assert_eq!(arena.chunk_count(), 0);
    }
}
