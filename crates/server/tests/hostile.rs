//! Clients that do not play by the rules.

use std::{io::Write, net::TcpStream, time::Duration};

use crate::wire::{connect, contains, database, drain, message, read_ready, session, startup};
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
