//! `cargo xtask conformance slt|sqltest|regress`: scores against public corpora. The runner is the
//! package in `tests/conformance`, with every debug assertion: in quick mode built as the tests
//! are, else optimised.

use std::path::PathBuf;

use crate::{Result, command, gates::Mode, run as run_command};

/// A corpus, or what can be done with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Every corpus.
    All,
    /// sqllogictest files, in both executors.
    Slt,
    /// Feature tests of SQL:2016's mandatory part.
    Sqltest,
    /// PostgreSQL's regression tests.
    Regress,
    /// Take down PostgreSQL's answers anew, with psql and a server that it reaches.
    Record,
}

/// What `cargo xtask conformance` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which corpus.
    #[arg(value_enum)]
    pub suite: Suite,
    /// How much of it: `quick` the beginning of every file, `deep` also without the optimizer.
    #[arg(long, value_enum, default_value_t = Mode::Full)]
    pub mode: Mode,
    /// Where to write every failing statement.
    #[arg(long)]
    pub list: Option<PathBuf>,
    /// Only scripts whose names contain this (regress).
    #[arg(long)]
    pub only: Option<String>,
    /// Raise the checked-in counts of quick mode to what passes now.
    #[arg(long)]
    pub update: bool,
}

/// Runs a suite.
///
/// # Errors
/// Where it cannot be run, or fewer statements pass than the checked-in counts.
pub fn run(options: &Options) -> Result<()> {
    // Built as the other tests are: anything else would compile dependencies again, with the
    // features of this one package.
    let mut cargo = command(
        "cargo",
        &[
            "test",
            "--workspace",
            "--features",
            "rustling-tests/gates",
            "--test",
            "conformance",
        ],
    );
    if options.mode != Mode::Quick {
        cargo.args(["--profile", "gate"]);
    }
    cargo.arg("--").arg(match options.suite {
        Suite::All => "all",
        Suite::Slt => "slt",
        Suite::Sqltest => "sqltest",
        Suite::Regress => "regress",
        Suite::Record => "record",
    });
    cargo.args([
        "--mode",
        match options.mode {
            Mode::Quick => "quick",
            Mode::Full => "full",
            Mode::Deep => "slow",
        },
    ]);
    if options.mode == Mode::Quick && options.only.is_none() {
        cargo.arg("--ratchet");
    }
    if let Some(list) = &options.list {
        cargo.arg("--list").arg(list);
    }
    if let Some(only) = &options.only {
        cargo.arg("--only").arg(only);
    }
    if options.update {
        cargo.arg("--update");
    }
    run_command(&mut cargo)
}

/// The checked-in counts, for `cargo xtask ci`.
///
/// # Errors
/// As [`run`].
pub fn ratchet() -> Result<()> {
    run(&Options {
        suite: Suite::All,
        mode: Mode::Quick,
        list: None,
        only: None,
        update: false,
    })
}
