//! Moves limits to where they save work.

use crate::{
    DataType, Result, Value,
    bound::{Expr, ExprKind, LogicalPlan},
    planner::{
        expr_tools::{is_volatile, literal},
        plan_tools::{inputs_mut, placeholder, take},
        rules::{Rule, RuleContext},
    },
};

/// A limit goes below a projection, so that only the rows given are computed and a sort right
/// below it becomes a top-N. What is volatile is computed for the rows that an offset leaves out
/// as well: of these only the limit goes below.
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
        if let Some(skipped) = offset
            && items.iter().any(|(_, expr)| is_volatile(expr))
        {
            if let Some(last) = limit.as_ref().and_then(|limit| sum(limit, skipped)) {
                **below = LogicalPlan::Limit {
                    input: Box::new(take(below)),
                    limit: Some(last),
                    offset: None,
                };
                changed = true;
            }
        } else {
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
    }
    for input in inputs_mut(plan) {
        changed |= push(input);
    }
    changed
}

/// The sum of two constant numbers of rows.
fn sum(left: &Expr, right: &Expr) -> Option<Expr> {
    match (&left.kind, &right.kind) {
        (
            ExprKind::Literal(Value::Int8(left @ 0..)),
            ExprKind::Literal(Value::Int8(right @ 0..)),
        ) => Some(literal(
            Value::Int8(left.saturating_add(*right)),
            DataType::Int8,
        )),
        _ => None,
    }
}
