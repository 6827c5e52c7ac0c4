//! Aggregations and windows as physical nodes.

use std::sync::Arc;

use crate::{
    Result,
    bound::{
        AggregateCall, ColumnId, Expr, FrameBound, GroupingSets, LogicalPlan, SortKey, WindowCall,
    },
    planner::{
        build::{Builder, sort_keys},
        cost_model::{COMPUTE, GROUP},
        physical::{
            Estimate, PhysicalNode, PhysicalPlan, PlanColumn, PlannedAggregate, PlannedBound,
            PlannedExpr, PlannedWindowCall,
        },
    },
};

impl Builder<'_> {
    /// Plans an aggregation.
    pub(super) fn build_aggregate(
        &self,
        input: LogicalPlan,
        keys: Vec<(ColumnId, Expr)>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
        sets: Option<GroupingSets>,
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let extremes = match sets {
            None if keys.is_empty() => self.extremes(&input, &aggregates, &columns)?,
            _ => None,
        };
        let input = self.build(input)?;
        let plan = self.aggregate_node(input, keys, aggregates, sets, columns)?;
        Ok(match extremes {
            Some(extremes) if extremes.estimate.cost < plan.estimate.cost => extremes,
            _ => plan,
        })
    }

    /// The groups of `input`'s rows.
    pub(super) fn aggregate_node(
        &self,
        input: PhysicalPlan,
        keys: Vec<(ColumnId, Expr)>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
        sets: Option<GroupingSets>,
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let groups_of = |set: &[usize]| {
            let of_set = set.iter().filter_map(|at| keys.get(*at));
            self.estimator
                .groups(of_set.map(|(_, expr)| expr), input.estimate.rows)
        };
        let rows = match &sets {
            Some(sets) => sets.sets.iter().map(|set| groups_of(set)).sum(),
            None if keys.is_empty() => 1.0,
            None => self
                .estimator
                .groups(keys.iter().map(|(_, expr)| expr), input.estimate.rows),
        };
        let times = sets.as_ref().map_or(1, |sets| sets.sets.len()) as f64;
        let estimate = Estimate {
            rows,
            cost: input.estimate.cost + input.estimate.rows * GROUP * times + rows,
        };
        let of = &input.columns;
        let position = |id: ColumnId| of.iter().position(|column| column.id == id);
        let keys = PlannedExpr::all(keys.into_iter().map(|(_, expr)| expr).collect(), of)?.into();
        let aggregates = aggregates
            .into_iter()
            .map(|(_, call)| {
                let compile = |expr: &Expr| crate::eval::CompiledExpr::compile(expr, &position);
                Ok(PlannedAggregate {
                    arguments: call.arguments.iter().map(compile).collect::<Result<_>>()?,
                    filter: call.filter.as_ref().map(compile).transpose()?.map(Arc::new),
                    order_by: sort_keys(call.order_by.clone(), of)?,
                    call,
                })
            })
            .collect::<Result<_>>()?;
        Ok(self.node(
            estimate,
            columns,
            PhysicalNode::HashAggregate {
                input: Box::new(input),
                keys,
                aggregates,
                sets: sets.map(|sets| sets.sets.into()),
            },
        ))
    }

    /// Plans window functions, over an input that is sorted for them.
    pub(super) fn build_window(
        &self,
        input: LogicalPlan,
        partition: Vec<Expr>,
        order: Vec<SortKey>,
        calls: Vec<(ColumnId, WindowCall)>,
    ) -> Result<PhysicalPlan> {
        let keys: Vec<SortKey> = partition
            .iter()
            .map(|expr| SortKey {
                expr: expr.clone(),
                descending: false,
                nulls_first: false,
            })
            .chain(order.iter().cloned())
            .collect();
        let input = if keys.is_empty() {
            self.build(input)?
        } else {
            self.sorted(input, keys, None)?
        };
        let rows = input.estimate.rows;
        let estimate = Estimate {
            rows,
            cost: input.estimate.cost + rows * (GROUP + calls.len() as f64 * COMPUTE),
        };
        let of = &input.columns;
        let mut columns = input.columns.clone();
        columns.extend(calls.iter().map(|(id, call)| PlanColumn {
            id: *id,
            data_type: call.data_type,
        }));
        let partition = PlannedExpr::all(partition, of)?.into();
        let order = PlannedExpr::all(order.into_iter().map(|key| key.expr).collect(), of)?.into();
        let calls = calls
            .into_iter()
            .map(|(_, call)| window_call(call, of))
            .collect::<Result<_>>()?;
        Ok(self.node(
            estimate,
            columns,
            PhysicalNode::Window {
                input: Box::new(input),
                partition,
                order,
                calls,
            },
        ))
    }
}

fn window_call(call: WindowCall, of: &[PlanColumn]) -> Result<PlannedWindowCall> {
    let plan = |expr: Expr| PlannedExpr::new(expr, of);
    let bound = |bound: FrameBound| -> Result<PlannedBound> {
        Ok(match bound {
            FrameBound::Unbounded => PlannedBound::Unbounded,
            FrameBound::Row => PlannedBound::Row,
            FrameBound::Rows { offset, following } => PlannedBound::Rows(plan(*offset)?, following),
            FrameBound::Peers => PlannedBound::Peers,
            FrameBound::Groups { offset, following } => {
                PlannedBound::Groups(plan(*offset)?, following)
            }
            FrameBound::Range {
                offset,
                key,
                target,
                descending,
            } => PlannedBound::Range {
                offset: plan(*offset)?,
                key: plan(*key)?,
                target: plan(*target)?,
                descending,
            },
        })
    };
    Ok(PlannedWindowCall {
        function: call.function,
        arguments: PlannedExpr::all(call.arguments, of)?.into(),
        filter: call.filter.map(plan).transpose()?,
        start: bound(call.frame.start)?,
        end: bound(call.frame.end)?,
        exclusion: call.frame.exclusion,
    })
}
