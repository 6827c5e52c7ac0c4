//! CREATE TABLE: columns and where they come from. Constraints are in [`constraints`].

mod alter;
mod alter_column;
mod attach;
mod constraints;
mod drop;
mod enum_type;
mod family;
mod foreign_key;
mod index;
mod named_type;
mod names;
mod parameters;
mod partition;
mod rename;
mod row_expressions;
mod sequence;
pub(super) mod view;

use super::{Binder, unsupported};
use crate::{
    ast::{self, ObjectName, TableBody, TableElement},
    bound::{BoundStatement, CreateTable, Definition, SequenceDefinition},
    catalog::{
        CatalogReader, Column, ColumnNumber, Table, TableId, TableKind, TableStorage,
        access::Privileges,
    },
    error::{Error, Result, SqlState},
    span::Span,
};
use names::Names;
use parameters::Target;
pub(super) use view::simple_source;

/// PostgreSQL's MaxHeapAttributeNumber.
const MAX_COLUMNS: usize = 1600;

/// PostgreSQL's INDEX_MAX_KEYS.
const MAX_KEY_COLUMNS: usize = 32;

/// A table that is being defined.
struct Draft {
    table: Table,
    names: Names,
    sequences: Vec<(usize, SequenceDefinition)>,
}

impl Draft {
    fn of(table: Table) -> Draft {
        Draft {
            names: Names::of(&table),
            table,
            sequences: Vec::new(),
        }
    }

    /// The name that a constraint over columns is given, or one that says which they are.
    fn constraint_name(
        &mut self,
        name: Option<&ast::Ident>,
        ordinals: &[usize],
        ending: &str,
    ) -> String {
        match name {
            Some(name) => name.name.clone(),
            None => {
                let columns = &self.table.columns;
                let parts: Vec<&str> = ordinals
                    .iter()
                    .map(|ordinal| columns[*ordinal].name.as_str())
                    .collect();
                self.names.make(&parts, ending)
            }
        }
    }
}

impl<'a> Binder<'a> {
    /// The schema that a new object of that name goes to.
    fn new_schema(&self, name: &ObjectName, temporary: bool) -> Result<String> {
        if name.parts.len() > 2 {
            return Err(unsupported("names of other databases are", name.span));
        }
        if temporary {
            let own = self.catalog.temporary_schema();
            let named = name.qualifier().map(|schema| schema.name.as_str());
            return match (own, named) {
                (Some(own), None | Some("pg_temp")) => Ok(own.to_owned()),
                (Some(own), Some(named)) if named == own => Ok(own.to_owned()),
                (None, _) => Err(unsupported(
                    "temporary objects without a session are",
                    name.span,
                )),
                _ => Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "cannot create temporary relation in non-temporary schema",
                )
                .at(name.span)),
            };
        }
        match name.qualifier() {
            Some(schema) if self.catalog.has_schema(&schema.name) => {
                if schema.name.starts_with("pg_") || crate::system::is_schema(&schema.name) {
                    return Err(Error::new(
                        SqlState("42501"),
                        format!("permission denied to create \"{name}\""),
                    )
                    .detail("System catalog modifications are currently disallowed.")
                    .at(name.span));
                }
                Ok(schema.name.clone())
            }
            Some(schema) => Err(no_schema(&schema.name, schema.span)),
            None => match self.catalog.current_schema() {
                Some(schema) if crate::system::is_schema(schema) => Err(Error::new(
                    SqlState("42501"),
                    format!("permission denied to create \"{schema}.{name}\""),
                )
                .detail("System catalog modifications are currently disallowed.")
                .at(name.span)),
                Some(schema) => Ok(schema.to_owned()),
                None => Err(Error::new(
                    SqlState("3F000"),
                    "no schema has been selected to create in",
                )
                .at(name.span)
                .hint("Name one, or put one that exists into search_path.")),
            },
        }
    }

    /// Whether a relation of that name is in a schema.
    fn relation_exists(&self, schema: &str, name: &str) -> Result<bool> {
        Ok(self.catalog.table(Some(schema), name)?.is_some()
            || self.catalog.table_of_index(Some(schema), name)?.is_some()
            || self.catalog.sequence(Some(schema), name)?.is_some())
    }

    pub(super) fn create_table(&mut self, create: &'a ast::CreateTable) -> Result<BoundStatement> {
        let name = create.name.last();
        let schema = self.new_schema(&create.name, create.temporary.is_some())?;
        let exists = self
            .relation_exists(&schema, &name.name)
            .map_err(|error| error.at(create.name.span))?;
        if exists && !create.if_not_exists {
            return Err(relation_exists(&name.name, create.name.span)
                .hint("Choose another name, or write CREATE TABLE IF NOT EXISTS."));
        }
        if !exists {
            self.refuse_name_of_type(&schema, &name.name, create.name.span)?;
        }
        let mut draft = Draft::of(Table::new(TableId(0), schema, name.name.clone(), 0));
        draft.table.storage = storage(create.method.as_ref())?;
        draft.table.parameters = parameters::checked(Target::Table, &create.parameters)?;
        let mut source = None;
        let mut bound = None;
        let tag = match &create.body {
            TableBody::Definitions { .. } => "CREATE TABLE",
            TableBody::Query { .. } => "CREATE TABLE AS",
        };
        match &create.body {
            TableBody::Definitions {
                elements,
                constraints,
            } => {
                if let Some(of) = &create.partition_of {
                    bound = Some(self.partition_of(&mut draft, of)?);
                }
                self.inherit(&mut draft, &create.inherits)?;
                self.define(&mut draft, elements, constraints)?;
            }
            TableBody::Query {
                columns,
                query,
                with_data,
            } => {
                let bound = self.settled_query(query)?;
                if columns.len() > bound.columns.len() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "too many column names were specified",
                    )
                    .at(columns.first().map_or(query.span, |name| name.span)));
                }
                for (index, column) in bound.columns.iter().enumerate() {
                    let given = columns.get(index);
                    let column_name = given.map_or(&column.name, |given| &given.name);
                    let span = given.map_or(query.span, |given| given.span);
                    if draft.table.column(column_name).is_some() {
                        return Err(duplicate_column(column_name, span)
                            .hint("Give the query's columns different names with AS."));
                    }
                    push_column(&mut draft.table, column_name.clone(), column.data_type);
                }
                if *with_data {
                    let ids = bound.columns.iter().map(|column| column.id).collect();
                    source = Some((bound.plan, ids));
                }
            }
        }
        if draft.table.columns.len() > MAX_COLUMNS {
            return Err(too_many_columns(create.name.span));
        }
        if let Some(by) = &create.partition_by {
            if !create.inherits.is_empty() {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "cannot create partitioned table as inheritance child",
                )
                .at(by.span));
            }
            self.partition_by(&mut draft, by)?;
            partition::keys_cover_partitioning(&draft.table, by.span)?;
        }
        draft.table.new_row_version();
        Ok(BoundStatement::Definition(Box::new(
            Definition::CreateTable(CreateTable {
                table: draft.table,
                bound,
                temporary: create.temporary,
                exists,
                sequences: draft.sequences,
                tag,
                source,
            }),
        )))
    }

    fn define(
        &mut self,
        draft: &mut Draft,
        elements: &'a [TableElement],
        constraints: &'a [ast::TableConstraint],
    ) -> Result<()> {
        // Names that are given come first, so that generated ones step aside.
        for element in elements {
            if let TableElement::Column(ast::ColumnDefinition { constraints, .. })
            | TableElement::Options { constraints, .. } = element
            {
                constraints::take_names(&mut draft.names, constraints)?;
            }
        }
        let inherited = draft.table.columns.len();
        for name in constraints.iter().filter_map(|of| of.name.as_ref()) {
            draft.names.take(name)?;
        }
        let mut columns = Vec::new();
        for element in elements {
            match element {
                TableElement::Column(column) => {
                    let ordinal = match self.merged_column(draft, inherited, column)? {
                        Some(ordinal) => ordinal,
                        None => self.add_column(draft, column)?,
                    };
                    columns.push((ordinal, &column.name, &column.constraints, column.span));
                }
                TableElement::Options {
                    name,
                    constraints,
                    span,
                } => {
                    let ordinal = super::data::table_column(&draft.table, name)?;
                    if columns.iter().any(|(known, ..)| *known == ordinal) {
                        return Err(duplicate_column(&name.name, name.span));
                    }
                    partition::forget_replaced(&mut draft.table.columns[ordinal], constraints);
                    columns.push((ordinal, name, constraints, *span));
                }
                TableElement::Like { table, options } => self.table_like(draft, table, options)?,
            }
        }
        for (ordinal, name, constraints, span) in columns {
            self.column_constraints(draft, ordinal, name, constraints, span)?;
        }
        for constraint in constraints {
            self.table_constraint(draft, constraint)?;
        }
        Ok(())
    }

    /// LIKE: the columns of another table, and what INCLUDING asks for.
    fn table_like(
        &mut self,
        draft: &mut Draft,
        name: &'a ObjectName,
        options: &'a [(bool, ast::Ident)],
    ) -> Result<()> {
        let like = self.table(name)?;
        self.note_need(&like, Privileges::SELECT, Some(&[]));
        let mut included: Vec<&str> = Vec::new();
        for (including, option) in options {
            let all = [
                "comments",
                "compression",
                "constraints",
                "defaults",
                "generated",
                "identity",
                "indexes",
                "statistics",
                "storage",
            ];
            let named: Vec<&str> = match option.name.as_str() {
                "all" => all.to_vec(),
                known if all.contains(&known) => vec![known],
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "syntax error: LIKE knows no option {}",
                            other.to_uppercase()
                        ),
                    )
                    .at(option.span));
                }
            };
            if *including {
                included.extend(named);
            } else {
                included.retain(|known| !named.contains(known));
            }
        }
        let includes = |what: &str| included.contains(&what);
        let first = draft.table.columns.len();
        for column in &like.columns {
            if draft.table.column(&column.name).is_some() {
                return Err(duplicate_column(&column.name, name.span));
            }
            let ordinal = push_column(&mut draft.table, column.name.clone(), column.data_type);
            let made = &mut draft.table.columns[ordinal];
            made.not_null = column.not_null;
            if includes("defaults") {
                made.default.clone_from(&column.default);
            }
            if includes("generated") {
                made.generated.clone_from(&column.generated);
            }
            if let Some(identity) = column.identity
                && includes("identity")
                && let Some(of) = self.catalog.sequence_by_id(identity.sequence)
            {
                let sequence = crate::catalog::Sequence {
                    name: self.sequence_name(&draft.table, &column.name)?,
                    schema: draft.table.schema.clone(),
                    owner: None,
                    ..(*of).clone()
                };
                self.identity_column(draft, ordinal, sequence, identity.always);
            }
        }
        if includes("constraints") {
            for check in &like.checks {
                let mut check = check.clone();
                check.oid = 0;
                check.name = draft.names.make_from(&check.name);
                draft.table.checks.push(check);
            }
        }
        if includes("indexes") {
            if !like.primary_key.is_empty() && draft.table.primary_key.is_empty() {
                draft.table.primary_key = like.primary_key.iter().map(|at| at + first).collect();
                draft.table.primary_key_name = Some(draft.names.make(&[], "pkey"));
            }
            for index in &like.indexes {
                let mut index = index.clone();
                let width = like.columns.len();
                // Computed keys stand behind the columns: they move when more columns come.
                if !index.expressions.is_empty() {
                    return Err(unsupported(
                        "LIKE INCLUDING INDEXES with indexes on expressions is",
                        name.span,
                    ));
                }
                let columns: Vec<&str> = index
                    .columns
                    .iter()
                    .filter(|column| column.ordinal < width)
                    .map(|column| like.columns[column.ordinal].name.as_str())
                    .collect();
                index.id = crate::catalog::IndexId(0);
                let suffix = if index.constraint { "key" } else { "idx" };
                index.name = draft.names.make(&columns, suffix);
                for column in &mut index.columns {
                    column.ordinal += first;
                }
                for ordinal in &mut index.included {
                    *ordinal += first;
                }
                draft.table.indexes.push(index);
            }
        }
        if first > 0 {
            // Expressions name columns by their places.
            self.rebind(&mut draft.table)?;
        }
        Ok(())
    }

    /// Binds the expressions of a definition again, after its columns have moved.
    fn rebind(&self, table: &mut Table) -> Result<()> {
        rebind(table, self.types)
    }
}

/// Binds the expressions of a definition again, but for defaults that name no column.
pub(crate) fn rebind(table: &mut Table, types: &dyn CatalogReader) -> Result<()> {
    let whole = table.clone();
    let again = |(text, expr): &mut (String, crate::bound::Expr)| -> Result<()> {
        let data_type = expr.data_type;
        *expr = super::stored_expression(text, &whole, data_type, types)?;
        Ok(())
    };
    for check in &mut table.checks {
        check.predicate = super::bind_expression(&check.text, &whole, types)?;
    }
    for column in &mut table.columns {
        column.generated.as_mut().map(again).transpose()?;
    }
    for index in &mut table.indexes {
        for expression in &mut index.expressions {
            again(expression)?;
        }
        index.predicate.as_mut().map(again).transpose()?;
    }
    for key in table.partitioning.iter_mut().flat_map(|of| &mut of.keys) {
        again(key)?;
    }
    Ok(())
}

/// The storage that USING asks for.
fn storage(method: Option<&ast::Ident>) -> Result<TableStorage> {
    let Some(method) = method else {
        return Ok(TableStorage::default());
    };
    TableStorage::named(&method.name).ok_or_else(|| {
        let known: Vec<&str> = TableStorage::ALL.map(TableStorage::name).to_vec();
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{}\" does not exist", method.name),
        )
        .at(method.span)
        .hint(format!("A table can be stored as {}.", known.join(", ")))
    })
}

/// Adds a column; gives its ordinal.
fn push_column(table: &mut Table, name: String, data_type: crate::types::DataType) -> usize {
    let number = ColumnNumber(table.next_column);
    table.next_column += 1;
    // Computed keys of indexes are numbered behind the columns.
    let width = table.columns.len();
    for index in &mut table.indexes {
        for column in &mut index.columns {
            if column.ordinal >= width {
                column.ordinal += 1;
            }
        }
    }
    table.columns.push(Column::new(number, name, data_type));
    width
}

/// Fails where the table is not one of rows in storage.
fn must_be_table(table: &Table, span: Span) -> Result<()> {
    match table.kind {
        TableKind::Table => return Ok(()),
        TableKind::System(_) => return Err(super::data::system_catalog(table, span)),
        TableKind::View(_) => {}
    }
    Err(Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{}\" is not a table", table.name),
    )
    .at(span))
}

fn no_schema(name: &str, span: Span) -> Error {
    Error::new(
        SqlState("3F000"),
        format!("schema \"{name}\" does not exist"),
    )
    .at(span)
}

fn relation_exists(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::DUPLICATE_TABLE,
        format!("relation \"{name}\" already exists"),
    )
    .at(span)
}

fn too_many_columns(span: Span) -> Error {
    Error::new(
        SqlState::TOO_MANY_COLUMNS,
        format!("a table has at most {MAX_COLUMNS} columns"),
    )
    .at(span)
}

fn duplicate_column(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::DUPLICATE_COLUMN,
        format!("column \"{name}\" specified more than once"),
    )
    .at(span)
}
