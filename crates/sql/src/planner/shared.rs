//! WITH queries as physical nodes.

use std::sync::Arc;

use crate::{
    DataType, Error, Result, SqlState,
    bound::{ColumnId, LogicalPlan, SharedId},
    planner::{
        build::{Builder, with_columns},
        cost::RECURSIONS,
        cost_model::COMPUTE,
        physical::{Estimate, PhysicalNode, PhysicalPlan, PlanColumn},
    },
};

impl Builder<'_> {
    /// Plans a WITH query and what reads it.
    pub(super) fn build_with(
        &self,
        id: SharedId,
        name: String,
        definition: LogicalPlan,
        input: LogicalPlan,
    ) -> Result<PhysicalPlan> {
        let definition = self.build(definition)?;
        let known = (definition.columns.clone(), definition.estimate);
        self.shared.borrow_mut().insert(id, known);
        let input = self.build(input)?;
        let estimate = Estimate {
            rows: input.estimate.rows,
            cost: input.estimate.cost + definition.estimate.cost,
        };
        Ok(self.node(
            estimate,
            input.columns.clone(),
            PhysicalNode::With {
                id,
                name,
                definition: Box::new(definition),
                input: Box::new(input),
            },
        ))
    }

    /// Plans a scan of a WITH query.
    pub(super) fn build_shared_scan(
        &self,
        id: SharedId,
        name: String,
        of: &[(ColumnId, ColumnId, DataType)],
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let missing = || {
            Error::new(
                SqlState::INTERNAL_ERROR,
                format!("the WITH query \"{name}\" is not in sight where it is read"),
            )
        };
        let (given, estimate) = self.shared.borrow().get(&id).cloned().ok_or_else(missing)?;
        let positions = of
            .iter()
            .map(|(_, source, _)| given.iter().position(|column| column.id == *source))
            .collect::<Option<Arc<[usize]>>>()
            .ok_or_else(missing)?;
        let estimate = Estimate {
            rows: estimate.rows,
            cost: estimate.rows * COMPUTE,
        };
        Ok(self.node(
            estimate,
            columns,
            PhysicalNode::SharedScan {
                id,
                name,
                positions,
            },
        ))
    }

    /// Plans a recursive query.
    pub(super) fn build_recursive(
        &self,
        id: SharedId,
        name: String,
        (base, step): (LogicalPlan, LogicalPlan),
        distinct: bool,
        of: &[(ColumnId, ColumnId, ColumnId, DataType)],
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let ids: Vec<ColumnId> = of.iter().map(|(_, base, _, _)| *base).collect();
        let base = with_columns(self.build(base)?, &ids)?;
        let known = (columns.clone(), base.estimate);
        self.shared.borrow_mut().insert(id, known);
        let ids: Vec<ColumnId> = of.iter().map(|(_, _, step, _)| *step).collect();
        let step = with_columns(self.build(step)?, &ids)?;
        let estimate = Estimate {
            rows: base.estimate.rows + RECURSIONS * step.estimate.rows,
            cost: base.estimate.cost + RECURSIONS * step.estimate.cost,
        };
        Ok(self.node(
            estimate,
            columns,
            PhysicalNode::Recursive {
                id,
                name,
                base: Box::new(base),
                step: Arc::new(step),
                distinct,
            },
        ))
    }
}
