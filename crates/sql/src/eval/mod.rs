//! Evaluating bound expressions row by row.
//!
//! [`CompiledExpr`] is a bound expression with its columns resolved to positions of a row and its
//! operators to functions for the operands' types, so that evaluating looks up no name.
//! [`Accumulator`] is the state of an aggregate. [`fold_constants`] evaluates ahead what no row
//! can change.

mod access;
mod accumulator;
mod arithmetic;
mod compile;
mod context;
mod date_arithmetic;
mod fold;
mod functions;
mod like;
mod node;
mod ordered_set;
mod regression;
mod regular;
mod sequences;
mod variance;

pub use access::{AccessSource, NoAccess, PrivilegeOn};
pub use accumulator::Accumulator;
pub use compile::CompiledExpr;
pub use context::{EvalContext, NoRandomness, RandomSource, SessionInfo};
pub(crate) use date_arithmetic::step_timestamp;
pub use fold::{fold_constants, fold_constants_in};
pub use like::LikePattern;
pub use sequences::{NoSequences, SequenceName, SequenceSource};

use crate::{Error, SqlState};

/// The largest string a function may build, in bytes, as in PostgreSQL.
pub(crate) const MAX_STRING_BYTES: usize = (1 << 30) - 1;

/// An error that only a bug of ours can cause: the binder promised other types.
#[cold]
pub(crate) fn internal(message: impl Into<String>) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, message)
}

/// Refuses a string longer than [`MAX_STRING_BYTES`] before it is built.
pub(crate) fn check_length(bytes: Option<usize>) -> crate::Result<usize> {
    bytes
        .filter(|bytes| *bytes <= MAX_STRING_BYTES)
        .ok_or_else(|| {
            Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "requested length too large",
            )
        })
}
