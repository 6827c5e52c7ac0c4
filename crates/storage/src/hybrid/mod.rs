//! The hybrid tree: an LSM front that takes the writes, above a B+ tree that holds the rest.
//!
//! Commits go to a memtable and from there to runs, as in an LSM tree. In the background the
//! runs are merged, in key order, into the B+ tree: every page is touched once for many commits.
//! When the front is empty, reads touch the tree alone.
//!
//! **What goes down.** Only runs whose newest commit is at or below the watermark: no snapshot
//! tells their commits apart any more, so of each key the newest version goes down, in the name
//! of the newest commit *R* of all the runs that go. That keeps the order of parts: whatever
//! stays in front was written after *R*, and what lay in the tree before. While a merge is under
//! way a key may lie in both places; it has the same value in both for every snapshot there is.
//! Where an old snapshot holds the watermark back, the runs are compacted among themselves until
//! it goes.

use std::sync::Arc;

use crate::{
    btree::{BTree, TreeEntry},
    cursor::{MergeCursor, VersionCollector, VersionCursor},
    error::Result,
    lsm::{Compacted, LsmTree, RunCursor, TableSpace},
    lsn::Lsn,
    page::PageStore,
    store::{Direction, KeyRange},
};

/// Bytes of entries that go to the tree in one piece, about.
const PIECE_BYTES: usize = 256 << 10;

/// Runs a change that may touch so many pages, once there is room for them.
pub(crate) type WithRoom<'a> = dyn FnMut(usize, &mut dyn FnMut() -> Result<()>) -> Result<()> + 'a;

/// A hybrid tree. All methods may be called from any number of threads.
#[derive(Debug)]
pub(crate) struct HybridTree {
    pub(crate) front: LsmTree,
    /// Shared with the staging keyspace whose tree it was, if it was one's.
    pub(crate) base: Arc<BTree>,
}

/// Entries on their way down: keys and values one after the other.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Where each key ends, and its value, if it has one.
    ends: Vec<(usize, Option<usize>)>,
}

impl Piece {
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let end = value.map(|_| self.bytes.len());
        self.ends.push((key_end, end));
    }

    fn entries(&self) -> Vec<TreeEntry<'_>> {
        let mut start = 0;
        let entry = |(key_end, end): &(usize, Option<usize>)| {
            let entry = TreeEntry {
                key: &self.bytes[start..*key_end],
                value: end.map(|end| &self.bytes[*key_end..end]),
            };
            start = end.unwrap_or(*key_end);
            entry
        };
        self.ends.iter().map(entry).collect()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl HybridTree {
    /// An empty tree.
    ///
    /// # Errors
    /// As [`BTree::create`].
    pub(crate) fn create(pages: &Arc<PageStore>, space: &Arc<TableSpace>) -> Result<HybridTree> {
        let base = BTree::create(Arc::clone(pages))?;
        Ok(HybridTree::new(LsmTree::create(space), Arc::new(base)))
    }

    /// An LSM tree above a B+ tree.
    pub(crate) fn new(front: LsmTree, base: Arc<BTree>) -> HybridTree {
        HybridTree {
            front: front.in_front(),
            base,
        }
    }

    /// Calls `read` with LSN and value of the newest version of `key` at or below `at`.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    #[inline]
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: impl FnOnce(Lsn, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        match self.front.get(key, at, read)? {
            Ok(found) => Ok(Some(found)),
            Err(read) => self.base.get(key, at, read),
        }
    }

    /// Cursors over all parts, the newest first; the last is the tree's.
    pub(crate) fn cursors(&self, range: &KeyRange, direction: Direction) -> Vec<RunCursor> {
        let mut cursors = self.front.cursors(range, direction);
        let base = self.base.cursor(range.clone(), direction);
        cursors.push(RunCursor::base(base));
        cursors
    }

    /// Merges runs into the tree, or where the watermark does not allow it and there are many,
    /// with each other. `with_room` is asked to run every change of the tree, with the number
    /// of pages that it may change, under the store's barrier.
    ///
    /// # Errors
    /// [`crate::Error::Io`] (a full disk leaves everything readable as it was),
    /// [`crate::Error::Corrupt`].
    pub(crate) fn compact(
        &self,
        watermark: Lsn,
        page_bytes: usize,
        with_room: &mut WithRoom<'_>,
    ) -> Result<Compacted> {
        let Some(runs) = self.front.settled_runs(watermark) else {
            return self.front.compact(watermark);
        };
        let mut merged = MergeCursor::new(runs.cursors(), Direction::Forward);
        let mut collector = VersionCollector::new(Lsn::MAX);
        let mut piece = Piece::default();
        let mut more = true;
        while more {
            piece.clear();
            more = loop {
                let Some(version) = merged.next_version()? else {
                    break false;
                };
                if collector.keeps(version, |_| false) {
                    piece.push(version.key, version.value);
                }
                if piece.bytes.len() >= PIECE_BYTES {
                    break true;
                }
            };
            if self.front.is_closing() {
                // What has gone down stays there; the runs are still in front of it.
                return Ok(Compacted::Stopped);
            }
            let entries = piece.entries();
            let pages = 2 * piece.bytes.len() / page_bytes + entries.len() + 4;
            let newest = runs.newest();
            with_room(pages, &mut || self.base.apply(&entries, newest, watermark))?;
        }
        let installed = self.front.remove_runs(&runs);
        Ok(if installed {
            Compacted::Some
        } else {
            Compacted::Stopped
        })
    }

    /// Whether [`HybridTree::compact`] would find something to do.
    pub(crate) fn wants_compaction(&self, watermark: Lsn) -> bool {
        self.front.settled_runs(watermark).is_some() || self.front.wants_compaction()
    }
}
