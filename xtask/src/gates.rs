//! `cargo xtask gate-a`, `gate-b` and so on: the reliability suites that decide whether a change
//! may land. Each is a test target of the package in `tests`, with every debug assertion: in quick
//! mode built as the other tests are, else optimised.

use crate::{Result, command, run as run_command};

/// A reliability suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Crash and recovery.
    A,
    /// Page cache.
    B,
    /// Atomicity.
    C,
    /// Snapshots and isolation.
    D,
    /// Compaction.
    E,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Gate; 5] = [Gate::A, Gate::B, Gate::C, Gate::D, Gate::E];

    fn target(self) -> &'static str {
        match self {
            Gate::A => "gate_a",
            Gate::B => "gate_b",
            Gate::C => "gate_c",
            Gate::D => "gate_d",
            Gate::E => "gate_e",
        }
    }
}

/// How much a gate tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A sample, for every change: at most a minute.
    Quick,
    /// The published figures.
    Full,
    /// New seeds until the time is over.
    Deep,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Quick => "quick",
            Mode::Full => "full",
            Mode::Deep => "deep",
        }
    }
}

/// How to run a gate.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// How much to try.
    #[arg(long, value_enum, default_value_t = Mode::Full)]
    pub mode: Mode,
    /// How long deep mode takes. Each test of the gate has its share of the time, and ends the round
    /// that it has begun.
    #[arg(long, default_value_t = MINUTES, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: u64,
}

/// Minutes that a gate takes in deep mode, where nothing else is said.
const MINUTES: u64 = 60;

/// Runs one gate.
///
/// # Errors
/// Where it finds a violation.
pub fn run(gate: Gate, options: Options) -> Result<()> {
    run_all(&[gate], options)
}

/// Runs all gates in quick mode.
///
/// # Errors
/// Where one finds a violation.
pub fn run_quick() -> Result<()> {
    let options = Options {
        mode: Mode::Quick,
        minutes: MINUTES,
    };
    run_all(&Gate::ALL, options)
}

/// Runs several gates, built together.
fn run_all(gates: &[Gate], options: Options) -> Result<()> {
    let mut arguments = vec!["test", "--workspace", "--features", "rustling-tests/gates"];
    if options.mode != Mode::Quick {
        arguments.extend(["--profile", "gate"]);
    }
    for gate in gates {
        arguments.extend(["--test", gate.target()]);
    }
    arguments.extend(["--", "--nocapture", "--test-threads", "1"]);
    run_command(
        command("cargo", &arguments)
            .env("RUSTLING_GATE", options.mode.name())
            .env("RUSTLING_GATE_MINUTES", options.minutes.to_string()),
    )
}
