//! Threads that wait for one another in circles: one gives way, all others get through.

#![expect(clippy::panic, reason = "an unexpected answer ends the test")]

use std::sync::{
    Barrier,
    atomic::{AtomicU64, Ordering},
};

use crate::common::{Watchdog, begin, for_every_engine, manager_of, until, waits};
use rustling_storage::EngineKind;
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, RowState, TableLockMode, TransactionOptions,
};

for_every_engine! {
    two_wait_for_each_other,
    three_wait_in_a_circle,
    many_wait_in_a_circle,
    two_readers_that_both_want_to_write,
    rows_and_tables_close_a_circle_together,
    one_wait_can_close_two_circles,
    a_crowd_gets_through_with_retries,
}

/// `count` transactions, each of which holds one row and wants its neighbour's.
fn ring(engine: EngineKind, count: u8) {
    let _watchdog = Watchdog::new("a ring of transactions");
    let (manager, table) = manager_of(engine);
    let held = Barrier::new(usize::from(count));
    let victims = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for at in 0..count {
            let (manager, held, victims) = (&manager, &held, &victims);
            scope.spawn(move || {
                let transaction = begin(manager, IsolationLevel::ReadCommitted);
                transaction.put(table, &[at], b"held").expect("its own row");
                held.wait();
                match transaction.put(table, &[(at + 1) % count], b"wanted") {
                    Ok(()) => {
                        transaction.commit().expect("commit");
                    }
                    Err(error) => {
                        assert!(error.is_retryable());
                        let Error::Deadlock {
                            transaction: victim,
                            cycle,
                            ..
                        } = error
                        else {
                            panic!("{error}")
                        };
                        assert_eq!(victim, transaction.id());
                        assert_eq!(cycle.len(), usize::from(count));
                        assert!(cycle.contains(&victim));
                        victims.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(
        victims.load(Ordering::Relaxed),
        1,
        "one victim breaks a ring"
    );
    let stats = manager.stats();
    assert_eq!(
        (stats.deadlocks, stats.committed, stats.locks),
        (1, u64::from(count) - 1, 0)
    );
}

fn two_wait_for_each_other(engine: EngineKind) {
    for _ in 0..20 {
        ring(engine, 2);
    }
}

fn three_wait_in_a_circle(engine: EngineKind) {
    for _ in 0..20 {
        ring(engine, 3);
    }
}

fn many_wait_in_a_circle(engine: EngineKind) {
    ring(engine, 40);
}

fn two_readers_that_both_want_to_write(engine: EngineKind) {
    let _watchdog = Watchdog::new("two_readers_that_both_want_to_write");
    let (manager, table) = manager_of(engine);
    for (mode, deadlocks) in [(LockMode::Share, 1), (LockMode::Update, 1)] {
        let both = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
                    transaction
                        .lock_row(table, b"a", mode, LockWait::Wait)
                        .expect("beside or after the other");
                    if mode == LockMode::Share {
                        both.wait();
                    }
                    match transaction.put(table, b"a", b"1") {
                        Ok(()) => drop(transaction.commit().expect("commit")),
                        Err(error) => assert!(matches!(error, Error::Deadlock { .. })),
                    }
                });
            }
        });
        assert_eq!(
            manager.stats().deadlocks,
            deadlocks,
            "an update lock excludes what a share lock allows"
        );
    }
    assert_eq!(manager.stats().locks, 0);
}

fn rows_and_tables_close_a_circle_together(engine: EngineKind) {
    let _watchdog = Watchdog::new("rows_and_tables_close_a_circle_together");
    let (manager, table) = manager_of(engine);
    let setup = begin(&manager, IsolationLevel::ReadCommitted);
    let other = setup
        .create_keyspace(rustling_storage::KeyspaceOptions::default())
        .expect("create");
    setup.commit().expect("commit");
    let writer = begin(&manager, IsolationLevel::ReadCommitted);
    writer.put(table, b"a", b"1").expect("put");
    let locker = begin(&manager, IsolationLevel::ReadCommitted);
    locker
        .lock_table(other, TableLockMode::Exclusive, LockWait::Wait)
        .expect("lock");
    std::thread::scope(|scope| {
        let id = locker.id();
        let waiting = scope.spawn(move || {
            let result = locker.lock_table(table, TableLockMode::Shared, LockWait::Wait);
            locker.rollback();
            result
        });
        until(|| waits(&manager, id));
        // The locker has written nothing: it gives way though it waited first.
        let closing = scope.spawn(|| writer.put(other, b"b", b"1"));
        let error = waiting.join().expect("no panic").expect_err("the victim");
        assert!(matches!(error, Error::Deadlock { .. }));
        closing.join().expect("no panic").expect("the way is free");
    });
    writer.commit().expect("commit");
}

fn one_wait_can_close_two_circles(engine: EngineKind) {
    let _watchdog = Watchdog::new("one_wait_can_close_two_circles");
    let (manager, table) = manager_of(engine);
    // Two share a row and wait for the third, which then wants that row alone.
    let third = begin(&manager, IsolationLevel::ReadCommitted);
    for row in [b"x", b"y"] {
        third.put(table, row, b"1").expect("put");
    }
    let sharers = [(); 2].map(|()| begin(&manager, IsolationLevel::ReadCommitted));
    for sharer in &sharers {
        let state = sharer
            .lock_row(table, b"shared", LockMode::Share, LockWait::Wait)
            .expect("lock");
        assert_eq!(state, RowState::Unchanged);
    }
    std::thread::scope(|scope| {
        for (sharer, row) in sharers.into_iter().zip([b"x", b"y"]) {
            let id = sharer.id();
            scope.spawn(move || {
                let error = sharer
                    .put(table, row, b"2")
                    .expect_err("less to lose than the third");
                assert!(matches!(error, Error::Deadlock { .. }));
            });
            until(|| waits(&manager, id));
        }
        third.put(table, b"shared", b"3").expect("both give way");
    });
    third.commit().expect("commit");
    assert_eq!(manager.stats().deadlocks, 2);
}

fn a_crowd_gets_through_with_retries(engine: EngineKind) {
    let _watchdog = Watchdog::new("a_crowd_gets_through_with_retries");
    let (manager, table) = manager_of(engine);
    std::thread::scope(|scope| {
        for seed in 0..8u64 {
            let manager = &manager;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..60 {
                    let rows: [u8; 4] = std::array::from_fn(|_| random.u8(..6));
                    manager
                        .transaction(TransactionOptions::default(), |transaction| {
                            for row in rows {
                                transaction.put(
                                    table,
                                    &[row],
                                    &transaction.id().0.to_be_bytes(),
                                )?;
                                std::thread::yield_now();
                            }
                            Ok(())
                        })
                        .expect("somebody else always gives way in the end");
                }
            });
        }
    });
    let stats = manager.stats();
    assert_eq!((stats.committed, stats.locks), (8 * 60, 0));
    assert_eq!(stats.retried, stats.deadlocks);
}
