//! Prints how fast the transaction layer is: short transactions, reads, writes with asynchronous
//! durability, the rollback of a million rows.
//!
//! ```text
//! cargo run --release -p rustling-txn --example transaction_speed [directory]
//! ```
//!
//! Without a directory a temporary one is used. Keys have 16 bytes, values 100.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures itself and prints the figures"
)]

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use rustling_storage::{Durability, Env, KeyspaceId, KeyspaceOptions, Store, StoreOptions};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, Result, RowState, TransactionManager,
    TransactionOptions,
};

const KEYS: u64 = 200_000;
const VALUE: [u8; 100] = [7; 100];

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn options(isolation: IsolationLevel, durability: Durability) -> TransactionOptions {
    TransactionOptions {
        durability,
        ..TransactionOptions::isolation(isolation)
    }
}

/// Runs `work` `count` times on each thread; prints how many per second.
fn measure(
    name: &str,
    threads: u64,
    count: u64,
    work: impl Fn(&mut fastrand::Rng) -> Result<()> + Sync,
) -> Result<()> {
    let began = Instant::now();
    let failed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, failed) = (&work, &failed);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..count {
                    if work(&mut random).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let rate = (threads * count) as f64 / began.elapsed().as_secs_f64();
    let failed = match failed.into_inner() {
        0 => String::new(),
        failed => format!(" ({failed} failed)"),
    };
    println!("{name:<52} {threads} threads {rate:>12.0} /s{failed}");
    Ok(())
}

fn fill(manager: &TransactionManager) -> Result<KeyspaceId> {
    manager.transaction(TransactionOptions::default(), |transaction| {
        let table = transaction.create_keyspace(KeyspaceOptions::default())?;
        for number in 0..KEYS {
            transaction.put(table, &key(number), &VALUE)?;
        }
        Ok(table)
    })
}

fn transfers(
    manager: &TransactionManager,
    table: KeyspaceId,
    isolation: IsolationLevel,
    threads: u64,
) -> Result<()> {
    let name = format!("read-write transactions (2 reads, 2 writes), {isolation:?}");
    measure(&name, threads, 100_000 / threads, |random| {
        let (from, to) = (random.u64(..KEYS), random.u64(..KEYS));
        manager.transaction(options(isolation, Durability::Async), |transaction| {
            for number in [from, to] {
                let key = key(number);
                let value = if isolation.keeps_snapshot() {
                    transaction.get(table, &key)?
                } else {
                    match transaction.lock_row(
                        table,
                        &key,
                        LockMode::NoKeyUpdate,
                        LockWait::Wait,
                    )? {
                        RowState::Changed => transaction.get_latest(table, &key)?,
                        _ => transaction.get(table, &key)?,
                    }
                };
                transaction.put(table, &key, &value.unwrap_or_default())?;
            }
            Ok(())
        })
    })
}

fn roll_back_a_million(manager: &TransactionManager) -> Result<()> {
    let table = manager.transaction(TransactionOptions::default(), |transaction| {
        transaction.create_keyspace(KeyspaceOptions::default())
    })?;
    let transaction = manager.begin(TransactionOptions::default())?;
    let began = Instant::now();
    for number in 0..1_000_000 {
        transaction.put(table, &key(number), &VALUE)?;
    }
    let written = began.elapsed();
    let spilled = transaction.spilled();
    let began = Instant::now();
    transaction.rollback();
    println!(
        "{:<52} {:>9} written in {written:.2?}, rolled back in {:.2?}",
        "rollback of a million rows",
        if spilled { "spilled," } else { "" },
        began.elapsed()
    );
    Ok(())
}

fn run(directory: &Path) -> Result<()> {
    let env = Env::system();
    let store_options = StoreOptions {
        memory_budget: 512 << 20,
        ..StoreOptions::default()
    };
    let store = Store::open(env.clone(), directory, store_options)?;
    let manager = TransactionManager::new(store, env);
    let table = fill(&manager)?;
    for threads in [1, 2] {
        for isolation in [
            IsolationLevel::ReadCommitted,
            IsolationLevel::Snapshot,
            IsolationLevel::Serializable,
        ] {
            transfers(&manager, table, isolation, threads)?;
        }
        for isolation in [IsolationLevel::Snapshot, IsolationLevel::Serializable] {
            let name = format!("reads, one per read-only transaction, {isolation:?}");
            measure(&name, threads, 400_000 / threads, |random| {
                let reader = manager.begin(TransactionOptions {
                    read_only: true,
                    ..TransactionOptions::isolation(isolation)
                })?;
                reader.get_with(table, &key(random.u64(..KEYS)), <[u8]>::len)?;
                reader.commit().map(drop)
            })?;
        }
        let reader = manager.begin(TransactionOptions::isolation(IsolationLevel::Snapshot))?;
        measure(
            "reads in one transaction",
            threads,
            1_000_000 / threads,
            |random| {
                reader
                    .get_with(table, &key(random.u64(..KEYS)), <[u8]>::len)
                    .map(drop)
            },
        )?;
        measure(
            "writes, one per transaction, async",
            threads,
            200_000 / threads,
            |random| {
                let writer =
                    manager.begin(options(IsolationLevel::ReadCommitted, Durability::Async))?;
                writer.put(table, &key(random.u64(..KEYS)), &VALUE)?;
                writer.commit().map(drop)
            },
        )?;
        measure(
            "writes, 100 per transaction, async",
            threads,
            5_000 / threads,
            |random| {
                let mut keys: Vec<u64> = (0..100).map(|_| random.u64(..KEYS)).collect();
                keys.sort_unstable();
                let options = options(IsolationLevel::ReadCommitted, Durability::Async);
                manager.transaction(options, |writer| {
                    for number in &keys {
                        writer.put(table, &key(*number), &VALUE)?;
                    }
                    Ok(())
                })
            },
        )?;
    }
    roll_back_a_million(&manager)?;
    let stats = manager.stats();
    println!(
        "{} committed, {} retried, {} write conflicts, {} serialization failures ({} unproven), {} deadlocks",
        stats.committed,
        stats.retried,
        stats.write_conflicts,
        stats.serialization_failures,
        stats.unproven_serialization_failures,
        stats.deadlocks
    );
    let store = manager.store().clone();
    drop(manager);
    Ok(store.close()?)
}

fn main() -> Result<(), Error> {
    let temporary = tempfile::tempdir().map_err(|source| {
        Error::Storage(rustling_storage::Error::InvalidOption(source.to_string()))
    })?;
    let given = std::env::args_os().nth(1);
    let directory = given
        .as_deref()
        .map_or_else(|| temporary.path().join("store"), |path| path.into());
    run(&directory)
}
