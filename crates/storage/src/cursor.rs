//! Version cursors, and the filter that makes a snapshot's view of them.
//!
//! Every engine offers its entries as versions – key, LSN, value or tombstone – and the one
//! filter here turns them into what a snapshot sees: of each key the newest version that is
//! not above the snapshot, tombstones left out.

mod collect;
mod merge;

use std::ops::ControlFlow;

pub(crate) use self::{
    collect::{KeyCollector, VersionCollector, VersionMark, garbage_from},
    merge::MergeCursor,
};
use crate::{error::Result, lsn::Lsn};

/// One version of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionRef<'a> {
    /// The key.
    pub(crate) key: &'a [u8],
    /// Which commit wrote it.
    pub(crate) lsn: Lsn,
    /// The value, or `None` for a tombstone.
    pub(crate) value: Option<&'a [u8]>,
}

impl VersionRef<'_> {
    /// What a cursor that is on no version shows.
    pub(crate) const NOTHING: VersionRef<'static> = VersionRef {
        key: &[],
        lsn: Lsn::ZERO,
        value: None,
    };
}

/// Walks versions in key order (either way), the newest first within a key (both ways).
/// Lending: what it shows lives until the next step.
pub(crate) trait VersionCursor {
    /// Steps to the next version; false at the end.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    fn advance(&mut self) -> Result<bool>;

    /// The version that the last successful step went to.
    fn version(&self) -> VersionRef<'_>;

    /// Goes to the first key at or after (backward: at or before) `key`, within the cursor's
    /// range: the next step shows its newest version.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    fn seek(&mut self, key: &[u8]) -> Result<()>;

    /// Steps to the version that a snapshot at `at` sees of the next key that it sees; false at
    /// the end. `decided` is kept by the caller from step to step.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    fn advance_visible(&mut self, at: Lsn, decided: &mut DecidedKey) -> Result<bool> {
        while self.advance()? {
            let version = self.version();
            if version.lsn <= at && decided.is_new(version.key) && version.value.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shows `visit` what a snapshot at `at` sees, key by key, until it breaks off, which is
    /// answered, or the end is reached; the next step goes on behind the last key that it was shown.
    /// A latch may be held meanwhile: `visit` must not use the store.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    #[inline]
    fn visit_visible(
        &mut self,
        at: Lsn,
        decided: &mut DecidedKey,
        mut visit: impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>>
    where
        Self: Sized,
    {
        while self.advance_visible(at, decided)? {
            if visit(self.version()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next version.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    fn next_version(&mut self) -> Result<Option<VersionRef<'_>>> {
        Ok(if self.advance()? {
            Some(self.version())
        } else {
            None
        })
    }
}

/// The key whose visible version has been found last.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecidedKey(Option<Vec<u8>>);

impl DecidedKey {
    /// Whether `key` is another one than last time; it is remembered.
    pub(crate) fn is_new(&mut self, key: &[u8]) -> bool {
        match &mut self.0 {
            Some(last) if last == key => return false,
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.0 = Some(key.to_vec()),
        }
        true
    }
}

/// What a snapshot sees of a version cursor: for tests of engines.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct SnapshotCursor<C> {
    versions: C,
    at: Lsn,
    decided: DecidedKey,
}

#[cfg(test)]
impl<C: VersionCursor> SnapshotCursor<C> {
    /// The entries of `versions`, which has not been stepped yet, as of LSN `at`.
    pub(crate) fn new(versions: C, at: Lsn) -> SnapshotCursor<C> {
        SnapshotCursor {
            versions,
            at,
            decided: DecidedKey::default(),
        }
    }

    /// The next key and its value.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.versions.advance_visible(self.at, &mut self.decided)? {
            return Ok(None);
        }
        let version = self.versions.version();
        Ok(Some((version.key, version.value.unwrap_or_default())))
    }

    /// The next keys and their values, by a step where `most` is 1 and else by a visit that breaks
    /// off after `most` of them; none at the end.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    pub(crate) fn next_entries(&mut self, most: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if most == 1 {
            let entry = self.next_entry()?;
            return Ok(entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .into_iter()
                .collect());
        }
        let mut entries = Vec::new();
        let _ = self
            .versions
            .visit_visible(self.at, &mut self.decided, |version| {
                let value = version.value.unwrap_or_default();
                entries.push((version.key.to_vec(), value.to_vec()));
                match entries.len() < most {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
        Ok(entries)
    }

    /// Goes to the first key at or after (backward: at or before) `key`.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.decided = DecidedKey::default();
        self.versions.seek(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Direction;

    /// Versions in a vector, in the order of the direction.
    pub(super) struct Listed {
        versions: Vec<(Vec<u8>, u64, Option<Vec<u8>>)>,
        direction: Direction,
        next: usize,
    }

    impl Listed {
        pub(super) fn new(versions: &[(u8, u64, Option<u8>)], direction: Direction) -> Listed {
            Listed::spelled(versions, direction, |key| vec![key])
        }

        /// With other keys, in the same order.
        pub(super) fn spelled(
            versions: &[(u8, u64, Option<u8>)],
            direction: Direction,
            spell: fn(u8) -> Vec<u8>,
        ) -> Listed {
            let version = |(key, lsn, value): &(u8, u64, Option<u8>)| {
                (spell(*key), *lsn, value.map(|value| vec![value]))
            };
            Listed {
                versions: versions.iter().map(version).collect(),
                direction,
                next: 0,
            }
        }
    }

    impl VersionCursor for Listed {
        fn advance(&mut self) -> Result<bool> {
            self.next += 1;
            Ok(self.next <= self.versions.len())
        }
        fn version(&self) -> VersionRef<'_> {
            let (key, lsn, value) = &self.versions[self.next - 1];
            VersionRef {
                key,
                lsn: Lsn(*lsn),
                value: value.as_deref(),
            }
        }
        fn seek(&mut self, key: &[u8]) -> Result<()> {
            self.next = self
                .versions
                .partition_point(|(k, ..)| match self.direction {
                    Direction::Forward => k.as_slice() < key,
                    Direction::Backward => k.as_slice() > key,
                });
            Ok(())
        }
    }

    fn listed() -> Listed {
        let versions = [
            (b'a', 7, None),
            (b'a', 3, Some(b'3')),
            (b'b', 5, Some(b'5')),
            (b'c', 9, Some(b'9')),
            (b'c', 4, Some(b'4')),
            (b'c', 2, Some(b'2')),
        ];
        Listed::new(&versions, Direction::Forward)
    }

    fn seen(at: u64) -> String {
        let (mut cursor, mut decided) = (listed(), DecidedKey::default());
        let mut seen = String::new();
        while cursor.advance_visible(Lsn(at), &mut decided).unwrap() {
            let version = cursor.version();
            seen.push(char::from(version.key[0]));
            seen.push(char::from(version.value.unwrap()[0]));
        }
        seen
    }

    #[test]
    fn a_snapshot_sees_the_newest_version_at_or_below_it() {
        assert_eq!(seen(1), "");
        assert_eq!(seen(2), "c2");
        assert_eq!(seen(4), "a3c4");
        assert_eq!(seen(6), "a3b5c4");
        assert_eq!(seen(7), "b5c4");
        assert_eq!(seen(9), "b5c9");
    }
}
