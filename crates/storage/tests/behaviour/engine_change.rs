//! Another engine for a keyspace that is being read and written.

use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, MemoryVfs,
    Snapshot, Store, StoreOptions,
};

use super::{DIR, ENGINES, create_keyspace, of, open, put, small};
use crate::common::{HookedVfs, Operation, until};

/// Accounts whose sum is always the same.
const ACCOUNTS: u64 = 1000;
const EACH: u64 = 1 << 20;

/// A keyspace with the accounts.
fn create(store: &Store, engine: EngineKind) -> KeyspaceId {
    let id = create_keyspace(store, of(engine));
    let mut batch = Batch::new();
    for account in 0..ACCOUNTS {
        batch.put(id, account.to_be_bytes(), EACH.to_be_bytes());
    }
    store.commit(&batch, Durability::Sync).unwrap();
    id
}

fn kind(store: &Store, id: KeyspaceId) -> EngineKind {
    let listed = store.keyspaces();
    let (_, options) = listed.iter().find(|(one, _)| *one == id).unwrap();
    options.engine
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn contents(snapshot: &Snapshot, id: KeyspaceId) -> Vec<(u64, u64)> {
    let mut cursor = snapshot
        .scan(id, KeyRange::all(), Direction::Forward)
        .unwrap();
    let mut all = Vec::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        all.push((number(key), number(value)));
    }
    all
}

fn check_sum(all: &[(u64, u64)]) {
    assert_eq!(all.len() as u64, ACCOUNTS);
    assert_eq!(
        all.iter().map(|(_, balance)| balance).sum::<u64>(),
        ACCOUNTS * EACH
    );
}

/// Moves amounts between the accounts of one half, whose balances it knows; some of them are
/// deleted in one commit and there again in the next.
fn write(store: &Store, id: KeyspaceId, half: u64, stop: &AtomicBool) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(half);
    let own = ACCOUNTS / 2;
    let mut balances = vec![EACH; own as usize];
    let key = |at: usize| (half * own + at as u64).to_be_bytes();
    while !stop.load(Ordering::Relaxed) {
        let (from, to) = (random.usize(..own as usize), random.usize(..own as usize));
        let amount = random.u64(..=balances[from]);
        balances[from] -= amount;
        balances[to] += amount;
        let mut batch = Batch::new();
        batch.delete(id, key(from));
        for at in [from, to] {
            batch.put(id, key(at), balances[at].to_be_bytes());
        }
        store.commit(&batch, Durability::Async).unwrap();
    }
    balances
}

fn read(store: &Store, id: KeyspaceId, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) || count == 0 {
        let snapshot = store.snapshot();
        let all = contents(&snapshot, id);
        check_sum(&all);
        for (account, balance) in all.iter().step_by(97) {
            let read = snapshot.get(id, &account.to_be_bytes()).unwrap();
            assert_eq!(number(&read.unwrap()), *balance);
        }
        count += 1;
    }
    count
}

fn change_under_load(from: EngineKind, to: EngineKind) {
    let vfs = MemoryVfs::new();
    let options = StoreOptions {
        background: true,
        checkpoint_wal_bytes: 64 << 10,
        ..small()
    };
    let store = open(&vfs, options.clone()).unwrap();
    let id = create(&store, from);
    let old = store.snapshot();
    let mut half_read = old.scan(id, KeyRange::all(), Direction::Forward).unwrap();
    half_read.next().unwrap().unwrap();
    let stop = AtomicBool::new(false);
    let balances = std::thread::scope(|scope| {
        let writers = [0, 1].map(|half| {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || write(store, id, half, stop))
        });
        let reader = scope.spawn(|| read(&store, id, &stop));
        let before = store.published_lsn();
        while store.published_lsn().0 < before.0 + 200 {
            std::thread::yield_now();
        }
        let changed = store.set_engine(id, to);
        let after = store.published_lsn();
        while store.published_lsn().0 < after.0 + 200 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        changed.unwrap();
        assert!(reader.join().unwrap() > 0);
        writers.map(|writer| writer.join().unwrap()).concat()
    });
    assert_eq!(kind(&store, id), to);
    // Whoever began before the switch reads on as if nothing had happened.
    let untouched: Vec<_> = (0..ACCOUNTS).map(|account| (account, EACH)).collect();
    assert_eq!(contents(&old, id), untouched);
    let mut rest = 1;
    while let Some((key, value)) = half_read.next().unwrap() {
        assert_eq!((number(key), number(value)), (rest, EACH));
        rest += 1;
    }
    assert_eq!(rest, ACCOUNTS);
    let expected: Vec<_> = (0..).zip(balances).collect();
    assert_eq!(contents(&store.snapshot(), id), expected);
    drop((half_read, old));
    store.vacuum().unwrap();
    store.checkpoint().unwrap();
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    // What was the old engine's is gone.
    let statistics = store.stats();
    match to {
        EngineKind::BTree => assert_eq!(statistics.tables.tables, 0),
        EngineKind::Lsm => assert_eq!(report.tree_pages, 0),
        _ => {}
    }
    store.close().unwrap();
    let store = open(&vfs, options).unwrap();
    assert_eq!(kind(&store, id), to);
    assert_eq!(contents(&store.snapshot(), id), expected);
}

#[test]
fn an_engine_changes_under_readers_and_writers() {
    for from in ENGINES {
        for to in ENGINES {
            change_under_load(from, to);
        }
    }
}

/// Who looks for writes that it does not see finds them in the new engine too.
#[test]
fn traces_of_newer_writes_move_along() {
    for from in ENGINES {
        for to in ENGINES {
            let store = open(&MemoryVfs::new(), small()).unwrap();
            let id = create(&store, from);
            let old = store.snapshot();
            let changed = put(&store, id, &1_u64.to_be_bytes(), &7_u64.to_be_bytes()).unwrap();
            let mut batch = Batch::new();
            batch.delete(id, 2_u64.to_be_bytes());
            let deleted = store.commit(&batch, Durability::Sync).unwrap();
            store.set_engine(id, to).unwrap();
            let latest = |key: u64| store.latest_version(id, &key.to_be_bytes()).unwrap();
            assert_eq!(latest(1), Some(changed));
            assert_eq!(latest(2), Some(deleted));
            assert!(latest(3).is_some_and(|lsn| lsn <= old.lsn()));
            assert_eq!(latest(ACCOUNTS + 1), None);
        }
    }
}

#[test]
fn a_change_that_is_given_up_leaves_nothing() {
    let store = open(&MemoryVfs::new(), small()).unwrap();
    let id = create(&store, EngineKind::BTree);
    let change = store.change_engine(id, EngineKind::Lsm).unwrap();
    let again = store.change_engine(id, EngineKind::Hybrid);
    assert!(matches!(again, Err(Error::EngineChanging(of)) if of == id));
    drop(change);
    assert_eq!(kind(&store, id), EngineKind::BTree);
    assert_eq!(store.keyspaces().len(), 1);
    store.vacuum().unwrap();
    store.checkpoint().unwrap();
    assert_eq!(store.stats().tables.tables, 0);
    // The keyspace of a change may go; the change has nothing to switch then.
    let change = store.change_engine(id, EngineKind::Hybrid).unwrap();
    let mut batch = Batch::new();
    batch.drop_keyspace(id);
    store.commit(&batch, Durability::Sync).unwrap();
    let mut batch = Batch::new();
    change.finish(&mut batch);
    let late = store.commit(&batch, Durability::Sync);
    assert!(matches!(late, Err(Error::UnknownKeyspace(of)) if of == id));
    drop(change);
    assert!(store.keyspaces().is_empty());
    let unknown = store.set_engine(id, EngineKind::Lsm);
    assert!(matches!(unknown, Err(Error::UnknownKeyspace(of)) if of == id));
}

/// The copied snapshot is newer than the replacement, and while it is copied everything that it
/// sees goes down to the hybrid's tree, in the name of a commit that went to both.
#[test]
fn what_goes_down_during_a_copy_is_copied() {
    const BUDGET: usize = 8 << 20;
    const ROWS: u64 = 330;
    for to in [EngineKind::BTree, EngineKind::Hybrid] {
        let vfs = HookedVfs::default();
        let options = StoreOptions {
            memory_budget: BUDGET,
            wal_segment_bytes: 4 << 20,
            ..small()
        };
        let env = Env::with_vfs(vfs.clone());
        let store = Store::open(env.clone(), Path::new(DIR), options).unwrap();
        let id = create_keyspace(&store, of(EngineKind::Hybrid));
        let commit = |keys: Range<u64>, value: u8, durability: Durability| {
            let mut batch = Batch::new();
            keys.for_each(|key| batch.put(id, key.to_be_bytes(), [value; 1000]));
            store.commit(&batch, durability).unwrap();
        };
        commit(0..ROWS, 1, Durability::Sync);
        // To the tree. What is newer stays in front of it.
        store.checkpoint().unwrap();
        let logged = || store.stats().wal_bytes;
        vfs.hold(Operation::Sync, ".wal");
        std::thread::scope(|scope| {
            scope.spawn(|| commit(0..ROWS, 2, Durability::Sync));
            vfs.until_held();
            let before = logged();
            let changed = scope.spawn(|| store.set_engine(id, to));
            until(|| logged() > before);
            // So many bytes in memtables that the copy makes a checkpoint before it goes on.
            scope.spawn(|| commit(1000..1000 + ROWS + 100, 3, Durability::None));
            until(|| store.stats().tables.memtable_bytes > BUDGET / 12);
            // The creation of the replacement and what followed wait for the flush by now, and
            // become visible together with it.
            env.sleep(Duration::from_millis(50));
            vfs.release();
            changed.join().unwrap().unwrap();
        });
        let snapshot = store.snapshot();
        let mut cursor = snapshot
            .scan(id, KeyRange::all(), Direction::Forward)
            .unwrap();
        let mut found = Vec::new();
        while let Some((key, value)) = cursor.next().unwrap() {
            found.push((number(key), value[0]));
        }
        let old = (0..ROWS).map(|key| (key, 2));
        let new = (1000..1000 + ROWS + 100).map(|key| (key, 3));
        assert!(
            found.iter().copied().eq(old.chain(new)),
            "{to:?}: {found:?}"
        );
    }
}
