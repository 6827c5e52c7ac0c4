//! Everything the store asks of the world beside files: time, randomness and threads.
//! Together with [`Vfs`] it is what a simulation replaces, so that a run replays from a seed.

use std::{sync::Arc, time::Duration};

use crate::{sync::thread, vfs::Vfs, vfs_memory::MemoryVfs, vfs_os::OsVfs};

/// Monotonic and wall-clock time, and sleeping.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Time since an arbitrary fixed point; never goes back.
    fn now(&self) -> Duration;
    /// Microseconds since 1970-01-01T00:00:00Z. May jump; proves nothing about order.
    fn wall_clock_micros(&self) -> i64;
    /// Blocks the calling thread.
    fn sleep(&self, duration: Duration);
}

/// A source of random numbers (salts, sampling, jitter: nothing secret).
pub trait Randomness: Send + Sync + std::fmt::Debug {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// A running background thread. Dropping the handle detaches it.
pub trait JoinHandle: Send + Sync {
    /// Waits for the thread's end; false where it panicked.
    fn join(self: Box<Self>) -> bool;
}

/// Starts threads.
pub trait Spawner: Send + Sync + std::fmt::Debug {
    /// Runs `body` on a thread called `name`.
    ///
    /// # Errors
    /// Where the system refuses another thread.
    fn spawn(
        &self,
        name: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> std::io::Result<Box<dyn JoinHandle>>;
}

/// The world as a store sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    /// Files.
    pub vfs: Arc<dyn Vfs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Randomness>,
    /// Threads.
    pub spawner: Arc<dyn Spawner>,
}

impl Env {
    /// The operating system: its files, clock, random numbers and threads.
    #[must_use]
    pub fn system() -> Env {
        Env::with_vfs(OsVfs::new())
    }

    /// As [`Env::system`], but with files that live in this process's memory.
    #[must_use]
    pub fn in_memory() -> Env {
        Env::with_vfs(MemoryVfs::new())
    }

    /// The system's clock, random numbers and threads over a file system of the caller's.
    #[must_use]
    pub fn with_vfs(vfs: impl Vfs + 'static) -> Env {
        Env {
            vfs: Arc::new(vfs),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandomness),
            spawner: Arc::new(SystemSpawner),
        }
    }

    /// Time since an arbitrary fixed point; never goes back.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Microseconds since 1970-01-01T00:00:00Z. May jump.
    #[must_use]
    pub fn wall_clock(&self) -> i64 {
        self.clock.wall_clock_micros()
    }

    /// Blocks the calling thread.
    pub fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration);
    }

    /// Runs `body` on a thread called `name`.
    ///
    /// # Errors
    /// Where the system refuses another thread.
    pub fn spawn(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Box<dyn JoinHandle>> {
        self.spawner.spawn(name, Box::new(body))
    }
}

/// The system's clocks.
#[derive(Debug)]
struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn new() -> SystemClock {
        SystemClock {
            start: std::time::Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn wall_clock_micros(&self) -> i64 {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => -micros(before.duration()),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

/// A generator per thread, seeded by the system.
#[derive(Debug)]
struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next_u64(&self) -> u64 {
        fastrand::u64(..)
    }
}

/// The system's threads.
#[derive(Debug)]
struct SystemSpawner;

struct SystemThread(thread::JoinHandle<()>);

impl JoinHandle for SystemThread {
    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

impl Spawner for SystemSpawner {
    fn spawn(
        &self,
        name: &str,
        body: Box<dyn FnOnce() + Send>,
    ) -> std::io::Result<Box<dyn JoinHandle>> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Box::new(SystemThread(thread)))
    }
}
