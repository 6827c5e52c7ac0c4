//! Rows as they come, as a stream of futures.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use blocking::Unblock;
use rustling_sql::{Result, Row};

use super::connection::Incoming;
use crate::Stream;

/// How many rows are computed ahead of the reader.
const AHEAD: usize = 128;

/// The rows of a query as they come. Dropping it ends the query.
pub struct AsyncStream<T> {
    rows: Pin<Box<dyn futures_core::Stream<Item = Result<T>> + Send>>,
}

impl<T> fmt::Debug for AsyncStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> AsyncStream<T> {
    pub(super) fn of_thread(rows: Stream<T>) -> AsyncStream<T> {
        AsyncStream {
            rows: Box::pin(Unblock::with_capacity(AHEAD, rows)),
        }
    }

    pub(super) fn of_network(rows: Incoming, read: fn(&Row) -> Result<T>) -> AsyncStream<T> {
        AsyncStream {
            rows: Box::pin(Read { rows, read }),
        }
    }
}

impl<T> AsyncStream<T> {
    /// The next row; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|context| self.rows.as_mut().poll_next(context)).await
    }
}

impl<T> futures_core::Stream for AsyncStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.rows.as_mut().poll_next(context)
    }
}

/// What arrives, read.
struct Read<T> {
    rows: Incoming,
    read: fn(&Row) -> Result<T>,
}

impl<T> futures_core::Stream for Read<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let found = ready!(self.rows.as_mut().poll_next(context));
        Poll::Ready(found.map(|row| row.and_then(|row| (self.read)(&row))))
    }
}
