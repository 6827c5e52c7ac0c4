//! Background threads: one flushes for asynchronous commits, one checkpoints, and gives room back
//! while the store is at rest, one compacts tables. Each starts when it is first needed. And the
//! brake: writers are slowed down when checkpoints fall behind.

use std::{
    sync::{
        Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{core::Core, vacuum::Vacuum};
use crate::{
    batch::Batch,
    env::JoinHandle,
    error::{Error, Result},
    wal::Wal,
};

/// A writer that is slowed down sleeps for no less than this at a time.
pub(super) const SHORTEST_SLEEP: u64 = 1_000_000;
/// Nanoseconds per written byte that a writer waits just before it has to stop: 50 MB/s.
const SLOWEST: f64 = 20.0;
/// A store at rest is checkpointed at once where there is at least this much log to replay, or as
/// many bytes of changed pages.
const QUIET_DEBT: u64 = 256 << 10;
/// In memory, clean-up begins after this many times `checkpoint_wal_bytes`.
const MEMORY_FACTOR: u64 = 8;

/// The threads and what they are asked for.
#[derive(Debug)]
pub(crate) struct Background {
    state: Mutex<State>,
    /// Signalled when there is something to do.
    wake: Condvar,
    /// Signalled when a checkpoint or a compaction has ended.
    paid: Condvar,
    /// How checkpoints and compactions of the background threads went.
    checkpoints: Attempts,
    compactions: Attempts,
    flush_wanted: AtomicBool,
    checkpoint_wanted: AtomicBool,
    /// Whether there were commits since the checkpointer last found the store at rest.
    active: AtomicBool,
    owed_nanos: AtomicU64,
    /// As above, for [`Core::throttle_for_compaction`].
    pub(super) owed_to_compaction: AtomicU64,
    compaction_wanted: AtomicBool,
    core: Weak<Core>,
}

/// How what a thread does again and again has gone.
#[derive(Debug, Default)]
struct Attempts {
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

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Why the last one failed, if it did.
    fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }
}

#[derive(Default)]
struct State {
    stop: bool,
    flusher: Option<Box<dyn JoinHandle>>,
    checkpointer: Option<Box<dyn JoinHandle>>,
    compactor: Option<Box<dyn JoinHandle>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("stop", &self.stop)
            .field("flusher", &self.flusher.is_some())
            .field("checkpointer", &self.checkpointer.is_some())
            .field("compactor", &self.compactor.is_some())
            .finish()
    }
}

impl Background {
    /// No thread yet. The threads keep `core` alive until [`Background::stop`].
    pub(crate) fn new(core: Weak<Core>) -> Background {
        Background {
            state: Mutex::default(),
            wake: Condvar::new(),
            paid: Condvar::new(),
            checkpoints: Attempts::default(),
            compactions: Attempts::default(),
            flush_wanted: AtomicBool::new(false),
            checkpoint_wanted: AtomicBool::new(false),
            active: AtomicBool::new(false),
            owed_nanos: AtomicU64::new(0),
            owed_to_compaction: AtomicU64::new(0),
            compaction_wanted: AtomicBool::new(false),
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
            [
                state.flusher.take(),
                state.checkpointer.take(),
                state.compactor.take(),
            ]
        };
        self.wake.notify_all();
        self.paid.notify_all();
        for thread in threads.into_iter().flatten() {
            if !thread.join()
                && let Some(core) = self.core.upgrade()
            {
                core.trees.poison.set("a background thread panicked");
            }
        }
    }

    /// Starts `body` on a thread called `name` unless `slot` holds one already.
    fn start(
        &self,
        core: &Core,
        name: &str,
        slot: impl Fn(&mut State) -> &mut Option<Box<dyn JoinHandle>>,
        body: fn(&Core),
    ) {
        let mut state = self.state.lock();
        if state.stop || slot(&mut state).is_some() {
            return;
        }
        let Some(shared) = self.core.upgrade() else {
            return;
        };
        // Where no thread can be had now, the next request tries again.
        *slot(&mut state) = core.env.spawn(name, move || body(&shared)).ok();
    }

    /// Asks for a flush within the configured interval.
    pub(crate) fn flush_soon(&self, core: &Core) {
        let wanted = &self.flush_wanted;
        if core.options.background
            && !wanted.load(Ordering::Acquire)
            && !wanted.swap(true, Ordering::AcqRel)
        {
            self.wake_flusher(core);
        }
    }

    /// Asks for the next log segment, now: commits come fast enough to end this one soon.
    pub(crate) fn prepare_log_soon(&self, core: &Core) {
        if core.options.background {
            self.wake_flusher(core);
        }
    }

    fn wake_flusher(&self, core: &Core) {
        self.start(
            core,
            "rustling-flush",
            |state| &mut state.flusher,
            flush_loop,
        );
        drop(self.state.lock());
        self.wake.notify_all();
    }

    /// Asks for a checkpoint; where the last one failed, only in a while.
    pub(super) fn checkpoint_soon(&self, core: &Core) {
        let failed = self.checkpoints.failure().is_some();
        let wanted = if failed {
            &self.active
        } else {
            &self.checkpoint_wanted
        };
        self.wake_checkpointer(core, wanted);
    }

    /// There is something that a checkpoint in good time should hold.
    pub(crate) fn note_activity(&self, core: &Core) {
        if core.options.background {
            self.wake_checkpointer(core, &self.active);
        }
    }

    fn wake_checkpointer(&self, core: &Core, wanted: &AtomicBool) {
        if !wanted.load(Ordering::Acquire) && !wanted.swap(true, Ordering::AcqRel) {
            self.start(
                core,
                "rustling-checkpoint",
                |state| &mut state.checkpointer,
                checkpoint_loop,
            );
            drop(self.state.lock());
            self.wake.notify_all();
        }
    }

    /// Asks for a compaction.
    pub(super) fn compact_soon(&self, core: &Core) {
        let wanted = &self.compaction_wanted;
        if core.options.background
            && !wanted.load(Ordering::Acquire)
            && !wanted.swap(true, Ordering::AcqRel)
        {
            self.start(
                core,
                "rustling-compact",
                |state| &mut state.compactor,
                compact_loop,
            );
            drop(self.state.lock());
            self.wake.notify_all();
        }
    }

    /// Lets stopped writers look again.
    pub(crate) fn debt_paid(&self) {
        drop(self.state.lock());
        self.paid.notify_all();
    }

    /// Waits for a while, or until the threads shall end: what has failed would only fail again.
    fn pause(&self, core: &Core) {
        let end = core.env.now() + core.options.quiet_interval;
        let mut state = self.state.lock();
        loop {
            let left = end.saturating_sub(core.env.now());
            if state.stop || left.is_zero() {
                return;
            }
            self.wake.wait_for(&mut state, left);
        }
    }

    /// Waits for a request; `None` when the thread shall end.
    fn wait_for(&self, is_wanted: impl Fn() -> bool) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        while !state.stop && !is_wanted() {
            self.wake.wait(&mut state);
        }
        (!state.stop).then_some(state)
    }
}

fn flush_loop(core: &Core) {
    let background = &core.background;
    let wants_flush = || background.flush_wanted.load(Ordering::Acquire);
    while let Some(mut state) = background.wait_for(|| wants_flush() || wants_segment(core)) {
        if !wants_flush() {
            // A flush would hold up whoever writes the log, for nobody.
            drop(state);
            prepare_log(core);
            continue;
        }
        // When the first of the commits that wait for this was made.
        let start = core.wait_points.asynchronous.start();
        let deadline = core.env.now() + core.options.async_flush_interval;
        loop {
            let left = deadline.saturating_sub(core.env.now());
            if state.stop || left.is_zero() || wants_segment(core) {
                break;
            }
            background.wake.wait_for(&mut state, left);
        }
        drop(state);
        background.flush_wanted.store(false, Ordering::Release);
        // A failure has poisoned the store: the next commit says so.
        let _ = core.flush();
        core.wait_points.asynchronous.stop(start);
        prepare_log(core);
    }
}

fn wants_segment(core: &Core) -> bool {
    core.sequencer.wal().is_some_and(Wal::wants_segment)
}

/// Makes the next log segment before somebody has to wait for it.
fn prepare_log(core: &Core) {
    if let Some(wal) = core.sequencer.wal() {
        // A full disk is the commit's to report.
        let _ = wal.prepare_ahead();
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
                self.wake.wait(&mut state);
                tick = core.env.now() + core.options.quiet_interval;
                continue;
            }
            let left = tick.saturating_sub(core.env.now());
            if left.is_zero() {
                return Some(Awake::Tick);
            }
            self.wake.wait_for(&mut state, left);
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
    // Whoever commits from now on says so again.
    background.active.store(false, Ordering::Release);
    core.vacuum(Vacuum::Worthwhile, &|| {
        at_rest()
            && !background.checkpoint_wanted.load(Ordering::Acquire)
            && !background.state.lock().stop
    })
    .map(|_| ())
}

fn checkpoint_if_due(core: &Core) -> Result<()> {
    prepare_log(core);
    let tables = &core.trees.media.tables;
    if core.debt() >= core.debt_limit() || tables.memtable_bytes() >= tables.memtable_limit() {
        core.checkpoint()?;
    }
    Ok(())
}

fn compact_loop(core: &Core) {
    let background = &core.background;
    let wants_compaction = || background.compaction_wanted.load(Ordering::Acquire);
    while let Some(state) = background.wait_for(wants_compaction) {
        drop(state);
        background.compaction_wanted.store(false, Ordering::Release);
        let done = compact_if_due(core);
        let failed = done.is_err();
        background.compactions.note(done);
        background.debt_paid();
        if failed {
            background.pause(core);
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
    fn debt_limit(&self) -> u64 {
        let factor = if self.sequencer.wal().is_some() {
            1
        } else {
            MEMORY_FACTOR
        };
        self.options.checkpoint_wal_bytes.saturating_mul(factor)
    }

    /// Holds a writer of `bytes` back where checkpoints have fallen behind: not at all up to one
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
        let total = self
            .background
            .owed_nanos
            .fetch_add(owed, Ordering::Relaxed)
            + owed;
        if total >= SHORTEST_SLEEP {
            self.background
                .owed_nanos
                .fetch_sub(total, Ordering::Relaxed);
            let nap = Duration::from_nanos(total);
            self.wait_points.debt.time(|| self.env.sleep(nap));
        }
        Ok(())
    }

    /// Waits for checkpoints until `in_debt` says no, or none can help.
    ///
    /// # Errors
    /// Why a checkpoint failed that was made meanwhile, where that leaves the debt.
    pub(super) fn wait_while(&self, in_debt: impl Fn() -> bool) -> Result<()> {
        let background = &self.background;
        let before = background.checkpoints.failures();
        let has_failed = || background.checkpoints.failures() != before;
        let can_help = |state: &State| state.checkpointer.is_some() && !has_failed();
        self.wait_for_thread(&in_debt, can_help, &background.checkpoint_wanted);
        match background.checkpoints.failure() {
            Some(error) if has_failed() && in_debt() => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for compactions until `in_debt` says no, or none can help.
    pub(super) fn wait_while_compacting(&self, in_debt: impl Fn() -> bool) {
        let background = &self.background;
        let can_help =
            |state: &State| state.compactor.is_some() && background.compactions.failure().is_none();
        self.wait_for_thread(in_debt, can_help, &background.compaction_wanted);
    }

    fn wait_for_thread(
        &self,
        in_debt: impl Fn() -> bool,
        can_help: impl Fn(&State) -> bool,
        wanted: &AtomicBool,
    ) {
        let mut state = self.background.state.lock();
        while in_debt() && !state.stop && can_help(&state) && !self.trees.poison.is_poisoned() {
            if !wanted.swap(true, Ordering::AcqRel) {
                self.background.wake.notify_all();
            }
            self.background
                .paid
                .wait_for(&mut state, Duration::from_millis(100));
        }
    }
}
