//! Errors, full disks and refused memory: whatever fails, and whenever, nothing acknowledged is
//! lost, and the store works on as soon as it can.

use rustling_storage::{Durability, EngineKind, Refusal, StoreOptions};
use rustling_testkit::{
    harness::{
        Action, FaultTally, Model, Outcome, Subject, in_parallel, record_in, sweep_faults,
        sweep_memory, threads,
    },
    sim::{Fault, FaultCounts, FaultPlan, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    bank::{BankSubject, script_of_one},
    mode::seed,
    options::{ENGINES, for_crashes},
    script::{Shape, script},
    store::{Change, OpenStore, Step, StoreSubject},
};

use crate::{assert_none, subject};

#[test]
fn an_error_at_any_operation_loses_nothing() {
    let mode = Mode::from_environment();
    let shape = Shape {
        steps: 25,
        interruptions: false,
        longest_value: 9000,
    };
    let scripts = mode.pick(6, 20, 10);
    let stride = mode.pick(17, 1, 11);
    let run = |seed: u64| {
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
        let nuisances = (0..mode.pick(5, 20, 20)).map(|number| {
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
    };
    let mut total = FaultTally::default();
    for first in mode.rounds("gate A: errors", 15) {
        let tallies = in_parallel(scripts, threads(), |number| {
            run(first + 1000 + number as u64)
        });
        tallies.into_iter().for_each(|tally| total.merge(tally));
        assert_none(&total.violations);
    }
    println!(
        "gate A: {} runs with faults ({}), {} refused to open, {} commits of unknown outcome, {} violations",
        total.runs,
        list(&total.faults),
        total.refused,
        total.unknown,
        total.violations.len()
    );
}

#[test]
fn a_full_disk_refuses_writes_and_answers_reads() {
    let mode = Mode::from_environment();
    let shape = Shape {
        steps: 60,
        interruptions: false,
        longest_value: 12_000,
    };
    let run = |seed: u64| {
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
    };
    let mut total = FaultTally::default();
    for first in mode.rounds("gate A: full disks", 5) {
        let tallies = in_parallel(mode.pick(4, 40, 20), threads(), |number| {
            run(first + 2000 + number as u64)
        });
        tallies.into_iter().for_each(|tally| total.merge(tally));
        assert_none(&total.violations);
    }
    println!(
        "gate A: {} runs on a full disk, {} refused to open, {} violations",
        total.runs,
        total.refused,
        total.violations.len()
    );
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

/// Transactions over branches of these engines, with so little memory that they reserve some.
fn bank(seed: u64, engines: [EngineKind; ENGINES.len()]) -> BankSubject {
    BankSubject {
        options: for_crashes(seed),
        engines,
        write_set_bytes: 24 << 10,
        logged_load_bytes: if seed.is_multiple_of(2) {
            64 << 10
        } else {
            1 << 10
        },
    }
}

/// A script for a store with one table, whose engine its number tells: commits so large that each
/// has to reserve memory, and all that may reserve some once.
fn large_commits(table: u8) -> Vec<Action<Step>> {
    let large = |number: u8| Step::Commit {
        changes: (0..3)
            .map(|part| Change::Put {
                table,
                key: vec![number, part],
                value: vec![number; 500_000],
            })
            .collect(),
        durability: Durability::Sync,
    };
    let create = Step::Commit {
        changes: vec![Change::Create { table }],
        durability: Durability::Sync,
    };
    let load = Step::Load {
        table,
        entries: (0..200u8)
            .map(|number| (vec![100, number], Some(vec![number; 900])))
            .collect(),
        chunk: 50,
        ingested: true,
    };
    let engines = ENGINES.into_iter().rev();
    let moves = engines.map(|engine| Step::SetEngine { table, engine });
    let steps = [create, large(1), load, Step::Checkpoint, large(2)];
    let steps = steps.into_iter().chain(moves).chain([large(1), large(3)]);
    steps.map(Action::Step).collect()
}

/// Refuses every reservation of a script, once and for ever.
fn sweep_all<S: Subject>(subject: &S, seed: u64, script: &[Action<S::Step>]) -> FaultTally {
    let mut total = sweep_memory(subject, seed, script, [Refusal::At(u64::MAX)]);
    let all =
        (0..total.reservations).flat_map(|number| [Refusal::At(number), Refusal::From(number)]);
    total.merge(sweep_memory(subject, seed, script, all));
    total
}

#[test]
fn a_refusal_of_any_memory_leaves_a_working_store() {
    let mode = Mode::from_environment();
    let of_each = ENGINES.map(|engine| [engine; ENGINES.len()]);
    let setups: Vec<_> = of_each.into_iter().chain([ENGINES]).collect();
    let scripts = mode.pick(1, 20, 4);
    let mut total = FaultTally::default();
    for first in mode.rounds("gate A: memory", 5) {
        let banks = in_parallel(setups.len() * scripts, threads(), |number| {
            let (engines, seed) = (setups[number % setups.len()], first + 7000 + number as u64);
            sweep_all(&bank(seed, engines), seed, &script_of_one(seed, 150))
        });
        let stores = in_parallel(ENGINES.len(), threads(), |number| {
            let seed = first + number as u64;
            let subject = StoreSubject {
                options: StoreOptions {
                    memory_budget: 16 << 20,
                    wal_segment_bytes: 1 << 20,
                    checkpoint_wal_bytes: 8 << 20,
                    ..for_crashes(seed)
                },
            };
            sweep_all(&subject, seed, &large_commits(number as u8))
        });
        for tally in banks.into_iter().chain(stores) {
            assert!(
                tally.violations.len() as u64 + tally.reservations_refused > 0,
                "the script reserves memory"
            );
            total.merge(tally);
        }
        assert_none(&total.violations);
    }
    println!(
        "gate A: {} runs short of memory, {} of {} reservations refused, {} violations",
        total.runs,
        total.reservations_refused,
        total.reservations,
        total.violations.len()
    );
}

/// The faults that struck, with their counts.
fn list(counts: &FaultCounts) -> String {
    let faults: Vec<String> = counts
        .iter()
        .map(|(fault, count)| format!("{fault:?} {count}"))
        .collect();
    faults.join(", ")
}
