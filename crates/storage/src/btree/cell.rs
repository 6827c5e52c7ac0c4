//! Cells: what a slot points to.
//!
//! ```text
//! leaf cell    flags u8 │ suffix length │ value length │ LSN 1–8 │ suffix[4..] │ tail │ value
//! inner cell   child u32 │ flags u8 │ suffix length │ version 0|8 │ suffix[4..] │ tail
//! ```
//!
//! The suffix is the key's inline part after the node's prefix; its first four bytes are the
//! slot's head. Lengths take one or two bytes. A tombstone has no value length and no value; a
//! value in overflow pages has `length u32, page u32` in place of both. A key of more bytes
//! than a node keeps has a tail: `whole length u16, page u32`.

use std::cmp::Ordering;

use super::{
    key::{HAS_TAIL, HAS_VERSION, Separator, Tail, Tails},
    layout::{
        LEAF_CELL_OVERHEAD, NodeResult, OVERFLOW_REF, TAIL_REF, Writer, get_length, get_u32,
        get_u64, length_size, malformed,
    },
};
use crate::{lsn::Lsn, page::PageId};

const LSN_BYTES: u8 = 0b111;
const TOMBSTONE: u8 = 1 << 3;
const OVERFLOW: u8 = 1 << 4;
const KEY_TAIL: u8 = 1 << 5;
const UNUSED: u8 = 0b1100_0000;

/// What a version says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellValue<'a> {
    /// It is deleted.
    Tombstone,
    /// It has this value.
    Inline(&'a [u8]),
    /// It has a value that overflow pages hold.
    Overflow { len: usize, page: PageId },
}

impl CellValue<'_> {
    fn size(&self) -> usize {
        match self {
            CellValue::Tombstone => 0,
            CellValue::Inline(value) => length_size(value.len()) + value.len(),
            CellValue::Overflow { .. } => OVERFLOW_REF,
        }
    }
}

/// A key in a node: what follows the prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellKey<'a> {
    /// The first four bytes after the prefix.
    pub(super) head: [u8; 4],
    /// Length of the inline part after the prefix.
    pub(super) suffix_len: usize,
    /// The inline part after prefix and head.
    pub(super) rest: &'a [u8],
    pub(super) tail: Option<Tail>,
}

impl CellKey<'_> {
    /// How this key relates to a probe of the same head.
    #[inline]
    pub(super) fn compare(&self, probe: &ProbeKey<'_>, tails: &impl Tails) -> NodeResult<Ordering> {
        let inline = self
            .rest
            .cmp(probe.rest)
            .then_with(|| self.suffix_len.cmp(&probe.suffix_len));
        if inline != Ordering::Equal || (self.tail.is_none() && !probe.is_long) {
            return Ok(inline);
        }
        match self.tail {
            None => Ok(Ordering::Less),
            Some(_) if !probe.is_long => Ok(Ordering::Greater),
            Some(tail) => Ok(tail.compare(probe.key, probe.inline_len, tails)?.reverse()),
        }
    }

    /// Appends the inline part after the prefix.
    #[inline]
    pub(super) fn append_suffix(&self, into: &mut Vec<u8>) {
        let end = into.len() + self.suffix_len;
        // All of it first: bytes of a number known beforehand are copied without a call.
        into.extend_from_slice(&self.head);
        if self.rest.is_empty() {
            into.truncate(end);
        } else {
            into.extend_from_slice(self.rest);
        }
    }
}

/// A key to look for in one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeKey<'a> {
    pub(super) key: &'a [u8],
    pub(super) head: u32,
    pub(super) rest: &'a [u8],
    pub(super) suffix_len: usize,
    pub(super) inline_len: usize,
    pub(super) is_long: bool,
}

impl<'a> ProbeKey<'a> {
    #[inline]
    pub(super) fn new(key: &'a [u8], prefix_len: usize, inline_limit: usize) -> ProbeKey<'a> {
        let inline = key.get(..inline_limit).unwrap_or(key);
        let suffix = inline.get(prefix_len..).unwrap_or_default();
        ProbeKey {
            key,
            head: super::key::head(suffix),
            rest: suffix.get(4..).unwrap_or_default(),
            suffix_len: suffix.len(),
            inline_len: inline.len(),
            is_long: key.len() > inline_limit,
        }
    }
}

/// A decoded leaf cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafCell<'a> {
    pub(super) key: CellKey<'a>,
    pub(super) lsn: Lsn,
    pub(super) value: CellValue<'a>,
    /// Bytes of the cell in the page.
    pub(super) size: usize,
}

impl<'a> LeafCell<'a> {
    /// Reads the cell that `bytes` begins with.
    #[inline(always)]
    pub(super) fn decode(head: [u8; 4], bytes: &'a [u8]) -> NodeResult<LeafCell<'a>> {
        match LeafCell::try_decode(head, bytes) {
            Some(cell) => Ok(cell),
            None => malformed("a leaf cell is out of bounds"),
        }
    }

    #[inline(always)]
    fn try_decode(head: [u8; 4], bytes: &'a [u8]) -> Option<LeafCell<'a>> {
        let flags = *bytes.first()?;
        let (suffix_len, taken) = get_length(bytes, 1)?;
        let mut at = 1 + taken;
        let mut value_len = 0;
        if flags & (TOMBSTONE | OVERFLOW | UNUSED) == 0 {
            let (len, taken) = get_length(bytes, at)?;
            value_len = len;
            at += taken;
        } else if flags & UNUSED != 0 || flags & (TOMBSTONE | OVERFLOW) == TOMBSTONE | OVERFLOW {
            return None;
        }
        let lsn_bytes = usize::from(flags & LSN_BYTES) + 1;
        let lsn = match get_u64(bytes, at) {
            Some(word) => word & (u64::MAX >> (64 - 8 * lsn_bytes)),
            None => {
                let mut word = [0; 8];
                for (to, from) in word.iter_mut().zip(bytes.get(at..at + lsn_bytes)?) {
                    *to = *from;
                }
                u64::from_le_bytes(word)
            }
        };
        at += lsn_bytes;
        let rest_len = suffix_len.saturating_sub(4);
        let rest = bytes.get(at..at + rest_len)?;
        at += rest_len;
        let mut tail = None;
        if flags & KEY_TAIL != 0 {
            tail = Some(Tail::decode(bytes.get(at..)?)?);
            at += TAIL_REF;
        }
        let value = if flags & TOMBSTONE != 0 {
            CellValue::Tombstone
        } else if flags & OVERFLOW != 0 {
            let len = get_u32(bytes, at)? as usize;
            let page = PageId(get_u32(bytes, at + 4)?);
            at += OVERFLOW_REF;
            if page.0 == 0 || len > super::layout::MAX_VALUE {
                return None;
            }
            CellValue::Overflow { len, page }
        } else {
            let value = bytes.get(at..at + value_len)?;
            at += value_len;
            CellValue::Inline(value)
        };
        let key = CellKey {
            head,
            suffix_len,
            rest,
            tail,
        };
        Some(LeafCell {
            key,
            lsn: Lsn(lsn),
            value,
            size: at,
        })
    }
}

/// A version to be written into a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafEntry<'a> {
    /// The inline part of the key, prefix included.
    pub(super) inline: &'a [u8],
    pub(super) tail: Option<Tail>,
    pub(super) lsn: Lsn,
    pub(super) value: CellValue<'a>,
}

impl LeafEntry<'_> {
    fn lsn_bytes(&self) -> usize {
        (8 - self.lsn.0.leading_zeros() as usize / 8).max(1)
    }

    /// Bytes of the cell under a prefix.
    #[inline]
    pub(super) fn size(&self, prefix_len: usize) -> usize {
        let suffix_len = self.inline.len() - prefix_len;
        1 + length_size(suffix_len)
            + self.lsn_bytes()
            + suffix_len.saturating_sub(4)
            + if self.tail.is_some() { TAIL_REF } else { 0 }
            + self.value.size()
    }

    /// Writes the cell into exactly [`LeafEntry::size`] bytes; answers its head.
    #[inline]
    pub(super) fn encode(&self, prefix_len: usize, out: &mut [u8]) -> u32 {
        let suffix = &self.inline[prefix_len..];
        let lsn_bytes = self.lsn_bytes();
        let mut flags = (lsn_bytes - 1) as u8;
        flags |= match self.value {
            CellValue::Tombstone => TOMBSTONE,
            CellValue::Inline(_) => 0,
            CellValue::Overflow { .. } => OVERFLOW,
        };
        if self.tail.is_some() {
            flags |= KEY_TAIL;
        }
        let mut writer = Writer::new(out);
        writer.byte(flags);
        writer.length(suffix.len());
        if let CellValue::Inline(value) = self.value {
            writer.length(value.len());
        }
        writer.bytes(&self.lsn.0.to_le_bytes()[..lsn_bytes]);
        writer.bytes(suffix.get(4..).unwrap_or_default());
        if let Some(tail) = self.tail {
            writer.bytes(&tail.encode());
        }
        match self.value {
            CellValue::Tombstone => {}
            CellValue::Inline(value) => writer.bytes(value),
            CellValue::Overflow { len, page } => {
                writer.bytes(&(len as u32).to_le_bytes());
                writer.bytes(&page.0.to_le_bytes());
            }
        }
        writer.finish();
        super::key::head(suffix)
    }
}

/// Whether a value of this length stays in the leaf. It does not depend on the node's prefix,
/// so a cell that fits once fits wherever it is moved.
pub(super) fn value_stays_inline(payload: usize, key_len: usize, value_len: usize) -> bool {
    let inline = super::layout::inline_key_limit(payload);
    let key = if key_len > inline {
        inline + TAIL_REF
    } else {
        key_len
    };
    LEAF_CELL_OVERHEAD + key + value_len <= super::layout::leaf_cell_limit(payload)
}

/// A decoded inner cell: a bound and the child at and after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerCell<'a> {
    pub(super) key: CellKey<'a>,
    pub(super) version: u64,
    pub(super) child: PageId,
    /// Bytes of the cell in the page.
    pub(super) size: usize,
}

impl<'a> InnerCell<'a> {
    /// Reads the cell that `bytes` begins with.
    #[inline]
    pub(super) fn decode(head: [u8; 4], bytes: &'a [u8]) -> NodeResult<InnerCell<'a>> {
        match InnerCell::try_decode(head, bytes) {
            Some(cell) => Ok(cell),
            None => malformed("an inner cell is out of bounds"),
        }
    }

    #[inline]
    fn try_decode(head: [u8; 4], bytes: &'a [u8]) -> Option<InnerCell<'a>> {
        let child = PageId(get_u32(bytes, 0)?);
        let flags = *bytes.get(4)?;
        let (suffix_len, taken) = get_length(bytes, 5)?;
        let mut at = 5 + taken;
        let mut version = 0;
        if flags & HAS_VERSION != 0 {
            version = get_u64(bytes, at)?;
            at += 8;
        }
        let rest_len = suffix_len.saturating_sub(4);
        let rest = bytes.get(at..at + rest_len)?;
        at += rest_len;
        let mut tail = None;
        if flags & HAS_TAIL != 0 {
            tail = Some(Tail::decode(bytes.get(at..)?)?);
            at += TAIL_REF;
        }
        if child.0 == 0 || flags & !(HAS_VERSION | HAS_TAIL) != 0 {
            return None;
        }
        let key = CellKey {
            head,
            suffix_len,
            rest,
            tail,
        };
        Some(InnerCell {
            key,
            version,
            child,
            size: at,
        })
    }
}

/// A bound and its child, to be written into an inner node.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerEntry<'a> {
    pub(super) separator: Separator<'a>,
    pub(super) child: PageId,
}

impl InnerEntry<'_> {
    /// Bytes of the cell under a prefix.
    pub(super) fn size(&self, prefix_len: usize) -> usize {
        let suffix_len = self.separator.inline.len() - prefix_len;
        5 + length_size(suffix_len)
            + if self.separator.version == 0 { 0 } else { 8 }
            + suffix_len.saturating_sub(4)
            + if self.separator.tail.is_some() {
                TAIL_REF
            } else {
                0
            }
    }

    /// Writes the cell into exactly [`InnerEntry::size`] bytes; answers its head.
    pub(super) fn encode(&self, prefix_len: usize, out: &mut [u8]) -> u32 {
        let suffix = &self.separator.inline[prefix_len..];
        let mut writer = Writer::new(out);
        writer.bytes(&self.child.0.to_le_bytes());
        writer.byte(self.separator.flags());
        writer.length(suffix.len());
        if self.separator.version != 0 {
            writer.bytes(&self.separator.version.to_le_bytes());
        }
        writer.bytes(suffix.get(4..).unwrap_or_default());
        if let Some(tail) = self.separator.tail {
            writer.bytes(&tail.encode());
        }
        writer.finish();
        super::key::head(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    quickcheck::quickcheck! {
        fn leaf_cells_round_trip(key: Vec<u8>, prefix: usize, lsn: u64, value: Option<Vec<u8>>) -> bool {
            let prefix = prefix % (key.len() + 1);
            let value = value.as_deref().map_or(CellValue::Tombstone, CellValue::Inline);
            let entry = LeafEntry { inline: &key, tail: None, lsn: Lsn(lsn), value };
            let mut bytes = vec![0; entry.size(prefix)];
            let head = entry.encode(prefix, &mut bytes).to_be_bytes();
            let cell = LeafCell::decode(head, &bytes).unwrap();
            let mut back = key[..prefix].to_vec();
            cell.key.append_suffix(&mut back);
            back == key && cell.lsn == Lsn(lsn) && cell.value == value && cell.size == bytes.len()
        }

        fn inner_cells_round_trip(key: Vec<u8>, prefix: usize, version: u64, child: u32, tail: bool) -> bool {
            let prefix = prefix % (key.len() + 1);
            let tail = tail.then_some(Tail { total: 60_000, page: PageId(7) });
            let separator = Separator { inline: &key, tail, version };
            let entry = InnerEntry { separator, child: PageId(child.max(1)) };
            let mut bytes = vec![0; entry.size(prefix)];
            let head = entry.encode(prefix, &mut bytes).to_be_bytes();
            let cell = InnerCell::decode(head, &bytes).unwrap();
            let mut back = key[..prefix].to_vec();
            cell.key.append_suffix(&mut back);
            back == key && cell.version == version && cell.child == entry.child
                && cell.key.tail == tail && cell.size == bytes.len()
        }

        fn decoding_is_total(bytes: Vec<u8>) -> bool {
            let _ = LeafCell::decode([0; 4], &bytes);
            let _ = InnerCell::decode([0; 4], &bytes);
            true
        }
    }
}
