//! The bytes of a node: header fields, size limits, variable-length integers.
//!
//! ```text
//! node page (payload of one page)
//! ┌────────┬──────────────┬────────────────┬───── free ─────┬─────────────┬────────┐
//! │ header │ heads 4 × n  │ offsets 2 × n  │                │ cells       │ fences │
//! └────────┴──────────────┴────────────────┴────────────────┴─────────────┴────────┘
//! 0        24                               ▲                ▲ heap_start
//! ```
//!
//! All integers are little-endian, heads excepted: a head is the first four bytes of a key
//! after the node's prefix, padded with zeros, so that heads compare as big-endian integers.

use crate::{error::Error, page::PageId};

/// What a leaf's first byte says.
pub(super) const KIND_LEAF: u8 = 0xb1;
/// What an inner node's first byte says.
pub(super) const KIND_INNER: u8 = 0xb2;
/// What an overflow page's first byte says.
pub(super) const KIND_OVERFLOW: u8 = 0xb3;

/// Bytes before the heads.
pub(super) const HEADER: usize = 24;
/// `u8`: [`KIND_LEAF`] or [`KIND_INNER`].
const KIND: usize = 0;
/// `u8`: 0 for leaves, one more than the children otherwise.
const LEVEL: usize = 1;
/// `u16`: number of cells.
const COUNT: usize = 2;
/// `u16`: where the lowest cell begins.
const HEAP_START: usize = 4;
/// `u16`: bytes of removed cells above `heap_start`.
const GARBAGE: usize = 6;
/// `u16`: how many leading bytes of the low fence every key of the node shares.
const PREFIX_LEN: usize = 8;
/// `u16`: offset of the low fence, 0 for none (the leftmost node of its level).
const LOW_FENCE: usize = 10;
/// `u16`: offset of the high fence, 0 for none (the rightmost node of its level).
const HIGH_FENCE: usize = 12;
/// `u16`: [`HAS_TAILS`] or 0.
const FLAGS: usize = 14;
/// `u64`, leaves: no version here can be pruned while the watermark is below this LSN.
const PRUNE_LSN: usize = 16;
/// `u32`, inner nodes: the child left of the first separator.
const FIRST_CHILD: usize = 16;

/// Node flag: a key or fence of the node may have a tail.
pub(super) const HAS_TAILS: usize = 1;

const _: () = assert!(PRUNE_LSN + 8 == HEADER && FIRST_CHILD + 4 <= HEADER);

/// Bytes of the slot arrays per cell: head and offset.
pub(super) const SLOT: usize = 6;

/// Bytes of an overflow page before its data: kind, 3 zeros, next page `u32`, length `u32`.
pub(super) const OVERFLOW_HEADER: usize = 12;

/// The highest level a node may have. Four entries a node and 2³² pages stay far below it.
pub(super) const MAX_LEVEL: u8 = 32;

/// The smallest payload that a node works in.
pub(super) const MIN_PAYLOAD: usize = 480;
/// The largest payload: offsets are 16 bits wide, and lengths within a node 14.
pub(super) const MAX_PAYLOAD: usize = 32 << 10;

/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 65_535;
/// The longest value, in bytes.
pub(crate) const MAX_VALUE: usize = 1 << 30;

/// Bytes of a fence beside its inline key: flags, version, key length, tail page.
const FENCE_OVERHEAD: usize = 15;
/// Bytes of an inner cell beside its inline key: child, flags, length, version, tail.
const SEPARATOR_OVERHEAD: usize = 21;
/// Bytes of a leaf cell beside inline key, key tail and value: flags, lengths, LSN.
pub(super) const LEAF_CELL_OVERHEAD: usize = 13;
/// Bytes that name the tail of a long key: its whole length `u16` and first page `u32`.
pub(super) const TAIL_REF: usize = 6;
/// Bytes that name a value in overflow pages: length `u32` and first page `u32`.
pub(super) const OVERFLOW_REF: usize = 8;

/// How many bytes of a key are kept in the node; the rest of a longer one is its tail, in
/// overflow pages.
#[inline]
pub(super) const fn inline_key_limit(payload: usize) -> usize {
    payload / 16
}

/// The largest leaf cell: four of them, their slots and two fences of any length fit a node.
#[inline]
pub(super) const fn leaf_cell_limit(payload: usize) -> usize {
    (payload - HEADER - 2 * (inline_key_limit(payload) + FENCE_OVERHEAD)) / 4 - SLOT
}

/// The largest inner cell with its slot: what an inner node needs free to take any separator.
#[inline]
pub(super) const fn separator_room(payload: usize) -> usize {
    inline_key_limit(payload) + SEPARATOR_OVERHEAD + SLOT
}

const _: () = {
    let mut payload = MIN_PAYLOAD;
    while payload <= MAX_PAYLOAD {
        let key = inline_key_limit(payload);
        assert!(leaf_cell_limit(payload) >= key + LEAF_CELL_OVERHEAD + TAIL_REF + OVERFLOW_REF);
        assert!(4 * separator_room(payload) + HEADER + 2 * (key + FENCE_OVERHEAD) <= payload);
        payload *= 2;
    }
};

/// Why an operation on a node failed.
#[derive(Debug)]
pub(super) enum NodeError {
    /// The bytes are not those of a node.
    Malformed(&'static str),
    /// What was to be put into one node does not fit.
    Full,
    /// Another page was needed, and this happened.
    Store(Box<Error>),
}

impl From<Error> for NodeError {
    fn from(error: Error) -> NodeError {
        NodeError::Store(Box::new(error))
    }
}

/// The result of operations within a node.
pub(super) type NodeResult<T> = Result<T, NodeError>;

#[cold]
pub(super) fn malformed<T>(what: &'static str) -> NodeResult<T> {
    Err(NodeError::Malformed(what))
}

#[inline]
pub(super) fn get_u16(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_le_bytes(*field)))
}

#[inline]
pub(super) fn get_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*field))
}

#[inline]
pub(super) fn get_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*field))
}

fn put_u16(page: &mut [u8], at: usize, value: usize) {
    debug_assert!(value <= usize::from(u16::MAX));
    page[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}

/// A length of at most 14 bits: one byte below 128, two otherwise.
#[inline]
pub(super) const fn length_size(length: usize) -> usize {
    if length < 0x80 { 1 } else { 2 }
}

/// Reads a length; answers it and the bytes it took.
#[inline]
pub(super) fn get_length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(at)?);
    if first < 0x80 {
        return Some((first, 1));
    }
    let second = usize::from(*bytes.get(at + 1)?);
    Some(((first & 0x7f) << 8 | second, 2))
}

/// Appends bytes to a buffer of known size.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Writer<'a> {
        Writer { out, at: 0 }
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
    }

    #[inline]
    pub(super) fn length(&mut self, length: usize) {
        debug_assert!(length < 1 << 14);
        if length < 0x80 {
            self.byte(length as u8);
        } else {
            self.byte(0x80 | (length >> 8) as u8);
            self.byte(length as u8);
        }
    }

    /// Asserts that the buffer was filled exactly.
    #[inline]
    pub(super) fn finish(self) {
        debug_assert_eq!(
            self.at,
            self.out.len(),
            "an encoder and its size function disagree"
        );
    }
}

/// The fixed fields of a node, checked against the size of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) level: u8,
    pub(super) count: usize,
    pub(super) heap_start: usize,
    pub(super) garbage: usize,
    pub(super) prefix_len: usize,
    /// Offset of the low fence, 0 for none.
    pub(super) low: usize,
    /// Offset of the high fence, 0 for none.
    pub(super) high: usize,
    /// Whether a key or fence may have a tail.
    pub(super) has_tails: bool,
    /// `PRUNE_LSN` of a leaf, `FIRST_CHILD` of an inner node.
    pub(super) extra: u64,
}

impl Header {
    /// Reads and checks the header of a node.
    #[inline]
    pub(super) fn read(page: &[u8]) -> NodeResult<Header> {
        let Some(bytes) = page.first_chunk::<HEADER>() else {
            return malformed("the page is smaller than a node header");
        };
        let field = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let mut extra = [0; 8];
        extra.copy_from_slice(&bytes[PRUNE_LSN..PRUNE_LSN + 8]);
        let header = Header {
            level: bytes[LEVEL],
            count: field(COUNT),
            heap_start: field(HEAP_START),
            garbage: field(GARBAGE),
            prefix_len: field(PREFIX_LEN),
            low: field(LOW_FENCE),
            high: field(HIGH_FENCE),
            has_tails: field(FLAGS) == HAS_TAILS,
            extra: u64::from_le_bytes(extra),
        };
        let kind = if header.level == 0 {
            KIND_LEAF
        } else {
            KIND_INNER
        };
        if bytes[KIND] != kind || header.level > MAX_LEVEL {
            return malformed("not a node of a tree");
        }
        if HEADER + SLOT * header.count > header.heap_start || header.heap_start > page.len() {
            return malformed("slots and cells overlap");
        }
        if header.garbage > page.len() - header.heap_start {
            return malformed("more bytes are unused than the node has");
        }
        if field(FLAGS) & !HAS_TAILS != 0 {
            return malformed("unknown node flags");
        }
        if header.prefix_len > inline_key_limit(page.len()) {
            return malformed("the prefix is too long");
        }
        Ok(header)
    }

    /// Writes the header; the caller has checked it.
    pub(super) fn write(&self, page: &mut [u8]) {
        page[KIND] = if self.level == 0 {
            KIND_LEAF
        } else {
            KIND_INNER
        };
        page[LEVEL] = self.level;
        put_u16(page, COUNT, self.count);
        put_u16(page, HEAP_START, self.heap_start);
        put_u16(page, GARBAGE, self.garbage);
        put_u16(page, PREFIX_LEN, self.prefix_len);
        put_u16(page, LOW_FENCE, self.low);
        put_u16(page, HIGH_FENCE, self.high);
        put_u16(page, FLAGS, if self.has_tails { HAS_TAILS } else { 0 });
        page[PRUNE_LSN..HEADER].copy_from_slice(&self.extra.to_le_bytes());
    }

    /// Bytes between slots and cells.
    pub(super) fn contiguous_free(&self) -> usize {
        self.heap_start - HEADER - SLOT * self.count
    }

    /// Bytes that a rebuilt node would have free.
    pub(super) fn total_free(&self) -> usize {
        self.contiguous_free() + self.garbage
    }

    /// The leftmost child of an inner node.
    pub(super) fn first_child(&self) -> PageId {
        PageId(self.extra as u32)
    }
}
