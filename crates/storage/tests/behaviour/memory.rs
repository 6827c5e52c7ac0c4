//! The one memory budget.

use rustling_storage::{
    Batch, Durability, EngineKind, Error, KeyspaceId, MemoryVfs, Store, StoreOptions,
};

use super::{create_keyspace, of, open, small};

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
