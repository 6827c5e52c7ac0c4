//! Savepoints against a model that copies everything: rows, keyspaces created and dropped, bulk
//! loads, with so little memory that portions of the write set spill all the time.

#![expect(clippy::panic, reason = "a broken promise ends the test")]

use std::collections::BTreeMap;

use crate::common::{ENGINES, begin, for_every_engine, manager_of_with};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_storage::{
    Direction, EngineKind, Error as StorageError, KeyRange, KeyspaceId, KeyspaceOptions,
};
use rustling_txn::{
    Error, IsolationLevel, ManagerOptions, Savepoint, Transaction, TransactionManager,
};

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, u8),
    Delete(u8, u8),
    Bulk(u8, Vec<(u8, u8)>),
    Create(u8),
    Drop(u8),
    Engine(u8, u8),
    Savepoint,
    RollbackTo(u8),
    Release(u8),
    Commit,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        let (table, key, value) = (u8::arbitrary(g), u8::arbitrary(g) % 12, u8::arbitrary(g));
        match u8::arbitrary(g) % 40 {
            0..=15 => Step::Put(table, key, value),
            16..=20 => Step::Delete(table, key),
            21 => Step::Bulk(
                table,
                (0..value % 5)
                    .map(|at| (u8::arbitrary(g) % 12, at))
                    .collect(),
            ),
            22 => Step::Create(value),
            23 => Step::Drop(table),
            24 => Step::Engine(table, value),
            25..=31 => Step::Savepoint,
            32..=35 => Step::RollbackTo(value),
            36..=38 => Step::Release(value),
            _ => Step::Commit,
        }
    }
}

type Tables = BTreeMap<KeyspaceId, BTreeMap<u8, u8>>;

fn rows(transaction: &Transaction, table: KeyspaceId, direction: Direction) -> Vec<(u8, u8)> {
    let mut cursor = transaction
        .scan(table, KeyRange::all(), direction)
        .expect("scan");
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.next().expect("next") {
        rows.push((key[0], value[0]));
    }
    rows
}

fn compare(transaction: &Transaction, tables: &Tables) {
    for (table, expected) in tables {
        let expected: Vec<_> = expected.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(rows(transaction, *table, Direction::Forward), expected);
        assert!(
            rows(transaction, *table, Direction::Backward)
                .iter()
                .eq(expected.iter().rev())
        );
        for key in 0..12 {
            let value = transaction
                .get_with(*table, &[key], |value| value[0])
                .expect("get");
            assert_eq!(
                value,
                expected
                    .iter()
                    .find(|(at, _)| *at == key)
                    .map(|(_, value)| *value)
            );
        }
    }
}

fn undoes_like_the_model(
    engine: u8,
    level: IsolationLevel,
    write_set_bytes: usize,
    steps: &[Step],
) -> bool {
    let options = ManagerOptions {
        write_set_bytes: Some(write_set_bytes),
        ..ManagerOptions::default()
    };
    let engine_of = |number: u8| ENGINES[usize::from(number) % ENGINES.len()];
    let (manager, table) = manager_of_with(engine_of(engine), options);
    // The first table of this kind reserves memory for all there will be.
    let of_tables = KeyspaceOptions {
        engine: EngineKind::Lsm,
        ..KeyspaceOptions::default()
    };
    let first = begin(&manager, level);
    let passing = first.create_keyspace(of_tables).expect("create");
    first.commit().expect("commit");
    let second = begin(&manager, level);
    second.drop_keyspace(passing).expect("drop");
    second.commit().expect("commit");
    let reserved = manager.store().memory().used();
    let mut tables = Tables::from([(table, BTreeMap::new())]);
    let mut committed = tables.clone();
    let mut savepoints: Vec<(Savepoint, Tables)> = Vec::new();
    let mut transaction = begin(&manager, level);
    let pick = |tables: &Tables, which: u8| {
        let tables: Vec<_> = tables.keys().copied().collect();
        (!tables.is_empty()).then(|| tables[usize::from(which) % tables.len()])
    };
    for step in steps {
        match step {
            Step::Put(which, key, value) => {
                let Some(table) = pick(&tables, *which) else {
                    continue;
                };
                transaction.put(table, &[*key], &[*value; 40]).expect("put");
                tables.entry(table).or_default().insert(*key, *value);
            }
            Step::Delete(which, key) => {
                let Some(table) = pick(&tables, *which) else {
                    continue;
                };
                transaction.delete(table, &[*key]).expect("delete");
                tables.entry(table).or_default().remove(key);
            }
            Step::Bulk(which, entries) => {
                let Some(table) = pick(&tables, *which) else {
                    continue;
                };
                let writer = transaction.bulk_writer(table).expect("a bulk writer");
                let bytes: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (vec![*key], vec![*value; 40]))
                    .collect();
                writer.write(&bytes).expect("write");
                writer.finish().expect("finish");
                tables
                    .entry(table)
                    .or_default()
                    .extend(entries.iter().copied());
            }
            Step::Create(engine) => {
                let options = KeyspaceOptions {
                    engine: engine_of(*engine),
                    ..KeyspaceOptions::default()
                };
                let table = transaction.create_keyspace(options).expect("create");
                tables.insert(table, BTreeMap::new());
            }
            Step::Drop(which) => {
                let Some(table) = pick(&tables, *which) else {
                    continue;
                };
                transaction.drop_keyspace(table).expect("drop");
                assert!(transaction.get(table, b"a").is_err());
                tables.remove(&table);
            }
            Step::Engine(which, engine) => {
                let Some(table) = pick(&tables, *which) else {
                    continue;
                };
                match transaction.set_engine(table, engine_of(*engine)) {
                    Ok(()) => {}
                    // One change at a time.
                    Err(Error::Storage(StorageError::EngineChanging(of))) => assert_eq!(of, table),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Savepoint => savepoints.push((transaction.savepoint(), tables.clone())),
            Step::RollbackTo(which) if !savepoints.is_empty() => {
                savepoints.truncate(usize::from(*which) % savepoints.len() + 1);
                let (savepoint, before) = savepoints.last().expect("at least one is kept");
                transaction.rollback_to(savepoint).expect("rollback");
                tables.clone_from(before);
                compare(&transaction, &tables);
            }
            Step::Release(which) if !savepoints.is_empty() => {
                let at = usize::from(*which) % savepoints.len();
                let released = savepoints.drain(at..).next().expect("at least one goes");
                transaction.release(released.0);
            }
            Step::Commit => {
                savepoints.clear();
                transaction.commit().expect("commit");
                committed.clone_from(&tables);
                compare_all(&manager, &committed);
                transaction = begin(&manager, level);
            }
            Step::RollbackTo(_) | Step::Release(_) => {}
        }
    }
    compare(&transaction, &tables);
    transaction.rollback();
    compare_all(&manager, &committed);
    assert_eq!(manager.store().memory().used(), reserved);
    manager.stats().locks == 0
}

/// The committed state is `tables`, and no other keyspace is left.
fn compare_all(manager: &TransactionManager, tables: &Tables) {
    let known: Vec<_> = manager
        .store()
        .keyspaces()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert!(known.iter().eq(tables.keys()), "{known:?}");
    compare(&begin(manager, IsolationLevel::Snapshot), tables);
}

fn runs() -> u64 {
    std::env::var("RUSTLING_TXN_MODEL_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(400)
}

#[test]
fn savepoints_restore_everything_in_memory() {
    fn property(engine: u8, steps: Vec<Step>) -> bool {
        undoes_like_the_model(engine, IsolationLevel::ReadCommitted, usize::MAX, &steps)
    }
    QuickCheck::new()
        .rng(Gen::new(150))
        .tests(runs())
        .quickcheck(property as fn(u8, Vec<Step>) -> bool);
}

#[test]
fn savepoints_restore_everything_that_spilled() {
    fn property(engine: u8, steps: Vec<Step>, share: u8) -> bool {
        undoes_like_the_model(
            engine,
            IsolationLevel::Snapshot,
            300 + usize::from(share) * 8,
            &steps,
        )
    }
    QuickCheck::new()
        .rng(Gen::new(150))
        .tests(runs())
        .quickcheck(property as fn(u8, Vec<Step>, u8) -> bool);
}

for_every_engine! {
    layers_that_savepoints_have_left_become_one,
}

fn layers_that_savepoints_have_left_become_one(engine: EngineKind) {
    let options = ManagerOptions {
        write_set_bytes: Some(1),
        ..ManagerOptions::default()
    };
    let (manager, table) = manager_of_with(engine, options);
    let transaction = begin(&manager, IsolationLevel::ReadCommitted);
    for round in 0..100u8 {
        let savepoint = transaction.savepoint();
        transaction.put(table, &[round], &[round]).expect("put");
        transaction.put(table, b"last", &[round]).expect("put");
        if round % 7 == 0 {
            transaction.delete(table, &[round]).expect("delete");
        }
        if round % 5 == 0 {
            transaction.rollback_to(&savepoint).expect("rollback");
        }
        transaction.release(savepoint);
        let keyspaces = manager.store().keyspaces().len();
        assert!(keyspaces < 16, "{keyspaces} keyspaces after round {round}");
    }
    let check = |reader: &rustling_txn::Transaction| {
        for round in 0..100u8 {
            let expected = (round % 7 != 0 && round % 5 != 0).then(|| vec![round]);
            assert_eq!(
                reader.get(table, &[round]).expect("get"),
                expected,
                "{round}"
            );
        }
        assert_eq!(reader.get(table, b"last").expect("get"), Some(vec![99]));
    };
    check(&transaction);
    transaction.commit().expect("commit");
    check(&begin(&manager, IsolationLevel::Snapshot));
    assert_eq!(manager.store().keyspaces().len(), 1);
}
