//! What random transactions saw of one another is what their level allows, on every engine and
//! across all of them. `RUSTLING_HISTORY_TRANSACTIONS` says how many there are of each kind.

mod workload;

use crate::common::{
    ENGINES, Watchdog, for_every_engine, manager, manager_of_all, manager_of_with,
};
use rustling_storage::{EngineKind, KeyspaceId};
use rustling_testkit::history::Level;
use rustling_txn::{IsolationLevel, ManagerOptions, TransactionManager};
use workload::{Kind, Workload, run};

const THREADS: u64 = 4;

fn transactions() -> u64 {
    let given = std::env::var("RUSTLING_HISTORY_TRANSACTIONS");
    let all: u64 = given
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_200);
    all / THREADS
}

fn workload(kind: Kind, level: IsolationLevel, seed: u64) -> Workload {
    Workload {
        kind,
        level,
        threads: THREADS,
        transactions: transactions(),
        seed,
    }
}

fn excluded(level: IsolationLevel) -> Level {
    match level {
        IsolationLevel::Serializable => Level::Serializable,
        level if level.keeps_snapshot() => Level::Snapshot,
        _ => Level::ReadCommitted,
    }
}

for_every_engine! {
    nothing_is_seen_that_the_level_excludes,
    coarse_tracking_and_spilled_changes_keep_the_level,
}

fn nothing_is_seen_that_the_level_excludes(engine: EngineKind) {
    keep_their_level(|| {
        let (manager, table) = manager_of_with(engine, ManagerOptions::default());
        (manager, vec![table])
    });
}

#[test]
fn nothing_is_seen_across_engines_that_the_level_excludes() {
    keep_their_level(|| {
        let (manager, tables) = manager_of_all(ENGINES, ManagerOptions::default());
        (manager, tables.to_vec())
    });
}

fn keep_their_level(make: impl Fn() -> (TransactionManager, Vec<KeyspaceId>)) {
    let _watchdog = Watchdog::new("keep_their_level");
    for level in [
        IsolationLevel::ReadCommitted,
        IsolationLevel::Snapshot,
        IsolationLevel::Serializable,
    ] {
        for kind in [Kind::Lists, Kind::Registers] {
            let (manager, tables) = make();
            let history = run(&manager, &tables, workload(kind, level, 1));
            let checked = history.check(excluded(level));
            let shown = checked.map_err(|violations| violations.to_string());
            assert_eq!(shown, Ok(()), "{kind:?} at {level:?}");
            let stats = manager.stats();
            assert!(stats.committed > stats.begun / 20, "{stats:?}");
            assert_eq!((stats.tracked_transactions, stats.locks), (0, 0));
        }
    }
}

/// The workload is one in which things go wrong where they may.
#[test]
fn what_a_level_allows_is_seen() {
    let _watchdog = Watchdog::new("what_a_level_allows_is_seen");
    let sees = |level, stronger| {
        (2..12).any(|seed| {
            let (manager, table) = manager();
            let history = run(&manager, &[table], workload(Kind::Lists, level, seed));
            history.check(stronger).is_err()
        })
    };
    assert!(sees(IsolationLevel::ReadCommitted, Level::Snapshot));
    assert!(sees(IsolationLevel::Snapshot, Level::Serializable));
}

fn coarse_tracking_and_spilled_changes_keep_the_level(engine: EngineKind) {
    let _watchdog = Watchdog::new("coarse_tracking_and_spilled_changes_keep_the_level");
    let options = [
        ManagerOptions {
            tracking_entries: 2,
            tracking_bytes: Some(4 << 10),
            ..ManagerOptions::default()
        },
        ManagerOptions {
            write_set_bytes: Some(1),
            ..ManagerOptions::default()
        },
    ];
    for (seed, options) in (20..).zip(options) {
        let (manager, table) = manager_of_with(engine, options);
        let workload = Workload {
            transactions: transactions() / 4,
            ..workload(Kind::Lists, IsolationLevel::Serializable, seed)
        };
        let history = run(&manager, &[table], workload);
        let checked = history.check(Level::Serializable);
        assert_eq!(checked.map_err(|violations| violations.to_string()), Ok(()));
        let stats = manager.stats();
        assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
    }
}
