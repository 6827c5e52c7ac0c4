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

/// A batch as the log will hold it, but for the record headers.
#[derive(Debug, Default)]
pub(crate) struct EncodedBatch {
    fragments: SmallVec<[Fragment; 1]>,
    /// The padded payloads one after the other.
    bytes: Vec<u8>,
    /// What the next fragment is made of.
    raw: Vec<u8>,
    compressed: Vec<u8>,
    compress: bool,
    replay_work: u64,
    reserved: Option<Reservation>,
}

impl Sink for EncodedBatch {
    fn extend(&mut self, mut bytes: &[u8]) {
        while self.raw.len() + bytes.len() > MAX_PAYLOAD {
            let (now, later) = bytes.split_at(MAX_PAYLOAD - self.raw.len());
            self.raw.extend_from_slice(now);
            self.cut();
            bytes = later;
        }
        self.raw.extend_from_slice(bytes);
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
        self.raw.clear();
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

    /// Makes a fragment of what is in `raw`.
    fn cut(&mut self) {
        let raw_len = self.raw.len();
        self.replay_work += raw_len as u64;
        let mut lz4 = false;
        let start = self.bytes.len();
        if self.compress {
            self.compressed.resize(raw_len - raw_len / WORTHWHILE, 0);
            if let Some(len) = Codec::Lz4.compress(&self.raw, &mut self.compressed) {
                self.bytes.extend_from_slice(&self.compressed[..len]);
                lz4 = true;
            }
        }
        if !lz4 {
            self.bytes.extend_from_slice(&self.raw);
        }
        let stored_len = self.bytes.len() - start;
        self.bytes.resize(start + padded(stored_len), 0);
        self.fragments.push(Fragment {
            stored_len: stored_len as u32,
            raw_len: raw_len as u32,
            crc: payload_crc(&self.bytes[start..]),
            lz4,
        });
        self.raw.clear();
    }

    /// Bytes that the records will take.
    pub(crate) fn log_bytes(&self) -> usize {
        self.bytes.len() + self.fragments.len() * RECORD_HEADER
    }

    /// How much there is to do when the batch is replayed: its bytes before compression, and
    /// [`ENTRY_WORK`] for each operation.
    pub(crate) fn replay_work(&self) -> u64 {
        self.replay_work
    }

    /// The fragments with their padded payloads.
    pub(crate) fn fragments(&self) -> impl ExactSizeIterator<Item = (Fragment, &[u8])> {
        let mut rest = &self.bytes[..];
        self.fragments.iter().map(move |fragment| {
            let (payload, later) = rest.split_at(padded(fragment.stored_len as usize));
            rest = later;
            (*fragment, payload)
        })
    }
}
