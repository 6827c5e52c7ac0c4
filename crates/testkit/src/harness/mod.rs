//! The crash harness: proof that a program keeps its promises when the world does not.
//!
//! A [`Subject`] is the program under test: how to open it on an environment, how to run one
//! step of a script, and what each step does to a plain map. The harness then
//!
//! - [records](record) one run of a script on a simulated disk, and checks
//!   [every crash](check_crashes) that could have happened at any of its operations: the
//!   program opens again, holds the effects of a prefix of the steps that contains every
//!   acknowledged one, verifies clean, and never changes its mind about it later; crashes
//!   during that recovery included;
//! - [sweeps faults](sweep_faults): an error at every operation in turn, once or for ever;
//! - [sweeps memory](sweep_memory): a refusal of every reservation in turn, once or for ever;
//! - [sweeps corruption](CorruptionSweep): bit flips, truncations and the like at rest give an
//!   error or no difference, never a panic or a wrong answer.
//!
//! The oracle has three values per step: **acknowledged** steps must survive, **failed** ones
//! must not be there, **unknown** ones (running at the crash, or answered with an error of
//! unknown outcome) may be there whole or not at all, and whichever it is stays so.

mod corruption;
mod crashes;
mod faults;
mod parallel;
mod planted;
mod recorded;
mod state;
mod subject;
mod violation;

pub use self::{
    corruption::{CorruptionSweep, CorruptionTally, Damage},
    crashes::{CrashPlan, CrashTally, check_crashes},
    faults::{FaultTally, sweep_faults, sweep_memory},
    parallel::{in_parallel, threads, without_panics},
    planted::{Defect, DefectiveVfs},
    recorded::{Action, Expected, Recorded, record, record_in},
    state::{Model, StateHash},
    subject::{Outcome, Subject},
    violation::{Problem, Violation},
};
