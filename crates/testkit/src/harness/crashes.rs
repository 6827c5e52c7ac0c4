//! Every crash that could have happened during a recorded run.

use rustling_storage::Env;

use super::{
    parallel::without_panics,
    recorded::Recorded,
    state::{Model, StateHash},
    subject::{Outcome, Subject},
    violation::{Problem, Violation},
};
use crate::sim::{Crash, CrashKind, CrashPolicy, DiskImage, SimEnv};

/// Which crashes to try.
#[derive(Clone, Debug)]
pub struct CrashPlan {
    /// Power failures: policy and sector size.
    pub power: Vec<(CrashPolicy, u32)>,
    /// Whether to kill the process too.
    pub process: bool,
    /// How many different random outcomes of each random policy to try at each moment.
    pub outcomes: u64,
    /// Every how many images the recovered program must also commit, and keep, a probe, and
    /// read the same again after another crash. Images with an undecided step always must
    /// read the same again.
    pub probe_every: u64,
    /// Every how many images the recovery itself is crashed, at every one of its operations.
    /// Zero: never.
    pub second_every: u64,
    /// Stop after this many violations.
    pub violations: usize,
}

impl CrashPlan {
    /// Every policy, both sector sizes where tearing depends on them, and process kills.
    #[must_use]
    pub fn all() -> CrashPlan {
        let mut power: Vec<_> = CrashPolicy::ALL
            .iter()
            .map(|policy| (*policy, 512))
            .collect();
        power.extend([(CrashPolicy::Subset, 4096), (CrashPolicy::Tear, 4096)]);
        CrashPlan {
            power,
            process: true,
            outcomes: 1,
            probe_every: 8,
            second_every: 64,
            violations: 3,
        }
    }
}

/// What was tried, and what was broken.
#[derive(Clone, Debug, Default)]
pub struct CrashTally {
    /// Moments at which crashes were tried.
    pub points: u64,
    /// Images checked; images that hold the same as another of their moment count once.
    pub images: u64,
    /// Images checked of power failures with [`CrashPolicy::Reorder`].
    pub reordered: u64,
    /// Images checked that interrupted a recovery.
    pub second_images: u64,
    /// Recovered programs that also committed and kept a probe.
    pub probes: u64,
    /// Images on which a step that was running at the crash had to be decided.
    pub undecided: u64,
    /// The broken promises.
    pub violations: Vec<Violation>,
}

impl CrashTally {
    /// Adds another tally.
    pub fn merge(&mut self, other: CrashTally) {
        self.points += other.points;
        self.images += other.images;
        self.reordered += other.reordered;
        self.second_images += other.second_images;
        self.probes += other.probes;
        self.undecided += other.undecided;
        self.violations.extend(other.violations);
    }
}

type Reason = (Problem, String);

/// Opens the program on an image, reads everything and verifies.
fn recover<S: Subject>(subject: &S, env: Env) -> Result<(S::Instance, StateHash, Model), Reason> {
    let result = without_panics(|| {
        let instance = subject
            .open(env)
            .map_err(|reason| (Problem::DoesNotOpen, reason))?;
        let mut found = Model::new();
        let mut hash = StateHash::default();
        subject
            .contents(&instance, &mut |key, value| {
                hash.add(key, value);
                found.insert(key.to_vec(), value.to_vec());
            })
            .map_err(|reason| (Problem::Unreadable, reason))?;
        subject
            .verify(&instance)
            .map_err(|reason| (Problem::NotClean, reason))?;
        Ok((instance, hash, found))
    });
    result.unwrap_or_else(|panic| Err((Problem::Panicked, format!("during recovery: {panic}"))))
}

/// Checks the crashes of `plan` at each of `points`, which come from
/// [`Recorded::crash_points`], in order. `env` makes the environment that recovers.
pub fn check_crashes<S: Subject>(
    subject: &S,
    recorded: &Recorded<S::Step>,
    points: &[(usize, u64)],
    plan: &CrashPlan,
    env: impl Fn(&SimEnv) -> Env,
) -> CrashTally {
    let mut check = Check {
        subject,
        recorded,
        plan,
        env: &env,
        tally: CrashTally::default(),
    };
    let mut previous: Vec<(CrashKind, DiskImage, usize)> = Vec::new();
    for (life, operations) in points {
        if check.tally.violations.len() >= plan.violations {
            break;
        }
        check.tally.points += 1;
        let disk = recorded.image_at(*life, *operations);
        let least = recorded.expected(*life, *operations).least;
        let mut seen: Vec<(CrashKind, DiskImage, usize)> = Vec::new();
        for crash in crashes(plan, *operations ^ recorded.seed()) {
            let image = disk.crash(&crash);
            let is_same = |(kind, other, other_least): &(CrashKind, DiskImage, usize)| {
                *kind == crash.kind
                    && *other_least == least
                    && other.same_medium(&image)
                    && (crash.kind == CrashKind::Power || other.same_cache(&image))
            };
            // At most one image is the same at two moments for long: the one where all is lost.
            if seen.iter().chain(&previous).any(is_same) {
                continue;
            }
            check.image(*life, *operations, &crash, &image);
            seen.push((crash.kind, image, least));
        }
        previous = seen;
    }
    check.tally
}

/// The crashes of a plan at one moment.
fn crashes(plan: &CrashPlan, seed: u64) -> impl Iterator<Item = Crash> {
    let process = plan.process.then(Crash::process);
    let power = plan.power.iter().flat_map(move |(policy, sector)| {
        let is_random = !matches!(
            policy,
            CrashPolicy::DropAll | CrashPolicy::KeepAll | CrashPolicy::LoseData
        );
        let outcomes = if is_random { plan.outcomes } else { 1 };
        (0..outcomes).map(move |outcome| {
            Crash::power(
                *policy,
                seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .wrapping_add(outcome),
            )
            .with_sector(*sector)
        })
    });
    process.into_iter().chain(power)
}

struct Check<'a, S: Subject, E> {
    subject: &'a S,
    recorded: &'a Recorded<S::Step>,
    plan: &'a CrashPlan,
    env: &'a E,
    tally: CrashTally,
}

impl<S: Subject, E: Fn(&SimEnv) -> Env> Check<'_, S, E> {
    fn violate(
        &mut self,
        operations: u64,
        crash: &Crash,
        second: Option<(u64, Crash)>,
        (problem, detail): Reason,
    ) {
        let seed = self.recorded.seed();
        self.tally.violations.push(Violation {
            problem,
            seed,
            operations,
            crash: Some(*crash),
            second,
            detail,
        });
    }

    /// One image of the first crash.
    fn image(&mut self, life: usize, operations: u64, crash: &Crash, image: &DiskImage) {
        let number = self.tally.images;
        self.tally.images += 1;
        let is_reordered = crash.kind == CrashKind::Power && crash.policy == CrashPolicy::Reorder;
        self.tally.reordered += u64::from(is_reordered);
        if let Err(reason) = self.first(life, operations, crash, image, number) {
            self.violate(operations, crash, None, reason);
            return;
        }
        if self.plan.second_every > 0 && number.is_multiple_of(self.plan.second_every) {
            self.interrupt_recovery(life, operations, crash, image);
        }
    }

    fn first(
        &mut self,
        life: usize,
        operations: u64,
        crash: &Crash,
        image: &DiskImage,
        number: u64,
    ) -> Result<(), Reason> {
        let world = SimEnv::from_image(image, operations);
        let (mut instance, hash, found) = recover(self.subject, (self.env)(&world))?;
        self.recorded
            .judge(self.subject, life, operations, crash, hash, &found)?;
        let expected = self.recorded.expected(life, operations);
        let is_undecided = expected.most > expected.least;
        self.tally.undecided += u64::from(is_undecided);
        let probe = self.plan.probe_every > 0 && number.is_multiple_of(self.plan.probe_every);
        if !is_undecided && !probe {
            return Ok(());
        }
        // Whatever was read once stays so, even if nothing but what is durable now survives.
        let again = SimEnv::from_image(
            &world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0)),
            operations,
        );
        let (_, hash_again, found_again) = recover(self.subject, (self.env)(&again))?;
        if hash_again != hash {
            return Err((
                Problem::Flipped,
                super::state::difference(&found, &found_again),
            ));
        }
        if !probe {
            return Ok(());
        }
        self.tally.probes += 1;
        let step = self.subject.probe();
        let outcome = without_panics(|| self.subject.run(&mut instance, &step))
            .map_err(|panic| (Problem::Panicked, format!("in the probe: {panic}")))?;
        if outcome != Outcome::Durable {
            return Err((
                Problem::UnexpectedOutcome,
                format!("the probe answered {outcome:?}"),
            ));
        }
        let mut model = found;
        self.subject.effect(&step, &mut model);
        let after = SimEnv::from_image(
            &world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0)),
            operations,
        );
        let (_, hash_after, found_after) = recover(self.subject, (self.env)(&after))?;
        if hash_after != StateHash::of(&model) {
            let problem = if hash_after == hash {
                Problem::AcknowledgedLost
            } else {
                Problem::Partial
            };
            return Err((
                problem,
                format!(
                    "after the probe: {}",
                    super::state::difference(&model, &found_after)
                ),
            ));
        }
        Ok(())
    }

    /// Crashes the recovery from an image at each of its operations.
    fn interrupt_recovery(
        &mut self,
        life: usize,
        operations: u64,
        crash: &Crash,
        image: &DiskImage,
    ) {
        let world = SimEnv::from_image(image, operations);
        world.vfs.start_recording();
        let settled = match recover(self.subject, (self.env)(&world)) {
            Ok((_, hash, _)) => hash,
            Err(reason) => return self.violate(operations, crash, None, reason),
        };
        let Some(recovery) = world.vfs.stop_recording() else {
            return;
        };
        for point in recovery.crash_points() {
            let disk = recovery.image_at(point);
            let mut seen: Vec<DiskImage> = Vec::new();
            for second in crashes(self.plan, point ^ operations) {
                let twice = disk.crash(&second);
                if seen
                    .iter()
                    .any(|other| other.same_medium(&twice) && other.same_cache(&twice))
                {
                    continue;
                }
                self.tally.second_images += 1;
                let world = SimEnv::from_image(&twice, operations);
                let result =
                    recover(self.subject, (self.env)(&world)).and_then(|(_, hash, found)| {
                        self.recorded
                            .judge(self.subject, life, operations, crash, hash, &found)?;
                        // What the first crash left on the medium decides, however often recovery
                        // is interrupted. Only a page cache can be lost in between.
                        if crash.kind == CrashKind::Power && hash != settled {
                            let detail = format!("uninterrupted {settled}, interrupted {hash}");
                            return Err((Problem::InterruptedRecoveryDiffers, detail));
                        }
                        Ok(())
                    });
                if let Err(reason) = result {
                    self.violate(operations, crash, Some((point, second)), reason);
                    return;
                }
                seen.push(twice);
            }
        }
    }
}
