//! The log: its segments and their archive, asynchronous durability, and what cannot be written.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
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

/// The log segments on the disk.
fn segments(vfs: &MemoryVfs) -> Vec<u64> {
    let names = vfs.read_dir(&Path::new(DIR).join("wal")).unwrap();
    let number = |name: &std::path::PathBuf| name.to_str()?.strip_suffix(".wal")?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
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
    let segments = || segments(&vfs);
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

/// A clock that stands still, and a store that does nothing in the background but flush and make
/// log segments.
fn flushing(vfs: &HookedVfs) -> (std::sync::Arc<SimClock>, Store) {
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
    (clock, store)
}

/// The time that a commit waits to become durable begins with it, whatever the thread that
/// flushes is doing just then.
#[test]
fn the_bound_of_asynchronous_commits_counts_from_the_commit() {
    let vfs = HookedVfs::default();
    let (clock, store) = flushing(&vfs);
    let id = create_keyspace(&store, KeyspaceOptions::default());
    let commit = |key: &[u8]| {
        let mut batch = Batch::new();
        batch.put(id, key, *b"1");
        store.commit(&batch, Durability::Async).unwrap()
    };
    vfs.hold(Operation::Sync, ".wal");
    commit(b"a");
    clock.advance(StoreOptions::default().async_flush_interval);
    // The thread has been asked to flush, and does: the commit after it has to wait for that too.
    until(|| {
        clock.advance(Duration::from_micros(10));
        vfs.is_held()
    });
    let lsn = commit(b"b");
    let late = Duration::from_secs(1000);
    clock.advance(late);
    vfs.release();
    until(|| {
        clock.advance(Duration::from_micros(10));
        store.durable_lsn() >= lsn
    });
    let waited = || {
        let waits = store.stats().waits;
        let wait = waits.iter().find(|wait| wait.name == "commit.async");
        wait.filter(|wait| wait.count == 2).map(|wait| wait.total)
    };
    until(|| waited().is_some());
    assert!(waited().unwrap() >= 2 * late, "{:?}", waited());
}

/// A log segment takes long to make. Commits that the segment before it has room for are durable
/// within their time meanwhile.
#[test]
fn asynchronous_commits_do_not_wait_for_the_next_segment() {
    let vfs = HookedVfs::default();
    let (clock, store) = flushing(&vfs);
    let id = create_keyspace(&store, KeyspaceOptions::default());
    vfs.hold(Operation::Create, ".wal");
    // More than half of the first segment: the next one is being made.
    put(&store, id, b"a", &[7; 9000]).unwrap();
    vfs.until_held();
    let env = Env::in_memory();
    for round in 0..3_u8 {
        let mut batch = Batch::new();
        batch.put(id, *b"b", [round]);
        let lsn = store.commit(&batch, Durability::Async).unwrap();
        let mut looks = 0..6000;
        let is_durable = looks.any(|_| {
            clock.advance(StoreOptions::default().async_flush_interval);
            env.sleep(Duration::from_millis(10));
            store.durable_lsn() >= lsn
        });
        assert!(is_durable, "{round}");
        assert!(vfs.is_held(), "the segment is not there yet");
    }
    vfs.release();
    for number in 0..200_u32 {
        put(&store, id, &number.to_be_bytes(), &[7; 300]).unwrap();
    }
    assert!(store.stats().wal_segments > 1);
}

/// Takes segments one at a time, when it is let.
#[derive(Debug, Default)]
struct SlowShelf {
    taken: AtomicUsize,
    lets: AtomicUsize,
    /// Which, in their order.
    sequences: std::sync::Mutex<Vec<u64>>,
}

impl LogArchive for SlowShelf {
    fn archive(&self, segment: LogSegment<'_>) -> std::io::Result<()> {
        until(|| self.lets.load(Ordering::Acquire) > self.taken.load(Ordering::Acquire));
        self.sequences.lock().unwrap().push(segment.sequence);
        self.taken.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Checkpoints go on while the archive takes its time, and so do commits, which would have to wait
/// for them. What it has not taken stays.
#[test]
fn a_slow_archive_holds_up_no_checkpoint() {
    let vfs = MemoryVfs::new();
    let shelf = std::sync::Arc::new(SlowShelf::default());
    let archive: std::sync::Arc<dyn LogArchive> = shelf.clone();
    let options = StoreOptions {
        background: true,
        wal_archive: Some(archive),
        checkpoint_wal_bytes: 64 << 10,
        ..small()
    };
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    for number in 0..2000_u32 {
        put(&store, id, &number.to_be_bytes(), &[7; 300]).unwrap();
    }
    let lsn = store.checkpoint().unwrap();
    assert!(store.checkpoint().unwrap() >= lsn);
    let segments = store.stats().wal_segments;
    assert!(segments > 10, "{segments}");
    assert_eq!(shelf.taken.load(Ordering::Acquire), 0);
    shelf.lets.store(usize::MAX, Ordering::Release);
    until(|| store.stats().wal_segments <= 3);
    assert!(shelf.taken.load(Ordering::Acquire) + 3 >= segments);
    store.close().unwrap();
    assert!(open(&vfs, small()).unwrap().verify().unwrap().is_clean());
}

/// Closing the store offers what the archive's thread has not come to, though there is nothing left
/// to make a checkpoint of.
#[test]
fn closing_archives_what_is_left() {
    let vfs = MemoryVfs::new();
    let shelf = std::sync::Arc::new(SlowShelf::default());
    let archive: std::sync::Arc<dyn LogArchive> = shelf.clone();
    let options = StoreOptions {
        background: true,
        wal_archive: Some(archive),
        checkpoint_interval: Duration::from_secs(3600),
        quiet_interval: Duration::from_secs(3600),
        ..small()
    };
    let store = open(&vfs, options).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    for number in 0..1000_u32 {
        put(&store, id, &number.to_be_bytes(), &[7; 300]).unwrap();
    }
    store.checkpoint().unwrap();
    let before = segments(&vfs);
    assert!(before.len() > 10, "{before:?}");
    let other = store.clone();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        until(|| matches!(put(&other, id, b"a", b"1"), Err(Error::Closed)));
        // Time enough for the threads to be told to stop; what has to be true is so in any case.
        for _ in 0..50 {
            Env::in_memory().sleep(Duration::from_millis(1));
        }
        shelf.lets.store(usize::MAX, Ordering::Release);
        closing.join().unwrap().unwrap();
    });
    let (taken, after) = (shelf.sequences.lock().unwrap().clone(), segments(&vfs));
    assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    let all: Vec<u64> = taken.iter().chain(&after).copied().collect();
    assert!(all.starts_with(&before), "{all:?} {before:?}");
    assert!(after.len() <= 3, "{after:?}");
    drop(other);
    assert!(open(&vfs, small()).unwrap().verify().unwrap().is_clean());
}
