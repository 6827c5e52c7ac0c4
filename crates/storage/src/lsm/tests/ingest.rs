//! Sorted runs that become tables: where they come to lie, and what is read then.

use std::{collections::BTreeMap, sync::Arc};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::space;
use crate::{
    btree::TreeEntry,
    codec::Codec,
    cursor::{MergeCursor, SnapshotCursor},
    error::{Error, Result},
    lsm::{
        Compacted,
        run::{ListedTable, Run},
        space::TableSpace,
        tree::LsmTree,
        version::RunRecord,
    },
    lsn::Lsn,
    staging,
    store::{Direction, KeyRange},
    vfs_memory::MemoryVfs,
};

fn key(number: u32) -> Vec<u8> {
    format!("key{number:04}").into_bytes()
}

fn entry<'a>((key, value): &'a (Vec<u8>, Option<Vec<u8>>)) -> TreeEntry<'a> {
    TreeEntry {
        key,
        value: value.as_deref(),
    }
}

/// Puts the keys of those numbers to `value`, as one commit.
fn write(tree: &LsmTree, numbers: impl IntoIterator<Item = u32>, value: &[u8], lsn: u64) {
    let rows: Vec<_> = numbers
        .into_iter()
        .map(|number| (key(number), Some(value.to_vec())))
        .collect();
    let entries: Vec<_> = rows.iter().map(entry).collect();
    tree.apply(&entries, Lsn(lsn));
}

fn flush(tree: &LsmTree, watermark: u64) {
    let mut frozen = tree.freeze();
    tree.write_out(&mut frozen, Lsn(watermark)).unwrap();
}

fn seal(tree: &LsmTree) -> Result<()> {
    tree.seal(|install| match install() {
        true => Ok(()),
        false => Err(Error::Closed),
    })
}

/// Ingests the keys of those numbers, a few at a time.
fn ingest(tree: &LsmTree, numbers: &[u32], value: &[u8], lsn: u64) {
    let staged = staging::encode_put(value);
    for some in numbers.chunks(7) {
        let rows: Vec<_> = some
            .iter()
            .map(|number| (key(*number), Some(staged.clone())))
            .collect();
        let entries: Vec<_> = rows.iter().map(entry).collect();
        tree.ingest(&entries, Lsn(lsn)).unwrap();
    }
}

/// A staging tree with one ingested run.
fn staged(
    space: &Arc<TableSpace>,
    numbers: impl IntoIterator<Item = u32>,
    value: &[u8],
) -> LsmTree {
    let tree = LsmTree::create(space);
    let numbers: Vec<u32> = numbers.into_iter().collect();
    ingest(&tree, &numbers, value, 1);
    seal(&tree).unwrap();
    tree
}

fn get(tree: &LsmTree, number: u32, at: u64) -> Option<Vec<u8>> {
    let read = |_, value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    let found = tree.get(&key(number), Lsn(at), read).unwrap();
    found.ok().flatten()
}

fn scan(tree: &LsmTree, at: u64, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    let cursors = tree.cursors(&KeyRange::all(), direction);
    let mut cursor = SnapshotCursor::new(MergeCursor::new(cursors, direction), Lsn(at));
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.next_entry().unwrap() {
        rows.push((key.to_vec(), value.to_vec()));
    }
    rows
}

/// First and last key of each table, by part: those in front, the newest first, then levels.
fn layout(tree: &LsmTree) -> Vec<Vec<(String, String)>> {
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let list = |tables: &[ListedTable]| {
        let tables = tables.iter().map(|table| table.properties());
        tables
            .map(|table| (text(&table.first_key), text(&table.last_key)))
            .collect()
    };
    let version = tree.version();
    let front = version.front.iter().map(|run| match run.tables() {
        Some(tables) => list(tables.as_slice()),
        None => vec![("memory".into(), String::new())],
    });
    let levels = version.levels.iter().map(|level| list(level.as_slice()));
    front.chain(levels).collect()
}

/// The layout as figures: how many tables are in front, and on each level.
fn counts(tree: &LsmTree) -> (usize, Vec<usize>) {
    let version = tree.version();
    let front = version.front.iter().filter_map(Run::tables);
    let levels = version.levels.iter();
    (
        front.map(|tables| tables.as_slice().len()).sum(),
        levels.map(|level| level.as_slice().len()).collect(),
    )
}

#[test]
fn a_run_is_written_once_and_lies_where_it_stays() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let from = LsmTree::create(&space);
    let numbers: Vec<u32> = (0..400).collect();
    ingest(&from, &numbers, &[1; 90], 3);
    // What is not sealed is nobody's.
    assert!(from.is_empty() && from.has_unsealed());
    assert_eq!(from.last_ingested(), Some(key(399)));
    seal(&from).unwrap();
    assert!(!from.has_unsealed());
    let into = LsmTree::create(&space);
    into.attach(&from, Lsn(9));
    // 40 kB do not fit into level 1.
    let (front, levels) = counts(&into);
    assert_eq!((front, levels[0]), (0, 0));
    assert!(levels[1] >= 9, "{levels:?}");
    let version = into.version();
    let tables = version.levels[1].as_slice();
    for table in &tables[..tables.len() - 1] {
        let bytes = table.properties().key_value_bytes;
        assert!((4096..4096 + 200).contains(&bytes), "{bytes}");
    }
    assert!(tables.iter().all(|table| table.staged() == Lsn(9)));
    assert!(!into.wants_compaction() && !into.wants_full_compaction());
    assert!(scan(&into, 8, Direction::Forward).is_empty());
    assert_eq!(get(&into, 7, 8), None);
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(scan(&into, 9, direction).len(), 400);
    }
    assert_eq!(get(&into, 7, 9), Some(vec![1; 90]));
    // The staging tree goes on showing what it did to those who read it still.
    assert_eq!(get(&from, 7, 3), Some(staging::encode_put(&[1; 90])));
    from.destroy();
    assert_eq!(get(&into, 399, 9), Some(vec![1; 90]));
    let statistics = space.statistics();
    assert_eq!((statistics.flushes, statistics.compactions), (0, 0));
    assert_eq!((statistics.moves, statistics.memtable_bytes), (0, 0));
}

#[test]
fn tables_go_as_deep_as_nothing_overlaps() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space);
    let on_level = |number: usize, numbers: std::ops::Range<u32>| {
        let from = staged(&space, numbers, b"old");
        let tables = from.version().levels[0].as_slice().to_vec();
        let listed = tables
            .iter()
            .map(|table| ListedTable::new(Arc::clone(table), Lsn(2)));
        tree.change(|version| {
            *version.level_mut(number) = crate::lsm::run::Tables::new(listed.collect());
        });
    };
    on_level(1, 100..200);
    on_level(3, 300..400);
    write(&tree, 500..600, b"old", 3);
    flush(&tree, 3);
    write(&tree, [700], b"old", 4);
    assert_eq!(counts(&tree), (1, vec![1, 0, 1]));
    let mut lsn = 10;
    let mut attach = |numbers: Vec<u32>| {
        lsn += 1;
        tree.attach(&staged(&space, numbers, b"new"), Lsn(lsn));
        counts(&tree)
    };
    // Nothing overlaps.
    assert_eq!(attach((0..50).collect()), (1, vec![1, 0, 2]));
    // The lowest level does; then the one above it.
    assert_eq!(attach((350..360).collect()), (1, vec![1, 1, 2]));
    assert_eq!(attach((355..358).collect()), (1, vec![2, 1, 2]));
    assert_eq!(attach(vec![356]), (2, vec![2, 1, 2]));
    // Between the keys of a table is within it.
    assert_eq!(attach(vec![150]), (3, vec![2, 1, 2]));
    // What lies in front, and in memory.
    assert_eq!(attach(vec![499, 550]), (4, vec![2, 1, 2]));
    let (_, levels) = attach((690..710).collect());
    assert_eq!(levels, [2, 1, 2]);
    assert_eq!(layout(&tree)[4], [("memory".into(), String::new())]);
    for (number, at, value) in [
        (355, 10, b"old"),
        (355, 12, b"new"),
        (356, 14, b"new"),
        (150, 14, b"old"),
        (150, 15, b"new"),
        (700, 16, b"old"),
        (700, 17, b"new"),
        (20, 11, b"new"),
    ] {
        assert_eq!(
            get(&tree, number, at).as_deref(),
            Some(&value[..]),
            "{number}@{at}"
        );
    }
    assert_eq!(get(&tree, 20, 10), None);
    let rows = scan(&tree, 100, Direction::Forward);
    let mut backward = scan(&tree, 100, Direction::Backward);
    backward.reverse();
    assert_eq!(rows, backward);
    // Whatever compactions make of it says the same.
    flush(&tree, 100);
    while tree.compact_further(Lsn(100)).unwrap() == Compacted::Some {}
    assert_eq!(scan(&tree, 100, Direction::Forward), rows);
}

#[test]
fn a_run_of_many_tables_is_divided() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space);
    tree.attach(&staged(&space, 0..200, &[1; 200]), Lsn(5));
    let (_, before) = counts(&tree);
    // The second half lies behind all there is.
    let from = staged(&space, (0..400).map(|number| number + 100), &[2; 200]);
    let all = from.version().tables().count();
    tree.attach(&from, Lsn(6));
    let (front, levels) = counts(&tree);
    assert_eq!(front, 0, "{levels:?}");
    assert_eq!(
        levels.iter().sum::<usize>(),
        before.iter().sum::<usize>() + all
    );
    let full: Vec<usize> = (0..levels.len()).filter(|at| levels[*at] > 0).collect();
    assert_eq!(full.len(), 2, "{levels:?}");
    assert!(levels[full[0]] >= 5 && levels[full[1]] >= 15, "{levels:?}");
    for (number, at, value) in [(150, 5, 1), (150, 6, 2), (50, 6, 1), (450, 6, 2)] {
        assert_eq!(
            get(&tree, number, at),
            Some(vec![value; 200]),
            "{number}@{at}"
        );
    }
    assert_eq!(scan(&tree, 6, Direction::Backward).len(), 500);
}

/// The result of a compaction may come to lie between keys of its input.
#[test]
fn nothing_is_placed_deep_beside_a_compaction() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space);
    let busy = tree.picker.lock();
    tree.attach(&staged(&space, 0..10, b"new"), Lsn(5));
    assert_eq!(counts(&tree), (1, vec![]));
    drop(busy);
    // It is owed no merge, only a move.
    for lsn in [6, 7, 8] {
        let busy = tree.picker.lock();
        let numbers = lsn * 10..lsn * 10 + 10;
        tree.attach(&staged(&space, numbers, b"new"), Lsn(u64::from(lsn)));
        drop(busy);
    }
    while tree.compact(Lsn(8)).unwrap() == Compacted::Some {}
    let statistics = space.statistics();
    assert_eq!((statistics.compactions, statistics.moves), (0, 1));
    assert_eq!(counts(&tree), (3, vec![1]));
}

#[test]
fn a_front_above_another_tree_keeps_runs_in_front() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space).in_front();
    tree.attach(&staged(&space, 0..10, b"new"), Lsn(5));
    assert_eq!(counts(&tree), (1, vec![]));
}

#[test]
fn what_comes_between_the_keys_of_a_run_stops_it() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space);
    ingest(&tree, &[1, 5], b"new", 1);
    write(&tree, [3], &staging::encode_put(b"other"), 2);
    assert!(matches!(seal(&tree), Err(Error::Closed)));
    // For good.
    assert!(matches!(seal(&tree), Err(Error::Closed)));
    let rows = [(key(9), Some(Vec::new()))];
    let refused = tree.ingest(&[entry(&rows[0])], Lsn(3));
    assert!(matches!(refused, Err(Error::Closed)));
    assert_eq!(scan(&tree, 9, Direction::Forward).len(), 1);
}

/// What happens to a tree.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    /// A run of keys: the first, how many, how far apart.
    Run(u8, u8, u8),
    /// Another tree's changes: some in tables, some in memory.
    Stage {
        flushed: Vec<(u8, Option<u8>)>,
        rest: Vec<(u8, Option<u8>)>,
    },
    Flush,
    Compact,
    CompactAll,
    /// Everything as a manifest lists it.
    Reopen,
    Snapshot,
    Forget,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        match u8::arbitrary(g) % 16 {
            0..=3 => Step::Write(Vec::arbitrary(g)),
            4..=7 => Step::Run(u8::arbitrary(g), u8::arbitrary(g), u8::arbitrary(g)),
            8 => Step::Stage {
                flushed: Vec::arbitrary(g),
                rest: Vec::arbitrary(g),
            },
            9 | 10 => Step::Flush,
            11 | 12 => Step::Compact,
            13 => match u8::arbitrary(g) % 2 {
                0 => Step::CompactAll,
                _ => Step::Reopen,
            },
            14 => Step::Snapshot,
            _ => Step::Forget,
        }
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

struct Model {
    space: Arc<TableSpace>,
    tree: LsmTree,
    lsn: u64,
    rows: Rows,
    snapshots: Vec<(u64, Rows)>,
}

impl Model {
    fn watermark(&self) -> u64 {
        self.snapshots.first().map_or(self.lsn, |(lsn, _)| *lsn)
    }

    /// The newest change of each key, sorted.
    fn changes(changes: &[(u8, Option<u8>)]) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let changes = changes.iter();
        changes
            .map(|(number, value)| (key(u32::from(*number)), value.map(|value| vec![value; 60])))
            .collect()
    }

    fn note(&mut self, changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        for (key, value) in changes {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    fn stage(tree: &LsmTree, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>, lsn: u64) {
        let rows: Vec<_> = changes
            .iter()
            .map(|(key, value)| {
                let staged = value
                    .as_deref()
                    .map_or_else(staging::encode_delete, staging::encode_put);
                (key.clone(), Some(staged))
            })
            .collect();
        let entries: Vec<_> = rows.iter().map(entry).collect();
        tree.apply(&entries, Lsn(lsn));
    }

    fn step(&mut self, step: &Step) {
        self.lsn += 1;
        match step {
            Step::Write(changes) => {
                let changes = Model::changes(changes);
                let rows: Vec<_> = changes.clone().into_iter().collect();
                let entries: Vec<_> = rows.iter().map(entry).collect();
                self.tree.apply(&entries, Lsn(self.lsn));
                self.note(changes);
            }
            Step::Run(first, count, apart) => {
                let numbers: Vec<u32> = (0..u32::from(*count % 80))
                    .map(|at| u32::from(*first) + at * (1 + u32::from(*apart % 4)))
                    .collect();
                let value = vec![self.lsn as u8; 60];
                let from = staged(&self.space, numbers.iter().copied(), &value);
                self.tree.attach(&from, Lsn(self.lsn));
                let changes = numbers.iter();
                let changes = changes.map(|number| (key(*number), Some(value.clone())));
                self.note(changes.collect());
            }
            Step::Stage { flushed, rest } => {
                let from = LsmTree::create(&self.space);
                let (flushed, rest) = (Model::changes(flushed), Model::changes(rest));
                Model::stage(&from, &flushed, 1);
                flush(&from, 0);
                Model::stage(&from, &rest, 2);
                // And a run behind all that.
                ingest(&from, &[300, 301], &[5; 60], 3);
                seal(&from).unwrap();
                self.tree.attach(&from, Lsn(self.lsn));
                self.note(flushed);
                self.note(rest);
                let run = [300, 301].map(|number| (key(number), Some(vec![5; 60])));
                self.note(run.into_iter().collect());
            }
            Step::Flush => flush(&self.tree, self.watermark()),
            Step::Compact => {
                self.tree.compact(Lsn(self.watermark())).unwrap();
            }
            Step::CompactAll => {
                let watermark = Lsn(self.watermark());
                while self.tree.compact_further(watermark).unwrap() == Compacted::Some {}
            }
            Step::Reopen => {
                let mut frozen = self.tree.freeze();
                let written = self.tree.write_out(&mut frozen, Lsn(self.watermark()));
                let records: Vec<RunRecord> = written.unwrap().records();
                self.tree = LsmTree::open(&self.space, &records).unwrap();
            }
            Step::Snapshot => self.snapshots.push((self.lsn, self.rows.clone())),
            Step::Forget => {
                if !self.snapshots.is_empty() {
                    let at = self.lsn as usize % self.snapshots.len();
                    self.snapshots.remove(at);
                }
            }
        }
    }

    fn check(&self) {
        let now = (self.lsn, self.rows.clone());
        for (at, rows) in self.snapshots.iter().chain([&now]) {
            let mut expected: Vec<_> = rows.clone().into_iter().collect();
            assert_eq!(scan(&self.tree, *at, Direction::Forward), expected);
            expected.reverse();
            assert_eq!(scan(&self.tree, *at, Direction::Backward), expected);
            for number in (0..512).step_by(3) {
                let expected = rows.get(&key(number)).cloned();
                assert_eq!(get(&self.tree, number, *at), expected, "{number}@{at}");
            }
        }
        // No two tables of a level overlap, and no key has a newer version in an older part.
        let records: Vec<RunRecord> = self.tree.opened().records();
        let opened = LsmTree::open(&self.space, &records);
        assert!(opened.is_ok(), "{opened:?}");
    }
}

fn reads_like_the_model(steps: Vec<Step>) -> bool {
    let space = space(&MemoryVfs::new(), Codec::None);
    let mut model = Model {
        tree: LsmTree::create(&space),
        space,
        lsn: 10,
        rows: Rows::new(),
        snapshots: Vec::new(),
    };
    for step in &steps {
        model.step(step);
    }
    model.check();
    while model.tree.compact(Lsn(model.watermark())).unwrap() == Compacted::Some {}
    model.check();
    true
}

#[test]
fn a_tree_of_writes_and_runs_reads_like_a_map() {
    QuickCheck::new()
        .tests(120)
        .quickcheck(reads_like_the_model as fn(Vec<Step>) -> bool);
}

/// A commit may load a run and write to it again. What it wrote above must not stay behind when the
/// run goes down into another tree, in whatever tables the run has come to lie by then.
#[test]
fn a_loaded_run_goes_down_with_what_its_commit_wrote_above_it() {
    let space = space(&MemoryVfs::new(), Codec::None);
    let tree = LsmTree::create(&space).in_front();
    for value in 0..6 {
        tree.attach(&staged(&space, 0..20, &[value; 9]), Lsn(5));
    }
    write(&tree, [7], b"above", 5);
    assert!(tree.settled_runs(Lsn(5)).is_none());
    // Merged, the runs are no staged ones any more.
    while tree.compact(Lsn(4)).unwrap() == Compacted::Some {}
    assert_eq!(counts(&tree).0, 0, "{:?}", layout(&tree));
    assert!(tree.settled_runs(Lsn(5)).is_none());
    let mut frozen = tree.freeze();
    assert!(tree.settled_runs(Lsn(5)).is_none());
    // With everything in tables all of it may go, the newest of each key first.
    tree.write_out(&mut frozen, Lsn(5)).unwrap();
    let runs = tree.settled_runs(Lsn(5)).expect("nothing is above");
    assert_eq!(runs.newest(), Lsn(5));
    let merged = MergeCursor::new(runs.cursors(), Direction::Forward);
    let mut cursor = SnapshotCursor::new(merged, Lsn(5));
    let rows = cursor.next_entries(100).unwrap();
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[7], (key(7), b"above".to_vec()));
    assert_eq!(rows[8], (key(8), vec![5; 9]));
}
