//! Places in the order of a tree, and keys as nodes store them.
//!
//! The order is (key ascending, LSN descending): newer versions come first. [`Place`] says it
//! as (key, version) with version = !LSN, so that both halves ascend. Version 0 is before
//! every version of the key.

use std::cmp::Ordering;

use super::layout::{NodeResult, TAIL_REF, get_u16, get_u32, get_u64, malformed};
use crate::{lsn::Lsn, page::PageId};

/// A place in the order of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    pub(super) key: &'a [u8],
    /// `!LSN`; 0 is before every version of `key`.
    pub(super) version: u64,
}

impl<'a> Place<'a> {
    /// Where the version of `key` at `lsn` is, or would be.
    pub(super) fn at(key: &'a [u8], lsn: Lsn) -> Place<'a> {
        Place {
            key,
            version: !lsn.0,
        }
    }

    /// Before every version of `key`.
    pub(super) fn before(key: &'a [u8]) -> Place<'a> {
        Place { key, version: 0 }
    }
}

/// Reads the parts of keys that nodes do not hold.
pub(super) trait Tails {
    /// Replaces `into` by the `len` bytes that begin on page `tail`.
    fn load(&self, tail: PageId, len: usize, into: &mut Vec<u8>) -> NodeResult<()>;
}

/// The rest of a long key, in overflow pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The length of the whole key.
    pub(super) total: usize,
    /// The first overflow page.
    pub(super) page: PageId,
}

impl Tail {
    pub(super) fn decode(bytes: &[u8]) -> Option<Tail> {
        let total = get_u16(bytes, 0)?;
        let page = PageId(get_u32(bytes, 2)?);
        (page.0 != 0).then_some(Tail { total, page })
    }

    pub(super) fn encode(self) -> [u8; TAIL_REF] {
        let mut out = [0; TAIL_REF];
        out[..2].copy_from_slice(&(self.total as u16).to_le_bytes());
        out[2..].copy_from_slice(&self.page.0.to_le_bytes());
        out
    }

    /// Compares the rest of `probe` after its first `inline` bytes with this tail.
    #[cold]
    pub(super) fn compare(
        self,
        probe: &[u8],
        inline: usize,
        tails: &impl Tails,
    ) -> NodeResult<Ordering> {
        let mut rest = Vec::new();
        let Some(len) = self.total.checked_sub(inline).filter(|len| *len > 0) else {
            return malformed("a long key is shorter than its beginning");
        };
        tails.load(self.page, len, &mut rest)?;
        Ok(probe.get(inline..).unwrap_or_default().cmp(&rest))
    }
}

/// The bound between two nodes: a key, perhaps shortened, and the version within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Separator<'a> {
    /// The key, or as much of it as a node holds.
    pub(super) inline: &'a [u8],
    /// The rest of a long key.
    pub(super) tail: Option<Tail>,
    /// As [`Place::version`]; only set where versions of one key are on both sides.
    pub(super) version: u64,
}

/// Fence and separator flag: eight bytes of version follow.
pub(super) const HAS_VERSION: u8 = 1;
/// Fence and separator flag: the key has a tail.
pub(super) const HAS_TAIL: u8 = 2;

impl<'a> Separator<'a> {
    /// How `place` relates to this bound; what is equal belongs to the right side.
    pub(super) fn compare_place(
        &self,
        place: Place<'_>,
        tails: &impl Tails,
    ) -> NodeResult<Ordering> {
        Ok(self
            .compare_key(place.key, tails)?
            .then(place.version.cmp(&self.version)))
    }

    /// How `key` relates to the key of this bound.
    pub(super) fn compare_key(&self, key: &[u8], tails: &impl Tails) -> NodeResult<Ordering> {
        let Some(tail) = self.tail else {
            return Ok(key.cmp(self.inline));
        };
        let inline = self.inline.len();
        match key[..key.len().min(inline)].cmp(self.inline) {
            Ordering::Equal => tail.compare(key, inline, tails),
            decided => Ok(decided),
        }
    }

    /// Replaces `into` by the whole key.
    pub(super) fn load_key(&self, tails: &impl Tails, into: &mut Vec<u8>) -> NodeResult<()> {
        load_key(self.inline, self.tail, tails, into)
    }

    /// Bytes of the encoded fence.
    pub(super) fn fence_size(&self) -> usize {
        1 + if self.version == 0 { 0 } else { 8 }
            + 2
            + self.inline.len()
            + if self.tail.is_some() { TAIL_REF } else { 0 }
    }

    /// The flags byte of fences and separators.
    pub(super) fn flags(&self) -> u8 {
        (if self.version == 0 { 0 } else { HAS_VERSION })
            | (if self.tail.is_some() { HAS_TAIL } else { 0 })
    }

    /// Reads a fence: flags, version, inline length `u16`, key, tail.
    pub(super) fn decode_fence(bytes: &'a [u8]) -> Option<Separator<'a>> {
        let flags = *bytes.first()?;
        if flags & !(HAS_VERSION | HAS_TAIL) != 0 {
            return None;
        }
        let mut at = 1;
        let mut version = 0;
        if flags & HAS_VERSION != 0 {
            version = get_u64(bytes, at)?;
            at += 8;
        }
        let len = get_u16(bytes, at)?;
        at += 2;
        let inline = bytes.get(at..at + len)?;
        let tail = match flags & HAS_TAIL {
            0 => None,
            _ => Some(Tail::decode(bytes.get(at + len..)?)?),
        };
        Some(Separator {
            inline,
            tail,
            version,
        })
    }

    /// Writes a fence into exactly [`Separator::fence_size`] bytes.
    pub(super) fn encode_fence(&self, out: &mut [u8]) {
        let mut writer = super::layout::Writer::new(out);
        writer.byte(self.flags());
        if self.version != 0 {
            writer.bytes(&self.version.to_le_bytes());
        }
        writer.bytes(&(self.inline.len() as u16).to_le_bytes());
        writer.bytes(self.inline);
        if let Some(tail) = self.tail {
            writer.bytes(&tail.encode());
        }
        writer.finish();
    }

    pub(super) fn to_owned(self) -> OwnedSeparator {
        OwnedSeparator {
            inline: self.inline.to_vec(),
            tail: self.tail,
            version: self.version,
        }
    }
}

/// A [`Separator`] that is in no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnedSeparator {
    pub(super) inline: Vec<u8>,
    pub(super) tail: Option<Tail>,
    pub(super) version: u64,
}

impl OwnedSeparator {
    pub(super) fn borrow(&self) -> Separator<'_> {
        Separator {
            inline: &self.inline,
            tail: self.tail,
            version: self.version,
        }
    }
}

/// Replaces `into` by the key that begins with `inline`.
pub(super) fn load_key(
    inline: &[u8],
    tail: Option<Tail>,
    tails: &impl Tails,
    into: &mut Vec<u8>,
) -> NodeResult<()> {
    into.clear();
    if let Some(tail) = tail {
        let Some(len) = tail.total.checked_sub(inline.len()).filter(|len| *len > 0) else {
            return malformed("a long key is shorter than its beginning");
        };
        let mut rest = Vec::new();
        tails.load(tail.page, len, &mut rest)?;
        into.extend_from_slice(inline);
        into.extend_from_slice(&rest);
    } else {
        into.extend_from_slice(inline);
    }
    Ok(())
}

/// The first four bytes, padded with zeros, as an integer that sorts like them.
#[inline]
pub(super) fn head(suffix: &[u8]) -> u32 {
    if let Some(bytes) = suffix.first_chunk::<4>() {
        return u32::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 4];
    for (to, from) in bytes.iter_mut().zip(suffix) {
        *to = *from;
    }
    u32::from_be_bytes(bytes)
}

/// How many leading bytes two keys share.
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The shortest bound with `left` before it and `right` at or after it, as the length to which
/// `right.key` may be cut and its version.
pub(super) fn shortest_separator(left: Place<'_>, right: Place<'_>) -> (usize, u64) {
    if left.key == right.key {
        (right.key.len(), right.version)
    } else {
        (
            right.key.len().min(common_prefix(left.key, right.key) + 1),
            0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    quickcheck::quickcheck! {
        fn heads_sort_like_keys(a: Vec<u8>, b: Vec<u8>) -> bool {
            head(&a).cmp(&head(&b)) == a.cmp(&b) || head(&a) == head(&b)
        }

        fn separators_separate(a: Vec<u8>, b: Vec<u8>, v: u64, w: u64) -> bool {
            let (a, b) = (
                Place { key: &a, version: v.max(1) },
                Place { key: &b, version: w.max(1) },
            );
            let (left, right) = if a <= b { (a, b) } else { (b, a) };
            if left == right {
                return true;
            }
            let (len, version) = shortest_separator(left, right);
            let bound = Place { key: &right.key[..len], version };
            left < bound && bound <= right
        }

        fn fences_round_trip(key: Vec<u8>, version: u64, tail: Option<(u16, u32)>) -> bool {
            let tail = tail.map(|(total, page)| Tail {
                total: usize::from(total),
                page: PageId(page.max(1)),
            });
            let fence = Separator { inline: &key, tail, version };
            let mut bytes = vec![0; fence.fence_size()];
            fence.encode_fence(&mut bytes);
            Separator::decode_fence(&bytes) == Some(fence)
        }

        fn fence_decoding_is_total(bytes: Vec<u8>) -> bool {
            Separator::decode_fence(&bytes);
            true
        }
    }
}
