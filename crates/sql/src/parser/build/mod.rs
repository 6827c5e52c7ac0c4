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
    parser::{MAX_DEPTH, grammar::Rule},
};

/// A matched rule.
type Node<'i> = Pair<'i, Rule>;

/// Builds one statement's tree.
struct Builder {
    /// Where the statement begins in the script.
    base: usize,
    /// The depth of the deepest expression or query built since the counter was last set aside.
    deepest: Cell<u32>,
}

/// The tree of a whole statement that stands at `base` in the script.
pub(super) fn statement(pairs: Pairs<'_, Rule>, base: usize) -> Result<ast::Statement> {
    let builder = Builder::new(base);
    for node in pairs {
        if node.as_rule() == Rule::statement {
            return builder.statement(node);
        }
    }
    Err(broken("statement"))
}

/// The tree of a whole expression that stands at `base` in its text.
pub(super) fn expression(pairs: Pairs<'_, Rule>, base: usize) -> Result<ast::Expr> {
    let builder = Builder::new(base);
    for node in pairs {
        if node.as_rule() == Rule::expression {
            return builder.expression(node);
        }
    }
    Err(broken("expression"))
}

/// A type's name.
pub(super) fn type_name(pairs: Pairs<'_, Rule>) -> Result<ast::TypeName> {
    let builder = Builder::new(0);
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
fn children(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.into_inner()
        .filter(|child| !child.as_rule().is_keyword())
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

impl Builder {
    fn new(base: usize) -> Builder {
        Builder {
            base,
            deepest: Cell::new(0),
        }
    }

    /// Where a node stands in the script, without the white space that a rule may end with.
    fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        let length = span.as_str().trim_end().len();
        Span {
            start: self.base + span.start(),
            end: self.base + span.start() + length,
        }
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
