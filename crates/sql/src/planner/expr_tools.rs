//! Walking and rebuilding bound expressions.

use std::collections::HashSet;

use crate::{
    DataType, Value,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction, UnaryOp},
    span::Span,
};

/// Whether any part of `expr` satisfies `test`.
pub(crate) fn any(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    if test(expr) {
        return true;
    }
    expr.operands()
        .into_iter()
        .any(|operand| any(operand, test))
}

/// Adds the columns that `expr` reads.
pub(crate) fn collect_columns(expr: &Expr, columns: &mut HashSet<ColumnId>) {
    if let ExprKind::Column(id) = expr.kind {
        columns.insert(id);
    }
    for operand in expr.operands() {
        collect_columns(operand, columns);
    }
}

/// The columns that `expr` reads.
pub(crate) fn columns_of(expr: &Expr) -> HashSet<ColumnId> {
    let mut columns = HashSet::new();
    collect_columns(expr, &mut columns);
    columns
}

/// Replaces columns by the expressions `with` gives for them.
pub(crate) fn substitute(expr: &mut Expr, with: &dyn Fn(ColumnId) -> Option<Expr>) {
    if let ExprKind::Column(id) = expr.kind
        && let Some(replacement) = with(id)
    {
        *expr = replacement;
        return;
    }
    for operand in expr.operands_mut() {
        substitute(operand, with);
    }
}

/// Appends the conjuncts of `expr`.
pub(crate) fn split_conjuncts(expr: Expr, conjuncts: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::And(operands) => {
            for operand in operands {
                split_conjuncts(operand, conjuncts);
            }
        }
        _ => conjuncts.push(expr),
    }
}

/// A column as an expression.
pub(crate) fn column(id: ColumnId, data_type: DataType, nullable: bool) -> Expr {
    Expr {
        kind: ExprKind::Column(id),
        data_type,
        nullable,
        span: Span::default(),
    }
}

/// A constant as an expression.
pub(crate) fn literal(value: Value, data_type: DataType) -> Expr {
    Expr {
        nullable: matches!(value, Value::Null),
        kind: ExprKind::Literal(value),
        data_type,
        span: Span::default(),
    }
}

/// Whether the value of `expr` may differ between two evaluations within one statement.
pub(crate) fn is_volatile(expr: &Expr) -> bool {
    any(
        expr,
        &mut |part| matches!(part.kind, ExprKind::Function(function, _) if function.is_volatile()),
    )
}

/// Whether `expr` is the same for every row of a statement: no columns, nothing random.
pub(crate) fn is_stable_constant(expr: &Expr) -> bool {
    columns_of(expr).is_empty() && !is_volatile(expr)
}

/// Whether evaluating `expr` is known to fail for no values of the columns that it reads, other
/// than for all.
pub(crate) fn cannot_fail(expr: &Expr) -> bool {
    let here = match &expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Column(_)
        | ExprKind::Parameter(_)
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::IsNull { .. }
        | ExprKind::IsTruth { .. }
        | ExprKind::IsDistinct { .. }
        | ExprKind::InList { .. }
        | ExprKind::Case { .. }
        | ExprKind::Unary(UnaryOp::Not, _) => true,
        ExprKind::Binary(op, left, _) => {
            is_comparison(*op) || *op == BinaryOp::Concat && left.data_type.is_string()
        }
        ExprKind::Like {
            pattern, escape, ..
        } => is_fixed(pattern) && escape.as_deref().is_none_or(is_fixed),
        ExprKind::Cast(operand) => widens(operand.data_type, expr.data_type),
        ExprKind::Function(function, _) => matches!(
            function,
            ScalarFunction::Coalesce
                | ScalarFunction::NullIf
                | ScalarFunction::Greatest
                | ScalarFunction::Least
        ),
        _ => false,
    };
    here && expr.operands().into_iter().all(cannot_fail) || is_fixed(expr)
}

/// Whether `expr` reads nothing that changes within a statement, not even a parameter: that may
/// stand for a column of a query around it.
fn is_fixed(expr: &Expr) -> bool {
    is_stable_constant(expr)
        && !has_subquery(expr)
        && !any(expr, &mut |part| {
            matches!(part.kind, ExprKind::Parameter(_))
        })
}

/// Whether all values of a type have a counterpart in another.
fn widens(from: DataType, to: DataType) -> bool {
    match to {
        DataType::Text | DataType::Varchar(_) => from.is_string(),
        DataType::Int8 => matches!(from, DataType::Int4 | DataType::Int2 | DataType::Int1),
        DataType::Int4 => matches!(from, DataType::Int2 | DataType::Int1),
        DataType::Decimal(None) => from.is_integer() || matches!(from, DataType::Decimal(_)),
        DataType::Float8 => from.is_integer() || from == DataType::Float4,
        _ => from == to,
    }
}

/// Whether `expr` holds a subquery.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    any(expr, &mut |part| {
        matches!(
            part.kind,
            ExprKind::ScalarSubquery(_) | ExprKind::InSubquery { .. } | ExprKind::Exists { .. }
        )
    })
}

/// Whether the operator compares.
pub(crate) fn is_comparison(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
    )
}

/// The comparison with its operands exchanged.
pub(crate) fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
        other => other,
    }
}

/// Whether `expr` cannot be true where all of `columns` are NULL.
pub(crate) fn rejects_null(expr: &Expr, columns: &HashSet<ColumnId>) -> bool {
    /// Whether the value is NULL where the columns are.
    fn strict(expr: &Expr, columns: &HashSet<ColumnId>) -> bool {
        match &expr.kind {
            ExprKind::Column(id) => columns.contains(id),
            ExprKind::Unary(_, operand) | ExprKind::Cast(operand) => strict(operand, columns),
            ExprKind::Binary(_, left, right) => strict(left, columns) || strict(right, columns),
            ExprKind::Like {
                operand, pattern, ..
            } => strict(operand, columns) || strict(pattern, columns),
            ExprKind::InList { operand, .. } => strict(operand, columns),
            _ => false,
        }
    }
    match &expr.kind {
        ExprKind::And(operands) => operands
            .iter()
            .any(|operand| rejects_null(operand, columns)),
        ExprKind::Or(operands) => operands
            .iter()
            .all(|operand| rejects_null(operand, columns)),
        ExprKind::IsNull {
            operand,
            negated: true,
        } => strict(operand, columns),
        ExprKind::IsTruth {
            operand,
            value: Some(_),
            negated: false,
        } => strict(operand, columns),
        _ => strict(expr, columns),
    }
}
