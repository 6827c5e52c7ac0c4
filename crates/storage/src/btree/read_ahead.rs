//! Asking for the leaves that a scan will come to, or a large batch will change.
//!
//! Neighbouring leaves are anywhere in the file, so the system cannot guess what comes next; the
//! node above them knows. A cursor that goes from leaf to leaf has the next ones named to the
//! system, more of them the longer it goes on, so that a short scan asks for little in vain.

use super::{
    key::Place,
    node::Node,
    tree::{BTree, TreeEntry, TreePages},
};
use crate::{
    error::Result,
    lsn::Lsn,
    page::{PageId, PageRef},
};

/// Leaves that are asked for at once, at most.
const MOST: u32 = 32;

/// How far a cursor has gone from leaf to leaf.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadAhead {
    leaves: u32,
}

impl ReadAhead {
    /// Counts another leaf; answers how many of the next ones to ask for now, if any.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<u32> {
        self.leaves = self.leaves.saturating_add(1);
        let grows = self.leaves >= 2 && self.leaves.is_power_of_two();
        let goes_on = self.leaves > MOST / 2 && self.leaves.is_multiple_of(MOST / 2);
        (grows || goes_on).then(|| MOST.min(self.leaves.saturating_mul(2)))
    }

    /// Begins anew: the cursor is somewhere else.
    pub(super) fn restart(&mut self) {
        self.leaves = 0;
    }
}

impl TreePages {
    /// Asks the system for the leaf of `place` and up to `count` that come after it under the
    /// same node; those before it where `before`.
    ///
    /// # Errors
    /// As [`TreePages::descend`].
    pub(super) fn read_ahead(&self, place: Place<'_>, before: bool, count: u32) -> Result<()> {
        let count = count as usize;
        let Some(page) = self.descend_above(place, before)? else {
            return Ok(());
        };
        let locate = |e| self.locate(page.id(), e);
        let node = Node::parse(&page).map_err(locate)?;
        let index = node
            .find_child(place, before, &self.tails())
            .map_err(locate)?;
        let range = match before {
            false => index..node.count().min(index + count) + 1,
            true => index.saturating_sub(count)..index + 1,
        };
        let leaves: Vec<PageId> = range.filter_map(|at| node.child(at).ok()).collect();
        drop(page);
        self.pages.will_need(&leaves);
        Ok(())
    }

    /// The node just above the leaf that `place` belongs to; `None` where the root is a leaf.
    fn descend_above(&self, place: Place<'_>, before: bool) -> Result<Option<PageRef<'_>>> {
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
                .find_child(place, before, &self.tails())
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
        let Some(page) = self.descend_above(place_of(first), false)? else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_asks_for_more_the_longer_it_goes_on() {
        let mut ahead = ReadAhead::default();
        let asked: Vec<(u32, u32)> = (1..=64)
            .filter_map(|leaf| ahead.advance().map(|count| (leaf, count)))
            .collect();
        let expected = [
            (2, 4),
            (4, 8),
            (8, 16),
            (16, 32),
            (32, 32),
            (48, 32),
            (64, 32),
        ];
        assert_eq!(asked, expected);
        ahead.restart();
        assert_eq!(ahead.advance(), None);
    }
}
