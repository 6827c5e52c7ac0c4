//! A database that one process serves and others attach to, and the configuration of it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        Place {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rustling"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("RUSTLING_DB", "a.db")
            .env_remove("RUSTLING_CONFIG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        said(self.command(arguments).output().unwrap())
    }

    fn pipe(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that has stopped reading is judged by its answer.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        said(child.wait_with_output().unwrap())
    }
}

fn said(output: Output) -> (bool, String, String) {
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A server of the place's database.
struct Serving(Child);

impl Serving {
    fn begin(mut command: Command) -> Serving {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        let err = child.stderr.as_mut().unwrap();
        while !text.contains("Listening on") {
            let mut byte = [0; 1];
            assert!(err.read(&mut byte).unwrap() > 0, "it ended: {text}");
            text.push(char::from(byte[0]));
        }
        Serving(child)
    }

    fn end(mut self) {
        let id = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn commands_attach_to_the_process_that_holds_the_database() {
    let place = Place::new();
    let (made, _, err) = place.pipe(
        &["a.db"],
        "CREATE TABLE t (n int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one'), (2, NULL);",
    );
    assert!(made, "{err}");
    let serving = Serving::begin(place.command(&["serve"]));
    let (ok, out, err) = place.run(&[
        "query",
        "SELECT n, name FROM t ORDER BY n",
        "--format",
        "json",
    ]);
    assert!(
        ok && out == "[\n{\"n\":1,\"name\":\"one\"},\n{\"n\":2,\"name\":null}\n]\n",
        "{out}{err}"
    );
    let (ok, out, err) = place.run(&[
        "query",
        "INSERT INTO t VALUES (3, 'three'); SELECT count(*) FROM t",
    ]);
    assert!(
        ok && out.contains("INSERT 0 1") && out.contains('3'),
        "{out}{err}"
    );
    // The place of an error is that of the statement that was typed.
    let (ok, _, err) = place.run(&["query", "SELECT nme FROM t"]);
    assert!(!ok && err.contains("nme") && err.contains('^'), "{err}");
    let (ok, _, err) = place.run(&["query", "INSERT INTO t VALUES (1, 'again')"]);
    assert!(!ok && err.contains("duplicate"), "{err}");
    let (ok, _, err) = place.run(&["put", "greeting", "hello"]);
    assert!(ok, "{err}");
    assert_eq!(place.run(&["get", "greeting"]).1, "hello\n");
    let (ok, out, _) = place.run(&["scan", "--prefix", "g", "--format", "csv"]);
    assert!(ok && out == "key,value\ngreeting,hello\n", "{out}");
    assert!(place.run(&["delete", "greeting"]).0);
    assert!(!place.run(&["get", "greeting"]).0);
    let (ok, out, err) = place.run(&["explain", "SELECT * FROM t WHERE n = 1"]);
    assert!(ok && out.contains('t'), "{out}{err}");
    assert!(place.run(&["analyze", "T"]).0);
    let (ok, out, err) = place.pipe(
        &["shell", "--format", "csv"],
        "BEGIN; DELETE FROM t; ROLLBACK;\n\\d\n\\d t\nCOPY t FROM STDIN;\n7\tseven\n\\.\nCOPY t TO STDOUT;\n",
    );
    assert!(
        ok && out.contains("7\tseven\n") && out.contains("not null"),
        "{out}{err}"
    );
    // What needs the files says so.
    let (ok, _, err) = place.run(&["stats"]);
    assert!(!ok && err.contains("in use"), "{err}");
    serving.end();
    let (ok, out, err) = place.run(&["query", "SELECT count(*) FROM t", "--format", "csv"]);
    assert!(ok && out.ends_with("4\n"), "{out}{err}");
}

#[test]
fn a_database_that_nobody_serves_is_in_use() {
    let place = Place::new();
    assert!(place.pipe(&["a.db"], "SELECT 1;").0);
    let serving = Serving::begin(place.command(&[
        "serve",
        "--no-socket",
        "--trust",
        "--listen",
        "127.0.0.1:0",
    ]));
    let (ok, _, err) = place.run(&["query", "SELECT 1"]);
    assert!(
        !ok && err.contains("in use") && err.contains("rustling serve"),
        "{err}"
    );
    serving.end();
}

#[test]
fn the_configuration_says_where_each_value_comes_from() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("a.db")).unwrap();
    let file = place.path().join("a.db/rustling.toml");
    std::fs::write(&file, "[server]\nconnections = 9\nmessage = \"1MiB\"\n").unwrap();
    let mut command = place.command(&["config", "--memory", "64MiB"]);
    let (ok, out, err) = said(
        command
            .env("RUSTLING_SERVER_THREADS", "3")
            .output()
            .unwrap(),
    );
    assert!(ok, "{err}");
    for line in [
        "connections = 9  # from: a.db/rustling.toml, line 2",
        "message = \"1MiB\"  # from: a.db/rustling.toml, line 3",
        "threads = 3  # from: RUSTLING_SERVER_THREADS",
        "limit = \"64MiB\"  # from: --memory",
        "startup_time = \"10s\"  # from: default",
    ] {
        assert!(out.lines().any(|known| known == line), "{line}\n{out}");
    }
    std::fs::write(&file, "[server]\nconections = 9\n").unwrap();
    for arguments in [&["config"][..], &["serve"]] {
        let (ok, _, err) = place.run(arguments);
        assert!(!ok, "{arguments:?}");
        assert!(
            err.contains("a.db/rustling.toml, line 2: there is no key server.conections"),
            "{err}"
        );
        assert!(err.contains("did you mean server.connections?"), "{err}");
    }
    let (ok, _, err) = place.run(&["config", "--config", "nowhere.toml"]);
    assert!(!ok && err.contains("nowhere.toml"), "{err}");
}

#[test]
fn rules_logs_and_figures_are_as_configured() {
    let place = Place::new();
    assert!(place.pipe(&["a.db"], "SELECT 1;").0);
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    std::fs::write(place.path().join("rules.conf"), "local all all peer\n").unwrap();
    std::fs::write(
        place.path().join("server.toml"),
        format!(
            "[server]\nrules = \"rules.conf\"\nmetrics = \"127.0.0.1:{port}\"\n\
             [log]\nformat = \"json\"\nfile = \"server.log\"\nslow_statement = \"0s\"\n"
        ),
    )
    .unwrap();
    let serving = Serving::begin(place.command(&["serve", "--config", "server.toml"]));
    let (ok, out, err) = place.run(&["query", "SELECT 40 + 2 AS n", "--format", "csv"]);
    assert!(ok && out == "n\n42\n", "{out}{err}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.contains("rustling_statement_duration_seconds_count{class=\"select\"} 1\n"),
        "{text}"
    );
    serving.end();
    let log = std::fs::read_to_string(place.path().join("server.log")).unwrap();
    let slow = log
        .lines()
        .find(|line| line.contains("slow statement"))
        .unwrap();
    assert!(
        slow.starts_with('{') && slow.contains("SELECT 40 + 2 AS n"),
        "{slow}"
    );
    std::fs::write(
        place.path().join("rules.conf"),
        "local all all peer\nhost all\n",
    )
    .unwrap();
    let (ok, _, err) = place.run(&["serve", "--config", "server.toml"]);
    assert!(!ok && err.contains("rules.conf, line 2"), "{err}");
}

#[test]
fn systemd_is_told_when_the_server_is_ready() {
    let place = Place::new();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut command = place.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &path);
    let serving = Serving::begin(command);
    let mut message = [0; 64];
    let count = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..count].trim_ascii_end(), b"READY=1");
    serving.end();
    let count = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..count].trim_ascii_end(), b"STOPPING=1");
}

#[test]
fn statements_end_and_the_socket_goes_when_the_server_is_asked_to_end() {
    let place = Place::new();
    let serving = Serving::begin(place.command(&["serve"]));
    let sockets = || {
        let entries = std::fs::read_dir(place.path().join("a.db")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".s.PGSQL.")).count()
    };
    assert_eq!(sockets(), 1);
    let mut working = place
        .command(&[
            "query",
            "SELECT count(*) FROM generate_series(1, 3000000)",
            "--format",
            "csv",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    serving.end();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let mut out = String::new();
    working
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    working.wait().unwrap();
    assert_eq!(sockets(), 0);
}
