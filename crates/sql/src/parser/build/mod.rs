//! Makes the syntax tree of what the grammar matched.

mod access;
mod alter;
mod copy;
mod cursor;
mod definition;
mod expr;
mod literal;
mod merge;
mod names;
mod operators;
mod primary;
mod query;
mod session;
mod statement;
mod table_ref;
mod types;
mod window;

use std::cell::Cell;

use pest::iterators::{Pair, Pairs};

use crate::{
    ast::{self, Span},
    error::{Error, Result, SqlState},
    parser::{
        MAX_DEPTH,
        grammar::{CODE_BYTES, Rule, Tokens},
    },
};

/// A matched rule.
type Node<'i> = Pair<'i, Rule>;

/// Builds one statement's tree.
struct Builder<'t> {
    /// The tokens that were parsed.
    piece: Parsed<'t>,
    /// The depth of the deepest expression or query built since the counter was last set aside.
    deepest: Cell<u32>,
}

/// What the parser's pairs are about: some of a script's tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed<'t> {
    /// The script.
    pub(super) sql: &'t str,
    /// Its tokens.
    pub(super) tokens: &'t Tokens,
    /// The first token that was parsed.
    pub(super) first: usize,
    /// Where the last one ends in the script.
    pub(super) end: usize,
}

impl Parsed<'_> {
    /// Where the token starts that stands at a position in the codes that were parsed.
    pub(super) fn start_of(&self, position: usize) -> usize {
        match self.tokens.place(self.first + position / CODE_BYTES) {
            Some((start, _)) if start < self.end => start,
            _ => self.end,
        }
    }

    /// The span of a range of positions in the codes.
    fn span(&self, start: usize, end: usize) -> Span {
        let first = self.start_of(start);
        if end > start
            && let Some((_, end)) = self.tokens.place(self.first + end / CODE_BYTES - 1)
        {
            return Span { start: first, end };
        }
        Span {
            start: first,
            end: first,
        }
    }
}

/// The tree of a whole statement.
pub(super) fn statement(pairs: Pairs<'_, Rule>, piece: Parsed<'_>) -> Result<ast::Statement> {
    let builder = Builder::new(piece);
    for node in pairs {
        if node.as_rule() == Rule::statement {
            return builder.statement(node);
        }
    }
    Err(broken("statement"))
}

/// The tree of a whole expression.
pub(super) fn expression(pairs: Pairs<'_, Rule>, piece: Parsed<'_>) -> Result<ast::Expr> {
    let builder = Builder::new(piece);
    for node in pairs {
        if node.as_rule() == Rule::expression {
            return builder.expression(node);
        }
    }
    Err(broken("expression"))
}

/// A type's name.
pub(super) fn type_name(pairs: Pairs<'_, Rule>, piece: Parsed<'_>) -> Result<ast::TypeName> {
    let builder = Builder::new(piece);
    for node in pairs {
        if node.as_rule() == Rule::type_name {
            return builder.type_name(node);
        }
    }
    Err(broken("type name"))
}

/// The grammar and the builder disagree.
fn broken(what: &str) -> Error {
    Error::new(
        SqlState::INTERNAL_ERROR,
        format!("the syntax tree lacks {what}"),
    )
}

/// A feature that parses but is not there yet.
fn unsupported(feature: &str, span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{feature} not supported yet"),
    )
    .at(span)
}

fn syntax_error(message: impl Into<String>, span: Span) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        format!("syntax error: {}", message.into()),
    )
    .at(span)
}

/// The children that are not keywords or punctuation.
fn children(node: Node<'_>) -> Children<'_> {
    Children(node.into_inner())
}

/// See [`children`]. Adapters of iterators, which do the same, take several times as long in macros,
/// which nothing optimises.
struct Children<'i>(Pairs<'i, Rule>);

impl<'i> Iterator for Children<'i> {
    type Item = Node<'i>;

    fn next(&mut self) -> Option<Node<'i>> {
        loop {
            let child = self.0.next()?;
            if !child.as_rule().is_keyword() {
                return Some(child);
            }
        }
    }
}

/// The first child that is not a keyword or punctuation.
fn child<'i>(node: Node<'i>, what: &str) -> Result<Node<'i>> {
    children(node).next().ok_or_else(|| broken(what))
}

/// Whether the node has a child of that rule.
fn has(node: &Node<'_>, rule: Rule) -> bool {
    node.clone()
        .into_inner()
        .any(|child| child.as_rule() == rule)
}

impl<'t> Builder<'t> {
    fn new(piece: Parsed<'t>) -> Builder<'t> {
        Builder {
            piece,
            deepest: Cell::new(0),
        }
    }

    /// Where a node stands in the script.
    fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        self.piece.span(span.start(), span.end())
    }

    /// What the script says there.
    fn text(&self, node: &Node<'_>) -> &'t str {
        self.text_at(self.span(node))
    }

    /// What the script says at a place that is known.
    fn text_at(&self, span: Span) -> &'t str {
        self.piece.sql.get(span.start..span.end).unwrap_or_default()
    }

    /// A number with its sign, which white space may follow.
    fn signed_number(&self, node: &Node<'_>) -> String {
        self.text(node)
            .chars()
            .filter(|character| !character.is_ascii_whitespace())
            .skip_while(|character| *character == '+')
            .collect()
    }

    /// Takes note of a part of that depth.
    fn note(&self, depth: u32, span: Span) -> Result<()> {
        check_depth(depth, span)?;
        self.deepest.set(self.deepest.get().max(depth));
        Ok(())
    }

    /// Builds a part and tells its depth, apart from what is around it.
    fn measured<T>(&self, build: impl FnOnce() -> Result<T>) -> Result<(T, u32)> {
        let outer = self.deepest.replace(0);
        let result = build();
        let depth = self.deepest.replace(outer);
        Ok((result?, depth))
    }

    /// Builds a part that counts as `levels` levels of nesting.
    fn nested<T>(&self, span: Span, levels: u32, build: impl FnOnce() -> Result<T>) -> Result<T> {
        let (value, depth) = self.measured(build)?;
        self.note(depth.saturating_add(levels), span)?;
        Ok(value)
    }
}

/// Refuses trees that later recursion could not walk.
fn check_depth(depth: u32, span: Span) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            SqlState::STATEMENT_TOO_COMPLEX,
            format!("statement too complex: nested more than {MAX_DEPTH} levels deep"),
        )
        .at(span)
        .hint("Split the statement, for example with a table for intermediate results."));
    }
    Ok(())
}

/// The smallest span around both.
fn join(left: Span, right: Span) -> Span {
    Span {
        start: left.start.min(right.start),
        end: left.end.max(right.end),
    }
}
