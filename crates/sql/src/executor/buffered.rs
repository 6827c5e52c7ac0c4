//! Rows that were put aside before the plan ran.

use std::sync::Arc;

use crate::{
    Error, Result, SqlState, Value,
    executor::{ExecContext, Operator, RowBuffer},
};

/// Gives the rows of a buffer.
pub(crate) struct Buffered {
    rows: Arc<Vec<Vec<Value>>>,
    at: usize,
}

impl Buffered {
    /// Gives the rows that buffer `slot` holds now.
    pub(crate) fn new(slot: usize, context: &ExecContext) -> Result<Buffered> {
        let rows = context.buffers.get(slot).ok_or_else(|| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                "a plan reads rows that nothing has put aside",
            )
        })?;
        Ok(Buffered {
            rows: Arc::clone(rows),
            at: 0,
        })
    }
}

impl Operator for Buffered {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let Some(next) = self.rows.get(self.at) else {
            return Ok(false);
        };
        self.at += 1;
        if self.at.is_multiple_of(128) {
            context.check()?;
        }
        row.clear();
        row.extend_from_slice(next);
        Ok(true)
    }
}
