//! The threads that work runs on.
//!
//! A statement waits for locks that open transactions hold, and keeps its thread meanwhile. So that
//! those transactions can go on and end, what they do never waits for a thread that such a
//! statement has: it gets one of its own. All else is limited.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_channel::{Receiver, Sender};
use async_task::{Builder, FallibleTask, Runnable};
use rustling_sql::{Database, Error, Result, SqlState};

/// How many works outside of transactions run at a time: fewer than the crate `blocking` has
/// threads by default, which others in this process may want as well.
const LIMIT: usize = 400;

/// How long a thread waits for more to do before it ends.
const IDLE: Duration = Duration::from_secs(2);

/// Runs work that belongs to no open transaction on a thread, once fewer than [`LIMIT`] others do.
pub(super) async fn run_limited<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let permit = GIVEN.take().await;
    blocking::unblock(move || {
        // Kept until the work has ended, whether somebody still waits for it or not.
        let _permit = permit;
        work()
    })
    .await
}

/// What the works outside of transactions have.
static GIVEN: LazyLock<Permits> = LazyLock::new(|| Permits::new(LIMIT));

/// Says how many works run at a time. Holds something for every permit that is given.
#[derive(Clone)]
pub(super) struct Permits(Sender<()>, Receiver<()>);

/// One of the works that may run; dropped when it has ended, or is given up.
pub(super) struct Permit(Receiver<()>);

impl Permits {
    /// Permits for as many works at a time.
    pub(super) fn new(limit: usize) -> Permits {
        let (sender, receiver) = async_channel::bounded(limit);
        Permits(sender, receiver)
    }

    /// Waits until fewer works than may run do.
    pub(super) async fn take(&self) -> Permit {
        // The other end is here, so that the channel is never closed.
        let _ = self.0.send(()).await;
        Permit(self.1.clone())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}

/// As many threads as there is work for. They end when there has been none for a while.
#[derive(Clone)]
pub(super) struct Threads(Arc<Pool>);

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

type Body = Box<dyn FnOnce() + Send>;

struct Pool {
    /// Starts a thread, as the database would.
    spawn: Box<dyn Fn(Body) -> io::Result<()> + Send + Sync>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// What is to be done: never more than there are threads that wait for it.
#[derive(Default)]
struct Queue {
    works: VecDeque<Runnable>,
    idle: usize,
}

impl Threads {
    /// Threads of the kind that the database has.
    pub(super) fn of(database: &Database) -> Threads {
        // Not the database itself: threads that are idle must not keep it open.
        let env = database.env().clone();
        Threads(Arc::new(Pool {
            spawn: Box::new(move |body| env.spawn("rustling-statement", body).map(drop)),
            queue: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Runs work on a thread, at once.
    ///
    /// # Errors
    /// What the work fails with; 53000 where the system refuses a thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = self.start(async move { work() }).await;
        done.unwrap_or_else(|| Err(no_thread()))
    }

    /// Starts a future on the threads. What is given gives its result, or `None` where the system
    /// refused a thread; dropping it ends the future where it waits next.
    pub(super) fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> FallibleTask<T> {
        let pool = Arc::clone(&self.0);
        let schedule = move |work| pool.schedule(work);
        // Whoever waits for the work panics with it, the thread does not.
        let builder = Builder::new().propagate_panic(true);
        let (runnable, task) = builder.spawn(|()| work, schedule);
        runnable.schedule();
        task.fallible()
    }
}

impl Pool {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(self: &Arc<Pool>, work: Runnable) {
        let mut queue = self.queue();
        if queue.idle > queue.works.len() {
            queue.works.push_back(work);
            drop(queue);
            self.changed.notify_one();
            return;
        }
        drop(queue);
        let pool = Arc::clone(self);
        // Where there is no thread for it the work is dropped with the closure, which whoever waits
        // for it is told.
        let _ = (self.spawn)(Box::new(move || pool.work(work)));
    }

    /// What a thread does.
    fn work(&self, first: Runnable) {
        let mut next = Some(first);
        while let Some(work) = next {
            // What a dropped future panics with reaches nobody.
            let _ = catch_unwind(AssertUnwindSafe(|| work.run()));
            next = self.next();
        }
    }

    /// Waits for more to do.
    fn next(&self) -> Option<Runnable> {
        let mut queue = self.queue();
        queue.idle += 1;
        loop {
            if let Some(work) = queue.works.pop_front() {
                queue.idle -= 1;
                return Some(work);
            }
            let waited = self.changed.wait_timeout(queue, IDLE);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = now;
            if timeout.timed_out() && queue.works.is_empty() {
                queue.idle -= 1;
                return None;
            }
        }
    }
}

pub(super) fn no_thread() -> Error {
    Error::new(
        SqlState("53000"),
        "the system has no thread for the statement",
    )
    .hint("Allow this process more threads, or keep fewer transactions open.")
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    fn threads() -> Threads {
        Threads::of(&Database::in_memory().unwrap())
    }

    #[test]
    fn there_is_a_thread_for_each_work() {
        let threads = threads();
        let wait = Arc::new(std::sync::Barrier::new(40));
        let works: Vec<_> = (0..40)
            .map(|number| {
                let wait = Arc::clone(&wait);
                // None ends before all have begun.
                threads.start(async move {
                    wait.wait();
                    number
                })
            })
            .collect();
        let sum: i32 = works
            .into_iter()
            .map(|work| block_on(work).expect("a thread"))
            .sum();
        assert_eq!(sum, 780);
    }

    #[test]
    fn what_has_no_thread_is_an_error() {
        let threads = Threads(Arc::new(Pool {
            spawn: Box::new(|_| Err(io::Error::other("none left"))),
            queue: Mutex::default(),
            changed: Condvar::new(),
        }));
        let error = block_on(threads.run(|| Ok(1))).unwrap_err();
        assert_eq!(error.state(), SqlState("53000"));
    }

    #[test]
    fn works_outside_of_transactions_are_limited() {
        block_on(async {
            let mut permits = Vec::new();
            for _ in 0..LIMIT {
                permits.push(GIVEN.take().await);
            }
            let mut one_more = Box::pin(GIVEN.take());
            assert!(poll_once(&mut one_more).await.is_none());
            permits.pop();
            one_more.await;
        });
    }

    #[test]
    fn panics_reach_who_waits() {
        let threads = threads();
        let work = threads.start(async { panic!("of the work") });
        let caught = catch_unwind(AssertUnwindSafe(|| block_on(work)));
        assert!(caught.is_err());
        assert_eq!(block_on(threads.run(|| Ok(1))).unwrap(), 1);
    }
}
