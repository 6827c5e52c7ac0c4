//! Proof for RustlingDB and for programs built on it.
//!
//! - [`sim`]: a disk, a clock and randomness that replay from a seed. The disk knows what is
//!   durable and what is not, breaks in every way that disks break, and remembers its state
//!   after every operation.
//! - [`harness`]: runs a script on that disk once and then crashes it at every operation, in
//!   every way; injects an error into every operation; flips every bit at rest.
//! - [`history`]: what concurrent transactions saw of one another, and which anomalies that
//!   makes.
//! - [`golden`]: scripts with their expected output, text in and text out; [`sessions`]: such of
//!   several sessions at once.
//!
//! What survives a power failure depends on what was synced:
//!
//! ```
//! use std::path::Path;
//! use rustling_storage::OpenMode;
//! use rustling_testkit::sim::{Crash, CrashPolicy, SimEnv};
//!
//! let world = SimEnv::new(42);
//! let env = world.env();
//! let file = env.vfs.open(Path::new("/notes"), OpenMode::CreateNew)?;
//! file.write_all_at(b"hello", 0)?;
//! file.sync_all()?;
//!
//! // The bytes are durable, but nobody synced the directory that holds the name.
//! let image = world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0));
//! assert!(image.files().is_empty());
//!
//! env.vfs.sync_dir(Path::new("/"))?;
//! let image = world.vfs.crash(&Crash::power(CrashPolicy::DropAll, 0));
//! assert_eq!(image.read(Path::new("/notes"))?, b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! To test a program of your own, give it its files through [`rustling_storage::Env`],
//! implement [`harness::Subject`] for it, and call [`harness::record`] and
//! [`harness::check_crashes`]; `tests/harness.rs` of this crate does so for a log of 60 lines.

pub mod golden;
pub mod harness;
pub mod history;
pub mod sessions;
pub mod sim;
