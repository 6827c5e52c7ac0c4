//! Prefix, infix and postfix operators.

use super::{
    Builder, Node, broken, children, expr::Built, has, join, primary::Parenthesised, syntax_error,
};
use crate::{
    ast::{
        BinaryOperator, CastStyle, ComparisonOperator, Expr, ExprKind, LikeKind, Quantified,
        UnaryOperator,
    },
    error::{Error, Result, SqlState},
    parser::grammar::Rule,
};

impl Builder<'_> {
    pub(super) fn prefix(&self, operator: Node<'_>, operand: Built) -> Result<Built> {
        let span = join(self.span(&operator), operand.expr.span);
        let operator = match self.text(&operator) {
            "-" => UnaryOperator::Minus,
            "+" => UnaryOperator::Plus,
            "~" => UnaryOperator::BitNot,
            "|/" => UnaryOperator::SquareRoot,
            "||/" => UnaryOperator::CubeRoot,
            "@" => UnaryOperator::Absolute,
            _ => UnaryOperator::Not,
        };
        let kind = ExprKind::Unary {
            operator,
            operand: Box::new(operand.expr),
        };
        Built::above(Expr { kind, span }, operand.depth)
    }

    pub(super) fn infix(&self, left: Built, operator: Node<'_>, right: Built) -> Result<Built> {
        let operator = match operator.as_rule() {
            Rule::named_infix => self.named_infix(operator)?,
            _ => operator,
        };
        let span = join(left.expr.span, right.expr.span);
        let deeper = left.depth.max(right.depth);
        let negated = has(&operator, Rule::negation);
        match operator.as_rule() {
            Rule::and_infix => {
                let unwrap = |kind| match kind {
                    ExprKind::And(operands) => Ok(operands),
                    other => Err(other),
                };
                flatten(left, right, unwrap, ExprKind::And)
            }
            Rule::or_infix => {
                let unwrap = |kind| match kind {
                    ExprKind::Or(operands) => Ok(operands),
                    other => Err(other),
                };
                flatten(left, right, unwrap, ExprKind::Or)
            }
            Rule::comparison_infix => {
                let operator_span = self.span(&operator);
                if !left.closed && matches!(left.expr.kind, ExprKind::Comparison { .. }) {
                    return Err(
                        syntax_error("comparisons cannot be chained", operator_span).hint(
                            "Join two comparisons with AND or OR, or put one of them in parentheses.",
                        ),
                    );
                }
                let kind = ExprKind::Comparison {
                    operator: comparison(self.text(&operator)),
                    operator_span,
                    left: Box::new(left.expr),
                    right: Box::new(right.expr),
                };
                Built::above(Expr { kind, span }, deeper)
            }
            Rule::distinct_infix => {
                let kind = ExprKind::IsDistinct {
                    left: Box::new(left.expr),
                    right: Box::new(right.expr),
                    negated,
                };
                Built::above(Expr { kind, span }, deeper)
            }
            Rule::like_infix => {
                let kind = if has(&operator, Rule::kw_ilike) {
                    LikeKind::Ilike
                } else if has(&operator, Rule::similar_to) {
                    LikeKind::Similar
                } else {
                    LikeKind::Like
                };
                let kind = ExprKind::Like {
                    kind,
                    operand: Box::new(left.expr),
                    pattern: Box::new(right.expr),
                    escape: None,
                    negated,
                };
                Built::above(Expr { kind, span }, deeper)
            }
            Rule::escape_infix => {
                let operator_span = self.span(&operator);
                let closed = left.closed;
                match left.expr.kind {
                    ExprKind::Like {
                        kind,
                        operand,
                        pattern,
                        escape: None,
                        negated,
                    } if !closed => {
                        let kind = ExprKind::Like {
                            kind,
                            operand,
                            pattern,
                            escape: Some(Box::new(right.expr)),
                            negated,
                        };
                        Built::above(Expr { kind, span }, deeper)
                    }
                    _ => Err(syntax_error(
                        "ESCAPE must follow the pattern of LIKE, ILIKE or SIMILAR TO",
                        operator_span,
                    )),
                }
            }
            Rule::between_infix => {
                let symmetric = has(&operator, Rule::symmetric);
                let low = children(operator)
                    .find(|part| part.as_rule() == Rule::restricted_expression)
                    .ok_or_else(|| broken("BETWEEN's bound"))?;
                let low = self.built(low)?;
                let kind = ExprKind::Between {
                    operand: Box::new(left.expr),
                    low: Box::new(low.expr),
                    high: Box::new(right.expr),
                    symmetric,
                    negated,
                };
                Built::above(Expr { kind, span }, deeper.max(low.depth))
            }
            Rule::time_zone_infix => {
                let kind = ExprKind::AtTimeZone {
                    operand: Box::new(left.expr),
                    zone: Box::new(right.expr),
                };
                Built::above(Expr { kind, span }, deeper)
            }
            _ => {
                let operator_span = self.span(&operator);
                let operator = binary(self.text(&operator))
                    .ok_or_else(|| syntax_error("unknown operator", operator_span))?;
                let mut left_depth = left.depth;
                let kind = match left.expr.kind {
                    ExprKind::Chain { first, mut rest }
                        if rest.first().is_some_and(|(other, _, _)| {
                            other.precedence() == operator.precedence()
                        }) =>
                    {
                        left_depth -= 1;
                        rest.push((operator, operator_span, right.expr));
                        ExprKind::Chain { first, rest }
                    }
                    kind => ExprKind::Chain {
                        first: Box::new(Expr {
                            kind,
                            span: left.expr.span,
                        }),
                        rest: vec![(operator, operator_span, right.expr)],
                    },
                };
                Built::above(Expr { kind, span }, left_depth.max(right.depth))
            }
        }
    }

    /// The operator inside `OPERATOR(schema.…)`: all are PostgreSQL's.
    fn named_infix<'i>(&self, node: Node<'i>) -> Result<Node<'i>> {
        let mut operator = None;
        for part in children(node) {
            if part.as_rule() == Rule::operator_schema {
                let span = self.span(&part);
                let schema = self.ident(super::child(part, "a schema")?)?;
                if schema.name != "pg_catalog" {
                    return Err(Error::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("schema \"{}\" has no operators", schema.name),
                    )
                    .at(span));
                }
            } else {
                operator = Some(part);
            }
        }
        operator.ok_or_else(|| broken("an operator"))
    }

    pub(super) fn postfix(&self, operand: Built, operator: Node<'_>) -> Result<Built> {
        let operator_span = self.span(&operator);
        let span = join(operand.expr.span, operator_span);
        let negated = has(&operator, Rule::negation);
        let mut depth = operand.depth;
        let operand = Box::new(operand.expr);
        let kind = match operator.as_rule() {
            Rule::cast_postfix => ExprKind::Cast {
                operand,
                data_type: self.type_name(super::child(operator, "a type")?)?,
                style: CastStyle::Colons,
            },
            Rule::null_postfix => ExprKind::IsNull {
                operand,
                negated: negated || has(&operator, Rule::notnull_word),
            },
            Rule::truth_postfix => ExprKind::IsTruth {
                operand,
                value: if has(&operator, Rule::truth_true) {
                    Some(true)
                } else if has(&operator, Rule::truth_false) {
                    Some(false)
                } else {
                    None
                },
                negated,
            },
            Rule::in_postfix => {
                let list = children(operator)
                    .find(|part| part.as_rule() == Rule::parenthesised)
                    .ok_or_else(|| broken("IN's list"))?;
                let list_span = self.span(&list);
                match self.parenthesised(list)? {
                    Parenthesised::Query(query, below) => {
                        depth = depth.max(below);
                        ExprKind::InQuery {
                            operand,
                            query,
                            negated,
                        }
                    }
                    Parenthesised::List(mut list) => {
                        if list.is_empty() {
                            return Err(syntax_error("IN wants at least one value", list_span));
                        }
                        // IN ((SELECT …)) is IN (SELECT …).
                        if let [only] = list.as_mut_slice()
                            && let ExprKind::Subquery(_) = only.expr.kind
                        {
                            depth = depth.max(only.depth);
                            let kind = std::mem::replace(&mut only.expr.kind, ExprKind::Null);
                            let ExprKind::Subquery(query) = kind else {
                                return Err(broken("IN's subquery"));
                            };
                            ExprKind::InQuery {
                                operand,
                                query,
                                negated,
                            }
                        } else {
                            depth = list.iter().fold(depth, |depth, item| depth.max(item.depth));
                            ExprKind::InList {
                                operand,
                                list: list.into_iter().map(|item| item.expr).collect(),
                                negated,
                            }
                        }
                    }
                }
            }
            Rule::quantified_postfix => {
                let mut symbol = None;
                let mut all = false;
                let mut right = None;
                for part in children(operator) {
                    match part.as_rule() {
                        Rule::comparison_infix => {
                            symbol = Some(BinaryOperator::Comparison(comparison(self.text(&part))));
                        }
                        Rule::other_infix => symbol = binary(self.text(&part)),
                        Rule::all_word => all = true,
                        Rule::parenthesised => right = Some(self.parenthesised(part)?),
                        _ => {}
                    }
                }
                let right = match right {
                    Some(Parenthesised::Query(query, below)) => {
                        depth = depth.max(below);
                        Quantified::Query(query)
                    }
                    Some(Parenthesised::List(mut list)) if list.len() == 1 => {
                        let only = list.pop().ok_or_else(|| broken("ANY's array"))?;
                        depth = depth.max(only.depth);
                        match only.expr.kind {
                            ExprKind::Subquery(query) => Quantified::Query(query),
                            kind => Quantified::Array(Box::new(Expr {
                                kind,
                                span: only.expr.span,
                            })),
                        }
                    }
                    _ => {
                        return Err(syntax_error(
                            "ANY, SOME and ALL want one subquery or array",
                            operator_span,
                        ));
                    }
                };
                ExprKind::Quantified {
                    left: operand,
                    operator: symbol
                        .ok_or_else(|| syntax_error("unknown operator", operator_span))?,
                    all,
                    right,
                }
            }
            Rule::collate_postfix => ExprKind::Collate {
                operand,
                collation: self.object_name(super::child(operator, "a collation")?)?,
            },
            _ => {
                let mut bounds = Vec::new();
                let mut position = children(operator.clone())
                    .find(|part| part.as_rule() == Rule::slice_colon)
                    .map(|colon| self.span(&colon).start);
                let slice = position.is_some();
                for part in children(operator) {
                    if part.as_rule() == Rule::slice_colon {
                        continue;
                    }
                    let built = self.built(part)?;
                    depth = depth.max(built.depth);
                    bounds.push(built.expr);
                }
                let mut bounds = bounds.into_iter();
                let (low, high) = match (slice, bounds.len()) {
                    (false, 1) => (bounds.next(), None),
                    (true, 0) => (None, Some(None)),
                    (true, 1) => {
                        let only = bounds.next();
                        let before = only
                            .as_ref()
                            .zip(position.take())
                            .is_some_and(|(only, colon)| only.span.start < colon);
                        if before {
                            (only, Some(None))
                        } else {
                            (None, Some(only))
                        }
                    }
                    (true, 2) => (bounds.next(), Some(bounds.next())),
                    _ => return Err(syntax_error("expected a subscript", operator_span)),
                };
                ExprKind::Subscript {
                    operand,
                    low: low.map(Box::new),
                    high: high.map(|bound| bound.map(Box::new)),
                }
            }
        };
        Built::above(Expr { kind, span }, depth)
    }
}

/// Joins the operands of AND or OR into one list.
fn flatten(
    left: Built,
    right: Built,
    unwrap: impl Fn(ExprKind) -> std::result::Result<Vec<Expr>, ExprKind>,
    wrap: impl FnOnce(Vec<Expr>) -> ExprKind,
) -> Result<Built> {
    let span = join(left.expr.span, right.expr.span);
    let mut below = 0;
    let mut operands = match unwrap(left.expr.kind) {
        Ok(operands) => {
            below = below.max(left.depth - 1);
            operands
        }
        Err(kind) => {
            below = below.max(left.depth);
            vec![Expr {
                kind,
                span: left.expr.span,
            }]
        }
    };
    match unwrap(right.expr.kind) {
        Ok(more) => {
            below = below.max(right.depth - 1);
            operands.extend(more);
        }
        Err(kind) => {
            below = below.max(right.depth);
            operands.push(Expr {
                kind,
                span: right.expr.span,
            });
        }
    }
    Built::above(
        Expr {
            kind: wrap(operands),
            span,
        },
        below,
    )
}

fn comparison(symbol: &str) -> ComparisonOperator {
    match symbol {
        "=" => ComparisonOperator::Equal,
        "<" => ComparisonOperator::Less,
        "<=" => ComparisonOperator::LessOrEqual,
        ">" => ComparisonOperator::Greater,
        ">=" => ComparisonOperator::GreaterOrEqual,
        _ => ComparisonOperator::NotEqual,
    }
}

/// The operators without a meaning of their own in the tree.
const OTHER_OPERATORS: [&str; 25] = [
    "||", "<<", ">>", "->>", "->", "#>>", "#>", "#-", "@>", "<@", "?|", "?&", "?", "!~~*", "!~~",
    "!~*", "!~", "~~*", "~~", "~*", "~", "&&", "&", "|", "#",
];

fn binary(symbol: &str) -> Option<BinaryOperator> {
    Some(match symbol.trim_end() {
        "+" => BinaryOperator::Add,
        "-" => BinaryOperator::Subtract,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "^" => BinaryOperator::Power,
        word if word.eq_ignore_ascii_case("overlaps") => BinaryOperator::Overlaps,
        other => BinaryOperator::Other(OTHER_OPERATORS.iter().find(|known| **known == other)?),
    })
}
