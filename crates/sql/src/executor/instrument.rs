//! What EXPLAIN ANALYZE measures.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    Result,
    executor::{ExecContext, Operator, RowBuffer},
};

/// What one node did.
#[derive(Debug, Default)]
pub(crate) struct NodeMeasurement {
    rows: AtomicU64,
    nanos: AtomicU64,
    runs: AtomicU64,
    memory: AtomicU64,
}

impl NodeMeasurement {
    /// Adds rows given and time taken, inputs included.
    pub(crate) fn add(&self, rows: u64, nanos: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Counts a run.
    pub(crate) fn start(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the node held `bytes` at once.
    pub(crate) fn memory(&self, bytes: u64) {
        self.memory.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most bytes that the node is known to have held.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Rows given.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Nanoseconds taken, inputs included.
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    /// How often the node ran.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }
}

/// The measurements of a statement's nodes, by their numbers.
#[derive(Debug)]
pub(crate) struct Measurements(Vec<NodeMeasurement>);

impl Measurements {
    /// For `nodes` nodes.
    pub(crate) fn new(nodes: usize) -> Measurements {
        Measurements((0..nodes).map(|_| NodeMeasurement::default()).collect())
    }

    /// Of one node.
    pub(crate) fn node(&self, id: usize) -> Option<&NodeMeasurement> {
        self.0.get(id)
    }
}

/// Measures an operator.
pub(crate) struct Instrumented {
    operator: Box<dyn Operator>,
    id: usize,
    measurements: Arc<Measurements>,
}

impl Instrumented {
    /// Books what `operator` does under node `id`.
    pub(crate) fn new(
        operator: Box<dyn Operator>,
        id: usize,
        measurements: Arc<Measurements>,
    ) -> Instrumented {
        if let Some(node) = measurements.node(id) {
            node.start();
        }
        Instrumented {
            operator,
            id,
            measurements,
        }
    }
}

impl Operator for Instrumented {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let start = context.env.now();
        let more = self.operator.next(context, row)?;
        let took = context.env.now().saturating_sub(start);
        if let Some(node) = self.measurements.node(self.id) {
            node.add(
                u64::from(more),
                u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            );
        }
        Ok(more)
    }
}
