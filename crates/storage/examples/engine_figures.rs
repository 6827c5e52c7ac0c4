//! What the engines do, side by side: rows of 16-byte keys and 100-byte values arrive in random
//! batches without waiting for the disk, then they are read.
//!
//! `cargo run --release -p rustling-storage --example engine_figures [rows] [engine]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::{path::Path, time::Duration};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, KeyspaceOptions, Store,
    StoreOptions,
};

/// A store in which nothing has happened for so long is at rest.
const AT_REST: Duration = Duration::from_secs(4);
/// How long each kind of read is measured.
const SECONDS: u64 = 2;

/// Keys in an order without a pattern, each once.
fn key(number: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[8..].copy_from_slice(&mixed.to_be_bytes());
    key
}

fn value(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    (0..100).map(|_| random.alphanumeric() as u8).collect()
}

fn say(what: &str, per_second: f64) {
    println!("  {what:<44} {per_second:>12.0} /s");
}

/// Operations per second of `threads` threads together.
fn rate(env: &Env, threads: u64, operation: impl Fn(&mut fastrand::Rng) + Sync) -> f64 {
    let start = env.now();
    let end = start + Duration::from_secs(SECONDS);
    let run = |thread: u64| {
        let (mut random, mut count) = (fastrand::Rng::with_seed(thread), 0_u64);
        while !count.is_multiple_of(16) || env.now() < end {
            operation(&mut random);
            count += 1;
        }
        count
    };
    let counts: u64 = std::thread::scope(|scope| {
        let run = &run;
        let all: Vec<_> = (0..threads)
            .map(|at| scope.spawn(move || run(at)))
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    counts as f64 / (env.now() - start).as_secs_f64()
}

fn insert(env: &Env, store: &Store, keyspace: KeyspaceId, rows: u64) {
    let values: Vec<Vec<u8>> = (0..1000).map(value).collect();
    let start = env.now();
    let mut slowest = Duration::ZERO;
    for first in (0..rows).step_by(1000) {
        let mut batch = Batch::new();
        for number in first..(first + 1000).min(rows) {
            batch.put(
                keyspace,
                key(number),
                values[(number % 1000) as usize].clone(),
            );
        }
        let before = env.now();
        store.commit(&batch, Durability::None).unwrap();
        slowest = slowest.max(env.now() - before);
    }
    let seconds = (env.now() - start).as_secs_f64();
    say(
        "random inserts, batches of 1,000, per row",
        rows as f64 / seconds,
    );
    println!("  slowest batch {slowest:?}");
}

fn read(env: &Env, store: &Store, keyspace: KeyspaceId, rows: u64) {
    for threads in [1, 2] {
        let gets = rate(env, threads, |random| {
            let number = random.u64(..rows);
            let found = store
                .snapshot()
                .get_with(keyspace, &key(number), <[u8]>::len)
                .unwrap();
            assert_eq!(found, Some(100));
        });
        say(&format!("random get, {threads} thread(s) together"), gets);
    }
    let misses = rate(env, 1, |random| {
        let number = rows + random.u64(..rows);
        store
            .snapshot()
            .get_with(keyspace, &key(number), <[u8]>::len)
            .unwrap();
    });
    say("random get of what is not there", misses);
    let scans = rate(env, 1, |random| {
        let mut range = KeyRange::all();
        range.start = std::ops::Bound::Included(key(random.u64(..rows)).to_vec());
        let mut cursor = store
            .snapshot()
            .scan(keyspace, range, Direction::Forward)
            .unwrap();
        for _ in 0..100 {
            cursor.next().unwrap();
        }
    });
    say("scan of 100 rows", scans);
    let start = env.now();
    let mut cursor = store
        .snapshot()
        .scan(keyspace, KeyRange::all(), Direction::Forward)
        .unwrap();
    let mut found = 0_u64;
    while cursor.next().unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, rows);
    say(
        "full scan, per row",
        rows as f64 / (env.now() - start).as_secs_f64(),
    );
}

fn measure(env: &Env, dir: &Path, engine: EngineKind, rows: u64) {
    println!("{engine:?}, {rows} rows");
    let store = Store::open(env.clone(), dir, StoreOptions::default()).unwrap();
    let keyspace = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    let options = KeyspaceOptions {
        engine,
        ..KeyspaceOptions::default()
    };
    batch.create_keyspace(keyspace, options);
    store.commit(&batch, Durability::Sync).unwrap();
    insert(env, &store, keyspace, rows);
    println!("  -- as it is then");
    read(env, &store, keyspace, rows);
    let start = env.now();
    store.checkpoint().unwrap();
    // What background threads do comes to its end: compactions, and what waits for a store at
    // rest.
    let mut last = store.stats();
    let mut since = env.now();
    while env.now() < since + AT_REST {
        env.sleep(Duration::from_millis(300));
        let now = store.stats();
        if (now.tables, now.pages.checkpoints) != (last.tables, last.pages.checkpoints) {
            since = env.now();
        }
        last = now;
    }
    println!("  -- at rest, after {:?}", env.now() - start);
    read(env, &store, keyspace, rows);
    let bytes = last.tables.table_bytes + last.pages.file_bytes - last.pages.free_bytes;
    println!(
        "  bytes on disk / logical {:.3}",
        bytes as f64 / (rows * 116) as f64
    );
    println!("  {:?}", last.tables);
    for wait in last.waits.iter().filter(|wait| wait.count > 0) {
        println!(
            "  wait {} {} times, {:?}, longest {:?}",
            wait.name, wait.count, wait.total, wait.max
        );
    }
    store.close().unwrap();
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments
        .next()
        .map_or(1_000_000, |rows| rows.parse().unwrap());
    let wanted = arguments.next();
    let env = Env::system();
    for engine in [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid] {
        let name = format!("{engine:?}").to_lowercase();
        if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        measure(&env, dir.path(), engine, rows);
    }
}
