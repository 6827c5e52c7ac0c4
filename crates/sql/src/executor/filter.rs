//! Filter and projection.

use std::sync::Arc;

use crate::{
    Result,
    executor::{ExecContext, Operator, RowBuffer, passes},
    planner::physical::PlannedExpr,
};

/// Gives the rows for which every predicate is true.
pub(crate) struct Filter {
    input: Box<dyn Operator>,
    predicates: Arc<[PlannedExpr]>,
}

impl Filter {
    /// Filters `input`.
    pub(crate) fn new(input: Box<dyn Operator>, predicates: Arc<[PlannedExpr]>) -> Filter {
        Filter { input, predicates }
    }
}

impl Operator for Filter {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while self.input.next(context, row)? {
            if passes(&self.predicates, row, context)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Computes columns.
pub(crate) struct Project {
    input: Box<dyn Operator>,
    items: Arc<[PlannedExpr]>,
    buffer: RowBuffer,
}

impl Project {
    /// Computes `items` of each row of `input`.
    pub(crate) fn new(input: Box<dyn Operator>, items: Arc<[PlannedExpr]>) -> Project {
        Project {
            input,
            items,
            buffer: RowBuffer::new(),
        }
    }
}

impl Operator for Project {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if !self.input.next(context, &mut self.buffer)? {
            return Ok(false);
        }
        row.clear();
        let eval = context.eval();
        for item in self.items.iter() {
            row.push(item.compiled.eval(&self.buffer, &eval)?);
        }
        Ok(true)
    }
}
