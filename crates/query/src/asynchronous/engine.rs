//! Statements on threads of this process.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use blocking::{Unblock, unblock};
use futures_core::Stream;
use rustling_sql::{Database, Error, Result, Row, SqlState};

use super::{
    connection::Incoming,
    transaction::Open,
    work::{self, Waiting, Working},
};
use crate::{Connect, ConnectMut, Connection, Statement, UntypedRows};

/// How many rows are computed ahead of who reads a stream.
const AHEAD: usize = 128;

/// What a thread takes along to run statements.
pub(super) enum Engine {
    Database(Database),
    Transaction(Open),
}

impl Engine {
    /// The rows of a query as they come.
    pub(super) async fn stream(self, statement: Statement) -> Result<Incoming> {
        let (working, waiting) = self.begin();
        let rows = unblock(move || {
            let rows = self.run(&working, |connection| connection.rows(statement));
            rows.map(|rows| Computed {
                rows,
                _working: working,
            })
        });
        Ok(Box::pin(Streamed {
            rows: Unblock::with_capacity(AHEAD, rows.await?),
            _waiting: waiting,
        }))
    }

    /// As many of the first rows of a query, each read on the thread that computes it.
    pub(super) async fn first<T: Send + 'static>(
        self,
        statement: Statement,
        count: usize,
        read: impl Fn(Row) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        let (working, _waiting) = self.begin();
        unblock(move || {
            self.run(&working, |connection| {
                let rows = connection.rows(statement)?.take(count);
                rows.map(|row| read(row?)).collect()
            })
        })
        .await
    }

    /// Runs statements without rows, one behind the other; the number of rows that all affected.
    pub(super) async fn execute(self, statements: Vec<Statement>) -> Result<u64> {
        let (working, _waiting) = self.begin();
        unblock(move || {
            self.run(&working, |mut connection| {
                let mut affected = 0;
                for statement in statements {
                    let (text, values) = statement.into_parts();
                    affected += connection.execute(&text, values)?;
                }
                Ok(affected)
            })
        })
        .await
    }

    fn begin(&self) -> (Working, Waiting) {
        match self {
            Engine::Database(_) => work::begin(&Arc::default()),
            Engine::Transaction(open) => work::begin(&open.abandoned),
        }
    }

    /// Runs work, once the work before in the same transaction has ended. What nobody waits for any
    /// more by then does not run: it would come behind the statements that came in its place.
    fn run<T>(
        &self,
        working: &Working,
        work: impl FnOnce(Connection<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut session = None;
        let connection = match self {
            Engine::Database(database) => database.as_connection(),
            Engine::Transaction(open) => session.insert(open.session()).as_connection(),
        };
        if working.is_abandoned() {
            return Err(Error::new(
                SqlState::QUERY_CANCELED,
                "nobody waits for the statement",
            ));
        }
        work(connection)
    }
}

/// Rows on a thread.
struct Computed {
    rows: UntypedRows,
    /// Behind the rows: dropped when they are.
    _working: Working,
}

impl Iterator for Computed {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        self.rows.next()
    }
}

/// Rows from a thread.
struct Streamed {
    rows: Unblock<Computed>,
    _waiting: Waiting,
}

impl Stream for Streamed {
    type Item = Result<Row>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
        Pin::new(&mut self.rows).poll_next(context)
    }
}
