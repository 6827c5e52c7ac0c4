//! Whether conditions imply another: what a partial index needs to be read in the place of its
//! table.
//!
//! "Implies" is about truth: where all the conditions are true, so is the other. It says no more
//! than it can prove.

use std::cmp::Ordering;

use crate::{
    DataType, Value,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction, UnaryOp},
    planner::{
        access::{conditions::equals_element, key::is_same_value},
        expr_tools::{is_comparison, mirrored},
    },
};

/// Whether `wanted` is true of every row of which all of `conditions` are.
pub(crate) fn implies(conditions: &[&Expr], wanted: &Expr) -> bool {
    match &wanted.kind {
        ExprKind::Literal(Value::Boolean(true)) => return true,
        ExprKind::And(parts) => return parts.iter().all(|part| implies(conditions, part)),
        _ => {}
    }
    if conditions
        .iter()
        .any(|condition| one_implies(condition, wanted))
    {
        return true;
    }
    match &wanted.kind {
        ExprKind::Or(parts) => parts.iter().any(|part| implies(conditions, part)),
        _ => false,
    }
}

fn one_implies(condition: &Expr, wanted: &Expr) -> bool {
    if condition.is_same(wanted) {
        return true;
    }
    match &condition.kind {
        ExprKind::And(parts) => return parts.iter().any(|part| one_implies(part, wanted)),
        // Whichever of them is true.
        ExprKind::Or(parts) => return parts.iter().all(|part| implies(&[part], wanted)),
        _ => {}
    }
    if let ExprKind::IsNull {
        operand,
        negated: true,
    } = &wanted.kind
        && rejects_null(condition, operand)
    {
        return true;
    }
    if let (Some(known), Some(wanted)) = (truth(condition), truth(wanted))
        && known.1 == wanted.1
        && is_same_value(known.0, wanted.0)
    {
        return true;
    }
    match (Restriction::of(condition), Restriction::of(wanted)) {
        (Some(known), Some(wanted)) => known.implies(&wanted),
        _ => false,
    }
}

/// Whether `condition` is not true where `part` is NULL.
fn rejects_null(condition: &Expr, part: &Expr) -> bool {
    match &condition.kind {
        ExprKind::IsNull {
            operand,
            negated: true,
        } => is_null_with(operand, part),
        ExprKind::IsTruth {
            operand,
            value: Some(true),
            negated: false,
        } => rejects_null(operand, part),
        ExprKind::IsTruth {
            operand,
            value: Some(false),
            negated: false,
        } => is_null_with(operand, part),
        // Of an array without elements it is false instead of NULL, which is not true either. The
        // first argument is the operator.
        ExprKind::Function(ScalarFunction::ArrayAny, arguments) => {
            arguments.iter().skip(1).any(|of| is_null_with(of, part))
        }
        _ => is_null_with(condition, part),
    }
}

/// Whether `expr` is NULL where `part` is.
fn is_null_with(expr: &Expr, part: &Expr) -> bool {
    if is_same_value(expr, part) {
        return true;
    }
    match &expr.kind {
        ExprKind::Unary(_, operand) | ExprKind::Cast(operand) => is_null_with(operand, part),
        ExprKind::Binary(_, left, right) => is_null_with(left, part) || is_null_with(right, part),
        ExprKind::Like {
            operand, pattern, ..
        } => is_null_with(operand, part) || is_null_with(pattern, part),
        ExprKind::InList { operand, .. } => is_null_with(operand, part),
        _ => false,
    }
}

/// What a condition says of a truth value: `x`, `NOT x`, `x = true`, `x IS FALSE`. It is true where
/// the value is that, and nowhere else.
fn truth(condition: &Expr) -> Option<(&Expr, bool)> {
    (condition.data_type == DataType::Boolean).then(|| truth_of(condition, false))
}

/// The value that decides about `condition`, and the truth value of it that makes the condition
/// true. With `negated` it is asked when the condition is false: where the value is the opposite.
/// `x IS TRUE` is true where `x` is, but false of NULL as well.
fn truth_of(condition: &Expr, negated: bool) -> (&Expr, bool) {
    let constant = |expr: &Expr| match expr.kind {
        ExprKind::Literal(Value::Boolean(truth)) => Some(truth),
        _ => None,
    };
    match &condition.kind {
        ExprKind::Unary(UnaryOp::Not, operand) => is_as(operand, false, negated),
        ExprKind::IsTruth {
            operand,
            value: Some(value),
            negated: false,
        } if !negated => is_as(operand, *value, negated),
        ExprKind::Binary(BinaryOp::Equal, left, right) => match (constant(left), constant(right)) {
            (None, Some(value)) => is_as(left, value, negated),
            (Some(value), None) => is_as(right, value, negated),
            _ => (condition, true),
        },
        _ => (condition, true),
    }
}

/// As [`truth_of`], of what is true where `operand` is `value`, and false where it is the opposite.
fn is_as(operand: &Expr, value: bool, negated: bool) -> (&Expr, bool) {
    let (expr, is_true) = truth_of(operand, negated == value);
    (expr, is_true == value)
}

/// A condition that restricts an expression by constants.
struct Restriction<'e> {
    expr: &'e Expr,
    by: By<'e>,
}

enum By<'e> {
    Compare(BinaryOp, &'e Value),
    /// It equals one of these.
    Among(Vec<&'e Value>),
}

impl<'e> Restriction<'e> {
    fn of(condition: &'e Expr) -> Option<Restriction<'e>> {
        let restriction = match &condition.kind {
            ExprKind::Binary(op, left, right) if is_comparison(*op) => {
                match (&left.kind, &right.kind) {
                    (_, ExprKind::Literal(value)) => Restriction {
                        expr: left,
                        by: By::Compare(*op, value),
                    },
                    (ExprKind::Literal(value), _) => Restriction {
                        expr: right,
                        by: By::Compare(mirrored(*op), value),
                    },
                    _ => return None,
                }
            }
            ExprKind::InList {
                operand,
                list,
                negated: false,
            } => Restriction {
                expr: operand,
                by: By::Among(list.iter().map(constant).collect::<Option<_>>()?),
            },
            ExprKind::Function(ScalarFunction::ArrayAny, arguments) => {
                let (expr, array) = equals_element(arguments)?;
                let Value::Array(array) = constant(array)? else {
                    return None;
                };
                Restriction {
                    expr,
                    by: By::Among(array.values().iter().collect()),
                }
            }
            _ => return None,
        };
        // Trailing blanks of char(n) count in some comparisons and not in others.
        let plain = !matches!(restriction.expr.data_type, DataType::Char(_));
        plain.then_some(restriction)
    }

    /// Whether what satisfies it satisfies the other.
    fn implies(&self, wanted: &Restriction<'_>) -> bool {
        if !is_same_value(self.expr, wanted.expr) {
            return false;
        }
        match &self.by {
            By::Compare(_, Value::Null) => true,
            By::Compare(BinaryOp::Equal, value) => wanted.holds_of(value),
            By::Compare(op, value) => match &wanted.by {
                By::Compare(wanted_op, bound) => follows(*op, value, *wanted_op, bound),
                By::Among(_) => false,
            },
            // NULL among them makes nothing true.
            By::Among(values) => {
                let mut present = values.iter().filter(|value| !value.is_null());
                present.all(|value| wanted.holds_of(value))
            }
        }
    }

    /// Whether it is true of a value.
    fn holds_of(&self, value: &Value) -> bool {
        match &self.by {
            By::Compare(op, bound) => {
                comparable(value, bound) && satisfies(value.compare(bound), *op)
            }
            By::Among(values) => values
                .iter()
                .any(|of| comparable(value, of) && value.compare(of) == Ordering::Equal),
        }
    }
}

fn constant(expr: &Expr) -> Option<&Value> {
    match &expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

/// Whether the order of two values is that of the comparison operators.
fn comparable(one: &Value, other: &Value) -> bool {
    !one.is_null() && !other.is_null() && one.data_type() == other.data_type()
}

fn satisfies(ordering: Ordering, op: BinaryOp) -> bool {
    match op {
        BinaryOp::Equal => ordering.is_eq(),
        BinaryOp::NotEqual => ordering.is_ne(),
        BinaryOp::Less => ordering.is_lt(),
        BinaryOp::LessOrEqual => ordering.is_le(),
        BinaryOp::Greater => ordering.is_gt(),
        BinaryOp::GreaterOrEqual => ordering.is_ge(),
        _ => false,
    }
}

/// Whether `x op value` implies `x wanted bound`.
fn follows(op: BinaryOp, value: &Value, wanted: BinaryOp, bound: &Value) -> bool {
    if !comparable(value, bound) {
        return false;
    }
    let ordering = value.compare(bound);
    match (op, wanted) {
        (BinaryOp::Less, BinaryOp::Less | BinaryOp::LessOrEqual | BinaryOp::NotEqual)
        | (BinaryOp::LessOrEqual, BinaryOp::LessOrEqual) => ordering.is_le(),
        (BinaryOp::LessOrEqual, BinaryOp::Less | BinaryOp::NotEqual) => ordering.is_lt(),
        (BinaryOp::Greater, BinaryOp::Greater | BinaryOp::GreaterOrEqual | BinaryOp::NotEqual)
        | (BinaryOp::GreaterOrEqual, BinaryOp::GreaterOrEqual) => ordering.is_ge(),
        (BinaryOp::GreaterOrEqual, BinaryOp::Greater | BinaryOp::NotEqual) => ordering.is_gt(),
        (BinaryOp::NotEqual, BinaryOp::NotEqual) => ordering.is_eq(),
        _ => false,
    }
}
