//! Figures of the transaction layer above each of RustlingDB's engines.

use std::{
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustling_storage::{Durability, Env};
use rustling_txn::{IsolationLevel, TransactionManager, TransactionOptions};

use crate::{
    engines::{Engine, Result, Rustling, Settings},
    keys::{key, value},
    workloads::{Size, rate},
};

/// Rows that are loaded at most: transactions cost the same on more.
const MOST_ROWS: u64 = 1_000_000;
/// Rows of a transaction that is rolled back: a typical one, and a large one.
const ROLLED_BACK: [u64; 2] = [1_000, 1_000_000];
/// Deadlocks made, of which the one found last counts.
const DEADLOCKS: usize = 20;

fn options(isolation: IsolationLevel, durability: Durability) -> TransactionOptions {
    let mut options = TransactionOptions::isolation(isolation);
    options.durability = durability;
    options
}

/// Measures transactions on the engine called `name`, in an empty directory.
pub fn measure(
    name: &str,
    path: &Path,
    settings: Settings,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let engine = Rustling::named(name, path, settings)?;
    let rows = size.rows.min(MOST_ROWS);
    let mut random = fastrand::Rng::with_seed(4);
    engine.load(&mut (0..rows).map(|number| (key(number), value(&mut random))))?;
    let manager = TransactionManager::new(engine.store().clone(), Env::system());
    let table = engine.keyspace();
    for threads in [1, 2] {
        let reads = rate(threads, size.time, |random| {
            let mut options = options(IsolationLevel::Snapshot, Durability::None);
            options.read_only = true;
            let transaction = manager.begin(options)?;
            let row = key(random.u64(..rows));
            std::hint::black_box(transaction.get_with(table, &row, <[u8]>::len)?);
            transaction.commit()?;
            Ok(())
        })?;
        report(
            &format!("transactions of one read, {threads} thread(s)"),
            reads,
        );
    }
    let levels = [
        ("read committed", IsolationLevel::ReadCommitted),
        ("snapshot", IsolationLevel::Snapshot),
        ("serializable", IsolationLevel::Serializable),
    ];
    for (level, isolation) in levels {
        for threads in [1, 2] {
            let both = rate(threads, size.time, |random| {
                let (read, written) = (key(random.u64(..rows)), key(random.u64(..rows)));
                let value = value(random);
                let options = options(isolation, Durability::Async);
                manager.transaction(options, |transaction| {
                    std::hint::black_box(transaction.get_with(table, &read, <[u8]>::len)?);
                    transaction.put(table, &written, &value)
                })?;
                Ok(())
            })?;
            let name = format!("transactions of a read and a write, {level}, {threads} thread(s)");
            report(&name, both);
        }
    }
    let durable = rate(8, size.time, |random| {
        let (row, value) = (key(random.u64(..rows)), value(random));
        let options = options(IsolationLevel::ReadCommitted, Durability::Sync);
        manager.transaction(options, |transaction| transaction.put(table, &row, &value))?;
        Ok(())
    })?;
    report("transactions of a write, durable, 8 threads", durable);
    let found = deadlocks(&manager, table)?;
    report("deadlock until it is found, ms", found.as_secs_f64() * 1e3);
    for count in ROLLED_BACK {
        let transaction = manager.begin(TransactionOptions::default())?;
        for number in 0..count {
            transaction.put(table, &key(number % rows), &value(&mut random))?;
        }
        let start = Instant::now();
        transaction.rollback();
        let took = start.elapsed();
        report(
            &format!("rollback of {count} rows, ms"),
            took.as_secs_f64() * 1e3,
        );
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
