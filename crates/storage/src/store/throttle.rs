//! The brake: writers are slowed down where checkpoints fall behind, so that what a crash would
//! leave to replay is bounded.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{background::Task, core::Core};
use crate::{batch::Batch, error::Result, waits::WaitPoint};

/// A writer that is slowed down sleeps for no less than this at a time.
const SHORTEST_SLEEP: u64 = 1_000_000;
/// Nor for more: the next one goes on where this is not enough.
const LONGEST_SLEEP: u64 = 1_000_000_000;
/// Nanoseconds per written byte that a writer waits just before it has to stop: 50 MB/s.
const SLOWEST: f64 = 20.0;

/// Nanoseconds that writers have yet to sleep for what they wrote, together.
#[derive(Debug, Default)]
pub(super) struct Owed(AtomicU64);

impl Owed {
    /// Adds `nanos`; answers how long the caller is to sleep now, for all of the debt.
    fn add(&self, nanos: u64) -> Option<Duration> {
        let nanos = nanos.min(LONGEST_SLEEP);
        if self.0.fetch_add(nanos, Ordering::Relaxed) + nanos < SHORTEST_SLEEP {
            return None;
        }
        // Somebody else may have taken some or all of it since: what is taken is there once.
        let nanos = self.0.swap(0, Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// However writers meet, what they sleep is what they owe.
    #[test]
    fn debts_are_paid_once() {
        const WRITERS: u64 = 4;
        const TIMES: u64 = 20_000;
        let owed = Owed::default();
        let paid = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (owed, paid) = (&owed, &paid);
                scope.spawn(move || {
                    for _ in 0..TIMES {
                        if let Some(nap) = owed.add(SHORTEST_SLEEP / 2 + writer) {
                            let nanos = u64::try_from(nap.as_nanos()).unwrap();
                            assert!(nanos <= WRITERS * SHORTEST_SLEEP);
                            paid.fetch_add(nanos, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let left = owed.0.into_inner();
        let all: u64 = (0..WRITERS)
            .map(|writer| TIMES * (SHORTEST_SLEEP / 2 + writer))
            .sum();
        assert_eq!(paid.into_inner() + left, all);
    }

    #[test]
    fn no_debt_is_endless() {
        let owed = Owed::default();
        assert_eq!(owed.add(u64::MAX), Some(Duration::from_secs(1)));
        assert_eq!(owed.add(SHORTEST_SLEEP - 1), None);
        assert_eq!(owed.add(1), Some(Duration::from_nanos(SHORTEST_SLEEP)));
    }
}
