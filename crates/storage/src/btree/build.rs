//! Writing nodes: building one from scratch, and changing one in place.

use smallvec::SmallVec;

use super::{
    cell::{InnerEntry, LeafEntry},
    key::{Separator, common_prefix},
    layout::{HEADER, Header, NodeError, NodeResult, SLOT, malformed},
    node::Node,
};
use crate::page::PageId;

/// Fills a page with a node, cell by cell in ascending order.
#[derive(Debug)]
pub(super) struct Builder<'p> {
    page: &'p mut [u8],
    header: Header,
    heads: SmallVec<[[u8; 4]; 128]>,
    offsets: SmallVec<[[u8; 2]; 128]>,
}

impl<'p> Builder<'p> {
    /// Begins a leaf between two bounds; `prune_lsn` as in [`Header::extra`].
    pub(super) fn leaf(
        page: &'p mut [u8],
        low: Option<Separator<'_>>,
        high: Option<Separator<'_>>,
        prune_lsn: u64,
    ) -> NodeResult<Builder<'p>> {
        Builder::new(page, 0, low, high, prune_lsn)
    }

    /// Begins an inner node between two bounds.
    pub(super) fn inner(
        page: &'p mut [u8],
        level: u8,
        low: Option<Separator<'_>>,
        high: Option<Separator<'_>>,
        first_child: PageId,
    ) -> NodeResult<Builder<'p>> {
        Builder::new(page, level, low, high, u64::from(first_child.0))
    }

    fn new(
        page: &'p mut [u8],
        level: u8,
        low: Option<Separator<'_>>,
        high: Option<Separator<'_>>,
        extra: u64,
    ) -> NodeResult<Builder<'p>> {
        page.fill(0);
        let mut heap_start = page.len();
        let mut place = |fence: Option<Separator<'_>>| -> NodeResult<usize> {
            let Some(fence) = fence else { return Ok(0) };
            let size = fence.fence_size();
            heap_start = match heap_start.checked_sub(size) {
                Some(start) if start >= HEADER => start,
                _ => return malformed("the fences do not fit"),
            };
            fence.encode_fence(&mut page[heap_start..heap_start + size]);
            Ok(heap_start)
        };
        let high_at = place(high)?;
        let low_at = place(low)?;
        let header = Header {
            level,
            count: 0,
            heap_start,
            garbage: 0,
            prefix_len: prefix_len(low, high),
            low: low_at,
            high: high_at,
            has_tails: [low, high]
                .iter()
                .flatten()
                .any(|fence| fence.tail.is_some()),
            extra,
        };
        Ok(Builder {
            page,
            header,
            heads: SmallVec::new(),
            offsets: SmallVec::new(),
        })
    }

    pub(super) fn prefix_len(&self) -> usize {
        self.header.prefix_len
    }

    /// Takes `size` bytes for the next cell.
    fn reserve(&mut self, size: usize) -> NodeResult<usize> {
        let slots_end = HEADER + SLOT * (self.heads.len() + 1);
        match self.header.heap_start.checked_sub(size) {
            Some(start) if start >= slots_end => {
                self.header.heap_start = start;
                self.offsets.push((start as u16).to_le_bytes());
                Ok(start)
            }
            _ => Err(NodeError::Full),
        }
    }

    fn check_prefix(&self, inline: &[u8]) -> NodeResult<()> {
        let at = self.header.low;
        let prefix_len = self.header.prefix_len;
        if prefix_len == 0 {
            return Ok(());
        }
        let low = self.page.get(at..).and_then(Separator::decode_fence);
        match low.and_then(|low| low.inline.get(..prefix_len)) {
            Some(prefix) if inline.starts_with(prefix) => Ok(()),
            _ => malformed("a key is outside of its node's fences"),
        }
    }

    /// Appends a version.
    pub(super) fn push_leaf(&mut self, entry: &LeafEntry<'_>) -> NodeResult<()> {
        self.check_prefix(entry.inline)?;
        let size = entry.size(self.header.prefix_len);
        let at = self.reserve(size)?;
        let head = entry.encode(self.header.prefix_len, &mut self.page[at..at + size]);
        self.heads.push(head.to_be_bytes());
        self.header.has_tails |= entry.tail.is_some();
        Ok(())
    }

    /// Appends a bound and its child.
    pub(super) fn push_inner(&mut self, entry: &InnerEntry<'_>) -> NodeResult<()> {
        self.check_prefix(entry.separator.inline)?;
        let size = entry.size(self.header.prefix_len);
        let at = self.reserve(size)?;
        let head = entry.encode(self.header.prefix_len, &mut self.page[at..at + size]);
        self.heads.push(head.to_be_bytes());
        self.header.has_tails |= entry.separator.tail.is_some();
        Ok(())
    }

    /// Appends a cell as it is; it was encoded under the same prefix.
    fn push_raw(&mut self, head: [u8; 4], cell: &[u8], has_tail: bool) -> NodeResult<()> {
        self.header.has_tails |= has_tail;
        let at = self.reserve(cell.len())?;
        self.page[at..at + cell.len()].copy_from_slice(cell);
        self.heads.push(head);
        Ok(())
    }

    /// Writes slots and header.
    pub(super) fn finish(mut self) {
        let count = self.heads.len();
        self.header.count = count;
        let heads_end = HEADER + 4 * count;
        self.page[HEADER..heads_end].copy_from_slice(self.heads.as_flattened());
        self.page[heads_end..heads_end + 2 * count].copy_from_slice(self.offsets.as_flattened());
        self.header.write(self.page);
    }
}

/// How many bytes every key between two bounds begins with.
pub(super) fn prefix_len(low: Option<Separator<'_>>, high: Option<Separator<'_>>) -> usize {
    match (low, high) {
        (Some(low), Some(high)) => common_prefix(low.inline, high.inline),
        _ => 0,
    }
}

/// Inserts a slot for a cell of `size` bytes; answers where its bytes go, or `None` where the
/// node has no room even when rebuilt.
fn open_slot(
    page: &mut [u8],
    index: usize,
    size: usize,
    has_tail: bool,
) -> NodeResult<Option<usize>> {
    let mut header = Header::read(page)?;
    if header.contiguous_free() < size + SLOT {
        if header.total_free() < size + SLOT {
            return Ok(None);
        }
        compact(page)?;
        header = Header::read(page)?;
        if header.contiguous_free() < size + SLOT {
            return Ok(None);
        }
    }
    let count = header.count;
    if index > count {
        return malformed("there is no such slot");
    }
    let heads_end = HEADER + 4 * count;
    let offsets_end = heads_end + 2 * count;
    let offset_at = heads_end + 2 * index;
    page.copy_within(offset_at..offsets_end, offset_at + 6);
    page.copy_within(heads_end..offset_at, heads_end + 4);
    let head_at = HEADER + 4 * index;
    page.copy_within(head_at..heads_end, head_at + 4);
    header.heap_start -= size;
    header.count += 1;
    header.has_tails |= has_tail;
    let at = header.heap_start;
    page[offset_at + 4..offset_at + 6].copy_from_slice(&(at as u16).to_le_bytes());
    header.write(page);
    Ok(Some(at))
}

fn set_head(page: &mut [u8], index: usize, head: u32) {
    let at = HEADER + 4 * index;
    page[at..at + 4].copy_from_slice(&head.to_be_bytes());
}

/// Inserts a version before slot `index`. False where there is no room.
pub(super) fn insert_leaf(
    page: &mut [u8],
    index: usize,
    entry: &LeafEntry<'_>,
) -> NodeResult<bool> {
    let prefix_len = Header::read(page)?.prefix_len;
    if entry.inline.len() < prefix_len {
        return malformed("a key is outside of its node's fences");
    }
    let size = entry.size(prefix_len);
    let has_tail = entry.tail.is_some();
    let Some(at) = open_slot(page, index, size, has_tail)? else {
        return Ok(false);
    };
    let head = entry.encode(prefix_len, &mut page[at..at + size]);
    set_head(page, index, head);
    Ok(true)
}

/// Inserts a bound and its child before slot `index`. False where there is no room.
pub(super) fn insert_inner(
    page: &mut [u8],
    index: usize,
    entry: &InnerEntry<'_>,
) -> NodeResult<bool> {
    let prefix_len = Header::read(page)?.prefix_len;
    if entry.separator.inline.len() < prefix_len {
        return malformed("a bound is outside of its node's fences");
    }
    let size = entry.size(prefix_len);
    let has_tail = entry.separator.tail.is_some();
    let Some(at) = open_slot(page, index, size, has_tail)? else {
        return Ok(false);
    };
    let head = entry.encode(prefix_len, &mut page[at..at + size]);
    set_head(page, index, head);
    Ok(true)
}

/// Removes slot `index`, whose cell has `size` bytes.
pub(super) fn remove(page: &mut [u8], index: usize, size: usize) -> NodeResult<()> {
    let node = Node::parse(page)?;
    let offset = node.cell_offset(index)?;
    let mut header = node.header;
    let count = header.count;
    let heads_end = HEADER + 4 * count;
    let offsets_end = heads_end + 2 * count;
    let head_at = HEADER + 4 * index;
    let offset_at = heads_end + 2 * index;
    page.copy_within(head_at + 4..heads_end, head_at);
    page.copy_within(heads_end..offset_at, heads_end - 4);
    page.copy_within(offset_at + 2..offsets_end, offset_at - 4);
    header.count -= 1;
    if offset == header.heap_start && offset + size <= page.len() {
        header.heap_start += size;
    } else {
        header.garbage = (header.garbage + size).min(page.len() - header.heap_start);
    }
    header.write(page);
    Ok(())
}

/// Rebuilds a node so that its free bytes are in one piece.
fn compact(page: &mut [u8]) -> NodeResult<()> {
    retain(page, |_| true)
}

/// Sets the LSN below which no version of a leaf can be pruned.
pub(super) fn set_prune_lsn(page: &mut [u8], lsn: u64) -> NodeResult<()> {
    let mut header = Header::read(page)?;
    header.extra = lsn;
    header.write(page);
    Ok(())
}

/// Rebuilds a node from the slots that `keep` chooses.
pub(super) fn retain(page: &mut [u8], keep: impl Fn(usize) -> bool) -> NodeResult<()> {
    let node = Node::parse(page)?;
    let mut scratch = vec![0; page.len()];
    let header = node.header;
    let mut builder = Builder::new(
        &mut scratch,
        header.level,
        node.low()?,
        node.high()?,
        header.extra,
    )?;
    if builder.prefix_len() != header.prefix_len {
        return malformed("the prefix does not agree with the fences");
    }
    for index in (0..node.count()).filter(|index| keep(*index)) {
        copy_cell(&node, index, &mut builder)?;
    }
    builder.finish();
    page.copy_from_slice(&scratch);
    Ok(())
}

/// Appends a cell of `node` to a node under construction, whatever its prefix.
pub(super) fn copy_cell(
    node: &Node<'_>,
    index: usize,
    builder: &mut Builder<'_>,
) -> NodeResult<()> {
    if builder.prefix_len() == node.header.prefix_len {
        let (key, size) = if node.is_leaf() {
            let cell = node.leaf_cell(index)?;
            (cell.key, cell.size)
        } else {
            let cell = node.inner_cell(index)?;
            (cell.key, cell.size)
        };
        let offset = node.cell_offset(index)?;
        return match node.page().get(offset..offset + size) {
            Some(bytes) => builder.push_raw(key.head, bytes, key.tail.is_some()),
            None => malformed("a cell is out of bounds"),
        };
    }
    let mut inline = Vec::new();
    if node.is_leaf() {
        let cell = node.leaf_cell(index)?;
        node.inline_key(&cell.key, &mut inline)?;
        let tail = cell.key.tail;
        builder.push_leaf(&LeafEntry {
            inline: &inline,
            tail,
            lsn: cell.lsn,
            value: cell.value,
        })
    } else {
        let cell = node.inner_cell(index)?;
        node.inline_key(&cell.key, &mut inline)?;
        let separator = Separator {
            inline: &inline,
            tail: cell.key.tail,
            version: cell.version,
        };
        builder.push_inner(&InnerEntry {
            separator,
            child: cell.child,
        })
    }
}
