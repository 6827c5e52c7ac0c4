//! What ALTER TABLE and CREATE INDEX mean for the tables made of the one that is named.

use std::sync::Arc;

use super::alter::{Alteration, drop_constraint};
use crate::{
    ast::{self, AlterAction, ColumnAction, ObjectKind},
    binder::Binder,
    bound::AlterTable,
    catalog::Table,
    error::{Error, Result, SqlState},
    span::Span,
};

/// Whether a part of ALTER TABLE is done to the tables made of it as well.
pub(super) fn reaches_children(action: &AlterAction) -> bool {
    match action {
        AlterAction::AddColumn { .. }
        | AlterAction::DropColumn { .. }
        | AlterAction::AddConstraint(_)
        | AlterAction::DropConstraint { .. }
        | AlterAction::ValidateConstraint(_)
        | AlterAction::RenameColumn(..)
        | AlterAction::RenameConstraint(..) => true,
        AlterAction::AlterColumn { action, .. } => !matches!(
            action,
            ColumnAction::AddIdentity { .. }
                | ColumnAction::SetGenerated(_)
                | ColumnAction::DropIdentity { .. }
        ),
        AlterAction::Rename(_)
        | AlterAction::SetSchema(_)
        | AlterAction::SetParameters(_)
        | AlterAction::ResetParameters(_)
        | AlterAction::SetStorage(_)
        | AlterAction::AttachPartition { .. }
        | AlterAction::DetachPartition(_)
        | AlterAction::Inherit(_)
        | AlterAction::NoInherit(_) => false,
    }
}

impl<'a> Binder<'a> {
    /// What ALTER TABLE means for the tables made of the first of a family.
    pub(super) fn alter_children(
        &mut self,
        family: &[Arc<Table>],
        first: &AlterTable,
        alter: &'a ast::AlterTable,
    ) -> Result<Vec<AlterTable>> {
        let mut altered: Vec<AlterTable> = Vec::with_capacity(family.len());
        for member in family.iter().skip(1) {
            let mut alteration = Alteration::of(Arc::clone(member));
            for action in alter
                .actions
                .iter()
                .filter(|action| reaches_children(action))
            {
                self.alter_child_action(&mut alteration, &first.old, action)?;
            }
            for parent in std::iter::once(first).chain(&altered) {
                if member.parents.contains(&parent.new.id) {
                    super::partition::follow_parent(
                        &mut alteration.draft,
                        &parent.new,
                        alter.name.span,
                        self.types,
                    )?;
                }
            }
            altered.push(alteration.finish(alter.object));
        }
        Ok(altered)
    }

    /// What the partitions of a partitioned table get when it becomes `new`.
    pub(super) fn children_of(
        &mut self,
        object: ObjectKind,
        new: &Table,
        old: &Arc<Table>,
        span: Span,
    ) -> Result<Vec<AlterTable>> {
        let family = self.family(old, span)?;
        let mut altered: Vec<AlterTable> = Vec::with_capacity(family.len());
        for member in family.iter().skip(1) {
            let mut alteration = Alteration::of(Arc::clone(member));
            for parent in std::iter::once(new).chain(altered.iter().map(|of| &of.new)) {
                if member.parents.contains(&parent.id) {
                    super::partition::follow_parent(
                        &mut alteration.draft,
                        parent,
                        span,
                        self.types,
                    )?;
                }
            }
            altered.push(alteration.finish(object));
        }
        Ok(altered)
    }

    /// A part of ALTER TABLE as it concerns a table made of the one that is altered.
    fn alter_child_action(
        &mut self,
        alteration: &mut Alteration,
        parent: &Table,
        action: &'a AlterAction,
    ) -> Result<()> {
        let table = &alteration.draft.table;
        match action {
            AlterAction::AddColumn { column, .. } => {
                if let Some(ordinal) = table.column(&column.name.name) {
                    let data_type = self.column_type(&column.data_type)?;
                    if table.columns[ordinal].data_type != data_type {
                        return Err(Error::new(
                            SqlState::DATATYPE_MISMATCH,
                            format!(
                                "child table \"{}\" has different type for column \"{}\"",
                                table.name, column.name.name
                            ),
                        )
                        .at(column.span));
                    }
                    alteration.notices.push(format!(
                        "merging definition of column \"{}\" for child \"{}\"",
                        column.name.name, table.name
                    ));
                    return Ok(());
                }
                self.alter_action(alteration, action)
            }
            AlterAction::DropColumn { name, .. }
            | AlterAction::AlterColumn { name, .. }
            | AlterAction::RenameColumn(name, _) => {
                if table.column(&name.name).is_none() {
                    return Ok(());
                }
                self.alter_action(alteration, action)
            }
            AlterAction::DropConstraint { name, .. } => {
                if drop_constraint(&mut alteration.draft.table, &name.name) {
                    return Ok(());
                }
                super::partition::drop_key_like(&mut alteration.draft.table, parent, &name.name);
                Ok(())
            }
            AlterAction::RenameConstraint(from, _) | AlterAction::ValidateConstraint(from) => {
                let known = table.checks.iter().any(|check| check.name == from.name)
                    || table.foreign_keys.iter().any(|key| key.name == from.name);
                if known {
                    self.alter_action(alteration, action)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Refuses what can only be done to a whole family, or only to the table that a column comes
    /// from.
    pub(super) fn may_alter_alone(
        &self,
        table: &Table,
        has_children: bool,
        alter: &ast::AlterTable,
        action: &AlterAction,
    ) -> Result<()> {
        let refused =
            |state: SqlState, message: String| Err(Error::new(state, message).at(alter.name.span));
        let invalid = SqlState::INVALID_TABLE_DEFINITION;
        let inherited = |name: &str| {
            table.parents.iter().any(|parent| {
                let parent = self.catalog.table_by_id(*parent);
                parent.is_some_and(|parent| parent.column(name).is_some())
            })
        };
        match action {
            AlterAction::AddColumn { .. } if table.is_partition() => refused(
                SqlState::WRONG_OBJECT_TYPE,
                "cannot add column to a partition".to_owned(),
            ),
            AlterAction::AddColumn { .. } if alter.only && has_children => refused(
                invalid,
                "column must be added to child tables too".to_owned(),
            ),
            AlterAction::DropColumn { name, .. } if inherited(&name.name) => refused(
                invalid,
                format!("cannot drop inherited column \"{}\"", name.name),
            ),
            AlterAction::DropColumn { name, .. }
                if alter.only && has_children && table.partitioning.is_some() =>
            {
                refused(
                    invalid,
                    format!(
                        "cannot drop column \"{}\" from only the partitioned table when partitions exist",
                        name.name
                    ),
                )
            }
            AlterAction::RenameColumn(name, _) if inherited(&name.name) => refused(
                invalid,
                format!("cannot rename inherited column \"{}\"", name.name),
            ),
            AlterAction::RenameColumn(name, _) if alter.only && has_children => refused(
                invalid,
                format!(
                    "inherited column \"{}\" must be renamed in child tables too",
                    name.name
                ),
            ),
            AlterAction::AlterColumn {
                name,
                action: ColumnAction::Type(..),
            } if inherited(&name.name) => refused(
                invalid,
                format!("cannot alter inherited column \"{}\"", name.name),
            ),
            AlterAction::AlterColumn {
                name,
                action: ColumnAction::Type(..),
            } if alter.only && has_children => refused(
                invalid,
                format!(
                    "type of inherited column \"{}\" must be changed in child tables too",
                    name.name
                ),
            ),
            AlterAction::AlterColumn {
                name,
                action: ColumnAction::DropNotNull,
            } if table.is_partition() && self.parent_forbids_null(table, &name.name) => refused(
                invalid,
                format!(
                    "column \"{}\" is marked NOT NULL in parent table",
                    name.name
                ),
            ),
            AlterAction::AddConstraint(constraint)
                if matches!(constraint.kind, ast::TableConstraintKind::Check(_))
                    && alter.only
                    && has_children =>
            {
                refused(
                    invalid,
                    "constraint must be added to child tables too".to_owned(),
                )
            }
            AlterAction::DropConstraint { name, .. } => {
                let of_parent = table.parents.iter().any(|parent| {
                    let parent = self.catalog.table_by_id(*parent);
                    parent.is_some_and(|parent| {
                        parent.checks.iter().any(|check| check.name == name.name)
                    })
                });
                if of_parent {
                    return refused(
                        invalid,
                        format!(
                            "cannot drop inherited constraint \"{}\" of relation \"{}\"",
                            name.name, table.name
                        ),
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn parent_forbids_null(&self, table: &Table, name: &str) -> bool {
        table.parents.iter().any(|parent| {
            let parent = self.catalog.table_by_id(*parent);
            parent.is_some_and(|parent| {
                let column = parent.column(name).and_then(|at| parent.columns.get(at));
                column.is_some_and(|column| column.not_null)
            })
        })
    }
}
