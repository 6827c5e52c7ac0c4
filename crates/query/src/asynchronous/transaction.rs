//! A transaction in this process whose statements are futures.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustling_sql::{Result, Session};

use super::{
    AsyncConnection,
    connection::Kind,
    threads::{Permits, Threads},
    work::Abandoned,
};
use crate::Connect;

/// An open transaction whose statements are futures. Dropping it rolls it back.
///
/// A statement whose future is dropped has run when the next one does, or it never will.
pub struct AsyncTransaction(Open);

impl fmt::Debug for AsyncTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncTransaction").finish_non_exhaustive()
    }
}

impl AsyncTransaction {
    pub(super) fn of(session: Session, threads: Threads) -> AsyncTransaction {
        AsyncTransaction(Open {
            threads,
            turns: Permits::new(1),
            session: Arc::new(Mutex::new(session)),
            abandoned: Arc::default(),
        })
    }

    /// Commits. Streams of its rows must have ended, or been dropped.
    ///
    /// # Errors
    /// Where it cannot: what got in the way, or that a statement before has failed.
    pub async fn commit(self) -> Result<()> {
        let threads = self.0.threads.clone();
        threads.run(move || self.0.at_rest().commit()).await
    }

    /// Rolls back, as dropping does, and waits until it is done.
    ///
    /// # Errors
    /// Where rows of it are still being read.
    pub async fn rollback(self) -> Result<()> {
        let threads = self.0.threads.clone();
        threads.run(move || self.0.at_rest().rollback()).await
    }
}

impl Connect for AsyncTransaction {
    type Connection<'a> = AsyncConnection<'a>;

    fn as_connection(&self) -> AsyncConnection<'_> {
        AsyncConnection(Kind::Transaction(&self.0))
    }
}

/// The session of a transaction, for threads that run its statements.
#[derive(Clone)]
pub(super) struct Open {
    /// What its statements run on, whatever else waits for the locks that it holds.
    pub(super) threads: Threads,
    /// One statement has a thread at a time: the others would only wait for it there.
    pub(super) turns: Permits,
    session: Arc<Mutex<Session>>,
    pub(super) abandoned: Arc<Abandoned>,
}

impl Open {
    /// The session, once the statement before has ended.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, once no thread is at work for it that nobody waits for: the transaction cannot
    /// end while rows of it are computed.
    fn at_rest(&self) -> MutexGuard<'_, Session> {
        self.abandoned.end();
        self.session()
    }
}
