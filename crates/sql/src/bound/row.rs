//! Comparing rows value by value (SQL-92 8.2).

use super::{BinaryOp, Expr, ExprKind};
use crate::{span::Span, types::DataType};

/// `(a, b) operator (c, d)` of pairs of comparable values: rows compare from left to right.
/// Without pairs: whether the operator holds of equals.
#[must_use]
pub fn row_comparison(operator: BinaryOp, pairs: Vec<(Expr, Expr)>, span: Span) -> Expr {
    let boolean = |kind, nullable| Expr {
        kind,
        data_type: DataType::Boolean,
        nullable,
        span,
    };
    let one = |operator, left: Expr, right: Expr| {
        let nullable = left.nullable || right.nullable;
        boolean(
            ExprKind::Binary(operator, Box::new(left), Box::new(right)),
            nullable,
        )
    };
    let junction = |mut parts: Vec<Expr>, make: fn(Vec<Expr>) -> ExprKind| match parts.len() {
        1 => parts.remove(0),
        _ => {
            let nullable = parts.iter().any(|part| part.nullable);
            boolean(make(parts), nullable)
        }
    };
    let step = match operator {
        BinaryOp::Equal | BinaryOp::NotEqual => {
            let parts = pairs
                .into_iter()
                .map(|(left, right)| one(operator, left, right))
                .collect();
            let make = if operator == BinaryOp::Equal {
                ExprKind::And
            } else {
                ExprKind::Or
            };
            return junction(parts, make);
        }
        BinaryOp::LessOrEqual => BinaryOp::Less,
        BinaryOp::GreaterOrEqual => BinaryOp::Greater,
        other => other,
    };
    // a < c OR (a = c AND (b < d OR …)), from the last pair outwards.
    let mut result: Option<Expr> = None;
    for (left, right) in pairs.into_iter().rev() {
        result = Some(match result {
            None => one(operator, left, right),
            Some(rest) => {
                let equal = one(BinaryOp::Equal, left.clone(), right.clone());
                let before = one(step, left, right);
                let rest = junction(vec![equal, rest], ExprKind::And);
                junction(vec![before, rest], ExprKind::Or)
            }
        });
    }
    result.unwrap_or_else(|| boolean(ExprKind::And(Vec::new()), false))
}
