//! Rows as they come, as a stream of futures.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use rustling_sql::{Result, Row};

use super::connection::Incoming;

/// The rows of a query as they come. Dropping it ends the query.
pub struct AsyncStream<T> {
    rows: Incoming,
    read: fn(&Row) -> Result<T>,
}

impl<T> fmt::Debug for AsyncStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream").finish_non_exhaustive()
    }
}

impl<T> AsyncStream<T> {
    pub(super) fn new(rows: Incoming, read: fn(&Row) -> Result<T>) -> AsyncStream<T> {
        AsyncStream { rows, read }
    }

    /// The next row; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T> Stream for AsyncStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let found = ready!(self.rows.as_mut().poll_next(context));
        Poll::Ready(found.map(|row| row.and_then(|row| (self.read)(&row))))
    }
}
