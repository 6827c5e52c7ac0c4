//! The conformance suites on the command line; `cargo xtask conformance` runs it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use rustling_conformance::{
    Error, Mode, Result, corpus, regress,
    score::{self, Report},
    slt, sqltest,
};

/// Scores RustlingDB against conformance corpora.
#[derive(Parser)]
struct Arguments {
    /// Which corpus; `all` runs every one.
    suite: Suite,
    /// How much of it.
    #[arg(long, value_enum, default_value_t = HowMuch::Full)]
    mode: HowMuch,
    /// Only scripts whose names contain this (regress).
    #[arg(long)]
    only: Option<String>,
    /// Where to write every failing statement.
    #[arg(long)]
    list: Option<PathBuf>,
    /// Compare with the checked-in counts, which may only rise.
    #[arg(long)]
    ratchet: bool,
    /// Raise the checked-in counts to what passes now.
    #[arg(long)]
    update: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    All,
    Slt,
    Sqltest,
    Regress,
    /// Take down PostgreSQL's answers anew, with psql.
    Record,
}

#[derive(Clone, Copy, ValueEnum)]
enum HowMuch {
    Quick,
    Full,
    Slow,
}

/// How many failures are printed.
const SHOWN: usize = 10;

fn reports(arguments: &Arguments) -> Result<Vec<Report>> {
    let mode = match arguments.mode {
        HowMuch::Quick => Mode::Quick,
        HowMuch::Full => Mode::Full,
        HowMuch::Slow => Mode::Slow,
    };
    let wanted = |suite| arguments.suite == suite || arguments.suite == Suite::All;
    let mut reports = Vec::new();
    if wanted(Suite::Sqltest) {
        reports.push(sqltest::run()?);
    }
    if wanted(Suite::Regress) {
        reports.push(regress::run(arguments.only.as_deref())?);
    }
    if wanted(Suite::Slt) {
        let name = |executor: &str| match mode {
            Mode::Quick => format!("slt-quick {executor}"),
            Mode::Full | Mode::Slow => format!("slt {executor}"),
        };
        for executor in ["row", "vector"] {
            reports.push(slt::run(mode, &name(executor), &[("executor", executor)])?);
        }
        if mode == Mode::Slow {
            let settings = [("executor", "row"), ("optimizer", "off")];
            reports.push(slt::run(mode, &name("unoptimized"), &settings)?);
        }
    }
    Ok(reports)
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.suite == Suite::Record {
        return regress::record::record();
    }
    let reports = reports(arguments)?;
    let mut list = String::new();
    for report in &reports {
        println!("{report}");
        for failure in report.failures.iter().take(SHOWN) {
            println!("{failure}");
        }
        list.push_str(&report.failure_list());
    }
    if let Some(path) = &arguments.list {
        std::fs::write(path, list).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
    }
    if arguments.ratchet || arguments.update {
        let path = corpus::folder("ratchet.txt");
        score::ratchet(&path, &reports, arguments.update)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
