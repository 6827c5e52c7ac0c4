//! Measures what a transaction adds to the store underneath, operation by operation:
//! `cargo run --release -p rustling-txn --example overhead`.
#![expect(clippy::print_stdout, reason = "prints its measurements")]

use std::{hint::black_box, time::Duration};

use rustling_storage::{
    Batch, Direction, Durability, Env, KeyRange, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};
use rustling_txn::{
    Error, IsolationLevel, LockMode, LockWait, TransactionManager, TransactionOptions,
};

const KEYS: u64 = 10_000;
const ROUNDS: u64 = 200_000;

fn key(at: u64) -> [u8; 8] {
    (at.wrapping_mul(2_654_435_761) % KEYS).to_be_bytes()
}

/// Runs `act` `ROUNDS` times, prints and returns the time of one.
fn measure(
    env: &Env,
    what: &str,
    rounds: u64,
    mut act: impl FnMut(u64) -> Result<(), Error>,
) -> Result<Duration, Error> {
    let start = env.now();
    for at in 0..rounds {
        act(at)?;
    }
    let each = env.now().saturating_sub(start) / u32::try_from(rounds).unwrap_or(u32::MAX);
    println!("{what:<56} {each:>10.0?}");
    Ok(each)
}

fn main() -> Result<(), Error> {
    let env = Env::in_memory();
    let store = Store::in_memory(StoreOptions::default())?;
    let table: KeyspaceId = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(table, KeyspaceOptions::default());
    for at in 0..KEYS {
        batch.put(table, at.to_be_bytes(), [7; 100]);
    }
    store.commit(&batch, Durability::None)?;
    let manager = TransactionManager::new(store.clone(), env.clone());
    let none = |isolation| TransactionOptions {
        durability: Durability::None,
        ..TransactionOptions::isolation(isolation)
    };

    println!("point reads");
    let snapshot = store.snapshot();
    measure(&env, "  snapshot", ROUNDS, |at| {
        black_box(snapshot.get_with(table, &key(at), <[u8]>::len)?);
        Ok(())
    })?;
    for isolation in [IsolationLevel::ReadCommitted, IsolationLevel::Snapshot] {
        let transaction = manager.begin(none(isolation))?;
        transaction.begin_statement();
        measure(
            &env,
            &format!("  transaction, {isolation:?}"),
            ROUNDS,
            |at| {
                black_box(transaction.get_with(table, &key(at), <[u8]>::len)?);
                Ok(())
            },
        )?;
        transaction.put(table, b"elsewhere", b"1")?;
        measure(
            &env,
            &format!("  transaction that has written, {isolation:?}"),
            ROUNDS,
            |at| {
                black_box(transaction.get_with(table, &key(at), <[u8]>::len)?);
                Ok(())
            },
        )?;
    }
    measure(&env, "  begin, statement, read, commit", ROUNDS, |at| {
        let transaction = manager.begin(none(IsolationLevel::ReadCommitted))?;
        transaction.begin_statement();
        black_box(transaction.get_with(table, &key(at), <[u8]>::len)?);
        transaction.commit()?;
        Ok(())
    })?;
    measure(&env, "  store snapshot, read", ROUNDS, |at| {
        black_box(store.snapshot().get_with(table, &key(at), <[u8]>::len)?);
        Ok(())
    })?;

    println!("transactions");
    measure(&env, "  begin, commit", ROUNDS, |_| {
        manager.begin(none(IsolationLevel::Snapshot))?.commit()?;
        Ok(())
    })?;
    measure(&env, "  store: commit of one put", ROUNDS / 10, |at| {
        let mut batch = Batch::new();
        batch.put(table, key(at), [7; 100]);
        store.commit(&batch, Durability::None)?;
        Ok(())
    })?;
    measure(&env, "  begin, put, commit", ROUNDS / 10, |at| {
        let transaction = manager.begin(none(IsolationLevel::Snapshot))?;
        transaction.put(table, &key(at), &[7; 100])?;
        transaction.commit()?;
        Ok(())
    })?;

    println!("within a transaction, per row");
    for isolation in [IsolationLevel::ReadCommitted, IsolationLevel::Snapshot] {
        let transaction = manager.begin(none(isolation))?;
        measure(&env, &format!("  put, {isolation:?}"), KEYS, |at| {
            transaction.put(table, &at.to_be_bytes(), &[7; 100])
        })?;
        let _savepoint = transaction.savepoint();
        measure(
            &env,
            &format!("  put again under a savepoint, {isolation:?}"),
            KEYS,
            |at| transaction.put(table, &at.to_be_bytes(), &[7; 100]),
        )?;
    }
    let transaction = manager.begin(none(IsolationLevel::ReadCommitted))?;
    measure(&env, "  lock_row", KEYS, |at| {
        transaction
            .lock_row(
                table,
                &at.to_be_bytes(),
                LockMode::Exclusive,
                LockWait::Wait,
            )
            .map(drop)
    })?;
    measure(&env, "  lock_row held already", KEYS, |at| {
        transaction
            .lock_row(
                table,
                &at.to_be_bytes(),
                LockMode::Exclusive,
                LockWait::Wait,
            )
            .map(drop)
    })?;
    let start = env.now();
    drop(transaction);
    println!(
        "{:<56} {:>10.0?}",
        "  release",
        (env.now() - start) / KEYS as u32
    );
    let transaction = manager.begin(none(IsolationLevel::ReadCommitted))?;
    measure(&env, "  insert of a new key", KEYS, |at| {
        transaction.insert(table, &(at + KEYS).to_be_bytes(), &[7; 100])
    })?;
    drop(transaction);

    println!("scans, per row");
    let per_row = |scan: &mut dyn FnMut() -> Result<u64, Error>, what: &str| {
        let start = env.now();
        let rows = scan()?.max(1);
        println!(
            "{what:<56} {:>10.0?}",
            (env.now() - start) / u32::try_from(rows).unwrap_or(u32::MAX)
        );
        Ok::<_, Error>(())
    };
    let snapshot = store.snapshot();
    let mut scan = || {
        let mut cursor = snapshot.scan(table, KeyRange::all(), Direction::Forward)?;
        let mut rows = 0;
        while cursor.next()?.is_some() {
            rows += 1;
        }
        Ok(rows)
    };
    per_row(&mut scan, "  snapshot")?;
    let transaction = manager.begin(none(IsolationLevel::Snapshot))?;
    let mut scan = || {
        let mut cursor = transaction.scan(table, KeyRange::all(), Direction::Forward)?;
        let mut rows = 0;
        while cursor.next()?.is_some() {
            rows += 1;
        }
        Ok(rows)
    };
    per_row(&mut scan, "  transaction")?;
    for at in (0..KEYS).step_by(2) {
        transaction.put(table, &at.to_be_bytes(), &[8; 100])?;
    }
    per_row(&mut scan, "  transaction that has written every second row")?;
    Ok(())
}
