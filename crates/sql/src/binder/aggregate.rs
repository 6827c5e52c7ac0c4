//! Aggregates and GROUP BY.

use super::{Binder, Place, unsupported};
use crate::{
    ast::FunctionCall,
    bound::{
        AggregateCall, AggregateFunction, ColumnId, Expr, ExprKind, HypotheticalMeasure,
        LogicalPlan, SortKey, plan_walk::for_each_expr_deep,
    },
    error::{Error, Result, SqlState},
    functions::{self, AggregateError},
    span::Span,
    types::{CastContext, DataType, ElementType},
};

/// An aggregate call found in a SELECT.
pub(super) struct Collected {
    pub(super) id: ColumnId,
    pub(super) call: AggregateCall,
}

impl<'a> Binder<'a> {
    /// Binds an aggregate call: it becomes a column of the aggregation below. Where all columns
    /// that it reads are an outer query's, it is an aggregate of that query (SQL:2016 6.9).
    pub(super) fn aggregate(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        let place = self.place;
        let call = self.in_place(Place::Aggregate, |binder| binder.aggregate_call(call, span))?;
        let outer = match self.query_of(&call) {
            Some(at) if at + 1 < self.scopes.len() => {
                Some(self.around_with_scope(at).ok_or_else(|| {
                    unsupported(
                        "aggregates over columns of this outer query alone are",
                        span,
                    )
                    .hint("Compute the aggregate in a subquery in FROM.")
                })?)
            }
            _ => None,
        };
        let place = outer.map_or(place, |outer| self.around[outer].place);
        aggregate_allowed(place, span)?;
        let id = self.column_id();
        let select = match outer {
            Some(outer) => &mut self.around[outer].select,
            None => &mut self.select,
        };
        let never_null = matches!(
            call.function,
            AggregateFunction::Count | AggregateFunction::CountStar
        );
        let one_row_may_be_null = matches!(
            call.function,
            AggregateFunction::StddevSamp | AggregateFunction::VarSamp
        );
        let nullable = !never_null
            && (!select.grouped
                || one_row_may_be_null
                || call.filter.is_some()
                || call
                    .arguments
                    .first()
                    .is_none_or(|argument| argument.nullable));
        let data_type = call.data_type;
        let known = select
            .aggregates
            .iter()
            .find(|known| is_same_call(&known.call, &call));
        let id = match known {
            Some(known) => known.id,
            None => {
                select.aggregates.push(Collected { id, call });
                id
            }
        };
        Ok(Expr {
            kind: ExprKind::Column(id),
            data_type,
            nullable,
            span,
        })
    }

    /// The innermost query that the call reads columns or aggregates of: the place of its scope.
    fn query_of(&self, call: &AggregateCall) -> Option<usize> {
        let mut innermost = None;
        let parts = call
            .arguments
            .iter()
            .chain(&call.filter)
            .chain(call.order_by.iter().map(|key| &key.expr));
        for part in parts {
            for_each_column(part, &mut |id| {
                let of_scope = self
                    .scopes
                    .iter()
                    .rposition(|scope| scope.column_by_id(id).is_some());
                let of_aggregates = || {
                    let around = self.around.iter().find(|around| {
                        let mut aggregates = around.select.aggregates.iter();
                        aggregates.any(|known| known.id == id)
                    });
                    around?.scopes.checked_sub(1)
                };
                innermost = innermost.max(of_scope.or_else(of_aggregates));
            });
        }
        innermost
    }

    /// The query around this one whose own scope is that one.
    fn around_with_scope(&self, scope: usize) -> Option<usize> {
        self.around
            .iter()
            .position(|around| around.scopes == scope + 1)
    }

    /// The call itself, its parts bound where the binder stands.
    pub(super) fn aggregate_call(
        &mut self,
        call: &'a FunctionCall,
        span: Span,
    ) -> Result<AggregateCall> {
        let name = call.name.last().name.as_str();
        let filter = match &call.filter {
            Some(filter) => Some(self.condition(filter, "FILTER")?),
            None => None,
        };
        if functions::is_ordered_set(name) || !call.within_group.is_empty() {
            return self.ordered_set(call, name, filter, span);
        }
        let arguments = self.arguments(call)?;
        let order_by = self.sort_keys(&call.order_by)?;
        let (function, arguments, data_type) = if call.star {
            if name != "count" || call.distinct {
                return Err(Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("{name}(*) does not exist"),
                )
                .at(span)
                .hint("Only count takes a star."));
            }
            (AggregateFunction::CountStar, Vec::new(), DataType::Int8)
        } else {
            let types: Vec<DataType> = arguments
                .iter()
                .map(|argument| argument.data_type)
                .collect();
            let (function, wanted, data_type) = functions::aggregate(name, &types)
                .map_err(|error| no_overload(name, &types, error, span))?;
            let arguments = arguments
                .into_iter()
                .zip(wanted)
                .map(|(argument, wanted)| {
                    let alike = argument.data_type != DataType::Unknown
                        && (super::coerce::base(argument.data_type) == super::coerce::base(wanted)
                            || (argument.data_type.is_string()
                                && wanted == DataType::Text
                                && !matches!(argument.data_type, DataType::Char(_))));
                    if alike {
                        Ok(argument)
                    } else {
                        self.coerce(argument, wanted, CastContext::Implicit)
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            let arguments = self.json_arguments(function, arguments)?;
            (function, arguments, data_type)
        };
        if call.distinct {
            let outside = order_by
                .iter()
                .find(|key| !arguments.iter().any(|argument| argument.is_same(&key.expr)));
            if let Some(key) = outside {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                )
                .at(key.expr.span));
            }
        }
        // The order matters to few.
        let order_by = if function.depends_on_order() {
            order_by
        } else {
            Vec::new()
        };
        Ok(AggregateCall {
            function,
            arguments,
            distinct: call.distinct,
            filter,
            order_by,
            data_type,
        })
    }

    /// `function(fraction) WITHIN GROUP (ORDER BY value)`.
    fn ordered_set(
        &mut self,
        call: &'a FunctionCall,
        name: &str,
        filter: Option<Expr>,
        span: Span,
    ) -> Result<AggregateCall> {
        let hypothetical = functions::hypothetical(name);
        if !functions::is_ordered_set(name) && hypothetical.is_none() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"),
            )
            .at(span));
        }
        if call.within_group.is_empty() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
            )
            .at(span));
        }
        if call.distinct || !call.order_by.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "DISTINCT and ORDER BY do not go with WITHIN GROUP",
            )
            .at(span));
        }
        let keys = self.sort_keys(&call.within_group)?;
        let direct = self.arguments(call)?;
        if let Some(measure) = hypothetical {
            return self.hypothetical_set(measure, name, direct, keys, filter, span);
        }
        let ([key], wanted) = (keys.as_slice(), usize::from(name != "mode")) else {
            return Err(unsupported("WITHIN GROUP with several keys is", span));
        };
        if direct.len() != wanted {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "{name} takes {wanted} direct arguments, {} are given",
                    direct.len()
                ),
            )
            .at(span));
        }
        let mut key = key.clone();
        let function = match name {
            "mode" => AggregateFunction::Mode,
            "percentile_disc" => AggregateFunction::PercentileDisc,
            _ => {
                let wanted = match key.expr.data_type {
                    DataType::Interval => DataType::Interval,
                    _ => DataType::Float8,
                };
                key.expr = self.coerce(key.expr, wanted, CastContext::Implicit)?;
                AggregateFunction::PercentileCont
            }
        };
        let mut data_type = key.expr.data_type;
        let mut arguments = vec![key.expr.clone()];
        for fraction in direct {
            let wanted = match fraction.data_type {
                // Several fractions give several values.
                DataType::Array(_) => {
                    data_type = data_type.array().ok_or_else(|| {
                        unsupported(&format!("arrays of {data_type} are"), fraction.span)
                    })?;
                    DataType::Array(ElementType::FLOAT8)
                }
                _ => DataType::Float8,
            };
            arguments.push(self.coerce(fraction, wanted, CastContext::Implicit)?);
        }
        Ok(AggregateCall {
            function,
            arguments,
            distinct: false,
            filter,
            order_by: vec![key],
            data_type,
        })
    }
}

impl Binder<'_> {
    /// `rank(row) WITHIN GROUP (ORDER BY keys)` and the like.
    fn hypothetical_set(
        &mut self,
        measure: HypotheticalMeasure,
        name: &str,
        row: Vec<Expr>,
        keys: Vec<SortKey>,
        filter: Option<Expr>,
        span: Span,
    ) -> Result<AggregateCall> {
        if row.len() != keys.len() {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "{name} takes as many arguments as WITHIN GROUP has keys: {}, not {}",
                    keys.len(),
                    row.len()
                ),
            )
            .at(span));
        }
        let mut order_by = Vec::with_capacity(keys.len());
        let mut given = Vec::with_capacity(keys.len());
        for (mut key, value) in keys.into_iter().zip(row) {
            let common = super::common_type([value.data_type, key.expr.data_type])
                .map_err(|(a, b)| super::coerce::no_common_type("WITHIN GROUP", a, b, span))?;
            given.push(self.coerce(value, common, CastContext::Implicit)?);
            key.expr = self.coerce(key.expr, common, CastContext::Implicit)?;
            order_by.push(key);
        }
        let arguments = order_by
            .iter()
            .map(|key| key.expr.clone())
            .chain(given)
            .collect();
        let data_type = match measure {
            HypotheticalMeasure::Rank | HypotheticalMeasure::DenseRank => DataType::Int8,
            _ => DataType::Float8,
        };
        Ok(AggregateCall {
            function: AggregateFunction::Hypothetical(measure),
            arguments,
            distinct: false,
            filter,
            order_by,
            data_type,
        })
    }

    /// The arguments of the JSON aggregates as they are put together: text keys, JSON values.
    fn json_arguments(
        &mut self,
        function: AggregateFunction,
        mut arguments: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let keyed = match function {
            AggregateFunction::JsonAgg | AggregateFunction::JsonbAgg => false,
            AggregateFunction::JsonObjectAgg | AggregateFunction::JsonbObjectAgg => true,
            _ => return Ok(arguments),
        };
        if let Some(value) = arguments.pop() {
            let span = value.span;
            arguments.push(self.named_call("to_json", vec![value], span)?);
        }
        if let (true, Some(key)) = (keyed, arguments.first_mut()) {
            *key = self.coerce(key.clone(), DataType::Text, CastContext::Explicit)?;
        }
        Ok(arguments)
    }
}

/// Calls `take` with every column that an expression reads, its subqueries included.
fn for_each_column(expr: &Expr, take: &mut dyn FnMut(ColumnId)) {
    expr.visit(&mut |part| {
        if let ExprKind::Column(id) = part.kind {
            take(id);
        }
        true
    });
    if expr.has_subquery() {
        // Plans are walked to be changed; this one is not kept.
        let mut copy = expr.clone();
        for_each_subquery(&mut copy, &mut |plan| {
            for_each_expr_deep(plan, &mut |inner| {
                inner.visit(&mut |part| {
                    if let ExprKind::Column(id) = part.kind {
                        take(id);
                    }
                    true
                });
            });
        });
    }
}

fn for_each_subquery(expr: &mut Expr, take: &mut dyn FnMut(&mut LogicalPlan)) {
    for operand in expr.operands_mut() {
        for_each_subquery(operand, take);
    }
    if let Some(plan) = expr.subquery_mut() {
        take(plan);
    }
}

/// Whether an aggregate may stand there.
pub(super) fn aggregate_allowed(place: Place, span: Span) -> Result<()> {
    match place {
        Place::Output | Place::Having | Place::Window => Ok(()),
        Place::Aggregate => Err(Error::new(
            SqlState::GROUPING_ERROR,
            "aggregate calls cannot be nested",
        )
        .at(span)
        .hint("Compute the inner one in a subquery in FROM.")),
        Place::Clause(clause) => {
            let error = Error::new(
                SqlState::GROUPING_ERROR,
                format!("aggregates are not allowed in {clause}"),
            )
            .at(span);
            Err(if clause == "WHERE" {
                error.hint("Conditions on groups go into HAVING.")
            } else {
                error
            })
        }
    }
}

fn is_same_call(left: &AggregateCall, right: &AggregateCall) -> bool {
    left.function == right.function
        && left.distinct == right.distinct
        && left.arguments.len() == right.arguments.len()
        && left
            .arguments
            .iter()
            .zip(&right.arguments)
            .all(|(left, right)| left.is_same(right))
        && left.order_by.len() == right.order_by.len()
        && left
            .order_by
            .iter()
            .zip(&right.order_by)
            .all(|(left, right)| {
                left.descending == right.descending
                    && left.nulls_first == right.nulls_first
                    && left.expr.is_same(&right.expr)
            })
        && match (&left.filter, &right.filter) {
            (None, None) => true,
            (Some(left), Some(right)) => left.is_same(right),
            _ => false,
        }
}

pub(super) fn no_overload(
    name: &str,
    types: &[DataType],
    error: AggregateError,
    span: Span,
) -> Error {
    let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
    let result = Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {name}({}) does not exist", shown.join(", ")),
    )
    .at(span);
    match (error, name, types) {
        (AggregateError::NoOverload, "count", []) => result.hint("Write count(*) to count rows."),
        (AggregateError::NoOverload, "sum" | "avg", [text]) if text.is_string() => result.hint(
            format!("Convert the text to a number: {name}(CAST(… AS numeric))."),
        ),
        (AggregateError::NoOverload, "min" | "max", [DataType::Boolean]) => {
            result.hint("Use bool_and or bool_or.")
        }
        (AggregateError::NoOverload, "string_agg", [other, _]) if !other.is_string() => {
            result.hint("Convert the first argument to text.")
        }
        (AggregateError::NoOverload, "string_agg", [_]) => {
            result.hint("string_agg wants a separator: string_agg(value, ', ').")
        }
        _ => result,
    }
}
