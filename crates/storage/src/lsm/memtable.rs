//! Memtables: what has been committed and not yet written to a table, in a skip list.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::VecDeque,
    fmt,
    ops::Bound,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
};

use crossbeam_skiplist::SkipMap;

use super::{
    block::compare,
    range::{Range, Start},
    space::TableSpace,
};
use crate::{
    btree::TreeEntry,
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    store::Direction,
};

/// Bytes counted for a version besides key and value: its node in the skip list.
const NODE: usize = 88;

/// Bytes of keys and values that share an allocation, about.
const CHUNK: usize = 256 << 10;

/// A version in a memtable. Key and value lie in a buffer that the versions of a batch share, so
/// that putting one in allocates its node only. Cheap to clone.
#[derive(Clone)]
pub(super) struct MemoryVersion {
    /// The key's first bytes: most comparisons end here, without a look at the buffer.
    head: u64,
    lsn: Lsn,
    buffer: Arc<[u8]>,
    key: (u32, u32),
    /// Where the value ends; it begins behind the key. 0 for a tombstone.
    end: u32,
}

impl fmt::Debug for MemoryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.key(), self.lsn)
    }
}

/// The first eight bytes of a key as a number of the same order.
#[inline]
fn head_of(key: &[u8]) -> u64 {
    if let Some(head) = key.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(head)
}

impl MemoryVersion {
    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.buffer[self.key.0 as usize..self.key.1 as usize]
    }

    #[inline]
    pub(super) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The value, or `None` for a tombstone.
    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        (self.end != 0).then(|| &self.buffer[self.key.1 as usize..self.end as usize])
    }
}

/// A place in the order of versions, for looking up without making a version.
trait Place {
    fn head(&self) -> u64;
    fn parts(&self) -> (&[u8], Lsn);
}

impl Place for MemoryVersion {
    #[inline]
    fn head(&self) -> u64 {
        self.head
    }

    #[inline]
    fn parts(&self) -> (&[u8], Lsn) {
        (self.key(), self.lsn)
    }
}

struct Probe<'a> {
    head: u64,
    key: &'a [u8],
    lsn: Lsn,
}

impl Probe<'_> {
    fn new(key: &[u8], lsn: Lsn) -> Probe<'_> {
        Probe {
            head: head_of(key),
            key,
            lsn,
        }
    }
}

impl Place for Probe<'_> {
    #[inline]
    fn head(&self) -> u64 {
        self.head
    }

    #[inline]
    fn parts(&self) -> (&[u8], Lsn) {
        (self.key, self.lsn)
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Place + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let heads = self.head().cmp(&other.head());
        heads.then_with(|| compare(self.parts(), other.parts()))
    }
}

impl PartialEq for MemoryVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for MemoryVersion {}

impl PartialOrd for MemoryVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MemoryVersion {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let heads = self.head.cmp(&other.head);
        heads.then_with(|| compare(self.parts(), other.parts()))
    }
}

impl<'a> Borrow<dyn Place + 'a> for MemoryVersion {
    #[inline]
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

/// Versions in memory. All methods may be called from any number of threads.
pub(crate) struct Memtable {
    versions: SkipMap<MemoryVersion, ()>,
    bytes: AtomicUsize,
    /// Whether it counts no more: it is in a table, and only readers that began before that
    /// still hold it.
    written_out: AtomicBool,
    space: Arc<TableSpace>,
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("versions", &self.versions.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        self.count_out();
    }
}

impl Memtable {
    pub(super) fn new(space: &Arc<TableSpace>) -> Memtable {
        Memtable {
            versions: SkipMap::new(),
            bytes: AtomicUsize::new(0),
            written_out: AtomicBool::new(false),
            space: Arc::clone(space),
        }
    }

    /// Says that it is in a table now.
    pub(super) fn count_out(&self) {
        if !self.written_out.swap(true, AcqRel) {
            self.space.shrink_memtables(self.bytes());
        }
    }

    /// Bytes that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Versions in it.
    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }

    /// Adds a version at `lsn` of each entry's key. One that is there already stays as it is.
    pub(super) fn apply(&self, entries: &[TreeEntry<'_>], lsn: Lsn) {
        let size = |entry: &TreeEntry<'_>| entry.key.len() + entry.value.map_or(0, <[u8]>::len);
        let mut rest = entries;
        let mut added = 0;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|entry| {
                let fits = bytes == 0 || bytes + size(entry) <= CHUNK;
                bytes += size(entry);
                fits
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            rest = later;
            added += self.apply_chunk(now, lsn);
        }
        self.bytes.fetch_add(added, Relaxed);
        self.space.grow_memtables(added);
    }

    fn apply_chunk(&self, entries: &[TreeEntry<'_>], lsn: Lsn) -> usize {
        let parts = entries
            .iter()
            .flat_map(|entry| [entry.key, entry.value.unwrap_or_default()]);
        let bytes: Vec<u8> = match entries {
            [one] if one.value.is_none() => one.key.to_vec(),
            _ => {
                let mut bytes = Vec::with_capacity(parts.clone().map(<[u8]>::len).sum());
                parts.for_each(|part| bytes.extend_from_slice(part));
                bytes
            }
        };
        let buffer: Arc<[u8]> = Arc::from(bytes);
        let mut start = 0_u32;
        for entry in entries {
            let key_end = start + entry.key.len() as u32;
            let end = key_end + entry.value.map_or(0, <[u8]>::len) as u32;
            let version = MemoryVersion {
                head: head_of(entry.key),
                lsn,
                buffer: Arc::clone(&buffer),
                key: (start, key_end),
                end: if entry.value.is_some() { end } else { 0 },
            };
            start = end;
            self.versions.get_or_insert(version, ());
        }
        buffer.len() + entries.len() * NODE
    }

    /// The newest version of `key` at or below `at`.
    #[inline]
    pub(super) fn find(&self, key: &[u8], at: Lsn) -> Option<MemoryVersion> {
        let probe = Probe::new(key, at);
        let place: &dyn Place = &probe;
        let found = self
            .versions
            .lower_bound::<dyn Place + '_>(Bound::Included(place))?;
        let version = found.key();
        (version.head == probe.head && version.key() == key).then(|| version.clone())
    }

    /// The versions from a place on, that one included or not.
    fn from(&self, place: Bound<(&[u8], Lsn)>, wanted: usize, into: &mut VecDeque<MemoryVersion>) {
        let probe;
        let start: Bound<&dyn Place> = match place {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included((key, lsn)) => {
                probe = Probe::new(key, lsn);
                Bound::Included(&probe)
            }
            Bound::Excluded((key, lsn)) => {
                probe = Probe::new(key, lsn);
                Bound::Excluded(&probe)
            }
        };
        let mut next = self.versions.lower_bound::<dyn Place + '_>(start);
        while let Some(entry) = next
            && into.len() < wanted
        {
            into.push_back(entry.key().clone());
            next = entry.next();
        }
    }

    /// The versions before a place, backward by key, the newest first within a key; whole keys,
    /// at least `wanted` versions if there are.
    fn before(
        &self,
        place: Option<(&[u8], Lsn)>,
        wanted: usize,
        into: &mut VecDeque<MemoryVersion>,
    ) {
        let probe;
        let end: Bound<&dyn Place> = match place {
            None => Bound::Unbounded,
            Some((key, lsn)) => {
                probe = Probe::new(key, lsn);
                Bound::Excluded(&probe)
            }
        };
        let mut next = self.versions.upper_bound::<dyn Place + '_>(end);
        let mut group: Vec<MemoryVersion> = Vec::new();
        while let Some(entry) = next {
            let version = entry.key();
            if group.last().is_some_and(|last| last.key() != version.key()) {
                into.extend(group.drain(..).rev());
                if into.len() >= wanted {
                    return;
                }
            }
            group.push(version.clone());
            next = entry.prev();
        }
        into.extend(group.drain(..).rev());
    }
}

/// Versions that a cursor takes out of the skip list at once.
const FETCH: usize = 32;

/// Walks the versions of a memtable.
#[derive(Debug)]
pub(super) struct MemoryCursor {
    memtable: Arc<Memtable>,
    range: Range,
    fetched: VecDeque<MemoryVersion>,
    current: Option<MemoryVersion>,
    begun: bool,
    exhausted: bool,
}

impl MemoryCursor {
    pub(super) fn new(memtable: &Arc<Memtable>, range: Range) -> MemoryCursor {
        MemoryCursor {
            memtable: Arc::clone(memtable),
            range,
            fetched: VecDeque::new(),
            current: None,
            begun: false,
            exhausted: false,
        }
    }

    fn fetch(&mut self) {
        let from = match &self.current {
            Some(last) => Start::Behind(last.key(), last.lsn()),
            None => self.range.start(),
        };
        match self.range.direction {
            Direction::Forward => {
                let place = match from {
                    Start::Beginning => Bound::Unbounded,
                    Start::At(key, lsn) => Bound::Included((key, lsn)),
                    Start::Behind(key, lsn) => Bound::Excluded((key, lsn)),
                };
                self.memtable.from(place, FETCH, &mut self.fetched);
            }
            Direction::Backward => {
                let place = match from {
                    Start::Beginning => None,
                    Start::At(key, lsn) => Some((key, lsn)),
                    // Whole keys are fetched: the next one is before all versions of this.
                    Start::Behind(key, _) => Some((key, Lsn::MAX)),
                };
                self.memtable.before(place, FETCH, &mut self.fetched);
            }
        }
        self.exhausted = self.fetched.is_empty();
    }
}

impl VersionCursor for MemoryCursor {
    fn advance(&mut self) -> Result<bool> {
        self.begun = true;
        if self.fetched.is_empty() && !self.exhausted {
            self.fetch();
        }
        match self.fetched.pop_front() {
            Some(version) if self.range.holds(version.key()) => {
                self.current = Some(version);
                Ok(true)
            }
            _ => {
                self.fetched.clear();
                self.exhausted = true;
                Ok(false)
            }
        }
    }

    fn version(&self) -> VersionRef<'_> {
        match &self.current {
            Some(version) => VersionRef {
                key: version.key(),
                lsn: version.lsn(),
                value: version.value(),
            },
            None => VersionRef::NOTHING,
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.range.seek(key);
        self.fetched.clear();
        self.current = None;
        self.exhausted = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::Codec, lsm::tests::space, store::KeyRange, vfs_memory::MemoryVfs};

    /// Small, because an interpreter that looks for undefined behaviour runs it too.
    #[test]
    fn readers_see_whole_versions_while_others_arrive() {
        const KEYS: u8 = 12;
        let memtable = Arc::new(Memtable::new(&space(&MemoryVfs::new(), Codec::None)));
        let write = |lsn: u64| {
            for key in 0..KEYS {
                let value = [lsn as u8; 9];
                let entry = TreeEntry {
                    key: &[key, key],
                    value: (key != 5).then_some(&value[..]),
                };
                memtable.apply(&[entry], Lsn(lsn));
            }
        };
        let read = || {
            for key in 0..KEYS {
                if let Some(version) = memtable.find(&[key, key], Lsn(3)) {
                    assert_eq!(version.key(), [key, key]);
                    assert!((1..=3).contains(&version.lsn().0));
                    let value = [version.lsn().0 as u8; 9];
                    assert_eq!(version.value(), (key != 5).then_some(&value[..]));
                }
            }
            let range = Range::new(KeyRange::all(), Direction::Backward);
            let mut cursor = MemoryCursor::new(&memtable, range);
            let mut last = [u8::MAX; 2];
            while let Some(version) = cursor.next_version().unwrap() {
                assert!(version.key <= &last[..]);
                last.copy_from_slice(version.key);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| (1..3).for_each(write));
            scope.spawn(|| (3..5).for_each(write));
            read();
            read();
        });
        assert_eq!(memtable.len(), 4 * usize::from(KEYS));
        let newest = memtable.find(&[7, 7], Lsn::MAX).unwrap();
        assert_eq!(newest.lsn(), Lsn(4));
    }
}
