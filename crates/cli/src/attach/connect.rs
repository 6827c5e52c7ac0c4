//! Finding the socket and being let in.

use std::{
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::{backend::Message, frontend},
};
use rustling_storage::Env;

use super::{Remote, answers::read_error, lost};
use crate::error::{Error, Result};

/// How PostgreSQL names Unix sockets; the port follows.
const SOCKET: &str = ".s.PGSQL.";

/// Connects to whoever serves the database in `directory`.
pub(super) fn attach(directory: &Path) -> Result<Remote> {
    for socket in sockets(directory) {
        // One that a dead process has left behind lets nobody in.
        if let Ok(stream) = UnixStream::connect(&socket) {
            let mut remote = Remote {
                socket,
                stream,
                input: BytesMut::new(),
                out: BytesMut::new(),
                key: (0, 0),
                status: b'I',
            };
            begin(&mut remote)?;
            return Ok(remote);
        }
    }
    Err(Error::Usage {
        message: format!(
            "{} is in use by another process, which does not serve it",
            directory.display()
        ),
        hint: "end that process, or have it serve the database (rustling serve, or serve() in a \
               program): then commands attach to it by themselves"
            .into(),
    })
}

fn sockets(directory: &Path) -> Vec<PathBuf> {
    let entries = Env::system().vfs.read_dir(directory).unwrap_or_default();
    let mut sockets: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| directory.join(entry))
        .filter(|entry| {
            entry
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix(SOCKET))
                .is_some_and(|port| port.parse::<u16>().is_ok())
        })
        .collect();
    sockets.sort();
    sockets
}

/// As whom to connect: the server knows the system's user that runs it, others prove who they are.
fn user() -> String {
    ["RUSTLING_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "rustling".to_owned())
}

fn begin(remote: &mut Remote) -> Result<()> {
    let user = user();
    let parameters = [
        ("user", user.as_str()),
        ("application_name", "rustling"),
        ("client_encoding", "UTF8"),
    ];
    frontend::startup_message(parameters, &mut remote.out).map_err(lost)?;
    remote.send()?;
    let mut exchange = None;
    loop {
        match remote.receive()? {
            Message::AuthenticationSasl(_) => {
                let Ok(password) = std::env::var("RUSTLING_PASSWORD") else {
                    return Err(Error::Usage {
                        message: format!("{user} needs a password"),
                        hint: "set RUSTLING_USER and RUSTLING_PASSWORD, or run the command as the \
                               system's user that serves the database"
                            .into(),
                    });
                };
                let scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                let out = &mut remote.out;
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)
                    .map_err(lost)?;
                exchange = Some(scram);
                remote.send()?;
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = exchange.as_mut().ok_or_else(unexpected)?;
                scram.update(body.data()).map_err(lost)?;
                frontend::sasl_response(scram.message(), &mut remote.out).map_err(lost)?;
                remote.send()?;
            }
            Message::AuthenticationSaslFinal(body) => {
                let scram = exchange.as_mut().ok_or_else(unexpected)?;
                scram.finish(body.data()).map_err(lost)?;
            }
            Message::BackendKeyData(body) => {
                remote.key = (body.process_id(), body.secret_key());
            }
            Message::ErrorResponse(body) => {
                return Err(Error::Database(read_error(body.fields(), "").0));
            }
            Message::ReadyForQuery(body) => {
                remote.status = body.status();
                return Ok(());
            }
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::NoticeResponse(_)
            | Message::NotificationResponse(_) => {}
            _ => return Err(unexpected()),
        }
    }
}

fn unexpected() -> Error {
    lost(io::Error::new(
        io::ErrorKind::InvalidData,
        "it does not follow the protocol",
    ))
}
