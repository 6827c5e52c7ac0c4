//! Checking a tree: every invariant that a reader relies on, page by page.

use std::collections::HashSet;

use super::{
    build::prefix_len,
    cell::{CellKey, CellValue, value_stays_inline},
    key::{OwnedSeparator, Place, Separator, Tail},
    layout::{HEADER, MAX_KEY, NodeError, NodeResult, SLOT},
    node::Node,
    overflow::{self, Chain},
    prune::prunable_from,
    tree::BTree,
};
use crate::{
    error::{Error, Result},
    page::PageId,
    verify::VerifyReport,
};

/// A page that is still to be checked, and what its parent says of it.
struct Expected {
    page: PageId,
    /// None for the root.
    level: Option<u8>,
    low: Option<OwnedSeparator>,
    high: Option<OwnedSeparator>,
}

struct Verifier<'a> {
    tree: &'a BTree,
    visit: &'a mut dyn FnMut(PageId),
    report: &'a mut VerifyReport,
    seen: HashSet<PageId>,
    pending: Vec<Expected>,
}

impl BTree {
    /// Checks order, fences, levels, accounting, pruning marks and overflow chains. Calls
    /// `visit` once for every page that the tree refers to, and adds what does not hold to
    /// `report`. The tree's structure stands still meanwhile: writers that need a split wait.
    ///
    /// # Errors
    /// [`Error::Io`] where pages cannot be read. Damage is reported, not answered.
    pub(crate) fn verify(
        &self,
        visit: &mut dyn FnMut(PageId),
        report: &mut VerifyReport,
    ) -> Result<()> {
        let _structure = self.structure.lock();
        let root = Expected {
            page: self.tree.root,
            level: None,
            low: None,
            high: None,
        };
        let mut verifier = Verifier {
            tree: self,
            visit,
            report,
            seen: HashSet::new(),
            pending: vec![root],
        };
        while let Some(expected) = verifier.pending.pop() {
            verifier.check_page(&expected)?;
        }
        Ok(())
    }
}

/// The place of a cell, for comparing, with the whole key.
#[derive(Default)]
struct CellPlace {
    key: Vec<u8>,
    version: u64,
}

impl Verifier<'_> {
    fn problem(&mut self, page: PageId, problem: impl std::fmt::Display) {
        let file = self.tree.tree.pages.path();
        self.report
            .add(file, None, format!("tree page {}: {problem}", page.0));
    }

    /// Counts a page in; false where it has been met before.
    fn meet(&mut self, page: PageId) -> bool {
        if !self.seen.insert(page) {
            self.problem(page, "is referred to more than once");
            return false;
        }
        (self.visit)(page);
        self.report.tree_pages += 1;
        true
    }

    /// Passes I/O errors on; everything else is a finding.
    fn note(&mut self, page: PageId, error: NodeError) -> Result<()> {
        match error {
            NodeError::Malformed(reason) => self.problem(page, reason),
            NodeError::Full => self.problem(page, "the cells do not fit their node"),
            NodeError::Store(error) => match *error {
                Error::Corrupt { reason, .. } => self.problem(page, reason),
                error => return Err(error),
            },
        }
        Ok(())
    }

    fn check_page(&mut self, expected: &Expected) -> Result<()> {
        let id = expected.page;
        if !self.meet(id) {
            return Ok(());
        }
        let tree = self.tree;
        let page = match tree.tree.pages.read(id) {
            Ok(page) => page,
            Err(error) => return self.note(id, error.into()),
        };
        let checked = Node::parse(&page).and_then(|node| {
            self.check_frame(id, &node, expected)?;
            if node.is_leaf() {
                self.check_leaf(id, &node)
            } else {
                self.check_inner(id, &node)
            }
        });
        // The leaf's latch is held until here: its chains stay as they are.
        checked.or_else(|error| self.note(id, error))
    }

    /// What leaves and inner nodes have in common.
    fn check_frame(&mut self, id: PageId, node: &Node<'_>, expected: &Expected) -> NodeResult<()> {
        if expected
            .level
            .is_some_and(|level| level != node.header.level)
        {
            self.problem(id, "is on the wrong level");
        }
        let (low, high) = (node.low()?, node.high()?);
        if low != expected.low.as_ref().map(OwnedSeparator::borrow) {
            self.problem(id, "has another low fence than its parent says");
        }
        if high != expected.high.as_ref().map(OwnedSeparator::borrow) {
            self.problem(id, "has another high fence than its parent says");
        }
        if prefix_len(low, high) != node.header.prefix_len {
            self.problem(id, "the prefix does not agree with the fences");
        }
        let fences = [(node.header.low, low), (node.header.high, high)];
        let mut extents = Vec::new();
        for (at, fence) in fences {
            if let Some(fence) = fence {
                extents.push((at, fence.fence_size()));
            }
        }
        for index in 0..node.count() {
            let size = if node.is_leaf() {
                node.leaf_cell(index)?.size
            } else {
                node.inner_cell(index)?.size
            };
            extents.push((node.cell_offset(index)?, size));
        }
        let used: usize = extents.iter().map(|(_, size)| size).sum();
        let total = HEADER + SLOT * node.count() + used + node.header.total_free();
        if total != node.page().len() {
            self.problem(id, "used and free bytes do not add up");
        }
        extents.sort_unstable();
        if extents
            .windows(2)
            .any(|pair| pair[0].0 + pair[0].1 > pair[1].0)
        {
            self.problem(id, "cells overlap");
        }
        Ok(())
    }

    fn check_key(&mut self, id: PageId, node: &Node<'_>, key: &CellKey<'_>) {
        if key.suffix_len < 4 && key.head[key.suffix_len..].iter().any(|byte| *byte != 0) {
            self.problem(id, "a head is not padded with zeros");
        }
        if key.tail.is_some() && !node.header.has_tails {
            self.problem(id, "a key has a tail that the header does not know of");
        }
        if key
            .tail
            .is_some_and(|tail| tail.total > MAX_KEY || tail.total <= node.inline_limit())
        {
            self.problem(id, "a long key has an impossible length");
        }
    }

    /// Checks that places ascend and are between the fences.
    fn check_order(
        &mut self,
        id: PageId,
        node: &Node<'_>,
        before: Option<&CellPlace>,
        at: &CellPlace,
    ) -> NodeResult<()> {
        let tails = self.tree.tree.tails();
        let place = Place {
            key: &at.key,
            version: at.version,
        };
        match before {
            Some(before) if (&before.key, before.version) >= (&at.key, at.version) => {
                self.problem(id, "cells are out of order");
            }
            None => {
                if let Some(low) = node.low()?
                    && low.compare_place(place, &tails)?.is_lt()
                {
                    self.problem(id, "a cell is before the low fence");
                }
            }
            _ => {}
        }
        if let Some(high) = node.high()?
            && high.compare_place(place, &tails)?.is_ge()
        {
            self.problem(id, "a cell is not before the high fence");
        }
        Ok(())
    }

    fn check_chain(&mut self, chain: Chain) -> Result<()> {
        let pages = &self.tree.tree.pages;
        let mut met = Vec::new();
        let walked = overflow::visit(pages, chain, |page, _| met.push(page));
        for page in met {
            self.meet(page);
        }
        walked.or_else(|error| self.note(chain.page, error.into()))
    }

    fn check_tail(&mut self, tail: Option<Tail>, inline_limit: usize) -> NodeResult<()> {
        if let Some(tail) = tail {
            let len = tail.total.saturating_sub(inline_limit);
            self.check_chain(Chain {
                page: tail.page,
                len,
            })?;
        }
        Ok(())
    }

    fn check_leaf(&mut self, id: PageId, node: &Node<'_>) -> NodeResult<()> {
        let tails = self.tree.tree.tails();
        let mut before: Option<CellPlace> = None;
        for index in 0..node.count() {
            let cell = node.leaf_cell(index)?;
            self.check_key(id, node, &cell.key);
            let mut at = CellPlace {
                key: Vec::new(),
                version: !cell.lsn.0,
            };
            node.whole_key(&cell.key, &tails, &mut at.key)?;
            self.check_order(id, node, before.as_ref(), &at)?;
            self.check_tail(cell.key.tail, node.inline_limit())?;
            if let CellValue::Overflow { len, page } = cell.value {
                if value_stays_inline(node.page().len(), at.key.len(), len) {
                    self.problem(id, "a short value is in overflow pages");
                }
                self.check_chain(Chain { page, len })?;
            }
            self.report.versions += 1;
            before = Some(at);
        }
        if prunable_from(node, &tails)? < node.header.extra {
            self.problem(id, "has garbage that its header does not know of");
        }
        Ok(())
    }

    fn check_inner(&mut self, id: PageId, node: &Node<'_>) -> NodeResult<()> {
        let tails = self.tree.tree.tails();
        let level = node.header.level - 1;
        let own = |fence: Option<Separator<'_>>| fence.map(Separator::to_owned);
        let mut low = own(node.low()?);
        let mut child = node.child(0)?;
        let mut before: Option<CellPlace> = None;
        for index in 0..node.count() {
            let cell = node.inner_cell(index)?;
            self.check_key(id, node, &cell.key);
            let mut at = CellPlace {
                key: Vec::new(),
                version: cell.version,
            };
            let mut inline = Vec::new();
            node.inline_key(&cell.key, &mut inline)?;
            node.whole_key(&cell.key, &tails, &mut at.key)?;
            self.check_order(id, node, before.as_ref(), &at)?;
            self.check_tail(cell.key.tail, node.inline_limit())?;
            let separator = OwnedSeparator {
                inline,
                tail: cell.key.tail,
                version: cell.version,
            };
            let high = Some(separator.clone());
            self.pending.push(Expected {
                page: child,
                level: Some(level),
                low,
                high,
            });
            low = Some(separator);
            child = cell.child;
            before = Some(at);
        }
        let high = own(node.high()?);
        self.pending.push(Expected {
            page: child,
            level: Some(level),
            low,
            high,
        });
        Ok(())
    }
}
