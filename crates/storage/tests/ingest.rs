//! Loading past the log: what is ingested is there whole once it is merged, and not at all before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{path::Path, time::Duration};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, MemoryVfs,
    Snapshot, Store, StoreOptions, Vfs, staging,
};

use crate::common::{ENGINES, HookedVfs, Operation, create_keyspace, of, staged};

const DIR: &str = "/store";

fn open(vfs: &MemoryVfs) -> Store {
    open_with(Env::with_vfs(vfs.clone()))
}

fn open_with(env: Env) -> Store {
    open_within(env, 2 << 20)
}

fn open_within(env: Env, memory_budget: usize) -> Store {
    let options = StoreOptions {
        page_size: 4096,
        memory_budget,
        background: false,
        // A process that ends leaves its lock behind here.
        lock: false,
        ..StoreOptions::default()
    };
    Store::open(env, Path::new(DIR), options).unwrap()
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Ingests the rows of those numbers, each of 100 bytes.
fn ingest(store: &Store, into: KeyspaceId, numbers: std::ops::Range<u32>) -> Result<(), Error> {
    let value = staging::encode_put(&[7; 100]);
    let keys: Vec<[u8; 4]> = numbers.map(key).collect();
    let entries: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &value[..])).collect();
    entries
        .chunks(500)
        .try_for_each(|some| store.ingest(into, some))
}

fn merge(store: &Store, from: KeyspaceId, into: KeyspaceId) {
    let mut batch = Batch::new();
    batch.merge(from, into);
    store.commit(&batch, Durability::Sync).unwrap();
}

fn numbers(store: &Store, id: KeyspaceId) -> Vec<u32> {
    numbers_at(&store.snapshot(), id)
}

fn numbers_at(snapshot: &Snapshot, id: KeyspaceId) -> Vec<u32> {
    let mut cursor = snapshot
        .scan(id, KeyRange::all(), Direction::Forward)
        .unwrap();
    let mut found = Vec::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        assert_eq!(value, [7; 100]);
        found.push(u32::from_be_bytes(key.try_into().unwrap()));
    }
    found
}

#[test]
fn a_load_is_there_after_its_merge_and_not_before() {
    for engine in ENGINES {
        let vfs = MemoryVfs::new();
        let store = open(&vfs);
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(engine));
        ingest(&store, from, 0..5_000).unwrap();
        assert!(numbers(&store, into).is_empty());
        // The process ends here.
        std::mem::forget(store);
        let store = open(&vfs);
        assert!(!store.contains_keyspace(from), "{engine:?}");
        assert!(numbers(&store, into).is_empty());
        assert!(store.verify().unwrap().is_clean());

        let from = create_keyspace(&store, staged(engine));
        let logged = store.stats().wal_bytes;
        ingest(&store, from, 0..5_000).unwrap();
        merge(&store, from, into);
        let logged = store.stats().wal_bytes - logged;
        assert!(logged < 1_000, "{engine:?}: {logged} bytes were logged");
        assert!(numbers(&store, into).iter().copied().eq(0..5_000));
        std::mem::forget(store);
        let store = open(&vfs);
        assert!(
            numbers(&store, into).iter().copied().eq(0..5_000),
            "{engine:?}"
        );
        assert!(store.verify().unwrap().is_clean());

        // Into a keyspace that holds something, and over what it holds.
        let from = create_keyspace(&store, staged(engine));
        ingest(&store, from, 3_000..8_000).unwrap();
        merge(&store, from, into);
        std::mem::forget(store);
        let store = open(&vfs);
        assert!(
            numbers(&store, into).iter().copied().eq(0..8_000),
            "{engine:?}"
        );
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn what_does_not_ascend_is_refused() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs);
    let into = create_keyspace(&store, of(EngineKind::BTree));
    let from = create_keyspace(&store, staged(EngineKind::BTree));
    let mut batch = Batch::new();
    batch.put(from, key(10), staging::encode_put(&[7; 100]));
    store.commit(&batch, Durability::None).unwrap();
    let refused = |result: Result<(), Error>| {
        assert!(matches!(result, Err(Error::InvalidOption(_))), "{result:?}");
    };
    refused(ingest(&store, from, 10..12));
    refused(ingest(&store, from, 0..3));
    let value = staging::encode_put(&[7; 100]);
    refused(store.ingest(from, &[(&key(12), &value), (&key(11), &value)]));
    refused(store.ingest(from, &[(&key(12), &staging::encode_delete())]));
    refused(ingest(&store, into, 11..12));
    ingest(&store, from, 11..20).unwrap();
    merge(&store, from, into);
    assert!(numbers(&store, into).iter().copied().eq(10..20));
    let gone = ingest(&store, from, 20..21);
    assert!(matches!(gone, Err(Error::UnknownKeyspace(_))), "{gone:?}");
}

/// Two merge the same at once: the one that makes no checkpoint waits for the other's.
#[test]
fn nobody_merges_ahead_of_the_checkpoint() {
    for engine in ENGINES {
        let vfs = HookedVfs::default();
        let env = Env::with_vfs(vfs.clone());
        let store = open_with(env.clone());
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(engine));
        ingest(&store, from, 0..500).unwrap();
        let merge = || {
            let mut batch = Batch::new();
            batch.merge(from, into);
            store.commit(&batch, Durability::Sync)
        };
        vfs.hold(Operation::Sync, "data.rdb");
        let (is_ahead, merged) = std::thread::scope(|scope| {
            let first = scope.spawn(merge);
            vfs.until_held();
            let second = scope.spawn(merge);
            // Time enough to go wrong; who waits does so however long this takes.
            for _ in 0..50 {
                if !second.is_finished() {
                    env.sleep(Duration::from_millis(1));
                }
            }
            let is_ahead = second.is_finished();
            vfs.release();
            (is_ahead, [first.join().unwrap(), second.join().unwrap()])
        });
        assert!(!is_ahead, "{engine:?}");
        let done = merged.iter().filter(|merged| merged.is_ok()).count();
        assert_eq!(done, 1, "{engine:?}: {merged:?}");
        assert!(numbers(&store, into).iter().copied().eq(0..500));
    }
}

/// Files of tables on the disk.
fn table_files(vfs: &MemoryVfs) -> usize {
    let names = vfs.read_dir(&Path::new(DIR).join("tables"));
    names.map_or(0, |names| names.len())
}

/// The ways of staging and what the entries are for.
const WAYS: [(EngineKind, EngineKind); 4] = [
    (EngineKind::BTree, EngineKind::BTree),
    (EngineKind::Lsm, EngineKind::Lsm),
    (EngineKind::Hybrid, EngineKind::Hybrid),
    (EngineKind::BTree, EngineKind::Hybrid),
];

#[test]
fn the_log_says_the_same_of_any_number_of_rows() {
    for (staging, engine) in WAYS {
        let logged: Vec<u64> = [100, 5_000, 50_000]
            .into_iter()
            .map(|rows| {
                let vfs = MemoryVfs::new();
                let store = open(&vfs);
                let into = create_keyspace(&store, of(engine));
                let before = store.stats().wal_bytes;
                let from = create_keyspace(&store, staged(staging));
                ingest(&store, from, 0..rows).unwrap();
                merge(&store, from, into);
                assert!(numbers(&store, into).iter().copied().eq(0..rows));
                store.stats().wal_bytes - before
            })
            .collect();
        assert!(logged[0] < 200, "{engine:?}: {logged:?}");
        assert!(
            logged.iter().all(|bytes| *bytes == logged[0]),
            "{engine:?}: {logged:?}"
        );
    }
}

/// Rows are written once, to where they stay.
#[test]
fn nothing_is_written_twice() {
    let rows = 0..20_000;
    for (staging, engine) in WAYS {
        let vfs = MemoryVfs::new();
        let store = open(&vfs);
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(staging));
        let before = store.snapshot();
        ingest(&store, from, rows.clone()).unwrap();
        assert_eq!(store.stats().tables.memtable_bytes, 0);
        merge(&store, from, into);
        store.checkpoint().unwrap();
        assert!(numbers_at(&before, into).is_empty(), "{engine:?}");
        assert!(numbers(&store, into).iter().copied().eq(rows.clone()));
        let tables = store.stats().tables;
        assert_eq!(tables.flushes, 0, "{engine:?}");
        match (staging, engine) {
            (EngineKind::BTree, _) => {
                // 104 bytes and a few more of each row, in packed pages.
                let leaves = store.keyspace_estimate(into).unwrap().leaf_pages;
                assert!((500..700).contains(&leaves), "{leaves}");
                assert_eq!((tables.tables, tables.compactions), (0, 0));
            }
            (_, EngineKind::Lsm) => {
                let bytes = tables.table_bytes / tables.tables as u64;
                assert!((100 << 10..200 << 10).contains(&bytes), "{bytes}");
                assert_eq!((tables.compactions, tables.moves), (0, 0));
            }
            // The background merges the front into the base.
            _ => assert_eq!(tables.compactions, 0),
        }
        drop(before);
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn what_is_given_up_leaves_no_file() {
    for engine in [EngineKind::Lsm, EngineKind::Hybrid] {
        let vfs = MemoryVfs::new();
        let store = open(&vfs);
        let into = create_keyspace(&store, of(engine));
        let drop_staging = |from: KeyspaceId| {
            let mut batch = Batch::new();
            batch.drop_keyspace(from);
            store.commit(&batch, Durability::Sync).unwrap();
            store.checkpoint().unwrap();
            store.checkpoint().unwrap();
        };
        // Before it is sealed, after that, and after a checkpoint has listed it.
        for how in 0..3 {
            let from = create_keyspace(&store, staged(engine));
            ingest(&store, from, 0..5_000).unwrap();
            if how > 0 {
                store.seal(from).unwrap();
                assert!(table_files(&vfs) > 1);
            }
            if how > 1 {
                store.checkpoint().unwrap();
            }
            drop_staging(from);
            assert_eq!(table_files(&vfs), 0, "{engine:?} {how}");
        }
        // The same in a crash.
        for how in 0..3 {
            let vfs = vfs.fork();
            let store = open(&vfs);
            let from = create_keyspace(&store, staged(engine));
            ingest(&store, from, 0..5_000).unwrap();
            if how > 0 {
                store.seal(from).unwrap();
            }
            if how > 1 {
                store.checkpoint().unwrap();
            }
            assert!(table_files(&vfs) > 1);
            std::mem::forget(store);
            let store = open(&vfs);
            store.checkpoint().unwrap();
            store.checkpoint().unwrap();
            assert_eq!(table_files(&vfs), 0, "{engine:?} {how}");
            assert!(numbers(&store, into).is_empty());
            assert!(store.verify().unwrap().is_clean());
        }
    }
}

#[test]
fn what_is_sealed_can_be_read_where_it_is_staged() {
    for engine in ENGINES {
        let store = open(&MemoryVfs::new());
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(engine));
        for part in 0..3 {
            ingest(&store, from, part * 700..part * 700 + 700).unwrap();
            store.seal(from).unwrap();
            let found = store.latest_version(from, &key(part * 700 + 699)).unwrap();
            assert!(found.is_some(), "{engine:?}");
        }
        // Other entries may come behind by the log.
        let mut batch = Batch::new();
        batch.put(from, key(5_000), staging::encode_put(&[7; 100]));
        store.commit(&batch, Durability::None).unwrap();
        ingest(&store, from, 5_001..5_003).unwrap();
        merge(&store, from, into);
        let expected = (0..2_100).chain(5_000..5_003);
        assert!(numbers(&store, into).iter().copied().eq(expected));
    }
}

/// A hybrid keyspace adopts a packed tree, and goes on as if its own front had filled it.
#[test]
fn a_hybrid_keyspace_rests_on_what_it_has_adopted() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs);
    let into = create_keyspace(&store, of(EngineKind::Hybrid));
    assert!(store.is_empty(into).unwrap());
    let from = create_keyspace(&store, staged(EngineKind::BTree));
    // Somebody reads the staging keyspace on.
    ingest(&store, from, 0..3_000).unwrap();
    let staging = store.snapshot();
    let mut cursor = staging
        .scan(from, KeyRange::all(), Direction::Forward)
        .unwrap();
    merge(&store, from, into);
    assert!(!store.is_empty(into).unwrap());
    let put = |store: &Store, numbers: std::ops::Range<u32>| {
        let mut batch = Batch::new();
        numbers.for_each(|number| batch.put(into, key(number), [7; 100]));
        store.commit(&batch, Durability::Sync).unwrap();
    };
    put(&store, 2_000..4_000);
    let mut batch = Batch::new();
    (0..1_000).for_each(|number| batch.delete(into, key(number)));
    store.commit(&batch, Durability::Sync).unwrap();
    // A second load finds something there: its entries are moved one by one.
    let second = create_keyspace(&store, staged(EngineKind::BTree));
    ingest(&store, second, 3_900..4_500).unwrap();
    merge(&store, second, into);
    let check = |store: &Store| {
        assert!(numbers(store, into).iter().copied().eq(1_000..4_500));
        assert!(store.verify().unwrap().is_clean());
    };
    check(&store);
    let mut rows = 0;
    while cursor.next().unwrap().is_some() {
        rows += 1;
    }
    assert_eq!(rows, 3_000);
    // The front goes down into what was adopted.
    drop((cursor, staging));
    store.checkpoint().unwrap();
    assert_eq!(store.stats().tables.tables, 0);
    check(&store);
    std::mem::forget(store);
    let store = open(&vfs);
    check(&store);
    put(&store, 0..10);
    let mut batch = Batch::new();
    batch.drop_keyspace(into);
    store.commit(&batch, Durability::Sync).unwrap();
    store.checkpoint().unwrap();
    store.checkpoint().unwrap();
    assert!(store.verify().unwrap().is_clean());
}

/// What a batch merges before is not there yet when the next merge of it is planned.
#[test]
fn the_later_of_two_merges_lies_above() {
    let store = open(&MemoryVfs::new());
    for (first, second) in [
        (EngineKind::Hybrid, EngineKind::BTree),
        (EngineKind::BTree, EngineKind::Hybrid),
        (EngineKind::BTree, EngineKind::BTree),
    ] {
        let into = create_keyspace(&store, of(EngineKind::Hybrid));
        let mut batch = Batch::new();
        for (engine, value) in [(first, 1), (second, 2)] {
            let from = create_keyspace(&store, staged(engine));
            let staged = staging::encode_put(&[value]);
            let own = [b'a', value];
            store
                .ingest(from, &[(&own, &staged), (b"key", &staged)])
                .unwrap();
            batch.merge(from, into);
        }
        store.commit(&batch, Durability::Sync).unwrap();
        for (key, value) in [(&b"key"[..], 2), (b"a\x01", 1), (b"a\x02", 2)] {
            let found = store.snapshot().get(into, key).unwrap();
            assert_eq!(found, Some(vec![value]), "{first:?} {second:?} {key:?}");
        }
    }
}

/// Snapshots from before a change of engine read the old one on, whatever the new one adopts.
#[test]
fn an_adopted_tree_hides_nothing_from_older_snapshots() {
    for engine in [EngineKind::BTree, EngineKind::Hybrid] {
        let store = open(&MemoryVfs::new());
        let into = create_keyspace(&store, of(EngineKind::Lsm));
        let mut batch = Batch::new();
        batch.put(into, key(1), [7; 100]);
        store.commit(&batch, Durability::Sync).unwrap();
        let before = store.snapshot();
        let mut batch = Batch::new();
        batch.delete(into, key(1));
        store.commit(&batch, Durability::Sync).unwrap();
        let between = store.snapshot();
        drop(store.snapshot());
        store.set_engine(into, engine).unwrap();
        let from = create_keyspace(&store, staged(EngineKind::BTree));
        ingest(&store, from, 5..9).unwrap();
        merge(&store, from, into);
        assert_eq!(numbers_at(&before, into), [1], "{engine:?}");
        assert!(numbers_at(&between, into).is_empty());
        assert_eq!(numbers(&store, into), [5, 6, 7, 8]);
        drop((before, between));
        store.checkpoint().unwrap();
        assert_eq!(numbers(&store, into), [5, 6, 7, 8]);
        assert!(store.verify().unwrap().is_clean());
    }
}

/// A run that could not be written whole is never merged.
#[test]
fn what_failed_in_part_cannot_be_merged() {
    let vfs = HookedVfs::default();
    let store = open_with(Env::with_vfs(vfs.clone()));
    let into = create_keyspace(&store, of(EngineKind::Lsm));
    let from = create_keyspace(&store, staged(EngineKind::Lsm));
    ingest(&store, from, 0..2_000).unwrap();
    const NO_SPACE: i32 = 28;
    vfs.refuse(Some((Operation::Write, ".sst", NO_SPACE)));
    let full = ingest(&store, from, 2_000..9_000).unwrap_err();
    assert!(full.is_disk_full(), "{full}");
    vfs.refuse(None);
    let mut batch = Batch::new();
    batch.merge(from, into);
    let refused = store.commit(&batch, Durability::Sync).unwrap_err();
    assert!(refused.is_disk_full(), "{refused}");
    assert!(ingest(&store, from, 9_000..9_001).is_err());
    // The store works on.
    let again = create_keyspace(&store, staged(EngineKind::Lsm));
    ingest(&store, again, 0..2_000).unwrap();
    merge(&store, again, into);
    assert!(numbers(&store, into).iter().copied().eq(0..2_000));
}

/// A run that would fill a memtable far beyond its measure is refused, where the engine changes or
/// has changed since it was staged; once it is in the log it is not.
#[test]
fn a_large_load_does_not_go_through_memory_where_the_engine_changes() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs);
    let try_merge = |store: &Store, from: KeyspaceId, into: KeyspaceId| {
        let mut batch = Batch::new();
        batch.merge(from, into);
        store.commit(&batch, Durability::Sync)
    };
    let refused = |store: &Store, from: KeyspaceId, into: KeyspaceId| {
        let tried = try_merge(store, from, into);
        assert!(
            matches!(tried, Err(Error::EngineChanging(id)) if id == into),
            "{tried:?}"
        );
        assert!(store.contains_keyspace(from));
        assert_eq!(store.stats().tables.memtable_bytes, 0);
    };
    // While it changes, whichever of the two would take it into memory.
    for (engine, other) in [
        (EngineKind::BTree, EngineKind::Lsm),
        (EngineKind::Lsm, EngineKind::BTree),
    ] {
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(engine));
        let few = create_keyspace(&store, staged(engine));
        ingest(&store, from, 0..5_000).unwrap();
        ingest(&store, few, 4_900..5_100).unwrap();
        let change = store.change_engine(into, other).unwrap();
        refused(&store, from, into);
        drop(change);
        try_merge(&store, from, into).unwrap();
        let change = store.change_engine(into, other).unwrap();
        try_merge(&store, few, into).unwrap();
        drop(change);
        assert!(numbers(&store, into).iter().copied().eq(0..5_100));
        store.checkpoint().unwrap();
    }
    // And once it has changed.
    let staged_for_another = |store: &Store| {
        let into = create_keyspace(store, of(EngineKind::Hybrid));
        let from = create_keyspace(store, staged(EngineKind::BTree));
        ingest(store, from, 0..5_000).unwrap();
        store.set_engine(into, EngineKind::Lsm).unwrap();
        (into, from)
    };
    let (into, from) = staged_for_another(&store);
    refused(&store, from, into);
    let again = create_keyspace(&store, staged(EngineKind::Lsm));
    ingest(&store, again, 0..5_000).unwrap();
    try_merge(&store, again, into).unwrap();
    assert!(numbers(&store, into).iter().copied().eq(0..5_000));
    store.close().unwrap();
    // What was accepted with more memory is replayed with less.
    let store = open_within(Env::with_vfs(vfs.clone()), 32 << 20);
    let (into, from) = staged_for_another(&store);
    try_merge(&store, from, into).unwrap();
    std::mem::forget(store);
    let store = open(&vfs);
    assert!(numbers(&store, into).iter().copied().eq(0..5_000));
    assert!(store.verify().unwrap().is_clean());
}
