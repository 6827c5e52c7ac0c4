//! What statements run on whose results are futures.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
};

use blocking::unblock;
use rustling_sql::{Database, Result, Row, Session};

use super::{AsyncStream, database::Engine};
use crate::{
    Connect, Query, Statement, Stream,
    query::{Execute, no_row},
};

/// A borrowed database, transaction or network connection whose statements are futures: what an
/// async function takes that leaves to its caller where they run. It is copied freely.
///
/// ```
/// use rustling_query::{AsyncConnection, AsyncDatabase, Connect, Result, query_scalar};
///
/// async fn customers(db: AsyncConnection<'_>) -> Result<i64> {
///     query_scalar!(db, "SELECT count(*) FROM customer").fetch_one().await
/// }
///
/// # futures_lite::future::block_on(async {
/// let db = AsyncDatabase::in_memory()?;
/// # db.run(|db| db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))).await?;
/// assert_eq!(customers(db.as_connection()).await?, 0);
/// let tx = db.begin().await?;
/// assert_eq!(customers(tx.as_connection()).await?, 0);
/// # Ok::<(), rustling_query::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy)]
pub struct AsyncConnection<'a>(pub(super) Kind<'a>);

#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    Database(&'a Database),
    Transaction(&'a Arc<Mutex<Session>>),
    #[cfg_attr(not(feature = "tokio-postgres"), expect(dead_code))]
    Network(&'a (dyn Network + 'a)),
}

/// A connection to a server.
pub(super) trait Network: Send + Sync {
    /// Runs a query.
    fn query(&self, statement: Statement) -> Promise<'_, Incoming>;

    /// Runs a statement; the number of rows affected.
    fn execute(&self, statement: Statement) -> Promise<'_, u64>;
}

/// A future of a result.
pub(super) type Promise<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Rows on their way.
pub(super) type Incoming = Pin<Box<dyn futures_core::Stream<Item = Result<Row>> + Send>>;

impl fmt::Debug for AsyncConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncConnection").finish_non_exhaustive()
    }
}

impl Connect for AsyncConnection<'_> {
    type Connection<'a>
        = AsyncConnection<'a>
    where
        Self: 'a;

    fn as_connection(&self) -> AsyncConnection<'_> {
        *self
    }
}

/// Where a statement runs.
enum Place<'a> {
    /// On a thread of this process.
    Thread(Engine),
    Network(&'a (dyn Network + 'a)),
}

impl<'a> AsyncConnection<'a> {
    fn place(self) -> Place<'a> {
        match self.0 {
            Kind::Database(database) => Place::Thread(Engine::Database(database.clone())),
            Kind::Transaction(session) => Place::Thread(Engine::Transaction(Arc::clone(session))),
            Kind::Network(client) => Place::Network(client),
        }
    }
}

impl<T: Send + 'static> Query<AsyncConnection<'_>, T> {
    /// Runs it; rows are computed as they are asked for.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub async fn stream(self) -> Result<AsyncStream<T>> {
        let Query {
            connection,
            statement,
            read,
        } = self;
        match connection.place() {
            Place::Thread(engine) => {
                let rows = unblock(move || engine.query(statement)).await?;
                Ok(AsyncStream::of_thread(Stream {
                    rows: rows.into(),
                    read,
                }))
            }
            Place::Network(client) => Ok(AsyncStream::of_network(
                client.query(statement).await?,
                read,
            )),
        }
    }

    /// Runs it; all rows.
    ///
    /// # Errors
    /// What the query fails with.
    pub async fn fetch_all(self) -> Result<Vec<T>> {
        self.fetch(usize::MAX).await
    }

    /// Runs it; the first row, where there is one.
    ///
    /// # Errors
    /// What the query fails with.
    pub async fn fetch_optional(self) -> Result<Option<T>> {
        Ok(self.fetch(1).await?.pop())
    }

    /// Runs it; the first row.
    ///
    /// # Errors
    /// What the query fails with; no_data (02000) where there is no row.
    pub async fn fetch_one(self) -> Result<T> {
        self.fetch_optional().await?.ok_or_else(no_row)
    }

    /// As many of the first rows.
    async fn fetch(self, count: usize) -> Result<Vec<T>> {
        if let Place::Thread(engine) = self.connection.place() {
            let Query {
                statement, read, ..
            } = self;
            return unblock(move || all(engine.query(statement)?, read, count)).await;
        }
        let mut stream = self.stream().await?;
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(row) = stream.next().await
        {
            rows.push(row?);
        }
        Ok(rows)
    }
}

fn all<T>(rows: rustling_sql::Rows, read: fn(&Row) -> Result<T>, count: usize) -> Result<Vec<T>> {
    rows.take(count).map(|row| read(&row?)).collect()
}

impl<'c> Execute for AsyncConnection<'c> {
    type Affected = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'c>>;

    fn execute_statement(self, statement: Statement) -> Promise<'c, u64> {
        Box::pin(async move {
            match self.place() {
                Place::Thread(engine) => unblock(move || engine.execute(statement)).await,
                Place::Network(client) => client.execute(statement).await,
            }
        })
    }
}
