//! One transaction at a time, and small meetings of two.

use std::{path::Path, time::Duration};

use crate::common::{Watchdog, begin, manager, manager_on, manager_with, until, waits};
use rustling_storage::{
    Direction, Env, KeyRange, KeyspaceId, KeyspaceOptions, MemoryVfs, Store, StoreOptions,
};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, ManagerOptions, RowState, TableLockMode,
    Transaction, TransactionOptions,
};

const LEVELS: [IsolationLevel; 2] = [IsolationLevel::ReadCommitted, IsolationLevel::Snapshot];

fn entries(
    transaction: &Transaction,
    keyspace: KeyspaceId,
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = transaction
        .scan(keyspace, KeyRange::all(), direction)
        .expect("a cursor");
    let mut entries = Vec::new();
    while let Some((key, value)) = cursor.next().expect("an entry") {
        entries.push((key.to_vec(), value.to_vec()));
    }
    entries
}

fn keys(transaction: &Transaction, keyspace: KeyspaceId) -> String {
    let entries = entries(transaction, keyspace, Direction::Forward);
    entries
        .iter()
        .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn own_changes_are_seen_at_once_and_by_others_after_the_commit() {
    let (manager, table) = manager();
    for level in LEVELS {
        let writer = begin(&manager, level);
        writer.put(table, b"a", b"1").expect("put");
        writer.put(table, b"b", b"2").expect("put");
        writer.delete(table, b"a").expect("delete");
        assert_eq!(writer.get(table, b"b").expect("get"), Some(b"2".to_vec()));
        assert_eq!(writer.get(table, b"a").expect("get"), None);
        assert_eq!(keys(&writer, table), "b");
        let reader = begin(&manager, level);
        assert_eq!(reader.get(table, b"b").expect("get"), None);
        writer.commit().expect("commit");
        assert_eq!(
            reader.get(table, b"b").expect("get"),
            None,
            "one statement, one snapshot"
        );
        reader.begin_statement();
        let seen = reader.get(table, b"b").expect("get").is_some();
        assert_eq!(seen, level == IsolationLevel::ReadCommitted);
        drop(reader);
        let cleaner = begin(&manager, level);
        cleaner.delete(table, b"b").expect("delete");
        cleaner.commit().expect("commit");
    }
    assert_eq!(manager.stats().locks, 0);
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let (manager, table) = manager();
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    transaction.put(table, b"a", b"1").expect("put");
    drop(transaction);
    assert_eq!(
        begin(&manager, IsolationLevel::Snapshot)
            .get(table, b"a")
            .expect("get"),
        None
    );
    let stats = manager.stats();
    assert_eq!((stats.active, stats.rolled_back, stats.locks), (0, 2, 0));
}

#[test]
fn scans_merge_own_changes_in_both_directions() {
    let (manager, table) = manager();
    let setup = begin(&manager, IsolationLevel::ReadCommitted);
    for key in 0u8..100 {
        setup.put(table, &[key], b"old").expect("put");
    }
    setup.commit().expect("commit");
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    let mut model: std::collections::BTreeMap<Vec<u8>, Vec<u8>> =
        (0u8..100).map(|key| (vec![key], b"old".to_vec())).collect();
    for key in (0u8..200).step_by(3) {
        transaction.put(table, &[key, 7], b"new").expect("put");
        model.insert(vec![key, 7], b"new".to_vec());
        transaction.delete(table, &[key]).expect("delete");
        model.remove(&vec![key]);
    }
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(entries(&transaction, table, Direction::Forward), expected);
    let backward: Vec<_> = model.into_iter().rev().collect();
    assert_eq!(entries(&transaction, table, Direction::Backward), backward);
    let inverted = KeyRange {
        start: std::ops::Bound::Included(vec![9]),
        end: std::ops::Bound::Excluded(vec![3]),
    };
    let mut cursor = transaction
        .scan(table, inverted, Direction::Forward)
        .expect("cursor");
    assert_eq!(cursor.next().expect("next"), None);
}

#[test]
fn insert_refuses_what_is_there() {
    let (manager, table) = manager();
    for level in LEVELS {
        let key = format!("{level:?}").into_bytes();
        let transaction = begin(&manager, level);
        transaction.insert(table, &key, b"1").expect("insert");
        assert!(matches!(
            transaction.insert(table, &key, b"2"),
            Err(Error::KeyExists { .. })
        ));
        transaction.delete(table, &key).expect("delete");
        transaction
            .insert(table, &key, b"3")
            .expect("insert after delete");
        transaction.commit().expect("commit");
        let transaction = begin(&manager, level);
        assert!(matches!(
            transaction.insert(table, &key, b"4"),
            Err(Error::KeyExists { .. })
        ));
        assert!(
            manager
                .locks()
                .iter()
                .all(|lock| matches!(lock.resource, rustling_txn::LockResource::Table(_)))
        );
        transaction.delete(table, &key).expect("delete");
        transaction.commit().expect("commit");
        let transaction = begin(&manager, level);
        transaction
            .insert(table, &key, b"5")
            .expect("the deleted key is free");
    }
}

#[test]
fn savepoints_nest_and_stay_after_rollback() {
    let (manager, table) = manager();
    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
    transaction.put(table, b"a", b"1").expect("put");
    let outer = transaction.savepoint();
    transaction.put(table, b"a", b"2").expect("put");
    let inner = transaction.savepoint();
    transaction.put(table, b"b", b"1").expect("put");
    transaction.rollback_to(&inner).expect("rollback");
    assert_eq!(keys(&transaction, table), "a");
    assert_eq!(
        transaction.get(table, b"a").expect("get"),
        Some(b"2".to_vec())
    );
    transaction.rollback_to(&outer).expect("rollback");
    assert_eq!(
        transaction.get(table, b"a").expect("get"),
        Some(b"1".to_vec())
    );
    assert!(matches!(
        transaction.rollback_to(&inner),
        Err(Error::UnknownSavepoint)
    ));
    transaction.delete(table, b"a").expect("delete");
    transaction.rollback_to(&outer).expect("rollback again");
    transaction.release(outer);
    transaction.commit().expect("commit");
    let reader = begin(&manager, IsolationLevel::ReadCommitted);
    assert_eq!(keys(&reader, table), "a");
}

#[test]
fn keyspaces_come_and_go_with_their_transaction() {
    let (manager, _) = manager();
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    let savepoint = transaction.savepoint();
    let table = transaction
        .create_keyspace(KeyspaceOptions::default())
        .expect("create");
    assert_eq!(transaction.get(table, b"a").expect("get"), None);
    transaction.put(table, b"a", b"1").expect("put");
    assert_eq!(keys(&transaction, table), "a");
    transaction.rollback_to(&savepoint).expect("rollback");
    assert!(
        transaction.put(table, b"a", b"1").is_err(),
        "the keyspace is gone"
    );
    let table = transaction
        .create_keyspace(KeyspaceOptions::default())
        .expect("create");
    transaction.put(table, b"b", b"1").expect("put");
    let other = begin(&manager, IsolationLevel::Snapshot);
    assert!(other.get(table, b"b").is_err(), "not there for others");
    transaction.commit().expect("commit");

    let dropper = begin(&manager, IsolationLevel::Snapshot);
    let savepoint = dropper.savepoint();
    dropper.drop_keyspace(table).expect("drop");
    assert!(dropper.get(table, b"b").is_err());
    assert!(dropper.put(table, b"b", b"2").is_err());
    dropper.rollback_to(&savepoint).expect("rollback");
    assert_eq!(keys(&dropper, table), "b");
    dropper.drop_keyspace(table).expect("drop");
    dropper.commit().expect("commit");
    assert!(!manager.store().contains_keyspace(table));

    let both = begin(&manager, IsolationLevel::Snapshot);
    let table = both
        .create_keyspace(KeyspaceOptions::default())
        .expect("create");
    both.put(table, b"a", b"1").expect("put");
    both.drop_keyspace(table).expect("drop");
    both.commit().expect("commit");
    assert!(!manager.store().contains_keyspace(table));
}

#[test]
fn a_read_only_transaction_refuses_writes() {
    let (manager, table) = manager();
    let transaction = manager
        .begin(TransactionOptions {
            read_only: true,
            ..TransactionOptions::default()
        })
        .expect("begin");
    assert!(matches!(
        transaction.put(table, b"a", b"1"),
        Err(Error::ReadOnly)
    ));
    assert!(matches!(
        transaction.create_keyspace(KeyspaceOptions::default()),
        Err(Error::ReadOnly)
    ));
    let lock = transaction.lock_row(table, b"a", LockMode::Share, LockWait::Wait);
    assert!(matches!(lock, Err(Error::ReadOnly)));
    transaction
        .lock_table(table, TableLockMode::Shared, LockWait::Wait)
        .expect("a shared lock reads");
}

#[test]
fn the_first_updater_wins_under_snapshot() {
    let (manager, table) = manager();
    let first = begin(&manager, IsolationLevel::Snapshot);
    let second = begin(&manager, IsolationLevel::Snapshot);
    first.put(table, b"a", b"1").expect("put");
    first.commit().expect("commit");
    for _ in 0..2 {
        let error = second
            .put(table, b"a", b"2")
            .expect_err("a conflict, again and again");
        assert!(matches!(error, Error::WriteConflict { .. }) && error.is_retryable());
        let lock = second.lock_row(table, b"a", LockMode::Share, LockWait::Wait);
        assert!(matches!(lock, Err(Error::WriteConflict { .. })));
    }
    second.put(table, b"b", b"2").expect("other rows are free");
    second.commit().expect("commit");
    assert_eq!(manager.stats().write_conflicts, 4);
}

#[test]
fn nowait_skip_locked_and_timeouts() {
    let (manager, table) = manager();
    let holder = begin(&manager, IsolationLevel::ReadCommitted);
    holder.put(table, b"a", b"1").expect("put");
    let options = TransactionOptions {
        lock_timeout: Some(Duration::from_millis(1)),
        ..TransactionOptions::default()
    };
    let other = manager.begin(options).expect("begin");
    let lock = |wait| other.lock_row(table, b"a", LockMode::Update, wait);
    assert!(matches!(
        lock(LockWait::NoWait),
        Err(Error::LockNotAvailable { .. })
    ));
    assert_eq!(
        lock(LockWait::SkipLocked).expect("skipped"),
        RowState::Skipped
    );
    assert!(matches!(
        lock(LockWait::Wait),
        Err(Error::LockTimeout { .. })
    ));
    let table_lock = other.lock_table(table, TableLockMode::Shared, LockWait::NoWait);
    assert!(matches!(table_lock, Err(Error::LockNotAvailable { .. })));
    other
        .lock_row(table, b"b", LockMode::Exclusive, LockWait::NoWait)
        .expect("free");
    holder.commit().expect("commit");
    assert_eq!(
        lock(LockWait::NoWait).expect("free now"),
        RowState::Unchanged,
        "the first statement begins now"
    );
    let stats = manager.stats();
    assert_eq!((stats.lock_timeouts, stats.row_lock_waits.count), (1, 1));
}

#[test]
fn read_committed_waits_and_checks_again() {
    let _watchdog = Watchdog::new("read_committed_waits_and_checks_again");
    let (manager, table) = manager();
    let first = begin(&manager, IsolationLevel::ReadCommitted);
    first.put(table, b"a", b"1").expect("put");
    std::thread::scope(|scope| {
        let second = begin(&manager, IsolationLevel::ReadCommitted);
        let id = second.id();
        let waiting = scope.spawn(move || {
            second.begin_statement();
            let state = second
                .lock_row(table, b"a", LockMode::Exclusive, LockWait::Wait)
                .expect("lock");
            (
                state,
                second.get(table, b"a").expect("get"),
                second.get_latest(table, b"a").expect("get"),
            )
        });
        until(|| waits(&manager, id));
        first.commit().expect("commit");
        let (state, snapshot, latest) = waiting.join().expect("no panic");
        assert_eq!(
            (state, snapshot, latest),
            (RowState::Changed, None, Some(b"1".to_vec()))
        );
    });
}

#[test]
fn a_wait_can_be_cancelled() {
    let _watchdog = Watchdog::new("a_wait_can_be_cancelled");
    let (manager, table) = manager();
    let holder = begin(&manager, IsolationLevel::ReadCommitted);
    holder.put(table, b"a", b"1").expect("put");
    std::thread::scope(|scope| {
        let waiter = begin(&manager, IsolationLevel::ReadCommitted);
        let (id, handle) = (waiter.id(), waiter.cancel_handle());
        let waiting = scope.spawn(move || {
            let first = waiter.put(table, b"a", b"2");
            let second = waiter.put(table, b"a", b"2");
            (waiter, first, second)
        });
        until(|| waits(&manager, id));
        handle.cancel();
        let (waiter, first, second) = waiting.join().expect("no panic");
        assert!(matches!(
            (first, second),
            (Err(Error::Cancelled { .. }), Err(Error::Cancelled { .. }))
        ));
        holder.commit().expect("commit");
        waiter.begin_statement();
        waiter
            .put(table, b"a", b"2")
            .expect("the next statement waits and writes again");
        waiter.commit().expect("commit");
    });
    assert_eq!(manager.stats().locks, 0);
}

#[test]
fn a_closure_is_repeated_until_it_commits() {
    let (manager, table) = manager();
    let mut attempts = 0;
    let options = TransactionOptions::isolation(IsolationLevel::Snapshot);
    manager
        .transaction(options.clone(), |transaction| {
            attempts += 1;
            if attempts < 3 {
                manager.transaction(options.clone(), |other| other.put(table, b"a", b"other"))?;
            }
            transaction.put(table, b"a", b"mine")
        })
        .expect("commit");
    assert_eq!(attempts, 3);
    assert_eq!(manager.stats().retried, 2);
    let refused: Result<(), _> = manager.transaction(options, |_| Err(Error::ReadOnly));
    assert!(matches!(refused, Err(Error::ReadOnly)));
}

#[test]
fn small_memory_spills_and_shows_no_difference() {
    let (manager, table) = manager_with(ManagerOptions {
        write_set_bytes: Some(1 << 10),
        ..ManagerOptions::default()
    });
    let reserved = manager.store().memory().used();
    for level in LEVELS {
        let transaction = begin(&manager, level);
        let mut model = std::collections::BTreeMap::new();
        for at in 0u32..2_000 {
            let key = (at.wrapping_mul(2_654_435_761) % 700).to_be_bytes();
            if at % 5 == 4 {
                transaction.delete(table, &key).expect("delete");
                model.remove(&key[..]);
            } else {
                transaction
                    .put(table, &key, &at.to_be_bytes())
                    .expect("put");
                model.insert(key.to_vec(), at.to_be_bytes().to_vec());
            }
        }
        assert!(transaction.spilled());
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(entries(&transaction, table, Direction::Forward), expected);
        transaction.commit().expect("commit");
        let reader = begin(&manager, level);
        assert_eq!(entries(&reader, table, Direction::Forward), expected);
        let cleaner = begin(&manager, IsolationLevel::ReadCommitted);
        for key in model.keys() {
            assert!(cleaner.get(table, key).expect("get").is_some());
            cleaner.delete(table, key).expect("delete");
        }
        cleaner.commit().expect("commit");
    }
    assert_eq!(
        manager.store().keyspaces().len(),
        1,
        "no staging keyspace is left"
    );
    assert_eq!(manager.store().memory().used(), reserved);
}

/// The disk gets full while changes are moved to the store, sooner or later.
#[test]
fn a_spill_that_fails_leaves_nothing() {
    let mut refused = 0;
    for room in 0..20u64 {
        let vfs = MemoryVfs::new();
        let options = StoreOptions {
            page_size: 4096,
            memory_budget: 16 << 20,
            background: false,
            ..StoreOptions::default()
        };
        let env = Env::with_vfs(vfs.clone());
        let store = Store::open(env, Path::new("/store"), options).expect("a store");
        let spilling = ManagerOptions {
            write_set_bytes: Some(3 << 20),
            ..ManagerOptions::default()
        };
        let (manager, table) = manager_on(store, spilling);
        vfs.set_limit(vfs.used() + (room << 19));
        let transaction = begin(&manager, IsolationLevel::Snapshot);
        let done = (0u32..1_000)
            .try_for_each(|key| transaction.put(table, &key.to_be_bytes(), &[7; 4_000]));
        refused += u32::from(done.is_err());
        vfs.set_limit(u64::MAX);
        drop(transaction);
        let left = manager.store().keyspaces();
        assert_eq!(left.len(), 1, "{room}: {left:?}");
    }
    assert!(refused > 3, "{refused}");
}
