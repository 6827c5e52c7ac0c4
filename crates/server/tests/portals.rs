//! Portals, cursors and parameters as drivers use them, message by message; sessions that others
//! end.

use std::{io::Write, net::TcpStream};

use crate::wire::{contains, database, drain, kinds, message, messages, read_ready, session};
use rustling_server::{Server, ServerOptions};

fn server() -> Server {
    let options = ServerOptions::new()
        .listen_on("127.0.0.1:0".parse().unwrap())
        .trusting();
    Server::start(database(), options).unwrap()
}

fn query(stream: &mut TcpStream, sql: &str) -> Vec<u8> {
    let body = [sql.as_bytes(), b"\0"].concat();
    stream.write_all(&message(b'Q', &body)).unwrap();
    read_ready(stream)
}

/// Sends the messages with a Sync behind them.
fn series(stream: &mut TcpStream, messages: &[Vec<u8>]) -> Vec<u8> {
    stream.write_all(&messages.concat()).unwrap();
    stream.write_all(&message(b'S', b"")).unwrap();
    read_ready(stream)
}

fn describe_portal(name: &str) -> Vec<u8> {
    message(b'D', &[b"P", name.as_bytes(), b"\0"].concat())
}

fn execute(name: &str, rows: u32) -> Vec<u8> {
    message(
        b'E',
        &[name.as_bytes(), b"\0", &rows.to_be_bytes()].concat(),
    )
}

fn close_portal(name: &str) -> Vec<u8> {
    message(b'C', &[b"P", name.as_bytes(), b"\0"].concat())
}

#[test]
fn cursors_of_sql_are_portals() {
    let server = server();
    let mut stream = session(&server);
    query(
        &mut stream,
        "BEGIN; DECLARE c CURSOR FOR SELECT n AS number FROM generate_series(1, 5) n",
    );
    let answer = series(&mut stream, &[describe_portal("c")]);
    assert_eq!(kinds(&answer), "TZ");
    assert!(contains(&answer, "number"));
    let answer = series(&mut stream, &[execute("c", 2)]);
    assert_eq!(kinds(&answer), "DDsZ");
    // FETCH goes on where the protocol has stopped, and the other way round.
    let answer = query(&mut stream, "FETCH 1 FROM c");
    assert_eq!(kinds(&answer), "TDCZ");
    assert!(contains(&answer, "FETCH 1"));
    let answer = series(&mut stream, &[execute("c", 0)]);
    assert_eq!(kinds(&answer), "DDCZ");
    assert!(contains(&answer, "SELECT 2"));
    // Closing the portal closes the cursor.
    let answer = series(&mut stream, &[close_portal("c")]);
    assert_eq!(kinds(&answer), "3Z");
    let answer = series(&mut stream, &[describe_portal("c")]);
    assert!(contains(&answer, "34000"));
}

#[test]
fn fetch_and_execute_are_described_before_they_run() {
    let server = server();
    let mut stream = session(&server);
    query(&mut stream, "PREPARE p (int) AS SELECT $1 + 1 AS more");
    query(&mut stream, "BEGIN; DECLARE c CURSOR FOR SELECT 7 AS seven");
    for (sql, column) in [("FETCH ALL FROM c", "seven"), ("EXECUTE p (41)", "more")] {
        let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
        // Everything in binary form.
        let bind = message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01");
        let answer = series(
            &mut stream,
            &[parse, bind, describe_portal(""), execute("", 0)],
        );
        assert_eq!(kinds(&answer), "12TDCZ", "{sql}");
        assert!(contains(&answer, column), "{sql}");
    }
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    let body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"];
    message(b'P', &body.concat())
}

/// Binds the unnamed portal to a statement without parameters.
fn bind(statement: &str) -> Vec<u8> {
    let body = [b"\0", statement.as_bytes(), b"\0\0\0\0\0\0\0"];
    message(b'B', &body.concat())
}

#[test]
fn statements_of_the_protocol_and_of_sql_have_the_same_names() {
    let server = server();
    let mut stream = session(&server);
    series(&mut stream, &[parse("wire", "SELECT $1::int + 1 AS more")]);
    let answer = query(&mut stream, "EXECUTE wire (41)");
    assert!(contains(&answer, "42"), "{answer:?}");
    let answer = query(
        &mut stream,
        "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE wire (NULL)",
    );
    assert!(contains(&answer, "\"Plan\""), "{answer:?}");
    let answer = query(&mut stream, "PREPARE wire AS SELECT 1");
    assert!(contains(&answer, "42P05"));

    query(&mut stream, "PREPARE text AS SELECT 7 AS seven");
    let answer = series(&mut stream, &[parse("text", "SELECT 1")]);
    assert!(contains(&answer, "42P05"));
    let run = [bind("text"), describe_portal(""), execute("", 0)];
    let answer = series(&mut stream, &run);
    assert_eq!(kinds(&answer), "2TDCZ");
    assert!(contains(&answer, "seven"));

    for (name, forget) in [("text", "DEALLOCATE text"), ("wire", "DEALLOCATE ALL")] {
        query(&mut stream, forget);
        let answer = series(&mut stream, &[bind(name)]);
        assert!(contains(&answer, "26000"), "{name}");
        assert_eq!(
            kinds(&series(&mut stream, &[parse(name, "SELECT 2")])),
            "1Z"
        );
    }
    query(&mut stream, "DISCARD ALL");
    assert!(contains(&series(&mut stream, &[bind("wire")]), "26000"));
    series(&mut stream, &[parse("wire", "SELECT 3")]);
    let close = message(b'C', b"Swire\0");
    assert_eq!(kinds(&series(&mut stream, &[close])), "3Z");
    assert!(contains(&query(&mut stream, "EXECUTE wire"), "26000"));
}

#[test]
fn declared_types_of_parameters_decide() {
    let server = server();
    let mut stream = session(&server);
    for (declared, oid) in [
        (23u32, 23u32),
        (1184, 1184),
        (1266, 1266),
        (0, 25),
        (705, 25),
    ] {
        let parse = [
            b"\0SELECT $1 AS it\0\0\x01".as_slice(),
            &declared.to_be_bytes(),
        ];
        let parse = message(b'P', &parse.concat());
        let answer = series(&mut stream, &[parse, message(b'D', b"S\0")]);
        assert_eq!(kinds(&answer), "1tTZ");
        // The column's name, its table and place, and then its type.
        let at = answer
            .windows(3)
            .position(|bytes| bytes == b"it\0")
            .unwrap()
            + 3
            + 6;
        assert_eq!(answer[at..at + 4], oid.to_be_bytes(), "{declared}");
    }
}

#[test]
fn one_session_ends_the_statement_or_the_whole_of_another() {
    let server = server();
    let mut victim = session(&server);
    let answer = query(&mut victim, "SELECT 'number ' || pg_backend_pid() || ';'");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (_, rest) = text.split_once("number ").unwrap();
    let pid: u32 = rest.split_once(';').unwrap().0.parse().unwrap();
    let mut other = session(&server);
    assert!(contains(
        &query(&mut other, "SELECT 'is ' || pg_cancel_backend(2000000)"),
        "is false"
    ));

    let slow = b"SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b\0";
    victim.write_all(&message(b'Q', slow)).unwrap();
    // It may not have begun yet.
    let running = "SELECT 'runs: ' || count(*) FROM pg_stat_activity WHERE state = 'active' \
                   AND query LIKE '%30000%' AND pid <> pg_backend_pid()";
    while !contains(&query(&mut other, running), "runs: 1") {}
    let cancel = format!("SELECT 'is ' || pg_cancel_backend({pid})");
    assert!(contains(&query(&mut other, &cancel), "is true"));
    let answer = read_ready(&mut victim);
    assert!(contains(&answer, "57014"), "{answer:?}");

    // Whoever is no superuser ends no superuser's session.
    query(&mut other, "CREATE ROLE bob LOGIN");
    let denied = format!("SET ROLE bob; SELECT pg_terminate_backend({pid})");
    assert!(contains(&query(&mut other, &denied), "42501"));
    query(&mut other, "RESET ROLE");

    let terminate = format!("SELECT 'is ' || pg_terminate_backend({pid})");
    assert!(contains(&query(&mut other, &terminate), "is true"));
    let last = drain(victim);
    assert!(
        contains(&last, "57P01") && contains(&last, "FATAL"),
        "{last:?}"
    );
    while server.connections() > 1 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Runs a statement with one parameter of the declared type, in binary form both ways.
fn with_parameter(stream: &mut TcpStream, sql: &str, oid: u32, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let parse = [b"\0", sql.as_bytes(), b"\0\0\x01", &oid.to_be_bytes()].concat();
    let bind = [
        &b"\0\0\0\x01\0\x01\0\x01"[..],
        &length,
        value,
        b"\0\x01\0\x01",
    ];
    let describe = message(b'D', b"S\0");
    let messages = [
        message(b'P', &parse),
        describe,
        message(b'B', &bind.concat()),
        execute("", 0),
    ];
    series(stream, &messages)
}

fn number(stream: &mut TcpStream, sql: &str) -> u32 {
    let answer = query(stream, sql);
    let row = messages(&answer).into_iter().find(|of| of.0 == b'D');
    String::from_utf8_lossy(&row.unwrap().1[6..])
        .parse()
        .unwrap()
}

#[test]
fn enumerated_types_are_known_by_their_numbers() {
    let server = server();
    let mut stream = session(&server);
    query(
        &mut stream,
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE other AS ENUM ('sad'); \
         CREATE DOMAIN good AS mood CHECK (VALUE <> 'sad')",
    );
    let mood = number(&mut stream, "SELECT 'mood'::regtype::oid");
    let other = number(&mut stream, "SELECT 'other'::regtype::oid");
    let good = number(&mut stream, "SELECT 'good'::regtype::oid");
    let moods = number(
        &mut stream,
        "SELECT typarray FROM pg_type WHERE oid = 'mood'::regtype",
    );

    // What the client declares is what the statement is about, what it gives and how.
    let answer = with_parameter(&mut stream, "SELECT $1", mood, b"ok");
    assert_eq!(kinds(&answer), "1tT2DCZ");
    let parts = messages(&answer);
    assert_eq!(parts[1].1, [b"\0\x01", &mood.to_be_bytes()[..]].concat());
    let (_, columns) = parts[2];
    let shape = [&mood.to_be_bytes()[..], b"\0\x04\xff\xff\xff\xff"].concat();
    assert!(columns.windows(10).any(|part| part == shape), "{columns:?}");
    assert_eq!(parts[4].1, b"\0\x01\0\0\0\x02ok");
    // A domain's values are those of the type under it.
    let answer = with_parameter(&mut stream, "SELECT $1 > 'sad'", good, b"ok");
    assert_eq!(kinds(&answer), "1tT2DCZ");

    let array = |element: u32, label: &[u8]| {
        let mut bytes = [0, 0, 0, 1, 0, 0, 0, 0].to_vec();
        bytes.extend(element.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        bytes.extend(u32::try_from(label.len()).unwrap().to_be_bytes());
        bytes.extend(label);
        bytes
    };
    let answer = with_parameter(&mut stream, "SELECT $1", moods, &array(mood, b"ok"));
    assert_eq!(kinds(&answer), "1tT2DCZ");
    let (_, row) = messages(&answer)[4];
    assert_eq!(row[6..], array(mood, b"ok"));

    let wrong = format!(
        "binary data has array element type 23 (integer) instead of expected {mood} (mood)"
    );
    for (oid, value, state, text) in [
        (
            mood,
            b"glad".to_vec(),
            "22P02",
            "invalid input value for enum mood: \"glad\"",
        ),
        (
            mood,
            Vec::new(),
            "22P02",
            "invalid input value for enum mood: \"\"",
        ),
        (mood, b"o\xff".to_vec(), "22021", "UTF8"),
        (mood, b"o\0".to_vec(), "22021", "0x00"),
        (moods, array(23, b"ok"), "42804", &*wrong),
        (moods, array(other, b"sad"), "42804", "instead of expected"),
        (moods, array(mood, b"glad"), "22P02", "enum mood: \"glad\""),
        (moods, b"\0\0".to_vec(), "22P03", "mood[]"),
    ] {
        let answer = with_parameter(&mut stream, "SELECT $1", oid, &value);
        assert_eq!(kinds(&answer), "1tTEZ", "{value:?}");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(&format!("C{state}\0")), "{answer:?}");
        assert!(answer.contains(text), "{answer:?}");
    }
    // The type may have gone since the statement was prepared.
    let parse = [&b"gone\0SELECT $1\0\0\x01"[..], &mood.to_be_bytes()].concat();
    assert_eq!(kinds(&series(&mut stream, &[message(b'P', &parse)])), "1Z");
    query(&mut stream, "DROP TYPE mood CASCADE");
    let bind = message(b'B', b"\0gone\0\0\x01\0\x01\0\x01\0\0\0\x02ok\0\0");
    let answer = series(&mut stream, &[bind, execute("", 0)]);
    assert_eq!(kinds(&answer), "EZ");
    let answer = query(&mut stream, "SELECT 1");
    assert_eq!(kinds(&answer), "TDCZ");
}

/// Binds a portal of that name to a statement without parameters.
fn bind_portal(portal: &str, statement: &str) -> Vec<u8> {
    let body = [
        portal.as_bytes(),
        b"\0",
        statement.as_bytes(),
        b"\0\0\0\0\0\0\0",
    ];
    message(b'B', &body.concat())
}

/// What prepares a statement without parameters and runs it.
fn run(sql: &str) -> Vec<u8> {
    [parse("", sql), bind(""), execute("", 0)].concat()
}

fn is_idle(answer: &[u8]) -> bool {
    answer.ends_with(b"Z\0\0\0\x05I")
}

#[test]
fn rows_of_a_cursor_are_sent_as_they_are_taken() {
    let server = server();
    let mut stream = session(&server);
    query(
        &mut stream,
        "BEGIN; DECLARE c CURSOR FOR SELECT repeat('x', 70000) FROM generate_series(1, 30)",
    );
    let answer = series(&mut stream, &[execute("c", 10), execute("c", 0)]);
    let (first, rest) = ("D".repeat(10), "D".repeat(20));
    assert_eq!(kinds(&answer), format!("{first}s{rest}CZ"));
    assert!(contains(&answer, "SELECT 20"));
}

#[test]
fn the_end_of_a_transaction_ends_its_portals() {
    let server = server();
    let mut stream = session(&server);
    query(
        &mut stream,
        "CREATE TABLE t (n int); INSERT INTO t SELECT n FROM generate_series(1, 100) n",
    );
    let half_read = [
        parse("rows", "SELECT n FROM t"),
        bind_portal("half", "rows"),
        execute("half", 1),
        message(b'C', b"Srows\0"),
    ];
    for end in ["COMMIT", "ROLLBACK", "-- enough\nEND"] {
        query(&mut stream, "BEGIN");
        assert_eq!(kinds(&series(&mut stream, &half_read)), "12Ds3Z");
        let answer = series(&mut stream, &[run(end)]);
        assert_eq!(kinds(&answer), "12CZ", "{end}: {answer:?}");
        assert!(is_idle(&answer), "{end}");
        let answer = series(&mut stream, &[execute("half", 1)]);
        assert!(contains(&answer, "34000"), "{end}");

        query(&mut stream, "BEGIN");
        assert_eq!(kinds(&series(&mut stream, &half_read)), "12Ds3Z");
        let answer = query(&mut stream, end);
        assert_eq!(kinds(&answer), "CZ", "{end}: {answer:?}");
        assert!(is_idle(&answer), "{end}");
    }
    // Going back within it leaves portals as they are.
    query(&mut stream, "BEGIN; SAVEPOINT s");
    series(&mut stream, &half_read);
    series(&mut stream, &[run("ROLLBACK TO s")]);
    assert_eq!(kinds(&series(&mut stream, &[execute("half", 1)])), "DsZ");
}

#[test]
fn begin_makes_a_block_of_what_came_before_it() {
    let server = server();
    let mut stream = session(&server);
    query(&mut stream, "CREATE TABLE t (n int)");
    let insert = || run("INSERT INTO t VALUES (1)");
    let begin = run("BEGIN /* a comment */");
    let answer = series(&mut stream, &[insert(), begin, insert()]);
    assert_eq!(kinds(&answer), "12C12C12CZ", "{answer:?}");
    assert!(answer.ends_with(b"Z\0\0\0\x05T"));
    query(&mut stream, "ROLLBACK");
    assert_eq!(number(&mut stream, "SELECT count(*) FROM t"), 0);

    let answer = series(&mut stream, &[insert(), run("START TRANSACTION READ ONLY")]);
    assert!(contains(&answer, "START TRANSACTION"));
    assert!(contains(
        &query(&mut stream, "INSERT INTO t VALUES (2)"),
        "25006"
    ));
    query(&mut stream, "ROLLBACK");
    let too_late = run("BEGIN ISOLATION LEVEL SERIALIZABLE");
    let answer = series(&mut stream, &[insert(), too_late]);
    assert!(contains(&answer, "25001"), "{answer:?}");
    assert!(is_idle(&answer));
    assert_eq!(number(&mut stream, "SELECT count(*) FROM t"), 0);
}

#[test]
fn nothing_is_prepared_in_a_failed_block_but_its_end() {
    let server = server();
    let mut stream = session(&server);
    query(&mut stream, "BEGIN; SAVEPOINT s");
    query(&mut stream, "SELECT 1 / 0");
    let answer = series(&mut stream, &[parse("", "SELECT 1")]);
    assert_eq!(kinds(&answer), "EZ");
    assert!(contains(&answer, "25P02"));
    assert_eq!(kinds(&series(&mut stream, &[parse("", " ;")])), "1Z");
    let answer = series(&mut stream, &[run("ROLLBACK TO SAVEPOINT s")]);
    assert_eq!(kinds(&answer), "12CZ");
    query(&mut stream, "SELECT 1 / 0");
    let answer = series(&mut stream, &[run("ROLLBACK")]);
    assert_eq!(kinds(&answer), "12CZ");
    assert!(is_idle(&answer));
}

#[test]
fn rows_of_other_types_than_were_told_are_not_sent() {
    let server = server();
    let mut stream = session(&server);
    query(
        &mut stream,
        "CREATE TABLE t (n int); INSERT INTO t VALUES (7)",
    );
    let prepared = [
        parse("read", "SELECT n FROM t"),
        parse("change", "INSERT INTO t VALUES (8) RETURNING n"),
        parse("same", "SELECT count(*) FROM t"),
    ];
    assert_eq!(kinds(&series(&mut stream, &prepared)), "111Z");
    query(&mut stream, "ALTER TABLE t ADD COLUMN more int");
    let answer = series(&mut stream, &[bind("read"), execute("", 0)]);
    assert_eq!(kinds(&answer), "2DCZ");
    query(&mut stream, "ALTER TABLE t ALTER COLUMN n TYPE bigint");
    for name in ["read", "change"] {
        let answer = series(&mut stream, &[bind(name), execute("", 0)]);
        assert_eq!(kinds(&answer), "2EZ", "{name}: {answer:?}");
        assert!(contains(&answer, "0A000"));
        assert!(contains(&answer, "cached plan must not change result type"));
    }
    // What could not be told was not done either.
    assert_eq!(number(&mut stream, "SELECT count(*) FROM t"), 1);
    let answer = series(&mut stream, &[bind("same"), execute("", 0)]);
    assert_eq!(kinds(&answer), "2DCZ");
    let answer = series(&mut stream, &[run("SELECT n FROM t")]);
    assert_eq!(kinds(&answer), "12DCZ");
}
