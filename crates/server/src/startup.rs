//! The beginning of a connection: TLS, the startup message, who it is.
//!
//! Nothing here trusts the peer: messages are short, the whole of it is over in a few seconds or
//! the connection ends, and bytes that come before TLS is on are refused rather than read later
//! as if they had come under it (CVE-2021-23214).

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use rustling_sql::Error as SqlError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    authentication::{Answer, Exchange},
    backend::{self, Severity},
    connection::{Peer, Shared},
    frontend::{Frontend, ProtocolError, Reader, decode, take_frame},
    metrics,
    options::MAX_STARTUP_BYTES,
    rules::{Attempt, Method},
    stream::Stream,
};

/// Codes that stand where a startup message has its version.
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// The versions of the protocol that are spoken: 3.0 and 3.2.
const MAJOR: u32 = 3;
const NEWEST_MINOR: u32 = 2;

/// What a connection wants.
pub(crate) enum Wanted {
    /// A session.
    Session(Startup),
    /// The end of another session's statement.
    Cancel {
        /// Its number.
        process: u32,
        /// What shows that the request is allowed.
        secret: Bytes,
    },
    /// Nothing: it has gone, or was turned away.
    Nothing,
}

/// Who has begun a session.
pub(crate) struct Startup {
    /// The stream, under TLS if that was asked for.
    pub(crate) stream: Stream,
    /// Bytes that came behind.
    pub(crate) input: BytesMut,
    /// The user.
    pub(crate) user: String,
    /// Whether it needs to be no role: it owns the database, or everybody is trusted.
    pub(crate) as_owner: bool,
    /// Settings to begin with.
    pub(crate) settings: Vec<(String, String)>,
    /// Whether keys to cancel may be long (protocol 3.2).
    pub(crate) long_secret: bool,
    /// What is to be sent first.
    pub(crate) out: BytesMut,
}

/// A connection that is turned away, with what it is told.
enum Refusal {
    Gone,
    Told(Stream, ProtocolError),
}

/// Brings a connection to where it can be served.
pub(crate) async fn start(stream: Stream, shared: &Shared, peer: Peer) -> Wanted {
    match begin(stream, shared, peer).await {
        Ok(wanted) => wanted,
        Err(Refusal::Gone) => Wanted::Nothing,
        Err(Refusal::Told(mut stream, error)) => {
            metrics::count(&shared.metrics.refused);
            tracing::warn!(address = ?peer.address, state = error.state, "refused: {}", error.message);
            let mut out = BytesMut::new();
            backend::report(&mut out, Severity::Fatal, &SqlError::from(error), None);
            // The peer may have gone; there is nobody else to tell.
            drop(stream.write_all(&out).await);
            drop(stream.shutdown().await);
            Wanted::Nothing
        }
    }
}

async fn begin(mut stream: Stream, shared: &Shared, peer: Peer) -> Result<Wanted, Refusal> {
    let options = &shared.options;
    let mut input = BytesMut::new();
    let mut encryption_asked = false;
    // A client may ask for either kind of encryption, once each, before it begins.
    let mut requests = 0;
    let body = loop {
        let body = match read_startup(&mut stream, &mut input).await {
            Ok(Some(body)) => body,
            Ok(None) => return Err(Refusal::Gone),
            Err(error) => return Err(Refusal::Told(stream, error)),
        };
        let code = Reader::new(body.clone()).u32().unwrap_or_default();
        if !matches!(code, SSL_REQUEST | GSS_REQUEST) {
            break body;
        }
        requests += 1;
        if requests > 2 || !input.is_empty() {
            let message = "received unencrypted data after an encryption request";
            return Err(Refusal::Told(stream, ProtocolError::new(message)));
        }
        stream = match (code, stream, &options.certificate) {
            (SSL_REQUEST, Stream::Tcp(mut tcp), Some(certificate)) if !encryption_asked => {
                encryption_asked = true;
                tcp.write_all(b"S").await.map_err(|_| Refusal::Gone)?;
                let tls = certificate
                    .acceptor()
                    .accept(tcp)
                    .await
                    .map_err(|_| Refusal::Gone)?;
                Stream::Tls(Box::new(tls))
            }
            (_, mut stream, _) => {
                stream.write_all(b"N").await.map_err(|_| Refusal::Gone)?;
                stream
            }
        };
    };
    let mut reader = Reader::new(body);
    let told = |stream, error| Err(Refusal::Told(stream, error));
    let version = match reader.u32() {
        Ok(CANCEL_REQUEST) => {
            return Ok(match reader.u32() {
                Ok(process) => Wanted::Cancel {
                    process,
                    secret: reader.all(),
                },
                Err(_) => Wanted::Nothing,
            });
        }
        Ok(version) => version,
        Err(error) => return told(stream, error),
    };
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != MAJOR {
        let message = format!(
            "unsupported frontend protocol {major}.{minor}: server supports {MAJOR}.0 to \
             {MAJOR}.{NEWEST_MINOR}"
        );
        return told(
            stream,
            ProtocolError {
                state: "0A000",
                message,
            },
        );
    }
    let parameters = match parameters(&mut reader) {
        Ok(parameters) => parameters,
        Err(error) => return told(stream, error),
    };
    let mut out = BytesMut::new();
    let unknown: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.clone())
        .collect();
    if minor > NEWEST_MINOR || !unknown.is_empty() {
        backend::negotiate_version(&mut out, minor.min(NEWEST_MINOR), &unknown);
    }
    let Some(user) = find(&parameters, "user").filter(|user| !user.is_empty()) else {
        let message = "no PostgreSQL user name specified in startup packet".into();
        return told(
            stream,
            ProtocolError {
                state: "28000",
                message,
            },
        );
    };
    if options.require_tls && matches!(stream, Stream::Tcp(_)) {
        let message = "this server takes encrypted connections only (sslmode=require)".into();
        return told(
            stream,
            ProtocolError {
                state: "28000",
                message,
            },
        );
    }
    let database = find(&parameters, "database").unwrap_or_default();
    let encrypted = matches!(stream, Stream::Tls(_));
    let method = match method(shared, peer, encrypted, &database, &user) {
        Ok(method) => method,
        Err(message) => {
            return told(
                stream,
                ProtocolError {
                    state: "28000",
                    message,
                },
            );
        }
    };
    if method == Method::ScramSha256 {
        stream = authenticate(stream, &mut input, &mut out, shared, &user).await?;
    }
    backend::authentication_ok(&mut out);
    let settings = match settings(parameters) {
        Ok(settings) => settings,
        Err(error) => return told(stream, error),
    };
    Ok(Wanted::Session(Startup {
        stream,
        input,
        user,
        as_owner: options.trust || (method == Method::Peer && peer.is_owner),
        settings,
        long_secret: minor >= 2,
        out,
    }))
}

/// How a client is to prove who it is, or why it is turned away.
fn method(
    shared: &Shared,
    peer: Peer,
    encrypted: bool,
    database: &str,
    user: &str,
) -> Result<Method, String> {
    let options = &shared.options;
    if options.trust {
        return Ok(Method::Trust);
    }
    let Some(rules) = &options.rules else {
        return Ok(if peer.is_owner {
            Method::Peer
        } else {
            Method::ScramSha256
        });
    };
    let attempt = Attempt {
        address: peer.address.map(|address| address.ip()),
        encrypted,
        // A client that names no database wants the one that is called as it is.
        database: if database.is_empty() { user } else { database },
        user,
    };
    let from = || {
        let encryption = if encrypted {
            "encrypted"
        } else {
            "no encryption"
        };
        match attempt.address {
            Some(address) => format!(
                "host \"{address}\", user \"{user}\", database \"{}\", {encryption}",
                attempt.database
            ),
            None => format!(
                "the Unix socket, user \"{user}\", database \"{}\"",
                attempt.database
            ),
        }
    };
    match rules.method(&attempt, |role| shared.database.is_member(user, role)) {
        None => Err(format!("no rule lets this connection in: {}", from())),
        Some(Method::Reject) => Err(format!("a rule rejects this connection: {}", from())),
        Some(Method::Peer) if !peer.is_owner => {
            Err(format!("peer authentication failed for user \"{user}\""))
        }
        Some(method) => Ok(method),
    }
}

/// Reads a message without a kind: all messages before the session are.
async fn read_startup(
    stream: &mut Stream,
    input: &mut BytesMut,
) -> Result<Option<Bytes>, ProtocolError> {
    loop {
        if let Some(length) = input.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if !(8..=MAX_STARTUP_BYTES).contains(&length) {
                return Err(ProtocolError::new("invalid length of startup packet"));
            }
            if input.len() >= length {
                input.advance(4);
                return Ok(Some(input.split_to(length - 4).freeze()));
            }
        }
        if !fill(stream, input).await {
            return Ok(None);
        }
    }
}

/// Reads a little; `false`: the peer has gone.
async fn fill(stream: &mut Stream, input: &mut BytesMut) -> bool {
    input.reserve(1024);
    let read: io::Result<usize> = stream.read_buf(input).await;
    matches!(read, Ok(count) if count > 0)
}

/// Names and values up to an empty name.
fn parameters(reader: &mut Reader) -> Result<Vec<(String, String)>, ProtocolError> {
    let mut parameters = Vec::new();
    loop {
        let name = reader.text()?;
        if name.is_empty() {
            return if reader.is_empty() {
                Ok(parameters)
            } else {
                Err(ProtocolError::new(
                    "invalid startup packet layout: expected terminator as last byte",
                ))
            };
        }
        parameters.push((name, reader.text()?));
    }
}

fn find(parameters: &[(String, String)], name: &str) -> Option<String> {
    parameters
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

/// The settings among the startup's parameters, those of `options` (`-c name=value`) included.
fn settings(parameters: Vec<(String, String)>) -> Result<Vec<(String, String)>, ProtocolError> {
    let mut settings = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            name if name.starts_with("_pq_.") => {}
            "options" => {
                let mut words = value.split_whitespace();
                while let Some(word) = words.next() {
                    let setting = match word.strip_prefix("-c").or(word.strip_prefix("--")) {
                        Some("") => words.next(),
                        other => other,
                    };
                    match setting.and_then(|setting| setting.split_once('=')) {
                        Some((name, value)) => {
                            settings.push((name.replace('-', "_"), value.into()))
                        }
                        None => {
                            return Err(ProtocolError {
                                state: "42601",
                                message: format!("invalid command-line argument: {word}"),
                            });
                        }
                    }
                }
            }
            _ => settings.push((name, value)),
        }
    }
    Ok(settings)
}

/// Has the client show that it knows the password.
async fn authenticate(
    mut stream: Stream,
    input: &mut BytesMut,
    out: &mut BytesMut,
    shared: &Shared,
    user: &str,
) -> Result<Stream, Refusal> {
    let certificate = match (&stream, &shared.options.certificate) {
        (Stream::Tls(_), Some(certificate)) => Some(certificate.chain()),
        _ => None,
    };
    let mut exchange = match Exchange::new(&shared.database, &shared.decoys, user, certificate) {
        Ok(exchange) => exchange,
        Err(error) => return Err(Refusal::Told(stream, error)),
    };
    backend::sasl(out, &exchange.mechanisms());
    loop {
        stream.write_all(out).await.map_err(|_| Refusal::Gone)?;
        out.clear();
        let message = loop {
            match take_frame(input, MAX_STARTUP_BYTES) {
                Ok(Some((kind, body))) => break decode(kind, body),
                Ok(None) => {
                    if !fill(&mut stream, input).await {
                        return Err(Refusal::Gone);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        let answer = message.and_then(|message| match message {
            Frontend::Password(bytes) => exchange.next(bytes),
            _ => Err(ProtocolError::new("expected a SASL response")),
        });
        match answer {
            Ok(Answer::Continue(text)) => backend::sasl_data(out, false, &text),
            Ok(Answer::Done(text)) => {
                backend::sasl_data(out, true, &text);
                return Ok(stream);
            }
            Err(mut error) => {
                if error.state == "28P01" {
                    error.message = format!("password authentication failed for user \"{user}\"");
                }
                return Err(Refusal::Told(stream, error));
            }
        }
    }
}
