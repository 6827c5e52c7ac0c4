//! Gate C: transactions of several statements commit or abort whole, under crash too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustling_storage::Env;
use rustling_testkit::{
    harness::{
        CrashPlan, CrashTally, FaultTally, Violation, check_crashes, in_parallel, record,
        record_in, sweep_faults, threads,
    },
    sim::{Fault, FaultPlan, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    bank::{BankSubject, script},
    children::{self, AckLog},
    options::{ENGINES, for_crashes, for_threads},
    teller,
};

fn subject(seed: u64) -> BankSubject {
    BankSubject {
        options: for_crashes(seed),
        engines: ENGINES,
        write_set_bytes: 24 << 10,
        // A third of the worlds log what is loaded, but for the largest runs.
        logged_load_bytes: if seed.is_multiple_of(3) {
            8 << 10
        } else {
            1 << 10
        },
    }
}

fn assert_none(violations: &[Violation]) {
    let text: Vec<String> = violations
        .iter()
        .take(10)
        .map(Violation::to_string)
        .collect();
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        text.join("\n")
    );
}

#[test]
fn interleaved_transactions_are_whole_after_every_crash() {
    let mode = Mode::from_environment();
    let (scripts, stride) = mode.pick((8, 12), (60, 1), (16, 4));
    let plan = CrashPlan {
        second_every: 96,
        ..CrashPlan::all()
    };
    let run = |seed: u64| {
        let subject = subject(seed);
        let recorded = record(&subject, seed, &script(seed, 220, true))
            .unwrap_or_else(|violation| panic!("{violation}"));
        let points: Vec<_> = recorded
            .crash_points()
            .into_iter()
            .skip(seed as usize % stride)
            .step_by(stride)
            .collect();
        check_crashes(&subject, &recorded, &points, &plan, SimEnv::env)
    };
    let (mut total, mut recorded) = (CrashTally::default(), 0);
    for first in mode.rounds("gate C: crash images", 35) {
        let tallies = in_parallel(scripts, threads(), |number| run(first + number as u64));
        tallies.into_iter().for_each(|tally| total.merge(tally));
        recorded += scripts;
        assert_none(&total.violations);
    }
    println!(
        "gate C: {recorded} scripts of two interleaved transactions, {} crash images, {} crashes in recovery, {} undecided commits decided, {} violations",
        total.images,
        total.second_images,
        total.undecided,
        total.violations.len()
    );
    assert!(total.undecided > 0);
}

#[test]
fn interleaved_transactions_are_whole_after_every_error() {
    let mode = Mode::from_environment();
    let stride = mode.pick(40, 3, 7);
    let run = |seed: u64| {
        let subject = subject(seed);
        let script = script(seed, 120, false);
        let world = SimEnv::new(seed);
        record_in(&subject, world.clone(), seed, &script, SimEnv::env)
            .unwrap_or_else(|violation| panic!("{violation}"));
        let plans = (seed % stride..world.vfs.operations())
            .step_by(stride as usize)
            .flat_map(|index| {
                [
                    FaultPlan::new(index).at(index, Fault::IoError),
                    FaultPlan::new(index).from(index, Fault::IoError),
                    FaultPlan::new(index).from(index, Fault::NoSpace),
                ]
            });
        sweep_faults(&subject, seed, &script, plans, |_| {}, false)
    };
    let mut total = FaultTally::default();
    for first in mode.rounds("gate C: errors", 25) {
        let tallies = in_parallel(mode.pick(2, 12, 6), threads(), |number| {
            run(first + 500 + number as u64)
        });
        tallies.into_iter().for_each(|tally| total.merge(tally));
        assert_none(&total.violations);
    }
    println!(
        "gate C: {} runs with faults, {} commits of unknown outcome, {} violations",
        total.runs,
        total.unknown,
        total.violations.len()
    );
}

#[test]
fn concurrent_transfers_keep_the_sum() {
    let mode = Mode::from_environment();
    let transfers = AtomicU64::new(0);
    let audits = AtomicU64::new(0);
    let worlds = mode.pick(3, 20, 4);
    let rounds = mode.rounds("gate C: concurrent transfers", 25);
    let seeds = rounds.flat_map(|first| first + 700..first + 700 + worlds);
    let mut banks = 0;
    for seed in seeds {
        banks += 1;
        let env = if seed.is_multiple_of(2) {
            Env::in_memory()
        } else {
            SimEnv::new(seed).env_with_threads()
        };
        let bank = teller::Bank::open(&env, std::path::Path::new("/bank"), for_threads(seed))
            .unwrap_or_else(|reason| panic!("{reason}"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (bank, done, audits, transfers) = (&bank, &done, &audits, &transfers);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    bank.audit()
                        .unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
                    audits.fetch_add(1, Ordering::Relaxed);
                }
            });
            let tellers: Vec<_> = (0..teller::TELLERS)
                .map(|who| {
                    scope.spawn(move || {
                        let mut rng = fastrand::Rng::with_seed(seed ^ u64::from(who));
                        for number in 1..=mode.pick(150, 800, 800) {
                            bank.transfer(who, number, &mut rng)
                                .unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
                            transfers.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let results: Vec<_> = tellers.into_iter().map(|teller| teller.join()).collect();
            done.store(true, Ordering::Relaxed);
            for result in results {
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
        bank.audit()
            .unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        bank.close()
            .unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        let bank = teller::Bank::open(&env, std::path::Path::new("/bank"), for_threads(seed))
            .unwrap_or_else(|reason| panic!("{reason}"));
        bank.audit()
            .unwrap_or_else(|reason| panic!("seed {seed}, reopened: {reason}"));
    }
    println!(
        "gate C: {banks} banks, {} transfers by {} tellers, {} audits meanwhile",
        transfers.into_inner(),
        teller::TELLERS,
        audits.into_inner()
    );
}

#[test]
fn killed_tellers_leave_the_sum() {
    let mode = Mode::from_environment();
    let (cycles, banks) = mode.pick((3, 2), (10, 10), (20, 8));
    let run = |seed: u64| {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().join("bank");
        let env = Env::system();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut found = 0;
        for cycle in 0..cycles {
            let child = children::start("child_transfers_until_it_dies", &path, rng.u64(..))
                .map_err(|error| error.to_string())?;
            children::kill_after(
                child,
                &env,
                std::time::Duration::from_millis(rng.u64(20..150)),
            )?;
            let acked =
                AckLog::last(&env, &path, teller::TELLERS).map_err(|error| error.to_string())?;
            found = teller::check(&env, &path, &acked)
                .map_err(|reason| format!("seed {seed}, cycle {cycle}: {reason}"))?;
        }
        Ok((cycles, found))
    };
    let (mut kills, mut transfers) = (0, 0);
    for first in mode.rounds("gate C: kills", 15) {
        let results = in_parallel(banks, threads(), |number| run(first + 900 + number as u64));
        for result in results {
            let (killed, found): (u64, u64) =
                result.unwrap_or_else(|reason: String| panic!("{reason}"));
            kills += killed;
            transfers += found;
        }
    }
    println!(
        "gate C: {kills} processes killed, {transfers} transfers found, 0 acknowledged ones lost, the sum kept"
    );
}

#[test]
fn child_transfers_until_it_dies() {
    if let Some((path, seed)) = children::as_child() {
        teller::transfer_until_killed(&path, seed);
    }
}
