//! The log: its segments and their archive, asynchronous durability, and what cannot be written.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustling_storage::{
    Batch, Durability, EngineKind, Env, Error, KeyspaceOptions, LogArchive, LogSegment, Lsn,
    MemoryVfs, Store, StoreOptions, Vfs,
};
use rustling_testkit::sim::SimClock;

use super::{DIR, open, put, small};
use crate::common::{HookedVfs, Operation, create_keyspace, of, until};

#[test]
fn asynchronous_commits_are_durable_soon() {
    let vfs = MemoryVfs::new();
    let options = StoreOptions {
        background: true,
        ..small()
    };
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let mut batch = Batch::new();
    batch.put(id, *b"a", *b"1");
    let lsn = store.commit(&batch, Durability::Async).unwrap();
    assert_eq!(
        store.snapshot().get(id, b"a").unwrap().as_deref(),
        Some(&b"1"[..])
    );
    while store.durable_lsn() < lsn {
        Env::in_memory().sleep(Duration::from_millis(1));
    }
    let lsn = store.commit(&batch, Durability::None).unwrap();
    assert_eq!(store.flush().unwrap(), lsn);
}

/// Remembers which log segments it was given, and refuses some.
#[derive(Debug, Default)]
struct Shelf {
    taken: std::sync::Mutex<Vec<u64>>,
    is_full: AtomicBool,
}

impl LogArchive for Shelf {
    fn archive(&self, segment: LogSegment<'_>) -> std::io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.taken.lock().unwrap().push(segment.sequence);
        Ok(())
    }
}

#[test]
fn log_segments_are_archived_before_they_are_removed() {
    let vfs = MemoryVfs::new();
    let shelf = std::sync::Arc::new(Shelf::default());
    let archive: std::sync::Arc<dyn LogArchive> = shelf.clone();
    let options = StoreOptions {
        wal_archive: Some(archive),
        wal_kept_segments: 1,
        ..small()
    };
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let segments = || -> Vec<u64> {
        let names = vfs.read_dir(&Path::new(DIR).join("wal")).unwrap();
        let number = |name: &std::path::PathBuf| name.to_str()?.strip_suffix(".wal")?.parse().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    };
    let write = || {
        for number in 0..200_u32 {
            put(&store, id, &number.to_be_bytes(), &[7; 300]).unwrap();
        }
    };
    write();
    let before = segments();
    assert!(before.len() > 3, "{before:?}");
    shelf.is_full.store(true, Ordering::Relaxed);
    store.checkpoint().unwrap();
    assert_eq!(segments(), before, "what nobody has taken stays");
    let stats = store.stats();
    assert_eq!(stats.archive_failures, 1);
    let failure = stats.last_archive_failure.unwrap();
    assert!(
        failure.starts_with(&format!("log segment {}: ", before[0])),
        "{failure}"
    );
    shelf.is_full.store(false, Ordering::Relaxed);
    write();
    store.checkpoint().unwrap();
    let (after, taken) = (segments(), shelf.taken.lock().unwrap().clone());
    assert!(after.len() <= 3, "{after:?}");
    assert!(
        taken.is_sorted() && taken.first() == before.first(),
        "{taken:?}"
    );
    assert!(
        before
            .iter()
            .all(|number| taken.contains(number) || after.contains(number))
    );
    assert!(
        after.iter().all(|number| !taken.contains(number)),
        "one is kept"
    );
    drop(store);
    assert!(open(&vfs, small()).unwrap().verify().unwrap().is_clean());
}

/// A commit that cannot be written out has its place in the order of commits, and nobody who ends
/// it: who waits behind it is told.
#[test]
fn a_commit_that_cannot_be_written_out_stops_those_behind_it() {
    const EIO: i32 = 5;
    let vfs = HookedVfs::default();
    let options = StoreOptions {
        memory_budget: 32 << 20,
        wal_segment_bytes: 8 << 20,
        wal_compress_above: usize::MAX,
        ..small()
    };
    let env = Env::with_vfs(vfs.clone());
    let store = Store::open(env.clone(), Path::new(DIR), options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let commit = move |store: &Store, bytes: usize, durability: Durability| {
        let mut batch = Batch::new();
        batch.put(id, *b"a", vec![7; bytes]);
        store.commit(&batch, durability)
    };
    // The first segment is small. The next one takes all that comes.
    for bytes in [900 << 10, 300 << 10] {
        commit(&store, bytes, Durability::Sync).unwrap();
    }
    vfs.hold(Operation::Write, ".wal");
    let begin = |bytes: usize, durability: Durability| {
        let (send, receive) = std::sync::mpsc::channel();
        let logged = store.stats().wal_bytes;
        let shared = store.clone();
        let body = move || drop(send.send(commit(&shared, bytes, durability)));
        env.spawn("a committer", body).unwrap();
        until(|| store.stats().wal_bytes > logged);
        receive
    };
    let refused = begin(1200 << 10, Durability::None);
    vfs.until_held();
    let behind = [Durability::Async, Durability::None].map(|durability| begin(10, durability));
    // They wait by now.
    env.sleep(Duration::from_millis(20));
    vfs.refuse(Some((Operation::Write, ".wal", EIO)));
    vfs.release();
    let answer = |receive: &std::sync::mpsc::Receiver<Result<Lsn, Error>>| {
        receive
            .recv_timeout(Duration::from_secs(60))
            .expect("an answer")
    };
    assert!(matches!(answer(&refused), Err(Error::Io { .. })));
    for behind in &behind {
        assert!(matches!(answer(behind), Err(Error::Poisoned { .. })));
    }
}

/// Whatever had to open one more file is refused, and works once there may be more.
#[cfg(unix)]
#[test]
fn too_many_open_files_refuse_commits_and_nothing_else() {
    const EMFILE: i32 = 24;
    let refusals = [
        (Operation::Create, ".sst"),
        (Operation::Open, ".sst"),
        (Operation::SyncDirectory, "tables"),
        (Operation::Create, ".wal"),
        (Operation::SyncDirectory, "wal"),
    ];
    for (operation, part) in refusals {
        let vfs = HookedVfs::default();
        let env = Env::with_vfs(vfs.clone());
        let open = || Store::open(env.clone(), Path::new(DIR), small()).unwrap();
        let store = open();
        let id = create_keyspace(&store, of(EngineKind::Lsm));
        vfs.refuse(Some((operation, part, EMFILE)));
        let mut written = 0_u32;
        let mut write = |store: &Store| {
            let done = put(store, id, &written.to_be_bytes(), &[7; 500]);
            written += u32::from(done.is_ok());
            assert!(written < 10_000, "{operation:?} {part}");
            done
        };
        // Until there has to be another log segment, or a memtable becomes a table. Where only the
        // table's name was refused, its memtable has made room, and the next one has to be full.
        for _ in 0..2 {
            let refused = loop {
                if let Err(refused) = write(&store) {
                    break refused;
                }
            };
            assert!(refused.is_out_of_files(), "{operation:?} {part}: {refused}");
            assert!(!refused.is_disk_full());
        }
        vfs.refuse(None);
        for _ in 0..200 {
            write(&store).unwrap();
        }
        store.close().unwrap();
        let store = open();
        let snapshot = store.snapshot();
        for row in 0..written {
            let found = snapshot.get(id, &row.to_be_bytes()).unwrap();
            assert_eq!(found, Some(vec![7; 500]), "{operation:?} {part}: {row}");
        }
        assert!(store.verify().unwrap().is_clean());
    }
}

/// The time that a commit waits to become durable begins with it, whatever the thread that
/// flushes is doing just then.
#[test]
fn the_bound_of_asynchronous_commits_counts_from_the_commit() {
    let vfs = HookedVfs::default();
    let clock = std::sync::Arc::new(SimClock::default());
    let env = Env {
        clock: clock.clone(),
        ..Env::with_vfs(vfs.clone())
    };
    let hour = Duration::from_secs(3600);
    let options = StoreOptions {
        background: true,
        quiet_interval: hour,
        checkpoint_interval: hour,
        wal_compress_above: usize::MAX,
        ..small()
    };
    let store = Store::open(env, Path::new(DIR), options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    vfs.hold(Operation::Create, ".wal");
    // More than half of the first segment: the next one is being made.
    put(&store, id, b"a", &[7; 9000]).unwrap();
    vfs.until_held();
    let mut batch = Batch::new();
    batch.put(id, *b"b", *b"1");
    let lsn = store.commit(&batch, Durability::Async).unwrap();
    let late = Duration::from_secs(1000);
    clock.advance(late);
    vfs.release();
    until(|| {
        clock.advance(Duration::from_micros(10));
        store.durable_lsn() >= lsn
    });
    let longest = || {
        let waits = store.stats().waits;
        let wait = waits.iter().find(|wait| wait.name == "commit.async");
        wait.filter(|wait| wait.count > 0).map(|wait| wait.max)
    };
    until(|| longest().is_some());
    assert!(longest().unwrap() >= late, "{:?}", longest());
}
