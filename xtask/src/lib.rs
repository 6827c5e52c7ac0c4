//! The developer tasks of RustlingDB, one module per subcommand of `cargo xtask`.
//!
//! | command | what it does |
//! |---|---|
//! | `ci` | everything that must be green before a change lands |
//! | `tidy` | house rules that no compiler checks |
//! | `gate-a` … `gate-e` | the reliability gates, `--mode quick`, `full` or `deep` |
//! | `gate-f` | the server under unmodified clients, and killed at work |
//! | `fuzz` | feeds everything that reads bytes with a fuzzer, and keeps what reaches more code |
//! | `miri` | tests of the storage layer in an interpreter that finds undefined behaviour |
//! | `conformance` | scores against sqllogictest, sqltest and PostgreSQL's regression tests |
//! | `demo` | loads the sample data and answers five questions about it |
//! | `bench` | measurements, beside rivals where there are any |
//!
//! ```
//! let root = xtask::workspace_root();
//! assert!(root.join("rust-toolchain.toml").is_file());
//! ```

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

pub mod apart;
pub mod bench;
pub mod bench_macros;
pub mod ci;
pub mod conformance;
pub mod connections;
pub mod demo;
pub mod fuzz;
pub mod gate_f;
pub mod gates;
pub mod miri;
pub mod pgbench;
pub mod servers;
pub mod tidy;

/// A failed task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the task runs failed.
    #[error("{command} failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A program that the task needs cannot be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The workspace's metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] cargo_metadata::Error),
    /// House rules are broken.
    #[error("{0} findings")]
    Untidy(usize),
    /// What was measured or read is not what the task expects.
    #[error("{0}")]
    Unexpected(String),
}

/// The result of a task.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The workspace's root directory.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// A command that runs in the workspace's root.
#[must_use]
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace_root());
    // What cargo tells a program that it runs is not for the cargo that this one runs: build scripts
    // that look at it would run again, and all that depends on them.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
        command.env_remove(name);
    }
    if BUILDS_ONCE.load(Ordering::Relaxed) {
        command.envs([
            ("CARGO_INCREMENTAL", "0"),
            ("CARGO_PROFILE_DEV_CODEGEN_UNITS", "16"),
            ("CARGO_PROFILE_DEV_LTO", "off"),
            ("CARGO_PROFILE_DEV_DEBUG", "0"),
        ]);
    }
    command
}

/// Whether what the commands build is built once and not again after a change.
static BUILDS_ONCE: AtomicBool = AtomicBool::new(false);

/// From now on builds keep nothing that speeds up the next one: no small parts that could be kept
/// when others change, nothing optimised across parts, and no line numbers for backtraces. A panic
/// still says where it happened.
pub fn build_once() {
    BUILDS_ONCE.store(true, Ordering::Relaxed);
}

/// Runs `command` to its end.
///
/// # Errors
/// Where it cannot be started or does not end with success.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|source| Error::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            command: line(command),
            status: status.to_string(),
        })
    }
}

/// The command as a person would type it.
#[must_use]
pub fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        line.push(' ');
        if argument.contains(|c: char| c.is_whitespace() || "'\"*()<>;$".contains(c)) {
            line.push('"');
            line.push_str(&argument.replace('"', "\\\""));
            line.push('"');
        } else {
            line.push_str(&argument);
        }
    }
    line
}

/// Reads a text file.
///
/// # Errors
/// Where it cannot be read.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::File {
        path: path.to_path_buf(),
        source,
    })
}
