//! Blocks: sorted versions, prefix-compressed, with restart points for binary search.
//!
//! ```text
//! entry = shared │ rest length │ LSN │ value code │ rest of the key │ value     LEB128 numbers
//! block = entries │ offset of each restart entry u32 … │ their number u32
//! ```
//!
//! `shared` is how many bytes the key has in common with the one before it; restart entries have
//! none. The value code is 0 for a tombstone, otherwise one more than the value's length.
//! Versions are in the order (key ascending, LSN descending). Index blocks are the same, with
//! handles for values.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use smallvec::SmallVec;

use super::{
    buffers::{self, Buffers},
    format::TRAILER,
};
use crate::{btree::MAX_KEY, lsn::Lsn};

/// Entries from one restart point to the next.
const RESTART_INTERVAL: usize = 16;

/// Bytes of a key for which a cursor allocates nothing.
const SHORT_KEY: usize = 48;

/// Bytes of a restart offset.
const RESTART: usize = 4;

/// Appends `value` as LEB128.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a LEB128 number off the front of `bytes`.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    take_long_varint(bytes)
}

fn take_long_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(*byte & 0x7f);
        if shift == 63 && low > 1 {
            return None;
        }
        value |= low << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// How many bytes two keys have in common at their beginning.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let mut same = 0;
    for (x, y) in words_a.iter().zip(words_b) {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return same + difference.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(x, y)| x == y).count()
}

/// The order of versions.
#[inline]
pub(super) fn compare(a: (&[u8], Lsn), b: (&[u8], Lsn)) -> Ordering {
    a.0.cmp(b.0).then_with(|| b.1.cmp(&a.1))
}

/// Builds one block after the other.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    last_key: Vec<u8>,
    entries: usize,
}

impl BlockBuilder {
    /// Appends a version, which is after all the others.
    pub(super) fn add(&mut self, key: &[u8], lsn: Lsn, value: Option<&[u8]>) {
        let shared = if self.entries.is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(self.bytes.len() as u32);
            0
        } else {
            common_prefix(&self.last_key, key)
        };
        let rest = &key[shared..];
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, rest.len() as u64);
        put_varint(&mut self.bytes, lsn.0);
        put_varint(
            &mut self.bytes,
            value.map_or(0, |value| value.len() as u64 + 1),
        );
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(rest);
        self.entries += 1;
    }

    /// Bytes that the block would have now.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + (self.restarts.len() + 1) * RESTART
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The key of the last version.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// The finished block. [`BlockBuilder::clear`] begins the next one.
    pub(super) fn finish(&mut self) -> &[u8] {
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        let count = self.restarts.len() as u32;
        self.bytes.extend_from_slice(&count.to_le_bytes());
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.restarts.clear();
        self.last_key.clear();
        self.entries = 0;
    }
}

/// Why a block could not be read. The table knows which block it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

type BlockResult<T> = Result<T, Malformed>;

/// The bytes of a block where they were read or decompressed to, which may be a part of something
/// larger. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    buffer: Arc<[u8]>,
    range: Range<usize>,
}

impl Payload {
    /// A part of a buffer; `None` where it is not.
    pub(super) fn new(buffer: &Arc<[u8]>, range: Range<usize>) -> Option<Payload> {
        buffer.get(range.clone())?;
        Some(Payload {
            buffer: Arc::clone(buffer),
            range,
        })
    }

    /// All of a buffer.
    #[cfg(any(test, fuzzing))]
    pub(super) fn whole(buffer: Arc<[u8]>) -> Payload {
        Payload {
            range: 0..buffer.len(),
            buffer,
        }
    }

    /// The same bytes, which hold on to no others.
    pub(super) fn alone(self, buffers: &Buffers) -> Payload {
        let range = 0..self.range.len();
        // A trailer is no reason to copy.
        if self.buffer.len() <= buffers::rounded(range.len() + TRAILER) {
            return self;
        }
        let mut buffer = buffers.take(range.len());
        Arc::make_mut(&mut buffer)[range.clone()].copy_from_slice(self.bytes());
        Payload { buffer, range }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

/// A block in memory: versions, or a filter.
#[derive(Debug)]
pub(super) struct Block {
    payload: Payload,
    /// Where the restart offsets begin; 0 for a filter.
    entries_end: usize,
    restarts: usize,
}

/// An entry as it lies in a block.
#[derive(Clone, Copy, Debug)]
struct Entry {
    shared: usize,
    /// Where the rest of the key is.
    rest: (usize, usize),
    lsn: Lsn,
    /// Where the value is; `None` for a tombstone.
    value: Option<(usize, usize)>,
    next: usize,
}

/// A version that was looked for in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether it is of the very key that was looked for.
    pub(super) same_key: bool,
    pub(super) lsn: Lsn,
    /// Where the value is in the block's bytes; `None` for a tombstone.
    pub(super) value: Option<Range<usize>>,
    /// A restart point before it, and how many entries it is behind that.
    pub(super) restart: usize,
    pub(super) behind: usize,
}

impl Block {
    /// A block of versions.
    pub(super) fn entries(payload: Payload) -> BlockResult<Block> {
        let bytes = payload.bytes();
        let count_at = bytes.len().checked_sub(RESTART);
        let count = count_at.and_then(|at| read_u32(bytes, at));
        let restarts = count.ok_or(Malformed("a block without restart points"))? as usize;
        let entries_end = restarts
            .checked_add(1)
            .and_then(|words| words.checked_mul(RESTART))
            .and_then(|tail| bytes.len().checked_sub(tail));
        match entries_end {
            Some(entries_end) if restarts > 0 && entries_end > 0 => Ok(Block {
                payload,
                entries_end,
                restarts,
            }),
            _ => Err(Malformed("a block's restart points do not fit it")),
        }
    }

    /// A filter, whose bytes are for [`super::filter`] to read.
    pub(super) fn filter(payload: Payload) -> Block {
        Block {
            payload,
            entries_end: 0,
            restarts: 0,
        }
    }

    /// All bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.payload.bytes()
    }

    /// Its memory, as far as that is the block's alone.
    pub(super) fn into_buffer(self) -> Arc<[u8]> {
        self.payload.buffer
    }

    /// Bytes of memory that it holds on to.
    pub(super) fn memory(&self) -> usize {
        self.payload.buffer.len()
    }

    /// A part of the bytes, from a [`Found`].
    #[inline]
    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes().get(range.clone()).unwrap_or_default()
    }

    fn restart(&self, index: usize) -> BlockResult<usize> {
        let at = read_u32(self.bytes(), self.entries_end + index * RESTART);
        match at {
            Some(at) if (at as usize) < self.entries_end => Ok(at as usize),
            _ => Err(Malformed("a restart point is outside of its block")),
        }
    }

    #[inline]
    fn entry(&self, at: usize) -> BlockResult<Entry> {
        let malformed = Malformed("an entry runs over its block's end");
        let mut rest = self.bytes().get(at..self.entries_end).ok_or(malformed)?;
        let mut number = || take_varint(&mut rest).ok_or(malformed);
        let shared = number()?;
        let rest_len = number()?;
        let lsn = Lsn(number()?);
        let value = number()?;
        let start = self.entries_end - rest.len();
        if shared.max(rest_len) > MAX_KEY as u64 {
            return Err(Malformed("a key is too long"));
        }
        let key_end = start + rest_len as usize;
        let value = match value {
            0 => None,
            code => {
                let len = usize::try_from(code - 1).map_err(|_| malformed)?;
                Some((key_end, key_end.checked_add(len).ok_or(malformed)?))
            }
        };
        let next = value.map_or(key_end, |(_, end)| end);
        if next > self.entries_end {
            return Err(malformed);
        }
        Ok(Entry {
            shared: shared as usize,
            rest: (start, key_end),
            lsn,
            value,
            next,
        })
    }

    fn restart_entry(&self, index: usize) -> BlockResult<(usize, Entry)> {
        let at = self.restart(index)?;
        let entry = self.entry(at)?;
        if entry.shared == 0 {
            Ok((at, entry))
        } else {
            Err(Malformed("a restart entry has no key of its own"))
        }
    }

    #[inline]
    fn part(&self, range: (usize, usize)) -> &[u8] {
        self.bytes().get(range.0..range.1).unwrap_or_default()
    }

    /// The last restart entry before (`key`, `lsn`), or the first one.
    fn restart_before(&self, key: &[u8], lsn: Lsn) -> BlockResult<usize> {
        let (mut low, mut high) = (0, self.restarts);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let (_, entry) = self.restart_entry(middle)?;
            if compare((self.part(entry.rest), entry.lsn), (key, lsn)).is_lt() {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The first version at or after (`key`, `lsn`), found without putting any key together.
    ///
    /// Keys ascend, so how a key relates to the one looked for mostly follows from how the key
    /// before it does: that one is smaller and has its first `matched` bytes in common with
    /// `key`. One that shares more with it than that is smaller too, one that shares less is
    /// greater, and only one that shares exactly that much has to be compared.
    pub(super) fn find(&self, key: &[u8], lsn: Lsn) -> BlockResult<Option<Found>> {
        if self.restarts == 0 {
            return Err(Malformed("a filter where entries should be"));
        }
        let restart = self.restart_before(key, lsn)?;
        let mut at = self.restart(restart)?;
        let mut matched = 0;
        for behind in 0.. {
            if at >= self.entries_end {
                break;
            }
            let entry = self.entry(at)?;
            at = entry.next;
            let mut order = Ordering::Less;
            if entry.shared == 0 {
                // Also a restart entry, which shares nothing by rule only.
                matched = 0;
            }
            if entry.shared < matched {
                order = Ordering::Greater;
            } else if entry.shared == matched {
                let rest = self.part(entry.rest);
                let wanted = &key[matched..];
                let common = common_prefix(rest, wanted);
                order = rest[common..].first().cmp(&wanted[common..].first());
                matched += common;
            }
            let same_key = order == Ordering::Equal;
            if order == Ordering::Greater || (same_key && entry.lsn <= lsn) {
                return Ok(Some(Found {
                    same_key,
                    lsn: entry.lsn,
                    value: entry.value.map(|(start, end)| start..end),
                    restart,
                    behind,
                }));
            }
        }
        Ok(None)
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word))
}

/// Walks the versions of a block both ways.
#[derive(Debug)]
pub(super) struct BlockCursor {
    block: Arc<Block>,
    key: SmallVec<[u8; SHORT_KEY]>,
    lsn: Lsn,
    value: Option<(usize, usize)>,
    /// Where the current entry begins and ends; beyond the entries where there is none.
    at: usize,
    next: usize,
    /// The restart point at or before the current entry.
    restart: usize,
}

impl BlockCursor {
    /// On no version yet.
    pub(super) fn new(block: Arc<Block>) -> BlockCursor {
        BlockCursor {
            at: block.entries_end,
            next: block.entries_end,
            block,
            key: SmallVec::new(),
            lsn: Lsn::ZERO,
            value: None,
            restart: 0,
        }
    }

    /// Goes on with another block, on none of its versions yet.
    pub(super) fn reset(&mut self, block: Arc<Block>) {
        self.at = block.entries_end;
        self.next = block.entries_end;
        self.block = block;
        self.restart = 0;
    }

    /// Whether the cursor is on a version at a restart point.
    pub(super) fn is_at_restart(&self) -> BlockResult<bool> {
        Ok(self.block.restart(self.restart)? == self.at)
    }

    /// Whether the cursor is on a version.
    #[inline]
    pub(super) fn is_valid(&self) -> bool {
        self.at < self.block.entries_end
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub(super) fn lsn(&self) -> Lsn {
        self.lsn
    }

    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.value.map(|range| self.block.part(range))
    }

    fn invalidate(&mut self) {
        self.at = self.block.entries_end;
        self.next = self.at;
    }

    /// Puts the cursor on the entry at `at`, whose predecessor's key is in `self.key`.
    #[inline]
    fn take(&mut self, at: usize) -> BlockResult<()> {
        let entry = self.block.entry(at)?;
        if entry.shared > self.key.len() {
            return Err(Malformed("an entry shares more than there is"));
        }
        self.key.truncate(entry.shared);
        let rest = self.block.part(entry.rest);
        self.key.extend_from_slice(rest);
        if self.key.len() > MAX_KEY {
            return Err(Malformed("a key is too long"));
        }
        self.lsn = entry.lsn;
        self.value = entry.value;
        (self.at, self.next) = (at, entry.next);
        Ok(())
    }

    fn go_to_restart(&mut self, restart: usize) -> BlockResult<()> {
        self.key.clear();
        self.restart = restart;
        let at = self.block.restart(restart)?;
        self.take(at)
    }

    /// Goes to the first version.
    pub(super) fn first(&mut self) -> BlockResult<()> {
        self.go_to_restart(0)
    }

    /// Goes to the last version.
    pub(super) fn last(&mut self) -> BlockResult<()> {
        let last = self.block.restarts.checked_sub(1);
        self.go_to_restart(last.ok_or(Malformed("a filter where entries should be"))?)?;
        while self.next < self.block.entries_end {
            self.take(self.next)?;
        }
        Ok(())
    }

    /// Goes to the first version at or after (`key`, `lsn`); on none where there is none.
    pub(super) fn seek(&mut self, key: &[u8], lsn: Lsn) -> BlockResult<()> {
        let restart = self.block.restart_before(key, lsn)?;
        self.go_to_restart(restart)?;
        while compare((&self.key, self.lsn), (key, lsn)).is_lt() {
            if !self.next()? {
                break;
            }
        }
        Ok(())
    }

    /// Steps forward; false at the end.
    #[inline]
    pub(super) fn next(&mut self) -> BlockResult<bool> {
        if self.next >= self.block.entries_end {
            self.invalidate();
            return Ok(false);
        }
        let at = self.next;
        if self.restart + 1 < self.block.restarts && self.block.restart(self.restart + 1)? <= at {
            self.restart += 1;
        }
        self.take(at)?;
        Ok(true)
    }

    /// Steps backward; false at the beginning.
    pub(super) fn previous(&mut self) -> BlockResult<bool> {
        let end = self.at;
        let mut restart = self.restart;
        if self.block.restart(restart)? >= end {
            match restart.checked_sub(1) {
                Some(before) => restart = before,
                None => {
                    self.invalidate();
                    return Ok(false);
                }
            }
        }
        self.go_to_restart(restart)?;
        while self.next < end {
            self.take(self.next)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Listed = Vec<(Vec<u8>, u64, Option<Vec<u8>>)>;

    fn payload(bytes: Vec<u8>) -> Payload {
        Payload::whole(bytes.into())
    }

    fn sample(count: usize, seed: u64) -> Listed {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut listed: Listed = (0..count)
            .map(|_| {
                let len = random.usize(0..6);
                let key = (0..len).map(|_| random.u8(b'a'..b'd')).collect();
                let value = (random.u8(..5) > 0).then(|| vec![random.u8(..); random.usize(0..20)]);
                (key, random.u64(1..9), value)
            })
            .collect();
        listed.sort_by(|a, b| compare((&a.0, Lsn(a.1)), (&b.0, Lsn(b.1))));
        listed.dedup_by(|a, b| (&a.0, a.1) == (&b.0, b.1));
        listed
    }

    fn build(listed: &Listed) -> Arc<Block> {
        let mut builder = BlockBuilder::default();
        for (key, lsn, value) in listed {
            builder.add(key, Lsn(*lsn), value.as_deref());
        }
        let size = builder.size();
        let bytes = builder.finish().to_vec();
        assert_eq!(bytes.len(), size);
        Arc::new(Block::entries(payload(bytes)).unwrap())
    }

    fn current(cursor: &BlockCursor) -> (Vec<u8>, u64, Option<Vec<u8>>) {
        (
            cursor.key().to_vec(),
            cursor.lsn().0,
            cursor.value().map(<[u8]>::to_vec),
        )
    }

    #[test]
    fn a_payload_that_is_alone_holds_on_to_nothing_else() {
        let buffers = Buffers::default();
        let window: Arc<[u8]> = (0..200).collect();
        let part = Payload::new(&window, 50..100).unwrap();
        assert_eq!(part.bytes(), &window[50..100]);
        assert_eq!(Arc::strong_count(&window), 2);
        let block = Block::filter(part.alone(&buffers));
        assert_eq!(block.bytes(), &window[50..100]);
        assert_eq!((Arc::strong_count(&window), block.memory()), (1, 128));
        let almost = Payload::new(&window, 0..200 - TRAILER).unwrap();
        let almost = almost.alone(&buffers);
        assert_eq!((Arc::strong_count(&window), almost.bytes().len()), (2, 191));
        assert!(Payload::new(&window, 100..201).is_none());
        assert!(Payload::new(&window, 201..201).is_none());
    }

    #[test]
    fn walks_both_ways() {
        for seed in 0..30 {
            let listed = sample(1 + seed as usize * 7, seed);
            let mut cursor = BlockCursor::new(build(&listed));
            cursor.first().unwrap();
            let mut found = vec![current(&cursor)];
            while cursor.next().unwrap() {
                found.push(current(&cursor));
            }
            assert_eq!(found, listed);
            assert!(!cursor.is_valid());
            cursor.last().unwrap();
            let mut found = vec![current(&cursor)];
            while cursor.previous().unwrap() {
                found.push(current(&cursor));
            }
            found.reverse();
            assert_eq!(found, listed);
        }
    }

    #[test]
    fn finds_what_a_search_through_everything_finds() {
        let mut random = fastrand::Rng::with_seed(9);
        for seed in 0..60 {
            let listed = sample(1 + seed as usize * 3, seed);
            let block = build(&listed);
            let mut cursor = BlockCursor::new(Arc::clone(&block));
            for _ in 0..60 {
                let len = random.usize(0..7);
                let key: Vec<u8> = (0..len).map(|_| random.u8(b'a'..b'e')).collect();
                let lsn = Lsn(random.u64(0..10));
                let expected = listed
                    .iter()
                    .find(|(k, l, _)| compare((k, Lsn(*l)), (&key, lsn)).is_ge());
                cursor.seek(&key, lsn).unwrap();
                assert_eq!(
                    cursor.is_valid().then(|| current(&cursor)),
                    expected.cloned()
                );
                let found = block.find(&key, lsn).unwrap();
                let found = found.map(|found| {
                    let value = found
                        .value
                        .as_ref()
                        .map(|range| block.slice(range).to_vec());
                    (found.same_key, found.lsn.0, value)
                });
                let expected = expected.map(|(k, l, v)| (*k == key, *l, v.clone()));
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_another_answer_but_no_panic() {
        let mut random = fastrand::Rng::with_seed(3);
        let listed = sample(60, 1);
        let good = build(&listed).bytes().to_vec();
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let Ok(block) = Block::entries(payload(bytes)) else {
                continue;
            };
            let block = Arc::new(block);
            let _ = block.find(b"bb", Lsn(4));
            let mut cursor = BlockCursor::new(block);
            let _ = cursor.seek(b"bb", Lsn(4));
            if cursor.first().is_ok() {
                for _ in 0..200 {
                    if !matches!(cursor.next(), Ok(true)) {
                        break;
                    }
                }
            }
            if cursor.last().is_ok() {
                for _ in 0..200 {
                    if !matches!(cursor.previous(), Ok(true)) {
                        break;
                    }
                }
            }
        }
    }
}
