//! Gate D: snapshots under concurrent writers and vacuum. Whatever others commit, and however
//! often old versions are removed meanwhile, a snapshot shows one state of the store: the one
//! that the commits up to its LSN make. And what transactions see of one another is what their
//! isolation level allows.

use rustling_storage::{EngineKind, Env, Store};
use rustling_testkit::{history::Level, sim::SimEnv};
use rustling_tests::gate::{
    Mode,
    mode::seed,
    options::{ENGINES, for_threads, of_engine},
    snapshots::{Scenario, Tally, play},
};
use rustling_txn::{IsolationLevel, ManagerOptions, TransactionManager, TransactionOptions};

#[path = "../../crates/txn/tests/histories/workload.rs"]
mod workload;

use workload::{Kind, Workload};

#[test]
fn snapshots_stay_as_they_were() {
    let mode = Mode::from_environment();
    let mut total = Tally::default();
    let worlds = mode.pick(8, 40, 400);
    for number in 0..worlds {
        let seed = seed() + number;
        let env = if seed.is_multiple_of(2) {
            Env::in_memory()
        } else {
            SimEnv::new(seed).env_with_threads()
        };
        let scenario = Scenario {
            seed,
            options: for_threads(seed),
            writers: 2,
            readers: 2,
            commits: mode.pick(600, 3_000, 8_000),
        };
        let tally = play(&env, &scenario).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        total.merge(&tally);
    }
    println!(
        "gate D: {worlds} worlds, {} commits, {} vacuums, {} snapshots read {} times, the oldest {} commits old, none changed",
        total.commits, total.vacuums, total.snapshots, total.readings, total.oldest
    );
    assert!(total.vacuums > 0 && total.oldest > 50);
}

#[expect(clippy::panic, reason = "a helper of tests")]
fn in_memory(
    engine: EngineKind,
    options: ManagerOptions,
) -> (TransactionManager, rustling_storage::KeyspaceId) {
    let store = Store::in_memory(for_threads(seed())).unwrap_or_else(|error| panic!("{error}"));
    let manager = TransactionManager::with_options(store, Env::in_memory(), options);
    let keyspace = manager.transaction(TransactionOptions::default(), |transaction| {
        transaction.create_keyspace(of_engine(engine))
    });
    (manager, keyspace.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn histories_are_what_their_level_allows() {
    let mode = Mode::from_environment();
    let rounds = mode.pick(1, 6, 60);
    let mut transactions = 0;
    let mut failures = (0, 0);
    for round in 0..rounds {
        for (level, excluded) in [
            (IsolationLevel::ReadCommitted, Level::ReadCommitted),
            (IsolationLevel::Snapshot, Level::Snapshot),
            (IsolationLevel::Serializable, Level::Serializable),
        ] {
            for kind in [Kind::Lists, Kind::Registers] {
                let options = if round % 3 == 2 {
                    // Coarse tracking, and changes that spill.
                    ManagerOptions {
                        tracking_entries: 3,
                        tracking_bytes: Some(16 << 10),
                        write_set_bytes: Some(256),
                        ..ManagerOptions::default()
                    }
                } else {
                    ManagerOptions::default()
                };
                let engine = ENGINES[(round as usize + kind as usize) % ENGINES.len()];
                let (manager, table) = in_memory(engine, options);
                let workload = Workload {
                    kind,
                    level,
                    threads: 4,
                    transactions: mode.pick(250, 1_000, 1_000),
                    seed: seed() + round,
                };
                let history = workload::run(&manager, table, workload);
                if let Err(violations) = history.check(excluded) {
                    panic!(
                        "{kind:?} at {level:?}, seed {}: {violations}",
                        workload.seed
                    );
                }
                transactions += workload.threads * workload.transactions;
                let stats = manager.stats();
                failures.0 += stats.serialization_failures;
                failures.1 += stats.unproven_serialization_failures;
            }
        }
    }
    println!(
        "gate D: {transactions} transactions in histories, nothing seen that their level excludes; {} serialization failures, {} of them without a known circle",
        failures.0, failures.1
    );
}
