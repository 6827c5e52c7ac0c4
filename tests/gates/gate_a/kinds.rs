//! Every kind of fault that there is, hit so and so often: a kind that is never hit proves nothing,
//! and fails the gate.

use std::collections::HashSet;

use rustling_storage::Refusal;
use rustling_testkit::{
    harness::{
        Action, CrashPlan, FaultTally, Model, Outcome, StateHash, Subject, check_crashes,
        in_parallel, record, sweep_faults, sweep_memory, threads, without_panics,
    },
    sim::{Crash, CrashPolicy, Fault, FaultCounts, FaultPlan, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    bank::{BankSubject, script_of_one},
    kinds::{Hits, Kind},
    mode::minutes,
    options::{ENGINES, for_crashes},
    script::{Shape, script},
    store::OpenStore,
};

use crate::subject;

const QUIET: Shape = Shape {
    steps: 25,
    interruptions: false,
    longest_value: 9000,
};

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

/// How likely a fault strikes each operation that it can strike: such that it does so in most runs,
/// and not before anything has been written.
fn chance(fault: Fault) -> f64 {
    match fault {
        Fault::ShortRead
        | Fault::ShortWrite
        | Fault::Interrupted
        | Fault::Hang
        | Fault::ClockJump => 0.2,
        Fault::SyncError | Fault::SyncErrorThenClean | Fault::NoSpace => 0.04,
        Fault::DirectorySyncError | Fault::MetadataError => 0.1,
        Fault::Kill => 0.003,
        _ => 0.02,
    }
}

/// Faults that are no errors: a program must not notice them.
const NUISANCES: [Fault; 5] = [
    Fault::ShortRead,
    Fault::ShortWrite,
    Fault::Interrupted,
    Fault::Hang,
    Fault::ClockJump,
];

/// The violations of a sweep in words, or what it hit.
fn verdict(tally: FaultTally) -> Result<FaultTally, String> {
    match tally.violations.first() {
        Some(violation) => Err(violation.to_string()),
        None => Ok(tally),
    }
}

/// One run with a fault that disks are allowed.
fn run_with_errors(seed: u64, fault: Fault) -> Result<FaultCounts, String> {
    let plan = FaultPlan::new(seed).chance(chance(fault), fault);
    let is_nuisance = NUISANCES.contains(&fault);
    let script = script(seed, QUIET);
    let tally = sweep_faults(&subject(seed), seed, &script, [plan], |_| {}, is_nuisance);
    let tally = verdict(tally)?;
    if is_nuisance && (tally.unknown, tally.refused) != (0, 0) {
        return Err(format!("{} steps failed", tally.unknown + tally.refused));
    }
    Ok(tally.faults)
}

/// One run with crashes of this plan at some moments.
fn crash(seed: u64, plan: &CrashPlan) -> Result<(u64, u64), String> {
    let subject = subject(seed);
    let recorded =
        record(&subject, seed, &script(seed, QUIET)).map_err(|violation| violation.to_string())?;
    let points = recorded.crash_points();
    let some: Vec<_> = points
        .into_iter()
        .skip(seed as usize % 40)
        .step_by(40)
        .collect();
    let tally = check_crashes(&subject, &recorded, &some, plan, SimEnv::env);
    match tally.violations.first() {
        Some(violation) => Err(violation.to_string()),
        None => Ok((tally.reordered, tally.second_images)),
    }
}

/// One run with faults of a kind; what was hit.
fn run(kind: Kind, seed: u64) -> Result<Hits, String> {
    let mut hits = Hits::default();
    match kind {
        Kind::Disk(fault) if LIES.contains(&fault) => {
            hits.add_faults(&run_on_lying_disk(seed, fault)?);
        }
        Kind::Disk(fault) => hits.add_faults(&run_with_errors(seed, fault)?),
        Kind::Reorder => {
            let plan = CrashPlan {
                power: vec![(CrashPolicy::Reorder, 512)],
                process: false,
                outcomes: 4,
                second_every: 0,
                ..CrashPlan::all()
            };
            hits.add(kind, crash(seed, &plan)?.0);
        }
        Kind::DoubleCrash => {
            let plan = CrashPlan {
                power: vec![(CrashPolicy::Subset, 512), (CrashPolicy::Reorder, 512)],
                second_every: 16,
                ..CrashPlan::all()
            };
            hits.add(kind, crash(seed, &plan)?.1);
        }
        Kind::AllocationRefusal => {
            let subject = BankSubject {
                options: for_crashes(seed),
                engines: ENGINES,
                write_set_bytes: 24 << 10,
                logged_load_bytes: 64 << 10,
            };
            let refusal = Refusal::Random { seed, one_in: 3 };
            let tally = sweep_memory(&subject, seed, &script_of_one(seed, 150), [refusal]);
            hits.add(kind, verdict(tally)?.reservations_refused);
        }
    }
    Ok(hits)
}

/// Runs until each kind was hit at least so often. After each, what was acknowledged is there, the
/// store opens and is sound, or says with an error why not.
fn hit_all(first: u64, least: u64) -> Hits {
    /// Runs of one kind between two looks at what was hit.
    const MOST: u64 = 400;
    let mut hits = Hits::default();
    let mut runs: std::collections::BTreeMap<Kind, u64> = std::collections::BTreeMap::new();
    loop {
        let behind = hits.behind(least);
        if behind.is_empty() {
            return hits;
        }
        let jobs: Vec<(Kind, u64)> = behind
            .into_iter()
            .flat_map(|kind| {
                let (before, hit) = (runs.get(&kind).copied().unwrap_or(0), hits.of(kind));
                assert!(
                    before < 100 || hit > 0,
                    "{kind} was not hit in {before} runs: the store does not do what would fail"
                );
                let more = match hit {
                    0 => least.min(8),
                    hit => ((least - hit) * before).div_ceil(hit).clamp(1, MOST),
                };
                runs.insert(kind, before + more);
                (before..before + more).map(move |number| (kind, first + number))
            })
            .collect();
        let results = in_parallel(jobs.len(), threads(), |number| {
            let (kind, seed) = jobs[number];
            without_panics(|| run(kind, seed))
                .unwrap_or_else(|panic| Err(format!("a panic: {panic}")))
                .map_err(|reason| format!("{kind}, seed {seed}: {reason}"))
        });
        for result in results {
            hits.merge(&result.unwrap_or_else(|reason| panic!("{reason}")));
        }
    }
}

#[test]
fn every_kind_of_fault_is_hit_and_survived() {
    let mode = Mode::from_environment();
    // In deep mode 10,000 of each in an hour, and then on as long as there is time.
    let in_first = mode.pick(15, 2_000, (10_000 * minutes()).div_ceil(60));
    let mut total = Hits::default();
    for first in mode.rounds("gate A: kinds of faults", 15) {
        let is_first = total.behind(1).len() == Kind::all().len();
        let least = if is_first { in_first } else { 200 };
        total.merge(&hit_all(first + 3000, least));
    }
    println!("gate A: faults hit and survived:\n{total}");
    assert_eq!(total.behind(in_first), []);
}
