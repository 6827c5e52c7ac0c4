//! Protocol messages byte by byte, for tests that send what no driver would.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use rustling_server::Server;
use rustling_sql::{
    Database,
    ast::RoleOption::{Login, Password, Superuser},
};

/// A database in memory with the superuser ann, whose password is `secret`.
pub(crate) fn database() -> Database {
    let database = Database::in_memory().unwrap();
    let ann = [
        Login(true),
        Superuser(true),
        Password(Some("secret".into())),
    ];
    database.set_role("ann", &ann).unwrap();
    database
}

/// A connection on which nothing has been said.
pub(crate) fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addresses()[0]).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// Everything that comes until the connection ends.
pub(crate) fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// The first message of a session.
pub(crate) fn startup(user: &str) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    body.extend_from_slice(b"user\0");
    body.extend_from_slice(user.as_bytes());
    body.extend_from_slice(b"\0\0");
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// Begins a session on a server that trusts everybody.
pub(crate) fn session(server: &Server) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(&startup("ann")).unwrap();
    read_ready(&mut stream);
    stream
}

/// Everything that comes up to ReadyForQuery.
pub(crate) fn read_ready(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).unwrap();
        all.extend_from_slice(&head);
        all.extend_from_slice(&body);
        if head[0] == b'Z' {
            return all;
        }
    }
}

/// The messages in `bytes`, each with its kind.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while let [kind, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
        all.push((*kind, &rest[..length]));
        bytes = &rest[length..];
    }
    all
}

/// The kinds of the messages, in order.
pub(crate) fn kinds(bytes: &[u8]) -> String {
    messages(bytes)
        .into_iter()
        .map(|(kind, _)| char::from(kind))
        .collect()
}

/// A message of that kind.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Whether the text is somewhere in the bytes.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}
