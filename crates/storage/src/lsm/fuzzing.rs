//! Arbitrary parts of tables.

use std::sync::Arc;

use super::{
    block::{Block, BlockCursor},
    filter,
    format::{FOOTER, Footer, Properties},
    table::Partition,
};
use crate::{fuzzing::take_piece, lsn::Lsn};

/// The input as each part of a table; a block is walked and looked through in every way.
pub(crate) fn blocks(data: &[u8]) {
    if let Some(footer) = data.first_chunk::<FOOTER>() {
        let _ = Footer::decode(footer);
    }
    let _ = Properties::decode(data);
    let _ = Partition::decode(data);
    let mut rest = data;
    let key = take_piece(&mut rest).unwrap_or_default();
    for kind in 0..3 {
        let _ = filter::may_contain(kind, rest, key);
    }
    let Ok(block) = Block::entries(rest.to_vec()) else {
        return;
    };
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
