//! Giving room back: pruning passes, merging nodes and shrinking the root.

use super::{
    build::{self, Builder, copy_cell},
    cell::InnerEntry,
    key::{OwnedSeparator, Place, Separator, Tail, shortest_separator},
    layout::{NodeError, NodeResult, inline_key_limit, malformed},
    node::Node,
    overflow::{self, Chain},
    prune::{prunable_from, prune_leaf},
    split::Step,
    tree::{BTree, MAX_ATTEMPTS, TreePages},
};
use crate::{
    error::Result,
    lsn::Lsn,
    page::{PageId, PageMut},
};

/// Where a pruning pass goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TreePosition {
    key: Vec<u8>,
    version: u64,
}

impl TreePosition {
    /// The place of the tree that it is.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            key: &self.key,
            version: self.version,
        }
    }

    /// Where the leaf with that high fence ends.
    pub(super) fn of(
        tree: &TreePages,
        fence: Option<Separator<'_>>,
    ) -> NodeResult<Option<TreePosition>> {
        let Some(fence) = fence else { return Ok(None) };
        let mut key = Vec::new();
        fence.load_key(&tree.tails(), &mut key)?;
        Ok(Some(TreePosition {
            key,
            version: fence.version,
        }))
    }
}

/// Whether a node should be merged with a neighbour.
pub(super) fn is_underfull(node: &Node<'_>) -> bool {
    node.count() == 0 || node.used() < node.page().len() / 4
}

/// What came of trying to merge two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    Yes,
    No,
}

impl BTree {
    /// Drops versions that no snapshot at or above `watermark` can see, from up to `leaves`
    /// leaves from `from` (or the tree's beginning) on, and merges what has become small.
    /// Answers where to go on, or `None` at the end.
    ///
    /// This changes pages like [`BTree::apply`] does, so a checkpoint must not freeze meanwhile.
    ///
    /// # Errors
    /// As [`BTree::apply`].
    pub(crate) fn prune(
        &self,
        watermark: Lsn,
        from: Option<TreePosition>,
        leaves: usize,
    ) -> Result<Option<TreePosition>> {
        let tree = &self.tree;
        let mut at = from.unwrap_or_default();
        for _ in 0..leaves {
            let place = at.place();
            let (next, prunable) = {
                let leaf = tree.descend(place, false)?;
                let locate = |e| tree.locate(leaf.id(), e);
                let node = Node::parse_leaf(&leaf).map_err(locate)?;
                let next = TreePosition::of(tree, node.high().map_err(locate)?).map_err(locate)?;
                let small = is_underfull(&node) && leaf.id() != tree.root;
                (next, small || node.header.extra <= watermark.0)
            };
            if prunable {
                self.prune_at(place, watermark)?;
            }
            let Some(next) = next else { return Ok(None) };
            if next <= at {
                return Err(tree.pages.corrupt_page(tree.root, "fences do not ascend"));
            }
            at = next;
        }
        Ok(Some(at))
    }

    /// Prunes the leaf of `place`, and what it is merged with.
    fn prune_at(&self, place: Place<'_>, watermark: Lsn) -> Result<()> {
        let tree = &self.tree;
        for _ in 0..MAX_ATTEMPTS {
            let mut freed = Vec::new();
            let underfull = {
                let mut leaf = tree.descend_to_write(place)?;
                let id = leaf.id();
                prune_leaf(&mut leaf, watermark, &tree.tails(), &mut freed)
                    .and_then(|_| Ok(is_underfull(&Node::parse_leaf(&leaf)?)))
                    .map_err(|e| tree.locate(id, e))?
            };
            self.free_chains(&mut freed)?;
            if !underfull || !self.merge(place)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Merges underfull nodes on the way to `place` with their neighbours; answers whether there
    /// were any.
    pub(super) fn merge(&self, place: Place<'_>) -> Result<bool> {
        let _structure = self.lock_structure();
        let mut any = false;
        // Each success frees a page or fills an empty node; the bound only guards against
        // damage.
        for _ in 0..MAX_ATTEMPTS {
            let mut freed = Vec::new();
            let merged = self.merge_once(place, &mut freed);
            self.free_chains(&mut freed)?;
            if merged? == Merged::No {
                break;
            }
            any = true;
        }
        Ok(any)
    }

    fn merge_once(&self, place: Place<'_>, freed: &mut Vec<Chain>) -> Result<Merged> {
        let tree = &self.tree;
        let path = self.path(place)?;
        let Some(root) = path.steps.first() else {
            return Ok(Merged::No);
        };
        if root.count == 0 {
            let child = path.steps.get(1).map_or(path.leaf, |step| step.page);
            return self.shrink_root(child);
        }
        for depth in (0..path.steps.len()).rev() {
            let parent = &path.steps[depth];
            let underfull = match path.steps.get(depth + 1) {
                Some(step) => step.is_underfull,
                None => {
                    let leaf = tree.pages.read(path.leaf)?;
                    let node = Node::parse_leaf(&leaf).map_err(|e| tree.locate(path.leaf, e))?;
                    is_underfull(&node)
                }
            };
            if !underfull || parent.count == 0 {
                continue;
            }
            let pairs = [parent.index.checked_sub(1), Some(parent.index)];
            for pair in pairs
                .into_iter()
                .flatten()
                .filter(|pair| *pair < parent.count)
            {
                if self.merge_pair(parent, pair, freed)? == Merged::Yes {
                    return Ok(Merged::Yes);
                }
            }
        }
        Ok(Merged::No)
    }

    /// Moves the content of the root's only child into the root.
    fn shrink_root(&self, child: PageId) -> Result<Merged> {
        let tree = &self.tree;
        let mut root = tree.pages.write(tree.root)?;
        let child_page = tree.pages.hold_to_free(child)?;
        let locate = |e| tree.locate(child, e);
        let node = Node::parse(&child_page).map_err(locate)?;
        if node.low().map_err(locate)?.is_some() || node.high().map_err(locate)?.is_some() {
            return Err(locate(NodeError::Malformed(
                "the only child of the root has a fence",
            )));
        }
        root.copy_from_slice(&child_page);
        tree.pages.free(child_page);
        Ok(Merged::Yes)
    }

    /// Merges the children left and right of separator `pair`, or evens them out where one of
    /// them is empty and the other too full to take all.
    fn merge_pair(&self, step: &Step, pair: usize, freed: &mut Vec<Chain>) -> Result<Merged> {
        let tree = &self.tree;
        let (left, right) = {
            let parent = tree.pages.read(step.page)?;
            let node = Node::parse_inner(&parent).map_err(|e| tree.locate(step.page, e))?;
            let children = node
                .child(pair)
                .and_then(|left| Ok((left, node.child(pair + 1)?)));
            children.map_err(|e| tree.locate(step.page, e))?
        };
        if left == right {
            return Err(tree
                .pages
                .corrupt_page(step.page, "two children are the same page"));
        }
        if !self.may_merge(left, right)? {
            return Ok(Merged::No);
        }
        let mut parent = tree.pages.write(step.page)?;
        let left_page = tree.pages.write(left)?;
        let right_page = tree.pages.write(right)?;
        let mut pair = Pair {
            tree,
            parent: &mut parent,
            left: left_page,
            right: right_page,
            pair,
        };
        match pair.merge(freed) {
            Ok(Outcome::Merged) => {
                let Pair { right, .. } = pair;
                tree.pages.free(right);
                Ok(Merged::Yes)
            }
            Ok(Outcome::Evened) => Ok(Merged::Yes),
            Ok(Outcome::Unchanged) => Ok(Merged::No),
            Err(error) => Err(tree.locate(step.page, error)),
        }
    }

    /// A cheap look, with shared latches, that saves most vain attempts.
    fn may_merge(&self, left: PageId, right: PageId) -> Result<bool> {
        let tree = &self.tree;
        let mut used = 0;
        let mut empty = false;
        for id in [left, right] {
            let page = tree.pages.read(id)?;
            let node = Node::parse(&page).map_err(|e| tree.locate(id, e))?;
            used += node.used();
            empty |= node.count() == 0;
        }
        Ok(empty || used <= tree.pages.payload_size())
    }
}

/// What came of merging a pair.
pub(super) enum Outcome {
    Merged,
    Evened,
    Unchanged,
}

/// Two neighbours and their parent, held for writing.
pub(super) struct Pair<'a> {
    pub(super) tree: &'a TreePages,
    pub(super) parent: &'a mut [u8],
    pub(super) left: PageMut<'a>,
    pub(super) right: PageMut<'a>,
    /// The separator between them.
    pub(super) pair: usize,
}

impl Pair<'_> {
    pub(super) fn merge(&mut self, freed: &mut Vec<Chain>) -> NodeResult<Outcome> {
        let parent = Node::parse_inner(self.parent)?;
        let (left, right) = (Node::parse(&self.left)?, Node::parse(&self.right)?);
        let level = left.header.level;
        if level != right.header.level || level + 1 != parent.header.level {
            return malformed("neighbours on different levels");
        }
        let cell = parent.inner_cell(self.pair)?;
        let mut inline = Vec::new();
        parent.inline_key(&cell.key, &mut inline)?;
        let between = OwnedSeparator {
            inline,
            tail: cell.key.tail,
            version: cell.version,
        };
        let one_is_empty = left.count() == 0 || right.count() == 0;

        let mut scratch = vec![0; self.left.len()];
        match join(&left, &right, &between, &mut scratch) {
            Ok(()) => {
                if level == 0 {
                    // What was garbage only together with the neighbour is known now.
                    mark_garbage(&mut scratch, self.tree)?;
                }
                let free = Node::parse(&scratch)?.header.total_free();
                if !one_is_empty && free < scratch.len() / 10 {
                    return Ok(Outcome::Unchanged);
                }
                build::remove(self.parent, self.pair, cell.size)?;
                if level == 0 {
                    self.free_tail(&between, freed);
                }
                self.left.copy_from_slice(&scratch);
                Ok(Outcome::Merged)
            }
            Err(NodeError::Full) if one_is_empty => self.even_out(&between, freed),
            Err(NodeError::Full) => Ok(Outcome::Unchanged),
            Err(error) => Err(error),
        }
    }

    /// A separator between leaves that is no longer used.
    pub(super) fn free_tail(&self, separator: &OwnedSeparator, freed: &mut Vec<Chain>) {
        if let Some(tail) = separator.tail {
            let len = tail.total.saturating_sub(inline_key_limit(self.left.len()));
            freed.push(Chain {
                page: tail.page,
                len,
            });
        }
    }

    /// Moves part of a full node to its empty neighbour: half of it, or less where the fences
    /// that the neighbour gets leave it too short a prefix.
    fn even_out(
        &mut self,
        between: &OwnedSeparator,
        freed: &mut Vec<Chain>,
    ) -> NodeResult<Outcome> {
        let count = Node::parse(&self.left)?
            .count()
            .max(Node::parse(&self.right)?.count());
        let mut moved = count / 2;
        while moved > 0 {
            let evened = if Node::parse(&self.left)?.is_leaf() {
                self.even_leaves(moved, between, freed)
            } else {
                self.even_inner(moved, between)
            };
            match evened {
                Ok(true) => return Ok(Outcome::Evened),
                Ok(false) | Err(NodeError::Full) => moved /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Unchanged)
    }

    /// Moves `moved` cells to an empty leaf. False where the parent has no room for that.
    fn even_leaves(
        &mut self,
        moved: usize,
        between: &OwnedSeparator,
        freed: &mut Vec<Chain>,
    ) -> NodeResult<bool> {
        let tails = self.tree.tails();
        let (left, right) = (
            Node::parse_leaf(&self.left)?,
            Node::parse_leaf(&self.right)?,
        );
        let (full, at) = if left.count() == 0 {
            (&right, moved)
        } else {
            (&left, left.count() - moved)
        };
        let (separator, chain) = {
            let (before, after) = (full.leaf_cell(at - 1)?, full.leaf_cell(at)?);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            full.whole_key(&before.key, &tails, &mut first)?;
            full.whole_key(&after.key, &tails, &mut second)?;
            let (len, version) =
                shortest_separator(Place::at(&first, before.lsn), Place::at(&second, after.lsn));
            second.truncate(len);
            own_separator(self.tree, second, version)?
        };
        let (mut new_left, mut new_right) =
            (vec![0; left.page().len()], vec![0; left.page().len()]);
        let extra = left.header.extra.min(right.header.extra);
        let built = (|| {
            let bound = Some(separator.borrow());
            let mut builder = Builder::leaf(&mut new_left, left.low()?, bound, extra)?;
            for index in 0..at {
                copy_cell(full, index, &mut builder)?;
            }
            builder.finish();
            let mut builder = Builder::leaf(&mut new_right, bound, right.high()?, extra)?;
            for index in at..full.count() {
                copy_cell(full, index, &mut builder)?;
            }
            builder.finish();
            mark_garbage(&mut new_left, self.tree)?;
            mark_garbage(&mut new_right, self.tree)?;
            self.replaced_separator(&separator)
        })();
        let Ok(Some(new_parent)) = built else {
            freed.extend(chain);
            return built.map(|_| false);
        };
        self.free_tail(between, freed);
        self.parent.copy_from_slice(&new_parent);
        self.left.copy_from_slice(&new_left);
        self.right.copy_from_slice(&new_right);
        Ok(true)
    }

    /// Moves `moved` children to an inner node that has but one. False where the parent has no
    /// room for that.
    fn even_inner(&mut self, moved: usize, between: &OwnedSeparator) -> NodeResult<bool> {
        let (left, right) = (
            Node::parse_inner(&self.left)?,
            Node::parse_inner(&self.right)?,
        );
        let mut entries = Vec::new();
        for (node, brings_down) in [(&left, false), (&right, true)] {
            if brings_down {
                entries.push((between.clone(), right.child(0)?));
            }
            for index in 0..node.count() {
                let cell = node.inner_cell(index)?;
                let mut inline = Vec::new();
                node.inline_key(&cell.key, &mut inline)?;
                let (tail, version) = (cell.key.tail, cell.version);
                entries.push((
                    OwnedSeparator {
                        inline,
                        tail,
                        version,
                    },
                    cell.child,
                ));
            }
        }
        let at = if left.count() == 0 {
            moved
        } else {
            entries.len() - 1 - moved
        };
        let Some((separator, right_child)) = entries.get(at).cloned() else {
            return malformed("an inner node holds too few cells");
        };
        let (mut new_left, mut new_right) =
            (vec![0; left.page().len()], vec![0; left.page().len()]);
        let bound = Some(separator.borrow());
        let level = left.header.level;
        let sides = [
            (&mut new_left, left.low()?, bound, left.child(0)?, 0..at),
            (
                &mut new_right,
                bound,
                right.high()?,
                right_child,
                at + 1..entries.len(),
            ),
        ];
        for (page, low, high, child, range) in sides {
            let mut builder = Builder::inner(page, level, low, high, child)?;
            for (separator, child) in entries.get(range).unwrap_or_default() {
                builder.push_inner(&InnerEntry {
                    separator: separator.borrow(),
                    child: *child,
                })?;
            }
            builder.finish();
        }
        let Some(new_parent) = self.replaced_separator(&separator)? else {
            return Ok(false);
        };
        self.parent.copy_from_slice(&new_parent);
        self.left.copy_from_slice(&new_left);
        self.right.copy_from_slice(&new_right);
        Ok(true)
    }

    /// The parent with another separator between the pair, or `None` where it has no room.
    pub(super) fn replaced_separator(
        &self,
        separator: &OwnedSeparator,
    ) -> NodeResult<Option<Vec<u8>>> {
        let mut parent = self.parent.to_vec();
        let cell = Node::parse_inner(&parent)?.inner_cell(self.pair)?;
        let (size, child) = (cell.size, cell.child);
        build::remove(&mut parent, self.pair, size)?;
        let entry = InnerEntry {
            separator: separator.borrow(),
            child,
        };
        Ok(build::insert_inner(&mut parent, self.pair, &entry)?.then_some(parent))
    }
}

/// Builds one node from two neighbours; of inner nodes, the separator between them comes down.
fn join(
    left: &Node<'_>,
    right: &Node<'_>,
    between: &OwnedSeparator,
    into: &mut [u8],
) -> NodeResult<()> {
    let (low, high) = (left.low()?, right.high()?);
    let mut builder = if left.is_leaf() {
        Builder::leaf(into, low, high, left.header.extra.min(right.header.extra))?
    } else {
        Builder::inner(
            into,
            left.header.level,
            low,
            high,
            left.header.first_child(),
        )?
    };
    for index in 0..left.count() {
        copy_cell(left, index, &mut builder)?;
    }
    if !left.is_leaf() {
        let child = right.child(0)?;
        builder.push_inner(&InnerEntry {
            separator: between.borrow(),
            child,
        })?;
    }
    for index in 0..right.count() {
        copy_cell(right, index, &mut builder)?;
    }
    builder.finish();
    Ok(())
}

/// Works out anew when something of a leaf will be garbage.
pub(super) fn mark_garbage(leaf: &mut [u8], tree: &TreePages) -> NodeResult<()> {
    let prune_lsn = prunable_from(&Node::parse_leaf(leaf)?, &tree.tails())?;
    build::set_prune_lsn(leaf, prune_lsn)
}

/// A separator of its own, with the chain that its tail was written to.
pub(super) fn own_separator(
    tree: &TreePages,
    key: Vec<u8>,
    version: u64,
) -> NodeResult<(OwnedSeparator, Option<Chain>)> {
    let inline_limit = inline_key_limit(tree.pages.payload_size());
    let mut chain = None;
    if let Some(rest) = key.get(inline_limit..).filter(|rest| !rest.is_empty()) {
        chain = Some(overflow::write(&tree.pages, rest)?);
    }
    let tail = chain.map(|chain| Tail {
        total: key.len(),
        page: chain.page,
    });
    let mut inline = key;
    inline.truncate(inline_limit);
    Ok((
        OwnedSeparator {
            inline,
            tail,
            version,
        },
        chain,
    ))
}
