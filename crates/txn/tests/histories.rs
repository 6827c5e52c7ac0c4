//! What random transactions saw of one another is what their level allows.
//! `RUSTLING_HISTORY_TRANSACTIONS` says how many there are of each kind.

mod workload;

use crate::common::{Watchdog, manager, manager_with};
use rustling_testkit::history::Level;
use rustling_txn::{IsolationLevel, ManagerOptions};
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

#[test]
fn nothing_is_seen_that_the_level_excludes() {
    let _watchdog = Watchdog::new("nothing_is_seen_that_the_level_excludes");
    for level in [
        IsolationLevel::ReadCommitted,
        IsolationLevel::Snapshot,
        IsolationLevel::Serializable,
    ] {
        for kind in [Kind::Lists, Kind::Registers] {
            let (manager, table) = manager();
            let history = run(&manager, table, workload(kind, level, 1));
            if let Err(violations) = history.check(excluded(level)) {
                panic!("{kind:?} at {level:?}: {violations}");
            }
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
            let history = run(&manager, table, workload(Kind::Lists, level, seed));
            history.check(stronger).is_err()
        })
    };
    assert!(sees(IsolationLevel::ReadCommitted, Level::Snapshot));
    assert!(sees(IsolationLevel::Snapshot, Level::Serializable));
}

#[test]
fn coarse_tracking_and_spilled_changes_keep_the_level() {
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
        let (manager, table) = manager_with(options);
        let workload = Workload {
            transactions: transactions() / 4,
            ..workload(Kind::Lists, IsolationLevel::Serializable, seed)
        };
        let history = run(&manager, table, workload);
        if let Err(violations) = history.check(Level::Serializable) {
            panic!("{violations}");
        }
        let stats = manager.stats();
        assert_eq!((stats.tracked_transactions, stats.tracked_bytes), (0, 0));
    }
}
