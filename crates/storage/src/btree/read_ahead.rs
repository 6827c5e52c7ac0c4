//! The leaves that a scan will come to, or a large batch will change.
//!
//! Neighbouring leaves are anywhere in the file, so neither the system nor the cursor can guess what
//! comes next; the node above them knows. A cursor that comes down to a leaf takes the names of the
//! next ones along, more of them the further it has gone, and goes straight to those that are in
//! memory. Where a leaf was not, it has the system read the ones after it.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::{
    key::Place,
    node::Node,
    tree::{BTree, TreeEntry, TreePages},
};
use crate::{
    error::Result,
    lsn::Lsn,
    page::{Era, PageId, PageRef, PageStore},
};

/// Leaves that are named at once, at most.
const MOST: usize = 32;

/// The leaves that a cursor comes to next, as far as it knows.
#[derive(Clone, Debug, Default)]
pub(super) struct LeavesAhead {
    /// Leaves that it has been to one after the other.
    visited: usize,
    /// Whether the last of them was not in memory.
    was_absent: bool,
    names: SmallVec<[PageId; 4]>,
    /// The next of them.
    at: usize,
    /// Those before this one have been asked for.
    asked: usize,
    /// When they were named.
    era: Era,
}

impl LeavesAhead {
    /// The leaf that begins (`before`: ends) at `place`, where it is known and in memory. Its latch
    /// is taken while no other is held, so it can have become anything since it was named: a page
    /// that was given back is not taken, and a leaf of this tree is the right one if its fence is
    /// `place`, as the leaves divide all places among them.
    #[inline]
    pub(super) fn follow<'a>(
        &mut self,
        tree: &'a TreePages,
        place: Place<'_>,
        before: bool,
    ) -> Option<PageRef<'a>> {
        let name = *self.names.get(self.at)?;
        self.at += 1;
        let page = tree.pages.read_again(name, self.era)?;
        let node = Node::parse_leaf(&page).ok()?;
        let fence = match before {
            false => node.low(),
            true => node.high(),
        };
        if fence.ok()??.compare_place(place, &tree.tails()).ok()? == Ordering::Equal {
            return Some(page);
        }
        self.forget();
        None
    }

    /// Takes the names of the leaves after child `index` (`before`: before it) of `node`, which is
    /// held, unless enough of them are known.
    fn name(&mut self, node: &Node<'_>, index: usize, before: bool, era: Era) {
        if self.era != era {
            self.forget();
        }
        let wanted = MOST.min(2 * (self.visited + 1));
        let left = self.names.len() - self.at;
        if left > wanted / 2 {
            return;
        }
        self.era = era;
        self.asked = self.asked.saturating_sub(self.at);
        self.at = 0;
        self.names.clear();
        let child = |at: usize| node.child(at).ok();
        if before {
            let children = (0..index).rev().take(wanted);
            self.names.extend(children.filter_map(child));
        } else {
            let children = (index + 1..=node.count()).take(wanted);
            self.names.extend(children.filter_map(child));
        }
    }

    /// Counts another leaf, which was or was not in memory.
    #[inline]
    pub(super) fn count(&mut self, was_absent: bool) {
        self.visited += 1;
        self.was_absent = was_absent;
    }

    /// Has the next leaves read, where the last one was not in memory. Not before the second leaf:
    /// a short scan asks for nothing in vain.
    #[inline]
    pub(super) fn ask(&mut self, pages: &PageStore) {
        if self.was_absent
            && self.visited >= 2
            && let Some(unasked) = self.names.get(self.asked.max(self.at)..)
            && !unasked.is_empty()
        {
            pages.will_need(unasked);
            self.asked = self.names.len();
        }
    }

    fn forget(&mut self) {
        self.names.clear();
        (self.at, self.asked) = (0, 0);
    }

    /// Begins anew: the cursor is somewhere else.
    pub(super) fn restart(&mut self) {
        self.forget();
        self.visited = 0;
    }
}

impl TreePages {
    /// As [`TreePages::descend`]; `ahead` learns which leaves come after it.
    pub(super) fn descend_naming(
        &self,
        place: Place<'_>,
        before: bool,
        ahead: &mut LeavesAhead,
    ) -> Result<PageRef<'_>> {
        self.descend_past(place, before, |node, index| {
            ahead.name(node, index, before, self.pages.era());
        })
    }

    /// The node just above the leaf that `place` belongs to; `None` where the root is a leaf.
    fn descend_above(&self, place: Place<'_>) -> Result<Option<PageRef<'_>>> {
        let mut id = self.root;
        let mut page = self.pages.read(id)?;
        loop {
            let node = Node::parse(&page).map_err(|e| self.locate(id, e))?;
            match node.header.level {
                0 => return Ok(None),
                1 => return Ok(Some(page)),
                _ => {}
            }
            let child = node
                .find_child(place, false, &self.tails())
                .and_then(|index| node.child(index))
                .map_err(|e| self.locate(id, e))?;
            let next = self.read_child(id, &node, child)?;
            page = next;
            id = child;
        }
    }

    /// Adds the leaves to `into` that entries from the first one on belong to, as far as they lie
    /// under one node; answers how many entries those are, all where there is no such node.
    fn leaves_of(&self, entries: &[TreeEntry<'_>], into: &mut Vec<PageId>) -> Result<usize> {
        let Some(first) = entries.first() else {
            return Ok(0);
        };
        let Some(page) = self.descend_above(place_of(first))? else {
            return Ok(entries.len());
        };
        let locate = |e| self.locate(page.id(), e);
        let node = Node::parse(&page).map_err(locate)?;
        let high = node.high().map_err(locate)?;
        for (index, entry) in entries.iter().enumerate() {
            if index > 0
                && let Some(high) = &high
                && high
                    .compare_place(place_of(entry), &self.tails())
                    .map_err(locate)?
                    .is_ge()
            {
                return Ok(index);
            }
            let leaf = node
                .find_child(place_of(entry), false, &self.tails())
                .and_then(|index| node.child(index))
                .map_err(locate)?;
            if into.last() != Some(&leaf) {
                into.push(leaf);
            }
        }
        Ok(entries.len())
    }
}

/// Where the newest version of an entry's key would be.
fn place_of<'a>(entry: &TreeEntry<'a>) -> Place<'a> {
    Place::at(entry.key, Lsn::MAX)
}

impl BTree {
    /// Asks the system for the leaves that `entries`, which ascend by key, will be applied to.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(crate) fn will_apply(&self, entries: &[TreeEntry<'_>]) -> Result<()> {
        let mut leaves = Vec::new();
        let mut rest = entries;
        while !rest.is_empty() {
            let some = self.tree.leaves_of(rest, &mut leaves)?;
            rest = rest.get(some..).unwrap_or_default();
        }
        self.tree.pages.will_need(&leaves);
        Ok(())
    }
}
