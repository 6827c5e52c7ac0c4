//! ALTER TABLE: the definition as it is to be. What follows for rows and indexes, the engine
//! finds by comparing the two.

use std::sync::Arc;

use super::{
    Draft,
    parameters::{self, Target},
    relation_exists,
    rename::{rename_constraint, rename_in_expressions, requoted},
};
use crate::{
    ast::{self, AlterAction, Ident, ObjectKind},
    binder::{Binder, data::table_column, unsupported},
    bound::{AlterTable, BoundStatement, Definition, Expr},
    catalog::{ColumnNumber, SequenceId, Table, TableKind},
    error::{Error, Result, SqlState},
};

/// A table that is being altered.
pub(super) struct Alteration {
    pub(super) old: Arc<Table>,
    pub(super) draft: Draft,
    pub(super) values: Vec<(ColumnNumber, Expr)>,
    pub(super) dropped_sequences: Vec<SequenceId>,
    cascade: bool,
    pub(super) notices: Vec<String>,
}

impl Alteration {
    pub(super) fn of(old: Arc<Table>) -> Alteration {
        Alteration {
            draft: Draft::of((*old).clone()),
            old,
            values: Vec::new(),
            dropped_sequences: Vec::new(),
            cascade: false,
            notices: Vec::new(),
        }
    }

    pub(super) fn finish(self, object: ObjectKind) -> AlterTable {
        let mut draft = self.draft;
        draft.table.new_row_version();
        draft.table.version = self.old.version + 1;
        AlterTable {
            object,
            old: self.old,
            new: draft.table,
            values: self.values,
            sequences: draft.sequences,
            dropped_sequences: self.dropped_sequences,
            cascade: self.cascade,
            notices: self.notices,
            only_storage: false,
            bound: None,
            children: Vec::new(),
        }
    }
}

impl<'a> Binder<'a> {
    pub(in crate::binder) fn alter_table(
        &mut self,
        alter: &'a ast::AlterTable,
    ) -> Result<BoundStatement> {
        if alter.object == ObjectKind::Index {
            return self.alter_index(alter);
        }
        if alter.object == ObjectKind::Sequence {
            return self.rename_sequence(alter);
        }
        let schema = alter.name.qualifier().map(|schema| schema.name.as_str());
        if alter.if_exists
            && self
                .catalog
                .table(schema, &alter.name.last().name)?
                .is_none()
        {
            return Ok(nothing(alter));
        }
        let old = self.table(&alter.name)?;
        let fits = matches!(
            (&old.kind, alter.object),
            (TableKind::Table, ObjectKind::Table)
                | (TableKind::View(_), ObjectKind::View | ObjectKind::Table)
        );
        if let TableKind::System(_) = old.kind {
            return Err(crate::binder::data::system_catalog(&old, alter.name.span));
        }
        if !fits {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a {}", old.name, alter.object.noun()),
            )
            .at(alter.name.span));
        }
        let family = self.family(&old, alter.name.span)?;
        let mut alteration = Alteration::of(old);
        for action in &alter.actions {
            self.may_alter_alone(&alteration.draft.table, family.len() > 1, alter, action)?;
            let renames = matches!(
                action,
                AlterAction::Rename(_) | AlterAction::SetSchema(_) | AlterAction::RenameColumn(..)
            );
            if alteration.old.view().is_some() && !renames {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table", alteration.old.name),
                )
                .at(alter.name.span));
            }
            self.alter_action(&mut alteration, action)?;
        }
        super::partition::keys_cover_partitioning(&alteration.draft.table, alter.name.span)?;
        let mut whole = alteration.finish(alter.object);
        whole.only_storage = alter
            .actions
            .iter()
            .all(|action| matches!(action, AlterAction::SetStorage(_)));
        if !alter.only && alter.actions.iter().any(super::family::reaches_children) {
            whole.children = self.alter_children(&family, &whole, alter)?;
        }
        whole
            .children
            .extend(self.alter_joining(&whole.new, alter)?);
        Ok(BoundStatement::Definition(Box::new(
            Definition::AlterTable(whole),
        )))
    }

    /// ALTER INDEX … RENAME.
    fn alter_index(&mut self, alter: &'a ast::AlterTable) -> Result<BoundStatement> {
        let schema = alter.name.qualifier().map(|schema| schema.name.as_str());
        let name = &alter.name.last().name;
        let Some(old) = self.catalog.table_of_index(schema, name)? else {
            if alter.if_exists {
                return Ok(nothing(alter));
            }
            return Err(no_relation(alter));
        };
        if let [AlterAction::SetParameters(_) | AlterAction::ResetParameters(_)] =
            alter.actions.as_slice()
        {
            let mut new = (*old).clone();
            new.version = old.version + 1;
            if let Some(index) = new.indexes.iter_mut().find(|index| index.name == *name) {
                for action in &alter.actions {
                    parameters::change(Target::Index, &mut index.parameters, action)?;
                }
            }
            return Ok(altered(alter.object, old, new));
        }
        let [AlterAction::Rename(to)] = alter.actions.as_slice() else {
            return Err(unsupported(
                "ALTER INDEX other than RENAME is",
                alter.name.span,
            ));
        };
        if self.relation_exists(&old.schema, &to.name)? {
            return Err(relation_exists(&to.name, to.span));
        }
        let mut new = (*old).clone();
        rename_constraint(&mut new, name, to);
        new.version = old.version + 1;
        Ok(altered(alter.object, old, new))
    }

    /// ALTER SEQUENCE … RENAME and SET SCHEMA.
    fn rename_sequence(&mut self, alter: &'a ast::AlterTable) -> Result<BoundStatement> {
        let schema = alter.name.qualifier().map(|schema| schema.name.as_str());
        let Some(known) = self.catalog.sequence(schema, &alter.name.last().name)? else {
            if alter.if_exists {
                return Ok(nothing(alter));
            }
            return Err(no_relation(alter));
        };
        let mut sequence = (*known).clone();
        for action in &alter.actions {
            match action {
                AlterAction::Rename(to) => sequence.name.clone_from(&to.name),
                AlterAction::SetSchema(to) => {
                    self.known_schema(to)?;
                    sequence.schema.clone_from(&to.name);
                }
                _ => {
                    return Err(unsupported(
                        "this form of ALTER SEQUENCE is",
                        alter.name.span,
                    ));
                }
            }
        }
        if self.relation_exists(&sequence.schema, &sequence.name)? {
            return Err(relation_exists(&sequence.name, alter.name.span));
        }
        Ok(BoundStatement::Definition(Box::new(
            Definition::AlterSequence {
                sequence,
                restart: None,
            },
        )))
    }

    pub(super) fn alter_action(
        &mut self,
        alteration: &mut Alteration,
        action: &'a AlterAction,
    ) -> Result<()> {
        let draft = &mut alteration.draft;
        match action {
            AlterAction::AddColumn {
                column,
                if_not_exists,
            } => {
                let name = &column.name;
                if draft.table.column(&name.name).is_some() {
                    let message = format!(
                        "column \"{}\" of relation \"{}\" already exists",
                        name.name, draft.table.name
                    );
                    if *if_not_exists {
                        alteration.notices.push(format!("{message}, skipping"));
                        return Ok(());
                    }
                    return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(name.span));
                }
                super::constraints::take_names(&mut draft.names, &column.constraints)?;
                let ordinal = self.add_column(draft, column)?;
                self.column_constraints(
                    draft,
                    ordinal,
                    &column.name,
                    &column.constraints,
                    column.span,
                )?;
                let of = &draft.table.columns[ordinal];
                // What every row has of its own is computed for each.
                let own = of.generated.as_ref().or(of.default.as_ref());
                if let Some((_, value)) = own
                    && (of.generated.is_some() || crate::binder::is_volatile(value))
                {
                    alteration.values.push((of.number, value.clone()));
                }
                Ok(())
            }
            AlterAction::DropColumn {
                name,
                if_exists,
                cascade,
            } => {
                alteration.cascade |= cascade;
                if draft.table.column(&name.name).is_none() && *if_exists {
                    alteration.notices.push(format!(
                        "column \"{}\" of relation \"{}\" does not exist, skipping",
                        name.name, draft.table.name
                    ));
                    return Ok(());
                }
                self.drop_column(alteration, name, *cascade)
            }
            AlterAction::AlterColumn { name, action } => {
                let ordinal = table_column(&draft.table, name)?;
                self.alter_column(alteration, ordinal, name, action)
            }
            AlterAction::AddConstraint(constraint) => {
                if let Some(name) = &constraint.name {
                    draft.names.take(name)?;
                    if matches!(
                        constraint.kind,
                        ast::TableConstraintKind::PrimaryKey(_)
                            | ast::TableConstraintKind::Unique(..)
                    ) && self.relation_exists(&draft.table.schema, &name.name)?
                    {
                        return Err(relation_exists(&name.name, name.span));
                    }
                }
                self.table_constraint(draft, constraint)
            }
            AlterAction::DropConstraint {
                name,
                if_exists,
                cascade,
            } => {
                alteration.cascade |= cascade;
                if drop_constraint(&mut draft.table, &name.name) {
                    return Ok(());
                }
                let message = format!(
                    "constraint \"{}\" of relation \"{}\" does not exist",
                    name.name, draft.table.name
                );
                if *if_exists {
                    alteration.notices.push(format!("{message}, skipping"));
                    return Ok(());
                }
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(name.span))
            }
            AlterAction::ValidateConstraint(name) => {
                let table = &mut draft.table;
                let check = table.checks.iter_mut().find(|of| of.name == name.name);
                let key = table
                    .foreign_keys
                    .iter_mut()
                    .find(|of| of.name == name.name);
                match (check, key) {
                    (Some(check), _) => check.validated = true,
                    (_, Some(key)) => key.validated = true,
                    _ => return Err(no_constraint(table, name)),
                }
                Ok(())
            }
            AlterAction::Rename(to) => {
                if self.relation_exists(&draft.table.schema, &to.name)? {
                    return Err(relation_exists(&to.name, to.span));
                }
                self.refuse_name_of_type(&draft.table.schema, &to.name, to.span)?;
                let from = std::mem::replace(&mut draft.table.name, to.name.clone());
                draft.names.table.clone_from(&to.name);
                rename_in_expressions(&mut draft.table, &|parts| {
                    if let [.., table, _] = parts
                        && table.name == from
                    {
                        *table = requoted(to);
                    }
                })?;
                self.rebind(&mut draft.table)
            }
            AlterAction::RenameColumn(from, to) => {
                let ordinal = table_column(&draft.table, from)?;
                if draft.table.column(&to.name).is_some() {
                    return Err(Error::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!(
                            "column \"{}\" of relation \"{}\" already exists",
                            to.name, draft.table.name
                        ),
                    )
                    .at(to.span));
                }
                draft.table.columns[ordinal].name.clone_from(&to.name);
                rename_in_expressions(&mut draft.table, &|parts| {
                    if let Some(column) = parts.last_mut()
                        && column.name == from.name
                    {
                        *column = requoted(to);
                    }
                })?;
                self.rebind(&mut draft.table)
            }
            AlterAction::RenameConstraint(from, to) => {
                draft.names.take(to)?;
                if !rename_constraint(&mut draft.table, &from.name, to) {
                    return Err(no_constraint(&draft.table, from));
                }
                Ok(())
            }
            AlterAction::SetParameters(_) | AlterAction::ResetParameters(_) => {
                parameters::change(Target::Table, &mut draft.table.parameters, action)
            }
            AlterAction::SetSchema(schema) => {
                self.known_schema(schema)?;
                if draft.table.schema == schema.name {
                    return Ok(());
                }
                if self.relation_exists(&schema.name, &draft.table.name)? {
                    return Err(relation_exists(&draft.table.name, schema.span));
                }
                self.refuse_name_of_type(&schema.name, &draft.table.name, schema.span)?;
                draft.table.schema.clone_from(&schema.name);
                Ok(())
            }
            AlterAction::SetStorage(method) => {
                draft.table.storage = super::storage(Some(method))?;
                Ok(())
            }
            AlterAction::Inherit(name) => self.join_parent(draft, name),
            AlterAction::NoInherit(name) => self.leave_parent(draft, name),
            // The other table changes: see `alter_joining`.
            AlterAction::AttachPartition { .. } | AlterAction::DetachPartition(_) => Ok(()),
        }
    }
}

fn nothing(alter: &ast::AlterTable) -> BoundStatement {
    BoundStatement::Definition(Box::new(Definition::Nothing {
        tag: format!("ALTER {}", alter.object.keyword()),
        notice: format!("relation \"{}\" does not exist, skipping", alter.name),
    }))
}

fn no_relation(alter: &ast::AlterTable) -> Error {
    Error::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{}\" does not exist", alter.name),
    )
    .at(alter.name.span)
}

fn no_constraint(table: &Table, name: &Ident) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!(
            "constraint \"{}\" of relation \"{}\" does not exist",
            name.name, table.name
        ),
    )
    .at(name.span)
}

fn altered(object: ObjectKind, old: Arc<Table>, new: Table) -> BoundStatement {
    BoundStatement::Definition(Box::new(Definition::AlterTable(AlterTable {
        object,
        old,
        new,
        values: Vec::new(),
        sequences: Vec::new(),
        dropped_sequences: Vec::new(),
        cascade: false,
        notices: Vec::new(),
        only_storage: false,
        bound: None,
        children: Vec::new(),
    })))
}

pub(super) fn drop_constraint(table: &mut Table, name: &str) -> bool {
    if table.primary_key_name.as_deref() == Some(name) {
        table.primary_key.clear();
        table.primary_key_name = None;
        return true;
    }
    let before = table.checks.len() + table.foreign_keys.len() + table.indexes.len();
    table.checks.retain(|check| check.name != name);
    table.foreign_keys.retain(|key| key.name != name);
    table
        .indexes
        .retain(|index| !(index.constraint && index.name == name));
    table.checks.len() + table.foreign_keys.len() + table.indexes.len() != before
}
