//! Walking a tree without holding latches.
//!
//! A cursor copies one leaf at a time into a buffer of its own and works on the copy. The next
//! leaf is found by descending to the copy's high (backward: low) fence, so splits and merges
//! in between do no harm, and the user of a cursor may write to the tree meanwhile.
//!
//! Values in overflow pages are not copied along: a version's value is looked up when the
//! cursor gets to it. A version that was pruned in between, which no snapshot can see then, is
//! left out. Tails of long keys are copied along, as they are needed for comparing.

use std::{collections::HashMap, ops::Bound};

use super::{
    cell::{CellKey, CellValue, LeafCell},
    key::{Place, Separator, Tail, Tails},
    layout::{Header, NodeResult, malformed},
    node::Node,
    read_ahead::ReadAhead,
    tree::{BTree, TreePages},
};
use crate::{
    cursor::{DecidedKey, VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    page::{PageId, PageRef},
    store::{Direction, KeyRange},
};

/// A place with a key of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct OwnedPlace {
    key: Vec<u8>,
    version: u64,
}

impl OwnedPlace {
    fn before(key: &[u8]) -> OwnedPlace {
        OwnedPlace {
            key: key.to_vec(),
            version: 0,
        }
    }

    /// After all versions of `key`, which is before the shortest longer key.
    fn after(key: &[u8]) -> OwnedPlace {
        let mut longer = Vec::with_capacity(key.len() + 1);
        longer.extend_from_slice(key);
        longer.push(0);
        OwnedPlace {
            key: longer,
            version: 0,
        }
    }

    fn borrow(&self) -> Place<'_> {
        Place {
            key: &self.key,
            version: self.version,
        }
    }
}

/// Key tails of the copied leaf.
#[derive(Debug, Default)]
struct LoadedTails(HashMap<PageId, Vec<u8>>);

impl Tails for LoadedTails {
    fn load(&self, tail: PageId, len: usize, into: &mut Vec<u8>) -> NodeResult<()> {
        into.clear();
        match self.0.get(&tail) {
            Some(bytes) if bytes.len() == len => into.extend_from_slice(bytes),
            _ => return malformed("a key's tail was not copied along"),
        }
        Ok(())
    }
}

/// From where the next leaf is to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// Forward: the leaf of this place. Backward: of what is just before it.
    Leaf(OwnedPlace),
    /// Backward: the last leaf.
    LastLeaf,
    /// The end is reached.
    Nothing,
}

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
enum Wanted {
    Everything,
    VisibleAt(Lsn),
}

/// A cursor over the versions of a tree. See [`VersionCursor`].
#[derive(Debug)]
pub(crate) struct TreeCursor {
    tree: TreePages,
    direction: Direction,
    lower: OwnedPlace,
    /// Exclusive.
    upper: Option<OwnedPlace>,
    /// The copy of a leaf, and where it was copied from.
    leaf: Vec<u8>,
    leaf_id: PageId,
    header: Option<Header>,
    tails: LoadedTails,
    /// The slots of the copy that are still to be visited.
    start: usize,
    end: usize,
    /// Backward: the versions of one key, to be visited in ascending order.
    group: (usize, usize),
    next: Next,
    ahead: ReadAhead,
    /// Backward: the versions of a key that lie in more than one leaf.
    span: Option<Box<TreeCursor>>,
    key: Vec<u8>,
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
            tails: LoadedTails::default(),
            start: 0,
            end: 0,
            group: (0, 0),
            next,
            ahead: ReadAhead::default(),
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
    fn step(&mut self, wanted: Wanted) -> Result<bool> {
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

    /// Steps to the next wanted version within the copied leaf.
    #[inline]
    fn step_in_copy(&mut self, wanted: Wanted) -> NodeResult<Step> {
        if self.start >= self.end {
            return Ok(Step::Exhausted);
        }
        let Some(header) = self.header else {
            return Ok(Step::Exhausted);
        };
        let node = Node::with_header(&self.leaf, header)?;
        let mut next = self.start;
        while next < self.end {
            let index = next;
            let cell = node.leaf_cell(index)?;
            next += 1;
            if let Wanted::VisibleAt(at) = wanted {
                if cell.lsn > at {
                    continue;
                }
                while next < self.end
                    && node.head(next) == Some(cell.key.head)
                    && node.same_key(&cell.key, &node.leaf_cell(next)?.key, &self.tails)?
                {
                    next += 1;
                }
                if next == header.count
                    && let Next::Leaf(place) = &mut self.next
                    && place.version != 0
                {
                    skip_rest_of_key(&node, &cell, place, &self.tails)?;
                }
                if cell.value == CellValue::Tombstone {
                    continue;
                }
            }
            self.start = next;
            let (current, step) = stand_on(&node, index, &cell, &self.tails, &mut self.key)?;
            (self.current, self.lsn) = (current, cell.lsn);
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
            let (current, step) = stand_on(&node, index, &cell, &self.tails, &mut self.key)?;
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
    fn load_next(&mut self) -> Result<bool> {
        let next = std::mem::replace(&mut self.next, Next::Nothing);
        self.load(next)
    }

    fn load(&mut self, from: Next) -> Result<bool> {
        self.header = None;
        (self.start, self.end, self.group) = (0, 0, (0, 0));
        let backward = self.direction == Direction::Backward;
        let tree = self.tree.clone();
        let leaf = match &from {
            Next::Leaf(place) => tree.descend(place.borrow(), backward)?,
            Next::LastLeaf => tree.descend_last()?,
            Next::Nothing => return Ok(false),
        };
        self.copy(&leaf)?;
        drop(leaf);
        let placed = self.place(&from);
        self.locate(placed)?;
        if let (Some(count), Next::Leaf(next)) = (self.ahead.advance(), &self.next) {
            // What fails here fails again when the scan comes to it.
            let _ = tree.read_ahead(next.borrow(), backward, count);
        }
        Ok(true)
    }

    /// Copies a leaf, and the tails of its keys and fences.
    fn copy(&mut self, leaf: &PageRef<'_>) -> Result<()> {
        self.leaf_id = leaf.id();
        self.leaf.clear();
        self.leaf.extend_from_slice(leaf);
        if !self.tails.0.is_empty() {
            self.tails.0.clear();
        }
        let loaded = copy_tails(&self.tree, &self.leaf, &mut self.tails);
        let header = self.locate(loaded)?;
        self.key.clear();
        let prefix = Node::with_header(&self.leaf, header)
            .and_then(|node| node.prefix())
            .map_err(|e| self.tree.locate(self.leaf_id, e))?;
        self.key.extend_from_slice(prefix);
        self.header = Some(header);
        Ok(())
    }

    /// Finds the part of the copied leaf that is to be visited, and where to go on after it.
    fn place(&mut self, from: &Next) -> NodeResult<()> {
        let Some(header) = self.header else {
            return Ok(());
        };
        let node = Node::with_header(&self.leaf, header)?;
        let tails = &self.tails;
        let forward = self.direction == Direction::Forward;
        let (first, last) = match (from, forward) {
            (Next::Leaf(place), true) => (place, self.upper.as_ref()),
            (Next::Leaf(place), false) => (&self.lower, Some(place)),
            _ => (&self.lower, self.upper.as_ref()),
        };
        let (low, high) = (node.low()?, node.high()?);
        let starts_before = match low {
            Some(low) => low.compare_place(first.borrow(), tails)?.is_le(),
            None => false,
        };
        self.start = if starts_before {
            0
        } else {
            node.find(first.borrow(), tails)?.0
        };
        let ends_after = match (last, high) {
            (None, _) => true,
            (Some(last), Some(high)) => high.compare_place(last.borrow(), tails)?.is_ge(),
            (Some(_), None) => false,
        };
        self.end = match last {
            Some(last) if !ends_after => node.find(last.borrow(), tails)?.0,
            _ => node.count(),
        };
        self.end = self.end.max(self.start);
        self.next = Next::Nothing;
        let fence = match (forward, high, low) {
            (true, Some(high), _) if last.is_none() || ends_after => high,
            (false, _, Some(low)) if starts_before => low,
            _ => return Ok(()),
        };
        let mut place = OwnedPlace {
            key: Vec::new(),
            version: fence.version,
        };
        fence.load_key(tails, &mut place.key)?;
        let progress = match from {
            Next::Leaf(from) if forward => place > *from,
            Next::Leaf(from) => place < *from,
            _ => true,
        };
        if !progress {
            return malformed("fences are out of order");
        }
        let is_done = if forward {
            self.upper.as_ref().is_some_and(|upper| place >= *upper)
        } else {
            place <= self.lower
        };
        if !is_done {
            self.next = Next::Leaf(place);
        }
        Ok(())
    }

    /// Whether `place` (backward: what is just before it) belongs to the copied leaf.
    fn copy_covers(&self, place: &OwnedPlace) -> NodeResult<bool> {
        let Some(header) = self.header else {
            return Ok(false);
        };
        let node = Node::with_header(&self.leaf, header)?;
        let compare = |fence: Option<Separator<'_>>| {
            fence
                .map(|fence| fence.compare_place(place.borrow(), &self.tails))
                .transpose()
        };
        let (low, high) = (compare(node.low()?)?, compare(node.high()?)?);
        Ok(if self.direction == Direction::Forward {
            low.is_none_or(|o| o.is_ge()) && high.is_none_or(|o| o.is_lt())
        } else {
            low.is_none_or(|o| o.is_gt()) && high.is_none_or(|o| o.is_le())
        })
    }

    fn seek_to(&mut self, key: &[u8]) -> Result<()> {
        self.span = None;
        self.group = (0, 0);
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
        let covers = self.copy_covers(&place);
        if is_outside {
            (self.start, self.end, self.next) = (0, 0, Next::Nothing);
        } else if self.locate(covers)? {
            let placed = self.place(&Next::Leaf(place));
            self.locate(placed)?;
        } else {
            (self.start, self.end, self.next) = (0, 0, Next::Leaf(place));
            self.ahead.restart();
        }
        Ok(())
    }
}

/// Where the next leaf begins with older versions of the key of `cell`: goes on after them.
#[cold]
fn skip_rest_of_key(
    node: &Node<'_>,
    cell: &LeafCell<'_>,
    next: &mut OwnedPlace,
    tails: &LoadedTails,
) -> NodeResult<()> {
    let mut key = Vec::new();
    node.whole_key(&cell.key, tails, &mut key)?;
    if key == next.key {
        *next = OwnedPlace::after(&key);
    }
    Ok(())
}

/// Builds the key of a cell, in a buffer that begins with the node's prefix, and says where its
/// value is.
#[inline]
fn stand_on(
    node: &Node<'_>,
    index: usize,
    cell: &LeafCell<'_>,
    tails: &LoadedTails,
    key: &mut Vec<u8>,
) -> NodeResult<(Current, Step)> {
    key.truncate(node.header.prefix_len);
    cell.key.append_suffix(key);
    if cell.key.tail.is_some() {
        node.whole_key(&cell.key, tails, key)?;
    }
    Ok(match cell.value {
        CellValue::Tombstone => (Current::Tombstone, Step::Taken),
        CellValue::Inline(value) => {
            let (at, len) = (
                node.cell_offset(index)? + cell.size - value.len(),
                value.len(),
            );
            (Current::Copied { at, len }, Step::Taken)
        }
        CellValue::Overflow { len, .. } => (Current::Loaded, Step::Load(len)),
    })
}

/// Loads the tails of the keys and fences of a copied leaf, whose latch is still held.
fn copy_tails(tree: &TreePages, leaf: &[u8], tails: &mut LoadedTails) -> NodeResult<Header> {
    let node = Node::parse_leaf(leaf)?;
    if !node.header.has_tails {
        return Ok(node.header);
    }
    let mut load = |tail: Option<Tail>, inline: usize| -> NodeResult<()> {
        let Some(tail) = tail else { return Ok(()) };
        let Some(len) = tail.total.checked_sub(inline) else {
            return malformed("a long key is shorter than its beginning");
        };
        let mut bytes = Vec::new();
        tree.tails().load(tail.page, len, &mut bytes)?;
        tails.0.insert(tail.page, bytes);
        Ok(())
    };
    for fence in [node.low()?, node.high()?].into_iter().flatten() {
        load(fence.tail, fence.inline.len())?;
    }
    for index in 0..node.count() {
        let key: CellKey<'_> = node.leaf_cell(index)?.key;
        load(key.tail, node.inline_limit())?;
    }
    Ok(node.header)
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
}
