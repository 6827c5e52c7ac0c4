//! Gate D: snapshots under concurrent writers and vacuum. Whatever others commit, and however
//! often old versions are removed meanwhile, a snapshot shows one state of the store: the one
//! that the commits up to its LSN make. And what transactions see of one another is what their
//! isolation level allows.

use rustling_storage::{EngineKind, Env, KeyspaceId, Store};
use rustling_testkit::{history::Level, sim::SimEnv};
use rustling_tests::gate::{
    Mode,
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
    let worlds = mode.pick(8, 40, 8);
    let rounds = mode.rounds("gate D: snapshots", 50);
    let seeds = rounds.flat_map(|first| first..first + worlds);
    let mut played = 0;
    for seed in seeds {
        played += 1;
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
            commits: mode.pick(600, 3_000, 3_000),
        };
        let tally = play(&env, &scenario).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        total.merge(&tally);
    }
    println!(
        "gate D: {played} worlds, {} commits, {} vacuums, {} snapshots read {} times, the oldest {} commits old, none changed",
        total.commits, total.vacuums, total.snapshots, total.readings, total.oldest
    );
    assert!(total.vacuums > 0 && total.oldest > 50);
}

#[expect(clippy::panic, reason = "a helper of tests")]
fn in_memory<const COUNT: usize>(
    seed: u64,
    engines: [EngineKind; COUNT],
    options: ManagerOptions,
) -> (TransactionManager, [KeyspaceId; COUNT]) {
    let store = Store::in_memory(for_threads(seed)).unwrap_or_else(|error| panic!("{error}"));
    let manager = TransactionManager::with_options(store, Env::in_memory(), options);
    let keyspaces = manager.transaction(TransactionOptions::default(), |transaction| {
        let mut keyspaces = [KeyspaceId(0); COUNT];
        for (keyspace, engine) in keyspaces.iter_mut().zip(engines) {
            *keyspace = transaction.create_keyspace(of_engine(engine))?;
        }
        Ok(keyspaces)
    });
    (manager, keyspaces.unwrap_or_else(|error| panic!("{error}")))
}

/// The levels, and what each must exclude.
const LEVELS: [(IsolationLevel, Level); 3] = [
    (IsolationLevel::ReadCommitted, Level::ReadCommitted),
    (IsolationLevel::Snapshot, Level::Snapshot),
    (IsolationLevel::Serializable, Level::Serializable),
];

/// What came of histories.
#[derive(Default)]
struct Histories {
    transactions: u64,
    committed: u64,
    failures: u64,
    unproven: u64,
}

impl Histories {
    /// Runs a workload and checks what its transactions saw of one another.
    #[expect(clippy::panic, reason = "a helper of tests")]
    fn check(
        &mut self,
        manager: &TransactionManager,
        tables: &[KeyspaceId],
        excluded: Level,
        workload: Workload,
    ) {
        let history = workload::run(manager, tables, workload);
        if let Err(violations) = history.check(excluded) {
            panic!(
                "{:?} at {:?}, seed {}: {violations}",
                workload.kind, workload.level, workload.seed
            );
        }
        let stats = manager.stats();
        self.transactions += workload.threads * workload.transactions;
        self.committed += stats.committed;
        self.failures += stats.serialization_failures;
        self.unproven += stats.unproven_serialization_failures;
    }
}

#[test]
fn histories_are_what_their_level_allows() {
    let mode = Mode::from_environment();
    let rounds = mode.pick(1, 6, 3);
    let mut all = Histories::default();
    for first in mode.rounds("gate D: histories", 25) {
        for round in 0..rounds {
            for (level, excluded) in LEVELS {
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
                    let (manager, tables) = in_memory(first, [engine], options);
                    let workload = Workload {
                        kind,
                        level,
                        threads: 4,
                        transactions: mode.pick(250, 1_000, 1_000),
                        seed: first + round,
                    };
                    all.check(&manager, &tables, excluded, workload);
                }
            }
        }
    }
    println!(
        "gate D: {} transactions in histories, {} committed, nothing seen that their level excludes; {} serialization failures, {} of them without a known circle",
        all.transactions, all.committed, all.failures, all.unproven
    );
}

/// One history each, as long as it is, in which any circle would be found, however many transactions
/// it goes through: keys of all engines, read one by one and by ranges across all of them.
/// `RUSTLING_HISTORY_TRANSACTIONS` sets how many there are in each.
#[test]
fn long_histories_across_engines_have_no_circle() {
    let mode = Mode::from_environment();
    let given = std::env::var("RUSTLING_HISTORY_TRANSACTIONS").ok();
    let length = given
        .and_then(|count| count.parse().ok())
        .unwrap_or(mode.pick(6_000, 100_000, 100_000));
    let mut all = Histories::default();
    let mut histories = 0;
    for first in mode.rounds("gate D: long histories", 25) {
        for (level, excluded) in LEVELS {
            for kind in [Kind::Lists, Kind::Registers] {
                // Quick mode takes the level that excludes all circles.
                if mode == Mode::Quick && level != IsolationLevel::Serializable {
                    continue;
                }
                let (manager, tables) = in_memory(first, ENGINES, ManagerOptions::default());
                let workload = Workload {
                    kind,
                    level,
                    threads: 4,
                    transactions: length / 4,
                    seed: first + 50,
                };
                all.check(&manager, &tables, excluded, workload);
                histories += 1;
            }
        }
    }
    println!(
        "gate D: {histories} histories of {length} transactions across engines, {} committed, no circle that their level excludes; {} serialization failures, {} of them without a known circle",
        all.committed, all.failures, all.unproven
    );
    assert!(
        all.committed > histories * length / 4,
        "most of them commit"
    );
}
