//! One simulated file: what a reader sees, what the medium holds, and what lies between.

use std::sync::Arc;

use super::content::{BLOCK, Content};

/// A change that the medium does not hold yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Index of the operation that made the change: the order across files and directories.
    pub(crate) sequence: u64,
    pub(crate) change: Change,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write {
        offset: u64,
        data: Arc<[u8]>,
    },
    /// The length grew without data (zeros).
    Grow {
        len: u64,
    },
    Shrink {
        len: u64,
    },
}

/// A regular file.
///
/// Invariant, unless `diverged`: `durable` with all of `pending` applied in order is `live`.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileNode {
    /// What reads see: the page cache.
    pub(crate) live: Content,
    /// What the medium holds for certain.
    pub(crate) durable: Content,
    /// What the medium held before the last sync: the source of stale reads.
    pub(crate) previous: Content,
    /// Changes since the last sync, in order.
    pub(crate) pending: Vec<Pending>,
    /// Bytes from the start whose space is reserved.
    pub(crate) reserved: u64,
    /// Whether a fault made the page cache and the medium differ for good.
    pub(crate) diverged: bool,
}

impl FileNode {
    /// A file found on the medium after a crash.
    pub(crate) fn settled(content: Content, reserved: u64) -> FileNode {
        let reserved = reserved.min(content.len());
        FileNode {
            live: content.clone(),
            durable: content.clone(),
            previous: content,
            pending: Vec::new(),
            reserved,
            diverged: false,
        }
    }

    pub(crate) fn write(&mut self, sequence: u64, offset: u64, data: Arc<[u8]>) {
        self.live.write(offset, &data);
        self.pending.push(Pending {
            sequence,
            change: Change::Write { offset, data },
        });
    }

    pub(crate) fn set_len(&mut self, sequence: u64, len: u64) {
        let old = self.live.len();
        if len == old {
            return;
        }
        self.live.set_len(len);
        self.reserved = self.reserved.min(len);
        let change = if len > old {
            Change::Grow { len }
        } else {
            Change::Shrink { len }
        };
        self.pending.push(Pending { sequence, change });
    }

    pub(crate) fn allocate(&mut self, sequence: u64, len: u64) {
        if len > self.live.len() {
            self.set_len(sequence, len);
        }
        self.reserved = self.reserved.max(len);
    }

    /// Everything written and the length become durable.
    pub(crate) fn sync_all(&mut self) {
        self.previous = self.durable.clone();
        if self.diverged {
            for pending in std::mem::take(&mut self.pending) {
                apply(&mut self.durable, &pending.change);
            }
        } else {
            self.pending.clear();
            self.durable = self.live.clone();
        }
    }

    /// Everything written becomes durable, and of the length as much as is needed to read it.
    /// A change of length that no written byte depends on stays pending, though the usual file
    /// systems would write it too: the contract of `sync_data` does not promise it.
    pub(crate) fn sync_data(&mut self) {
        let Some(last_write) = self
            .pending
            .iter()
            .rposition(|p| matches!(p.change, Change::Write { .. }))
        else {
            return;
        };
        self.previous = self.durable.clone();
        let pending = std::mem::take(&mut self.pending);
        let newest = pending.last().map_or(0, |pending| pending.sequence);
        for (index, pending) in pending.into_iter().enumerate() {
            match pending.change {
                Change::Write { .. } => apply(&mut self.durable, &pending.change),
                // A later write is placed after the cut, so the cut must come first.
                Change::Shrink { .. } if index < last_write => {
                    apply(&mut self.durable, &pending.change)
                }
                Change::Grow { .. } if index < last_write => {}
                Change::Shrink { .. } | Change::Grow { .. } => self.pending.push(pending),
            }
        }
        // What is left of the growth that no written byte needed.
        let reached = self
            .pending
            .iter()
            .fold(self.durable.len(), |len, pending| match pending.change {
                Change::Write { .. } => len,
                Change::Grow { len: to } => len.max(to),
                Change::Shrink { len: to } => len.min(to),
            });
        if reached < self.live.len() {
            self.pending.push(Pending {
                sequence: newest,
                change: Change::Grow {
                    len: self.live.len(),
                },
            });
        }
        // Share the blocks again where both hold the same, to keep copies rare.
        if !self.diverged && self.pending.is_empty() {
            self.durable = self.live.clone();
        }
    }

    /// A failed sync after which the pages count as clean: what was pending is never written.
    pub(crate) fn abandon_pending(&mut self) {
        self.diverged |= !self.pending.is_empty();
        self.pending.clear();
    }

    /// Damage at rest: bytes change on the medium and for readers.
    pub(crate) fn damage(&mut self, offset: u64, data: &[u8]) {
        self.live.write(offset, data);
        self.durable.write(offset, data);
    }

    /// Damage at rest to the length.
    pub(crate) fn damage_len(&mut self, len: u64) {
        self.live.set_len(len);
        self.durable.set_len(len);
        self.reserved = self.reserved.min(len);
        self.diverged |= !self.pending.is_empty();
    }

    /// Bytes of space the file takes.
    pub(crate) fn charged(&self) -> u64 {
        let reserved = self.reserved.div_ceil(BLOCK as u64);
        (reserved + self.live.written_blocks(reserved, u64::MAX)) * BLOCK as u64
    }

    /// Bytes of space that a write would take beyond what the file has.
    pub(crate) fn extra_charge(&self, offset: u64, len: u64) -> u64 {
        let first = (offset / BLOCK as u64).max(self.reserved.div_ceil(BLOCK as u64));
        let end = (offset + len).div_ceil(BLOCK as u64);
        let blocks = end.saturating_sub(first);
        (blocks - self.live.written_blocks(first, end).min(blocks)) * BLOCK as u64
    }
}

/// Applies a change to what the medium holds.
pub(crate) fn apply(content: &mut Content, change: &Change) {
    match change {
        Change::Write { offset, data } => content.write(*offset, data),
        Change::Grow { len } => content.set_len((*len).max(content.len())),
        Change::Shrink { len } => content.set_len((*len).min(content.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(durable: &[u8]) -> FileNode {
        let mut content = Content::default();
        content.write(0, durable);
        FileNode::settled(content, 0)
    }

    #[test]
    fn sync_data_keeps_the_length_that_written_bytes_need_and_no_more() {
        let mut f = file(b"");
        f.set_len(1, 100);
        f.write(2, 10, Arc::from(*b"abc"));
        f.sync_data();
        assert_eq!(f.durable.len(), 13, "up to the last written byte");
        assert_eq!(
            f.pending.len(),
            1,
            "the rest of the growth is still pending"
        );
        f.sync_all();
        assert_eq!(f.durable.len(), 100);
        assert!(f.pending.is_empty());
    }

    #[test]
    fn sync_data_alone_never_makes_a_length_durable() {
        let mut f = file(b"0123456789");
        f.set_len(1, 4);
        f.sync_data();
        assert_eq!(f.durable.to_vec(), b"0123456789");
        f.sync_all();
        assert_eq!(f.durable.to_vec(), b"0123");
        f.set_len(2, 8);
        f.sync_data();
        assert_eq!(f.durable.len(), 4);
    }

    #[test]
    fn a_write_after_a_cut_takes_the_cut_with_it() {
        let mut f = file(b"0123456789");
        f.set_len(1, 2);
        f.write(2, 4, Arc::from(*b"x"));
        f.sync_data();
        assert_eq!(f.durable.to_vec(), b"01\0\0x");
        f.set_len(3, 3);
        f.set_len(4, 6);
        f.sync_data();
        assert_eq!(f.durable.to_vec(), b"01\0\0x", "nothing was written since");
        f.write(5, 0, Arc::from(*b"y"));
        f.set_len(6, 1);
        f.sync_data();
        assert_eq!(
            f.durable.to_vec(),
            b"y1\0",
            "the cut before the write is in, the one after is not; the growth is not needed"
        );
        f.sync_all();
        assert_eq!(f.durable.to_vec(), b"y");
    }

    #[test]
    fn abandoned_pages_never_reach_the_medium() {
        let mut f = file(b"old");
        f.write(1, 0, Arc::from(*b"new"));
        f.abandon_pending();
        f.sync_all();
        assert_eq!(f.live.to_vec(), b"new");
        assert_eq!(f.durable.to_vec(), b"old");
        f.write(2, 1, Arc::from(*b"E"));
        f.sync_all();
        assert_eq!(f.durable.to_vec(), b"oEd");
    }

    #[test]
    fn space_is_charged_by_block_once() {
        let mut f = file(b"");
        assert_eq!(f.extra_charge(0, 1), 4096);
        f.allocate(1, 10_000);
        assert_eq!(f.charged(), 3 * 4096);
        assert_eq!(f.extra_charge(0, 12_288), 0);
        assert_eq!(f.extra_charge(12_287, 2), 4096);
        f.write(2, 20_000, Arc::from(*b"x"));
        assert_eq!(f.charged(), 4 * 4096);
        assert_eq!(f.extra_charge(16_384, 4096), 0);
        f.set_len(3, 1);
        assert_eq!(f.charged(), 4096);
    }
}
