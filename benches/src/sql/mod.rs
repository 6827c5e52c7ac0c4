//! SQL workloads on embedded databases: small statements and TPC-C, each run in a process of its
//! own, the databases in turn.

mod client;
mod rustling;
mod small;
mod sqlite;
mod tpcc;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{engines::Result, remove, table::Table};

/// Small statements: point reads, single-row changes, TPC-B.
#[derive(clap::Args)]
pub struct Small {
    /// Hundreds of thousands of accounts.
    #[arg(long, default_value_t = 10)]
    branches: i64,
    /// Seconds for each workload.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

/// TPC-C without waiting times.
#[derive(clap::Args)]
pub struct Tpcc {
    /// Warehouses, each of about 100 MB.
    #[arg(long, default_value_t = 1)]
    warehouses: i64,
    /// Clients, each a thread.
    #[arg(long, default_value_t = 1)]
    clients: u64,
    /// Seconds that it runs.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// Runs of each database; the medians are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Megabytes of memory for caches and buffers.
    #[arg(long, default_value_t = 1024)]
    memory: usize,
    /// Databases to measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_values = client::NAMES)]
    databases: Vec<String>,
    /// Where databases are made; the system's temporary directory, unless given.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// One run in this process; prints a figure per line.
#[derive(clap::Args)]
pub struct Run {
    #[arg(value_enum)]
    what: What,
    database: String,
    directory: PathBuf,
    /// Branches or warehouses.
    scale: i64,
    clients: u64,
    seconds: f64,
    memory: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Small,
    TpccLoad,
    TpccRun,
    TpccForEver,
    TpccCheck,
}

/// Measures in this process.
pub fn run(run: &Run) -> Result<()> {
    let database = client::open(&run.database, &run.directory, run.memory << 20)?;
    let time = Duration::from_secs_f64(run.seconds);
    let mut report = |name: &str, figure: f64| println!("{name}\t{figure}");
    let (database, scale, clients) = (&*database, run.scale, run.clients);
    match run.what {
        What::Small => small::all(database, scale, time, &mut report)?,
        What::TpccLoad => tpcc::load(database, scale, &mut report)?,
        What::TpccRun => tpcc::run(database, scale, clients, time, &mut report)?,
        What::TpccForEver => tpcc::run(database, scale, clients, Duration::MAX / 4, &mut report)?,
        What::TpccCheck => tpcc::check(database)?,
    }
    Ok(())
}

/// Compares the databases on small statements.
pub fn compare_small(small: &Small) -> Result<()> {
    let title = format!(
        "{} accounts, {} s each",
        small.branches * 100_000,
        small.seconds
    );
    compare(&small.common, &title, |name, directory, table| {
        let run = child(&small.common, directory, small.branches, 1, small.seconds);
        read(run(What::Small, name), name, table)
    })
}

/// Compares the databases on TPC-C, and checks the specification's consistency conditions after
/// the run and after a process was killed in another.
pub fn compare_tpcc(tpcc: &Tpcc) -> Result<()> {
    let title = format!(
        "TPC-C, {} warehouse(s), {} client(s), {} s",
        tpcc.warehouses, tpcc.clients, tpcc.seconds
    );
    compare(&tpcc.common, &title, |name, directory, table| {
        let (scale, clients) = (tpcc.warehouses, tpcc.clients);
        let run = child(&tpcc.common, directory, scale, clients, tpcc.seconds);
        read(run(What::TpccLoad, name), name, table)?;
        read(run(What::TpccRun, name), name, table)?;
        read(run(What::TpccCheck, name), name, table)?;
        let mut writer = run(What::TpccForEver, name).stdout(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_secs_f64(3.0));
        let ended = writer.try_wait()?;
        writer.kill()?;
        writer.wait()?;
        if let Some(status) = ended {
            return Err(format!("TPC-C on {name} ended by itself: {status}").into());
        }
        read(run(What::TpccCheck, name), name, table)
    })
}

fn compare(
    common: &Common,
    title: &str,
    mut measure: impl FnMut(&str, &Path, &mut Table) -> Result<()>,
) -> Result<()> {
    let parent = common.directory.clone().unwrap_or_else(std::env::temp_dir);
    let root = parent.join(format!("rustling-benches-{}", std::process::id()));
    let mut table = Table::new(&common.databases);
    for run in 1..=common.runs {
        for name in &common.databases {
            eprintln!("run {run} of {}: {name}", common.runs);
            let directory = root.join(name);
            std::fs::create_dir_all(&directory)?;
            let measured = measure(name, &directory, &mut table);
            remove(&directory)?;
            measured?;
        }
    }
    remove(&root)?;
    println!(
        "{title}, median of {} runs, {} MB of memory",
        common.runs, common.memory
    );
    print!("{table}");
    Ok(())
}

/// Makes the commands of one database.
fn child(
    common: &Common,
    directory: &Path,
    scale: i64,
    clients: u64,
    seconds: f64,
) -> impl Fn(What, &str) -> Command {
    let directory = directory.to_owned();
    let memory = common.memory;
    move |what, name| {
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let what = clap::ValueEnum::to_possible_value(&what);
        let mut command = Command::new(program);
        command
            .arg("run-sql")
            .arg(what.as_ref().map_or("", |what| what.get_name()))
            .arg(name)
            .arg(&directory)
            .args([scale.to_string(), clients.to_string(), seconds.to_string()])
            .arg(memory.to_string());
        command
    }
}

/// Runs a program and takes the figures that it prints.
fn read(command: Command, name: &str, table: &mut Table) -> Result<()> {
    crate::read(command, name, table)
}
