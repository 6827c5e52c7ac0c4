//! A session, in this process or in the one that holds the database.

use std::io::BufRead;

use rustling_sql::{Database, Session, StatementResult, Value};

use crate::{
    attach::Remote,
    error::{Error, Result},
    run::{Output, run, write_result},
};

/// A database that is open here, or that another process holds.
pub(crate) enum Opened {
    /// Here.
    Own(Database),
    /// In the process at the other end.
    Attached(Box<Remote>),
}

impl Opened {
    /// Runs `work` in a session, and closes the database; the first failure counts.
    ///
    /// # Errors
    /// Where the work or the closing fails.
    pub(crate) fn with(self, work: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
        match self {
            Opened::Own(database) => {
                let mut connection = Connection::Own(Box::new(database.session()));
                let result = work(&mut connection);
                drop(connection);
                result.and(database.close().map_err(Error::Database))
            }
            Opened::Attached(remote) => work(&mut Connection::Attached(remote)),
        }
    }
}

/// A session.
pub(crate) enum Connection {
    /// Here.
    Own(Box<Session>),
    /// In the process at the other end.
    Attached(Box<Remote>),
}

fn values(parameters: &[&str]) -> Vec<Value> {
    parameters
        .iter()
        .map(|text| Value::Text((*text).into()))
        .collect()
}

impl Connection {
    /// Runs each statement of `sql` and writes what it gives.
    ///
    /// # Errors
    /// At the first statement that fails; those before it are done.
    pub(crate) fn run(
        &mut self,
        sql: &str,
        data: &mut dyn BufRead,
        to: &mut Output<'_>,
    ) -> Result<()> {
        match self {
            Connection::Own(session) => run(session, sql, data, to),
            Connection::Attached(remote) => remote.run(sql, data, to),
        }
    }

    /// Runs one statement with parameters and writes what it gives.
    ///
    /// # Errors
    /// What the statement fails with.
    pub(crate) fn write(
        &mut self,
        sql: &str,
        parameters: &[&str],
        to: &mut Output<'_>,
    ) -> Result<()> {
        match self {
            Connection::Own(session) => {
                let result = session
                    .run(sql, values(parameters))
                    .map_err(|error| Error::sql(error, sql))?;
                write_result(result, to)
            }
            Connection::Attached(remote) => remote.write(sql, parameters, to),
        }
    }

    /// Runs one statement with parameters; gives the number of rows it changed.
    ///
    /// # Errors
    /// What the statement fails with.
    pub(crate) fn execute(&mut self, sql: &str, parameters: &[&str]) -> Result<u64> {
        match self {
            Connection::Own(session) => session
                .execute(sql, values(parameters))
                .map_err(|error| Error::sql(error, sql)),
            Connection::Attached(remote) => Ok(remote.fetch(sql, parameters)?.affected),
        }
    }

    /// Runs a query with parameters; its rows as text.
    ///
    /// # Errors
    /// What the query fails with.
    pub(crate) fn fetch(
        &mut self,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<Vec<Option<String>>>> {
        match self {
            Connection::Own(session) => {
                let failed = |error| Error::sql(error, sql);
                let rows = match session.run(sql, values(parameters)).map_err(failed)? {
                    StatementResult::Rows(rows) => rows.values().map_err(failed)?,
                    _ => Vec::new(),
                };
                let text = |value: Value| (!value.is_null()).then(|| value.to_string());
                Ok(rows
                    .into_iter()
                    .map(|row| row.into_iter().map(text).collect())
                    .collect())
            }
            Connection::Attached(remote) => Ok(remote.fetch(sql, parameters)?.rows),
        }
    }

    /// Whether a transaction block is open, and whether it has failed.
    pub(crate) fn transaction(&self) -> (bool, bool) {
        match self {
            Connection::Own(session) => (session.in_transaction(), session.transaction_failed()),
            Connection::Attached(remote) => remote.transaction(),
        }
    }

    /// What ends the statement that runs, from another thread.
    pub(crate) fn canceller(&self) -> Box<dyn Fn() + Send + Sync> {
        match self {
            Connection::Own(session) => {
                let token = session.cancel_token();
                Box::new(move || token.cancel())
            }
            Connection::Attached(remote) => Box::new(remote.canceller()),
        }
    }
}
