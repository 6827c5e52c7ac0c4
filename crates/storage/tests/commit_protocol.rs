//! The protocol by which commits become durable in groups and visible in order, in every
//! interleaving of a few threads. This is a model: the steps are those of
//! `crates/storage/src/sequencer.rs`, with a counter for the log. What it must show: nothing is
//! visible before everything up to it is applied, and durable where that was asked for; nobody
//! waits for ever; and after a failed flush nobody is told that his commit is durable.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;

use loom::{
    model::Builder,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    Applied { durable: bool },
}

#[derive(Debug)]
struct State {
    commits: VecDeque<Stage>,
    first: usize,
    flushing: bool,
}

#[derive(Debug)]
struct Sequencer {
    /// The newest LSN given out: the log's buffer.
    appended: Mutex<usize>,
    /// The newest LSN on disk.
    durable: AtomicUsize,
    published: AtomicUsize,
    poisoned: AtomicBool,
    fails: bool,
    state: Mutex<State>,
    turn: Condvar,
    /// Which commits have been applied.
    applied: [AtomicBool; 4],
}

#[derive(Debug, PartialEq, Eq)]
struct Poisoned;

impl Sequencer {
    fn new(fails: bool) -> Sequencer {
        Sequencer {
            appended: Mutex::new(0),
            durable: AtomicUsize::new(0),
            published: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
            fails,
            state: Mutex::new(State {
                commits: VecDeque::new(),
                first: 1,
                flushing: false,
            }),
            turn: Condvar::new(),
            applied: Default::default(),
        }
    }

    /// A commit from beginning to end.
    fn commit(&self, sync: bool) -> Result<usize, Poisoned> {
        let lsn = self.append();
        self.applied[lsn].store(true, SeqCst);
        self.finish(lsn, sync)
    }

    fn append(&self) -> usize {
        let mut appended = self.appended.lock().unwrap();
        *appended += 1;
        *appended
    }

    fn finish(&self, lsn: usize, must: bool) -> Result<usize, Poisoned> {
        let mut state = self.state.lock().unwrap();
        let index = lsn - state.first;
        if state.commits.len() <= index {
            state.commits.resize(index + 1, Stage::Begun);
        }
        state.commits[index] = Stage::Applied { durable: must };
        if index == 0 {
            let before = state.first;
            self.publish(&mut state);
            if state.first > before + 1 {
                self.turn.notify_all();
            }
        }
        loop {
            if state.first > lsn {
                return Ok(lsn);
            }
            if self.poisoned.load(SeqCst) {
                self.turn.notify_all();
                return Err(Poisoned);
            }
            if must && !state.flushing && self.durable.load(SeqCst) < lsn {
                state = self.lead(state)?;
            } else {
                state = self.turn.wait(state).unwrap();
            }
        }
    }

    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, Poisoned> {
        state.flushing = true;
        drop(state);
        let flushed = self.flush();
        let mut state = self.state.lock().unwrap();
        state.flushing = false;
        self.publish(&mut state);
        self.turn.notify_all();
        flushed.map(|()| state)
    }

    fn flush(&self) -> Result<(), Poisoned> {
        let appended = *self.appended.lock().unwrap();
        if self.fails {
            self.poisoned.store(true, SeqCst);
            return Err(Poisoned);
        }
        self.durable.fetch_max(appended, SeqCst);
        Ok(())
    }

    fn publish(&self, state: &mut State) {
        let durable = self.durable.load(SeqCst);
        let before = state.first;
        while let Some(Stage::Applied { durable: must }) = state.commits.front()
            && (!must || state.first <= durable)
        {
            state.commits.pop_front();
            state.first += 1;
        }
        if state.first != before {
            self.published.store(state.first - 1, SeqCst);
        }
    }

    /// What a reader may rely on at any moment.
    fn check(&self) {
        let published = self.published.load(SeqCst);
        for lsn in 1..=published {
            assert!(
                self.applied[lsn].load(SeqCst),
                "commit {lsn} is visible early"
            );
        }
    }
}

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 20_000;
    builder.check(body);
}

fn committer(
    sequencer: &Arc<Sequencer>,
    sync: bool,
) -> thread::JoinHandle<Result<usize, Poisoned>> {
    let sequencer = Arc::clone(sequencer);
    thread::spawn(move || {
        let done = sequencer.commit(sync);
        if let Ok(lsn) = done {
            assert!(
                sequencer.published.load(SeqCst) >= lsn,
                "a commit is visible to its maker"
            );
            assert!(
                !sync || sequencer.durable.load(SeqCst) >= lsn,
                "a commit is durable when its maker is told so"
            );
        }
        done
    })
}

#[test]
fn durable_commits_share_flushes_and_all_return() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(false));
        let others = [committer(&sequencer, true), committer(&sequencer, true)];
        sequencer.check();
        let own = sequencer.commit(true).unwrap();
        assert!(sequencer.durable.load(SeqCst) >= own);
        sequencer.check();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(sequencer.published.load(SeqCst), 3);
    });
}

#[test]
fn a_commit_that_waits_for_no_disk_waits_for_those_before_it() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(false));
        let durable = committer(&sequencer, true);
        let quick = committer(&sequencer, false);
        sequencer.check();
        durable.join().unwrap().unwrap();
        quick.join().unwrap().unwrap();
        sequencer.check();
        assert_eq!(sequencer.published.load(SeqCst), 2);
    });
}

#[test]
fn after_a_failed_flush_everybody_is_told() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(true));
        let others = [committer(&sequencer, true), committer(&sequencer, true)];
        for other in others {
            assert_eq!(other.join().unwrap(), Err(Poisoned));
        }
        assert_eq!(sequencer.published.load(SeqCst), 0);
    });
}

/// The model can fail: who publishes his own commit without a look at those before it shows what
/// is not there yet.
#[test]
#[should_panic(expected = "is visible early")]
fn publishing_out_of_turn_is_caught() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(false));
        let hasty = {
            let sequencer = Arc::clone(&sequencer);
            thread::spawn(move || {
                let lsn = sequencer.append();
                sequencer.applied[lsn].store(true, SeqCst);
                sequencer.published.fetch_max(lsn, SeqCst);
            })
        };
        let lsn = sequencer.append();
        sequencer.check();
        sequencer.applied[lsn].store(true, SeqCst);
        hasty.join().unwrap();
    });
}
