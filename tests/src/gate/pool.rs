//! Groups of keys that change together: what gate B writes, and what a reader must find.
//!
//! A group at version `v` holds a number of keys that follows from group and version, each with
//! a value that does too. So one look at a snapshot tells whether the group is whole, and at
//! which version. Some values are longer than a page, some versions hold nothing.

use rustling_storage::{Batch, Direction, KeyRange, KeyspaceId, Snapshot};

/// Number of groups. With their values they take several times the cache of the gates' stores.
pub const GROUPS: u64 = 240;

/// What a group holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupModel {
    /// The version; 0 where it was never written.
    pub version: u64,
    /// The number of keys.
    pub keys: u64,
}

/// The first bytes of a group's keys.
#[must_use]
pub fn group_prefix(group: u64) -> Vec<u8> {
    format!("group {group:06}/").into_bytes()
}

fn key(group: u64, number: u64) -> Vec<u8> {
    [&group_prefix(group)[..], &number.to_be_bytes()].concat()
}

/// The number of keys of a version: the marker and up to 12 others, at times none of these.
fn keys(group: u64, version: u64) -> u64 {
    if version == 0 {
        0
    } else {
        1 + (group.wrapping_mul(31).wrapping_add(version * 7)) % 13
    }
}

fn value(group: u64, version: u64, number: u64) -> Vec<u8> {
    let seed = group
        .wrapping_mul(0x9e37_79b9)
        .wrapping_add(version.wrapping_mul(0x85eb_ca6b))
        .wrapping_add(number);
    let len = match seed % 40 {
        0 => 20_000,
        1..=4 => 3_000,
        5..=15 => 900,
        _ => 120,
    };
    let mut value = version.to_le_bytes().to_vec();
    value.resize(8 + len, seed as u8);
    value
}

/// Adds the change of a group to the next version to a batch; the answer is the group then.
pub fn group_batch(
    batch: &mut Batch,
    id: KeyspaceId,
    group: u64,
    version: u64,
    before: &GroupModel,
) -> GroupModel {
    let after = GroupModel {
        version,
        keys: keys(group, version),
    };
    for number in 0..after.keys {
        batch.put(id, key(group, number), value(group, version, number));
    }
    for number in after.keys..before.keys {
        batch.delete(id, key(group, number));
    }
    after
}

/// Reads a group in a snapshot and checks that it is whole; the answer is its version.
///
/// # Errors
/// What is wrong, in words.
pub fn check_group(
    snapshot: &Snapshot,
    id: KeyspaceId,
    group: u64,
    direction: Direction,
) -> Result<u64, String> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut cursor = snapshot
        .scan(id, KeyRange::prefix(&group_prefix(group)), direction)
        .map_err(|error| error.to_string())?;
    while let Some((key, value)) = cursor.next().map_err(|error| error.to_string())? {
        found.push((key.to_vec(), value.to_vec()));
    }
    if direction == Direction::Backward {
        found.reverse();
    }
    let Some((_, first)) = found.first() else {
        return Ok(0);
    };
    let version = first
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let expected: Vec<_> = (0..keys(group, version))
        .map(|number| (key(group, number), value(group, version, number)))
        .collect();
    if found != expected {
        let at = found
            .iter()
            .zip(&expected)
            .position(|(a, b)| a != b)
            .unwrap_or(found.len().min(expected.len()));
        let version_there = found
            .get(at)
            .and_then(|(_, value)| value.first_chunk())
            .map(|bytes| u64::from_le_bytes(*bytes));
        return Err(format!(
            "group {group} begins at version {version} with {} keys, {} expected; entry {at} has version {version_there:?}",
            found.len(),
            expected.len()
        ));
    }
    for (key, value) in found.iter().take(2) {
        let read = snapshot.get(id, key).map_err(|error| error.to_string())?;
        if read.as_ref() != Some(value) {
            return Err(format!(
                "group {group}: a point read disagrees with the scan at {key:02x?}"
            ));
        }
    }
    Ok(version)
}
