//! Functions that give rows, in FROM and in a select list (PostgreSQL 7.2.1.4 and 38.5.9).

use super::{
    Binder, Place,
    aggregate::no_overload,
    scope::{Scope, ScopeColumn},
};
use crate::{
    ast::{Argument, FunctionCall, TableRef},
    bound::{ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, TableCall, TableFunction},
    error::{Error, Result, SqlState},
    functions,
    span::Span,
    types::{CastContext, DataType},
};

impl<'a> Binder<'a> {
    /// A function as a FROM item; it may name what stands to its left.
    pub(super) fn function_in_from(
        &mut self,
        call: &'a FunctionCall,
        ordinality: bool,
        item: &'a TableRef,
    ) -> Result<(LogicalPlan, Scope)> {
        let name = call.name.last().name.as_str();
        self.count_relation(item.span)?;
        self.access.call(name);
        self.scopes.push(self.lateral.clone());
        let bound = self.in_place(Place::Clause("functions in FROM"), |binder| {
            if name == "unnest" && call.arguments.len() > 1 {
                // Side by side, the shorter ones filled up with NULLs.
                return call
                    .arguments
                    .chunks(1)
                    .map(|array| binder.table_call_with(call, array, item.span))
                    .collect();
            }
            if functions::is_table_function(name) {
                return Ok(vec![binder.table_call(call, item.span)?]);
            }
            let value = binder.call(call, item.span)?;
            let value = binder.settle(value);
            Ok(vec![TableCall {
                id: binder.column_id(),
                function: TableFunction::Scalar,
                data_type: value.data_type,
                arguments: vec![value],
            }])
        });
        self.scopes.pop();
        let bound: Vec<TableCall> = bound?;
        // A function's only column bears the name of its alias.
        let column = functions::table_function_column(name)
            .unwrap_or_else(|| item.alias.as_ref().map_or(name, |alias| &alias.name.name));
        let mut columns: Vec<ScopeColumn> = bound
            .iter()
            .map(|call| ScopeColumn {
                name: column.to_owned(),
                id: call.id,
                data_type: call.data_type,
                nullable: true,
            })
            .collect();
        let number = ordinality.then(|| self.column_id());
        if let Some(id) = number {
            columns.push(ScopeColumn {
                name: "ordinality".to_owned(),
                id,
                data_type: DataType::Int8,
                nullable: false,
            });
        }
        let plan = LogicalPlan::TableFunctions {
            calls: bound,
            ordinality: number,
        };
        super::from::relation(plan, name, None, columns, None, item.alias.as_ref())
    }

    /// A function that gives rows in a select list: a column of rows joined to the others.
    pub(super) fn series_in_select(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        let clause = match self.place {
            Place::Output => None,
            Place::Having => Some("HAVING"),
            Place::Window => Some("window functions"),
            Place::Aggregate => Some("aggregate calls"),
            Place::Clause(clause) => Some(clause),
        };
        if let Some(clause) = clause {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning functions are not allowed in {clause}"),
            )
            .at(span)
            .hint("Put the function into FROM."));
        }
        let bound = self.table_call(call, span)?;
        let expr = Expr {
            kind: ExprKind::Column(bound.id),
            data_type: bound.data_type,
            nullable: true,
            span,
        };
        self.select.series.push(bound);
        Ok(expr)
    }

    /// Joins the rows of the functions collected.
    pub(super) fn with_series(&mut self, plan: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Apply {
            kind: JoinKind::Inner,
            left: Box::new(plan),
            right: Box::new(LogicalPlan::TableFunctions {
                calls: std::mem::take(&mut self.select.series),
                ordinality: None,
            }),
            on: Vec::new(),
            bindings: Vec::new(),
        }
    }

    fn table_call(&mut self, call: &'a FunctionCall, span: Span) -> Result<TableCall> {
        self.table_call_with(call, &call.arguments, span)
    }

    /// A call with some of its arguments.
    fn table_call_with(
        &mut self,
        call: &'a FunctionCall,
        given: &'a [Argument],
        span: Span,
    ) -> Result<TableCall> {
        let name = call.name.last().name.as_str();
        if call.star || call.distinct || call.filter.is_some() || !call.order_by.is_empty() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "{name} is no aggregate: *, DISTINCT, ORDER BY and FILTER do not go with it"
                ),
            )
            .at(span));
        }
        let mut arguments = Vec::with_capacity(given.len());
        for argument in given {
            arguments.push(self.expr(&argument.value)?);
        }
        let types: Vec<DataType> = arguments.iter().map(|of| of.data_type).collect();
        let (function, wanted, data_type) = functions::table_function(name, &types)
            .map_err(|error| no_overload(name, &types, error, span))?;
        let arguments = arguments
            .into_iter()
            .zip(wanted)
            .map(|(argument, wanted)| self.coerce(argument, wanted, CastContext::Implicit))
            .collect::<Result<_>>()?;
        let id: ColumnId = self.column_id();
        Ok(TableCall {
            id,
            function,
            arguments,
            data_type,
        })
    }
}
