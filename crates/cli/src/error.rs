//! What a command can fail with, and how that is shown.

use std::io;

use crate::numbers::counted;

/// The result of a command.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A statement failed; the text is what its error points into.
    #[error("{}", error.message())]
    Sql {
        /// The error.
        error: rustling_sql::Error,
        /// The statement.
        sql: String,
    },
    /// The database cannot be opened or closed.
    #[error("{}", .0.message())]
    Database(rustling_sql::Error),
    /// A load failed.
    #[error(transparent)]
    Load(#[from] rustling_etl::Error),
    /// The server cannot run.
    #[error(transparent)]
    Server(#[from] rustling_server::Error),
    /// There is no database where one is expected.
    #[error("there is no database in {0}")]
    NoDatabase(String),
    /// Output cannot be written, or input read.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Anything else, with what to do about it.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The check found damage.
    #[error("{}", counted(*.0 as u64, "problem found", "problems found"))]
    Damaged(usize),
    /// The database is not what its migrations make; each difference has been told.
    #[error(
        "{} between the migrations and the database",
        counted(*.0 as u64, "difference", "differences")
    )]
    Drifted(usize),
    /// Statements of a script failed; each has been reported where it stood.
    #[error("{}", counted(*.0, "statement failed", "statements failed"))]
    Script(u64),
}

impl From<rustling_storage::Error> for Error {
    fn from(error: rustling_storage::Error) -> Error {
        Error::Database(error.into())
    }
}

impl Error {
    /// A failed statement.
    pub(crate) fn sql(error: rustling_sql::Error, sql: &str) -> Error {
        Error::Sql {
            error,
            sql: sql.into(),
        }
    }

    /// Whether the reader of our output has gone: the end of a pipe, no failure.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error as shown to people, with everything there is to say.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let hint = match self {
            Error::Sql { error, sql } => return error.render(sql).trim_end().to_string(),
            Error::Database(error) => return error.render("").trim_end().to_string(),
            Error::Load(error) => error.hint(),
            Error::Server(error) => error.hint(),
            Error::NoDatabase(_) => {
                Some("rustling load FILE --table T creates one, and so does rustling DIR (the shell); --db names another".into())
            }
            Error::Usage { hint, .. } => Some(hint.clone()),
            Error::Damaged(_) => Some("copy the directory before anything else; restore it from a backup".into()),
            Error::Drifted(_) => Some("rustling migrate up applies what is pending; write what else should be there into a migration".into()),
            Error::Io { .. } | Error::Script(_) => None,
        };
        match hint {
            Some(hint) => format!("ERROR:  {self}\nHINT:  {hint}"),
            None => format!("ERROR:  {self}"),
        }
    }
}

/// For `map_err`: an input error.
pub(crate) fn input(source: io::Error) -> Error {
    Error::Io {
        action: "cannot read the input",
        source,
    }
}

/// For `map_err`: an output error.
pub(crate) fn output(source: io::Error) -> Error {
    Error::Io {
        action: "cannot write the output",
        source,
    }
}
