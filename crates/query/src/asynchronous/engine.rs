//! Statements on threads of this process.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_channel::Receiver;
use async_task::FallibleTask;
use futures_core::Stream;
use rustling_sql::{Error, Result, Row, SqlState};

use super::{
    AsyncDatabase,
    connection::Incoming,
    threads::{Threads, no_thread, run_limited},
    transaction::Open,
    work::{self, Waiting, Working},
};
use crate::{Connect, ConnectMut, Connection, Statement, UntypedRows};

/// How many rows are computed ahead of who reads a stream.
const AHEAD: usize = 128;

/// What a thread takes along to run statements.
pub(super) enum Engine {
    Database(AsyncDatabase),
    Transaction(Open),
}

impl Engine {
    /// The rows of a query as they come.
    pub(super) async fn stream(self, statement: Statement) -> Result<Incoming> {
        let (working, waiting) = self.begin();
        let threads = self.threads().clone();
        let computed = self.on_thread(move |engine| {
            let rows = engine.run(&working, |connection| connection.rows(statement));
            rows.map(|rows| Computed {
                rows,
                _working: working,
            })
        });
        let computed = computed.await?;
        let (sender, rows) = async_channel::bounded(AHEAD);
        // Rows hold locks, so that those of any connection are computed whatever else waits.
        let computing = threads.start(async move {
            for row in computed {
                if sender.send(row).await.is_err() {
                    break;
                }
            }
        });
        Ok(Box::pin(Streamed {
            rows: Box::pin(rows),
            computing: Some(computing),
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
        self.on_thread(move |engine| {
            engine.run(&working, |connection| {
                let rows = connection.rows(statement)?.take(count);
                rows.map(|row| read(row?)).collect()
            })
        })
        .await
    }

    /// Runs statements without rows, one behind the other; the number of rows that all affected.
    pub(super) async fn execute(self, statements: Vec<Statement>) -> Result<u64> {
        let (working, _waiting) = self.begin();
        self.on_thread(move |engine| {
            engine.run(&working, |mut connection| {
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

    fn threads(&self) -> &Threads {
        match self {
            Engine::Database(database) => database.threads(),
            Engine::Transaction(open) => &open.threads,
        }
    }

    /// Runs work on a thread. An open transaction holds locks that others wait for: however many
    /// they are, it has one at once, for one statement behind the other.
    async fn on_thread<T: Send + 'static>(
        self,
        work: impl FnOnce(&Engine) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Engine::Database(_) => run_limited(move || work(&self)).await,
            Engine::Transaction(ref open) => {
                let threads = open.threads.clone();
                let turn = open.turns.clone().take().await;
                let run = move || {
                    let _turn = turn;
                    work(&self)
                };
                threads.run(run).await
            }
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
            Engine::Database(database) => database.database().as_connection(),
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
    rows: Pin<Box<Receiver<Result<Row>>>>,
    /// What computes them; `None` once all have come.
    computing: Option<FallibleTask<()>>,
    _waiting: Waiting,
}

impl Stream for Streamed {
    type Item = Result<Row>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
        if let Some(row) = ready!(self.rows.as_mut().poll_next(context)) {
            return Poll::Ready(Some(row));
        }
        // Were they all, or did what computes them have no thread to go on?
        let Some(computing) = &mut self.computing else {
            return Poll::Ready(None);
        };
        let done = ready!(Pin::new(computing).poll(context));
        self.computing = None;
        Poll::Ready(match done {
            Some(()) => None,
            None => Some(Err(no_thread())),
        })
    }
}
