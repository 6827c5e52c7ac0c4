//! COPY.

use std::sync::Arc;

use super::{
    Binder,
    copy_options::{copy_options, set_columns},
    data::{default_of, table_column, twice},
    unsupported,
};
use crate::{
    ast::{self, CopyDirection, CopyPlace, CopySubject, Ident, ObjectName, StatementKind},
    bound::{BoundStatement, CopyFrom, CopyTo, OutputColumn},
    catalog::{Table, TableKind, access::Privileges},
    error::{Error, Result, SqlState},
    span::Span,
};

impl<'a> Binder<'a> {
    pub(super) fn copy(&mut self, copy: &'a ast::Copy) -> Result<BoundStatement> {
        if let CopyPlace::Program(_) = copy.place {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "COPY to or from a program is not supported: no statement starts programs",
            )
            .hint("Start the program yourself, and copy from STDIN or to STDOUT."));
        }
        match (copy.direction, &copy.subject) {
            (CopyDirection::From, CopySubject::Table { table, columns }) => {
                self.copy_from(copy, table, columns.as_deref())
            }
            (CopyDirection::From, CopySubject::Query(statement)) => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "COPY … FROM fills a table, not a query",
            )
            .at(statement.span)),
            (CopyDirection::To, subject) => self.copy_to(copy, subject),
        }
    }

    fn copy_from(
        &mut self,
        copy: &'a ast::Copy,
        name: &'a ObjectName,
        names: Option<&'a [Ident]>,
    ) -> Result<BoundStatement> {
        let table = self.table(name)?;
        if let Some(what) = not_stored(&table) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot copy to {what} \"{}\"", table.name),
            )
            .at(name.span));
        }
        if table.partitioning.is_some() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "COPY does not divide rows among the partitions of \"{}\"",
                    table.name
                ),
            )
            .at(name.span)
            .hint(
                "Copy into its partitions, or into another table and INSERT … SELECT from there.",
            ));
        }
        let mut options = copy_options(copy)?;
        let columns = copied_columns(&table, names)?;
        self.note_need(&table, Privileges::INSERT, Some(&columns));
        set_columns(copy, &mut options, &columns_of(&table, &columns), &table)?;
        let defaults = table
            .columns
            .iter()
            .enumerate()
            .filter(|(ordinal, column)| column.generated.is_none() && !columns.contains(ordinal))
            .map(|(ordinal, _)| (ordinal, default_of(&table, ordinal, name.span)))
            .collect();
        let filter = match &copy.filter {
            None => None,
            Some(filter) => {
                Some(self.row_condition(&table, filter, "COPY FROM WHERE conditions")?)
            }
        };
        Ok(BoundStatement::CopyFrom(Box::new(CopyFrom {
            table,
            columns,
            defaults,
            filter,
            place: copy.place.clone(),
            options,
        })))
    }

    fn copy_to(&mut self, copy: &'a ast::Copy, subject: &'a CopySubject) -> Result<BoundStatement> {
        if let Some(filter) = &copy.filter {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "WHERE clause not allowed with COPY TO",
            )
            .at(filter.span)
            .hint("Copy a query: COPY (SELECT … WHERE …) TO …"));
        }
        let mut options = copy_options(copy)?;
        let statement = match subject {
            CopySubject::Table {
                table: name,
                columns,
            } => {
                let table = self.table(name)?;
                let what = match table.view() {
                    Some(_) => Some("view"),
                    None => table.partitioning.is_some().then_some("partitioned table"),
                };
                if let Some(what) = what {
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("cannot copy from {what} \"{}\"", table.name),
                    )
                    .at(name.span)
                    .hint("Try the COPY (SELECT ...) TO variant."));
                }
                let ordinals = copied_columns(&table, columns.as_deref())?;
                self.note_need(&table, Privileges::SELECT, Some(&ordinals));
                set_columns(copy, &mut options, &columns_of(&table, &ordinals), &table)?;
                self.stored_rows(&table, &ordinals, name.span)?
            }
            CopySubject::Query(statement) => {
                let bound = self.copied_statement(statement)?;
                let names: Vec<String> = match &bound {
                    BoundStatement::Query { columns, .. } => {
                        columns.iter().map(|column| column.name.clone()).collect()
                    }
                    BoundStatement::Change(change) => match &change.returning {
                        Some(returning) => returning
                            .columns
                            .iter()
                            .map(|column| column.name.clone())
                            .collect(),
                        None => {
                            return Err(Error::new(
                                SqlState::FEATURE_NOT_SUPPORTED,
                                "COPY query must have a RETURNING clause",
                            )
                            .at(statement.span));
                        }
                    },
                    _ => return Err(unsupported("COPY of this statement is", statement.span)),
                };
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                set_columns(copy, &mut options, &names, "the query")?;
                bound
            }
        };
        Ok(BoundStatement::CopyTo(Box::new(CopyTo {
            statement,
            place: copy.place.clone(),
            options,
        })))
    }

    fn copied_statement(&mut self, statement: &'a ast::Statement) -> Result<BoundStatement> {
        if matches!(statement.kind, StatementKind::CreateTable(_)) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "COPY (SELECT INTO) is not supported",
            )
            .at(statement.span));
        }
        self.statement(statement)
    }

    /// A query of these columns of all rows of a table.
    fn stored_rows(
        &mut self,
        table: &Arc<Table>,
        ordinals: &[usize],
        span: Span,
    ) -> Result<BoundStatement> {
        let (plan, columns) = self.scan(table, None, span)?;
        let columns = ordinals
            .iter()
            .filter_map(|ordinal| columns.get(*ordinal))
            .map(|column| OutputColumn {
                id: column.id,
                name: column.name.clone(),
                data_type: column.data_type,
                nullable: column.nullable,
            })
            .collect();
        Ok(BoundStatement::Query { plan, columns })
    }
}

/// What it is, where it is no table with rows of its own.
fn not_stored(table: &Table) -> Option<&'static str> {
    match table.kind {
        TableKind::Table => None,
        TableKind::View(_) => Some("view"),
        TableKind::System(_) => Some("system table"),
    }
}

fn columns_of<'t>(table: &'t Table, ordinals: &[usize]) -> Vec<&'t str> {
    ordinals
        .iter()
        .filter_map(|ordinal| table.columns.get(*ordinal))
        .map(|column| column.name.as_str())
        .collect()
}

/// The columns that are named, or all that are not generated.
fn copied_columns(table: &Table, names: Option<&[Ident]>) -> Result<Vec<usize>> {
    let Some(names) = names else {
        let stored = |ordinal: &usize| table.columns[*ordinal].generated.is_none();
        return Ok((0..table.columns.len()).filter(stored).collect());
    };
    let mut ordinals = Vec::with_capacity(names.len());
    for name in names {
        let ordinal = table_column(table, name)?;
        if table.columns[ordinal].generated.is_some() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("column \"{}\" is a generated column", name.name),
            )
            .at(name.span)
            .detail("Generated columns cannot be used in COPY."));
        }
        if ordinals.contains(&ordinal) {
            return Err(twice(name));
        }
        ordinals.push(ordinal);
    }
    Ok(ordinals)
}
