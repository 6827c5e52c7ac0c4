//! A busy session's thread.
//!
//! A session that gets one message after another runs on a thread of its own, which reads,
//! computes and writes without handing anything to another thread: a hand-over costs as much as a
//! short statement. A session that nothing comes from for a while gives the thread back, and its
//! socket waits with all the others (`connection`). So there are as many threads as sessions at
//! work, and none for those that sleep.

use std::{
    io::{self, Read, Write},
    net,
    os::unix::net as unix,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
};

use crate::{
    connection::{Phase, give_back, shutting_down},
    dispatch::{Dispatcher, Progress},
    stream::Stream,
};

/// How long a session keeps its thread when nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a session whose client takes nothing looks whether it is to end.
pub(crate) const STALLED: Duration = Duration::from_secs(1);
/// Bytes read at a time.
const READ_BYTES: usize = 32 << 10;

/// A session with what it works on.
pub(crate) struct Session {
    /// Its state.
    pub(crate) dispatcher: Dispatcher,
    /// What has come and is not yet worked on.
    pub(crate) input: BytesMut,
}

/// How a session left its thread.
pub(crate) enum Left {
    /// Nothing has come for a while.
    Idle(Stream, Box<Session>),
    /// It is over, and the client has been told what there was to tell.
    Ended,
}

/// A socket whose calls wait.
pub(crate) enum Socket {
    /// TCP.
    Tcp(net::TcpStream),
    /// A Unix socket.
    Unix(unix::UnixStream),
}

impl Socket {
    /// The socket under a stream in the clear.
    ///
    /// # Errors
    /// Where the system refuses; `Unsupported` for a stream that is not in the clear.
    pub(crate) fn of(stream: Stream) -> io::Result<Socket> {
        match stream {
            Stream::Tcp(stream) => {
                let socket = stream.into_std()?;
                socket.set_nonblocking(false)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(STALLED))?;
                Ok(Socket::Tcp(socket))
            }
            Stream::Unix(stream) => {
                let socket = stream.into_std()?;
                socket.set_nonblocking(false)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(STALLED))?;
                Ok(Socket::Unix(socket))
            }
            Stream::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Says that nothing more will be sent; what was sent still arrives.
    fn close(self) {
        // The peer may be gone already.
        drop(match self {
            Socket::Tcp(socket) => socket.shutdown(net::Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(net::Shutdown::Write),
        });
    }

    /// A stream that waits with the others.
    fn into_stream(self) -> io::Result<Stream> {
        match self {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Stream::Tcp(TcpStream::from_std(socket)?))
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Stream::Unix(UnixStream::from_std(socket)?))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    /// Writes all of it. A client that takes nothing, or little at a time, is waited for unless
    /// the session is to end.
    fn write_all(&mut self, mut bytes: &[u8], ends: impl Fn() -> bool) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted || waits(&error) => {}
                Err(error) => return Err(error),
            }
            // What is left was not taken for as long as a write waits.
            if !bytes.is_empty() && ends() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// Whether nothing has happened for as long as was to be waited.
fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Runs a session until it is idle or over. To be called on a thread that may wait, within the
/// server's runtime.
pub(crate) fn run(
    mut socket: Socket,
    mut session: Box<Session>,
    phase: &watch::Receiver<Phase>,
) -> Left {
    let mut buffer = vec![0; READ_BYTES];
    let token = session.dispatcher.cancel_token();
    let ends = || *phase.borrow() == Phase::Closing || token.is_terminated();
    loop {
        let Session { dispatcher, input } = &mut *session;
        let progress = dispatcher.run(input);
        if socket.write_all(&dispatcher.out, ends).is_err() || progress == Progress::Closed {
            socket.close();
            return Left::Ended;
        }
        dispatcher.out.clear();
        if is_over(*phase.borrow(), progress, &session) {
            session.dispatcher.disconnect(&shutting_down());
            // The peer may be gone already.
            drop(socket.write_all(&session.dispatcher.out, ends));
            socket.close();
            return Left::Ended;
        }
        if progress == Progress::HasOutput {
            continue;
        }
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return Left::Ended,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    session.input.extend_from_slice(bytes);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if waits(&error) => {
                    give_back(&mut session.dispatcher.out);
                    give_back(&mut session.input);
                    return match socket.into_stream() {
                        Ok(stream) => Left::Idle(stream, session),
                        Err(_) => Left::Ended,
                    };
                }
                Err(_) => return Left::Ended,
            }
        }
    }
}

/// Whether the session ends: with the server, or because another session wants it.
pub(crate) fn is_over(phase: Phase, progress: Progress, session: &Session) -> bool {
    if session.dispatcher.is_terminated() {
        return true;
    }
    match phase {
        Phase::Serving => false,
        Phase::Draining => {
            progress == Progress::NeedsInput
                && session.input.is_empty()
                && !session.dispatcher.in_transaction()
                && !session.dispatcher.is_copying()
        }
        Phase::Closing => true,
    }
}
