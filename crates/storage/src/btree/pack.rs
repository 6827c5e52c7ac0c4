//! Packing: giving back what deletions, overwrites and splits have left unused.
//!
//! A pass walks the leaves in key order. It drops versions that nobody can see any more, merges
//! what has become small, and fills each leaf up from its right neighbour, so that a tree whose
//! keys came in random order, and whose leaves are two thirds full from splitting, needs about
//! the pages of one that was built in order. Leaves of different parents are left as they are.

use std::sync::atomic::Ordering;

use super::{
    build::{Builder, copy_cell},
    key::{OwnedSeparator, Place, shortest_separator},
    layout::{NodeError, NodeResult, SLOT},
    merge::{Merged, Outcome, Pair, TreePosition, is_underfull, mark_garbage, own_separator},
    node::Node,
    overflow::Chain,
    split::Step,
    tree::BTree,
};
use crate::{
    error::Result,
    lsn::Lsn,
    page::{PageId, PageStore},
};

/// One part in this many of a packed leaf stays free, for what comes.
const LEFT_FREE: usize = 24;
/// A leaf with less than one part in this many free is left alone.
const WORTHWHILE: usize = 12;
/// A pass is worth its while once one entry in this many has been written since the last.
const STALE: u64 = 16;
/// Trees of fewer leaves are left alone.
const LEAST_LEAVES: u64 = 8;

/// Bytes of a leaf that packing keeps free.
fn slack(payload: usize) -> usize {
    payload / LEFT_FREE
}

/// How far a pass has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackProgress {
    /// Where to go on; `None` before the beginning.
    at: Option<TreePosition>,
    /// What [`BTree::written`] was when the pass began.
    written: u64,
}

impl BTree {
    /// Whether so much has been written since the last whole pass that another is worth it.
    ///
    /// # Errors
    /// As [`BTree::estimate`].
    pub(crate) fn wants_packing(&self) -> Result<bool> {
        let written = self.written.load(Ordering::Relaxed);
        let since = written.saturating_sub(self.packed.load(Ordering::Relaxed));
        if since == 0 {
            return Ok(false);
        }
        let size = self.estimate()?;
        Ok(size.leaf_pages >= LEAST_LEAVES && since.saturating_mul(STALE) >= size.entries)
    }

    /// A bound on the pages that [`BTree::pack`] changes.
    pub(crate) fn pack_bound(leaves: usize) -> usize {
        4 * leaves + 16
    }

    /// Drops versions that no snapshot at or above `watermark` can see from about `leaves`
    /// leaves, and fills leaves up. Answers where to go on, or `None` at the end.
    ///
    /// This changes pages like [`BTree::apply`] does, so a checkpoint must not freeze meanwhile.
    ///
    /// # Errors
    /// As [`BTree::apply`].
    pub(crate) fn pack(
        &self,
        watermark: Lsn,
        from: Option<PackProgress>,
        leaves: usize,
    ) -> Result<Option<PackProgress>> {
        let mut progress = from.unwrap_or_else(|| PackProgress {
            at: None,
            written: self.written.load(Ordering::Relaxed),
        });
        let pruned = self.prune(watermark, progress.at.clone(), leaves)?;
        let mut at = progress.at.unwrap_or_default();
        for _ in 0..leaves {
            let Some(next) = self.pack_at(&at, watermark)? else {
                self.packed.store(progress.written, Ordering::Relaxed);
                return Ok(None);
            };
            at = next;
        }
        // Filling takes in leaves from further on, which have not been pruned yet.
        progress.at = Some(match pruned {
            Some(pruned) if pruned < at => pruned,
            _ => at,
        });
        Ok(Some(progress))
    }

    /// Fills the leaf at `at` from its right neighbours; answers where the next leaf begins.
    fn pack_at(&self, at: &TreePosition, watermark: Lsn) -> Result<Option<TreePosition>> {
        let tree = &self.tree;
        let mut freed = Vec::new();
        let result = {
            let _structure = self.lock_structure();
            loop {
                match self.fill_once(at.place(), watermark, &mut freed) {
                    Ok(Merged::Yes) => {}
                    Ok(Merged::No) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        self.free_chains(&mut freed)?;
        result?;
        let leaf = tree.descend(at.place(), false)?;
        let locate = |e| tree.locate(leaf.id(), e);
        let node = Node::parse_leaf(&leaf).map_err(locate)?;
        let next = TreePosition::of(tree, node.high().map_err(locate)?).map_err(locate)?;
        if next.as_ref().is_some_and(|next| next <= at) {
            return Err(tree.pages.corrupt_page(tree.root, "fences do not ascend"));
        }
        Ok(next)
    }

    /// Moves what fits from the right neighbour into the leaf of `place`; `Merged::Yes` where
    /// the neighbour is gone by that, and there may be more to move.
    fn fill_once(
        &self,
        place: Place<'_>,
        watermark: Lsn,
        freed: &mut Vec<Chain>,
    ) -> Result<Merged> {
        let tree = &self.tree;
        let path = self.path(place)?;
        let Some(parent) = path.steps.last().filter(|step| step.index < step.count) else {
            return Ok(Merged::No);
        };
        let right = {
            let page = tree.pages.read(parent.page)?;
            let node = Node::parse_inner(&page).map_err(|e| tree.locate(parent.page, e))?;
            node.child(parent.index + 1)
                .map_err(|e| tree.locate(parent.page, e))?
        };
        if right == path.leaf || !has_much_room(tree.pages.as_ref(), self, path.leaf)? {
            return Ok(Merged::No);
        }
        self.pour(parent, (path.leaf, right), watermark, freed)
    }

    fn pour(
        &self,
        step: &Step,
        (left, right): (PageId, PageId),
        watermark: Lsn,
        freed: &mut Vec<Chain>,
    ) -> Result<Merged> {
        let tree = &self.tree;
        let mut parent = tree.pages.write(step.page)?;
        let left_page = tree.pages.write(left)?;
        let mut right_page = tree.pages.write(right)?;
        super::prune::prune_leaf(&mut right_page, watermark, &tree.tails(), freed)
            .map_err(|e| tree.locate(right, e))?;
        let mut pair = Pair {
            tree,
            parent: &mut parent,
            left: left_page,
            right: right_page,
            pair: step.index,
        };
        match pair.pour(freed) {
            Ok(Outcome::Merged) => {
                let Pair { right, .. } = pair;
                tree.pages.free(right);
                Ok(Merged::Yes)
            }
            Ok(Outcome::Evened | Outcome::Unchanged) => Ok(Merged::No),
            Err(error) => Err(tree.locate(step.page, error)),
        }
    }
}

/// Whether filling the leaf up is worth it.
fn has_much_room(pages: &PageStore, tree: &BTree, leaf: PageId) -> Result<bool> {
    let page = pages.read(leaf)?;
    let node = Node::parse_leaf(&page).map_err(|e| tree.tree.locate(leaf, e))?;
    Ok(is_underfull(&node) || node.header.total_free() >= page.len() / WORTHWHILE)
}

impl Pair<'_> {
    /// Moves cells from the right leaf to the left one until that is full.
    fn pour(&mut self, freed: &mut Vec<Chain>) -> NodeResult<Outcome> {
        let (left, right) = (
            Node::parse_leaf(&self.left)?,
            Node::parse_leaf(&self.right)?,
        );
        let payload = self.left.len();
        let mut room = left.header.total_free().saturating_sub(slack(payload));
        let mut moved = 0;
        while moved < right.count() {
            let size = right.leaf_cell(moved)?.size + SLOT;
            match room.checked_sub(size) {
                Some(rest) => room = rest,
                None => break,
            }
            moved += 1;
        }
        if moved == right.count() {
            match self.merge(freed)? {
                Outcome::Unchanged => moved -= moved / 8,
                done => return Ok(done),
            }
        }
        // Other fences may leave the left leaf a shorter prefix, and so longer cells.
        while moved > 0 {
            match self.move_left(moved, freed) {
                Ok(true) => return Ok(Outcome::Evened),
                Ok(false) => return Ok(Outcome::Unchanged),
                Err(NodeError::Full) => moved = moved * 3 / 4,
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Unchanged)
    }

    /// Moves the first `moved` cells of the right leaf, not all of them, to the left one. False
    /// where the parent has no room for another separator, or there is nothing to move.
    fn move_left(&mut self, moved: usize, freed: &mut Vec<Chain>) -> NodeResult<bool> {
        let tails = self.tree.tails();
        let (left, right) = (
            Node::parse_leaf(&self.left)?,
            Node::parse_leaf(&self.right)?,
        );
        if moved >= right.count() {
            return Ok(false);
        }
        let between = self.separator()?;
        let (separator, chain) = {
            let (before, after) = (right.leaf_cell(moved - 1)?, right.leaf_cell(moved)?);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            right.whole_key(&before.key, &tails, &mut first)?;
            right.whole_key(&after.key, &tails, &mut second)?;
            let (len, version) =
                shortest_separator(Place::at(&first, before.lsn), Place::at(&second, after.lsn));
            second.truncate(len);
            own_separator(self.tree, second, version)?
        };
        let payload = self.left.len();
        let (mut new_left, mut new_right) = (vec![0; payload], vec![0; payload]);
        let extra = left.header.extra.min(right.header.extra);
        let built = (|| {
            let bound = Some(separator.borrow());
            let mut builder = Builder::leaf(&mut new_left, left.low()?, bound, extra)?;
            for index in 0..left.count() {
                copy_cell(&left, index, &mut builder)?;
            }
            for index in 0..moved {
                copy_cell(&right, index, &mut builder)?;
            }
            builder.finish();
            let mut builder = Builder::leaf(&mut new_right, bound, right.high()?, extra)?;
            for index in moved..right.count() {
                copy_cell(&right, index, &mut builder)?;
            }
            builder.finish();
            mark_garbage(&mut new_left, self.tree)?;
            mark_garbage(&mut new_right, self.tree)?;
            self.replaced_separator(&separator)
        })();
        let new_parent = match built {
            Ok(Some(new_parent)) => new_parent,
            Ok(None) => {
                freed.extend(chain);
                return Ok(false);
            }
            Err(error) => {
                freed.extend(chain);
                return Err(error);
            }
        };
        self.free_tail(&between, freed);
        self.parent.copy_from_slice(&new_parent);
        self.left.copy_from_slice(&new_left);
        self.right.copy_from_slice(&new_right);
        Ok(true)
    }

    /// The separator between the pair.
    fn separator(&self) -> NodeResult<OwnedSeparator> {
        let parent = Node::parse_inner(self.parent)?;
        let cell = parent.inner_cell(self.pair)?;
        let mut inline = Vec::new();
        parent.inline_key(&cell.key, &mut inline)?;
        Ok(OwnedSeparator {
            inline,
            tail: cell.key.tail,
            version: cell.version,
        })
    }
}
