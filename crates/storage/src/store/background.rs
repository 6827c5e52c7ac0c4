//! Background threads: one flushes for asynchronous commits, one makes log segments, one
//! checkpoints, and gives room back while the store is at rest, one compacts tables, one hands log
//! segments to the archive. Each starts when it is first needed.

use std::{
    sync::{Weak, atomic::Ordering},
    time::Duration,
};

use super::{core::Core, vacuum::Vacuum};
use crate::{
    env::JoinHandle,
    error::{Error, Result},
    owed::Owed,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    },
};

/// A store at rest is checkpointed at once where there is at least this much log to replay, or as
/// many bytes of changed pages.
const QUIET_DEBT: u64 = 256 << 10;
/// In memory, clean-up begins after this many times `checkpoint_wal_bytes`.
const MEMORY_FACTOR: u64 = 8;

/// No time at which somebody asked.
const NOBODY: u64 = u64::MAX;

/// The threads and what they are asked for.
#[derive(Debug)]
pub(crate) struct Background {
    state: Mutex<State>,
    /// Signalled when a thread has something to do.
    wake: [Condvar; TASKS],
    /// Signalled when a checkpoint or a compaction has ended.
    pub(super) paid: Condvar,
    /// How checkpoints and compactions of the background threads went.
    pub(super) checkpoints: Attempts,
    pub(super) compactions: Attempts,
    flush_wanted: AtomicBool,
    /// When the first of the commits that wait for a flush asked for it, in nanoseconds of the
    /// clock; [`NOBODY`] where none has since the last one.
    flush_asked: AtomicU64,
    segment_wanted: AtomicBool,
    checkpoint_wanted: AtomicBool,
    /// Whether there were commits since the checkpointer last found the store at rest.
    active: AtomicBool,
    compaction_wanted: AtomicBool,
    archive_wanted: AtomicBool,
    /// What writers owe to checkpoints.
    pub(super) owed_to_checkpoints: Owed,
    core: Weak<Core>,
}

/// What a thread is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Flush,
    /// Not the flushing thread's: filling a segment with zeros takes longer than the commits may
    /// wait that it flushes for.
    Segment,
    Checkpoint,
    Compact,
    /// Hands log segments to the archive.
    Archive,
}

const TASKS: usize = 5;

impl Task {
    fn thread_name(self) -> &'static str {
        match self {
            Task::Flush => "rustling-flush",
            Task::Segment => "rustling-segment",
            Task::Checkpoint => "rustling-checkpoint",
            Task::Compact => "rustling-compact",
            Task::Archive => "rustling-archive",
        }
    }

    fn body(self) -> fn(&Core) {
        match self {
            Task::Flush => flush_loop,
            Task::Segment => segment_loop,
            Task::Checkpoint => checkpoint_loop,
            Task::Compact => compact_loop,
            Task::Archive => archive_loop,
        }
    }
}

/// How what a thread does again and again has gone.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// How many failed so far.
    failures: AtomicU64,
    /// Why the last one did, if it did.
    failure: Mutex<Option<Error>>,
}

impl Attempts {
    fn note(&self, done: Result<()>) {
        let failed = done.is_err();
        *self.failure.lock() = done.err();
        if failed {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Why the last one failed, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) stop: bool,
    threads: [Option<Box<dyn JoinHandle>>; TASKS],
}

impl State {
    /// Whether the thread for `task` has been started.
    pub(super) fn runs(&self, task: Task) -> bool {
        self.threads[task as usize].is_some()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut state = f.debug_struct("State");
        state.field("stop", &self.stop);
        for task in [
            Task::Flush,
            Task::Segment,
            Task::Checkpoint,
            Task::Compact,
            Task::Archive,
        ] {
            state.field(task.thread_name(), &self.runs(task));
        }
        state.finish()
    }
}

impl Background {
    /// No thread yet. The threads keep `core` alive until [`Background::stop`].
    pub(crate) fn new(core: Weak<Core>) -> Background {
        Background {
            state: Mutex::default(),
            wake: Default::default(),
            paid: Condvar::new(),
            checkpoints: Attempts::default(),
            compactions: Attempts::default(),
            flush_wanted: AtomicBool::new(false),
            flush_asked: AtomicU64::new(NOBODY),
            segment_wanted: AtomicBool::new(false),
            checkpoint_wanted: AtomicBool::new(false),
            active: AtomicBool::new(false),
            compaction_wanted: AtomicBool::new(false),
            archive_wanted: AtomicBool::new(false),
            owed_to_checkpoints: Owed::default(),
            core,
        }
    }

    /// Ends the threads and waits for them.
    pub(crate) fn stop(&self) {
        if let Some(core) = self.core.upgrade() {
            core.trees.media.tables.close();
        }
        let threads = {
            let mut state = self.state.lock();
            state.stop = true;
            std::mem::take(&mut state.threads)
        };
        for wake in &self.wake {
            wake.notify_all();
        }
        self.paid.notify_all();
        for thread in threads.into_iter().flatten() {
            if !thread.join()
                && let Some(core) = self.core.upgrade()
            {
                core.trees.poison.set("a background thread panicked");
            }
        }
    }

    /// Sets `wanted`, and has the thread for `task` look at it. Costs a look where it is set
    /// already, as it is while the thread is busy: commits ask again and again.
    fn request(&self, core: &Core, task: Task, wanted: &AtomicBool) {
        if wanted.load(Ordering::Acquire) || wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.state.lock();
        if !state.stop && !state.runs(task) {
            let thread = self.core.upgrade().and_then(|shared| {
                let body = task.body();
                core.env
                    .spawn(task.thread_name(), move || body(&shared))
                    .ok()
            });
            if thread.is_none() {
                // Where no thread can be had now, the next request tries again.
                wanted.store(false, Ordering::Release);
            }
            state.threads[task as usize] = thread;
        }
        drop(state);
        self.wake[task as usize].notify_all();
    }

    /// Asks for a flush within the configured interval.
    pub(crate) fn flush_soon(&self, core: &Core) {
        if core.options.background {
            if self.flush_asked.load(Ordering::Acquire) == NOBODY {
                let now = u64::try_from(core.env.now().as_nanos()).unwrap_or(NOBODY - 1);
                // Who was a moment faster asked earlier.
                let _ = self.flush_asked.compare_exchange(
                    NOBODY,
                    now,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
            }
            self.request(core, Task::Flush, &self.flush_wanted);
        }
    }

    /// Asks for the next log segment, now: commits come fast enough to end this one soon.
    pub(crate) fn prepare_log_soon(&self, core: &Core) {
        if core.options.background {
            self.request(core, Task::Segment, &self.segment_wanted);
        }
    }

    /// Asks for a checkpoint; where the last one failed, only in a while.
    pub(super) fn checkpoint_soon(&self, core: &Core) {
        let failed = self.checkpoints.failure().is_some();
        let wanted = if failed {
            &self.active
        } else {
            &self.checkpoint_wanted
        };
        self.request(core, Task::Checkpoint, wanted);
    }

    /// There is something that a checkpoint in good time should hold.
    pub(crate) fn note_activity(&self, core: &Core) {
        if core.options.background {
            self.request(core, Task::Checkpoint, &self.active);
        }
    }

    /// Asks for a compaction.
    pub(super) fn compact_soon(&self, core: &Core) {
        if core.options.background {
            self.request(core, Task::Compact, &self.compaction_wanted);
        }
    }

    /// Asks for log segments to be archived and removed.
    pub(super) fn archive_soon(&self, core: &Core) {
        self.request(core, Task::Archive, &self.archive_wanted);
    }

    /// Asks again, from within a wait for what `task` does.
    pub(super) fn remind(&self, task: Task) {
        let wanted = match task {
            Task::Flush => &self.flush_wanted,
            Task::Segment => &self.segment_wanted,
            Task::Checkpoint => &self.checkpoint_wanted,
            Task::Compact => &self.compaction_wanted,
            Task::Archive => &self.archive_wanted,
        };
        if !wanted.swap(true, Ordering::AcqRel) {
            self.wake[task as usize].notify_all();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Lets stopped writers look again.
    pub(crate) fn debt_paid(&self) {
        drop(self.state.lock());
        self.paid.notify_all();
    }

    /// Has the thread for `task` wait for a while, or until it shall end: what has failed would
    /// only fail again.
    fn pause(&self, core: &Core, task: Task) {
        let end = core.env.now() + core.options.quiet_interval;
        let mut state = self.state.lock();
        loop {
            let left = end.saturating_sub(core.env.now());
            if state.stop || left.is_zero() {
                return;
            }
            self.wake[task as usize].wait_for(&mut state, left);
        }
    }

    /// Has the thread for `task` wait for a request; `None` when it shall end.
    fn wait_for(&self, task: Task, is_wanted: impl Fn() -> bool) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        while !state.stop && !is_wanted() {
            self.wake[task as usize].wait(&mut state);
        }
        (!state.stop).then_some(state)
    }
}

fn flush_loop(core: &Core) {
    let background = &core.background;
    let wants_flush = || background.flush_wanted.load(Ordering::Acquire);
    while let Some(mut state) = background.wait_for(Task::Flush, wants_flush) {
        // When the first of the commits that wait for this was made: this thread may have been
        // busy with the flush before.
        let start = match background.flush_asked.load(Ordering::Acquire) {
            NOBODY => core.wait_points.asynchronous.start(),
            nanos => Duration::from_nanos(nanos),
        };
        let deadline = start + core.options.async_flush_interval;
        loop {
            let left = deadline.saturating_sub(core.env.now());
            if state.stop || left.is_zero() {
                break;
            }
            background.wake[Task::Flush as usize].wait_for(&mut state, left);
        }
        drop(state);
        background.flush_wanted.store(false, Ordering::Release);
        background.flush_asked.store(NOBODY, Ordering::Release);
        // A failure has poisoned the store: the next commit says so.
        let _ = core.flush();
        core.wait_points.asynchronous.stop(start);
    }
}

/// Makes the next log segment before somebody has to wait for it.
fn segment_loop(core: &Core) {
    let background = &core.background;
    let wants_segment = || background.segment_wanted.load(Ordering::Acquire);
    while let Some(state) = background.wait_for(Task::Segment, wants_segment) {
        drop(state);
        background.segment_wanted.store(false, Ordering::Release);
        if let Some(wal) = core.sequencer.wal() {
            // A full disk is the commit's to report.
            let _ = wal.prepare_ahead();
        }
    }
}

fn archive_loop(core: &Core) {
    let background = &core.background;
    let wants_archive = || background.archive_wanted.load(Ordering::Acquire);
    while let Some(state) = background.wait_for(Task::Archive, wants_archive) {
        drop(state);
        background.archive_wanted.store(false, Ordering::Release);
        if let Some(wal) = core.sequencer.wal() {
            wal.remove_retired(|| !background.lock().stop);
        }
    }
}

/// Why the checkpointer is awake.
enum Awake {
    /// Somebody asked for a checkpoint.
    Asked,
    /// There have been commits, and some time has gone by.
    Tick,
}

impl Background {
    /// Waits until a checkpoint is asked for, or for a while where there have been commits;
    /// `None` when the thread shall end.
    fn wait_to_checkpoint(&self, core: &Core) -> Option<Awake> {
        let wake = &self.wake[Task::Checkpoint as usize];
        let mut state = self.state.lock();
        let mut tick = core.env.now() + core.options.quiet_interval;
        loop {
            if state.stop {
                return None;
            }
            if self.checkpoint_wanted.load(Ordering::Acquire) {
                return Some(Awake::Asked);
            }
            if !self.active.load(Ordering::Acquire) {
                wake.wait(&mut state);
                tick = core.env.now() + core.options.quiet_interval;
                continue;
            }
            let left = tick.saturating_sub(core.env.now());
            if left.is_zero() {
                return Some(Awake::Tick);
            }
            wake.wait_for(&mut state, left);
        }
    }
}

fn checkpoint_loop(core: &Core) {
    let background = &core.background;
    let mut seen = core.written_work();
    let mut last = core.env.now();
    while let Some(awake) = background.wait_to_checkpoint(core) {
        let done = match awake {
            Awake::Asked => {
                background.checkpoint_wanted.store(false, Ordering::Release);
                last = core.env.now();
                checkpoint_if_due(core)
            }
            Awake::Tick => {
                let at_rest = core.written_work() == seen;
                seen = core.written_work();
                let overdue = core.env.now() >= last + core.options.checkpoint_interval;
                let dirty = core.trees.media.pages.dirty_bytes() as u64;
                let failed = background.checkpoints.failure().is_some();
                let owed = core.debt().max(dirty);
                if failed || overdue || (at_rest && owed >= QUIET_DEBT) {
                    last = core.env.now();
                    core.checkpoint().and_then(|_| rest(core, seen))
                } else if at_rest && owed == 0 {
                    // The last commits are in a checkpoint that somebody has asked for.
                    rest(core, seen)
                } else {
                    Ok(())
                }
            }
        };
        // A failure has poisoned the store, or was a full disk: whoever has to wait for a
        // checkpoint is told, and the next commits have it tried again.
        if done.is_err() {
            background.active.store(false, Ordering::Release);
        }
        background.checkpoints.note(done);
        background.debt_paid();
    }
}

/// After a checkpoint: gives room back until there are commits again.
fn rest(core: &Core, seen: u64) -> Result<()> {
    let background = &core.background;
    let at_rest = || core.written_work() == seen;
    if !at_rest() {
        return Ok(());
    }
    // Whoever commits from now on says so again; who did just before found it said.
    background.active.store(false, Ordering::Release);
    if !at_rest() {
        background.active.store(true, Ordering::Release);
        return Ok(());
    }
    core.vacuum(Vacuum::Worthwhile, &|| {
        at_rest()
            && !background.checkpoint_wanted.load(Ordering::Acquire)
            && !background.state.lock().stop
    })
    .map(|_| ())
}

fn checkpoint_if_due(core: &Core) -> Result<()> {
    let tables = &core.trees.media.tables;
    if core.debt() >= core.debt_limit() || tables.memtable_bytes() >= tables.memtable_limit() {
        core.checkpoint()?;
    }
    Ok(())
}

fn compact_loop(core: &Core) {
    let background = &core.background;
    let wants_compaction = || background.compaction_wanted.load(Ordering::Acquire);
    while let Some(state) = background.wait_for(Task::Compact, wants_compaction) {
        drop(state);
        background.compaction_wanted.store(false, Ordering::Release);
        let done = compact_if_due(core);
        let failed = done.is_err();
        background.compactions.note(done);
        background.debt_paid();
        if failed {
            background.pause(core, Task::Compact);
        }
    }
}

fn compact_if_due(core: &Core) -> Result<()> {
    let changed = core.compact_all()?;
    // The input of what has been compacted goes with a checkpoint; and runs above one that is
    // still in memory can only be merged after one. The next checkpoint may be far.
    let is_blocked = core.compaction_is_behind();
    if (changed || is_blocked) && !core.trees.media.tables.is_closing() {
        core.checkpoint()?;
    }
    Ok(())
}

impl Core {
    /// The debt at which a checkpoint begins.
    pub(super) fn debt_limit(&self) -> u64 {
        let factor = if self.sequencer.wal().is_some() {
            1
        } else {
            MEMORY_FACTOR
        };
        self.options.checkpoint_wal_bytes.saturating_mul(factor)
    }
}
