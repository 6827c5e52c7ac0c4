//! From a bound statement to a physical plan.
//!
//! 1. [`subqueries`] takes subqueries out of expressions and decorrelates them.
//! 2. [`rules`] rewrite the logical plan; [`cost`] and [`statistics`] estimate rows for them,
//!    [`cost_model`] says what they cost.
//! 3. [`build`] chooses operators and access paths ([`access`], [`ordering`], [`extremes`], [`joins`]).
//! 4. [`choose_executor`] says for every node whether rows or vectors run it, and why.
//!
//! [`explain`] prints the result.

pub(crate) mod access;
pub(crate) mod build;
pub(crate) mod choose_executor;
pub(crate) mod cost;
pub(crate) mod cost_model;
pub(crate) mod explain;
pub(crate) mod expr_text;
pub(crate) mod expr_tools;
mod extremes;
mod grouping;
mod joins;
mod ordering;
pub(crate) mod physical;
mod plan_tools;
mod rules;
mod shared;
pub(crate) mod statistics;
mod subqueries;
mod system_scan;

pub(crate) use plan_tools::output;
pub(crate) use subqueries::max_column;

use std::sync::Arc;

use crate::{
    Result,
    bound::{ColumnId, LogicalPlan},
    catalog::TableId,
    engine::table::TableHandle,
    planner::{
        build::Builder,
        choose_executor::ExecutorSetting,
        cost::Estimator,
        physical::{InitPlan, PhysicalPlan, QueryPlan},
        rules::RuleContext,
        statistics::TableStatistics,
        subqueries::Extractor,
    },
};

/// What planning may ask of its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct PlanContext<'a> {
    /// The tables of the statement, with their statistics.
    pub(crate) tables: &'a dyn Fn(TableId) -> Option<Arc<TableHandle>>,
    /// About how many rows a table has now, where that is known.
    pub(crate) rows: &'a dyn Fn(&TableHandle) -> Option<u64>,
    /// What is known of a table's values.
    pub(crate) statistics: &'a dyn Fn(&TableHandle) -> Option<Arc<TableStatistics>>,
    /// How many parameters the statement has.
    pub(crate) parameters: usize,
    /// Which executors may run.
    pub(crate) executor: ExecutorSetting,
    /// Whether the rules rewrite the plan.
    pub(crate) optimizer: bool,
}

/// Plans a query whose rows are to have the columns `wanted`, in that order.
pub(crate) fn plan_query(
    plan: LogicalPlan,
    wanted: &[ColumnId],
    context: &PlanContext<'_>,
) -> Result<QueryPlan> {
    let copy = plan.clone();
    let (planned, has_alternative) = plan_with(plan, wanted, context, context.optimizer)?;
    if !has_alternative {
        return Ok(planned);
    }
    // Decorrelated, a subquery is evaluated for all values at once: a waste where few are asked
    // for.
    let (each, _) = plan_with(copy, wanted, context, false)?;
    let cost = |plan: &QueryPlan| {
        plan.init
            .iter()
            .map(|subquery| subquery.plan.estimate.cost)
            .sum::<f64>()
            + plan.root.estimate.cost
    };
    Ok(if cost(&each) < cost(&planned) {
        each
    } else {
        planned
    })
}

/// Plans a query, with or without decorrelating its subqueries; says whether that would make a
/// difference.
fn plan_with(
    mut plan: LogicalPlan,
    wanted: &[ColumnId],
    context: &PlanContext<'_>,
    decorrelates: bool,
) -> Result<(QueryPlan, bool)> {
    let mut extractor = Extractor::new(&mut plan, context.parameters, decorrelates);
    extractor.extract_all(&mut plan, wanted)?;
    let has_alternative = extractor.has_alternative;
    let mut rules = Vec::new();
    let mut init = Vec::new();
    for subquery in extractor.extracted {
        let columns: Vec<ColumnId> = plan_tools::output(&subquery.plan)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        init.push(InitPlan {
            parameter: subquery.parameter,
            kind: subquery.kind,
            plan: plan_part(subquery.plan, &columns, context, &mut rules)?,
        });
    }
    let mut root = plan_part(plan, wanted, context, &mut rules)?;
    let mut next = root.number(0);
    for subquery in &mut init {
        next = subquery.plan.number(next);
    }
    let mut seen = Vec::new();
    for rule in rules {
        if !seen.contains(&rule) {
            seen.push(rule);
        }
    }
    let planned = QueryPlan {
        init,
        root,
        nodes: next,
        rules: seen,
    };
    Ok((planned, has_alternative))
}

/// Plans a plan without subqueries in its expressions.
fn plan_part(
    mut plan: LogicalPlan,
    wanted: &[ColumnId],
    context: &PlanContext<'_>,
    fired: &mut Vec<&'static str>,
) -> Result<PhysicalPlan> {
    let estimator = Estimator::new(&mut plan, *context);
    let rules = RuleContext {
        estimator: &estimator,
        wanted,
        tables: context.tables,
    };
    if context.optimizer {
        fired.extend(rules::rewrite(&mut plan, &rules)?);
    }
    let renamed = rules::remove_renamings(&mut plan);
    let wanted: Vec<ColumnId> = wanted
        .iter()
        .map(|id| renamed.get(id).copied().unwrap_or(*id))
        .collect();
    let wanted = wanted.as_slice();
    let builder = Builder::new(&estimator, context.tables);
    let root = builder.build(plan)?;
    let mut root = build::with_columns(root, wanted)?;
    choose_executor::choose(&mut root, context.executor);
    Ok(root)
}
