//! Readers, scanners, writers and pruning at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fastrand::Rng;
use parking_lot::{Mutex, RwLock};

use super::{BTree, Disk, PageStore, TreeEntry, assert_sound, get};
use crate::{
    cursor::SnapshotCursor,
    lsn::Lsn,
    store::{Direction, KeyRange},
};

/// The store's part in it: LSNs, publishing in order, pins.
#[derive(Debug, Default)]
struct Clock {
    last: u64,
    in_flight: BTreeSet<u64>,
    pins: BTreeMap<u64, usize>,
    /// Which LSN wrote each pair last.
    newest: BTreeMap<u16, u64>,
}

impl Clock {
    fn published(&self) -> u64 {
        self.in_flight.first().map_or(self.last, |first| first - 1)
    }

    fn watermark(&self) -> u64 {
        let published = self.published();
        self.pins
            .first_key_value()
            .map_or(published, |(pin, _)| published.min(*pin))
    }
}

const PAIRS: u16 = 300;

/// The two keys of a pair are written by the same commits only.
fn keys(pair: u16) -> [Vec<u8>; 2] {
    // Some pairs have keys longer than a node keeps.
    let filler = if pair.is_multiple_of(17) {
        "x".repeat(90)
    } else {
        String::new()
    };
    [
        format!("a/{filler}{pair:05}").into_bytes(),
        format!("z/{filler}{pair:05}").into_bytes(),
    ]
}

fn pair_of(key: &[u8]) -> u16 {
    std::str::from_utf8(&key[key.len() - 5..])
        .unwrap()
        .parse()
        .unwrap()
}

/// What a commit writes; some values need overflow pages.
fn value(pair: u16, lsn: u64) -> Option<Vec<u8>> {
    let mut value = lsn.to_le_bytes().to_vec();
    value.resize(
        if lsn.is_multiple_of(13) {
            1500
        } else {
            8 + lsn as usize % 50
        },
        pair as u8,
    );
    (!lsn.is_multiple_of(5)).then_some(value)
}

struct Stress {
    pages: Arc<PageStore>,
    /// Held by whoever changes the tree, exclusively while a checkpoint is frozen.
    barrier: RwLock<()>,
    tree: BTree,
    clock: Mutex<Clock>,
    done: AtomicBool,
}

impl Stress {
    fn write(&self, rng: &mut Rng) {
        let pairs: BTreeSet<u16> = match rng.u8(..4) {
            // A run of neighbours, a few hot pairs, or anything.
            0 => (0..20)
                .map(|i| (rng.u16(..PAIRS) / 20 * 20 + i) % PAIRS)
                .collect(),
            1 => (0..3).map(|_| rng.u16(..5)).collect(),
            _ => (0..rng.usize(1..12)).map(|_| rng.u16(..PAIRS)).collect(),
        };
        let (lsn, watermark) = {
            let mut clock = self.clock.lock();
            clock.last += 1;
            let lsn = clock.last;
            clock.in_flight.insert(lsn);
            for pair in &pairs {
                clock.newest.insert(*pair, lsn);
            }
            (lsn, clock.watermark())
        };
        let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = pairs
            .iter()
            .flat_map(|pair| keys(*pair).map(|key| (key, value(*pair, lsn))))
            .collect();
        let entries: Vec<TreeEntry<'_>> = changes
            .iter()
            .map(|(key, value)| TreeEntry {
                key,
                value: value.as_deref(),
            })
            .collect();
        {
            let _barrier = self.barrier.read();
            self.tree.apply(&entries, Lsn(lsn), Lsn(watermark)).unwrap();
        }
        self.clock.lock().in_flight.remove(&lsn);
    }

    fn with_snapshot(&self, read: impl FnOnce(u64)) {
        let at = {
            let mut clock = self.clock.lock();
            let at = clock.published();
            *clock.pins.entry(at).or_default() += 1;
            at
        };
        read(at);
        let mut clock = self.clock.lock();
        if let Some(count) = clock.pins.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                clock.pins.remove(&at);
            }
        }
    }

    fn read(&self, rng: &mut Rng) {
        self.with_snapshot(|at| {
            for _ in 0..10 {
                let pair = rng.u16(..PAIRS);
                let [first, second] = keys(pair).map(|key| {
                    // A tombstone may be gone already.
                    get(&self.tree, &key, at).filter(|(_, value)| value.is_some())
                });
                assert_eq!(first, second, "pair {pair} at {at}");
                if let Some((lsn, found)) = first {
                    assert!(lsn <= at);
                    assert_eq!(found, value(pair, lsn));
                }
            }
        });
    }

    fn scan(&self, rng: &mut Rng) {
        self.with_snapshot(|at| {
            let direction = if rng.bool() {
                Direction::Forward
            } else {
                Direction::Backward
            };
            let cursor = self.tree.cursor(KeyRange::all(), direction);
            let mut cursor = SnapshotCursor::new(cursor, Lsn(at));
            let mut halves: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
            let mut previous: Option<Vec<u8>> = None;
            let most = rng.usize(1..200);
            let entries = std::iter::from_fn(|| {
                let some = cursor.next_entries(most).unwrap();
                (!some.is_empty()).then_some(some)
            });
            for (key, found) in entries.flatten() {
                let (key, found) = (key.as_slice(), found.as_slice());
                if let Some(previous) = &previous {
                    let ascends = previous.as_slice() < key;
                    assert!(previous != key && ascends == (direction == Direction::Forward));
                }
                let lsn = u64::from_le_bytes(found[..8].try_into().unwrap());
                assert_eq!(Some(found), value(pair_of(key), lsn).as_deref());
                assert!(lsn <= at);
                halves.entry(pair_of(key)).or_default().push(lsn);
                previous = Some(key.to_vec());
            }
            for (pair, lsns) in halves {
                assert_eq!(lsns.len(), 2, "half of pair {pair} at {at} is missing");
                assert_eq!(lsns[0], lsns[1], "halves of pair {pair} at {at}");
            }
        });
    }

    fn checkpoint(&self, _: &mut Rng) {
        let frozen = {
            let _barrier = self.barrier.write();
            self.pages.freeze(Lsn(1), Vec::new()).unwrap()
        };
        self.pages.write_checkpoint(frozen).unwrap();
    }

    fn pack(&self, rng: &mut Rng) {
        let watermark = self.clock.lock().watermark();
        let mut at = None;
        loop {
            let _barrier = self.barrier.read();
            let leaves = rng.usize(1..10);
            at = self.tree.pack(Lsn(watermark), at, leaves).unwrap();
            if at.is_none() {
                return;
            }
        }
    }

    fn prune(&self, rng: &mut Rng) {
        let watermark = self.clock.lock().watermark();
        let mut at = None;
        loop {
            let _barrier = self.barrier.read();
            at = self
                .tree
                .prune(Lsn(watermark), at, rng.usize(1..10))
                .unwrap();
            if at.is_none() {
                return;
            }
        }
    }
}

#[test]
fn readers_scanners_and_writers_agree() {
    stress(10_000);
}

#[test]
fn readers_scanners_and_writers_agree_with_few_pages_in_memory() {
    stress(48);
}

fn stress(frames: usize) {
    let commits = std::env::var("RUSTLING_LONG_TESTS").map_or(500, |_| 50_000);
    let pages = Disk::new(frames).create();
    let stress = Stress {
        pages: Arc::clone(&pages),
        barrier: RwLock::new(()),
        tree: BTree::create(Arc::clone(&pages)).unwrap(),
        clock: Mutex::default(),
        done: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|seed| {
                let stress = &stress;
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(seed);
                    for _ in 0..commits {
                        stress.write(&mut rng);
                    }
                })
            })
            .collect();

        let actions: [fn(&Stress, &mut Rng); 6] = [
            Stress::read,
            Stress::scan,
            Stress::scan,
            Stress::prune,
            Stress::pack,
            Stress::checkpoint,
        ];
        for (seed, action) in actions.into_iter().enumerate() {
            let stress = &stress;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(100 + seed as u64);
                while !stress.done.load(Ordering::Relaxed) {
                    action(stress, &mut rng);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        stress.done.store(true, Ordering::Relaxed);
    });
    assert_sound(&stress.tree, &pages, 0);
    for (pair, lsn) in &stress.clock.lock().newest {
        for key in keys(*pair) {
            let found = get(&stress.tree, &key, u64::MAX).and_then(|(_, value)| value);
            assert_eq!(found, value(*pair, *lsn), "pair {pair}");
        }
    }
}
