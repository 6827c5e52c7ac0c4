//! The grammar of SQL as this database speaks it: PostgreSQL's dialect, with the standard's own
//! spellings where PostgreSQL refuses them.
//!
//! [`SqlParser`] turns text into pest's pairs, each with its [`Rule`] and its place in the text;
//! [`PRATT`] knows which operator binds tighter. `rustling-sql` makes its syntax tree of the two.
//! The grammar is a crate of its own because the code generated from it takes long to compile and
//! seldom changes, and because the engine and the macros need the very same.
//!
//! ```
//! use pest::Parser as _;
//! use rustling_grammar::{Rule, SqlParser};
//!
//! let mut pairs = SqlParser::parse(Rule::statement_text, "SELECT 1 + 1")?;
//! assert!(pairs.next().is_some_and(|pair| pair.as_str() == "SELECT 1 + 1"));
//!
//! // One place of the first error: the column after `1 +`.
//! let error = SqlParser::parse(Rule::statement_text, "SELECT 1 +").unwrap_err();
//! assert!(matches!(error.line_col, pest::error::LineColLocation::Pos((1, 11))));
//! # Ok::<(), Box<pest::error::Error<Rule>>>(())
//! ```
//!
//! The files, in the order in which they are joined:
//!
//! | file               | what it has                                             |
//! |--------------------|---------------------------------------------------------|
//! | `keywords.pest`    | words, reserved ones first                              |
//! | `lexical.pest`     | white space, names, literals, operators                 |
//! | `expressions.pest` | expressions and types                                   |
//! | `queries.pest`     | SELECT, VALUES, WITH, joins                             |
//! | `statements.pest`  | definitions, changes, transactions, settings            |
//! | `access.pest`      | roles and privileges                                    |

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
#[grammar = "keywords.pest"]
#[grammar = "lexical.pest"]
#[grammar = "expressions.pest"]
#[grammar = "queries.pest"]
#[grammar = "statements.pest"]
#[grammar = "access.pest"]
pub struct SqlParser;

impl Rule {
    /// Whether the rule is a bare keyword or punctuation, which the tree builder steps over.
    pub fn is_keyword(self) -> bool {
        (Rule::kw_abort..=Rule::equals).contains(&self)
    }
}

/// Operator precedence, lowest first (PostgreSQL's table 4.2).
pub static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
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
