//! `cargo xtask bench pgbench`: the server beside PostgreSQL, both driven by the same unmodified
//! pgbench and psql, with durable commits, over TCP on this machine.
#![expect(clippy::print_stdout, reason = "a command-line program")]
#![expect(
    clippy::disallowed_methods,
    reason = "runs and measures other programs with real files and clocks"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Error, Result, run as run_command,
    servers::{Server, build, free_port, output, start_ours, started},
};

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// pgbench's scale: 100,000 accounts each.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Seconds that each workload runs.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Rows of the COPY and of the SELECT.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// How often everything is measured, taking turns; medians are printed.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Where PostgreSQL's programs are.
    #[arg(long, default_value = "/usr/lib/postgresql/15/bin")]
    postgresql: PathBuf,
    /// The cargo profile of the server.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Only workloads whose name holds this.
    #[arg(long)]
    only: Option<String>,
}

/// The user that runs PostgreSQL where this process is root, which PostgreSQL refuses to be.
const UNPRIVILEGED: &str = "postgres";

/// A workload: its name, what its figure counts, and how it is measured.
struct Workload {
    name: String,
    unit: &'static str,
    kind: Kind,
}

enum Kind {
    /// `pgbench -i`, in accounts per second.
    Initialize,
    /// pgbench with these arguments, in transactions per second.
    Transactions(Vec<String>),
    /// COPY FROM STDIN, in rows per second.
    CopyIn,
    /// COPY TO STDOUT, in rows per second.
    CopyOut,
    /// A SELECT of all rows, in rows per second.
    Select,
}

/// Measures and prints.
///
/// # Errors
/// Where a program is missing or fails.
pub fn run(options: &Options) -> Result<()> {
    let binary = build(&options.profile)?;
    let folder = std::env::temp_dir().join(format!("rustling-pgbench-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|source| Error::File {
        path: folder.clone(),
        source,
    })?;
    let result = measure_all(options, &binary, &folder);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn measure_all(options: &Options, binary: &Path, folder: &Path) -> Result<()> {
    let data = folder.join("rows.txt");
    write_rows(&data, options.rows)?;
    let servers = [
        start_ours(binary, &folder.join("ours.db"), &["--trust"])?,
        start_postgresql(&options.postgresql, folder)?,
    ];
    let workloads: Vec<Workload> = workloads(options)
        .into_iter()
        .filter(|workload| match &options.only {
            // The tables must be there whatever is measured.
            Some(only) => workload.name.contains(only) || matches!(workload.kind, Kind::Initialize),
            None => true,
        })
        .collect();
    println!(
        "scale {}, {} clients, {} s each, median of {}",
        options.scale, options.clients, options.seconds, options.runs
    );
    println!(
        "{:<36}{:>14}{:>14}{:>9}",
        "", servers[0].name, servers[1].name, "ratio"
    );
    for workload in &workloads {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..options.runs {
            for (server, figures) in servers.iter().zip(&mut figures) {
                figures.push(measure(options, server, &workload.kind, &data)?);
            }
        }
        let [ours, theirs] = figures.map(median);
        println!(
            "{:<36}{ours:>14.0}{theirs:>14.0}{:>9.2}  {}",
            workload.name,
            ours / theirs,
            workload.unit
        );
    }
    Ok(())
}

fn workloads(options: &Options) -> Vec<Workload> {
    let mut all = vec![Workload {
        name: "pgbench -i".to_owned(),
        unit: "accounts/s",
        kind: Kind::Initialize,
    }];
    for (name, script) in [
        ("select-only", "-S"),
        ("simple-update", "-N"),
        ("tpcb-like", "--builtin=tpcb-like"),
    ] {
        for mode in ["simple", "extended", "prepared"] {
            all.push(Workload {
                name: format!("{name}, {mode}"),
                unit: "transactions/s",
                kind: Kind::Transactions(vec![script.to_owned(), "-M".to_owned(), mode.to_owned()]),
            });
        }
    }
    for (name, kind) in [
        ("COPY FROM STDIN", Kind::CopyIn),
        ("COPY TO STDOUT", Kind::CopyOut),
        ("SELECT", Kind::Select),
    ] {
        all.push(Workload {
            name: format!("{name}, {} rows", options.rows),
            unit: "rows/s",
            kind,
        });
    }
    all
}

fn measure(options: &Options, server: &Server, kind: &Kind, data: &Path) -> Result<f64> {
    match kind {
        Kind::Initialize => {
            let start = Instant::now();
            output(pgbench(options, server).args(["-i", "-q", "-s", &options.scale.to_string()]))?;
            Ok(f64::from(options.scale) * 1e5 / start.elapsed().as_secs_f64())
        }
        Kind::Transactions(arguments) => {
            let text = output(
                pgbench(options, server)
                    .args(arguments)
                    .args(["-c", &options.clients.to_string(), "-j", "2"])
                    .args(["-T", &options.seconds.to_string()]),
            )?;
            transactions_per_second(&text)
        }
        Kind::CopyIn => {
            sql(options, server, "DROP TABLE IF EXISTS copied")?;
            sql(
                options,
                server,
                "CREATE TABLE copied (id int, name text, amount numeric, at timestamp)",
            )?;
            let file = fs::File::open(data).map_err(|source| Error::File {
                path: data.to_path_buf(),
                source,
            })?;
            let start = Instant::now();
            output(psql(options, server, "COPY copied FROM STDIN").stdin(file))?;
            Ok(f64::from(options.rows) / start.elapsed().as_secs_f64())
        }
        Kind::CopyOut => {
            let start = Instant::now();
            sql(options, server, "COPY copied TO STDOUT")?;
            Ok(f64::from(options.rows) / start.elapsed().as_secs_f64())
        }
        Kind::Select => {
            let start = Instant::now();
            sql(options, server, "SELECT * FROM copied")?;
            Ok(f64::from(options.rows) / start.elapsed().as_secs_f64())
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn transactions_per_second(text: &str) -> Result<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
        .ok_or_else(|| Error::Unexpected(format!("pgbench printed no figure:\n{text}")))
}

fn client(options: &Options, server: &Server, program: &str) -> Command {
    let mut command = Command::new(options.postgresql.join(program));
    command
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string()])
        .args(["-U", UNPRIVILEGED])
        .env_remove("PGDATABASE")
        .env("PGDATABASE", "postgres")
        .env("PGSSLMODE", "disable");
    command
}

fn pgbench(options: &Options, server: &Server) -> Command {
    client(options, server, "pgbench")
}

fn psql(options: &Options, server: &Server, text: &str) -> Command {
    let mut command = client(options, server, "psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]);
    command
}

fn sql(options: &Options, server: &Server, text: &str) -> Result<()> {
    run_command(
        psql(options, server, text)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

fn write_rows(path: &Path, rows: u32) -> Result<()> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for row in 0..rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{row}\tname of row {row}\t{}.{:02}\t2024-{:02}-{:02} 12:{:02}:00",
            row * 7 % 100_000,
            row % 100,
            row % 12 + 1,
            row % 28 + 1,
            row % 60
        );
    }
    fs::write(path, text).map_err(|source| Error::File {
        path: path.to_path_buf(),
        source,
    })
}

/// A command that runs as somebody else than root.
fn unprivileged(program: &Path) -> Command {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|text| text.trim() == "0");
    if is_root {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                UNPRIVILEGED,
                "--regid",
                UNPRIVILEGED,
                "--clear-groups",
            ])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn start_postgresql(programs: &Path, folder: &Path) -> Result<Server> {
    let home = folder.join("postgresql");
    fs::create_dir_all(&home).map_err(|source| Error::File {
        path: home.clone(),
        source,
    })?;
    let _ = Command::new("chown").arg(UNPRIVILEGED).arg(&home).status();
    let data = home.join("data");
    output(
        unprivileged(&programs.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args([
                "-A",
                "trust",
                "-U",
                UNPRIVILEGED,
                "-E",
                "UTF8",
                "--locale=C",
            ]),
    )?;
    let port = free_port()?;
    started(
        "PostgreSQL",
        port,
        unprivileged(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
            .arg("-k")
            .arg(&home)
            // What both have: memory for all of the data, and durable commits.
            .args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"]),
    )
}
