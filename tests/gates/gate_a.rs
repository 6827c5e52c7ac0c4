//! Gate A: crash and recovery of the store. No acknowledged commit is lost, no transaction is
//! there in part, verification is clean each time; and defects planted on purpose are found.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{collections::HashSet, sync::Arc};

use rustling_storage::{Durability, Env};
use rustling_testkit::{
    harness::{
        Action, CorruptionSweep, CorruptionTally, CrashPlan, CrashTally, Defect, DefectiveVfs,
        FaultTally, Model, Outcome, Recorded, StateHash, Subject, Violation, check_crashes,
        in_parallel, record, record_in, sweep_faults, threads, without_panics,
    },
    sim::{Crash, CrashPolicy, Fault, FaultCounts, FaultPlan, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    children::{self, AckLog},
    counters,
    mode::seed,
    options::for_crashes,
    script::{Shape, script},
    store::{Change, OpenStore, Step, StoreSubject},
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
    let (wanted, scripts, stride) =
        mode.pick((4_000, 20, 16), (100_000, 24, 1), (2_000_000, 24, 1));
    let plan = CrashPlan {
        second_every: mode.pick(64, 48, 24),
        outcomes: mode.pick(1, 2, 4),
        ..CrashPlan::all()
    };
    let mut total = CrashTally::default();
    let (mut rounds, mut points) = (0, 0);
    while total.images < wanted && total.violations.is_empty() {
        let first = seed() + rounds * scripts;
        let runs = record_all(first..first + scripts, SHAPE)
            .unwrap_or_else(|violations| panic!("{}", violations[0]));
        points += runs
            .iter()
            .map(|(_, recorded)| recorded.crash_points().len())
            .sum::<usize>();
        total.merge(check_all(&runs, &plan, stride));
        rounds += 1;
    }
    println!(
        "gate A: {} scripts with {points} operations, {} crash images, {} crashes in recovery, {} undecided steps decided, {} probes, {} violations",
        rounds * scripts,
        total.images,
        total.second_images,
        total.undecided,
        total.probes,
        total.violations.len()
    );
    assert_none(&total.violations);
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

#[test]
fn an_error_at_any_operation_loses_nothing() {
    let mode = Mode::from_environment();
    let shape = Shape {
        steps: 25,
        interruptions: false,
        longest_value: 9000,
    };
    let scripts = mode.pick(6, 20, 200);
    let stride = mode.pick(17, 1, 1);
    let tallies = in_parallel(scripts as usize, threads(), |number| {
        let seed = seed() + 1000 + number as u64;
        let subject = subject(seed);
        let script = script(seed, shape);
        let world = SimEnv::new(seed);
        record_in(&subject, world.clone(), seed, &script, SimEnv::env)
            .unwrap_or_else(|violation| panic!("{violation}"));
        let plans = (seed % stride..world.vfs.operations())
            .step_by(stride as usize)
            .flat_map(|index| {
                [
                    Fault::IoError,
                    Fault::NoSpace,
                    Fault::SyncErrorThenClean,
                    Fault::TornWrite,
                    Fault::Kill,
                ]
                .into_iter()
                .flat_map(move |fault| {
                    [
                        FaultPlan::new(index).at(index, fault),
                        FaultPlan::new(index).from(index, fault),
                    ]
                })
            });
        let mut tally = sweep_faults(&subject, seed, &script, plans, |_| {}, false);
        // What is no error must make no difference at all.
        let nuisances = (0..mode.pick(5, 20, 100)).map(|number| {
            [
                Fault::ShortRead,
                Fault::ShortWrite,
                Fault::Interrupted,
                Fault::Hang,
                Fault::ClockJump,
            ]
            .into_iter()
            .fold(FaultPlan::new(number), |plan, fault| {
                plan.chance(0.2, fault)
            })
        });
        let quiet = sweep_faults(&subject, seed, &script, nuisances, |_| {}, true);
        assert_eq!(
            (quiet.unknown, quiet.refused),
            (0, 0),
            "short counts and interruptions are no errors"
        );
        tally.merge(quiet);
        tally
    });
    let mut total = FaultTally::default();
    tallies.into_iter().for_each(|tally| total.merge(tally));
    println!(
        "gate A: {} runs with faults ({}), {} refused to open, {} commits of unknown outcome, {} violations",
        total.runs,
        list(&total.faults),
        total.refused,
        total.unknown,
        total.violations.len()
    );
    assert_none(&total.violations);
}

#[test]
fn a_full_disk_refuses_writes_and_answers_reads() {
    let mode = Mode::from_environment();
    let shape = Shape {
        steps: 60,
        interruptions: false,
        longest_value: 12_000,
    };
    let tallies = in_parallel(mode.pick(4, 40, 400), threads(), |number| {
        let seed = seed() + 2000 + number as u64;
        let subject = subject(seed);
        let script = script(seed, shape);
        let world = SimEnv::new(seed);
        record_in(&subject, world.clone(), seed, &script, SimEnv::env)
            .unwrap_or_else(|violation| panic!("{violation}"));
        let needed = world.vfs.used();
        let mut tally = FaultTally::default();
        for tenth in 3..10 {
            let capacity = Some(needed * tenth / 10);
            tally.merge(sweep_faults(
                &subject,
                seed,
                &script,
                [FaultPlan::new(0)],
                |world| world.vfs.set_capacity(capacity),
                true,
            ));
        }
        tally
    });
    let mut total = FaultTally::default();
    tallies.into_iter().for_each(|tally| total.merge(tally));
    println!(
        "gate A: {} runs on a full disk, {} refused to open, {} violations",
        total.runs,
        total.refused,
        total.violations.len()
    );
    assert_none(&total.violations);
}

#[test]
fn a_store_works_again_once_there_is_space() {
    for seed in seed()..seed() + 6 {
        let subject = subject(seed);
        let world = SimEnv::new(seed);
        let mut open = subject
            .open(world.env())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut model = Model::new();
        let create = Step::Commit {
            changes: vec![Change::Create { table: 0 }],
            durability: Durability::Sync,
        };
        assert_eq!(subject.run(&mut open, &create), Outcome::Durable);
        subject.effect(&create, &mut model);
        world.vfs.set_capacity(Some(world.vfs.used() + 300_000));
        let mut number = 0u32;
        let mut put = || {
            number += 1;
            let change = Change::Put {
                table: 0,
                key: number.to_be_bytes().to_vec(),
                value: vec![number as u8; 2000],
            };
            Step::Commit {
                changes: vec![change],
                durability: Durability::Sync,
            }
        };
        let refusal = loop {
            let step = put();
            match subject.run(&mut open, &step) {
                Outcome::Durable => subject.effect(&step, &mut model),
                other => break other,
            }
        };
        assert!(
            matches!(refusal, Outcome::Failed(_)),
            "seed {seed}: a full disk is no unknown outcome: {refusal:?}"
        );
        let read = |open: &OpenStore| {
            let mut found = Model::new();
            let visit = &mut |key: &[u8], value: &[u8]| {
                found.insert(key.to_vec(), value.to_vec());
            };
            subject
                .contents(open, visit)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            found
        };
        assert!(
            read(&open) == model,
            "seed {seed}: reads go on on a full disk"
        );
        world.vfs.set_capacity(None);
        for _ in 0..20 {
            let step = put();
            assert_eq!(
                subject.run(&mut open, &step),
                Outcome::Durable,
                "seed {seed}: there is space again"
            );
            subject.effect(&step, &mut model);
        }
        assert!(read(&open) == model, "seed {seed}");
        drop(open);
        let open = subject
            .open(world.restart_process().env())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(read(&open) == model, "seed {seed}: after reopening");
    }
}

/// Faults that break a disk's promises: no store can keep all of its own then.
const LIES: [Fault; 10] = [
    Fault::BitFlip,
    Fault::MisdirectedRead,
    Fault::MisdirectedWrite,
    Fault::ZeroedSector,
    Fault::StaleRead,
    Fault::LostWrite,
    Fault::Truncation,
    Fault::GarbageExtension,
    Fault::RenameLoss,
    Fault::UnlinkLoss,
];

/// Runs a script on a disk that lies in one way now and then. Whatever is read, by the running
/// store and by one that is opened later, is an error or a state that the store has had.
fn run_on_lying_disk(seed: u64, fault: Fault) -> Result<FaultCounts, String> {
    let shape = Shape {
        steps: 40,
        interruptions: false,
        longest_value: 9000,
    };
    let subject = subject(seed);
    let world = SimEnv::new(seed);
    let chance = if matches!(fault, Fault::RenameLoss | Fault::UnlinkLoss) {
        0.5
    } else {
        0.02
    };
    world
        .vfs
        .set_faults(FaultPlan::new(seed).chance(chance, fault));
    let mut states = vec![Model::new()];
    let mut had: HashSet<StateHash> = HashSet::from([StateHash::default()]);
    let check = |open: &OpenStore, had: &HashSet<StateHash>, when: &str| {
        let mut hash = StateHash::default();
        match subject.contents(open, &mut |key, value| hash.add(key, value)) {
            Ok(()) if !had.contains(&hash) => Err(format!("a wrong answer {when}")),
            _ => Ok(()),
        }
    };
    if let Ok(mut open) = subject.open(world.env()) {
        for action in script(seed, shape) {
            let Action::Step(step) = action else { continue };
            let outcome = subject.run(&mut open, &step);
            let apply = |model: &Model| {
                let mut model = model.clone();
                subject.effect(&step, &mut model);
                model
            };
            match outcome {
                Outcome::Durable | Outcome::Volatile => states = states.iter().map(apply).collect(),
                Outcome::Unknown(_) => states.extend(states.clone().iter().map(apply)),
                Outcome::Failed(_) | Outcome::Flushed => {}
            }
            had.extend(states.iter().map(StateHash::of));
        }
        check(&open, &had, "while running")?;
        let _ = subject.verify(&open);
        let _ = subject.close(open);
    }
    let image = world.vfs.crash(&Crash::power(CrashPolicy::DropAll, seed));
    if let Ok(open) = subject.open(world.restart_process().env()) {
        check(&open, &had, "after reopening")?;
    }
    if let Ok(open) = subject.open(SimEnv::from_image(&image, seed).env()) {
        check(&open, &had, "after a power failure")?;
    }
    Ok(world.vfs.fault_counts())
}

#[test]
fn lying_disks_are_noticed_or_harmless() {
    let mode = Mode::from_environment();
    let runs = mode.pick(400, 10_000, 100_000);
    let results = in_parallel(runs, threads(), |number| {
        let seed = seed() + 3000 + number as u64;
        let fault = LIES[number % LIES.len()];
        without_panics(|| run_on_lying_disk(seed, fault))
            .unwrap_or_else(|panic| Err(format!("a panic: {panic}")))
            .map_err(|reason| format!("seed {seed}, {fault:?}: {reason}"))
    });
    let mut counts = FaultCounts::default();
    let mut wrong = Vec::new();
    for result in results {
        match result {
            Ok(struck) => counts.merge(&struck),
            Err(reason) => wrong.push(reason),
        }
    }
    println!(
        "gate A: {runs} runs on lying disks ({}), {} panics or wrong answers",
        list(&counts),
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{}",
        wrong[..wrong.len().min(10)].join("\n")
    );
    for fault in LIES {
        assert!(counts.of(fault) > 0, "{fault:?} never struck");
    }
}

/// The faults that struck, with their counts.
fn list(counts: &FaultCounts) -> String {
    let faults: Vec<String> = counts
        .iter()
        .map(|(fault, count)| format!("{fault:?} {count}"))
        .collect();
    faults.join(", ")
}

/// A small store: closed in good order, or as a crash leaves it.
fn small_store(seed: u64, closed: bool) -> (StoreSubject, CorruptionSweep) {
    let subject = subject(seed);
    let shape = Shape {
        steps: 7,
        interruptions: false,
        longest_value: 1500,
    };
    let world = SimEnv::new(seed);
    let mut open = subject
        .open(world.env())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::new();
    let mut states = Vec::new();
    for action in script(seed, shape) {
        if let Action::Step(step) = action {
            let durable = match step {
                Step::Commit { changes, .. } => Step::Commit {
                    changes,
                    durability: rustling_storage::Durability::Sync,
                },
                other => other,
            };
            states.push(StateHash::of(&model));
            subject.run(&mut open, &durable);
            subject.effect(&durable, &mut model);
        }
    }
    let image = if closed {
        subject
            .close(open)
            .unwrap_or_else(|error| panic!("{error}"));
        world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0))
    } else {
        world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0))
    };
    // Damage to the end of the log cannot be told from a torn write.
    let torn = if closed { Vec::new() } else { states };
    (subject, CorruptionSweep::new(image, model, torn))
}

#[test]
fn damage_at_rest_gives_an_error_or_no_difference() {
    let mode = Mode::from_environment();
    for (name, closed) in [("closed", true), ("crashed", false)] {
        let stores = mode.pick(4, 1, 8);
        let mut total = CorruptionTally::default();
        let mut bytes = 0;
        for number in 0..stores {
            let (subject, sweep) = small_store(seed() + 4000 + number, closed);
            bytes += sweep.bytes();
            let damages = match mode {
                Mode::Quick => sweep.sample(700, number),
                Mode::Full => sweep.thorough(number),
                Mode::Deep => sweep.everything(),
            };
            let parts: Vec<_> = damages.chunks(500).collect();
            let tallies = in_parallel(parts.len(), threads(), |part| {
                sweep.run(&subject, parts[part])
            });
            tallies.into_iter().for_each(|tally| total.merge(tally));
        }
        println!(
            "gate A: {} damaged images of {name} stores of {bytes} bytes: {} detected, {} harmless, {} as torn tails, {} violations",
            total.images,
            total.detected,
            total.harmless,
            total.torn,
            total.violations.len()
        );
        assert_none(&total.violations);
        assert!(total.detected > 0);
    }
}

#[test]
fn killed_processes_lose_nothing() {
    let mode = Mode::from_environment();
    let (cycles, stores) = mode.pick((5, 2), (20, 10), (200, 20));
    let results = in_parallel(stores, threads(), |number| {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let store = directory.path().join("store");
        let env = Env::system();
        let mut rng = fastrand::Rng::with_seed(seed() + 5000 + number as u64);
        let mut tally = (0u64, 0u64);
        for cycle in 0..cycles {
            let child = children::start("child_writes_until_it_dies", &store, rng.u64(..))
                .map_err(|error| error.to_string())?;
            children::kill_after(
                child,
                &env,
                std::time::Duration::from_millis(rng.u64(20..150)),
            )?;
            let acked =
                AckLog::last(&env, &store, counters::WRITERS).map_err(|error| error.to_string())?;
            let found = counters::check(&env, &store, &acked)
                .map_err(|reason| format!("store {number}, cycle {cycle}: {reason}"))?;
            tally.0 += 1;
            tally.1 = found;
        }
        Ok(tally)
    });
    let mut kills = 0;
    let mut commits = 0;
    for result in results {
        let (killed, found): (u64, u64) =
            result.unwrap_or_else(|reason: String| panic!("{reason}"));
        kills += killed;
        commits += found;
    }
    println!("gate A: {kills} processes killed, {commits} commits found, 0 acknowledged ones lost");
    assert!(
        mode == Mode::Quick || commits > kills,
        "the children got to work before they were killed"
    );
}

#[test]
fn child_writes_until_it_dies() {
    if let Some((store, seed)) = children::as_child() {
        counters::write_until_killed(&store, seed);
    }
}
