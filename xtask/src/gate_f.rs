//! `cargo xtask gate-f`: the server under clients of PostgreSQL's world, unmodified, and killed
//! while it works.
//!
//! Every client in `tests/clients/` creates, reads and updates, prepares statements, runs
//! transactions, copies, fails and cancels, and judges the answers itself. pgbench runs its
//! built-in scripts by every protocol, and the balances must agree. Then the server is killed
//! again and again under pgbench: what pgbench was told is committed must be there, whole.
#![expect(
    clippy::print_stderr,
    reason = "a command-line program reports its progress"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "runs other programs with real files and clocks"
)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error, Result,
    gates::Mode,
    line,
    servers::{Server, build, output, start_ours},
    workspace_root,
};

const USER: &str = "gate";
const PASSWORD: &str = "a password for the gate";

/// Takes minutes.
const SLOW: &str = "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b";

/// How much is tried.
struct Extent {
    profile: &'static str,
    /// Seconds of each pgbench script.
    seconds: u32,
    /// Times that the server is killed.
    kills: u32,
}

/// Runs the gate.
///
/// # Errors
/// Where a client is missing or finds fault, or an acknowledged transaction is lost.
pub fn run(mode: Mode) -> Result<()> {
    let extent = match mode {
        Mode::Quick => Extent {
            profile: "dev",
            seconds: 1,
            kills: 3,
        },
        Mode::Full => Extent {
            profile: "release",
            seconds: 5,
            kills: 100,
        },
        Mode::Deep => Extent {
            profile: "release",
            seconds: 30,
            kills: 1000,
        },
    };
    let binary = build(extent.profile)?;
    let folder = std::env::temp_dir().join(format!("rustling-gate-f-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|source| file_error(&folder, source))?;
    let gate = GateF {
        binary,
        database: folder.join("gate.db"),
        folder: folder.clone(),
    };
    let result = gate.run(&extent);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File {
        path: path.to_path_buf(),
        source,
    }
}

fn say(text: &str) {
    eprintln!("gate F: {text}");
}

/// Where packages of clients are kept between runs of the gate.
fn client_packages() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), PathBuf::from);
    let folder = target.join("clients");
    fs::create_dir_all(&folder).map_err(|source| file_error(&folder, source))?;
    Ok(folder)
}

/// The directory with node-postgres and its COPY, which are installed there where they are
/// missing.
fn node_packages() -> Result<PathBuf> {
    let folder = client_packages()?;
    let modules = folder.join("node_modules");
    if !modules.join("pg").exists() || !modules.join("pg-copy-streams").exists() {
        output(
            Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--prefix"])
                .arg(&folder)
                .args(["pg", "pg-copy-streams"]),
        )?;
    }
    Ok(modules)
}

/// Builds the clients in Rust; where their program is then.
fn build_rust_clients(package: &Path) -> Result<PathBuf> {
    let target = client_packages()?.join("rust");
    crate::run(
        crate::command("cargo", &["build", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target),
    )?;
    Ok(target.join("debug").join("rust-clients"))
}

struct GateF {
    binary: PathBuf,
    database: PathBuf,
    folder: PathBuf,
}

impl GateF {
    fn run(&self, extent: &Extent) -> Result<()> {
        self.add_user()?;
        let server = self.serve()?;
        for (name, command) in self.clients(&server)? {
            let text = self.client(name, command)?;
            say(&format!(
                "{name}: {}",
                text.lines().last().unwrap_or("fine")
            ));
        }
        self.psql_cancels(&server)?;
        self.pgbench_scripts(&server, extent)?;
        drop(server);
        self.kills(extent)
    }

    fn add_user(&self) -> Result<()> {
        // The database must be there before it has users.
        output(
            Command::new(&self.binary)
                .args(["query", "SELECT 1"])
                .arg("--db")
                .arg(&self.database),
        )
        .or_else(|_| {
            let mut shell = Command::new(&self.binary);
            shell.arg("shell").arg("--db").arg(&self.database);
            output(shell.stdin(Stdio::null()))
        })?;
        let mut command = Command::new(&self.binary);
        command
            .args(["user", "add", USER, "--superuser"])
            .arg("--db")
            .arg(&self.database)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let start = |source| Error::Start {
            program: "rustling user add".to_owned(),
            source,
        };
        let mut child = command.spawn().map_err(start)?;
        if let Some(mut input) = child.stdin.take() {
            writeln!(input, "{PASSWORD}").map_err(start)?;
        }
        match child.wait().map_err(start)? {
            status if status.success() => Ok(()),
            status => Err(Error::Failed {
                command: line(&command),
                status: status.to_string(),
            }),
        }
    }

    fn serve(&self) -> Result<Server> {
        start_ours(&self.binary, &self.database, &[])
    }

    /// The clients, each with the package that it comes from where it is missing.
    fn clients(&self, server: &Server) -> Result<Vec<(&'static str, Command)>> {
        let scripts = workspace_root().join("tests/clients");
        let mut psql = self.connected(server, "psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(scripts.join("psql_client.sql"));
        // The system's own interpreter: packages of the system are installed for that one.
        let python = |script: &str| {
            let mut command = self.connected(server, "/usr/bin/python3");
            command.arg(scripts.join(script));
            command
        };
        let jar = "/usr/share/java/postgresql.jar";
        output(
            Command::new("javac")
                .args(["-cp", jar, "-d"])
                .arg(&self.folder)
                .arg(scripts.join("JdbcClient.java")),
        )?;
        let mut java = self.connected(server, "java");
        java.args([
            "-cp",
            &format!("{jar}:{}", self.folder.display()),
            "JdbcClient",
        ]);
        let mut node = self.connected(server, "node");
        node.arg(scripts.join("node_client.js"))
            .env("NODE_PATH", node_packages()?);
        let rust = build_rust_clients(&scripts.join("rust"))?;
        let rust_client = |name: &str| {
            let mut command = self.connected(server, &rust.to_string_lossy());
            command.arg(name);
            command
        };
        let described = |script: &str| {
            let mut psql = self.connected(server, "psql");
            psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
                .arg(scripts.join(script));
            psql
        };
        Ok(vec![
            ("psql", psql),
            ("psql's backslash commands", described("psql_catalog.sql")),
            ("queries of tools", described("tools.sql")),
            ("tokio-postgres", rust_client("tokio-postgres")),
            ("sqlx", rust_client("sqlx")),
            ("psycopg", python("psycopg_client.py")),
            ("SQLAlchemy", python("sqlalchemy_client.py")),
            ("JDBC", java),
            ("node-postgres", node),
        ])
    }

    fn connected(&self, server: &Server, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", server.port.to_string())
            .env("PGUSER", USER)
            .env("PGPASSWORD", PASSWORD)
            .env("PGDATABASE", "gate")
            .stdin(Stdio::null());
        command
    }

    fn client(&self, name: &str, mut command: Command) -> Result<String> {
        output(&mut command).map_err(|error| {
            Error::Unexpected(format!(
                "{name} is not content (or not installed: .ci/run says how):\n{error}"
            ))
        })
    }

    /// Interrupts psql, which then asks the server to end the statement.
    fn psql_cancels(&self, server: &Server) -> Result<()> {
        let mut psql = self.connected(server, "psql");
        psql.args(["-X", "-c", SLOW])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let start = |source| Error::Start {
            program: "psql".to_owned(),
            source,
        };
        let child = psql.spawn().map_err(start)?;
        thread::sleep(Duration::from_millis(500));
        output(Command::new("kill").args(["-INT", &child.id().to_string()]))?;
        let ended = child.wait_with_output().map_err(start)?;
        let said = String::from_utf8_lossy(&ended.stderr);
        if said.contains("canceling statement due to user request") {
            say("psql, interrupted: cancelled");
            return Ok(());
        }
        Err(Error::Unexpected(format!(
            "psql was interrupted, and said: {said}"
        )))
    }

    fn sql(&self, server: &Server, text: &str) -> Result<String> {
        let mut psql = self.connected(server, "psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]);
        Ok(output(&mut psql)?.trim().to_owned())
    }

    fn pgbench_scripts(&self, server: &Server, extent: &Extent) -> Result<()> {
        output(self.connected(server, "pgbench").args(["-i", "-q"]))?;
        for script in ["select-only", "simple-update", "tpcb-like"] {
            for protocol in ["simple", "extended", "prepared"] {
                let text = output(
                    self.connected(server, "pgbench")
                        .args(["-b", script, "-M", protocol, "-c", "8", "-j", "2", "-T"])
                        .arg(extent.seconds.to_string()),
                )?;
                let figure = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
                let processed = figure("number of transactions actually processed: ");
                if processed.is_none_or(|count| count.starts_with('0'))
                    || figure("number of failed transactions: ")
                        .is_some_and(|count| !count.starts_with("0 "))
                {
                    return Err(Error::Unexpected(format!("pgbench has failures:\n{text}")));
                }
                say(&format!(
                    "pgbench {script}, {protocol}: {} transactions/s",
                    figure("tps = ")
                        .and_then(|rest| rest.split('.').next())
                        .unwrap_or("?")
                ));
            }
        }
        // Simple updates change accounts alone.
        output(self.connected(server, "pgbench").args(["-i", "-q"]))?;
        output(
            self.connected(server, "pgbench")
                .args(["-c", "8", "-j", "2", "-t", "50"]),
        )?;
        self.check_balances(server, 400)
    }

    /// Every balance is what the history says, and the history has at least so many rows.
    fn check_balances(&self, server: &Server, acknowledged: u64) -> Result<()> {
        let found = self.sql(
            server,
            "SELECT (SELECT count(*) FROM pgbench_history), \
                    (SELECT coalesce(sum(delta), 0) FROM pgbench_history), \
                    (SELECT sum(abalance) FROM pgbench_accounts), \
                    (SELECT sum(tbalance) FROM pgbench_tellers), \
                    (SELECT sum(bbalance) FROM pgbench_branches)",
        )?;
        let figures: Vec<i64> = found
            .split('|')
            .filter_map(|text| text.parse().ok())
            .collect();
        match figures.as_slice() {
            [count, rest @ ..]
                if *count >= i64::try_from(acknowledged).unwrap_or(i64::MAX)
                    && rest.len() == 4
                    && rest.windows(2).all(|pair| pair[0] == pair[1]) =>
            {
                Ok(())
            }
            _ => Err(Error::Unexpected(format!(
                "{acknowledged} transactions were acknowledged, but these are the history's rows \
                 and the four sums: {found}"
            ))),
        }
    }

    /// How many transactions the history holds.
    fn committed(&self, server: &Server) -> Result<u64> {
        let text = self.sql(server, "SELECT count(*) FROM pgbench_history")?;
        let unreadable = |_| Error::Unexpected(format!("no count: {text}"));
        text.parse().map_err(unreadable)
    }

    /// Waits until pgbench is at work: the history has grown beyond `before`.
    fn wait_for_commits(&self, server: &Server, before: u64) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while self.committed(server)? <= before {
            if Instant::now() > end {
                return Err(Error::Unexpected("pgbench commits nothing".to_owned()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills the server under pgbench, again and again.
    fn kills(&self, extent: &Extent) -> Result<()> {
        let mut acknowledged = self.committed(&self.serve()?)?;
        let before = acknowledged;
        for round in 0..extent.kills {
            let server = self.serve()?;
            let mut pgbench = self.connected(&server, "pgbench");
            pgbench
                .args(["-n", "-M", "prepared", "-c", "8", "-j", "2", "-T", "60"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let child = pgbench.spawn().map_err(|source| Error::Start {
                program: "pgbench".to_owned(),
                source,
            })?;
            self.wait_for_commits(&server, acknowledged)?;
            // Another moment each time.
            thread::sleep(Duration::from_millis(u64::from(round * 37 % 400)));
            server.kill();
            let ended = child.wait_with_output().map_err(|source| Error::Start {
                program: "pgbench".to_owned(),
                source,
            })?;
            let text = String::from_utf8_lossy(&ended.stdout);
            let processed: u64 = text
                .lines()
                .find_map(|line| line.strip_prefix("number of transactions actually processed: "))
                .and_then(|count| count.split('/').next()?.trim().parse().ok())
                .ok_or_else(|| Error::Unexpected(format!("pgbench said:\n{text}")))?;
            acknowledged += processed;
            let server = self.serve()?;
            self.check_balances(&server, acknowledged)?;
            // What was committed without being acknowledged counts from now on.
            acknowledged = self.committed(&server)?;
        }
        say(&format!(
            "killed {} times, {} transactions committed, none lost",
            extent.kills,
            acknowledged - before
        ));
        Ok(())
    }
}
