//! The one memory budget.

use rustling_storage::{
    Batch, Durability, EngineKind, Error, KeyspaceId, MemoryVfs, Store, StoreOptions, staging,
};

use super::{create_keyspace, of, open, put, small, staged};

const BUDGET: usize = 4 << 20;
const ROWS: u32 = 40_000;

/// A keyspace that is larger than the budget, on half of which pages have a claim.
fn store(engine: EngineKind) -> (Store, KeyspaceId) {
    let options = StoreOptions {
        memory_budget: BUDGET,
        ..small()
    };
    let store = open(&MemoryVfs::new(), options).unwrap();
    let id = create_keyspace(&store, of(engine));
    for from in (0..ROWS).step_by(500) {
        let mut batch = Batch::new();
        (from..from + 500).for_each(|row| batch.put(id, row.to_be_bytes(), [row as u8; 100]));
        store.commit(&batch, Durability::None).unwrap();
    }
    store.checkpoint().unwrap();
    (store, id)
}

/// Reads everything; how many bytes of pages are in memory then.
fn read(store: &Store, id: KeyspaceId) -> usize {
    for row in 0..ROWS {
        let found = store.snapshot().get(id, &row.to_be_bytes()).unwrap();
        assert_eq!(found, Some(vec![row as u8; 100]));
    }
    let stats = store.stats();
    assert!(stats.memory_used <= BUDGET, "{}", stats.memory_used);
    stats.pages.cached_bytes
}

#[test]
fn pages_use_memory_that_is_free_and_make_room_for_others() {
    let (store, id) = store(EngineKind::BTree);
    let most = read(&store, id);
    assert!(most > BUDGET * 2 / 3, "{most}");
    let reserved = store.memory().reserve(BUDGET / 4, "a test").unwrap();
    // At once, not when the next page comes in.
    let stats = store.stats();
    assert!(stats.memory_used <= BUDGET, "{}", stats.memory_used);
    let fewer = read(&store, id);
    assert!(fewer > BUDGET / 2 && fewer < most, "{fewer}");
    // All that others can have leaves pages their own half.
    let rest = BUDGET / 2 - BUDGET / 4;
    let all = store.memory().share(rest).reserve(rest, "a test").unwrap();
    let own = store.stats().pages.cached_bytes;
    assert!(own <= BUDGET / 2 && own > BUDGET / 3, "{own}");
    let over = store.memory().reserve(1, "a test");
    assert!(matches!(over, Err(Error::OutOfMemory { .. })));
    assert!(read(&store, id) <= BUDGET / 2);
    drop((reserved, all));
    assert!(read(&store, id) > BUDGET * 2 / 3);
}

/// Pages that have not been written yet are written then.
#[test]
fn changed_pages_make_room_too() {
    let (store, id) = store(EngineKind::BTree);
    let mut batch = Batch::new();
    for row in (0..ROWS).step_by(20) {
        batch.put(id, row.to_be_bytes(), [row as u8; 100]);
    }
    store.commit(&batch, Durability::None).unwrap();
    let before = store.stats().pages;
    assert!(before.cached_bytes > BUDGET * 2 / 3, "{before:?}");
    let reserved = store.memory().reserve(BUDGET / 2, "a test").unwrap();
    let after = store.stats().pages;
    assert!(after.cached_bytes <= BUDGET / 2, "{after:?}");
    assert!(after.eviction_writes > before.eviction_writes, "{after:?}");
    drop(reserved);
    read(&store, id);
    assert!(store.verify().unwrap().is_clean());
}

/// What a snapshot keeps of keyspaces that are gone is nothing that a checkpoint would write out:
/// writers must not wait for that.
#[test]
fn memtables_of_what_is_gone_hold_nobody_up() {
    for engine in [EngineKind::Lsm, EngineKind::Hybrid] {
        let store = open(&MemoryVfs::new(), small()).unwrap();
        let counted = || store.stats().tables.memtable_bytes;
        let [gone, changing] = [(); 2].map(|()| create_keyspace(&store, of(engine)));
        let discarded = create_keyspace(&store, staged(engine));
        let snapshot = store.snapshot();
        put(&store, gone, b"a", b"1").unwrap();
        put(&store, discarded, b"a", &staging::encode_put(b"1")).unwrap();
        assert!(counted() > 0);
        let mut batch = Batch::new();
        batch.put(gone, *b"b", *b"2");
        batch.drop_keyspace(gone);
        batch.drop_keyspace(discarded);
        store.commit(&batch, Durability::Sync).unwrap();
        assert_eq!(counted(), 0, "{engine:?}");

        let change = store.change_engine(changing, EngineKind::BTree).unwrap();
        put(&store, changing, b"a", b"1").unwrap();
        assert!(counted() > 0);
        let mut batch = Batch::new();
        change.finish(&mut batch);
        store.commit(&batch, Durability::Sync).unwrap();
        assert_eq!(counted(), 0, "{engine:?}");

        // What is staged and goes on in another keyspace will be written out.
        let into = create_keyspace(&store, of(engine));
        let from = create_keyspace(&store, staged(engine));
        put(&store, from, b"a", &staging::encode_put(b"1")).unwrap();
        let before = counted();
        let mut batch = Batch::new();
        batch.merge(from, into);
        store.commit(&batch, Durability::Sync).unwrap();
        assert_eq!(counted(), before);
        store.checkpoint().unwrap();
        assert_eq!(counted(), 0);
        drop((change, snapshot));
        // What is freed now is not counted out once more.
        store.vacuum().unwrap();
        assert_eq!(counted(), 0);
        assert_eq!(
            store.snapshot().get(into, b"a").unwrap(),
            Some(b"1".to_vec())
        );
    }
}
