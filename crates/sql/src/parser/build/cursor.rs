//! Prepared statements, cursors, LISTEN and NOTIFY, DISCARD, VACUUM.

use super::{Builder, Node, broken, children, has, syntax_error};
use crate::{
    ast::{Discard, FetchDirection, SessionStatement},
    error::Result,
    parser::grammar::Rule,
};

/// The options of VACUUM in parentheses. Only ANALYZE asks for something that this storage does
/// not do by itself.
const VACUUM_OPTIONS: [&str; 11] = [
    "analyze",
    "buffer_usage_limit",
    "disable_page_skipping",
    "freeze",
    "full",
    "index_cleanup",
    "parallel",
    "process_toast",
    "skip_locked",
    "truncate",
    "verbose",
];

impl Builder<'_> {
    /// Options in parentheses, of which those in `known` are taken; whether ANALYZE is on.
    pub(super) fn tool_options(
        &self,
        node: Node<'_>,
        known: &[&str],
        statement: &str,
    ) -> Result<bool> {
        let mut analyze = false;
        for option in children(node) {
            let (name, value) = self.explain_option(option)?;
            if !known.contains(&name.name.as_str()) {
                return Err(super::syntax_error(
                    format!("unrecognized {statement} option \"{}\"", name.name),
                    name.span,
                ));
            }
            let on = !matches!(value.as_deref(), Some("off" | "false" | "0"));
            if name.name == "analyze" {
                analyze = on;
            }
        }
        Ok(analyze)
    }

    pub(super) fn prepare(&self, node: Node<'_>) -> Result<SessionStatement> {
        let mut name = None;
        let mut types = Vec::new();
        let mut statement = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                Rule::type_name => types.push(self.type_name(part)?),
                _ => statement = Some(Box::new(self.any_statement(part)?)),
            }
        }
        Ok(SessionStatement::Prepare {
            name: name.ok_or_else(|| broken("PREPARE's name"))?,
            types,
            statement: statement.ok_or_else(|| broken("PREPARE's statement"))?,
        })
    }

    pub(super) fn execute(&self, node: Node<'_>) -> Result<SessionStatement> {
        let mut name = None;
        let mut arguments = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                _ => arguments.push(self.expression(part)?),
            }
        }
        Ok(SessionStatement::Execute {
            name: name.ok_or_else(|| broken("EXECUTE's name"))?,
            arguments,
        })
    }

    /// The name of a `deallocate` or `close_cursor`; `None`: ALL.
    fn one_or_all(&self, node: Node<'_>) -> Result<Option<crate::ast::Ident>> {
        children(node)
            .find(|part| part.as_rule() == Rule::name)
            .map(|name| self.ident(name))
            .transpose()
    }

    pub(super) fn deallocate(&self, node: Node<'_>) -> Result<SessionStatement> {
        Ok(SessionStatement::Deallocate(self.one_or_all(node)?))
    }

    pub(super) fn close_cursor(&self, node: Node<'_>) -> Result<SessionStatement> {
        Ok(SessionStatement::Close(self.one_or_all(node)?))
    }

    pub(super) fn open_cursor(&self, node: Node<'_>) -> Result<SessionStatement> {
        let name = self.one_or_all(node)?;
        Ok(SessionStatement::Open(
            name.ok_or_else(|| broken("OPEN's cursor"))?,
        ))
    }

    pub(super) fn declare(&self, node: Node<'_>) -> Result<SessionStatement> {
        let mut name = None;
        let mut scroll = None;
        let mut hold = false;
        let mut query = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                Rule::cursor_scroll => scroll = Some(true),
                Rule::cursor_no_scroll => scroll = Some(false),
                Rule::cursor_hold => hold = true,
                _ => query = Some(Box::new(self.query(part)?)),
            }
        }
        Ok(SessionStatement::Declare {
            name: name.ok_or_else(|| broken("a cursor's name"))?,
            scroll,
            hold,
            query: query.ok_or_else(|| broken("a cursor's query"))?,
        })
    }

    pub(super) fn fetch_cursor(&self, node: Node<'_>) -> Result<SessionStatement> {
        let moves = has(&node, Rule::kw_move);
        let mut name = None;
        let mut direction = FetchDirection::Forward(Some(1));
        let mut into = None;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                Rule::fetch_into if moves => {
                    return Err(syntax_error("MOVE gives no rows to put INTO", span));
                }
                Rule::fetch_into => {
                    into = Some(self.object_name(super::child(part, "a table")?)?);
                }
                _ => {
                    let number = |node: &Node<'_>| -> Result<Option<i64>> {
                        children(node.clone())
                            .find(|piece| piece.as_rule() == Rule::signed_integer)
                            .map(|digits| {
                                self.signed_number(&digits)
                                    .parse()
                                    .map_err(|_| syntax_error("the number is out of range", span))
                            })
                            .transpose()
                    };
                    let inner = super::child(part, "a direction")?;
                    let count = number(&inner)?;
                    let all = has(&inner, Rule::kw_all);
                    direction = match inner.as_rule() {
                        Rule::fetch_prior => FetchDirection::Backward(Some(1)),
                        Rule::fetch_first => FetchDirection::Absolute(1),
                        Rule::fetch_last => FetchDirection::Absolute(-1),
                        Rule::fetch_absolute => FetchDirection::Absolute(count.unwrap_or(1)),
                        Rule::fetch_relative => FetchDirection::Relative(count.unwrap_or(1)),
                        Rule::fetch_all => FetchDirection::Forward(None),
                        Rule::fetch_backward if all => FetchDirection::Backward(None),
                        Rule::fetch_backward => FetchDirection::Backward(Some(count.unwrap_or(1))),
                        Rule::fetch_forward if all => FetchDirection::Forward(None),
                        _ => FetchDirection::Forward(Some(count.unwrap_or(1))),
                    };
                }
            }
        }
        Ok(SessionStatement::Fetch {
            name: name.ok_or_else(|| broken("FETCH's cursor"))?,
            direction,
            moves,
            into,
        })
    }

    pub(super) fn discard(&self, node: Node<'_>) -> SessionStatement {
        let what = [
            (Rule::kw_plans, Discard::Plans),
            (Rule::kw_sequences, Discard::Sequences),
            (Rule::kw_temp, Discard::Temporary),
            (Rule::kw_temporary, Discard::Temporary),
        ];
        SessionStatement::Discard(
            what.into_iter()
                .find(|(rule, _)| has(&node, *rule))
                .map_or(Discard::All, |(_, what)| what),
        )
    }

    /// LISTEN, UNLISTEN, NOTIFY.
    pub(super) fn notification(&self, node: Node<'_>) -> Result<SessionStatement> {
        let rule = node.as_rule();
        let mut channel = None;
        let mut payload = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => channel = Some(self.ident(part)?),
                Rule::string => payload = Some(self.string(part)?),
                _ => {}
            }
        }
        Ok(match (rule, channel) {
            (Rule::unlisten, channel) => SessionStatement::Unlisten(channel),
            (_, None) => return Err(broken("a channel")),
            (Rule::listen, Some(channel)) => SessionStatement::Listen(channel),
            (_, Some(channel)) => SessionStatement::Notify { channel, payload },
        })
    }

    pub(super) fn vacuum(&self, node: Node<'_>) -> Result<SessionStatement> {
        let mut tables = Vec::new();
        let mut analyze = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::vacuum_word => analyze |= has(&part, Rule::kw_analyze),
                Rule::tool_options => {
                    analyze |= self.tool_options(part, &VACUUM_OPTIONS, "VACUUM")?
                }
                _ => tables.push(self.object_name(super::child(part, "a table")?)?),
            }
        }
        Ok(SessionStatement::Vacuum { tables, analyze })
    }
}
