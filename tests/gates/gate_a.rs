//! Gate A: crash and recovery of the store. No acknowledged commit is lost, no transaction is
//! there in part, verification is clean each time; and defects planted on purpose are found.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "gate_a/damage.rs"]
mod damage;
#[path = "gate_a/faults.rs"]
mod faults;
#[path = "gate_a/kills.rs"]
mod kills;
#[path = "gate_a/kinds.rs"]
mod kinds;

use std::sync::Arc;

use rustling_storage::Env;
use rustling_testkit::{
    harness::{
        CrashPlan, CrashTally, Defect, DefectiveVfs, Recorded, Violation, check_crashes,
        in_parallel, record, record_in, threads,
    },
    sim::SimEnv,
};
use rustling_tests::gate::{
    Mode, counters,
    mode::seed,
    options::for_crashes,
    script::{Shape, script},
    store::{Step, StoreSubject},
};

const SHAPE: Shape = Shape {
    steps: 60,
    interruptions: true,
    longest_value: 12_000,
};

fn subject(seed: u64) -> StoreSubject {
    StoreSubject {
        options: for_crashes(seed),
    }
}

/// Fails the test where there is a violation; prints the first few.
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

/// Records the scripts of `seeds` and cuts their crash points into jobs of about `size`.
fn record_all(
    seeds: std::ops::Range<u64>,
    shape: Shape,
) -> Result<Vec<(StoreSubject, Recorded<Step>)>, Vec<Violation>> {
    let (first, count) = (seeds.start, (seeds.end - seeds.start) as usize);
    let runs = in_parallel(count, threads(), |number| {
        let seed = first + number as u64;
        let subject = subject(seed);
        record(&subject, seed, &script(seed, shape)).map(|recorded| (subject, recorded))
    });
    let mut recorded = Vec::new();
    let mut violations = Vec::new();
    for run in runs {
        match run {
            Ok(run) => recorded.push(run),
            Err(violation) => violations.push(violation),
        }
    }
    if violations.is_empty() {
        Ok(recorded)
    } else {
        Err(violations)
    }
}

/// Checks crashes at every `stride`th crash point of every run.
fn check_all(
    runs: &[(StoreSubject, Recorded<Step>)],
    plan: &CrashPlan,
    stride: usize,
) -> CrashTally {
    let mut jobs = Vec::new();
    for (number, (_, recorded)) in runs.iter().enumerate() {
        let points: Vec<_> = recorded
            .crash_points()
            .into_iter()
            .skip(number % stride)
            .step_by(stride)
            .collect();
        jobs.extend(points.chunks(32).map(|part| (number, part.to_vec())));
    }
    let tallies = in_parallel(jobs.len(), threads(), |job| {
        let (number, points) = &jobs[job];
        let (subject, recorded) = &runs[*number];
        check_crashes(subject, recorded, points, plan, SimEnv::env)
    });
    let mut total = CrashTally::default();
    tallies.into_iter().for_each(|tally| total.merge(tally));
    total
}

#[test]
fn every_crash_leaves_what_was_acknowledged() {
    let mode = Mode::from_environment();
    let (wanted, scripts, stride) = mode.pick((4_000, 20, 16), (100_000, 24, 1), (2_000, 8, 16));
    let plan = CrashPlan {
        second_every: mode.pick(64, 48, 24),
        outcomes: mode.pick(1, 2, 4),
        ..CrashPlan::all()
    };
    let mut total = CrashTally::default();
    let (mut recorded, mut points) = (0, 0);
    for seed in mode.rounds("gate A: crash images", 35) {
        let enough = total.images + wanted;
        let mut first = seed;
        while total.images < enough {
            let runs = record_all(first..first + scripts, SHAPE)
                .unwrap_or_else(|violations| panic!("{}", violations[0]));
            first += scripts;
            recorded += scripts;
            points += runs
                .iter()
                .map(|(_, recorded)| recorded.crash_points().len())
                .sum::<usize>();
            total.merge(check_all(&runs, &plan, stride));
            assert_none(&total.violations);
        }
    }
    println!(
        "gate A: {recorded} scripts with {points} operations, {} crash images, {} crashes in recovery, {} undecided steps decided, {} probes, {} violations",
        total.images,
        total.second_images,
        total.undecided,
        total.probes,
        total.violations.len()
    );
    assert!(
        total.second_images > 0 && total.undecided > 0 && total.probes > 0,
        "the gate checked what it says"
    );
}

/// For looking at a failure: `RUSTLING_SHOW=SEED,OPERATIONS` prints what the script of that seed
/// did before each crash point with that number of operations.
#[test]
fn show_history() {
    let Ok(wanted) = std::env::var("RUSTLING_SHOW") else {
        return;
    };
    let numbers: Vec<u64> = wanted
        .split(',')
        .filter_map(|number| number.parse().ok())
        .collect();
    let [seed, operations] = numbers[..] else {
        panic!("RUSTLING_SHOW is SEED,OPERATIONS")
    };
    let runs =
        record_all(seed..seed + 1, SHAPE).unwrap_or_else(|violations| panic!("{}", violations[0]));
    for (life, point) in runs[0]
        .1
        .crash_points()
        .into_iter()
        .filter(|(_, point)| *point == operations)
    {
        println!(
            "life {life}:\n{}",
            runs[0].1.history(life, point, 60).join("\n")
        );
        for (path, len) in runs[0].1.image_at(life, point).files() {
            println!("{} {len}", path.display());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in seed()..seed() + 4 {
        let hash = || {
            let world = SimEnv::new(seed);
            let subject = subject(seed);
            let quiet = Shape {
                interruptions: false,
                ..SHAPE
            };
            record_in(
                &subject,
                world.clone(),
                seed,
                &script(seed, quiet),
                SimEnv::env,
            )
            .unwrap_or_else(|violation| panic!("{violation}"));
            (world.vfs.trace_hash(), world.vfs.operations())
        };
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

/// The violations that the harness finds in a store over a file system with a defect.
/// With `late`, only crashes long after the store was made count.
fn with_defect(defect: &Defect, late: bool) -> (u64, Vec<Violation>) {
    let mut struck = 0;
    for seed in 0..20 {
        let subject = subject(seed);
        let defective = std::sync::Mutex::new(Vec::new());
        let env = |world: &SimEnv| {
            let vfs = Arc::new(DefectiveVfs::new(world.vfs.clone(), defect.clone()));
            defective
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(vfs.clone());
            Env { vfs, ..world.env() }
        };
        let quiet = Shape {
            interruptions: false,
            steps: 40,
            ..SHAPE
        };
        let result = record_in(&subject, SimEnv::new(seed), seed, &script(seed, quiet), env);
        struck += defective
            .into_inner()
            .unwrap_or_default()
            .iter()
            .map(|vfs| vfs.struck())
            .sum::<u64>();
        let violations = match result {
            Err(violation) => vec![violation],
            Ok(recorded) => {
                let plan = CrashPlan {
                    second_every: 0,
                    violations: 1,
                    ..CrashPlan::all()
                };
                let mut points = recorded.crash_points();
                if late {
                    points.drain(..points.len() / 3);
                }
                check_crashes(&subject, &recorded, &points, &plan, SimEnv::env).violations
            }
        };
        if !violations.is_empty() {
            return (struck, violations);
        }
    }
    (struck, Vec::new())
}

#[test]
fn planted_defects_are_found() {
    let superblocks = counters::SUPERBLOCK_BYTES;
    let skip = |path: &str,
                within: Option<&std::ops::Range<u64>>,
                outside: Option<&std::ops::Range<u64>>| {
        // Only the syncs of data: new files are made in order.
        Defect::SkipSync {
            path: path.to_owned(),
            within: within.cloned(),
            outside: outside.cloned(),
            data_only: true,
        }
    };
    let skip_directory = |path: &str| Defect::SkipSyncDirectory {
        path: path.to_owned(),
    };
    let drop_write = |path: &str| Defect::DropWrite {
        path: path.to_owned(),
        every: 5,
    };
    // What is left out, and whether it must be found long after the store was made.
    let defects = [
        ("the log is not synced", skip(".wal", None, None), true),
        (
            "the pages are not synced before the superblock",
            skip("data.rdb", None, Some(&superblocks)),
            true,
        ),
        (
            "the superblock is not synced",
            skip("data.rdb", Some(&superblocks), None),
            true,
        ),
        (
            "the directory of the log is not synced",
            skip_directory("wal"),
            true,
        ),
        (
            "the store's directory is not synced",
            skip_directory("store"),
            false,
        ),
        (
            "the directory above the store is not synced",
            skip_directory("srv"),
            false,
        ),
        ("a write to the log is dropped", drop_write(".wal"), true),
        (
            "a write to the pages is dropped",
            drop_write("data.rdb"),
            true,
        ),
    ];
    let found = in_parallel(defects.len(), threads(), |number| {
        with_defect(&defects[number].1, defects[number].2)
    });
    for ((name, ..), (struck, violations)) in defects.iter().zip(&found) {
        println!(
            "gate A: planted: {name}: struck {struck} times, {}",
            violations
                .first()
                .map_or("NOT FOUND".to_owned(), Violation::to_string)
        );
    }
    for ((name, ..), (struck, violations)) in defects.iter().zip(&found) {
        assert!(
            *struck > 0,
            "'{name}' never came to pass: the store does not do what would be skipped"
        );
        assert!(!violations.is_empty(), "'{name}' was not found");
    }
}
