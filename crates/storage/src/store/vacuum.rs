//! Giving room back: versions that nobody sees, half-empty pages, the file's end.
//!
//! Works in small steps that commits may run between, each under the barrier that keeps a
//! checkpoint from freezing in the middle of one. Nothing of it is logged: what a crash undoes is
//! done again another time.

use std::sync::atomic::Ordering;

use super::{core::Core, engine::Engine};
use crate::{
    btree::BTree,
    error::Result,
    lsm::{Compacted, LsmTree},
    lsn::Lsn,
    page::{PageId, PageStore},
    wal::Wal,
};

/// Leaves that are worked on in one step.
const LEAVES: usize = 32;
/// Pages that are moved in one step.
const MOVED: usize = 64;
/// How often the file's end is looked at: moving its pages frees what others wait for.
const ROUNDS: usize = 3;

/// What is to be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vacuum {
    /// Everything.
    Full,
    /// What has changed so much that it is worth it.
    Worthwhile,
}

impl Core {
    /// Prunes and packs trees and shrinks data file and log, as long as `go_on` says so between steps;
    /// answers whether it came to the end.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corrupt`], [`crate::Error::Poisoned`].
    pub(crate) fn vacuum(&self, what: Vacuum, go_on: &dyn Fn() -> bool) -> Result<bool> {
        // Two at once would undo what the other has moved.
        let _turn = match (what, self.vacuuming.try_lock()) {
            (_, Some(turn)) => turn,
            (Vacuum::Full, None) => self.vacuuming.lock(),
            // Somebody is at it.
            (Vacuum::Worthwhile, None) => return Ok(false),
        };
        self.collect_garbage()?;
        let keyspaces = self.trees.catalog.list(self.sequencer.published());
        if what == Vacuum::Full && keyspaces.iter().any(|one| one.engine.lsm().is_some()) {
            // Memtables to tables, and what goes down into trees before those are packed.
            self.checkpoint()?;
            self.compact_all()?;
        }
        for keyspace in keyspaces {
            // What is staged is short-lived, or becomes another keyspace's.
            if keyspace.options.staging {
                continue;
            }
            if let Engine::Lsm(lsm) = &*keyspace.engine
                && (what == Vacuum::Full || lsm.wants_full_compaction())
                && !self.merge_all(lsm, go_on)?
            {
                return Ok(false);
            }
            let Some(tree) = keyspace.engine.tree() else {
                continue;
            };
            if what == Vacuum::Worthwhile && !tree.wants_packing()? {
                continue;
            }
            if !self.pack(tree, go_on)? {
                return Ok(false);
            }
        }
        // Before the file's end is looked at, so that what the trees have given back is free.
        if what == Vacuum::Full || self.vacuumed.load(Ordering::Acquire) {
            self.checkpoint()?;
        }
        let shrunk = self.shrink(go_on);
        self.trees.media.pages.prefer_front(None);
        if !shrunk? {
            return Ok(false);
        }
        self.trees.media.pages.trim();
        let shrunk = self.sequencer.wal().map_or(Ok(false), Wal::shrink)?;
        if shrunk || self.trees.media.pages.is_cut_due() {
            self.vacuumed.store(true, Ordering::Release);
            self.checkpoint()?;
        }
        Ok(true)
    }

    /// Moves what is at the file's end to its front; false where it was stopped.
    fn shrink(&self, go_on: &dyn Fn() -> bool) -> Result<bool> {
        let pages = &self.trees.media.pages;
        let mut moved_any = false;
        for _ in 0..ROUNDS {
            let Some(cut) = pages.shrink_target() else {
                break;
            };
            pages.prefer_front(Some(cut));
            match self.move_to_front(cut, go_on)? {
                None => return Ok(false),
                Some(0) => break,
                Some(_) => self.checkpoint()?,
            };
            moved_any = true;
        }
        if moved_any {
            // Any checkpoint moves the manifest.
            self.vacuumed.store(true, Ordering::Release);
            self.checkpoint()?;
        }
        Ok(true)
    }

    /// Merges all tables of a tree into one level; false where it was stopped.
    fn merge_all(&self, lsm: &LsmTree, go_on: &dyn Fn() -> bool) -> Result<bool> {
        loop {
            if !go_on() {
                return Ok(false);
            }
            self.check_writable()?;
            let watermark = self.pins.advance(self.sequencer.published());
            match lsm.compact_further(watermark)? {
                Compacted::Nothing => return Ok(true),
                Compacted::Stopped => return Ok(false),
                // What has been merged goes with a checkpoint, and takes room until then.
                Compacted::Some => self.write_checkpoint()?,
            };
        }
    }

    fn pack(&self, tree: &BTree, go_on: &dyn Fn() -> bool) -> Result<bool> {
        let mut progress = None;
        loop {
            if !go_on() {
                return Ok(false);
            }
            progress = self.step(BTree::pack_bound(LEAVES), |watermark| {
                tree.pack(watermark, progress.take(), LEAVES)
            })?;
            if progress.is_none() {
                return Ok(true);
            }
        }
    }

    /// Moves what is behind block `cut`; how many pages that were, or `None` where it was stopped.
    fn move_to_front(&self, cut: u32, go_on: &dyn Fn() -> bool) -> Result<Option<usize>> {
        let (mut total, mut next) = (0, Some(PageId::default()));
        while let Some(from) = next {
            if !go_on() {
                return Ok(None);
            }
            let pages = &self.trees.media.pages;
            let moved = self.step(MOVED, |_| pages.move_to_front(cut, from, MOVED))?;
            total += moved.0;
            next = moved.1;
        }
        Ok(Some(total))
    }

    /// Does one step, which changes up to `pages` pages, between two checkpoints.
    fn step<R>(&self, pages: usize, step: impl FnOnce(Lsn) -> Result<R>) -> Result<R> {
        self.check_writable()?;
        let _barrier = match self.barrier.try_read() {
            Some(barrier) => barrier,
            None => self.wait_points.barrier.time(|| self.barrier.read()),
        };
        let _room = self.trees.media.pages.reserve(pages)?;
        let watermark = self.pins.advance(self.sequencer.published());
        self.vacuumed.store(true, Ordering::Release);
        PageStore::unlogged(|| step(watermark))
    }
}
