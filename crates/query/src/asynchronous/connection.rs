//! What statements run on whose results are futures.

use std::{fmt, future::poll_fn, pin::Pin};

use rustling_sql::{Result, Row};

use super::{AsyncDatabase, AsyncStream, engine::Engine, transaction::Open};
use crate::{
    Connect, Query, Statement,
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
    Database(&'a AsyncDatabase),
    Transaction(&'a Open),
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
            Kind::Transaction(open) => Place::Thread(Engine::Transaction(open.clone())),
            Kind::Network(client) => Place::Network(client),
        }
    }

    /// Rows of a query as they come.
    pub(super) async fn incoming(self, statement: Statement) -> Result<Incoming> {
        match self.place() {
            Place::Thread(engine) => engine.stream(statement).await,
            Place::Network(client) => client.query(statement).await,
        }
    }

    /// As many of the first rows of a query, each read where it is computed.
    pub(super) async fn first<T: Send + 'static>(
        self,
        statement: Statement,
        count: usize,
        read: impl Fn(Row) -> Result<T> + Send + 'static,
    ) -> Result<Vec<T>> {
        match self.place() {
            Place::Thread(engine) => engine.first(statement, count, read).await,
            Place::Network(client) => {
                let mut incoming = client.query(statement).await?;
                let mut rows = Vec::new();
                while rows.len() < count
                    && let Some(row) = poll_fn(|context| incoming.as_mut().poll_next(context)).await
                {
                    rows.push(read(row?)?);
                }
                Ok(rows)
            }
        }
    }

    /// Runs statements without rows, one behind the other; the number of rows that all affected.
    /// On a thread all of them run once the first does.
    pub(super) async fn execute(self, statements: Vec<Statement>) -> Result<u64> {
        match self.place() {
            Place::Thread(engine) => engine.execute(statements).await,
            Place::Network(client) => {
                let mut affected = 0;
                for statement in statements {
                    affected += client.execute(statement).await?;
                }
                Ok(affected)
            }
        }
    }
}

impl<T> Query<AsyncConnection<'_>, T> {
    /// Runs it; rows are computed as they are asked for.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub async fn stream(self) -> Result<AsyncStream<T>> {
        let rows = self.connection.incoming(self.statement).await?;
        Ok(AsyncStream::new(rows, self.read))
    }
}

impl<T: Send + 'static> Query<AsyncConnection<'_>, T> {
    /// Runs it; all rows.
    ///
    /// # Errors
    /// What the query fails with.
    pub async fn fetch_all(self) -> Result<Vec<T>> {
        self.first(usize::MAX).await
    }

    /// Runs it; the first row, where there is one.
    ///
    /// # Errors
    /// What the query fails with.
    pub async fn fetch_optional(self) -> Result<Option<T>> {
        Ok(self.first(1).await?.pop())
    }

    /// Runs it; the first row.
    ///
    /// # Errors
    /// What the query fails with; no_data (02000) where there is no row.
    pub async fn fetch_one(self) -> Result<T> {
        self.fetch_optional().await?.ok_or_else(no_row)
    }

    async fn first(self, count: usize) -> Result<Vec<T>> {
        let Query {
            connection,
            statement,
            read,
        } = self;
        connection
            .first(statement, count, move |row| read(&row))
            .await
    }
}

impl<'c> Execute for AsyncConnection<'c> {
    type Affected = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'c>>;

    fn execute_statement(self, statement: Statement) -> Promise<'c, u64> {
        Box::pin(self.execute(vec![statement]))
    }
}
