//! Aggregates and GROUP BY.

use super::{Binder, Place, unsupported};
use crate::{
    ast::FunctionCall,
    bound::{
        AggregateCall, AggregateFunction, ColumnId, Expr, ExprKind, HypotheticalMeasure, SortKey,
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
    /// Binds an aggregate call: it becomes a column of the aggregation below.
    pub(super) fn aggregate(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        self.aggregate_allowed(span)?;
        let call = self.in_place(Place::Aggregate, |binder| binder.aggregate_call(call, span))?;
        let never_null = matches!(
            call.function,
            AggregateFunction::Count | AggregateFunction::CountStar
        );
        let one_row_may_be_null = matches!(
            call.function,
            AggregateFunction::StddevSamp | AggregateFunction::VarSamp
        );
        let nullable = !never_null
            && (!self.select.grouped
                || one_row_may_be_null
                || call.filter.is_some()
                || call
                    .arguments
                    .first()
                    .is_none_or(|argument| argument.nullable));
        let data_type = call.data_type;
        let id = match self
            .select
            .aggregates
            .iter()
            .find(|known| is_same_call(&known.call, &call))
        {
            Some(known) => known.id,
            None => {
                let id = self.column_id();
                self.select.aggregates.push(Collected { id, call });
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
        let arguments = call
            .arguments
            .iter()
            .map(|argument| self.expr(&argument.value))
            .collect::<Result<Vec<_>>>()?;
        let order_by = self.sort_keys(&call.order_by)?;
        if self.reads_only_outer(&arguments) {
            return Err(
                unsupported("aggregates over columns of the outer query alone are", span).hint(
                    "Compute the aggregate in the outer query, or in a subquery in its FROM.",
                ),
            );
        }
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
        let direct = call
            .arguments
            .iter()
            .map(|argument| self.expr(&argument.value))
            .collect::<Result<Vec<_>>>()?;
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

    /// Whether the expressions read columns, but none of the query they stand in: SQL makes such
    /// an aggregate one of the outer query.
    fn reads_only_outer(&self, exprs: &[Expr]) -> bool {
        let Some((scope, around)) = self.scopes.split_last() else {
            return false;
        };
        let (mut own, mut outer) = (false, false);
        for expr in exprs {
            expr.visit(&mut |part| {
                if let ExprKind::Column(id) = part.kind {
                    // Neither: an aggregate inside a window function.
                    own |= scope.column_by_id(id).is_some();
                    outer |= around.iter().any(|scope| scope.column_by_id(id).is_some());
                }
                true
            });
        }
        outer && !own
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
