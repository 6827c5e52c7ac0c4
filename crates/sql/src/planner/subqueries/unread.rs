//! Drops subqueries whose values nobody reads.
//!
//! A subquery in FROM or WITH may compute in its select list what the query around it ignores. To
//! evaluate that would not only be a waste: it could fail where the statement, as PostgreSQL
//! answers it, does not.

use std::collections::HashSet;

use crate::{
    bound::{ColumnId, Expr, LogicalPlan, plan_walk::for_each_expr_deep},
    planner::{
        expr_tools::{collect_columns, has_subquery, is_volatile},
        plan_tools::{for_each_expr_mut, inputs_mut},
    },
};

/// Drops items with subqueries from projections where none of the plan's readers wants them,
/// unless they are volatile. `wanted` are the columns read of the plan; `None`: perhaps all.
pub(super) fn drop_unread(plan: &mut LogicalPlan, wanted: Option<&HashSet<ColumnId>>) {
    let below: Option<HashSet<ColumnId>> = match plan {
        LogicalPlan::Project { items, .. } => {
            if let Some(wanted) = wanted {
                items.retain_mut(|(id, expr)| {
                    wanted.contains(id) || !has_subquery(expr) || is_volatile_deep(expr)
                });
            }
            let mut read = HashSet::new();
            for (_, expr) in items {
                collect_deep(expr, &mut read);
            }
            Some(read)
        }
        LogicalPlan::Aggregate { .. } => {
            let mut read = HashSet::new();
            for_each_expr_mut(plan, |expr| collect_deep(expr, &mut read));
            Some(read)
        }
        LogicalPlan::Filter { .. }
        | LogicalPlan::Sort { .. }
        | LogicalPlan::Limit { .. }
        | LogicalPlan::Join { .. }
        | LogicalPlan::Apply { .. }
        | LogicalPlan::With { .. } => wanted.map(|wanted| {
            let mut read = wanted.clone();
            for_each_expr_mut(plan, |expr| {
                collect_deep(expr, &mut read);
            });
            if let LogicalPlan::Apply { right, .. } = plan {
                for_each_expr_deep(right, &mut |expr| collect_columns(expr, &mut read));
            }
            read
        }),
        _ => None,
    };
    if let LogicalPlan::With {
        definition, input, ..
    } = plan
    {
        drop_unread(definition, None);
        drop_unread(input, below.as_ref());
        return;
    }
    for input in inputs_mut(plan) {
        drop_unread(input, below.as_ref());
    }
}

/// The columns that an expression reads, its subqueries included.
fn collect_deep(expr: &mut Expr, read: &mut HashSet<ColumnId>) {
    collect_columns(expr, read);
    for operand in expr.operands_mut() {
        collect_deep(operand, read);
    }
    if let Some(subquery) = expr.subquery_mut() {
        for_each_expr_deep(subquery, &mut |inner| collect_columns(inner, read));
    }
}

/// Whether an expression is volatile, its subqueries included.
fn is_volatile_deep(expr: &mut Expr) -> bool {
    let mut found = is_volatile(expr);
    if let Some(subquery) = expr.subquery_mut() {
        for_each_expr_deep(subquery, &mut |inner| found |= is_volatile(inner));
    }
    found || expr.operands_mut().into_iter().any(is_volatile_deep)
}
