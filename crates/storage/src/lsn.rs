//! Small identifiers shared by every layer.

use std::fmt;

/// A log sequence number: the only clock of the store. The LSN of a commit record is its
/// commit timestamp; a version is visible to a snapshot when its LSN is not above the
/// snapshot's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before the first commit.
    pub const ZERO: Lsn = Lsn(0);
    /// Above every commit: what a "newest version" read uses.
    pub const MAX: Lsn = Lsn(u64::MAX);

    /// The LSN after this one.
    #[must_use]
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names a keyspace within a store. Ids are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId(pub u32);

impl fmt::Display for KeyspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}
