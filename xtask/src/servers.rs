//! Servers that tasks start, and the clients that they run against them.
#![expect(
    clippy::disallowed_methods,
    reason = "runs other programs with real files and clocks"
)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result, command, line, run as run_command, workspace_root};

/// Builds the `rustling` command; where it is then.
///
/// # Errors
/// Where it does not compile.
pub fn build(profile: &str) -> Result<PathBuf> {
    run_command(&mut command(
        "cargo",
        &["build", "--profile", profile, "--bin", "rustling"],
    ))?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(folder).join("rustling"))
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    /// What it is called in output.
    pub name: &'static str,
    /// Its TCP port on 127.0.0.1.
    pub port: u16,
    child: Child,
}

impl Server {
    /// The number of its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with no chance to tidy up (`SIGKILL`).
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Interrupt: PostgreSQL's fast shutdown, and ours.
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program; what it printed.
///
/// # Errors
/// Where it cannot be started or fails, with what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let program = line(command);
    let output = command.output().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(Error::Unexpected(format!(
        "{program} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// A TCP port that nobody uses.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> Result<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| Error::Start {
            program: "a server".to_owned(),
            source,
        })
}

/// Starts a server and waits until it listens.
///
/// # Errors
/// Where it cannot be started or does not listen.
pub fn started(name: &'static str, port: u16, command: &mut Command) -> Result<Server> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start {
            program: name.to_owned(),
            source,
        })?;
    let server = Server { name, port, child };
    let end = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            return Err(Error::Unexpected(format!("{name} does not listen")));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

/// Starts `rustling serve` on a database, with more arguments.
///
/// # Errors
/// As [`started`].
pub fn start_ours(binary: &Path, database: &Path, arguments: &[&str]) -> Result<Server> {
    let port = free_port()?;
    started(
        "rustling",
        port,
        Command::new(binary)
            .args(["serve", "--no-socket"])
            .args(arguments)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--db")
            .arg(database),
    )
}
