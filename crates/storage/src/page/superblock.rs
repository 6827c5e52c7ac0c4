//! The superblock: the root of everything, four times. The layout and the reasons are in
//! `docs/formats/pages.md`; this module owns it.
//!
//! A checkpoint becomes true with the second of the four copies, and can then not become
//! untrue again: two copies are written and synced before the other two are touched, and the
//! newest state with two equal copies counts. So at every instant two copies of either the
//! old or the new state are whole.

use std::path::Path;

use super::image::{LOCATION_SIZE, Location, read_u16, read_u32, read_u64};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
};

/// Copies of the superblock.
pub(super) const COPIES: usize = 4;
/// Bytes of a copy, and the distance between copies.
pub(super) const COPY_SIZE: usize = 4096;
/// Bytes at the file's start that belong to the superblock.
pub(super) const REGION: usize = COPIES * COPY_SIZE;
/// Equal copies that make a state true.
const QUORUM: usize = 2;
/// The file format that this program writes and reads.
pub(super) const FORMAT_VERSION: u16 = 1;
/// What every copy says first.
const MAGIC: &[u8; 6] = b"RETLDB";

const CHECKSUM: usize = 0;
const MAGIC_AT: usize = 4;
const VERSION: usize = 10;
const COPY: usize = 12;
const CONTENT: usize = 16;
const PAGE_SIZE: usize = 16;
const PAGE_COUNT: usize = 20;
const UUID: usize = 24;
const CREATED: usize = 40;
const SEQUENCE: usize = 48;
const PARENT_SEQUENCE: usize = 56;
const PARENT_FINGERPRINT: usize = 64;
const BLOCKS: usize = 68;
const EPOCH: usize = 72;
const LSN: usize = 80;
const TABLE: usize = 88;
const METADATA: usize = 104;
const METADATA_LEN: usize = 120;
const END: usize = 124;
const _: () = assert!(MAGIC_AT + MAGIC.len() == VERSION);
const _: () =
    assert!(TABLE + LOCATION_SIZE == METADATA && METADATA + LOCATION_SIZE == METADATA_LEN);
const _: () = assert!(
    END <= 512,
    "the content of a copy lies within one disk sector"
);

/// What a checkpoint makes true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Bytes of a page.
    pub(super) page_size: u32,
    /// Page ids below this have an entry in the page table.
    pub(super) page_count: u32,
    /// The store's identity; its first half is the salt of every image.
    pub(super) uuid: [u8; 16],
    /// When the store was made, in microseconds since 1970.
    pub(super) created_micros: i64,
    /// Higher is newer.
    pub(super) sequence: u64,
    /// The sequence of the state that this one follows.
    pub(super) parent_sequence: u64,
    /// The fingerprint of the state that this one follows.
    pub(super) parent_fingerprint: u32,
    /// The file's length in blocks of the page size.
    pub(super) blocks: u32,
    /// The checkpoint's epoch.
    pub(super) epoch: u64,
    /// The commits up to here are in.
    pub(super) lsn: Lsn,
    /// The top page of the page table.
    pub(super) table: Option<Location>,
    /// The first link of the metadata chain.
    pub(super) metadata: Option<Location>,
    /// Bytes of metadata.
    pub(super) metadata_len: u32,
}

impl Superblock {
    /// The salt of this store's images.
    pub(super) fn salt(&self) -> u64 {
        read_u64(&self.uuid, 0)
    }

    /// The bytes of copy number `copy`.
    pub(super) fn encode(&self, copy: usize) -> Vec<u8> {
        let mut bytes = vec![0; COPY_SIZE];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(MAGIC_AT, MAGIC);
        put(VERSION, &FORMAT_VERSION.to_le_bytes());
        put(COPY, &(copy as u32).to_le_bytes());
        put(PAGE_SIZE, &self.page_size.to_le_bytes());
        put(PAGE_COUNT, &self.page_count.to_le_bytes());
        put(UUID, &self.uuid);
        put(CREATED, &self.created_micros.to_le_bytes());
        put(SEQUENCE, &self.sequence.to_le_bytes());
        put(PARENT_SEQUENCE, &self.parent_sequence.to_le_bytes());
        put(PARENT_FINGERPRINT, &self.parent_fingerprint.to_le_bytes());
        put(BLOCKS, &self.blocks.to_le_bytes());
        put(EPOCH, &self.epoch.to_le_bytes());
        put(LSN, &self.lsn.0.to_le_bytes());
        put(TABLE, &Location::encode(self.table));
        put(METADATA, &Location::encode(self.metadata));
        put(METADATA_LEN, &self.metadata_len.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[MAGIC_AT..]);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What all copies of this state, and no other state, have in common.
    pub(super) fn fingerprint(&self) -> u32 {
        crc32c::crc32c(&self.encode(0)[CONTENT..])
    }

    /// Decodes copy number `copy`.
    fn decode(bytes: &[u8], copy: usize) -> std::result::Result<Superblock, Unreadable> {
        if bytes.len() != COPY_SIZE || bytes[MAGIC_AT..MAGIC_AT + MAGIC.len()] != *MAGIC {
            return Err(Unreadable::Foreign);
        }
        if crc32c::crc32c(&bytes[MAGIC_AT..]) != read_u32(bytes, CHECKSUM) {
            return Err(Unreadable::Damaged("does not match its checksum"));
        }
        let version = read_u16(bytes, VERSION);
        if version != FORMAT_VERSION {
            return Err(Unreadable::Version(version));
        }
        if read_u32(bytes, COPY) as usize != copy {
            return Err(Unreadable::Damaged("belongs to another place"));
        }
        if bytes[END..].iter().any(|byte| *byte != 0) {
            return Err(Unreadable::Damaged("has bytes that mean nothing"));
        }
        let location = |at: usize| {
            Location::decode(&bytes[at..at + LOCATION_SIZE]).map_err(Unreadable::Damaged)
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[UUID..UUID + 16]);
        Ok(Superblock {
            page_size: read_u32(bytes, PAGE_SIZE),
            page_count: read_u32(bytes, PAGE_COUNT),
            uuid,
            created_micros: read_u64(bytes, CREATED) as i64,
            sequence: read_u64(bytes, SEQUENCE),
            parent_sequence: read_u64(bytes, PARENT_SEQUENCE),
            parent_fingerprint: read_u32(bytes, PARENT_FINGERPRINT),
            blocks: read_u32(bytes, BLOCKS),
            epoch: read_u64(bytes, EPOCH),
            lsn: Lsn(read_u64(bytes, LSN)),
            table: location(TABLE)?,
            metadata: location(METADATA)?,
            metadata_len: read_u32(bytes, METADATA_LEN),
        })
    }
}

/// Gives `copy` a checksum that matches.
#[cfg(any(test, fuzzing))]
pub(super) fn reseal(copy: &mut [u8]) {
    let checksum = crc32c::crc32c(&copy[MAGIC_AT..]);
    copy[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The bytes of a copy as a true copy number `copy`.
#[cfg(any(test, fuzzing))]
pub(super) fn as_copy(bytes: &[u8], copy: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(COPY_SIZE, 0);
    bytes[MAGIC_AT..MAGIC_AT + MAGIC.len()].copy_from_slice(MAGIC);
    bytes[VERSION..VERSION + 2].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[COPY..COPY + 4].copy_from_slice(&(copy as u32).to_le_bytes());
    reseal(&mut bytes);
    bytes
}

/// Why a copy does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    Foreign,
    Damaged(&'static str),
    Version(u16),
}

/// The state found in a superblock region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The newest true state.
    pub(super) superblock: Superblock,
    /// Which copies do not hold it.
    pub(super) stale: Vec<usize>,
    /// The highest sequence in any whole copy: the next state is numbered above it.
    pub(super) highest_sequence: u64,
}

/// Finds the newest state that [`QUORUM`] whole copies agree on. Reads of copies that failed are
/// not errors here: they are copies that do not count.
///
/// # Errors
/// [`Error::Corrupt`] where no state has a quorum, or where a copy contradicts the history
/// of the newest one; [`Error::Version`].
pub(super) fn choose(region: &[u8], path: &Path) -> Result<Chosen> {
    let copies: Vec<_> = (0..COPIES)
        .map(|copy| {
            let bytes = region
                .get(copy * COPY_SIZE..(copy + 1) * COPY_SIZE)
                .unwrap_or_default();
            Superblock::decode(bytes, copy)
        })
        .collect();
    let whole = || copies.iter().filter_map(|copy| copy.as_ref().ok());
    let Some(superblock) = whole()
        .filter(|state| whole().filter(|other| other == state).count() >= QUORUM)
        .max_by_key(|state| state.sequence)
    else {
        return Err(no_quorum(&copies, path));
    };
    for (at, copy) in copies.iter().enumerate() {
        if let Ok(copy) = copy
            && (copy.uuid != superblock.uuid
                || copy.sequence == superblock.sequence && copy != superblock
                || copy.sequence == superblock.parent_sequence
                    && copy.fingerprint() != superblock.parent_fingerprint)
        {
            return Err(Error::corrupt(
                path,
                (at * COPY_SIZE) as u64,
                "a superblock copy belongs to another history",
            ));
        }
    }
    Ok(Chosen {
        stale: (0..COPIES)
            .filter(|at| copies[*at].as_ref().ok() != Some(superblock))
            .collect(),
        highest_sequence: whole().map(|copy| copy.sequence).max().unwrap_or(0),
        superblock: superblock.clone(),
    })
}

fn no_quorum(copies: &[std::result::Result<Superblock, Unreadable>], path: &Path) -> Error {
    let problems = || copies.iter().filter_map(|copy| copy.as_ref().err());
    let newer = problems().find_map(|problem| match problem {
        Unreadable::Version(found) => Some(*found),
        _ => None,
    });
    if let Some(found) = newer {
        return Error::Version {
            path: path.into(),
            found: u32::from(found),
            supported: u32::from(FORMAT_VERSION),
        };
    }
    if problems()
        .filter(|problem| **problem == Unreadable::Foreign)
        .count()
        == COPIES
    {
        return Error::corrupt(path, 0, "this is not a RustlingDB data file");
    }
    let reason = problems().find_map(|problem| match problem {
        Unreadable::Damaged(reason) => Some(*reason),
        _ => None,
    });
    let reason = reason.map_or(String::new(), |reason| format!(" (a copy {reason})"));
    Error::corrupt(
        path,
        0,
        format!("no two copies of the superblock agree{reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sequence: u64, parent: Option<&Superblock>) -> Superblock {
        Superblock {
            page_size: 4096,
            page_count: 9,
            uuid: *b"0123456789abcdef",
            created_micros: 1_700_000_000_000_000,
            sequence,
            parent_sequence: parent.map_or(0, |parent| parent.sequence),
            parent_fingerprint: parent.map_or(0, Superblock::fingerprint),
            blocks: 20,
            epoch: sequence + 3,
            lsn: Lsn(sequence * 100),
            table: Some(Location {
                unit: 16,
                units: 1,
                checksum: 77,
                epoch: sequence,
            }),
            metadata: None,
            metadata_len: 0,
        }
    }

    fn region(copies: [Option<&Superblock>; COPIES]) -> Vec<u8> {
        let mut region = vec![0xEE; REGION];
        for (at, copy) in copies.iter().enumerate() {
            if let Some(copy) = copy {
                region[at * COPY_SIZE..(at + 1) * COPY_SIZE].copy_from_slice(&copy.encode(at));
            }
        }
        region
    }

    fn winner(copies: [Option<&Superblock>; COPIES]) -> Option<u64> {
        choose(&region(copies), Path::new("f"))
            .ok()
            .map(|chosen| chosen.superblock.sequence)
    }

    #[test]
    fn two_equal_copies_decide() {
        let old = state(4, None);
        let new = state(5, Some(&old));
        let lost = Superblock {
            blocks: 21,
            ..state(5, Some(&old))
        };
        let (o, n) = (Some(&old), Some(&new));
        assert_eq!(winner([o, o, o, o]), Some(4));
        assert_eq!(winner([n, o, o, o]), Some(4));
        assert_eq!(winner([None, n, o, o]), Some(4));
        assert_eq!(winner([n, n, o, o]), Some(5));
        assert_eq!(winner([n, n, n, o]), Some(5));
        assert_eq!(winner([n, n, None, None]), Some(5));
        assert_eq!(winner([None, n, None, n]), Some(5));
        assert_eq!(winner([n, Some(&lost), o, o]), Some(4));
        assert_eq!(winner([n, None, None, None]), None);
        assert_eq!(winner([n, None, o, None]), None);
        assert_eq!(winner([None; 4]), None);
        let chosen = choose(&region([n, None, o, o]), Path::new("f")).unwrap();
        assert_eq!((chosen.highest_sequence, chosen.stale), (5, vec![0, 1]));
    }

    #[test]
    fn another_history_is_refused() {
        let old = state(4, None);
        let fork = Superblock {
            blocks: 99,
            ..state(4, None)
        };
        let new = state(5, Some(&old));
        assert_eq!(winner([Some(&new), Some(&new), Some(&fork), None]), None);
        let foreign = Superblock {
            uuid: [7; 16],
            ..old.clone()
        };
        assert_eq!(winner([Some(&new), Some(&new), Some(&foreign), None]), None);
    }

    #[test]
    fn a_copy_counts_only_in_its_place() {
        let state = state(4, None);
        let mut bytes = region([Some(&state), None, None, None]);
        bytes.copy_within(0..COPY_SIZE, COPY_SIZE);
        assert!(choose(&bytes, Path::new("f")).is_err());
    }

    #[test]
    fn any_flipped_bit_costs_one_copy() {
        let state = state(4, None);
        let bytes = state.encode(2);
        for bit in 0..COPY_SIZE * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::decode(&damaged, 2).is_err(), "bit {bit}");
        }
        assert_eq!(Superblock::decode(&bytes, 2), Ok(state));
    }

    #[test]
    fn newer_formats_are_named() {
        let mut bytes = Vec::new();
        for copy in 0..COPIES {
            let mut one = state(4, None).encode(copy);
            one[VERSION] = 9;
            let checksum = crc32c::crc32c(&one[MAGIC_AT..]);
            one[..4].copy_from_slice(&checksum.to_le_bytes());
            bytes.extend(one);
        }
        match choose(&bytes, Path::new("f")) {
            Err(Error::Version {
                found: 9,
                supported: 1,
                ..
            }) => {}
            other => panic!("{other:?}"),
        }
    }
}
