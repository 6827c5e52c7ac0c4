//! The table of groups.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use hashbrown::HashTable;

use crate::{
    Error, Result, SqlState,
    vector::{
        batch::Batch,
        keys::{Key, KeyHasher, Keys},
    },
};

/// Groups, numbered in the order in which they were met.
#[derive(Default)]
pub(crate) struct Groups {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    packed: Vec<u128>,
    /// Where each group's key begins and ends in `bytes`; begins above ends: a NULL string.
    spans: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    hasher: KeyHasher,
}

const NULL_SPAN: (usize, usize) = (1, 0);

impl Groups {
    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    #[inline]
    fn key(&self, group: u32) -> Key<'_> {
        let at = group as usize;
        if let Some(packed) = self.packed.get(at) {
            return Key::Packed(*packed);
        }
        match self.spans.get(at) {
            Some((begin, end)) => Key::Bytes(self.bytes.get(*begin..*end)),
            None => Key::None,
        }
    }

    /// The group of `key`, and whether it is new.
    #[inline]
    pub(crate) fn group_of(&mut self, key: Key<'_>) -> Result<(u32, bool)> {
        let hash = key.hash(&self.hasher);
        let found = self.table.find(hash, |group| self.key(*group) == key);
        if let Some(group) = found {
            return Ok((*group, false));
        }
        let group = u32::try_from(self.hashes.len()).map_err(|_| {
            Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "more than 4294967295 groups",
            )
        })?;
        self.hashes.push(hash);
        match key {
            Key::None => {}
            Key::Packed(key) => self.packed.push(key),
            Key::Bytes(None) => self.spans.push(NULL_SPAN),
            Key::Bytes(Some(key)) => {
                let begin = self.bytes.len();
                self.bytes.extend_from_slice(key);
                self.spans.push((begin, self.bytes.len()));
            }
        }
        let hashes = &self.hashes;
        self.table
            .insert_unique(hash, group, |group| hashes[*group as usize]);
        Ok((group, true))
    }

    /// Whether there is a group of `key`.
    pub(crate) fn contains(&self, key: Key<'_>) -> bool {
        let hash = key.hash(&self.hasher);
        self.table
            .find(hash, |group| self.key(*group) == key)
            .is_some()
    }

    /// The groups of all `keys` into `groups`, and the positions of those that made a group.
    pub(crate) fn groups_of(
        &mut self,
        keys: &Keys,
        groups: &mut Vec<u32>,
        new: &mut Vec<u32>,
    ) -> Result<()> {
        groups.clear();
        new.clear();
        // Rows of one group often stand together, as those of an order do: then one look at the
        // table is enough for all of them.
        let mut before: Option<(Key<'_>, u32)> = None;
        for at in 0..keys.len() {
            let key = keys.at(at);
            let group = match before {
                Some((same, group)) if same == key => group,
                _ => {
                    let (group, is_new) = self.group_of(key)?;
                    if is_new {
                        new.push(at as u32);
                    }
                    group
                }
            };
            before = Some((key, group));
            groups.push(group);
        }
        Ok(())
    }

    /// Finds the groups of another table here, making those that are missing: for each of its
    /// groups the number here.
    pub(crate) fn absorb(&mut self, other: &Groups) -> Result<Vec<u32>> {
        (0..other.len())
            .map(|group| Ok(self.group_of(other.key(group as u32))?.0))
            .collect()
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.hashes.capacity() * 8
            + self.packed.capacity() * 16
            + self.spans.capacity() * 16
            + self.bytes.capacity()
            + self.table.capacity() * 5
    }
}

/// The key values of groups as the rows that made them had them, in batches.
#[derive(Default)]
pub(crate) struct KeyValues {
    batches: Vec<Batch>,
    bytes: usize,
}

impl KeyValues {
    /// Keeps the rows `new` of `columns`.
    pub(crate) fn push(&mut self, columns: &[ArrayRef], rows: usize, new: &[u32]) -> Result<()> {
        if new.is_empty() || columns.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            columns: columns.iter().map(Arc::clone).collect(),
            rows,
        };
        let batch = batch.take(&UInt32Array::from(new.to_vec()))?;
        // A view array holds on to its source's buffers; the kept rows shall not.
        let batch = Batch {
            columns: batch.columns.iter().map(compact).collect(),
            rows: batch.rows,
        };
        self.bytes += batch.bytes();
        self.batches.push(batch);
        Ok(())
    }

    /// The values, in the order they were kept.
    pub(crate) fn into_batches(self) -> Vec<Batch> {
        self.batches
    }

    /// About how many bytes they take.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }
}

/// An array without what it does not show of shared string buffers.
pub(crate) fn compact(array: &ArrayRef) -> ArrayRef {
    use arrow_array::cast::AsArray;
    if let Some(texts) = array.as_string_view_opt() {
        Arc::new(texts.gc())
    } else if let Some(bytes) = array.as_binary_view_opt() {
        Arc::new(bytes.gc())
    } else {
        Arc::clone(array)
    }
}
