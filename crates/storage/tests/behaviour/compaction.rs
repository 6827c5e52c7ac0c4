//! What compactions do, as the counters tell.

use std::time::Duration;

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, KeyRange, KeyspaceId, MemoryVfs, Store, StoreOptions,
};

use super::{create_keyspace, of, open, small};

/// Commits `count` entries whose keys come from `key`.
fn load(store: &Store, id: KeyspaceId, count: u64, value: u8, key: impl Fn(u64) -> u64) {
    for from in (0..count).step_by(50) {
        let mut batch = Batch::new();
        for number in from..count.min(from + 50) {
            batch.put(id, key(number).to_be_bytes(), vec![value; 60]);
        }
        store.commit(&batch, Durability::None).unwrap();
    }
}

fn check(store: &Store, id: KeyspaceId, count: u64, value: u8) {
    let mut cursor = store
        .snapshot()
        .scan(id, KeyRange::all(), Direction::Forward)
        .unwrap();
    for number in 0..count {
        let (key, found) = cursor.next().unwrap().unwrap();
        assert_eq!(key, number.to_be_bytes());
        assert_eq!(found, [value; 60]);
    }
    assert_eq!(cursor.next().unwrap(), None);
}

/// Large merges are divided by keys among threads, and nothing is lost at the bounds.
#[test]
fn threads_share_a_merge() {
    const COUNT: u64 = 12_000;
    let options = StoreOptions {
        checkpoint_wal_bytes: 16 << 10,
        compaction_threads: 3,
        background: true,
        quiet_interval: Duration::from_secs(3600),
        ..small()
    };
    let vfs = MemoryVfs::new();
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, of(EngineKind::Lsm));
    for value in 1..4 {
        load(&store, id, COUNT, value, |number| number * 7919 % COUNT);
    }
    let mut removed = Batch::new();
    removed.delete(id, COUNT.to_be_bytes());
    store.commit(&removed, Durability::Sync).unwrap();
    store.checkpoint().unwrap();
    let statistics = store.stats().tables;
    assert!(statistics.compactions > 0);
    assert!(statistics.subcompactions > 0, "{statistics:?}");
    check(&store, id, COUNT, 3);
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    store.close().unwrap();
    let store = open(&vfs, small()).unwrap();
    check(&store, id, COUNT, 3);
}

/// What comes in the order of its keys is not written again: its tables move.
#[test]
fn ordered_arrivals_move() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    let id = create_keyspace(&store, of(EngineKind::Lsm));
    load(&store, id, 12_000, 1, |number| number);
    store.checkpoint().unwrap();
    let statistics = store.stats().tables;
    assert!(statistics.moves > 0, "{statistics:?}");
    assert_eq!(statistics.compaction_written_bytes, 0);
    check(&store, id, 12_000, 1);
}

/// A scan has the leaves ahead of it read; a point read asks for nothing.
#[test]
fn scans_of_a_tree_read_ahead() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    let id = create_keyspace(&store, of(EngineKind::BTree));
    // More than the cache holds.
    load(&store, id, 20_000, 1, |number| number * 7919 % 20_000);
    store.checkpoint().unwrap();
    let before = store.stats().pages;
    for number in (0..20_000_u64).step_by(401) {
        let found = store.snapshot().get(id, &number.to_be_bytes()).unwrap();
        assert!(found.is_some());
    }
    let read = store.stats().pages;
    assert_eq!(read.read_ahead, before.read_ahead);
    check(&store, id, 20_000, 1);
    let scanned = store.stats().pages;
    let (asked, missed) = (
        scanned.read_ahead - read.read_ahead,
        scanned.misses - read.misses,
    );
    assert!(missed > 100 && asked >= missed / 2, "{asked} of {missed}");
    let mut backward = store
        .snapshot()
        .scan(id, KeyRange::all(), Direction::Backward)
        .unwrap();
    let mut count = 0;
    while backward.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20_000);
    assert!(store.stats().pages.read_ahead > scanned.read_ahead);
}

/// A hybrid keyspace at rest is its tree: no read looks for a table, a filter or a block.
#[test]
fn reads_of_a_hybrid_keyspace_at_rest_touch_the_tree_alone() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    let id = create_keyspace(&store, of(EngineKind::Hybrid));
    load(&store, id, 3000, 1, |number| number * 7 % 3000);
    load(&store, id, 1000, 1, |number| number * 3);
    store.checkpoint().unwrap();
    let before = store.stats();
    assert_eq!(before.tables.tables, 0, "everything has gone down");
    for number in 0..4000_u64 {
        let found = store.snapshot().get(id, &number.to_be_bytes()).unwrap();
        assert_eq!(found.is_some(), number < 3000);
    }
    check(&store, id, 3000, 1);
    let after = store.stats();
    assert_eq!(after.tables, before.tables);
    assert!(
        after.pages.hits + after.pages.misses >= before.pages.hits + before.pages.misses + 4000
    );
}
