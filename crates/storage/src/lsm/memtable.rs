//! Memtables: what has been committed and not yet written to a table, in a skip list.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    ops::Bound,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use crossbeam_skiplist::{SkipMap, map::Entry};

use super::space::TableSpace;
use crate::{btree::TreeEntry, cursor::VersionRef, lsn::Lsn, shared, sync::atomic::AtomicBool};

/// Bytes counted for a version besides key and value: its node in the skip list.
const NODE: usize = 96;
/// Bytes counted for a buffer besides keys and values: who shares it, and what the allocator needs.
const BUFFER: usize = 32;

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
/// that putting one in allocates its node only.
struct KeptVersion {
    /// Short keys are compared without a look at the buffer, and most long ones.
    head: Head,
    lsn: Lsn,
    buffer: Arc<[u8]>,
    place: KeptPlace,
}

/// Where a version lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptPlace {
    key: u32,
    key_end: u32,
    /// Where the value ends, which begins behind the key; [`TOMBSTONE`] where there is none.
    end: u32,
}

/// No value.
const TOMBSTONE: u32 = u32::MAX;

impl KeptPlace {
    /// The place at `start` of a version of that key and value. A buffer is shorter than 4 GiB: it
    /// holds one version, or little.
    #[inline]
    pub(super) fn at(start: usize, key: &[u8], value: Option<&[u8]>) -> KeptPlace {
        let key_end = start + key.len();
        KeptPlace {
            key: start as u32,
            key_end: key_end as u32,
            end: value.map_or(TOMBSTONE, |value| (key_end + value.len()) as u32),
        }
    }

    #[inline]
    pub(super) fn key_in(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.key as usize..self.key_end as usize]
    }

    /// The value, or `None` for a tombstone.
    #[inline]
    pub(super) fn value_in(self, buffer: &[u8]) -> Option<&[u8]> {
        (self.end != TOMBSTONE).then(|| &buffer[self.key_end as usize..self.end as usize])
    }
}

impl fmt::Debug for KeptVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.key(), self.lsn)
    }
}

impl KeptVersion {
    #[inline]
    fn key(&self) -> &[u8] {
        self.place.key_in(&self.buffer)
    }

    /// The value, or `None` for a tombstone.
    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.place.value_in(&self.buffer)
    }
}

/// A version where it lies in a memtable: who reads it there need not count as one who holds the
/// buffer of its batch, at which all readers of the batch would meet.
#[derive(Debug)]
pub(super) struct MemoryVersion<'a>(Entry<'a, KeptVersion, ()>);

impl MemoryVersion<'_> {
    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        self.0.key().key()
    }

    #[inline]
    pub(super) fn lsn(&self) -> Lsn {
        self.0.key().lsn
    }

    /// The value, or `None` for a tombstone.
    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.0.key().value()
    }

    /// As all engines show it.
    #[inline]
    pub(super) fn version(&self) -> VersionRef<'_> {
        let kept = self.0.key();
        VersionRef {
            key: kept.key(),
            lsn: kept.lsn,
            value: kept.value(),
        }
    }

    /// The buffer that it lies in, and where.
    pub(super) fn shared(&self) -> (Arc<[u8]>, KeptPlace) {
        let kept = self.0.key();
        (Arc::clone(&kept.buffer), kept.place)
    }

    /// The next version of the memtable.
    #[inline]
    pub(super) fn next(self) -> Option<Self> {
        self.0.next().map(MemoryVersion)
    }

    /// The one before.
    #[inline]
    pub(super) fn previous(self) -> Option<Self> {
        self.0.prev().map(MemoryVersion)
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

impl Placed for KeptVersion {
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

impl PartialEq for KeptVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for KeptVersion {}

impl PartialOrd for KeptVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeptVersion {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().order(other.place())
    }
}

impl<'a> Borrow<dyn Placed + 'a> for KeptVersion {
    #[inline]
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

/// Versions in memory. All methods may be called from any number of threads.
pub(crate) struct Memtable {
    versions: SkipMap<KeptVersion, ()>,
    bytes: AtomicUsize,
    /// The oldest commit that has written to it.
    oldest: AtomicU64,
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
            oldest: AtomicU64::new(Lsn::MAX.0),
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

    /// The oldest commit that has written to it; [`Lsn::MAX`] where none has. Exact for commits that
    /// are visible.
    pub(super) fn oldest(&self) -> Lsn {
        Lsn(self.oldest.load(Relaxed))
    }

    /// Versions in it.
    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }

    /// Adds a version at `lsn` of each entry's key. One that is there already stays as it is.
    pub(super) fn apply(&self, entries: &[TreeEntry<'_>], lsn: Lsn) {
        // Commits come in their order, nearly: a look is mostly enough.
        if lsn.0 < self.oldest.load(Relaxed) {
            self.oldest.fetch_min(lsn.0, Relaxed);
        }
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
        let mut buffer = shared::zeroed(parts.clone().map(<[u8]>::len).sum());
        let mut rest = Arc::make_mut(&mut buffer);
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        let mut start = 0;
        for entry in entries {
            let version = KeptVersion {
                head: head_of(entry.key),
                lsn,
                buffer: Arc::clone(&buffer),
                place: KeptPlace::at(start, entry.key, entry.value),
            };
            start += entry.key.len() + entry.value.map_or(0, <[u8]>::len);
            self.versions.get_or_insert(version, ());
        }
        BUFFER + buffer.len() + entries.len() * NODE
    }

    /// The newest version of `key` at or below `at`.
    #[inline]
    pub(super) fn find(&self, key: &[u8], at: Lsn) -> Option<MemoryVersion<'_>> {
        let place = Place::new(key, at);
        let start: Bound<&dyn Placed> = Bound::Included(&place);
        let found = self.versions.lower_bound::<dyn Placed + '_>(start)?;
        let version = found.key();
        (version.head == place.head && version.key() == key).then(|| MemoryVersion(found))
    }

    /// The first version.
    pub(super) fn first(&self) -> Option<MemoryVersion<'_>> {
        self.versions.front().map(MemoryVersion)
    }

    /// Whether it has keys from `first` to `last`.
    pub(super) fn overlaps(&self, first: &[u8], last: &[u8]) -> bool {
        let place = Place::new(first, Lsn::MAX);
        let start: Bound<&dyn Placed> = Bound::Included(&place);
        let found = self.versions.lower_bound::<dyn Placed + '_>(start);
        found.is_some_and(|found| found.key().key() <= last)
    }

    /// The first version from a place on, that one included or not.
    pub(super) fn from(&self, place: Bound<(&[u8], Lsn)>) -> Option<MemoryVersion<'_>> {
        let place = place.map(|(key, lsn)| Place::new(key, lsn));
        let start = place.as_ref().map(|place| place as &dyn Placed);
        let found = self.versions.lower_bound::<dyn Placed + '_>(start);
        found.map(MemoryVersion)
    }

    /// The last version before a place, or of all.
    pub(super) fn before(&self, place: Option<(&[u8], Lsn)>) -> Option<MemoryVersion<'_>> {
        let place = place.map(|(key, lsn)| Place::new(key, lsn));
        let end: Bound<&dyn Placed> = match &place {
            None => Bound::Unbounded,
            Some(place) => Bound::Excluded(place),
        };
        let found = self.versions.upper_bound::<dyn Placed + '_>(end);
        found.map(MemoryVersion)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::{
        codec::Codec,
        cursor::VersionCursor,
        lsm::{memory_cursor::MemoryCursor, range::Range, tests::space},
        store::{Direction, KeyRange},
        vfs_memory::MemoryVfs,
    };

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

    fn memtable() -> Arc<Memtable> {
        Arc::new(Memtable::new(&space(&MemoryVfs::new(), Codec::None)))
    }

    /// Who holds the buffer that the versions of the first batch share.
    fn holders(memtable: &Memtable) -> usize {
        let first = memtable.versions.front().unwrap();
        Arc::strong_count(&first.key().buffer)
    }

    /// Readers of a batch do not meet at a count of who reads it.
    #[test]
    fn small_versions_are_read_without_counting_readers() {
        let memtable = memtable();
        let keys: Vec<[u8; 2]> = (0..100_u8).map(|number| [7, number]).collect();
        let entries: Vec<_> = keys
            .iter()
            .map(|key| TreeEntry {
                key,
                value: Some(&[1; 100]),
            })
            .collect();
        memtable.apply(&entries, Lsn(1));
        assert_eq!(holders(&memtable), 100);
        let found = memtable.find(&[7, 50], Lsn(9)).unwrap();
        let range = Range::new(KeyRange::all(), Direction::Forward);
        let mut cursor = MemoryCursor::new(&memtable, range);
        assert!(cursor.advance().unwrap());
        assert_eq!(holders(&memtable), 100);
        assert_eq!(found.value(), Some(&[1; 100][..]));
        assert_eq!(cursor.version().value, found.value());
    }

    #[test]
    fn nothing_is_a_key_and_a_value() {
        let memtable = memtable();
        let (put, deletion) = (Some(&[][..]), None);
        memtable.apply(
            &[TreeEntry {
                key: &[],
                value: put,
            }],
            Lsn(1),
        );
        memtable.apply(
            &[TreeEntry {
                key: &[],
                value: deletion,
            }],
            Lsn(2),
        );
        assert_eq!(memtable.find(&[], Lsn(1)).unwrap().value(), put);
        assert_eq!(memtable.find(&[], Lsn(2)).unwrap().value(), None);
        let range = Range::new(KeyRange::all(), Direction::Forward);
        let mut cursor = MemoryCursor::new(&memtable, range);
        assert_eq!(cursor.next_version().unwrap().unwrap().value, None);
        assert_eq!(cursor.next_version().unwrap().unwrap().value, put);
        assert!(cursor.next_version().unwrap().is_none());
    }

    /// Small and large versions, keys with many of them, more than are fetched at once.
    #[test]
    fn cursors_show_what_a_sorted_list_does() {
        let mut random = fastrand::Rng::with_seed(5);
        for round in 0..20_u64 {
            let memtable = memtable();
            let keys = 1 + random.u64(..400);
            let mut listed: Vec<(Vec<u8>, u64, Option<Vec<u8>>)> = Vec::new();
            for lsn in 1..=random.u64(1..2500) {
                let key = match random.u8(..4) {
                    0 => b"popular".to_vec(),
                    _ => random.u64(..keys).to_be_bytes().to_vec(),
                };
                let len = [0, 9, 300, 1500][random.usize(..4)];
                let value = (random.u8(..5) > 0).then(|| vec![lsn as u8; len]);
                let entry = TreeEntry {
                    key: &key,
                    value: value.as_deref(),
                };
                memtable.apply(&[entry], Lsn(lsn));
                listed.push((key, lsn, value));
            }
            for direction in [Direction::Forward, Direction::Backward] {
                listed.sort_by(|a, b| {
                    let keys = match direction {
                        Direction::Forward => a.0.cmp(&b.0),
                        Direction::Backward => b.0.cmp(&a.0),
                    };
                    keys.then(b.1.cmp(&a.1))
                });
                let range = Range::new(KeyRange::all(), direction);
                let mut cursor = MemoryCursor::new(&memtable, range);
                let mut from = 0;
                for _ in 0..3 {
                    for (key, lsn, value) in &listed[from..] {
                        let found = cursor.next_version().unwrap().unwrap();
                        let expected = VersionRef {
                            key,
                            lsn: Lsn(*lsn),
                            value: value.as_deref(),
                        };
                        assert_eq!(found, expected, "round {round}");
                    }
                    assert!(cursor.next_version().unwrap().is_none());
                    let sought = listed[random.usize(..listed.len())].0.clone();
                    cursor.seek(&sought).unwrap();
                    from = listed.iter().position(|(key, ..)| *key == sought).unwrap();
                }
            }
        }
    }

    /// Small, because an interpreter that looks for undefined behaviour runs it too.
    #[test]
    fn readers_see_whole_versions_while_others_arrive() {
        const KEYS: u8 = 12;
        let memtable = memtable();
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
