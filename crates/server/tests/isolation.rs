//! The isolation scripts of the SQL crate (Hermitage at every level, locks, serializable
//! transactions), word for word the same over connections.

use std::{io::Write, net::TcpStream, path::Path};

use crate::wire::{database, message, messages, read_ready, session};
use rustling_server::{Server, ServerOptions};
use rustling_testkit::{golden, sessions::Sessions};

/// The text up to the next zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn error(mut fields: &[u8]) -> String {
    let (mut state, mut said) = (String::new(), String::new());
    // A zero byte ends the fields.
    while let [kind, rest @ ..] = fields
        && *kind != 0
    {
        let value = text(rest);
        fields = &rest[value.len() + 1..];
        match kind {
            b'C' => state = value,
            b'M' => said = value,
            _ => {}
        }
    }
    format!("ERROR {state}: {said}")
}

fn row(bytes: &[u8]) -> String {
    let mut rest = &bytes[2..];
    let mut values = Vec::new();
    while let [a, b, c, d, after @ ..] = rest {
        match usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])) {
            Err(_) => {
                // The scripts show NULL as nothing.
                values.push("".into());
                rest = after;
            }
            Ok(length) => {
                values.push(String::from_utf8_lossy(&after[..length]));
                rest = &after[length..];
            }
        }
    }
    format!("({})", values.join(", "))
}

fn show(answer: &[u8]) -> String {
    let (mut rows, mut is_query, mut tag) = (Vec::new(), false, String::new());
    for (kind, body) in messages(answer) {
        match kind {
            b'E' => return error(body),
            b'T' => is_query = true,
            b'D' => rows.push(row(body)),
            b'C' => tag = text(body),
            _ => {}
        }
    }
    match (is_query, rows.is_empty()) {
        (false, _) => tag,
        (true, true) => "no rows".to_owned(),
        (true, false) => rows.join(" "),
    }
}

fn run(stream: &mut TcpStream, statement: &str) -> String {
    let body = [statement.as_bytes(), b"\0"].concat();
    stream.write_all(&message(b'Q', &body)).unwrap();
    show(&read_ready(stream))
}

fn runner(_: &Path) -> impl FnMut(&str) -> String + use<> {
    let database = database();
    let options = ServerOptions::new()
        .listen_on("127.0.0.1:0".parse().unwrap())
        .trusting();
    let server = Server::start(database.clone(), options).unwrap();
    let begin = move || {
        let mut stream = session(&server);
        Box::new(move |statement: &str| run(&mut stream, statement))
            as Box<dyn FnMut(&str) -> String + Send>
    };
    let waiting = move || {
        let active = database.transaction_manager().active();
        let waits = active.iter().filter(|of| of.waits_for.is_some());
        waits.count()
    };
    let mut sessions = Sessions::new(begin, waiting);
    move |input| sessions.run(input)
}

#[test]
fn isolation_over_the_wire() {
    golden::run_dir(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/tests/isolation"),
        runner,
    );
}
