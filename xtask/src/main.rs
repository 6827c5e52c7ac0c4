//! `cargo xtask`: see the library's tour for the list of tasks.
#![expect(clippy::print_stderr, reason = "a command-line program")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{
    bench, ci, conformance, demo, fuzz, gate_f,
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
    /// Format, clippy, tidy, unit, golden, integration and doc tests, schedules, gates in quick mode.
    Ci {
        /// Compile the benchmarks too, with the rivals that they measure.
        #[arg(long)]
        all: bool,
    },
    /// Check the house rules: layers, docs, banned calls, file sizes.
    Tidy,
    /// Gate A, crash and recovery: no acknowledged commit lost, no partial transaction.
    GateA(gates::Options),
    /// Gate B, page cache: readers and writers over a pool far smaller than the data.
    GateB(gates::Options),
    /// Gate C, atomicity: multi-statement transactions commit or abort whole, under crash too.
    GateC(gates::Options),
    /// Gate D, snapshots under concurrent writers and vacuum, and what transactions see.
    GateD(gates::Options),
    /// Gate E, compaction: snapshots held open stay as they are while tables are merged.
    GateE(gates::Options),
    /// Gate F, the server: unmodified clients, pgbench, kill -9 without losing what was acknowledged.
    GateF(ServerGate),
    /// Feed everything that reads bytes with a fuzzer (needs cargo-fuzz and a nightly toolchain).
    Fuzz(fuzz::Options),
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
struct ServerGate {
    /// How much to try.
    #[arg(long, value_enum, default_value_t = Mode::Full)]
    mode: Mode,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Ci { all } => ci::run(all),
        Task::Tidy => tidy::run(&workspace_root()),
        Task::GateA(options) => gates::run(Gate::A, options),
        Task::GateB(options) => gates::run(Gate::B, options),
        Task::GateC(options) => gates::run(Gate::C, options),
        Task::GateD(options) => gates::run(Gate::D, options),
        Task::GateE(options) => gates::run(Gate::E, options),
        Task::GateF(arguments) => gate_f::run(arguments.mode),
        Task::Fuzz(options) => fuzz::run(&options),
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
