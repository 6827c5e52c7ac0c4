//! Walking a tree without holding latches.
//!
//! A cursor copies one leaf at a time into a buffer of its own, or as much of it as its range
//! takes, and works on the copy. The next leaf is the one that begins at the copy's high (backward:
//! ends at its low) fence: the one that the node above named, if it still does, or what a descent to
//! the fence finds. So splits and merges in between do no harm, and the user of a cursor may write to
//! the tree meanwhile.
//!
//! Values in overflow pages are not copied along: a version's value is looked up when the
//! cursor gets to it. A version that was pruned in between, which no snapshot can see then, is
//! left out. Tails of long keys are copied along, as they are needed for comparing.

use std::ops::{Bound, ControlFlow};

use super::{
    cell::{CellValue, LeafCell},
    copy::{LoadedTails, Next, OwnedPlace, Part, copy, load_tails, part_of},
    key::Separator,
    layout::{Header, NodeResult},
    node::{Node, Slots},
    read_ahead::LeavesAhead,
    tree::{BTree, TreePages},
};
use crate::{
    cursor::{DecidedKey, VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    page::PageId,
    store::{Direction, KeyRange},
};

/// The value that the cursor stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Current {
    Tombstone,
    /// In the copied leaf.
    Copied {
        at: usize,
        len: usize,
    },
    /// In the value buffer.
    Loaded,
    /// In the cursor of a key whose versions fill several leaves.
    Span,
}

/// What came of looking for the next version in the copied leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is the current one.
    Taken,
    /// It is the current one once its value of so many bytes has been loaded.
    Load(usize),
    /// There is none.
    Exhausted,
}

/// What a step may stop at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Everything,
    VisibleAt(Lsn),
}

/// A cursor over the versions of a tree. See [`VersionCursor`].
#[derive(Debug)]
pub(crate) struct TreeCursor {
    pub(super) tree: TreePages,
    pub(super) direction: Direction,
    pub(super) lower: OwnedPlace,
    /// Exclusive.
    pub(super) upper: Option<OwnedPlace>,
    /// The copy of a leaf, and where it was copied from.
    leaf: Vec<u8>,
    pub(super) leaf_id: PageId,
    pub(super) header: Option<Header>,
    /// Whether the copy has more than the slots that were to be visited.
    is_whole: bool,
    /// Whether somebody has gone to a key, and may go to others nearby.
    seeks: bool,
    pub(super) tails: LoadedTails,
    /// The slots of the copy that are still to be visited.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Backward: the versions of one key, to be visited in ascending order.
    group: (usize, usize),
    pub(super) next: Next,
    pub(super) ahead: LeavesAhead,
    /// The memory of a key that the next place may have.
    pub(super) spare: Vec<u8>,
    /// Backward: the versions of a key that lie in more than one leaf.
    span: Option<Box<TreeCursor>>,
    pub(super) key: Vec<u8>,
    value: Vec<u8>,
    lsn: Lsn,
    current: Current,
}

impl BTree {
    /// A cursor over all versions of the keys in `range`.
    pub(crate) fn cursor(&self, range: KeyRange, direction: Direction) -> TreeCursor {
        TreeCursor::new(self.tree.clone(), &range, direction)
    }
}

impl TreeCursor {
    fn new(tree: TreePages, range: &KeyRange, direction: Direction) -> TreeCursor {
        let lower = match &range.start {
            Bound::Unbounded => OwnedPlace::default(),
            Bound::Included(key) => OwnedPlace::before(key),
            Bound::Excluded(key) => OwnedPlace::after(key),
        };
        let upper = match &range.end {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(OwnedPlace::after(key)),
            Bound::Excluded(key) => Some(OwnedPlace::before(key)),
        };
        let next = match (direction, &upper) {
            (_, Some(upper)) if *upper <= lower => Next::Nothing,
            (Direction::Forward, _) => Next::Leaf(lower.clone()),
            (Direction::Backward, Some(upper)) => Next::Leaf(upper.clone()),
            (Direction::Backward, None) => Next::LastLeaf,
        };
        TreeCursor {
            tree,
            direction,
            lower,
            upper,
            leaf: Vec::new(),
            leaf_id: PageId(0),
            header: None,
            is_whole: false,
            seeks: false,
            tails: LoadedTails::default(),
            start: 0,
            end: 0,
            group: (0, 0),
            next,
            ahead: LeavesAhead::default(),
            spare: Vec::new(),
            span: None,
            key: Vec::new(),
            value: Vec::new(),
            lsn: Lsn::ZERO,
            current: Current::Tombstone,
        }
    }

    /// Steps to any version, without loading its value.
    pub(super) fn advance_to_any(&mut self) -> Result<bool> {
        loop {
            if self.start < self.end {
                return Ok(true);
            }
            if !self.load_next()? {
                return Ok(false);
            }
        }
    }

    #[inline]
    pub(super) fn step(&mut self, wanted: Wanted) -> Result<bool> {
        match self.direction {
            Direction::Forward => self.step_forward(wanted),
            Direction::Backward => self.step_backward(wanted),
        }
    }

    fn locate<T>(&self, result: NodeResult<T>) -> Result<T> {
        result.map_err(|e| self.tree.locate(self.leaf_id, e))
    }

    #[inline]
    fn step_forward(&mut self, wanted: Wanted) -> Result<bool> {
        loop {
            match self.step_in_copy(wanted) {
                Ok(Step::Taken) => return Ok(true),
                Ok(Step::Load(len)) => {
                    if self.load_value(len)? {
                        return Ok(true);
                    }
                }
                Ok(Step::Exhausted) => {
                    if !self.load_next()? {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(self.tree.locate(self.leaf_id, error)),
            }
        }
    }

    /// Steps to the next wanted version within the copied leaf. What is rare is done elsewhere, from
    /// the leaf and the slot, so that a usual row needs no node to be made for it.
    #[inline]
    fn step_in_copy(&mut self, wanted: Wanted) -> NodeResult<Step> {
        if self.start >= self.end {
            return Ok(Step::Exhausted);
        }
        let Some(header) = &self.header else {
            return Ok(Step::Exhausted);
        };
        let slots = Slots::of(&self.leaf, header)?;
        let mut next = self.start;
        while next < self.end {
            let index = next;
            let cell = slots.leaf_cell(index)?;
            next += 1;
            if let Wanted::VisibleAt(at) = wanted {
                if cell.lsn > at {
                    continue;
                }
                if next < self.end && slots.head(next) == Some(cell.key.head) {
                    next = end_of_key(&self.leaf, header, index, self.end, &self.tails)?;
                }
                if next == header.count
                    && let Next::Leaf(place) = &mut self.next
                    && place.version != 0
                {
                    skip_rest_of_key(&self.leaf, header, index, place, &self.tails)?;
                }
                if cell.value == CellValue::Tombstone {
                    continue;
                }
            }
            self.start = next;
            self.lsn = cell.lsn;
            self.key.truncate(header.prefix_len);
            cell.key.append_suffix(&mut self.key);
            if cell.key.tail.is_some() {
                whole_key(&self.leaf, header, index, &self.tails, &mut self.key)?;
            }
            let (current, step) = value_of(&cell, slots.cell_offset(index)?);
            self.current = current;
            return Ok(step);
        }
        self.start = next;
        Ok(Step::Exhausted)
    }

    fn step_backward(&mut self, wanted: Wanted) -> Result<bool> {
        loop {
            if let Some(span) = &mut self.span {
                if span.step_forward(wanted)? {
                    if matches!(wanted, Wanted::VisibleAt(_)) {
                        // One version of a key is enough.
                        span.start = span.end;
                        span.next = Next::Nothing;
                    }
                    self.current = Current::Span;
                    return Ok(true);
                }
                self.span = None;
            }
            if self.group.0 < self.group.1 {
                let taken = self.step_in_group(wanted);
                match self.locate(taken)? {
                    Step::Taken => return Ok(true),
                    Step::Load(len) => {
                        if self.load_value(len)? {
                            return Ok(true);
                        }
                    }
                    Step::Exhausted => {}
                }
                continue;
            }
            if self.start < self.end {
                let opened = self.open_group();
                self.locate(opened)?;
            } else if !self.load_next()? {
                return Ok(false);
            }
        }
    }

    /// Backward: steps to the next wanted version of the group.
    fn step_in_group(&mut self, wanted: Wanted) -> NodeResult<Step> {
        let Some(header) = self.header else {
            return Ok(Step::Exhausted);
        };
        let node = Node::with_header(&self.leaf, header)?;
        while self.group.0 < self.group.1 {
            let index = self.group.0;
            let cell = node.leaf_cell(index)?;
            self.group.0 += 1;
            if let Wanted::VisibleAt(at) = wanted {
                if cell.lsn > at {
                    continue;
                }
                self.group.0 = self.group.1;
                if cell.value == CellValue::Tombstone {
                    break;
                }
            }
            self.key.truncate(header.prefix_len);
            cell.key.append_suffix(&mut self.key);
            if cell.key.tail.is_some() {
                node.whole_key(&cell.key, &self.tails, &mut self.key)?;
            }
            let (current, step) = value_of(&cell, node.cell_offset(index)?);
            (self.current, self.lsn) = (current, cell.lsn);
            return Ok(step);
        }
        Ok(Step::Exhausted)
    }

    /// Backward: finds the versions of the last key that is still to be visited.
    fn open_group(&mut self) -> NodeResult<()> {
        let Some(header) = self.header else {
            return Ok(());
        };
        let node = Node::with_header(&self.leaf, header)?;
        let last = node.leaf_cell(self.end - 1)?.key;
        let mut first = self.end - 1;
        while first > self.start
            && node.head(first - 1) == Some(last.head)
            && node.same_key(&last, &node.leaf_cell(first - 1)?.key, &self.tails)?
        {
            first -= 1;
        }
        if first == 0
            && let Some(low) = node.low()?.filter(|low| low.version != 0)
        {
            node.whole_key(&last, &self.tails, &mut self.key)?;
            if low.compare_key(&self.key, &self.tails)?.is_eq() {
                let range = KeyRange {
                    start: Bound::Included(self.key.clone()),
                    end: Bound::Included(self.key.clone()),
                };
                let span = TreeCursor::new(self.tree.clone(), &range, Direction::Forward);
                self.span = Some(Box::new(span));
                self.start = self.end;
                self.next = Next::Leaf(OwnedPlace::before(&self.key));
                if self.next_is_done() {
                    self.next = Next::Nothing;
                }
                return Ok(());
            }
        }
        self.group = (first, self.end);
        self.end = first;
        Ok(())
    }

    /// Backward: whether nothing of the range is before the next place.
    fn next_is_done(&self) -> bool {
        matches!(&self.next, Next::Leaf(place) if *place <= self.lower)
    }

    /// Loads the current version's value from overflow pages; false where the version is gone.
    fn load_value(&mut self, len: usize) -> Result<bool> {
        let (mut found, wanted) = (None, self.lsn);
        let value = &mut self.value;
        value.clear();
        self.tree.get(&self.key, wanted, |lsn, bytes| {
            found = Some(lsn);
            if lsn == wanted {
                value.extend_from_slice(bytes.unwrap_or_default());
            }
        })?;
        Ok(found == Some(wanted) && self.value.len() == len)
    }

    /// Copies the next leaf; false at the end.
    pub(super) fn load_next(&mut self) -> Result<bool> {
        let next = std::mem::replace(&mut self.next, Next::Nothing);
        self.load(next)
    }

    fn load(&mut self, from: Next) -> Result<bool> {
        self.header = None;
        (self.start, self.end, self.group) = (0, 0, (0, 0));
        let before = self.direction == Direction::Backward;
        let TreeCursor { tree, ahead, .. } = self;
        let leaf = match &from {
            Next::Leaf(place) => match ahead.follow(tree, place.borrow(), before) {
                Some(leaf) => leaf,
                None => tree.descend_naming(place.borrow(), before, ahead)?,
            },
            Next::LastLeaf => tree.descend_last()?,
            Next::Nothing => return Ok(false),
        };
        ahead.count(leaf.was_absent());
        self.leaf_id = leaf.id();
        self.tails.clear();
        // With the latch held: the tails are the leaf's.
        let copied = load_tails(tree, &leaf, &mut self.tails).and_then(|header| {
            let node = Node::with_header(&leaf, header)?;
            let bounds = (self.direction, &self.lower, self.upper.as_ref());
            let part = part_of(&node, &self.tails, bounds, &from, &mut self.spare)?;
            self.is_whole = copy(&node, &part, self.seeks, &mut self.leaf)?;
            Ok((header, part))
        });
        drop(leaf);
        let begun = copied.and_then(|(header, part)| self.begin(header, part));
        self.locate(begun)?;
        if let Next::Leaf(passed) = from {
            self.spare = passed.key;
        }
        self.ahead.ask(&self.tree.pages);
        Ok(true)
    }

    /// Begins with a part of the copied leaf, which has that header.
    fn begin(&mut self, header: Header, part: Part) -> NodeResult<()> {
        self.key.clear();
        let prefix = Node::with_header(&self.leaf, header)?.prefix()?;
        self.key.extend_from_slice(prefix);
        self.header = Some(header);
        (self.start, self.end, self.next) = (part.start, part.end, part.next);
        Ok(())
    }

    /// The header of the copied leaf, where that is whole and `place` (backward: what is just before
    /// it) belongs to it.
    fn copy_covering(&self, place: &OwnedPlace) -> NodeResult<Option<Header>> {
        let Some(header) = self.header.filter(|_| self.is_whole) else {
            return Ok(None);
        };
        let node = Node::with_header(&self.leaf, header)?;
        let compare = |fence: Option<Separator<'_>>| {
            fence
                .map(|fence| fence.compare_place(place.borrow(), &self.tails))
                .transpose()
        };
        let (low, high) = (compare(node.low()?)?, compare(node.high()?)?);
        let covers = if self.direction == Direction::Forward {
            low.is_none_or(|o| o.is_ge()) && high.is_none_or(|o| o.is_lt())
        } else {
            low.is_none_or(|o| o.is_gt()) && high.is_none_or(|o| o.is_le())
        };
        Ok(covers.then_some(header))
    }

    fn seek_to(&mut self, key: &[u8]) -> Result<()> {
        self.span = None;
        self.group = (0, 0);
        self.seeks = true;
        let place = if self.direction == Direction::Forward {
            OwnedPlace::before(key).max(self.lower.clone())
        } else {
            let place = OwnedPlace::after(key);
            match &self.upper {
                Some(upper) => place.min(upper.clone()),
                None => place,
            }
        };
        let is_outside = if self.direction == Direction::Forward {
            self.upper.as_ref().is_some_and(|upper| place >= *upper)
        } else {
            place <= self.lower
        };
        let covers = self.copy_covering(&place);
        if is_outside {
            (self.start, self.end, self.next) = (0, 0, Next::Nothing);
        } else if let Some(header) = self.locate(covers)? {
            let part = Node::with_header(&self.leaf, header).and_then(|node| {
                let bounds = (self.direction, &self.lower, self.upper.as_ref());
                let from = Next::Leaf(place);
                part_of(&node, &self.tails, bounds, &from, &mut self.spare)
            });
            let begun = part.and_then(|part| self.begin(header, part));
            self.locate(begun)?;
        } else {
            (self.start, self.end, self.next) = (0, 0, Next::Leaf(place));
            self.ahead.restart();
        }
        Ok(())
    }
}

/// The slot behind the versions of the key in slot `index`, or `end` where they go on there.
#[inline(never)]
pub(super) fn end_of_key(
    leaf: &[u8],
    header: &Header,
    index: usize,
    end: usize,
    tails: &LoadedTails,
) -> NodeResult<usize> {
    let node = Node::with_header(leaf, *header)?;
    let key = node.leaf_cell(index)?.key;
    let mut next = index + 1;
    while next < end
        && node.head(next) == Some(key.head)
        && node.same_key(&key, &node.leaf_cell(next)?.key, tails)?
    {
        next += 1;
    }
    Ok(next)
}

/// Where the next leaf begins with older versions of the key in slot `index`: goes on after them.
#[cold]
pub(super) fn skip_rest_of_key(
    leaf: &[u8],
    header: &Header,
    index: usize,
    next: &mut OwnedPlace,
    tails: &LoadedTails,
) -> NodeResult<()> {
    let mut key = Vec::new();
    whole_key(leaf, header, index, tails, &mut key)?;
    if key == next.key {
        *next = OwnedPlace::after(&key);
    }
    Ok(())
}

/// Replaces `into` by the whole key in slot `index`.
#[cold]
fn whole_key(
    leaf: &[u8],
    header: &Header,
    index: usize,
    tails: &LoadedTails,
    into: &mut Vec<u8>,
) -> NodeResult<()> {
    let node = Node::with_header(leaf, *header)?;
    node.whole_key(&node.leaf_cell(index)?.key, tails, into)
}

/// Where the value is of a cell that begins at `offset`.
#[inline(always)]
fn value_of(cell: &LeafCell<'_>, offset: usize) -> (Current, Step) {
    match cell.value {
        CellValue::Tombstone => (Current::Tombstone, Step::Taken),
        CellValue::Inline(value) => {
            let len = value.len();
            let at = offset + cell.size - len;
            (Current::Copied { at, len }, Step::Taken)
        }
        CellValue::Overflow { len, .. } => (Current::Loaded, Step::Load(len)),
    }
}

impl VersionCursor for TreeCursor {
    fn advance(&mut self) -> Result<bool> {
        self.step(Wanted::Everything)
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        let value = match self.current {
            Current::Tombstone => None,
            Current::Copied { at, len } => self.leaf.get(at..at + len),
            Current::Loaded => Some(self.value.as_slice()),
            Current::Span => {
                if let Some(span) = &self.span {
                    return span.version();
                }
                None
            }
        };
        VersionRef {
            key: &self.key,
            lsn: self.lsn,
            value,
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.seek_to(key)
    }

    #[inline]
    fn advance_visible(&mut self, at: Lsn, _decided: &mut DecidedKey) -> Result<bool> {
        self.step(Wanted::VisibleAt(at))
    }

    #[inline]
    fn visit_visible(
        &mut self,
        at: Lsn,
        _decided: &mut DecidedKey,
        mut visit: impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.visit_in_place(at, &mut visit)
    }
}
