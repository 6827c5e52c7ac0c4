//! The pest parser made of the grammar files, and the precedence of operators.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated from the grammar files"
)]

use std::sync::LazyLock;

use pest::pratt_parser::{Assoc, Op, PrattParser};

/// The recursive-descent half of the parser.
#[derive(pest_derive::Parser)]
#[grammar = "grammar/keywords.pest"]
#[grammar = "grammar/lexical.pest"]
#[grammar = "grammar/expressions.pest"]
#[grammar = "grammar/queries.pest"]
#[grammar = "grammar/statements.pest"]
#[grammar = "grammar/access.pest"]
pub(crate) struct SqlParser;

impl Rule {
    /// Whether the rule is a bare keyword or punctuation, which the tree builder steps over.
    pub(crate) fn is_keyword(self) -> bool {
        (Rule::kw_abort..=Rule::equals).contains(&self)
    }
}

/// Operator precedence, lowest first (PostgreSQL's table 4.2).
pub(crate) static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    PrattParser::new()
        .op(Op::infix(Rule::or_infix, Assoc::Left))
        .op(Op::infix(Rule::and_infix, Assoc::Left))
        .op(Op::prefix(Rule::not_prefix))
        .op(Op::postfix(Rule::null_postfix)
            | Op::postfix(Rule::truth_postfix)
            | Op::infix(Rule::distinct_infix, Assoc::Left))
        .op(Op::infix(Rule::comparison_infix, Assoc::Left) | Op::postfix(Rule::quantified_postfix))
        .op(Op::infix(Rule::between_infix, Assoc::Left)
            | Op::infix(Rule::like_infix, Assoc::Left)
            | Op::infix(Rule::overlaps_infix, Assoc::Left)
            | Op::infix(Rule::escape_infix, Assoc::Left)
            | Op::postfix(Rule::in_postfix))
        .op(Op::infix(Rule::other_infix, Assoc::Left)
            | Op::infix(Rule::named_infix, Assoc::Left)
            | Op::prefix(Rule::other_prefix))
        .op(Op::infix(Rule::add_infix, Assoc::Left))
        .op(Op::infix(Rule::multiply_infix, Assoc::Left))
        .op(Op::infix(Rule::power_infix, Assoc::Left))
        .op(Op::infix(Rule::time_zone_infix, Assoc::Left))
        .op(Op::postfix(Rule::collate_postfix))
        .op(Op::prefix(Rule::minus_prefix) | Op::prefix(Rule::plus_prefix))
        .op(Op::postfix(Rule::subscript_postfix))
        .op(Op::postfix(Rule::cast_postfix))
});
