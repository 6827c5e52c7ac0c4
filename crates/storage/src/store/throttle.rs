//! The brake: writers are slowed down where checkpoints fall behind, so that what a crash would
//! leave to replay is bounded.

use std::time::Duration;

use super::{background::Task, core::Core};
use crate::{batch::Batch, error::Result, owed::Owed, waits::WaitPoint};

/// Nanoseconds per written byte that a writer waits just before it has to stop: 50 MB/s.
const SLOWEST: f64 = 20.0;

impl Core {
    /// Holds the writer of `batch` back where checkpoints have fallen behind: not at all up to one
    /// and a half times the limit, then more and more, and at twice the limit until one has
    /// ended. So what a crash would leave to replay is bounded.
    ///
    /// # Errors
    /// That of the checkpoint that should have been made, where the disk is full: the store stays
    /// usable, and takes commits again once there is room. As [`Core::make_memtable_room`].
    pub(crate) fn throttle(&self, batch: &Batch) -> Result<()> {
        self.make_memtable_room()?;
        if self.options.background {
            self.throttle_for_checkpoint(batch.byte_size())?;
            self.throttle_for_compaction(batch);
        }
        Ok(())
    }

    fn throttle_for_checkpoint(&self, bytes: usize) -> Result<()> {
        let (debt, limit) = (self.debt(), self.debt_limit());
        if debt < limit {
            return Ok(());
        }
        self.background.checkpoint_soon(self);
        let over = debt.saturating_sub(limit.saturating_add(limit / 2)) as f64 * 2.0 / limit as f64;
        if over <= 0.0 || self.sequencer.wal().is_none() {
            return Ok(());
        }
        if over >= 1.0 {
            let stop = limit.saturating_mul(2);
            return self
                .wait_points
                .debt
                .time(|| self.wait_while(|| self.debt() >= stop));
        }
        let owed = (bytes as f64 * over * over * SLOWEST) as u64;
        let owing = &self.background.owed_to_checkpoints;
        self.pay(owing, owed, &self.wait_points.debt);
        Ok(())
    }

    /// Adds `nanos` to what writers are `owing` together, and sleeps for all of it once that is
    /// long enough for a sleep.
    pub(super) fn pay(&self, owing: &Owed, nanos: u64, point: &WaitPoint) {
        if let Some(nap) = owing.add(nanos) {
            point.time(|| self.env.sleep(nap));
        }
    }

    /// Waits for checkpoints until `in_debt` says no, or none can help.
    ///
    /// # Errors
    /// Why a checkpoint failed that was made meanwhile, where that leaves the debt.
    pub(super) fn wait_while(&self, in_debt: impl Fn() -> bool) -> Result<()> {
        let checkpoints = &self.background.checkpoints;
        let before = checkpoints.failures();
        let has_failed = || checkpoints.failures() != before;
        self.wait_for_task(Task::Checkpoint, &in_debt, || !has_failed());
        match checkpoints.failure() {
            Some(error) if has_failed() && in_debt() => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for compactions until `in_debt` says no, or none can help.
    pub(super) fn wait_while_compacting(&self, in_debt: impl Fn() -> bool) {
        let compactions = &self.background.compactions;
        self.wait_for_task(Task::Compact, in_debt, || compactions.failure().is_none());
    }

    fn wait_for_task(&self, task: Task, in_debt: impl Fn() -> bool, can_help: impl Fn() -> bool) {
        let background = &self.background;
        let mut state = background.lock();
        while in_debt()
            && !state.stop
            && state.runs(task)
            && can_help()
            && !self.trees.poison.is_poisoned()
        {
            background.remind(task);
            background
                .paid
                .wait_for(&mut state, Duration::from_millis(100));
        }
    }
}
