//! A table's top index in memory: its parts, each with a filter and an index of the blocks below.

use std::sync::Arc;

use super::{
    block::{Block, BlockCursor, Malformed, compare},
    format::Handle,
    heads::{Heads, HeadsBuilder},
};
use crate::lsn::Lsn;

/// The handles in an entry of the top index.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionHandles {
    pub(super) index: Handle,
    pub(super) filter: Handle,
}

impl PartitionHandles {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        self.index.encode(&mut bytes);
        self.filter.encode(&mut bytes);
        bytes
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<PartitionHandles> {
        let handles = PartitionHandles {
            index: Handle::decode(&mut bytes)?,
            filter: Handle::decode(&mut bytes)?,
        };
        bytes.is_empty().then_some(handles)
    }
}

/// The parts of a table, in the order of their keys.
#[derive(Debug)]
pub(super) struct Partitions {
    /// The index itself: what each part ends with, and its handles.
    block: Arc<Block>,
    /// How many entries are before each restart point of it.
    before_restart: Box<[u32]>,
    heads: Heads,
    parts: Box<[PartitionHandles]>,
}

impl Partitions {
    /// Reads a top index.
    pub(super) fn read(block: Block) -> Result<Partitions, Malformed> {
        let block = Arc::new(block);
        let mut cursor = BlockCursor::new(Arc::clone(&block));
        cursor.last()?;
        let (mut key, mut lsn) = (cursor.key().to_vec(), Lsn::MAX);
        cursor.first()?;
        let mut heads = HeadsBuilder::new(cursor.key(), &key);
        key.clear();
        let (mut parts, mut before_restart) = (Vec::new(), Vec::new());
        loop {
            let is_behind = compare((&key, lsn), (cursor.key(), cursor.lsn())).is_lt();
            if !(parts.is_empty() || is_behind) || !heads.push(cursor.key()) {
                return Err(Malformed("the top index is out of order"));
            }
            if cursor.is_at_restart()? {
                before_restart.push(parts.len() as u32);
            }
            let handles = cursor.value().and_then(PartitionHandles::decode);
            let handles = handles.ok_or(Malformed("an entry of the top index is none"))?;
            parts.push(handles);
            key.clear();
            key.extend_from_slice(cursor.key());
            lsn = cursor.lsn();
            if !cursor.next()? {
                break;
            }
        }
        Ok(Partitions {
            block,
            before_restart: before_restart.into(),
            heads: heads.finish(),
            parts: parts.into(),
        })
    }

    /// The number of the part that a version at or after (`key`, `lsn`) is in; that of none where
    /// there is no such version.
    #[inline]
    pub(super) fn reaching(&self, key: &[u8], lsn: Lsn) -> Result<usize, Malformed> {
        let alike = self.heads.narrow(key);
        if alike.is_empty() {
            return Ok(alike.start);
        }
        let Some(found) = self.block.find(key, lsn)? else {
            return Ok(self.parts.len());
        };
        let before = self.before_restart.get(found.restart);
        let before = before.ok_or(Malformed("a restart point is between entries"))?;
        Ok(*before as usize + found.behind)
    }

    /// A part by its number.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<PartitionHandles> {
        self.parts.get(number).copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.parts)
            + size_of_val(&*self.before_restart)
            + self.heads.bytes()
            + self.block.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::block::{BlockBuilder, Payload};

    fn block(builder: &mut BlockBuilder) -> Block {
        Block::entries(Payload::whole(builder.finish().into())).unwrap()
    }

    /// Ends of parts that are alike in their first bytes, and versions of one key in several parts.
    #[test]
    fn the_part_of_a_version_is_found() {
        let mut random = fastrand::Rng::with_seed(2);
        for round in 0..200 {
            let mut ends: Vec<(Vec<u8>, u64)> = (0..1 + random.usize(..60))
                .map(|_| {
                    let mut key = b"a prefix".repeat(random.usize(..2));
                    key.extend((0..random.usize(..12)).map(|_| random.u8(..2)));
                    (key, random.u64(..4))
                })
                .collect();
            ends.sort_by(|a, b| compare((&a.0, Lsn(a.1)), (&b.0, Lsn(b.1))));
            ends.dedup();
            let mut builder = BlockBuilder::default();
            for (number, (key, lsn)) in ends.iter().enumerate() {
                let handle = |offset| Handle { offset, len: 1 };
                let handles = PartitionHandles {
                    index: handle(number as u64),
                    filter: handle(1000 + number as u64),
                };
                builder.add(key, Lsn(*lsn), Some(&handles.encode()));
            }
            let block = block(&mut builder);
            let partitions = Partitions::read(block).unwrap();
            assert_eq!(partitions.len(), ends.len());
            for number in 0..ends.len() {
                let part = partitions.get(number).unwrap();
                assert_eq!(part.index.offset, number as u64);
                assert_eq!(part.filter.offset, 1000 + number as u64);
            }
            for _ in 0..100 {
                let mut key = ends[random.usize(..ends.len())].0.clone();
                if random.bool() {
                    key.push(random.u8(..3));
                }
                let lsn = random.u64(..5);
                let expected = ends.partition_point(|(end, at)| {
                    compare((end, Lsn(*at)), (&key, Lsn(lsn))).is_lt()
                });
                let found = partitions.reaching(&key, Lsn(lsn)).unwrap();
                assert_eq!(found, expected, "round {round}: {key:?} {lsn} of {ends:?}");
            }
        }
    }

    #[test]
    fn a_top_index_out_of_order_is_refused() {
        let handles = PartitionHandles {
            index: Handle::default(),
            filter: Handle::default(),
        };
        for keys in [[b"b", b"a"], [b"a", b"a"]] {
            let mut builder = BlockBuilder::default();
            for key in keys {
                builder.add(key, Lsn(1), Some(&handles.encode()));
            }
            let block = block(&mut builder);
            assert!(Partitions::read(block).is_err());
        }
        let mut builder = BlockBuilder::default();
        builder.add(b"a", Lsn(1), Some(b"no handles"));
        let block = block(&mut builder);
        assert!(Partitions::read(block).is_err());
    }
}
