//! The row executor: one operator per plan node, one row at a time.
//!
//! Operators pull: [`Operator::next`] writes the next row into a buffer of the caller's, which
//! is used again for every row. [`build()`] makes the operators of a plan; what they share
//! (transaction, parameters, cancellation, memory) stands in the [`ExecContext`].

mod aggregate;
mod apply;
mod buffered;
mod context;
mod distinct;
mod filter;
mod hash_join;
mod index_union;
mod instrument;
mod key_condition;
mod limit;
mod lock_rows;
mod lookup_join;
mod nested_loop;
mod scan;
mod shared;
mod sort;
pub(crate) mod spill;
mod system_scan;
mod table_function;
mod union;
mod values;
mod window;

use std::sync::Arc;

use crate::{
    Result, Value,
    bound::ColumnId,
    planner::physical::{ExecutorKind, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr},
    vector,
};

pub(crate) use apply::more_than_one_row;
pub(crate) use context::{ExecContext, MemoryMeter, StatementRandom, row_bytes};
pub(crate) use instrument::Measurements;
pub(crate) use key_condition::keys_of;
pub(crate) use limit::bounds as limit_bounds;
pub(crate) use lock_rows::lock_tables;
pub(crate) use scan::{PathKeys, Scan};
pub(crate) use shared::SharedTables;

/// A row in flight.
pub(crate) type RowBuffer = Vec<Value>;

/// A node of a plan at work.
pub(crate) trait Operator: Send {
    /// Makes `row` the next row; `false`: there is none, and what `row` holds means nothing.
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool>;
}

/// One row to be put in the place of a scan: how a changed row is checked again (the scan is
/// the one that gives row keys under this column id).
#[derive(Clone, Debug)]
pub(crate) struct Substitute {
    /// The scan's row-key column.
    pub(crate) row_key: ColumnId,
    /// The row's key.
    pub(crate) key: Vec<u8>,
    /// The row as stored; `None`: the scan gives none.
    pub(crate) row: Option<Vec<u8>>,
}

/// Makes the operators of `plan`. Scans are opened at once, so they see the table as it is now.
pub(crate) fn build(
    plan: &PhysicalPlan,
    context: &ExecContext,
    substitute: Option<&Substitute>,
) -> Result<Box<dyn Operator>> {
    build_with(plan, context, substitute.map_or(&[], std::slice::from_ref))
}

/// As [`build()`], with rows in the place of several scans.
pub(crate) fn build_with(
    plan: &PhysicalPlan,
    context: &ExecContext,
    substitutes: &[Substitute],
) -> Result<Box<dyn Operator>> {
    // The vector executor measures its nodes itself. A row that is put in a scan's place is
    // one row: whatever the plan says, it takes the way of rows.
    if plan.executor == ExecutorKind::Vector && substitutes.is_empty() {
        return vector::build(plan, context);
    }
    build_as_rows(plan, context, substitutes)
}

/// The distinct rows of `input`, which has `columns`.
pub(crate) fn distinct(
    input: Box<dyn Operator>,
    columns: &[PlanColumn],
    context: &ExecContext,
) -> Result<Box<dyn Operator>> {
    let types = columns.iter().map(|column| column.data_type).collect();
    Ok(Box::new(distinct::Distinct::new(
        input, types, None, context,
    )?))
}

/// The operator of `plan` in the row executor, whatever its root says; its inputs may be
/// vectors.
pub(crate) fn build_rows(plan: &PhysicalPlan, context: &ExecContext) -> Result<Box<dyn Operator>> {
    build_as_rows(plan, context, &[])
}

fn build_as_rows(
    plan: &PhysicalPlan,
    context: &ExecContext,
    substitutes: &[Substitute],
) -> Result<Box<dyn Operator>> {
    let operator = build_node(plan, context, substitutes)?;
    Ok(match &context.measurements {
        Some(measurements) => Box::new(instrument::Instrumented::new(
            operator,
            plan.id,
            Arc::clone(measurements),
        )),
        None => operator,
    })
}

fn build_node(
    plan: &PhysicalPlan,
    context: &ExecContext,
    substitutes: &[Substitute],
) -> Result<Box<dyn Operator>> {
    let child = |input: &PhysicalPlan| build_with(input, context, substitutes);
    let given = |id: Option<ColumnId>| substitutes.iter().find(|row| Some(row.row_key) == id);
    Ok(match &plan.node {
        PhysicalNode::Scan(node) => match given(node.row_key) {
            Some(row) => Box::new(scan::SubstitutedScan::new(Arc::clone(node), row.clone())),
            None => Box::new(Scan::open(node, &[], context)?),
        },
        PhysicalNode::IndexUnion { branches, fetch } => match given(fetch.row_key) {
            Some(row) => Box::new(scan::SubstitutedScan::new(Arc::clone(fetch), row.clone())),
            None => Box::new(index_union::IndexUnion::new(
                branches.iter().map(child).collect::<Result<_>>()?,
                Arc::clone(fetch),
                context,
            )?),
        },
        PhysicalNode::SystemScan(node) => Box::new(system_scan::SystemScan::open(node, context)?),
        PhysicalNode::Values { rows } => Box::new(values::Values::new(Arc::clone(rows))),
        PhysicalNode::Buffered { slot } => Box::new(buffered::Buffered::new(*slot, context)?),
        PhysicalNode::TableFunctions { calls, ordinality } => Box::new(
            table_function::TableFunctions::new(Arc::clone(calls), *ordinality),
        ),
        PhysicalNode::With {
            id,
            definition,
            input,
            ..
        } => Box::new(shared::With::new(*id, child(definition)?, context, || {
            child(input)
        })?),
        PhysicalNode::SharedScan { id, positions, .. } => {
            Box::new(shared::SharedScan::new(*id, Arc::clone(positions), context))
        }
        PhysicalNode::Recursive {
            id,
            base,
            step,
            distinct,
            ..
        } => Box::new(shared::Recursive::new(
            *id,
            child(base)?,
            Arc::clone(step),
            *distinct,
            context,
        )?),
        PhysicalNode::Filter { input, predicates } => {
            Box::new(filter::Filter::new(child(input)?, Arc::clone(predicates)))
        }
        PhysicalNode::Project { input, items } => {
            Box::new(filter::Project::new(child(input)?, Arc::clone(items)))
        }
        PhysicalNode::NestedLoopJoin {
            kind,
            left,
            right,
            on,
        } => Box::new(nested_loop::NestedLoopJoin::new(
            *kind,
            child(left)?,
            child(right)?,
            left.columns.len(),
            right.columns.len(),
            Arc::clone(on),
            context,
        )?),
        PhysicalNode::Apply {
            kind,
            left,
            right,
            bindings,
            on,
            repeatable,
        } => Box::new(apply::Apply::new(
            apply::ApplySpec {
                kind: *kind,
                right_width: right.columns.len(),
                right: Arc::clone(right),
                bindings: Arc::clone(bindings),
                on: Arc::clone(on),
                repeatable: *repeatable,
            },
            child(left)?,
            context,
        )?),
        PhysicalNode::LookupJoin {
            kind,
            left,
            right,
            on,
            ..
        } => Box::new(lookup_join::LookupJoin::new(
            *kind,
            child(left)?,
            Arc::clone(right),
            Arc::clone(on),
        )),
        PhysicalNode::HashJoin {
            kind,
            left,
            right,
            left_keys,
            right_keys,
            nulls_equal,
            residual,
        } => Box::new(hash_join::HashJoin::new(
            hash_join::HashJoinSpec {
                kind: *kind,
                left_types: types_of(left),
                right_types: types_of(right),
                left_keys: Arc::clone(left_keys),
                right_keys: Arc::clone(right_keys),
                nulls_equal: Arc::clone(nulls_equal),
                residual: Arc::clone(residual),
            },
            child(left)?,
            child(right)?,
            context,
        )?),
        PhysicalNode::HashAggregate {
            input,
            keys,
            aggregates,
            sets,
        } => Box::new(aggregate::HashAggregate::new(
            child(input)?,
            Arc::clone(keys),
            Arc::clone(aggregates),
            sets.clone(),
            types_of(input),
            context,
        )?),
        PhysicalNode::Window {
            input,
            partition,
            order,
            calls,
        } => Box::new(window::Window::new(
            child(input)?,
            partition,
            order,
            Arc::clone(calls),
            context,
        )?),
        PhysicalNode::Distinct { input, on } => {
            let types = types_of(input);
            Box::new(distinct::Distinct::new(
                child(input)?,
                types,
                on.clone(),
                context,
            )?)
        }
        PhysicalNode::Sort { input, keys } => Box::new(sort::Sort::new(
            child(input)?,
            Arc::clone(keys),
            types_of(input),
            context,
        )?),
        PhysicalNode::TopN {
            input,
            keys,
            limit,
            offset,
        } => {
            let (skip, take) = limit::bounds(Some(limit), offset.as_ref(), context)?;
            Box::new(sort::TopN::new(
                child(input)?,
                Arc::clone(keys),
                skip,
                take,
                context,
            )?)
        }
        PhysicalNode::LockRows { input, locks } => Box::new(lock_rows::LockRows::new(
            child(input)?,
            Arc::clone(input),
            Arc::clone(locks),
        )),
        PhysicalNode::Limit {
            input,
            limit,
            offset,
        } => {
            let (skip, take) = limit::bounds(limit.as_ref(), offset.as_ref(), context)?;
            Box::new(limit::Limit::new(child(input)?, skip, take))
        }
        PhysicalNode::UnionAll { inputs } => {
            let inputs = inputs
                .iter()
                .map(|(input, positions)| Ok((child(input)?, positions.clone())))
                .collect::<Result<Vec<_>>>()?;
            Box::new(union::UnionAll::new(inputs))
        }
    })
}

fn types_of(plan: &PhysicalPlan) -> Vec<crate::DataType> {
    plan.columns.iter().map(|column| column.data_type).collect()
}

/// Whether every predicate is true of `row`.
#[inline]
pub(crate) fn passes(
    predicates: &[PlannedExpr],
    row: &[Value],
    context: &ExecContext,
) -> Result<bool> {
    for predicate in predicates {
        if predicate.compiled.eval_predicate(row, &context.eval())? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The conjunction of the predicates over `row`: `None` where it is unknown.
pub(crate) fn holds(
    predicates: &[PlannedExpr],
    row: &[Value],
    context: &ExecContext,
) -> Result<Option<bool>> {
    let mut result = Some(true);
    for predicate in predicates {
        match predicate.compiled.eval_predicate(row, &context.eval())? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => result = None,
        }
    }
    Ok(result)
}
