//! Where a transaction sleeps until its request is decided.

use std::time::Duration;

use crate::{
    error::TransactionId,
    sync::{Condvar, Mutex},
};

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The lock is held now.
    Granted,
    /// Chosen to break this circle of waits.
    Victim(Vec<TransactionId>),
    /// Not granted in the time that one lock may take.
    TimedOut,
    /// Not granted before the statement's time was up.
    StatementTimedOut,
    /// Cancelled from outside.
    Cancelled,
}

/// A one-time mailbox: a wait begins with a fresh cell and ends with its verdict. The verdict
/// is decided under the mutex of the lock's shard, so it is given once.
#[derive(Debug, Default)]
pub(crate) struct WaitCell {
    verdict: Mutex<Option<Verdict>>,
    settled: Condvar,
}

impl WaitCell {
    /// Ends the wait.
    pub(crate) fn settle(&self, verdict: Verdict) {
        *self.verdict.lock() = Some(verdict);
        self.settled.notify_one();
    }

    /// Sleeps until the verdict, at most for `timeout`; `None` where it did not come in time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<Verdict> {
        let mut verdict = self.verdict.lock();
        loop {
            if let Some(verdict) = verdict.as_ref() {
                return Some(verdict.clone());
            }
            match timeout {
                None => self.settled.wait(&mut verdict),
                Some(timeout) => {
                    if self.settled.wait_for(&mut verdict, timeout).timed_out() {
                        return verdict.clone();
                    }
                }
            }
        }
    }
}
