//! `cargo xtask bench`: measurements, beside rivals where there are any. Figures are printed,
//! never asserted.
#![expect(clippy::print_stdout, reason = "a command-line program")]
#![expect(
    clippy::disallowed_methods,
    reason = "measures other programs with real files and clocks"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Error, Result, bench_macros, command, run as run_command, workspace_root};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Bench {
    /// Load flights.csv into a typed table, with `sqlite3 .import` beside it.
    Load {
        /// How often each program runs; the medians are printed.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Key-value workloads beside other engines, and the bars set for them; see
    /// `benches/README.md`.
    Kv {
        /// Compile RocksDB too, which takes long the first time.
        #[arg(long)]
        with_rocksdb: bool,
        /// What the comparison is told: `--rows`, `--runs`, `--seconds`, `--memory`, `--engines`,
        /// `--directory`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Write to RustlingDB's engines at full load: the longest stalls and what they waited for.
    Stalls {
        /// As for `kv`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// How much memory many rows take while they are read, written and scanned.
    Footprint {
        /// As for `kv`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Small SQL statements embedded, beside `SQLite`: point reads, single-row changes, TPC-B; see
    /// `benches/README.md`.
    Sql {
        /// What the comparison is told: `--branches`, `--runs`, `--seconds`, `--memory`,
        /// `--databases`, `--directory`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// TPC-C embedded, beside `SQLite`, its consistency conditions checked after the run and
    /// after a crash in it; see `benches/README.md`.
    Tpcc {
        /// What the comparison is told: `--warehouses`, `--clients`, `--runs`, `--seconds`,
        /// `--memory`, `--databases`, `--directory`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// The 22 queries of TPC-H, checked against `SQLite` and timed beside it.
    Tpch {
        /// The scale factor: 1 is about a gigabyte of text.
        #[arg(long, default_value = "0.1")]
        sf: String,
        /// A Python with the modules `duckdb` and `datafusion`, to run these beside.
        #[arg(long)]
        rivals: Option<String>,
    },
    /// The server beside PostgreSQL, both under pgbench and psql.
    Pgbench(crate::pgbench::Options),
    /// The server: memory of idle connections, latency beside stalled ones.
    Server(crate::connections::Options),
    /// What `query!` costs the compiler, with sqlx in offline mode beside it.
    Macros {
        /// How many statements a package has.
        #[arg(long, default_value_t = 500)]
        queries: usize,
        /// Without sqlx, which takes a while to compile the first time.
        #[arg(long)]
        alone: bool,
    },
    /// Throughput, latency, checkpoint, recovery and memory of the database itself.
    Performance,
}

/// Measures.
///
/// # Errors
/// Where a program that is measured fails.
pub fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Load { runs } => load(*runs),
        Bench::Pgbench(options) => crate::pgbench::run(options),
        Bench::Server(options) => crate::connections::run(options),
        Bench::Kv {
            with_rocksdb,
            options,
        } => compare("kv", with_rocksdb.then_some("rocksdb"), options),
        Bench::Stalls { options } => compare("stalls", None, options),
        Bench::Footprint { options } => compare("footprint", None, options),
        Bench::Sql { options } => compare("sql", Some("sql"), options),
        Bench::Tpcc { options } => compare("tpcc", Some("sql"), options),
        Bench::Tpch { sf, rivals } => {
            let mut test = command(
                "cargo",
                &[
                    "test",
                    "--release",
                    "--workspace",
                    "--test",
                    "tpch",
                    "--",
                    "--nocapture",
                ],
            );
            test.env("RUSTLING_TPCH_SF", sf);
            if let Some(python) = rivals {
                test.env("RUSTLING_TPCH_RIVALS", python);
            }
            run_command(&mut test)
        }
        Bench::Macros { queries, alone } => bench_macros::run(*queries, !alone),
        Bench::Performance => run_command(&mut command(
            "cargo",
            &[
                "test",
                "--release",
                "--workspace",
                "--test",
                "performance",
                "--",
                "--nocapture",
                "--test-threads",
                "1",
            ],
        )),
    }
}

/// Builds the comparisons, a workspace of its own, with what one needs, and runs it.
fn compare(comparison: &str, feature: Option<&str>, options: &[String]) -> Result<()> {
    let mut build = command("cargo", &["run", "--release", "--manifest-path"]);
    build
        .arg("benches/Cargo.toml")
        .args(["--target-dir", "target/benches"]);
    if let Some(feature) = feature {
        build.args(["--features", feature]);
    }
    build.args(["--", comparison]).args(options);
    run_command(&mut build)
}

const SCHEMA: &str = "CREATE TABLE flights (year INTEGER, month INTEGER, day INTEGER, dep_time INTEGER, \
     sched_dep_time INTEGER, dep_delay INTEGER, arr_time INTEGER, sched_arr_time INTEGER, arr_delay INTEGER, \
     carrier TEXT, flight INTEGER, tailnum TEXT, origin TEXT, dest TEXT, air_time INTEGER, distance INTEGER, \
     hour INTEGER, minute INTEGER, time_hour TEXT)";

/// One measured run.
struct Run {
    wall: Duration,
    peak_kib: u64,
}

fn load(runs: usize) -> Result<()> {
    let root = workspace_root();
    run_command(&mut command(
        "cargo",
        &["build", "--release", "--package", "rustling-cli"],
    ))?;
    let folder = root.join("target/bench-load");
    recreate(&folder)?;
    let csv = folder.join("flights.csv");
    let binary = root.join("target/release/rustling");
    run_command(
        Command::new("zstd")
            .args(["-q", "-d", "-f"])
            .arg(root.join("tests/data/nycflights13/flights.csv.zst"))
            .arg("-o")
            .arg(&csv),
    )?;
    let (mut ours, mut sqlite) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(measure(&mut rustling(
            &binary,
            &folder.join("ours.db"),
            &csv,
        )?)?);
        sqlite.push(measure(&mut sqlite3(&folder.join("sqlite.db"), &csv)?)?);
    }
    println!("load of flights.csv, 336,776 rows, median of {runs} runs");
    println!("{:<24}{:>12}{:>16}", "", "seconds", "peak memory");
    for (name, runs) in [
        ("rustling load", &mut ours),
        ("sqlite3 .import", &mut sqlite),
    ] {
        runs.sort_by_key(|run| run.wall);
        let median = &runs[runs.len() / 2];
        let peak = runs
            .iter()
            .map(|run| run.peak_kib)
            .max()
            .unwrap_or_default();
        println!(
            "{name:<24}{:>12.3}{:>12} MiB",
            median.wall.as_secs_f64(),
            peak / 1024
        );
    }
    Ok(())
}

fn rustling(binary: &Path, database: &Path, csv: &Path) -> Result<Command> {
    remove(database)?;
    let mut command = Command::new(binary);
    command
        .arg("load")
        .arg(csv)
        .args(["--table", "flights", "--db"])
        .arg(database);
    Ok(command)
}

fn sqlite3(database: &Path, csv: &Path) -> Result<Command> {
    remove(database)?;
    let mut command = Command::new("sqlite3");
    command
        .arg(database)
        .arg(SCHEMA)
        .arg(".mode csv")
        .arg(format!(".import --skip 1 \"{}\" flights", csv.display()));
    Ok(command)
}

/// Runs a program quietly and watches its peak resident memory.
fn measure(command: &mut Command) -> Result<Run> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start {
            program: program.clone(),
            source,
        })?;
    let status_file = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_kib = 0;
    loop {
        peak_kib = peak_kib.max(peak_resident(&status_file));
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => {
                return Err(Error::Failed {
                    command: crate::line(command),
                    status: status.to_string(),
                });
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(source) => return Err(Error::Start { program, source }),
        }
    }
    Ok(Run {
        wall: start.elapsed(),
        peak_kib,
    })
}

fn peak_resident(status_file: &Path) -> u64 {
    std::fs::read_to_string(status_file)
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or_default()
}

fn recreate(folder: &Path) -> Result<()> {
    remove(folder)?;
    std::fs::create_dir_all(folder).map_err(|source| Error::File {
        path: folder.into(),
        source,
    })
}

fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match result {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File {
            path: path.into(),
            source,
        }),
        _ => Ok(()),
    }
}
