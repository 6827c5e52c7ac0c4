//! The lock queues, the deadlock detector, the tracking of serializable transactions and the
//! order of commits under schedules that a test chooses: every switch between threads happens
//! where the scheduler says. (Shuttle: random schedules, and those of Burckhardt et al., "A
//! Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010.)
//!
//! `cargo nextest run -p rustling-txn --features shuttle --test interleavings`; a failure prints
//! the schedule. `RUSTLING_SCHEDULES` says how many there are.

use std::collections::BTreeMap;

use rustling_storage::{
    Batch, Direction, Durability, Env, KeyRange, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};
use rustling_testkit::history::{Fate, History, Level, Operation, Transaction as Noted};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, Result, TableLockMode, Transaction,
    TransactionManager, TransactionOptions,
};
use shuttle::{
    sync::{Arc, Mutex},
    thread,
};

const KEYS: u64 = 3;

fn schedules() -> usize {
    let given = std::env::var("RUSTLING_SCHEDULES");
    given
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(400)
}

/// Runs `test` under random schedules and under such as find bugs of few switches.
fn explore(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(test, schedules());
    shuttle::check_pct(test, schedules(), 3);
}

fn manager() -> (TransactionManager, KeyspaceId) {
    let options = StoreOptions {
        background: false,
        ..StoreOptions::default()
    };
    let store = Store::in_memory(options).expect("a store in memory");
    let table = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(table, KeyspaceOptions::default());
    store.commit(&batch, Durability::None).expect("a keyspace");
    (TransactionManager::new(store, Env::in_memory()), table)
}

fn begin(manager: &TransactionManager, level: IsolationLevel) -> Transaction {
    manager
        .begin(TransactionOptions::isolation(level))
        .expect("a transaction")
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Everybody gets every lock in the end, or gives way in a deadlock; nobody waits for ever
/// (the scheduler would report it), and nothing is left behind.
#[test]
fn nobody_waits_for_ever() {
    explore(|| {
        let (manager, table) = manager();
        let threads: Vec<_> = (0..3u8)
            .map(|who| {
                let manager = manager.clone();
                thread::spawn(move || {
                    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
                    let modes = [LockMode::Share, LockMode::NoKeyUpdate, LockMode::Exclusive];
                    for step in 0..3u8 {
                        let key = [(who + step) % 3];
                        let mode = modes[usize::from((who + 2 * step) % 3)];
                        match transaction.lock_row(table, &key, mode, LockWait::Wait) {
                            Ok(_) => {}
                            Err(Error::Deadlock {
                                transaction: victim,
                                cycle,
                                ..
                            }) => {
                                assert_eq!(victim, transaction.id());
                                assert!(cycle.contains(&victim));
                                return false;
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                    transaction.commit().is_ok()
                })
            })
            .collect();
        let done: Vec<bool> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        assert!(done.contains(&true), "somebody gets through");
        let stats = manager.stats();
        assert_eq!((stats.locks, stats.active), (0, 0));
        let victims = done.iter().filter(|done| !**done).count() as u64;
        assert_eq!(stats.deadlocks, victims);
    });
}

/// A circle of two has one victim, whoever closes it.
#[test]
fn a_circle_has_one_victim() {
    explore(|| {
        let (manager, table) = manager();
        let threads: Vec<_> = [[0u8, 1], [1, 0]]
            .map(|keys| {
                let manager = manager.clone();
                thread::spawn(move || {
                    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
                    let put = |key: u8| transaction.put(table, &[key], &keys);
                    put(keys[0]).and_then(|()| put(keys[1]))?;
                    transaction.commit()
                })
            })
            .into();
        let results: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        let lost = results.iter().filter(|result| result.is_err()).count();
        assert!(lost <= 1, "{results:?}");
        assert_eq!(manager.stats().deadlocks, lost as u64);
        let reader = begin(&manager, IsolationLevel::Snapshot);
        let values = [0u8, 1].map(|key| reader.get(table, &[key]).expect("get"));
        assert_eq!(values[0], values[1], "one transaction came last, whole");
    });
}

/// A table lock keeps rows from changing, and waits for those who change them.
#[test]
fn a_table_lock_excludes_writers() {
    explore(|| {
        let (manager, table) = manager();
        let locker = {
            let manager = manager.clone();
            thread::spawn(move || {
                let transaction = begin(&manager, IsolationLevel::ReadCommitted);
                transaction
                    .lock_table(table, TableLockMode::Shared, LockWait::Wait)
                    .expect("no circle");
                let read = || {
                    transaction.begin_statement();
                    transaction.get(table, b"key").expect("get")
                };
                let first = read();
                thread::yield_now();
                assert_eq!(first, read());
                transaction.commit().expect("commit");
            })
        };
        let writers: Vec<_> = [b"1", b"2"]
            .map(|value| {
                let manager = manager.clone();
                thread::spawn(move || {
                    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
                    transaction.put(table, b"key", value).expect("no circle");
                    transaction.commit().expect("commit");
                })
            })
            .into();
        locker.join().expect("no panic");
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(manager.stats().locks, 0);
    });
}

/// What transaction `who` does in its turn: each reads and then writes something that another
/// one reads.
fn serializable_work(
    transaction: &Transaction,
    table: KeyspaceId,
    who: u64,
    operations: &mut Vec<Operation>,
) -> Result<()> {
    let (mine, other) = (who % KEYS, (who + 1) % KEYS);
    if who == 2 {
        let mut cursor = transaction.scan(table, KeyRange::all(), Direction::Forward)?;
        let mut found = BTreeMap::new();
        while let Some((key, value)) = cursor.next()? {
            found.insert(number(key), number(value));
        }
        operations.push(Operation::Scan {
            range: 0..KEYS,
            found,
        });
    } else {
        let value = transaction.get(table, &other.to_be_bytes())?;
        operations.push(Operation::Read {
            key: other,
            value: value.as_deref().map(number),
        });
    }
    let value = who + 100;
    transaction.put(table, &mine.to_be_bytes(), &value.to_be_bytes())?;
    operations.push(Operation::Write {
        key: mine,
        value: Some(value),
    });
    Ok(())
}

/// However serializable transactions interleave, what they saw is explained by some order; and
/// who reads a commit's effect after it sees it whole.
#[test]
fn serializable_is_serializable_in_every_schedule() {
    explore(|| {
        let (manager, table) = manager();
        let notes = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..4u64)
            .map(|who| {
                let (manager, notes) = (manager.clone(), Arc::clone(&notes));
                thread::spawn(move || {
                    let mut noted = Noted::committed(who);
                    let transaction = begin(&manager, IsolationLevel::Serializable);
                    let done = serializable_work(&transaction, table, who, &mut noted.operations)
                        .and_then(|()| transaction.commit());
                    match done {
                        Ok(lsn) => noted.position = Some(lsn.0),
                        Err(error) => {
                            assert!(error.is_retryable(), "{error}");
                            noted.fate = Fate::Aborted;
                        }
                    }
                    notes.lock().expect("no panic").push(noted);
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        let history: History = notes.lock().expect("no panic").drain(..).collect();
        let committed = history
            .transactions()
            .iter()
            .filter(|noted| noted.fate == Fate::Committed)
            .count();
        assert!(committed > 0, "somebody gets through");
        if let Err(violations) = history.check(Level::Serializable) {
            panic!("{violations}{:?}", history.transactions());
        }
        let stats = manager.stats();
        assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
    });
}

/// A deferrable reader gets a snapshot that no order of the writers contradicts, and gets it.
#[test]
fn a_deferred_reader_sees_a_state_of_some_order() {
    explore(|| {
        let (manager, table) = manager();
        // The withdrawal reads both and writes the one, the deposit writes the other.
        let withdrawal = {
            let manager = manager.clone();
            thread::spawn(move || {
                let transaction = begin(&manager, IsolationLevel::Serializable);
                let deposited = transaction.get(table, b"savings")?.is_some();
                transaction.get(table, b"checking")?;
                transaction.put(table, b"checking", &[u8::from(deposited)])?;
                transaction.commit()
            })
        };
        let deposit = {
            let manager = manager.clone();
            thread::spawn(move || {
                let transaction = begin(&manager, IsolationLevel::Serializable);
                transaction.put(table, b"savings", b"20")?;
                transaction.commit()
            })
        };
        let reader = manager
            .begin(TransactionOptions {
                read_only: true,
                deferrable: true,
                ..TransactionOptions::isolation(IsolationLevel::Serializable)
            })
            .expect("a safe snapshot");
        let seen =
            [b"savings".as_slice(), b"checking"].map(|key| reader.get(table, key).expect("safe"));
        reader.commit().expect("safe");
        let withdrawn = withdrawal.join().expect("no panic");
        deposit.join().expect("no panic").expect("it reads nothing");
        let last = begin(&manager, IsolationLevel::Snapshot);
        let end = last.get(table, b"checking").expect("get");
        assert_eq!(withdrawn.is_ok(), end.is_some());
        // The deposit without a withdrawal that has not seen it would be of no order.
        if seen[0].is_some() && seen[1].is_none() {
            assert_ne!(
                end,
                Some(vec![0]),
                "the reader saw a deposit that was not there yet"
            );
        }
        let stats = manager.stats();
        assert_eq!((stats.tracked_transactions, stats.locks), (0, 0));
    });
}
