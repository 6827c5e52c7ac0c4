//! The primitives of [`super`] as a test's scheduler runs them. All of them work within a run of the
//! scheduler only.
//!
//! Time does not pass in a schedule. A wait on a condition variable with a limit that is not used up
//! at once ends when somebody signals it, so that a signal that never comes is found as a deadlock;
//! an attempt at a lock with a limit lets the others go on once and tries again. Atomics are
//! sequentially consistent, whatever ordering they ask for: the models with loom
//! (`crates/storage/tests/pin_protocol.rs`) are what tells one ordering from another.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{Arc, LockResult, PoisonError},
    time::Duration,
};

use shuttle::{
    future::{
        batch_semaphore::{BatchSemaphore, Fairness},
        block_on,
    },
    sync,
};

/// Atomics that publish.
pub mod atomic {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
}

/// Threads.
pub mod thread {
    pub use shuttle::thread::{Builder, JoinHandle, sleep};
}

/// The calling thread's number in its run.
#[must_use]
pub fn thread_number() -> usize {
    shuttle::current::me().into()
}

/// As `parking_lot`'s: never poisoned.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// What a held mutex protects.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` within a wait.
    held: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    fn hold(&self) -> sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else holds it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            held: Some(self.hold()),
        }
    }

    /// Holds it, unless somebody does.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let held = match self.0.try_lock() {
            Ok(held) => held,
            Err(sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(sync::TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            mutex: self,
            held: Some(held),
        })
    }

    /// What it protects.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it protects.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> MutexGuard<'_, T> {
    /// Runs `without` while the mutex is released.
    pub fn unlocked<R>(guard: &mut Self, without: impl FnOnce() -> R) -> R {
        guard.held = None;
        let result = without();
        guard.held = Some(guard.mutex.hold());
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held except within a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held except within a wait")
    }
}

/// As `parking_lot`'s.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

/// How a wait with a time limit ended.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    /// Wakes somebody who waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes everybody who waits.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits for a signal.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.held.take() {
            let held = self.0.wait(held);
            guard.held = Some(held.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits for a signal, or not at all where there is no time.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> WaitTimeoutResult {
        if limit.is_zero() {
            return WaitTimeoutResult(true);
        }
        self.wait(guard);
        WaitTimeoutResult(false)
    }
}

/// Readers that there may be at once.
const READERS: usize = 1 << 20;

/// As `parking_lot`'s: whoever waits to write keeps new readers out, and a writer may go on as a
/// reader.
#[derive(Debug)]
pub struct RwLock<T> {
    /// A reader has one of [`READERS`] permits, a writer all.
    permits: BatchSemaphore,
    /// Never waited for.
    value: parking_lot::RwLock<T>,
}

/// What a lock protects, for reading.
#[derive(Debug)]
pub struct RwLockReadGuard<'a, T> {
    permits: &'a BatchSemaphore,
    /// `None` as it is released.
    held: Option<parking_lot::RwLockReadGuard<'a, T>>,
}

/// What a lock protects, for writing.
#[derive(Debug)]
pub struct RwLockWriteGuard<'a, T> {
    permits: &'a BatchSemaphore,
    /// `None` as it is released.
    held: Option<parking_lot::RwLockWriteGuard<'a, T>>,
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            permits: BatchSemaphore::const_new(READERS, Fairness::Unfair),
            value: parking_lot::RwLock::new(value),
        }
    }

    fn reading(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard {
            permits: &self.permits,
            held: Some(self.value.try_read().expect("nobody writes")),
        }
    }

    fn writing(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard {
            permits: &self.permits,
            held: Some(self.value.try_write().expect("nobody else is there")),
        }
    }

    /// Waits until nobody writes or waits to.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        // It fails once the run has failed, which is being reported then.
        let _ = self.permits.acquire_blocking(1);
        self.reading()
    }

    /// Waits until nobody else is there.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let _ = block_on(self.permits.acquire_reserving(1, READERS));
        self.writing()
    }

    /// Reads, unless somebody writes or waits to.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.permits.try_acquire(1).ok().map(|()| self.reading())
    }

    /// Writes, unless somebody is there.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let acquired = self.permits.try_acquire(READERS).ok();
        acquired.map(|()| self.writing())
    }

    /// As [`RwLock::try_read`], and once more after others have gone on.
    pub fn try_read_for(&self, _limit: Duration) -> Option<RwLockReadGuard<'_, T>> {
        self.try_read().or_else(|| {
            shuttle::thread::yield_now();
            self.try_read()
        })
    }

    /// As [`RwLock::try_write`], and once more after others have gone on.
    pub fn try_write_for(&self, _limit: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        self.try_write().or_else(|| {
            shuttle::thread::yield_now();
            self.try_write()
        })
    }

    /// What it protects.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// What it protects.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// Goes on as a reader, with no writer in between.
    #[must_use]
    pub fn downgrade(mut guard: Self) -> RwLockReadGuard<'a, T> {
        let held = guard
            .held
            .take()
            .map(parking_lot::RwLockWriteGuard::downgrade);
        let permits = guard.permits;
        std::mem::forget(guard);
        permits.release(READERS - 1);
        RwLockReadGuard { permits, held }
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held until it is dropped")
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held until it is dropped")
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held until it is dropped")
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        self.permits.release(1);
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.held = None;
        self.permits.release(READERS);
    }
}

/// As `crossbeam`'s, with one shard.
#[derive(Debug)]
pub struct ShardedLock<T>(RwLock<T>);

/// What a [`ShardedLock`] protects, for reading.
pub type ShardedLockReadGuard<'a, T> = RwLockReadGuard<'a, T>;

impl<T> ShardedLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> ShardedLock<T> {
        ShardedLock(RwLock::new(value))
    }

    /// Waits until nobody writes or waits to.
    ///
    /// # Errors
    /// Never.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        Ok(self.0.read())
    }

    /// Waits until nobody else is there.
    ///
    /// # Errors
    /// Never.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        Ok(self.0.write())
    }
}

/// As `crossbeam`'s.
#[derive(Debug, Default)]
pub struct Parker(Unparker);

/// Wakes who parks, now or the next time.
#[derive(Clone, Debug, Default)]
pub struct Unparker(Arc<(Mutex<bool>, Condvar)>);

impl Parker {
    /// Nobody has woken it.
    #[must_use]
    pub fn new() -> Parker {
        Parker::default()
    }

    /// Who wakes it.
    #[must_use]
    pub fn unparker(&self) -> &Unparker {
        &self.0
    }

    /// Waits until it is woken, or has been since the last time.
    pub fn park(&self) {
        let (is_woken, woken) = &*self.0.0;
        let mut is_woken = is_woken.lock();
        if FORGETS.get() {
            woken.wait(&mut is_woken);
            return;
        }
        while !*is_woken {
            woken.wait(&mut is_woken);
        }
        *is_woken = false;
    }
}

impl Unparker {
    /// Wakes who parks, now or the next time.
    pub fn unpark(&self) {
        let (is_woken, woken) = &*self.0;
        *is_woken.lock() = true;
        woken.notify_one();
    }
}

thread_local! {
    /// Of the one thread that runs a schedule.
    static FORGETS: Cell<bool> = const { Cell::new(false) };
}

/// A planted defect, which schedules must find: while `run` runs, whoever is woken before he parks
/// sleeps all the same.
pub fn forget_wake_ups<R>(run: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            FORGETS.set(false);
        }
    }
    FORGETS.set(true);
    let _restore = Restore;
    run()
}
