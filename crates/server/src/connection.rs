//! One connection, from its first byte to its last.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use rustling_sql::{Database, Error as SqlError, SqlState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::block_in_place,
    time::timeout,
};

use crate::{
    cancel::CancelRegistry,
    dispatch::{Dispatcher, Progress},
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
    /// Who can be cancelled.
    pub(crate) cancels: Arc<CancelRegistry>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: Stream,
    peer_is_owner: bool,
    phase: watch::Receiver<Phase>,
) {
    let wanted = timeout(
        shared.options.limits.startup_time,
        start(stream, &shared.options, peer_is_owner),
    );
    match wanted.await {
        // Whoever takes too long to say who he is is not told anything.
        Err(_) | Ok(Wanted::Nothing) => {}
        Ok(Wanted::Cancel { process, secret }) => shared.cancels.cancel(process, &secret),
        Ok(Wanted::Session(startup)) => session(&shared, startup, phase).await,
    }
}

/// Serves a session.
async fn session(shared: &Shared, startup: Startup, mut phase: watch::Receiver<Phase>) {
    let Startup {
        mut stream,
        mut input,
        user,
        settings,
        long_secret,
        out,
    } = startup;
    let session = shared.database.session();
    let registration = shared.cancels.register(session.cancel_token(), long_secret);
    let mut dispatcher = Dispatcher::new(session, shared.options.limits.message_bytes);
    dispatcher.out = out;
    let refused = settings
        .iter()
        .find_map(|(name, value)| dispatcher.set(name, value).err());
    let registration = match (refused, registration) {
        (Some(error), _) => return part(stream, dispatcher, &error).await,
        (None, Err(error)) => {
            let error = SqlError::new(SqlState::INTERNAL_ERROR, error.to_string());
            return part(stream, dispatcher, &error).await;
        }
        (None, Ok(registration)) => registration,
    };
    dispatcher.welcome(&user, registration.process, &registration.secret);
    loop {
        // Statements read files and wait for locks: the other tasks of this thread move on.
        let progress = block_in_place(|| dispatcher.run(&mut input));
        if progress == Progress::Closed {
            drop(timeout(PARTING, stream.write_all(&dispatcher.out)).await);
            break;
        }
        if stream.write_all(&dispatcher.out).await.is_err() {
            break;
        }
        dispatcher.out.clear();
        let now = *phase.borrow();
        let idle = progress == Progress::NeedsInput && input.is_empty();
        if now == Phase::Closing || (now == Phase::Draining && idle && !dispatcher.in_transaction())
        {
            return part(stream, dispatcher, &shutting_down()).await;
        }
        if progress == Progress::HasOutput {
            continue;
        }
        if stream.flush().await.is_err() {
            break;
        }
        give_back(&mut dispatcher.out);
        give_back(&mut input);
        input.reserve(READ_BYTES);
        tokio::select! {
            read = stream.read_buf(&mut input) => match read {
                Ok(count) if count > 0 => {}
                _ => break,
            },
            changed = phase.changed() => if changed.is_err() { break },
        }
    }
    // The peer may be gone already.
    drop(timeout(PARTING, stream.shutdown()).await);
}

/// Says why, and ends.
async fn part(mut stream: Stream, mut dispatcher: Dispatcher, error: &SqlError) {
    dispatcher.disconnect(error);
    drop(timeout(PARTING, stream.write_all(&dispatcher.out)).await);
    drop(timeout(PARTING, stream.shutdown()).await);
}

fn shutting_down() -> SqlError {
    SqlError::new(
        SqlState("57P01"),
        "terminating connection due to administrator command",
    )
}

/// Gives an empty buffer's memory back where it is large.
fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
        *buffer = BytesMut::new();
    }
}
