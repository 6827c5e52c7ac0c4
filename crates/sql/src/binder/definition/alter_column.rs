//! ALTER TABLE of one column: dropping it, and ALTER COLUMN.

use std::sync::Arc;

use super::{alter::Alteration, row_expressions::column_ids};
use crate::{
    ast::{self, ColumnAction, Ident},
    binder::{Binder, data::table_column, unsupported},
    bound::{ColumnId, Expr, ExprKind},
    error::{Error, Result, SqlState},
    types::CastContext,
};

impl<'a> Binder<'a> {
    pub(super) fn drop_column(
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

    pub(super) fn alter_column(
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
                let text = self.kept_text(value)?;
                draft.table.columns[ordinal].default =
                    (!null).then_some((text, bound));
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
        let named = match data_type.dimensions {
            0 => self.named_type(data_type)?,
            _ => None,
        };
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
                super::row_expressions::refuse_subqueries(&bound, "transform expression")?;
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
        column.named_type = named
            .filter(|named| named.as_enum().is_none())
            .map(|named| named.id);
        column.before = crate::types::Value::Null;
        alteration.values.retain(|(of, _)| *of != number);
        alteration.values.push((number, value));
        self.rebind(&mut draft.table)
    }
}
