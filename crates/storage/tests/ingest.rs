//! Loading past the log: what is ingested is there whole once it is merged, and not at all before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{path::Path, time::Duration};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, MemoryVfs, Store,
    StoreOptions, staging,
};

use crate::common::{ENGINES, HookedVfs, Operation, create_keyspace, of, staged};

const DIR: &str = "/store";

fn open(vfs: &MemoryVfs) -> Store {
    open_with(Env::with_vfs(vfs.clone()))
}

fn open_with(env: Env) -> Store {
    let options = StoreOptions {
        page_size: 4096,
        memory_budget: 2 << 20,
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
    let mut cursor = store
        .snapshot()
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
