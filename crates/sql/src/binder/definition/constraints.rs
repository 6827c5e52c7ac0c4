//! Columns and keys of a table that is being made or altered.

use super::{
    Draft, MAX_COLUMNS, MAX_KEY_COLUMNS, Names, duplicate_column, push_column, too_many_columns,
};
use crate::{
    ast::{self, ColumnConstraintKind, ExprKind as A, Ident, TableConstraintKind, TypeNameKind},
    binder::{Binder, data::table_column, expr::with_hint, suggest, unsupported},
    catalog::{Deferral, Index, IndexColumn, IndexId, Table},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
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
        draft.table.columns[ordinal].named_type = named
            .filter(|named| named.as_enum().is_none())
            .map(|named| named.id);
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
                    let text = self.kept_text(value)?;
                    draft.table.columns[ordinal].default = Some((text, bound));
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
                    let text = self.kept_text(value)?;
                    draft.table.columns[ordinal].generated = Some((text, bound));
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
}

fn both(draft: &Draft, column: &str, what: &str) -> String {
    format!(
        "both {what} specified for column \"{column}\" of table \"{}\"",
        draft.table.name
    )
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
    let name = draft.constraint_name(name, ordinals, "key");
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
