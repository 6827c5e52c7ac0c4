//! Text to syntax tree.
//!
//! Parsing goes in three steps: a scan over the characters ([`mod@scan`]) that takes the script
//! apart into tokens and statements and bounds its nesting, the grammar ([`rustling_grammar`]),
//! and a builder that makes the tree of what the grammar found ([`mod@build`]), with a Pratt
//! parser for operators.

mod build;
mod habits;
mod scan;
mod syntax_error;
mod unsupported;

use pest::Parser as _;

use rustling_grammar::{self as grammar, Rule, SqlParser};

use crate::{
    ast::{Expr, Statement, TypeName},
    error::{Error, Result, SqlState},
    span::Span,
};
use build::Parsed;
use scan::{Piece, Script};

pub(crate) use scan::{Scanner, Token};
pub use scan::{split_statements, statement_is_complete};

/// How deep parentheses, brackets, CASE and comments may be nested.
///
/// What a level needs of the stack differs tenfold between unoptimised and optimised builds; the
/// limit keeps parsing within a thread's 2 MiB in both.
pub const MAX_NESTING: usize = if cfg!(debug_assertions) { 32 } else { 100 };

/// How deep a syntax tree may become: nesting, prefix operators, casts of casts, joins.
pub const MAX_DEPTH: u32 = 128;

/// Parses a script: statements separated by semicolons.
///
/// ```
/// let statements = rustling_sql::parse("SELECT 1; SELECT 'two'")?;
/// assert_eq!(statements.len(), 2);
/// assert_eq!(statements[1].to_string(), "SELECT 'two'");
/// # Ok::<(), rustling_sql::Error>(())
/// ```
///
/// # Errors
/// Syntax errors (42601), statements that are known but not supported yet (0A000), nesting
/// deeper than [`MAX_NESTING`] (54001); each with its place in `sql`.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let script = scan::split(sql)?;
    script
        .pieces
        .iter()
        .map(|piece| parse_piece(sql, &script, piece))
        .collect()
}

/// Parses exactly one statement.
///
/// # Errors
/// As [`parse`]; also where there is no statement or more than one.
pub fn parse_statement(sql: &str) -> Result<Statement> {
    let script = scan::split(sql)?;
    match script.pieces.as_slice() {
        [piece] => parse_piece(sql, &script, piece),
        [] => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "syntax error: expected a statement, found nothing",
        )
        .at(Span {
            start: sql.len(),
            end: sql.len(),
        })),
        [first, second, ..] => {
            parse_piece(sql, &script, first)?;
            Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot put more than one statement here",
            )
            .at(second.span)
            .hint("Run the statements one by one, or as a script."))
        }
    }
}

/// Parses an expression alone, as CHECK and DEFAULT keep it.
///
/// # Errors
/// As [`parse`].
pub fn parse_expression(text: &str) -> Result<Expr> {
    let script = scan::split(text)?;
    let [piece] = script.pieces.as_slice() else {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "syntax error: expected one expression",
        ));
    };
    let codes = script.tokens.codes_of(piece.tokens.clone());
    let parsed = parsed(text, &script, piece);
    match SqlParser::parse(Rule::expression_text, codes) {
        Ok(pairs) => build::expression(pairs, parsed),
        Err(error) => Err(syntax_error::explain(
            parsed,
            piece,
            &error,
            Rule::expression_text,
        )),
    }
}

/// Takes a qualified name apart, written as in SQL: words fold to lower case, names in double
/// quotes stay as they are.
///
/// # Errors
/// 42602 where the text is no name.
pub fn parse_name(text: &str) -> Result<Vec<String>> {
    let invalid = || {
        Error::new(
            SqlState("42602"),
            format!("invalid name syntax: \"{text}\""),
        )
    };
    match parse_expression(text).map_err(|_| invalid())?.kind {
        crate::ast::ExprKind::Column(name) => {
            Ok(name.parts.into_iter().map(|part| part.name).collect())
        }
        _ => Err(invalid()),
    }
}

/// Parses a type's name.
///
/// # Errors
/// 42601 where the text is none.
pub fn parse_type(text: &str) -> Result<TypeName> {
    let invalid = || {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("invalid type name \"{text}\""),
        )
    };
    let script = scan::split(text)?;
    let [piece] = script.pieces.as_slice() else {
        return Err(invalid());
    };
    let codes = script.tokens.codes_of(piece.tokens.clone());
    let pairs = SqlParser::parse(Rule::type_text, codes).map_err(|_| invalid())?;
    build::type_name(pairs, parsed(text, &script, piece))
}

/// A name as SQL writes it: in double quotes where it must be.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !grammar::is_reserved(name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn parsed<'t>(sql: &'t str, script: &'t Script, piece: &Piece) -> Parsed<'t> {
    Parsed {
        sql,
        tokens: &script.tokens,
        first: piece.tokens.start,
        end: piece.span.end,
    }
}

fn parse_piece(sql: &str, script: &Script, piece: &Piece) -> Result<Statement> {
    let codes = script.tokens.codes_of(piece.tokens.clone());
    let parsed = parsed(sql, script, piece);
    match SqlParser::parse(Rule::statement_text, codes) {
        Ok(pairs) => build::statement(pairs, parsed),
        Err(error) => Err(match unsupported::statement(sql, piece.span) {
            Some(unsupported) => unsupported,
            None => syntax_error::explain(parsed, piece, &error, Rule::statement_text),
        }),
    }
}
