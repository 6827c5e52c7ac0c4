//! A node for reading: header, slots, fences, and search.

use std::cmp::Ordering;

use super::{
    cell::{CellKey, InnerCell, LeafCell, ProbeKey},
    key::{Place, Separator, Tails},
    layout::{HEADER, Header, NodeResult, inline_key_limit, malformed},
};
use crate::page::PageId;

/// The slots of a node whose header has been checked, and what they point to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots<'a> {
    page: &'a [u8],
    heads: &'a [[u8; 4]],
    offsets: &'a [[u8; 2]],
    heap_start: usize,
}

impl<'a> Slots<'a> {
    /// The slots of a page that the header was read from.
    #[inline(always)]
    pub(super) fn of(page: &'a [u8], header: &Header) -> NodeResult<Slots<'a>> {
        let heads_end = HEADER + 4 * header.count;
        let offsets_end = heads_end + 2 * header.count;
        let (Some(heads), Some(offsets)) = (
            page.get(HEADER..heads_end),
            page.get(heads_end..offsets_end),
        ) else {
            return malformed("slots are out of bounds");
        };
        Ok(Slots {
            page,
            heads: heads.as_chunks().0,
            offsets: offsets.as_chunks().0,
            heap_start: header.heap_start,
        })
    }

    #[inline(always)]
    pub(super) fn head(&self, index: usize) -> Option<[u8; 4]> {
        self.heads.get(index).copied()
    }

    #[inline(always)]
    pub(super) fn cell_offset(&self, index: usize) -> NodeResult<usize> {
        match self.offsets.get(index) {
            Some(offset) => {
                let offset = usize::from(u16::from_le_bytes(*offset));
                if offset < self.heap_start {
                    return malformed("a cell is outside of the heap");
                }
                Ok(offset)
            }
            None => malformed("there is no such slot"),
        }
    }

    #[inline(always)]
    fn cell(&self, index: usize) -> NodeResult<([u8; 4], &'a [u8])> {
        let offset = self.cell_offset(index)?;
        match (self.heads.get(index), self.page.get(offset..)) {
            (Some(head), Some(bytes)) => Ok((*head, bytes)),
            _ => malformed("a cell is out of bounds"),
        }
    }

    #[inline(always)]
    pub(super) fn leaf_cell(&self, index: usize) -> NodeResult<LeafCell<'a>> {
        let (head, bytes) = self.cell(index)?;
        LeafCell::decode(head, bytes)
    }
}

/// A node whose header has been checked. Everything else is checked as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    page: &'a [u8],
    pub(super) header: Header,
    slots: Slots<'a>,
    inline_limit: usize,
}

impl<'a> Node<'a> {
    /// Checks the header of a page's payload.
    #[inline]
    pub(super) fn parse(page: &'a [u8]) -> NodeResult<Node<'a>> {
        Node::with_header(page, Header::read(page)?)
    }

    /// As [`Node::parse`], with the header that was read from the same page before.
    #[inline]
    pub(super) fn with_header(page: &'a [u8], header: Header) -> NodeResult<Node<'a>> {
        Ok(Node {
            page,
            header,
            slots: Slots::of(page, &header)?,
            inline_limit: inline_key_limit(page.len()),
        })
    }

    /// How many bytes of a key the node keeps.
    pub(super) fn inline_limit(&self) -> usize {
        self.inline_limit
    }

    /// [`Node::parse`], for leaves only.
    #[inline]
    pub(super) fn parse_leaf(page: &'a [u8]) -> NodeResult<Node<'a>> {
        let node = Node::parse(page)?;
        if node.header.level != 0 {
            return malformed("an inner node where a leaf belongs");
        }
        Ok(node)
    }

    /// [`Node::parse`], for inner nodes only.
    pub(super) fn parse_inner(page: &'a [u8]) -> NodeResult<Node<'a>> {
        let node = Node::parse(page)?;
        if node.header.level == 0 {
            return malformed("a leaf where an inner node belongs");
        }
        Ok(node)
    }

    pub(super) fn page(&self) -> &'a [u8] {
        self.page
    }

    pub(super) fn count(&self) -> usize {
        self.header.count
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.header.level == 0
    }

    /// Bytes in use, were the node rebuilt.
    pub(super) fn used(&self) -> usize {
        self.page.len() - self.header.total_free()
    }

    /// The bound that everything in the node is at or after.
    pub(super) fn low(&self) -> NodeResult<Option<Separator<'a>>> {
        self.fence(self.header.low)
    }

    /// The bound that everything in the node is before.
    pub(super) fn high(&self) -> NodeResult<Option<Separator<'a>>> {
        self.fence(self.header.high)
    }

    fn fence(&self, at: usize) -> NodeResult<Option<Separator<'a>>> {
        if at == 0 {
            return Ok(None);
        }
        match self.page.get(at..).and_then(Separator::decode_fence) {
            Some(fence) if fence.inline.len() <= self.inline_limit => Ok(Some(fence)),
            _ => malformed("a fence is out of bounds"),
        }
    }

    /// What all keys of the node begin with.
    pub(super) fn prefix(&self) -> NodeResult<&'a [u8]> {
        if self.header.prefix_len == 0 {
            return Ok(&[]);
        }
        match self
            .low()?
            .and_then(|low| low.inline.get(..self.header.prefix_len))
        {
            Some(prefix) => Ok(prefix),
            None => malformed("the prefix is longer than the low fence"),
        }
    }

    #[inline]
    pub(super) fn head(&self, index: usize) -> Option<[u8; 4]> {
        self.slots.head(index)
    }

    #[inline(always)]
    pub(super) fn cell_offset(&self, index: usize) -> NodeResult<usize> {
        self.slots.cell_offset(index)
    }

    #[inline(always)]
    pub(super) fn leaf_cell(&self, index: usize) -> NodeResult<LeafCell<'a>> {
        self.slots.leaf_cell(index)
    }

    #[inline]
    pub(super) fn inner_cell(&self, index: usize) -> NodeResult<InnerCell<'a>> {
        let (head, bytes) = self.slots.cell(index)?;
        InnerCell::decode(head, bytes)
    }

    /// The child left (index 0) or at and after separator `index - 1`.
    #[inline]
    pub(super) fn child(&self, index: usize) -> NodeResult<PageId> {
        let child = match index.checked_sub(1) {
            None => self.header.first_child(),
            Some(index) => self.inner_cell(index)?.child,
        };
        if child.0 == 0 {
            return malformed("a child is missing");
        }
        Ok(child)
    }

    /// The slots whose head is that of the probe: before them all keys are less, after them all
    /// are greater.
    #[inline]
    fn run_of_head(&self, head: u32) -> (usize, usize) {
        let heads = self.slots.heads;
        let low = heads.partition_point(|h| u32::from_be_bytes(*h) < head);
        let same = |index: usize| {
            heads
                .get(index)
                .is_some_and(|h| u32::from_be_bytes(*h) == head)
        };
        if !same(low) {
            return (low, low);
        }
        if !same(low + 1) {
            return (low, low + 1);
        }
        let rest = heads.get(low..).unwrap_or_default();
        (
            low,
            low + rest.partition_point(|h| u32::from_be_bytes(*h) <= head),
        )
    }

    #[inline]
    fn probe<'k>(&self, key: &'k [u8]) -> ProbeKey<'k> {
        ProbeKey::new(key, self.header.prefix_len, self.inline_limit)
    }

    /// The first version of a leaf at or after `place`, and whether it has the same key.
    #[inline]
    pub(super) fn find(&self, place: Place<'_>, tails: &impl Tails) -> NodeResult<(usize, bool)> {
        let probe = self.probe(place.key);
        let (mut low, mut high) = self.run_of_head(probe.head);
        let mut same_key = false;
        while low < high {
            let middle = low + (high - low) / 2;
            let cell = self.leaf_cell(middle)?;
            match cell.key.compare(&probe, tails)? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal if !cell.lsn.0 < place.version => low = middle + 1,
                Ordering::Equal => {
                    same_key = true;
                    high = middle;
                }
                Ordering::Greater => {
                    same_key = false;
                    high = middle;
                }
            }
        }
        Ok((low, same_key))
    }

    /// The index of the child that `place` belongs to; where `before`, of the child that what
    /// is just before `place` belongs to.
    #[inline]
    pub(super) fn find_child(
        &self,
        place: Place<'_>,
        before: bool,
        tails: &impl Tails,
    ) -> NodeResult<usize> {
        let probe = self.probe(place.key);
        let (mut low, mut high) = self.run_of_head(probe.head);
        while low < high {
            let middle = low + (high - low) / 2;
            let cell = self.inner_cell(middle)?;
            let ordering = cell
                .key
                .compare(&probe, tails)?
                .then(cell.version.cmp(&place.version));
            if ordering == Ordering::Less || (ordering == Ordering::Equal && !before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Whether two neighbouring versions of a leaf have the same key.
    pub(super) fn same_key(
        &self,
        a: &CellKey<'_>,
        b: &CellKey<'_>,
        tails: &impl Tails,
    ) -> NodeResult<bool> {
        if a.head != b.head || a.suffix_len != b.suffix_len || a.rest != b.rest {
            return Ok(false);
        }
        match (a.tail, b.tail) {
            (None, None) => Ok(true),
            (Some(a), Some(b)) if a.total == b.total => {
                let Some(len) = a.total.checked_sub(self.inline_limit) else {
                    return malformed("a long key is shorter than its beginning");
                };
                let (mut left, mut right) = (Vec::new(), Vec::new());
                tails.load(a.page, len, &mut left)?;
                tails.load(b.page, len, &mut right)?;
                Ok(left == right)
            }
            _ => Ok(false),
        }
    }

    /// Replaces `into` by the inline part of a cell's key, prefix included.
    pub(super) fn inline_key(&self, key: &CellKey<'_>, into: &mut Vec<u8>) -> NodeResult<()> {
        into.clear();
        into.extend_from_slice(self.prefix()?);
        key.append_suffix(into);
        if into.len() > self.inline_limit {
            return malformed("a key is longer than a node keeps");
        }
        if key.tail.is_some() && into.len() != self.inline_limit {
            return malformed("a long key does not fill its place");
        }
        Ok(())
    }

    /// Replaces `into` by the whole key of a cell.
    pub(super) fn whole_key(
        &self,
        key: &CellKey<'_>,
        tails: &impl Tails,
        into: &mut Vec<u8>,
    ) -> NodeResult<()> {
        self.inline_key(key, into)?;
        if key.tail.is_some() {
            let inline = std::mem::take(into);
            super::key::load_key(&inline, key.tail, tails, into)?;
        }
        Ok(())
    }
}
