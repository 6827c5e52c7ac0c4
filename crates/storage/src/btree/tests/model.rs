//! Random operations against a `BTreeMap`.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound, sync::Arc};

use fastrand::Rng;
use quickcheck::TestResult;

use super::{BTree, Disk, PageStore, TreeEntry, assert_sound, get};
use crate::{
    cursor::{SnapshotCursor, VersionCursor},
    lsn::Lsn,
    store::{Direction, KeyRange},
};

type Versions = BTreeMap<(Vec<u8>, Reverse<u64>), Option<Vec<u8>>>;
type Change = (Vec<u8>, Option<Vec<u8>>);

/// What kind of keys and values a run uses.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Short keys, short values.
    Small,
    /// Few keys that get many versions.
    Hot,
    /// Ascending keys.
    Ascending,
    /// Keys with long shared beginnings, some longer than a node keeps.
    Long,
    /// Values up to several pages.
    Bulky,
}

const SHAPES: [Shape; 5] = [
    Shape::Small,
    Shape::Hot,
    Shape::Ascending,
    Shape::Long,
    Shape::Bulky,
];

fn random_key(rng: &mut Rng, shape: Shape, counter: &mut u64) -> Vec<u8> {
    match shape {
        Shape::Small | Shape::Bulky => {
            let len = rng.usize(..12);
            (0..len)
                .map(|_| rng.choice([0, b'a', b'b', 0xff]).unwrap())
                .collect()
        }
        Shape::Hot => vec![b'k'; rng.usize(..4)],
        Shape::Ascending => {
            *counter += rng.u64(..3);
            let mut key = b"table/".to_vec();
            key.extend_from_slice(&counter.to_be_bytes());
            key
        }
        Shape::Long => {
            let len = *rng.choice(&[1, 60, 61, 62, 63, 64, 65, 200, 3000]).unwrap();
            let mut key = vec![b'p'; len];
            for _ in 0..rng.usize(..3) {
                let at = if rng.bool() {
                    len - 1
                } else {
                    rng.usize(..len)
                };
                key[at] = *rng.choice(&[0, b'o', b'q', 0xff]).unwrap();
            }
            key
        }
    }
}

fn random_value(rng: &mut Rng, shape: Shape) -> Option<Vec<u8>> {
    if rng.u8(..5) == 0 {
        return None;
    }
    let len = match shape {
        Shape::Small | Shape::Ascending | Shape::Hot => rng.usize(..60),
        Shape::Long => rng.usize(..300),
        Shape::Bulky => *rng
            .choice(&[0, 1, 127, 128, 150, 180, 181, 190, 200, 960, 980, 4000])
            .unwrap(),
    };
    let byte = rng.u8(..);
    Some(vec![byte; len])
}

struct Run {
    rng: Rng,
    shape: Shape,
    counter: u64,
    disk: Disk,
    pages: Arc<PageStore>,
    tree: BTree,
    model: Versions,
    /// The highest watermark that was used.
    watermark: u64,
    lsn: u64,
    applied: Vec<(u64, Vec<Change>)>,
    pruned: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut rng = Rng::with_seed(seed);
        let shape = *rng.choice(&SHAPES).unwrap();
        // Often far fewer pages in memory than the tree has.
        let disk = Disk::new(if rng.bool() { 24 } else { 10_000 });
        let pages = disk.create();
        let tree = BTree::create(Arc::clone(&pages)).unwrap();
        Run {
            rng,
            shape,
            counter: 0,
            disk,
            pages,
            tree,
            model: Versions::new(),
            watermark: 0,
            lsn: 1,
            applied: Vec::new(),
            pruned: false,
        }
    }

    fn batch(&mut self) -> Vec<Change> {
        let len = if self.rng.u8(..4) == 0 { 60 } else { 5 };
        let changes: BTreeMap<_, _> = (0..self.rng.usize(1..=len))
            .map(|_| {
                let key = random_key(&mut self.rng, self.shape, &mut self.counter);
                (key, random_value(&mut self.rng, self.shape))
            })
            .collect();
        changes.into_iter().collect()
    }

    fn apply(&mut self, lsn: u64, changes: &[Change]) {
        let entries: Vec<TreeEntry<'_>> = changes
            .iter()
            .map(|(key, value)| TreeEntry {
                key,
                value: value.as_deref(),
            })
            .collect();
        self.tree
            .apply(&entries, Lsn(lsn), Lsn(self.watermark))
            .unwrap();
        for (key, value) in changes {
            self.model
                .insert((key.clone(), Reverse(lsn)), value.clone());
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..22) {
            0..=9 => {
                let lsn = self.lsn;
                self.lsn += 1;
                let changes = self.batch();
                self.apply(lsn, &changes);
                self.applied.push((lsn, changes));
            }
            10..=11 => {
                // Two commits that are applied in the wrong order.
                let (first, second) = (self.batch(), self.batch());
                self.apply(self.lsn + 1, &second);
                self.apply(self.lsn, &first);
                self.applied.push((self.lsn, first));
                self.applied.push((self.lsn + 1, second));
                self.lsn += 2;
            }
            12 => {
                // The log is replayed from somewhere on.
                let from = self.rng.usize(..=self.applied.len());
                let from = from.max(self.applied.len().saturating_sub(5));
                for (lsn, changes) in self.applied.split_off(from) {
                    self.apply(lsn, &changes);
                    self.applied.push((lsn, changes));
                }
            }
            13 => {
                // Delete what is there.
                let keys: BTreeMap<Vec<u8>, Option<Vec<u8>>> = self
                    .model
                    .keys()
                    .map(|(key, _)| (key.clone(), None))
                    .collect();
                let skip = self.rng.usize(..=keys.len());
                let take = self.rng.usize(..=keys.len());
                let changes: Vec<Change> = keys.into_iter().skip(skip).take(take).collect();
                let lsn = self.lsn;
                self.lsn += 1;
                self.apply(lsn, &changes);
                self.applied.push((lsn, changes));
            }
            14 => {
                self.watermark = self.rng.u64(self.watermark..self.lsn);
                self.pruned = true;
            }
            15 => {
                self.watermark = self.rng.u64(self.watermark..self.lsn);
                self.pruned = true;
                let watermark = Lsn(self.watermark);
                let packs = self.rng.bool();
                let (mut at, mut packed) = (None, None);
                loop {
                    let leaves = self.rng.usize(1..4);
                    let goes_on = if packs {
                        packed = self.tree.pack(watermark, packed, leaves).unwrap();
                        packed.is_some()
                    } else {
                        at = self.tree.prune(watermark, at, leaves).unwrap();
                        at.is_some()
                    };
                    if !goes_on || self.rng.u8(..10) == 0 {
                        break;
                    }
                }
            }
            16 => self.check_gets(),
            17 => self.check_raw_scan(),
            18 => self.check_seeks(),
            19 => self.checkpoint(),
            20 => {
                self.checkpoint();
                self.pages = self.disk.reopen();
                self.tree = BTree::open(Arc::clone(&self.pages), self.tree.root());
            }
            _ => self.check_scans(),
        }
    }

    fn checkpoint(&self) {
        let frozen = self.pages.freeze(Lsn(self.lsn), Vec::new()).unwrap();
        self.pages.write_checkpoint(frozen).unwrap();
    }

    /// A snapshot that may exist.
    fn snapshot(&mut self) -> u64 {
        self.rng.u64(self.watermark..=self.lsn)
    }

    fn visible(&self, at: u64) -> BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)> {
        let mut seen = BTreeMap::new();
        for ((key, Reverse(lsn)), value) in &self.model {
            if *lsn <= at && !seen.contains_key(key) {
                seen.insert(key.clone(), (*lsn, value.clone()));
            }
        }
        seen
    }

    fn check_gets(&mut self) {
        let at = self.snapshot();
        let visible = self.visible(at);
        let mut keys: Vec<Vec<u8>> = self.model.keys().map(|(key, _)| key.clone()).collect();
        for _ in 0..10 {
            keys.push(random_key(&mut self.rng, self.shape, &mut self.counter));
        }
        for key in keys {
            match (visible.get(&key), get(&self.tree, &key, at)) {
                // A tombstone below the watermark may be gone.
                (Some((_, None)), None) => {}
                (expected, found) => assert_eq!(found.as_ref(), expected, "key {key:?} at {at}"),
            }
        }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        let key = if self.rng.bool() && !self.model.is_empty() {
            let index = self.rng.usize(..self.model.len());
            self.model.keys().nth(index).unwrap().0.clone()
        } else {
            random_key(&mut self.rng, self.shape, &mut self.counter)
        };
        match self.rng.u8(..3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    }

    fn range(&mut self) -> (KeyRange, Direction) {
        let range = KeyRange {
            start: self.bound(),
            end: self.bound(),
        };
        let direction = if self.rng.bool() {
            Direction::Forward
        } else {
            Direction::Backward
        };
        (range, direction)
    }

    fn contains(range: &KeyRange, key: &[u8]) -> bool {
        (match &range.start {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= start.as_slice(),
            Bound::Excluded(start) => key > start.as_slice(),
        }) && (match &range.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end.as_slice(),
            Bound::Excluded(end) => key < end.as_slice(),
        })
    }

    fn expected(&self, at: u64, range: &KeyRange, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows: Vec<_> = self
            .visible(at)
            .into_iter()
            .filter(|(key, _)| Run::contains(range, key))
            .filter_map(|(key, (_, value))| value.map(|value| (key, value)))
            .collect();
        if direction == Direction::Backward {
            rows.reverse();
        }
        rows
    }

    fn check_scans(&mut self) {
        let (range, direction) = self.range();
        let at = self.snapshot();
        let mut cursor = SnapshotCursor::new(self.tree.cursor(range.clone(), direction), Lsn(at));
        let (mut found, most) = (Vec::new(), self.rng.usize(1..40));
        loop {
            let some = cursor.next_entries(self.rng.usize(1..=most)).unwrap();
            if some.is_empty() {
                break;
            }
            found.extend(some);
        }
        assert_eq!(
            found,
            self.expected(at, &range, direction),
            "{range:?} {direction:?} at {at}"
        );
    }

    fn check_seeks(&mut self) {
        let (range, direction) = self.range();
        let at = self.snapshot();
        let expected = self.expected(at, &range, direction);
        let mut cursor = SnapshotCursor::new(self.tree.cursor(range.clone(), direction), Lsn(at));
        for _ in 0..10 {
            let key = match self.bound() {
                Bound::Included(key) | Bound::Excluded(key) => key,
                Bound::Unbounded => Vec::new(),
            };
            cursor.seek(&key).unwrap();
            let mut rest = expected
                .iter()
                .filter(|row| match direction {
                    Direction::Forward => row.0 >= key,
                    Direction::Backward => row.0 <= key,
                })
                .take(self.rng.usize(..20));
            let mut rest: Vec<_> = rest.by_ref().cloned().collect();
            while !rest.is_empty() {
                let most = self.rng.usize(1..=rest.len());
                let found = cursor.next_entries(most).unwrap();
                let next: Vec<_> = rest.drain(..most).collect();
                assert_eq!(found, next, "{range:?} {direction:?} after {key:?}");
            }
        }
    }

    /// Every version, in order; where nothing was pruned, exactly those of the model.
    fn check_raw_scan(&mut self) {
        let (range, direction) = self.range();
        let mut cursor = self.tree.cursor(range.clone(), direction);
        let mut found = Vec::new();
        while let Some(version) = cursor.next_version().unwrap() {
            let at = (version.key.to_vec(), Reverse(version.lsn.0));
            let value = version.value.map(<[u8]>::to_vec);
            assert_eq!(self.model.get(&at), Some(&value), "an invented version");
            found.push(at);
        }
        let sorted = found.is_sorted_by(|a, b| match direction {
            Direction::Forward => a < b,
            Direction::Backward => (Reverse(&a.0), a.1) < (Reverse(&b.0), b.1),
        });
        assert!(sorted, "versions are out of order");
        if !self.pruned {
            let expected = self
                .model
                .keys()
                .filter(|(key, _)| Run::contains(&range, key))
                .count();
            assert_eq!(found.len(), expected, "versions are missing");
        }
    }

    fn check_everything(&mut self) {
        assert_sound(&self.tree, &self.pages, 0);
        self.check_gets();
        self.check_raw_scan();
        self.check_scans();
    }
}

fn run(seed: u64, steps: usize) {
    let mut run = Run::new(seed);
    for step in 0..steps {
        run.step();
        if step % 16 == 0 {
            assert_sound(&run.tree, &run.pages, 0);
        }
    }
    run.check_everything();

    // Delete everything: the tree shrinks back to its root.
    let keys: BTreeMap<Vec<u8>, Option<Vec<u8>>> = run
        .model
        .keys()
        .map(|(key, _)| (key.clone(), None))
        .collect();
    let lsn = run.lsn;
    let changes: Vec<Change> = keys.into_iter().collect();
    run.apply(lsn, &changes);
    run.watermark = lsn;
    let mut at = None;
    for _ in 0..2 {
        loop {
            at = run.tree.prune(Lsn(lsn), at, 7).unwrap();
            if at.is_none() {
                break;
            }
        }
    }
    let report = assert_sound(&run.tree, &run.pages, 0);
    assert_eq!(report.versions, 0, "nothing is left");
    assert_eq!(report.tree_pages, 1, "only the root is left");
    assert!(run.tree.is_empty().unwrap());
}

#[test]
fn random_operations_agree_with_a_map() {
    fn property(seed: u64, steps: u8) -> TestResult {
        run(seed, usize::from(steps));
        TestResult::passed()
    }
    let tests = std::env::var("RUSTLING_LONG_TESTS").map_or(60, |_| 20_000);
    quickcheck::QuickCheck::new()
        .tests(tests)
        .quickcheck(property as fn(u64, u8) -> TestResult);
}
