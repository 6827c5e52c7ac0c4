//! The memory of blocks, handed on from those that leave the cache to those that come.
//!
//! An allocator that keeps memory by thread would hold each block twice in the end: where it was read,
//! and where the thread that evicted it reads the next one.

use std::sync::Arc;

use crate::{shared, sync::Mutex};

/// Buffers have lengths that are multiples of this, so that they fit other blocks too.
const GRAIN: usize = 128;
/// Longer ones are not handed on.
const LONGEST: usize = 16 << 10;
/// Bytes of buffers that wait for a block, at most.
const MOST_BYTES: usize = 1 << 20;

/// Buffers that blocks have left.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    spare: Mutex<Spare>,
}

#[derive(Debug, Default)]
struct Spare {
    /// By their length in grains.
    by_length: Vec<Vec<Arc<[u8]>>>,
    bytes: usize,
}

/// The length of a buffer for so many bytes.
pub(super) fn rounded(len: usize) -> usize {
    match len {
        0..=LONGEST => len.next_multiple_of(GRAIN),
        _ => len,
    }
}

impl Buffers {
    /// A buffer of at least `len` bytes, with anything in them, that nobody else has.
    pub(super) fn take(&self, len: usize) -> Arc<[u8]> {
        let len = rounded(len);
        let found = {
            let mut spare = self.spare.lock();
            let found = spare.by_length.get_mut(len / GRAIN).and_then(Vec::pop);
            spare.bytes -= found.as_ref().map_or(0, |buffer| buffer.len());
            found
        };
        let fitting = found.filter(|buffer| buffer.len() == len);
        fitting.unwrap_or_else(|| shared::zeroed(len))
    }

    /// Takes a buffer back, if nobody else has it.
    pub(super) fn give(&self, mut buffer: Arc<[u8]>) {
        let len = buffer.len();
        let is_ours = len <= LONGEST && len.is_multiple_of(GRAIN);
        if !is_ours || Arc::get_mut(&mut buffer).is_none() {
            return;
        }
        let mut spare = self.spare.lock();
        if spare.bytes + len > MOST_BYTES {
            return;
        }
        spare.bytes += len;
        let at = len / GRAIN;
        if spare.by_length.len() <= at {
            spare.by_length.resize_with(at + 1, Vec::new);
        }
        spare.by_length[at].push(buffer);
    }

    /// Frees all that wait.
    pub(super) fn shed(&self) {
        let spare = std::mem::take(&mut *self.spare.lock());
        drop(spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_handed_on() {
        let buffers = Buffers::default();
        let first = buffers.take(4100);
        assert_eq!(first.len(), 4224);
        let place = first.as_ptr();
        buffers.give(first);
        assert_ne!(buffers.take(4000).as_ptr(), place);
        let second = buffers.take(4200);
        assert_eq!(second.as_ptr(), place);
        // Not while somebody reads it.
        let reader = Arc::clone(&second);
        buffers.give(second);
        assert_ne!(buffers.take(4200).as_ptr(), place);
        drop(reader);
        // Neither long ones, nor more than there is room for.
        assert_eq!(buffers.take(100_001).len(), 100_001);
        buffers.give(buffers.take(100_001));
        let many: Vec<_> = (0..1000).map(|_| buffers.take(4096)).collect();
        many.into_iter().for_each(|buffer| buffers.give(buffer));
        assert_eq!(buffers.spare.lock().bytes, MOST_BYTES);
        buffers.shed();
        assert_eq!(buffers.spare.lock().bytes, 0);
        assert!(buffers.take(0).is_empty());
    }
}
