//! Threads that write the same rows as hard as they can, and what must hold all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{Watchdog, begin, manager, manager_on, manager_with};
use rustling_storage::{
    Direction, Error as StorageError, KeyRange, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, ManagerOptions, Result, RowState, Transaction,
    TransactionManager, TransactionOptions,
};

const ACCOUNTS: u8 = 12;
const BALANCE: i64 = 1_000;
const LEVELS: [IsolationLevel; 2] = [IsolationLevel::ReadCommitted, IsolationLevel::Snapshot];

fn number(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

fn open_accounts(manager: &TransactionManager, table: KeyspaceId) {
    let setup = begin(manager, IsolationLevel::ReadCommitted);
    for account in 0..ACCOUNTS {
        setup
            .put(table, &[account], &BALANCE.to_be_bytes())
            .expect("put");
    }
    setup.commit().expect("commit");
}

/// Adds to a balance as an UPDATE does, on the row as it is once locked.
fn add(transaction: &Transaction, table: KeyspaceId, account: u8, amount: i64) -> Result<()> {
    transaction.begin_statement();
    let key = [account];
    let balance = match transaction.lock_row(table, &key, LockMode::Exclusive, LockWait::Wait)? {
        RowState::Unchanged => transaction.get(table, &key)?,
        _ => transaction.get_latest(table, &key)?,
    };
    let balance = balance.map_or(0, |balance| number(&balance));
    transaction.put(table, &key, &(balance + amount).to_be_bytes())
}

fn total(transaction: &Transaction, table: KeyspaceId, direction: Direction) -> i64 {
    transaction.begin_statement();
    let mut cursor = transaction
        .scan(table, KeyRange::all(), direction)
        .expect("scan");
    let (mut total, mut count) = (0, 0);
    while let Some((_, balance)) = cursor.next().expect("next") {
        total += number(balance);
        count += 1;
    }
    assert_eq!(count, ACCOUNTS);
    total
}

fn bank(manager: &TransactionManager, table: KeyspaceId, transfers: u32) {
    let _watchdog = Watchdog::new("the bank");
    open_accounts(manager, table);
    let open = AtomicBool::new(true);
    let moved = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6u64)
            .map(|seed| {
                let (manager, moved) = (&manager, &moved);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let level = LEVELS[usize::from(seed % 2 == 0)];
                    for _ in 0..transfers {
                        let (from, to) = (random.u8(..ACCOUNTS), random.u8(..ACCOUNTS));
                        let amount = random.i64(1..100);
                        let done = manager.transaction(
                            TransactionOptions::isolation(level),
                            |transaction| {
                                add(transaction, table, from, -amount)?;
                                let savepoint = transaction.savepoint();
                                add(transaction, table, to, 7 * amount)?;
                                transaction.rollback_to(&savepoint)?;
                                add(transaction, table, to, amount)?;
                                transaction.release(savepoint);
                                Ok(())
                            },
                        );
                        match done {
                            Ok(()) => drop(moved.fetch_add(1, Ordering::Relaxed)),
                            // Refused too often in a row: allowed, and nothing may have moved.
                            Err(error) => assert!(error.is_retryable(), "{error}"),
                        }
                    }
                })
            })
            .collect();
        for (level, direction) in [
            (LEVELS[0], Direction::Forward),
            (LEVELS[1], Direction::Backward),
        ] {
            let (manager, open) = (&manager, &open);
            scope.spawn(move || {
                while open.load(Ordering::Relaxed) {
                    let reader = begin(manager, level);
                    for _ in 0..4 {
                        assert_eq!(
                            total(&reader, table, direction),
                            i64::from(ACCOUNTS) * BALANCE
                        );
                    }
                }
            });
        }
        for writer in writers {
            writer.join().expect("no panic");
        }
        open.store(false, Ordering::Relaxed);
    });
    let stats = manager.stats();
    assert_eq!((stats.locks, stats.active), (0, 0));
    assert!(moved.load(Ordering::Relaxed) > 0);
    let reader = begin(manager, IsolationLevel::Snapshot);
    assert_eq!(
        total(&reader, table, Direction::Forward),
        i64::from(ACCOUNTS) * BALANCE
    );
}

fn transfers() -> u32 {
    std::env::var("RUSTLING_TXN_TRANSFERS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(150)
}

#[test]
fn money_is_neither_made_nor_lost() {
    let (manager, table) = manager();
    bank(&manager, table, transfers());
}

#[test]
fn nor_when_every_change_spills() {
    let options = ManagerOptions {
        write_set_bytes: Some(1),
        ..ManagerOptions::default()
    };
    let (manager, table) = manager_with(options);
    bank(&manager, table, transfers() / 3);
    assert_eq!(manager.store().keyspaces().len(), 1);
}

#[test]
fn no_increment_is_lost() {
    let _watchdog = Watchdog::new("no_increment_is_lost");
    for level in LEVELS {
        let (manager, table) = manager();
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let options = TransactionOptions::isolation(level);
                        let added = manager
                            .transaction(options, |transaction| add(transaction, table, 0, 1));
                        done.fetch_add(u64::from(added.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        let count = begin(&manager, level)
            .get(table, &[0])
            .expect("get")
            .map(|count| number(&count));
        assert_eq!(count, i64::try_from(done.into_inner()).ok());
    }
}

#[test]
fn of_many_inserters_of_a_key_one_succeeds() {
    let _watchdog = Watchdog::new("of_many_inserters_of_a_key_one_succeeds");
    for level in LEVELS {
        let (manager, table) = manager();
        let won = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..6u8 {
                let (manager, won) = (&manager, &won);
                scope.spawn(move || {
                    for key in 0..100u8 {
                        let transaction = begin(manager, level);
                        match transaction.insert(table, &[key], &[thread]) {
                            Ok(()) if key % 7 == thread => transaction.rollback(),
                            Ok(()) => {
                                transaction.commit().expect("commit");
                                won.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                assert!(matches!(error, Error::KeyExists { .. }), "{error}")
                            }
                        }
                    }
                });
            }
        });
        let reader = begin(&manager, level);
        let mut cursor = reader
            .scan(table, KeyRange::all(), Direction::Forward)
            .expect("scan");
        let mut count = 0;
        while cursor.next().expect("next").is_some() {
            count += 1;
        }
        assert_eq!(
            won.load(Ordering::Relaxed),
            count,
            "one winner per key that is there"
        );
    }
}

#[test]
fn the_lock_table_gives_its_memory_back() {
    let (manager, table) = manager();
    let empty = manager.stats().lock_capacity;
    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
    for key in 0u32..20_000 {
        transaction
            .lock_row(table, &key.to_be_bytes(), LockMode::Share, LockWait::Wait)
            .expect("lock");
    }
    let full = manager.stats();
    assert_eq!(full.locks, 20_001);
    transaction.rollback();
    let stats = manager.stats();
    assert_eq!(stats.locks, 0);
    assert!(
        stats.lock_capacity < full.lock_capacity / 4,
        "{empty} → {} → {}",
        full.lock_capacity,
        stats.lock_capacity
    );
}

#[test]
fn row_locks_that_outgrow_memory_become_one() {
    let options = ManagerOptions {
        write_set_bytes: Some(1 << 20),
        ..ManagerOptions::default()
    };
    let (manager, table) = manager_with(options);
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    for key in 0u32..20_000 {
        transaction
            .put(table, &key.to_be_bytes(), b"v")
            .expect("put");
    }
    assert!(transaction.spilled());
    assert!(
        manager.stats().locks < 100,
        "{} locks",
        manager.stats().locks
    );
    let other = begin(&manager, IsolationLevel::Snapshot);
    let refused = other.lock_row(table, b"elsewhere", LockMode::Share, LockWait::NoWait);
    assert!(matches!(refused, Err(Error::LockNotAvailable { .. })));
    transaction.commit().expect("commit");
    assert!(
        other.put(table, &7u32.to_be_bytes(), b"w").is_err(),
        "the conflict is still seen"
    );
    other.put(table, b"elsewhere", b"w").expect("put");
}

/// Transactions that lock and do not write are bounded too.
#[test]
fn row_locks_alone_that_outgrow_memory_become_one() {
    let options = ManagerOptions {
        write_set_bytes: Some(1 << 20),
        ..ManagerOptions::default()
    };
    let (manager, table) = manager_with(options);
    let reserved = manager.store().memory().used();
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    let mut most = 0;
    for key in 0u32..20_000 {
        transaction
            .lock_row(
                table,
                &key.to_be_bytes(),
                LockMode::Exclusive,
                LockWait::Wait,
            )
            .expect("a lock");
        most = most.max(manager.store().memory().used() - reserved);
    }
    assert!(most < 1 << 20, "{most} bytes");
    assert!(
        manager.stats().locks < 100,
        "{} locks",
        manager.stats().locks
    );
    let other = begin(&manager, IsolationLevel::Snapshot);
    let refused = other.lock_row(table, b"elsewhere", LockMode::Share, LockWait::NoWait);
    assert!(matches!(refused, Err(Error::LockNotAvailable { .. })));
    transaction.commit().expect("commit");
    assert_eq!(manager.store().memory().used(), reserved);
}

/// Locks that others share cannot become one: at the end of memory there are no more of them.
#[test]
fn row_locks_that_cannot_become_one_end_with_the_memory() {
    let options = StoreOptions {
        memory_budget: 2 << 20,
        ..StoreOptions::default()
    };
    let store = Store::in_memory(options).expect("a store in memory");
    let (manager, table) = manager_on(store, ManagerOptions::default());
    let reserved = manager.store().memory().used();
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    let lock = |key: u32| {
        let key = key.to_be_bytes();
        transaction.lock_row(table, &key, LockMode::Share, LockWait::Wait)
    };
    let refused = (0..100_000).find_map(|key| lock(key).err());
    assert!(
        matches!(
            refused,
            Some(Error::Storage(StorageError::OutOfMemory { .. }))
        ),
        "{refused:?}"
    );
    // What it has it keeps, and what others do goes on.
    let other = begin(&manager, IsolationLevel::Snapshot);
    let held = other.lock_row(
        table,
        &0u32.to_be_bytes(),
        LockMode::Exclusive,
        LockWait::NoWait,
    );
    assert!(matches!(held, Err(Error::LockNotAvailable { .. })));
    transaction.commit().expect("commit");
    drop(other);
    assert_eq!(manager.store().memory().used(), reserved);
}

#[test]
fn many_threads_load_in_bulk() {
    let (manager, _) = manager();
    let transaction = begin(&manager, IsolationLevel::Snapshot);
    let table = transaction
        .create_keyspace(KeyspaceOptions::default())
        .expect("create");
    let writer = transaction.bulk_writer(table).expect("a bulk writer");
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let writer = &writer;
            scope.spawn(move || {
                for chunk in 0..5u32 {
                    let entries: Vec<_> = (0..200u32)
                        .map(|at| {
                            (
                                ((at * 5 + chunk) * 4 + thread).to_be_bytes().to_vec(),
                                vec![b'v'; 30],
                            )
                        })
                        .collect();
                    writer.write(&entries).expect("write");
                }
            });
        }
    });
    assert_eq!(writer.entries(), 4_000);
    writer.finish().expect("finish");
    assert!(
        transaction
            .get(table, &0u32.to_be_bytes())
            .expect("get")
            .is_some(),
        "seen by its own transaction"
    );
    assert!(
        begin(&manager, IsolationLevel::Snapshot)
            .get(table, b"a")
            .is_err(),
        "and by no other"
    );
    transaction.commit().expect("commit");
    let reader = begin(&manager, IsolationLevel::Snapshot);
    let mut cursor = reader
        .scan(table, KeyRange::all(), Direction::Forward)
        .expect("scan");
    for expected in 0..4_000u32 {
        let (key, value) = cursor.next().expect("next").expect("an entry");
        assert_eq!((key, value), (&expected.to_be_bytes()[..], &[b'v'; 30][..]));
    }
    assert_eq!(cursor.next().expect("next"), None);
}

#[test]
fn readers_share_a_transaction_that_writes() {
    let (manager, table) = manager_with(ManagerOptions {
        write_set_bytes: Some(1 << 10),
        ..ManagerOptions::default()
    });
    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut cursor = transaction
                        .scan(table, KeyRange::all(), Direction::Forward)
                        .expect("scan");
                    let mut last = None;
                    while let Some((key, value)) = cursor.next().expect("next") {
                        assert_eq!(key, value);
                        assert!(last.as_deref() < Some(key), "in order");
                        last = Some(key.to_vec());
                    }
                }
            });
        }
        for key in 0u32..3_000 {
            let key = key.wrapping_mul(2_654_435_761).to_be_bytes();
            transaction.put(table, &key, &key).expect("put");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(transaction.spilled());
    transaction.commit().expect("commit");
}

#[test]
fn bulk_inserts_refuse_what_is_there() {
    let (manager, table) = manager();
    let entry = |key: &[u8]| (key.to_vec(), b"v".to_vec());
    for level in LEVELS {
        let transaction = begin(&manager, level);
        let refused = |entries: &[(Vec<u8>, Vec<u8>)], key: &[u8]| {
            let writer = transaction.bulk_writer(table).expect("a bulk writer");
            writer
                .insert(&[entry(b"staged"), entry(b"staged z")])
                .expect("new keys");
            match writer.insert(entries) {
                Err(Error::KeyExists { key: found, .. }) => assert_eq!(found, key),
                other => panic!("{other:?}"),
            }
        };
        refused(&[entry(b"a"), entry(b"b"), entry(b"a")], b"a");
        refused(&[entry(b"zz"), entry(b"staged")], b"staged");
        transaction.put(table, b"own", b"v").expect("put");
        refused(&[entry(b"zz"), entry(b"own")], b"own");
        let writer = transaction.bulk_writer(table).expect("a bulk writer");
        let name = format!("{level:?}").into_bytes();
        writer
            .insert(&[entry(b"b"), entry(&name)])
            .expect("new keys");
        writer
            .insert(&[entry(b"a"), entry(b"zz")])
            .expect("before and after them");
        writer.finish().expect("finish");
        refused(&[entry(b"zz")], b"zz");
        transaction.delete(table, b"zz").expect("delete");
        let writer = transaction.bulk_writer(table).expect("a bulk writer");
        writer.insert(&[entry(b"zz")]).expect("deleted just now");
        writer.finish().expect("finish");
        transaction.commit().expect("commit");
        let transaction = begin(&manager, level);
        let writer = transaction.bulk_writer(table).expect("a bulk writer");
        assert!(matches!(
            writer.insert(&[entry(b"b")]),
            Err(Error::KeyExists { .. })
        ));
        drop(writer);
        for key in [&b"a"[..], b"b", b"zz", b"own"] {
            transaction.delete(table, key).expect("delete");
        }
        transaction.commit().expect("commit");
    }
    assert_eq!(manager.store().keyspaces().len(), 1);
}
