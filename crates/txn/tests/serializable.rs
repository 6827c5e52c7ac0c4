//! Serializable transactions: what is refused, what is not, and how much is remembered.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Watchdog, begin, for_every_engine, manager_of, manager_of_with, until};
use rustling_storage::{Direction, EngineKind, KeyRange, KeyspaceId};
use rustling_txn::{
    Error, IsolationLevel, ManagerOptions, Result, Transaction, TransactionManager,
    TransactionOptions,
};

for_every_engine! {
    write_skew_is_refused_by_key_and_by_range,
    a_key_that_is_not_there_is_read_too,
    who_has_seen_no_conflict_is_left_alone,
    a_short_scan_is_tracked_as_far_as_it_went,
    a_reader_can_be_what_makes_it_wrong,
    a_failed_transaction_stays_failed,
    who_reads_only_is_not_tracked_where_nobody_writes,
    a_deferrable_reader_waits_for_a_safe_snapshot,
    an_insert_of_a_key_that_appeared_meanwhile_is_a_conflict,
    tracking_is_bounded_and_forgets,
    accounts_that_may_not_both_be_empty_never_are,
}

fn serializable(manager: &TransactionManager) -> Transaction {
    begin(manager, IsolationLevel::Serializable)
}

fn read_only(deferrable: bool) -> TransactionOptions {
    TransactionOptions {
        read_only: true,
        deferrable,
        ..TransactionOptions::isolation(IsolationLevel::Serializable)
    }
}

fn fill(manager: &TransactionManager, table: KeyspaceId, keys: u8) {
    let setup = begin(manager, IsolationLevel::ReadCommitted);
    for key in 0..keys {
        setup.put(table, &[key], &[0]).expect("put");
    }
    setup.commit().expect("commit");
}

fn count(transaction: &Transaction, table: KeyspaceId, range: KeyRange) -> Result<usize> {
    let mut cursor = transaction.scan(table, range, Direction::Forward)?;
    let mut rows = 0;
    while cursor.next()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

fn is_serialization<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    matches!(result, Err(error @ Error::Serialization { .. }) if error.is_retryable())
}

fn write_skew_is_refused_by_key_and_by_range(engine: EngineKind) {
    for by_range in [false, true] {
        let (manager, table) = manager_of(engine);
        fill(&manager, table, 2);
        let (one, two) = (serializable(&manager), serializable(&manager));
        for transaction in [&one, &two] {
            if by_range {
                assert_eq!(count(transaction, table, KeyRange::all()).expect("scan"), 2);
            } else {
                transaction.get(table, &[0]).expect("get");
                transaction.get(table, &[1]).expect("get");
            }
        }
        one.put(table, &[0], b"one").expect("nothing has committed");
        two.put(table, &[1], b"two").expect("nothing has committed");
        one.commit().expect("the first to commit");
        assert!(is_serialization(&two.commit()));
        let stats = manager.stats();
        assert_eq!(stats.serialization_failures, 1);
        assert_eq!(stats.unproven_serialization_failures, 0);
        assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
    }
}

fn a_key_that_is_not_there_is_read_too(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    let (one, two) = (serializable(&manager), serializable(&manager));
    assert_eq!(one.get(table, b"a").expect("get"), None);
    assert_eq!(two.get(table, b"b").expect("get"), None);
    one.insert(table, b"b", b"1").expect("insert");
    two.insert(table, b"a", b"2").expect("insert");
    two.commit().expect("the first to commit");
    assert!(is_serialization(&one.commit()));
}

fn who_has_seen_no_conflict_is_left_alone(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    fill(&manager, table, 10);
    let transactions: Vec<_> = (0..10u8).map(|_| serializable(&manager)).collect();
    for (key, transaction) in (0..10u8).zip(&transactions) {
        transaction.get(table, &[key]).expect("get");
        transaction.put(table, &[key], b"own").expect("put");
    }
    for transaction in transactions {
        transaction.commit().expect("no one meets another");
    }
    // One edge alone does no harm: the reader comes before the writer.
    let (reader, writer) = (serializable(&manager), serializable(&manager));
    assert_eq!(count(&reader, table, KeyRange::all()).expect("scan"), 10);
    writer.put(table, &[3], b"new").expect("put");
    writer.commit().expect("commit");
    reader.put(table, &[200], b"new").expect("put");
    reader.commit().expect("commit");
    assert_eq!(manager.stats().serialization_failures, 0);
}

fn a_short_scan_is_tracked_as_far_as_it_went(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    fill(&manager, table, 200);
    for direction in [Direction::Forward, Direction::Backward] {
        let (one, two) = (serializable(&manager), serializable(&manager));
        for (transaction, written) in [(&one, 101u8), (&two, 102)] {
            let mut cursor = transaction
                .scan(table, KeyRange::all(), direction)
                .expect("scan");
            for _ in 0..5 {
                cursor.next().expect("next").expect("an entry");
            }
            transaction.put(table, &[written], b"far").expect("put");
        }
        one.commit().expect("commit");
        two.commit().expect("what the other scan has not come to");
    }
    assert_eq!(manager.stats().serialization_failures, 0);
}

/// Fekete, O'Neil and O'Neil, "A Read-Only Transaction Anomaly Under Snapshot Isolation", 2004.
fn a_reader_can_be_what_makes_it_wrong(engine: EngineKind) {
    for reader_comes in [false, true] {
        let (manager, table) = manager_of(engine);
        fill(&manager, table, 2);
        let withdrawal = serializable(&manager);
        withdrawal.get(table, b"savings").expect("get");
        withdrawal.get(table, b"checking").expect("get");
        let deposit = serializable(&manager);
        deposit.get(table, b"savings").expect("get");
        deposit.put(table, b"savings", &[20]).expect("put");
        deposit.commit().expect("commit");
        let report = serializable(&manager);
        if reader_comes {
            report.get(table, b"savings").expect("get");
            report.get(table, b"checking").expect("get");
            report.commit().expect("commit");
        }
        let result = withdrawal
            .put(table, b"checking", &[11])
            .and_then(|()| withdrawal.commit());
        assert_eq!(is_serialization(&result), reader_comes, "{result:?}");
    }
}

fn a_failed_transaction_stays_failed(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    fill(&manager, table, 2);
    let (one, two) = (serializable(&manager), serializable(&manager));
    for transaction in [&one, &two] {
        count(transaction, table, KeyRange::all()).expect("scan");
    }
    let savepoint = two.savepoint();
    two.put(table, &[1], b"two").expect("put");
    one.put(table, &[0], b"one").expect("put");
    one.commit().expect("commit");
    assert!(is_serialization(&two.get(table, &[0])));
    assert!(is_serialization(&two.put(table, &[0], b"two")));
    assert!(is_serialization(&two.rollback_to(&savepoint)));
    assert!(is_serialization(&two.commit()));
    let reader = begin(&manager, IsolationLevel::Snapshot);
    assert_eq!(reader.get(table, &[1]).expect("get"), Some(vec![0]));
}

fn who_reads_only_is_not_tracked_where_nobody_writes(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    fill(&manager, table, 10);
    let reader = manager.begin(read_only(false)).expect("begin");
    count(&reader, table, KeyRange::all()).expect("scan");
    let stats = manager.stats();
    assert_eq!(
        (
            stats.safe_snapshots,
            stats.tracked_transactions,
            stats.tracked_bytes
        ),
        (1, 0, 0)
    );
    let writer = serializable(&manager);
    let second = manager.begin(read_only(false)).expect("begin");
    count(&second, table, KeyRange::all()).expect("scan");
    assert!(manager.stats().tracked_bytes > 0);
    // Once the writer has ended without harm the second reader's snapshot is safe.
    writer.put(table, &[5], b"new").expect("put");
    writer.commit().expect("commit");
    assert_eq!(manager.stats().tracked_transactions, 0);
    assert_eq!(manager.stats().tracked_bytes, 0);
    assert_eq!(count(&second, table, KeyRange::all()).expect("scan"), 10);
    second.commit().expect("commit");
}

fn a_deferrable_reader_waits_for_a_safe_snapshot(engine: EngineKind) {
    let _watchdog = Watchdog::new("a_deferrable_reader_waits_for_a_safe_snapshot");
    let (manager, table) = manager_of(engine);
    fill(&manager, table, 2);
    let withdrawal = serializable(&manager);
    withdrawal.get(table, &[0]).expect("get");
    withdrawal.get(table, &[1]).expect("get");
    let deposit = serializable(&manager);
    deposit.put(table, &[0], &[20]).expect("put");
    deposit.commit().expect("commit");
    std::thread::scope(|scope| {
        let report = scope.spawn(|| {
            let report = manager.begin(read_only(true)).expect("begin");
            let seen = [0, 1].map(|key| report.get(table, &[key]).expect("get"));
            report.commit().expect("commit");
            seen
        });
        until(|| manager.stats().tracked_transactions == 3);
        withdrawal.put(table, &[1], &[11]).expect("put");
        withdrawal.commit().expect("the report waits");
        // Its first snapshot would have shown the deposit without the withdrawal.
        assert_eq!(
            report.join().expect("no panic"),
            [Some(vec![20]), Some(vec![11])]
        );
    });
    assert_eq!(manager.stats().serialization_failures, 0);
    let _writer = serializable(&manager);
    let options = TransactionOptions {
        lock_timeout: Some(std::time::Duration::from_millis(1)),
        ..read_only(true)
    };
    assert!(matches!(
        manager.begin(options),
        Err(Error::SafeSnapshotTimeout { .. })
    ));
}

fn an_insert_of_a_key_that_appeared_meanwhile_is_a_conflict(engine: EngineKind) {
    let (manager, table) = manager_of(engine);
    let late = serializable(&manager);
    assert_eq!(late.get(table, b"other").expect("get"), None);
    let first = serializable(&manager);
    first.insert(table, b"key", b"1").expect("insert");
    first.commit().expect("commit");
    assert!(matches!(
        late.insert(table, b"key", b"2"),
        Err(Error::WriteConflict { .. })
    ));
    let next = serializable(&manager);
    assert!(matches!(
        next.insert(table, b"key", b"2"),
        Err(Error::KeyExists { .. })
    ));
}

fn tracking_is_bounded_and_forgets(engine: EngineKind) {
    let options = ManagerOptions {
        tracking_bytes: Some(64 << 10),
        tracking_entries: 16,
        ..ManagerOptions::default()
    };
    let (manager, table) = manager_of_with(engine, options);
    fill(&manager, table, 200);
    let old = serializable(&manager);
    old.get(table, &[7]).expect("get");
    for round in 0..2_000u32 {
        let done = manager.transaction(
            TransactionOptions::isolation(IsolationLevel::Serializable),
            |transaction| {
                for step in 0..8u32 {
                    let key = [100 + ((round * 8 + step) % 100) as u8];
                    transaction.get(table, &key)?;
                }
                let key = [b"new".as_slice(), &round.to_be_bytes()].concat();
                transaction.put(table, &key, b"x")
            },
        );
        done.expect("one after the other");
        let bytes = manager.stats().tracked_bytes;
        assert!(bytes < 200 << 10, "{bytes} bytes in round {round}");
    }
    let stats = manager.stats();
    assert!(stats.summarised_transactions > 0, "{stats:?}");
    assert!(stats.tracked_transactions < 1_000, "{stats:?}");
    // What the summary stands for is still noticed.
    old.put(table, &[150], b"old")
        .expect("others have read it, and nothing more");
    old.get(table, b"new\0\0\0\x05")
        .expect_err("and others have written this one");
    drop(old);
    let stats = manager.stats();
    assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
}

fn accounts_that_may_not_both_be_empty_never_are(engine: EngineKind) {
    let _watchdog = Watchdog::new("accounts_that_may_not_both_be_empty_never_are");
    for (entries, bytes) in [(1024, None), (2, Some(16 << 10))] {
        let (manager, table) = manager_of_with(
            engine,
            ManagerOptions {
                tracking_entries: entries,
                tracking_bytes: bytes,
                ..ManagerOptions::default()
            },
        );
        fill(&manager, table, 32);
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (manager, done) = (&manager, &done);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    for _ in 0..300 {
                        let pair = random.u8(..8) * 2;
                        let (one, other) = (pair + random.u8(..2), random.bool());
                        let result = manager.transaction(
                            TransactionOptions::isolation(IsolationLevel::Serializable),
                            |transaction| {
                                let get = |key: u8| {
                                    Ok::<u8, Error>(
                                        transaction.get(table, &[key])?.map_or(0, |value| value[0]),
                                    )
                                };
                                let both = if other {
                                    get(pair)? + get(pair + 1)?
                                } else {
                                    let range = KeyRange {
                                        start: std::ops::Bound::Included(vec![pair]),
                                        end: std::ops::Bound::Included(vec![pair + 1]),
                                    };
                                    let mut cursor =
                                        transaction.scan(table, range, Direction::Backward)?;
                                    let mut sum = 0;
                                    while let Some((_, value)) = cursor.next()? {
                                        sum += value[0];
                                    }
                                    sum
                                };
                                // At most one of a pair may be 1.
                                assert!(both <= 1, "both are taken");
                                if both == 0 {
                                    transaction.put(table, &[one], &[1])
                                } else {
                                    transaction.put(table, &[pair], &[0])?;
                                    transaction.put(table, &[pair + 1], &[0])
                                }
                            },
                        );
                        match result {
                            Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => assert!(error.is_retryable(), "{error}"),
                        }
                    }
                });
            }
        });
        assert!(done.into_inner() > 600);
        let stats = manager.stats();
        assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
    }
}
