//! Measures the store on this machine: durable and asynchronous puts, random gets, scans,
//! loading, and recovery after the process was killed at full write load.
//!
//! ```text
//! cargo run --release -p rustling-storage --example store_figures [-- DIR]
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, KeyspaceOptions,
    OpenStatistics, Store, StoreOptions, staging,
};

/// Keys of the data set that gets and puts draw from.
const KEYS: u64 = 1_000_000;
const SECONDS: u64 = 3;

fn key(number: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn value(number: u64) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(100).collect()
}

fn create(store: &Store, engine: EngineKind, staging: bool) -> KeyspaceId {
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, KeyspaceOptions { engine, staging });
    store.commit(&batch, Durability::Sync).unwrap();
    id
}

/// Operations per second of `threads` threads that each repeat `operation`.
fn rate(env: &Env, threads: u64, operation: impl Fn(&mut fastrand::Rng) + Sync) -> f64 {
    let total = AtomicU64::new(0);
    let start = env.now();
    let end = start + Duration::from_secs(SECONDS);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (total, operation) = (&total, &operation);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let mut count = 0_u64;
                while !count.is_multiple_of(16) || env.now() < end {
                    operation(&mut random);
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
    });
    total.into_inner() as f64 / (env.now() - start).as_secs_f64()
}

fn say(what: &str, per_second: f64) {
    println!(
        "{what:<44} {per_second:>12.0} /s  {:>9.2} µs each",
        1e6 / per_second
    );
}

fn put(store: &Store, keyspace: KeyspaceId, number: u64, durability: Durability) {
    let mut batch = Batch::new();
    batch.put(keyspace, key(number), value(number));
    store.commit(&batch, durability).unwrap();
}

fn fill(store: &Store, keyspace: KeyspaceId) {
    for from in (0..KEYS).step_by(1000) {
        let mut batch = Batch::new();
        for number in from..from + 1000 {
            batch.put(keyspace, key(number), value(number));
        }
        store.commit(&batch, Durability::Async).unwrap();
    }
    store.flush().unwrap();
}

fn load(env: &Env, store: &Store) -> KeyspaceId {
    let keyspace = create(store, EngineKind::BTree, false);
    let start = env.now();
    fill(store, keyspace);
    say(
        "load, sorted batches of 1,000, per row",
        KEYS as f64 / (env.now() - start).as_secs_f64(),
    );
    keyspace
}

/// A table load as `etl` does it: through a staging keyspace, 150-byte rows.
fn load_staged(env: &Env, store: &Store) {
    const ROWS: u64 = 340_000;
    let (from, into) = (
        create(store, EngineKind::BTree, true),
        create(store, EngineKind::BTree, false),
    );
    let start = env.now();
    let row = vec![b'r'; 150];
    for first in (0..ROWS).step_by(1000) {
        let mut batch = Batch::new();
        for number in first..(first + 1000).min(ROWS) {
            batch.put(from, key(number), staging::encode_put(&row));
        }
        store.commit(&batch, Durability::None).unwrap();
    }
    let mut batch = Batch::new();
    batch.merge(from, into);
    let merge = env.now();
    store.commit(&batch, Durability::Sync).unwrap();
    let end = env.now();
    say(
        "load through a staging keyspace, per row",
        ROWS as f64 / (end - start).as_secs_f64(),
    );
    println!("  of which the merge took {:?}", end - merge);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir, load] = &arguments[..]
        && mode == "write-for-ever"
    {
        let loads = [Load::Overwrites, Load::Appends];
        let load = loads.into_iter().find(|one| format!("{one:?}") == *load);
        write_for_ever(Path::new(dir), load.unwrap());
    }
    if let [mode, dir] = &arguments[..]
        && mode == "recovery"
    {
        return recovery(&Env::system(), Path::new(dir));
    }
    if let [mode, dir] = &arguments[..]
        && mode == "open"
    {
        let env = Env::system();
        let start = env.now();
        let store = Store::open(env.clone(), Path::new(dir), StoreOptions::default()).unwrap();
        println!("opened in {:?}: {:#?}", env.now() - start, store.stats());
        return;
    }
    let dir = arguments.first().map_or_else(
        || std::env::temp_dir().join(format!("rustling-measure-{}", std::process::id())),
        PathBuf::from,
    );
    let env = Env::system();
    let start = env.now();
    let store = Store::open(env.clone(), &dir, StoreOptions::default()).unwrap();
    println!("created in {:?}", env.now() - start);
    let keyspace = load(&env, &store);
    load_staged(&env, &store);
    for threads in [1, 2] {
        let gets = rate(&env, threads, |random| {
            let number = random.u64(..KEYS);
            let found = store
                .snapshot()
                .get_with(keyspace, &key(number), <[u8]>::len)
                .unwrap();
            assert_eq!(found, Some(100));
        });
        say(
            &format!("random get, {threads} thread(s), per thread"),
            gets / threads as f64,
        );
    }
    let held = store.snapshot();
    let gets = rate(&env, 1, |random| {
        held.get_with(keyspace, &key(random.u64(..KEYS)), <[u8]>::len)
            .unwrap();
    });
    say("random get, snapshot held", gets);
    say(
        "snapshot and drop alone",
        rate(&env, 1, |_| drop(store.snapshot())),
    );
    drop(held);
    let scans = rate(&env, 1, |random| {
        let mut range = KeyRange::all();
        range.start = std::ops::Bound::Included(key(random.u64(..KEYS)).to_vec());
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
    let mut rows = 0;
    while cursor.next().unwrap().is_some() {
        rows += 1;
    }
    say(
        "full scan, per row",
        f64::from(rows) / (env.now() - start).as_secs_f64(),
    );
    drop(cursor);
    disk(&env, &dir);
    for (name, durability) in [("async", Durability::Async), ("durable", Durability::Sync)] {
        for threads in [1, 2, 8] {
            let puts = rate(&env, threads, |random| {
                put(&store, keyspace, random.u64(..KEYS), durability);
            });
            say(
                &format!("{name} random put, {threads} thread(s), all"),
                puts,
            );
        }
    }
    let start = env.now();
    let lsn = store.checkpoint().unwrap();
    println!("checkpoint at {lsn} in {:?}", env.now() - start);
    println!("{:#?}", store.stats());
    store.close().unwrap();
    recovery(&env, &dir);
}

/// What the disk itself does: the bar for durable puts.
fn disk(env: &Env, dir: &Path) {
    let path = dir.join("disk-test");
    let file = env
        .vfs
        .open(&path, rustling_storage::OpenMode::CreateNew)
        .unwrap();
    file.write_all_at(&vec![1; 8 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let at = AtomicU64::new(0);
    let syncs = rate(env, 1, |_| {
        let offset = at.fetch_add(200, Ordering::Relaxed) % (8 << 20);
        file.write_all_at(&[2; 200], offset).unwrap();
        file.sync_data().unwrap();
    });
    say("overwrite 200 bytes and flush", syncs);
    env.vfs.remove_file(&path).unwrap();
}

/// What a process that will be killed writes, as fast as it can.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// Random rows are overwritten, in batches.
    Overwrites,
    /// Rows come in the order of their keys, in batches that compress well.
    Appends,
}

const ENGINES: [(&str, EngineKind); 3] = [
    ("btree", EngineKind::BTree),
    ("lsm", EngineKind::Lsm),
    ("hybrid", EngineKind::Hybrid),
];

/// Writes until killed.
fn write_for_ever(dir: &Path, load: Load) -> ! {
    let store = Store::open(Env::system(), dir, StoreOptions::default()).unwrap();
    let (keyspace, _) = store.keyspaces()[0];
    let next = AtomicU64::new(KEYS);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, next) = (&store, &next);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                loop {
                    let mut batch = Batch::new();
                    match load {
                        Load::Overwrites => {
                            for _ in 0..500 {
                                let mut value = vec![0; 100];
                                random.fill(&mut value);
                                batch.put(keyspace, key(random.u64(..KEYS)), value);
                            }
                        }
                        Load::Appends => {
                            let first = next.fetch_add(500, Ordering::Relaxed);
                            for number in first..first + 500 {
                                batch.put(keyspace, key(number), value(number));
                            }
                        }
                    }
                    store.commit(&batch, Durability::Async).unwrap();
                }
            });
        }
    });
    unreachable!("the threads never end")
}

/// Kills a process at full write load, again and again, and opens what it leaves.
fn recovery(env: &Env, dir: &Path) {
    for (name, engine) in ENGINES {
        let dir = dir.join(name);
        let store = Store::open(env.clone(), &dir, StoreOptions::default()).unwrap();
        let keyspace = create(&store, engine, false);
        fill(&store, keyspace);
        store.close().unwrap();
        for load in [Load::Overwrites, Load::Appends] {
            let mut worst = OpenStatistics::default();
            for _ in 0..5 {
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .arg("write-for-ever")
                    .arg(&dir)
                    .arg(format!("{load:?}"))
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                env.sleep(Duration::from_millis(2500));
                child.kill().unwrap();
                child.wait().unwrap();
                let store = Store::open(env.clone(), &dir, StoreOptions::default()).unwrap();
                let opening = store.stats().opening;
                if opening.total > worst.total {
                    worst = opening;
                }
            }
            println!("open after kill -9, {name}, {load:?}, the worst of five: {worst:?}");
        }
    }
}
