//! One run of a script on a simulated disk, with what must be true after a crash at any moment.

use super::{
    parallel::without_panics,
    state::{Model, StateHash, difference},
    subject::{Outcome, Subject},
    violation::{Problem, Violation},
};
use crate::sim::{Crash, CrashPolicy, DiskImage, Recording, SimEnv};

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<S> {
    /// A step of the program.
    Step(S),
    /// Close it in good order and open it again.
    Reopen,
    /// Kill the process and open it again: the page cache stays.
    Kill,
    /// The power fails with this policy and seed; then it is opened again.
    PowerFailure(CrashPolicy, u64),
}

/// When a step ran, in operations of the disk, and what it promised.
#[derive(Clone, Copy, Debug)]
struct Mark {
    started: u64,
    finished: u64,
    /// How many steps are certain to survive once this one is finished.
    makes_durable: bool,
}

/// The time between two crashes of the script.
#[derive(Clone, Debug)]
struct Life {
    /// Operations completed when the program had opened.
    opened: u64,
    /// The state it opened with and the state after each step.
    states: Vec<StateHash>,
    /// For each state but the first, the step that led to it.
    marks: Vec<Mark>,
    /// Flushes: operations completed, and how many steps came before.
    flushes: Vec<(u64, usize)>,
    /// The disk's history since the previous crash.
    recording: Recording,
}

/// A life that is still going on.
struct Draft<T> {
    opened: u64,
    states: Vec<StateHash>,
    marks: Vec<Mark>,
    flushes: Vec<(u64, usize)>,
    steps: Vec<T>,
}

impl<T> Draft<T> {
    fn new(opened: u64, state: StateHash) -> Draft<T> {
        Draft {
            opened,
            states: vec![state],
            marks: Vec::new(),
            flushes: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn finish(self, world: &SimEnv, run: &mut Recorded<T>) {
        let recording = world
            .vfs
            .stop_recording()
            .expect("a life begins with a recording");
        let Draft {
            opened,
            states,
            marks,
            flushes,
            steps,
        } = self;
        run.lives.push(Life {
            opened,
            states,
            marks,
            flushes,
            recording,
        });
        run.steps.push(steps);
    }
}

/// The states that may be found after a crash, as positions in a sequence of states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// All states of the sequence.
    pub states: &'a [StateHash],
    /// The first that may be found: nothing acknowledged is lost.
    pub least: usize,
    /// The last that may be found: nothing that had not begun is there.
    pub most: usize,
}

/// A recorded run.
#[derive(Debug)]
pub struct Recorded<T> {
    seed: u64,
    lives: Vec<Life>,
    steps: Vec<Vec<T>>,
    bases: Vec<Model>,
}

/// Runs a script on a fresh simulated disk and records it. There are no faults, so every step
/// has to be acknowledged, and the contents are compared after each reopening and at the end.
///
/// # Errors
/// The first thing that is not as it should be, even without any crash.
pub fn record<S: Subject>(
    subject: &S,
    seed: u64,
    script: &[Action<S::Step>],
) -> Result<Recorded<S::Step>, Violation> {
    record_in(subject, SimEnv::new(seed), seed, script, |world| {
        world.env()
    })
}

/// As [`record`], in a given world, with `env` to make the environment from it: threads, or a
/// file system with a planted defect.
///
/// # Errors
/// As [`record`].
pub fn record_in<S: Subject>(
    subject: &S,
    mut world: SimEnv,
    seed: u64,
    script: &[Action<S::Step>],
    env: impl Fn(&SimEnv) -> rustling_storage::Env,
) -> Result<Recorded<S::Step>, Violation> {
    let violation = |world: &SimEnv, problem, detail: String| Violation {
        problem,
        seed,
        operations: world.vfs.operations(),
        crash: None,
        second: None,
        detail,
    };
    let open = |world: &SimEnv| {
        without_panics(|| subject.open(env(world)))
            .map_err(|panic| {
                violation(world, Problem::Panicked, format!("while opening: {panic}"))
            })?
            .map_err(|reason| violation(world, Problem::DoesNotOpen, reason))
    };
    let read = |world: &SimEnv, instance: &S::Instance| {
        let mut found = Model::new();
        let mut twice = None;
        subject
            .contents(instance, &mut |key, value| {
                if found.insert(key.to_vec(), value.to_vec()).is_some() {
                    twice = Some(key.to_vec());
                }
            })
            .map_err(|reason| violation(world, Problem::Unreadable, reason))?;
        match twice {
            Some(key) => Err(violation(
                world,
                Problem::Unreadable,
                format!("key {key:02x?} was read twice"),
            )),
            None => Ok(found),
        }
    };
    let clean = |world: &SimEnv, instance: &S::Instance| {
        subject
            .verify(instance)
            .map_err(|reason| violation(world, Problem::NotClean, reason))
    };

    world.vfs.start_recording();
    let mut instance = open(&world)?;
    let mut model = read(&world, &instance)?;
    let mut run = Recorded {
        seed,
        lives: Vec::new(),
        steps: Vec::new(),
        bases: vec![model.clone()],
    };
    let mut life = Draft::new(world.vfs.operations(), StateHash::of(&model));
    for action in script {
        match action {
            Action::Step(step) => {
                let started = world.vfs.operations();
                let outcome =
                    without_panics(|| subject.run(&mut instance, step)).map_err(|panic| {
                        violation(&world, Problem::Panicked, format!("in {step:?}: {panic}"))
                    })?;
                let finished = world.vfs.operations();
                let makes_durable = match outcome {
                    Outcome::Durable => true,
                    Outcome::Volatile => false,
                    Outcome::Flushed => {
                        life.flushes.push((finished, life.marks.len()));
                        continue;
                    }
                    Outcome::Failed(reason) | Outcome::Unknown(reason) => {
                        return Err(violation(
                            &world,
                            Problem::UnexpectedOutcome,
                            format!("{step:?} answered: {reason}"),
                        ));
                    }
                };
                subject.effect(step, &mut model);
                life.states.push(StateHash::of(&model));
                life.marks.push(Mark {
                    started,
                    finished,
                    makes_durable,
                });
                life.steps.push(step.clone());
            }
            Action::Reopen => {
                clean(&world, &instance)?;
                subject.close(instance).map_err(|reason| {
                    violation(
                        &world,
                        Problem::UnexpectedOutcome,
                        format!("closing: {reason}"),
                    )
                })?;
                life.flushes
                    .push((world.vfs.operations(), life.marks.len()));
                instance = open(&world)?;
                let found = read(&world, &instance)?;
                if found != model {
                    return Err(violation(
                        &world,
                        Problem::AcknowledgedLost,
                        format!("after a clean close: {}", difference(&model, &found)),
                    ));
                }
            }
            Action::Kill | Action::PowerFailure(..) => {
                let operations = world.vfs.operations();
                let (next, crash) = match action {
                    Action::PowerFailure(policy, seed) => {
                        let crash = Crash::power(*policy, *seed);
                        let image = world.vfs.crash(&crash);
                        (SimEnv::from_image(&image, world.vfs.operations()), crash)
                    }
                    _ => (world.restart_process(), Crash::process()),
                };
                life.finish(&world, &mut run);
                drop(instance);
                world = next;
                world.vfs.start_recording();
                instance = open(&world)?;
                let found = read(&world, &instance)?;
                let hash = StateHash::of(&found);
                let number = run.lives.len() - 1;
                run.judge(subject, number, operations, &crash, hash, &found)
                    .map_err(|(problem, detail)| Violation {
                        crash: Some(crash),
                        operations,
                        ..violation(&world, problem, detail)
                    })?;
                model = found;
                run.bases.push(model.clone());
                life = Draft::new(world.vfs.operations(), hash);
            }
        }
    }
    let found = read(&world, &instance)?;
    if found != model {
        return Err(violation(
            &world,
            Problem::Unreadable,
            difference(&model, &found),
        ));
    }
    clean(&world, &instance)?;
    life.finish(&world, &mut run);
    Ok(run)
}

impl<T: Clone> Recorded<T> {
    /// The seed that the script was made from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Every moment at which a crash leaves something new, as (life, operations completed): a
    /// life is the time between two crashes of the script.
    #[must_use]
    pub fn crash_points(&self) -> Vec<(usize, u64)> {
        self.lives
            .iter()
            .enumerate()
            .flat_map(|(number, life)| {
                life.recording
                    .crash_points()
                    .into_iter()
                    .map(move |operations| (number, operations))
            })
            .collect()
    }

    /// The disk at a crash point.
    #[must_use]
    pub fn image_at(&self, life: usize, operations: u64) -> DiskImage {
        self.lives[life].recording.image_at(operations)
    }

    /// The last operations before a crash point, and what was acknowledged then: for people who
    /// look for the cause of a failure.
    #[must_use]
    pub fn history(&self, life: usize, operations: u64, count: u64) -> Vec<String> {
        let this = &self.lives[life];
        let from = operations.saturating_sub(count);
        let mut lines: Vec<(u64, String)> = this
            .recording
            .history(from, operations)
            .into_iter()
            .map(|line| {
                (
                    line.split(' ')
                        .next()
                        .and_then(|number| number.parse().ok())
                        .unwrap_or(0),
                    line,
                )
            })
            .collect();
        for (number, mark) in this
            .marks
            .iter()
            .enumerate()
            .filter(|(_, mark)| (from..=operations).contains(&mark.finished))
        {
            let kind = if mark.makes_durable {
                "durable"
            } else {
                "volatile"
            };
            lines.push((
                mark.finished,
                format!(
                    "-- step {} began before {}, is acknowledged as {kind}",
                    number + 1,
                    mark.started
                ),
            ));
        }
        if (from..=operations).contains(&this.opened) {
            lines.push((this.opened, "-- opened".to_owned()));
        }
        lines.sort_by(|(a, x), (b, y)| {
            a.cmp(b)
                .then_with(|| y.starts_with("--").cmp(&x.starts_with("--")))
        });
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// The disk at the end of the script.
    #[must_use]
    pub fn last_image(&self) -> DiskImage {
        let last = self.lives.len() - 1;
        self.image_at(last, self.lives[last].recording.end_operation())
    }

    /// The state at the end of the script.
    #[must_use]
    pub fn last_state(&self) -> StateHash {
        let states = &self.lives[self.lives.len() - 1].states;
        states[states.len() - 1]
    }

    /// The state of the script's end and those before it, oldest first, since the last crash.
    #[must_use]
    pub fn last_states(&self) -> &[StateHash] {
        &self.lives[self.lives.len() - 1].states
    }

    /// The states that may be found after a crash at this moment.
    #[must_use]
    pub fn expected(&self, life: usize, operations: u64) -> Expected<'_> {
        let this = &self.lives[life];
        if operations < this.opened && life > 0 {
            // Recovery was still running: what the previous life promised still counts.
            let previous = &self.lives[life - 1];
            return self.expected(life - 1, previous.recording.end_operation());
        }
        let durable = this
            .marks
            .iter()
            .rposition(|mark| mark.makes_durable && mark.finished <= operations);
        let flushed = this
            .flushes
            .iter()
            .filter(|(at, _)| *at <= operations)
            .map(|(_, steps)| *steps)
            .max();
        let least = durable
            .map_or(0, |index| index + 1)
            .max(flushed.unwrap_or(0));
        let begun = this
            .marks
            .iter()
            .filter(|mark| mark.started < operations)
            .count();
        Expected {
            states: &this.states,
            least,
            // A step that does nothing to the disk may be flushed without having begun on it.
            most: begun.max(least),
        }
    }

    /// Whether the state may be found after the crash; the answer is its position.
    pub(crate) fn judge<S: Subject<Step = T>>(
        &self,
        subject: &S,
        life: usize,
        operations: u64,
        crash: &Crash,
        hash: StateHash,
        found: &Model,
    ) -> Result<usize, (Problem, String)> {
        let expected = self.expected(life, operations);
        if let Some(position) = (expected.least..=expected.most)
            .rev()
            .find(|position| expected.states[*position] == hash)
        {
            return Ok(position);
        }
        let lives = if operations < self.lives[life].opened && life > 0 {
            life - 1
        } else {
            life
        };
        let (problem, target) = if expected.states[..expected.least].contains(&hash) {
            (Problem::AcknowledgedLost, expected.least)
        } else if expected.states[expected.most + 1..].contains(&hash) {
            (Problem::FromNowhere, expected.most)
        } else {
            (Problem::Partial, expected.least)
        };
        let mut model = self.bases[lives].clone();
        self.steps[lives][..target]
            .iter()
            .for_each(|step| subject.effect(step, &mut model));
        Err((
            problem,
            format!(
                "{:?} crash: steps {}..={} allowed; beside step {target}: {}",
                crash.kind,
                expected.least,
                expected.most,
                difference(&model, found)
            ),
        ))
    }

    /// The steps that ran since the last crash of the script, and the contents before them.
    #[must_use]
    pub fn last_life(&self) -> (&Model, &[T]) {
        (
            &self.bases[self.bases.len() - 1],
            &self.steps[self.steps.len() - 1],
        )
    }
}
