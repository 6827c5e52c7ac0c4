//! A batch made ready for the log, outside any lock: cut into pieces of bounded length,
//! compressed where that pays, with its payload checksums.

use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use super::{
    batch_codec::{self, Sink},
    format::{MAX_PAYLOAD, RECORD_HEADER, padded, payload_crc},
};
use crate::{
    batch::Batch,
    codec::Codec,
    error::Result,
    memory::{MemoryBudget, Reservation},
};

/// Batches larger than this pay for their memory from the budget.
const FREE_BYTES: usize = 1 << 20;
/// What replaying an entry costs beside its bytes, in the time that so many bytes take.
pub(crate) const ENTRY_WORK: u64 = 64;
/// Compression must save at least one part in this many.
const WORTHWHILE: usize = 8;

/// Tries that are left out at most after some that did not pay.
const MOST_SKIPPED: u32 = 64;

/// Whether compressing has paid lately: after a try that has not, the next ones are left out, and
/// twice as many after each further one.
#[derive(Debug, Default)]
pub(crate) struct Compressibility {
    /// Tries to leave out.
    skip: AtomicU32,
    /// How many were left out last.
    skipped: AtomicU32,
}

impl Compressibility {
    /// Whether to try.
    fn is_likely(&self) -> bool {
        let skip = self.skip.load(Ordering::Relaxed);
        // Racing threads may leave out one more or less.
        self.skip.store(skip.saturating_sub(1), Ordering::Relaxed);
        skip == 0
    }

    fn learn(&self, paid: bool) {
        let next = match self.skipped.load(Ordering::Relaxed) {
            _ if paid => 0,
            skipped => (2 * skipped + 1).min(MOST_SKIPPED),
        };
        self.skipped.store(next, Ordering::Relaxed);
        self.skip.store(next, Ordering::Relaxed);
    }
}

/// The payload of one record to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Bytes stored, without padding.
    pub(crate) stored_len: u32,
    /// Bytes before compression.
    pub(crate) raw_len: u32,
    /// Checksum of the padded payload.
    pub(crate) crc: u32,
    /// Whether it is compressed.
    pub(crate) lz4: bool,
}

impl Fragment {
    /// Bytes of the record.
    pub(super) fn record_len(&self) -> usize {
        RECORD_HEADER + padded(self.stored_len as usize)
    }
}

/// A batch as the log will hold it, but for what is in the record headers.
#[derive(Debug, Default)]
pub(crate) struct EncodedBatch {
    fragments: SmallVec<[Fragment; 1]>,
    /// The records one after the other, each with room for its header.
    bytes: Vec<u8>,
    /// Where the payload begins that is being made.
    start: usize,
    compressed: Vec<u8>,
    compress: bool,
    replay_work: u64,
    reserved: Option<Reservation>,
}

impl Sink for EncodedBatch {
    fn extend(&mut self, mut bytes: &[u8]) {
        while self.bytes.len() - self.start + bytes.len() > MAX_PAYLOAD {
            let room = MAX_PAYLOAD - (self.bytes.len() - self.start);
            let (now, later) = bytes.split_at(room);
            self.bytes.extend_from_slice(now);
            self.cut();
            self.begin();
            bytes = later;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl EncodedBatch {
    /// Encodes `batch` into this buffer, which is cleared first. Batches of more than
    /// `compress_above` bytes are compressed where that pays.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] for a large batch that `budget` has no room for.
    pub(crate) fn encode(
        &mut self,
        batch: &Batch,
        compress_above: usize,
        compressibility: &Compressibility,
        budget: &MemoryBudget,
    ) -> Result<()> {
        self.clear();
        self.compress = batch.byte_size() > compress_above && compressibility.is_likely();
        self.replay_work = batch.operations().len() as u64 * ENTRY_WORK;
        self.begin();
        for operation in batch.operations() {
            batch_codec::encode(operation, self);
            if self.bytes.len() > FREE_BYTES {
                self.pay(budget)?;
            }
        }
        self.cut();
        if self.compress {
            let paid = self.fragments.iter().any(|fragment| fragment.lz4);
            compressibility.learn(paid);
        }
        Ok(())
    }

    /// Gives memory back to the budget.
    pub(crate) fn release(&mut self) {
        if self.reserved.is_some() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.fragments.clear();
        self.bytes.clear();
        self.reserved = None;
        // One huge batch must not hold its memory for ever.
        self.bytes.shrink_to(FREE_BYTES);
    }

    fn pay(&mut self, budget: &MemoryBudget) -> Result<()> {
        let needed = self.bytes.capacity();
        match &mut self.reserved {
            None => self.reserved = Some(budget.reserve(needed, "a large commit's log records")?),
            Some(reserved) => reserved.grow(needed.saturating_sub(reserved.bytes()))?,
        }
        Ok(())
    }

    /// Begins a record.
    fn begin(&mut self) {
        self.start = self.bytes.len() + RECORD_HEADER;
        self.bytes.resize(self.start, 0);
    }

    /// Ends the record that was begun. Its payload is where it stays, unless compressing it pays.
    fn cut(&mut self) {
        let payload = self.bytes.get(self.start..).unwrap_or_default();
        let raw_len = payload.len();
        self.replay_work += raw_len as u64;
        let mut lz4 = false;
        if self.compress {
            self.compressed.resize(raw_len - raw_len / WORTHWHILE, 0);
            let len = Codec::Lz4.compress(payload, &mut self.compressed);
            if let Some(compressed) = len.and_then(|len| self.compressed.get(..len)) {
                self.bytes.truncate(self.start);
                self.bytes.extend_from_slice(compressed);
                lz4 = true;
            }
        }
        let stored_len = self.bytes.len() - self.start;
        self.bytes.resize(self.start + padded(stored_len), 0);
        self.fragments.push(Fragment {
            stored_len: stored_len as u32,
            raw_len: raw_len as u32,
            crc: payload_crc(&self.bytes[self.start..]),
            lz4,
        });
    }

    /// Bytes that the records take.
    pub(crate) fn log_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How much there is to do when the batch is replayed: its bytes before compression, and
    /// [`ENTRY_WORK`] for each operation.
    pub(crate) fn replay_work(&self) -> u64 {
        self.replay_work
    }

    /// Fills in the records' headers: `header` is told of each record's payload, and whether it is
    /// the first and the last one.
    pub(super) fn seal(
        &mut self,
        mut header: impl FnMut(&Fragment, (bool, bool)) -> [u8; RECORD_HEADER],
    ) {
        let count = self.fragments.len();
        let mut at = 0;
        for (index, fragment) in self.fragments.iter().enumerate() {
            let place = (index == 0, index + 1 == count);
            self.bytes[at..at + RECORD_HEADER].copy_from_slice(&header(fragment, place));
            at += fragment.record_len();
        }
    }

    /// The records, once sealed.
    pub(super) fn records(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the sealed records away, with the memory that was reserved for them, and takes another
    /// buffer in exchange.
    pub(super) fn exchange(&mut self, buffer: Vec<u8>) -> (Vec<u8>, Option<Reservation>) {
        self.fragments.clear();
        let records = std::mem::replace(&mut self.bytes, buffer);
        self.bytes.clear();
        (records, self.reserved.take())
    }
}
