//! A database in this process whose statements are futures.

use std::path::Path;

use rustling_sql::{
    Database, Result, SqlTransaction, bound::TransactionModes, migrations::Migrations,
};

use super::{
    AsyncConnection, AsyncTransaction,
    connection::Kind,
    threads::{Threads, run_limited},
};
use crate::Connect;

/// A [`Database`] whose statements are futures. Clones share it.
///
/// ```
/// use rustling_query::{AsyncDatabase, Result, execute, query, query_scalar};
///
/// async fn example(db: &AsyncDatabase) -> Result<()> {
///     execute!(db, "INSERT INTO customer (name) VALUES ({'A'.to_string()})").await?;
///     let row = query!(db, "SELECT name, email FROM customer").fetch_one().await?;
///     assert_eq!((row.name.as_str(), row.email), ("A", None));
///
///     let tx = db.begin().await?; // rolled back unless it is committed
///     execute!(tx, "DELETE FROM customer").await?;
///     tx.commit().await?;
///     assert_eq!(query_scalar!(db, "SELECT count(*) FROM customer").fetch_one().await?, 0);
///     Ok(())
/// }
/// # futures_lite::future::block_on(async {
/// # let db = AsyncDatabase::in_memory()?;
/// # db.run(|db| db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))).await?;
/// # example(&db).await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AsyncDatabase {
    database: Database,
    /// What its transactions and streams run on.
    threads: Threads,
}

impl From<Database> for AsyncDatabase {
    fn from(database: Database) -> AsyncDatabase {
        AsyncDatabase {
            threads: Threads::of(&database),
            database,
        }
    }
}

impl AsyncDatabase {
    /// As [`Database::open`].
    ///
    /// # Errors
    /// As there.
    pub async fn open(path: impl AsRef<Path>) -> Result<AsyncDatabase> {
        let path = path.as_ref().to_owned();
        run_limited(move || Database::open(path))
            .await
            .map(AsyncDatabase::from)
    }

    /// As [`Database::in_memory`].
    ///
    /// # Errors
    /// As there.
    pub fn in_memory() -> Result<AsyncDatabase> {
        Database::in_memory().map(AsyncDatabase::from)
    }

    /// The database itself.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Runs work on the database where it may wait: anything of [`Database`], or several statements
    /// at one go. Work that has begun goes on where its future is dropped.
    ///
    /// # Errors
    /// What the work fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.database.clone();
        run_limited(move || work(&database)).await
    }

    /// Runs work in a transaction, again where another transaction got in the way: see
    /// [`Database::transaction`].
    ///
    /// # Errors
    /// What the work or the commit fails with in the end.
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqlTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(move |database| database.transaction(work)).await
    }

    /// As [`AsyncDatabase::transaction`], at another isolation level or read-only.
    ///
    /// # Errors
    /// What the work or the commit fails with in the end.
    pub async fn transaction_with<T: Send + 'static>(
        &self,
        modes: TransactionModes,
        work: impl FnMut(&mut SqlTransaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(move |database| database.transaction_with(modes, work))
            .await
    }

    /// Begins a transaction that the caller ends. Where it fails in the end with an error that
    /// [can be tried again](rustling_sql::Error::is_retryable), that is the caller's to do;
    /// [`AsyncDatabase::transaction`] does it by itself.
    ///
    /// # Errors
    /// Where none can begin.
    pub async fn begin(&self) -> Result<AsyncTransaction> {
        let threads = self.threads.clone();
        self.run(|database| {
            let mut session = database.session();
            session.begin()?;
            Ok(AsyncTransaction::of(session, threads))
        })
        .await
    }

    /// As [`Database::migrate`].
    ///
    /// # Errors
    /// As there.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<Vec<i64>> {
        let migrations = migrations.clone();
        self.run(move |database| database.migrate(&migrations))
            .await
    }
}

impl Connect for AsyncDatabase {
    type Connection<'a> = AsyncConnection<'a>;

    fn as_connection(&self) -> AsyncConnection<'_> {
        AsyncConnection(Kind::Database(self))
    }
}
