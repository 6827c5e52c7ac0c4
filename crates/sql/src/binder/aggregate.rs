//! Aggregates and GROUP BY.

use super::{Binder, Place, scope::Scope, unsupported};
use crate::{
    ast::FunctionCall,
    bound::{AggregateCall, AggregateFunction, ColumnId, Expr, ExprKind},
    error::{Error, Result, SqlState},
    functions::{self, AggregateError},
    span::Span,
    types::{CastContext, DataType},
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
        let name = call.name.last().name.as_str();
        let (arguments, filter) = self.in_place(Place::Aggregate, |binder| {
            let arguments = call
                .arguments
                .iter()
                .map(|argument| binder.expr(&argument.value))
                .collect::<Result<Vec<_>>>()?;
            let filter = match &call.filter {
                Some(filter) => Some(binder.condition(filter, "FILTER")?),
                None => None,
            };
            for item in &call.order_by {
                binder.expr(&item.expr)?;
            }
            Ok((arguments, filter))
        })?;
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
        if !call.order_by.is_empty() && function.depends_on_order() {
            return Err(unsupported("ORDER BY inside string_agg is", span)
                .hint("Aggregate over an ordered subquery in FROM."));
        }
        let never_null = matches!(
            function,
            AggregateFunction::Count | AggregateFunction::CountStar
        );
        let one_row_may_be_null = matches!(
            function,
            AggregateFunction::StddevSamp | AggregateFunction::VarSamp
        );
        let nullable = !never_null
            && (!self.grouped
                || one_row_may_be_null
                || filter.is_some()
                || arguments.first().is_none_or(|argument| argument.nullable));
        let call = AggregateCall {
            function,
            arguments,
            distinct: call.distinct,
            filter,
            data_type,
        };
        let id = match self
            .aggregates
            .iter()
            .find(|known| is_same_call(&known.call, &call))
        {
            Some(known) => known.id,
            None => {
                let id = self.column_id();
                self.aggregates.push(Collected { id, call });
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
}

impl Binder<'_> {
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

fn is_same_call(left: &AggregateCall, right: &AggregateCall) -> bool {
    left.function == right.function
        && left.distinct == right.distinct
        && left.arguments.len() == right.arguments.len()
        && left
            .arguments
            .iter()
            .zip(&right.arguments)
            .all(|(left, right)| left.is_same(right))
        && match (&left.filter, &right.filter) {
            (None, None) => true,
            (Some(left), Some(right)) => left.is_same(right),
            _ => false,
        }
}

fn no_overload(name: &str, types: &[DataType], error: AggregateError, span: Span) -> Error {
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

/// The keys of a grouped SELECT, while expressions above it are rewritten.
pub(super) struct Grouping<'s> {
    pub(super) keys: Vec<(ColumnId, Expr)>,
    pub(super) aggregates: Vec<ColumnId>,
    pub(super) scope: &'s Scope,
}

impl Grouping<'_> {
    /// Rewrites an expression over the input into one over groups.
    pub(super) fn rewrite(&mut self, binder: &mut Binder<'_>, expr: &mut Expr) -> Result<()> {
        if let Some((id, key)) = self.keys.iter().find(|(_, key)| key.is_same(expr)) {
            *expr = Expr {
                kind: ExprKind::Column(*id),
                data_type: key.data_type,
                nullable: key.nullable,
                span: expr.span,
            };
            return Ok(());
        }
        if let ExprKind::Column(id) = expr.kind {
            if self.aggregates.contains(&id) {
                return Ok(());
            }
            if self.determined_by_key(id) {
                let new = binder.column_id();
                self.keys.push((new, expr.clone()));
                expr.kind = ExprKind::Column(new);
                return Ok(());
            }
            return Err(self.ungrouped(id, expr.span));
        }
        for operand in expr.operands_mut() {
            self.rewrite(binder, operand)?;
        }
        Ok(())
    }

    /// Whether the column's table has its primary key among the grouping keys.
    fn determined_by_key(&self, id: ColumnId) -> bool {
        let Some((Some(relation), _)) = self.scope.column_by_id(id) else {
            return false;
        };
        let Some(table) = &relation.table else {
            return false;
        };
        !table.primary_key.is_empty()
            && table.primary_key.iter().all(|ordinal| {
                relation.columns.get(*ordinal).is_some_and(|column| {
                    self.keys
                        .iter()
                        .any(|(_, key)| matches!(key.kind, ExprKind::Column(id) if id == column.id))
                })
            })
    }

    fn ungrouped(&self, id: ColumnId, span: Span) -> Error {
        let name = match self.scope.column_by_id(id) {
            Some((Some(relation), column)) if !relation.name.is_empty() => {
                format!("{}.{}", relation.name, column.name)
            }
            Some((_, column)) => column.name.clone(),
            None => "?".to_owned(),
        };
        Error::new(
            SqlState::GROUPING_ERROR,
            format!("column \"{name}\" must appear in GROUP BY or inside an aggregate"),
        )
        .at(span)
        .hint(format!(
            "Add it to GROUP BY, or say which of the group's values you want, for example min({name})."
        ))
    }
}
