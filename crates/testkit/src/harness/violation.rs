//! A broken promise, with all that is needed to see it again.

use std::fmt;

use crate::sim::Crash;

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    /// The program did not open after a crash.
    DoesNotOpen,
    /// An acknowledged step is gone.
    AcknowledgedLost,
    /// The contents are those of no prefix of the steps.
    Partial,
    /// A step is there that had not begun, or that was refused.
    FromNowhere,
    /// What was once read after a recovery is different after the next.
    Flipped,
    /// A recovery that was interrupted ended differently from one that was not.
    InterruptedRecoveryDiffers,
    /// The contents could not be read, or a wrong answer was given.
    Unreadable,
    /// The program's own verification found something.
    NotClean,
    /// The program panicked.
    Panicked,
    /// A step answered what it should not, without any fault.
    UnexpectedOutcome,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub problem: Problem,
    /// Seed of the script.
    pub seed: u64,
    /// Number of operations that had completed.
    pub operations: u64,
    /// The crash after them, where there was one.
    pub crash: Option<Crash>,
    /// The crash during recovery, where there was one: after how many of its operations.
    pub second: Option<(u64, Crash)>,
    /// What was seen, in words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}: seed {}, after {} operations",
            self.problem, self.seed, self.operations
        )?;
        if let Some(crash) = &self.crash {
            write!(f, ", {crash:?}")?;
        }
        if let Some((operations, crash)) = &self.second {
            write!(
                f,
                ", then after {operations} operations of the recovery {crash:?}"
            )?;
        }
        write!(f, ": {}", self.detail)
    }
}
