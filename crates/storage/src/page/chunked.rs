//! A shared array that grows without moving what it holds.

use std::sync::OnceLock;

/// log2 of the first chunk's length.
const FIRST_BITS: u32 = 8;
/// Chunks that together cover every `u32` index.
const CHUNKS: usize = (32 - FIRST_BITS) as usize + 1;

/// An array indexed by `u32` whose elements never move, so that readers need no lock: chunk 0
/// holds the first 256 elements and every further chunk twice as many as the one before. A
/// look-up is one acquire load and an index.
#[derive(Debug)]
pub(super) struct ChunkedArray<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
}

/// The chunk and the position in it of `index`: with the first chunk's length added, the
/// highest bit tells the chunk and the others the position.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let shifted = u64::from(index) + (1 << FIRST_BITS);
    let log = shifted.ilog2();
    ((log - FIRST_BITS) as usize, (shifted ^ (1 << log)) as usize)
}

/// Elements in chunk `chunk`.
fn chunk_len(chunk: usize) -> usize {
    1 << (FIRST_BITS as usize + chunk)
}

impl<T> ChunkedArray<T> {
    /// Bytes of the chunks that exist.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        chunks.map(|chunk| size_of_val(&**chunk)).sum()
    }

    /// An array without chunks.
    pub(super) fn new() -> ChunkedArray<T> {
        ChunkedArray {
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// The element, where its chunk exists.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, at) = place(index);
        self.chunks.get(chunk)?.get()?.get(at)
    }
}

impl<T: Default> ChunkedArray<T> {
    /// The element; its chunk is made where it does not exist yet, and `made` is told how many
    /// bytes that has taken.
    pub(super) fn get_or_grow(&self, index: u32, made: impl FnOnce(usize)) -> &T {
        let (chunk, at) = place(index);
        let chunk = self.chunks[chunk].get_or_init(|| {
            made(chunk_len(chunk) * size_of::<T>());
            std::iter::repeat_with(T::default)
                .take(chunk_len(chunk))
                .collect()
        });
        &chunk[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_its_own_place() {
        let mut next = (0, 0);
        for index in 0..100_000u32 {
            let (chunk, at) = place(index);
            assert!(at < chunk_len(chunk));
            assert_eq!((chunk, at), next);
            next = if at + 1 == chunk_len(chunk) {
                (chunk + 1, 0)
            } else {
                (chunk, at + 1)
            };
        }
        let (chunk, at) = place(u32::MAX);
        assert!(chunk == CHUNKS - 1 && at < chunk_len(chunk));
    }

    #[test]
    fn grows_where_asked() {
        let array = ChunkedArray::<std::sync::atomic::AtomicU32>::new();
        assert!(array.get(5000).is_none());
        let mut made = 0;
        array
            .get_or_grow(5000, |bytes| made += bytes)
            .store(7, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(
            array
                .get_or_grow(5000, |_| panic!("it is there"))
                .load(std::sync::atomic::Ordering::Relaxed),
            7
        );
        assert!(array.get(0).is_none());
        assert_eq!((made, array.bytes()), (4 << 12, 4 << 12));
    }
}
