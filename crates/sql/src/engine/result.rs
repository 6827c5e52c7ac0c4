//! What statements give.

use crate::{
    Error, Result, SqlState,
    engine::{
        copy::{CopyIn, CopyOut},
        notice::Notice,
        rows::Rows,
    },
};

/// What a statement gives.
#[derive(Debug)]
pub enum StatementResult {
    /// Rows, computed as they are read.
    Rows(Rows),
    /// COPY … FROM STDIN: it waits for its data.
    CopyIn(Box<CopyIn>),
    /// COPY … TO STDOUT: its data, computed as it is taken.
    CopyOut(Box<CopyOut>),
    /// It is done.
    Done {
        /// PostgreSQL's command tag: `INSERT 0 3`, `CREATE TABLE`.
        tag: String,
        /// Rows inserted, updated or deleted.
        affected: u64,
        /// What the user should know beside (`table "t" does not exist, skipping`).
        notices: Vec<Notice>,
    },
}

impl StatementResult {
    /// Done, without rows.
    pub(crate) fn done(tag: impl Into<String>) -> StatementResult {
        StatementResult::Done {
            tag: tag.into(),
            affected: 0,
            notices: Vec::new(),
        }
    }

    /// Done, with something to tell.
    pub(crate) fn noted(tag: impl Into<String>, notices: Vec<Notice>) -> StatementResult {
        StatementResult::Done {
            tag: tag.into(),
            affected: 0,
            notices,
        }
    }

    /// The rows; none (and no columns) for statements that give none.
    ///
    /// # Errors
    /// 42601 for a COPY that reads from or writes to the client.
    pub(crate) fn into_rows(self) -> Result<Rows> {
        Ok(match self {
            StatementResult::Rows(rows) => rows,
            StatementResult::Done { .. } => Rows::fixed(Vec::new(), Vec::new()),
            StatementResult::CopyIn(_) | StatementResult::CopyOut(_) => return Err(needs_client()),
        })
    }
}

/// The answer to a COPY where nobody gives or takes its data.
#[cold]
pub(super) fn needs_client() -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        "COPY FROM STDIN or TO STDOUT cannot run here: nobody gives or takes its data",
    )
    .hint("Use copy_in or copy_out, or name a file.")
}
