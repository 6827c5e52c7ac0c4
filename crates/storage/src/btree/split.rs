//! Making room: splitting nodes and growing the root.

use smallvec::SmallVec;

use super::{
    build::{self, Builder, copy_cell, prefix_len},
    cell::{CellKey, CellValue, InnerEntry, LeafEntry, value_stays_inline},
    key::{OwnedSeparator, Place, Separator, Tail, Tails, shortest_separator},
    layout::{
        HEADER, Header, NodeError, NodeResult, SLOT, TAIL_REF, inline_key_limit, malformed,
        separator_room,
    },
    merge::own_separator,
    node::Node,
    overflow,
    tree::{BTree, MAX_ATTEMPTS, TreeEntry},
};
use crate::{
    error::Result,
    lsn::Lsn,
    page::{PageId, PageMut, PageRef},
};

/// An inner node on the way to a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) page: PageId,
    /// Which child the way goes on to.
    pub(super) index: usize,
    /// Number of separators.
    pub(super) count: usize,
    /// Whether any separator fits.
    pub(super) has_room: bool,
    pub(super) is_underfull: bool,
}

/// The way from the root to a leaf.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) steps: SmallVec<[Step; 8]>,
    pub(super) leaf: PageId,
}

impl BTree {
    /// The way to the leaf of `place`. It stays valid while the structure lock is held.
    pub(super) fn path(&self, place: Place<'_>) -> Result<Path> {
        let tree = &self.tree;
        let mut steps = SmallVec::new();
        let mut id = tree.root;
        let mut level: Option<u8> = None;
        let mut page: PageRef<'_> = tree.pages.read(id)?;
        loop {
            let step = {
                let node = Node::parse(&page).map_err(|e| tree.locate(id, e))?;
                if level.is_some_and(|level| node.header.level + 1 != level) {
                    return Err(tree
                        .pages
                        .corrupt_page(id, "not on the level of its siblings"));
                }
                level = Some(node.header.level);
                if node.is_leaf() {
                    return Ok(Path { steps, leaf: id });
                }
                let index = node
                    .find_child(place, false, &tree.tails())
                    .map_err(|e| tree.locate(id, e))?;
                let child = node.child(index).map_err(|e| tree.locate(id, e))?;
                let step = Step {
                    page: id,
                    index,
                    count: node.count(),
                    has_room: node.header.total_free() >= separator_room(page.len()),
                    is_underfull: super::merge::is_underfull(&node),
                };
                id = child;
                step
            };
            steps.push(step);
            let next = tree.pages.read(id)?;
            page = next;
        }
    }

    /// Makes room for the first of `pending`, which needs `needed` bytes in its leaf. The
    /// others, which follow it in key order, say what will come to the same place. Answers how
    /// many of them have been put into the tree on the way.
    pub(super) fn split(
        &self,
        pending: &[TreeEntry<'_>],
        lsn: Lsn,
        needed: usize,
    ) -> Result<usize> {
        let Some(first) = pending.first() else {
            return Ok(0);
        };
        let place = Place::at(first.key, lsn);
        let _structure = self.lock_structure();
        for _ in 0..MAX_ATTEMPTS {
            let path = self.path(place)?;
            let Some(parent) = path.steps.last() else {
                self.grow_root()?;
                continue;
            };
            if parent.has_room {
                return self.split_leaf(parent, path.leaf, pending, lsn, needed);
            }
            match path.steps.iter().rposition(|step| step.has_room) {
                Some(at) => self.split_inner(&path.steps[at], &path.steps[at + 1])?,
                None => self.grow_root()?,
            }
        }
        Err(self
            .tree
            .pages
            .corrupt_page(self.tree.root, "splits make no room"))
    }

    /// Moves the root's content to a new child.
    fn grow_root(&self) -> Result<()> {
        let tree = &self.tree;
        let mut root = tree.pages.write(tree.root)?;
        let header = Header::read(&root).map_err(|e| tree.locate(tree.root, e))?;
        if header.level >= super::layout::MAX_LEVEL {
            return Err(tree.pages.corrupt_page(tree.root, "the tree is too deep"));
        }
        let mut child = tree.pages.allocate()?;
        child.copy_from_slice(&root);
        Builder::inner(&mut root, header.level + 1, None, None, child.id())
            .map_err(|e| tree.locate(tree.root, e))?
            .finish();
        Ok(())
    }

    /// Holds a parent and its child for writing, the child being where `step` says.
    fn hold(&self, step: &Step, child: PageId) -> Result<(PageMut<'_>, PageMut<'_>)> {
        let tree = &self.tree;
        let parent = tree.pages.write(step.page)?;
        let found = Node::parse_inner(&parent)
            .and_then(|node| node.child(step.index))
            .map_err(|e| tree.locate(step.page, e))?;
        if found != child {
            return Err(tree
                .pages
                .corrupt_page(step.page, "a child has changed unexpectedly"));
        }
        let child = tree.pages.write(child)?;
        Ok((parent, child))
    }

    fn split_leaf(
        &self,
        step: &Step,
        leaf: PageId,
        pending: &[TreeEntry<'_>],
        lsn: Lsn,
        needed: usize,
    ) -> Result<usize> {
        let tree = &self.tree;
        let (mut parent, mut left) = self.hold(step, leaf)?;
        let plan = Node::parse_leaf(&left)
            .and_then(|node| {
                if node.header.total_free() >= needed + SLOT {
                    // Someone else has made room meanwhile.
                    return Ok(None);
                }
                plan_leaf_split(&node, pending, lsn, &tree.tails()).map(Some)
            })
            .map_err(|e| tree.locate(leaf, e))?;
        let Some(plan) = plan else { return Ok(0) };
        let taken = pending.get(..plan.taken).unwrap_or_default();
        let (separator, chain) =
            own_separator(tree, plan.key, plan.version).map_err(|e| tree.locate(leaf, e))?;
        let give_back = || {
            if let Some(chain) = chain {
                // The failure that led here is the one to report.
                let _ = overflow::free(&tree.pages, chain);
            }
        };
        let mut right = tree.pages.allocate().inspect_err(|_| give_back())?;
        let mut scratch = vec![0; left.len()];
        let entry = InnerEntry {
            separator: separator.borrow(),
            child: right.id(),
        };
        let built = (|| {
            let node = Node::parse_leaf(&left)?;
            split_node(
                &node,
                plan.at,
                plan.at,
                &separator,
                None,
                (taken, lsn),
                &mut scratch,
                &mut right,
            )?;
            if !build::insert_inner(&mut parent, step.index, &entry)? {
                return malformed("a separator does not fit where it should");
            }
            Ok(())
        })();
        match built {
            Ok(()) => {
                left.copy_from_slice(&scratch);
                Ok(taken.len())
            }
            Err(error) => {
                tree.pages.free(right);
                give_back();
                Err(tree.locate(leaf, error))
            }
        }
    }

    fn split_inner(&self, parent_step: &Step, step: &Step) -> Result<()> {
        let tree = &self.tree;
        let (mut parent, mut left) = self.hold(parent_step, step.page)?;
        let mut right = tree.pages.allocate()?;
        let right_id = right.id();
        let mut scratch = vec![0; left.len()];
        let built = (|| {
            let node = Node::parse_inner(&left)?;
            let at = plan_inner_split(&node, step.index)?;
            let middle = node.inner_cell(at)?;
            let mut inline = Vec::new();
            node.inline_key(&middle.key, &mut inline)?;
            let separator = OwnedSeparator {
                inline,
                tail: middle.key.tail,
                version: middle.version,
            };
            let child = Some(middle.child);
            split_node(
                &node,
                at,
                at + 1,
                &separator,
                child,
                (&[], Lsn::ZERO),
                &mut scratch,
                &mut right,
            )?;
            let entry = InnerEntry {
                separator: separator.borrow(),
                child: right_id,
            };
            if !build::insert_inner(&mut parent, parent_step.index, &entry)? {
                return malformed("a separator does not fit where it should");
            }
            Ok(())
        })();
        match built {
            Ok(()) => {
                left.copy_from_slice(&scratch);
                Ok(())
            }
            Err(error) => {
                tree.pages.free(right);
                Err(tree.locate(step.page, error))
            }
        }
    }
}

/// Builds two nodes with the cells `..left_end` and `right_start..` of one, `separator`
/// between them. `right_child` is the first child of the right one, where it is an inner node.
/// Of a leaf, the left one also gets the entries of `taken`, after its cells.
#[expect(
    clippy::too_many_arguments,
    reason = "two nodes and what is between them"
)]
fn split_node(
    node: &Node<'_>,
    left_end: usize,
    right_start: usize,
    separator: &OwnedSeparator,
    right_child: Option<PageId>,
    (taken, lsn): (&[TreeEntry<'_>], Lsn),
    left: &mut [u8],
    right: &mut [u8],
) -> NodeResult<()> {
    let separator = separator.borrow();
    let (level, mut extra) = (node.header.level, node.header.extra);
    if taken.iter().any(|entry| entry.value.is_none()) {
        extra = extra.min(lsn.0);
    }
    let (mut left, mut right) = match right_child {
        None => (
            Builder::leaf(left, node.low()?, Some(separator), extra)?,
            Builder::leaf(right, Some(separator), node.high()?, extra)?,
        ),
        Some(child) => (
            Builder::inner(
                left,
                level,
                node.low()?,
                Some(separator),
                node.header.first_child(),
            )?,
            Builder::inner(right, level, Some(separator), node.high()?, child)?,
        ),
    };
    for index in 0..left_end {
        copy_cell(node, index, &mut left)?;
    }
    for entry in taken {
        left.push_leaf(&LeafEntry {
            inline: entry.key,
            tail: None,
            lsn,
            value: entry.value.map_or(CellValue::Tombstone, CellValue::Inline),
        })?;
    }
    for index in right_start..node.count() {
        copy_cell(node, index, &mut right)?;
    }
    left.finish();
    right.finish();
    Ok(())
}

/// Where a leaf is to be split.
#[derive(Debug)]
struct LeafSplit {
    /// The first slot that goes to the right.
    at: usize,
    /// The separator's key, whole.
    key: Vec<u8>,
    version: u64,
    /// How many of the pending entries go to the left, after all that is there.
    taken: usize,
}

fn plan_leaf_split(
    node: &Node<'_>,
    pending: &[TreeEntry<'_>],
    lsn: Lsn,
    tails: &impl Tails,
) -> NodeResult<LeafSplit> {
    let count = node.count();
    let Some(first) = pending.first() else {
        return malformed("nothing needs room");
    };
    let (index, _) = node.find(Place::at(first.key, lsn), tails)?;
    let high = node.high()?;
    let goes_on = match (high, pending.get(1)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(high), Some(second)) => high.compare_key(second.key, tails)?.is_lt(),
    };
    if index == count && goes_on {
        return plan_append(node, pending, lsn, tails);
    }
    if count < 2 {
        return malformed("a node without room holds fewer than two cells");
    }
    separator_at(node, middle(node)?, tails)
}

/// The separator between slots `at - 1` and `at`.
fn separator_at(node: &Node<'_>, at: usize, tails: &impl Tails) -> NodeResult<LeafSplit> {
    let (before, after) = (node.leaf_cell(at - 1)?, node.leaf_cell(at)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    node.whole_key(&before.key, tails, &mut left)?;
    node.whole_key(&after.key, tails, &mut right)?;
    let (len, version) =
        shortest_separator(Place::at(&left, before.lsn), Place::at(&right, after.lsn));
    right.truncate(len);
    Ok(LeafSplit {
        at,
        key: right,
        version,
        taken: 0,
    })
}

/// The slot near the middle of a leaf, by bytes, whose separator is shortest.
fn middle(node: &Node<'_>) -> NodeResult<usize> {
    let count = node.count();
    let mut sizes = 0;
    for index in 0..count {
        sizes += node.leaf_cell(index)?.size + SLOT;
    }
    let (mut left, mut at) = (0, 0);
    while at < count && left < sizes / 2 {
        left += node.leaf_cell(at)?.size + SLOT;
        at += 1;
    }
    let at = at.clamp(1, count - 1);
    let reach = count / 16;
    let mut best = (usize::MAX, at);
    for candidate in at.saturating_sub(reach).max(1)..=(at + reach).min(count - 1) {
        let before = node.leaf_cell(candidate - 1)?.key;
        let shared = shared_suffix(&before, &node.leaf_cell(candidate)?.key);
        let cost = (shared, candidate.abs_diff(at));
        if cost < (best.0, best.1.abs_diff(at)) {
            best = (shared, candidate);
        }
    }
    Ok(best.1)
}

/// How many bytes two keys of one node share after the prefix.
fn shared_suffix(a: &CellKey<'_>, b: &CellKey<'_>) -> usize {
    if a.head != b.head {
        return super::key::common_prefix(&a.head, &b.head);
    }
    4 + super::key::common_prefix(a.rest, b.rest)
}

/// Splits at the end, for keys that arrive in ascending order: the left node keeps everything, and
/// gets as many of the next entries as it has room for, once the new high fence has given it a
/// prefix.
fn plan_append(
    node: &Node<'_>,
    pending: &[TreeEntry<'_>],
    lsn: Lsn,
    tails: &impl Tails,
) -> NodeResult<LeafSplit> {
    let count = node.count();
    let payload = node.page().len();
    let high = node.high()?;
    let mut last = Vec::new();
    let mut previous = None;
    if let Some(index) = count.checked_sub(1) {
        let last_cell = node.leaf_cell(index)?;
        node.whole_key(&last_cell.key, tails, &mut last)?;
        previous = Some(Place::at(&last, last_cell.lsn));
    }
    // Versions of a key that is there are for the leaf's own insertion to judge.
    let may_take = pending
        .first()
        .is_some_and(|entry| previous.is_none_or(|previous: Place<'_>| previous.key < entry.key));
    let mut sizer = LeftSizer::new(node)?;
    let mut best: Option<(usize, usize, u64)> = None;
    let mut takeable = 0;
    for (extra, entry) in pending.iter().enumerate() {
        let place = Place::at(entry.key, lsn);
        if extra > 0 {
            if let Some(high) = high
                && high.compare_place(place, tails)?.is_ge()
            {
                break;
            }
            let before = pending[extra - 1];
            sizer.add(before, lsn);
            let is_short = before.key.len() <= inline_key_limit(payload);
            let value = before.value.map_or(0, <[u8]>::len);
            let in_leaf = is_short && value_stays_inline(payload, before.key.len(), value);
            if may_take && takeable == extra - 1 && in_leaf {
                takeable = extra;
            }
        }
        if let Some(previous) = previous {
            let (len, version) = shortest_separator(previous, place);
            let key = entry.key.get(..len).unwrap_or(entry.key);
            if !sizer.fits(key, version)? {
                break;
            }
            best = Some((extra, len, version));
        }
        previous = Some(place);
    }
    if let Some((extra, len, version)) = best {
        let key = pending.get(extra).map_or(&[][..], |entry| entry.key);
        return Ok(LeafSplit {
            at: count,
            key: key.get(..len).unwrap_or(key).to_vec(),
            version,
            taken: takeable.min(extra),
        });
    }
    if count < 2 {
        return malformed("a node without room holds fewer than two cells");
    }
    // Not even what is there fits with a high fence: move some of it.
    let mut at = count - 1;
    loop {
        let split = separator_at(node, at, tails)?;
        if at == 1 || sizer.first_fit(at, &split.key, split.version)? {
            return Ok(split);
        }
        at -= 1;
    }
}

/// Works out whether the cells of a leaf, and some more, fit below a new high fence.
struct LeftSizer<'a> {
    node: &'a Node<'a>,
    low: Option<Separator<'a>>,
    /// Per cell: inline key length, and size of all of the cell but what depends on the prefix.
    cells: Vec<(usize, usize)>,
    existing: usize,
    /// The prefix that `known` was summed for, how many cells it covers, and the sum.
    known: (usize, usize, usize),
}

/// Bytes of length field and key of a cell, under a prefix.
fn key_size(inline_len: usize, prefix_len: usize) -> usize {
    let suffix = inline_len.saturating_sub(prefix_len);
    super::layout::length_size(suffix) + suffix.saturating_sub(4)
}

impl<'a> LeftSizer<'a> {
    fn new(node: &'a Node<'a>) -> NodeResult<LeftSizer<'a>> {
        let prefix = node.header.prefix_len;
        let mut cells = Vec::with_capacity(2 * node.count());
        for index in 0..node.count() {
            let cell = node.leaf_cell(index)?;
            let inline_len = prefix + cell.key.suffix_len;
            let fixed = SLOT + cell.size.saturating_sub(key_size(inline_len, prefix));
            cells.push((inline_len, fixed));
        }
        let existing = cells.len();
        Ok(LeftSizer {
            node,
            low: node.low()?,
            cells,
            existing,
            known: (usize::MAX, 0, 0),
        })
    }

    /// Counts an entry in that is to come.
    fn add(&mut self, entry: TreeEntry<'_>, lsn: Lsn) {
        let payload = self.node.page().len();
        let limit = inline_key_limit(payload);
        let value = match entry.value {
            None => CellValue::Tombstone,
            Some(value) if value_stays_inline(payload, entry.key.len(), value.len()) => {
                CellValue::Inline(value)
            }
            Some(_) => CellValue::Overflow {
                len: 0,
                page: PageId(1),
            },
        };
        let inline = entry.key.get(..limit).unwrap_or(entry.key);
        let new = LeafEntry {
            inline,
            tail: None,
            lsn,
            value,
        };
        let tail = if entry.key.len() > limit { TAIL_REF } else { 0 };
        let fixed = SLOT + new.size(0) - key_size(inline.len(), 0) + tail;
        self.cells.push((inline.len(), fixed));
    }

    fn fits(&mut self, key: &[u8], version: u64) -> NodeResult<bool> {
        self.first_fit(self.cells.len(), key, version)
    }

    /// Whether the first `cells` cells fit below the separator.
    fn first_fit(&mut self, cells: usize, key: &[u8], version: u64) -> NodeResult<bool> {
        let payload = self.node.page().len();
        let inline = key.get(..inline_key_limit(payload)).unwrap_or(key);
        let is_long = inline.len() < key.len();
        let tail = is_long.then_some(Tail {
            total: key.len(),
            page: PageId(1),
        });
        let high = Separator {
            inline,
            tail,
            version,
        };
        let prefix = prefix_len(self.low, Some(high));
        if self.known.0 != prefix || self.known.1 > cells {
            self.known = (prefix, 0, 0);
        }
        for (inline_len, fixed) in self.cells.get(self.known.1..cells).unwrap_or_default() {
            self.known.2 += fixed + key_size(*inline_len, prefix);
        }
        self.known.1 = cells;
        let fences = high.fence_size() + self.low.map_or(0, |low| low.fence_size());
        debug_assert!(self.existing <= self.cells.len());
        Ok(HEADER + fences + self.known.2 <= payload)
    }
}

/// The separator of an inner node that is to move up, given where the way goes on.
fn plan_inner_split(node: &Node<'_>, index: usize) -> NodeResult<usize> {
    let count = node.count();
    if count < 3 {
        return Err(NodeError::Malformed(
            "an inner node without room holds too few cells",
        ));
    }
    if index == count && node.high()?.is_none() {
        // Keys arrive in ascending order: leave the left node full.
        return Ok(count - 2);
    }
    let mut sizes = 0;
    for index in 0..count {
        sizes += node.inner_cell(index)?.size + SLOT;
    }
    let (mut left, mut at) = (0, 0);
    while at < count && left < sizes / 2 {
        left += node.inner_cell(at)?.size + SLOT;
        at += 1;
    }
    Ok(at.clamp(1, count - 2))
}
