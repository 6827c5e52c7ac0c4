//! Snapshots and cursors: reading at one LSN.

use std::{ops::ControlFlow, sync::Arc};

use crossbeam_utils::CachePadded;

use super::{
    Hold,
    core::Core,
    engine::EngineCursor,
    range::{Direction, KeyRange},
};
use crate::{
    cursor::{DecidedKey, VersionCursor},
    error::Result,
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    pins::Pin,
    staging,
};

/// A consistent view of the store at one LSN: it never changes, and everything it sees is kept
/// for as long as it (or a clone, or a cursor of it) lives. Cheap to make and to clone.
///
/// A snapshot keeps the store open.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pinned: Arc<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    pin: Pin,
    store: Arc<CachePadded<Hold>>,
}

impl Drop for Pinned {
    #[inline]
    fn drop(&mut self) {
        self.store.core.pins.unpin(&self.pin);
    }
}

impl Snapshot {
    #[inline]
    pub(super) fn new(store: &Arc<CachePadded<Hold>>) -> Snapshot {
        let pin = store.core.pins.pin(|| store.core.sequencer.published());
        Snapshot {
            pinned: Arc::new(Pinned {
                pin,
                store: Arc::clone(store),
            }),
        }
    }

    /// The newest commit that the snapshot sees.
    #[must_use]
    #[inline]
    pub fn lsn(&self) -> Lsn {
        self.pinned.pin.lsn()
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// As [`Snapshot::get_with`].
    pub fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(keyspace, key, <[u8]>::to_vec)
    }

    /// Runs `read` on the value of `key` in place, if there is one. It must not call back into
    /// the store, because a latch is held meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::UnknownKeyspace`] where the snapshot sees no such keyspace;
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    #[inline]
    pub fn get_with<R>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.pinned
            .store
            .core
            .get_at(self.lsn(), keyspace, key, read)
    }

    /// A cursor over the entries of a range.
    ///
    /// # Errors
    /// As [`Snapshot::get_with`].
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Cursor> {
        let keyspace = self
            .pinned
            .store
            .core
            .trees
            .catalog
            .find(keyspace, self.lsn())?;
        let adopted = keyspace.adopted();
        let is_empty = self.lsn() < adopted;
        let versions = (!is_empty).then(|| keyspace.engine.cursor(range, direction));
        Ok(Cursor {
            versions,
            decided: DecidedKey::default(),
            adopted,
            _keyspace: keyspace,
            snapshot: self.clone(),
        })
    }
}

/// A [`Snapshot`] that borrows its store: making and dropping it allocates and counts nothing, so
/// that it is worth its while for a single read.
#[derive(Debug)]
pub struct SnapshotRef<'a> {
    core: &'a Core,
    pin: Pin,
}

impl Drop for SnapshotRef<'_> {
    #[inline]
    fn drop(&mut self) {
        self.core.pins.unpin(&self.pin);
    }
}

impl<'a> SnapshotRef<'a> {
    #[inline]
    pub(super) fn new(core: &'a Core) -> SnapshotRef<'a> {
        let pin = core.pins.pin(|| core.sequencer.published());
        SnapshotRef { core, pin }
    }

    /// The newest commit that the snapshot sees.
    #[must_use]
    #[inline]
    pub fn lsn(&self) -> Lsn {
        self.pin.lsn()
    }

    /// As [`Snapshot::get`].
    ///
    /// # Errors
    /// As [`Snapshot::get_with`].
    pub fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(keyspace, key, <[u8]>::to_vec)
    }

    /// As [`Snapshot::get_with`].
    ///
    /// # Errors
    /// As [`Snapshot::get_with`].
    #[inline]
    pub fn get_with<R>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.core.get_at(self.lsn(), keyspace, key, read)
    }
}

impl Core {
    /// Runs `read` on the value of `key` that a snapshot at `at`, which is pinned, sees.
    #[inline]
    fn get_at<R>(
        &self,
        at: Lsn,
        keyspace: KeyspaceId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let keyspace = self.trees.catalog.keep(keyspace, at)?;
        let value = keyspace.get(key, at, |_, value| value.map(read))?;
        Ok(value.flatten())
    }
}

/// Walks the entries that a snapshot sees of a range. Lending: what [`Cursor::next`] answers
/// lives until the next call. No latch is held between calls, so the store may be written to
/// meanwhile.
#[derive(Debug)]
pub struct Cursor {
    /// `None` where the keyspace was still empty.
    versions: Option<EngineCursor>,
    decided: DecidedKey,
    /// Versions below this LSN hold staged values.
    adopted: Lsn,
    /// Keeps the engine from being freed.
    _keyspace: Arc<Keyspace>,
    snapshot: Snapshot,
}

impl Cursor {
    /// The next key and value in scan direction.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    #[expect(clippy::should_implement_trait, reason = "a lending iterator")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let at = self.snapshot.lsn();
        let Some(versions) = &mut self.versions else {
            return Ok(None);
        };
        loop {
            if !versions.advance_visible(at, &mut self.decided)? {
                return Ok(None);
            }
            let version = versions.version();
            if version.lsn >= self.adopted
                || staging::decode(version.value.unwrap_or_default()).is_some()
            {
                break;
            }
        }
        let version = versions.version();
        let value = version.value.unwrap_or_default();
        let value = if version.lsn < self.adopted {
            staging::decode(value)
        } else {
            Some(value)
        };
        Ok(value.map(|value| (version.key, value)))
    }

    /// Shows `visit` the next entries in scan direction, in place, until it breaks off, which is
    /// answered, or there are none; the next call of this or of [`Cursor::next`] goes on behind the
    /// last one shown. `visit` must neither call back into the store nor wait for anything, because
    /// a latch is held meanwhile; where a B+ tree is walked forward this saves copying what is shown.
    ///
    /// # Errors
    /// As [`Cursor::next`].
    #[inline]
    pub fn visit(
        &mut self,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let (at, adopted) = (self.snapshot.lsn(), self.adopted);
        let Some(versions) = &mut self.versions else {
            return Ok(ControlFlow::Continue(()));
        };
        versions.visit_visible(at, &mut self.decided, |version| {
            let value = version.value.unwrap_or_default();
            if version.lsn >= adopted {
                return visit(version.key, value);
            }
            match staging::decode(value) {
                Some(value) => visit(version.key, value),
                None => ControlFlow::Continue(()),
            }
        })
    }

    /// Goes to the first key at or after `key` (backward: at or before it) within the range, so
    /// that the next call of [`Cursor::next`] answers it.
    ///
    /// # Errors
    /// As [`Cursor::next`].
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.decided = DecidedKey::default();
        match &mut self.versions {
            Some(versions) => versions.seek(key),
            None => Ok(()),
        }
    }
}
