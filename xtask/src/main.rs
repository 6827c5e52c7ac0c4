//! `cargo xtask`: see the library's tour for the list of tasks.
#![expect(clippy::print_stderr, reason = "a command-line program")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{
    bench, ci, conformance, demo, gate_f,
    gates::{self, Gate, Mode},
    miri, tidy, workspace_root,
};

/// Developer tasks of RustlingDB.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Format, clippy, tidy, unit, golden, integration and doc tests, gates in quick mode.
    Ci,
    /// Check the house rules: layers, docs, banned calls, file sizes.
    Tidy,
    /// Gate A, crash and recovery: no acknowledged commit lost, no partial transaction.
    GateA(GateArguments),
    /// Gate B, page cache: readers and writers over a pool far smaller than the data.
    GateB(GateArguments),
    /// Gate C, atomicity: multi-statement transactions commit or abort whole, under crash too.
    GateC(GateArguments),
    /// Gate D, snapshots under concurrent writers and vacuum, and what transactions see.
    GateD(GateArguments),
    /// Gate E, compaction: snapshots held open stay as they are while tables are merged.
    GateE(GateArguments),
    /// Gate F, the server: unmodified clients, pgbench, kill -9 without losing what was acknowledged.
    GateF(GateArguments),
    /// Run tests of the storage layer under Miri (needs a nightly toolchain with it).
    Miri,
    /// Score the database against public conformance corpora.
    Conformance(conformance::Options),
    /// Load the sample data into a new database and answer five questions about it.
    Demo,
    /// Measure, beside rivals where there are any.
    #[command(subcommand)]
    Bench(bench::Bench),
}

#[derive(clap::Args)]
struct GateArguments {
    /// How much to try.
    #[arg(long, value_enum, default_value_t = Mode::Full)]
    mode: Mode,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(&workspace_root()),
        Task::GateA(arguments) => gates::run(Gate::A, arguments.mode),
        Task::GateB(arguments) => gates::run(Gate::B, arguments.mode),
        Task::GateC(arguments) => gates::run(Gate::C, arguments.mode),
        Task::GateD(arguments) => gates::run(Gate::D, arguments.mode),
        Task::GateE(arguments) => gates::run(Gate::E, arguments.mode),
        Task::GateF(arguments) => gate_f::run(arguments.mode),
        Task::Miri => miri::run(),
        Task::Conformance(options) => conformance::run(&options),
        Task::Demo => demo::run(),
        Task::Bench(bench) => bench::run(&bench),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
