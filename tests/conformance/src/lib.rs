//! Scores the database against public conformance corpora, statement by statement.
//!
//! - [`slt`]: sqllogictest files, in each executor.
//! - [`sqltest`]: feature tests of SQL:2016's mandatory part.
//! - [`regress`]: PostgreSQL's regression tests, beside what PostgreSQL answered.
//! - [`score`]: counts, failures, and the ratchet that keeps them from falling.
//! - [`corpus`]: where the files are.
#![expect(
    clippy::disallowed_methods,
    reason = "reads corpora from the system's disk and runs psql"
)]

pub mod corpus;
pub mod regress;
pub mod score;
pub mod slt;
pub mod sqltest;
mod values;

use std::path::PathBuf;

/// Why a suite cannot be run. A statement that fails is no error but a score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what its format says.
    #[error("{}:{line}: {reason}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// PostgreSQL's client failed.
    #[error("psql: {0}")]
    Psql(String),
    /// The database failed where no statement of the corpus is to blame.
    #[error("the database: {0}")]
    Database(#[from] rustling_sql::Error),
    /// Fewer statements pass than before.
    #[error("{0}")]
    Regression(String),
}

/// The result of running a suite.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How much to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The beginning of every file: half a minute at most.
    Quick,
    /// Everything.
    Full,
    /// Everything, also without the optimizer's rules.
    Slow,
}
