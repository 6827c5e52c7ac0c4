//! Real processes that are killed as they write to real stores: of each engine, across all of them,
//! and across engines that change.

use std::collections::BTreeMap;

use rustling_storage::Env;
use rustling_testkit::harness::{in_parallel, threads};
use rustling_tests::gate::{
    Mode,
    children::{self, AckLog},
    counters::{self, Setup},
};

/// Kills the writers of a new store again and again; the answer is the number of commits that it
/// holds in the end.
fn kill_writers(setup: Setup, seed: u64, cycles: u64) -> Result<u64, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let store = directory.path().join("store");
    let env = Env::system();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut found = 0;
    for cycle in 0..cycles {
        let child_seed = setup.seed(rng.u64(..));
        let child = children::start("kills::child_writes_until_it_dies", &store, child_seed)
            .map_err(|error| error.to_string())?;
        let pause = std::time::Duration::from_millis(rng.u64(20..150));
        children::kill_after(child, &env, pause)?;
        let acked =
            AckLog::last(&env, &store, counters::WRITERS).map_err(|error| error.to_string())?;
        found = counters::check(&env, &store, &acked)
            .map_err(|reason| format!("{setup:?}, seed {seed}, cycle {cycle}: {reason}"))?;
    }
    Ok(found)
}

#[test]
fn killed_processes_lose_nothing() {
    let mode = Mode::from_environment();
    let (cycles, stores) = mode.pick((3, 5), (20, 10), (20, 10));
    let mut total: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for first in mode.rounds("gate A: kills", 15) {
        let results = in_parallel(stores, threads(), |number| {
            let setup = Setup::ALL[number % Setup::ALL.len()];
            kill_writers(setup, first + 5000 + number as u64, cycles).map(|found| (setup, found))
        });
        for result in results {
            let (setup, found) = result.unwrap_or_else(|reason| panic!("{reason}"));
            let tally = total.entry(format!("{setup:?}")).or_default();
            tally.0 += cycles;
            tally.1 += found;
        }
    }
    for (setup, (kills, commits)) in &total {
        println!(
            "gate A: {setup}: {kills} processes killed, {commits} commits found, 0 acknowledged ones lost"
        );
        assert!(
            mode == Mode::Quick || commits > kills,
            "the children got to work before they were killed"
        );
    }
    assert_eq!(total.len(), Setup::ALL.len());
}

#[test]
fn child_writes_until_it_dies() {
    if let Some((store, seed)) = children::as_child() {
        counters::write_until_killed(&store, seed);
    }
}
