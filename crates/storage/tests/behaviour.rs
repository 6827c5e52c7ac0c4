//! What a user of the store may rely on: who may open it, what closing means, what a full disk
//! does, and what many threads see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, KeyspaceOptions,
    Lsn, MemoryVfs, OpenMode, Store, StoreOptions, Vfs, check, staging,
};
use rustling_testkit::sim::SimEnv;

mod commits;
mod compaction;
mod engine_change;
#[cfg(target_os = "linux")]
mod io_uring;
mod log;
mod memory;
mod reads;
mod slow_disk;

use crate::common::{ENGINES, create_keyspace, of, staged};

const DIR: &str = "/some/where/store";

fn small() -> StoreOptions {
    StoreOptions {
        page_size: 4096,
        memory_budget: 1 << 20,
        wal_segment_bytes: 16 << 10,
        background: false,
        ..StoreOptions::default()
    }
}

fn open(vfs: &MemoryVfs, options: StoreOptions) -> Result<Store, Error> {
    Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), options)
}

fn put(store: &Store, id: KeyspaceId, key: &[u8], value: &[u8]) -> Result<Lsn, Error> {
    let mut batch = Batch::new();
    batch.put(id, key, value);
    store.commit(&batch, Durability::Sync)
}

#[test]
fn one_writer_or_many_readers() {
    let vfs = MemoryVfs::new();
    let read_only = || StoreOptions {
        read_only: true,
        ..small()
    };
    assert!(matches!(
        open(&vfs, read_only()),
        Err(Error::NotFound { .. })
    ));
    let must_exist = StoreOptions {
        create: false,
        ..small()
    };
    assert!(matches!(
        open(&vfs, must_exist),
        Err(Error::NotFound { .. })
    ));
    assert!(
        !vfs.exists(Path::new("/some")).unwrap(),
        "looking creates nothing"
    );
    let store = open(&vfs, small()).unwrap();
    assert!(matches!(open(&vfs, small()), Err(Error::Locked { .. })));
    assert!(matches!(open(&vfs, read_only()), Err(Error::Locked { .. })));
    let env = Env::with_vfs(vfs.clone());
    assert!(matches!(
        check(&env, Path::new(DIR)),
        Err(Error::Locked { .. })
    ));
    let id = create_keyspace(&store, KeyspaceOptions::default());
    put(&store, id, b"a", b"1").unwrap();
    drop(store);
    let readers = [
        open(&vfs, read_only()).unwrap(),
        open(&vfs, read_only()).unwrap(),
    ];
    assert!(matches!(open(&vfs, small()), Err(Error::Locked { .. })));
    for reader in &readers {
        // What was committed after the checkpoint is there, from the log.
        assert_eq!(
            reader.snapshot().get(id, b"a").unwrap().as_deref(),
            Some(&b"1"[..])
        );
        assert!(matches!(put(reader, id, b"a", b"2"), Err(Error::ReadOnly)));
        assert!(matches!(reader.checkpoint(), Err(Error::ReadOnly)));
    }
    drop(readers);
    open(&vfs, small()).unwrap().close().unwrap();
}

#[test]
fn opening_for_reading_changes_nothing() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs, small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    for number in 0..500_u32 {
        put(&store, id, &number.to_be_bytes(), &[7; 300]).unwrap();
    }
    drop(store);
    let bytes = |vfs: &MemoryVfs| {
        let mut all = Vec::new();
        let dir = Path::new(DIR);
        for path in [dir.to_path_buf(), dir.join("wal")] {
            for name in vfs.read_dir(&path).unwrap() {
                if let Ok(file) = vfs.open(&path.join(&name), rustling_storage::OpenMode::ReadOnly)
                {
                    let mut content = vec![0; file.len().unwrap() as usize];
                    file.read_exact_at(&mut content, 0).unwrap();
                    all.push((name, content));
                }
            }
        }
        all
    };
    let before = bytes(&vfs);
    assert!(before.len() > 5);
    let reader = open(
        &vfs,
        StoreOptions {
            read_only: true,
            ..small()
        },
    )
    .unwrap();
    let mut cursor = reader
        .snapshot()
        .scan(id, KeyRange::all(), Direction::Backward)
        .unwrap();
    let mut count = 0;
    while cursor.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 500);
    assert!(reader.verify().unwrap().is_clean());
    drop((reader, cursor));
    check(&Env::with_vfs(vfs.clone()), Path::new(DIR)).unwrap();
    assert!(before == bytes(&vfs));
}

#[test]
fn closing_keeps_snapshots_and_refuses_commits() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs, small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    put(&store, id, b"a", b"1").unwrap();
    let (other, snapshot) = (store.clone(), store.snapshot());
    store.close().unwrap();
    assert!(matches!(put(&other, id, b"a", b"2"), Err(Error::Closed)));
    assert!(matches!(other.checkpoint(), Err(Error::Closed)));
    drop(other);
    assert!(matches!(open(&vfs, small()), Err(Error::Locked { .. })));
    assert_eq!(snapshot.get(id, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    drop(snapshot);
    let store = open(&vfs, small()).unwrap();
    assert_eq!(store.stats().wal_lag_bytes, 0, "closing checkpoints");
    assert_eq!(
        store.snapshot().get(id, b"a").unwrap().as_deref(),
        Some(&b"1"[..])
    );
}

#[test]
fn a_full_disk_refuses_commits_and_nothing_else() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs, small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    vfs.set_limit(vfs.used() + (300 << 10));
    let mut written = 0_u32;
    let error = loop {
        match put(&store, id, &written.to_be_bytes(), &[7; 500]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100_000);
    };
    match &error {
        Error::Io { source, .. } => {
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
        }
        other => panic!("{other}"),
    }
    assert!(written > 100, "{written}");
    let count = |store: &Store| {
        let mut cursor = store
            .snapshot()
            .scan(id, KeyRange::all(), Direction::Forward)
            .unwrap();
        let mut count = 0_u32;
        while let Some((key, value)) = cursor.next().unwrap() {
            assert_eq!((key, value.len()), (&count.to_be_bytes()[..], 500));
            count += 1;
        }
        count
    };
    assert_eq!(count(&store), written);
    assert!(store.verify().unwrap().is_clean());
    // Killed there, everything is there again; and once there is room, writing goes on.
    let copy = vfs.fork();
    copy.set_limit(u64::MAX);
    assert_eq!(count(&open(&copy, small()).unwrap()), written);
    vfs.set_limit(u64::MAX);
    put(&store, id, &written.to_be_bytes(), &[7; 500]).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(count(&store), written + 1);
    store.close().unwrap();
    assert_eq!(count(&open(&vfs, small()).unwrap()), written + 1);
}

#[test]
fn space_of_dropped_keyspaces_returns() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs, small()).unwrap();
    let mut sizes = Vec::new();
    for round in 0..6 {
        let (id, from) = (
            create_keyspace(&store, KeyspaceOptions::default()),
            create_keyspace(&store, staged(EngineKind::default())),
        );
        for number in 0..200_u32 {
            put(
                &store,
                from,
                &number.to_be_bytes(),
                &staging::encode_put(&[round; 900]),
            )
            .unwrap();
        }
        let mut batch = Batch::new();
        batch.merge(from, id);
        store.commit(&batch, Durability::Sync).unwrap();
        let held = store.snapshot();
        let mut cursor = held.scan(id, KeyRange::all(), Direction::Forward).unwrap();
        drop(held);
        let mut batch = Batch::new();
        batch.drop_keyspace(id);
        store.commit(&batch, Durability::Sync).unwrap();
        store.checkpoint().unwrap();
        let mut seen = 0;
        while let Some((_, value)) = cursor.next().unwrap() {
            assert_eq!(value, [round; 900]);
            seen += 1;
        }
        assert_eq!(seen, 200, "a cursor keeps what it reads");
        drop(cursor);
        store.checkpoint().unwrap();
        assert!(store.verify().unwrap().is_clean());
        sizes.push(store.stats().pages.pages);
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}

/// Writers move amounts between accounts, readers add them up.
#[test]
fn snapshots_are_consistent_under_concurrent_writers() {
    const ACCOUNTS: u32 = 50;
    let vfs = MemoryVfs::new();
    let options = StoreOptions {
        background: true,
        checkpoint_wal_bytes: 64 << 10,
        ..small()
    };
    let store = open(&vfs, options.clone()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let amount = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
    let mut batch = Batch::new();
    for account in 0..ACCOUNTS {
        batch.put(id, account.to_be_bytes(), 100_i64.to_le_bytes());
    }
    store.commit(&batch, Durability::Sync).unwrap();
    let done = AtomicBool::new(false);
    let sums = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = Lsn::ZERO;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = store.snapshot();
                    assert!(snapshot.lsn() >= last);
                    last = snapshot.lsn();
                    let mut cursor = snapshot
                        .scan(id, KeyRange::all(), Direction::Forward)
                        .unwrap();
                    let mut sum = 0;
                    while let Some((_, value)) = cursor.next().unwrap() {
                        sum += amount(value);
                    }
                    assert_eq!(sum, i64::from(ACCOUNTS) * 100);
                    sums.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let store = &store;
                // Each writer has accounts of its own: the layer above isolates writers.
                let mine = move |random: &mut fastrand::Rng| {
                    (random.u32(..ACCOUNTS / 3) * 3 + writer as u32).to_be_bytes()
                };
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(writer);
                    for _ in 0..400 {
                        let (from, to) = (mine(&mut random), mine(&mut random));
                        if from == to {
                            continue;
                        }
                        let now = store.snapshot();
                        let read = |key: &[u8]| amount(&now.get(id, key).unwrap().unwrap());
                        let mut batch = Batch::new();
                        batch.put(id, from, (read(&from) - 7).to_le_bytes());
                        batch.put(id, to, (read(&to) + 7).to_le_bytes());
                        let durability = if random.bool() {
                            Durability::Sync
                        } else {
                            Durability::Async
                        };
                        let lsn = store.commit(&batch, durability).unwrap();
                        assert_eq!(store.latest_version(id, &from).unwrap(), Some(lsn));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(sums.into_inner() > 0);
    assert!(store.verify().unwrap().is_clean());
    let last = store.flush().unwrap();
    let copy = vfs.fork();
    let again = open(&copy, options).unwrap();
    assert_eq!(again.published_lsn(), last);
    assert!(again.verify().unwrap().is_clean());
}

#[test]
fn an_interrupted_creation_begins_anew() {
    let vfs = MemoryVfs::new();
    drop(open(&vfs, small()).unwrap());
    // The data file never got its name.
    vfs.rename(
        &Path::new(DIR).join("data.rdb"),
        &Path::new(DIR).join("data.rdb.new"),
    )
    .unwrap();
    let store = open(&vfs, small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    put(&store, id, b"a", b"1").unwrap();
    drop(store);
    // But a log with commits is not thrown away.
    vfs.remove_file(&Path::new(DIR).join("data.rdb")).unwrap();
    match open(&vfs, small()) {
        Err(Error::Corrupt { reason, .. }) => assert!(reason.contains("holds commits"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_vacuum_gives_space_back() {
    let vfs = MemoryVfs::new();
    let store = open(&vfs, small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let rows = 3_000_u32;
    let mut numbers: Vec<u32> = (0..rows).collect();
    fastrand::Rng::with_seed(3).shuffle(&mut numbers);
    let value = |round: u8| [round; 300];
    for round in 0..3 {
        for some in numbers.chunks(50) {
            let mut batch = Batch::new();
            for number in some {
                batch.put(id, number.to_be_bytes(), value(round));
            }
            store.commit(&batch, Durability::None).unwrap();
        }
        store.checkpoint().unwrap();
    }
    let bytes = || {
        let path = Path::new(DIR).join("data.rdb");
        let file = vfs.open(&path, rustling_storage::OpenMode::ReadOnly);
        file.unwrap().len().unwrap()
    };
    let before = bytes();
    let old = store.snapshot();
    store.vacuum().unwrap();
    let after = bytes();
    let logical = u64::from(rows) * 304;
    assert!(
        after * 10 < logical * 13,
        "{after} bytes for {logical}, and {before} before: {:?}",
        store.stats()
    );
    assert!(store.verify().unwrap().is_clean());
    for number in [0, 1, rows / 2, rows - 1] {
        let found = old.get(id, &number.to_be_bytes()).unwrap();
        assert_eq!(found.as_deref(), Some(&value(2)[..]));
    }
    let mut batch = Batch::new();
    for number in 100..rows {
        batch.delete(id, number.to_be_bytes());
    }
    store.commit(&batch, Durability::Sync).unwrap();
    store.vacuum().unwrap();
    assert!(bytes() * 2 > after, "a snapshot still sees all of it");
    assert!(old.get(id, &(rows - 1).to_be_bytes()).unwrap().is_some());
    drop(old);
    store.vacuum().unwrap();
    assert!(bytes() < 512 << 10, "{} bytes for 100 rows", bytes());
    assert!(store.verify().unwrap().is_clean());
    drop(store);
    let store = open(&vfs, small()).unwrap();
    assert!(store.verify().unwrap().is_clean());
    let first = store.snapshot().get(id, &99_u32.to_be_bytes()).unwrap();
    assert_eq!(first.as_deref(), Some(&value(2)[..]));
    let gone = store.snapshot().get(id, &100_u32.to_be_bytes()).unwrap();
    assert_eq!(gone, None);
}

#[test]
fn a_store_at_rest_is_checkpointed_and_packed() {
    let vfs = MemoryVfs::new();
    let options = StoreOptions {
        background: true,
        quiet_interval: Duration::from_millis(20),
        checkpoint_wal_bytes: 64 << 20,
        memory_budget: 8 << 20,
        ..small()
    };
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let mut numbers: Vec<u32> = (0..20_000).collect();
    fastrand::Rng::with_seed(5).shuffle(&mut numbers);
    for some in numbers.chunks(100) {
        let mut batch = Batch::new();
        for number in some {
            batch.put(id, number.to_be_bytes(), [9; 100]);
        }
        store.commit(&batch, Durability::None).unwrap();
    }
    let env = Env::system();
    let logical = 20_000 * 104;
    let packed = || {
        let stats = store.stats();
        stats.wal_lag_bytes == 0 && stats.pages.file_bytes * 4 < logical * 5
    };
    // However slow the machine: this only ends early.
    for _ in 0..3_000 {
        if packed() {
            break;
        }
        env.sleep(Duration::from_millis(10));
    }
    assert!(packed(), "{:?}", store.stats());
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn a_long_log_is_replayed_by_several_threads() {
    for engine in ENGINES {
        let vfs = MemoryVfs::new();
        let alone = || StoreOptions {
            memory_budget: 16 << 20,
            wal_segment_bytes: 256 << 10,
            lock: false,
            ..small()
        };
        let store = open(&vfs, alone()).unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        let mut expected = std::collections::BTreeMap::new();
        let tables = [(); 2].map(|()| create_keyspace(&store, of(engine)));
        for round in 0..400_u32 {
            let mut batch = Batch::new();
            for _ in 0..50 {
                let id = tables[random.usize(..2)];
                // The beginnings by which entries are sorted first say nothing here.
                let mut key = b"a beginning that all of them share ".to_vec();
                key.extend_from_slice(&random.u32(..9_000).to_be_bytes());
                if random.u8(..8) == 0 {
                    batch.delete(id, key.clone());
                    expected.remove(&(id, key));
                } else {
                    batch.put(id, key.clone(), round.to_be_bytes());
                    expected.insert((id, key), round);
                }
            }
            store.commit(&batch, Durability::Sync).unwrap();
        }
        // The process ends here.
        std::mem::forget(store);
        let several = StoreOptions {
            background: true,
            ..alone()
        };
        let store = open(&vfs, several).unwrap();
        let snapshot = store.snapshot();
        let mut found = std::collections::BTreeMap::new();
        for id in &tables {
            let mut cursor = snapshot
                .scan(*id, KeyRange::all(), Direction::Forward)
                .unwrap();
            while let Some((key, value)) = cursor.next().unwrap() {
                let round = u32::from_be_bytes(value.try_into().unwrap());
                found.insert((*id, key.to_vec()), round);
            }
        }
        assert!(found == expected, "{engine:?}");
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn what_is_replayed_is_bounded_however_well_it_compresses() {
    const LIMIT: u64 = 256 << 10;
    const ROWS: u64 = 300;
    for engine in ENGINES {
        let disk = SimEnv::new(7);
        let options = || StoreOptions {
            memory_budget: 16 << 20,
            wal_segment_bytes: 256 << 10,
            checkpoint_wal_bytes: LIMIT,
            lock: false,
            ..small()
        };
        let writing = StoreOptions {
            background: true,
            ..options()
        };
        let store = Store::open(disk.env_with_threads(), Path::new(DIR), writing).unwrap();
        let id = create_keyspace(&store, of(engine));
        // A commit is some 40 kB that shrink to almost nothing.
        let (mut key, mut most) = (0_u64, 0);
        for _ in 0..200 {
            let mut batch = Batch::new();
            for _ in 0..ROWS {
                batch.put(id, key.to_be_bytes(), [b'x'; 120]);
                key += 1;
            }
            store.commit(&batch, Durability::None).unwrap();
            most = most.max(store.stats().replay_debt);
        }
        store.flush().unwrap();
        let commit = ROWS * (64 + 8 + 120 + 8);
        assert!(most <= 2 * LIMIT + commit, "{engine:?}: {most}");
        let stats = store.stats();
        assert!(stats.wal_bytes * 4 < key * 128, "the log is compressed");
        let disk = disk.restart_process();
        std::mem::forget(store);
        let store = Store::open(disk.env(), Path::new(DIR), options()).unwrap();
        let stats = store.stats();
        let opening = stats.opening;
        assert_eq!(opening.replayed_operations, opening.replayed_commits * ROWS);
        assert!(opening.replayed_bytes <= 2 * LIMIT + commit, "{opening:?}");
        assert_eq!(
            stats.replay_debt,
            opening.replayed_bytes + 64 * opening.replayed_operations
        );
        assert_eq!(
            store.snapshot().get(id, &(key - 1).to_be_bytes()).unwrap(),
            Some(vec![b'x'; 120])
        );
    }
}

#[test]
fn a_store_at_rest_keeps_little_log_and_one_version_of_each_row() {
    for engine in ENGINES {
        let vfs = MemoryVfs::new();
        let options = || StoreOptions {
            page_size: 8192,
            memory_budget: 8 << 20,
            wal_segment_bytes: 4 << 20,
            checkpoint_wal_bytes: 256 << 10,
            background: true,
            lock: false,
            ..small()
        };
        let store = open(&vfs, options()).unwrap();
        let id = create_keyspace(&store, of(engine));
        let mut random = fastrand::Rng::with_seed(3);
        let mut expected = std::collections::BTreeMap::new();
        for _ in 0..300 {
            let mut batch = Batch::new();
            for _ in 0..200 {
                let key = random.u64(..18_000);
                let mut value = vec![0; 100];
                random.fill(&mut value);
                batch.put(id, key.to_be_bytes(), value.clone());
                expected.insert(key, value);
            }
            store.commit(&batch, Durability::None).unwrap();
        }
        store.vacuum().unwrap();
        let len = |name: &std::path::Path| vfs.open(name, OpenMode::ReadOnly).unwrap().len();
        let wal = Path::new(DIR).join("wal");
        let names = vfs.read_dir(&wal).unwrap();
        let log: u64 = names.iter().map(|name| len(&wal.join(name)).unwrap()).sum();
        assert!(log <= 1 << 20, "{engine:?}: {log} bytes of log");
        let logical = expected.len() as u64 * 108;
        let rest = vfs.used() - log;
        assert!(rest * 10 < logical * 12, "{engine:?}: {rest} of {logical}");
        // It goes on from there, and what comes then is replayed.
        let mut batch = Batch::new();
        batch.put(id, 1_u64.to_be_bytes(), b"new");
        expected.insert(1, b"new".to_vec());
        store.commit(&batch, Durability::Sync).unwrap();
        let store = open(&vfs.fork(), options()).unwrap();
        let snapshot = store.snapshot();
        for (key, value) in &expected {
            let found = snapshot.get(id, &key.to_be_bytes()).unwrap();
            assert!(found.as_ref() == Some(value), "{engine:?}: {key}");
        }
        assert!(store.verify().unwrap().is_clean());
    }
}

/// However large a table, a crash leaves no more pages to read than have to do with the cache.
#[test]
fn pages_that_are_replayed_are_bounded() {
    const ROWS: u32 = 60_000;
    // 256 pages are cached, a tenth of the table.
    let options = |background| StoreOptions {
        memory_budget: 2 << 20,
        background,
        lock: false,
        ..small()
    };
    let mut disk = SimEnv::new(8);
    let mut store = Store::open(disk.env_with_threads(), Path::new(DIR), options(true)).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let write = |store: &Store, rows: &mut dyn Iterator<Item = u32>| {
        let mut batch = Batch::new();
        for row in rows {
            batch.put(id, row.to_be_bytes(), [row as u8; 100]);
        }
        store.commit(&batch, Durability::None).unwrap();
    };
    for from in (0..ROWS).step_by(500) {
        write(&store, &mut (from..from + 500));
    }
    store.checkpoint().unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    let mut replayed = 0;
    // A checkpoint in the background may have ended right before the crash, which leaves nothing
    // to replay: then there is another crash.
    for _ in 0..10 {
        for _ in 0..1000 {
            write(&store, &mut (0..4).map(|_| random.u32(..ROWS)));
        }
        store.flush().unwrap();
        disk = disk.restart_process();
        std::mem::forget(store);
        let opened = Store::open(disk.env(), Path::new(DIR), options(false)).unwrap();
        let stats = opened.stats();
        // Three times the cache, and a few nodes above the leaves.
        assert!(stats.pages.misses < 850, "{:?}", stats.pages);
        assert!(opened.verify().unwrap().is_clean());
        replayed = stats.opening.replayed_commits;
        if replayed > 0 {
            break;
        }
        drop(opened);
        store = Store::open(disk.env_with_threads(), Path::new(DIR), options(true)).unwrap();
    }
    assert!(replayed > 0);
}
