//! `cargo xtask bench server`: what idle connections cost, and what stalled ones cost the others.
#![expect(clippy::print_stdout, reason = "a command-line program")]
#![expect(
    clippy::disallowed_methods,
    reason = "runs and measures another program with real sockets and clocks"
)]

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    Error, Result, read,
    servers::{Server, build, start_ours},
};

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Idle connections.
    #[arg(long, default_value_t = 1000)]
    idle: usize,
    /// Sockets that stall: silent, within the startup message, or within a statement.
    #[arg(long, default_value_t = 5000)]
    stalled: usize,
    /// Connections that go on working beside them.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Seconds that these are measured, before and after.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The cargo profile of the server.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Measures and prints.
///
/// # Errors
/// Where the server does not start or answer.
pub fn run(options: &Options) -> Result<()> {
    let binary = build(&options.profile)?;
    let folder = std::env::temp_dir().join(format!("rustling-connections-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|source| Error::File {
        path: folder.clone(),
        source,
    })?;
    let limit = (options.idle.max(options.stalled) + options.clients + 100).to_string();
    let serve = |name: &str| {
        start_ours(
            &binary,
            &folder.join(name),
            &["--trust", "--connections", &limit],
        )
    };
    let result = serve("idle.db")
        .and_then(|server| idle(options, &server))
        .and_then(|()| serve("stalled.db"))
        .and_then(|server| stalled(options, &server));
    let _ = fs::remove_dir_all(&folder);
    result
}

fn lost(source: io::Error) -> Error {
    Error::Start {
        program: "a connection to the server".to_owned(),
        source,
    }
}

fn connect(server: &Server) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// The first message of a session of protocol 3.0.
const STARTUP: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0ann\0\0";
/// `SELECT 1`.
const QUERY: &[u8] = b"Q\0\0\0\x0dSELECT 1\0";

/// Reads up to ReadyForQuery.
fn ready(stream: &mut TcpStream) -> io::Result<()> {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length).saturating_sub(4) as usize;
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        match kind {
            b'Z' => return Ok(()),
            b'E' => {
                return Err(io::Error::other(
                    String::from_utf8_lossy(&body).into_owned(),
                ));
            }
            _ => {}
        }
    }
}

fn session(server: &Server) -> io::Result<TcpStream> {
    let mut stream = connect(server)?;
    stream.write_all(STARTUP)?;
    ready(&mut stream)?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(QUERY)?;
    ready(stream)
}

/// What a process takes of memory, in KiB.
fn resident(server: &Server) -> Result<f64> {
    let status = read(Path::new(&format!("/proc/{}/status", server.process())))?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| Error::Unexpected(format!("no VmRSS in:\n{status}")))
}

/// Memory of connections that do nothing.
fn idle(options: &Options, server: &Server) -> Result<()> {
    let open = |count: usize| -> Result<Vec<TcpStream>> {
        (0..count).map(|_| session(server).map_err(lost)).collect()
    };
    let mut warm = open(options.clients)?;
    for stream in &mut warm {
        ask(stream).map_err(lost)?;
    }
    // Threads of sessions that were just at work end by themselves.
    std::thread::sleep(Duration::from_secs(2));
    let before = resident(server)?;
    let mut idle = open(options.idle)?;
    std::thread::sleep(Duration::from_secs(2));
    let connected = resident(server)?;
    for stream in &mut idle {
        ask(stream).map_err(lost)?;
    }
    std::thread::sleep(Duration::from_secs(15));
    let after = resident(server)?;
    let each = |figure: f64| (figure - before) / options.idle as f64;
    println!(
        "{} idle connections: KiB of resident memory each",
        options.idle
    );
    println!("  connected                {:>8.1}", each(connected));
    println!("  after a statement each   {:>8.1}", each(after));
    Ok(())
}

/// Latencies of connections that work, in milliseconds: p50, p99, the worst.
fn latencies(options: &Options, server: &Server) -> Result<[f64; 3]> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let work = || -> io::Result<Vec<Duration>> {
        let mut stream = session(server)?;
        let mut all = Vec::new();
        while Instant::now() < end {
            let start = Instant::now();
            ask(&mut stream)?;
            all.push(start.elapsed());
        }
        Ok(all)
    };
    let measured: io::Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.clients).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| {
                let joined = worker.join();
                joined.unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
            })
            .collect()
    });
    let mut all = measured.map_err(lost)?.concat();
    all.sort_unstable();
    let at = |share: f64| {
        let place = (all.len() as f64 * share) as usize;
        let time = all.get(place.min(all.len().saturating_sub(1)));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    Ok([at(0.5), at(0.99), at(1.0)])
}

/// What those that stall cost those that do not.
fn stalled(options: &Options, server: &Server) -> Result<()> {
    let print = |what: &str, [p50, p99, worst]: [f64; 3]| {
        println!("  {what:<24} p50 {p50:>8.3}   p99 {p99:>8.3}   worst {worst:>8.3}");
    };
    println!(
        "SELECT 1 by {} connections, in milliseconds, beside {} stalled sockets",
        options.clients, options.stalled
    );
    let before = latencies(options, server)?;
    print("before", before);
    let mut held = Vec::with_capacity(options.stalled);
    for at in 0..options.stalled {
        let mut stream = connect(server).map_err(lost)?;
        let sent = match at % 3 {
            0 => Ok(()),
            1 => stream.write_all(STARTUP.get(..7).unwrap_or_default()),
            _ => stream
                .write_all(STARTUP)
                .and_then(|()| ready(&mut stream))
                .and_then(|()| stream.write_all(QUERY.get(..6).unwrap_or_default())),
        };
        sent.map_err(lost)?;
        held.push(stream);
    }
    let beside = latencies(options, server)?;
    print("beside them", beside);
    println!("  p99 is {:.2} times what it was", beside[1] / before[1]);
    drop(held);
    Ok(())
}
