//! Putting a run of entries into one leaf by building the leaf anew.
//!
//! One entry is put into a leaf in place. Several that belong to the same leaf are cheaper to
//! merge with what is there: every cell is copied once, in order, instead of the slots being
//! moved for each entry, and garbage is left out on the way.

use smallvec::SmallVec;

use super::{
    build::{Builder, copy_cell, set_prune_lsn},
    cell::{CellValue, LeafEntry, ProbeKey},
    key::Tails,
    layout::{NodeError, NodeResult, SLOT, inline_key_limit},
    node::Node,
    overflow::Chain,
    prune::{NOTHING_TO_PRUNE, chains_of, group_end, mark_of},
    tree::TreeEntry,
};
use crate::{
    cursor::{KeyCollector, VersionMark, garbage_from},
    lsn::Lsn,
};

/// Fewer entries than this are put into a leaf one by one.
pub(super) const LEAST_RUN: usize = 4;

/// A version on its way into the new leaf.
#[derive(Clone, Copy, Debug)]
struct Version {
    mark: VersionMark,
    /// The slot that holds it now; `None` for the entry that is added.
    slot: Option<usize>,
}

/// All versions of one key, the newest first.
type Group = SmallVec<[Version; 8]>;

fn version_of(entry: &TreeEntry<'_>, lsn: Lsn) -> Version {
    let mark = VersionMark {
        lsn,
        is_tombstone: entry.value.is_none(),
    };
    Version { mark, slot: None }
}

/// How many of `entries`, the first of which does, belong to the leaf `node` and need no chains.
/// Where they all come after what the leaf holds, no more than fit.
pub(super) fn run_in(
    node: &Node<'_>,
    entries: &[TreeEntry<'_>],
    lsn: Lsn,
    needs_chains: impl Fn(&TreeEntry<'_>) -> bool,
    tails: &impl Tails,
) -> NodeResult<usize> {
    let high = node.high()?;
    let prefix_len = node.header.prefix_len;
    let (first_free, _) = match entries.first() {
        Some(first) => node.find(super::key::Place::at(first.key, lsn), tails)?,
        None => return Ok(0),
    };
    let mut room = if first_free == node.count() {
        node.header.total_free()
    } else {
        node.page().len()
    };
    let mut run = 0;
    for entry in entries {
        if needs_chains(entry) {
            break;
        }
        if run > 0
            && let Some(high) = high
            && high
                .compare_place(super::key::Place::at(entry.key, lsn), tails)?
                .is_ge()
        {
            break;
        }
        let value = entry.value.map_or(CellValue::Tombstone, CellValue::Inline);
        let new = LeafEntry {
            inline: entry.key,
            tail: None,
            lsn,
            value,
        };
        if entry.key.len() < prefix_len {
            break;
        }
        match room.checked_sub(new.size(prefix_len) + SLOT) {
            Some(left) => room = left,
            None => break,
        }
        run += 1;
    }
    Ok(run)
}

/// Merges `run`, whose entries all belong to the leaf `page` and need no chains, into it, in the
/// name of commit `lsn`. Versions that no snapshot at or above `watermark` can see are left out;
/// chains that nothing refers to any more are added to `freed`. Answers whether any were, or
/// `None` where all of it does not fit: the leaf is as it was then.
pub(super) fn merge_run(
    page: &mut [u8],
    run: &[TreeEntry<'_>],
    (lsn, watermark): (Lsn, Lsn),
    tails: &impl Tails,
    scratch: &mut Vec<u8>,
    freed: &mut Vec<Chain>,
) -> NodeResult<Option<bool>> {
    scratch.resize(page.len(), 0);
    let node = Node::parse_leaf(page)?;
    let mut merge = Merge {
        node: &node,
        builder: Builder::leaf(scratch, node.low()?, node.high()?, NOTHING_TO_PRUNE)?,
        lsn,
        watermark,
        prune_lsn: NOTHING_TO_PRUNE,
        dropped: false,
        chains: Vec::new(),
    };
    match merge.all(run, tails) {
        Ok(()) => {}
        Err(NodeError::Full) => return Ok(None),
        Err(error) => return Err(error),
    }
    let Merge {
        builder,
        prune_lsn,
        dropped,
        mut chains,
        ..
    } = merge;
    builder.finish();
    set_prune_lsn(scratch, prune_lsn)?;
    page.copy_from_slice(scratch);
    freed.append(&mut chains);
    Ok(Some(dropped))
}

struct Merge<'a, 'p> {
    node: &'a Node<'a>,
    builder: Builder<'p>,
    lsn: Lsn,
    watermark: Lsn,
    prune_lsn: u64,
    dropped: bool,
    chains: Vec<Chain>,
}

impl Merge<'_, '_> {
    fn all(&mut self, run: &[TreeEntry<'_>], tails: &impl Tails) -> NodeResult<()> {
        let node = self.node;
        let inline_limit = inline_key_limit(node.page().len());
        let mut entries = run.iter().peekable();
        let mut slot = 0;
        while slot < node.count() || entries.peek().is_some() {
            let order = match entries.peek() {
                None => std::cmp::Ordering::Less,
                Some(_) if slot == node.count() => std::cmp::Ordering::Greater,
                Some(entry) => {
                    let probe = ProbeKey::new(entry.key, node.header.prefix_len, inline_limit);
                    let head = node.head(slot).map(u32::from_be_bytes);
                    match head.cmp(&Some(probe.head)) {
                        std::cmp::Ordering::Equal => {
                            node.leaf_cell(slot)?.key.compare(&probe, tails)?
                        }
                        decided => decided,
                    }
                }
            };
            let end = if order.is_le() {
                group_end(node, slot, tails)?
            } else {
                slot
            };
            let entry = if order.is_ge() { entries.next() } else { None };
            let is_last = end == node.count() && entries.peek().is_none();
            let group = self.group(slot..end, entry)?;
            let continues = is_last && self.continues(slot, entry, tails)?;
            self.keep(&group, entry, continues)?;
            slot = end;
        }
        Ok(())
    }

    /// The versions of a key: those in `slots`, and the one that `entry` adds. A version that is
    /// there already stays as it is.
    fn group(
        &self,
        slots: std::ops::Range<usize>,
        entry: Option<&TreeEntry<'_>>,
    ) -> NodeResult<Group> {
        let mut group = Group::new();
        let mut added = entry.map(|entry| version_of(entry, self.lsn));
        for slot in slots {
            let cell = self.node.leaf_cell(slot)?;
            if let Some(new) = added
                && cell.lsn <= new.mark.lsn
            {
                if cell.lsn < new.mark.lsn {
                    group.push(new);
                }
                added = None;
            }
            group.push(Version {
                mark: mark_of(&cell),
                slot: Some(slot),
            });
        }
        group.extend(added);
        Ok(group)
    }

    /// Whether older versions of the leaf's last key are in the next leaf.
    fn continues(
        &self,
        slot: usize,
        entry: Option<&TreeEntry<'_>>,
        tails: &impl Tails,
    ) -> NodeResult<bool> {
        let Some(high) = self.node.high()?.filter(|high| high.version != 0) else {
            return Ok(false);
        };
        match entry {
            Some(entry) => Ok(high.compare_key(entry.key, tails)?.is_eq()),
            None => {
                let mut key = Vec::new();
                self.node
                    .whole_key(&self.node.leaf_cell(slot)?.key, tails, &mut key)?;
                Ok(high.compare_key(&key, tails)?.is_eq())
            }
        }
    }

    /// Appends what is to be kept of a group.
    fn keep(
        &mut self,
        group: &[Version],
        entry: Option<&TreeEntry<'_>>,
        continues: bool,
    ) -> NodeResult<()> {
        let mut collector = KeyCollector::new(self.watermark);
        let kept = group
            .iter()
            .take_while(|version| collector.keeps(version.mark, || !continues))
            .count();
        let (kept, gone) = group.split_at(kept);
        for version in kept {
            match (version.slot, entry) {
                (Some(slot), _) => copy_cell(self.node, slot, &mut self.builder)?,
                (None, Some(entry)) => self.builder.push_leaf(&LeafEntry {
                    inline: entry.key,
                    tail: None,
                    lsn: self.lsn,
                    value: entry.value.map_or(CellValue::Tombstone, CellValue::Inline),
                })?,
                (None, None) => {}
            }
        }
        for slot in gone.iter().filter_map(|version| version.slot) {
            let cell = self.node.leaf_cell(slot)?;
            let inline_limit = inline_key_limit(self.node.page().len());
            self.chains
                .extend(chains_of(cell.key.tail, cell.value, inline_limit));
            self.dropped = true;
        }
        let nth_last = |n| {
            let at = kept.len().checked_sub(n)?;
            kept.get(at).map(|version| version.mark)
        };
        let from = garbage_from(nth_last(2), nth_last(1), !continues);
        let prunable = from.map_or(NOTHING_TO_PRUNE, |lsn| lsn.0);
        self.prune_lsn = self.prune_lsn.min(prunable);
        Ok(())
    }
}
