//! Row values: `(a, b)` compared with rows, lists of rows and subqueries (SQL-92 8.2).

use super::{
    Binder,
    expr::{boolean, comparison, conjunction, disjunction},
    internal,
    query::output_expr,
};
use crate::{
    ast::{self, ComparisonOperator, ExprKind as A},
    bound::{BinaryOp, Expr, ExprKind, LogicalPlan, row_comparison},
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

impl<'a> Binder<'a> {
    pub(super) fn compare(
        &mut self,
        operator: ComparisonOperator,
        operator_span: Span,
        left: &'a ast::Expr,
        right: &'a ast::Expr,
        span: Span,
    ) -> Result<Expr> {
        let operator = comparison(operator);
        match (&left.kind, &right.kind) {
            (A::Row(_), A::Subquery(query)) => {
                let row = self.row(left)?;
                self.compare_with_query(operator, row, query, false, span)
            }
            (A::Subquery(query), A::Row(_)) => {
                let row = self.row(right)?;
                self.compare_with_query(operator, row, query, true, span)
            }
            (A::Row(_), _) | (_, A::Row(_)) => {
                let (left, right) = (self.row(left)?, self.row(right)?);
                self.compare_rows(operator, left, right, span)
            }
            _ => {
                let left = self.expr(left)?;
                let right = self.expr(right)?;
                self.comparison(operator, left, right, span, operator_span)
            }
        }
    }

    /// The values of a row; of any other expression just its own.
    pub(super) fn row(&mut self, expr: &'a ast::Expr) -> Result<Vec<Expr>> {
        match &expr.kind {
            A::Row(items) => items.iter().map(|item| self.expr(item)).collect(),
            _ => Ok(vec![self.expr(expr)?]),
        }
    }

    /// Pairs of values of comparable types.
    pub(super) fn row_pairs(
        &mut self,
        operator: BinaryOp,
        left: Vec<Expr>,
        right: Vec<Expr>,
        span: Span,
    ) -> Result<Vec<(Expr, Expr)>> {
        if left.len() != right.len() || left.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "rows of {} and {} values cannot be compared",
                    left.len(),
                    right.len()
                ),
            )
            .at(span));
        }
        left.into_iter()
            .zip(right)
            .map(|(left, right)| self.comparable(operator.symbol(), left, right, span))
            .collect()
    }

    /// `(a, b) operator (c, d)`.
    pub(super) fn compare_rows(
        &mut self,
        operator: BinaryOp,
        left: Vec<Expr>,
        right: Vec<Expr>,
        span: Span,
    ) -> Result<Expr> {
        let pairs = self.row_pairs(operator, left, right, span)?;
        Ok(row_comparison(operator, pairs, span))
    }

    /// `(a, b) operator (SELECT c, d …)`: a scalar subquery of the comparison with its only row.
    fn compare_with_query(
        &mut self,
        operator: BinaryOp,
        row: Vec<Expr>,
        query: &'a ast::Query,
        mirrored: bool,
        span: Span,
    ) -> Result<Expr> {
        let bound = self.settled_query(query)?;
        let columns = bound
            .columns
            .iter()
            .map(|column| output_expr(column, query.span))
            .collect();
        let condition = if mirrored {
            self.compare_rows(operator, columns, row, span)?
        } else {
            self.compare_rows(operator, row, columns, span)?
        };
        let id = self.column_id();
        Ok(boolean(
            ExprKind::ScalarSubquery(Box::new(LogicalPlan::Project {
                input: Box::new(bound.plan),
                items: vec![(id, condition)],
            })),
            true,
            span,
        ))
    }

    /// `(a, b) IN ((c, d), …)`.
    pub(super) fn row_in_list(
        &mut self,
        row: &'a ast::Expr,
        list: &'a [ast::Expr],
        span: Span,
    ) -> Result<Expr> {
        let row = self.row(row)?;
        let mut parts = Vec::with_capacity(list.len());
        for item in list {
            let A::Row(_) = &item.kind else {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "expected a row of as many values",
                )
                .at(item.span));
            };
            let other = self.row(item)?;
            parts.push(self.compare_rows(BinaryOp::Equal, row.clone(), other, span)?);
        }
        Ok(disjunction(parts, span))
    }

    /// `row IS [NOT] DISTINCT FROM row`.
    pub(super) fn distinct_rows(
        &mut self,
        left: &'a ast::Expr,
        right: &'a ast::Expr,
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        let (left, right) = (self.row(left)?, self.row(right)?);
        let parts = self
            .row_pairs(BinaryOp::Equal, left, right, span)?
            .into_iter()
            .map(|(left, right)| {
                boolean(
                    ExprKind::IsDistinct {
                        left: Box::new(left),
                        right: Box::new(right),
                        negated,
                    },
                    false,
                    span,
                )
            })
            .collect();
        Ok(if negated {
            conjunction(parts, span)
        } else {
            disjunction(parts, span)
        })
    }

    /// `row IS [NOT] NULL`: all of its values are, or none is.
    pub(super) fn row_is_null(
        &mut self,
        items: &'a [ast::Expr],
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let operand = self.expr(item)?;
            let operand = self.settle(operand);
            parts.push(boolean(
                ExprKind::IsNull {
                    operand: Box::new(operand),
                    negated,
                },
                false,
                span,
            ));
        }
        if parts.is_empty() {
            return Ok(super::literal::constant(
                Value::Boolean(true),
                DataType::Boolean,
                span,
            ));
        }
        Ok(conjunction(parts, span))
    }

    /// `row BETWEEN row AND row` of values bound already; `None`: no rows here.
    pub(super) fn row_between(
        &mut self,
        operand: &'a ast::Expr,
        low: &'a ast::Expr,
        high: &'a ast::Expr,
        symmetric: bool,
        span: Span,
    ) -> Result<Option<Expr>> {
        if !matches!(operand.kind, A::Row(_)) {
            return Ok(None);
        }
        let (operand, low, high) = (self.row(operand)?, self.row(low)?, self.row(high)?);
        let mut within = |low: Vec<Expr>, high: Vec<Expr>| -> Result<Expr> {
            let from = self.compare_rows(BinaryOp::GreaterOrEqual, operand.clone(), low, span)?;
            let to = self.compare_rows(BinaryOp::LessOrEqual, operand.clone(), high, span)?;
            Ok(conjunction(vec![from, to], span))
        };
        let forward = within(low.clone(), high.clone())?;
        if !symmetric {
            return Ok(Some(forward));
        }
        let backward = within(high, low)?;
        Ok(Some(disjunction(vec![forward, backward], span)))
    }

    /// The operands before `operator ANY (subquery)` and the subquery's plan, whose columns are
    /// comparable with them.
    pub(super) fn row_with_query(
        &mut self,
        operator: BinaryOp,
        row: Vec<Expr>,
        query: &'a ast::Query,
        span: Span,
    ) -> Result<(Vec<Expr>, LogicalPlan, bool)> {
        let bound = self.settled_query(query)?;
        if bound.columns.len() != row.len() {
            let (wanted, given) = (row.len(), bound.columns.len());
            let columns = if wanted == 1 { "column" } else { "columns" };
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("the subquery must give {wanted} {columns}, but gives {given}"),
            )
            .at(span));
        }
        let columns = bound
            .columns
            .iter()
            .map(|column| output_expr(column, query.span))
            .collect();
        let mut operands = Vec::with_capacity(row.len());
        let mut items = Vec::with_capacity(row.len());
        let mut plain = true;
        for (operand, inner) in self.row_pairs(operator, row, columns, span)? {
            let (operand, inner) = same_type(operand, inner);
            plain &= matches!(inner.kind, ExprKind::Column(_));
            operands.push(operand);
            items.push(inner);
        }
        let nullable = operands.iter().chain(&items).any(|value| value.nullable);
        if operands.is_empty() {
            return Err(internal("a row without values", span));
        }
        if plain {
            return Ok((operands, bound.plan, nullable));
        }
        let items = items
            .into_iter()
            .map(|item| (self.column_id(), item))
            .collect();
        let plan = LogicalPlan::Project {
            input: Box::new(bound.plan),
            items,
        };
        Ok((operands, plan, nullable))
    }
}

/// Both sides in one type, by name: hash joins compare them.
fn same_type(operand: Expr, inner: Expr) -> (Expr, Expr) {
    use super::coerce::{base, cast};
    if operand.data_type != inner.data_type
        && base(operand.data_type) == base(inner.data_type)
        && matches!(base(operand.data_type), DataType::Char(_))
    {
        return (cast(operand, DataType::Text), cast(inner, DataType::Text));
    }
    (operand, inner)
}
