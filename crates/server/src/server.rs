//! A running server.

use std::{
    io,
    net::{self, SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net as unix,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustling_sql::Database;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UnixListener},
    runtime::{Builder, Handle, Runtime},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use crate::{
    authentication::Decoys,
    backend::{self, Severity},
    cancel::CancelRegistry,
    connection::{Cancelling, Peer, Phase, Shared, serve},
    error::{Error, Result},
    metrics::{self, Metrics},
    options::ServerOptions,
    rules::Rules,
    stream::Stream,
};

/// Pause after the system could not accept a connection: it is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the system keeps waiting.
const BACKLOG: u32 = 1024;
/// Clients that are told at a time that there are too many; others are just hung up on.
static TURNING_AWAY: Semaphore = Semaphore::const_new(64);
/// Files that connections leave to the database and to whoever is turned away.
const KEPT_FILES: u64 = 256;
/// How long an end waits for sessions that nothing can cancel, and then for what else runs.
const END_WAIT: Duration = Duration::from_secs(5);
const LAST_WAIT: Duration = Duration::from_secs(1);
/// How often a shutdown looks whether everybody has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// Serves a database from inside the program that has it open.
pub trait Serve {
    /// Serves on a TCP address to the roles of the database that may log in (`rustling user add`,
    /// CREATE ROLE), beside whatever the program does with the database; on the Unix socket in the
    /// database's directory too, so that `rustling DIRECTORY` attaches. Dropping the [`Server`]
    /// ends it.
    ///
    /// # Errors
    /// Where the address is none or cannot be listened on.
    fn serve(&self, address: impl ToSocketAddrs) -> Result<Server>;

    /// Serves on the Unix socket in the database's directory alone: to the system's user that runs
    /// the program, and to roles with a password.
    ///
    /// ```
    /// use rustling_server::Serve;
    /// use rustling_sql::Database;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("rustling-doc-{}", std::process::id()));
    /// let db = Database::open(&directory)?;
    /// let server = db.serve_locally()?;
    /// // `rustling DIRECTORY` and `psql -h DIRECTORY` see what the program commits.
    /// # drop(server);
    /// # db.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the database is in memory, or the socket cannot be made.
    fn serve_locally(&self) -> Result<Server>;
}

/// Bytes of a Unix socket's path that every system takes.
const MAX_SOCKET_PATH: usize = 90;

impl Serve for Database {
    fn serve(&self, address: impl ToSocketAddrs) -> Result<Server> {
        let addresses = address.to_socket_addrs().map_err(|source| Error::System {
            action: "cannot find the address",
            source,
        })?;
        let mut options = ServerOptions::new();
        options.listen.extend(addresses);
        // The address is what was asked for: where there can be no socket, there is none.
        options.socket_directory = self
            .directory()
            .filter(|directory| directory.as_os_str().len() < MAX_SOCKET_PATH)
            .map(Path::to_path_buf);
        Server::start(self.clone(), options)
    }

    fn serve_locally(&self) -> Result<Server> {
        let mut options = ServerOptions::new();
        options.socket_directory = self.directory().map(Path::to_path_buf);
        Server::start(self.clone(), options)
    }
}

/// A running server. Dropping it ends it at once; [`Server::shutdown`] lets statements finish.
#[derive(Debug)]
pub struct Server {
    runtime: Option<Runtime>,
    addresses: Vec<SocketAddr>,
    socket: Option<PathBuf>,
    metrics: Option<SocketAddr>,
    phase: watch::Sender<Phase>,
    cancels: Arc<CancelRegistry>,
    connections: Arc<AtomicUsize>,
    database: Database,
}

/// Sockets that listen already, from whoever has started the process (systemd).
#[derive(Debug, Default)]
pub struct Inherited {
    /// Over TCP.
    pub tcp: Vec<net::TcpListener>,
    /// Over Unix sockets.
    pub unix: Vec<unix::UnixListener>,
}

impl Server {
    /// Listens and serves, on threads of its own.
    ///
    /// # Errors
    /// Where an address cannot be listened on, where nobody could connect over TCP (no role has a
    /// password, and nobody is trusted), or where the threads cannot be started.
    pub fn start(database: Database, options: ServerOptions) -> Result<Server> {
        Server::start_on(database, options, Inherited::default())
    }

    /// As [`Server::start`], also on sockets that listen already.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_on(
        database: Database,
        options: ServerOptions,
        inherited: Inherited,
    ) -> Result<Server> {
        check(&database, &options, &inherited)?;
        let mut builder = Builder::new_multi_thread();
        builder
            .enable_io()
            .enable_time()
            .thread_name("rustling-server")
            // One for each session at work, and some for the rest.
            .max_blocking_threads(
                options
                    .limits
                    .connections
                    .saturating_add(options.limits.reserved())
                    .saturating_add(16),
            );
        if options.threads > 0 {
            builder.worker_threads(options.threads);
        }
        let runtime = builder.build().map_err(|source| Error::System {
            action: "cannot start the server's threads",
            source,
        })?;
        match Server::serve_on(&runtime, database, options, inherited) {
            Ok(mut server) => {
                server.runtime = Some(runtime);
                Ok(server)
            }
            Err(error) => {
                // Nothing runs on it that would be worth waiting for.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// A server whose work is done by `runtime`, which it does not hold yet.
    fn serve_on(
        runtime: &Runtime,
        database: Database,
        mut options: ServerOptions,
        inherited: Inherited,
    ) -> Result<Server> {
        let decoys = Decoys::new()?;
        let _context = runtime.enter();
        let mut tcp = Vec::new();
        let mut addresses = Vec::new();
        for address in &options.listen {
            let listener =
                listen(*address, options.reuse_port).map_err(|source| Error::Listen {
                    address: *address,
                    source,
                })?;
            let taken = listener.local_addr().map_err(|source| Error::Listen {
                address: *address,
                source,
            })?;
            addresses.push(taken);
            tcp.push(listener);
        }
        let adopted = |source| Error::System {
            action: "cannot take over a socket",
            source,
        };
        for listener in inherited.tcp {
            listener.set_nonblocking(true).map_err(adopted)?;
            addresses.push(listener.local_addr().map_err(adopted)?);
            tcp.push(TcpListener::from_std(listener).map_err(adopted)?);
        }
        let mut unix = Vec::new();
        for listener in inherited.unix {
            listener.set_nonblocking(true).map_err(adopted)?;
            unix.push(UnixListener::from_std(listener).map_err(adopted)?);
        }
        let figures = match options.metrics {
            Some(address) => Some(
                listen(address, false)
                    .and_then(|listener| {
                        let taken = listener.local_addr()?;
                        Ok((listener, taken))
                    })
                    .map_err(|source| Error::Listen { address, source })?,
            ),
            None => None,
        };
        let socket = options.socket_directory.as_ref().map(|directory| {
            let port = addresses
                .first()
                .map_or(options.socket_port, SocketAddr::port);
            directory.join(format!(".s.PGSQL.{port}"))
        });
        if let Some(path) = &socket {
            unix.push(
                listen_unix(&database, path).map_err(|source| Error::Socket {
                    path: path.clone(),
                    source,
                })?,
            );
        }
        // The system gives the lowest number that is free: a new one tells how many there are.
        let known = tcp.first().map(AsFd::as_fd);
        let open = known
            .or(unix.first().map(AsFd::as_fd))
            .and_then(|known| known.try_clone_to_owned().ok())
            .and_then(|newest| u64::try_from(newest.as_raw_fd()).ok())
            .unwrap_or_default();
        let wanted = u64::try_from(options.limits.connections).unwrap_or(u64::MAX);
        let wanted = wanted.saturating_add(open).saturating_add(KEPT_FILES);
        let room = socket_room(raise_file_limit(wanted), open);
        if room < options.limits.connections {
            tracing::warn!(
                wanted = options.limits.connections,
                room,
                "the limit of open files leaves room for fewer connections: raise it (ulimit -n, \
                 LimitNOFILE under systemd), or ask for fewer (server.connections)"
            );
            options.limits.connections = room;
        }
        let cancels = Arc::new(CancelRegistry::default());
        let connections = Arc::new(AtomicUsize::new(0));
        let (phase, watched) = watch::channel(Phase::Serving);
        let shared = Arc::new(Shared {
            database: database.clone(),
            options,
            decoys,
            cancels: Arc::clone(&cancels),
            cancelling: Cancelling::default(),
            metrics: Metrics::default(),
            connections: Arc::clone(&connections),
        });
        let metrics = figures.map(|(listener, address)| {
            runtime.spawn(metrics::http::serve(Arc::clone(&shared), listener));
            address
        });
        let acceptor = Acceptor {
            shared,
            connections: Arc::clone(&connections),
            phase: watched,
        };
        for listener in tcp {
            runtime.spawn(acceptor.clone().accept_tcp(listener));
        }
        for listener in unix {
            runtime.spawn(acceptor.clone().accept_unix(listener));
        }
        for address in &addresses {
            tracing::info!(%address, "listening");
        }
        Ok(Server {
            runtime: None,
            addresses,
            socket,
            metrics,
            phase,
            cancels,
            connections,
            database,
        })
    }

    /// The TCP addresses, with the ports that were taken.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address on which figures are read over HTTP.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Connections at the moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends the server: takes no more connections, lets sessions end at the end of their
    /// transactions for as long as `grace`, then cancels what still runs. It waits for that, also
    /// where it is called by a task of an asynchronous program.
    pub fn shutdown(mut self, grace: Duration) {
        tracing::info!("ending");
        self.end(Some(grace));
    }

    /// Ends the server, at once or within `grace`.
    fn end(&mut self, grace: Option<Duration>) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let ending = Ending {
            phase: self.phase.clone(),
            cancels: Arc::clone(&self.cancels),
            connections: Arc::clone(&self.connections),
        };
        if Handle::try_current().is_err() {
            ending.wait(runtime, grace);
        } else {
            // No runtime lets itself be waited for inside another: a thread of its own waits.
            let runtime = Arc::new(Mutex::new(Some(runtime)));
            let (waiting, taken) = (ending.clone(), Arc::clone(&runtime));
            let thread = self.database.env().spawn("rustling-server-end", move || {
                let runtime = taken.lock().take();
                if let Some(runtime) = runtime {
                    waiting.wait(runtime, grace);
                }
            });
            if let Ok(thread) = thread {
                // What panicked in there has ended the runtime as well.
                let _ = thread.join();
            }
            let left = runtime.lock().take();
            if let Some(runtime) = left {
                // There was no thread to wait.
                ending.close();
                runtime.shutdown_background();
            }
        }
        if let Some(socket) = self.socket.take() {
            // A socket that stays behind is replaced by the next server.
            drop(self.database.env().vfs.remove_file(&socket));
        }
    }
}

/// What the end of a server takes.
#[derive(Clone)]
struct Ending {
    phase: watch::Sender<Phase>,
    cancels: Arc<CancelRegistry>,
    connections: Arc<AtomicUsize>,
}

impl Ending {
    /// Ends what runs on `runtime`, at once or within `grace`, and waits for it.
    fn wait(&self, runtime: Runtime, grace: Option<Duration>) {
        if let Some(grace) = grace {
            runtime.block_on(self.drained(grace));
        }
        self.close();
        runtime.block_on(self.gone());
        runtime.shutdown_timeout(LAST_WAIT);
    }

    /// Waits for the sessions, which have been told to end.
    async fn gone(&self) {
        let gone = async {
            while self.connections.load(Ordering::Relaxed) > 0 {
                sleep(DRAIN_LOOK).await;
                // Statements that have only begun since are not to go on either.
                self.cancels.cancel_all();
            }
        };
        drop(timeout(END_WAIT, gone).await);
    }

    /// Tells all sessions to end now.
    fn close(&self) {
        self.phase.send_replace(Phase::Closing);
        self.cancels.cancel_all();
    }

    /// Lets sessions end for as long as `grace`.
    async fn drained(&self, grace: Duration) {
        self.phase.send_replace(Phase::Draining);
        let gone = || self.connections.load(Ordering::Relaxed) == 0;
        let drained = async {
            while !gone() {
                sleep(DRAIN_LOOK).await;
            }
        };
        // Whoever is still there then is not waited for.
        drop(timeout(grace, drained).await);
    }
}

/// Ends it at once, and waits for that, wherever it is dropped.
impl Drop for Server {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// Refuses options that would let nobody in, or strangers.
fn check(database: &Database, options: &ServerOptions, inherited: &Inherited) -> Result<()> {
    let over_tcp = !options.listen.is_empty() || !inherited.tcp.is_empty();
    if !over_tcp && options.socket_directory.is_none() && inherited.unix.is_empty() {
        return Err(Error::Options(
            "the server is to listen nowhere: give an address or a directory for its socket".into(),
        ));
    }
    let nobody = !database
        .roles()
        .iter()
        .any(|role| role.login && role.verifier.is_some());
    let trusting = options.trust || options.rules.as_ref().is_some_and(Rules::trusts_over_tcp);
    if over_tcp && nobody && !trusting {
        return Err(Error::Options(
            "nobody could connect over TCP: no role has a password (rustling user add NAME)".into(),
        ));
    }
    if options.require_tls && options.certificate.is_none() {
        return Err(Error::Options(
            "TLS is required, but there is no certificate".into(),
        ));
    }
    Ok(())
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    // Clients that have gone without a word are found out; accepted sockets are as this one is.
    socket.set_keepalive(true)?;
    // A restarted server shall not wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    if reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lets the process open so many files where the system allows it, and no more: the limit is also
/// that of the program around the server, and of what it starts. Gives the limit, if there is one.
fn raise_file_limit(wanted: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let possible = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if current >= possible {
        return Some(current);
    }
    let raised = Rlimit {
        current: Some(possible),
        ..limit
    };
    // Some systems allow less than they say.
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => Some(current),
    }
}

/// How many sockets there can be beside so many files that are open: a database that cannot open
/// a file of its own takes no more writes.
fn socket_room(limit: Option<u64>, open: u64) -> usize {
    let Some(limit) = limit else {
        return usize::MAX;
    };
    let free = limit.saturating_sub(open);
    let room = free.saturating_sub(KEPT_FILES).max(free / 2).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// Listens on a Unix socket. One left behind by a process that has died is replaced: that it is
/// dead is known, since the database, which lies in one process at a time, is ours.
fn listen_unix(database: &Database, path: &Path) -> io::Result<UnixListener> {
    match database.env().vfs.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Takes connections.
#[derive(Clone)]
struct Acceptor {
    shared: Arc<Shared>,
    connections: Arc<AtomicUsize>,
    phase: watch::Receiver<Phase>,
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Acceptor {
    async fn accept_tcp(self, listener: TcpListener) {
        let mut phase = self.phase.clone();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ending(&mut phase) => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    failing = false;
                    // Answers are written whole: waiting for more would only delay them.
                    drop(stream.set_nodelay(true));
                    let peer = Peer {
                        address: Some(address),
                        is_owner: false,
                        is_reserved: false,
                    };
                    self.admit(Stream::Tcp(stream), peer);
                }
                Err(error) => pause(&error, &mut failing).await,
            }
        }
    }

    async fn accept_unix(self, listener: UnixListener) {
        let mut phase = self.phase.clone();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ending(&mut phase) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    failing = false;
                    let peer = stream.peer_cred().map(|peer| peer.uid());
                    let peer = Peer {
                        address: None,
                        is_owner: matches!(peer, Ok(uid) if uid == own_user()),
                        is_reserved: false,
                    };
                    self.admit(Stream::Unix(stream), peer);
                }
                Err(error) => pause(&error, &mut failing).await,
            }
        }
    }

    fn admit(&self, stream: Stream, mut peer: Peer) {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.connections));
        let (shared, phase) = (Arc::clone(&self.shared), self.phase.clone());
        let limits = shared.options.limits;
        let (limit, reserved) = (limits.connections, limits.reserved());
        peer.is_reserved = !peer.is_owner && before >= limit - reserved;
        let room = if peer.is_owner {
            limit + reserved
        } else {
            limit
        };
        if before < room {
            metrics::count(&shared.metrics.accepted);
            tokio::spawn(async move {
                let _counted = counted;
                serve(shared, stream, peer, phase).await;
            });
            return;
        }
        metrics::count(&shared.metrics.turned_away);
        drop(counted);
        if let Ok(place) = TURNING_AWAY.try_acquire() {
            tokio::spawn(async move {
                let _place = place;
                turn_away(stream, limit).await;
            });
        }
    }
}

/// Waits a moment after a connection could not be accepted; of failures in a row the first is told.
async fn pause(error: &io::Error, failing: &mut bool) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(%error, "cannot accept connections");
    }
    sleep(ACCEPT_PAUSE).await;
}

/// Waits until the server takes no more connections.
async fn ending(phase: &mut watch::Receiver<Phase>) {
    // An error means that the server is gone: that is the end as well.
    drop(phase.wait_for(|phase| *phase > Phase::Serving).await);
}

/// Tells a client that there are too many.
async fn turn_away(mut stream: Stream, limit: usize) {
    let error = rustling_sql::Error::new(
        rustling_sql::SqlState("53300"),
        format!("sorry, too many clients already: the limit is {limit}"),
    );
    let mut out = bytes::BytesMut::new();
    backend::report(&mut out, Severity::Fatal, &error, None);
    drop(timeout(Duration::from_secs(1), stream.write_all(&out)).await);
}

fn own_user() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::socket_room;

    #[test]
    fn sockets_leave_files_to_the_database() {
        for (limit, open, room) in [
            (None, 20, usize::MAX),
            (Some(20_000), 24, 19_720),
            (Some(1_024), 24, 744),
            // Where there are few, half of them.
            (Some(100), 20, 40),
            (Some(20), 20, 1),
        ] {
            assert_eq!(socket_room(limit, open), room, "{limit:?}");
        }
    }
}
