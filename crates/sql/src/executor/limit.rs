//! LIMIT and OFFSET.

use crate::{
    Error, Result, SqlState, Value,
    executor::{ExecContext, Operator, RowBuffer},
    planner::physical::PlannedExpr,
};

/// How many rows to skip and then how many to give at most.
pub(crate) fn bounds(
    limit: Option<&PlannedExpr>,
    offset: Option<&PlannedExpr>,
    context: &ExecContext,
) -> Result<(u64, u64)> {
    let number = |expr: Option<&PlannedExpr>, what: &str| -> Result<Option<u64>> {
        let Some(expr) = expr else { return Ok(None) };
        match expr.compiled.eval(&[], &context.eval())? {
            Value::Null => Ok(None),
            Value::Int8(number) => u64::try_from(number).map(Some).map_err(|_| {
                Error::new(
                    if what == "LIMIT" {
                        SqlState("2201W")
                    } else {
                        SqlState("2201X")
                    },
                    format!("{what} must not be negative"),
                )
                .at(expr.expr.span)
            }),
            other => Err(crate::encoding::wrong_type(crate::DataType::Int8, &other)),
        }
    };
    Ok((
        number(offset, "OFFSET")?.unwrap_or(0),
        number(limit, "LIMIT")?.unwrap_or(u64::MAX),
    ))
}

/// Gives a window of its input's rows.
pub(crate) struct Limit {
    input: Box<dyn Operator>,
    skip: u64,
    take: u64,
}

impl Limit {
    /// Skips `skip` rows, then gives at most `take`.
    pub(crate) fn new(input: Box<dyn Operator>, skip: u64, take: u64) -> Limit {
        Limit { input, skip, take }
    }
}

impl Operator for Limit {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if self.take == 0 {
            return Ok(false);
        }
        while self.skip > 0 {
            if !self.input.next(context, row)? {
                self.take = 0;
                return Ok(false);
            }
            self.skip -= 1;
        }
        if !self.input.next(context, row)? {
            self.take = 0;
            return Ok(false);
        }
        self.take -= 1;
        Ok(true)
    }
}
