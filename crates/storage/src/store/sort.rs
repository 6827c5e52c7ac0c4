//! The order in which a commit's entries go to their trees.

use smallvec::SmallVec;

use super::gathered::head_of;
use crate::btree::TreeEntry;

/// Entries from which on sorting makes a list of their keys' beginnings.
const MANY: usize = 64;

/// Sorts by key; of several entries of a key the last one stays.
pub(super) fn sort_last_wins(entries: &mut SmallVec<[TreeEntry<'_>; 2]>) {
    if entries.is_sorted_by(|a, b| a.key < b.key) {
        return;
    }
    if entries.len() < MANY {
        entries.sort_by(|a, b| a.key.cmp(b.key));
    } else {
        sort_many(entries);
    }
    entries.dedup_by(|later, earlier| {
        let same = later.key == earlier.key;
        if same {
            *earlier = *later;
        }
        same
    });
}

/// Sorts by key and leaves entries of a key in their order. Keys are anywhere in memory: their
/// beginnings, taken along, decide most comparisons.
fn sort_many(entries: &mut SmallVec<[TreeEntry<'_>; 2]>) {
    let mut order: Vec<(u128, usize)> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| (head_of(entry.key), at))
        .collect();
    order.sort_unstable_by(|(head, at), (other_head, other)| {
        let keys = head
            .cmp(other_head)
            .then_with(|| entries[*at].key.cmp(entries[*other].key));
        keys.then(at.cmp(other))
    });
    *entries = order.iter().map(|(_, at)| entries[*at]).collect();
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Keys of few different bytes, around the length of what is taken along of them.
        fn the_last_entry_of_a_key_wins(keys: Vec<(bool, Vec<u8>)>, many: bool) -> bool {
            let prefix = [7; 14];
            let mut keys: Vec<Vec<u8>> = keys
                .iter()
                .map(|(long, key)| {
                    let own = key.iter().take(3).map(|byte| byte % 2);
                    prefix.iter().copied().filter(|_| *long).chain(own).collect()
                })
                .collect();
            if many {
                let count = keys.len() + MANY;
                keys = keys.iter().cycle().take(count).cloned().collect();
            }
            let values: Vec<[u8; 8]> = (0..keys.len()).map(|at| at.to_le_bytes()).collect();
            let entries = keys.iter().zip(&values).map(|(key, value)| TreeEntry {
                key,
                value: Some(value),
            });
            let mut entries: SmallVec<[TreeEntry<'_>; 2]> = entries.collect();
            let expected: std::collections::BTreeMap<&[u8], Option<&[u8]>> =
                entries.iter().map(|entry| (entry.key, entry.value)).collect();
            sort_last_wins(&mut entries);
            entries.iter().map(|entry| (entry.key, entry.value)).eq(expected)
        }
    }
}
