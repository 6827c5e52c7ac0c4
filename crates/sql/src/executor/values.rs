//! Literal rows.

use std::sync::Arc;

use crate::{
    Result,
    executor::{ExecContext, Operator, RowBuffer},
    planner::physical::PlannedExpr,
};

/// Gives the rows of VALUES.
pub(crate) struct Values {
    rows: Arc<[Vec<PlannedExpr>]>,
    at: usize,
}

impl Values {
    /// Gives `rows` in order.
    pub(crate) fn new(rows: Arc<[Vec<PlannedExpr>]>) -> Values {
        Values { rows, at: 0 }
    }
}

impl Operator for Values {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let Some(exprs) = self.rows.get(self.at) else {
            return Ok(false);
        };
        self.at += 1;
        if self.at.is_multiple_of(128) {
            context.check()?;
        }
        row.clear();
        let eval = context.eval();
        for expr in exprs {
            row.push(expr.compiled.eval(&[], &eval)?);
        }
        Ok(true)
    }
}
