//! Entries gathered from many commits, and how they go to their trees: sorted, each key once,
//! and by several threads that take a range of keys each.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use crate::{
    btree::TreeEntry,
    env::Env,
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    poison::Poison,
    sync::Mutex,
};

/// Fewer entries than this are not worth another thread.
const LEAST_PER_THREAD: usize = 2048;
/// Keys looked at, per part, to find the bounds between parts.
const SAMPLES: usize = 64;
/// Entries that are given to a tree at a time.
const AT_ONCE: usize = 4096;

/// A key's first 16 bytes, filled up with zeros, as a number that compares like them.
#[inline]
pub(super) fn head_of(key: &[u8]) -> u128 {
    let mut head = [0; 16];
    let shared = key.len().min(head.len());
    head[..shared].copy_from_slice(&key[..shared]);
    u128::from_be_bytes(head)
}

/// An entry whose key and value are in the gathered bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct GatheredEntry {
    head: u128,
    key: usize,
    value: usize,
    value_len: u32,
    keyspace: u32,
    key_len: u16,
    is_delete: bool,
}

impl GatheredEntry {
    /// An entry of the keyspace with that number; `key_at` says where its key has been gathered,
    /// `value` where the value and how long it is, unless it is a deletion. Keys and values are
    /// within the limits of a tree.
    pub(super) fn new(
        keyspace: u32,
        key: &[u8],
        key_at: usize,
        value: Option<(usize, usize)>,
    ) -> GatheredEntry {
        let (value_at, value_len) = value.unwrap_or_default();
        GatheredEntry {
            head: head_of(key),
            key: key_at,
            value: value_at,
            value_len: value_len as u32,
            keyspace,
            key_len: key.len() as u16,
            is_delete: value.is_none(),
        }
    }

    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key..self.key + usize::from(self.key_len)]
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        (!self.is_delete).then(|| &bytes[self.value..self.value + self.value_len as usize])
    }

    /// Keyspace by keyspace, in key order.
    fn compare(&self, other: &GatheredEntry, bytes: &[u8]) -> Ordering {
        let heads = (self.keyspace, self.head).cmp(&(other.keyspace, other.head));
        heads.then_with(|| self.key(bytes).cmp(other.key(bytes)))
    }
}

/// What has been gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    entries: Vec<GatheredEntry>,
    keyspaces: Vec<(KeyspaceId, Arc<Keyspace>)>,
}

/// How much was gathered at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    entries: usize,
}

impl Gathered {
    /// Bytes gathered.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes bytes that entries will point into; answers where they begin.
    pub(super) fn append(&mut self, payload: &[u8]) -> usize {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        base
    }

    /// Takes an entry, which is newer than all before.
    pub(super) fn push(&mut self, entry: GatheredEntry) {
        self.entries.push(entry);
    }

    /// How much is gathered now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            entries: self.entries.len(),
        }
    }

    /// Forgets what was gathered since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.entries.truncate(mark.entries);
    }

    /// The number of keyspace `id`, which `find` finds on its first use.
    pub(super) fn keyspace(
        &mut self,
        id: KeyspaceId,
        find: impl FnOnce() -> Option<Arc<Keyspace>>,
    ) -> Option<u32> {
        let known = self.keyspaces.iter().rposition(|(known, _)| *known == id);
        let index = match known {
            Some(index) => index,
            None => {
                self.keyspaces.push((id, find()?));
                self.keyspaces.len() - 1
            }
        };
        Some(index as u32)
    }

    /// Applies the newest entry of each key in the name of commit `lsn`, with up to `threads`
    /// threads. No snapshot may be older than `lsn`.
    ///
    /// # Errors
    /// Those of the trees.
    pub(super) fn apply(
        self,
        env: &Env,
        poison: &Arc<Poison>,
        lsn: Lsn,
        threads: usize,
    ) -> Result<()> {
        let Gathered {
            bytes,
            entries,
            keyspaces,
        } = self;
        let parts = (entries.len() / LEAST_PER_THREAD).clamp(1, threads.max(1));
        let split = split(entries, parts, &bytes);
        let work = Arc::new(Work {
            bytes,
            keyspaces,
            parts: Mutex::new(split),
            error: Mutex::new(None),
            lsn,
        });
        let helpers: Vec<_> = (1..parts)
            .filter_map(|_| {
                let work = Arc::clone(&work);
                // Where no thread can be had, this one does it all.
                env.spawn("rustling-replay", move || work.run()).ok()
            })
            .collect();
        work.run();
        for helper in helpers {
            if !helper.join() {
                poison.set("a thread that replayed the log panicked");
            }
        }
        poison.check()?;
        let error = work.error.lock().take();
        error.map_or(Ok(()), Err)
    }
}

/// Splits entries into parts of ascending keys; all entries of a key are in one part, in their
/// order.
fn split(entries: Vec<GatheredEntry>, parts: usize, bytes: &[u8]) -> Vec<Vec<GatheredEntry>> {
    if parts < 2 {
        return vec![entries];
    }
    let step = (entries.len() / (parts * SAMPLES)).max(1);
    let mut sample: Vec<GatheredEntry> = entries.iter().step_by(step).copied().collect();
    sample.sort_unstable_by(|a, b| a.compare(b, bytes));
    let bounds: Vec<GatheredEntry> = (1..parts)
        .filter_map(|part| sample.get(part * sample.len() / parts).copied())
        .collect();
    let mut split: Vec<Vec<GatheredEntry>> = Vec::new();
    split.resize_with(bounds.len() + 1, || {
        Vec::with_capacity(entries.len() / parts)
    });
    for entry in entries {
        let part = bounds.partition_point(|bound| bound.compare(&entry, bytes).is_le());
        split[part].push(entry);
    }
    split
}

/// What the threads share.
struct Work {
    bytes: Vec<u8>,
    keyspaces: Vec<(KeyspaceId, Arc<Keyspace>)>,
    /// Parts that nobody has begun.
    parts: Mutex<Vec<Vec<GatheredEntry>>>,
    /// The first failure.
    error: Mutex<Option<Error>>,
    lsn: Lsn,
}

impl Work {
    /// Takes parts until none is left or something has failed.
    fn run(&self) {
        loop {
            let part = self.parts.lock().pop();
            let Some(part) = part else { return };
            if let Err(error) = self.apply(part) {
                self.error.lock().get_or_insert(error);
                self.parts.lock().clear();
                return;
            }
        }
    }

    fn apply(&self, mut entries: Vec<GatheredEntry>) -> Result<()> {
        // Bytes are gathered in the order of commits: of one key, the last place is the newest.
        let bytes = &self.bytes;
        entries.sort_unstable_by(|a, b| {
            let keys = a.compare(b, bytes);
            keys.then_with(|| Reverse(a.key).cmp(&Reverse(b.key)))
        });
        entries.dedup_by(|later, earlier| later.compare(earlier, bytes).is_eq());
        for entries in entries.chunk_by(|a, b| a.keyspace == b.keyspace) {
            let number = entries.first().map_or(0, |entry| entry.keyspace as usize);
            let Some((_, keyspace)) = self.keyspaces.get(number) else {
                continue;
            };
            let entry = |entry: &GatheredEntry| TreeEntry {
                key: entry.key(bytes),
                value: entry.value(bytes),
            };
            let will_apply = |entries: &[TreeEntry<'_>]| {
                keyspace
                    .written_engines()
                    .for_each(|engine| engine.will_apply(entries));
            };
            // The pages of the next entries are read while these are applied.
            let mut now: Vec<TreeEntry<'_>> = Vec::new();
            for some in entries.chunks(AT_ONCE) {
                let next: Vec<TreeEntry<'_>> = some.iter().map(entry).collect();
                will_apply(&next);
                keyspace.apply(&now, self.lsn, self.lsn.into())?;
                now = next;
            }
            keyspace.apply(&now, self.lsn, self.lsn.into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn parts_ascend_and_keep_the_order_of_a_key(keys: Vec<(u32, Vec<u8>)>, parts: usize) -> bool {
            let mut gathered = Gathered::default();
            for (keyspace, key) in &keys {
                let at = gathered.append(key);
                gathered.push(GatheredEntry::new(keyspace % 3, key, at, None));
            }
            let count = gathered.entries.len();
            let bytes = gathered.bytes;
            let split = split(gathered.entries, parts % 5 + 1, &bytes);
            let place = |entry: &GatheredEntry| (entry.keyspace, entry.key(&bytes).to_vec());
            let places: Vec<_> = split
                .iter()
                .filter_map(|part| {
                    let lowest = part.iter().map(place).min()?;
                    Some((lowest, part.iter().map(place).max()?))
                })
                .collect();
            let ascend = places.is_sorted_by(|a, b| a.1 < b.0);
            let in_order = split.iter().all(|part| {
                part.is_sorted_by(|a, b| a.compare(b, &bytes).is_ne() || a.key <= b.key)
            });
            ascend && in_order && split.iter().map(Vec::len).sum::<usize>() == count
        }
    }
}
