//! The mutexes and condition variables that transactions meet at: those of `parking_lot`, or,
//! with the feature `shuttle`, ones whose schedule a test decides
//! (`crates/txn/tests/interleavings.rs`).

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
pub(crate) use scheduled::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
mod scheduled {
    use std::{
        ops::{Deref, DerefMut},
        time::Duration,
    };

    use shuttle::sync;

    /// As `parking_lot`'s: never poisoned.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// What a held mutex protects.
    #[derive(Debug)]
    pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    /// As `parking_lot`'s.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(sync::Condvar);

    /// How a wait with a time limit ended.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Waited(bool);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            let guard = self.0.lock();
            MutexGuard(Some(guard.unwrap_or_else(sync::PoisonError::into_inner)))
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("held except within a wait")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("held except within a wait")
        }
    }

    impl Waited {
        pub(crate) fn timed_out(self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            if let Some(held) = guard.0.take() {
                let held = self.0.wait(held);
                guard.0 = Some(held.unwrap_or_else(sync::PoisonError::into_inner));
            }
        }

        /// Time does not pass in a schedule: a limit that is not used up at once never is.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) -> Waited {
            if limit.is_zero() {
                return Waited(true);
            }
            self.wait(guard);
            Waited(false)
        }
    }
}
