//! Commits in their order: who flushes the log, and when a commit becomes visible.
//!
//! A commit gets its LSN from the log, is applied, and waits until it is *published*: until it
//! and every commit before it have been applied, and those that ask for it are durable. There
//! is no flushing thread to hop to: the first committer that needs a flush leads it, for itself
//! and for everyone whose record is in the buffer by then; the others follow. While a flush
//! runs, the next group gathers.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    durability::Durability,
    error::Result,
    lsn::Lsn,
    poison::Poison,
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
    /// Signalled when something was published, a flush ended, or the store was poisoned.
    turn: Condvar,
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
    /// Threads that wait for their turn.
    waiting: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Has an LSN.
    Begun,
    /// Is applied; `durable` says whether it must be durable to be visible.
    Applied { durable: bool },
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
                waiting: 0,
            }),
            turn: Condvar::new(),
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

    /// Gives a commit its LSN by appending it to the log.
    ///
    /// # Errors
    /// Those of [`Wal::append`]. Nothing has happened then, unless the store is poisoned.
    pub(crate) fn begin(&self, batch: &EncodedBatch) -> Result<Ticket<'_>> {
        let lsn = match &self.wal {
            // What cannot be written out has an LSN, and nobody who will ever publish it: commits
            // that wait behind it have to see that the store is poisoned.
            Some(wal) => wal
                .append(batch)
                .inspect_err(|_| self.wake_all(&self.state.lock()))?,
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
        while wal.durable().0 < target {
            self.poison.check()?;
            if state.flushing {
                self.wait(&mut state);
            } else {
                state = self.lead(wal, state)?;
            }
        }
        Ok(wal.durable())
    }

    fn wait(&self, state: &mut MutexGuard<'_, State>) {
        state.waiting += 1;
        self.turn.wait(state);
        state.waiting -= 1;
    }

    /// Wakes everyone who waits, so that they see that the store is poisoned.
    fn wake_all(&self, state: &State) {
        if state.waiting > 0 {
            self.turn.notify_all();
        }
    }

    /// Flushes the log for everyone, with the lock released meanwhile.
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
        self.publish(&mut state);
        self.wake_all(&state);
        flushed.map(|_| state)
    }

    /// Publishes every commit whose turn has come.
    fn publish(&self, state: &mut State) {
        let durable = self.wal.as_ref().map_or(u64::MAX, |wal| wal.durable().0);
        let before = state.first;
        while let Some(Stage::Applied { durable: must }) = state.commits.front()
            && (!must || state.first <= durable)
        {
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
            state.commits.resize(index + 1, Stage::Begun);
        }
        state.commits[index] = Stage::Applied { durable: must };
        std::mem::forget(self);
        if index == 0 {
            let before = state.first;
            sequencer.publish(&mut state);
            if state.first > before + 1 {
                sequencer.wake_all(&state);
            }
        }
        if state.first > lsn.0 {
            return Ok(lsn);
        }
        let start = sequencer.flush_wait.start();
        let result = loop {
            if state.first > lsn.0 {
                break Ok(lsn);
            }
            if let Err(poisoned) = sequencer.poison.check() {
                sequencer.wake_all(&state);
                break Err(poisoned);
            }
            match &sequencer.wal {
                Some(wal) if must && !state.flushing && wal.durable() < lsn => {
                    match sequencer.lead(wal, state) {
                        Ok(locked) => state = locked,
                        Err(error) => break Err(error),
                    }
                }
                _ => sequencer.wait(&mut state),
            }
        };
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
        sequencer.wake_all(&sequencer.state.lock());
    }
}
