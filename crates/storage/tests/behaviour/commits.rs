//! What commits cost each other and those who read: what they wait for, and what they must not.

use std::{path::Path, sync::mpsc, time::Duration};

use rustling_storage::{Batch, Durability, EngineKind, Env, KeyspaceOptions, MemoryVfs, Store};

use super::{DIR, open, put, small};
use crate::common::{HookedVfs, Operation, create_keyspace, of};

/// Commits do not look at all pins each time, and yet what they replace makes room.
#[test]
fn a_key_that_is_overwritten_all_the_time_stays_on_its_page() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    for round in 0..300_u32 {
        // Four versions fill a page.
        put(&store, id, b"key", &[round as u8; 900]).unwrap();
        let size = store.keyspace_estimate(id).unwrap();
        assert_eq!((size.leaf_pages, size.depth), (1, 1), "{round}");
    }
    let old = store.snapshot();
    put(&store, id, b"key", b"new").unwrap();
    for _ in 0..100 {
        put(&store, id, b"key", &[0; 900]).unwrap();
        assert_eq!(old.get(id, b"key").unwrap(), Some(vec![43; 900]));
    }
}

#[test]
fn a_borrowed_snapshot_pins_what_it_sees_until_it_is_gone() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    for engine in crate::common::ENGINES {
        let id = create_keyspace(&store, of(engine));
        let first = put(&store, id, b"key", b"first").unwrap();
        let borrowed = store.snapshot_ref();
        assert_eq!(borrowed.lsn(), first);
        put(&store, id, b"key", b"second").unwrap();
        assert_eq!(store.stats().pins.oldest, Some(first));
        assert_eq!(store.watermark(), first);
        assert_eq!(borrowed.get(id, b"key").unwrap(), Some(b"first".to_vec()));
        drop(borrowed);
        assert_eq!(store.stats().pins.pins, 0);
        let len = |value: &[u8]| value.len();
        let found = store.snapshot_ref().get_with(id, b"key", len).unwrap();
        assert_eq!(found, Some(6));
        assert_eq!(store.snapshot_ref().get(id, b"none").unwrap(), None);
    }
}

/// Creating a keyspace holds up all commits for a moment, so it must not wait for a disk on which
/// somebody reads.
#[test]
fn a_structural_change_does_not_wait_for_a_read() {
    for engine in crate::common::ENGINES {
        let vfs = HookedVfs::default();
        let env = Env::with_vfs(vfs.clone());
        let open = || Store::open(env.clone(), Path::new(DIR), small()).unwrap();
        let store = open();
        let id = create_keyspace(&store, of(engine));
        put(&store, id, b"key", b"value").unwrap();
        store.close().unwrap();
        let store = open();
        vfs.hold(Operation::Read, "");
        let (send, receive) = mpsc::channel();
        let answer = |receive: &mpsc::Receiver<bool>| {
            receive
                .recv_timeout(Duration::from_secs(60))
                .expect("an answer")
        };
        let reader = {
            let (store, send) = (store.clone(), send.clone());
            let read = move || {
                let found = store.snapshot_ref().get(id, b"key").unwrap();
                let _ = send.send(found == Some(b"value".to_vec()));
            };
            env.spawn("a reader", read).unwrap()
        };
        vfs.until_held();
        let changed = {
            let store = store.clone();
            let change = move || {
                let mut batch = Batch::new();
                let new = store.allocate_keyspace_id();
                batch.create_keyspace(new, of(EngineKind::Lsm));
                store.commit(&batch, Durability::Sync).unwrap();
                let _ = send.send(store.contains_keyspace(new));
            };
            env.spawn("a change", change).unwrap()
        };
        assert!(answer(&receive), "{engine:?}: the change");
        vfs.release();
        assert!(answer(&receive), "{engine:?}: the read");
        assert!(reader.join() && changed.join());
    }
}

/// Whatever a commit waits for has a name, a page of its tree that has to be read too.
#[test]
fn what_a_commit_waits_for_has_a_name() {
    let vfs = HookedVfs::default();
    let env = Env::with_vfs(vfs.clone());
    let open = || Store::open(env.clone(), Path::new(DIR), small()).unwrap();
    let store = open();
    let id = create_keyspace(&store, KeyspaceOptions::default());
    put(&store, id, b"key", b"value").unwrap();
    store.close().unwrap();
    let store = open();
    let count = |name: &str| {
        let waits = store.stats().waits;
        let wait = waits.iter().find(|wait| wait.name == name);
        wait.map(|wait| wait.count)
    };
    assert_eq!(count("page.read"), Some(0));
    assert_eq!(count("page.latch"), Some(0));
    vfs.hold(Operation::Read, "data.rdb");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| put(&store, id, b"key", b"first").unwrap());
        vfs.until_held();
        assert_eq!(count("page.read"), Some(0), "it is waiting");
        vfs.release();
        first.join().unwrap();
    });
    assert_eq!(count("page.read"), Some(1));
    for rows in 0..2000_u32 {
        put(&store, id, &rows.to_be_bytes(), &[7; 900]).unwrap();
    }
    assert!(count("page.grow") > Some(0));
    assert!(count("page.evict") > Some(0));
    for name in ["tree.structure", "wal.writer", "catalog.change"] {
        assert_eq!(count(name), Some(0), "{name}: there is nobody else");
    }
}
