//! Damage at rest: every bit, length and sector of a small store's files.

use rustling_testkit::{
    harness::{
        Action, CorruptionSweep, CorruptionTally, Model, StateHash, Subject, in_parallel, threads,
    },
    sim::{Crash, CrashPolicy, SimEnv},
};
use rustling_tests::gate::{
    Mode,
    script::{Shape, script},
    store::{Step, StoreSubject},
};

use crate::{assert_none, subject};

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
    if closed {
        subject
            .close(open)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let image = world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0));
    // Damage to the end of the log cannot be told from a torn write.
    let torn = if closed { Vec::new() } else { states };
    (subject, CorruptionSweep::new(image, model, torn))
}

#[test]
fn damage_at_rest_gives_an_error_or_no_difference() {
    let mode = Mode::from_environment();
    for (name, closed) in [("closed", true), ("crashed", false)] {
        let stores = mode.pick(4, 1, 4);
        let mut total = CorruptionTally::default();
        let mut bytes = 0;
        for first in mode.rounds("gate A: damage at rest", 5) {
            for seed in first + 4000..first + 4000 + stores {
                let (subject, sweep) = small_store(seed, closed);
                bytes += sweep.bytes();
                let damages = match mode {
                    Mode::Quick => sweep.sample(700, seed),
                    Mode::Full => sweep.thorough(seed),
                    Mode::Deep => sweep.sample(2_000, seed),
                };
                let parts: Vec<_> = damages.chunks(500).collect();
                let tallies = in_parallel(parts.len(), threads(), |part| {
                    sweep.run(&subject, parts[part])
                });
                tallies.into_iter().for_each(|tally| total.merge(tally));
                assert_none(&total.violations);
            }
        }
        println!(
            "gate A: {} damaged images of {name} stores of {bytes} bytes: {} detected, {} harmless, {} as torn tails, {} violations",
            total.images,
            total.detected,
            total.harmless,
            total.torn,
            total.violations.len()
        );
        assert!(total.detected > 0);
    }
}
