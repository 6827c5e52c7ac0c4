//! Window functions (SQL:2011 7.15, PostgreSQL 4.2.8).

use super::{Binder, Place, coerce, internal, query::sort_key, unsupported};
use crate::{
    ast::{self, FrameUnit, FunctionCall, Over, WindowDefinition},
    bound::{
        AggregateCall, BinaryOp, ColumnId, Expr, ExprKind, FrameBound, FrameExclusion, LogicalPlan,
        SortKey, WindowCall, WindowFrame, WindowFunction,
    },
    error::{Error, Result, SqlState},
    functions,
    span::Span,
    types::{CastContext, DataType, Value},
};

/// A window function call found in a SELECT.
pub(super) struct CollectedWindow {
    pub(super) id: ColumnId,
    pub(super) partition: Vec<Expr>,
    pub(super) order: Vec<SortKey>,
    pub(super) call: WindowCall,
}

impl CollectedWindow {
    /// Every expression of the call and its window.
    pub(super) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs: Vec<&mut Expr> = self
            .partition
            .iter_mut()
            .chain(self.order.iter_mut().map(|key| &mut key.expr))
            .collect();
        exprs.extend(self.call.exprs_mut());
        exprs
    }
}

/// A window with what it goes on from filled in.
struct Window<'a> {
    partition_by: &'a [ast::Expr],
    order_by: &'a [ast::OrderItem],
    frame: Option<&'a ast::Frame>,
}

const ERROR: SqlState = SqlState("42P20");

/// Whether the name is of a function that only makes sense over a window.
pub(super) fn is_window_function(name: &str) -> bool {
    matches!(
        name,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lag"
            | "lead"
            | "first_value"
            | "last_value"
            | "nth_value"
    )
}

impl<'a> Binder<'a> {
    /// Binds `function(…) OVER …`: it becomes a column of a window node below.
    pub(super) fn window_call(
        &mut self,
        call: &'a FunctionCall,
        over: &'a Over,
        span: Span,
    ) -> Result<Expr> {
        match self.place {
            Place::Output => {}
            Place::Window => {
                return Err(Error::new(ERROR, "window function calls cannot be nested").at(span));
            }
            Place::Aggregate => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate calls cannot contain window function calls",
                )
                .at(span));
            }
            Place::Having => return Err(window_misplaced("HAVING", span)),
            Place::Clause(clause) => return Err(window_misplaced(clause, span)),
        }
        if !call.within_group.is_empty() {
            return Err(unsupported("OVER after WITHIN GROUP is", span));
        }
        if call.distinct {
            return Err(unsupported("DISTINCT in a window function is", span));
        }
        if !call.order_by.is_empty() {
            return Err(unsupported("ORDER BY inside a window function is", span));
        }
        let window = self.window(over)?;
        self.in_place(Place::Window, |binder| {
            binder.window_call_in(call, &window, span)
        })
    }

    fn window_call_in(
        &mut self,
        call: &'a FunctionCall,
        window: &Window<'a>,
        span: Span,
    ) -> Result<Expr> {
        let name = call.name.last().name.as_str();
        let mut partition = Vec::with_capacity(window.partition_by.len());
        for expr in window.partition_by {
            let expr = self.expr(expr)?;
            partition.push(self.settle(expr));
        }
        let order = self.sort_keys(window.order_by)?;
        let (function, arguments, filter, data_type, nullable) = if is_window_function(name) {
            if call.filter.is_some() {
                return Err(unsupported(
                    "FILTER goes with aggregates only; with other window functions it is",
                    span,
                ));
            }
            let (function, arguments, data_type, nullable) =
                self.window_function(call, name, span)?;
            (function, arguments, None, data_type, nullable)
        } else if functions::aggregate_names().any(|aggregate| aggregate == name) {
            let aggregate = self.aggregate_call(call, span)?;
            let never_null = matches!(
                aggregate.function,
                crate::bound::AggregateFunction::Count | crate::bound::AggregateFunction::CountStar
            );
            let data_type = aggregate.data_type;
            let (arguments, filter) = (aggregate.arguments.clone(), aggregate.filter.clone());
            let function = WindowFunction::Aggregate(Box::new(AggregateCall {
                filter: None,
                ..aggregate
            }));
            (function, arguments, filter, data_type, !never_null)
        } else {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("OVER is given, but {name} is neither a window function nor an aggregate"),
            )
            .at(span));
        };
        let frame = self.frame(window.frame, &order)?;
        let id = self.column_id();
        self.select.windows.push(CollectedWindow {
            id,
            partition,
            order,
            call: WindowCall {
                function,
                arguments,
                filter,
                frame,
                data_type,
            },
        });
        Ok(Expr {
            kind: ExprKind::Column(id),
            data_type,
            nullable,
            span,
        })
    }

    /// Sort keys over the input.
    pub(super) fn sort_keys(&mut self, items: &'a [ast::OrderItem]) -> Result<Vec<SortKey>> {
        items
            .iter()
            .map(|item| {
                let expr = self.expr(&item.expr)?;
                Ok(sort_key(item, self.settle(expr)))
            })
            .collect()
    }

    /// The functions that are not aggregates: arguments, type, whether NULL is possible.
    fn window_function(
        &mut self,
        call: &'a FunctionCall,
        name: &str,
        span: Span,
    ) -> Result<(WindowFunction, Vec<Expr>, DataType, bool)> {
        use WindowFunction as F;
        if call.star {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("{name}(*) does not exist"),
            )
            .at(span));
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(self.expr(&argument.value)?);
        }
        let wrong = |arguments: &[Expr]| {
            let types: Vec<String> = arguments
                .iter()
                .map(|argument| argument.data_type.to_string())
                .collect();
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name}({}) does not exist", types.join(", ")),
            )
            .at(span)
        };
        let without = |function, data_type| Ok((function, Vec::new(), data_type, false));
        match (name, arguments.len()) {
            ("row_number", 0) => without(F::RowNumber, DataType::Int8),
            ("rank", 0) => without(F::Rank, DataType::Int8),
            ("dense_rank", 0) => without(F::DenseRank, DataType::Int8),
            ("percent_rank", 0) => without(F::PercentRank, DataType::Float8),
            ("cume_dist", 0) => without(F::CumeDist, DataType::Float8),
            ("ntile", 1) => {
                let buckets = arguments.remove(0);
                let buckets = self.coerce(buckets, DataType::Int4, CastContext::Implicit)?;
                let nullable = buckets.nullable;
                Ok((F::Ntile, vec![buckets], DataType::Int4, nullable))
            }
            ("lag" | "lead", 1..=3) => {
                let default = (arguments.len() == 3).then(|| arguments.remove(2));
                let offset = if arguments.len() == 2 {
                    let offset = arguments.remove(1);
                    self.coerce(offset, DataType::Int4, CastContext::Implicit)?
                } else {
                    super::literal::constant(Value::Int4(1), DataType::Int4, span)
                };
                let values: Vec<Expr> = arguments.into_iter().chain(default).collect();
                let mut values = self.unified(values, name)?.into_iter();
                let Some(value) = values.next() else {
                    return Err(internal("a window function without arguments", span));
                };
                let data_type = value.data_type;
                let function = if name == "lag" { F::Lag } else { F::Lead };
                let arguments = [value, offset].into_iter().chain(values).collect();
                Ok((function, arguments, data_type, true))
            }
            ("first_value" | "last_value", 1) => {
                let value = arguments.remove(0);
                let value = self.settle(value);
                let data_type = value.data_type;
                let function = if name == "first_value" {
                    F::FirstValue
                } else {
                    F::LastValue
                };
                Ok((function, vec![value], data_type, true))
            }
            ("nth_value", 2) => {
                let number = arguments.remove(1);
                let number = self.coerce(number, DataType::Int4, CastContext::Implicit)?;
                let value = arguments.remove(0);
                let value = self.settle(value);
                let data_type = value.data_type;
                Ok((F::NthValue, vec![value, number], data_type, true))
            }
            _ => Err(wrong(&arguments)),
        }
    }

    /// Every window of a WINDOW clause must have a name of its own and stand on those before it.
    pub(super) fn check_windows(
        &self,
        windows: &'a [(ast::Ident, WindowDefinition)],
    ) -> Result<()> {
        for (at, (name, definition)) in windows.iter().enumerate() {
            if windows[..at]
                .iter()
                .any(|(other, _)| other.name == name.name)
            {
                return Err(Error::new(
                    ERROR,
                    format!("window \"{}\" is already defined", name.name),
                )
                .at(name.span));
            }
            self.resolved_window(definition)?;
        }
        Ok(())
    }

    /// The window that OVER says.
    fn window(&self, over: &'a Over) -> Result<Window<'a>> {
        match over {
            Over::Name(name) => {
                let definition = self.named_window(name)?;
                self.resolved_window(definition)
            }
            Over::Window(definition) => self.resolved_window(definition),
        }
    }

    fn named_window(&self, name: &ast::Ident) -> Result<&'a WindowDefinition> {
        self.select
            .named_windows
            .iter()
            .find(|(known, _)| known.name == name.name)
            .map(|(_, definition)| definition)
            .ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("window \"{}\" does not exist", name.name),
                )
                .at(name.span)
                .hint("Define it in a WINDOW clause behind FROM, WHERE, GROUP BY and HAVING.")
            })
    }

    fn resolved_window(&self, definition: &'a WindowDefinition) -> Result<Window<'a>> {
        let Some(base) = &definition.base else {
            return Ok(Window {
                partition_by: &definition.partition_by,
                order_by: &definition.order_by,
                frame: definition.frame.as_ref(),
            });
        };
        let wrong = |what: &str| {
            Err(
                Error::new(ERROR, format!("cannot {what} of window \"{}\"", base.name))
                    .at(base.span),
            )
        };
        // A window may only name one that stands before it: a chain ends.
        let position = self
            .select
            .named_windows
            .iter()
            .position(|(_, known)| std::ptr::eq(known, definition));
        let base_position = self
            .select
            .named_windows
            .iter()
            .position(|(known, _)| known.name == base.name);
        if let (Some(own), Some(of_base)) = (position, base_position)
            && of_base >= own
        {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("window \"{}\" does not exist", base.name),
            )
            .at(base.span));
        }
        let below = self.resolved_window(self.named_window(base)?)?;
        if !definition.partition_by.is_empty() {
            return wrong("override PARTITION BY clause");
        }
        if !definition.order_by.is_empty() && !below.order_by.is_empty() {
            return wrong("override ORDER BY clause");
        }
        if below.frame.is_some() {
            return wrong("copy the frame clause");
        }
        Ok(Window {
            partition_by: below.partition_by,
            order_by: if definition.order_by.is_empty() {
                below.order_by
            } else {
                &definition.order_by
            },
            frame: definition.frame.as_ref(),
        })
    }

    // ---- frames -------------------------------------------------------------------------------

    fn frame(&mut self, frame: Option<&'a ast::Frame>, order: &[SortKey]) -> Result<WindowFrame> {
        let Some(frame) = frame else {
            // RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW.
            return Ok(WindowFrame {
                start: FrameBound::Unbounded,
                end: FrameBound::Peers,
                exclusion: FrameExclusion::None,
            });
        };
        if frame.unit == FrameUnit::Groups && order.is_empty() {
            return Err(Error::new(ERROR, "GROUPS wants an ORDER BY in the window").at(frame.span));
        }
        let start = self.frame_bound(&frame.start, frame, order)?;
        let end = match &frame.end {
            Some(end) => self.frame_bound(end, frame, order)?,
            None => current(frame.unit),
        };
        Ok(WindowFrame {
            start,
            end,
            exclusion: match frame.exclusion {
                ast::FrameExclusion::None => FrameExclusion::None,
                ast::FrameExclusion::CurrentRow => FrameExclusion::CurrentRow,
                ast::FrameExclusion::Group => FrameExclusion::Group,
                ast::FrameExclusion::Ties => FrameExclusion::Ties,
            },
        })
    }

    fn frame_bound(
        &mut self,
        bound: &'a ast::FrameBound,
        frame: &'a ast::Frame,
        order: &[SortKey],
    ) -> Result<FrameBound> {
        let (offset, following) = match bound {
            ast::FrameBound::UnboundedPreceding | ast::FrameBound::UnboundedFollowing => {
                return Ok(FrameBound::Unbounded);
            }
            ast::FrameBound::CurrentRow => return Ok(current(frame.unit)),
            ast::FrameBound::Preceding(offset) => (offset, false),
            ast::FrameBound::Following(offset) => (offset, true),
        };
        let span = offset.span;
        let bound = self.expr(offset)?;
        let mut reads = false;
        bound.visit(&mut |part| {
            reads |= matches!(part.kind, ExprKind::Column(_));
            !reads
        });
        if reads {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "the offset of a frame must not name columns",
            )
            .at(span));
        }
        let rows = |binder: &mut Self, bound: Expr| {
            let context = if bound.data_type.is_integer() {
                CastContext::Assignment
            } else {
                CastContext::Implicit
            };
            binder.coerce(bound, DataType::Int8, context).map(Box::new)
        };
        match frame.unit {
            FrameUnit::Rows => Ok(FrameBound::Rows {
                offset: rows(self, bound)?,
                following,
            }),
            FrameUnit::Groups => Ok(FrameBound::Groups {
                offset: rows(self, bound)?,
                following,
            }),
            FrameUnit::Range => {
                let [key] = order else {
                    return Err(Error::new(
                        ERROR,
                        "RANGE with an offset wants exactly one ORDER BY expression",
                    )
                    .at(frame.span));
                };
                self.range_bound(key, bound, following, span)
            }
        }
    }

    fn range_bound(
        &mut self,
        key: &SortKey,
        offset: Expr,
        following: bool,
        span: Span,
    ) -> Result<FrameBound> {
        let of_key = coerce::base(key.expr.data_type);
        // Wide enough not to overflow at the ends of the type.
        let (key_type, offset_type) = match of_key {
            DataType::Int1
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Decimal(_) => (DataType::Decimal(None), DataType::Decimal(None)),
            DataType::Float4 | DataType::Float8 => (DataType::Float8, DataType::Float8),
            DataType::Date | DataType::Timestamp => (DataType::Timestamp, DataType::Interval),
            DataType::TimestampTz => (DataType::TimestampTz, DataType::Interval),
            DataType::Time => (DataType::Time, DataType::Interval),
            DataType::TimeTz => (DataType::TimeTz, DataType::Interval),
            DataType::Interval => (DataType::Interval, DataType::Interval),
            other => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("RANGE with an offset is not supported for type {other}"),
                )
                .at(span));
            }
        };
        let offset = self.coerce(offset, offset_type, CastContext::Implicit)?;
        let order_key = self.coerce(key.expr.clone(), key_type, CastContext::Explicit)?;
        let operator = if following == key.descending {
            BinaryOp::Subtract
        } else {
            BinaryOp::Add
        };
        let target = self.arithmetic(operator, order_key.clone(), offset.clone(), span, span)?;
        Ok(FrameBound::Range {
            offset: Box::new(offset),
            key: Box::new(order_key),
            target: Box::new(target),
            descending: key.descending,
        })
    }

    /// Puts the window nodes of the calls collected on the plan: one for each window.
    pub(super) fn windowed(&mut self, mut plan: LogicalPlan) -> LogicalPlan {
        let same = |left: &[Expr], right: &[Expr]| {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.is_same(right))
        };
        let same_order = |left: &[SortKey], right: &[SortKey]| {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| {
                    left.descending == right.descending
                        && left.nulls_first == right.nulls_first
                        && left.expr.is_same(&right.expr)
                })
        };
        let mut collected = std::mem::take(&mut self.select.windows);
        while !collected.is_empty() {
            let first = collected.remove(0);
            let (alike, rest): (Vec<_>, Vec<_>) = collected.into_iter().partition(|other| {
                same(&first.partition, &other.partition) && same_order(&first.order, &other.order)
            });
            collected = rest;
            let calls = std::iter::once((first.id, first.call))
                .chain(alike.into_iter().map(|other| (other.id, other.call)))
                .collect();
            plan = LogicalPlan::Window {
                input: Box::new(plan),
                partition: first.partition,
                order: first.order,
                calls,
            };
        }
        plan
    }
}

/// CURRENT ROW.
fn current(unit: FrameUnit) -> FrameBound {
    match unit {
        FrameUnit::Rows => FrameBound::Row,
        FrameUnit::Range | FrameUnit::Groups => FrameBound::Peers,
    }
}

fn window_misplaced(clause: &str, span: Span) -> Error {
    Error::new(
        ERROR,
        format!("window functions are not allowed in {clause}"),
    )
    .at(span)
    .hint("Compute it in a subquery in FROM and filter by its column.")
}
