//! Sequences, as expressions reach them.

use std::fmt;

use crate::{Error, Result, SqlState};

/// How an expression names a sequence.
#[derive(Clone, Copy, Debug)]
pub enum SequenceName<'a> {
    /// By its id in the catalog: identity columns.
    Id(i64),
    /// By name, written as in SQL.
    Name(&'a str),
}

/// What `nextval` and its like draw from.
pub trait SequenceSource: fmt::Debug + Send + Sync {
    /// `nextval`.
    ///
    /// # Errors
    /// 42P01 where there is no such sequence, 2200H where it is used up.
    fn next(&self, name: SequenceName<'_>) -> Result<i64>;

    /// `currval`.
    ///
    /// # Errors
    /// 55000 where the session has drawn no number yet.
    fn current(&self, name: SequenceName<'_>) -> Result<i64>;

    /// `lastval`.
    ///
    /// # Errors
    /// As [`SequenceSource::current`].
    fn last(&self) -> Result<i64>;

    /// `setval`.
    ///
    /// # Errors
    /// 22003 where the number is out of bounds.
    fn set(&self, name: SequenceName<'_>, value: i64, called: bool) -> Result<i64>;
}

/// The source where there is no database.
#[derive(Clone, Copy, Debug)]
pub struct NoSequences;

fn none<T>() -> Result<T> {
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "there are no sequences here",
    ))
}

impl SequenceSource for NoSequences {
    fn next(&self, _: SequenceName<'_>) -> Result<i64> {
        none()
    }

    fn current(&self, _: SequenceName<'_>) -> Result<i64> {
        none()
    }

    fn last(&self) -> Result<i64> {
        none()
    }

    fn set(&self, _: SequenceName<'_>, _: i64, _: bool) -> Result<i64> {
        none()
    }
}
