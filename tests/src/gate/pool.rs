//! Groups of keys that change together: what gate B writes, and what a reader must find.
//!
//! A group at version `v` holds a number of keys that follows from group and version, each with
//! a value that does too. So one look at a snapshot tells whether the group is whole, and at
//! which version. Some values are longer than a page, some versions hold nothing but a marker.

use std::fmt;

use rustling_storage::{Batch, Direction, KeyRange, KeyspaceId, Snapshot, Store};
use rustling_txn::{Error, Transaction};

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

impl GroupModel {
    /// A group at a version.
    #[must_use]
    pub fn at(group: u64, version: u64) -> GroupModel {
        GroupModel {
            version,
            keys: keys(group, version),
        }
    }
}

/// The first bytes of a group's keys.
fn group_prefix(group: u64) -> Vec<u8> {
    format!("group {group:06}/").into_bytes()
}

fn key(group: u64, number: u64) -> Vec<u8> {
    [&group_prefix(group)[..], &number.to_be_bytes()].concat()
}

/// The key that a group has at every version but 0.
#[must_use]
pub fn marker(group: u64) -> Vec<u8> {
    key(group, 0)
}

/// The version that a value belongs to.
#[must_use]
pub fn version_of(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
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

/// What changes when a group goes from one version to another: keys with their values, or with
/// none where they go.
#[must_use]
pub fn group_changes(
    group: u64,
    before: &GroupModel,
    after: &GroupModel,
) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let puts = (0..after.keys).map(|number| {
        let value = value(group, after.version, number);
        (key(group, number), Some(value))
    });
    let deletions = (after.keys..before.keys).map(|number| (key(group, number), None));
    puts.chain(deletions).collect()
}

/// Adds the change of a group to the next version to a batch; the answer is the group then.
pub fn group_batch(
    batch: &mut Batch,
    id: KeyspaceId,
    group: u64,
    version: u64,
    before: &GroupModel,
) -> GroupModel {
    let after = GroupModel::at(group, version);
    for (key, value) in group_changes(group, before, &after) {
        match value {
            Some(value) => batch.put(id, key, value),
            None => batch.delete(id, key),
        }
    }
    after
}

/// An entry: key and value.
type Entry = (Vec<u8>, Vec<u8>);

fn owned((key, value): (&[u8], &[u8])) -> Entry {
    (key.to_vec(), value.to_vec())
}

/// All that a cursor gives, until it gives no more.
fn collect(mut next: impl FnMut() -> Result<Option<Entry>, Error>) -> Result<Vec<Entry>, Error> {
    std::iter::from_fn(|| next().transpose()).collect()
}

/// What groups are read through.
pub trait View {
    /// The entries of a range, in `direction`.
    ///
    /// # Errors
    /// Those of reading.
    fn entries(
        &self,
        id: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Vec<Entry>, Error>;

    /// The value of a key.
    ///
    /// # Errors
    /// Those of reading.
    fn value(&self, id: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
}

impl View for Snapshot {
    fn entries(
        &self,
        id: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Vec<Entry>, Error> {
        let mut cursor = self.scan(id, range, direction)?;
        collect(|| Ok(cursor.next()?.map(owned)))
    }

    fn value(&self, id: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.get(id, key)?)
    }
}

impl View for Transaction {
    fn entries(
        &self,
        id: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<Vec<Entry>, Error> {
        let mut cursor = self.scan(id, range, direction)?;
        collect(|| Ok(cursor.next()?.map(owned)))
    }

    fn value(&self, id: KeyspaceId, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.get(id, key)
    }
}

/// Why a group could not be read as it must be.
#[derive(Debug)]
pub enum Wrong {
    /// Reading failed.
    Failed(Error),
    /// What was read is wrong, in words.
    Found(String),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Wrong {
        Wrong::Failed(error)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Failed(error) => error.fmt(f),
            Wrong::Found(words) => words.fmt(f),
        }
    }
}

/// The entries of a group, as they are.
///
/// # Errors
/// Those of reading.
pub fn read_group(
    view: &impl View,
    id: KeyspaceId,
    group: u64,
    direction: Direction,
) -> Result<Vec<Entry>, Error> {
    view.entries(id, KeyRange::prefix(&group_prefix(group)), direction)
}

/// Reads a group and checks that it is whole; the answer is its version.
///
/// # Errors
/// What is wrong.
pub fn check_group(
    view: &impl View,
    id: KeyspaceId,
    group: u64,
    direction: Direction,
) -> Result<u64, Wrong> {
    let mut found = read_group(view, id, group, direction)?;
    if direction == Direction::Backward {
        found.reverse();
    }
    let Some((_, first)) = found.first() else {
        return Ok(0);
    };
    let version = version_of(first).unwrap_or(0);
    let expected: Vec<_> = (0..keys(group, version))
        .map(|number| (key(group, number), value(group, version, number)))
        .collect();
    if found != expected {
        let at = found
            .iter()
            .zip(&expected)
            .position(|(a, b)| a != b)
            .unwrap_or(found.len().min(expected.len()));
        let version_there = found.get(at).and_then(|(_, value)| version_of(value));
        return Err(Wrong::Found(format!(
            "group {group} begins at version {version} with {} keys, {} expected; entry {at} has version {version_there:?}",
            found.len(),
            expected.len()
        )));
    }
    for (key, value) in found.iter().take(2) {
        if view.value(id, key)?.as_ref() != Some(value) {
            return Err(Wrong::Found(format!(
                "group {group}: a point read disagrees with the scan at {key:02x?}"
            )));
        }
    }
    Ok(version)
}

/// How much more data there was than room for it in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Pages that left the cache for others.
    pub pages_evicted: u64,
    /// Blocks of tables that were not in the block cache.
    pub blocks_missed: u64,
    /// Times that tables were merged.
    pub compactions: u64,
}

impl Pressure {
    /// What a store has been under since it was opened.
    #[must_use]
    pub fn of(store: &Store) -> Pressure {
        let stats = store.stats();
        Pressure {
            pages_evicted: stats.pages.evictions,
            blocks_missed: stats.tables.cache_misses,
            compactions: stats.tables.compactions,
        }
    }

    /// Adds another store's.
    pub fn merge(&mut self, other: Pressure) {
        self.pages_evicted += other.pages_evicted;
        self.blocks_missed += other.blocks_missed;
        self.compactions += other.compactions;
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pages evicted, {} blocks of tables read, {} compactions",
            self.pages_evicted, self.blocks_missed, self.compactions
        )
    }
}
