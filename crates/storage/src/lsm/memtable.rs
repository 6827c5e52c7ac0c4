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
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use crossbeam_skiplist::SkipMap;

use super::{
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
const NODE: usize = 96;

/// Bytes of keys and values that share an allocation, about.
const CHUNK: usize = 256 << 10;

/// A key's first sixteen bytes, filled up with zeros, as two numbers of the same order.
type Head = [u64; 2];

/// Bytes of a key that its [`Head`] holds.
const HEAD: usize = size_of::<Head>();

#[inline]
fn head_of(key: &[u8]) -> Head {
    let mut head = [0; HEAD];
    match key.first_chunk() {
        Some(first) => head = *first,
        None => head[..key.len()].copy_from_slice(key),
    }
    let number = u128::from_be_bytes(head);
    [(number >> 64) as u64, number as u64]
}

/// A version in a memtable. Key and value lie in a buffer that the versions of a batch share, so
/// that putting one in allocates its node only. Cheap to clone.
#[derive(Clone)]
pub(super) struct MemoryVersion {
    /// Short keys are compared without a look at the buffer, and most long ones.
    head: Head,
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

/// A place in the order of versions, which need not be there.
#[derive(Clone, Copy)]
struct Place<'a> {
    head: Head,
    key: &'a [u8],
    lsn: Lsn,
}

impl<'a> Place<'a> {
    #[inline]
    fn new(key: &'a [u8], lsn: Lsn) -> Place<'a> {
        Place {
            head: head_of(key),
            key,
            lsn,
        }
    }

    /// By key, of one key the newest version first.
    #[inline]
    fn order(self, other: Place<'_>) -> Ordering {
        let keys = self.head.cmp(&other.head).then_with(|| {
            if self.key.len() <= HEAD && other.key.len() <= HEAD {
                // All that one of them has more is zeros.
                self.key.len().cmp(&other.key.len())
            } else {
                self.key.cmp(other.key)
            }
        });
        keys.then_with(|| other.lsn.cmp(&self.lsn))
    }
}

/// What has a place: how the skip list is asked for a place without making a version.
trait Placed {
    fn place(&self) -> Place<'_>;
}

impl Placed for MemoryVersion {
    #[inline]
    fn place(&self) -> Place<'_> {
        Place {
            head: self.head,
            key: self.key(),
            lsn: self.lsn,
        }
    }
}

impl Placed for Place<'_> {
    #[inline]
    fn place(&self) -> Place<'_> {
        *self
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Placed + '_ {}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Placed + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().order(other.place())
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
        self.place().order(other.place())
    }
}

impl<'a> Borrow<dyn Placed + 'a> for MemoryVersion {
    #[inline]
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

/// Versions in memory. All methods may be called from any number of threads.
pub(crate) struct Memtable {
    versions: SkipMap<MemoryVersion, ()>,
    bytes: AtomicUsize,
    /// Whether it counts no more: it is in a table, or its keyspace is gone, and only readers that
    /// began before that still hold it.
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

    /// Says that it is in a table now, or never will be. Nothing is added to it meanwhile.
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
        // A batch may write to a keyspace and drop it, which comes first.
        if !self.written_out.load(Acquire) {
            self.space.grow_memtables(added);
        }
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
        let place = Place::new(key, at);
        let start: Bound<&dyn Placed> = Bound::Included(&place);
        let found = self.versions.lower_bound::<dyn Placed + '_>(start)?;
        let version = found.key();
        (version.head == place.head && version.key() == key).then(|| version.clone())
    }

    /// The versions from a place on, that one included or not.
    fn from(&self, place: Bound<(&[u8], Lsn)>, wanted: usize, into: &mut VecDeque<MemoryVersion>) {
        let place = place.map(|(key, lsn)| Place::new(key, lsn));
        let start = place.as_ref().map(|place| place as &dyn Placed);
        let mut next = self.versions.lower_bound::<dyn Placed + '_>(start);
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
        let place = place.map(|(key, lsn)| Place::new(key, lsn));
        let end: Bound<&dyn Placed> = match &place {
            None => Bound::Unbounded,
            Some(place) => Bound::Excluded(place),
        };
        let mut next = self.versions.upper_bound::<dyn Placed + '_>(end);
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
    use quickcheck::quickcheck;

    use super::*;
    use crate::{codec::Codec, lsm::tests::space, store::KeyRange, vfs_memory::MemoryVfs};

    quickcheck! {
        /// Keys around the length of a head, of few different bytes, so that heads are often alike.
        fn places_are_in_the_order_of_versions(
            a: (Vec<u8>, u8), b: (Vec<u8>, u8), shared: u8
        ) -> bool {
            let key = |own: &[u8]| {
                let mut key = vec![1; usize::from(shared % 18)];
                key.extend(own.iter().take(4).map(|byte| byte % 3));
                key
            };
            let (x, y) = (key(&a.0), key(&b.0));
            let (x, y) = ((&x[..], Lsn(u64::from(a.1 % 3))), (&y[..], Lsn(u64::from(b.1 % 3))));
            let order = Place::new(x.0, x.1).order(Place::new(y.0, y.1));
            order == super::super::block::compare(x, y)
        }
    }

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
