//! One connection, from its first byte to its last.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use rustling_sql::{Database, Error as SqlError, FileAccess, SqlState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, Semaphore, watch},
    task::{JoinHandle, block_in_place, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{
    authentication::Decoys,
    busy::{self, Left, STALLED, Session, Socket, is_over},
    cancel::{CancelRegistry, LONG_SECRET},
    dispatch::{Dispatcher, Progress},
    metrics::{self, Metrics},
    options::ServerOptions,
    startup::{Startup, Wanted, start},
    stream::Stream,
};

/// Room made for input at a time.
const READ_BYTES: usize = 8 << 10;
/// Buffers larger than this are given back once they are empty: most connections are idle.
const KEPT_BYTES: usize = 16 << 10;
/// How long a client that is turned away may take to hear why.
const PARTING: Duration = Duration::from_secs(1);

/// How long a request to cancel with a wrong key takes up its place: short keys (protocol 3.0)
/// would be found by trying otherwise.
const WRONG_KEY: Duration = Duration::from_secs(1);

/// Who is at the other end, as far as the system knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The address; `None` over a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it is the user that runs this process.
    pub(crate) is_owner: bool,
    /// Whether its place is one that is kept for superusers.
    pub(crate) is_reserved: bool,
}

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It does.
    Serving,
    /// Sessions end as soon as they are outside a transaction block.
    Draining,
    /// Sessions end.
    Closing,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The database.
    pub(crate) database: Database,
    /// The options.
    pub(crate) options: ServerOptions,
    /// Stand for roles that there are not.
    pub(crate) decoys: Decoys,
    /// Who can be cancelled.
    pub(crate) cancels: Arc<CancelRegistry>,
    /// Places for requests to cancel.
    pub(crate) cancelling: Cancelling,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Connections at the moment.
    pub(crate) connections: Arc<AtomicUsize>,
}

/// Places for requests to cancel.
#[derive(Debug)]
pub(crate) struct Cancelling {
    /// Of those that are looked at.
    places: Semaphore,
    /// Of those that wait for a place too: what comes on top of a flood is passed over.
    requests: Semaphore,
}

impl Default for Cancelling {
    fn default() -> Cancelling {
        Cancelling {
            places: Semaphore::new(64),
            requests: Semaphore::new(128),
        }
    }
}

impl Shared {
    /// Connections at the moment.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: Stream,
    peer: Peer,
    mut phase: watch::Receiver<Phase>,
) {
    let begun = tokio::select! {
        begun = begin(&shared, stream, peer) => begun,
        // Who has not begun has nothing to lose.
        () = closing(&mut phase) => None,
    };
    if let Some(startup) = begun {
        session(&shared, startup, peer, phase).await;
    }
}

/// Learns what a connection wants, and does that unless it is a session.
async fn begin(shared: &Shared, stream: Stream, peer: Peer) -> Option<Startup> {
    let limit = shared.options.limits.startup_time;
    match timeout(limit, start(stream, shared, peer)).await {
        // Whoever takes too long to say who he is is not told anything.
        Err(_) => metrics::count(&shared.metrics.refused),
        Ok(Wanted::Nothing) => {}
        Ok(Wanted::Cancel { process, secret }) => cancel(shared, process, &secret).await,
        Ok(Wanted::Session(startup)) => return Some(startup),
    }
    None
}

/// Follows a request to cancel.
async fn cancel(shared: &Shared, process: u32, secret: &[u8]) {
    metrics::count(&shared.metrics.cancels);
    if secret.len() >= LONG_SECRET {
        // Nobody finds such a key by trying.
        shared.cancels.cancel(process, secret);
        return;
    }
    let Ok(_request) = shared.cancelling.requests.try_acquire() else {
        return metrics::count(&shared.metrics.refused);
    };
    let limit = shared.options.limits.startup_time;
    if let Ok(Ok(_place)) = timeout(limit, shared.cancelling.places.acquire()).await
        && !shared.cancels.cancel(process, secret)
    {
        sleep(WRONG_KEY).await;
    }
}

/// Waits until sessions are to end at once.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    // An error means that the server is gone: that is the end as well.
    drop(phase.wait_for(|phase| *phase == Phase::Closing).await);
}

/// Serves a session.
async fn session(
    shared: &Arc<Shared>,
    startup: Startup,
    peer: Peer,
    mut phase: watch::Receiver<Phase>,
) {
    let Startup {
        mut stream,
        input,
        user,
        as_owner,
        settings,
        long_secret,
        out,
    } = startup;
    let mut session = shared.database.session();
    if !peer.is_owner {
        session.set_file_access(FileAccess::Beneath(shared.options.file_directories.clone()));
    }
    let token = session.cancel_token();
    let registration = shared.cancels.register(token.clone(), long_secret);
    let news = Arc::new(Notify::new());
    let waker = Arc::clone(&news);
    session.on_notification(Arc::new(move || waker.notify_one()));
    let mut dispatcher = Dispatcher::new(session, Arc::clone(shared));
    dispatcher.out = out;
    let let_in = dispatcher
        .log_in(&user, as_owner)
        .and_then(|()| dispatcher.limit())
        .and_then(|()| {
            if peer.is_reserved {
                dispatcher.take_reserved()
            } else {
                Ok(())
            }
        });
    let refused = let_in.err().or_else(|| {
        settings
            .iter()
            .find_map(|(name, value)| dispatcher.set(name, value).err())
    });
    let registration = match (refused, registration) {
        (Some(error), _) => return part(stream, dispatcher, &error).await,
        (None, Err(error)) => {
            let error = SqlError::new(SqlState::INTERNAL_ERROR, error.to_string());
            return part(stream, dispatcher, &error).await;
        }
        (None, Ok(registration)) => registration,
    };
    dispatcher.welcome(registration.process, &registration.secret, peer.address);
    tracing::debug!(user, address = ?peer.address, session = registration.process, "connected");
    let idle_limit = shared.options.limits.idle_transaction_time;
    let mut session = Box::new(Session { dispatcher, input });
    loop {
        stream = if matches!(stream, Stream::Tls(_)) {
            // Statements read files and wait for locks: the other tasks of this thread move on.
            let progress = block_in_place(|| session.dispatcher.run(&mut session.input));
            let sent = tokio::select! {
                biased;
                sent = send(&mut stream, &session.dispatcher.out) => sent.is_ok(),
                () = given_up(|| *phase.borrow() == Phase::Closing || token.is_terminated()) => false,
            };
            if !sent || progress == Progress::Closed {
                break;
            }
            session.dispatcher.out.clear();
            if is_over(*phase.borrow(), progress, &session) {
                return part(stream, session.dispatcher, &shutting_down()).await;
            }
            if progress == Progress::HasOutput {
                continue;
            }
            stream
        } else {
            let Ok(socket) = Socket::of(stream) else {
                drop(forget(session).await);
                return;
            };
            let watched = phase.clone();
            let busy = spawn_blocking(move || busy::run(socket, session, &watched));
            match busy.await {
                Ok(Left::Idle(stream, idle)) => {
                    session = idle;
                    if is_over(*phase.borrow(), Progress::NeedsInput, &session) {
                        return part(stream, session.dispatcher, &shutting_down()).await;
                    }
                    stream
                }
                Ok(Left::Ended) | Err(_) => return,
            }
        };
        let Session { dispatcher, input } = &mut *session;
        give_back(&mut dispatcher.out);
        give_back(input);
        input.reserve(READ_BYTES);
        let bounded =
            !idle_limit.is_zero() && (dispatcher.in_transaction() || dispatcher.is_copying());
        tokio::select! {
            read = stream.read_buf(input) => match read {
                Ok(count) if count > 0 => {}
                _ => break,
            },
            () = news.notified() => dispatcher.deliver(),
            () = sleep(idle_limit), if bounded => {
                let error = SqlError::new(
                    SqlState("25P03"),
                    "terminating connection due to idle-in-transaction timeout",
                );
                return part(stream, session.dispatcher, &error).await;
            }
            changed = phase.changed() => if changed.is_err() { break },
        }
    }
    let gone = forget(session);
    // The peer may be gone already.
    drop(timeout(PARTING, stream.shutdown()).await);
    drop(gone.await);
}

/// Says why, and ends.
async fn part(mut stream: Stream, mut dispatcher: Dispatcher, error: &SqlError) {
    dispatcher.disconnect(error);
    let out = std::mem::take(&mut dispatcher.out);
    let gone = forget(dispatcher);
    drop(timeout(PARTING, stream.write_all(&out)).await);
    drop(timeout(PARTING, stream.shutdown()).await);
    drop(gone.await);
}

/// Drops a session, or what is left of one, on a thread that may wait: its temporary tables go
/// under the lock of the catalog, which a transaction may hold for long.
fn forget(session: impl Send + 'static) -> JoinHandle<()> {
    spawn_blocking(move || drop(session))
}

/// Writes all of it.
async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Comes back once a client was waited for and the session is to end.
async fn given_up(ends: impl Fn() -> bool) {
    loop {
        sleep(STALLED).await;
        if ends() {
            return;
        }
    }
}

/// What a client is told when the server ends.
pub(crate) fn shutting_down() -> SqlError {
    SqlError::new(
        SqlState("57P01"),
        "terminating connection due to administrator command",
    )
}

/// Gives an empty buffer's memory back where it is large.
pub(crate) fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
        *buffer = BytesMut::new();
    }
}
