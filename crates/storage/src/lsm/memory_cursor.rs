//! Walking a memtable, both ways.
//!
//! The skip list cannot be held on to from step to step, so a cursor takes some versions out of it
//! at once and looks for its place again after that: few at first, as most scans are short, then
//! ever more. Small versions are copied: that costs less than counting who holds the buffer of
//! their batch, at which cursors of other threads would meet.

use std::{ops::Bound, sync::Arc};

use super::{
    memtable::{KeptPlace, MemoryVersion, Memtable},
    range::{Range, Start},
};
use crate::{
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    store::Direction,
};

/// Versions that a cursor takes out of the list at first, and at most.
const FIRST: usize = 16;
const MOST: usize = 512;
/// Bytes of copies at which it takes no more.
const COPIES: usize = 64 << 10;
/// Bytes of a version from which on it is not copied.
const LARGE: usize = 1 << 10;

/// A version that has been taken out of the list.
#[derive(Debug)]
struct Taken {
    lsn: Lsn,
    /// In `buffer`, or where there is none in the copies.
    place: KeptPlace,
    buffer: Option<Arc<[u8]>>,
}

/// What has been taken out of the list at once.
#[derive(Debug, Default)]
struct Fetch {
    versions: Vec<Taken>,
    copies: Vec<u8>,
}

impl Fetch {
    fn clear(&mut self) {
        self.versions.clear();
        self.copies.clear();
    }

    fn push(&mut self, found: &MemoryVersion<'_>) {
        let version = found.version();
        let len = version.key.len() + version.value.map_or(0, <[u8]>::len);
        let (buffer, place) = if len >= LARGE {
            let (buffer, place) = found.shared();
            (Some(buffer), place)
        } else {
            let place = KeptPlace::at(self.copies.len(), version.key, version.value);
            self.copies.extend_from_slice(version.key);
            self.copies
                .extend_from_slice(version.value.unwrap_or_default());
            (None, place)
        };
        let lsn = version.lsn;
        self.versions.push(Taken { lsn, place, buffer });
    }

    #[inline]
    fn get(&self, at: usize) -> Option<VersionRef<'_>> {
        let taken = self.versions.get(at)?;
        let buffer = taken.buffer.as_deref().unwrap_or(&self.copies);
        Some(VersionRef {
            key: taken.place.key_in(buffer),
            lsn: taken.lsn,
            value: taken.place.value_in(buffer),
        })
    }

    fn is_full(&self, wanted: usize) -> bool {
        self.versions.len() >= wanted || self.copies.len() >= COPIES
    }

    /// Takes the versions from a place on, that one included or not.
    fn forward(&mut self, memtable: &Memtable, place: Bound<(&[u8], Lsn)>, wanted: usize) {
        let mut next = memtable.from(place);
        while let Some(found) = next
            && !self.is_full(wanted)
        {
            self.push(&found);
            next = found.next();
        }
    }

    /// Takes the versions before a place, backward by key, the newest first within a key; whole
    /// keys.
    fn backward(&mut self, memtable: &Memtable, place: Option<(&[u8], Lsn)>, wanted: usize) {
        let mut next = memtable.before(place);
        // Where the versions of the key begin that is being taken, the oldest first as yet.
        let mut group = 0;
        while let Some(found) = next {
            let last = self.versions.len().checked_sub(1);
            let last = last.and_then(|last| self.get(last));
            if last.is_some_and(|last| last.key != found.key()) {
                self.versions[group..].reverse();
                group = self.versions.len();
                if self.is_full(wanted) {
                    return;
                }
            }
            self.push(&found);
            next = found.previous();
        }
        self.versions[group..].reverse();
    }
}

/// Walks the versions of a memtable.
#[derive(Debug)]
pub(super) struct MemoryCursor {
    memtable: Arc<Memtable>,
    range: Range,
    fetch: Fetch,
    /// The version shown is before this one, if there is one.
    next: usize,
    /// Versions to take next time.
    wanted: usize,
    /// What the next fetch goes to.
    spare: Fetch,
    exhausted: bool,
}

impl MemoryCursor {
    pub(super) fn new(memtable: &Arc<Memtable>, range: Range) -> MemoryCursor {
        MemoryCursor {
            memtable: Arc::clone(memtable),
            range,
            fetch: Fetch::default(),
            next: 0,
            wanted: FIRST,
            spare: Fetch::default(),
            exhausted: false,
        }
    }

    #[inline]
    fn current(&self) -> Option<VersionRef<'_>> {
        self.fetch.get(self.next.checked_sub(1)?)
    }

    fn refill(&mut self) {
        let mut fetch = std::mem::take(&mut self.spare);
        fetch.clear();
        fetch.versions.reserve(FIRST);
        let from = match self.current() {
            Some(last) => Start::Behind(last.key, last.lsn),
            None => self.range.start(),
        };
        match self.range.direction {
            Direction::Forward => {
                let place = match from {
                    Start::Beginning => Bound::Unbounded,
                    Start::At(key, lsn) => Bound::Included((key, lsn)),
                    Start::Behind(key, lsn) => Bound::Excluded((key, lsn)),
                };
                fetch.forward(&self.memtable, place, self.wanted);
            }
            Direction::Backward => {
                let place = match from {
                    Start::Beginning => None,
                    Start::At(key, lsn) => Some((key, lsn)),
                    // Whole keys are fetched: the next one is before all versions of this.
                    Start::Behind(key, _) => Some((key, Lsn::MAX)),
                };
                fetch.backward(&self.memtable, place, self.wanted);
            }
        }
        self.wanted = (2 * self.wanted).min(MOST);
        self.spare = std::mem::replace(&mut self.fetch, fetch);
        self.next = 0;
    }
}

impl VersionCursor for MemoryCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if self.exhausted {
            return Ok(false);
        }
        if self.next == self.fetch.versions.len() {
            self.refill();
        }
        let holds = |version: VersionRef<'_>| self.range.holds(version.key);
        if self.fetch.get(self.next).is_some_and(holds) {
            self.next += 1;
        } else {
            self.exhausted = true;
        }
        Ok(!self.exhausted)
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        self.current().unwrap_or(VersionRef::NOTHING)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.range.seek(key);
        self.fetch.clear();
        self.next = 0;
        self.wanted = FIRST;
        self.exhausted = false;
        Ok(())
    }
}
