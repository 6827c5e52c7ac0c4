//! What a server is told.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::{
    error::{Error, Result},
    rules::Rules,
};

/// How a server listens. Whom it lets in, the database's roles say: those with LOGIN and a
/// password; over the Unix socket also, as any role, the system's user that runs the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// TCP addresses; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The directory of the Unix socket, which is named as PostgreSQL names it:
    /// `.s.PGSQL.` and the port.
    pub socket_directory: Option<PathBuf>,
    /// The port that names the Unix socket where there is no TCP address.
    pub socket_port: u16,
    /// Whether everybody may connect, as whom they like. Only for what nobody else can reach.
    pub trust: bool,
    /// Who may connect from where, and how they prove who they are. `None`: over TCP by a
    /// password; over the Unix socket the system's user that runs the server, others by a password.
    pub rules: Option<Rules>,
    /// The certificate for TLS. Without one connections are in the clear.
    pub certificate: Option<Certificate>,
    /// Whether TCP connections must use TLS.
    pub require_tls: bool,
    /// Directories that COPY may read and write files in, in sessions that have proven who they
    /// are by a password. (Sessions of the system's user that runs the server may reach all files.)
    pub file_directories: Vec<PathBuf>,
    /// What clients may take up.
    pub limits: Limits,
    /// The address on which Prometheus reads the server's figures over HTTP. Whoever can reach it may.
    pub metrics: Option<SocketAddr>,
    /// Statements that take longer are logged (`tracing`, target `rustling::slow`).
    pub slow_statement: Option<Duration>,
    /// Whether other processes may listen on the same TCP addresses (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Threads that serve connections; 0: one per core.
    pub threads: usize,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions::new()
    }
}

impl ServerOptions {
    /// Listens nowhere yet.
    #[must_use]
    pub fn new() -> ServerOptions {
        ServerOptions {
            listen: Vec::new(),
            socket_directory: None,
            socket_port: 5432,
            trust: false,
            rules: None,
            certificate: None,
            require_tls: false,
            file_directories: Vec::new(),
            limits: Limits::default(),
            metrics: None,
            slow_statement: None,
            reuse_port: false,
            threads: 0,
        }
    }

    /// Listens on this address too.
    #[must_use]
    pub fn listen_on(mut self, address: SocketAddr) -> ServerOptions {
        self.listen.push(address);
        self
    }

    /// Lets everybody in, without a password.
    #[must_use]
    pub fn trusting(mut self) -> ServerOptions {
        self.trust = true;
        self
    }
}

/// What clients may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time, those that are still proving who they are included.
    pub connections: usize,
    /// The last of them, which are kept for superusers; never more than a tenth. Over the Unix
    /// socket the system's user that runs the server gets so many on top.
    pub reserved_connections: usize,
    /// Time to prove who one is.
    pub startup_time: Duration,
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Time of a statement, where the session does not set `statement_timeout`; zero: as long as it
    /// takes.
    pub statement_time: Duration,
    /// Time that a session may rest within a transaction; zero: as long as it likes.
    pub idle_transaction_time: Duration,
    /// Bytes of memory for the results and work of one session; zero: all that there is.
    pub session_memory: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 5_000,
            reserved_connections: 3,
            startup_time: Duration::from_secs(10),
            message_bytes: 64 << 20,
            statement_time: Duration::ZERO,
            idle_transaction_time: Duration::ZERO,
            session_memory: 0,
        }
    }
}

impl Limits {
    /// The connections that are kept for superusers.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved_connections.min(self.connections / 10)
    }
}

/// Bytes of a message before the client is known (PostgreSQL's limit of a startup packet).
pub(crate) const MAX_STARTUP_BYTES: usize = 10_000;

/// A chain of certificates with its private key.
#[derive(Clone)]
pub struct Certificate {
    acceptor: TlsAcceptor,
    chain: Arc<[u8]>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a chain (the server's own certificate first) and its key, both in PEM.
    ///
    /// # Errors
    /// Where either cannot be read or they do not fit each other.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate> {
        let wrong = |error: &dyn fmt::Display| Error::Certificate(error.to_string());
        let certificates = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(&error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| wrong(&error))?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Certificate {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            chain: chain.into(),
        })
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The chain in PEM, for channel binding.
    pub(crate) fn chain(&self) -> &[u8] {
        &self.chain
    }
}
