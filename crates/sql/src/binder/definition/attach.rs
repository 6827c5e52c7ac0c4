//! ALTER TABLE … ATTACH and DETACH PARTITION, INHERIT and NO INHERIT: tables that become, or are
//! no more, made of another.

use std::sync::Arc;

use super::{
    Draft, must_be_table,
    partition::{follow_parent, may_be_partition, may_inherit, wrong_object},
};
use crate::{
    ast::{self, AlterAction, ObjectKind},
    binder::Binder,
    bound::AlterTable,
    catalog::Table,
    error::{Error, Result, SqlState},
    span::Span,
};

impl<'a> Binder<'a> {
    /// The tables that ATTACH and DETACH PARTITION change beside the one that is named.
    pub(super) fn alter_joining(
        &mut self,
        parent: &Table,
        alter: &'a ast::AlterTable,
    ) -> Result<Vec<AlterTable>> {
        let mut changed = Vec::new();
        for action in &alter.actions {
            let (name, bound) = match action {
                AlterAction::AttachPartition { table, bound } => (table, Some(bound)),
                AlterAction::DetachPartition(table) => (table, None),
                _ => continue,
            };
            let Some(partitioning) = &parent.partitioning else {
                return Err(
                    wrong_object(format!("table \"{}\" is not partitioned", parent.name))
                        .at(alter.name.span),
                );
            };
            let old = self.table(name)?;
            must_be_table(&old, name.span)?;
            let mut draft = Draft::of((*old).clone());
            let bound = match bound {
                Some(bound) => {
                    self.may_attach(parent, &old, name.span)?;
                    may_be_partition(&old, parent, "attach", name.span)?;
                    draft.table.parents = vec![parent.id];
                    fits_parent(&draft.table, parent, name.span)?;
                    follow_parent(&mut draft, parent, name.span, self.types)?;
                    Some(self.partition_bound(parent, partitioning, bound)?)
                }
                None => {
                    if !old.is_partition() || !old.parents.contains(&parent.id) {
                        return Err(Error::new(
                            SqlState::UNDEFINED_TABLE,
                            format!(
                                "relation \"{}\" is not a partition of relation \"{}\"",
                                old.name, parent.name
                            ),
                        )
                        .at(name.span));
                    }
                    draft.table.parents.clear();
                    draft.table.partition_bound = None;
                    None
                }
            };
            draft.table.version = old.version + 1;
            let mut altered = AlterTable {
                object: ObjectKind::Table,
                new: draft.table,
                values: Vec::new(),
                sequences: Vec::new(),
                dropped_sequences: Vec::new(),
                cascade: false,
                notices: Vec::new(),
                only_storage: false,
                bound,
                children: Vec::new(),
                old,
            };
            if altered.bound.is_some() {
                altered.children =
                    self.children_of(ObjectKind::Table, &altered.new, &altered.old, name.span)?;
            }
            changed.push(altered);
        }
        Ok(changed)
    }

    fn may_attach(&self, parent: &Table, child: &Arc<Table>, span: Span) -> Result<()> {
        if child.is_partition() {
            return Err(
                wrong_object(format!("\"{}\" is already a partition", child.name)).at(span),
            );
        }
        if !child.parents.is_empty() {
            return Err(
                wrong_object("cannot attach inheritance child as partition".to_owned()).at(span),
            );
        }
        let children = self.family(child, span)?;
        if children.iter().any(|member| member.id == parent.id) {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                "circular inheritance not allowed",
            )
            .detail(format!(
                "\"{}\" is already a child of \"{}\".",
                parent.name, child.name
            ))
            .at(span));
        }
        if child.partitioning.is_none() && children.len() > 1 {
            return Err(
                wrong_object("cannot attach inheritance parent as partition".to_owned()).at(span),
            );
        }
        let extra = child
            .columns
            .iter()
            .find(|column| parent.column(&column.name).is_none());
        match extra {
            None => Ok(()),
            Some(column) => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                    child.name, column.name, parent.name
                ),
            )
            .detail("The new partition may contain only the columns present in parent.")
            .at(span)),
        }
    }

    /// INHERIT.
    pub(super) fn join_parent(
        &mut self,
        draft: &mut Draft,
        name: &'a ast::ObjectName,
    ) -> Result<()> {
        let parent = self.table(name)?;
        must_be_table(&parent, name.span)?;
        let refused = |message: &str| Err(wrong_object(message.to_owned()).at(name.span));
        if draft.table.partitioning.is_some() {
            return refused("cannot change inheritance of partitioned table");
        }
        if draft.table.is_partition() {
            return refused("cannot change inheritance of a partition");
        }
        if parent.partitioning.is_some() {
            return Err(wrong_object(format!(
                "cannot inherit from partitioned table \"{}\"",
                parent.name
            ))
            .at(name.span));
        }
        if parent.is_partition() {
            return Err(
                wrong_object(format!("cannot inherit from partition \"{}\"", parent.name))
                    .at(name.span),
            );
        }
        may_inherit(&draft.table, &parent, name.span)?;
        if draft.table.parents.contains(&parent.id) {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                format!(
                    "relation \"{}\" would be inherited from more than once",
                    parent.name
                ),
            )
            .at(name.span));
        }
        let own = Arc::new(draft.table.clone());
        if self
            .family(&own, name.span)?
            .iter()
            .any(|member| member.id == parent.id)
        {
            return Err(Error::new(
                SqlState::DUPLICATE_TABLE,
                "circular inheritance not allowed",
            )
            .at(name.span));
        }
        fits_parent(&draft.table, &parent, name.span)?;
        draft.table.parents.push(parent.id);
        Ok(())
    }

    /// NO INHERIT.
    pub(super) fn leave_parent(
        &mut self,
        draft: &mut Draft,
        name: &'a ast::ObjectName,
    ) -> Result<()> {
        let parent = self.table(name)?;
        if draft.table.is_partition() {
            return Err(
                wrong_object("cannot change inheritance of a partition".to_owned()).at(name.span),
            );
        }
        let before = draft.table.parents.len();
        draft.table.parents.retain(|id| *id != parent.id);
        if draft.table.parents.len() == before {
            return Err(Error::new(
                SqlState::UNDEFINED_TABLE,
                format!(
                    "relation \"{}\" is not a parent of relation \"{}\"",
                    parent.name, draft.table.name
                ),
            )
            .at(name.span));
        }
        Ok(())
    }
}

/// Fails where a table lacks a column or a check of the one that it is to become a child of.
fn fits_parent(child: &Table, parent: &Table, span: Span) -> Result<()> {
    let mismatch = |message: String| Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(span));
    for column in &parent.columns {
        let Some(own) = child
            .column(&column.name)
            .and_then(|ordinal| child.columns.get(ordinal))
        else {
            return mismatch(format!("child table is missing column \"{}\"", column.name));
        };
        if own.data_type != column.data_type {
            return mismatch(format!(
                "child table \"{}\" has different type for column \"{}\"",
                child.name, column.name
            ));
        }
        if column.not_null && !own.not_null {
            return mismatch(format!(
                "column \"{}\" in child table must be marked NOT NULL",
                column.name
            ));
        }
        if column.generated.is_some() != own.generated.is_some() {
            return mismatch(format!(
                "column \"{}\" in child table must {}be a generated column",
                column.name,
                if column.generated.is_some() {
                    ""
                } else {
                    "not "
                }
            ));
        }
    }
    for check in &parent.checks {
        match child.checks.iter().find(|own| own.name == check.name) {
            None => {
                return mismatch(format!(
                    "child table is missing constraint \"{}\"",
                    check.name
                ));
            }
            Some(own) if own.text != check.text => {
                return mismatch(format!(
                    "child table \"{}\" has different definition for check constraint \"{}\"",
                    child.name, check.name
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
