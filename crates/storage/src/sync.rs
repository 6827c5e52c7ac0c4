//! What threads meet at: locks, condition variables, parking, the atomics that publish something to
//! other threads, and the threads themselves. They are those of `parking_lot`, `crossbeam` and the
//! standard library, under their own names and at no cost; or, with the feature `shuttle`, ones
//! whose every step is decided by a test's scheduler (`crates/storage/tests/schedules.rs`).
//!
//! Not here is what orders nothing: counters for statistics and estimates, values that are set once
//! ([`std::sync::OnceLock`], looked up without waiting), the arena of page buffers, and all that talks
//! to the operating system.

#[cfg(feature = "shuttle")]
mod scheduled;

#[cfg(feature = "shuttle")]
pub use scheduled::*;

#[cfg(not(feature = "shuttle"))]
pub(crate) use real::*;

#[cfg(not(feature = "shuttle"))]
mod real {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicUsize, Ordering},
    };

    pub(crate) use crossbeam_utils::sync::{Parker, ShardedLock, ShardedLockReadGuard, Unparker};
    pub(crate) use parking_lot::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };

    /// Atomics that publish.
    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
    }

    /// Threads.
    pub(crate) mod thread {
        pub(crate) use std::thread::{Builder, JoinHandle, sleep};
    }

    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// The calling thread's number: threads are counted from 0 as they first ask.
    #[inline]
    pub(crate) fn thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NUMBER.with(|number| match number.get() {
            Some(number) => number,
            None => {
                let next = NEXT.fetch_add(1, Ordering::Relaxed);
                number.set(Some(next));
                next
            }
        })
    }
}
