//! Walking over syntax trees.

use super::{Expr, ExprKind, FunctionCall, Quantified};

/// Calls `change` on `expr` and on every expression within it, the inner ones first. Subqueries
/// are not entered.
pub fn walk_expr_mut(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    let mut walk = |part: &mut Expr| walk_expr_mut(part, change);
    match &mut expr.kind {
        ExprKind::Null
        | ExprKind::Boolean(_)
        | ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::TypedString { .. }
        | ExprKind::Parameter(_)
        | ExprKind::NamedParameter(_)
        | ExprKind::Default
        | ExprKind::Column(_)
        | ExprKind::CurrentOf(_)
        | ExprKind::Current { .. }
        | ExprKind::Subquery(_)
        | ExprKind::ArrayQuery(_)
        | ExprKind::Exists(_) => {}
        ExprKind::Unary { operand, .. }
        | ExprKind::IsNull { operand, .. }
        | ExprKind::IsTruth { operand, .. }
        | ExprKind::InQuery { operand, .. }
        | ExprKind::Cast { operand, .. }
        | ExprKind::Collate { operand, .. } => walk(operand),
        ExprKind::Extract { source, .. } => walk(source),
        ExprKind::Chain { first, rest } => {
            walk(first);
            rest.iter_mut().for_each(|(_, _, operand)| walk(operand));
        }
        ExprKind::And(operands)
        | ExprKind::Or(operands)
        | ExprKind::Row(operands)
        | ExprKind::Array(operands) => operands.iter_mut().for_each(walk),
        ExprKind::Comparison { left, right, .. } | ExprKind::IsDistinct { left, right, .. } => {
            walk(left);
            walk(right);
        }
        ExprKind::Between {
            operand, low, high, ..
        } => {
            walk(operand);
            walk(low);
            walk(high);
        }
        ExprKind::InList { operand, list, .. } => {
            walk(operand);
            list.iter_mut().for_each(walk);
        }
        ExprKind::Like {
            operand,
            pattern,
            escape,
            ..
        } => {
            walk(operand);
            walk(pattern);
            if let Some(escape) = escape {
                walk(escape);
            }
        }
        ExprKind::Quantified { left, right, .. } => {
            walk(left);
            if let Quantified::Array(array) = right {
                walk(array);
            }
        }
        ExprKind::Case {
            operand,
            branches,
            otherwise,
        } => {
            if let Some(operand) = operand {
                walk(operand);
            }
            for (condition, result) in branches {
                walk(condition);
                walk(result);
            }
            if let Some(otherwise) = otherwise {
                walk(otherwise);
            }
        }
        ExprKind::WhenValues(values) => {
            for value in values {
                walk(value);
            }
        }
        ExprKind::Function(call) => walk_call(call, &mut walk),
        ExprKind::Substring { text, start, count } => {
            walk(text);
            for part in [start, count].into_iter().flatten() {
                walk(part);
            }
        }
        ExprKind::SubstringSimilar {
            text,
            pattern,
            escape,
        } => {
            walk(text);
            walk(pattern);
            walk(escape);
        }
        ExprKind::Trim {
            characters, text, ..
        } => {
            if let Some(characters) = characters {
                walk(characters);
            }
            walk(text);
        }
        ExprKind::Position { needle, text } => {
            walk(needle);
            walk(text);
        }
        ExprKind::Overlay {
            text,
            replacement,
            start,
            count,
        } => {
            walk(text);
            walk(replacement);
            walk(start);
            if let Some(count) = count {
                walk(count);
            }
        }
        ExprKind::AtTimeZone { operand, zone } => {
            walk(operand);
            walk(zone);
        }
        ExprKind::Subscript { operand, low, high } => {
            walk(operand);
            if let Some(low) = low {
                walk(low);
            }
            if let Some(Some(high)) = high {
                walk(high);
            }
        }
    }
    change(expr);
}

fn walk_call(call: &mut FunctionCall, walk: &mut dyn FnMut(&mut Expr)) {
    for argument in &mut call.arguments {
        walk(&mut argument.value);
    }
    for item in &mut call.order_by {
        walk(&mut item.expr);
    }
    if let Some(filter) = &mut call.filter {
        walk(filter);
    }
}
