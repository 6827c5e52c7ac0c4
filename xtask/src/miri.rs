//! `cargo xtask miri`: the parts of the storage layer that rest on unsafe code, of its own or of
//! other crates, or on memory ordering, in an interpreter that knows undefined behaviour when it
//! sees it.
//!
//! That is the memory of cached pages, how the skip list under memtables and the sharded lock of
//! the catalog are used, and the lock-free registers. Maps of files and rings shared with the kernel
//! are beyond it.

use crate::{Result, command, run as run_command};

/// Tests that fit an interpreter: each in some seconds.
const TESTS: [&str; 9] = [
    "lsm::memtable::",
    "lsm::block::",
    "lsm::filter::",
    "page::buffer::tests::allocated_buffers_own_their_bytes",
    "page::chunked::",
    "page::releases::",
    "pins::",
    "codec::",
    "cursor::",
];

/// Runs the tests.
///
/// # Errors
/// Where one fails, or there is no nightly toolchain with Miri.
pub fn run() -> Result<()> {
    let mut arguments = vec![
        "+nightly",
        "miri",
        "test",
        "-p",
        "rustling-storage",
        // The C library of Zstandard is beyond the interpreter.
        "--no-default-features",
        "--lib",
        "--",
    ];
    arguments.extend(TESTS);
    run_command(
        command("cargo", &arguments)
            // Clocks and random seeds are the system's.
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env("QUICKCHECK_TESTS", "20"),
    )
}
