//! Dropping versions from leaves that no snapshot at or above the watermark can see: which those
//! are, [`KeyCollector`] says.

use super::{
    build,
    cell::{CellValue, LeafCell},
    key::{Place, Tail, Tails},
    layout::NodeResult,
    node::Node,
    overflow::Chain,
};
use crate::{
    cursor::{KeyCollector, VersionMark, garbage_from},
    lsn::Lsn,
};

/// The `prune_lsn` of a leaf in which nothing will ever be garbage as it is.
pub(super) const NOTHING_TO_PRUNE: u64 = u64::MAX;

/// The chains that a version owns.
pub(super) fn chains_of(
    tail: Option<Tail>,
    value: CellValue<'_>,
    inline_limit: usize,
) -> impl Iterator<Item = Chain> {
    let key = tail.map(|tail| Chain {
        page: tail.page,
        len: tail.total.saturating_sub(inline_limit),
    });
    let value = match value {
        CellValue::Overflow { len, page } => Some(Chain { page, len }),
        _ => None,
    };
    key.into_iter().chain(value)
}

/// Whether the versions of the last key of a leaf go on in the next leaf.
fn last_key_continues(node: &Node<'_>, tails: &impl Tails) -> NodeResult<bool> {
    let (Some(high), Some(last)) = (node.high()?, node.count().checked_sub(1)) else {
        return Ok(false);
    };
    if high.version == 0 {
        return Ok(false);
    }
    let mut key = Vec::new();
    node.whole_key(&node.leaf_cell(last)?.key, tails, &mut key)?;
    Ok(high.compare_key(&key, tails)?.is_eq())
}

/// The end of the group of versions of one key that begins at `start`.
pub(super) fn group_end(node: &Node<'_>, start: usize, tails: &impl Tails) -> NodeResult<usize> {
    let first = node.leaf_cell(start)?.key;
    let mut end = start + 1;
    while end < node.count()
        && node.head(end) == Some(first.head)
        && node.same_key(&first, &node.leaf_cell(end)?.key, tails)?
    {
        end += 1;
    }
    Ok(end)
}

/// What decides about a version whether it may go.
pub(super) fn mark_of(cell: &LeafCell<'_>) -> VersionMark {
    VersionMark {
        lsn: cell.lsn,
        is_tombstone: cell.value == CellValue::Tombstone,
    }
}

/// What to keep of the versions `start..end` of one key: those before the answer. `continues`
/// says that older versions are in the next leaf.
fn kept_of_group(
    node: &Node<'_>,
    start: usize,
    end: usize,
    continues: bool,
    watermark: Lsn,
) -> NodeResult<usize> {
    let mut collector = KeyCollector::new(watermark);
    for index in start..end {
        if !collector.keeps(mark_of(&node.leaf_cell(index)?), || !continues) {
            return Ok(index);
        }
    }
    Ok(end)
}

/// The lowest watermark at which something of the kept versions `start..end` would be garbage.
fn prunable_at(node: &Node<'_>, start: usize, end: usize, continues: bool) -> NodeResult<u64> {
    let nth_last = |n| match end.checked_sub(n) {
        Some(index) if index >= start => node.leaf_cell(index).map(|cell| Some(mark_of(&cell))),
        _ => Ok(None),
    };
    let from = garbage_from(nth_last(2)?, nth_last(1)?, !continues);
    Ok(from.map_or(NOTHING_TO_PRUNE, |lsn| lsn.0))
}

/// The lowest watermark at which something of a leaf is garbage.
pub(super) fn prunable_from(node: &Node<'_>, tails: &impl Tails) -> NodeResult<u64> {
    let last_continues = last_key_continues(node, tails)?;
    let (mut start, mut prune_lsn) = (0, NOTHING_TO_PRUNE);
    while start < node.count() {
        let end = group_end(node, start, tails)?;
        let continues = last_continues && end == node.count();
        prune_lsn = prune_lsn.min(prunable_at(node, start, end, continues)?);
        start = end;
    }
    Ok(prune_lsn)
}

/// Drops all garbage of a leaf; answers whether there was any. Chains that nothing refers to
/// any more are added to `freed`.
pub(super) fn prune_leaf(
    page: &mut [u8],
    watermark: Lsn,
    tails: &impl Tails,
    freed: &mut Vec<Chain>,
) -> NodeResult<bool> {
    let node = Node::parse_leaf(page)?;
    if node.header.extra > watermark.0 {
        return Ok(false);
    }
    let inline_limit = super::layout::inline_key_limit(page.len());
    let last_continues = last_key_continues(&node, tails)?;
    let mut keep = vec![true; node.count()];
    let mut prune_lsn = NOTHING_TO_PRUNE;
    let mut chains = Vec::new();
    let mut start = 0;
    while start < node.count() {
        let end = group_end(&node, start, tails)?;
        let continues = last_continues && end == node.count();
        let kept = kept_of_group(&node, start, end, continues, watermark)?;
        for (index, keep) in keep.iter_mut().enumerate().take(end).skip(kept) {
            *keep = false;
            let cell = node.leaf_cell(index)?;
            chains.extend(chains_of(cell.key.tail, cell.value, inline_limit));
        }
        prune_lsn = prune_lsn.min(prunable_at(&node, start, kept, continues)?);
        start = end;
    }
    let any = keep.contains(&false);
    if any {
        build::retain(page, |index| keep.get(index).copied().unwrap_or(true))?;
        freed.append(&mut chains);
    }
    build::set_prune_lsn(page, prune_lsn)?;
    Ok(any)
}

/// Drops the garbage of one key of a leaf, of which slot `index` holds a version; answers
/// whether there was any.
pub(super) fn prune_key(
    page: &mut [u8],
    place: Place<'_>,
    watermark: Lsn,
    tails: &impl Tails,
    freed: &mut Vec<Chain>,
) -> NodeResult<bool> {
    let node = Node::parse_leaf(page)?;
    let (start, found) = node.find(Place::before(place.key), tails)?;
    if !found {
        return Ok(false);
    }
    let inline_limit = super::layout::inline_key_limit(page.len());
    let end = group_end(&node, start, tails)?;
    let continues = end == node.count() && last_key_continues(&node, tails)?;
    let kept = kept_of_group(&node, start, end, continues, watermark)?;
    let mut sizes = smallvec::SmallVec::<[usize; 8]>::new();
    for index in kept..end {
        let cell = node.leaf_cell(index)?;
        freed.extend(chains_of(cell.key.tail, cell.value, inline_limit));
        sizes.push(cell.size);
    }
    for size in sizes.iter() {
        build::remove(page, kept, *size)?;
    }
    Ok(kept < end)
}
