//! Commits in their order: who flushes the log, and when a commit becomes visible.
//!
//! A commit gets its LSN from the log, is applied, and waits until it is *published*: until it
//! and every commit before it have been applied, and those that ask for it are durable. There
//! is no flushing thread to hop to: the first committer that needs a flush leads it, for itself
//! and for everyone whose record is in the buffer by then; the others follow. While a flush
//! runs, the next group gathers.
//!
//! Who waits is parked at its own commit, and woken when that has been published, or when the flush
//! that it needs is its own to lead: one of those whose records came too late for a flush leads the
//! next one. The others sleep on, and do not meet at a lock for nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use crossbeam_utils::CachePadded;
use smallvec::SmallVec;

use crate::{
    durability::Durability,
    error::Result,
    lsn::Lsn,
    poison::Poison,
    sync::{Mutex, MutexGuard, Parker, Unparker, atomic::AtomicU64},
    waits::{WaitPoint, Waits},
    wal::{EncodedBatch, Wal},
};

/// The order of commits.
#[derive(Debug)]
pub(crate) struct Sequencer {
    /// `None` in memory: every commit is as durable as it will ever be.
    wal: Option<Wal>,
    poison: Arc<Poison>,
    published: CachePadded<AtomicU64>,
    state: Mutex<State>,
    flush_wait: WaitPoint,
}

#[derive(Debug)]
struct State {
    /// The commits after the published one, in order.
    commits: VecDeque<Stage>,
    /// LSN of the first of them.
    first: u64,
    /// The newest LSN given out in memory.
    last_in_memory: u64,
    /// Whether a leader is flushing.
    flushing: bool,
    /// Who waits for a commit to be durable, whether it is published or not, and for which.
    flushes: Vec<(u64, Unparker)>,
}

#[derive(Debug)]
enum Stage {
    /// Has an LSN.
    Begun,
    /// Is applied.
    Applied {
        /// Whether it must be durable to be visible.
        durable: bool,
        /// Who made it, while parked.
        waiter: Option<Unparker>,
    },
}

/// Those to be woken once the lock is released, in this order.
type Woken = SmallVec<[Unparker; 8]>;

fn wake(woken: Woken) {
    woken.iter().for_each(Unparker::unpark);
}

impl State {
    /// Takes everyone who waits.
    fn take_all(&mut self) -> Woken {
        let flushes = self.flushes.drain(..).map(|(_, waiter)| waiter);
        let waiters = self.commits.iter_mut().filter_map(Stage::take_waiter);
        waiters.chain(flushes).collect()
    }

    /// Takes somebody who waits for a commit after the `durable` one to become so.
    fn take_leader(&mut self, durable: u64) -> Option<Unparker> {
        let covered = durable.saturating_sub(self.first - 1);
        let left = self.commits.iter_mut().skip(covered as usize);
        let mut needy = left.filter(|stage| matches!(stage, Stage::Applied { durable: true, .. }));
        let leader = needy.find_map(Stage::take_waiter);
        leader.or_else(|| self.flushes.pop().map(|(_, waiter)| waiter))
    }
}

impl Stage {
    fn take_waiter(&mut self) -> Option<Unparker> {
        match self {
            Stage::Begun => None,
            Stage::Applied { waiter, .. } => waiter.take(),
        }
    }
}

/// A commit that has an LSN and must end: dropping it otherwise stops the store, because
/// nothing after it can be published.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    sequencer: &'a Sequencer,
    lsn: Lsn,
}

impl Sequencer {
    /// Goes on after the commit `last`, which is published.
    pub(crate) fn new(
        wal: Option<Wal>,
        last: Lsn,
        poison: Arc<Poison>,
        waits: &Waits,
    ) -> Sequencer {
        Sequencer {
            wal,
            poison,
            published: CachePadded::new(AtomicU64::new(last.0)),
            state: Mutex::new(State {
                commits: VecDeque::new(),
                first: last.0 + 1,
                last_in_memory: last.0,
                flushing: false,
                flushes: Vec::new(),
            }),
            flush_wait: waits.point("commit.flush"),
        }
    }

    /// The log, unless in memory.
    pub(crate) fn wal(&self) -> Option<&Wal> {
        self.wal.as_ref()
    }

    /// The newest commit that snapshots see.
    #[inline]
    pub(crate) fn published(&self) -> Lsn {
        // Sequentially consistent: the pin registry orders this against its slots.
        Lsn(self.published.load(Ordering::SeqCst))
    }

    /// The newest commit that would survive a crash now.
    pub(crate) fn durable(&self) -> Lsn {
        self.wal
            .as_ref()
            .map_or_else(|| self.published(), Wal::durable)
    }

    /// The newest commit that has an LSN.
    pub(crate) fn last(&self) -> Lsn {
        match &self.wal {
            Some(wal) => wal.last_lsn(),
            None => Lsn(self.state.lock().last_in_memory),
        }
    }

    /// Gives a commit its LSN by appending it to the log, which may take what is encoded away.
    ///
    /// # Errors
    /// Those of [`Wal::append`]. Nothing has happened then, unless the store is poisoned.
    pub(crate) fn begin(&self, batch: &mut EncodedBatch) -> Result<Ticket<'_>> {
        let lsn = match &self.wal {
            // What cannot be written out has an LSN, and nobody who will ever publish it: commits
            // that wait behind it have to see that the store is poisoned.
            Some(wal) => wal.append(batch).inspect_err(|_| self.wake_all())?,
            None => {
                self.poison.check()?;
                let mut state = self.state.lock();
                state.last_in_memory += 1;
                Lsn(state.last_in_memory)
            }
        };
        Ok(Ticket {
            sequencer: self,
            lsn,
        })
    }

    /// Makes every commit that has an LSN durable.
    ///
    /// # Errors
    /// [`crate::Error::Io`] of the flush, which poisons; [`crate::Error::Poisoned`].
    pub(crate) fn flush(&self) -> Result<Lsn> {
        let Some(wal) = &self.wal else {
            return Ok(self.published());
        };
        let target = wal.last_lsn().0;
        let mut state = self.state.lock();
        let mut was_woken = false;
        while wal.durable().0 < target {
            self.check_poison(&mut state)?;
            if state.flushing {
                let parker = Parker::new();
                state.flushes.push((target, parker.unparker().clone()));
                MutexGuard::unlocked(&mut state, || parker.park());
                was_woken = true;
            } else {
                state = self.lead(wal, state)?;
                was_woken = false;
            }
        }
        if was_woken {
            self.hand_on(&mut state);
        }
        Ok(wal.durable())
    }

    /// Leaves the next flush to somebody else. Whoever was woken may have been woken to lead it, and
    /// need not any more, as the log may be flushed on nobody's behalf: nobody else knows.
    fn hand_on(&self, state: &mut MutexGuard<'_, State>) {
        if !state.flushing
            && let Some(wal) = &self.wal
            && let Some(leader) = state.take_leader(wal.durable().0)
        {
            MutexGuard::unlocked(state, || leader.unpark());
        }
    }

    /// Wakes everyone who waits, so that they see that the store is poisoned.
    fn wake_all(&self) {
        let woken = self.state.lock().take_all();
        wake(woken);
    }

    /// Fails where the store is poisoned. Whoever is told so may have been woken to lead a flush:
    /// nobody will, so all others have to be told too.
    fn check_poison(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        self.poison.check().inspect_err(|_| {
            let woken = state.take_all();
            MutexGuard::unlocked(state, || wake(woken));
        })
    }

    /// Flushes the log for everyone, with the lock released meanwhile, and leaves the next flush to
    /// somebody whom this one came too early for.
    fn lead<'a>(
        &'a self,
        wal: &Wal,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>> {
        state.flushing = true;
        drop(state);
        let flushed = wal.flush();
        let mut state = self.state.lock();
        state.flushing = false;
        let durable = wal.durable().0;
        let covered = state.flushes.extract_if(.., |(lsn, _)| *lsn <= durable);
        let covered: Woken = covered.map(|(_, waiter)| waiter).collect();
        // The disk has nothing to do until the next leader is awake: it is woken first.
        let mut woken: Woken = state.take_leader(durable).into_iter().collect();
        self.publish(&mut state, &mut woken);
        woken.extend(covered);
        if flushed.is_err() {
            woken.extend(state.take_all());
        }
        MutexGuard::unlocked(&mut state, || wake(woken));
        flushed.map(|_| state)
    }

    /// Waits until commit `lsn`, which has been applied and is not published, is. Where it must be
    /// durable, the caller leads flushes that nobody else does.
    fn wait_for<'a>(
        &'a self,
        lsn: Lsn,
        must: bool,
        mut state: MutexGuard<'a, State>,
    ) -> Result<Lsn> {
        let mut was_woken = false;
        loop {
            if state.first > lsn.0 {
                break;
            }
            self.check_poison(&mut state)?;
            if let Some(wal) = &self.wal
                && must
                && !state.flushing
                && wal.durable() < lsn
            {
                state = self.lead(wal, state)?;
                was_woken = false;
                continue;
            }
            // The log may have been flushed on nobody's behalf since the last look.
            let mut woken = Woken::new();
            self.publish(&mut state, &mut woken);
            if !woken.is_empty() {
                MutexGuard::unlocked(&mut state, || wake(woken));
                continue;
            }
            if state.first > lsn.0 {
                break;
            }
            let parker = Parker::new();
            let index = (lsn.0 - state.first) as usize;
            if let Some(Stage::Applied { waiter, .. }) = state.commits.get_mut(index) {
                *waiter = Some(parker.unparker().clone());
            }
            MutexGuard::unlocked(&mut state, || parker.park());
            was_woken = true;
        }
        if was_woken {
            self.hand_on(&mut state);
        }
        Ok(lsn)
    }

    /// Publishes every commit whose turn has come, and adds those who wait for that to `woken`.
    fn publish(&self, state: &mut State, woken: &mut Woken) {
        let durable = self.wal.as_ref().map_or(u64::MAX, |wal| wal.durable().0);
        let before = state.first;
        while let Some(Stage::Applied {
            durable: must,
            waiter,
        }) = state.commits.front_mut()
            && (!*must || state.first <= durable)
        {
            woken.extend(waiter.take());
            state.commits.pop_front();
            state.first += 1;
        }
        if state.first != before {
            self.published.store(state.first - 1, Ordering::SeqCst);
        }
    }
}

impl Ticket<'_> {
    /// The commit's LSN.
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Says that the commit has been applied, and waits until it is published.
    ///
    /// # Errors
    /// A failed flush, or a failed earlier commit: whether this one survives is unknown.
    pub(crate) fn applied(self, durability: Durability) -> Result<Lsn> {
        let sequencer = self.sequencer;
        let lsn = self.lsn;
        let must = durability == Durability::Sync && sequencer.wal.is_some();
        let mut state = sequencer.state.lock();
        let index = (lsn.0 - state.first) as usize;
        if state.commits.len() <= index {
            state.commits.resize_with(index + 1, || Stage::Begun);
        }
        state.commits[index] = Stage::Applied {
            durable: must,
            waiter: None,
        };
        std::mem::forget(self);
        if index == 0 {
            let mut woken = Woken::new();
            sequencer.publish(&mut state, &mut woken);
            if state.first > lsn.0 {
                drop(state);
                wake(woken);
                return Ok(lsn);
            }
        }
        let start = sequencer.flush_wait.start();
        let result = sequencer.wait_for(lsn, must, state);
        sequencer.flush_wait.stop(start);
        result
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let sequencer = self.sequencer;
        sequencer.poison.set(format!(
            "commit {} was logged but could not be applied",
            self.lsn
        ));
        sequencer.wake_all();
    }
}
