//! What the methods of rows run on, and what they give there.

use std::iter;

use rustling_sql::{Database, Result, Row, Session, SqlTransaction, Value};

use super::Table;
use crate::{Connect, ConnectMut, Connection, Statement, Stream, query::no_row};

/// What the methods of `#[derive(QueryBuilder)]` run on. Its kind decides what comes back:
///
/// | on | come |
/// |---|---|
/// | a `&Database`, a [`Connection`]; `&mut` of one, of a `Session`, a `SqlTransaction`, a client of `postgres` or its transaction; `&mut *tx` of a transaction's closure (`tx` the last time) | results |
/// | an `AsyncConnection`; `&` of one, of an `AsyncDatabase`, a client of `tokio_postgres` or the transaction of either | futures of results: `AsyncResult` |
///
/// A function that is generic over it runs on both:
///
/// ```
/// use rustling_query::{AsyncDatabase, Database, QueryBuilder, Result, Runs};
///
/// #[derive(Debug, QueryBuilder)]
/// #[query_builder(table = "customer")]
/// struct Customer {
///     id: i32,
///     name: String,
/// }
///
/// fn newest<On: Runs>(on: On) -> On::Output<Option<Customer>> {
///     Customer::query()
///         .order_by(Customer::id().desc())
///         .fetch_optional(on)
/// }
///
/// # fn main() -> Result<()> {
/// # let schema = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql"));
/// let db = Database::in_memory()?;
/// # db.execute_script(schema)?;
/// assert!(newest(&db)?.is_none());
///
/// let db = AsyncDatabase::from(db);
/// # futures_lite::future::block_on(async {
/// assert!(newest(&db).await?.is_none());
/// # Ok(())
/// # })
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "the methods of rows do not run on `{Self}`",
    label = "a borrowed connection stands here, not `{Self}`",
    note = "a method of rows runs on `&` of a `Database`; on `&mut` of a `Session`, a transaction, a `Connection` or a client of `postgres`",
    note = "with a future it runs on `&` of an `AsyncDatabase`, its transaction, a client of `tokio-postgres` or an `AsyncConnection`"
)]
pub trait Runs: Sized {
    /// A `Result`, or a future of one.
    type Output<T>;
    /// [`Stream`], or `AsyncStream` (feature `async`).
    type Stream<R>;

    /// Runs a query.
    #[doc(hidden)]
    fn run_query<T>(self, fetch: Fetch<T>) -> Self::Output<T>;

    /// Runs a query whose rows are read as they come.
    #[doc(hidden)]
    fn run_stream<R: Table>(self, statement: Result<Statement>) -> Self::Output<Self::Stream<R>>;

    /// Runs statements without rows, one behind the other; `read` makes what is wanted of the
    /// number of rows that all of them affected.
    #[doc(hidden)]
    fn run_statements<T>(
        self,
        statements: impl Iterator<Item = Result<Statement>>,
        read: fn(u64) -> T,
    ) -> Self::Output<T>;
}

impl Runs for Connection<'_> {
    type Output<T> = Result<T>;
    type Stream<R> = Stream<R>;

    fn run_query<T>(self, fetch: Fetch<T>) -> Result<T> {
        let Fetch {
            statement,
            read,
            join,
        } = fetch;
        match statement? {
            Some(statement) => read(&mut self.rows(statement)?, join),
            None => read(&mut iter::empty(), join),
        }
    }

    fn run_stream<R: Table>(self, statement: Result<Statement>) -> Result<Stream<R>> {
        Ok(Stream {
            rows: self.rows(statement?)?,
            read: R::from_row,
        })
    }

    fn run_statements<T>(
        mut self,
        statements: impl Iterator<Item = Result<Statement>>,
        read: fn(u64) -> T,
    ) -> Result<T> {
        let mut affected = 0;
        for statement in statements {
            let (text, values) = statement?.into_parts();
            affected += self.execute(&text, values)?;
        }
        Ok(read(affected))
    }
}

/// References run on the connection that they stand for.
macro_rules! run_as_connection {
    ($connection:ident: $($(#[$feature:meta])* $reference:ty),*) => { $(
        $(#[$feature])*
        impl<'c> $crate::Runs for $reference {
            type Output<T> = <$connection<'c> as $crate::Runs>::Output<T>;
            type Stream<R> = <$connection<'c> as $crate::Runs>::Stream<R>;

            fn run_query<T>(self, fetch: $crate::table::Fetch<T>) -> Self::Output<T> {
                self.as_connection().run_query(fetch)
            }

            fn run_stream<R: $crate::table::Table>(
                self,
                statement: $crate::Result<$crate::Statement>,
            ) -> Self::Output<Self::Stream<R>> {
                self.as_connection().run_stream(statement)
            }

            fn run_statements<T>(
                self,
                statements: impl Iterator<Item = $crate::Result<$crate::Statement>>,
                read: fn(u64) -> T,
            ) -> Self::Output<T> {
                self.as_connection().run_statements(statements, read)
            }
        }
    )* };
}
#[cfg(feature = "async")]
pub(crate) use run_as_connection;

run_as_connection! {
    Connection: &'c Database,
    &'c mut Session,
    &'c mut SqlTransaction,
    &'c mut Connection<'_>,
    #[cfg(feature = "postgres")] &'c mut postgres::Client,
    #[cfg(feature = "postgres")] &'c mut postgres::Transaction<'_>
}

/// A query, and what all of its rows become.
///
/// What reads them is a function without a state of its own: a future can take it along whatever
/// the rows borrow, and wherever they may go.
pub struct Fetch<T> {
    /// What to run; why it cannot; or `None` where it is known that there are no rows.
    pub(crate) statement: Result<Option<Statement>>,
    pub(crate) read: Read<T>,
    pub(crate) join: Join,
}

/// Makes rows into what is wanted.
pub(crate) type Read<T> = fn(&mut dyn Iterator<Item = Result<Row>>, Join) -> Result<T>;

/// The values that rows belong to, and the position of the column that has them.
#[derive(Default)]
pub(crate) struct Join {
    pub(super) column: usize,
    pub(super) keys: Vec<Value>,
}

impl<T> Fetch<T> {
    pub(super) fn new(statement: Result<Statement>, read: Read<T>) -> Fetch<T> {
        Fetch {
            statement: statement.map(Some),
            read,
            join: Join::default(),
        }
    }

    /// Where the condition holds there are no rows to ask for.
    pub(super) fn unless(mut self, nothing: bool) -> Fetch<T> {
        if nothing {
            self.statement = self.statement.map(|_| None);
        }
        self
    }
}

impl<R: Table> Fetch<Vec<R>> {
    /// All rows.
    pub(super) fn all(statement: Result<Statement>) -> Fetch<Vec<R>> {
        Fetch::new(statement, |rows, _| {
            rows.map(|row| R::from_row(&row?)).collect()
        })
    }
}

impl<R: Table> Fetch<Option<R>> {
    /// The first row, where there is one.
    pub(super) fn optional(statement: Result<Statement>) -> Fetch<Option<R>> {
        Fetch::new(statement, |rows, _| {
            rows.next().map(|row| R::from_row(&row?)).transpose()
        })
    }
}

impl<R: Table> Fetch<R> {
    /// The first row.
    pub(super) fn one(statement: Result<Statement>) -> Fetch<R> {
        Fetch::new(statement, |rows, _| {
            R::from_row(&rows.next().ok_or_else(no_row)??)
        })
    }
}
