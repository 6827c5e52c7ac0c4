//! Reads only the columns that are needed.

use std::collections::HashSet;

use crate::{
    Result,
    bound::{ColumnId, JoinKind, LogicalPlan},
    planner::{
        expr_tools::collect_columns,
        plan_tools::output_ids,
        rules::{Rule, RuleContext},
    },
};

/// Drops columns that nobody reads from scans, projections, aggregates and unions.
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
            let keep: Vec<bool> = columns.iter().map(|(id, _)| wanted.contains(id)).collect();
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
        LogicalPlan::Filter { input, predicates } => {
            let mut read = wanted.clone();
            predicates
                .iter()
                .for_each(|expr| collect_columns(expr, &mut read));
            prune(input, &read)
        }
        LogicalPlan::Project { input, items } => {
            let before = items.len();
            items.retain(|(id, _)| wanted.contains(id));
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
        } => {
            let mut read = wanted.clone();
            on.iter().for_each(|expr| collect_columns(expr, &mut read));
            let changed = prune(left, &read);
            if matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_)) {
                // Of the right only the condition's columns matter.
                let right_ids = output_ids(right);
                read.retain(|id| right_ids.contains(id));
            }
            prune(right, &read) || changed
        }
        LogicalPlan::Aggregate {
            input,
            keys,
            aggregates,
        } => {
            let before = aggregates.len();
            aggregates.retain(|(id, _)| wanted.contains(id));
            let mut read = HashSet::new();
            keys.iter()
                .for_each(|(_, expr)| collect_columns(expr, &mut read));
            for (_, call) in aggregates.iter() {
                call.arguments.iter().chain(&call.filter).for_each(|expr| {
                    collect_columns(expr, &mut read);
                });
            }
            let changed = aggregates.len() != before;
            prune(input, &read) || changed
        }
        // Which rows are distinct depends on all columns.
        LogicalPlan::Distinct { input } => {
            let all = output_ids(input);
            prune(input, &all)
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
