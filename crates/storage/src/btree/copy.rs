//! What a cursor takes from a leaf while it holds its latch: the bytes of the part that it visits,
//! the tails of long keys, and where the next leaf begins.

use std::{collections::HashMap, ops::Range};

use super::{
    cell::CellKey,
    key::{Place, Tail, Tails},
    layout::{HEADER, Header, NodeResult, SLOT, malformed},
    node::Node,
    tree::TreePages,
};
use crate::{page::PageId, store::Direction};

/// A place with a key of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OwnedPlace {
    pub(super) key: Vec<u8>,
    pub(super) version: u64,
}

impl OwnedPlace {
    /// Before all versions of `key`.
    pub(super) fn before(key: &[u8]) -> OwnedPlace {
        OwnedPlace {
            key: key.to_vec(),
            version: 0,
        }
    }

    /// After all versions of `key`, which is before the shortest longer key.
    pub(super) fn after(key: &[u8]) -> OwnedPlace {
        let mut longer = Vec::with_capacity(key.len() + 1);
        longer.extend_from_slice(key);
        longer.push(0);
        OwnedPlace {
            key: longer,
            version: 0,
        }
    }

    pub(super) fn borrow(&self) -> Place<'_> {
        Place {
            key: &self.key,
            version: self.version,
        }
    }
}

/// Key tails of the copied leaf.
#[derive(Debug, Default)]
pub(super) struct LoadedTails(HashMap<PageId, Vec<u8>>);

impl LoadedTails {
    /// Forgets those of the leaf before.
    pub(super) fn clear(&mut self) {
        if !self.0.is_empty() {
            self.0.clear();
        }
    }
}

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
pub(super) enum Next {
    /// Forward: the leaf of this place. Backward: of what is just before it.
    Leaf(OwnedPlace),
    /// Backward: the last leaf.
    LastLeaf,
    /// The end is reached.
    Nothing,
}

/// The part of a leaf that is to be visited, by slots, and where to go on after it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) next: Next,
}

/// The part of a leaf that a cursor of those bounds visits which comes from `from`. The next place's
/// key may have the memory of `spare`.
pub(super) fn part_of(
    node: &Node<'_>,
    tails: &LoadedTails,
    (direction, lower, upper): (Direction, &OwnedPlace, Option<&OwnedPlace>),
    from: &Next,
    spare: &mut Vec<u8>,
) -> NodeResult<Part> {
    let forward = direction == Direction::Forward;
    let (first, last) = match (from, forward) {
        (Next::Leaf(place), true) => (place, upper),
        (Next::Leaf(place), false) => (lower, Some(place)),
        _ => (lower, upper),
    };
    let (low, high) = (node.low()?, node.high()?);
    let starts_before = match low {
        Some(low) => low.compare_place(first.borrow(), tails)?.is_le(),
        None => false,
    };
    let start = if starts_before {
        0
    } else {
        node.find(first.borrow(), tails)?.0
    };
    let ends_after = match (last, high) {
        (None, _) => true,
        (Some(last), Some(high)) => high.compare_place(last.borrow(), tails)?.is_ge(),
        (Some(_), None) => false,
    };
    let end = match last {
        Some(last) if !ends_after => node.find(last.borrow(), tails)?.0,
        _ => node.count(),
    };
    let part = Part {
        start,
        end: end.max(start),
        next: Next::Nothing,
    };
    let fence = match (forward, high, low) {
        (true, Some(high), _) if last.is_none() || ends_after => high,
        (false, _, Some(low)) if starts_before => low,
        _ => return Ok(part),
    };
    let mut place = OwnedPlace {
        key: std::mem::take(spare),
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
        upper.is_some_and(|upper| place >= *upper)
    } else {
        place <= *lower
    };
    let next = if is_done {
        Next::Nothing
    } else {
        Next::Leaf(place)
    };
    Ok(Part { next, ..part })
}

/// Copies a leaf, or as much of it as visiting a small part takes, every byte to its place. Answers
/// whether it is the whole.
pub(super) fn copy(
    node: &Node<'_>,
    part: &Part,
    whole: bool,
    into: &mut Vec<u8>,
) -> NodeResult<bool> {
    let page = node.page();
    let visited = part.start..part.end;
    if whole || node.header.has_tails || 2 * visited.len() > node.count() {
        into.clear();
        into.extend_from_slice(page);
        return Ok(true);
    }
    if into.len() != page.len() {
        into.clear();
        into.resize(page.len(), 0);
    }
    let mut copy_range = |range: Range<usize>| -> NodeResult<()> {
        match (into.get_mut(range.clone()), page.get(range)) {
            (Some(into), Some(from)) => into.copy_from_slice(from),
            _ => return malformed("a cell is out of bounds"),
        }
        Ok(())
    };
    copy_range(0..HEADER + SLOT * node.count())?;
    // The cells are mostly side by side, in either order.
    let (mut lowest, mut highest) = (page.len(), (0, visited.start));
    for index in visited.clone() {
        let at = node.cell_offset(index)?;
        lowest = lowest.min(at);
        highest = highest.max((at, index));
    }
    if !visited.is_empty() {
        copy_range(lowest..highest.0 + node.leaf_cell(highest.1)?.size)?;
    }
    let fences = [
        (node.header.low, node.low()?),
        (node.header.high, node.high()?),
    ];
    for (at, fence) in fences {
        if let Some(fence) = fence {
            copy_range(at..at + fence.fence_size())?;
        }
    }
    Ok(false)
}

/// Loads the tails of the keys and fences of a leaf, whose latch is held; answers its header.
pub(super) fn load_tails(
    tree: &TreePages,
    leaf: &[u8],
    tails: &mut LoadedTails,
) -> NodeResult<Header> {
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
