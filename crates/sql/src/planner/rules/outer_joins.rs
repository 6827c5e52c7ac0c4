//! Turns outer joins into narrower ones where a later condition drops the padded rows anyway.

use crate::{
    Result,
    bound::{Expr, JoinKind, LogicalPlan},
    planner::{
        expr_tools::rejects_null,
        plan_tools::{inputs_mut, output_ids},
        rules::{Rule, RuleContext},
    },
};

/// `a LEFT JOIN b … WHERE b.x = 1` → an inner join.
pub(super) struct SimplifyOuterJoins;

impl Rule for SimplifyOuterJoins {
    fn name(&self) -> &'static str {
        "simplify_outer_joins"
    }

    fn apply(&self, plan: &mut LogicalPlan, _: &RuleContext<'_>) -> Result<bool> {
        Ok(simplify(plan, &[]))
    }
}

/// `above`: conditions that every row of `plan` must pass later.
fn simplify(plan: &mut LogicalPlan, above: &[Expr]) -> bool {
    match plan {
        LogicalPlan::Filter { input, predicates } => {
            let mut all = above.to_vec();
            all.extend(predicates.iter().cloned());
            simplify(input, &all)
        }
        LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        } => {
            let rejects = |side: &LogicalPlan| {
                let ids = output_ids(side);
                above.iter().any(|predicate| rejects_null(predicate, &ids))
            };
            let before = *kind;
            if matches!(kind, JoinKind::Left | JoinKind::Full) && rejects(right) {
                // Rows of the left without a partner are dropped.
                *kind = if *kind == JoinKind::Left {
                    JoinKind::Inner
                } else {
                    JoinKind::Right
                };
            }
            if matches!(kind, JoinKind::Right | JoinKind::Full) && rejects(left) {
                *kind = if *kind == JoinKind::Right {
                    JoinKind::Inner
                } else {
                    JoinKind::Left
                };
            }
            let mut changed = *kind != before;
            let mut below = above.to_vec();
            if *kind == JoinKind::Inner {
                below.extend(on.iter().cloned());
            }
            // A condition from above holds for both sides where neither is padded.
            let none: &[Expr] = &[];
            let (for_left, for_right) = match kind {
                JoinKind::Inner => (below.as_slice(), below.as_slice()),
                JoinKind::Left
                | JoinKind::Single
                | JoinKind::Semi
                | JoinKind::Anti
                | JoinKind::Mark(_)
                | JoinKind::Exists(_) => (above, none),
                JoinKind::Right => (none, above),
                JoinKind::Full => (none, none),
            };
            changed |= simplify(left, for_left);
            changed |= simplify(right, for_right);
            changed
        }
        _ => inputs_mut(plan)
            .into_iter()
            .fold(false, |changed, input| simplify(input, &[]) | changed),
    }
}
