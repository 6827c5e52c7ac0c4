//! Subqueries in expressions.

use super::{Binder, coerce, expr, internal, query::BoundQuery, unsupported};
use crate::{
    ast::{self, BinaryOperator, ExprKind as A, Quantified, Query},
    bound::{BinaryOp, Expr, ExprKind, LogicalPlan},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};

impl<'a> Binder<'a> {
    /// Binds a query of one column.
    fn one_column(&mut self, query: &'a Query, span: Span) -> Result<BoundQuery> {
        let bound = self.settled_query(query)?;
        if bound.columns.len() == 1 {
            return Ok(bound);
        }
        Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "the subquery must give one column, but gives {}",
                bound.columns.len()
            ),
        )
        .at(span))
    }

    pub(super) fn scalar_subquery(&mut self, query: &'a Query, span: Span) -> Result<Expr> {
        let bound = self.one_column(query, span)?;
        let data_type = bound
            .columns
            .first()
            .map_or(DataType::Text, |column| column.data_type);
        Ok(Expr {
            kind: ExprKind::ScalarSubquery(Box::new(bound.plan)),
            data_type,
            nullable: true,
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
        if let A::Row(_) = operand.kind {
            return Err(unsupported("a row before IN (subquery) is", operand.span)
                .hint("Write EXISTS or a join."));
        }
        let operand = self.expr(operand)?;
        let bound = self.one_column(query, span)?;
        let Some(column) = bound.columns.into_iter().next() else {
            return Err(internal("a subquery without columns", span));
        };
        let inner = Expr {
            kind: ExprKind::Column(column.id),
            data_type: column.data_type,
            nullable: column.nullable,
            span: query.span,
        };
        let (operand, inner) = self.comparable("=", operand, inner, span)?;
        // Both sides in one type, by name: hash and merge joins compare them.
        let (operand, inner) = if operand.data_type != inner.data_type
            && coerce::base(operand.data_type) == coerce::base(inner.data_type)
        {
            let common = coerce::base(operand.data_type);
            match common {
                DataType::Char(_) => (
                    coerce::cast(operand, DataType::Text),
                    coerce::cast(inner, DataType::Text),
                ),
                _ => (operand, inner),
            }
        } else {
            (operand, inner)
        };
        let nullable = operand.nullable || inner.nullable;
        let plan = if matches!(inner.kind, ExprKind::Column(_)) {
            bound.plan
        } else {
            let id = self.column_id();
            LogicalPlan::Project {
                input: Box::new(bound.plan),
                items: vec![(id, inner)],
            }
        };
        Ok(expr::boolean(
            ExprKind::InSubquery {
                operand: Box::new(operand),
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
            Quantified::Query(query) => match (operator, all) {
                (BinaryOp::Equal, false) => self.in_query(left, query, false, span),
                (BinaryOp::NotEqual, true) => self.in_query(left, query, true, span),
                _ => Err(unsupported(
                    &format!(
                        "{} {} (subquery) is",
                        operator.symbol(),
                        if all { "ALL" } else { "ANY" }
                    ),
                    span,
                )
                .hint("Compare with a subquery of min or max.")),
            },
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
                    return Ok(super::literal::constant(
                        crate::types::Value::Boolean(all),
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
