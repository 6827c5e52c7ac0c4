//! What the harness asks of a program under test.

use std::fmt::Debug;

use rustling_storage::{Env, MemoryBudget};

use super::state::Model;

/// How a step of a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and promised to survive any crash from now on.
    Durable,
    /// Done and visible; a crash may undo it, together with everything after it.
    Volatile,
    /// Refused: it has no effect, now or later.
    Failed(String),
    /// It ended with an error that leaves open whether it has an effect.
    Unknown(String),
    /// The step changes no data. Everything before it is durable now.
    Flushed,
}

/// A program under test.
pub trait Subject: Sync {
    /// One step of a script: a commit, a checkpoint, whatever the program can do.
    type Step: Clone + Debug + Send + Sync;
    /// The program, open.
    type Instance;

    /// Opens the program, which creates what it needs where there is nothing yet, and recovers
    /// from whatever it finds.
    ///
    /// # Errors
    /// In words.
    fn open(&self, env: Env) -> Result<Self::Instance, String>;

    /// Runs a step.
    fn run(&self, instance: &mut Self::Instance, step: &Self::Step) -> Outcome;

    /// What the step does to the visible contents.
    fn effect(&self, step: &Self::Step, model: &mut Model);

    /// Reads everything visible, each entry once.
    ///
    /// # Errors
    /// In words.
    fn contents(
        &self,
        instance: &Self::Instance,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), String>;

    /// Checks every internal invariant, without changing anything.
    ///
    /// # Errors
    /// The findings, in words.
    fn verify(&self, instance: &Self::Instance) -> Result<(), String>;

    /// Closes the program in good order; everything is durable then.
    ///
    /// # Errors
    /// In words.
    fn close(&self, instance: Self::Instance) -> Result<(), String>;

    /// The budget that the program reserves its memory from, where it has one:
    /// [`super::sweep_memory`] has it refuse reservations.
    fn memory<'a>(&self, _instance: &'a Self::Instance) -> Option<&'a MemoryBudget> {
        None
    }

    /// A step that can be run on any state and is durable when acknowledged: it shows that a
    /// recovered program still works.
    fn probe(&self) -> Self::Step;
}
