//! Work on threads, whose future may be dropped before it is done.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The works of one connection that nobody waits for any more, and that threads have yet to end.
#[derive(Default)]
pub(super) struct Abandoned {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Abandoned {
    /// Waits until there are none.
    pub(super) fn end(&self) {
        let mut count = self.count();
        while *count > 0 {
            count = self
                .changed
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends of a work that begins.
pub(super) fn begin(abandoned: &Arc<Abandoned>) -> (Working, Waiting) {
    let ends = Arc::new(Ends {
        abandoned: Arc::clone(abandoned),
        is_one_gone: AtomicBool::new(false),
    });
    (Working(Arc::clone(&ends)), Waiting(ends))
}

struct Ends {
    abandoned: Arc<Abandoned>,
    /// Changes under the lock of the count.
    is_one_gone: AtomicBool,
}

/// The end on the thread; dropped when all is done, and whatever was opened for it is closed.
pub(super) struct Working(Arc<Ends>);

/// The end of who waits for the work.
pub(super) struct Waiting(Arc<Ends>);

impl Working {
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.is_one_gone.load(Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut count = self.0.abandoned.count();
        if !self.0.is_one_gone.swap(true, Relaxed) {
            *count += 1;
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut count = self.0.abandoned.count();
        if self.0.is_one_gone.swap(true, Relaxed) {
            *count -= 1;
            self.0.abandoned.changed.notify_all();
        }
    }
}
