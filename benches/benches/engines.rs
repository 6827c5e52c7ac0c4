//! Single operations of the storage engines, in memory: what is left of a figure of `bench kv` when
//! files and threads are taken away.

use std::{hint::black_box, ops::Bound};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustling_storage::{
    Batch, Direction, Durability, EngineKind, KeyRange, KeyspaceId, KeyspaceOptions, Store,
    StoreOptions,
};

const ENGINES: [(&str, EngineKind); 3] = [
    ("b+tree", EngineKind::BTree),
    ("lsm", EngineKind::Lsm),
    ("hybrid", EngineKind::Hybrid),
];
const ROWS: u64 = 200_000;
/// Coprime to [`ROWS`]: adding it again and again visits every row.
const STEP: u64 = 7_919;
const SCANNED: usize = 100;

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"user\0\0\0\0\0\0\0\0\0\0\0\0";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// A store with [`ROWS`] rows that were written in no order.
fn filled(engine: EngineKind) -> (Store, KeyspaceId) {
    let store = Store::in_memory(StoreOptions::default()).expect("a store in memory opens");
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    let staging = false;
    batch.create_keyspace(id, KeyspaceOptions { engine, staging });
    let mut at = 0;
    for round in 0..ROWS {
        at = (at + STEP) % ROWS;
        batch.put(id, key(at), [round as u8; 100]);
        if batch.len() == 1000 {
            commit(&store, &std::mem::take(&mut batch));
        }
    }
    commit(&store, &batch);
    store.checkpoint().expect("a store in memory has room");
    (store, id)
}

fn commit(store: &Store, batch: &Batch) {
    store
        .commit(batch, Durability::None)
        .expect("a store in memory has room");
}

fn reads(criterion: &mut Criterion) {
    for (name, engine) in ENGINES {
        let (store, id) = filled(engine);
        let mut at = 0;
        let mut next = || {
            at = (at + STEP) % ROWS;
            key(at)
        };
        let mut group = criterion.benchmark_group("read");
        group.bench_function(BenchmarkId::new("get", name), |bencher| {
            bencher.iter(|| {
                let found = store.snapshot().get_with(id, &next(), |value| {
                    black_box(value);
                });
                assert!(matches!(found, Ok(Some(()))));
            });
        });
        group.throughput(Throughput::Elements(SCANNED as u64));
        group.bench_function(BenchmarkId::new("scan of 100", name), |bencher| {
            bencher.iter(|| {
                let mut range = KeyRange::all();
                range.start = Bound::Included(next().to_vec());
                scan(&store, id, range, SCANNED)
            });
        });
        group.throughput(Throughput::Elements(ROWS));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("full scan", name), |bencher| {
            bencher.iter(|| scan(&store, id, KeyRange::all(), usize::MAX));
        });
    }
}

fn scan(store: &Store, id: KeyspaceId, range: KeyRange, most: usize) -> usize {
    let mut cursor = store
        .snapshot()
        .scan(id, range, Direction::Forward)
        .expect("the keyspace is there");
    let mut found = 0;
    while found < most
        && let Some(row) = cursor.next().expect("the rows are readable")
    {
        black_box(row);
        found += 1;
    }
    found
}

fn writes(criterion: &mut Criterion) {
    for (name, engine) in ENGINES {
        let (store, id) = filled(engine);
        let mut at = 0;
        let mut group = criterion.benchmark_group("overwrite");
        for rows in [1, 1000] {
            group.throughput(Throughput::Elements(rows));
            group.bench_function(
                BenchmarkId::new(format!("batch of {rows}"), name),
                |bencher| {
                    bencher.iter(|| {
                        let mut batch = Batch::new();
                        for _ in 0..rows {
                            at = (at + STEP) % ROWS;
                            batch.put(id, key(at), [at as u8; 100]);
                        }
                        commit(&store, &batch);
                    });
                },
            );
        }
    }
}

criterion_group!(benches, reads, writes);
criterion_main!(benches);
