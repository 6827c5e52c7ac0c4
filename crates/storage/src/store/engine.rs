//! The engines behind one face: what the store asks of a keyspace's contents.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use super::{
    range::{Direction, KeyRange},
    stats::KeyspaceEstimate,
};
use crate::{
    btree::{BTree, TreeCursor, TreeEntry},
    cursor::{DecidedKey, MergeCursor, VersionCursor, VersionRef},
    engine::{EngineKind, KeyspaceOptions},
    error::Result,
    hybrid::HybridTree,
    lsm::{FrozenVersion, LsmTree, RunCursor, RunRecord, TableSpace},
    lsn::Lsn,
    page::{PageId, PageStore},
    pins::Watermark,
    verify::VerifyReport,
};

/// The contents of a keyspace. All methods may be called from any number of threads.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Shared with the hybrid tree that rests on it, if one does.
    BTree(Arc<BTree>),
    Lsm(LsmTree),
    Hybrid(HybridTree),
}

/// Where engines keep what they hold.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) pages: Arc<PageStore>,
    pub(crate) tables: Arc<TableSpace>,
}

/// How a manifest lists an engine: by kind, the root of its B+ tree, the tables of its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineRecord {
    pub(crate) kind: EngineKind,
    pub(crate) root: Option<PageId>,
    pub(crate) runs: Vec<RunRecord>,
}

impl EngineKind {
    /// Whether engines of this kind have a B+ tree.
    pub(crate) fn has_tree(self) -> bool {
        match self {
            EngineKind::BTree | EngineKind::Hybrid => true,
            EngineKind::Lsm => false,
        }
    }

    /// Whether engines of this kind have memtables and tables.
    pub(crate) fn has_tables(self) -> bool {
        match self {
            EngineKind::BTree => false,
            EngineKind::Lsm | EngineKind::Hybrid => true,
        }
    }
}

impl KeyspaceOptions {
    /// The engine that a keyspace of these options has. What is staged for a hybrid keyspace
    /// gathers in an LSM tree, which its front can take over whole.
    pub(crate) fn engine_kind(self) -> EngineKind {
        match self.engine {
            EngineKind::Hybrid if self.staging => EngineKind::Lsm,
            kind => kind,
        }
    }
}

impl Engine {
    /// An empty engine.
    ///
    /// # Errors
    /// As [`BTree::create`].
    pub(crate) fn create(media: &Media, kind: EngineKind) -> Result<Engine> {
        Ok(match kind {
            EngineKind::BTree => {
                let tree = BTree::create(Arc::clone(&media.pages))?;
                Engine::BTree(Arc::new(tree))
            }
            EngineKind::Lsm => Engine::Lsm(LsmTree::create(&media.tables)),
            EngineKind::Hybrid => Engine::Hybrid(HybridTree::create(&media.pages, &media.tables)?),
        })
    }

    /// An empty engine that takes the place of another: [`LsmTree::lay_below`] completes it, after
    /// newer versions have come.
    ///
    /// # Errors
    /// As [`BTree::create`].
    pub(crate) fn create_replacement(media: &Media, kind: EngineKind) -> Result<Engine> {
        Ok(match kind {
            EngineKind::Lsm => Engine::Lsm(LsmTree::create(&media.tables).in_front()),
            kind => Engine::create(media, kind)?,
        })
    }

    /// The engine of a manifest.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Version`], [`crate::Error::Io`].
    pub(crate) fn open(media: &Media, record: &EngineRecord) -> Result<Engine> {
        let tree = || {
            let root = record.root.unwrap_or_default();
            Arc::new(BTree::open(Arc::clone(&media.pages), root))
        };
        Ok(match record.kind {
            EngineKind::BTree => Engine::BTree(tree()),
            EngineKind::Lsm => Engine::Lsm(LsmTree::open(&media.tables, &record.runs)?),
            EngineKind::Hybrid => {
                let front = LsmTree::open(&media.tables, &record.runs)?;
                Engine::Hybrid(HybridTree::new(front, tree()))
            }
        })
    }

    /// How a manifest lists the engine, its tables left out: those are known when they have
    /// been written.
    pub(crate) fn record(&self) -> EngineRecord {
        EngineRecord {
            kind: match self {
                Engine::BTree(_) => EngineKind::BTree,
                Engine::Lsm(_) => EngineKind::Lsm,
                Engine::Hybrid(_) => EngineKind::Hybrid,
            },
            root: self.tree().map(BTree::root),
            runs: Vec::new(),
        }
    }

    /// The B+ tree, if it has one.
    pub(crate) fn tree(&self) -> Option<&BTree> {
        match self {
            Engine::BTree(tree) => Some(tree),
            Engine::Hybrid(hybrid) => Some(&hybrid.base),
            Engine::Lsm(_) => None,
        }
    }

    /// The LSM tree, if it has one.
    pub(crate) fn lsm(&self) -> Option<&LsmTree> {
        match self {
            Engine::BTree(_) => None,
            Engine::Lsm(lsm) => Some(lsm),
            Engine::Hybrid(hybrid) => Some(&hybrid.front),
        }
    }

    /// Ends memtables for a checkpoint; see [`LsmTree::freeze`].
    pub(crate) fn freeze(&self) -> Option<FrozenVersion> {
        self.lsm().map(LsmTree::freeze)
    }

    /// Whether commits change pages directly.
    pub(crate) fn writes_pages(&self) -> bool {
        matches!(self, Engine::BTree(_))
    }

    /// Calls `read` with LSN and value (`None` for a tombstone) of the newest version of `key`
    /// at or below `at`, if there is one. A latch may be held meanwhile: `read` must not use the
    /// store.
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
        match self {
            Engine::BTree(tree) => tree.get(key, at, read),
            Engine::Lsm(lsm) => Ok(lsm.get(key, at, read)?.ok()),
            Engine::Hybrid(hybrid) => hybrid.get(key, at, read),
        }
    }

    /// A cursor over all versions of the keys in `range`.
    pub(crate) fn cursor(&self, range: KeyRange, direction: Direction) -> EngineCursor {
        match self {
            Engine::BTree(tree) => EngineCursor::Tree(tree.cursor(range, direction)),
            Engine::Lsm(lsm) => {
                EngineCursor::Merge(MergeCursor::new(lsm.cursors(&range, direction), direction))
            }
            Engine::Hybrid(hybrid) if hybrid.front.is_empty() => {
                EngineCursor::Tree(hybrid.base.cursor(range, direction))
            }
            Engine::Hybrid(hybrid) => {
                let cursors = hybrid.cursors(&range, direction);
                EngineCursor::Merge(MergeCursor::new(cursors, direction))
            }
        }
    }

    /// Whether there is no version of anything.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(crate) fn is_empty(&self) -> Result<bool> {
        match self {
            Engine::BTree(tree) => tree.is_empty(),
            Engine::Lsm(lsm) => Ok(lsm.is_empty()),
            Engine::Hybrid(hybrid) => Ok(hybrid.front.is_empty() && hybrid.base.is_empty()?),
        }
    }

    /// Adds a version at `lsn` of each entry's key. Entries ascend by key without repeats. A
    /// version that is there already is left as it is. Versions that no snapshot at or above
    /// `watermark` sees may be dropped on the way.
    ///
    /// # Errors
    /// As [`BTree::apply`].
    #[inline]
    pub(crate) fn apply<'w>(
        &self,
        entries: &[TreeEntry<'_>],
        lsn: Lsn,
        watermark: impl Into<Watermark<'w>>,
    ) -> Result<()> {
        match self {
            Engine::BTree(tree) => tree.apply(entries, lsn, watermark),
            Engine::Lsm(lsm) => {
                lsm.apply(entries, lsn);
                Ok(())
            }
            Engine::Hybrid(hybrid) => {
                hybrid.front.apply(entries, lsn);
                Ok(())
            }
        }
    }

    /// Whether there is a version of `key` or of a greater key, or one on its way.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(crate) fn holds_at_or_after(&self, key: &[u8]) -> Result<bool> {
        let last = self.lsm().and_then(LsmTree::last_ingested);
        if let Some(last) = last {
            // The rest was looked up when the first of these came, and is once more at the end.
            return Ok(last.as_slice() >= key);
        }
        let range = KeyRange {
            start: Bound::Included(key.to_vec()),
            end: Bound::Unbounded,
        };
        self.cursor(range, Direction::Forward).advance()
    }

    /// Says that `entries`, which ascend by key, will be applied: has the pages read that they
    /// belong to. A hint; what fails here fails again when they are.
    pub(crate) fn will_apply(&self, entries: &[TreeEntry<'_>]) {
        if let Engine::BTree(tree) = self {
            let _ = tree.will_apply(entries);
        }
    }

    /// Whether the contents of `from`, a staging keyspace's, can be taken over as they are, on
    /// top of what is there.
    pub(crate) fn can_attach(&self, from: &Engine) -> bool {
        self.lsm().is_some() && matches!(from, Engine::Lsm(_))
    }

    /// The engine that takes this one's place where the contents of `from`, a staging keyspace's,
    /// can become those of this one's keyspace, which has none: a packed tree stays as it is.
    ///
    /// # Errors
    /// As [`Engine::is_empty`].
    pub(crate) fn adopt(&self, from: &Arc<Engine>, media: &Media) -> Result<Option<Arc<Engine>>> {
        let (Engine::BTree(tree), false) = (from.as_ref(), matches!(self, Engine::Lsm(_))) else {
            return Ok(None);
        };
        if !self.is_empty()? {
            return Ok(None);
        }
        Ok(Some(match self {
            Engine::Hybrid(_) => {
                let front = LsmTree::create(&media.tables);
                Arc::new(Engine::Hybrid(HybridTree::new(front, Arc::clone(tree))))
            }
            Engine::BTree(_) | Engine::Lsm(_) => Arc::clone(from),
        }))
    }

    /// Takes over the contents of `from`; see [`LsmTree::attach`].
    pub(crate) fn attach(&self, from: &Engine, staged: Lsn) {
        if let (Some(into), Engine::Lsm(from)) = (self.lsm(), from) {
            into.attach(from, staged);
        }
    }

    /// The size, roughly.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(crate) fn estimate(&self) -> Result<KeyspaceEstimate> {
        let mut estimate = KeyspaceEstimate::default();
        if let Some(tree) = self.tree() {
            let tree = tree.estimate()?;
            estimate.entries = tree.entries;
            estimate.leaf_pages = tree.leaf_pages;
            estimate.depth = tree.depth;
        }
        if let Some(lsm) = self.lsm() {
            let lsm = lsm.estimate();
            estimate.entries += lsm.entries;
            estimate.leaf_pages += lsm.blocks;
            estimate.depth += lsm.parts;
        }
        Ok(estimate)
    }

    /// Gives everything back. Nobody else may use the engine any more; of a B+ tree that two of
    /// them share, only this one's share goes.
    ///
    /// # Errors
    /// As [`BTree::destroy`].
    pub(crate) fn destroy(self) -> Result<()> {
        let tree = match self {
            Engine::BTree(tree) => tree,
            Engine::Lsm(lsm) => {
                lsm.destroy();
                return Ok(());
            }
            Engine::Hybrid(HybridTree { front, base }) => {
                front.destroy();
                base
            }
        };
        Arc::into_inner(tree).map_or(Ok(()), BTree::destroy)
    }

    /// Checks everything; pages that the B+ tree refers to are passed to `reached`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where a file cannot be read, and damage that ends the check early.
    pub(crate) fn verify(
        &self,
        reached: &mut dyn FnMut(PageId),
        report: &mut VerifyReport,
    ) -> Result<()> {
        if let Some(lsm) = self.lsm() {
            lsm.verify(report)?;
        }
        match self.tree() {
            Some(tree) => tree.verify(&mut |page| reached(page), report),
            None => Ok(()),
        }
    }
}

/// Walks the versions of an engine. See [`VersionCursor`].
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a cursor is made once per scan and the larger kind is the usual one"
)]
pub(crate) enum EngineCursor {
    Tree(TreeCursor),
    Merge(MergeCursor<RunCursor>),
}

impl VersionCursor for EngineCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self {
            EngineCursor::Tree(cursor) => cursor.advance(),
            EngineCursor::Merge(cursor) => cursor.advance(),
        }
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        match self {
            EngineCursor::Tree(cursor) => cursor.version(),
            EngineCursor::Merge(cursor) => cursor.version(),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        match self {
            EngineCursor::Tree(cursor) => cursor.seek(key),
            EngineCursor::Merge(cursor) => cursor.seek(key),
        }
    }

    #[inline]
    fn advance_visible(&mut self, at: Lsn, decided: &mut DecidedKey) -> Result<bool> {
        match self {
            EngineCursor::Tree(cursor) => cursor.advance_visible(at, decided),
            EngineCursor::Merge(cursor) => cursor.advance_visible(at, decided),
        }
    }

    #[inline]
    fn visit_visible(
        &mut self,
        at: Lsn,
        decided: &mut DecidedKey,
        visit: impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        match self {
            EngineCursor::Tree(cursor) => cursor.visit_visible(at, decided, visit),
            EngineCursor::Merge(cursor) => cursor.visit_visible(at, decided, visit),
        }
    }
}
