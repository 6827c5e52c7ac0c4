//! What the methods of rows give on connections whose statements are futures.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustling_sql::{Result, Row};

use super::{
    AsyncConnection, AsyncDatabase, AsyncStream, AsyncTransaction,
    connection::{Incoming, Promise},
};
use crate::{
    Connect, Runs, Statement,
    table::{Fetch, Join, Read, Table, run_as_connection},
};

/// A result on its way: a future of `Result<T>`, which the methods of `#[derive(QueryBuilder)]` give
/// where statements are futures.
///
/// Nothing runs before it is polled. Where it is dropped, a statement that runs already goes on to
/// its end, and the connection can be used further.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct AsyncResult<'a, T>(Pending<'a, T>);

/// What is waited for, and what makes the result of it.
enum Pending<'a, T> {
    Rows(Promise<'a, Vec<Row>>, Read<T>, Join),
    Stream(Promise<'a, Incoming>, fn(Incoming) -> T),
    Affected(Promise<'a, u64>, fn(u64) -> T),
}

impl<T> fmt::Debug for AsyncResult<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").finish_non_exhaustive()
    }
}

impl<T> Future for AsyncResult<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        Poll::Ready(match &mut self.0 {
            Pending::Rows(rows, read, join) => {
                let rows = ready!(rows.as_mut().poll(context));
                rows.and_then(|rows| read(&mut rows.into_iter().map(Ok), mem::take(join)))
            }
            Pending::Stream(rows, read) => ready!(rows.as_mut().poll(context)).map(*read),
            Pending::Affected(count, read) => ready!(count.as_mut().poll(context)).map(*read),
        })
    }
}

impl<'c> Runs for AsyncConnection<'c> {
    type Output<T> = AsyncResult<'c, T>;
    type Stream<R> = AsyncStream<R>;

    fn run_query<T>(self, fetch: Fetch<T>) -> AsyncResult<'c, T> {
        let Fetch {
            statement,
            read,
            join,
        } = fetch;
        // All rows are waited for: with the last one it is certain that the statement has succeeded.
        let rows = Box::pin(async move {
            match statement? {
                Some(statement) => self.first(statement, usize::MAX, Ok).await,
                None => Ok(Vec::new()),
            }
        });
        AsyncResult(Pending::Rows(rows, read, join))
    }

    fn run_stream<R: Table>(self, statement: Result<Statement>) -> AsyncResult<'c, AsyncStream<R>> {
        let rows = Box::pin(async move { self.incoming(statement?).await });
        AsyncResult(Pending::Stream(rows, |rows| {
            AsyncStream::new(rows, R::from_row)
        }))
    }

    fn run_statements<T>(
        self,
        statements: impl Iterator<Item = Result<Statement>>,
        read: fn(u64) -> T,
    ) -> AsyncResult<'c, T> {
        // The future outlives what the statements are made from.
        let statements: Result<Vec<Statement>> = statements.collect();
        let count = Box::pin(async move { self.execute(statements?).await });
        AsyncResult(Pending::Affected(count, read))
    }
}

run_as_connection! {
    AsyncConnection: &'c AsyncConnection<'_>,
    &'c AsyncDatabase,
    &'c AsyncTransaction,
    #[cfg(feature = "tokio-postgres")] &'c tokio_postgres::Client,
    #[cfg(feature = "tokio-postgres")] &'c tokio_postgres::Transaction<'_>
}
