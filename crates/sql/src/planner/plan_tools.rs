//! Making and taking apart logical plans.

pub(crate) use crate::bound::plan_walk::{for_each_expr_mut, inputs_mut, output, output_ids};
use crate::bound::{Expr, LogicalPlan};

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
