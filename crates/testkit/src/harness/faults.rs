//! An error at every operation in turn, and at every reservation of memory.

use rustling_storage::Refusal;

use super::{
    parallel::without_panics,
    recorded::Action,
    state::{Model, StateHash},
    subject::{Outcome, Subject},
    violation::{Problem, Violation},
};
use crate::sim::{Crash, CrashPolicy, FaultCounts, FaultPlan, SimEnv};

/// What was tried, and what was broken.
#[derive(Clone, Debug, Default)]
pub struct FaultTally {
    /// Runs with a fault.
    pub runs: u64,
    /// Runs in which the program did not open because of the fault.
    pub refused: u64,
    /// Steps that ended with an unknown outcome.
    pub unknown: u64,
    /// How often each fault struck.
    pub faults: FaultCounts,
    /// Reservations of memory that were asked for in runs that refuse some.
    pub reservations: u64,
    /// How many of them were refused.
    pub reservations_refused: u64,
    /// The broken promises.
    pub violations: Vec<Violation>,
}

impl FaultTally {
    /// Adds another tally.
    pub fn merge(&mut self, other: FaultTally) {
        self.runs += other.runs;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.faults.merge(&other.faults);
        self.reservations += other.reservations;
        self.reservations_refused += other.reservations_refused;
        self.violations.extend(other.violations);
    }
}

/// Contents that are possible after steps of known and unknown outcome.
struct Possible {
    /// What a reader may see while the program runs.
    visible: Vec<Model>,
    /// What may be found after its end: not before the last durable step.
    kept: Vec<Model>,
}

impl Possible {
    fn step<S: Subject>(&mut self, subject: &S, step: &S::Step, outcome: &Outcome) {
        let apply = |model: &Model| {
            let mut model = model.clone();
            subject.effect(step, &mut model);
            model
        };
        match outcome {
            Outcome::Durable | Outcome::Volatile => {
                self.visible = self.visible.iter().map(apply).collect();
            }
            Outcome::Unknown(_) => {
                let with: Vec<Model> = self.visible.iter().map(apply).collect();
                add(&mut self.visible, &with);
            }
            Outcome::Failed(_) | Outcome::Flushed => {}
        }
        if matches!(outcome, Outcome::Durable | Outcome::Flushed) {
            self.kept.clear();
        }
        add(&mut self.kept, &self.visible);
    }
}

fn add(models: &mut Vec<Model>, more: &[Model]) {
    for model in more {
        if !models.contains(model) {
            models.push(model.clone());
        }
    }
}

fn describe(models: &[Model], found: &Model) -> String {
    models
        .last()
        .map_or_else(String::new, |model| super::state::difference(model, found))
}

/// Runs a script once per plan, each on a fresh disk with the faults of that plan. Every step
/// must answer with an acknowledgement or an error; afterwards, without faults, the program must
/// open and hold all acknowledged steps, no failed one, and unknown ones whole or not at all:
/// after the end of the process and after a power failure alike. While the disk answers reads,
/// so must the program.
pub fn sweep_faults<S: Subject>(
    subject: &S,
    seed: u64,
    script: &[Action<S::Step>],
    plans: impl IntoIterator<Item = FaultPlan>,
    prepare: impl Fn(&SimEnv),
    readable_meanwhile: bool,
) -> FaultTally {
    let mut tally = FaultTally::default();
    for plan in plans {
        let world = SimEnv::new(seed);
        prepare(&world);
        let label = format!("{plan:?}");
        world.vfs.set_faults(plan);
        let how = How {
            readable_meanwhile,
            refusal: None,
        };
        note_run(subject, &world, seed, script, &how, &label, &mut tally);
    }
    tally
}

/// Runs a script once per refusal, each on a fresh disk, where [`Subject::memory`] refuses what the
/// refusal says from every opening on. All that [`sweep_faults`] asks for holds here too. Besides,
/// the running program must show what it has acknowledged all along, and as soon as there is memory
/// again it must be sound and commit: nothing needs to be opened anew.
pub fn sweep_memory<S: Subject>(
    subject: &S,
    seed: u64,
    script: &[Action<S::Step>],
    refusals: impl IntoIterator<Item = Refusal>,
) -> FaultTally {
    let mut tally = FaultTally::default();
    for refusal in refusals {
        let how = How {
            readable_meanwhile: true,
            refusal: Some(refusal),
        };
        let (world, label) = (SimEnv::new(seed), format!("{refusal:?}"));
        note_run(subject, &world, seed, script, &how, &label, &mut tally);
    }
    tally
}

/// How a run differs from one without faults, beside its disk.
struct How {
    /// Whether the contents are read after every step.
    readable_meanwhile: bool,
    /// Which reservations of memory are refused.
    refusal: Option<Refusal>,
}

/// One run, with what came of it.
fn note_run<S: Subject>(
    subject: &S,
    world: &SimEnv,
    seed: u64,
    script: &[Action<S::Step>],
    how: &How,
    label: &str,
    tally: &mut FaultTally,
) {
    tally.runs += 1;
    let result = without_panics(|| one_run(subject, world, script, how, tally))
        .unwrap_or_else(|panic| Err((Problem::Panicked, panic)));
    tally.faults.merge(&world.vfs.fault_counts());
    if let Err((problem, detail)) = result {
        tally.violations.push(Violation {
            problem,
            seed,
            operations: world.vfs.operations(),
            crash: None,
            second: None,
            detail: format!("{detail} [{label}]"),
        });
    }
}

type Reason = (Problem, String);

fn read<S: Subject>(subject: &S, instance: &S::Instance) -> Result<Model, Reason> {
    let mut found = Model::new();
    subject
        .contents(instance, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
        })
        .map_err(|reason| (Problem::Unreadable, reason))?;
    Ok(found)
}

fn check_visible<S: Subject>(
    subject: &S,
    open: &S::Instance,
    possible: &Possible,
) -> Result<(), Reason> {
    let found = read(subject, open)?;
    if possible.visible.contains(&found) {
        return Ok(());
    }
    Err((
        Problem::Unreadable,
        format!("while running: {}", describe(&possible.visible, &found)),
    ))
}

fn count_reservations<S: Subject>(subject: &S, open: &S::Instance, tally: &mut FaultTally) {
    if let Some(memory) = subject.memory(open) {
        let (asked, refused) = memory.refusals();
        tally.reservations += asked;
        tally.reservations_refused += refused;
    }
}

/// Whether a program that was short of memory goes on where it has it again.
fn check_relieved<S: Subject>(
    subject: &S,
    open: &mut S::Instance,
    possible: &mut Possible,
) -> Result<(), Reason> {
    if let Some(memory) = subject.memory(open) {
        memory.refuse(Refusal::Never);
    }
    let probe = subject.probe();
    let outcome = subject.run(open, &probe);
    if outcome != Outcome::Durable {
        return Err((
            Problem::UnexpectedOutcome,
            format!("with memory again the probe answered {outcome:?}"),
        ));
    }
    possible.step(subject, &probe, &outcome);
    check_visible(subject, open, possible)?;
    subject
        .verify(open)
        .map_err(|reason| (Problem::NotClean, format!("with memory again: {reason}")))
}

fn one_run<S: Subject>(
    subject: &S,
    world: &SimEnv,
    script: &[Action<S::Step>],
    how: &How,
    tally: &mut FaultTally,
) -> Result<(), Reason> {
    let refuse = |instance: Option<&S::Instance>| {
        let memory = instance.and_then(|instance| subject.memory(instance));
        if let (Some(memory), Some(refusal)) = (memory, how.refusal) {
            memory.refuse(refusal);
        }
    };
    let mut possible = Possible {
        visible: vec![Model::new()],
        kept: vec![Model::new()],
    };
    let mut instance = match subject.open(world.env()) {
        Ok(instance) => Some(instance),
        Err(_) => {
            tally.refused += 1;
            None
        }
    };
    refuse(instance.as_ref());
    for action in script {
        match action {
            Action::Step(step) => {
                let Some(open) = &mut instance else { break };
                let outcome = subject.run(open, step);
                tally.unknown += u64::from(matches!(outcome, Outcome::Unknown(_)));
                possible.step(subject, step, &outcome);
                if how.readable_meanwhile {
                    check_visible(subject, open, &possible)?;
                }
            }
            Action::Reopen => {
                let Some(open) = instance.take() else { break };
                count_reservations(subject, &open, tally);
                // Where closing fails, what was acknowledged as durable is kept all the same, and
                // the next one to open finds any of what may have been kept.
                match subject.close(open) {
                    Ok(()) => possible.kept = possible.visible.clone(),
                    Err(_) => possible.visible = possible.kept.clone(),
                }
                instance = subject.open(world.env()).ok();
                refuse(instance.as_ref());
            }
            Action::Kill | Action::PowerFailure(..) => {}
        }
    }
    if let (Some(open), Some(_)) = (&mut instance, how.refusal) {
        count_reservations(subject, open, tally);
        check_relieved(subject, open, &mut possible)?;
    }
    drop(instance);
    world.vfs.set_faults(FaultPlan::new(0));
    world.vfs.set_capacity(None);
    let lost = SimEnv::from_image(&world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0)), 1);
    let kept = world.restart_process();
    let mut settled = Vec::new();
    for (name, world) in [
        ("the end of the process", &kept),
        ("a power failure", &lost),
    ] {
        let mut instance = subject
            .open(world.env())
            .map_err(|reason| (Problem::DoesNotOpen, format!("after {name}: {reason}")))?;
        let found = read(subject, &instance)?;
        if !possible.kept.contains(&found) {
            return Err((
                Problem::Partial,
                format!("after {name}: {}", describe(&possible.kept, &found)),
            ));
        }
        subject
            .verify(&instance)
            .map_err(|reason| (Problem::NotClean, format!("after {name}: {reason}")))?;
        let probe = subject.probe();
        let outcome = subject.run(&mut instance, &probe);
        if outcome != Outcome::Durable {
            return Err((
                Problem::UnexpectedOutcome,
                format!("after {name} the probe answered {outcome:?}"),
            ));
        }
        settled.push(found);
        let mut model = settled[settled.len() - 1].clone();
        subject.effect(&probe, &mut model);
        drop(instance);
        let again = SimEnv::from_image(&world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0)), 2);
        let instance = subject.open(again.env()).map_err(|reason| {
            (
                Problem::DoesNotOpen,
                format!("after {name} and another: {reason}"),
            )
        })?;
        let found = read(subject, &instance)?;
        if StateHash::of(&found) != StateHash::of(&model) {
            return Err((
                Problem::Flipped,
                format!(
                    "after {name} and another: {}",
                    super::state::difference(&model, &found)
                ),
            ));
        }
    }
    Ok(())
}
