//! Tables made of other tables: INHERITS, PARTITION OF and PARTITION BY.

use super::{
    Draft, duplicate_column, must_be_table, push_column,
    row_expressions::{column_ids, refuse_subqueries},
};
use crate::{
    ast::{self, ExprKind as A, Ident, PartitionBoundKind},
    binder::{Binder, unsupported},
    bound::{Expr, ExprKind},
    catalog::{
        CatalogReader, Column, IndexId, PartitionBound, PartitionStrategy, Partitioning, RangeEnd,
        Table, TableId,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::Value,
};

impl<'a> Binder<'a> {
    /// The tables of INHERITS, their columns first in the new table.
    pub(super) fn inherit(
        &mut self,
        draft: &mut Draft,
        names: &'a [ast::ObjectName],
    ) -> Result<()> {
        for name in names {
            let parent = self.table(name)?;
            must_be_table(&parent, name.span)?;
            if parent.partitioning.is_some() {
                return Err(wrong_object(format!(
                    "cannot inherit from partitioned table \"{}\"",
                    parent.name
                ))
                .at(name.span));
            }
            if parent.is_partition() {
                return Err(wrong_object(format!(
                    "cannot inherit from partition \"{}\"",
                    parent.name
                ))
                .at(name.span));
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
            draft.table.parents.push(parent.id);
            for column in &parent.columns {
                match draft.table.column(&column.name) {
                    None => take_column(&mut draft.table, column),
                    Some(ordinal) => {
                        let merged = &mut draft.table.columns[ordinal];
                        same_type(merged, column, name.span)?;
                        merged.not_null |= column.not_null;
                        merged.default = merged.default.take().or_else(|| column.default.clone());
                    }
                }
            }
            take_checks(draft, &parent, name.span)?;
        }
        self.rebind(&mut draft.table)
    }

    /// An own column of a table that has inherited one of that name: they become one. `None`
    /// where it has not.
    pub(super) fn merged_column(
        &mut self,
        draft: &mut Draft,
        inherited: usize,
        column: &'a ast::ColumnDefinition,
    ) -> Result<Option<usize>> {
        let Some(ordinal) = draft.table.column(&column.name.name) else {
            return Ok(None);
        };
        if ordinal >= inherited {
            return Err(duplicate_column(&column.name.name, column.name.span));
        }
        let data_type = self.column_type(&column.data_type)?;
        let own = Column::new(
            draft.table.columns[ordinal].number,
            column.name.name.clone(),
            data_type,
        );
        same_type(&draft.table.columns[ordinal], &own, column.span)?;
        forget_replaced(&mut draft.table.columns[ordinal], &column.constraints);
        Ok(Some(ordinal))
    }

    /// The table of PARTITION OF: its columns, checks and keys, and which rows are taken.
    pub(super) fn partition_of(
        &mut self,
        draft: &mut Draft,
        of: &'a ast::PartitionOf,
    ) -> Result<PartitionBound<Expr>> {
        let parent = self.table(&of.parent)?;
        must_be_table(&parent, of.parent.span)?;
        let Some(partitioning) = &parent.partitioning else {
            return Err(
                wrong_object(format!("\"{}\" is not partitioned", parent.name)).at(of.parent.span),
            );
        };
        may_be_partition(&draft.table, &parent, "create", of.parent.span)?;
        draft.table.parents.push(parent.id);
        draft.table.storage = parent.storage;
        for column in &parent.columns {
            take_column(&mut draft.table, column);
            if let Some(own) = draft.table.columns.last_mut() {
                own.default.clone_from(&column.default);
            }
        }
        take_checks(draft, &parent, of.parent.span)?;
        take_keys(draft, &parent, self.types)?;
        self.partition_bound(&parent, partitioning, &of.bound)
    }

    /// FOR VALUES of a partition of `parent`.
    pub(super) fn partition_bound(
        &mut self,
        parent: &Table,
        partitioning: &Partitioning,
        bound: &'a ast::PartitionBound,
    ) -> Result<PartitionBound<Expr>> {
        let strategy = partitioning.strategy;
        let wrong = || {
            Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "invalid bound specification for a {} partition",
                    strategy.name()
                ),
            )
            .at(bound.span))
        };
        Ok(match (&bound.kind, strategy) {
            (PartitionBoundKind::Default, PartitionStrategy::Hash) => {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "a hash-partitioned table may not have a default partition",
                )
                .at(bound.span));
            }
            (PartitionBoundKind::Default, _) => PartitionBound::Default,
            (PartitionBoundKind::In(values), PartitionStrategy::List) => PartitionBound::List(
                values
                    .iter()
                    .map(|value| self.bound_value(parent, partitioning, 0, value))
                    .collect::<Result<_>>()?,
            ),
            (PartitionBoundKind::Range { from, to }, PartitionStrategy::Range) => {
                let count = partitioning.keys.len();
                for (values, word) in [(from, "FROM"), (to, "TO")] {
                    if values.len() != count {
                        return Err(Error::new(
                            SqlState::INVALID_OBJECT_DEFINITION,
                            format!(
                                "{word} must specify exactly one value per partitioning column"
                            ),
                        )
                        .at(bound.span));
                    }
                }
                PartitionBound::Range {
                    from: self.range_ends(parent, partitioning, from)?,
                    to: self.range_ends(parent, partitioning, to)?,
                }
            }
            (PartitionBoundKind::Hash { modulus, remainder }, PartitionStrategy::Hash) => {
                let invalid = |message: &str| {
                    Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message).at(bound.span))
                };
                let Some(modulus) = u32::try_from(*modulus).ok().filter(|modulus| *modulus > 0)
                else {
                    return invalid(
                        "modulus for hash partition must be an integer value greater than zero",
                    );
                };
                let Ok(remainder) = u32::try_from(*remainder) else {
                    return invalid(
                        "remainder for hash partition must be an integer value greater than or equal to zero",
                    );
                };
                if remainder >= modulus {
                    return invalid("remainder for hash partition must be less than modulus");
                }
                PartitionBound::Hash { modulus, remainder }
            }
            _ => return wrong(),
        })
    }

    fn range_ends(
        &mut self,
        parent: &Table,
        partitioning: &Partitioning,
        values: &'a [ast::Expr],
    ) -> Result<Vec<RangeEnd<Expr>>> {
        let mut ends: Vec<RangeEnd<Expr>> = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let end = match infinite(value) {
                Some(false) => RangeEnd::Min,
                Some(true) => RangeEnd::Max,
                None => RangeEnd::Value(self.bound_value(parent, partitioning, at, value)?),
            };
            let after = match ends.last() {
                Some(RangeEnd::Min) if !matches!(end, RangeEnd::Min) => Some("MINVALUE"),
                Some(RangeEnd::Max) if !matches!(end, RangeEnd::Max) => Some("MAXVALUE"),
                _ => None,
            };
            if let Some(word) = after {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("every bound following {word} must also be {word}"),
                )
                .at(value.span));
            }
            if let RangeEnd::Value(Expr {
                kind: ExprKind::Literal(Value::Null),
                ..
            }) = &end
            {
                return Err(Error::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    "cannot specify NULL in range bound",
                )
                .at(value.span));
            }
            ends.push(end);
        }
        Ok(ends)
    }

    /// A value of a bound, of the key's type.
    fn bound_value(
        &mut self,
        parent: &Table,
        partitioning: &Partitioning,
        key: usize,
        value: &'a ast::Expr,
    ) -> Result<Expr> {
        let Some((text, of)) = partitioning.keys.get(key) else {
            return Err(crate::binder::internal("a bound without a key", value.span));
        };
        let name = Ident {
            name: match of.kind {
                ExprKind::Column(id) => parent
                    .columns
                    .get(id.0 as usize)
                    .map_or_else(|| text.clone(), |column| column.name.clone()),
                _ => text.clone(),
            },
            quoted: false,
            span: value.span,
        };
        let data_type = of.data_type;
        self.default(value, data_type, &name)
            .map_err(|error| match error.state() {
                SqlState::DATATYPE_MISMATCH => Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "specified value cannot be cast to type {data_type} for column \"{}\"",
                        name.name
                    ),
                )
                .at(value.span),
                _ => error,
            })
    }

    /// PARTITION BY.
    pub(super) fn partition_by(
        &mut self,
        draft: &mut Draft,
        by: &'a ast::PartitionBy,
    ) -> Result<()> {
        let Some(strategy) = PartitionStrategy::named(&by.strategy.name) else {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "unrecognized partitioning strategy \"{}\"",
                    by.strategy.name
                ),
            )
            .at(by.strategy.span)
            .hint("Write LIST, RANGE or HASH."));
        };
        let invalid = |message: String, span: Span| {
            Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message).at(span))
        };
        if strategy == PartitionStrategy::List && by.keys.len() > 1 {
            return invalid(
                "cannot use \"list\" partition strategy with more than one column".to_owned(),
                by.span,
            );
        }
        let mut keys = Vec::with_capacity(by.keys.len());
        for key in &by.keys {
            let expr = self.row_expression(&draft.table, key, "partition key expressions")?;
            refuse_subqueries(&expr, "partition key expression")?;
            let mut columns = Vec::new();
            column_ids(&expr, &mut columns);
            if columns.is_empty() {
                return invalid(
                    "cannot use constant expression as partition key".to_owned(),
                    key.span,
                );
            }
            let generated = columns.iter().any(|id| {
                let column = draft.table.columns.get(id.0 as usize);
                column.is_some_and(|column| column.generated.is_some())
            });
            if generated {
                return invalid(
                    "cannot use generated column in partition key".to_owned(),
                    key.span,
                );
            }
            if crate::binder::is_changeable(&expr) {
                return invalid(
                    "functions in partition key expression must be marked IMMUTABLE".to_owned(),
                    key.span,
                );
            }
            keys.push((self.kept_text(key)?, expr));
        }
        draft.table.partitioning = Some(Partitioning { strategy, keys });
        Ok(())
    }
}

/// Fails where a unique key of a partitioned table could be broken by rows of two partitions.
pub(super) fn keys_cover_partitioning(table: &Table, span: Span) -> Result<()> {
    let Some(partitioning) = &table.partitioning else {
        return Ok(());
    };
    let mut needed = Vec::new();
    let mut computed = false;
    for (_, expr) in &partitioning.keys {
        match expr.kind {
            ExprKind::Column(id) => needed.push(id.0 as usize),
            _ => computed = true,
        }
    }
    let check = |what: &str, ordinals: &[usize]| {
        if computed {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("unsupported {what} constraint with partition key definition"),
            )
            .detail(format!(
                "{what} constraints cannot be used when partition keys include expressions."
            ))
            .at(span));
        }
        let missing = needed.iter().find(|ordinal| !ordinals.contains(ordinal));
        match missing.and_then(|ordinal| table.columns.get(*ordinal)) {
            None => Ok(()),
            Some(column) => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "unique constraint on partitioned table must include all partitioning columns",
            )
            .detail(format!(
                "{what} constraint on table \"{}\" lacks column \"{}\" which is part of the partition key.",
                table.name, column.name
            ))
            .at(span)),
        }
    };
    if !table.primary_key.is_empty() {
        check("PRIMARY KEY", &table.primary_key)?;
    }
    for index in table.indexes.iter().filter(|index| index.unique) {
        let ordinals: Vec<usize> = index.columns.iter().map(|column| column.ordinal).collect();
        check("UNIQUE", &ordinals)?;
    }
    Ok(())
}

/// Whether a table goes with a session.
fn is_temporary(table: &Table) -> bool {
    table.schema.starts_with("pg_temp_")
}

/// Fails where a table cannot inherit from another since one of them goes with a session.
pub(super) fn may_inherit(child: &Table, parent: &Table, span: Span) -> Result<()> {
    match (is_temporary(child), is_temporary(parent)) {
        (false, false) => Ok(()),
        (true, true) if child.schema == parent.schema => Ok(()),
        (true, true) => Err(wrong_object(
            "cannot inherit from temporary relation of another session".to_owned(),
        )
        .at(span)),
        (false, true) => Err(wrong_object(format!(
            "cannot inherit from temporary relation \"{}\"",
            parent.name
        ))
        .at(span)),
        // Other sessions would see its rows in the parent.
        (true, false) => Err(unsupported(
            "temporary tables that inherit from permanent ones are",
            span,
        )),
    }
}

/// Fails where a table cannot be a partition of another since one of them goes with a session.
/// `verb`: what is done.
pub(super) fn may_be_partition(
    child: &Table,
    parent: &Table,
    verb: &str,
    span: Span,
) -> Result<()> {
    let (own, of) = match (is_temporary(child), is_temporary(parent)) {
        (false, false) => return Ok(()),
        (true, true) if child.schema == parent.schema => return Ok(()),
        (true, true) => {
            return Err(wrong_object(format!(
                "cannot {verb} as partition of temporary relation of another session"
            ))
            .at(span));
        }
        (true, false) => ("temporary", "permanent"),
        (false, true) => ("permanent", "temporary"),
    };
    Err(wrong_object(format!(
        "cannot {verb} a {own} relation as partition of {of} relation \"{}\"",
        parent.name
    ))
    .at(span))
}

/// Adds a column like one of a parent.
fn take_column(table: &mut Table, column: &Column) {
    let ordinal = push_column(table, column.name.clone(), column.data_type);
    let own = &mut table.columns[ordinal];
    own.not_null = column.not_null;
    own.default.clone_from(&column.default);
    own.generated.clone_from(&column.generated);
}

/// Forgets the default of a column where its own constraints give another.
pub(super) fn forget_replaced(column: &mut Column, constraints: &[ast::ColumnConstraint]) {
    let replaces = constraints.iter().any(|constraint| {
        matches!(
            constraint.kind,
            ast::ColumnConstraintKind::Default(_)
                | ast::ColumnConstraintKind::Identity { .. }
                | ast::ColumnConstraintKind::Generated(_)
        )
    });
    if replaces {
        column.default = None;
        column.generated = None;
    }
}

/// Adds the CHECK constraints of a parent.
fn take_checks(draft: &mut Draft, parent: &Table, span: Span) -> Result<()> {
    for check in &parent.checks {
        let known = draft
            .table
            .checks
            .iter()
            .find(|known| known.name == check.name);
        match known {
            Some(known) if known.text == check.text => {}
            Some(_) => {
                return Err(Error::new(
                    SqlState("42710"),
                    format!(
                        "check constraint name \"{}\" appears multiple times but with different expressions",
                        check.name
                    ),
                )
                .at(span));
            }
            None => {
                draft.names.note(&check.name);
                draft.table.checks.push(check.clone());
            }
        }
    }
    Ok(())
}

/// Adds the keys, indexes and foreign keys of a partitioned table to a partition of it whose
/// columns are the same.
fn take_keys(draft: &mut Draft, parent: &Table, types: &dyn CatalogReader) -> Result<()> {
    let map = parent.columns_in(&draft.table).unwrap_or_default();
    complete_keys(draft, parent, &map, types)
}

/// Adds what a partition lacks of the keys of the table that it is a partition of; `map` says
/// where the columns of the one are in the other.
fn complete_keys(
    draft: &mut Draft,
    parent: &Table,
    map: &[usize],
    types: &dyn CatalogReader,
) -> Result<()> {
    let moved = |ordinals: &[usize]| -> Vec<usize> {
        ordinals
            .iter()
            .filter_map(|ordinal| map.get(*ordinal).copied())
            .collect()
    };
    if !parent.primary_key.is_empty() && draft.table.primary_key.is_empty() {
        draft.table.primary_key = moved(&parent.primary_key);
        for ordinal in &draft.table.primary_key {
            draft.table.columns[*ordinal].not_null = true;
        }
        draft.table.primary_key_name = Some(draft.names.make(&[], "pkey"));
    }
    let (width, own_width) = (parent.columns.len(), draft.table.columns.len());
    for index in &parent.indexes {
        let mut index = index.clone();
        for column in &mut index.columns {
            column.ordinal = match map.get(column.ordinal) {
                Some(ordinal) => *ordinal,
                None => column.ordinal - width + own_width,
            };
        }
        let known = draft.table.indexes.iter().any(|known| {
            known.columns == index.columns
                && known.unique >= index.unique
                && known.expressions.len() == index.expressions.len()
                && known
                    .expressions
                    .iter()
                    .zip(&index.expressions)
                    .all(|((known, _), (of, _))| known == of)
                && known.predicate.as_ref().map(|(text, _)| text)
                    == index.predicate.as_ref().map(|(text, _)| text)
        });
        if known {
            continue;
        }
        index.id = IndexId(0);
        index.keyspace = 0;
        index.included = moved(&index.included);
        let names: Vec<String> = index
            .columns
            .iter()
            .map(|column| match draft.table.columns.get(column.ordinal) {
                Some(column) => column.name.clone(),
                None => "expr".to_owned(),
            })
            .collect();
        let parts: Vec<&str> = names.iter().map(String::as_str).collect();
        index.name = draft
            .names
            .make(&parts, if index.constraint { "key" } else { "idx" });
        for (text, expr) in &mut index.expressions {
            *expr = crate::binder::stored_expression(text, &draft.table, expr.data_type, types)?;
        }
        if let Some((text, expr)) = &mut index.predicate {
            *expr = crate::binder::bind_expression(text, &draft.table, types)?;
        }
        draft.table.indexes.push(index);
    }
    for key in &parent.foreign_keys {
        let mut key = key.clone();
        key.columns = moved(&key.columns);
        key.set_columns = moved(&key.set_columns);
        let known = draft.table.foreign_keys.iter().any(|known| {
            known.columns == key.columns
                && known.parent == key.parent
                && known.parent_columns == key.parent_columns
        });
        if !known && key.parent != TableId::ITSELF {
            draft.names.note(&key.name);
            draft.table.foreign_keys.push(key);
        }
    }
    Ok(())
}

/// Gives a table made of `parent` the checks and (a partition) the keys that it lacks.
pub(super) fn follow_parent(
    draft: &mut Draft,
    parent: &Table,
    span: Span,
    types: &dyn CatalogReader,
) -> Result<()> {
    for check in &parent.checks {
        if draft
            .table
            .checks
            .iter()
            .any(|known| known.name == check.name)
        {
            continue;
        }
        let mut check = check.clone();
        check.predicate = crate::binder::bind_expression(&check.text, &draft.table, types)?;
        draft.names.note(&check.name);
        draft.table.checks.push(check);
    }
    if parent.partitioning.is_none() {
        return Ok(());
    }
    let Some(map) = parent.columns_in(&draft.table) else {
        return Err(crate::binder::internal("a partition lacks a column", span));
    };
    for (column, ordinal) in parent.columns.iter().zip(&map) {
        draft.table.columns[*ordinal].not_null |= column.not_null;
    }
    complete_keys(draft, parent, &map, types)?;
    keys_cover_partitioning(&draft.table, span)
}

/// Drops the key of a partition that is like the one of that name of its parent.
pub(super) fn drop_key_like(table: &mut Table, parent: &Table, name: &str) {
    let Some(map) = parent.columns_in(table) else {
        return;
    };
    if parent.primary_key_name.as_deref() == Some(name) {
        table.primary_key.clear();
        table.primary_key_name = None;
        return;
    }
    if let Some(index) = parent.indexes.iter().find(|index| index.name == name) {
        let columns: Vec<Option<usize>> = index
            .columns
            .iter()
            .map(|column| map.get(column.ordinal).copied())
            .collect();
        let like = table.indexes.iter().position(|own| {
            own.constraint
                && own.columns.len() == columns.len()
                && own
                    .columns
                    .iter()
                    .zip(&columns)
                    .all(|(own, column)| Some(own.ordinal) == *column)
        });
        if let Some(at) = like {
            table.indexes.remove(at);
        }
    }
}

/// Fails where a column is part of the partition key.
pub(super) fn refuse_key_column(
    table: &Table,
    ordinal: usize,
    verb: &str,
    span: Span,
) -> Result<()> {
    let Some(partitioning) = &table.partitioning else {
        return Ok(());
    };
    let mut columns = Vec::new();
    for (_, expr) in &partitioning.keys {
        column_ids(expr, &mut columns);
    }
    if !columns.iter().any(|id| id.0 as usize == ordinal) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::INVALID_TABLE_DEFINITION,
        format!(
            "cannot {verb} column \"{}\" because it is part of the partition key of relation \"{}\"",
            table.columns[ordinal].name, table.name
        ),
    )
    .at(span))
}

fn same_type(merged: &Column, column: &Column, span: Span) -> Result<()> {
    if merged.data_type == column.data_type {
        return Ok(());
    }
    Err(Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("column \"{}\" has a type conflict", column.name),
    )
    .detail(format!("{} versus {}", merged.data_type, column.data_type))
    .at(span))
}

/// Whether the value of a bound is MINVALUE (`false`) or MAXVALUE (`true`).
fn infinite(value: &ast::Expr) -> Option<bool> {
    let A::Column(name) = &value.kind else {
        return None;
    };
    match name.parts.as_slice() {
        [word] if !word.quoted && word.name == "minvalue" => Some(false),
        [word] if !word.quoted && word.name == "maxvalue" => Some(true),
        _ => None,
    }
}

pub(super) fn wrong_object(message: String) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
}
