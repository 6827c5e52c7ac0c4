//! The parts of a table file other than the entries in its blocks: block trailers, handles,
//! properties and footer. `docs/formats/tables.md` draws the file.

use std::{ops::Range, sync::Arc};

use prost::Message;

use super::{
    block::{Payload, put_varint, take_varint},
    buffers::Buffers,
};
use crate::{
    codec::{self, CODEC_NONE, Codec},
    lsn::Lsn,
};

/// The last bytes of every table.
pub(super) const MAGIC: [u8; 8] = *b"RETLDBst";

/// The version that this code writes, and the newest it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Bytes after a block's payload: its length before compression, its codec, its checksum.
pub(super) const TRAILER: usize = 9;

/// The longest block, decompressed: one entry of the longest key and value, and some room.
const MAX_BLOCK: usize = (1 << 30) + (1 << 20);

const FOOTER_TOP: usize = 0;
const FOOTER_TOP_LEN: usize = 8;
const FOOTER_PROPERTIES: usize = 16;
const FOOTER_PROPERTIES_LEN: usize = 24;
const FOOTER_NUMBER: usize = 32;
const FOOTER_SALT: usize = 40;
const FOOTER_VERSION: usize = 48;
const FOOTER_CHECKSUM: usize = 52;
const FOOTER_MAGIC: usize = 56;
/// Bytes of the footer, with which a table ends.
pub(super) const FOOTER: usize = 64;
const _: () = assert!(FOOTER_MAGIC + MAGIC.len() == FOOTER);

/// Which table a block belongs to: every checksum covers it, so that a block of another file,
/// or of an earlier file of the same name, is never taken for this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableIdentity {
    /// The table's number.
    pub(super) number: u64,
    /// Random bits, drawn when the file was made.
    pub(super) salt: u64,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Handle {
    /// Offset in the file.
    pub(super) offset: u64,
    /// Length in bytes, with the trailer.
    pub(super) len: u64,
}

impl Handle {
    /// Where the block ends; untrusted, as the rest.
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Appends the handle.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, self.len);
    }

    /// Takes a handle off the front of `bytes`.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Handle> {
        Some(Handle {
            offset: take_varint(bytes)?,
            len: take_varint(bytes)?,
        })
    }
}

/// The checksum of a block: over its bytes (but the checksum), its place and its table.
fn checksum(identity: TableIdentity, offset: u64, covered: &[u8]) -> u32 {
    let mut place = [0; 32];
    place[..8].copy_from_slice(&identity.number.to_le_bytes());
    place[8..16].copy_from_slice(&identity.salt.to_le_bytes());
    place[16..24].copy_from_slice(&offset.to_le_bytes());
    place[24..].copy_from_slice(&(covered.len() as u64).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), covered)
}

/// Appends a block to `out`, the bytes of the file from `base` on, and answers where it is.
/// `scratch` is room for compressing.
pub(super) fn append_block(
    identity: TableIdentity,
    codec: Codec,
    payload: &[u8],
    base: u64,
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Handle {
    let start = out.len();
    let offset = base + start as u64;
    // Compressed it must be an eighth smaller, or decompressing is not worth it.
    scratch.resize(payload.len() - payload.len() / 8, 0);
    let number = match codec.compress(payload, scratch) {
        Some(len) => {
            out.extend_from_slice(&scratch[..len]);
            codec.number()
        }
        None => {
            out.extend_from_slice(payload);
            CODEC_NONE
        }
    };
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.push(number);
    let checksum = checksum(identity, offset, &out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    Handle {
        offset,
        len: (out.len() - start) as u64,
    }
}

/// Checks a block that was read from `offset` and lies in a part of `buffer`, and answers its payload
/// there, or decompressed.
pub(super) fn open_block(
    identity: TableIdentity,
    offset: u64,
    buffer: &Arc<[u8]>,
    range: Range<usize>,
    buffers: &Buffers,
) -> Result<Payload, String> {
    let start = range.start;
    let outside = || "a block is outside of what was read".to_owned();
    let bytes = buffer.get(range).ok_or_else(outside)?;
    let too_short = || "a block is shorter than its trailer".to_owned();
    let stored = bytes.len().checked_sub(TRAILER).ok_or_else(too_short)?;
    let (covered, found) = bytes.split_last_chunk::<4>().ok_or_else(too_short)?;
    if u32::from_le_bytes(*found) != checksum(identity, offset, covered) {
        return Err("a block's checksum does not match".into());
    }
    let trailer = bytes.get(stored..).and_then(<[u8]>::first_chunk::<5>);
    let [a, b, c, d, number] = *trailer.ok_or_else(too_short)?;
    let raw = u32::from_le_bytes([a, b, c, d]) as usize;
    if number == CODEC_NONE && raw == stored {
        return Payload::new(buffer, start..start + stored).ok_or_else(outside);
    }
    if raw > MAX_BLOCK {
        return Err(format!("a block of {raw} bytes"));
    }
    let mut payload = buffers.take(raw);
    let into = &mut Arc::make_mut(&mut payload)[..raw];
    codec::decompress(number, &bytes[..stored], into).map_err(|error| error.to_string())?;
    Payload::new(&payload, 0..raw).ok_or_else(outside)
}

/// What a table says about itself; see [`Properties`].
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    first_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    last_key: Vec<u8>,
    #[prost(uint64, tag = "3")]
    oldest_lsn: u64,
    #[prost(uint64, tag = "4")]
    newest_lsn: u64,
    #[prost(uint64, tag = "5")]
    entries: u64,
    #[prost(uint64, tag = "6")]
    tombstones: u64,
    #[prost(uint64, tag = "7")]
    data_blocks: u64,
    #[prost(uint64, tag = "8")]
    key_value_bytes: u64,
    #[prost(uint32, tag = "9")]
    filter_kind: u32,
}

/// What a table says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// The smallest key.
    pub(super) first_key: Vec<u8>,
    /// The greatest key.
    pub(super) last_key: Vec<u8>,
    /// The oldest version.
    pub(super) oldest: Lsn,
    /// The newest version.
    pub(super) newest: Lsn,
    /// Versions, tombstones included.
    pub(super) entries: u64,
    /// Tombstones.
    pub(super) tombstones: u64,
    /// Data blocks.
    pub(super) data_blocks: u64,
    /// Bytes of keys and values, uncompressed.
    pub(super) key_value_bytes: u64,
    /// The kind of the filters ([`super::filter::Filter::KIND`]).
    pub(super) filter_kind: u32,
}

impl Properties {
    /// Bytes of memory that they take beside their own.
    pub(super) fn bytes(&self) -> usize {
        self.first_key.capacity() + self.last_key.capacity()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let all = self.clone();
        let stored = Stored {
            first_key: all.first_key,
            last_key: all.last_key,
            oldest_lsn: all.oldest.0,
            newest_lsn: all.newest.0,
            entries: all.entries,
            tombstones: all.tombstones,
            data_blocks: all.data_blocks,
            key_value_bytes: all.key_value_bytes,
            filter_kind: all.filter_kind,
        };
        stored.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Properties, String> {
        let stored = Stored::decode(bytes).map_err(|error| error.to_string())?;
        let properties = Properties {
            first_key: stored.first_key,
            last_key: stored.last_key,
            oldest: Lsn(stored.oldest_lsn),
            newest: Lsn(stored.newest_lsn),
            entries: stored.entries,
            tombstones: stored.tombstones,
            data_blocks: stored.data_blocks,
            key_value_bytes: stored.key_value_bytes,
            filter_kind: stored.filter_kind,
        };
        if properties.entries == 0
            || properties.first_key > properties.last_key
            || properties.oldest > properties.newest
        {
            return Err("the table's properties contradict each other".into());
        }
        Ok(properties)
    }
}

/// The end of a table: where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) identity: TableIdentity,
    /// The top index.
    pub(super) top: Handle,
    pub(super) properties: Handle,
}

/// Why a footer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FooterError {
    /// It is damaged, or no footer.
    Corrupt(&'static str),
    /// It is of a newer format.
    Version(u32),
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER] {
        let mut bytes = [0; FOOTER];
        let mut put = |at: usize, value: u64| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        put(FOOTER_TOP, self.top.offset);
        put(FOOTER_TOP_LEN, self.top.len);
        put(FOOTER_PROPERTIES, self.properties.offset);
        put(FOOTER_PROPERTIES_LEN, self.properties.len);
        put(FOOTER_NUMBER, self.identity.number);
        put(FOOTER_SALT, self.identity.salt);
        bytes[FOOTER_VERSION..FOOTER_CHECKSUM].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..FOOTER_CHECKSUM]);
        bytes[FOOTER_CHECKSUM..FOOTER_MAGIC].copy_from_slice(&checksum.to_le_bytes());
        bytes[FOOTER_MAGIC..].copy_from_slice(&MAGIC);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FOOTER]) -> Result<Footer, FooterError> {
        if bytes[FOOTER_MAGIC..] != MAGIC {
            return Err(FooterError::Corrupt("not the end of a table"));
        }
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        if word(FOOTER_CHECKSUM) != crc32c::crc32c(&bytes[..FOOTER_CHECKSUM]) {
            return Err(FooterError::Corrupt("the footer's checksum does not match"));
        }
        if word(FOOTER_VERSION) != FORMAT_VERSION {
            return Err(FooterError::Version(word(FOOTER_VERSION)));
        }
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Ok(Footer {
            identity: TableIdentity {
                number: long(FOOTER_NUMBER),
                salt: long(FOOTER_SALT),
            },
            top: Handle {
                offset: long(FOOTER_TOP),
                len: long(FOOTER_TOP_LEN),
            },
            properties: Handle {
                offset: long(FOOTER_PROPERTIES),
                len: long(FOOTER_PROPERTIES_LEN),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: TableIdentity = TableIdentity {
        number: 7,
        salt: 0x1234_5678_9abc_def0,
    };

    #[test]
    fn blocks_are_bound_to_place_and_table() {
        let buffers = Buffers::default();
        for codec in [Codec::None, Codec::Lz4] {
            let payload = b"the quick brown fox ".repeat(50);
            let (mut file, mut scratch) = (b"before".to_vec(), Vec::new());
            let handle = append_block(ME, codec, &payload, 0, &mut file, &mut scratch);
            let stored = file[handle.offset as usize..][..handle.len as usize].to_vec();
            let open = |identity, offset, bytes: &[u8]| {
                let opened = open_block(identity, offset, &bytes.into(), 0..bytes.len(), &buffers);
                opened.map(|payload| payload.bytes().to_vec())
            };
            assert_eq!(open(ME, 6, &stored), Ok(payload.clone()));
            let file = file.into();
            let end = 6 + stored.len();
            let within = open_block(ME, 6, &file, 6..end, &buffers).unwrap();
            assert_eq!(within.bytes(), payload);
            assert!(open_block(ME, 6, &file, 6..end + 1, &buffers).is_err());
            assert!(open(ME, 7, &stored).is_err());
            let other = TableIdentity { salt: 1, ..ME };
            assert!(open(other, 6, &stored).is_err());
            assert!(open(ME, 6, &stored[1..]).is_err());
            assert!(open(ME, 6, &[]).is_err());
            for bit in 0..stored.len() * 8 {
                let mut damaged = stored.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(open(ME, 6, &damaged).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_footer_round_trips_and_covers_every_bit() {
        let footer = Footer {
            identity: ME,
            top: Handle { offset: 5, len: 6 },
            properties: Handle {
                offset: 11,
                len: 300,
            },
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Ok(footer));
        for bit in 0..FOOTER * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&damaged).is_err(), "bit {bit}");
        }
    }
}
