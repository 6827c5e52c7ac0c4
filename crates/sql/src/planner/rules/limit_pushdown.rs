//! Moves limits to where they save work.

use crate::{
    Result,
    bound::LogicalPlan,
    planner::{
        plan_tools::{inputs_mut, placeholder, take},
        rules::{Rule, RuleContext},
    },
};

/// A limit goes below a projection, so that only the rows given are computed and a sort right
/// below it becomes a top-N.
pub(super) struct PushDownLimits;

impl Rule for PushDownLimits {
    fn name(&self) -> &'static str {
        "push_down_limits"
    }

    fn apply(&self, plan: &mut LogicalPlan, _: &RuleContext<'_>) -> Result<bool> {
        Ok(push(plan))
    }
}

fn push(plan: &mut LogicalPlan) -> bool {
    let mut changed = false;
    if let LogicalPlan::Limit {
        input,
        limit,
        offset,
    } = plan
        && let LogicalPlan::Project {
            input: below,
            items,
        } = &mut **input
    {
        let limited = LogicalPlan::Limit {
            input: Box::new(take(below)),
            limit: limit.take(),
            offset: offset.take(),
        };
        let items = std::mem::take(items);
        *plan = placeholder();
        *plan = LogicalPlan::Project {
            input: Box::new(limited),
            items,
        };
        changed = true;
    }
    for input in inputs_mut(plan) {
        changed |= push(input);
    }
    changed
}
