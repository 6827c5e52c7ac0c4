//! Figures of transactions: small ones on every engine that has them, and more of RustlingDB's.

use std::{
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustling_storage::Durability;
use rustling_txn::{TransactionManager, TransactionOptions};

use crate::{
    engines::{
        self, Isolation, Result, Rustling, Settings, Transactions, is_ours, transaction_options,
    },
    keys::{key, value},
    workloads::{Size, found, rate},
};

/// Rows that are loaded at most: transactions cost the same on more.
const MOST_ROWS: u64 = 1_000_000;
/// Deadlocks made, of which the one found last counts.
const DEADLOCKS: usize = 20;

/// Transactions that read one row, with the number of threads.
pub const READS: [(u64, &str); 2] = [
    (1, "transactions of one read, 1 thread"),
    (2, "transactions of one read, 2 threads"),
];
/// Transactions that read one row and write another, with their isolation and the number of
/// threads.
pub const READS_AND_WRITES: [(Isolation, u64, &str); 6] = [
    (
        Isolation::ReadCommitted,
        1,
        "transactions of a read and a write, read committed, 1 thread",
    ),
    (
        Isolation::ReadCommitted,
        2,
        "transactions of a read and a write, read committed, 2 threads",
    ),
    (
        Isolation::Snapshot,
        1,
        "transactions of a read and a write, snapshot, 1 thread",
    ),
    (
        Isolation::Snapshot,
        2,
        "transactions of a read and a write, snapshot, 2 threads",
    ),
    (
        Isolation::Serializable,
        1,
        "transactions of a read and a write, serializable, 1 thread",
    ),
    (
        Isolation::Serializable,
        2,
        "transactions of a read and a write, serializable, 2 threads",
    ),
];
/// The longest until one of two transactions that wait for each other is told.
pub const DEADLOCK: &str = "deadlock until it is found, ms";
/// Giving up a typical transaction and a large one, with the rows that each has written.
pub const ROLLBACKS: [(u64, &str); 2] = [
    (1_000, "rollback of 1,000 rows, ms"),
    (1_000_000, "rollback of 1,000,000 rows, ms"),
];

/// Measures transactions on the engine called `name`, where it has any, in an empty directory.
pub fn measure(
    name: &str,
    path: &Path,
    settings: Settings,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let rows = size.rows.min(MOST_ROWS);
    if is_ours(name) {
        let engine = Rustling::named(name, path, settings)?;
        small(&engine, rows, size.time, report)?;
        return ours(&engine, rows, size.time, report);
    }
    match engines::open(name, path, settings)?.transactions() {
        Some(engine) => small(engine, rows, size.time, report),
        None => Ok(()),
    }
}

/// Loads `rows` rows, and measures transactions of one row or two.
fn small(
    engine: &dyn Transactions,
    rows: u64,
    time: Duration,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(4);
    engine.load(&mut (0..rows).map(|number| (key(number), value(&mut random))))?;
    for (threads, name) in READS {
        let reads = rate(threads, time, |random| {
            found(engine.read(&key(random.u64(..rows)))?)
        })?;
        report(name, reads);
    }
    for (isolation, threads, name) in READS_AND_WRITES {
        if !engine.levels().contains(&isolation) {
            continue;
        }
        let both = rate(threads, time, |random| {
            let (read, written) = (key(random.u64(..rows)), key(random.u64(..rows)));
            engine.read_and_write(isolation, &read, &written, &value(random))
        })?;
        report(name, both);
    }
    Ok(())
}

/// Measures what RustlingDB alone is asked for, on `rows` rows.
fn ours(
    engine: &Rustling,
    rows: u64,
    time: Duration,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let (manager, table) = (engine.manager(), engine.keyspace());
    let mut random = fastrand::Rng::with_seed(9);
    let durable = rate(8, time, |random| {
        let (row, value) = (key(random.u64(..rows)), value(random));
        let options = transaction_options(Isolation::ReadCommitted, Durability::Sync);
        manager.transaction(options, |transaction| transaction.put(table, &row, &value))?;
        Ok(())
    })?;
    report("transactions of a write, durable, 8 threads", durable);
    let found = deadlocks(manager, table)?;
    report(DEADLOCK, found.as_secs_f64() * 1e3);
    for (count, name) in ROLLBACKS {
        let transaction = manager.begin(TransactionOptions::default())?;
        for number in 0..count {
            transaction.put(table, &key(number % rows), &value(&mut random))?;
        }
        let start = Instant::now();
        transaction.rollback();
        report(name, start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Lets two transactions wait for each other, and answers the longest time from before the wait
/// that closed the circle until the victim was told.
fn deadlocks(
    manager: &TransactionManager,
    table: rustling_storage::KeyspaceId,
) -> Result<Duration> {
    let longest = AtomicU64::new(0);
    let victims = AtomicU64::new(0);
    for _ in 0..DEADLOCKS {
        let both_hold = Barrier::new(2);
        let run = |mine: u64, other: u64| -> Result<()> {
            let transaction = manager.begin(TransactionOptions::default())?;
            transaction.put(table, &key(mine), &[1])?;
            both_hold.wait();
            let start = Instant::now();
            match transaction.put(table, &key(other), &[2]) {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    let nanos = start.elapsed().as_nanos() as u64;
                    longest.fetch_max(nanos, Ordering::Relaxed);
                    victims.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
            transaction.rollback();
            Ok(())
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| run(0, 1));
            let second = run(1, 0);
            let panicked = |_| "a thread panicked";
            first.join().map_err(panicked)?.and(second)
        })?;
    }
    match victims.into_inner() {
        found if found == DEADLOCKS as u64 => Ok(Duration::from_nanos(longest.into_inner())),
        found => Err(format!("{found} of {DEADLOCKS} deadlocks were found").into()),
    }
}
