//! The log's reading end: replays what is above a checkpoint and finds where the log ends.
//!
//! **The tail rule.** Reading stops at the first record that does not verify. That may be the
//! end, for what was not synced may be torn or missing in any order, and nobody was told that it
//! is durable. But if any record behind it says that commits were durable of which the bad
//! record must be one, or if a later segment holds a record at all (a segment is synced before
//! its successor is written), then acknowledged commits are damaged and the log is corrupt:
//! going on would lose them in silence. A read error is an error, never the end.

use std::{collections::VecDeque, path::Path, sync::Arc};

use super::{
    format::{
        ALIGN, FIRST_RECORD, MAX_PAYLOAD, RECORD_HEADER, RecordHeader, RecordKind, SegmentHeader,
        StoreId, decode_end, payload_crc,
    },
    log::WalPosition,
    segment::{self, Segment},
};
use crate::{
    codec::{CODEC_LZ4, decompress},
    durability,
    env::Env,
    error::{Error, Result},
    lsn::Lsn,
    poison::Poison,
};

/// Segments are read in pieces of this size, which hold any record.
const WINDOW: usize = 512 << 10;
const _: () = assert!(WINDOW >= RECORD_HEADER + MAX_PAYLOAD);

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The newest complete commit.
    pub(crate) lsn: Lsn,
    /// The place behind it.
    pub(crate) position: WalPosition,
    /// The segment of that place.
    pub(crate) segment: Arc<Segment>,
    /// All segments in the directory, referred to or not, ascending.
    pub(crate) sequences: Vec<u64>,
    /// Bytes of records read.
    pub(crate) bytes: u64,
    /// Records of which no later record says that they are durable, oldest first.
    unproven: Vec<Unproven>,
}

/// Records at the end of a segment that may be in the system's cache only.
#[derive(Debug)]
struct Unproven {
    segment: Arc<Segment>,
    start: u64,
    end: u64,
}

/// Reads the log from `start`, which lies behind the commit `after`, and hands each complete
/// batch's payload to `replay`. With `read_only` files are opened for reading.
///
/// # Errors
/// [`Error::Corrupt`] where acknowledged commits are damaged, [`Error::Io`], and whatever
/// `replay` answers.
pub(crate) fn read(
    env: &Env,
    dir: &Path,
    store: StoreId,
    (start, after): (WalPosition, Lsn),
    read_only: bool,
    replay: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>,
) -> Result<Tail> {
    let sequences = segment::list(env, dir)?;
    let segment = Arc::new(Segment::open(env, dir, start.sequence, store, read_only)?);
    check_salt(&segment, start.salt)?;
    if start.offset < FIRST_RECORD
        || start.offset > segment.header.size
        || !start.offset.is_multiple_of(ALIGN as u64)
    {
        return Err(Error::corrupt(
            &segment.path,
            start.offset,
            "the log's start lies outside its segment",
        ));
    }
    let mut walk = Walk {
        window: Window::new(segment),
        offset: start.offset,
        chain: start.chain,
        complete: Complete {
            lsn: after.0,
            offset: start.offset,
            chain: start.chain,
        },
        payload: Vec::new(),
        open: false,
        proven: after.0,
        unproven: VecDeque::new(),
        behind: None,
        bytes: 0,
    };
    loop {
        match walk.next(replay)? {
            Step::Record => {}
            Step::End { sequence, salt } => {
                let next = Arc::new(Segment::open(env, dir, sequence, store, read_only)?);
                check_salt(&next, salt)?;
                walk.enter(next);
            }
            Step::Bad(reason) => {
                walk.check_tail(env, dir, store, &sequences, reason)?;
                return Ok(walk.finish(sequences));
            }
        }
    }
}

fn check_salt(segment: &Segment, salt: u64) -> Result<()> {
    match segment.header.salt == salt {
        true => Ok(()),
        false => Err(Error::corrupt(
            &segment.path,
            24,
            "this is another log segment than the one referred to",
        )),
    }
}

impl Tail {
    /// Writes the records again that no later record calls durable, and flushes them: what was
    /// read may have been in the system's cache only, where a failed flush can leave bytes that
    /// never reached the disk and are not tried again.
    pub(crate) fn settle(&self, poison: &Poison) -> Result<()> {
        self.unproven
            .iter()
            .try_for_each(|records| records.settle(poison))
    }
}

impl Unproven {
    fn settle(&self, poison: &Poison) -> Result<()> {
        let Segment { file, path, .. } = &*self.segment;
        let mut buffer = vec![0; WINDOW];
        let mut at = self.start;
        while at < self.end {
            let step = (self.end - at).min(WINDOW as u64) as usize;
            file.read_exact_at(&mut buffer[..step], at)
                .map_err(|error| Error::io("read", path, error))?;
            durability::write(&**file, path, &buffer[..step], at, poison)?;
            at += step as u64;
        }
        durability::sync_data(&**file, path, poison)
    }
}

/// A sliding view of one segment.
struct Window {
    segment: Arc<Segment>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn new(segment: Arc<Segment>) -> Window {
        Window {
            segment,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// The `len` bytes at `offset`, fewer where the segment ends before.
    fn at(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let size = self.segment.header.size;
        let len = size.saturating_sub(offset).min(len as u64) as usize;
        let held =
            offset >= self.start && offset + len as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            let wanted = (size - offset.min(size)).min(WINDOW as u64) as usize;
            self.bytes.resize(wanted, 0);
            self.start = offset;
            let Segment { file, path, .. } = &*self.segment;
            file.read_exact_at(&mut self.bytes, offset)
                .map_err(|error| Error::io("read", path, error))?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + len])
    }

    /// What is at hand from `offset` on: at least a record header, unless the segment ends.
    fn from(&mut self, offset: u64) -> Result<&[u8]> {
        self.at(offset, RECORD_HEADER)?;
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..])
    }

    /// A record that verifies by itself: header and payload.
    fn record(&mut self, offset: u64) -> Result<Result<(RecordHeader, u32), &'static str>> {
        let salt = self.segment.header.salt;
        let head = self.at(offset, RECORD_HEADER)?;
        let Some((header, crc)) = RecordHeader::decode(head, salt, offset) else {
            return Ok(Err("a record header does not verify"));
        };
        let record = self.at(offset, header.record_len())?;
        if record.len() < header.record_len() {
            return Ok(Err("a record reaches past the end of its segment"));
        }
        if payload_crc(&record[RECORD_HEADER..]) != header.payload_crc {
            return Ok(Err("a record's payload does not verify"));
        }
        Ok(Ok((header, crc)))
    }
}

#[derive(Clone, Copy)]
struct Complete {
    lsn: u64,
    offset: u64,
    chain: u32,
}

struct Walk {
    window: Window,
    offset: u64,
    chain: u32,
    /// The place behind the newest complete batch.
    complete: Complete,
    /// What is gathered of a batch.
    payload: Vec<u8>,
    /// Whether a batch has begun.
    open: bool,
    /// The newest commit that a record calls durable.
    proven: u64,
    /// The commits of this segment that are newer, each with the offset of its first record.
    unproven: VecDeque<(u64, u64)>,
    /// The end of the segment before, until a record of this one is read: a segment is synced
    /// before its successor is written, but not before it is named.
    behind: Option<Unproven>,
    bytes: u64,
}

enum Step {
    Record,
    End { sequence: u64, salt: u64 },
    Bad(&'static str),
}

impl Walk {
    fn next(&mut self, replay: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>) -> Result<Step> {
        let (header, crc) = match self.window.record(self.offset)? {
            Ok(record) => record,
            Err(reason) => return Ok(Step::Bad(reason)),
        };
        if header.previous != self.chain {
            return Ok(Step::Bad("a record does not follow its predecessor"));
        }
        let at = self.offset;
        let path = self.window.segment.path.clone();
        let broken = move |reason: &'static str| Err(Error::corrupt(&path, at, reason));
        let expected = match header.kind {
            RecordKind::Batch => self.complete.lsn + 1,
            RecordKind::End => self.complete.lsn,
        };
        if header.lsn != expected || header.durable >= self.complete.lsn.saturating_add(1) {
            return broken("a record is valid, but not in its turn");
        }
        if header.first == self.open || (header.kind == RecordKind::End && self.open) {
            return broken("the pieces of a batch are out of order");
        }
        let len = header.record_len();
        let payload = &self.window.at(at, len)?[RECORD_HEADER..];
        self.behind = None;
        if header.kind == RecordKind::End {
            let Some((sequence, salt)) = decode_end(payload) else {
                return broken("a segment's last record does not name the next one");
            };
            if sequence <= self.window.segment.header.sequence {
                return broken("a segment's last record points back");
            }
            self.bytes += len as u64;
            self.behind = Some(Unproven {
                segment: Arc::clone(&self.window.segment),
                start: self.unproven.front().map_or(at, |(_, start)| *start),
                end: at + len as u64,
            });
            return Ok(Step::End { sequence, salt });
        }
        let stored = payload
            .get(..header.stored_len as usize)
            .unwrap_or_default();
        let whole = header.first && header.last && !header.lz4;
        if !whole {
            if header.first {
                self.payload.clear();
            }
            let start = self.payload.len();
            self.payload.resize(start + header.raw_len as usize, 0);
            let out = &mut self.payload[start..];
            if !header.lz4 {
                out.copy_from_slice(stored);
            } else if decompress(CODEC_LZ4, stored, out).is_err() {
                return broken("a record's payload does not decompress");
            }
        }
        self.proven = self.proven.max(header.durable);
        while self
            .unproven
            .front()
            .is_some_and(|(lsn, _)| *lsn <= self.proven)
        {
            self.unproven.pop_front();
        }
        self.open = !header.last;
        self.offset += len as u64;
        self.chain = crc;
        self.bytes += len as u64;
        if header.last {
            self.unproven.push_back((header.lsn, self.complete.offset));
            self.complete = Complete {
                lsn: header.lsn,
                offset: self.offset,
                chain: crc,
            };
            replay(Lsn(header.lsn), if whole { stored } else { &self.payload })?;
            // One huge batch must not hold its memory for the rest of the log.
            self.payload.shrink_to(WINDOW);
        }
        Ok(Step::Record)
    }

    fn enter(&mut self, segment: Arc<Segment>) {
        self.chain = segment.header_crc;
        self.offset = FIRST_RECORD;
        self.complete = Complete {
            lsn: self.complete.lsn,
            offset: FIRST_RECORD,
            chain: self.chain,
        };
        self.unproven.clear();
        self.window = Window::new(segment);
    }

    /// Fails where the record that stopped the reading must have been durable.
    fn check_tail(
        &mut self,
        env: &Env,
        dir: &Path,
        store: StoreId,
        sequences: &[u64],
        reason: &'static str,
    ) -> Result<()> {
        let bad = self.offset;
        let lost = self.complete.lsn + 1;
        let SegmentHeader { size, salt, .. } = self.window.segment.header;
        let path = self.window.segment.path.clone();
        let mut at = bad;
        while at + RECORD_HEADER as u64 <= size {
            let chunk = self.window.from(at)?;
            let zeros = chunk
                .chunks_exact(ALIGN)
                .take_while(|word| **word == [0; ALIGN])
                .count();
            if zeros > 0 {
                at += (zeros * ALIGN) as u64;
                continue;
            }
            if let Some((header, _)) = RecordHeader::decode(chunk, salt, at)
                && header.durable >= lost
            {
                let reason = format!(
                    "{reason}, but commit {lost} was durable (as the record at byte {at} says)"
                );
                return Err(Error::corrupt(path, bad, reason));
            }
            at += ALIGN as u64;
        }
        let current = self.window.segment.header.sequence;
        for later in sequences.iter().filter(|sequence| **sequence > current) {
            // One that does not verify was never referred to: its making was cut short.
            let segment = match Segment::open(env, dir, *later, store, true) {
                Ok(segment) => segment,
                Err(Error::Io {
                    action,
                    path,
                    source,
                }) => {
                    return Err(Error::Io {
                        action,
                        path,
                        source,
                    });
                }
                Err(_) => continue,
            };
            if Window::new(Arc::new(segment)).record(FIRST_RECORD)?.is_ok() {
                let reason = format!("{reason}, but the log goes on in segment {later}");
                return Err(Error::corrupt(path, bad, reason));
            }
        }
        Ok(())
    }

    fn finish(self, sequences: Vec<u64>) -> Tail {
        let Complete { lsn, offset, chain } = self.complete;
        let header = &self.window.segment.header;
        let position = WalPosition {
            sequence: header.sequence,
            salt: header.salt,
            offset,
            chain,
        };
        let mut unproven = Vec::from_iter(self.behind);
        if let Some((_, start)) = self.unproven.front() {
            unproven.push(Unproven {
                segment: Arc::clone(&self.window.segment),
                start: *start,
                end: offset,
            });
        }
        Tail {
            lsn: Lsn(lsn),
            position,
            sequences,
            bytes: self.bytes,
            unproven,
            segment: self.window.segment,
        }
    }
}
