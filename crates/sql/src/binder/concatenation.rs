//! Chains of `||`.

use super::{Binder, internal};
use crate::{
    ast::{self, BinaryOperator},
    bound::{BinaryOp, Expr},
    error::Result,
    span::Span,
    types::{CastContext, DataType},
};

impl<'a> Binder<'a> {
    /// Many strings joined: a balanced tree, which is the same since joining is associative.
    pub(super) fn concat_chain(
        &mut self,
        first: &'a ast::Expr,
        rest: &'a [(BinaryOperator, Span, ast::Expr)],
    ) -> Result<Expr> {
        let levels = rest.len().ilog2() + 1;
        let mut operands = Vec::with_capacity(rest.len() + 1);
        self.at_depth(levels, first.span, |binder| {
            operands.push(binder.expr(first)?);
            for (_, _, operand) in rest {
                operands.push(binder.expr(operand)?);
            }
            Ok(())
        })?;
        let joined = |operand: &Expr| {
            matches!(
                operand.data_type,
                DataType::Array(_) | DataType::Json | DataType::Jsonb
            )
        };
        if operands.iter().any(joined) {
            // What is joined depends on the types: from the left, one by one.
            let mut operands = operands.into_iter();
            let Some(mut left) = operands.next() else {
                return Err(internal("|| without operands", first.span));
            };
            for right in operands {
                let span = Span {
                    start: left.span.start,
                    end: right.span.end,
                };
                left = self.binary(BinaryOperator::Other("||"), left, right, span, span)?;
            }
            return Ok(left);
        }
        // Association matters for types alone: a || b must have a string on one side.
        let any_string_first = operands
            .iter()
            .take(2)
            .any(|operand| operand.data_type.is_string() || operand.data_type == DataType::Unknown);
        let text = any_string_first
            && operands
                .iter()
                .all(|operand| operand.data_type != DataType::Bytea);
        if text {
            operands = operands
                .into_iter()
                .map(|operand| {
                    if operand.data_type.is_string() {
                        Ok(operand)
                    } else {
                        self.coerce(operand, DataType::Text, CastContext::Explicit)
                    }
                })
                .collect::<Result<_>>()?;
        }
        while operands.len() > 1 {
            let mut joined = Vec::with_capacity(operands.len().div_ceil(2));
            let mut pairs = operands.into_iter();
            while let Some(left) = pairs.next() {
                let Some(right) = pairs.next() else {
                    joined.push(left);
                    break;
                };
                let span = Span {
                    start: left.span.start,
                    end: right.span.end,
                };
                joined.push(self.arithmetic(BinaryOp::Concat, left, right, span, span)?);
            }
            operands = joined;
        }
        operands
            .pop()
            .ok_or_else(|| internal("|| without operands", first.span))
    }
}
