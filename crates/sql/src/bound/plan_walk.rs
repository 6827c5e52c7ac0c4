//! Looking at logical plans: their columns, inputs and expressions.

use std::collections::HashSet;

use super::{ColumnId, Expr, JoinKind, LogicalPlan};
use crate::types::DataType;

/// The columns that a plan gives, in order.
pub fn output(plan: &LogicalPlan) -> Vec<(ColumnId, DataType)> {
    match plan {
        LogicalPlan::Scan {
            table,
            columns,
            row_key,
            ..
        } => columns
            .iter()
            .filter_map(|column| Some((column.id, table.columns.get(column.ordinal)?.data_type)))
            .chain(row_key.map(|id| (id, DataType::Bytea)))
            .collect(),
        LogicalPlan::Values { columns, .. } | LogicalPlan::Buffered { columns, .. } => {
            columns.clone()
        }
        LogicalPlan::TableFunctions { calls, ordinality } => calls
            .iter()
            .map(|call| (call.id, call.data_type))
            .chain(ordinality.map(|id| (id, DataType::Int8)))
            .collect(),
        LogicalPlan::With { input, .. } => output(input),
        LogicalPlan::SharedScan { columns, .. } => columns
            .iter()
            .map(|(id, _, data_type)| (*id, *data_type))
            .collect(),
        LogicalPlan::Recursive { columns, .. } => columns
            .iter()
            .map(|(id, _, _, data_type)| (*id, *data_type))
            .collect(),
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Distinct { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::LockRows { input, .. }
        | LogicalPlan::Limit { input, .. } => output(input),
        LogicalPlan::Project { items, .. } => items
            .iter()
            .map(|(id, expr)| (*id, expr.data_type))
            .collect(),
        LogicalPlan::Join {
            kind, left, right, ..
        }
        | LogicalPlan::Apply {
            kind, left, right, ..
        } => {
            let mut columns = output(left);
            match kind {
                JoinKind::Semi | JoinKind::Anti => {}
                JoinKind::Mark(id) | JoinKind::Exists(id) => columns.push((*id, DataType::Boolean)),
                _ => columns.extend(output(right)),
            }
            columns
        }
        LogicalPlan::Aggregate {
            keys,
            aggregates,
            sets,
            ..
        } => keys
            .iter()
            .map(|(id, expr)| (*id, expr.data_type))
            .chain(aggregates.iter().map(|(id, call)| (*id, call.data_type)))
            .chain(sets.iter().map(|sets| (sets.id, DataType::Int4)))
            .collect(),
        LogicalPlan::Window { input, calls, .. } => {
            let mut columns = output(input);
            columns.extend(calls.iter().map(|(id, call)| (*id, call.data_type)));
            columns
        }
        LogicalPlan::UnionAll { columns, .. } => columns
            .iter()
            .map(|(id, _, data_type)| (*id, *data_type))
            .collect(),
    }
}

/// The ids of the columns that a plan gives.
pub fn output_ids(plan: &LogicalPlan) -> HashSet<ColumnId> {
    output(plan).into_iter().map(|(id, _)| id).collect()
}

/// The direct inputs of a plan, to be changed.
pub fn inputs_mut(plan: &mut LogicalPlan) -> Vec<&mut LogicalPlan> {
    match plan {
        LogicalPlan::Scan { .. }
        | LogicalPlan::Values { .. }
        | LogicalPlan::Buffered { .. }
        | LogicalPlan::TableFunctions { .. }
        | LogicalPlan::SharedScan { .. } => Vec::new(),
        LogicalPlan::With {
            definition, input, ..
        } => vec![definition, input],
        LogicalPlan::Recursive { base, step, .. } => vec![base, step],
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Distinct { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::LockRows { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Project { input, .. }
        | LogicalPlan::Window { input, .. }
        | LogicalPlan::Aggregate { input, .. } => vec![input],
        LogicalPlan::Join { left, right, .. } | LogicalPlan::Apply { left, right, .. } => {
            vec![left, right]
        }
        LogicalPlan::UnionAll { inputs, .. } => inputs.iter_mut().collect(),
    }
}

/// Calls `change` on every expression of this node (not of its inputs).
pub fn for_each_expr_mut(plan: &mut LogicalPlan, mut change: impl FnMut(&mut Expr)) {
    match plan {
        LogicalPlan::Scan { filter, .. } => filter.iter_mut().for_each(change),
        LogicalPlan::Values { rows, .. } => rows.iter_mut().flatten().for_each(change),
        LogicalPlan::TableFunctions { calls, .. } => calls
            .iter_mut()
            .flat_map(|call| &mut call.arguments)
            .for_each(change),
        LogicalPlan::Filter { predicates, .. } => predicates.iter_mut().for_each(change),
        LogicalPlan::Project { items, .. } => {
            items.iter_mut().for_each(|(_, expr)| change(expr));
        }
        LogicalPlan::Join { on, .. } => on.iter_mut().for_each(change),
        LogicalPlan::Apply { on, bindings, .. } => on
            .iter_mut()
            .chain(bindings.iter_mut().map(|(_, expr)| expr))
            .for_each(change),
        LogicalPlan::Aggregate {
            keys, aggregates, ..
        } => {
            keys.iter_mut().for_each(|(_, expr)| change(expr));
            for (_, call) in aggregates {
                call.arguments.iter_mut().for_each(&mut change);
                call.filter.iter_mut().for_each(&mut change);
                for key in &mut call.order_by {
                    change(&mut key.expr);
                }
            }
        }
        LogicalPlan::Window {
            partition,
            order,
            calls,
            ..
        } => {
            partition.iter_mut().for_each(&mut change);
            order.iter_mut().for_each(|key| change(&mut key.expr));
            for (_, call) in calls {
                call.exprs_mut().into_iter().for_each(&mut change);
            }
        }
        LogicalPlan::Sort { keys, .. } => keys.iter_mut().for_each(|key| change(&mut key.expr)),
        LogicalPlan::Limit { limit, offset, .. } => {
            limit.iter_mut().chain(offset.iter_mut()).for_each(change);
        }
        LogicalPlan::Distinct { .. }
        | LogicalPlan::UnionAll { .. }
        | LogicalPlan::LockRows { .. }
        | LogicalPlan::Buffered { .. }
        | LogicalPlan::With { .. }
        | LogicalPlan::SharedScan { .. }
        | LogicalPlan::Recursive { .. } => {}
    }
}

/// Calls `change` on every expression of a plan, of its inputs and of the subqueries in its
/// expressions; not on the operands of those expressions.
pub fn for_each_expr_deep(plan: &mut LogicalPlan, change: &mut dyn FnMut(&mut Expr)) {
    fn subqueries(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
        if let Some(subquery) = expr.subquery_mut() {
            for_each_expr_deep(subquery, change);
        }
        for operand in expr.operands_mut() {
            subqueries(operand, change);
        }
    }
    for_each_expr_mut(plan, |expr| {
        change(expr);
        subqueries(expr, change);
    });
    for input in inputs_mut(plan) {
        for_each_expr_deep(input, change);
    }
}
