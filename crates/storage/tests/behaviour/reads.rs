//! The ways in which files are read, past the system's cache and from its memory, and the memory
//! that they are read to.

use std::{collections::BTreeMap, io::ErrorKind};

use rustling_storage::{
    Batch, Codec, Direction, Durability, Env, Error, KeyRange, KeyspaceId, Snapshot, Store,
    StoreOptions, TableReads,
};

use super::{ENGINES, create_keyspace, of, small};

fn contents(snapshot: &Snapshot, id: KeyspaceId, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = snapshot.scan(id, KeyRange::all(), direction).unwrap();
    let mut all = Vec::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        all.push((key.to_vec(), value.to_vec()));
    }
    all
}

/// Far more than the caches hold, of pages and blocks whose lengths fit those of the device, and
/// of such as do not; closed as well as cut short.
#[expect(clippy::print_stderr, reason = "a test that tests nothing says so")]
fn holds_what_was_written(way: &StoreOptions) {
    let parent = tempfile::tempdir().unwrap();
    for (codec, page_size) in [(Codec::None, 8192), (Codec::Lz4, 16384)] {
        let dir = parent.path().join(page_size.to_string());
        let options = || StoreOptions {
            direct_io: way.direct_io,
            table_reads: way.table_reads,
            huge_pages: way.huge_pages,
            codec,
            page_size,
            memory_budget: 512 << 10,
            lock: false,
            checkpoint_wal_bytes: 256 << 10,
            ..small()
        };
        let store = match Store::open(Env::system(), &dir, options()) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::Unsupported => return,
            Err(Error::Unavailable { option, source, .. }) if way.huge_pages => {
                assert_eq!(
                    (option, source.kind()),
                    ("huge_pages", ErrorKind::Unsupported)
                );
                assert!(!dir.exists(), "a refusal leaves nothing behind");
                eprintln!("not tested, as the system gives no huge pages: {source}");
                return;
            }
            opened => opened.unwrap(),
        };
        let ids = ENGINES.map(|engine| create_keyspace(&store, of(engine)));
        let mut random = fastrand::Rng::with_seed(6);
        let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for round in 0..60 {
            let mut batch = Batch::new();
            for _ in 0..50 {
                let key = random.u32(..2500).to_be_bytes().to_vec();
                let mut value = vec![round as u8; random.usize(..400)];
                random.fill(&mut value[..]);
                ids.iter()
                    .for_each(|id| batch.put(*id, key.clone(), value.clone()));
                expected.insert(key, value);
            }
            store.commit(&batch, Durability::None).unwrap();
            if round % 20 == 19 {
                store.checkpoint().unwrap();
            }
        }
        store.flush().unwrap();
        let expected: Vec<_> = expected.into_iter().collect();
        let check = |store: &Store| {
            let snapshot = store.snapshot();
            for id in ids {
                assert!(contents(&snapshot, id, Direction::Forward) == expected);
                let mut backward = contents(&snapshot, id, Direction::Backward);
                backward.reverse();
                assert!(backward == expected);
                for (key, value) in expected.iter().step_by(29) {
                    assert_eq!(snapshot.get(id, key).unwrap().as_ref(), Some(value));
                }
            }
            let report = store.verify().unwrap();
            assert!(report.is_clean(), "{report:?}");
        };
        check(&store);
        // The process ends here.
        std::mem::forget(store);
        let store = Store::open(Env::system(), &dir, options()).unwrap();
        check(&store);
        store.close().unwrap();
        // Read in the usual way it is the same store.
        let cached = StoreOptions {
            direct_io: false,
            table_reads: TableReads::Positional,
            huge_pages: false,
            ..options()
        };
        check(&Store::open(Env::system(), &dir, cached).unwrap());
    }
}

#[test]
fn what_passes_by_the_systems_cache_is_whole() {
    holds_what_was_written(&StoreOptions {
        direct_io: true,
        ..StoreOptions::default()
    });
}

#[test]
fn what_is_read_from_mapped_tables_is_whole() {
    holds_what_was_written(&StoreOptions {
        table_reads: TableReads::Mapped,
        ..StoreOptions::default()
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_cached_in_huge_pages_is_whole() {
    holds_what_was_written(&StoreOptions {
        huge_pages: true,
        ..StoreOptions::default()
    });
}

/// Where the system gives huge pages, a cache of some megabytes has some, and says so.
#[cfg(target_os = "linux")]
#[test]
fn huge_pages_are_counted() {
    let options = StoreOptions {
        huge_pages: true,
        memory_budget: 64 << 20,
        background: false,
        ..StoreOptions::default()
    };
    let store = match Store::in_memory(options) {
        Err(Error::Unavailable { option, source, .. }) => {
            assert_eq!(
                (option, source.kind()),
                ("huge_pages", ErrorKind::Unsupported)
            );
            eprintln!("not tested, as the system gives no huge pages: {source}");
            return;
        }
        opened => opened.unwrap(),
    };
    let id = create_keyspace(&store, of(rustling_storage::EngineKind::BTree));
    for number in 0..4000_u32 {
        let mut batch = Batch::new();
        batch.put(id, number.to_be_bytes().to_vec(), vec![7; 4000]);
        store.commit(&batch, Durability::None).unwrap();
    }
    let pages = store.stats().pages;
    assert!(pages.cached_bytes > 8 << 20);
    // How many the system finds is its own affair: memory may lie in pieces.
    eprintln!("{} of {} bytes", pages.huge_bytes, pages.cached_bytes);
    let plain = Store::in_memory(StoreOptions::default()).unwrap();
    assert_eq!(plain.stats().pages.huge_bytes, 0);
}

#[test]
fn tables_are_not_both_mapped_and_read_directly() {
    let options = StoreOptions {
        direct_io: true,
        table_reads: TableReads::Mapped,
        ..StoreOptions::default()
    };
    match Store::in_memory(options) {
        Err(Error::InvalidOption(reason)) => {
            assert!(reason.contains("set table_reads to positional"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
