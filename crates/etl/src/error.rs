//! What can go wrong in a load, sorted by what the caller can do about it.

use std::{path::PathBuf, sync::Arc};

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A loading error. Unless rows were to be skipped, nothing is loaded when one is returned.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The rejects file cannot be written.
    #[error("cannot write the rejects file {}: {source}", path.display())]
    Rejects {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The file has no content.
    #[error("{} is empty: there is nothing to load", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An option names an encoding that is not known.
    #[error("unknown encoding {name:?}")]
    UnknownEncoding {
        /// What was asked for.
        name: String,
    },
    /// A row does not fit.
    #[error("{}, {row}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Where and why.
        row: BadRow,
    },
    /// The header or the given column names cannot be a table's.
    #[error("{message}")]
    Schema {
        /// What is wrong with it.
        message: String,
        /// What the caller can do.
        hint: String,
    },
    /// The database refused.
    #[error(transparent)]
    Sql(#[from] rustling_sql::Error),
}

impl Error {
    /// What the caller can do about it, where there is more to say than the message does.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Read { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Some("check the path; it is relative to the current directory".into()),
                std::io::ErrorKind::PermissionDenied => Some("the file's permissions forbid it".into()),
                std::io::ErrorKind::IsADirectory => Some("that is a directory: name a file in it".into()),
                _ => None,
            },
            Error::UnknownEncoding { .. } => {
                Some("use a name from the WHATWG Encoding Standard: utf-8, latin1, windows-1252, utf-16le, shift_jis …".into())
            }
            Error::Row { row, .. } => row.hint(),
            Error::Schema { hint, .. } => Some(hint.clone()),
            Error::Sql(error) => error.hint_text().map(ToString::to_string),
            Error::Rejects { .. } | Error::Empty { .. } => None,
        }
    }
}

/// A row that does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The column's name, where one is to blame.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

/// Why a row does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Another number of fields than columns.
    FieldCount {
        /// Fields found.
        found: usize,
        /// Columns of the table.
        expected: usize,
    },
    /// A quote that is opened and never closed.
    UnclosedQuote,
    /// Text between a closing quote and the delimiter.
    TextAfterQuote,
    /// A record longer than a record may be, in bytes.
    TooLong(usize),
    /// Bytes that are not UTF-8; the first of them, counted from 1 at the record's start.
    NotUtf8(usize),
    /// A value that is not of its column's type.
    Value(String),
    /// The table's constraints refuse the row.
    Constraint(String),
}

impl BadRow {
    fn hint(&self) -> Option<String> {
        let leave_out =
            "--on-error skip leaves such rows out, --on-error rejects writes them to a file";
        Some(match &self.reason {
            Reason::FieldCount { .. } => {
                format!("is the delimiter right (--delimiter)? {leave_out}")
            }
            Reason::UnclosedQuote | Reason::TextAfterQuote | Reason::TooLong(_) => {
                "a quote inside a quoted field is doubled; --quote names another quote character"
                    .into()
            }
            Reason::NotUtf8(_) => {
                "name the file's encoding, for example --encoding latin1, or convert it to UTF-8"
                    .into()
            }
            Reason::Value(_) => format!("--null names further texts that mean NULL; {leave_out}"),
            Reason::Constraint(_) => leave_out.into(),
        })
    }
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        f.write_str(": ")?;
        self.reason.fmt(f)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::FieldCount { found, expected } => {
                let fields = if *found == 1 { "field" } else { "fields" };
                write!(f, "{found} {fields} where {expected} are expected")
            }
            Reason::UnclosedQuote => {
                f.write_str("a quoted field is not closed before the end of the file")
            }
            Reason::TextAfterQuote => f.write_str("text follows a closing quote"),
            Reason::TooLong(limit) => {
                write!(
                    f,
                    "a record is longer than {limit} bytes; is a quote left open?"
                )
            }
            Reason::NotUtf8(byte) => write!(f, "byte {byte} of the row is not valid UTF-8"),
            Reason::Value(message) | Reason::Constraint(message) => f.write_str(message),
        }
    }
}
