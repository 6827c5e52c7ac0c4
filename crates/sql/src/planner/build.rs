//! From the rewritten logical plan to the physical one.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, sync::Arc};

use crate::{
    Error, Result, SqlState, Value,
    bound::{ColumnId, Expr, ExprKind, LogicalPlan, RowLock, SharedId, SortKey},
    catalog::{TableId, TableKind},
    engine::table::TableHandle,
    planner::{
        access_path,
        cost::Estimator,
        expr_tools::column,
        ordering,
        physical::{
            Estimate, ExecutorKind, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr,
            PlannedLock, PlannedSortKey, PlannedTableCall,
        },
        plan_tools::output,
    },
};

/// Cost of computing something for a row.
pub(super) const COMPUTE: f64 = 0.1;
/// How many rows a buffer is taken to hold.
pub(super) const BUFFERED_ROWS: f64 = 100.0;
/// Cost of putting a row into a hash table of groups.
pub(super) const GROUP: f64 = 0.8;

/// Rows expected of a function that gives rows.
pub(crate) const SERIES: f64 = 100.0;

/// Chooses operators.
pub(crate) struct Builder<'a> {
    pub(super) estimator: &'a Estimator<'a>,
    tables: &'a dyn Fn(TableId) -> Option<Arc<TableHandle>>,
    /// The columns and estimates of the WITH queries around the plan being built.
    pub(super) shared: RefCell<HashMap<SharedId, (Vec<PlanColumn>, Estimate)>>,
}

fn plan_columns(plan: &LogicalPlan) -> Vec<PlanColumn> {
    output(plan)
        .into_iter()
        .map(|(id, data_type)| PlanColumn { id, data_type })
        .collect()
}

pub(super) fn sort_keys(
    keys: Vec<SortKey>,
    columns: &[PlanColumn],
) -> Result<Arc<[PlannedSortKey]>> {
    keys.into_iter()
        .map(|key| {
            Ok(PlannedSortKey {
                expr: PlannedExpr::new(key.expr, columns)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
        })
        .collect()
}

/// Makes `plan` give exactly the columns `wanted`.
pub(crate) fn with_columns(plan: PhysicalPlan, wanted: &[ColumnId]) -> Result<PhysicalPlan> {
    let given: Vec<ColumnId> = plan.columns.iter().map(|column| column.id).collect();
    if given == wanted {
        return Ok(plan);
    }
    let columns = wanted
        .iter()
        .map(|id| {
            plan.columns
                .iter()
                .find(|column| column.id == *id)
                .copied()
                .ok_or_else(|| {
                    Error::new(
                        SqlState::INTERNAL_ERROR,
                        format!("the plan does not give column {}", id.0),
                    )
                })
        })
        .collect::<Result<Vec<PlanColumn>>>()?;
    let items = columns
        .iter()
        .map(|of| PlannedExpr::new(column(of.id, of.data_type, true), &plan.columns))
        .collect::<Result<_>>()?;
    Ok(PhysicalPlan {
        id: 0,
        estimate: plan.estimate,
        columns,
        executor: ExecutorKind::Row,
        reason: Cow::Borrowed(""),
        node: PhysicalNode::Project {
            input: Box::new(plan),
            items,
        },
    })
}

impl<'a> Builder<'a> {
    /// A builder over these tables.
    pub(crate) fn new(
        estimator: &'a Estimator<'a>,
        tables: &'a dyn Fn(TableId) -> Option<Arc<TableHandle>>,
    ) -> Builder<'a> {
        Builder {
            estimator,
            tables,
            shared: RefCell::default(),
        }
    }

    /// A table of the statement.
    pub(super) fn table(&self, id: TableId) -> Result<Arc<TableHandle>> {
        (self.tables)(id).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                "a table of the statement was dropped meanwhile",
            )
        })
    }

    /// Makes a node; its number and executor are settled later.
    pub(super) fn node(
        &self,
        estimate: Estimate,
        columns: Vec<PlanColumn>,
        node: PhysicalNode,
    ) -> PhysicalPlan {
        PhysicalPlan {
            id: 0,
            node,
            columns,
            estimate,
            executor: ExecutorKind::Row,
            reason: Cow::Borrowed(""),
        }
    }

    /// Plans `plan`.
    pub(crate) fn build(&self, plan: LogicalPlan) -> Result<PhysicalPlan> {
        let columns = plan_columns(&plan);
        match plan {
            LogicalPlan::Scan {
                table,
                columns: scanned,
                row_key,
                filter,
            } => {
                if let TableKind::System(relation) = table.kind {
                    return self.build_system_scan(&table, relation, &scanned, filter, columns);
                }
                let (scan, estimate) = access_path::plan_scan(
                    self.table(table.id)?,
                    &scanned,
                    row_key,
                    filter,
                    self.estimator,
                    &columns,
                )?;
                Ok(self.node(estimate, columns, PhysicalNode::Scan(Arc::new(scan))))
            }
            LogicalPlan::Values { rows, .. } => {
                let rows = rows
                    .into_iter()
                    .map(|row| PlannedExpr::all(row, &[]))
                    .collect::<Result<Arc<[_]>>>()?;
                let count = rows.len() as f64;
                let estimate = Estimate {
                    rows: count,
                    cost: count * COMPUTE,
                };
                Ok(self.node(estimate, columns, PhysicalNode::Values { rows }))
            }
            LogicalPlan::Buffered { slot, .. } => {
                let estimate = Estimate {
                    rows: BUFFERED_ROWS,
                    cost: BUFFERED_ROWS * COMPUTE,
                };
                Ok(self.node(estimate, columns, PhysicalNode::Buffered { slot }))
            }
            LogicalPlan::TableFunctions { calls, ordinality } => {
                let calls = calls
                    .into_iter()
                    .map(|call| {
                        Ok(PlannedTableCall {
                            function: call.function,
                            arguments: PlannedExpr::all(call.arguments, &[])?,
                            data_type: call.data_type,
                        })
                    })
                    .collect::<Result<_>>()?;
                let estimate = Estimate {
                    rows: SERIES,
                    cost: SERIES * COMPUTE,
                };
                let ordinality = ordinality.is_some();
                Ok(self.node(
                    estimate,
                    columns,
                    PhysicalNode::TableFunctions { calls, ordinality },
                ))
            }
            LogicalPlan::With {
                id,
                name,
                definition,
                input,
            } => self.build_with(id, name, *definition, *input),
            LogicalPlan::SharedScan {
                id,
                name,
                columns: of,
            } => self.build_shared_scan(id, name, &of, columns),
            LogicalPlan::Recursive {
                id,
                name,
                base,
                step,
                distinct,
                columns: of,
            } => self.build_recursive(id, name, (*base, *step), distinct, &of, columns),
            LogicalPlan::Filter { input, predicates } => {
                let part = self.estimator.all(&predicates);
                let input = self.build(*input)?;
                let estimate = Estimate {
                    rows: (input.estimate.rows * part).max(1.0),
                    cost: input.estimate.cost + input.estimate.rows * COMPUTE,
                };
                let predicates = PlannedExpr::all(predicates, &input.columns)?.into();
                // A join may give its columns in another order than the logical one.
                Ok(self.node(
                    estimate,
                    input.columns.clone(),
                    PhysicalNode::Filter {
                        input: Box::new(input),
                        predicates,
                    },
                ))
            }
            LogicalPlan::Project { input, items } => {
                let input = self.build(*input)?;
                let passes_through = items.len() == input.columns.len()
                    && items
                        .iter()
                        .zip(&input.columns)
                        .all(|((id, expr), column)| {
                            *id == column.id
                                && matches!(expr.kind, ExprKind::Column(of) if of == column.id)
                        });
                if passes_through {
                    return Ok(input);
                }
                let estimate = Estimate {
                    rows: input.estimate.rows,
                    cost: input.estimate.cost + input.estimate.rows * COMPUTE,
                };
                let exprs = items.into_iter().map(|(_, expr)| expr).collect();
                let items = PlannedExpr::all(exprs, &input.columns)?.into();
                Ok(self.node(
                    estimate,
                    columns,
                    PhysicalNode::Project {
                        input: Box::new(input),
                        items,
                    },
                ))
            }
            LogicalPlan::Join {
                kind,
                left,
                right,
                on,
            } => self.build_join(kind, *left, *right, on),
            LogicalPlan::Apply {
                kind,
                left,
                right,
                on,
                bindings,
            } => self.build_apply(kind, *left, *right, on, bindings),
            LogicalPlan::Aggregate {
                input,
                keys,
                aggregates,
                sets,
            } => self.build_aggregate(*input, keys, aggregates, sets, columns),
            LogicalPlan::Window {
                input,
                partition,
                order,
                calls,
            } => self.build_window(*input, partition, order, calls),
            LogicalPlan::Distinct { input, on } => {
                let input = self.build(*input)?;
                let estimate = Estimate {
                    rows: (input.estimate.rows * 0.5).max(1.0),
                    cost: input.estimate.cost + input.estimate.rows * GROUP,
                };
                let on = on
                    .map(|ids| {
                        ids.iter()
                            .map(|id| input.columns.iter().position(|column| column.id == *id))
                            .collect::<Option<Arc<[usize]>>>()
                            .ok_or_else(|| {
                                Error::new(SqlState::INTERNAL_ERROR, "DISTINCT ON misses a column")
                            })
                    })
                    .transpose()?;
                Ok(self.node(
                    estimate,
                    input.columns.clone(),
                    PhysicalNode::Distinct {
                        input: Box::new(input),
                        on,
                    },
                ))
            }
            LogicalPlan::Sort { input, keys } => self.sorted(self.build(*input)?, keys),
            LogicalPlan::LockRows { input, locks } => self.build_lock_rows(*input, locks),
            LogicalPlan::Limit {
                input,
                limit,
                offset,
            } => self.build_limit(*input, limit, offset),
            LogicalPlan::UnionAll {
                inputs,
                columns: given,
            } => {
                let mut built = Vec::with_capacity(inputs.len());
                let mut estimate = Estimate::default();
                for (at, input) in inputs.into_iter().enumerate() {
                    let input = self.build(input)?;
                    estimate.rows += input.estimate.rows;
                    estimate.cost += input.estimate.cost;
                    let positions = given
                        .iter()
                        .map(|(_, ids, _)| {
                            let id = ids.get(at);
                            input
                                .columns
                                .iter()
                                .position(|column| Some(&column.id) == id)
                        })
                        .collect::<Option<Vec<usize>>>()
                        .ok_or_else(|| {
                            Error::new(SqlState::INTERNAL_ERROR, "UNION ALL misses a column")
                        })?;
                    built.push((input, positions));
                }
                Ok(self.node(estimate, columns, PhysicalNode::UnionAll { inputs: built }))
            }
        }
    }

    /// Sorts what `input` gives, unless it comes in that order.
    pub(super) fn sorted(&self, input: PhysicalPlan, keys: Vec<SortKey>) -> Result<PhysicalPlan> {
        let mut input = input;
        if ordering::provide(&mut input, &keys) {
            return Ok(input);
        }
        let rows = input.estimate.rows;
        let estimate = Estimate {
            rows,
            cost: input.estimate.cost + rows * rows.max(2.0).log2() * COMPUTE * 2.0,
        };
        let keys = sort_keys(keys, &input.columns)?;
        Ok(self.node(
            estimate,
            input.columns.clone(),
            PhysicalNode::Sort {
                input: Box::new(input),
                keys,
            },
        ))
    }

    fn build_lock_rows(&self, input: LogicalPlan, locks: Vec<RowLock>) -> Result<PhysicalPlan> {
        let input = self.build(input)?;
        let locks = locks
            .into_iter()
            .map(|lock| {
                let position = input
                    .columns
                    .iter()
                    .position(|column| column.id == lock.row_key);
                Ok(PlannedLock {
                    table: self.table(lock.table.id)?,
                    row_key: lock.row_key,
                    position: position.ok_or_else(|| {
                        Error::new(
                            SqlState::INTERNAL_ERROR,
                            "a row to be locked has no key in the plan",
                        )
                    })?,
                    strength: lock.strength,
                    wait: lock.wait,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let estimate = Estimate {
            rows: input.estimate.rows,
            cost: input.estimate.cost
                + input.estimate.rows * locks.len() as f64 * access_path::FETCH,
        };
        Ok(self.node(
            estimate,
            input.columns.clone(),
            PhysicalNode::LockRows {
                input: Arc::new(input),
                locks: locks.into(),
            },
        ))
    }

    fn build_limit(
        &self,
        input: LogicalPlan,
        limit: Option<Expr>,
        offset: Option<Expr>,
    ) -> Result<PhysicalPlan> {
        let count = |expr: &Option<Expr>| match expr.as_ref().map(|expr| &expr.kind) {
            Some(ExprKind::Literal(Value::Int8(count))) => Some((*count).max(0) as f64),
            _ => None,
        };
        let wanted = count(&limit);
        let skipped = count(&offset).unwrap_or(0.0);
        let limit = limit.map(|expr| PlannedExpr::new(expr, &[])).transpose()?;
        let offset = offset.map(|expr| PlannedExpr::new(expr, &[])).transpose()?;
        let input = match (input, limit) {
            (LogicalPlan::Sort { input, keys }, Some(limit)) => {
                let mut input = self.build(*input)?;
                if !ordering::provide(&mut input, &keys) {
                    let rows = wanted
                        .unwrap_or(input.estimate.rows)
                        .min(input.estimate.rows);
                    let kept = (rows + skipped).max(2.0);
                    let estimate = Estimate {
                        rows,
                        cost: input.estimate.cost
                            + input.estimate.rows * COMPUTE * 2.0
                            + kept * kept.log2() * COMPUTE,
                    };
                    let keys = sort_keys(keys, &input.columns)?;
                    return Ok(self.node(
                        estimate,
                        input.columns.clone(),
                        PhysicalNode::TopN {
                            input: Box::new(input),
                            keys,
                            limit,
                            offset,
                        },
                    ));
                }
                return Ok(self.limit_node(input, Some(limit), offset, wanted, skipped));
            }
            (input, limit) => (self.build(input)?, limit),
        };
        let (input, limit) = input;
        Ok(self.limit_node(input, limit, offset, wanted, skipped))
    }

    fn limit_node(
        &self,
        input: PhysicalPlan,
        limit: Option<PlannedExpr>,
        offset: Option<PlannedExpr>,
        wanted: Option<f64>,
        skipped: f64,
    ) -> PhysicalPlan {
        let all = input.estimate.rows.max(1.0);
        let rows = wanted.unwrap_or(all).min((all - skipped).max(0.0));
        // Only the part up to the last row wanted is run, unless all must be seen first.
        let part = ((rows + skipped) / all).clamp(0.0, 1.0);
        let streams = matches!(
            input.node,
            PhysicalNode::Scan(_)
                | PhysicalNode::Filter { .. }
                | PhysicalNode::Project { .. }
                | PhysicalNode::UnionAll { .. }
                | PhysicalNode::Values { .. }
                | PhysicalNode::Buffered { .. }
        );
        let cost = if streams {
            input.estimate.cost * part
        } else {
            input.estimate.cost
        };
        self.node(
            Estimate { rows, cost },
            input.columns.clone(),
            PhysicalNode::Limit {
                input: Box::new(input),
                limit,
                offset,
            },
        )
    }
}
