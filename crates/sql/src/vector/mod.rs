//! The vector executor: plan nodes over Arrow batches, on all threads.
//!
//! [`build()`] turns a subtree of the physical plan whose root says `Vector` into an operator of
//! the row world; inside, data travels in [`batch::Batch`]es of some thousand rows. Nodes of the
//! subtree that say `Row` run in the row executor, and their rows are packed into batches.
//!
//! - [`convert`], [`decimal`]: how SQL types stand in Arrow arrays.
//! - [`expr`]: expressions, by kernels or row by row.
//! - [`scan`], [`pipeline`]: reading tables and driving batches through stages in parallel.
//! - [`aggregate`], [`join`], [`sort`], [`streams`]: what the nodes do.
//! - [`distinct`], [`memory`]: what is done where memory does not suffice.
//! - [`keys`]: hashing, comparing and sorting by columns.
//!
//! Results equal the row executor's, including their order; only sums of floats may differ in
//! their last digits, since parts are added up separately.

mod aggregate;
mod batch;
mod convert;
mod decimal;
mod distinct;
mod expr;
mod join;
mod keys;
mod memory;
mod pipeline;
mod scan;
mod sort;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::{
    aggregate::{AggregateSpec, AggregateStream},
    batch::Batch,
    distinct::DistinctStream,
    expr::VectorExpr,
    join::{HashJoin, OuterTail},
    memory::VectorsOrRows,
    pipeline::{Pipeline, Source},
    scan::ScanSource,
    sort::{SortSpec, SortStream, TopNStream},
    streams::{
        BatchesAsRows, Filter, LimitStream, MeasuredStream, Project, RowsAsBatches, UnionStream,
    },
};
use crate::{
    Result,
    bound::JoinKind,
    executor::{self, ExecContext, Operator, limit_bounds},
    planner::physical::{AccessPath, ExecutorKind, PhysicalNode, PhysicalPlan, ScanNode},
};

/// Gives batches, none of them empty, in order.
pub(crate) trait BatchStream: Send {
    /// The next batch.
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>>;
}

/// How large batches are and how many threads work. Tests make both small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rows per batch.
    pub(crate) batch_rows: usize,
    /// Threads; 0: as many as the pool has.
    pub(crate) threads: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            batch_rows: 8192,
            threads: 0,
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Limits that a test has set for what its thread builds.
    static TEST_LIMITS: std::cell::Cell<Option<Limits>> = const { std::cell::Cell::new(None) };
}

impl Limits {
    fn current() -> Limits {
        #[cfg(test)]
        if let Some(limits) = TEST_LIMITS.get() {
            return limits;
        }
        Limits::default()
    }

    /// How many threads may work on a pipeline.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => rayon::current_num_threads(),
            threads => threads,
        }
    }
}

/// Whether the vector executor reads tables in the way `scan` does: from end to end or by
/// ranges of the key, but not row by row.
pub(crate) fn scans(scan: &ScanNode) -> bool {
    let names_keys = scan
        .table
        .codec
        .key
        .as_ref()
        .is_some_and(|key| scan.condition.names_keys(key.columns().len()));
    scan.path == AccessPath::Table && !names_keys
}

/// Makes an operator of `plan`, whose root is for the vector executor. Tables are seen as they
/// are now.
pub(crate) fn build(plan: &PhysicalPlan, context: &ExecContext) -> Result<Box<dyn Operator>> {
    build_with(plan, context, Limits::current())
}

/// [`build()`] with other limits than the usual ones.
pub(crate) fn build_with(
    plan: &PhysicalPlan,
    context: &ExecContext,
    limits: Limits,
) -> Result<Box<dyn Operator>> {
    let builder = Builder { context, limits };
    let stream = builder.stream(plan)?;
    Ok(Box::new(BatchesAsRows::new(stream, &plan.columns)))
}

struct Builder<'a> {
    context: &'a ExecContext,
    limits: Limits,
}

impl Builder<'_> {
    fn pipeline(&self, plan: &PhysicalPlan) -> Result<Pipeline> {
        let (context, limits) = (self.context, self.limits);
        if plan.executor == ExecutorKind::Row {
            return self.rows(plan);
        }
        match &plan.node {
            PhysicalNode::Scan(node) if scans(node) => {
                self.start(plan.id);
                let scan = ScanSource::open(node, &plan.columns, plan.estimate, limits, context)?;
                Ok(Pipeline::new(Source::Scan(Box::new(scan)), plan.id, limits))
            }
            PhysicalNode::Filter { input, predicates } => {
                let predicates =
                    VectorExpr::all(predicates.iter().map(|of| &of.expr), &input.columns)?;
                let mut pipeline = self.pipeline(input)?;
                pipeline.push(plan.id, Box::new(Filter(predicates)), context);
                Ok(pipeline)
            }
            PhysicalNode::Project { input, items } => {
                let items = VectorExpr::all(items.iter().map(|item| &item.expr), &input.columns)?;
                let mut pipeline = self.pipeline(input)?;
                pipeline.push(plan.id, Box::new(Project(items)), context);
                Ok(pipeline)
            }
            PhysicalNode::HashJoin {
                kind,
                left,
                right,
                left_keys,
                right_keys,
                nulls_equal,
                residual,
            } => {
                let build = self.pipeline(right)?;
                let mut pipeline = self.pipeline(left)?;
                let join = Arc::new(HashJoin::new(
                    *kind,
                    &left.columns,
                    &right.columns,
                    left_keys,
                    right_keys,
                    nulls_equal,
                    residual,
                    build,
                    plan.id,
                    limits,
                )?);
                pipeline.push(plan.id, Box::new(Arc::clone(&join)), context);
                if matches!(kind, JoinKind::Right | JoinKind::Full) {
                    let tail = OuterTail::new(join, pipeline);
                    return Ok(Pipeline::new(
                        Source::Stream(Box::new(tail)),
                        plan.id,
                        limits,
                    ));
                }
                Ok(pipeline)
            }
            PhysicalNode::HashAggregate {
                input,
                keys,
                aggregates,
                sets: None,
            } => {
                let spec = AggregateSpec::new(keys, aggregates, &input.columns, &plan.columns)?;
                let input = self.pipeline(input)?;
                self.breaker(
                    plan,
                    Box::new(AggregateStream::new(spec, input, plan.id, limits)),
                )
            }
            PhysicalNode::Distinct { input, on: None } => {
                let stream = self.stream(input)?;
                let distinct = DistinctStream::new(stream, &plan.columns, limits, context)?;
                self.breaker(plan, Box::new(distinct))
            }
            PhysicalNode::Sort { input, keys } => {
                let spec = SortSpec::new(keys, &input.columns)?;
                let input = self.pipeline(input)?;
                self.breaker(
                    plan,
                    Box::new(SortStream::new(spec, input, plan.id, limits)),
                )
            }
            PhysicalNode::TopN {
                input,
                keys,
                limit,
                offset,
            } => {
                let window = limit_bounds(Some(limit), offset.as_ref(), context)?;
                let spec = SortSpec::new(keys, &input.columns)?;
                let input = self.pipeline(input)?;
                self.breaker(
                    plan,
                    Box::new(TopNStream::new(spec, input, window, plan.id, limits)),
                )
            }
            PhysicalNode::Limit {
                input,
                limit,
                offset,
            } => {
                let window = limit_bounds(limit.as_ref(), offset.as_ref(), context)?;
                let stream = self.stream(input)?;
                self.breaker(plan, Box::new(LimitStream::new(stream, window)))
            }
            PhysicalNode::UnionAll { inputs } => {
                let inputs = inputs
                    .iter()
                    .map(|(input, positions)| Ok((self.stream(input)?, positions.clone())))
                    .collect::<Result<_>>()?;
                self.breaker(plan, Box::new(UnionStream::new(inputs)))
            }
            PhysicalNode::Scan(_)
            | PhysicalNode::IndexUnion { .. }
            | PhysicalNode::SystemScan(_)
            | PhysicalNode::LockRows { .. }
            | PhysicalNode::Values { .. }
            | PhysicalNode::Buffered { .. }
            | PhysicalNode::TableFunctions { .. }
            | PhysicalNode::With { .. }
            | PhysicalNode::SharedScan { .. }
            | PhysicalNode::Recursive { .. }
            | PhysicalNode::NestedLoopJoin { .. }
            | PhysicalNode::Apply { .. }
            | PhysicalNode::Window { .. }
            | PhysicalNode::HashAggregate { .. }
            | PhysicalNode::Distinct { .. }
            | PhysicalNode::LookupJoin { .. } => self.rows(plan),
        }
    }

    /// What a node gives.
    fn stream(&self, plan: &PhysicalPlan) -> Result<Box<dyn BatchStream>> {
        let stream = self.pipeline(plan)?.into_stream();
        Ok(self.or_rows(plan, stream))
    }

    /// `stream`, which works for `plan`, or rows where there is no memory for it.
    fn or_rows(&self, plan: &PhysicalPlan, stream: Box<dyn BatchStream>) -> Box<dyn BatchStream> {
        if self.context.spill.is_none() || plan.executor == ExecutorKind::Row {
            return stream;
        }
        Box::new(VectorsOrRows::new(stream, plan, self.limits))
    }

    /// A node (and what is below it) in the row executor.
    fn rows(&self, plan: &PhysicalPlan) -> Result<Pipeline> {
        let operator = executor::build_rows(plan, self.context)?;
        let stream = RowsAsBatches::new(operator, &plan.columns, self.limits);
        Ok(Pipeline::new(
            Source::Stream(Box::new(stream)),
            plan.id,
            self.limits,
        ))
    }

    /// A stream that works for `plan` as the source of a new pipeline.
    fn breaker(&self, plan: &PhysicalPlan, stream: Box<dyn BatchStream>) -> Result<Pipeline> {
        let stream = self.or_rows(plan, stream);
        let stream = if self.context.measurements.is_some() {
            self.start(plan.id);
            Box::new(MeasuredStream {
                input: stream,
                node: plan.id,
            })
        } else {
            stream
        };
        Ok(Pipeline::new(Source::Stream(stream), plan.id, self.limits))
    }

    fn start(&self, node: usize) {
        if let Some(measured) = self
            .context
            .measurements
            .as_ref()
            .and_then(|measurements| measurements.node(node))
        {
            measured.start();
        }
    }
}
