//! The log flushed by `io_uring`.

use std::{io::ErrorKind, path::Path, time::Duration};

use rustling_storage::{Durability, Env, Error, KeyspaceOptions, Store, StoreOptions};

use super::{DIR, SimEnv, create_keyspace, put, small};

fn options() -> StoreOptions {
    StoreOptions {
        wal_io_uring: true,
        ..small()
    }
}

/// `None` where this kernel refuses a ring: then, and only then, there is nothing to test.
#[expect(clippy::print_stderr, reason = "a test that tests nothing says so")]
fn open(dir: &Path, options: StoreOptions) -> Option<Store> {
    match Store::open(Env::system(), dir, options) {
        Err(Error::Unavailable {
            option,
            source,
            hint,
        }) => {
            use ErrorKind::{OutOfMemory, PermissionDenied, Unsupported};
            let kind = source.kind();
            assert_eq!(option, "wal_io_uring");
            assert!(!hint.is_empty());
            assert!(
                matches!(kind, OutOfMemory | PermissionDenied | Unsupported),
                "{source}"
            );
            assert!(!dir.exists(), "a refusal leaves nothing behind");
            eprintln!("not tested, as the kernel refuses io_uring: {source}");
            None
        }
        opened => Some(opened.unwrap()),
    }
}

/// Committers at once over many small segments, with background work and without, cut short and
/// opened again, each time the other way.
#[test]
fn what_a_ring_has_flushed_is_there() {
    const THREADS: u64 = 4;
    const COMMITS: u64 = 60;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let way = |round: u64| StoreOptions {
        wal_io_uring: round.is_multiple_of(2),
        background: round % 3 == 1,
        // Threads of a store that was cut short live on here: nothing must wake them.
        quiet_interval: Duration::from_secs(3600),
        checkpoint_interval: Duration::from_secs(3600),
        checkpoint_wal_bytes: 1 << 30,
        lock: false,
        ..options()
    };
    let Some(store) = open(&dir, way(0)) else {
        return;
    };
    let id = create_keyspace(&store, KeyspaceOptions::default());
    store.close().unwrap();
    for round in 0..6 {
        let Some(store) = open(&dir, way(round)) else {
            return;
        };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = &store;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(round * THREADS + thread);
                    for count in 0..COMMITS {
                        let key = [round, thread, count].map(u64::to_be_bytes).concat();
                        let len = random.usize(..if count == 30 { 30_000 } else { 400 });
                        let lsn = put(store, id, &key, &vec![thread as u8; len]).unwrap();
                        assert!(store.stats().durable >= lsn);
                    }
                });
            }
        });
        if round == 3 {
            store.checkpoint().unwrap();
        }
        // The process ends here.
        std::mem::forget(store);
        let plain = StoreOptions {
            wal_io_uring: false,
            background: false,
            read_only: true,
            ..way(round)
        };
        let store = Store::open(Env::system(), &dir, plain).unwrap();
        let snapshot = store.snapshot();
        for round in 0..=round {
            for thread in 0..THREADS {
                for count in 0..COMMITS {
                    let key = [round, thread, count].map(u64::to_be_bytes).concat();
                    let value = snapshot.get(id, &key).unwrap();
                    let value = value.expect("an acknowledged commit is there");
                    assert!(value.iter().all(|byte| *byte == thread as u8));
                }
            }
        }
        assert!(store.verify().unwrap().is_clean());
    }
}

/// File systems that make no system calls have nothing to gain, and are written as ever.
#[test]
fn a_simulated_disk_does_without() {
    let sim = SimEnv::new(1);
    let store = Store::open(sim.env(), Path::new(DIR), options()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    put(&store, id, b"key", b"value").unwrap();
    store.close().unwrap();
    let store = Store::open(sim.env(), Path::new(DIR), small()).unwrap();
    let value = store.snapshot().get(id, b"key").unwrap();
    assert_eq!(value.as_deref(), Some(&b"value"[..]));
    let mut batch = rustling_storage::Batch::new();
    batch.put(id, "key", "other");
    store.commit(&batch, Durability::Sync).unwrap();
}

/// Who only reads asks for no ring.
#[test]
fn a_reader_needs_no_ring() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let store = Store::open(Env::system(), &dir, small()).unwrap();
    store.close().unwrap();
    let read_only = StoreOptions {
        read_only: true,
        ..options()
    };
    Store::open(Env::system(), &dir, read_only).unwrap();
}
