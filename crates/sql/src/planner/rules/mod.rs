//! Rewrite rules: each a type with a name, from a logical plan to an equivalent one.
//!
//! The rules run once, in the order of [`RULES`]; each sees what those before it have made.
//! EXPLAIN VERBOSE-like output can list those that changed something.

mod fold_constants;
mod join_order;
mod limit_pushdown;
mod outer_joins;
mod predicate_pushdown;
mod projection_pushdown;
mod prune_partitions;
mod renamings;
mod simplify_filters;

pub(crate) use renamings::remove_renamings;

use std::sync::Arc;

use crate::{
    Result,
    bound::{ColumnId, LogicalPlan},
    catalog::TableId,
    engine::table::TableHandle,
    planner::cost::Estimator,
};

/// What rules may ask.
pub(crate) struct RuleContext<'a> {
    /// Row counts and selectivities.
    pub(crate) estimator: &'a Estimator<'a>,
    /// The columns that the statement needs of the whole plan.
    pub(crate) wanted: &'a [ColumnId],
    /// The tables.
    pub(crate) tables: &'a dyn Fn(TableId) -> Option<Arc<TableHandle>>,
}

/// A rewrite rule.
pub(crate) trait Rule: Sync {
    /// Its name in EXPLAIN.
    fn name(&self) -> &'static str;

    /// Rewrites `plan`; says whether something has changed.
    fn apply(&self, plan: &mut LogicalPlan, context: &RuleContext<'_>) -> Result<bool>;
}

const RULES: &[&dyn Rule] = &[
    &fold_constants::FoldConstants,
    &simplify_filters::SimplifyFilters,
    &outer_joins::SimplifyOuterJoins,
    &predicate_pushdown::PushDownPredicates,
    &prune_partitions::PrunePartitions,
    &join_order::OrderJoins,
    &limit_pushdown::PushDownLimits,
    &projection_pushdown::PushDownProjections,
];

/// Applies every rule; gives the names of those that changed the plan.
pub(crate) fn rewrite(
    plan: &mut LogicalPlan,
    context: &RuleContext<'_>,
) -> Result<Vec<&'static str>> {
    let mut fired = Vec::new();
    for rule in RULES {
        if rule.apply(plan, context)? {
            fired.push(rule.name());
        }
    }
    Ok(fired)
}
