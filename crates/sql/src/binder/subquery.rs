//! Subqueries in expressions.

use super::{Binder, expr, literal, unsupported};
use crate::{
    ast::{self, BinaryOperator, ExprKind as A, Quantified, Query},
    bound::{
        AggregateCall, AggregateFunction, BinaryOp, Expr, ExprKind, LogicalPlan, ScalarFunction,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{Array, DataType, Value},
};

impl<'a> Binder<'a> {
    pub(super) fn scalar_subquery(&mut self, query: &'a Query, span: Span) -> Result<Expr> {
        let bound = self.settled_query(query)?;
        let [column] = bound.columns.as_slice() else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "the subquery must give one column, but gives {}",
                    bound.columns.len()
                ),
            )
            .at(span));
        };
        Ok(Expr {
            data_type: column.data_type,
            kind: ExprKind::ScalarSubquery(Box::new(bound.plan)),
            nullable: true,
            span,
        })
    }

    /// `ARRAY(query)`: the values of its only column, in its order; none make an empty array.
    pub(super) fn array_subquery(&mut self, query: &'a Query, span: Span) -> Result<Expr> {
        let bound = self.settled_query(query)?;
        let [column] = bound.columns.as_slice() else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "subquery must return only one column",
            )
            .at(span));
        };
        let array = match column.data_type {
            array @ DataType::Array(_) => array,
            of => of
                .array()
                .ok_or_else(|| unsupported(&format!("arrays of {of} are"), span))?,
        };
        let value = Expr {
            kind: ExprKind::Column(column.id),
            data_type: column.data_type,
            nullable: column.nullable,
            span,
        };
        // The order is the aggregate's: a sort below it may go when the query is decorrelated.
        let (input, value, order_by) = match bound.plan {
            LogicalPlan::Sort { input, keys } => (*input, value, keys),
            LogicalPlan::Project { input, items } => match *input {
                LogicalPlan::Sort { input, keys } => {
                    let of = items.into_iter().find(|(id, _)| *id == column.id);
                    (*input, of.map_or(value, |(_, expr)| expr), keys)
                }
                input => {
                    let input = Box::new(input);
                    (LogicalPlan::Project { input, items }, value, Vec::new())
                }
            },
            plan => (plan, value, Vec::new()),
        };
        let id = self.column_id();
        let call = AggregateCall {
            function: AggregateFunction::ArrayAgg,
            arguments: vec![value],
            distinct: false,
            filter: None,
            order_by,
            data_type: array,
        };
        let gathered = Expr {
            kind: ExprKind::ScalarSubquery(Box::new(LogicalPlan::Aggregate {
                input: Box::new(input),
                keys: Vec::new(),
                aggregates: vec![(id, call)],
                sets: None,
            })),
            data_type: array,
            nullable: true,
            span,
        };
        let empty = Value::Array(Box::new(Array::new(Vec::new())));
        Ok(Expr {
            kind: ExprKind::Function(
                ScalarFunction::Coalesce,
                vec![gathered, literal::constant(empty, array, span)],
            ),
            data_type: array,
            nullable: false,
            span,
        })
    }

    pub(super) fn exists(&mut self, query: &'a Query, span: Span) -> Result<Expr> {
        let bound = self.settled_query(query)?;
        Ok(expr::boolean(
            ExprKind::Exists {
                subquery: Box::new(bound.plan),
                negated: false,
            },
            false,
            span,
        ))
    }

    pub(super) fn in_query(
        &mut self,
        operand: &'a ast::Expr,
        query: &'a Query,
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        let row = self.row(operand)?;
        self.any_of_query(BinaryOp::Equal, row, query, negated, span)
    }

    /// `[NOT] row operator ANY (query)`.
    fn any_of_query(
        &mut self,
        operator: BinaryOp,
        row: Vec<Expr>,
        query: &'a Query,
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        let (operands, plan, nullable) = self.row_with_query(operator, row, query, span)?;
        Ok(expr::boolean(
            ExprKind::InSubquery {
                operands,
                operator,
                subquery: Box::new(plan),
                negated,
            },
            nullable,
            span,
        ))
    }

    /// `left op ANY (…)`, `left op ALL (…)`.
    pub(super) fn quantified(
        &mut self,
        left: &'a ast::Expr,
        operator: BinaryOperator,
        all: bool,
        right: &'a Quantified,
        span: Span,
    ) -> Result<Expr> {
        let BinaryOperator::Comparison(comparison) = operator else {
            return Err(unsupported("ANY and ALL with this operator are", span));
        };
        let operator = expr::comparison(comparison);
        match right {
            Quantified::Query(query) => {
                let row = self.row(left)?;
                // Of all it is true where the opposite is true of none.
                let operator = if all { opposite(operator) } else { operator };
                self.any_of_query(operator, row, query, all, span)
            }
            Quantified::Array(array) => {
                let A::Array(items) = &array.kind else {
                    return self.any_element(left, operator, all, array, span);
                };
                let left = self.expr(left)?;
                let mut parts = Vec::with_capacity(items.len());
                for item in items {
                    let item = self.expr(item)?;
                    parts.push(self.comparison(operator, left.clone(), item, span, span)?);
                }
                if parts.is_empty() {
                    return Ok(literal::constant(
                        Value::Boolean(all),
                        DataType::Boolean,
                        span,
                    ));
                }
                Ok(if all {
                    expr::conjunction(parts, span)
                } else {
                    expr::disjunction(parts, span)
                })
            }
        }
    }
}

/// The comparison that is true where this one is false.
fn opposite(operator: BinaryOp) -> BinaryOp {
    match operator {
        BinaryOp::Equal => BinaryOp::NotEqual,
        BinaryOp::NotEqual => BinaryOp::Equal,
        BinaryOp::Less => BinaryOp::GreaterOrEqual,
        BinaryOp::LessOrEqual => BinaryOp::Greater,
        BinaryOp::Greater => BinaryOp::LessOrEqual,
        BinaryOp::GreaterOrEqual => BinaryOp::Less,
        other => other,
    }
}
