//! ALTER TABLE: the definition as it is to be. What follows for rows and indexes, the engine
//! finds by comparing the two.

use std::sync::Arc;

use super::{
    Draft,
    constraints::column_ids,
    parameters::{self, Target},
    relation_exists,
};
use crate::{
    ast::{self, AlterAction, ColumnAction, Ident, ObjectKind},
    binder::{Binder, data::table_column, unsupported},
    bound::{AlterTable, BoundStatement, ColumnId, Definition, Expr, ExprKind},
    catalog::{ColumnNumber, SequenceId, Table, TableKind},
    error::{Error, Result, SqlState},
    types::CastContext,
};

/// A table that is being altered.
pub(super) struct Alteration {
    old: Arc<Table>,
    pub(super) draft: Draft,
    values: Vec<(ColumnNumber, Expr)>,
    dropped_sequences: Vec<SequenceId>,
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

    fn drop_column(
        &mut self,
        alteration: &mut Alteration,
        name: &Ident,
        cascade: bool,
    ) -> Result<()> {
        let draft = &mut alteration.draft;
        let ordinal = table_column(&draft.table, name)?;
        super::partition::refuse_key_column(&draft.table, ordinal, "drop", name.span)?;
        let table = &mut draft.table;
        let reads = |expr: &Expr| {
            let mut ids = Vec::new();
            column_ids(expr, &mut ids);
            ids.contains(&ColumnId(ordinal as u32))
        };
        // Generated columns of it go only when asked for.
        let dependent: Vec<String> = table
            .columns
            .iter()
            .filter(|of| of.generated.as_ref().is_some_and(|(_, expr)| reads(expr)))
            .map(|of| of.name.clone())
            .collect();
        if let Some(first) = dependent.first()
            && !cascade
        {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop column {} of table {} because other objects depend on it",
                    name.name, table.name
                ),
            )
            .detail(format!(
                "column {first} of table {} depends on column {} of table {}",
                table.name, name.name, table.name
            ))
            .at(name.span)
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for dependent in dependent {
            let dependent = Ident {
                name: dependent,
                quoted: true,
                span: name.span,
            };
            self.drop_column(alteration, &dependent, cascade)?;
        }
        let draft = &mut alteration.draft;
        let ordinal = table_column(&draft.table, name)?;
        let table = &mut draft.table;
        let width = table.columns.len();
        let reads = |expr: &Expr| {
            let mut ids = Vec::new();
            column_ids(expr, &mut ids);
            ids.contains(&ColumnId(ordinal as u32))
        };
        // Constraints and indexes that need it go with it.
        table.checks.retain(|check| !reads(&check.predicate));
        table
            .foreign_keys
            .retain(|key| !key.columns.contains(&ordinal));
        table.indexes.retain(|index| {
            !index.columns.iter().any(|column| column.ordinal == ordinal)
                && !index.included.contains(&ordinal)
                && !index.expressions.iter().any(|(_, expr)| reads(expr))
                && !index
                    .predicate
                    .as_ref()
                    .is_some_and(|(_, expr)| reads(expr))
        });
        if table.primary_key.contains(&ordinal) {
            table.primary_key.clear();
            table.primary_key_name = None;
        }
        let column = table.columns.remove(ordinal);
        alteration
            .values
            .retain(|(number, _)| *number != column.number);
        if let Some(identity) = column.identity {
            alteration.dropped_sequences.push(identity.sequence);
        }
        draft.sequences.retain(|(of, _)| *of != ordinal);
        let moved = |at: &mut usize| {
            if *at > ordinal {
                *at -= 1;
            }
        };
        for (at, _) in &mut draft.sequences {
            moved(at);
        }
        table.primary_key.iter_mut().for_each(moved);
        for index in &mut table.indexes {
            index
                .columns
                .iter_mut()
                .for_each(|column| moved(&mut column.ordinal));
            index.included.iter_mut().for_each(moved);
        }
        for key in &mut table.foreign_keys {
            key.columns.iter_mut().for_each(moved);
            key.set_columns.iter_mut().for_each(moved);
        }
        debug_assert!(table.columns.len() + 1 == width, "one column is gone");
        self.rebind(&mut draft.table)
    }

    fn alter_column(
        &mut self,
        alteration: &mut Alteration,
        ordinal: usize,
        name: &'a Ident,
        action: &'a ColumnAction,
    ) -> Result<()> {
        let draft = &mut alteration.draft;
        let table_name = draft.table.name.clone();
        let column = &mut draft.table.columns[ordinal];
        let wrong = |state: SqlState, what: &str| {
            Err(Error::new(
                state,
                format!(
                    "column \"{}\" of relation \"{table_name}\" {what}",
                    name.name
                ),
            )
            .at(name.span))
        };
        match action {
            ColumnAction::SetDefault(value) => {
                if column.identity.is_some() {
                    return wrong(SqlState::SYNTAX_ERROR, "is an identity column");
                }
                if column.generated.is_some() {
                    return wrong(SqlState::SYNTAX_ERROR, "is a generated column");
                }
                let data_type = column.data_type;
                let bound = self.default(value, data_type, name)?;
                let null = matches!(value.kind, ast::ExprKind::Null);
                draft.table.columns[ordinal].default =
                    (!null).then(|| (value.to_string(), bound));
            }
            ColumnAction::DropDefault => {
                if column.identity.is_some() {
                    return wrong(SqlState::SYNTAX_ERROR, "is an identity column");
                }
                if column.generated.is_some() {
                    return wrong(SqlState::SYNTAX_ERROR, "is a generated column");
                }
                column.default = None;
            }
            ColumnAction::SetNotNull => column.not_null = true,
            ColumnAction::DropNotNull => {
                if column.identity.is_some() {
                    return wrong(SqlState::SYNTAX_ERROR, "is an identity column");
                }
                if draft.table.primary_key.contains(&ordinal) {
                    return Err(Error::new(
                        SqlState::INVALID_TABLE_DEFINITION,
                        format!("column \"{}\" is in a primary key", name.name),
                    )
                    .at(name.span));
                }
                column.not_null = false;
            }
            ColumnAction::Type(data_type, using) => {
                return self.alter_type(alteration, ordinal, name, data_type, using.as_ref());
            }
            ColumnAction::AddIdentity { always, options } => {
                let state = SqlState::NOT_IN_PREREQUISITE_STATE;
                if column.identity.is_some() {
                    return wrong(state, "is already an identity column");
                }
                if column.default.is_some() {
                    return wrong(state, "already has a default value");
                }
                if !column.not_null {
                    return wrong(state, "must be declared NOT NULL before identity can be added");
                }
                let sequence =
                    self.column_sequence(&draft.table, ordinal, Some(options), name.span)?;
                self.identity_column(draft, ordinal, sequence, *always);
            }
            ColumnAction::SetGenerated(always) => match &mut column.identity {
                Some(identity) => identity.always = *always,
                None => {
                    return wrong(
                        SqlState::NOT_IN_PREREQUISITE_STATE,
                        "is not an identity column",
                    );
                }
            },
            ColumnAction::DropIdentity { if_exists } => match column.identity.take() {
                Some(identity) => alteration.dropped_sequences.push(identity.sequence),
                None if *if_exists => alteration.notices.push(format!(
                    "column \"{}\" of relation \"{table_name}\" is not an identity column, skipping",
                    name.name
                )),
                None => {
                    return wrong(
                        SqlState::NOT_IN_PREREQUISITE_STATE,
                        "is not an identity column",
                    );
                }
            },
            ColumnAction::DropExpression { if_exists } => match column.generated.take() {
                Some(_) => {}
                None if *if_exists => alteration.notices.push(format!(
                    "column \"{}\" of relation \"{table_name}\" is not a stored generated column, skipping",
                    name.name
                )),
                None => {
                    return wrong(
                        SqlState::NOT_IN_PREREQUISITE_STATE,
                        "is not a stored generated column",
                    );
                }
            },
        }
        Ok(())
    }

    /// ALTER COLUMN … TYPE: the old values converted, or what USING makes of the old row.
    fn alter_type(
        &mut self,
        alteration: &mut Alteration,
        ordinal: usize,
        name: &'a Ident,
        data_type: &'a ast::TypeName,
        using: Option<&'a ast::Expr>,
    ) -> Result<()> {
        let to = self.column_type(data_type)?;
        super::partition::refuse_key_column(&alteration.draft.table, ordinal, "alter", name.span)?;
        let draft = &mut alteration.draft;
        let column = &draft.table.columns[ordinal];
        let number = column.number;
        if column.generated.is_some() && using.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot specify USING when altering type of generated column",
            )
            .at(name.span));
        }
        let Some(old_ordinal) = alteration.old.ordinal(number) else {
            return Err(unsupported(
                "changing the type of a column that the same statement adds is",
                name.span,
            ));
        };
        let (value, context) = match using {
            Some(using) => {
                let old = Arc::clone(&alteration.old);
                let bound = self.row_expression(&old, using, "transform expressions")?;
                super::constraints::refuse_subqueries(&bound, "transform expression")?;
                (bound, CastContext::Assignment)
            }
            None => (
                Expr {
                    kind: ExprKind::Column(ColumnId(old_ordinal as u32)),
                    data_type: alteration.old.columns[old_ordinal].data_type,
                    nullable: true,
                    span: name.span,
                },
                CastContext::Assignment,
            ),
        };
        let value = self.coerce(value, to, context).map_err(|error| {
            if error.state() != SqlState::CANNOT_COERCE {
                return error;
            }
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" cannot be cast automatically to type {to}",
                    name.name
                ),
            )
            .at(name.span)
            .hint(format!(
                "You might need to specify \"USING {}::{to}\".",
                name.name
            ))
        })?;
        let draft = &mut alteration.draft;
        if let Some((text, default)) = draft.table.columns[ordinal].default.take() {
            let bound = self
                .coerce(default, to, CastContext::Assignment)
                .map_err(|_| {
                    Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "default for column \"{}\" cannot be cast automatically to type {to}",
                            name.name
                        ),
                    )
                    .at(name.span)
                })?;
            draft.table.columns[ordinal].default = Some((text, bound));
        }
        let column = &mut draft.table.columns[ordinal];
        column.data_type = to;
        column.before = crate::types::Value::Null;
        alteration.values.retain(|(of, _)| *of != number);
        alteration.values.push((number, value));
        self.rebind(&mut draft.table)
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

/// A name as it is to be written into kept SQL.
fn requoted(name: &Ident) -> Ident {
    Ident {
        quoted: true,
        ..name.clone()
    }
}

/// Changes the names in the SQL that the definition keeps.
fn rename_in_expressions(table: &mut Table, rename: &dyn Fn(&mut [Ident])) -> Result<()> {
    let change = |text: &mut String| -> Result<()> {
        let mut tree = crate::parser::parse_expression(text)?;
        ast::walk_expr_mut(&mut tree, &mut |expr| {
            if let ast::ExprKind::Column(name) = &mut expr.kind {
                rename(&mut name.parts);
            }
        });
        *text = tree.to_string();
        Ok(())
    };
    for check in &mut table.checks {
        change(&mut check.text)?;
    }
    for column in &mut table.columns {
        if let Some((text, _)) = &mut column.generated {
            change(text)?;
        }
    }
    for index in &mut table.indexes {
        for (text, _) in &mut index.expressions {
            change(text)?;
        }
        if let Some((text, _)) = &mut index.predicate {
            change(text)?;
        }
    }
    for (text, _) in table.partitioning.iter_mut().flat_map(|of| &mut of.keys) {
        change(text)?;
    }
    Ok(())
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

/// Renames a constraint or index; `false`: there is none of that name.
fn rename_constraint(table: &mut Table, from: &str, to: &Ident) -> bool {
    let names = table
        .checks
        .iter_mut()
        .map(|check| &mut check.name)
        .chain(table.foreign_keys.iter_mut().map(|key| &mut key.name))
        .chain(table.indexes.iter_mut().map(|index| &mut index.name))
        .chain(table.primary_key_name.as_mut());
    let mut found = false;
    for name in names.filter(|name| *name == from) {
        name.clone_from(&to.name);
        found = true;
    }
    found
}
