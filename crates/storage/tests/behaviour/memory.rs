//! The one memory budget.

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Error, KeyRange, KeyspaceId, MemoryVfs, Store,
    StoreOptions, staging,
};

use super::{create_keyspace, of, open, put, small, staged};

const BUDGET: usize = 4 << 20;
const ROWS: u32 = 40_000;

fn empty() -> Store {
    let options = StoreOptions {
        memory_budget: BUDGET,
        ..small()
    };
    open(&MemoryVfs::new(), options).unwrap()
}

/// A keyspace that is larger than the budget, on half of which pages have a claim.
fn store(engine: EngineKind) -> (Store, KeyspaceId) {
    let store = empty();
    let id = fill(&store, engine);
    (store, id)
}

fn fill(store: &Store, engine: EngineKind) -> KeyspaceId {
    let id = create_keyspace(store, of(engine));
    for from in (0..ROWS).step_by(500) {
        let mut batch = Batch::new();
        (from..from + 500).for_each(|row| batch.put(id, row.to_be_bytes(), [row as u8; 100]));
        store.commit(&batch, Durability::None).unwrap();
    }
    store.checkpoint().unwrap();
    id
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

/// Memory for caches is where it is used: an LSM tree's blocks have nearly all of it where there are no
/// pages to speak of, pages where there are no blocks, and both a good part where both are read.
#[test]
fn caches_share_by_use() {
    // Half of the budget, and half of what memtables leave of the other.
    let caches = |store: &Store| store.stats().caches;
    let (store, id) = store(EngineKind::Lsm);
    read(&store, id);
    let now = caches(&store);
    assert!(now.limit > BUDGET * 3 / 5, "{now:?}");
    assert!(now.block_bytes > now.limit * 9 / 10, "{now:?}");
    assert_eq!(now.block_bytes, store.stats().tables.cached_bytes);

    let trees = fill(&store, EngineKind::BTree);
    for _ in 0..3 {
        read(&store, trees);
    }
    let now = caches(&store);
    assert!(now.page_bytes > now.limit * 3 / 10, "{now:?}");
    for _ in 0..3 {
        read(&store, id);
    }
    let now = caches(&store);
    assert!(now.block_bytes > now.limit * 3 / 10, "{now:?}");
    assert!(now.page_bytes > 0 && now.block_bytes > 0, "{now:?}");

    // Where the one is read again and again, and the other is not, the boundary moves.
    let before = caches(&store);
    let few = ROWS * 3 / 10;
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..8 * ROWS {
        let row = random.u32(..few).to_be_bytes();
        assert!(store.snapshot().get(trees, &row).unwrap().is_some());
    }
    let now = caches(&store);
    assert!(
        now.moves > before.moves && now.page_bytes > before.page_bytes,
        "{before:?} {now:?}"
    );
    let misses = store.stats().pages.misses;
    for _ in 0..ROWS {
        let row = random.u32(..few).to_be_bytes();
        store.snapshot().get(trees, &row).unwrap();
    }
    let missed = store.stats().pages.misses - misses;
    assert!(missed < u64::from(ROWS) / 50, "{missed} {now:?}");
}

/// With next to no memory everything works, or is refused with an error that says why: nobody waits
/// for what cannot come.
#[test]
fn a_budget_near_nothing_is_slow_or_refused() {
    for engine in [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid] {
        for background in [false, true] {
            for memory_budget in [0, 1, 1 << 10, 10_000, 16 << 10, 40_000, 64 << 10, 200_000] {
                let options = StoreOptions {
                    memory_budget,
                    background,
                    ..small()
                };
                let vfs = MemoryVfs::new();
                let store = open(&vfs, options.clone()).unwrap();
                let Some(rows) = use_little(&store, engine) else {
                    assert!(engine != EngineKind::BTree && memory_budget < 20_000);
                    continue;
                };
                store.close().unwrap();
                let store = open(&vfs, options).unwrap();
                let id = store.keyspaces()[0].0;
                let snapshot = store.snapshot();
                for (row, value) in rows {
                    assert_eq!(snapshot.get(id, &row).unwrap(), Some(value));
                }
                assert!(store.verify().unwrap().is_clean());
            }
        }
    }
}

type Rows = Vec<([u8; 4], Vec<u8>)>;

/// Writes, reads and checks a little; what is in the store then. `None` where the keyspace is refused.
fn use_little(store: &Store, engine: EngineKind) -> Option<Rows> {
    let mut batch = Batch::new();
    let id = store.allocate_keyspace_id();
    batch.create_keyspace(id, of(engine));
    match store.commit(&batch, Durability::Sync) {
        Ok(_) => {}
        Err(Error::OutOfMemory { .. }) => return None,
        Err(error) => panic!("{error}"),
    }
    let mut rows: Rows = Vec::new();
    for row in 0..600_u32 {
        let value = vec![row as u8; if row % 50 == 0 { 20_000 } else { 60 }];
        put(store, id, &row.to_be_bytes(), &value).unwrap();
        rows.push((row.to_be_bytes(), value));
    }
    store.checkpoint().unwrap();
    let snapshot = store.snapshot();
    for (row, value) in &rows {
        assert_eq!(snapshot.get(id, row).unwrap().as_ref(), Some(value));
    }
    let mut cursor = snapshot
        .scan(id, KeyRange::all(), Direction::Backward)
        .unwrap();
    let mut found = 0;
    while cursor.next().unwrap().is_some() {
        found += 1;
    }
    assert_eq!(found, rows.len());
    Some(rows)
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
