//! Expressions: the Pratt parser over the grammar's flat lists.

use super::{Builder, Node, check_depth, children};
use crate::{
    ast::Expr,
    error::Result,
    parser::{
        MAX_DEPTH,
        grammar::{PRATT, Rule},
    },
    span::Span,
};

/// A tree under construction.
pub(super) struct Built {
    pub(super) expr: Expr,
    /// Its depth.
    pub(super) depth: u32,
    /// Whether it stands in parentheses of its own, so that no operator outside reaches in.
    pub(super) closed: bool,
}

impl Built {
    /// An expression over operands of at most that depth.
    pub(super) fn above(expr: Expr, below: u32) -> Result<Built> {
        let depth = below.saturating_add(1);
        check_depth(depth, expr.span)?;
        Ok(Built {
            expr,
            depth,
            closed: false,
        })
    }
}

impl Builder<'_> {
    /// An `expression` or `restricted_expression`.
    pub(super) fn expression(&self, node: Node<'_>) -> Result<Expr> {
        let built = self.built(node)?;
        self.note(built.depth, built.expr.span)?;
        Ok(built.expr)
    }

    /// Expressions among the node's children.
    pub(super) fn expressions(&self, node: Node<'_>) -> Result<Vec<Expr>> {
        children(node)
            .filter(|child| child.as_rule() == Rule::expression)
            .map(|child| self.expression(child))
            .collect()
    }

    /// As [`Self::expression`], for use inside another expression: tells the depth.
    pub(super) fn built(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let mut parts = node.into_inner();
        if parts.len() == 1
            && let Some(only) = parts.next()
        {
            return self.primary(only);
        }
        self.bound_prefixes(parts.clone(), span)?;
        PRATT
            .map_primary(|primary| self.primary(primary))
            .map_prefix(|operator, operand| self.prefix(operator, operand?))
            .map_postfix(|operand, operator| self.postfix(operand?, operator))
            .map_infix(|left, operator, right| self.infix(left?, operator, right?))
            .parse(parts)
    }

    /// The Pratt parser recurses at prefix operators that bind weaker than what follows them.
    /// This bounds how many can be waiting at once.
    fn bound_prefixes<'i>(&self, parts: impl Iterator<Item = Node<'i>>, span: Span) -> Result<()> {
        let mut run = 0u32;
        let mut waiting = 0u32;
        for part in parts {
            match part.as_rule() {
                Rule::not_prefix | Rule::other_prefix => waiting += 1,
                Rule::minus_prefix | Rule::plus_prefix => run += 1,
                Rule::and_infix | Rule::or_infix => {
                    waiting = 0;
                    run = 0;
                }
                _ => run = 0,
            }
            if run + waiting > MAX_DEPTH {
                check_depth(run + waiting, span)?;
            }
        }
        Ok(())
    }
}
