//! The crash harness on a program small enough to be seen through: an append-only log of
//! key-value pairs. Done right it passes; with any of the classic mistakes it does not.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::{path::Path, sync::Arc};

use rustling_storage::{Env, MemoryBudget, OpenMode, Refusal, Reservation, Vfs, VfsFile};
use rustling_testkit::{
    harness::{
        Action, CorruptionSweep, CrashPlan, CrashTally, Defect, DefectiveVfs, Model, Outcome,
        Problem, Recorded, Subject, check_crashes, record, record_in, sweep_faults, sweep_memory,
    },
    sim::{Fault, FaultPlan, SimEnv},
};

/// Mistakes that the program itself can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// Recovery accepts records from the page cache without making them durable.
    NoResync,
    /// A record is acknowledged before the sync.
    EarlyAnswer,
    /// The place of a record is cleared first, and the last byte of the one before with it.
    OverwritesNeighbour,
    /// A read error at the end of the log counts as its end.
    ReadErrorIsEnd,
    /// No checksum: a torn record is taken as it is.
    NoChecksum,
    /// A step for which there is no memory is acknowledged all the same, and not done.
    RefusalForgotten,
    /// After a step for which there was no memory the log takes none any more.
    NeverRecovers,
    /// A step for which there is no memory panics.
    RefusalUnexpected,
}

struct Log {
    mistake: Mistake,
}

struct OpenLog {
    file: Arc<dyn VfsFile>,
    end: u64,
    entries: Model,
    poisoned: bool,
    memory: MemoryBudget,
    held: Vec<Reservation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Put { key: u8, value: Vec<u8> },
}

const HEADER: usize = 8;

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

impl Log {
    fn recover(&self, env: &Env) -> std::io::Result<OpenLog> {
        let dir = Path::new("/data");
        let path = dir.join("log");
        env.vfs.create_dir_all(dir)?;
        env.vfs.sync_dir(Path::new("/"))?;
        let file = if env.vfs.exists(&path)? {
            env.vfs.open(&path, OpenMode::ReadWrite)?
        } else {
            env.vfs.open(&path, OpenMode::CreateNew)?
        };
        env.vfs.sync_dir(dir)?;
        let mut open = OpenLog {
            file,
            end: 0,
            entries: Model::new(),
            poisoned: false,
            memory: MemoryBudget::new(1 << 20),
            held: Vec::new(),
        };
        let len = open.file.len()?;
        while let Some((key, value, next)) = self.record(&open.file, open.end, len)? {
            open.entries.insert(vec![key], value);
            open.end = next;
        }
        // What follows the last record is a torn tail. Left there, a shorter record written
        // over it could be followed by the rest of the old one.
        open.file.set_len(open.end)?;
        if self.mistake != Mistake::NoResync {
            // The page cache may show more than the medium holds: write the last part again.
            let mut bytes = vec![0; open.end as usize];
            open.file.read_exact_at(&mut bytes, 0)?;
            open.file.write_all_at(&bytes, 0)?;
            open.file.sync_all()?;
        }
        Ok(open)
    }

    fn record(
        &self,
        file: &Arc<dyn VfsFile>,
        at: u64,
        len: u64,
    ) -> std::io::Result<Option<(u8, Vec<u8>, u64)>> {
        if len.saturating_sub(at) < HEADER as u64 + 1 {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        let size = match file.read_exact_at(&mut header, at) {
            Err(_) if self.mistake == Mistake::ReadErrorIsEnd => return Ok(None),
            result => {
                result?;
                u64::from(u32::from_le_bytes([
                    header[0], header[1], header[2], header[3],
                ]))
            }
        };
        if size == 0 || size > len - at - HEADER as u64 {
            return Ok(None);
        }
        let mut body = vec![0; size as usize];
        file.read_exact_at(&mut body, at + HEADER as u64)?;
        if checksum(&body).to_le_bytes() != header[4..] && self.mistake != Mistake::NoChecksum {
            return Ok(None);
        }
        Ok(Some((
            body[0],
            body[1..].to_vec(),
            at + HEADER as u64 + size,
        )))
    }
}

impl Subject for Log {
    type Step = Step;
    type Instance = OpenLog;

    fn open(&self, env: Env) -> Result<OpenLog, String> {
        self.recover(&env).map_err(|error| error.to_string())
    }

    fn run(&self, log: &mut OpenLog, step: &Step) -> Outcome {
        if log.poisoned {
            return Outcome::Failed("an earlier write failed".to_owned());
        }
        let Step::Put { key, value } = step;
        match log.memory.reserve(value.len(), "an entry") {
            Ok(reservation) => log.held.push(reservation),
            Err(_) if self.mistake == Mistake::RefusalForgotten => return Outcome::Durable,
            Err(error) => {
                assert!(self.mistake != Mistake::RefusalUnexpected, "{error}");
                log.poisoned = self.mistake == Mistake::NeverRecovers;
                return Outcome::Failed(error.to_string());
            }
        }
        let body = [&[*key][..], value].concat();
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(checksum(&body).to_le_bytes());
        bytes.extend(&body);
        let write = || -> std::io::Result<()> {
            if self.mistake == Mistake::OverwritesNeighbour {
                log.file
                    .write_all_at(&vec![0; bytes.len()], log.end.saturating_sub(1))?;
            }
            log.file.write_all_at(&bytes, log.end)?;
            if self.mistake == Mistake::EarlyAnswer {
                Ok(())
            } else {
                log.file.sync_all()
            }
        };
        match write() {
            Ok(()) => {
                log.end += bytes.len() as u64;
                log.entries.insert(vec![*key], value.clone());
                Outcome::Durable
            }
            Err(error) => {
                log.poisoned = true;
                Outcome::Unknown(error.to_string())
            }
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        let Step::Put { key, value } = step;
        model.insert(vec![*key], value.clone());
    }

    fn contents(&self, log: &OpenLog, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        log.entries
            .iter()
            .for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn verify(&self, log: &OpenLog) -> Result<(), String> {
        let len = log.file.len().map_err(|error| error.to_string())?;
        if len == log.end {
            Ok(())
        } else {
            Err(format!("the log ends at {}, the file at {len}", log.end))
        }
    }

    fn close(&self, _log: OpenLog) -> Result<(), String> {
        Ok(())
    }

    fn memory<'a>(&self, log: &'a OpenLog) -> Option<&'a MemoryBudget> {
        Some(&log.memory)
    }

    fn probe(&self) -> Step {
        Step::Put {
            key: 255,
            value: b"probe".to_vec(),
        }
    }
}

fn script(seed: u64) -> Vec<Action<Step>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..30)
        .map(|number| match rng.u8(..12) {
            0 => Action::Reopen,
            1 => Action::Kill,
            _ => Action::Step(Step::Put {
                key: rng.u8(..10),
                value: vec![number; rng.usize(..1500)],
            }),
        })
        .collect()
}

fn check(subject: &Log, recorded: &Recorded<Step>) -> CrashTally {
    let plan = CrashPlan {
        second_every: 16,
        ..CrashPlan::all()
    };
    check_crashes(
        subject,
        recorded,
        &recorded.crash_points(),
        &plan,
        SimEnv::env,
    )
}

#[test]
fn a_careful_program_passes() {
    let subject = Log {
        mistake: Mistake::None,
    };
    let mut tally = CrashTally::default();
    for seed in 0..6 {
        tally.merge(check(
            &subject,
            &record(&subject, seed, &script(seed)).unwrap(),
        ));
    }
    assert!(tally.violations.is_empty(), "{}", tally.violations[0]);
    assert!(
        tally.images > 1000
            && tally.second_images > 500
            && tally.probes > 100
            && tally.undecided > 300,
        "{tally:?}"
    );
}

fn problems(mistake: Mistake) -> Vec<Problem> {
    let subject = Log { mistake };
    let mut found = Vec::new();
    for seed in 0..6 {
        match record(&subject, seed, &script(seed)) {
            Ok(recorded) => found.extend(
                check(&subject, &recorded)
                    .violations
                    .iter()
                    .map(|violation| violation.problem),
            ),
            Err(violation) => found.push(violation.problem),
        }
    }
    found
}

#[test]
fn an_early_answer_is_found() {
    assert!(problems(Mistake::EarlyAnswer).contains(&Problem::AcknowledgedLost));
}

#[test]
fn a_recovery_that_does_not_sync_what_it_shows_is_found() {
    assert!(problems(Mistake::NoResync).contains(&Problem::Flipped));
}

#[test]
fn overwriting_what_is_durable_is_found() {
    assert!(!problems(Mistake::OverwritesNeighbour).is_empty());
}

#[test]
fn a_missing_checksum_is_found() {
    assert!(problems(Mistake::NoChecksum).contains(&Problem::Partial));
}

#[test]
fn planted_defects_of_the_file_system_are_found() {
    let defects = [
        Defect::SkipSync {
            path: "log".to_owned(),
            within: None,
            outside: None,
            data_only: false,
        },
        Defect::SkipSyncDirectory {
            path: "/data".to_owned(),
        },
        Defect::SkipSyncDirectory {
            path: "/".to_owned(),
        },
        Defect::DropWrite {
            path: "log".to_owned(),
            every: 5,
        },
    ];
    for defect in defects {
        let subject = Log {
            mistake: Mistake::None,
        };
        let env = |world: &SimEnv| {
            let vfs: Arc<dyn Vfs> = world.vfs.clone();
            Env {
                vfs: Arc::new(DefectiveVfs::new(vfs, defect.clone())),
                ..world.env()
            }
        };
        let violations = match record_in(&subject, SimEnv::new(1), 1, &script(1), env) {
            Ok(recorded) => {
                check_crashes(
                    &subject,
                    &recorded,
                    &recorded.crash_points(),
                    &CrashPlan::all(),
                    SimEnv::env,
                )
                .violations
            }
            Err(violation) => vec![violation],
        };
        assert!(!violations.is_empty(), "{defect:?} was not found");
    }
}

fn sweep(mistake: Mistake) -> (u64, Vec<Problem>) {
    let subject = Log { mistake };
    let script: Vec<_> = script(3)
        .into_iter()
        .filter(|action| !matches!(action, Action::Kill))
        .collect();
    let world = SimEnv::new(3);
    record_in(&subject, world.clone(), 3, &script, SimEnv::env).unwrap();
    let plans = (0..world.vfs.operations()).flat_map(|index| {
        [
            FaultPlan::new(index).at(index, Fault::IoError),
            FaultPlan::new(index).from(index, Fault::IoError),
        ]
    });
    let tally = sweep_faults(&subject, 3, &script, plans, |_| {}, false);
    assert!(
        tally.faults.total() >= tally.runs && tally.unknown > 50,
        "{tally:?}"
    );
    (
        tally.runs,
        tally
            .violations
            .iter()
            .map(|violation| violation.problem)
            .collect(),
    )
}

#[test]
fn an_error_at_every_operation_is_survived_by_a_careful_program() {
    let (runs, problems) = sweep(Mistake::None);
    assert!(runs > 150, "{runs}");
    assert_eq!(problems, []);
}

#[test]
fn a_read_error_taken_for_the_end_is_found() {
    assert!(!sweep(Mistake::ReadErrorIsEnd).1.is_empty());
}

#[test]
fn corruption_is_told_from_no_difference() {
    let subject = Log {
        mistake: Mistake::None,
    };
    let script: Vec<_> = script(4)
        .into_iter()
        .filter(|action| matches!(action, Action::Step(_)))
        .take(8)
        .collect();
    let recorded = record(&subject, 4, &script).unwrap();
    let (base, steps) = recorded.last_life();
    let mut model = base.clone();
    steps
        .iter()
        .for_each(|step| subject.effect(step, &mut model));
    let sweep = CorruptionSweep::new(
        recorded.last_image(),
        model,
        recorded.last_states().to_vec(),
    );
    let tally = sweep.run(&subject, &sweep.sample(400, 1));
    assert!(
        tally.torn > 100,
        "a log without an end mark cannot tell damage from a torn tail: {tally:?}"
    );
    // Against the exact contents, that is a wrong answer.
    let strict = CorruptionSweep::new(recorded.last_image(), sweep.expected().clone(), Vec::new());
    assert!(
        !strict
            .run(&subject, &strict.sample(400, 1))
            .violations
            .is_empty()
    );
}

/// The problems that refusals of memory show, and how many there were.
fn starve(mistake: Mistake) -> (u64, Vec<Problem>) {
    let subject = Log { mistake };
    let script: Vec<_> = script(3)
        .into_iter()
        .filter(|action| *action != Action::Kill)
        .collect();
    let counted = sweep_memory(&subject, 3, &script, [Refusal::At(u64::MAX)]);
    assert_eq!(counted.violations, []);
    let all =
        (0..counted.reservations).flat_map(|number| [Refusal::At(number), Refusal::From(number)]);
    let tally = sweep_memory(&subject, 3, &script, all);
    let problems = tally.violations.iter().map(|found| found.problem).collect();
    (tally.reservations_refused, problems)
}

#[test]
fn a_refusal_of_every_reservation_is_survived_by_a_careful_program() {
    let (refused, problems) = starve(Mistake::None);
    assert!(refused > 100, "{refused}");
    assert_eq!(problems, []);
}

#[test]
fn mistakes_about_refused_memory_are_found() {
    assert!(
        starve(Mistake::RefusalForgotten)
            .1
            .contains(&Problem::Unreadable)
    );
    assert!(
        starve(Mistake::NeverRecovers)
            .1
            .contains(&Problem::UnexpectedOutcome)
    );
    assert!(
        starve(Mistake::RefusalUnexpected)
            .1
            .contains(&Problem::Panicked)
    );
}
