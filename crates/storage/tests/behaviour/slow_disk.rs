//! What goes on while somebody waits for the disk.

use std::{ops::Bound, path::Path};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, Store,
};

use super::{DIR, create_keyspace, of, put, small};
use crate::common::{HookedVfs, Operation};

/// Whoever reads from a table holds up neither commits nor checkpoints, which change what the tree
/// consists of, nor other readers.
#[test]
fn a_slow_read_of_a_table_holds_nobody_up() {
    let vfs = HookedVfs::default();
    let store = Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), small()).unwrap();
    let id = create_keyspace(&store, of(EngineKind::Lsm));
    put(&store, id, b"a", b"1").unwrap();
    store.checkpoint().unwrap();
    // The only table.
    vfs.hold(Operation::Read, "000000000001.sst");
    let slow = store.snapshot();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || slow.get(id, b"a").unwrap());
        vfs.until_held();
        put(&store, id, b"b", b"2").unwrap();
        assert_eq!(store.snapshot().get(id, b"b").unwrap().unwrap(), b"2");
        store.checkpoint().unwrap();
        put(&store, id, b"a", b"3").unwrap();
        store.checkpoint().unwrap();
        vfs.release();
        assert_eq!(reader.join().unwrap().unwrap(), b"1");
    });
    assert_eq!(store.snapshot().get(id, b"a").unwrap().unwrap(), b"3");
}

fn scan(store: &Store, id: KeyspaceId, range: KeyRange, direction: Direction) -> u64 {
    let mut cursor = store.snapshot().scan(id, range, direction).unwrap();
    let mut rows = 0;
    while cursor.next().unwrap().is_some() {
        rows += 1;
    }
    rows
}

/// A scan that goes on reads many blocks at once, both ways, and what a short one has read is there
/// for the next.
#[test]
fn scans_of_tables_read_many_blocks_at_once() {
    const ROWS: u64 = 20_000;
    let vfs = HookedVfs::default();
    let store = Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), small()).unwrap();
    let id = create_keyspace(&store, of(EngineKind::Lsm));
    for from in (0..ROWS).step_by(50) {
        let mut batch = Batch::new();
        for number in from..from + 50 {
            batch.put(id, number.to_be_bytes(), [7; 100]);
        }
        store.commit(&batch, Durability::None).unwrap();
    }
    store.checkpoint().unwrap();
    let blocks = store.keyspace_estimate(id).unwrap().leaf_pages as usize;
    assert!(blocks > 500, "{blocks}");
    for direction in [Direction::Forward, Direction::Backward] {
        vfs.count(Operation::Read, ".sst");
        assert_eq!(scan(&store, id, KeyRange::all(), direction), ROWS);
        let reads = vfs.counted();
        assert!(reads * 3 < blocks, "{reads} reads of {blocks} blocks");
    }
    let few = || {
        let key = |number: u64| number.to_be_bytes().to_vec();
        KeyRange {
            start: Bound::Included(key(5000)),
            end: Bound::Excluded(key(5150)),
        }
    };
    assert_eq!(scan(&store, id, few(), Direction::Forward), 150);
    vfs.count(Operation::Read, ".sst");
    assert_eq!(scan(&store, id, few(), Direction::Forward), 150);
    assert_eq!(vfs.counted(), 0);
}
