//! Queries whose rows have a type.

use std::fmt;

use rustling_sql::{DataType, Error, FromValue, Result, Row, SqlState, Value};

use crate::{Connection, Statement, UntypedRows, sql_type::SqlType};

/// A query that is ready to run on a connection `C`, and what its rows become.
///
/// On a [`Connection`] it waits for its rows; on an `AsyncConnection` (feature `async`) the same
/// methods give futures.
#[must_use = "a query runs when its rows are fetched"]
pub struct Query<C, T> {
    pub(crate) connection: C,
    pub(crate) statement: Statement,
    pub(crate) read: fn(&Row) -> Result<T>,
}

impl<C, T> fmt::Debug for Query<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

impl<C, T> Query<C, T> {
    /// A query of that statement; `read` makes a row into what is wanted.
    pub fn new(connection: C, statement: Statement, read: fn(&Row) -> Result<T>) -> Query<C, T> {
        Query {
            connection,
            statement,
            read,
        }
    }

    /// The statement.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

impl<T> Query<Connection<'_>, T> {
    /// Runs it; rows are computed as they are asked for.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub fn stream(mut self) -> Result<Stream<T>> {
        let (text, values) = self.statement.into_parts();
        Ok(Stream {
            rows: self.connection.query(&text, values)?,
            read: self.read,
        })
    }

    /// Runs it; all rows.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_all(self) -> Result<Vec<T>> {
        self.stream()?.collect()
    }

    /// Runs it; the first row, where there is one.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_optional(self) -> Result<Option<T>> {
        self.stream()?.next().transpose()
    }

    /// Runs it; the first row.
    ///
    /// # Errors
    /// What the query fails with; no_data (02000) where there is no row.
    pub fn fetch_one(self) -> Result<T> {
        self.fetch_optional()?.ok_or_else(no_row)
    }
}

pub(crate) fn no_row() -> Error {
    Error::new(
        SqlState("02000"),
        "the query gave no row, and one was asked for",
    )
    .hint("Use fetch_optional where there may be none.")
}

/// The rows of a query as they come. Dropping it ends the query.
pub struct Stream<T> {
    pub(crate) rows: UntypedRows,
    pub(crate) read: fn(&Row) -> Result<T>,
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<T> Iterator for Stream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let row = self.rows.next()?;
        Some(row.and_then(|row| (self.read)(&row)))
    }
}

/// The value of a column of the SQL type `S`.
pub fn column<T: FromValue, S: SqlType>(row: &Row, at: usize) -> Result<T> {
    // Over a network arrays and JSON come as their text.
    if let Some(Value::Text(text)) = row.values().get(at)
        && S::data_type() != DataType::Text
    {
        return T::from_value(&Value::parse(text, S::data_type())?);
    }
    row.get(at)
}

/// What runs a statement without rows.
pub trait Execute {
    /// The number of rows affected, or a future of it.
    type Affected;

    /// Runs it.
    fn execute_statement(self, statement: Statement) -> Self::Affected;
}

impl Execute for Connection<'_> {
    type Affected = Result<u64>;

    fn execute_statement(self, statement: Statement) -> Result<u64> {
        execute(self, statement)
    }
}

/// Runs a statement without rows.
pub(crate) fn execute(mut connection: Connection<'_>, statement: Statement) -> Result<u64> {
    let (text, values) = statement.into_parts();
    connection.execute(&text, values)
}
