//! `cargo xtask miri`: the parts of the storage layer that rest on other crates' unsafe code, or
//! on memory ordering, in an interpreter that knows undefined behaviour when it sees it.
//!
//! The workspace itself denies unsafe code. What could still go wrong is how it uses the skip
//! list under memtables, the sharded lock of the catalog, and its own lock-free registers.

use crate::{Result, command, run as run_command};

/// Tests that fit an interpreter: each in some seconds.
const TESTS: [&str; 8] = [
    "lsm::memtable::",
    "lsm::block::",
    "lsm::filter::",
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
