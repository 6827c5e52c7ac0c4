//! What the usual build leaves out, compiled all the same: workspaces of their own, and features that
//! exclude each other or bring a C library. It is checked, not linked, so that no C or C++ is compiled
//! for nothing.

use crate::{Error, Result, command, run as run_command, workspace_root};

/// Where workspaces of their own are built.
const TARGET: &str = "target/apart";

/// The command with each of the allocators that it may have.
///
/// # Errors
/// Where it does not compile without a warning.
#[expect(clippy::disallowed_methods, reason = "a file of the build's")]
pub fn check_features() -> Result<()> {
    let directory = workspace_root().join(TARGET);
    let library = directory.join("libjemalloc.a");
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&library, []))
        .map_err(|source| Error::File {
            path: library.clone(),
            source,
        })?;
    for feature in ["rustling-cli/jemalloc", "rustling-cli/mimalloc"] {
        // As clippy has checked the workspace: only the command is checked again.
        let features = format!("rustling-tests/gates,{feature}");
        let arguments = [
            "clippy",
            "--workspace",
            "--features",
            &features,
            "--bin",
            "rustling",
            "--",
            "--deny",
            "warnings",
        ];
        let mut clippy = command("cargo", &arguments);
        // Nobody links the library: an empty one, which has to exist, saves building it.
        clippy.env("JEMALLOC_OVERRIDE", &library);
        run_command(&mut clippy)?;
    }
    Ok(())
}

/// The fuzz targets of the storage layer, and that without any of its features: no Zstandard, no
/// `io_uring`.
///
/// # Errors
/// Where they do not compile.
pub fn check_fuzz() -> Result<()> {
    let arguments = [
        "check",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bins",
        "--target-dir",
        TARGET,
    ];
    let mut check = command("cargo", &arguments);
    check
        .env("RUSTFLAGS", "--cfg fuzzing")
        // Nobody links the fuzzer's C++ either.
        .env("CUSTOM_LIBFUZZER_PATH", "/nowhere/libfuzzer.a");
    run_command(&mut check)
}

/// The benchmarks with all rivals but RocksDB, whose C++ takes minutes.
///
/// # Errors
/// Where they do not compile.
pub fn check_benches() -> Result<()> {
    let arguments = [
        "check",
        "--manifest-path",
        "benches/Cargo.toml",
        "--all-targets",
        "--features",
        "sql",
        "--target-dir",
        TARGET,
    ];
    run_command(&mut command("cargo", &arguments))
}
