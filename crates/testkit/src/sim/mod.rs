//! A simulated world to run a store in: disk, clock and randomness from one seed.
//!
//! [`SimVfs`] keeps two states of every file and directory: what a reader sees, and what the
//! medium holds. Only `sync_data`, `sync_all` and `sync_dir` move changes from the first to the
//! second; a [`Crash`] decides what becomes of the rest. Nothing touches the real disk.
//!
//! ```
//! use std::path::Path;
//! use rustling_storage::{OpenMode, Vfs};
//! use rustling_testkit::sim::{Crash, CrashPolicy, SimEnv};
//!
//! let world = SimEnv::new(1);
//! let env = world.env();
//! let file = env.vfs.open(Path::new("/log"), OpenMode::CreateNew)?;
//! file.write_all_at(b"kept", 0)?;
//! file.sync_all()?;
//! env.vfs.sync_dir(Path::new("/"))?;
//! file.write_all_at(b", lost", 4)?;
//!
//! let image = world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0));
//! assert_eq!(image.read(Path::new("/log"))?, b"kept");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! One run gives all its crashes: [`SimVfs::start_recording`] before it, then
//! [`Recording::crash_points`] and [`Recording::image_at`].
//!
//! Each change of the disk, faults included, is an effect with the index of its operation, and
//! every random choice comes from a seed, so a single-threaded program replays exactly;
//! [`SimVfs::trace_hash`] tells whether it did.

mod content;
mod crash;
mod directory;
mod disk;
mod env;
mod fault;
mod file;
mod handle;
mod image;
mod recording;
mod state;
mod vfs;

pub use self::{
    crash::{Crash, CrashKind, CrashPolicy},
    env::{NoThreads, RealThreads, SimClock, SimEnv, SimRandom},
    fault::{Fault, FaultCounts, FaultPlan, OperationKind},
    image::DiskImage,
    recording::Recording,
    vfs::SimVfs,
};
