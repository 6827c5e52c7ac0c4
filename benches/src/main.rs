//! Key-value and SQL workloads on RustlingDB and its rivals, in interleaved runs, each in a process of
//! its own. See `README.md` for the method.

mod bars;
mod engines;
mod footprint;
mod keys;
#[cfg(feature = "sql")]
mod sql;
mod stalls;
mod table;
mod transactions;
mod workloads;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};

use crate::{
    bars::Bars,
    engines::{Result, Settings},
    table::Table,
    workloads::Size,
};

/// How long a database takes to open whose writer was killed.
const OPEN_AFTER_KILL: &str = "open after kill, ms";

#[derive(Parser)]
#[command(about = "Workloads on RustlingDB and its rivals")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure the engines in interleaved runs and print the medians side by side.
    Kv(Kv),
    /// Write to RustlingDB's engines at full load, and print the longest stalls with the names of
    /// their waits.
    Stalls(Kv),
    /// Read, write and scan many rows, and print how much memory that takes.
    Footprint(Kv),
    /// Measure small SQL statements on embedded databases.
    #[cfg(feature = "sql")]
    Sql(sql::Small),
    /// Measure TPC-C on embedded databases.
    #[cfg(feature = "sql")]
    Tpcc(sql::Tpcc),
    /// One run of one engine in this process; prints a figure per line.
    #[command(hide = true)]
    Run(Run),
    /// One run of one SQL database in this process; prints a figure per line.
    #[cfg(feature = "sql")]
    #[command(hide = true)]
    RunSql(sql::Run),
}

#[derive(clap::Args)]
struct Kv {
    /// Rows that are loaded.
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Runs of each engine.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds for each workload.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Megabytes of memory for caches and buffers.
    #[arg(long, default_value_t = 1024)]
    memory: usize,
    /// Engines to measure, separated by commas; all that were compiled in, unless given.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<String>,
    /// Where databases are made; the system's temporary directory, unless given.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Run {
    #[arg(value_enum)]
    what: What,
    engine: String,
    directory: PathBuf,
    rows: u64,
    seconds: f64,
    memory: usize,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    All,
    RandomInserts,
    WriteForEver,
    Open,
    Transactions,
    Stalls,
    Footprint,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Kv(kv) => compare(&kv, true, measure),
        Task::Stalls(kv) => compare(&kv, false, |kv, engine, directory, table| {
            measure_one(kv, "stalls", engine, directory, table)
        }),
        Task::Footprint(kv) => compare(&kv, false, |kv, engine, directory, table| {
            measure_one(kv, "footprint", engine, directory, table)
        }),
        Task::Run(run) => run_one(&run),
        #[cfg(feature = "sql")]
        Task::Sql(small) => sql::compare_small(&small),
        #[cfg(feature = "sql")]
        Task::Tpcc(tpcc) => sql::compare_tpcc(&tpcc),
        #[cfg(feature = "sql")]
        Task::RunSql(run) => sql::run(&run),
    }
}

fn run_one(run: &Run) -> Result<()> {
    let settings = Settings {
        memory: run.memory << 20,
    };
    let size = Size {
        rows: run.rows,
        time: Duration::from_secs_f64(run.seconds),
    };
    let mut report = |name: &str, figure: f64| println!("{name}\t{figure}");
    let (name, path) = (&run.engine, &run.directory);
    match run.what {
        What::Transactions => {
            return transactions::measure(name, path, settings, size, &mut report);
        }
        What::Stalls => {
            let mut note = |what: &str| println!("# {what}");
            return stalls::measure(name, path, settings, size, &mut report, &mut note);
        }
        _ => {}
    }
    let start = Instant::now();
    let engine = engines::open(name, path, settings)?;
    let opened = start.elapsed();
    match run.what {
        What::All => workloads::all(&*engine, &run.directory, size, &mut report),
        What::RandomInserts => {
            workloads::random_inserts(&*engine, &run.directory, size, &mut report)
        }
        What::WriteForEver => workloads::write_for_ever(&*engine, run.rows),
        What::Open => {
            report(OPEN_AFTER_KILL, opened.as_secs_f64() * 1e3);
            Ok(())
        }
        What::Footprint => footprint::measure(&*engine, path, size, &mut report),
        What::Transactions | What::Stalls => Ok(()),
    }
}

/// How an engine is measured once, in an empty directory.
type Measure = fn(&Kv, &str, &Path, &mut Table) -> Result<()>;

/// Measures the engines in turns and prints the medians, and the bars: `all` of them, or those of
/// which something was measured.
fn compare(kv: &Kv, all: bool, measure: Measure) -> Result<()> {
    let engines: Vec<String> = if kv.engines.is_empty() {
        engines::names().into_iter().map(String::from).collect()
    } else {
        kv.engines.clone()
    };
    let parent = kv.directory.clone().unwrap_or_else(std::env::temp_dir);
    let root = parent.join(format!("rustling-benches-{}", std::process::id()));
    let mut table = Table::new(&engines);
    for run in 1..=kv.runs {
        for engine in &engines {
            eprintln!("run {run} of {}: {engine}", kv.runs);
            let directory = root.join(engine);
            let measured = measure(kv, engine, &directory, &mut table);
            remove(&directory)?;
            measured?;
        }
    }
    remove(&root)?;
    println!(
        "{} rows of {} + {} bytes, median of {} runs, {} MB of memory",
        kv.rows,
        engines::KEY_BYTES,
        engines::VALUE_BYTES,
        kv.runs,
        kv.memory
    );
    print!("{table}");
    let bars = Bars {
        table: &table,
        rows: kv.rows,
        seconds: kv.seconds,
        memory: kv.memory,
        all,
    };
    print!("{bars}");
    Ok(())
}

/// One run of one engine: everything on one database, random inserts into another, how long the
/// first takes to open after its writer was killed, and what transactions cost where there are any.
fn measure(kv: &Kv, engine: &str, directory: &Path, table: &mut Table) -> Result<()> {
    let (main, other) = (directory.join("main"), directory.join("other"));
    std::fs::create_dir_all(&main)?;
    std::fs::create_dir_all(&other)?;
    read(
        command(kv, "random-inserts", engine, &other)?,
        engine,
        table,
    )?;
    remove(&other)?;
    read(command(kv, "all", engine, &main)?, engine, table)?;
    let mut writer = command(kv, "write-for-ever", engine, &main)?
        .stdout(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_secs_f64(kv.seconds.max(2.0)));
    let ended = writer.try_wait()?;
    writer.kill()?;
    writer.wait()?;
    if let Some(status) = ended {
        return Err(format!("the writer of {engine} ended by itself: {status}").into());
    }
    read(command(kv, "open", engine, &main)?, engine, table)?;
    remove(&main)?;
    let place = directory.join("transactions");
    measure_one(kv, "transactions", engine, &place, table)?;
    if engines::is_ours(engine) {
        measure_one(kv, "stalls", engine, &directory.join("stalls"), table)?;
    }
    Ok(())
}

/// One run of one engine that needs a single process.
fn measure_one(
    kv: &Kv,
    what: &str,
    engine: &str,
    directory: &Path,
    table: &mut Table,
) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    read(command(kv, what, engine, directory)?, engine, table)?;
    remove(directory)
}

fn command(kv: &Kv, what: &str, engine: &str, directory: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["run", what, engine])
        .arg(directory)
        .args([kv.rows.to_string(), kv.seconds.to_string()])
        .arg(kv.memory.to_string());
    Ok(command)
}

/// Runs a program and takes the figures that it prints.
fn read(mut command: Command, engine: &str, table: &mut Table) -> Result<()> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the run of {engine} failed: {}", output.status).into());
    }
    for line in String::from_utf8(output.stdout)?.lines() {
        if let Some(note) = line.strip_prefix("# ") {
            table.note(format!("{engine}: {note}"));
            continue;
        }
        let (name, figure) = line
            .split_once('\t')
            .ok_or_else(|| format!("the run of {engine} answered {line:?}"))?;
        table.add(name, engine, figure.parse()?);
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
