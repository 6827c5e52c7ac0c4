//! What happens where vectors do not fit into memory.
//!
//! Vectors are kept in memory; the row executor's operators know how to use temporary files. So a
//! node that finds no memory for what it has to keep begins anew in rows, as long as it has given
//! nothing yet: what it has read is as it was, for its statement sees one snapshot. A node that
//! gives rows while it keeps some (DISTINCT) hands the rows that are still to come to the row
//! executor's operator.

use crate::{
    Result, SqlState,
    executor::{self, ExecContext},
    planner::{choose_executor::all_rows, physical::PhysicalPlan},
    vector::{BatchStream, Limits, batch::Batch, streams::RowsAsBatches},
};

/// A node in vectors, or where these do not fit into memory in rows.
pub(crate) struct VectorsOrRows {
    /// `None`: it has failed.
    running: Option<Box<dyn BatchStream>>,
    /// The node's plan, until something has been given.
    plan: Option<PhysicalPlan>,
    limits: Limits,
}

impl VectorsOrRows {
    /// `vectors` does what `plan` says.
    pub(crate) fn new(
        vectors: Box<dyn BatchStream>,
        plan: &PhysicalPlan,
        limits: Limits,
    ) -> VectorsOrRows {
        VectorsOrRows {
            running: Some(vectors),
            plan: Some(plan.clone()),
            limits,
        }
    }
}

impl BatchStream for VectorsOrRows {
    fn next(&mut self, context: &ExecContext) -> Result<Option<Batch>> {
        let Some(running) = &mut self.running else {
            return Ok(None);
        };
        let given = running.next(context);
        let plan = self.plan.take();
        match (given, plan) {
            (Err(error), Some(mut plan)) if error.state() == SqlState::OUT_OF_MEMORY => {
                // What it keeps goes before the rows need the memory.
                self.running = None;
                all_rows(&mut plan, "the vectors did not fit into memory");
                let operator = executor::build_rows(&plan, context)?;
                let rows = RowsAsBatches::new(operator, &plan.columns, self.limits);
                self.running.insert(Box::new(rows)).next(context)
            }
            (given, _) => given,
        }
    }
}
