//! What compactions do, as the counters tell.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, MemoryVfs, Store,
    StoreOptions, staging,
};

use super::{DIR, create_keyspace, of, open, put, small, staged};
use crate::common::{HookedVfs, Operation, until};

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

/// Adds a run in front of a keyspace's levels.
fn add_run(store: &Store, id: KeyspaceId, number: u64) {
    let from = create_keyspace(store, staged(EngineKind::Lsm));
    let mut batch = Batch::new();
    for key in [number, u64::MAX - number] {
        batch.put(from, key.to_be_bytes(), staging::encode_put(&[1; 60]));
    }
    store.commit(&batch, Durability::None).unwrap();
    let mut batch = Batch::new();
    batch.merge(from, id);
    store.commit(&batch, Durability::None).unwrap();
}

fn waits(store: &Store, name: &str) -> u64 {
    let all = store.stats().waits;
    all.iter().find(|wait| wait.name == name).unwrap().count
}

/// A writer waits for the compactions of what it writes to, under their name, and nobody else does.
#[test]
fn only_writers_to_what_is_behind_wait() {
    const FRONT: &str = "compaction.debt.front";
    for merges in [false, true] {
        let options = StoreOptions {
            background: true,
            quiet_interval: Duration::from_secs(3600),
            ..small()
        };
        let vfs = HookedVfs::default();
        let store = Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), options).unwrap();
        let behind = create_keyspace(&store, of(EngineKind::Lsm));
        let healthy = create_keyspace(&store, of(EngineKind::Lsm));
        // No memtable becomes a table, so nothing can be merged.
        vfs.hold(Operation::Create, ".sst");
        for number in 0..24 {
            add_run(&store, behind, number);
        }
        assert_eq!(store.stats().tables.front_runs, 24);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                if merges {
                    add_run(&store, behind, 99);
                } else {
                    put(&store, behind, b"a", b"1").unwrap();
                }
                done.store(true, Ordering::SeqCst);
            });
            // The writer has asked for compactions, which begin with a checkpoint.
            vfs.until_held();
            for number in 0..50_u8 {
                put(&store, healthy, &[number], b"1").unwrap();
            }
            assert_eq!(waits(&store, FRONT), 0);
            assert!(!done.load(Ordering::SeqCst));
            vfs.release();
            writer.join().unwrap();
        });
        assert_eq!(waits(&store, FRONT), 1);
        assert_eq!(waits(&store, "compaction.debt.bytes"), 0);
        // A run that moves to level 1 lets the writer on, and the rest is merged beside it.
        until(|| store.stats().tables.front_runs < 24);
    }
}

/// Loads that a keyspace takes over are compacted without a checkpoint that comes after them.
#[test]
fn what_was_loaded_is_compacted_soon() {
    let options = StoreOptions {
        background: true,
        checkpoint_interval: Duration::from_secs(3600),
        quiet_interval: Duration::from_secs(3600),
        ..small()
    };
    let store = open(&MemoryVfs::new(), options).unwrap();
    let into = create_keyspace(&store, of(EngineKind::Lsm));
    // One fits into a level, and four in front of it are merged.
    for round in 0..5_u8 {
        let from = create_keyspace(&store, staged(EngineKind::Lsm));
        let value = staging::encode_put(&[round]);
        store
            .ingest(from, &[(b"a", &value), (b"z", &value)])
            .unwrap();
        let mut batch = Batch::new();
        batch.merge(from, into);
        store.commit(&batch, Durability::Sync).unwrap();
    }
    let mut looks = 0..6000;
    let is_compacted = looks.any(|_| {
        Env::in_memory().sleep(Duration::from_millis(10));
        store.stats().tables.compactions > 0
    });
    assert!(is_compacted);
    let found = store.snapshot().get(into, b"a").unwrap();
    assert_eq!(found.as_deref(), Some(&[4][..]));
}
