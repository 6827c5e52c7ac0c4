//! Foreign keys of a table that is being made or altered.

use std::sync::Arc;

use super::Draft;
use crate::{
    ast::{Ident, References},
    binder::{Binder, coerce, data::table_column, unsupported},
    catalog::{ColumnNumber, Deferral, ForeignKey, Table, TableId, TableKind, access::Privileges},
    error::{Error, Result, SqlState},
};

impl<'a> Binder<'a> {
    /// FOREIGN KEY: the parent, a unique key of it, and the actions.
    pub(super) fn foreign_key(
        &mut self,
        draft: &mut Draft,
        columns: Vec<usize>,
        references: &'a References,
        name: Option<&Ident>,
        deferral: Deferral,
        validated: bool,
    ) -> Result<()> {
        let span = references.span;
        let parent_name = references.table.last();
        let schema = references.table.qualifier().map(|of| of.name.as_str());
        let itself = parent_name.name == draft.table.name
            && schema.is_none_or(|schema| schema == draft.table.schema);
        let own;
        let parent: &Table = if itself {
            own = Arc::new(draft.table.clone());
            &own
        } else {
            own = self.table(&references.table)?;
            &own
        };
        if !matches!(parent.kind, TableKind::Table) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("referenced relation \"{}\" is not a table", parent.name),
            )
            .at(references.table.span));
        }
        if parent.partitioning.is_some() {
            return Err(unsupported(
                "foreign keys that refer to partitioned tables are",
                references.table.span,
            ));
        }
        let parent_ordinals = if references.columns.is_empty() {
            if parent.primary_key.is_empty() {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "there is no primary key for referenced table \"{}\"",
                        parent.name
                    ),
                )
                .at(references.table.span));
            }
            parent.primary_key.clone()
        } else {
            references
                .columns
                .iter()
                .map(|column| {
                    parent.column(&column.name).ok_or_else(|| {
                        Error::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!(
                                "column \"{}\" referenced in foreign key constraint does not exist",
                                column.name
                            ),
                        )
                        .at(column.span)
                    })
                })
                .collect::<Result<Vec<_>>>()?
        };
        if parent_ordinals.len() != columns.len() {
            return Err(Error::new(
                SqlState("42830"),
                "number of referencing and referenced columns for foreign key disagree",
            )
            .at(span));
        }
        if !itself {
            self.note_need(&own, Privileges::REFERENCES, Some(&parent_ordinals));
        }
        let numbers: Vec<ColumnNumber> = parent_ordinals
            .iter()
            .map(|ordinal| parent.columns[*ordinal].number)
            .collect();
        if !parent.has_unique_key(&numbers) {
            return Err(Error::new(
                SqlState("42830"),
                format!(
                    "there is no unique constraint matching given keys for referenced table \"{}\"",
                    parent.name
                ),
            )
            .at(span));
        }
        let name = draft.constraint_name(name, &columns, "fkey");
        for (ordinal, parent_ordinal) in columns.iter().zip(&parent_ordinals) {
            let column = &draft.table.columns[*ordinal];
            let to = &parent.columns[*parent_ordinal];
            if coerce::common_type([column.data_type, to.data_type]).is_err() {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("foreign key constraint \"{name}\" cannot be implemented"),
                )
                .detail(format!(
                    "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                    column.name, to.name, column.data_type, to.data_type
                ))
                .at(span));
            }
            if column.generated.is_some()
                && (references.on_update != Default::default()
                    || !matches!(
                        references.on_delete,
                        crate::catalog::ReferentialAction::NoAction
                            | crate::catalog::ReferentialAction::Restrict
                            | crate::catalog::ReferentialAction::Cascade
                    ))
            {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "invalid referential action for a foreign key constraint containing a generated column",
                )
                .at(span));
            }
        }
        let mut set_columns = Vec::with_capacity(references.set_columns.len());
        for column in &references.set_columns {
            let ordinal = table_column(&draft.table, column)?;
            if !columns.contains(&ordinal) {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!(
                        "column \"{}\" referenced in ON DELETE SET action must be part of foreign key",
                        column.name
                    ),
                )
                .at(column.span));
            }
            set_columns.push(ordinal);
        }
        let parent = if itself { TableId::ITSELF } else { parent.id };
        draft.table.foreign_keys.push(ForeignKey {
            name,
            columns,
            parent,
            parent_columns: numbers,
            on_delete: references.on_delete,
            on_update: references.on_update,
            set_columns,
            match_full: references.match_full,
            deferral,
            validated,
            oid: 0,
        });
        Ok(())
    }
}
