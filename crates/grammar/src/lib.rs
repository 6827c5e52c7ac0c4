//! The grammar of SQL as this database speaks it: PostgreSQL's dialect, with the standard's own
//! spellings where PostgreSQL refuses them.
//!
//! [`Tokens`] takes a text apart and gives each token a one-character code; [`SqlParser`] parses
//! those codes into pest's pairs, each with its [`Rule`] and the tokens that it spans; [`PRATT`]
//! knows which operator binds tighter. `rustling-sql` makes its syntax tree of the three.
//! The grammar is a crate of its own because the code generated from it takes long to compile and
//! seldom changes, and because the engine and the macros need the very same.
//!
//! A grammar over tokens instead of characters is several times faster: a keyword is one
//! comparison wherever a rule asks for it, ranges of codes tell which alternatives can match at
//! all, and nothing steps over white space between any two rules.
//!
//! ```
//! use pest::Parser as _;
//! use rustling_grammar::{CODE_BYTES, Rule, SqlParser, Tokens};
//!
//! let text = "SELECT 1 + 1";
//! let tokens = Tokens::of(text)?;
//! let pairs = SqlParser::parse(Rule::statement_text, tokens.codes())?;
//! let number = pairs.flatten().filter(|pair| pair.as_rule() == Rule::number).last();
//! let token = number.map(|pair| pair.as_span().start() / CODE_BYTES);
//! assert_eq!(token.and_then(|token| tokens.place(token)), Some((11, 12)));
//!
//! // The first error: at the end, after the three tokens.
//! let tokens = Tokens::of("SELECT 1 +")?;
//! let error = SqlParser::parse(Rule::statement_text, tokens.codes()).unwrap_err();
//! assert!(matches!(error.line_col, pest::error::LineColLocation::Pos((1, 4))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The files, in the order in which they are joined:
//!
//! | file               | what it has                                             |
//! |--------------------|---------------------------------------------------------|
//! | `keywords.pest`    | words, by where they may stand                          |
//! | `tokens.pest`      | names, literals, punctuation, operators                 |
//! | `expressions.pest` | expressions and types                                   |
//! | `queries.pest`     | SELECT, VALUES, WITH, joins                             |
//! | `statements.pest`  | definitions, changes, transactions, settings            |
//! | `access.pest`      | roles and privileges                                    |

mod tokens;

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated from the grammar files"
)]
mod generated {
    /// The recursive-descent half of the parser. It takes the codes of [`crate::Tokens`].
    #[derive(pest_derive::Parser)]
    #[grammar = "keywords.pest"]
    #[grammar = "tokens.pest"]
    #[grammar = "expressions.pest"]
    #[grammar = "queries.pest"]
    #[grammar = "statements.pest"]
    #[grammar = "access.pest"]
    pub struct SqlParser;
}

use std::sync::LazyLock;

use pest::pratt_parser::{Assoc, Op, PrattParser};

pub use generated::{Rule, SqlParser};
pub use tokens::{
    CODE_BYTES, Lexer, LexicalError, Token, Tokens, UNTAKEN, Unterminated, dollar_body,
    is_reserved, is_word, keyword_code, quoted_parts,
};

impl Rule {
    /// Whether the rule is a bare keyword or punctuation, which the tree builder steps over.
    pub fn is_keyword(self) -> bool {
        // As numbers, which are compared without a call: every node of every tree is asked.
        Rule::kw_and as usize <= self as usize && self as usize <= Rule::equals as usize
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
