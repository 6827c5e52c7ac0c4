//! Splits conditions into conjuncts and drops those that are always true.

use crate::{
    Result, Value,
    bound::{Expr, ExprKind, LogicalPlan},
    planner::{
        expr_tools::split_conjuncts,
        plan_tools::{inputs_mut, output, take},
        rules::{Rule, RuleContext},
    },
};

/// `WHERE true AND a AND (b AND c)` → `a`, `b`, `c`; `WHERE false` → no rows.
pub(super) struct SimplifyFilters;

impl Rule for SimplifyFilters {
    fn name(&self) -> &'static str {
        "simplify_filters"
    }

    fn apply(&self, plan: &mut LogicalPlan, _: &RuleContext<'_>) -> Result<bool> {
        Ok(simplify(plan))
    }
}

/// The conjuncts that are not always true; `None` where one never is.
fn conjuncts(predicates: Vec<Expr>, changed: &mut bool) -> Option<Vec<Expr>> {
    let before = predicates.len();
    let mut all = Vec::with_capacity(before);
    for predicate in predicates {
        split_conjuncts(predicate, &mut all);
    }
    let mut kept = Vec::with_capacity(all.len());
    for predicate in all {
        match predicate.kind {
            ExprKind::Literal(Value::Boolean(true)) => {}
            ExprKind::Literal(Value::Boolean(false) | Value::Null) => {
                *changed = true;
                return None;
            }
            _ => kept.push(predicate),
        }
    }
    *changed |= kept.len() != before;
    Some(kept)
}

fn simplify(plan: &mut LogicalPlan) -> bool {
    let mut changed = false;
    for input in inputs_mut(plan) {
        changed |= simplify(input);
    }
    match plan {
        LogicalPlan::Filter { input, predicates } => {
            match conjuncts(std::mem::take(predicates), &mut changed) {
                Some(kept) if kept.is_empty() => *plan = take(input),
                Some(kept) => *predicates = kept,
                None => {
                    *plan = LogicalPlan::Values {
                        columns: output(plan),
                        rows: Vec::new(),
                    }
                }
            }
        }
        LogicalPlan::Join { on, .. } => {
            // A condition that never holds stays: outer joins still give their rows.
            let before = on.clone();
            *on = conjuncts(std::mem::take(on), &mut changed).unwrap_or(before);
        }
        _ => {}
    }
    changed
}
