//! Removes projections that only give columns new ids.

use std::collections::{HashMap, HashSet};

use crate::{
    bound::{ColumnId, Expr, ExprKind, LogicalPlan},
    planner::plan_tools::{for_each_expr_mut, inputs_mut, output_ids, take},
};

/// Removes them, and gives for each id that is gone the one that is in its place.
///
/// A projection that leaves columns out stays: which rows are distinct may depend on it.
pub(crate) fn remove_renamings(plan: &mut LogicalPlan) -> HashMap<ColumnId, ColumnId> {
    let mut renamed = HashMap::new();
    remove(plan, &mut renamed);
    renamed
}

fn remove(plan: &mut LogicalPlan, renamed: &mut HashMap<ColumnId, ColumnId>) {
    for input in inputs_mut(plan) {
        remove(input, renamed);
    }
    if !renamed.is_empty() {
        for_each_expr_mut(plan, |expr| replace_within(expr, renamed));
        let ids: Vec<&mut ColumnId> = match plan {
            LogicalPlan::UnionAll { columns, .. } => {
                columns.iter_mut().flat_map(|(_, ids, _)| ids).collect()
            }
            LogicalPlan::SharedScan { columns, .. } => {
                columns.iter_mut().map(|(_, source, _)| source).collect()
            }
            LogicalPlan::Recursive { columns, .. } => columns
                .iter_mut()
                .flat_map(|(_, base, step, _)| [base, step])
                .collect(),
            LogicalPlan::Distinct { on: Some(ids), .. } => ids.iter_mut().collect(),
            _ => Vec::new(),
        };
        for id in ids {
            *id = renamed.get(id).copied().unwrap_or(*id);
        }
    }
    let LogicalPlan::Project { input, items } = plan else {
        return;
    };
    // A column that is passed on under its own id goes by its new one from here on.
    for (id, _) in items.iter_mut() {
        *id = renamed.get(id).copied().unwrap_or(*id);
    }
    let sources: Option<HashSet<ColumnId>> = items
        .iter()
        .map(|(_, expr)| match expr.kind {
            ExprKind::Column(id) => Some(id),
            _ => None,
        })
        .collect();
    let Some(sources) = sources else { return };
    if sources.len() != items.len() || sources != output_ids(input) {
        return;
    }
    for (id, expr) in items.iter() {
        if let ExprKind::Column(source) = expr.kind
            && source != *id
        {
            renamed.insert(*id, source);
        }
    }
    *plan = take(input);
}

/// Replaces columns, each keeping its type.
fn replace_within(expr: &mut Expr, renamed: &HashMap<ColumnId, ColumnId>) {
    if let ExprKind::Column(id) = &mut expr.kind {
        *id = renamed.get(id).copied().unwrap_or(*id);
        return;
    }
    for operand in expr.operands_mut() {
        replace_within(operand, renamed);
    }
}
