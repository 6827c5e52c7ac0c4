//! Transactions, settings, EXPLAIN, ANALYZE.

use super::{Builder, Node, broken, child, children, has, syntax_error, unsupported};
use crate::{
    ast::{Explain, Ident, ObjectName, SetScope, SettingValue, StatementKind},
    bound::{IsolationLevel, TableLock, TransactionModes, TransactionStatement},
    error::Result,
    parser::grammar::Rule,
    span::Span,
};

impl Builder<'_> {
    /// The statements about the session.
    pub(super) fn session_statement(&self, node: Node<'_>) -> Result<StatementKind> {
        Ok(match node.as_rule() {
            Rule::begin => {
                let start = has(&node, Rule::kw_start);
                let modes = self.modes(node)?;
                StatementKind::Transaction(if start {
                    TransactionStatement::Start(modes)
                } else {
                    TransactionStatement::Begin(modes)
                })
            }
            Rule::set_transaction => {
                let of_session = has(&node, Rule::session_characteristics);
                let modes = self.modes(node)?;
                StatementKind::Transaction(if of_session {
                    TransactionStatement::SetSession(modes)
                } else {
                    TransactionStatement::Set(modes)
                })
            }
            Rule::commit => {
                let chain = chains(node);
                StatementKind::Transaction(TransactionStatement::Commit { chain })
            }
            Rule::rollback => {
                let to = children(node.clone()).find(|part| part.as_rule() == Rule::rollback_to);
                match to {
                    Some(to) => {
                        let name = self.ident(child(to, "a savepoint")?)?;
                        StatementKind::Transaction(TransactionStatement::RollbackTo(name.name))
                    }
                    None => {
                        let chain = chains(node);
                        StatementKind::Transaction(TransactionStatement::Rollback { chain })
                    }
                }
            }
            Rule::savepoint => {
                let name = self.ident(child(node, "a savepoint")?)?;
                StatementKind::Transaction(TransactionStatement::Savepoint(name.name))
            }
            Rule::release => {
                let name = self.ident(child(node, "a savepoint")?)?;
                StatementKind::Transaction(TransactionStatement::Release(name.name))
            }
            Rule::set_statement => self.set(node)?,
            Rule::reset_statement => match self.setting(&node)? {
                Some(name) => StatementKind::Set {
                    scope: SetScope::Reset,
                    name,
                    value: None,
                },
                None => StatementKind::ResetAll,
            },
            Rule::show_statement => StatementKind::Show {
                name: self.setting(&node)?,
            },
            _ => return Err(broken("a known statement")),
        })
    }

    fn modes(&self, node: Node<'_>) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        let Some(list) = children(node).find(|part| part.as_rule() == Rule::transaction_modes)
        else {
            return Ok(modes);
        };
        for mode in children(list) {
            let span = self.span(&mode);
            let inner = child(mode, "a transaction mode")?;
            match inner.as_rule() {
                Rule::isolation => {
                    let level = child(child(inner, "a level")?, "a level")?;
                    let level = match level.as_rule() {
                        Rule::serializable => IsolationLevel::Serializable,
                        Rule::repeatable_read => IsolationLevel::RepeatableRead,
                        Rule::read_committed => IsolationLevel::ReadCommitted,
                        Rule::read_uncommitted => IsolationLevel::ReadUncommitted,
                        _ => IsolationLevel::Snapshot,
                    };
                    if modes.isolation.replace(level).is_some() {
                        return Err(syntax_error("the isolation level is given twice", span));
                    }
                }
                Rule::read_only | Rule::read_write => {
                    let read_only = inner.as_rule() == Rule::read_only;
                    if modes.read_only.replace(read_only).is_some() {
                        return Err(syntax_error("the access mode is given twice", span));
                    }
                }
                Rule::deferrable | Rule::not_deferrable => {
                    let deferrable = inner.as_rule() == Rule::deferrable;
                    if modes.deferrable.replace(deferrable).is_some() {
                        return Err(syntax_error("DEFERRABLE is given twice", span));
                    }
                }
                _ => {}
            }
        }
        Ok(modes)
    }

    /// LOCK TABLE.
    pub(super) fn lock_table(&self, node: Node<'_>) -> Result<StatementKind> {
        let mut tables = Vec::new();
        let mut mode = TableLock::AccessExclusive;
        let mut no_wait = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::lock_mode => {
                    mode = match child(part, "a lock mode")?.as_rule() {
                        Rule::access_share => TableLock::AccessShare,
                        Rule::row_share => TableLock::RowShare,
                        Rule::row_exclusive => TableLock::RowExclusive,
                        Rule::share_update_exclusive => TableLock::ShareUpdateExclusive,
                        Rule::share_lock => TableLock::Share,
                        Rule::share_row_exclusive => TableLock::ShareRowExclusive,
                        Rule::exclusive_lock => TableLock::Exclusive,
                        _ => TableLock::AccessExclusive,
                    };
                }
                Rule::nowait => no_wait = true,
                _ => tables.push(self.object_name(child(part, "a table")?)?),
            }
        }
        Ok(StatementKind::LockTable {
            tables,
            mode,
            no_wait,
        })
    }

    /// The setting that SHOW or RESET names; `None`: ALL.
    fn setting(&self, node: &Node<'_>) -> Result<Option<ObjectName>> {
        let Some(part) = children(node.clone()).next() else {
            return Ok(None);
        };
        let span = self.span(&part);
        Ok(Some(match part.as_rule() {
            Rule::time_zone => fixed("timezone", span),
            Rule::transaction_isolation => fixed("transaction_isolation", span),
            _ => self.object_name(part)?,
        }))
    }

    fn set(&self, node: Node<'_>) -> Result<StatementKind> {
        let mut scope = SetScope::Session;
        let mut name = None;
        let mut values = Vec::new();
        let mut default = false;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::local_word => scope = SetScope::Local,
                Rule::time_zone => name = Some(fixed("timezone", span)),
                Rule::setting_name => name = Some(self.object_name(part)?),
                _ => {
                    let Some(value) = children(part).next() else {
                        default = true;
                        continue;
                    };
                    values.push(match value.as_rule() {
                        Rule::setting_number => SettingValue::Number(self.signed_number(&value)),
                        Rule::string => SettingValue::String(self.string(value)?),
                        Rule::label => SettingValue::Word(self.ident(value)?),
                        _ => return Err(unsupported("an interval as a setting is", span)),
                    });
                }
            }
        }
        Ok(StatementKind::Set {
            scope,
            name: name.ok_or_else(|| broken("a setting's name"))?,
            value: (!default).then_some(values),
        })
    }

    pub(super) fn explain(&self, node: Node<'_>) -> Result<Explain> {
        let mut analyze = false;
        let mut verbose = false;
        let mut options = Vec::new();
        let mut statement = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::analyze_word => analyze = true,
                Rule::verbose_word => verbose = true,
                Rule::explain_options => {
                    for option in children(part) {
                        let (name, value) = self.explain_option(option)?;
                        let on = !matches!(value.as_deref(), Some("off" | "false" | "0"));
                        match name.name.as_str() {
                            "analyze" => analyze = on,
                            "verbose" => verbose = on,
                            _ => options.push((name, value)),
                        }
                    }
                }
                _ => statement = Some(self.any_statement(part)?),
            }
        }
        Ok(Explain {
            analyze,
            verbose,
            options,
            statement: statement.ok_or_else(|| broken("EXPLAIN's statement"))?,
        })
    }

    pub(super) fn explain_option(&self, node: Node<'_>) -> Result<(Ident, Option<String>)> {
        let mut name = None;
        let mut value = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::label => name = Some(self.ident(part)?),
                _ => {
                    let inner = child(part, "an option's value")?;
                    value = Some(match inner.as_rule() {
                        Rule::string => self.string(inner)?,
                        Rule::label => self.ident(inner)?.name,
                        _ => self.text(&inner).to_owned(),
                    });
                }
            }
        }
        let name = name.ok_or_else(|| broken("an option's name"))?;
        Ok((name, value))
    }

    pub(super) fn analyze(&self, node: Node<'_>) -> Result<StatementKind> {
        let mut tables = Vec::new();
        for part in children(node) {
            if part.as_rule() == Rule::tool_options {
                let known = ["verbose", "skip_locked", "buffer_usage_limit"];
                self.tool_options(part, &known, "ANALYZE")?;
                continue;
            }
            let mut name = None;
            let mut columns = Vec::new();
            for piece in children(part) {
                match piece.as_rule() {
                    Rule::qualified_name => name = Some(self.object_name(piece)?),
                    _ => columns = self.column_names(piece)?,
                }
            }
            tables.push((name.ok_or_else(|| broken("ANALYZE's table"))?, columns));
        }
        Ok(StatementKind::Analyze { tables })
    }
}

fn fixed(name: &str, span: Span) -> ObjectName {
    ObjectName {
        parts: vec![Ident {
            name: name.to_owned(),
            quoted: false,
            span,
        }],
        span,
    }
}

/// Whether AND CHAIN ends a COMMIT or ROLLBACK.
fn chains(node: Node<'_>) -> bool {
    children(node).any(|part| part.as_rule() == Rule::chain && !has(&part, Rule::no_word))
}
