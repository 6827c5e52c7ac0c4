//! Walking a tree with what is shown left where it is.
//!
//! A visitor sees keys and values of a leaf while the leaf's latch is held, so nothing is copied but
//! the keys, which nodes hold in parts. What other pages hold (overflow values, tails of long keys)
//! cannot be read under that latch: such leaves are copied, as by a cursor that is stepped.

use std::ops::ControlFlow;

use super::{
    cell::CellValue,
    copy::{LoadedTails, Next, OwnedPlace, part_of},
    cursor::{TreeCursor, Wanted, end_of_key, skip_rest_of_key},
    layout::{Header, NodeResult},
    node::{Node, Slots},
};
use crate::{
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    store::Direction,
};

/// How far a visitor came in a leaf.
enum Visited {
    /// To the end of its part.
    Part,
    /// It broke off behind the key that the cursor has.
    Broken,
    /// To the key that the cursor has, whose value is elsewhere.
    Elsewhere,
}

/// What is visited of a leaf.
struct Visit {
    start: usize,
    end: usize,
    at: Lsn,
}

impl TreeCursor {
    /// [`VersionCursor::visit_visible`].
    pub(super) fn visit_in_place(
        &mut self,
        at: Lsn,
        visit: &mut impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        loop {
            if self.direction == Direction::Backward || self.start < self.end {
                if !self.step(Wanted::VisibleAt(at))? {
                    return Ok(ControlFlow::Continue(()));
                }
                if visit(self.version()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => return Ok(ControlFlow::Continue(())),
                Next::Leaf(place) => {
                    if self.visit_leaf(place, at, visit)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                other => {
                    self.next = other;
                    self.load_next()?;
                }
            }
        }
    }

    /// Visits the leaf of `place`, or copies what is left of it.
    fn visit_leaf(
        &mut self,
        place: OwnedPlace,
        at: Lsn,
        visit: &mut impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        self.header = None;
        (self.start, self.end) = (0, 0);
        let TreeCursor {
            tree,
            ahead,
            lower,
            upper,
            spare,
            key,
            ..
        } = &mut *self;
        let leaf = match ahead.follow(tree, place.borrow(), false) {
            Some(leaf) => leaf,
            None => tree.descend_naming(place.borrow(), false, ahead)?,
        };
        ahead.count(leaf.was_absent());
        let id = leaf.id();
        let from = Next::Leaf(place);
        let visited = Node::parse_leaf(&leaf).and_then(|node| {
            if node.header.has_tails {
                return Ok(None);
            }
            let tails = LoadedTails::default();
            let bounds = (Direction::Forward, &*lower, upper.as_ref());
            let mut part = part_of(&node, &tails, bounds, &from, spare)?;
            key.clear();
            key.extend_from_slice(node.prefix()?);
            let wanted = Visit {
                start: part.start,
                end: part.end,
                at,
            };
            let visited = visit_part(&leaf, &node.header, wanted, key, &mut part.next, visit)?;
            Ok(Some((visited, part.next)))
        });
        drop(leaf);
        let visited = visited.map_err(|error| self.tree.locate(id, error))?;
        self.leaf_id = id;
        let Some((visited, next)) = visited else {
            self.next = from;
            self.load_next()?;
            return Ok(ControlFlow::Continue(()));
        };
        if let Next::Leaf(passed) = from {
            self.spare = passed.key;
        }
        match visited {
            Visited::Part => {
                self.next = next;
                self.ahead.ask(&self.tree.pages);
                Ok(ControlFlow::Continue(()))
            }
            Visited::Broken => {
                self.next = Next::Leaf(OwnedPlace::after(&self.key));
                self.ahead.restart();
                Ok(ControlFlow::Break(()))
            }
            Visited::Elsewhere => {
                self.next = Next::Leaf(OwnedPlace::before(&self.key));
                self.ahead.restart();
                self.load_next()?;
                Ok(ControlFlow::Continue(()))
            }
        }
    }
}

/// Shows `visit` what a snapshot sees of a part of a leaf. `key` begins with what all its keys begin
/// with.
fn visit_part(
    leaf: &[u8],
    header: &Header,
    part: Visit,
    key: &mut Vec<u8>,
    after: &mut Next,
    visit: &mut impl FnMut(VersionRef<'_>) -> ControlFlow<()>,
) -> NodeResult<Visited> {
    let tails = LoadedTails::default();
    let slots = Slots::of(leaf, header)?;
    let Visit { start, end, at } = part;
    let mut next = start;
    while next < end {
        let index = next;
        let cell = slots.leaf_cell(index)?;
        next += 1;
        if cell.lsn > at {
            continue;
        }
        if next < end && slots.head(next) == Some(cell.key.head) {
            next = end_of_key(leaf, header, index, end, &tails)?;
        }
        if next == header.count
            && let Next::Leaf(place) = after
            && place.version != 0
        {
            skip_rest_of_key(leaf, header, index, place, &tails)?;
        }
        if cell.value == CellValue::Tombstone {
            continue;
        }
        key.truncate(header.prefix_len);
        cell.key.append_suffix(key);
        let CellValue::Inline(value) = cell.value else {
            return Ok(Visited::Elsewhere);
        };
        let shown = VersionRef {
            key,
            lsn: cell.lsn,
            value: Some(value),
        };
        if visit(shown).is_break() {
            return Ok(Visited::Broken);
        }
    }
    Ok(Visited::Part)
}
