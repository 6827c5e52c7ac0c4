//! What statements run on.

use rustling_sql::{Database, Result, Rows, Session, SqlTransaction, Value};

/// A borrowed database, session or transaction: what a function takes that runs statements and
/// leaves to its caller where.
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
}

impl Connection<'_> {
    /// Runs a query.
    ///
    /// # Errors
    /// What it fails with; later errors come with the rows.
    pub fn query(&mut self, sql: &str, values: Vec<Value>) -> Result<Rows> {
        match &mut self.0 {
            Kind::Database(database) => database.query(sql, values),
            Kind::Session(session) => session.query(sql, values),
            Kind::Transaction(transaction) => transaction.query(sql, values),
        }
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
        }
    }
}

/// What can be shared and still run statements, each in a transaction of its own.
pub trait Connect {
    /// Borrows it.
    fn as_connection(&self) -> Connection<'_>;
}

/// What runs one statement at a time.
pub trait ConnectMut {
    /// Borrows it.
    fn as_connection(&mut self) -> Connection<'_>;
}

impl Connect for Database {
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

impl ConnectMut for Connection<'_> {
    fn as_connection(&mut self) -> Connection<'_> {
        Connection(match &mut self.0 {
            Kind::Database(database) => Kind::Database(database),
            Kind::Session(session) => Kind::Session(session),
            Kind::Transaction(transaction) => Kind::Transaction(transaction),
        })
    }
}

impl<'a> From<&'a Database> for Connection<'a> {
    fn from(database: &'a Database) -> Connection<'a> {
        database.as_connection()
    }
}

macro_rules! borrowed {
    ($($type:ty),*) => { $(
        impl<'a> From<&'a mut $type> for Connection<'a> {
            fn from(of: &'a mut $type) -> Connection<'a> {
                of.as_connection()
            }
        }
    )* };
}

borrowed! { Session, SqlTransaction, Connection<'_> }
