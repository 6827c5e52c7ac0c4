//! MERGE and TRUNCATE.

use super::{Builder, Node, broken, child, children, has, statement::overriding_of};
use crate::{
    ast::{Merge, MergeAction, MergeClause, Truncate},
    error::Result,
    parser::grammar::Rule,
};

impl Builder<'_> {
    pub(super) fn merge(&self, node: Node<'_>) -> Result<Merge> {
        let mut table = None;
        let mut alias = None;
        let mut source = None;
        let mut on = None;
        let mut clauses = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::target_alias => alias = Some(self.ident(child(part, "an alias")?)?),
                Rule::table_primary => source = Some(self.table_primary(part)?),
                Rule::merge_clause => clauses.push(self.merge_clause(part)?),
                _ => on = Some(self.expression(part)?),
            }
        }
        Ok(Merge {
            with: None,
            table: table.ok_or_else(|| broken("MERGE's table"))?,
            alias,
            source: source.ok_or_else(|| broken("MERGE's source"))?,
            on: on.ok_or_else(|| broken("MERGE's condition"))?,
            clauses,
        })
    }

    fn merge_clause(&self, node: Node<'_>) -> Result<MergeClause> {
        let span = self.span(&node);
        let mut matched = true;
        let mut condition = None;
        let mut action = MergeAction::Nothing;
        for part in children(node) {
            match part.as_rule() {
                Rule::negation => matched = false,
                Rule::merge_condition => {
                    condition = Some(self.expression(child(part, "a condition")?)?);
                }
                Rule::merge_update => {
                    action = MergeAction::Update(
                        children(part)
                            .map(|assignment| self.assignment(assignment))
                            .collect::<Result<_>>()?,
                    );
                }
                Rule::merge_delete => action = MergeAction::Delete,
                Rule::merge_insert => action = self.merge_insert(part)?,
                _ => {}
            }
        }
        Ok(MergeClause {
            matched,
            condition,
            action,
            span,
        })
    }

    fn merge_insert(&self, node: Node<'_>) -> Result<MergeAction> {
        let mut columns = None;
        let mut overriding = None;
        let mut values = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::column_names => columns = Some(self.column_names(part)?),
                Rule::overriding => overriding = Some(overriding_of(&part)),
                Rule::merge_row => {
                    values = Some(
                        children(part)
                            .map(|value| self.expression(value))
                            .collect::<Result<_>>()?,
                    );
                }
                _ => {}
            }
        }
        Ok(MergeAction::Insert {
            columns,
            overriding,
            values,
        })
    }

    pub(super) fn truncate(&self, node: Node<'_>) -> Result<Truncate> {
        let mut truncate = Truncate {
            tables: Vec::new(),
            restart_identity: false,
            cascade: false,
        };
        let mut only = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::only_word => only = true,
                Rule::qualified_name => {
                    let name = self.object_name(part)?;
                    truncate.tables.push((name, std::mem::take(&mut only)));
                }
                Rule::restart_identity => truncate.restart_identity = true,
                _ => truncate.cascade = has(&part, Rule::cascade_word),
            }
        }
        Ok(truncate)
    }
}
