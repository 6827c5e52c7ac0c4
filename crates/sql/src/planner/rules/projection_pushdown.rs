//! Reads only the columns that are needed.

use std::collections::HashSet;

use crate::{
    Result,
    bound::{ColumnId, Expr, JoinKind, LogicalPlan, SharedId},
    planner::{
        expr_tools::{collect_columns, is_volatile},
        plan_tools::{inputs_mut, output_ids, take},
        rules::{Rule, RuleContext},
    },
};

/// Drops columns that nobody reads from scans, projections, aggregates and unions; not what is
/// volatile, which may be there for what it does.
pub(super) struct PushDownProjections;

impl Rule for PushDownProjections {
    fn name(&self) -> &'static str {
        "push_down_projections"
    }

    fn apply(&self, plan: &mut LogicalPlan, context: &RuleContext<'_>) -> Result<bool> {
        let wanted = context.wanted.iter().copied().collect();
        Ok(prune(plan, &wanted))
    }
}

fn prune(plan: &mut LogicalPlan, wanted: &HashSet<ColumnId>) -> bool {
    match plan {
        LogicalPlan::Scan {
            columns,
            row_key,
            filter,
            ..
        } => {
            let mut read = wanted.clone();
            filter
                .iter()
                .for_each(|expr| collect_columns(expr, &mut read));
            let before = columns.len();
            columns.retain(|column| read.contains(&column.id));
            if row_key.is_some_and(|id| !wanted.contains(&id)) {
                *row_key = None;
            }
            columns.len() != before
        }
        LogicalPlan::Values { columns, rows } => {
            let acts = |at: usize| rows.iter().any(|row| row.get(at).is_some_and(is_volatile));
            let keep: Vec<bool> = columns
                .iter()
                .enumerate()
                .map(|(at, (id, _))| wanted.contains(id) || acts(at))
                .collect();
            if keep.iter().all(|keep| *keep) || rows.len() > 1 {
                return false;
            }
            let retain = |at: &mut usize| {
                *at += 1;
                keep.get(*at - 1).copied().unwrap_or(true)
            };
            let mut at = 0;
            columns.retain(|_| retain(&mut at));
            for row in rows {
                let mut at = 0;
                row.retain(|_| retain(&mut at));
            }
            true
        }
        // Its rows are made elsewhere.
        LogicalPlan::Buffered { .. } => false,
        LogicalPlan::TableFunctions { .. } => false,
        LogicalPlan::With {
            id,
            definition,
            input,
            ..
        } => {
            let changed = prune(input, wanted);
            let mut read = HashSet::new();
            columns_read(input, *id, &mut read);
            prune(definition, &read) || changed
        }
        LogicalPlan::SharedScan { columns, .. } => {
            let before = columns.len();
            columns.retain(|(id, ..)| wanted.contains(id));
            columns.len() != before
        }
        // Which rows there are depends on all columns.
        LogicalPlan::Recursive { base, step, .. } => {
            let (of_base, of_step) = (output_ids(base), output_ids(step));
            prune(base, &of_base) | prune(step, &of_step)
        }
        LogicalPlan::Filter { input, predicates } => {
            let mut read = wanted.clone();
            predicates
                .iter()
                .for_each(|expr| collect_columns(expr, &mut read));
            prune(input, &read)
        }
        LogicalPlan::Project { input, items } => {
            let before = items.len();
            items.retain(|(id, expr)| wanted.contains(id) || is_volatile(expr));
            let mut read = HashSet::new();
            items
                .iter()
                .for_each(|(_, expr)| collect_columns(expr, &mut read));
            let changed = items.len() != before;
            prune(input, &read) || changed
        }
        LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        } => prune_join(*kind, left, right, on, &[], wanted),
        LogicalPlan::Apply {
            kind,
            left,
            right,
            on,
            bindings,
        } => prune_join(*kind, left, right, on, bindings, wanted),
        LogicalPlan::Aggregate {
            input,
            keys,
            aggregates,
            ..
        } => {
            let before = aggregates.len();
            aggregates.retain(|(id, call)| {
                wanted.contains(id) || call.arguments.iter().chain(&call.filter).any(is_volatile)
            });
            let mut read = HashSet::new();
            keys.iter()
                .for_each(|(_, expr)| collect_columns(expr, &mut read));
            for (_, call) in aggregates.iter() {
                call.arguments
                    .iter()
                    .chain(&call.filter)
                    .chain(call.order_by.iter().map(|key| &key.expr))
                    .for_each(|expr| collect_columns(expr, &mut read));
            }
            let changed = aggregates.len() != before;
            prune(input, &read) || changed
        }
        LogicalPlan::Window {
            input,
            partition,
            order,
            calls,
        } => {
            let before = calls.len();
            calls.retain_mut(|(id, call)| {
                wanted.contains(id) || call.exprs_mut().into_iter().any(|expr| is_volatile(expr))
            });
            let mut read = wanted.clone();
            partition
                .iter()
                .chain(order.iter().map(|key| &key.expr))
                .for_each(|expr| collect_columns(expr, &mut read));
            for (_, call) in calls.iter_mut() {
                for expr in call.exprs_mut() {
                    collect_columns(expr, &mut read);
                }
            }
            if calls.is_empty() {
                *plan = take(input);
                prune(plan, &read);
                return true;
            }
            let changed = calls.len() != before;
            prune(input, &read) || changed
        }
        // Which rows are distinct depends on all columns.
        LogicalPlan::Distinct { input, on: None } => {
            let all = output_ids(input);
            prune(input, &all)
        }
        LogicalPlan::Distinct {
            input,
            on: Some(columns),
        } => {
            let mut read = wanted.clone();
            read.extend(columns.iter());
            prune(input, &read)
        }
        LogicalPlan::Sort { input, keys } => {
            let mut read = wanted.clone();
            keys.iter()
                .for_each(|key| collect_columns(&key.expr, &mut read));
            prune(input, &read)
        }
        LogicalPlan::LockRows { input, locks } => {
            let mut read = wanted.clone();
            read.extend(locks.iter().map(|lock| lock.row_key));
            prune(input, &read)
        }
        LogicalPlan::Limit { input, .. } => prune(input, wanted),
        LogicalPlan::UnionAll { inputs, columns } => {
            let before = columns.len();
            columns.retain(|(id, ..)| wanted.contains(id));
            let mut changed = columns.len() != before;
            for (at, input) in inputs.iter_mut().enumerate() {
                let read = columns
                    .iter()
                    .filter_map(|(_, ids, _)| ids.get(at).copied())
                    .collect();
                changed |= prune(input, &read);
            }
            changed
        }
    }
}

/// The columns that the scans in `plan` read of a WITH query.
fn columns_read(plan: &mut LogicalPlan, id: SharedId, read: &mut HashSet<ColumnId>) {
    if let LogicalPlan::SharedScan {
        id: scanned,
        columns,
        ..
    } = plan
        && *scanned == id
    {
        read.extend(columns.iter().map(|(_, source, _)| *source));
    }
    for input in inputs_mut(plan) {
        columns_read(input, id, read);
    }
}

fn prune_join(
    kind: JoinKind,
    left: &mut LogicalPlan,
    right: &mut LogicalPlan,
    on: &[Expr],
    bindings: &[(usize, Expr)],
    wanted: &HashSet<ColumnId>,
) -> bool {
    let mut read = wanted.clone();
    on.iter().for_each(|expr| collect_columns(expr, &mut read));
    let mut of_left = read.clone();
    for (_, expr) in bindings {
        collect_columns(expr, &mut of_left);
    }
    let changed = prune(left, &of_left);
    let only_matches = matches!(
        kind,
        JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Exists(_)
    );
    if only_matches {
        // Of the right only the condition's columns matter.
        let right_ids = output_ids(right);
        read.retain(|id| right_ids.contains(id));
    }
    prune(right, &read) || changed
}
