//! Arbitrary parts of tables.

use std::sync::Arc;

use super::{
    block::{Block, BlockCursor, Payload},
    filter,
    format::{FOOTER, Footer, Properties},
    hash::hash,
    partitions::{PartitionHandles, Partitions},
};
use crate::{fuzzing::take_piece, lsn::Lsn};

/// The input as each part of a table; a block is walked and looked through in every way.
pub(crate) fn blocks(data: &[u8]) {
    if let Some(footer) = data.first_chunk::<FOOTER>() {
        let _ = Footer::decode(footer);
    }
    let _ = Properties::decode(data);
    let _ = PartitionHandles::decode(data);
    let mut rest = data;
    let key = take_piece(&mut rest).unwrap_or_default();
    for kind in 0..3 {
        let _ = filter::may_contain(kind, rest, hash(key));
    }
    let payload = Payload::whole(rest.into());
    let Ok(block) = Block::entries(payload.clone()) else {
        return;
    };
    if let Ok(partitions) = Block::entries(payload).and_then(Partitions::read) {
        let _ = partitions.reaching(key, Lsn(5));
    }
    if let Ok(Some(found)) = block.find(key, Lsn(5)) {
        let _ = found.value.map(|value| block.slice(&value).len());
    }
    let mut cursor = BlockCursor::new(Arc::new(block));
    let steps = rest.len() + 1;
    if cursor.first().is_ok() {
        for _ in 0..steps {
            let _ = (cursor.key(), cursor.lsn(), cursor.value());
            if !matches!(cursor.next(), Ok(true)) {
                break;
            }
        }
        assert!(!matches!(cursor.next(), Ok(true)), "a block without an end");
    }
    if cursor.last().is_ok() {
        for _ in 0..steps {
            let _ = (cursor.key(), cursor.lsn(), cursor.value());
            if !matches!(cursor.previous(), Ok(true)) {
                break;
            }
        }
    }
    let _ = cursor.seek(key, Lsn(5));
}
