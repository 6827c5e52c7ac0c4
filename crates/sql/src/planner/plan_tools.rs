//! Looking at logical plans: their columns, inputs and expressions.

use std::collections::HashSet;

use crate::{
    DataType,
    bound::{ColumnId, Expr, JoinKind, LogicalPlan},
};

/// The columns that a plan gives, in order.
pub(crate) fn output(plan: &LogicalPlan) -> Vec<(ColumnId, DataType)> {
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
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Distinct { input }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::LockRows { input, .. }
        | LogicalPlan::Limit { input, .. } => output(input),
        LogicalPlan::Project { items, .. } => items
            .iter()
            .map(|(id, expr)| (*id, expr.data_type))
            .collect(),
        LogicalPlan::Join {
            kind, left, right, ..
        } => {
            let mut columns = output(left);
            match kind {
                JoinKind::Semi | JoinKind::Anti => {}
                JoinKind::Mark(id) => columns.push((*id, DataType::Boolean)),
                _ => columns.extend(output(right)),
            }
            columns
        }
        LogicalPlan::Aggregate {
            keys, aggregates, ..
        } => keys
            .iter()
            .map(|(id, expr)| (*id, expr.data_type))
            .chain(aggregates.iter().map(|(id, call)| (*id, call.data_type)))
            .collect(),
        LogicalPlan::UnionAll { columns, .. } => columns
            .iter()
            .map(|(id, _, data_type)| (*id, *data_type))
            .collect(),
    }
}

/// The ids of the columns that a plan gives.
pub(crate) fn output_ids(plan: &LogicalPlan) -> HashSet<ColumnId> {
    output(plan).into_iter().map(|(id, _)| id).collect()
}

/// The direct inputs of a plan, to be changed.
pub(crate) fn inputs_mut(plan: &mut LogicalPlan) -> Vec<&mut LogicalPlan> {
    match plan {
        LogicalPlan::Scan { .. } | LogicalPlan::Values { .. } | LogicalPlan::Buffered { .. } => {
            Vec::new()
        }
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Distinct { input }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::LockRows { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Project { input, .. }
        | LogicalPlan::Aggregate { input, .. } => vec![input],
        LogicalPlan::Join { left, right, .. } => vec![left, right],
        LogicalPlan::UnionAll { inputs, .. } => inputs.iter_mut().collect(),
    }
}

/// Calls `change` on every expression of this node (not of its inputs).
pub(crate) fn for_each_expr_mut(plan: &mut LogicalPlan, mut change: impl FnMut(&mut Expr)) {
    match plan {
        LogicalPlan::Scan { filter, .. } => filter.iter_mut().for_each(change),
        LogicalPlan::Values { rows, .. } => rows.iter_mut().flatten().for_each(change),
        LogicalPlan::Filter { predicates, .. } => predicates.iter_mut().for_each(change),
        LogicalPlan::Project { items, .. } => {
            items.iter_mut().for_each(|(_, expr)| change(expr));
        }
        LogicalPlan::Join { on, .. } => on.iter_mut().for_each(change),
        LogicalPlan::Aggregate {
            keys, aggregates, ..
        } => {
            keys.iter_mut().for_each(|(_, expr)| change(expr));
            for (_, call) in aggregates {
                call.arguments.iter_mut().for_each(&mut change);
                if let Some(filter) = &mut call.filter {
                    change(filter);
                }
            }
        }
        LogicalPlan::Sort { keys, .. } => keys.iter_mut().for_each(|key| change(&mut key.expr)),
        LogicalPlan::Limit { limit, offset, .. } => {
            limit.iter_mut().chain(offset.iter_mut()).for_each(change);
        }
        LogicalPlan::Buffered { .. }
        | LogicalPlan::Distinct { .. }
        | LogicalPlan::LockRows { .. }
        | LogicalPlan::UnionAll { .. } => {}
    }
}

/// A plan that gives nothing, to be put where a plan is taken out of a tree.
pub(crate) fn placeholder() -> LogicalPlan {
    LogicalPlan::Values {
        columns: Vec::new(),
        rows: Vec::new(),
    }
}

/// Takes a plan out of its place.
pub(crate) fn take(plan: &mut LogicalPlan) -> LogicalPlan {
    std::mem::replace(plan, placeholder())
}

/// Wraps `plan` in a filter, unless there is nothing to filter by.
pub(crate) fn filtered(plan: LogicalPlan, predicates: Vec<Expr>) -> LogicalPlan {
    if predicates.is_empty() {
        return plan;
    }
    LogicalPlan::Filter {
        input: Box::new(plan),
        predicates,
    }
}
