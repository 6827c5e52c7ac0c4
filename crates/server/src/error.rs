//! What a server can fail with.

use std::{io, net::SocketAddr, path::PathBuf};

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A server that cannot be started or set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address cannot be listened on: in use, not of this machine, or not permitted.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Anything else of the system's: threads, files.
    #[error("{action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot use the certificate: {0}")]
    Certificate(String),
    /// A rule about who may connect cannot be read.
    #[error("{file}, line {line}: {problem}")]
    Rules {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Listen { source, .. } | Error::Socket { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    Some("another server runs there: stop it, or choose another port".into())
                }
                io::ErrorKind::PermissionDenied => {
                    Some("ports below 1024 and foreign directories need more rights".into())
                }
                io::ErrorKind::AddrNotAvailable => {
                    Some("the address is none of this machine's".into())
                }
                _ => None,
            },
            Error::Certificate(_) => Some("give the chain and its private key as PEM files".into()),
            Error::Rules { .. } => Some(
                "a rule is: TYPE DATABASE USER [ADDRESS] METHOD, for example\n       \
                 hostssl all all 10.0.0.0/8 scram-sha-256"
                    .into(),
            ),
            Error::System { .. } | Error::Options(_) => None,
        }
    }
}
