//! `min` and `max` of what a path is in the order of: its first row tells.

use crate::{
    DataType, Result, Value,
    bound::{
        AggregateCall, AggregateFunction, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, SortKey,
    },
    planner::{
        build::Builder,
        cost_model::PAIR,
        expr_tools::{is_volatile, literal, substitute},
        physical::{Estimate, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr},
    },
};

/// The value whose extreme an aggregate is, and whether it is the greatest; `None`: it is another
/// aggregate.
fn extreme(call: &AggregateCall) -> Option<(&Expr, bool)> {
    let greatest = match call.function {
        AggregateFunction::Min => false,
        AggregateFunction::Max => true,
        _ => return None,
    };
    match call.arguments.as_slice() {
        [argument] if call.filter.is_none() && !is_volatile(argument) => Some((argument, greatest)),
        _ => None,
    }
}

/// `plan` without the rows in which `expr` is NULL; `None`: that cannot be said where they are read.
fn present(plan: &LogicalPlan, mut expr: Expr) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::Filter { input, predicates } => Some(LogicalPlan::Filter {
            input: Box::new(present(input, expr)?),
            predicates: predicates.clone(),
        }),
        LogicalPlan::Project { input, items } => {
            substitute(&mut expr, &|id| {
                let item = items.iter().find(|(item, _)| *item == id);
                item.map(|(_, expr)| expr.clone())
            });
            if is_volatile(&expr) {
                return None;
            }
            Some(LogicalPlan::Project {
                input: Box::new(present(input, expr)?),
                items: items.clone(),
            })
        }
        LogicalPlan::Scan {
            table,
            columns,
            row_key,
            filter,
        } => {
            let mut filter = filter.clone();
            if expr.nullable {
                filter.push(Expr {
                    span: expr.span,
                    kind: ExprKind::IsNull {
                        operand: Box::new(expr),
                        negated: true,
                    },
                    data_type: DataType::Boolean,
                    nullable: false,
                });
            }
            Some(LogicalPlan::Scan {
                table: table.clone(),
                columns: columns.clone(),
                row_key: *row_key,
                filter,
            })
        }
        _ => None,
    }
}

impl Builder<'_> {
    /// A plan of aggregates over all rows of `input` that reads the first row for each of them;
    /// `None`: one of them is no extreme of what rows can be read in the order of.
    pub(super) fn extremes(
        &self,
        input: &LogicalPlan,
        aggregates: &[(ColumnId, AggregateCall)],
        columns: &[PlanColumn],
    ) -> Result<Option<PhysicalPlan>> {
        let calls: Option<Vec<(&Expr, bool)>> =
            aggregates.iter().map(|(_, call)| extreme(call)).collect();
        let Some(calls) = calls else {
            return Ok(None);
        };
        let mut joined: Option<PhysicalPlan> = None;
        for ((aggregate, column), (value, greatest)) in aggregates.iter().zip(columns).zip(calls) {
            let Some(input) = present(input, value.clone()) else {
                return Ok(None);
            };
            let key = SortKey {
                expr: value.clone(),
                descending: greatest,
                nulls_first: false,
            };
            let Some(ordered) = self.in_order(&input, &[key], Some(1.0))? else {
                return Ok(None);
            };
            let one = literal(Value::Int8(1), DataType::Int8);
            let one = PlannedExpr::new(one, &[])?;
            let first = self.limit_node(ordered, Some(one), None, Some(1.0), 0.0);
            let aggregate = self.aggregate_node(
                first,
                Vec::new(),
                vec![aggregate.clone()],
                None,
                vec![*column],
            )?;
            joined = Some(match joined {
                None => aggregate,
                Some(left) => self.beside(left, aggregate),
            });
        }
        Ok(joined)
    }

    /// The only row of each, side by side.
    fn beside(&self, left: PhysicalPlan, right: PhysicalPlan) -> PhysicalPlan {
        let estimate = Estimate {
            rows: 1.0,
            cost: left.estimate.cost + right.estimate.cost + PAIR,
        };
        let columns = [left.columns.as_slice(), &right.columns].concat();
        self.node(
            estimate,
            columns,
            PhysicalNode::NestedLoopJoin {
                kind: JoinKind::Inner,
                left: Box::new(left),
                right: Box::new(right),
                on: [].into(),
            },
        )
    }
}
