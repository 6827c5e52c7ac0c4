//! The `rustling` command as a new user meets it: what works, and what each mistake answers.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use tempfile::TempDir;

/// A directory with a database `a.db` and files beside it.
struct Place {
    directory: TempDir,
}

/// What a command answered.
struct Answer {
    success: bool,
    out: String,
    err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        Answer {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Place {
    fn new() -> Place {
        Place {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, content: &[u8]) {
        std::fs::write(self.directory.path().join(name), content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rustling"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("RUSTLING_DB", "a.db")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    fn pipe(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that has stopped reading is judged by its answer.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap().into()
    }

    /// The shell, fed with a script.
    fn shell(&self, script: &str) -> Answer {
        self.pipe(&["shell"], script.as_bytes())
    }

    /// A load that must fail with a message that holds each of `expected`, and leave no table.
    fn refuses(&self, content: &[u8], options: &[&str], expected: &[&str]) {
        self.file("bad.csv", content);
        let answer = self.run(&[&["load", "bad.csv", "--table", "bad"], options].concat());
        assert!(!answer.success, "{}", answer.err);
        for text in expected {
            assert!(
                answer.err.contains(text),
                "{text:?} is missing in {}",
                answer.err
            );
        }
        let tables = self.run(&["query", "SELECT count(*) FROM bad", "--format", "csv"]);
        assert!(
            !tables.success && tables.err.contains("bad"),
            "something was loaded: {}",
            tables.out
        );
    }
}

#[test]
fn a_file_is_loaded_and_asked_about_in_every_format() {
    let place = Place::new();
    place.file(
        "city.csv",
        b"City,Population\nLima,10092000\nOslo,NA\n\"a, b\",7\n",
    );
    let loaded = place.run(&["load", "city.csv", "--table", "city"]);
    assert!(
        loaded.success && loaded.out.is_empty() && loaded.err.contains("3 rows"),
        "{}",
        loaded.err
    );
    let sql = "SELECT city, population FROM city ORDER BY population NULLS FIRST";
    assert_eq!(
        place.run(&["query", sql, "--format", "csv"]).out,
        "city,population\nOslo,\n\"a, b\",7\nLima,10092000\n"
    );
    assert_eq!(
        place.run(&["--format", "json", "query", sql]).out,
        "[\n{\"city\":\"Oslo\",\"population\":null},\n{\"city\":\"a, b\",\"population\":7},\n\
         {\"city\":\"Lima\",\"population\":10092000}\n]\n"
    );
    let table = place.run(&["query", sql]).out;
    assert!(
        table.contains(" Lima │   10092000 \n") && table.ends_with("(3 rows)\n"),
        "{table}"
    );
    let plan = place.run(&["explain", sql, "--analyze"]);
    assert!(
        plan.success && plan.out.contains("city"),
        "{}{}",
        plan.out,
        plan.err
    );
    assert!(place.run(&["analyze", "city"]).success);
    assert!(place.run(&["stats"]).out.contains("page cache"));
    assert!(place.run(&["check"]).out.contains("all sound"));
}

#[test]
fn migrations_are_made_applied_checked_and_taken_back() {
    let place = Place::new();
    let missing = place.run(&["migrate", "up"]);
    assert!(missing.err.contains("migrate new"), "{}", missing.err);
    let made = place.run(&["migrate", "new", "Add users", "--reversible"]);
    assert_eq!(
        made.out,
        "migrations/0001_add_users.up.sql\nmigrations/0001_add_users.down.sql\n"
    );
    assert_eq!(
        place.run(&["migrate", "new", "email"]).out,
        "migrations/0002_email.sql\n"
    );
    place.file(
        &made.out[..made.out.find('\n').unwrap()],
        b"CREATE TABLE users (id int)",
    );
    place.file("migrations/0001_add_users.down.sql", b"DROP TABLE users");
    place.file(
        "migrations/0002_email.sql",
        b"ALTER TABLE users ADD email text",
    );
    assert_eq!(
        place.run(&["migrate", "up"]).out,
        "applied 1 add_users\napplied 2 email\n"
    );
    assert_eq!(place.run(&["migrate", "up"]).out, "nothing to do\n");
    assert!(place.run(&["migrate", "check"]).success);
    assert!(
        place
            .run(&["query", "ALTER TABLE users ADD stray int"])
            .success
    );
    let drifted = place.run(&["migrate", "check"]);
    assert!(
        !drifted.success
            && drifted
                .out
                .contains("stray integer comes from no migration"),
        "{}",
        drifted.out
    );
    let stuck = place.run(&["migrate", "down"]);
    assert!(stuck.err.contains("has no way down"), "{}", stuck.err);
    place.file(
        "migrations/0002_email.sql",
        b"ALTER TABLE users ADD email varchar",
    );
    assert!(
        place
            .run(&["migrate", "status"])
            .out
            .contains("email: changed")
    );
    assert!(
        place
            .run(&["migrate", "up"])
            .err
            .contains("changed after it was applied")
    );
}

#[test]
fn migrations_are_taken_back_and_applied_again() {
    let place = Place::new();
    std::fs::create_dir(place.directory.path().join("migrations")).unwrap();
    for (name, text) in [
        ("1_a.up.sql", "CREATE TABLE a (x int)"),
        ("1_a.down.sql", "DROP TABLE a"),
        ("2_b.up.sql", "CREATE TABLE b (x int)"),
        ("2_b.down.sql", "DROP TABLE b"),
    ] {
        place.file(&format!("migrations/{name}"), text.as_bytes());
    }
    assert_eq!(
        place.run(&["migrate", "up"]).out,
        "applied 1 a\napplied 2 b\n"
    );
    assert_eq!(place.run(&["migrate", "down"]).out, "took back 2 b\n");
    let status = place.run(&["migrate", "status"]).out;
    assert!(
        status.contains("1  a: applied") && status.contains("2  b: pending"),
        "{status}"
    );
    let pending = place.run(&["migrate", "check"]);
    assert!(
        !pending.success && pending.out.contains("migration 2 (b): pending"),
        "{}",
        pending.out
    );
    assert_eq!(place.run(&["migrate", "down", "5"]).out, "took back 1 a\n");
    assert_eq!(place.run(&["migrate", "down"]).out, "nothing to do\n");
    place.file("migrations/2_b.up.sql", b"CREATE TABLE b (x inte)");
    let wrong = place.run(&["migrate", "up"]);
    for part in ["In migration 2 (b):", "^^^^", "Did you mean integer?"] {
        assert!(wrong.err.contains(part), "{part} in {}", wrong.err);
    }
    place.file("migrations/2_c.sql", b"SELECT 1");
    let twice = place.run(&["migrate", "up"]);
    assert!(
        twice.err.contains("has the number of another"),
        "{}",
        twice.err
    );
}

#[test]
fn keys_and_rows_are_the_same_data() {
    let place = Place::new();
    assert!(place.run(&["put", "user:1", "Ada"]).success);
    assert!(place.run(&["insert", "user:2", "Grace"]).success);
    assert!(place.run(&["put", "zebra", "striped"]).success);
    assert_eq!(place.run(&["get", "user:1"]).out, "Ada\n");
    assert_eq!(
        place
            .run(&["scan", "--prefix", "user:", "--format", "csv"])
            .out,
        "key,value\nuser:1,Ada\nuser:2,Grace\n"
    );
    assert_eq!(
        place
            .run(&["query", "SELECT count(*) AS n FROM kv", "--format", "csv"])
            .out,
        "n\n3\n"
    );
    assert!(place.run(&["delete", "zebra"]).success);
    let missing = place.run(&["get", "zebra"]);
    assert!(
        !missing.success && missing.err.contains("there is no key \"zebra\""),
        "{}",
        missing.err
    );
    place.file("pairs.csv", b"a,1\nb,2\n");
    assert!(
        place
            .run(&[
                "load",
                "pairs.csv",
                "--table",
                "pairs",
                "--schema",
                "KEY",
                "VALUE"
            ])
            .success
    );
    assert_eq!(place.run(&["get", "b", "--table", "pairs"]).out, "2\n");
}

#[test]
fn a_piped_shell_answers_statement_by_statement() {
    let place = Place::new();
    let answer = place.pipe(
        &["a.db", "--format", "csv"],
        b"CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1),\n(2);\nSELECT sum(id) AS s FROM t;\n\\d t\nSELECT 7 AS last",
    );
    assert!(answer.success, "{}", answer.err);
    assert!(
        answer.out.contains("s\n3\n") && answer.out.ends_with("last\n7\n"),
        "{}",
        answer.out
    );
    let failed = place.pipe(&["a.db"], b"SELECT nonsense;\nSELECT 1 AS one;\n");
    assert!(
        !failed.success && failed.out.contains("one"),
        "{}",
        failed.out
    );
    let read_again = place.run(&["query", "SELECT count(*) AS n FROM t", "--format", "csv"]);
    assert_eq!(read_again.out, "n\n2\n");
}

/// As `kill` ends it: neither the statement that runs nor those that follow are waited for.
#[test]
fn a_piped_shell_ends_when_it_is_asked_to() {
    let place = Place::new();
    let mut child = place
        .command(&["a.db", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = b"SELECT 1 AS begun;\nSELECT count(*) FROM generate_series(1, 1000000000000) g;\n";
    let mut input = child.stdin.take().unwrap();
    input.write_all(script).unwrap();
    let mut answer = [0; 8];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(&answer, b"begun\n1\n");
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(sent.success());
    assert!(!child.wait().unwrap().success());
    // Only now: a shell whose input ends would end by itself.
    drop(input);
    let again = place.pipe(&["a.db", "--format", "csv"], b"SELECT 2 AS n");
    assert!(again.success && again.out == "n\n2\n", "{}", again.err);
}

/// A shell at a terminal, as a person has it.
struct Terminal {
    child: Child,
    keys: File,
    /// The shell's side, which outlives it.
    side: OwnedFd,
    screen: Receiver<Vec<u8>>,
    seen: String,
    before: Termios,
}

impl Terminal {
    fn new(place: &Place) -> Terminal {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        let before = tcgetattr(&pair.slave).unwrap();
        let side = || Stdio::from(pair.slave.try_clone().unwrap());
        let child = place
            .command(&["a.db", "--format", "csv"])
            .env("TERM", "xterm")
            .env("RUSTLING_HISTORY", "history")
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        let keys = File::from(pair.master);
        let mut output = keys.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut part) {
                if sender.send(part[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            child,
            keys,
            side: pair.slave,
            screen,
            seen: String::new(),
            before,
        }
    }

    /// Waits until the text is there, and forgets everything up to it.
    fn expect(&mut self, text: &str) {
        let there = self.sees(text, Duration::from_secs(60));
        assert!(there, "{text:?} is missing: {:?}", self.seen);
    }

    /// As [`Terminal::expect`], where nothing may come for so long.
    fn sees(&mut self, text: &str, limit: Duration) -> bool {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return true;
            }
            match self.screen.recv_timeout(limit) {
                Ok(part) => self.seen.push_str(&String::from_utf8_lossy(&part)),
                Err(_) => return false,
            }
        }
    }

    /// Waits until the shell reads a new line: a prompt alone may be that of a line being typed.
    fn prompted(&mut self, prompt: &str) {
        self.expect("\x1b[?2004h");
        self.expect(prompt);
    }

    /// Interrupts until the text is there: an interrupt that comes between two statements, or
    /// while a line is being drawn, is nobody's.
    fn interrupt(&mut self, text: &str) {
        let there = (0..60).any(|_| {
            self.signal(Signal::SIGINT);
            self.sees(text, Duration::from_secs(1))
        });
        assert!(there, "{text:?} is missing: {:?}", self.seen);
    }

    fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(id, signal).unwrap();
    }

    /// The status that the shell has ended with; the terminal is as it was.
    fn ended(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let after = tcgetattr(&self.side).unwrap();
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
        // Text that is pasted comes without marks again.
        self.expect("\x1b[?2004l");
        status.code()
    }
}

/// A test that fails leaves no shell behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_shell_at_its_prompt_ends_when_it_is_asked_to() {
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let place = Place::new();
        let mut terminal = Terminal::new(&place);
        terminal.prompted("rustling> ");
        terminal.type_in("CREATE TABLE t (n int);\r");
        terminal.expect("CREATE TABLE\r\n");
        terminal.prompted("rustling> ");
        // An interrupt there ends nothing.
        terminal.type_in("SELECT 'half");
        terminal.expect("half");
        terminal.interrupt("\x1b[?2004h");
        terminal.expect("rustling> ");
        terminal.type_in("BEGIN; INSERT INTO t VALUES (1);\r");
        terminal.expect("INSERT 0 1");
        terminal.prompted("rustling*> ");
        terminal.signal(signal);
        assert_eq!(terminal.ended(), Some(status));
        let history = std::fs::read_to_string(place.directory.path().join("history")).unwrap();
        assert!(history.contains("CREATE TABLE t"), "{history}");
        let answer = place.pipe(&["a.db", "--format", "csv"], b"SELECT count(*) FROM t");
        assert!(
            answer.success && answer.out == "count\n0\n",
            "{}",
            answer.err
        );
    }
}

#[test]
fn a_shell_at_a_terminal_cancels_what_runs_when_it_is_asked_to_end() {
    let place = Place::new();
    let mut terminal = Terminal::new(&place);
    let endless = "SELECT 'be' || 'gun'; SELECT count(*) FROM generate_series(1, 1000000000000);\r";
    let cancelled = "canceling statement";
    terminal.prompted("rustling> ");
    terminal.type_in("CREATE TABLE t AS SELECT 1;\r");
    terminal.prompted("rustling> ");
    terminal.type_in(endless);
    terminal.expect("begun\r\n");
    terminal.interrupt(cancelled);
    // That was the statement's end, not the shell's.
    terminal.prompted("rustling> ");
    terminal.type_in(endless);
    terminal.expect("begun\r\n");
    terminal.signal(Signal::SIGTERM);
    terminal.expect(cancelled);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(143));
    let answer = place.pipe(&["a.db", "--format", "csv"], b"SELECT count(*) FROM t");
    assert!(
        answer.success && answer.out == "count\n1\n",
        "{}",
        answer.err
    );
}

#[test]
fn bad_files_are_refused_with_line_reason_and_remedy() {
    let place = Place::new();
    assert!(place.run(&["put", "a", "b"]).success);
    place.refuses(b"", &[], &["is empty", "nothing to load"]);
    place.refuses(
        b"a,b\n1,\"open\n2,3\n",
        &[],
        &["line 2", "not closed", "--quote"],
    );
    place.refuses(
        b"a,b\n1,2\n3\n4,5\n",
        &[],
        &["line 3", "1 field where 2 are expected", "--delimiter"],
    );
    place.refuses(
        b"a,b\n1,caf\xe9\n",
        &[],
        &["line 2", "not valid UTF-8", "--encoding latin1"],
    );
    place.refuses(
        b"a,b\n1,2\nx,3\n",
        &["--schema", "a:int", "b:int"],
        &["line 3", "column a", "\"x\""],
    );
    place.refuses(b"a\n1\n", &["--schema", "a:nonsense"], &["nonsense"]);
    let wide: Vec<String> = (0..10_000).map(|column| format!("c{column}")).collect();
    let text = format!("{}\n{}\n", wide.join(","), vec!["1"; 10_000].join(","));
    place.refuses(text.as_bytes(), &[], &["columns"]);
    let missing = place.run(&["load", "missing.csv", "--table", "t"]);
    assert!(
        !missing.success && missing.err.contains("missing.csv"),
        "{}",
        missing.err
    );
}

#[test]
fn a_byte_order_mark_and_latin_1_are_read() {
    let place = Place::new();
    place.file("mark.csv", b"\xef\xbb\xbfid;name\n1;x\n");
    assert!(place.run(&["load", "mark.csv", "--table", "mark"]).success);
    assert_eq!(
        place
            .run(&["query", "SELECT id, name FROM mark", "--format", "csv"])
            .out,
        "id,name\n1,x\n"
    );
    place.file("latin.csv", b"id,name\n1,caf\xe9\n");
    assert!(
        place
            .run(&[
                "load",
                "latin.csv",
                "--table",
                "latin",
                "--encoding",
                "latin1"
            ])
            .success
    );
    assert!(
        place
            .run(&["query", "SELECT name FROM latin", "--format", "csv"])
            .out
            .contains("café")
    );
}

#[test]
fn rejects_are_written_with_line_column_and_reason() {
    let place = Place::new();
    place.file("dirty.csv", b"id,n\n1,10\n2,x\n3\n1,11\n4,40\n");
    place.run(&["query", "SELECT 1"]);
    let made = place.pipe(
        &["a.db"],
        b"CREATE TABLE dirty (id int PRIMARY KEY, n int CHECK (n < 40));",
    );
    assert!(made.success, "{}", made.err);
    let loaded = place.run(&[
        "load",
        "dirty.csv",
        "--table",
        "dirty",
        "--on-error",
        "rejects",
        "--rejects",
        "rejects.csv",
    ]);
    assert!(
        loaded.success && loaded.err.contains("4 rows do not fit"),
        "{}",
        loaded.err
    );
    let rejects = std::fs::read_to_string(place.directory.path().join("rejects.csv")).unwrap();
    assert!(
        rejects.starts_with("line,column,reason,record\n"),
        "{rejects}"
    );
    assert!(
        rejects.contains("\n3,n,") && rejects.contains("\n4,,1 field where 2 are expected,3\n"),
        "{rejects}"
    );
    assert!(
        rejects.contains("dirty_pkey") && rejects.contains("check"),
        "{rejects}"
    );
    assert_eq!(
        place
            .run(&["query", "SELECT id, n FROM dirty", "--format", "csv"])
            .out,
        "id,n\n1,10\n"
    );
}

#[test]
fn mistakes_in_sql_are_pointed_at() {
    let place = Place::new();
    place.pipe(
        &["a.db"],
        b"CREATE TABLE people (key text PRIMARY KEY, age int);",
    );
    let check = |sql: &str, expected: &[&str]| {
        let answer = place.run(&["query", sql]);
        assert!(!answer.success, "{sql}: {}", answer.out);
        for text in expected {
            assert!(
                answer.err.contains(text),
                "{sql}: {text:?} is missing in\n{}",
                answer.err
            );
        }
    };
    check("SELEC * FROM people", &["SELEC", "SELECT", "^"]);
    check("SELECT agee FROM people", &["agee", "age", "^"]);
    check("SELECT * FROM peple", &["peple", "people"]);
    check("CREATE TABLE x (a integr)", &["integr", "integer"]);
    check(
        "SELECT * FROM people WHERE key = \"abc\"",
        &["abc", "single quotes"],
    );
    check(
        &format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        &["nest"],
    );
}

#[test]
fn a_megabyte_of_sql_is_answered() {
    let place = Place::new();
    let values: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let sql = format!(
        "SELECT count(*) AS n FROM (VALUES ({})) v (x)",
        values.join("), (")
    );
    let answer = place.pipe(
        &["query", "-", "--db", "a.db", "--format", "csv"],
        sql.as_bytes(),
    );
    // There is no database yet: the message says how to make one.
    assert!(
        !answer.success && answer.err.contains("there is no database"),
        "{}",
        answer.err
    );
    assert!(place.run(&["put", "a", "b"]).success);
    let answer = place.pipe(&["query", "-", "--format", "csv"], sql.as_bytes());
    assert!(
        answer.success && answer.out == "n\n100000\n",
        "{}",
        answer.err
    );
}

#[test]
fn a_directory_without_permission_or_in_use_is_named() {
    let place = Place::new();
    let mut holder = place
        .command(&["a.db"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"SELECT 1;\n").unwrap();
    let mut first = [0; 1];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut first).unwrap();
    let second = place.run(&["query", "SELECT 1"]);
    assert!(
        !second.success && second.err.contains("in use"),
        "{}",
        second.err
    );
    drop(input);
    holder.wait().unwrap();
    place.file("plain", b"");
    let not_a_directory = place.run(&["query", "SELECT 1", "--db", "plain/a.db"]);
    assert!(
        !not_a_directory.success && not_a_directory.err.contains("plain"),
        "{}",
        not_a_directory.err
    );
}

#[test]
fn data_is_copied_in_and_out() {
    let place = Place::new();
    place.file("t.csv", b"n,name\n1,one\n2,\n");
    let made = place.shell("CREATE TABLE t (n int PRIMARY KEY, name text);\n");
    assert!(made.success, "{}", made.err);
    // A file, named as psql's \copy names it.
    let copied = place.shell("\\copy t FROM 't.csv' CSV HEADER\n");
    assert!(
        copied.success && copied.out.contains("COPY 2"),
        "{}{}",
        copied.out,
        copied.err
    );
    // Data between statements; a bad line does not make statements of the rest.
    let script = "COPY t FROM STDIN;\n3\tthree\n\\.\nSELECT count(*) FROM t;\n\
                  COPY t FROM STDIN;\nfour\tbad\nDROP TABLE t;\n\\.\nSELECT max(n) FROM t;\n";
    let answer = place.shell(script);
    assert!(!answer.success);
    assert!(
        answer
            .err
            .contains("CONTEXT:  COPY t, line 1, column n: \"four\""),
        "{}",
        answer.err
    );
    assert!(answer.out.contains('3'), "{}", answer.out);
    let dumped = place.run(&["query", "COPY t TO STDOUT (FORMAT csv, NULL '-')"]);
    assert_eq!(dumped.out, "1,one\n2,-\n3,three\n");
    assert!(dumped.err.contains("COPY 3"), "{}", dumped.err);
}
