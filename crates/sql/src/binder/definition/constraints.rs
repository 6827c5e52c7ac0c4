//! Columns and constraints of a table that is being made or altered.

use std::sync::Arc;

use super::{
    Draft, MAX_COLUMNS, MAX_KEY_COLUMNS, Names, duplicate_column, push_column, too_many_columns,
};
use crate::{
    ast::{
        self, ColumnConstraintKind, ExprKind as A, Ident, References, TableConstraintKind,
        TypeNameKind,
    },
    binder::{
        Binder, NoTables, Place, coerce, data::table_column, expr::with_hint, scope::Scope,
        scope::ScopeColumn, suggest, unsupported,
    },
    bound::{ColumnId, Expr},
    catalog::{
        Check, ColumnNumber, Deferral, ForeignKey, Index, IndexColumn, IndexId, Table, TableId,
        TableKind, access::Privileges,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

/// Takes the names that a column's constraints are given.
pub(super) fn take_names(names: &mut Names, constraints: &[ast::ColumnConstraint]) -> Result<()> {
    for constraint in constraints {
        let named = !matches!(
            constraint.kind,
            ColumnConstraintKind::NotNull
                | ColumnConstraintKind::Null
                | ColumnConstraintKind::Default(_)
                | ColumnConstraintKind::Identity { .. }
                | ColumnConstraintKind::Generated(_)
        );
        if let Some(name) = &constraint.name
            && named
        {
            names.take(name)?;
        }
    }
    Ok(())
}

/// The type behind `serial` and its like.
fn serial_type(data_type: &ast::TypeName) -> Option<DataType> {
    let TypeNameKind::Named { name, arguments } = &data_type.kind else {
        return None;
    };
    if name.parts.len() != 1 || !arguments.is_empty() || data_type.dimensions > 0 {
        return None;
    }
    match name.last().name.as_str() {
        "smallserial" | "serial2" => Some(DataType::Int2),
        "serial" | "serial4" => Some(DataType::Int4),
        "bigserial" | "serial8" => Some(DataType::Int8),
        _ => None,
    }
}

impl<'a> Binder<'a> {
    /// Adds a column with its type; gives its ordinal.
    pub(super) fn add_column(
        &mut self,
        draft: &mut Draft,
        column: &'a ast::ColumnDefinition,
    ) -> Result<usize> {
        if draft.table.column(&column.name.name).is_some() {
            return Err(duplicate_column(&column.name.name, column.name.span));
        }
        if draft.table.columns.len() >= MAX_COLUMNS {
            return Err(too_many_columns(column.name.span));
        }
        let serial = serial_type(&column.data_type);
        let named = if column.data_type.dimensions == 0 {
            self.named_type(&column.data_type)?
        } else {
            None
        };
        let data_type = match (serial, &named) {
            (Some(data_type), _) => data_type,
            (None, Some(named)) => named.base().ok_or_else(|| {
                crate::binder::type_names::shell(&named.name, column.data_type.span)
            })?,
            (None, None) => self.column_type(&column.data_type)?,
        };
        let element = data_type.element().unwrap_or(data_type);
        if matches!(element, DataType::Object(_)) {
            return Err(unsupported(
                &format!("a column of type {data_type} is"),
                column.data_type.span,
            )
            .hint("Use oid: the name that a number stands for may change."));
        }
        let ordinal = push_column(&mut draft.table, column.name.name.clone(), data_type);
        draft.table.columns[ordinal].named_type = named.map(|named| named.id);
        if serial.is_some() {
            self.serial_column(draft, ordinal, data_type)?;
        }
        Ok(ordinal)
    }

    /// Adds the constraints that stand behind a column.
    pub(super) fn column_constraints(
        &mut self,
        draft: &mut Draft,
        ordinal: usize,
        column: &'a Ident,
        constraints: &'a [ast::ColumnConstraint],
        place: Span,
    ) -> Result<()> {
        let name = &column.name;
        let invalid =
            |message: String, span: Span| Err(Error::new(SqlState::SYNTAX_ERROR, message).at(span));
        let mut null: Option<bool> = None;
        for constraint in constraints {
            let span = constraint.span;
            let own = constraint.name.as_ref();
            match &constraint.kind {
                ColumnConstraintKind::NotNull | ColumnConstraintKind::Null => {
                    let not_null = matches!(constraint.kind, ColumnConstraintKind::NotNull);
                    if null.is_some_and(|known| known != not_null) {
                        return invalid(
                            format!(
                                "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{}\"",
                                draft.table.name
                            ),
                            span,
                        );
                    }
                    null = Some(not_null);
                    draft.table.columns[ordinal].not_null |= not_null;
                }
                ColumnConstraintKind::Default(value) => {
                    let of = &draft.table.columns[ordinal];
                    if of.default.is_some() {
                        return invalid(
                            format!(
                                "multiple default values specified for column \"{name}\" of table \"{}\"",
                                draft.table.name
                            ),
                            span,
                        );
                    }
                    if of.identity.is_some() || of.generated.is_some() {
                        return invalid(
                            both(draft, name, "default and identity or generation expression"),
                            span,
                        );
                    }
                    let bound = self.default(value, of.data_type, column)?;
                    draft.table.columns[ordinal].default = Some((value.to_string(), bound));
                }
                ColumnConstraintKind::Identity { always, options } => {
                    let of = &draft.table.columns[ordinal];
                    if of.default.is_some() || of.identity.is_some() || of.generated.is_some() {
                        return invalid(
                            both(draft, name, "default, identity and generation expression"),
                            span,
                        );
                    }
                    let sequence =
                        self.column_sequence(&draft.table, ordinal, Some(options), span)?;
                    self.identity_column(draft, ordinal, sequence, *always);
                }
                ColumnConstraintKind::Generated(value) => {
                    let of = &draft.table.columns[ordinal];
                    if of.default.is_some() || of.identity.is_some() || of.generated.is_some() {
                        return invalid(
                            both(draft, name, "default, identity and generation expression"),
                            span,
                        );
                    }
                    let bound = self.generation(&draft.table, ordinal, value)?;
                    draft.table.columns[ordinal].generated = Some((value.to_string(), bound));
                }
                ColumnConstraintKind::PrimaryKey => {
                    if null == Some(false) {
                        return invalid(
                            format!(
                                "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{}\"",
                                draft.table.name
                            ),
                            span,
                        );
                    }
                    no_deferral(constraint.deferral, "PRIMARY KEY", span)?;
                    primary_key(draft, vec![ordinal], own, span)?;
                }
                ColumnConstraintKind::Unique => {
                    no_deferral(constraint.deferral, "UNIQUE", span)?;
                    unique(draft, &[ordinal], &[], own);
                }
                ColumnConstraintKind::Check(condition) => {
                    let name = own.map_or_else(
                        || draft.names.make(&[name], "check"),
                        |name| name.name.clone(),
                    );
                    self.check(&mut draft.table, name, condition, true)?;
                }
                ColumnConstraintKind::References(references) => {
                    self.foreign_key(
                        draft,
                        vec![ordinal],
                        references,
                        own,
                        constraint.deferral,
                        true,
                    )?;
                }
            }
        }
        self.domain_constraints(draft, ordinal)?;
        if null == Some(false) && draft.table.columns[ordinal].identity.is_some() {
            return invalid(
                format!(
                    "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{}\"",
                    draft.table.name
                ),
                place,
            );
        }
        Ok(())
    }

    /// Adds a constraint of the table.
    pub(super) fn table_constraint(
        &mut self,
        draft: &mut Draft,
        constraint: &'a ast::TableConstraint,
    ) -> Result<()> {
        let span = constraint.span;
        let own = constraint.name.as_ref();
        match &constraint.kind {
            TableConstraintKind::PrimaryKey(columns) => {
                no_deferral(constraint.deferral, "PRIMARY KEY", span)?;
                let ordinals = key_columns(&draft.table, columns)?;
                primary_key(draft, ordinals, own, span)
            }
            TableConstraintKind::Unique(columns, included) => {
                no_deferral(constraint.deferral, "UNIQUE", span)?;
                let ordinals = key_columns(&draft.table, columns)?;
                let included = included
                    .iter()
                    .map(|name| table_column(&draft.table, name))
                    .collect::<Result<Vec<_>>>()?;
                unique(draft, &ordinals, &included, own);
                Ok(())
            }
            TableConstraintKind::Check(condition) => {
                let name = match own {
                    Some(name) => name.name.clone(),
                    None => {
                        let mut mentioned = Vec::new();
                        mentioned_columns(condition, &mut mentioned);
                        match mentioned.as_slice() {
                            [only] => draft.names.make(&[only], "check"),
                            _ => draft.names.make(&[], "check"),
                        }
                    }
                };
                self.check(&mut draft.table, name, condition, !constraint.not_valid)
            }
            TableConstraintKind::ForeignKey(columns, references) => {
                let ordinals = key_columns(&draft.table, columns)?;
                self.foreign_key(
                    draft,
                    ordinals,
                    references,
                    own,
                    constraint.deferral,
                    !constraint.not_valid,
                )
            }
        }
    }

    /// FOREIGN KEY: the parent, a unique key of it, and the actions.
    fn foreign_key(
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
        let column_names: Vec<String> = columns
            .iter()
            .map(|ordinal| draft.table.columns[*ordinal].name.clone())
            .collect();
        let name = match name {
            Some(name) => name.name.clone(),
            None => {
                let parts: Vec<&str> = column_names.iter().map(String::as_str).collect();
                draft.names.make(&parts, "fkey")
            }
        };
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

    /// DEFAULT: an expression without columns, of the column's type.
    pub(super) fn default(
        &mut self,
        value: &'a ast::Expr,
        data_type: DataType,
        column: &Ident,
    ) -> Result<Expr> {
        let outer = std::mem::take(&mut self.scopes);
        self.scopes.push(Scope::default());
        let bound = self.in_place(Place::Clause("DEFAULT expressions"), |binder| {
            binder.expr(value)
        });
        self.scopes = outer;
        let bound = bound.map_err(|error| match error.state() {
            SqlState::UNDEFINED_COLUMN => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(error.span().unwrap_or(value.span)),
            _ => error,
        })?;
        refuse_subqueries(&bound, "DEFAULT expression")?;
        let from = bound.data_type;
        let span = bound.span;
        self.coerce(bound, data_type, CastContext::Assignment)
            .map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {data_type} but default expression is of type {from}",
                        column.name
                    ),
                )
                .at(span),
                _ => error,
            })
    }

    /// GENERATED ALWAYS AS: an expression over the row that always gives the same.
    fn generation(&mut self, table: &Table, ordinal: usize, value: &'a ast::Expr) -> Result<Expr> {
        let bound = self.row_expression(table, value, "column generation expressions")?;
        refuse_subqueries(&bound, "column generation expression")?;
        let mut columns = Vec::new();
        column_ids(&bound, &mut columns);
        for ColumnId(of) in columns {
            let column = table.columns.get(of as usize);
            if column.is_some_and(|column| column.generated.is_some()) || of as usize == ordinal {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!(
                        "cannot use generated column \"{}\" in column generation expression",
                        column.map_or("", |column| &column.name)
                    ),
                )
                .at(value.span));
            }
        }
        if super::super::is_changeable(&bound) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "generation expression is not immutable",
            )
            .at(value.span));
        }
        let column = &table.columns[ordinal];
        let (from, span) = (bound.data_type, bound.span);
        self.coerce(bound, column.data_type, CastContext::Assignment)
            .map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {} but default expression is of type {from}",
                        column.name, column.data_type
                    ),
                )
                .at(span),
                _ => error,
            })
    }

    /// An expression over a row of the table: column `i` is [`ColumnId`] `i`.
    pub(in crate::binder) fn row_expression(
        &mut self,
        table: &Table,
        value: &'a ast::Expr,
        clause: &'static str,
    ) -> Result<Expr> {
        self.over_row(table, clause, |binder| {
            let bound = binder.expr(value)?;
            Ok(binder.settle(bound))
        })
        .map_err(|error| no_tables(error, clause, value.span))
    }

    /// A condition over a row of the table.
    pub(in crate::binder) fn row_condition(
        &mut self,
        table: &Table,
        condition: &'a ast::Expr,
        clause: &'static str,
    ) -> Result<Expr> {
        let bound = self
            .over_row(table, clause, |binder| binder.condition(condition, clause))
            .map_err(|error| no_tables(error, clause, condition.span))?;
        refuse_subqueries(&bound, clause)?;
        Ok(bound)
    }

    fn over_row<T>(
        &mut self,
        table: &Table,
        clause: &'static str,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<T>,
    ) -> Result<T> {
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(ordinal, column)| ScopeColumn {
                name: column.name.clone(),
                id: ColumnId(ordinal as u32),
                data_type: column.data_type.of_values(),
                nullable: true,
            })
            .collect();
        let mut scope = Scope::default();
        scope.add_relation(&table.name, Some(&table.schema), columns, None);
        let outer = std::mem::replace(&mut self.scopes, vec![scope]);
        let catalog = std::mem::replace(&mut self.catalog, &NoTables);
        let bound = self.in_place(Place::Clause(clause), bind);
        self.catalog = catalog;
        self.scopes = outer;
        bound
    }

    /// CHECK: a condition over the row.
    pub(super) fn check(
        &mut self,
        table: &mut Table,
        name: String,
        condition: &'a ast::Expr,
        validated: bool,
    ) -> Result<()> {
        let predicate = self.row_condition(table, condition, "CHECK")?;
        table.checks.push(Check {
            name,
            text: condition.to_string(),
            predicate,
            validated,
            oid: 0,
        });
        Ok(())
    }
}

fn both(draft: &Draft, column: &str, what: &str) -> String {
    format!(
        "both {what} specified for column \"{column}\" of table \"{}\"",
        draft.table.name
    )
}

/// Where a subquery names a table, the better message is that there can be no subquery.
fn no_tables(error: Error, clause: &str, span: Span) -> Error {
    if error.state() == SqlState::UNDEFINED_TABLE {
        return no_subquery(clause, error.span().unwrap_or(span));
    }
    error
}

fn no_deferral(deferral: Deferral, what: &str, span: Span) -> Result<()> {
    if deferral == Deferral::Deferred {
        return Err(unsupported(
            &format!("{what} constraints that are INITIALLY DEFERRED are"),
            span,
        )
        .hint("Keys are checked at the end of each statement, so that values may be exchanged."));
    }
    Ok(())
}

fn primary_key(
    draft: &mut Draft,
    ordinals: Vec<usize>,
    name: Option<&Ident>,
    span: Span,
) -> Result<()> {
    if !draft.table.primary_key.is_empty() {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!(
                "multiple primary keys for table \"{}\" are not allowed",
                draft.table.name
            ),
        )
        .at(span)
        .hint("For a key of several columns write PRIMARY KEY (a, b) once."));
    }
    for ordinal in &ordinals {
        draft.table.columns[*ordinal].not_null = true;
    }
    draft.table.primary_key = ordinals;
    draft.table.primary_key_name = Some(match name {
        Some(name) => name.name.clone(),
        None => draft.names.make(&[], "pkey"),
    });
    Ok(())
}

fn unique(draft: &mut Draft, ordinals: &[usize], included: &[usize], name: Option<&Ident>) {
    let columns: Vec<String> = ordinals
        .iter()
        .map(|ordinal| draft.table.columns[*ordinal].name.clone())
        .collect();
    let name = match name {
        Some(name) => name.name.clone(),
        None => {
            let parts: Vec<&str> = columns.iter().map(String::as_str).collect();
            draft.names.make(&parts, "key")
        }
    };
    draft.table.indexes.push(Index {
        id: IndexId(0),
        name,
        columns: ordinals
            .iter()
            .map(|ordinal| IndexColumn {
                ordinal: *ordinal,
                descending: false,
                nulls_first: false,
            })
            .collect(),
        expressions: Vec::new(),
        predicate: None,
        included: included.to_vec(),
        unique: true,
        constraint: true,
        parameters: Vec::new(),
        keyspace: 0,
    });
}

fn key_columns(table: &Table, names: &[Ident]) -> Result<Vec<usize>> {
    let mut ordinals = Vec::with_capacity(names.len());
    for name in names {
        let ordinal = table.column(&name.name).ok_or_else(|| {
            with_hint(
                Error::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{}\" named in key does not exist", name.name),
                )
                .at(name.span),
                suggest::did_you_mean(
                    &name.name,
                    table.columns.iter().map(|column| column.name.as_str()),
                ),
            )
        })?;
        if ordinals.contains(&ordinal) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" appears twice in the key", name.name),
            )
            .at(name.span));
        }
        ordinals.push(ordinal);
    }
    if ordinals.len() > MAX_KEY_COLUMNS {
        return Err(too_many_keys(
            ordinals.len(),
            names.first().map_or_else(Span::default, |name| name.span),
        ));
    }
    Ok(ordinals)
}

pub(super) fn too_many_keys(count: usize, span: Span) -> Error {
    Error::new(
        SqlState::TOO_MANY_COLUMNS,
        format!("a key has at most {MAX_KEY_COLUMNS} columns, this one has {count}"),
    )
    .at(span)
}

fn no_subquery(what: &str, span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot use subquery in {what}"),
    )
    .at(span)
}

pub(super) fn refuse_subqueries(expr: &Expr, what: &str) -> Result<()> {
    if expr.has_subquery() {
        return Err(no_subquery(what, expr.span));
    }
    Ok(())
}

/// The columns of its input that an expression reads.
pub(super) fn column_ids(expr: &Expr, ids: &mut Vec<ColumnId>) {
    if let crate::bound::ExprKind::Column(id) = expr.kind {
        ids.push(id);
    }
    for operand in expr.operands() {
        column_ids(operand, ids);
    }
}

/// The distinct columns that an expression names.
fn mentioned_columns<'e>(expr: &'e ast::Expr, names: &mut Vec<&'e str>) {
    let mut note = |name: &'e str| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    match &expr.kind {
        A::Column(name) => note(&name.last().name),
        A::Unary { operand, .. }
        | A::IsNull { operand, .. }
        | A::IsTruth { operand, .. }
        | A::Cast { operand, .. } => mentioned_columns(operand, names),
        A::Chain { first, rest } => {
            mentioned_columns(first, names);
            for (_, _, operand) in rest {
                mentioned_columns(operand, names);
            }
        }
        A::And(operands) | A::Or(operands) | A::Row(operands) => {
            for operand in operands {
                mentioned_columns(operand, names);
            }
        }
        A::Comparison { left, right, .. } | A::IsDistinct { left, right, .. } => {
            mentioned_columns(left, names);
            mentioned_columns(right, names);
        }
        A::Between {
            operand, low, high, ..
        } => {
            mentioned_columns(operand, names);
            mentioned_columns(low, names);
            mentioned_columns(high, names);
        }
        A::InList { operand, list, .. } => {
            mentioned_columns(operand, names);
            for item in list {
                mentioned_columns(item, names);
            }
        }
        A::Like {
            operand, pattern, ..
        } => {
            mentioned_columns(operand, names);
            mentioned_columns(pattern, names);
        }
        A::Function(call) => {
            for argument in &call.arguments {
                mentioned_columns(&argument.value, names);
            }
        }
        _ => {}
    }
}
