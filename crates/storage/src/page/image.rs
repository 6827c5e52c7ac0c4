//! Page images: how a page lies in its slot on disk. The layout is in `docs/formats/pages.md`;
//! this module owns it.
//!
//! Every image carries a checksum over all the rest of its slot, padding included, and says
//! whose it is, where it should be and when it was written. Whoever points to it (page table,
//! table page, superblock) repeats place, epoch and checksum, so that a lost, misdirected or
//! stale write is seen as surely as a flipped bit.

use crate::codec::{self, CODEC_NONE};

/// Slots begin at multiples of this and are a multiple of it long, in bytes.
pub(super) const UNIT: usize = 1024;

/// Bytes of a slot before the payload.
pub(crate) const IMAGE_HEADER: usize = 32;

const CHECKSUM: usize = 0;
const OWNER: usize = 4;
const PLACE: usize = 8;
const KIND: usize = 12;
const CODEC: usize = 13;
const STORED: usize = 14;
const EPOCH: usize = 16;
const SALT: usize = 24;
const _: () = assert!(SALT + 8 == IMAGE_HEADER);
const _: () = assert!(
    16 * UNIT - IMAGE_HEADER <= u16::MAX as usize,
    "a payload's length fits"
);

/// Bytes of an encoded [`Location`].
pub(super) const LOCATION_SIZE: usize = 16;

/// Epochs are below this, as a location shares the word with the slot's length.
pub(super) const EPOCH_LIMIT: u64 = 1 << 56;

/// What an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageKind {
    /// A page of a tree.
    Data,
    /// A link of the metadata chain.
    Metadata,
    /// A page of the page table; level 0 holds the locations of data pages.
    Table {
        /// Levels below this page.
        level: u8,
    },
}

impl ImageKind {
    fn number(self) -> u8 {
        match self {
            ImageKind::Data => 1,
            ImageKind::Metadata => 2,
            ImageKind::Table { level } => 16 + level,
        }
    }
}

/// Where an image is, and which one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The slot's first unit; never 0, where the superblock is.
    pub(super) unit: u32,
    /// The slot's length in units.
    pub(super) units: u8,
    /// The image's checksum.
    pub(super) checksum: u32,
    /// The checkpoint epoch that the image belongs to.
    pub(super) epoch: u64,
}

impl Location {
    /// Offset of the slot in the file.
    pub(super) fn offset(&self) -> u64 {
        u64::from(self.unit) * UNIT as u64
    }

    /// Length of the slot in bytes.
    pub(super) fn len(&self) -> usize {
        usize::from(self.units) * UNIT
    }

    /// The two words of a location; "none" is 0 and 0.
    pub(super) fn to_words(location: Option<Location>) -> (u64, u64) {
        location.map_or((0, 0), |at| {
            (
                u64::from(at.unit) | u64::from(at.checksum) << 32,
                u64::from(at.units) | at.epoch << 8,
            )
        })
    }

    /// The reverse of [`Location::to_words`]. Whether the slot exists is the caller's to check.
    pub(super) fn from_words(first: u64, second: u64) -> Result<Option<Location>, &'static str> {
        if first == 0 && second == 0 {
            return Ok(None);
        }
        let location = Location {
            unit: first as u32,
            units: second as u8,
            checksum: (first >> 32) as u32,
            epoch: second >> 8,
        };
        if location.unit == 0 || location.units == 0 {
            return Err("a location names no slot");
        }
        Ok(Some(location))
    }

    /// The location's bytes.
    pub(super) fn encode(location: Option<Location>) -> [u8; LOCATION_SIZE] {
        let (first, second) = Location::to_words(location);
        let mut bytes = [0; LOCATION_SIZE];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        bytes
    }

    /// The reverse of [`Location::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Location>, &'static str> {
        if bytes.len() != LOCATION_SIZE {
            return Err("a location is cut short");
        }
        Location::from_words(read_u64(bytes, 0), read_u64(bytes, 8))
    }
}

/// Little-endian integers of untrusted bytes; 0 past the end, which no caller reaches.
pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// As [`read_u64`].
pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// As [`read_u64`].
pub(super) fn read_u16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

/// Whose image it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// What it holds.
    pub(super) kind: ImageKind,
    /// The page's id, the table page's index, or the link's number.
    pub(super) id: u32,
}

/// Units that an image with `stored` payload bytes takes.
pub(super) fn units_for(stored: usize) -> usize {
    (IMAGE_HEADER + stored).div_ceil(UNIT)
}

/// Fills in the header of `image`, a whole slot whose payload is in place and whose padding is
/// zero, and answers where it belongs.
pub(super) fn seal(
    image: &mut [u8],
    owner: Owner,
    unit: u32,
    epoch: u64,
    salt: u64,
    codec: u8,
    stored: usize,
) -> Location {
    debug_assert!(image.len().is_multiple_of(UNIT) && IMAGE_HEADER + stored <= image.len());
    image[OWNER..OWNER + 4].copy_from_slice(&owner.id.to_le_bytes());
    image[PLACE..PLACE + 4].copy_from_slice(&unit.to_le_bytes());
    image[KIND] = owner.kind.number();
    image[CODEC] = codec;
    image[STORED..STORED + 2].copy_from_slice(&(stored as u16).to_le_bytes());
    image[EPOCH..EPOCH + 8].copy_from_slice(&epoch.to_le_bytes());
    image[SALT..SALT + 8].copy_from_slice(&salt.to_le_bytes());
    let checksum = crc32c::crc32c(&image[OWNER..]);
    image[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    Location {
        unit,
        units: (image.len() / UNIT) as u8,
        checksum,
        epoch,
    }
}

/// Checks that `image`, the whole slot read from `location`, is the one meant, and answers its
/// codec and the length of its stored payload.
///
/// # Errors
/// What does not verify.
pub(super) fn check(
    image: &[u8],
    location: &Location,
    owner: Owner,
    salt: u64,
) -> Result<(u8, usize), &'static str> {
    if image.len() != location.len() || image.len() < IMAGE_HEADER {
        return Err("the page image has another length");
    }
    let checksum = crc32c::crc32c(&image[OWNER..]);
    if checksum != read_u32(image, CHECKSUM) {
        return Err("the page image does not match its checksum");
    }
    if read_u64(image, SALT) != salt {
        return Err("the page image belongs to another store");
    }
    if read_u32(image, OWNER) != owner.id || image[KIND] != owner.kind.number() {
        return Err("the page image belongs to another page");
    }
    if read_u32(image, PLACE) != location.unit {
        return Err("the page image belongs to another place");
    }
    if read_u64(image, EPOCH) != location.epoch || checksum != location.checksum {
        return Err("the page image is not the one last written");
    }
    let stored = usize::from(read_u16(image, STORED));
    if stored > image.len() - IMAGE_HEADER {
        return Err("the page image states a wrong length");
    }
    Ok((image[CODEC], stored))
}

/// Decodes a checked image's stored payload into `payload`, whose rest becomes zero.
///
/// # Errors
/// What does not decode.
pub(super) fn unpack(codec: u8, stored: &[u8], payload: &mut [u8]) -> Result<(), String> {
    if codec == CODEC_NONE {
        let Some((front, rest)) = payload.split_at_mut_checked(stored.len()) else {
            return Err("the page image is longer than a page".into());
        };
        front.copy_from_slice(stored);
        rest.fill(0);
        return Ok(());
    }
    codec::decompress(codec, stored, payload).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_round_trip() {
        for location in [
            None,
            Some(Location {
                unit: 16,
                units: 8,
                checksum: 0,
                epoch: 1,
            }),
            Some(Location {
                unit: u32::MAX,
                units: 16,
                checksum: u32::MAX,
                epoch: EPOCH_LIMIT - 1,
            }),
        ] {
            assert_eq!(Location::decode(&Location::encode(location)), Ok(location));
        }
        assert!(Location::decode(&[1; 15]).is_err());
        assert!(Location::from_words(0, 8).is_err());
        assert!(Location::from_words(16, 0).is_err());
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let owner = Owner {
            kind: ImageKind::Data,
            id: 7,
        };
        let mut image = vec![0u8; UNIT];
        image[IMAGE_HEADER..IMAGE_HEADER + 3].copy_from_slice(b"abc");
        let location = seal(&mut image, owner, 20, 5, 99, CODEC_NONE, 3);
        assert_eq!(check(&image, &location, owner, 99), Ok((CODEC_NONE, 3)));
        for bit in 0..UNIT * 8 {
            image[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&image, &location, owner, 99).is_err(), "bit {bit}");
            image[bit / 8] ^= 1 << (bit % 8);
        }
        let elsewhere = Location {
            unit: 21,
            ..location
        };
        assert!(check(&image, &elsewhere, owner, 99).is_err());
        assert!(
            check(
                &image,
                &Location {
                    epoch: 6,
                    ..location
                },
                owner,
                99
            )
            .is_err()
        );
        assert!(check(&image, &location, Owner { id: 8, ..owner }, 99).is_err());
        assert!(
            check(
                &image,
                &location,
                Owner {
                    kind: ImageKind::Metadata,
                    ..owner
                },
                99
            )
            .is_err()
        );
        assert!(check(&image, &location, owner, 98).is_err());
    }

    #[test]
    fn a_short_payload_is_filled_up() {
        let mut payload = [9; 8];
        unpack(CODEC_NONE, b"abc", &mut payload).unwrap();
        assert_eq!(&payload, b"abc\0\0\0\0\0");
        assert!(unpack(CODEC_NONE, &[0; 9], &mut payload).is_err());
    }
}
