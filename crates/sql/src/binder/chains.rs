//! Chains of left-associative operators.

use super::{
    Binder,
    expr::{boolean, comparison},
};
use crate::{
    ast::{self, BinaryOperator, ExprKind as A},
    bound::{BinaryOp, Expr, ExprKind},
    error::Result,
    span::Span,
    types::DataType,
};

impl<'a> Binder<'a> {
    /// Left-associative operators: the first operand stands deepest.
    pub(super) fn chain(
        &mut self,
        first: &'a ast::Expr,
        rest: &'a [(BinaryOperator, Span, ast::Expr)],
    ) -> Result<Expr> {
        if rest.len() > 2
            && rest
                .iter()
                .all(|(operator, ..)| *operator == BinaryOperator::Other("||"))
        {
            return self.concat_chain(first, rest);
        }
        if let [(BinaryOperator::Overlaps, _, second)] = rest
            && let (A::Row(first), A::Row(second)) = (&first.kind, &second.kind)
        {
            return self.overlaps(first, second, rest[0].1);
        }
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let mut left = self.at_depth(length, first.span, |binder| binder.expr(first))?;
        for (operator, operator_span, right) in rest {
            let right = self.expr(right)?;
            let span = Span {
                start: left.span.start,
                end: right.span.end,
            };
            left = self.binary(*operator, left, right, span, *operator_span)?;
        }
        Ok(left)
    }

    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let operator = match operator {
            BinaryOperator::Comparison(operator) => {
                return self.comparison(comparison(operator), left, right, span, operator_span);
            }
            BinaryOperator::Add => BinaryOp::Add,
            BinaryOperator::Subtract if left.data_type == DataType::Jsonb => {
                return self.function_operator("-", left, right, span, operator_span);
            }
            BinaryOperator::Subtract => BinaryOp::Subtract,
            BinaryOperator::Multiply => BinaryOp::Multiply,
            BinaryOperator::Divide => BinaryOp::Divide,
            BinaryOperator::Modulo => BinaryOp::Modulo,
            BinaryOperator::Power => BinaryOp::Power,
            BinaryOperator::Overlaps => return Err(super::special::no_periods(operator_span)),
            BinaryOperator::Other(symbol) => match symbol {
                "||" if [left.data_type, right.data_type].iter().any(|of| {
                    matches!(
                        of,
                        DataType::Array(_)
                            | DataType::Int2Vector
                            | DataType::OidVector
                            | DataType::Jsonb
                    )
                }) =>
                {
                    return self.function_operator(symbol, left, right, span, operator_span);
                }
                "?" | "?|" | "?&" | "->" | "->>" | "#>" | "#>>" | "#-" | "@>" | "<@" | "&&" => {
                    return self.function_operator(symbol, left, right, span, operator_span);
                }
                "||" => BinaryOp::Concat,
                "&" => BinaryOp::BitAnd,
                "|" => BinaryOp::BitOr,
                "#" => BinaryOp::BitXor,
                "<<" => BinaryOp::ShiftLeft,
                ">>" => BinaryOp::ShiftRight,
                "~" | "~*" | "!~" | "!~*" => return self.regular(symbol, left, right, span),
                "~~" | "~~*" | "!~~" | "!~~*" => {
                    let operand = self.text_operand(symbol, left)?;
                    let pattern = self.text_operand(symbol, right)?;
                    return Ok(boolean(
                        ExprKind::Like {
                            case_insensitive: symbol.ends_with('*'),
                            negated: symbol.starts_with('!'),
                            escape: None,
                            operand: Box::new(operand.clone()),
                            pattern: Box::new(pattern.clone()),
                        },
                        operand.nullable || pattern.nullable,
                        span,
                    ));
                }
                _ => return self.function_operator(symbol, left, right, span, operator_span),
            },
        };
        self.arithmetic(operator, left, right, span, operator_span)
    }
}
