//! Queries whose rows have a type.

use std::fmt;

use rustling_sql::{Error, FromValue, Result, Row, Rows, SqlState};

use crate::{Connection, Statement};

/// A query that is ready to run, and what its rows become.
#[must_use = "a query runs when its rows are fetched"]
pub struct Query<'c, T> {
    connection: Connection<'c>,
    statement: Statement,
    read: fn(&Row) -> Result<T>,
}

impl<T> fmt::Debug for Query<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

impl<'c, T> Query<'c, T> {
    /// A query of that statement; `read` makes a row into what is wanted.
    pub fn new(
        connection: Connection<'c>,
        statement: Statement,
        read: fn(&Row) -> Result<T>,
    ) -> Query<'c, T> {
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
        self.fetch_optional()?.ok_or_else(|| {
            Error::new(
                SqlState("02000"),
                "the query gave no row, and one was asked for",
            )
            .hint("Use fetch_optional where there may be none.")
        })
    }
}

/// The rows of a query as they come. Dropping it ends the query.
pub struct Stream<T> {
    rows: Rows,
    read: fn(&Row) -> Result<T>,
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

/// The value of a column.
pub fn column<T: FromValue>(row: &Row, at: usize) -> Result<T> {
    row.get(at)
}

/// Runs a statement without rows.
pub fn execute(mut connection: Connection<'_>, statement: Statement) -> Result<u64> {
    let (text, values) = statement.into_parts();
    connection.execute(&text, values)
}
