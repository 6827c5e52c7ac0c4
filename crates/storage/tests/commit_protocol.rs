//! The protocol by which commits become durable in groups and visible in order, in every
//! interleaving of a few threads. This is a model: the steps are those of
//! `crates/storage/src/sequencer.rs`, with a counter for the log. What it must show: nothing is
//! visible before everything up to it is applied, and durable where that was asked for; nobody
//! waits for ever; and after a failed flush nobody is told that his commit is durable.
//!
//! The code itself runs under schedules in `crates/storage/tests/schedules/commits.rs`, of which no
//! number is all of them. The model stays because its few steps are gone through to the end: that
//! nobody waits for ever is a statement about every order of them.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;

use loom::{
    model::Builder,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
};

#[derive(Debug)]
enum Stage {
    Begun,
    Applied {
        durable: bool,
        waiter: Option<Thread>,
    },
}

#[derive(Debug)]
struct State {
    commits: VecDeque<Stage>,
    first: usize,
    flushing: bool,
    /// Who waits for a commit to be durable, and for which.
    flushes: Vec<(usize, Thread)>,
}

impl Stage {
    fn take_waiter(&mut self) -> Option<Thread> {
        match self {
            Stage::Begun => None,
            Stage::Applied { waiter, .. } => waiter.take(),
        }
    }
}

impl State {
    fn take_all(&mut self) -> Vec<Thread> {
        let flushes = self.flushes.drain(..).map(|(_, waiter)| waiter);
        let waiters = self.commits.iter_mut().filter_map(Stage::take_waiter);
        waiters.chain(flushes).collect()
    }

    fn take_leader(&mut self, durable: usize) -> Option<Thread> {
        let covered = durable.saturating_sub(self.first - 1);
        let left = self.commits.iter_mut().skip(covered);
        let mut needy = left.filter(|stage| matches!(stage, Stage::Applied { durable: true, .. }));
        let leader = needy.find_map(Stage::take_waiter);
        leader.or_else(|| self.flushes.pop().map(|(_, waiter)| waiter))
    }
}

fn wake(woken: Vec<Thread>) {
    woken.iter().for_each(Thread::unpark);
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
    /// Whether whoever ends a flush leaves the next one to somebody.
    hands_over: bool,
    /// Whether whoever was woken to lead a flush, and need not any more, leaves it to somebody.
    hands_on: bool,
    state: Mutex<State>,
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
            hands_over: true,
            hands_on: true,
            state: Mutex::new(State {
                commits: VecDeque::new(),
                first: 1,
                flushing: false,
                flushes: Vec::new(),
            }),
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
            state.commits.resize_with(index + 1, || Stage::Begun);
        }
        state.commits[index] = Stage::Applied {
            durable: must,
            waiter: None,
        };
        if index == 0 {
            let mut woken = Vec::new();
            self.publish(&mut state, &mut woken);
            if state.first > lsn {
                drop(state);
                wake(woken);
                return Ok(lsn);
            }
        }
        let mut was_woken = false;
        loop {
            if state.first > lsn {
                break;
            }
            if self.poisoned.load(SeqCst) {
                wake(state.take_all());
                return Err(Poisoned);
            }
            if must && !state.flushing && self.durable.load(SeqCst) < lsn {
                state = self.lead(state)?;
                was_woken = false;
                continue;
            }
            let mut woken = Vec::new();
            self.publish(&mut state, &mut woken);
            if !woken.is_empty() {
                wake(woken);
                continue;
            }
            if state.first > lsn {
                break;
            }
            let index = lsn - state.first;
            if let Some(Stage::Applied { waiter, .. }) = state.commits.get_mut(index) {
                *waiter = Some(thread::current());
            }
            drop(state);
            thread::park();
            state = self.state.lock().unwrap();
            was_woken = true;
        }
        if was_woken {
            self.hand_on(state);
        }
        Ok(lsn)
    }

    /// Leaves the next flush to somebody else.
    fn hand_on(&self, mut state: MutexGuard<'_, State>) {
        if state.flushing {
            return;
        }
        let leader = state.take_leader(self.durable.load(SeqCst));
        assert!(
            self.hands_on || leader.is_none(),
            "a flush is handed on to nobody"
        );
        drop(state);
        wake(leader.into_iter().collect());
    }

    /// Makes everything durable that has an LSN.
    fn flush_all(&self) -> Result<(), Poisoned> {
        let target = *self.appended.lock().unwrap();
        let mut state = self.state.lock().unwrap();
        let mut was_woken = false;
        while self.durable.load(SeqCst) < target {
            if self.poisoned.load(SeqCst) {
                wake(state.take_all());
                return Err(Poisoned);
            }
            if state.flushing {
                state.flushes.push((target, thread::current()));
                drop(state);
                thread::park();
                state = self.state.lock().unwrap();
                was_woken = true;
            } else {
                state = self.lead(state)?;
                was_woken = false;
            }
        }
        if was_woken {
            self.hand_on(state);
        }
        Ok(())
    }

    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, Poisoned> {
        state.flushing = true;
        drop(state);
        let flushed = self.flush();
        self.end_flush(flushed)
    }

    fn end_flush(&self, flushed: Result<(), Poisoned>) -> Result<MutexGuard<'_, State>, Poisoned> {
        let mut state = self.state.lock().unwrap();
        state.flushing = false;
        let durable = self.durable.load(SeqCst);
        let flushes = std::mem::take(&mut state.flushes);
        let (covered, left) = flushes.into_iter().partition(|(lsn, _)| *lsn <= durable);
        state.flushes = left;
        let covered: Vec<(usize, Thread)> = covered;
        let mut woken = Vec::new();
        let leader = state.take_leader(durable);
        // Nobody else would ever wake it: the checker's own word for that ends the process.
        assert!(
            self.hands_over || leader.is_none(),
            "a flush is left to nobody"
        );
        woken.extend(leader);
        self.publish(&mut state, &mut woken);
        woken.extend(covered.into_iter().map(|(_, waiter)| waiter));
        if flushed.is_err() {
            woken.extend(state.take_all());
        }
        drop(state);
        wake(woken);
        let state = self.state.lock().unwrap();
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

    fn publish(&self, state: &mut State, woken: &mut Vec<Thread>) {
        let durable = self.durable.load(SeqCst);
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

/// Who flushes for others (a checkpoint, a thread for asynchronous commits) waits beside those who
/// commit, and may be the one who leads.
#[test]
fn whoever_wants_a_flush_gets_one() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(false));
        let durable = committer(&sequencer, true);
        let flusher = {
            let sequencer = Arc::clone(&sequencer);
            thread::spawn(move || sequencer.flush_all())
        };
        let own = sequencer.commit(false).unwrap();
        sequencer.flush_all().unwrap();
        assert!(sequencer.durable.load(SeqCst) >= own);
        durable.join().unwrap().unwrap();
        flusher.join().unwrap().unwrap();
        assert_eq!(sequencer.published.load(SeqCst), 2);
    });
}

/// The log is also flushed on nobody's behalf: by whoever ends a segment early.
#[test]
fn a_flush_on_nobodys_behalf_leaves_nobody_waiting() {
    explore(|| {
        let sequencer = Arc::new(Sequencer::new(false));
        let others = [committer(&sequencer, true), committer(&sequencer, true)];
        sequencer.flush().unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(sequencer.published.load(SeqCst), 2);
    });
}

/// Two commits wait for the end of a flush that both came too late for, and a flush past the
/// sequencer, which began when only the first of them was there, ends meanwhile. Who is woken to lead
/// the next flush may find his commit made durable by that one, while the other is not.
fn flush_beside_commits(hands_on: bool) {
    explore(move || {
        let mut sequencer = Sequencer::new(false);
        sequencer.hands_on = hands_on;
        let sequencer = Arc::new(sequencer);
        let append = || {
            let lsn = sequencer.append();
            sequencer.applied[lsn].store(true, SeqCst);
            lsn
        };
        append();
        {
            let mut state = sequencer.state.lock().unwrap();
            state.commits.push_back(Stage::Applied {
                durable: true,
                waiter: None,
            });
            state.flushing = true;
        }
        let flushed = sequencer.flush();
        let covered = append();
        let others = [covered, append()].map(|lsn| {
            let sequencer = Arc::clone(&sequencer);
            thread::spawn(move || sequencer.finish(lsn, true))
        });
        let flusher = {
            let sequencer = Arc::clone(&sequencer);
            thread::spawn(move || sequencer.durable.fetch_max(covered, SeqCst))
        };
        drop(sequencer.end_flush(flushed).unwrap());
        for other in others {
            let lsn = other.join().unwrap().unwrap();
            assert!(sequencer.durable.load(SeqCst) >= lsn);
            sequencer.check();
        }
        flusher.join().unwrap();
        assert_eq!(sequencer.published.load(SeqCst), 3);
    });
}

#[test]
fn a_lead_that_is_not_needed_any_more_is_handed_on() {
    flush_beside_commits(true);
}

/// The model can fail: where it is not, those wait for ever whom that flush came too early for.
#[test]
#[should_panic(expected = "handed on to nobody")]
fn a_lead_that_is_handed_on_to_nobody_is_caught() {
    flush_beside_commits(false);
}

/// The model can fail: where the next flush is left to nobody, those wait for ever whom the last one
/// came too early for.
#[test]
#[should_panic(expected = "left to nobody")]
fn a_flush_that_is_left_to_nobody_is_caught() {
    explore(|| {
        let mut sequencer = Sequencer::new(false);
        sequencer.hands_over = false;
        let sequencer = Arc::new(sequencer);
        let others = [committer(&sequencer, true), committer(&sequencer, true)];
        sequencer.commit(true).unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
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
