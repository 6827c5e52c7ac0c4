//! Sets of columns.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use super::ColumnId;

/// Columns by id.
pub(crate) type ColumnIds = HashSet<ColumnId, BuildHasherDefault<IdHasher>>;

/// Hashes ids, which a statement counts up and nobody chooses: one multiplication spreads them.
/// In macros, which nothing optimises, the standard hasher takes several times as long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl IdHasher {
    /// An odd number with about as many ones as zeros.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(Self::FACTOR);
    }
}
