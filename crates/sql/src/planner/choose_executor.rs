//! Which executor runs which node.
//!
//! Rows start at once and stop at once: they win where few rows are touched. Vectors cost some
//! microseconds to set up and then a fraction per row. So a node goes to the vector executor
//! where about [`VECTOR_ROWS`] rows or more go into it, and where its input comes in vectors
//! too; packing rows into batches would eat up what they save.

use std::borrow::Cow;

use crate::{
    bound::ExprKind,
    planner::physical::{AccessPath, ExecutorKind, PhysicalNode, PhysicalPlan},
    vector,
};

/// From how many input rows on vectors are expected to be faster.
const VECTOR_ROWS: f64 = 5000.0;

/// Which executors a session lets run (`SET executor`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum ExecutorSetting {
    /// The one with the lower expected cost.
    #[default]
    Auto,
    /// Rows only.
    Row,
    /// Vectors wherever they can.
    Vector,
}

/// Decides for every node of `plan`.
pub(crate) fn choose(plan: &mut PhysicalPlan, setting: ExecutorSetting) {
    if setting == ExecutorSetting::Row {
        all_rows(plan, "executor = row");
        return;
    }
    decide(plan, setting);
    if gives_row_keys(plan) {
        // UPDATE and DELETE lock rows one by one, and look at them again where they changed.
        no_vectors(plan, "rows are locked");
    } else if setting == ExecutorSetting::Auto {
        if gives_most(plan) {
            no_vectors(plan, "most of what is read is given");
        }
        stop_early(plan);
    }
}

/// Gives every node to the row executor.
pub(crate) fn all_rows(plan: &mut PhysicalPlan, reason: &'static str) {
    plan.executor = ExecutorKind::Row;
    plan.reason = Cow::Borrowed(reason);
    for input in plan.inputs_mut() {
        all_rows(input, reason);
    }
}

/// Gives to the row executor what was to go to the vector executor.
fn no_vectors(plan: &mut PhysicalPlan, reason: &'static str) {
    if plan.executor == ExecutorKind::Vector {
        plan.executor = ExecutorKind::Row;
        plan.reason = Cow::Borrowed(reason);
    }
    for input in plan.inputs_mut() {
        no_vectors(input, reason);
    }
}

fn gives_row_keys(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PhysicalNode::Scan(scan) | PhysicalNode::IndexUnion { fetch: scan, .. } => {
            scan.row_key.is_some()
        }
        _ => plan.inputs().into_iter().any(gives_row_keys),
    }
}

/// Why a node has no form in the vector executor, if it has none.
fn rows_only(plan: &PhysicalPlan) -> Option<&'static str> {
    match &plan.node {
        PhysicalNode::Scan(scan) if !vector::scans(scan) => Some(match scan.path {
            AccessPath::Table => "row by row by key",
            AccessPath::Index(_) => "row by row through an index",
        }),
        PhysicalNode::IndexUnion { .. } => Some("row by row through indexes"),
        PhysicalNode::SystemScan(_) => Some("rows of the system"),
        PhysicalNode::Values { .. } => Some("literal rows"),
        PhysicalNode::Buffered { .. } => Some("rows put aside"),
        PhysicalNode::TableFunctions { .. } => Some("rows of a function"),
        PhysicalNode::With { .. }
        | PhysicalNode::SharedScan { .. }
        | PhysicalNode::Recursive { .. } => Some("rows that are kept"),
        PhysicalNode::NestedLoopJoin { .. } => Some("pairs of rows"),
        PhysicalNode::LockRows { .. } => Some("rows are locked"),
        PhysicalNode::Apply { .. } => Some("evaluated row by row"),
        PhysicalNode::Window { .. } => Some("row by row within a partition"),
        PhysicalNode::Distinct { on: Some(_), .. } => Some("the first row of each group"),
        PhysicalNode::HashAggregate { sets: Some(_), .. } => Some("several sets of groups"),
        PhysicalNode::HashAggregate { aggregates, .. }
            if aggregates.iter().any(|of| !of.order_by.is_empty()) =>
        {
            Some("aggregates over ordered rows")
        }
        PhysicalNode::LookupJoin { .. } => Some("row by row through a key"),
        _ => None,
    }
}

/// How many rows go into a node: for a scan those that it reads, of which a row costs about one.
fn input_rows(plan: &PhysicalPlan) -> f64 {
    match &plan.node {
        PhysicalNode::Scan(_) => plan.estimate.rows.max(plan.estimate.cost),
        _ => plan
            .inputs()
            .into_iter()
            .map(|input| input.estimate.rows)
            .fold(0.0, f64::max),
    }
}

fn decide(plan: &mut PhysicalPlan, setting: ExecutorSetting) {
    if let PhysicalNode::IndexUnion { branches, .. } = &mut plan.node {
        for branch in branches {
            all_rows(branch, "keys of rows");
        }
    } else {
        for input in plan.inputs_mut() {
            decide(input, setting);
        }
    }
    let inputs = plan.inputs();
    let vectors = inputs.is_empty()
        || inputs
            .iter()
            .any(|input| input.executor == ExecutorKind::Vector);
    let rows = input_rows(plan);
    let few = setting == ExecutorSetting::Auto
        && if inputs.is_empty() {
            rows < VECTOR_ROWS
        } else {
            !vectors && rows < VECTOR_ROWS
        };
    let (executor, reason) = if few {
        (
            ExecutorKind::Row,
            Cow::Owned(format!("{:.0} rows expected", plan.estimate.rows)),
        )
    } else if let Some(reason) = rows_only(plan) {
        (ExecutorKind::Row, Cow::Borrowed(reason))
    } else if setting == ExecutorSetting::Vector {
        (ExecutorKind::Vector, Cow::Borrowed("executor = vector"))
    } else if !vectors {
        (ExecutorKind::Row, Cow::Borrowed("its input comes in rows"))
    } else {
        // Above vectors, vectors: however few rows are left, unpacking them is not cheaper.
        (
            ExecutorKind::Vector,
            Cow::Owned(format!("{rows:.0} rows to read")),
        )
    };
    plan.executor = executor;
    plan.reason = reason;
}

/// Whether a plan does little but give what it reads: then rows, which need not be packed into
/// batches and unpacked again, are the shorter way.
fn gives_most(plan: &PhysicalPlan) -> bool {
    fn rows_read(plan: &PhysicalPlan) -> Option<f64> {
        match &plan.node {
            PhysicalNode::Scan(_) => Some(input_rows(plan)),
            PhysicalNode::Filter { input, .. } => rows_read(input),
            PhysicalNode::Project { input, items } => {
                let plain = items
                    .iter()
                    .all(|item| matches!(item.expr.kind, ExprKind::Column(_)));
                plain.then(|| rows_read(input)).flatten()
            }
            _ => None,
        }
    }
    rows_read(plan).is_some_and(|rows| plan.estimate.rows * 2.0 >= rows)
}

/// A LIMIT over inputs that stream stops them after a few rows: there rows are the better way,
/// however large the table is.
fn stop_early(plan: &mut PhysicalPlan) {
    if let PhysicalNode::Limit { input, .. } = &plan.node
        && streams(input)
        && plan.estimate.rows < VECTOR_ROWS
        && plan.estimate.cost < VECTOR_ROWS
    {
        no_vectors(plan, "a few rows are enough");
        return;
    }
    for input in plan.inputs_mut() {
        stop_early(input);
    }
}

/// Whether a plan gives its first rows without having read everything.
fn streams(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PhysicalNode::Scan(_) => true,
        PhysicalNode::Filter { input, .. } | PhysicalNode::Project { input, .. } => streams(input),
        _ => false,
    }
}
