//! Functions that give rows, in FROM and in a select list (PostgreSQL 7.2.1.4 and 38.5.9).

use super::{
    Binder, Place,
    aggregate::no_overload,
    scope::{Scope, ScopeColumn},
};
use crate::{
    ast::{FunctionCall, TableRef},
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
            if functions::is_table_function(name) {
                return binder.table_call(call, item.span);
            }
            let value = binder.call(call, item.span)?;
            let value = binder.settle(value);
            Ok(TableCall {
                id: binder.column_id(),
                function: TableFunction::Scalar,
                data_type: value.data_type,
                arguments: vec![value],
            })
        });
        self.scopes.pop();
        let bound = bound?;
        // A function's only column bears the name of its alias.
        let column = item.alias.as_ref().map_or(name, |alias| &alias.name.name);
        let mut columns = vec![ScopeColumn {
            name: column.to_owned(),
            id: bound.id,
            data_type: bound.data_type,
            nullable: true,
        }];
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
            calls: vec![bound],
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
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
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
