//! The lock manager: rows and tables, queues, timeouts, deadlocks.

pub(crate) mod deadlock;
pub(crate) mod mode;
pub(crate) mod queue;
pub(crate) mod table;
pub(crate) mod wait;

use std::{sync::Arc, time::Duration};

use rustling_storage::Clock;

use crate::{
    error::{Error, LockResource, Result, TransactionId},
    lock::{
        deadlock::{Detector, Waiter, Weight},
        mode::Mode,
        queue::Attempt,
        table::{LockName, LockTable, Target},
        wait::{Verdict, WaitCell},
    },
    stats::Counters,
    sync::Mutex,
};

/// What to do where a lock is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockWait {
    /// Stand in line.
    #[default]
    Wait,
    /// Fail with [`Error::LockNotAvailable`].
    NoWait,
    /// Leave the row out: [`crate::RowState::Skipped`].
    SkipLocked,
}

/// A lock that is held or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    /// By whom.
    pub transaction: TransactionId,
    /// On what.
    pub resource: LockResource,
    /// How strongly.
    pub mode: Mode,
    /// Whether it is held; otherwise it is waited for.
    pub granted: bool,
}

/// Who asks for locks, as the lock manager sees it.
#[derive(Debug)]
pub(crate) struct Locker {
    pub(crate) transaction: TransactionId,
    pub(crate) attempt: u32,
    limits: Mutex<Limits>,
    cancel: Mutex<Cancel>,
}

/// How long waits may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// For one lock.
    pub(crate) timeout: Option<Duration>,
    /// When, by the clock, every wait ends.
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug, Default)]
struct Cancel {
    requested: bool,
    waits: Option<(LockName, Arc<WaitCell>)>,
}

impl Locker {
    pub(crate) fn new(transaction: TransactionId, limits: Limits, attempt: u32) -> Locker {
        Locker {
            transaction,
            attempt,
            limits: Mutex::new(limits),
            cancel: Mutex::default(),
        }
    }

    /// Sets how long waits that begin from now on may take.
    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.limits.lock() = limits;
    }

    /// Lets waits begin again after [`LockManager::cancel`].
    pub(crate) fn clear_cancel(&self) {
        self.cancel.lock().requested = false;
    }
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) mode: Mode,
    /// What is enough for one who holds it already.
    pub(crate) enough: Mode,
    pub(crate) wait: bool,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Acquired {
    /// Held now; the transaction must release the named lock.
    New(LockName),
    /// Held now, in a stronger mode than before.
    Upgraded,
    /// Held before.
    Held,
    /// Not to be had without waiting.
    Unavailable,
}

/// Every lock of a manager.
#[derive(Debug)]
pub(crate) struct LockManager {
    table: LockTable,
    detector: Detector,
    clock: Arc<dyn Clock>,
}

impl LockManager {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> LockManager {
        LockManager {
            table: LockTable::new(),
            detector: Detector::default(),
            clock,
        }
    }

    /// Locks `target` for `locker`, where need be (and `wait` allows) after waiting.
    pub(crate) fn acquire(
        &self,
        locker: &Locker,
        target: Target<'_>,
        wanted: Wanted,
        writes: u64,
        counters: &Counters,
    ) -> Result<Acquired> {
        let Wanted { mode, enough, wait } = wanted;
        let id = locker.transaction;
        let attempt = self.table.with_target(target, |name, queue| {
            match queue.try_acquire(id, mode, enough) {
                Attempt::Granted => Ok(Acquired::New(name.clone())),
                Attempt::Upgraded => Ok(Acquired::Upgraded),
                Attempt::Held => Ok(Acquired::Held),
                Attempt::Blocked if !wait => Ok(Acquired::Unavailable),
                Attempt::Blocked => {
                    let cell = Arc::new(WaitCell::default());
                    let upgrade = queue.held_by(id).is_some();
                    queue.enqueue(id, mode, Arc::clone(&cell));
                    Err((name.clone(), cell, upgrade))
                }
            }
        });
        let (name, cell, upgrade) = match attempt {
            Ok(acquired) => return Ok(acquired),
            Err(wait) => wait,
        };
        let began = self.clock.now();
        let verdict = self.wait(locker, &name, &cell, writes, counters);
        let waited = self.clock.now().saturating_sub(began);
        counters.record_wait(target.row.is_some(), waited);
        match verdict {
            Verdict::Granted if upgrade => Ok(Acquired::Upgraded),
            Verdict::Granted => Ok(Acquired::New(name)),
            Verdict::Victim(cycle) => Err(Error::Deadlock {
                transaction: id,
                cycle,
                resource: target.to_resource(),
            }),
            Verdict::TimedOut => {
                counters.lock_timeouts.increment();
                Err(Error::LockTimeout {
                    resource: target.to_resource(),
                    waited,
                })
            }
            Verdict::StatementTimedOut => {
                counters.lock_timeouts.increment();
                Err(Error::StatementTimeout {
                    resource: target.to_resource(),
                })
            }
            Verdict::Cancelled => Err(Error::Cancelled {
                resource: target.to_resource(),
            }),
        }
    }

    fn wait(
        &self,
        locker: &Locker,
        name: &LockName,
        cell: &Arc<WaitCell>,
        writes: u64,
        counters: &Counters,
    ) -> Verdict {
        let id = locker.transaction;
        let withdraw = |verdict| {
            self.table
                .with_name(name, |queue| queue.withdraw(cell, verdict));
        };
        {
            let mut cancel = locker.cancel.lock();
            if cancel.requested {
                withdraw(Verdict::Cancelled);
            }
            cancel.waits = Some((name.clone(), Arc::clone(cell)));
        }
        let weight = Weight {
            attempt: locker.attempt,
            writes,
        };
        let waiter = Waiter {
            name: name.clone(),
            cell: Arc::clone(cell),
            weight,
        };
        let victims = self.detector.begin_wait(&self.table, id, waiter);
        counters.deadlocks.add(victims);
        let (timeout, late) = self.limit(locker);
        let verdict = cell.wait(timeout).unwrap_or_else(|| {
            withdraw(late);
            // Withdrawn or granted in the same moment: either way the verdict is in.
            cell.wait(None).unwrap_or(Verdict::TimedOut)
        });
        self.detector.end_wait(id);
        locker.cancel.lock().waits = None;
        verdict
    }

    /// How long a wait that begins now may take, and what it ends with then.
    fn limit(&self, locker: &Locker) -> (Option<Duration>, Verdict) {
        let limits = *locker.limits.lock();
        let left = limits
            .deadline
            .map(|deadline| deadline.saturating_sub(self.clock.now()));
        match (limits.timeout, left) {
            (timeout, Some(left)) if timeout.is_none_or(|timeout| left <= timeout) => {
                (Some(left), Verdict::StatementTimedOut)
            }
            (timeout, _) => (timeout, Verdict::TimedOut),
        }
    }

    /// Ends the wait of `locker`, and every later one until the cancellation is cleared.
    pub(crate) fn cancel(&self, locker: &Locker) {
        let mut cancel = locker.cancel.lock();
        cancel.requested = true;
        if let Some((name, cell)) = &cancel.waits {
            self.table
                .with_name(name, |queue| queue.withdraw(cell, Verdict::Cancelled));
        }
    }

    /// Takes back a lock.
    pub(crate) fn release(&self, name: &LockName, transaction: TransactionId) {
        self.table.release(name, transaction);
    }

    /// What `transaction` waits for.
    pub(crate) fn waits_for(&self, transaction: TransactionId) -> Option<LockResource> {
        let waiter = self.detector.waiter(transaction)?;
        // Whoever has been granted the lock may not have woken up yet.
        let place = self
            .table
            .with_name(&waiter.name, |queue| queue.place(&waiter.cell));
        place.flatten().map(|_| waiter.name.target().to_resource())
    }

    /// Every lock, held and waited for.
    pub(crate) fn infos(&self) -> Vec<LockInfo> {
        let mut infos = Vec::new();
        self.table.for_each(|name, queue| {
            let info = |transaction, mode, granted| LockInfo {
                transaction,
                resource: name.target().to_resource(),
                mode,
                granted,
            };
            infos.extend(
                queue
                    .granted()
                    .iter()
                    .map(|grant| info(grant.transaction, grant.mode, true)),
            );
            infos.extend(
                queue
                    .waiting()
                    .map(|request| info(request.transaction, request.mode, false)),
            );
        });
        infos
    }

    /// Locks that exist and locks that there is room for.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.table.len(), self.table.capacity())
    }
}
