//! What statements run on.

use std::fmt;

use rustling_sql::{Database, Result, Row, Rows, Session, SqlTransaction, Value};

use crate::Statement;
#[cfg(feature = "postgres")]
use crate::network::Client;

/// A borrowed database, session, transaction or network connection: what a function takes that
/// runs statements and leaves to its caller where.
///
/// ```
/// use rustling_query::{Connect, ConnectMut, Connection, Database, Result, query_scalar};
///
/// fn customers(db: &mut Connection<'_>) -> Result<i64> {
///     query_scalar!(db, "SELECT count(*) FROM customer").fetch_one()
/// }
///
/// # fn main() -> Result<()> {
/// let db = Database::in_memory()?;
/// # db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))?;
/// assert_eq!(customers(&mut db.as_connection())?, 0);
/// db.transaction(|tx| {
///     assert_eq!(customers(&mut tx.as_connection())?, 0);
///     Ok(())
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connection<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    Database(&'a Database),
    Session(&'a mut Session),
    Transaction(&'a mut SqlTransaction),
    #[cfg(feature = "postgres")]
    Network(&'a mut (dyn Client + 'a)),
}

impl Connection<'_> {
    /// Runs a query. The rows of a network connection have all come when this returns.
    ///
    /// # Errors
    /// What it fails with; later errors come with the rows.
    pub fn query(&mut self, sql: &str, values: Vec<Value>) -> Result<UntypedRows> {
        Ok(UntypedRows(match &mut self.0 {
            Kind::Database(database) => Source::Engine(database.query(sql, values)?),
            Kind::Session(session) => Source::Engine(session.query(sql, values)?),
            Kind::Transaction(transaction) => Source::Engine(transaction.query(sql, values)?),
            #[cfg(feature = "postgres")]
            Kind::Network(client) => Source::Fetched(client.rows(sql, values)?.into_iter()),
        }))
    }

    pub(crate) fn rows(mut self, statement: Statement) -> Result<UntypedRows> {
        let (text, values) = statement.into_parts();
        self.query(&text, values)
    }

    /// Runs a statement; gives the number of rows affected.
    ///
    /// # Errors
    /// What it fails with.
    pub fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        match &mut self.0 {
            Kind::Database(database) => database.execute(sql, values),
            Kind::Session(session) => session.execute(sql, values),
            Kind::Transaction(transaction) => transaction.execute(sql, values),
            #[cfg(feature = "postgres")]
            Kind::Network(client) => client.run(sql, values),
        }
    }
}

/// Rows as a connection gives them, before they become what a query makes of them.
pub struct UntypedRows(Source);

enum Source {
    Engine(Rows),
    #[cfg(feature = "postgres")]
    Fetched(std::vec::IntoIter<Row>),
}

impl fmt::Debug for UntypedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntypedRows").finish_non_exhaustive()
    }
}

impl From<Rows> for UntypedRows {
    fn from(rows: Rows) -> UntypedRows {
        UntypedRows(Source::Engine(rows))
    }
}

impl Iterator for UntypedRows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        match &mut self.0 {
            Source::Engine(rows) => rows.next(),
            #[cfg(feature = "postgres")]
            Source::Fetched(rows) => rows.next().map(Ok),
        }
    }
}

/// What can be shared and still run statements, each in a transaction of its own.
pub trait Connect {
    /// [`Connection`], or `AsyncConnection` (feature `async`).
    type Connection<'a>
    where
        Self: 'a;

    /// Borrows it.
    fn as_connection(&self) -> Self::Connection<'_>;
}

/// What runs one statement at a time.
pub trait ConnectMut {
    /// Borrows it.
    fn as_connection(&mut self) -> Connection<'_>;
}

impl Connect for Database {
    type Connection<'a> = Connection<'a>;

    fn as_connection(&self) -> Connection<'_> {
        Connection(Kind::Database(self))
    }
}

impl ConnectMut for Session {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(Kind::Session(self))
    }
}

impl ConnectMut for SqlTransaction {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(Kind::Transaction(self))
    }
}

#[cfg(feature = "postgres")]
impl ConnectMut for postgres::Client {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(Kind::Network(self))
    }
}

#[cfg(feature = "postgres")]
impl ConnectMut for postgres::Transaction<'_> {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(Kind::Network(self))
    }
}

impl ConnectMut for Connection<'_> {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(match &mut self.0 {
            Kind::Database(database) => Kind::Database(database),
            Kind::Session(session) => Kind::Session(session),
            Kind::Transaction(transaction) => Kind::Transaction(transaction),
            #[cfg(feature = "postgres")]
            Kind::Network(client) => Kind::Network(&mut **client),
        })
    }
}

impl<'a> From<&'a Database> for Connection<'a> {
    fn from(database: &'a Database) -> Connection<'a> {
        database.as_connection()
    }
}

macro_rules! borrowed {
    ($($(#[$feature:meta])* $type:ty),*) => { $(
        $(#[$feature])*
        impl<'a> From<&'a mut $type> for Connection<'a> {
            fn from(of: &'a mut $type) -> Connection<'a> {
                of.as_connection()
            }
        }
    )* };
}

borrowed! {
    Session,
    SqlTransaction,
    Connection<'_>,
    #[cfg(feature = "postgres")] postgres::Client,
    #[cfg(feature = "postgres")] postgres::Transaction<'_>
}
