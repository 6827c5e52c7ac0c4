//! The keys of a path: what their columns hold, and which rows have one.

use crate::{
    DataType, Result,
    bound::{ColumnId, Expr, ExprKind, ScanColumn},
    encoding::KeyColumn,
    engine::{
        key_set::{Fitted, fits, fitted},
        table::TableHandle,
    },
    eval::fold_constants,
    planner::{
        expr_tools::{column, literal},
        physical::AccessPath,
    },
};

/// A column of a path's keys.
#[derive(Clone, Debug)]
pub(crate) struct PathColumn {
    /// Its value, over the columns of the scan; `None` where these do not give it.
    pub(crate) expr: Option<Expr>,
    /// How it is ordered.
    pub(crate) form: KeyColumn,
    /// Whether no row has NULL in it.
    pub(crate) not_null: bool,
}

/// The keys of a path.
#[derive(Clone, Debug)]
pub(crate) struct PathKey {
    /// The path.
    pub(crate) path: AccessPath,
    /// The columns of the keys.
    pub(crate) columns: Vec<PathColumn>,
    /// Whether no two rows share a key without NULLs.
    pub(crate) is_unique: bool,
    /// Which rows have a key, over the columns of the scan, if not all.
    pub(crate) predicate: Option<Expr>,
}

/// The paths to the rows of a table.
pub(crate) fn paths(table: &TableHandle) -> impl Iterator<Item = AccessPath> + use<> {
    std::iter::once(AccessPath::Table).chain((0..table.indexes.len()).map(AccessPath::Index))
}

impl PathKey {
    /// The keys of `path`, for a scan of `columns`; `None`: the scan does not read what says which
    /// rows have one, so that nothing about it can be known.
    pub(crate) fn of(
        table: &TableHandle,
        path: AccessPath,
        columns: &[ScanColumn],
    ) -> Result<Option<PathKey>> {
        let (ordinals, forms, index) = match path {
            AccessPath::Table => match &table.codec.key {
                Some(layout) => (table.codec.key_columns.as_slice(), layout.columns(), None),
                None => (&[][..], &[][..], None),
            },
            AccessPath::Index(at) => {
                let handle = table.index(at)?;
                let definition = table.table.indexes.get(at);
                (
                    handle.ordinals.as_slice(),
                    handle.layout.columns(),
                    definition,
                )
            }
        };
        let predicate = match index.and_then(|index| index.predicate.as_ref()) {
            None => None,
            Some((_, predicate)) => match over_scan(predicate, columns)? {
                Some(predicate) => Some(predicate),
                None => return Ok(None),
            },
        };
        let width = table.table.columns.len();
        let mut keys = Vec::with_capacity(ordinals.len());
        for (ordinal, form) in ordinals.iter().zip(forms) {
            let of_table = table.table.columns.get(*ordinal);
            let expr = match of_table {
                Some(of) => columns
                    .iter()
                    .find(|column| column.ordinal == *ordinal)
                    .map(|found| column(found.id, of.data_type.of_values(), true)),
                None => {
                    let computed = index.and_then(|index| index.expressions.get(ordinal - width));
                    match computed {
                        Some((_, expr)) => over_scan(expr, columns)?,
                        None => None,
                    }
                }
            };
            keys.push(PathColumn {
                expr,
                form: *form,
                not_null: !form.nullable || of_table.is_some_and(|of| of.not_null),
            });
        }
        Ok(Some(PathKey {
            path,
            columns: keys,
            is_unique: index.is_none_or(|index| index.unique),
            predicate,
        }))
    }

    /// The keys of a relation that has no others than the values of `column`.
    pub(crate) fn of_column(column: Expr) -> PathKey {
        PathKey {
            path: AccessPath::Table,
            columns: vec![PathColumn {
                form: KeyColumn::ascending(column.data_type),
                expr: Some(column),
                not_null: false,
            }],
            is_unique: false,
            predicate: None,
        }
    }

    /// The key column whose value is `expr`, and its type; it is looked for behind conversions that
    /// keep order and equality.
    pub(crate) fn behind(&self, expr: &Expr) -> Option<(usize, DataType)> {
        let holds = |column: &PathColumn| {
            let own = column.expr.as_ref();
            own.is_some_and(|own| is_same_value(own, expr))
        };
        if let Some(place) = self.columns.iter().position(holds) {
            return Some((place, expr.data_type));
        }
        let ExprKind::Cast(operand) = &expr.kind else {
            return None;
        };
        let (place, from) = self.behind(operand)?;
        keeps_order(from, expr.data_type).then_some((place, from))
    }
}

/// Whether both are one column, or compute the same.
pub(crate) fn is_same_value(one: &Expr, other: &Expr) -> bool {
    match (&one.kind, &other.kind) {
        (ExprKind::Column(one), ExprKind::Column(other)) => one == other,
        _ => one.is_same(other),
    }
}

/// Whether values converted from one type to another compare as before.
fn keeps_order(from: DataType, to: DataType) -> bool {
    match to {
        DataType::Decimal(None) => from.is_integer() || matches!(from, DataType::Decimal(_)),
        DataType::Text | DataType::Varchar(None) => {
            matches!(from, DataType::Text | DataType::Varchar(_))
        }
        _ => from.is_integer() && to.is_integer(),
    }
}

/// An expression over the rows of a table, as the catalog keeps it, over the columns of a scan;
/// `None`: the scan does not give them all.
fn over_scan(expr: &Expr, columns: &[ScanColumn]) -> Result<Option<Expr>> {
    let id_of = |ordinal: u32| -> Option<ColumnId> {
        let found = columns.iter().find(|of| of.ordinal == ordinal as usize);
        found.map(|of| of.id)
    };
    let mut complete = true;
    expr.visit(&mut |part| {
        if let ExprKind::Column(ColumnId(ordinal)) = part.kind {
            complete &= id_of(ordinal).is_some();
        }
        complete
    });
    if !complete {
        return Ok(None);
    }
    // As the statement's own conditions have been.
    let mut expr = fold_constants(expr.clone())?;
    rename(&mut expr, &id_of);
    Ok(Some(expr))
}

fn rename(expr: &mut Expr, id_of: &dyn Fn(u32) -> Option<ColumnId>) {
    if let ExprKind::Column(id) = &mut expr.kind {
        if let Some(found) = id_of(id.0) {
            *id = found;
        }
        return;
    }
    for operand in expr.operands_mut() {
        rename(operand, id_of);
    }
}

/// `value` as it is looked for in a key column of type `of`; `None` where it cannot be.
pub(crate) fn key_value(value: &Expr, of: DataType) -> Option<Expr> {
    if !fits(value.data_type, of) {
        return None;
    }
    if !of.is_integer() || value.data_type == of {
        return Some(value.clone());
    }
    Some(match &value.kind {
        ExprKind::Literal(number) => match fitted(number.clone(), of) {
            Fitted::Exact(number) => literal(number, of),
            Fitted::Null | Fitted::Above(_) => value.clone(),
        },
        // A value of the column's own type, made wider to be compared.
        ExprKind::Cast(operand) if operand.data_type == of && keeps_order(of, value.data_type) => {
            (**operand).clone()
        }
        _ => value.clone(),
    })
}
