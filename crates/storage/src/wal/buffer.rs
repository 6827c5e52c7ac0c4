//! The log's buffer: records that have their place in the log and wait to be written there.
//!
//! Committers encode in parallel, each into a buffer of its own and with the checksums of its
//! payload. The lock that this is behind is held for what has to be done one after the other: a
//! commit gets its LSN, its place, and record headers that name the record before. Then a large
//! batch becomes a part of the log's buffer as it lies, in exchange for an empty buffer. A small one
//! is copied, which takes less time than writing it out by a system call of its own would. So
//! whatever has an LSN is whole, and whoever writes the log waits for nobody.

use std::{mem, sync::Arc};

use super::{
    encode::EncodedBatch,
    format::{
        END_RECORD, FIRST_RECORD, RECORD_HEADER, RecordHeader, RecordKind, encode_end, payload_crc,
    },
    log::WalPosition,
    segment::Segment,
};
use crate::{lsn::Lsn, memory::Reservation};

/// Batches of at least so many bytes are not copied.
const LEAST_PART: usize = 16 << 10;
/// Bytes of buffers without records that are kept for the next ones.
const MOST_SPARE: usize = 2 << 20;

/// Records that are on their way to one segment, side by side.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// Whether the segment's last record is among them.
    pub(super) ends: bool,
    /// Whether it is one batch as it was encoded: others go to a run of their own.
    is_whole: bool,
    /// The memory that the batch has reserved.
    reserved: Option<Reservation>,
}

/// What is to be written: runs in the order of the log.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) runs: Vec<Run>,
    /// The newest commit that is in them, or was before.
    pub(super) last: u64,
    /// The segment in which the log goes on behind them.
    pub(super) segment: Arc<Segment>,
}

/// The end of the log, and what has not been written of it.
#[derive(Debug)]
pub(super) struct LogBuffer {
    next_lsn: u64,
    chain: u32,
    segment: Arc<Segment>,
    /// Where the next record goes in it.
    offset: u64,
    /// Whether the segment was found at opening: it gets no more batches.
    sealed: bool,
    runs: Vec<Run>,
    /// Bytes of all runs.
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl LogBuffer {
    /// Nothing to write, behind commit `lsn` at `offset` of `segment`.
    pub(super) fn new(
        lsn: Lsn,
        chain: u32,
        segment: Arc<Segment>,
        offset: u64,
        sealed: bool,
    ) -> LogBuffer {
        LogBuffer {
            next_lsn: lsn.0 + 1,
            chain,
            segment,
            offset,
            sealed,
            runs: Vec::new(),
            bytes: 0,
            spare: Vec::new(),
        }
    }

    /// The newest commit.
    pub(super) fn last(&self) -> Lsn {
        Lsn(self.next_lsn - 1)
    }

    /// The segment in which the log goes on.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where in the segment it goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The place behind the newest record.
    pub(super) fn position(&self) -> WalPosition {
        WalPosition {
            sequence: self.segment.header.sequence,
            salt: self.segment.header.salt,
            offset: self.offset,
            chain: self.chain,
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that batches may still take in this segment.
    pub(super) fn room(&self) -> u64 {
        if self.sealed {
            return 0;
        }
        (self.segment.header.size - self.offset).saturating_sub(END_RECORD as u64)
    }

    /// Appends a batch, for which there is room.
    pub(super) fn push_batch(&mut self, batch: &mut EncodedBatch, durable: u64) -> Lsn {
        let lsn = self.next_lsn;
        self.next_lsn += 1;
        let start = self.offset;
        batch.seal(|fragment, (first, last)| {
            let header = RecordHeader {
                previous: self.chain,
                lsn,
                durable,
                stored_len: fragment.stored_len,
                raw_len: fragment.raw_len,
                payload_crc: fragment.crc,
                kind: RecordKind::Batch,
                first,
                last,
                lz4: fragment.lz4,
            };
            self.head(&header, fragment.record_len())
        });
        self.bytes += batch.log_bytes();
        if batch.log_bytes() < LEAST_PART {
            self.run(start).bytes.extend_from_slice(batch.records());
        } else {
            let (bytes, reserved) = batch.exchange(self.spare.pop().unwrap_or_default());
            self.runs.push(Run {
                segment: Arc::clone(&self.segment),
                offset: start,
                bytes,
                ends: false,
                is_whole: true,
                reserved,
            });
        }
        Lsn(lsn)
    }

    /// Ends the current segment and goes on in `next`.
    pub(super) fn switch_to(&mut self, next: Arc<Segment>, durable: u64) {
        let payload = encode_end(next.header.sequence, next.header.salt);
        let header = RecordHeader {
            previous: self.chain,
            lsn: self.next_lsn - 1,
            durable,
            stored_len: payload.len() as u32,
            raw_len: payload.len() as u32,
            payload_crc: payload_crc(&payload),
            kind: RecordKind::End,
            first: true,
            last: true,
            lz4: false,
        };
        let start = self.offset;
        let head = self.head(&header, END_RECORD);
        self.bytes += END_RECORD;
        let run = self.run(start);
        run.bytes.extend_from_slice(&head);
        run.bytes.extend_from_slice(&payload);
        run.ends = true;
        self.chain = next.header_crc;
        self.segment = next;
        self.offset = FIRST_RECORD;
        self.sealed = false;
    }

    /// The bytes of the next record's header. The record takes `len` bytes.
    fn head(&mut self, header: &RecordHeader, len: usize) -> [u8; RECORD_HEADER] {
        let (bytes, crc) = header.encode(self.segment.header.salt, self.offset);
        self.chain = crc;
        self.offset += len as u64;
        bytes
    }

    /// The run that takes what goes to `offset`, copied.
    fn run(&mut self, offset: u64) -> &mut Run {
        let is_open = |run: &Run| !run.ends && !run.is_whole;
        if !self.runs.last().is_some_and(is_open) {
            self.runs.push(Run {
                segment: Arc::clone(&self.segment),
                offset,
                bytes: self.spare.pop().unwrap_or_default(),
                ends: false,
                is_whole: false,
                reserved: None,
            });
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    /// Takes all that waits to be written.
    pub(super) fn take(&mut self) -> Pending {
        self.bytes = 0;
        Pending {
            runs: mem::take(&mut self.runs),
            last: self.next_lsn - 1,
            segment: Arc::clone(&self.segment),
        }
    }

    /// Takes the buffers of runs back that have been written.
    pub(super) fn give_back(&mut self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        let mut kept: usize = self.spare.iter().map(Vec::capacity).sum();
        for mut buffer in buffers {
            kept += buffer.capacity();
            if kept > MOST_SPARE {
                return;
            }
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

impl Run {
    /// Its buffer, once it has been written. The memory that was reserved for it is free again.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        drop(self.reserved);
        self.bytes
    }
}
