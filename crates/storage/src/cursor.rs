//! Version cursors, and the filter that makes a snapshot's view of them.
//!
//! Every engine offers its entries as versions – key, LSN, value or tombstone – and the one
//! filter here turns them into what a snapshot sees: of each key the newest version that is
//! not above the snapshot, tombstones left out.

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
    fn is_new(&mut self, key: &[u8]) -> bool {
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

    fn forget(&mut self) {
        self.0 = None;
    }
}

/// What a snapshot sees of a version cursor.
#[derive(Debug)]
pub(crate) struct SnapshotCursor<C> {
    versions: C,
    at: Lsn,
    decided: DecidedKey,
}

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

    /// Goes to the first key at or after (backward: at or before) `key`.
    ///
    /// # Errors
    /// Whatever reading the engine's files answers.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.decided.forget();
        self.versions.seek(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions in a vector, forward.
    struct Listed {
        versions: Vec<(Vec<u8>, u64, Option<Vec<u8>>)>,
        next: usize,
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
            self.next = self.versions.partition_point(|(k, ..)| k.as_slice() < key);
            Ok(())
        }
    }

    fn listed() -> Listed {
        let value = |text: &str| Some(text.as_bytes().to_vec());
        let versions = vec![
            (b"a".to_vec(), 7, None),
            (b"a".to_vec(), 3, value("a3")),
            (b"b".to_vec(), 5, value("b5")),
            (b"c".to_vec(), 9, value("c9")),
            (b"c".to_vec(), 4, value("c4")),
            (b"c".to_vec(), 2, value("c2")),
        ];
        Listed { versions, next: 0 }
    }

    fn seen(at: u64) -> Vec<String> {
        let mut cursor = SnapshotCursor::new(listed(), Lsn(at));
        let mut seen = Vec::new();
        while let Some((_, value)) = cursor.next_entry().unwrap() {
            seen.push(String::from_utf8(value.to_vec()).unwrap());
        }
        seen
    }

    #[test]
    fn a_snapshot_sees_the_newest_version_at_or_below_it() {
        assert_eq!(seen(1), [""; 0]);
        assert_eq!(seen(2), ["c2"]);
        assert_eq!(seen(4), ["a3", "c4"]);
        assert_eq!(seen(6), ["a3", "b5", "c4"]);
        assert_eq!(seen(7), ["b5", "c4"]);
        assert_eq!(seen(9), ["b5", "c9"]);
    }

    #[test]
    fn seeking_back_shows_a_key_again() {
        let mut cursor = SnapshotCursor::new(listed(), Lsn(9));
        assert_eq!(cursor.next_entry().unwrap(), Some((&b"b"[..], &b"b5"[..])));
        cursor.seek(b"b").unwrap();
        assert_eq!(cursor.next_entry().unwrap(), Some((&b"b"[..], &b"b5"[..])));
    }
}
