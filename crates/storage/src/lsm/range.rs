//! The range and direction of a cursor over versions, and where it begins.

use std::{ops::Bound, sync::Arc};

use crate::{
    lsn::Lsn,
    store::{Direction, KeyRange},
};

/// Where a cursor begins, in the order of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// Forward at the first version, backward at the last.
    Beginning,
    /// Forward at the first version at or after this, backward at the last before it.
    At(&'a [u8], Lsn),
    /// Behind this version.
    Behind(&'a [u8], Lsn),
}

/// A range of keys, walked in a direction. Cheap to clone: every part of a tree is walked by a cursor
/// of its own.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) direction: Direction,
    keys: Arc<KeyRange>,
    /// Where a seek has moved the beginning.
    sought: Option<Vec<u8>>,
}

impl Range {
    pub(super) fn new(keys: KeyRange, direction: Direction) -> Range {
        Range {
            direction,
            keys: Arc::new(keys),
            sought: None,
        }
    }

    /// Every key, ascending.
    pub(super) fn everything() -> Range {
        Range::new(KeyRange::all(), Direction::Forward)
    }

    /// Where the cursor begins. Versions there may still be outside of the range.
    pub(super) fn start(&self) -> Start<'_> {
        let (bound, forward) = match self.direction {
            Direction::Forward => (&self.keys.start, true),
            Direction::Backward => (&self.keys.end, false),
        };
        let bound = match (&self.sought, bound) {
            (Some(sought), Bound::Unbounded) => Bound::Included(sought),
            (Some(sought), Bound::Included(key) | Bound::Excluded(key))
                if (sought > key) == forward && sought != key =>
            {
                Bound::Included(sought)
            }
            (_, bound) => bound.as_ref(),
        };
        // Before the first version of a key, or behind the last.
        match (bound, forward) {
            (Bound::Unbounded, _) => Start::Beginning,
            (Bound::Included(key), true) | (Bound::Excluded(key), false) => {
                Start::At(key, Lsn::MAX)
            }
            (Bound::Excluded(key), true) | (Bound::Included(key), false) => {
                Start::At(key, Lsn::ZERO)
            }
        }
    }

    /// Whether `key`, which is not before the start, is not behind the end.
    #[inline]
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => match &self.keys.end {
                Bound::Unbounded => true,
                Bound::Included(end) => key <= end.as_slice(),
                Bound::Excluded(end) => key < end.as_slice(),
            },
            Direction::Backward => match &self.keys.start {
                Bound::Unbounded => true,
                Bound::Included(start) => key >= start.as_slice(),
                Bound::Excluded(start) => key > start.as_slice(),
            },
        }
    }

    /// Moves the beginning to `key`, or leaves it at the range's where that is behind it.
    pub(super) fn seek(&mut self, key: &[u8]) {
        match &mut self.sought {
            Some(sought) => {
                sought.clear();
                sought.extend_from_slice(key);
            }
            none => *none = Some(key.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_stays_within_the_range() {
        let keys = KeyRange {
            start: Bound::Excluded(b"c".to_vec()),
            end: Bound::Included(b"m".to_vec()),
        };
        let mut forward = Range::new(keys.clone(), Direction::Forward);
        assert_eq!(forward.start(), Start::At(b"c", Lsn::ZERO));
        for (sought, start) in [
            (b"a", Start::At(b"c", Lsn::ZERO)),
            (b"c", Start::At(b"c", Lsn::ZERO)),
            (b"d", Start::At(b"d", Lsn::MAX)),
            (b"z", Start::At(b"z", Lsn::MAX)),
        ] {
            forward.seek(sought);
            assert_eq!(forward.start(), start);
        }
        assert!(forward.holds(b"m") && !forward.holds(b"n"));
        let mut backward = Range::new(keys, Direction::Backward);
        assert_eq!(backward.start(), Start::At(b"m", Lsn::ZERO));
        for (sought, start) in [
            (b"z", Start::At(b"m", Lsn::ZERO)),
            (b"d", Start::At(b"d", Lsn::ZERO)),
        ] {
            backward.seek(sought);
            assert_eq!(backward.start(), start);
        }
        assert!(backward.holds(b"d") && !backward.holds(b"c"));
    }
}
