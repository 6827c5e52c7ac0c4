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
    /// An hour.
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

/// Runs one gate.
///
/// # Errors
/// Where it finds a violation.
pub fn run(gate: Gate, mode: Mode) -> Result<()> {
    run_all(&[gate], mode)
}

/// Runs several gates, built together.
///
/// # Errors
/// Where one finds a violation.
pub fn run_all(gates: &[Gate], mode: Mode) -> Result<()> {
    let mut arguments = vec!["test", "--workspace", "--features", "rustling-tests/gates"];
    if mode != Mode::Quick {
        arguments.extend(["--profile", "gate"]);
    }
    for gate in gates {
        arguments.extend(["--test", gate.target()]);
    }
    arguments.extend(["--", "--nocapture", "--test-threads", "1"]);
    run_command(command("cargo", &arguments).env("RUSTLING_GATE", mode.name()))
}
