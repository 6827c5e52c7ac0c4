//! The bytes of a log segment: its header and its records. `docs/formats/wal.md` is the prose.
//!
//! Everything is little-endian. Records start at multiples of [`ALIGN`] behind the header block.
//! A record's header checksum is seeded with the segment's salt and the record's own offset and
//! covers the previous record's checksum and the payload's: a record is valid in one place of one
//! segment after one predecessor only.

/// First bytes of a segment.
const MAGIC: [u8; 8] = *b"RETLWAL\0";
/// The version that this code writes, and the only one it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Bytes of the segment header that are used.
const SEGMENT_HEADER: usize = 64;
/// Offset of the first record: the header has a block of its own that no record write touches.
pub(crate) const FIRST_RECORD: u64 = 4096;
/// Bytes of a record header.
pub(crate) const RECORD_HEADER: usize = 40;
/// Records start at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// The longest payload of one record, before and after compression. Longer batches take several
/// records.
pub(crate) const MAX_PAYLOAD: usize = 256 << 10;
/// Bytes of the record that ends a segment.
pub(crate) const END_RECORD: usize = RECORD_HEADER + END_PAYLOAD;
/// Its payload: sequence number and salt of the next segment.
const END_PAYLOAD: usize = 16;

const _: () = {
    assert!(SEGMENT_HEADER as u64 <= FIRST_RECORD);
    assert!(FIRST_RECORD.is_multiple_of(ALIGN as u64));
    assert!(RECORD_HEADER.is_multiple_of(ALIGN) && END_PAYLOAD.is_multiple_of(ALIGN));
    assert!(MAX_PAYLOAD.is_multiple_of(ALIGN));
};

/// `len` rounded up to whole units of [`ALIGN`].
pub(crate) const fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// Identifies the store that a segment belongs to.
pub(crate) type StoreId = [u8; 16];

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Number of the segment, which is also its name; never used twice.
    pub(crate) sequence: u64,
    /// Random: tells this segment's records from any others.
    pub(crate) salt: u64,
    /// The store it belongs to.
    pub(crate) store: StoreId,
    /// Length of the file. It has this length before its first record is written.
    pub(crate) size: u64,
    /// Microseconds since 1970 when it was created.
    pub(crate) created: i64,
}

impl SegmentHeader {
    /// The header's bytes and their checksum, which starts the chain of records.
    pub(crate) fn encode(&self) -> ([u8; SEGMENT_HEADER], u32) {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.store);
        bytes[48..56].copy_from_slice(&self.size.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.created.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads a header; the error says what is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(SegmentHeader, u32), HeaderError> {
        let bytes: &[u8; SEGMENT_HEADER] = bytes
            .get(..SEGMENT_HEADER)
            .and_then(|head| head.try_into().ok())
            .ok_or(HeaderError::Damaged(
                "the file is shorter than a segment header",
            ))?;
        if bytes[0..8] != MAGIC {
            return Err(HeaderError::Damaged("this is no log segment"));
        }
        let crc = u32_at(bytes, 12);
        if crc != header_crc(bytes) {
            return Err(HeaderError::Damaged(
                "the segment header's checksum does not match",
            ));
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(HeaderError::Version(version));
        }
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[32..48]);
        let header = SegmentHeader {
            sequence: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            store,
            size: u64_at(bytes, 48),
            created: u64_at(bytes, 56).cast_signed(),
        };
        if header.size < FIRST_RECORD + END_RECORD as u64 {
            return Err(HeaderError::Damaged(
                "the segment header names an impossible size",
            ));
        }
        Ok((header, crc))
    }
}

/// Why a segment header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It does not verify.
    Damaged(&'static str),
    /// It verifies and has another format version.
    Version(u32),
}

fn header_crc(bytes: &[u8; SEGMENT_HEADER]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A batch or a piece of one.
    Batch,
    /// The last record of a segment: names the next segment.
    End,
}

const KIND_BATCH: u8 = 1;
const KIND_END: u8 = 2;
const FLAG_FIRST: u8 = 1;
const FLAG_LAST: u8 = 2;
const FLAG_LZ4: u8 = 4;

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// Checksum of the record before it, or of the segment header.
    pub(crate) previous: u32,
    /// The commit; for [`RecordKind::End`] the last commit before it.
    pub(crate) lsn: u64,
    /// Everything up to here was known to be durable when this record was made.
    pub(crate) durable: u64,
    /// Bytes of the payload as stored, without padding.
    pub(crate) stored_len: u32,
    /// Bytes of the payload once decompressed.
    pub(crate) raw_len: u32,
    /// Checksum of the payload and its padding.
    pub(crate) payload_crc: u32,
    /// What the record is.
    pub(crate) kind: RecordKind,
    /// Whether a batch begins here.
    pub(crate) first: bool,
    /// Whether the batch is complete with this record.
    pub(crate) last: bool,
    /// Whether the payload is an LZ4 block.
    pub(crate) lz4: bool,
}

/// Start value of a record's checksum: binds it to its segment and place.
fn seed(salt: u64, offset: u64) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&salt.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c(&place)
}

impl RecordHeader {
    /// The header's bytes at `offset` of the segment with that `salt`, and its checksum.
    pub(crate) fn encode(&self, salt: u64, offset: u64) -> ([u8; RECORD_HEADER], u32) {
        let mut bytes = [0; RECORD_HEADER];
        bytes[4..8].copy_from_slice(&self.previous.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.lsn.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[36] = match self.kind {
            RecordKind::Batch => KIND_BATCH,
            RecordKind::End => KIND_END,
        };
        bytes[37] = if self.first { FLAG_FIRST } else { 0 }
            | if self.last { FLAG_LAST } else { 0 }
            | if self.lz4 { FLAG_LZ4 } else { 0 };
        let crc = crc32c::crc32c_append(seed(salt, offset), &bytes[4..]);
        bytes[0..4].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads the header at `offset`: `None` where there is no valid one. On success comes its
    /// checksum too. The payload, the predecessor and the LSN are the caller's to check.
    pub(crate) fn decode(bytes: &[u8], salt: u64, offset: u64) -> Option<(RecordHeader, u32)> {
        let bytes: &[u8; RECORD_HEADER] = bytes.get(..RECORD_HEADER)?.try_into().ok()?;
        let kind = match bytes[36] {
            KIND_BATCH => RecordKind::Batch,
            KIND_END => RecordKind::End,
            _ => return None,
        };
        let flags = bytes[37];
        if flags & !(FLAG_FIRST | FLAG_LAST | FLAG_LZ4) != 0 || bytes[38..40] != [0, 0] {
            return None;
        }
        let crc = u32_at(bytes, 0);
        if crc != crc32c::crc32c_append(seed(salt, offset), &bytes[4..]) {
            return None;
        }
        let header = RecordHeader {
            previous: u32_at(bytes, 4),
            lsn: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            stored_len: u32_at(bytes, 24),
            raw_len: u32_at(bytes, 28),
            payload_crc: u32_at(bytes, 32),
            kind,
            first: flags & FLAG_FIRST != 0,
            last: flags & FLAG_LAST != 0,
            lz4: flags & FLAG_LZ4 != 0,
        };
        let fits = |len: u32| len as usize <= MAX_PAYLOAD;
        let plausible = fits(header.stored_len)
            && fits(header.raw_len)
            && (header.lz4 || header.raw_len == header.stored_len)
            && (kind == RecordKind::Batch || header.stored_len as usize == END_PAYLOAD);
        plausible.then_some((header, crc))
    }

    /// Bytes of the record with its padded payload.
    pub(crate) fn record_len(&self) -> usize {
        RECORD_HEADER + padded(self.stored_len as usize)
    }
}

/// Checksum of a payload that has been padded with zeros.
pub(crate) fn payload_crc(padded_payload: &[u8]) -> u32 {
    crc32c::crc32c(padded_payload)
}

/// Payload of the record that ends a segment.
pub(crate) fn encode_end(next_sequence: u64, next_salt: u64) -> [u8; END_PAYLOAD] {
    let mut bytes = [0; END_PAYLOAD];
    bytes[..8].copy_from_slice(&next_sequence.to_le_bytes());
    bytes[8..].copy_from_slice(&next_salt.to_le_bytes());
    bytes
}

/// Sequence number and salt of the next segment.
pub(crate) fn decode_end(payload: &[u8]) -> Option<(u64, u64)> {
    (payload.len() >= END_PAYLOAD).then(|| (u64_at(payload, 0), u64_at(payload, 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            previous: 0x0102_0304,
            lsn: 7,
            durable: 5,
            stored_len: 13,
            raw_len: 13,
            payload_crc: 0xdead_beef,
            kind: RecordKind::Batch,
            first: true,
            last: true,
            lz4: false,
        }
    }

    #[test]
    fn bytes_are_these() {
        let segment = SegmentHeader {
            sequence: 3,
            salt: 0x1122,
            store: [9; 16],
            size: 1 << 20,
            created: -1,
        };
        let (bytes, crc) = segment.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok((segment, crc)));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5245544c57414c0001000000225ff5ac03000000000000002211000000000000\
             090909090909090909090909090909090000100000000000ffffffffffffffff"
        );
        let (bytes, crc) = header().encode(42, 4096);
        assert_eq!(
            RecordHeader::decode(&bytes, 42, 4096),
            Some((header(), crc))
        );
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "2cf2e31d040302010700000000000000050000000000000\
             00d0000000d000000efbeadde01030000"
        );
    }

    #[test]
    fn every_bit_counts() {
        let (bytes, _) = header().encode(42, 4096);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, 42, 4096), None, "bit {bit}");
        }
        assert_eq!(
            RecordHeader::decode(&bytes, 42, 4104),
            None,
            "another place"
        );
        assert_eq!(
            RecordHeader::decode(&bytes, 43, 4096),
            None,
            "another segment"
        );
        let segment = SegmentHeader {
            sequence: 3,
            salt: 1,
            store: [9; 16],
            size: 1 << 20,
            created: 0,
        };
        let (bytes, _) = segment.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
