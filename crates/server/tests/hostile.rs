//! Clients that do not play by the rules.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::wire::{
    connect, contains, database, drain, kinds, message, read_ready, session, startup,
};
use rustling_server::{Limits, Server, ServerOptions};

fn server(limits: Limits, trust: bool) -> Server {
    let mut options = ServerOptions::new().listen_on("127.0.0.1:0".parse().unwrap());
    options.limits = limits;
    options.trust = trust;
    Server::start(database(), options).unwrap()
}

/// The server still serves.
fn assert_alive(server: &Server) {
    let mut stream = session(server);
    stream.write_all(&message(b'Q', b"SELECT 1\0")).unwrap();
    let answer = read_ready(&mut stream);
    assert!(contains(&answer, "SELECT 1"), "{answer:?}");
}

#[test]
fn whoever_says_nothing_is_dropped() {
    let limits = Limits {
        startup_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = server(limits, true);
    let silent = connect(&server);
    let mut slow = connect(&server);
    slow.write_all(&startup("ann")[..6]).unwrap();
    assert!(drain(silent).is_empty());
    assert!(drain(slow).is_empty());
    assert_alive(&server);
}

#[test]
fn long_and_garbled_startup_messages_are_refused() {
    let server = server(Limits::default(), true);
    let mut unterminated = startup("ann");
    let last = unterminated.len() - 1;
    unterminated[last] = b'x';
    let cases: Vec<Vec<u8>> = vec![
        10_001u32.to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        [0, 0, 0, 7].to_vec(),
        [0, 0, 0, 8, 0, 2, 0, 0].to_vec(),
        [0, 0, 0, 9, 0, 3, 0, 0, 0].to_vec(),
        unterminated,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ];
    for case in cases {
        let mut stream = connect(&server);
        stream.write_all(&case).unwrap();
        let answer = drain(stream);
        assert!(answer.starts_with(b"E"), "{case:?}: {answer:?}");
    }
    assert_alive(&server);
}

#[test]
fn bytes_before_encryption_are_not_read_after_it() {
    let server = server(Limits::default(), true);
    let mut stream = connect(&server);
    let mut bytes = [0, 0, 0, 8].to_vec();
    bytes.extend_from_slice(&80_877_103u32.to_be_bytes());
    bytes.extend(startup("ann"));
    stream.write_all(&bytes).unwrap();
    assert!(contains(&drain(stream), "unencrypted data"));
}

#[test]
fn no_message_is_taken_before_the_password() {
    let server = server(Limits::default(), false);
    for early in [
        message(b'Q', b"SELECT 1\0"),
        message(b'X', b""),
        message(b'p', b"junk\0"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(&startup("ann")).unwrap();
        stream.write_all(&early).unwrap();
        let answer = drain(stream);
        assert!(!contains(&answer, "SELECT 1"));
        assert!(!contains(&answer, "server_version"));
    }
    // A password message longer than any is not even read.
    let mut stream = connect(&server);
    stream.write_all(&startup("ann")).unwrap();
    stream.write_all(&[b'p', 0x7f, 0, 0, 0]).unwrap();
    assert!(contains(&drain(stream), "longer than the limit"));
}

#[test]
fn broken_messages_end_their_connection_only() {
    let limits = Limits {
        message_bytes: 1 << 16,
        ..Limits::default()
    };
    let server = server(limits, true);
    let mut random = fastrand::Rng::with_seed(7);
    let mut broken: Vec<Vec<u8>> = vec![
        [b'Q', 0, 0, 0, 3].to_vec(),
        [b'Q', 0xff, 0xff, 0xff, 0xff].to_vec(),
        [b'Q', 0x7f, 0xff, 0xff, 0xff].to_vec(),
        message(b'Q', b"SELECT 1"),
        message(b'Q', b"SELECT '\xff'\0"),
        message(b'!', b""),
        message(b'B', b"\0\0\0\x01"),
        message(b'B', b"\0\0\xff\xff"),
        message(b'P', b"\0SELECT 1\0\xff\xff"),
    ];
    for _ in 0..200 {
        let kind = b"QPBDECHSXdcfp"[random.usize(..13)];
        let body: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        broken.push(message(kind, &body));
    }
    for bytes in broken {
        let mut stream = session(&server);
        // The server may hang up while we speak.
        let _ = stream.write_all(&bytes);
        let _ = stream.write_all(&message(b'X', b""));
        drop(drain(stream));
    }
    assert_alive(&server);
}

#[test]
fn after_an_error_everything_up_to_sync_is_passed_over() {
    let server = server(Limits::default(), true);
    let mut stream = session(&server);
    let mut bytes = message(b'P', b"\0SELEC 1\0\0\0");
    bytes.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
    bytes.extend(message(b'E', b"\0\0\0\0\0"));
    bytes.extend(message(b'S', b""));
    stream.write_all(&bytes).unwrap();
    let answer = read_ready(&mut stream);
    assert_eq!(answer.first(), Some(&b'E'));
    assert!(answer.ends_with(b"Z\0\0\0\x05I"));
    assert_eq!(
        String::from_utf8_lossy(&answer).matches("SERROR").count(),
        1
    );
    assert_alive(&server);
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let server = server(limits, true);
    let held: Vec<TcpStream> = (0..3).map(|_| session(&server)).collect();
    assert!(contains(&drain(connect(&server)), "too many clients"));
    drop(held);
    while server.connections() > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_alive(&server);
}

#[test]
fn a_wrong_key_cancels_nothing() {
    let server = server(Limits::default(), true);
    for process in 0..5u32 {
        let mut stream = connect(&server);
        let mut bytes = 16u32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&80_877_102u32.to_be_bytes());
        bytes.extend_from_slice(&process.to_be_bytes());
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        stream.write_all(&bytes).unwrap();
        assert!(drain(stream).is_empty());
    }
    assert_alive(&server);
}

/// Whoever holds connections without a word holds up nobody else.
#[test]
fn stalled_connections_hold_up_nobody() {
    let server = server(Limits::default(), true);
    let stalled: Vec<TcpStream> = (0..500)
        .map(|at| {
            let mut stream = connect(&server);
            // Nothing, half a startup message, or a session with half a message.
            match at % 3 {
                0 => {}
                1 => stream.write_all(&startup("ann")[..7]).unwrap(),
                _ => {
                    let mut bytes = startup("ann");
                    bytes.extend_from_slice(&message(b'Q', b"SELECT 1\0")[..6]);
                    stream.write_all(&bytes).unwrap();
                }
            }
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_alive(&server);
    }
    assert!(server.connections() >= stalled.len());
    drop(stalled);
}

/// Requests to cancel with keys that are none take up a place for a while: keys cannot be tried fast.
#[test]
fn keys_to_cancel_cannot_be_tried_fast() {
    let server = server(Limits::default(), true);
    for process in 0..32u32 {
        let mut stream = connect(&server);
        let mut bytes = 16u32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&80_877_102u32.to_be_bytes());
        bytes.extend_from_slice(&process.to_be_bytes());
        bytes.extend_from_slice(&7u32.to_be_bytes());
        stream.write_all(&bytes).unwrap();
        // The answer is the end of the connection, right or wrong.
        assert!(drain(stream).is_empty());
    }
    assert!(server.connections() > 0, "nobody is kept waiting");
    assert_alive(&server);
}

/// However many there are, they take up only so many places.
#[test]
fn floods_of_requests_to_cancel_are_bounded() {
    let server = server(Limits::default(), true);
    for process in 0..500u32 {
        let mut stream = connect(&server);
        let mut bytes = 16u32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&80_877_102u32.to_be_bytes());
        bytes.extend_from_slice(&process.to_be_bytes());
        bytes.extend_from_slice(&7u32.to_be_bytes());
        stream.write_all(&bytes).unwrap();
        drop(drain(stream));
    }
    // The last ones may be about to go.
    assert!(server.connections() <= 140, "{}", server.connections());
    assert_alive(&server);
}

/// Where a message ends is known even where it says nothing: the session goes on behind it.
#[test]
fn messages_without_sense_are_answered_and_passed_over() {
    let server = server(Limits::default(), true);
    let mut stream = session(&server);
    let mut answer = |bytes: &[u8]| {
        stream.write_all(bytes).unwrap();
        read_ready(&mut stream)
    };
    answer(&message(b'Q', b"CREATE TABLE t (n int)\0"));
    for (body, state) in [
        (&b"SELECT '\xff'\0"[..], "22021"),
        (b"SELECT 1\0x", "08P01"),
        (b"SELECT 1", "08P01"),
    ] {
        let answer = answer(&message(b'Q', body));
        assert_eq!(kinds(&answer), "EZ", "{body:?}");
        assert!(contains(&answer, state), "{answer:?}");
    }
    for part in [
        message(b'P', b"\0SELECT '\xff'\0\0\0"),
        message(b'P', b"\0SELECT 1\0\0\0x"),
        message(b'B', b"\0\0\0\x01"),
        message(b'E', b"\0"),
        message(b'D', b"?\0"),
    ] {
        // What follows is passed over up to Sync, whatever it is.
        let series = [part.clone(), message(b'B', b"?"), message(b'S', b"")];
        assert_eq!(kinds(&answer(&series.concat())), "EZ", "{part:?}");
    }
    assert_eq!(kinds(&answer(&message(b'S', b"x"))), "EZ");
    let copy = [
        message(b'Q', b"COPY t FROM STDIN\0"),
        message(b'd', b"1\n"),
        message(b'c', b"x"),
    ];
    let failed = answer(&copy.concat());
    assert_eq!(kinds(&failed), "GEZ");
    let counted = answer(&message(b'Q', b"SELECT count(*) || ' rows' FROM t\0"));
    assert!(contains(&counted, "0 rows"), "{counted:?}");
    // In a block they are errors like others.
    answer(&message(b'Q', b"BEGIN\0"));
    assert!(answer(&message(b'Q', b"SELECT 1")).ends_with(b"Z\0\0\0\x05E"));
}

fn parse(sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [b"one\0", sql.as_bytes(), b"\0"].concat();
    body.extend(u16::try_from(types.len()).unwrap().to_be_bytes());
    body.extend(types.iter().flat_map(|of| of.to_be_bytes()));
    message(b'P', &body)
}

/// Binds a portal, parameters and results in binary form.
fn bind(parameters: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = b"at\0one\0\0\x01\0\x01".to_vec();
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        let length = parameter.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(parameter.unwrap_or_default());
    }
    body.extend(b"\0\x01\0\x01");
    message(b'B', &body)
}

/// What well-behaved clients say, message by message.
fn valid_sessions() -> Vec<Vec<Vec<u8>>> {
    let query = |sql: &str| message(b'Q', &[sql.as_bytes(), b"\0"].concat());
    let sync = || message(b'S', b"");
    let execute = |rows: u32| message(b'E', &[b"at\0", &rows.to_be_bytes()[..]].concat());
    let describe = |of: &[u8]| message(b'D', of);
    let array = [
        &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1][..],
        &[0, 0, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let numeric = [0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x13, 0x88];
    let interval = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2];
    let row = [
        &b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..],
        b"\0\x02\0\0\0\x04\0\0\0\x09\0\0\0\x02ok\xff\xff",
    ]
    .concat();
    vec![
        vec![
            query("SELECT 1, 'text', NULL; SELECT n FROM generate_series(1, 5) n"),
            query("INSERT INTO t VALUES (1, 'ok') ON CONFLICT DO NOTHING"),
            query("SELECT * FROM t WHERE m = 'ok'; SELEC"),
            query(""),
        ],
        vec![
            query("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (2, 'sad')"),
            query("SELECT 1 / 0"),
            query("ROLLBACK TO s; DECLARE at CURSOR FOR SELECT 1; FETCH ALL FROM at"),
            query("COMMIT"),
        ],
        vec![
            parse("SELECT $1, $2, $3, $4, $5", &[1007, 1700, 3802, 1186, 25]),
            describe(b"Sone\0"),
            bind(&[
                Some(&array),
                Some(&numeric),
                Some(b"\x01{\"a\": [1, null]}"),
                Some(&interval),
                None,
            ]),
            describe(b"Pat\0"),
            execute(1),
            execute(0),
            message(b'H', b""),
            message(b'C', b"Pat\0"),
            message(b'C', b"Sone\0"),
            sync(),
        ],
        vec![
            parse("INSERT INTO t VALUES ($1, $2) ON CONFLICT DO NOTHING", &[]),
            bind(&[Some(&3i32.to_be_bytes()), Some(b"ok")]),
            execute(0),
            sync(),
            parse("SELECT n, 'x' FROM generate_series(1, $1) n", &[23]),
            sync(),
            query("DEALLOCATE ALL"),
            parse("SELECT n, 'x' FROM generate_series(1, $1) n", &[23]),
            bind(&[Some(&40i32.to_be_bytes())]),
            execute(7),
            execute(7),
            sync(),
        ],
        vec![
            query("COPY t FROM STDIN"),
            message(b'd', b"4\tok\n5\t\\N\n"),
            message(b'd', b"\\.\n"),
            message(b'c', b""),
            query("COPY t FROM STDIN (FORMAT binary)"),
            message(b'd', &row),
            message(b'c', b""),
            query("COPY t FROM STDIN (FORMAT csv)"),
            message(b'f', b"no more\0"),
            query("COPY t TO STDOUT (FORMAT binary); COPY t TO STDOUT"),
            query("DELETE FROM t WHERE id > 3"),
        ],
    ]
}

/// Does to a stream of messages what a broken or hostile client would.
fn mutate(random: &mut fastrand::Rng, parts: &mut Vec<Vec<u8>>, others: &[Vec<Vec<u8>>]) {
    for _ in 0..random.usize(1..4) {
        if parts.is_empty() {
            return;
        }
        let at = random.usize(..parts.len());
        let part = &mut parts[at];
        let place = random.usize(..=part.len().saturating_sub(1));
        match random.u8(..11) {
            0 | 1 if !part.is_empty() => part[place] ^= 1 << random.u8(..8),
            2 if !part.is_empty() => part[place] = random.u8(..),
            // The length that the message says.
            3 if part.len() >= 5 => {
                let said = u32::try_from(part.len()).unwrap() - 1;
                let other = [
                    0,
                    3,
                    4,
                    said - 1,
                    said + 1,
                    said + random.u32(..64),
                    1 << 16,
                    u32::MAX >> 1,
                    u32::MAX,
                ];
                let length = other[random.usize(..other.len())];
                part[1..5].copy_from_slice(&length.to_be_bytes());
            }
            // A count or a length within, wherever it is.
            4 | 5 if part.len() > 9 => {
                let place = random.usize(5..part.len() - 3);
                let number = [
                    0i32,
                    1,
                    -1,
                    -2,
                    i32::MAX,
                    i32::MIN,
                    0x0001_0001,
                    0x7fff_7fff,
                ];
                let number = number[random.usize(..number.len())].to_be_bytes();
                let width = [2, 4][random.usize(..2)];
                part[place..place + width].copy_from_slice(&number[..width]);
            }
            6 => part.truncate(place),
            7 => {
                let end = random.usize(place..=part.len());
                part.drain(place..end);
            }
            8 => {
                let end = random.usize(place..=part.len());
                let again = part[place..end].to_vec();
                part.splice(place..place, again);
            }
            9 => {
                let other = &others[random.usize(..others.len())];
                parts.insert(at, other[random.usize(..other.len())].clone());
            }
            _ => {
                let with = random.usize(..parts.len());
                parts.swap(at, with);
            }
        }
    }
}

/// Every stream is answered to its end, whatever it says; no thread of the server panics, and others
/// are served as before.
#[test]
fn streams_that_went_wrong_somewhere_are_answered_to_their_end() {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let (noted, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if thread
            .name()
            .is_some_and(|name| name.starts_with("rustling"))
        {
            noted.lock().unwrap().push(panic.to_string());
        }
        before(panic);
    }));
    let limits = Limits {
        message_bytes: 1 << 16,
        ..Limits::default()
    };
    let server = server(limits, true);
    let mut setting_up = session(&server);
    let setup = b"CREATE TYPE mood AS ENUM ('sad', 'ok'); \
                  CREATE TABLE t (id int PRIMARY KEY, m mood)\0";
    setting_up.write_all(&message(b'Q', setup)).unwrap();
    assert!(contains(&read_ready(&mut setting_up), "CREATE TABLE"));
    drop(setting_up);
    let sessions = valid_sessions();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..CASES {
        let mut parts = sessions[round % sessions.len()].clone();
        // The first rounds are as they should be.
        if round >= sessions.len() {
            mutate(&mut random, &mut parts, &sessions);
        }
        let mut first = startup("ann");
        if random.u8(..32) == 0 {
            let place = random.usize(..first.len());
            first[place] ^= 1 << random.u8(..8);
        }
        let mut stream = connect(&server);
        // The server may hang up while we speak.
        let _ = stream.write_all(&[first, parts.concat()].concat());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            let hangs = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!hangs, "round {round} has no end: {parts:?}");
        }
        if round < sessions.len() {
            assert!(answer.ends_with(b"Z\0\0\0\x05I"), "{round}: {answer:?}");
        }
        let panics = panics.lock().unwrap();
        assert!(panics.is_empty(), "round {round}: {panics:?}: {parts:?}");
        drop(panics);
        if round % 100 == 0 {
            assert_alive(&server);
        }
    }
    while server.connections() > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_alive(&server);
}

const CASES: usize = 1_500;
