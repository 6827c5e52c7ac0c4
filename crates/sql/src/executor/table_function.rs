//! Functions in FROM.

use std::sync::Arc;

use crate::{
    Error, Result, SqlState, Value,
    bound::TableFunction,
    eval::step_timestamp,
    executor::{ExecContext, Operator, RowBuffer},
    planner::physical::{PlannedExpr, PlannedTableCall},
    types::{DataType, Decimal, Interval},
};

/// Gives the rows of one or several functions side by side; those that end early go on with
/// NULLs.
pub(crate) struct TableFunctions {
    calls: Arc<[PlannedTableCall]>,
    /// Whether a last column numbers the rows.
    ordinality: bool,
    series: Option<Vec<Series>>,
    row: i64,
}

impl TableFunctions {
    /// The rows of `calls`.
    pub(crate) fn new(calls: Arc<[PlannedTableCall]>, ordinality: bool) -> TableFunctions {
        TableFunctions {
            calls,
            ordinality,
            series: None,
            row: 0,
        }
    }
}

impl Operator for TableFunctions {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if self.row % 256 == 0 {
            context.check()?;
        }
        let series = match &mut self.series {
            Some(series) => series,
            none => {
                let started = self
                    .calls
                    .iter()
                    .map(|call| Series::start(call, context))
                    .collect::<Result<_>>()?;
                none.insert(started)
            }
        };
        row.clear();
        let mut any = false;
        for series in series {
            match series.next(context)? {
                Some(value) => {
                    any = true;
                    row.push(value);
                }
                None => row.push(Value::Null),
            }
        }
        self.row += 1;
        if self.ordinality {
            row.push(Value::Int8(self.row));
        }
        Ok(any)
    }
}

/// A function's values.
enum Series {
    None,
    Integers {
        next: Option<i64>,
        stop: i64,
        step: i64,
        narrow: bool,
    },
    Decimals {
        next: Decimal,
        stop: Decimal,
        step: Decimal,
    },
    Timestamps {
        next: Option<i64>,
        stop: i64,
        step: Interval,
        zoned: bool,
        ahead: bool,
    },
    Values(std::vec::IntoIter<Value>),
}

fn zero_step(expr: Option<&PlannedExpr>) -> Error {
    let error = Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "step size cannot equal zero",
    );
    match expr {
        Some(expr) => error.at(expr.expr.span),
        None => error,
    }
}

impl Series {
    fn start(call: &PlannedTableCall, context: &ExecContext) -> Result<Series> {
        let arguments = call
            .arguments
            .iter()
            .map(|argument| argument.compiled.eval(&[], &context.eval()))
            .collect::<Result<Vec<Value>>>()?;
        let step_expr = call.arguments.get(2);
        match (call.function, arguments.as_slice()) {
            (TableFunction::Scalar, [value]) => Ok(Series::Values(vec![value.clone()].into_iter())),
            (_, arguments) if arguments.iter().any(Value::is_null) => Ok(Series::None),
            (TableFunction::Unnest, [Value::Array(array)]) => {
                Ok(Series::Values(array.values().to_vec().into_iter()))
            }
            (TableFunction::Subscripts, [Value::Array(array), dimension, rest @ ..]) => {
                let at = dimension
                    .as_integer()
                    .and_then(|at| usize::try_from(at - 1).ok());
                let Some(of) = at.and_then(|at| array.dimensions().get(at)) else {
                    return Ok(Series::None);
                };
                let (first, last) = (i64::from(of.lower), of.upper());
                let reverse = matches!(rest, [Value::Boolean(true)]);
                let (next, stop, step) = if reverse {
                    (last, first, -1)
                } else {
                    (first, last, 1)
                };
                Ok(Series::Integers {
                    next: Some(next),
                    stop,
                    step,
                    narrow: true,
                })
            }
            (TableFunction::PartitionAncestors, [Value::Object(relation)]) => {
                let view = context.session.system_view()?;
                let ancestors = view.partition_ancestors(relation.oid);
                Ok(Series::Values(ancestors.into_iter()))
            }
            (
                TableFunction::GenerateSeries,
                [Value::Decimal(start), Value::Decimal(stop), rest @ ..],
            ) => {
                let step = match rest {
                    [Value::Decimal(step)] => step.clone(),
                    _ => Decimal::from(1i64),
                };
                if step.is_zero() {
                    return Err(zero_step(step_expr));
                }
                Ok(Series::Decimals {
                    next: start.clone(),
                    stop: stop.clone(),
                    step,
                })
            }
            (
                TableFunction::GenerateSeries,
                [
                    Value::Timestamp(start) | Value::TimestampTz(start),
                    Value::Timestamp(stop) | Value::TimestampTz(stop),
                    Value::Interval(step),
                ],
            ) => {
                let zero = Value::Interval(Interval::default());
                let direction = Value::Interval(*step).compare(&zero);
                if direction.is_eq() {
                    return Err(zero_step(step_expr));
                }
                Ok(Series::Timestamps {
                    next: Some(*start),
                    stop: *stop,
                    step: *step,
                    zoned: matches!(arguments.first(), Some(Value::TimestampTz(_))),
                    ahead: direction.is_gt(),
                })
            }
            (TableFunction::GenerateSeries, [start, stop, rest @ ..]) => {
                let step = rest.first().map_or(Some(1), Value::as_integer);
                let (Some(start), Some(stop), Some(step)) =
                    (start.as_integer(), stop.as_integer(), step)
                else {
                    return Err(wrong_arguments());
                };
                if step == 0 {
                    return Err(zero_step(step_expr));
                }
                Ok(Series::Integers {
                    next: Some(start),
                    stop,
                    step,
                    narrow: call.data_type == DataType::Int4,
                })
            }
            _ => Err(wrong_arguments()),
        }
    }

    fn next(&mut self, context: &ExecContext) -> Result<Option<Value>> {
        Ok(match self {
            Series::None => None,
            Series::Values(values) => values.next(),
            Series::Integers {
                next,
                stop,
                step,
                narrow,
            } => {
                let Some(value) = next.filter(|value| {
                    if *step > 0 {
                        value <= stop
                    } else {
                        value >= stop
                    }
                }) else {
                    return Ok(None);
                };
                *next = value.checked_add(*step);
                Some(if *narrow {
                    Value::Int4(i32::try_from(value).map_err(|_| wrong_arguments())?)
                } else {
                    Value::Int8(value)
                })
            }
            Series::Decimals { next, stop, step } => {
                let value = Value::Decimal(next.clone());
                let ordering = value.compare(&Value::Decimal(stop.clone()));
                let done = if step.is_negative() {
                    ordering.is_lt()
                } else {
                    ordering.is_gt()
                };
                if done {
                    return Ok(None);
                }
                *next = next.checked_add(step)?;
                Some(value)
            }
            Series::Timestamps {
                next,
                stop,
                step,
                zoned,
                ahead,
            } => {
                let Some(value) = next.filter(|value| {
                    if *ahead {
                        *value <= *stop
                    } else {
                        *value >= *stop
                    }
                }) else {
                    return Ok(None);
                };
                let zone = zoned.then_some(&context.session.style.time_zone);
                *next = step_timestamp(value, step, zone).ok();
                Some(if *zoned {
                    Value::TimestampTz(value)
                } else {
                    Value::Timestamp(value)
                })
            }
        })
    }
}

fn wrong_arguments() -> Error {
    Error::new(
        SqlState::INTERNAL_ERROR,
        "internal error: a table function got arguments of other types",
    )
}
