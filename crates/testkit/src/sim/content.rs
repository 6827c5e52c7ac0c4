//! The bytes of one simulated file, copy-on-write in blocks, so that a state of the whole disk
//! is cloned in the time it takes to count references.

use std::sync::Arc;

/// Bytes per copy-on-write block; also the unit in which space is charged.
pub(crate) const BLOCK: usize = 4096;

type Block = Arc<[u8; BLOCK]>;

/// File contents. Blocks that were never written are absent and read as zeros.
///
/// Invariant: bytes at and past `len` are zero in every block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    blocks: Arc<Vec<Option<Block>>>,
    len: u64,
}

fn block_index(offset: u64) -> usize {
    usize::try_from(offset / BLOCK as u64)
        .expect("file sizes are limited far below usize::MAX blocks")
}

fn within(offset: u64) -> usize {
    (offset % BLOCK as u64) as usize
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Copies what lies at `offset` into `buf`; the count is short at the end of the file.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let available = self.len.saturating_sub(offset);
        let count = usize::try_from(available)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let start = within(at);
            let part = (BLOCK - start).min(count - done);
            let target = &mut buf[done..done + part];
            match self.blocks.get(block_index(at)) {
                Some(Some(block)) => target.copy_from_slice(&block[start..start + part]),
                _ => target.fill(0),
            }
            done += part;
        }
        count
    }

    /// All bytes.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("file sizes are limited")];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Writes at `offset`, extending the file where needed.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len() as u64;
        let blocks = Arc::make_mut(&mut self.blocks);
        let last = block_index(end - 1);
        if blocks.len() <= last {
            blocks.resize(last + 1, None);
        }
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let start = within(at);
            let part = (BLOCK - start).min(data.len() - done);
            let block = blocks[block_index(at)].get_or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[start..start + part].copy_from_slice(&data[done..done + part]);
            done += part;
        }
        self.len = self.len.max(end);
    }

    /// Cuts the file, or extends it with zeros.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let blocks = Arc::make_mut(&mut self.blocks);
            blocks.truncate(usize::try_from(len.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX));
            let tail = within(len);
            if tail != 0
                && let Some(Some(block)) = blocks.get_mut(block_index(len))
            {
                Arc::make_mut(block)[tail..].fill(0);
            }
        }
        self.len = len;
    }

    /// How many blocks of `from..to` (block numbers) hold written data.
    pub(crate) fn written_blocks(&self, from: u64, to: u64) -> u64 {
        let clamp = |n: u64| {
            usize::try_from(n)
                .unwrap_or(usize::MAX)
                .min(self.blocks.len())
        };
        let (from, to) = (clamp(from), clamp(to));
        if from >= to {
            0
        } else {
            self.blocks[from..to]
                .iter()
                .filter(|block| block.is_some())
                .count() as u64
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        if self.len != other.len {
            return false;
        }
        if Arc::ptr_eq(&self.blocks, &other.blocks) {
            return true;
        }
        (0..self.blocks.len().max(other.blocks.len())).all(|index| {
            let of = |content: &Content| content.blocks.get(index).cloned().flatten();
            match (of(self), of(other)) {
                (Some(a), Some(b)) => Arc::ptr_eq(&a, &b) || a == b,
                (None, None) => true,
                (Some(block), None) | (None, Some(block)) => block.iter().all(|byte| *byte == 0),
            }
        })
    }
}

impl Eq for Content {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_behaves_as_a_byte_vector() {
        fn holds(operations: Vec<(bool, u16, u8, u8)>) -> bool {
            let mut content = Content::default();
            let mut model: Vec<u8> = Vec::new();
            let mut snapshots = Vec::new();
            for (is_write, offset, len, byte) in operations {
                let offset = usize::from(offset) % (3 * BLOCK);
                if is_write {
                    let data = vec![byte | 1; usize::from(len) * 40];
                    content.write(offset as u64, &data);
                    if !data.is_empty() {
                        model.resize(model.len().max(offset + data.len()), 0);
                        model[offset..offset + data.len()].copy_from_slice(&data);
                    }
                } else {
                    content.set_len(offset as u64);
                    model.resize(offset, 0);
                }
                snapshots.push((content.clone(), model.clone()));
            }
            snapshots.iter().all(|(content, model)| {
                let mut fresh = Content::default();
                fresh.write(0, model);
                fresh.set_len(model.len() as u64);
                content.to_vec() == *model && fresh == *content
            })
        }
        quickcheck::quickcheck(holds as fn(Vec<(bool, u16, u8, u8)>) -> bool);
    }

    #[test]
    fn a_read_ends_at_the_end() {
        let mut content = Content::default();
        content.write(10, b"abc");
        let mut buf = [9; 8];
        assert_eq!(content.read(&mut buf, 8), 5);
        assert_eq!(buf, [0, 0, b'a', b'b', b'c', 9, 9, 9]);
        assert_eq!(content.read(&mut buf, 13), 0);
        assert_eq!(content.read(&mut buf, u64::MAX), 0);
    }
}
