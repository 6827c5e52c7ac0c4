//! Ending a statement from outside.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rustling_txn::CancelHandle;

use crate::{Error, Result, SqlState};

/// Ends what a session is doing, from any thread or signal-driven task. Clones share it.
///
/// A statement that is ended fails with SQLSTATE 57014. What runs later is not concerned.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    terminated: AtomicBool,
    /// Ends the running transaction's lock waits.
    waits: Mutex<Option<CancelHandle>>,
}

impl CancelToken {
    /// Ends the statement that is running, if there is one.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
        if let Some(waits) = &*self.shared.waits.lock() {
            waits.cancel();
        }
    }

    /// Ends the statement that is running, and says that the session is to end.
    pub fn terminate(&self) {
        self.shared.terminated.store(true, Ordering::Relaxed);
        self.cancel();
    }

    /// Whether the session is to end: whoever serves it sees to that.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.shared.terminated.load(Ordering::Relaxed)
    }

    /// A statement begins: earlier cancellations do not concern it.
    pub(crate) fn reset(&self, waits: Option<CancelHandle>) {
        self.shared.cancelled.store(false, Ordering::Relaxed);
        *self.shared.waits.lock() = waits;
    }

    /// Fails where the statement is to end.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.shared.cancelled.load(Ordering::Relaxed) {
            return Err(cancelled());
        }
        Ok(())
    }
}

/// The error of a statement ended by its user.
#[cold]
pub(crate) fn cancelled() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to user request",
    )
}

/// The error of a statement that ran too long.
#[cold]
pub(crate) fn timed_out() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to statement timeout",
    )
    .hint("Raise it with SET statement_timeout, or turn it off with SET statement_timeout = 0.")
}
