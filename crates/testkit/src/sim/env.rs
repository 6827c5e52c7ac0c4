//! Simulated time and randomness, and the environment made of them and a [`SimVfs`].

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustling_storage::{Clock, Env, JoinHandle, Randomness, Spawner};

use super::{image::DiskImage, vfs::SimVfs};

/// A clock that moves only when something happens: each file operation takes a fixed time, a
/// hang a long one, a sleep exactly what it says.
#[derive(Debug, Default)]
pub struct SimClock {
    nanos: AtomicU64,
    wall_offset_micros: AtomicI64,
}

/// 2026-01-01T00:00:00Z, where every simulated wall clock starts.
const WALL_START_MICROS: i64 = 1_767_225_600_000_000;

impl SimClock {
    /// Moves monotonic and wall-clock time forward.
    pub fn advance(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets the wall clock forward or back; monotonic time does not notice.
    pub fn jump_wall_clock(&self, micros: i64) {
        self.wall_offset_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn wall_clock_micros(&self) -> i64 {
        let elapsed = i64::try_from(self.nanos.load(Ordering::Relaxed) / 1000).unwrap_or(i64::MAX);
        WALL_START_MICROS
            .saturating_add(elapsed)
            .saturating_add(self.wall_offset_micros.load(Ordering::Relaxed))
    }

    /// Advances the simulated time at once. The calling thread pauses for a moment of real
    /// time, so that a background thread that sleeps in a loop does not take a whole core.
    #[expect(
        clippy::disallowed_methods,
        reason = "yields the real core; no result depends on how long"
    )]
    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        std::thread::sleep(duration.min(Duration::from_micros(200)));
    }
}

/// Random numbers from a seed.
#[derive(Debug)]
pub struct SimRandom {
    rng: Mutex<fastrand::Rng>,
}

impl SimRandom {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> SimRandom {
        SimRandom {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
        }
    }
}

impl Randomness for SimRandom {
    fn next_u64(&self) -> u64 {
        self.rng.lock().u64(..)
    }
}

/// Starts real threads. How they interleave does not replay from a seed; a test that must
/// replay uses [`NoThreads`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RealThreads;

struct RealThread(std::thread::JoinHandle<()>);

impl JoinHandle for RealThread {
    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

impl Spawner for RealThreads {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn JoinHandle>> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)?;
        Ok(Box::new(RealThread(thread)))
    }
}

/// Refuses to start threads, as a system out of them would.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoThreads;

impl Spawner for NoThreads {
    fn spawn(
        &self,
        name: &str,
        _body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<Box<dyn JoinHandle>> {
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("no thread for {name}: this simulation runs on one"),
        ))
    }
}

/// A simulated world: disk, clock and randomness from one seed.
#[derive(Clone, Debug)]
pub struct SimEnv {
    /// The disk.
    pub vfs: Arc<SimVfs>,
    /// The clock, which the disk's operations move.
    pub clock: Arc<SimClock>,
    seed: u64,
}

impl SimEnv {
    /// A world with an empty disk.
    #[must_use]
    pub fn new(seed: u64) -> SimEnv {
        SimEnv::from_vfs(SimVfs::new(seed), seed)
    }

    /// A world that starts with what a crash left.
    #[must_use]
    pub fn from_image(image: &DiskImage, seed: u64) -> SimEnv {
        SimEnv::from_vfs(SimVfs::from_image(image, seed), seed)
    }

    fn from_vfs(vfs: SimVfs, seed: u64) -> SimEnv {
        SimEnv {
            clock: vfs.clock().clone(),
            vfs: Arc::new(vfs),
            seed,
        }
    }

    /// The environment to open a store with: no threads, so that everything replays.
    #[must_use]
    pub fn env(&self) -> Env {
        self.env_with(Arc::new(NoThreads))
    }

    /// The environment with real threads.
    #[must_use]
    pub fn env_with_threads(&self) -> Env {
        self.env_with(Arc::new(RealThreads))
    }

    fn env_with(&self, spawner: Arc<dyn Spawner>) -> Env {
        Env {
            vfs: self.vfs.clone(),
            clock: self.clock.clone(),
            random: Arc::new(SimRandom::new(self.seed ^ 0x7a4d_0a11)),
            spawner,
        }
    }

    /// Ends the process that uses this world and starts another on the same disk: locks and
    /// handles are gone (those of the old process fail), the page cache stays.
    #[must_use]
    pub fn restart_process(&self) -> SimEnv {
        SimEnv {
            vfs: Arc::new(self.vfs.restart_process()),
            clock: self.clock.clone(),
            seed: self.seed.wrapping_add(1),
        }
    }
}
