//! From the rewritten logical plan to the physical one.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, sync::Arc};

use crate::{
    Error, Result, SqlState, Value,
    bound::{ColumnId, Expr, ExprKind, LogicalPlan, RowLock, SharedId, SortKey},
    catalog::{TableId, TableKind},
    engine::table::TableHandle,
    planner::{
        access::{self, Request},
        cost::Estimator,
        cost_model::{self, COMPUTE, FETCH, GROUP},
        expr_tools::column,
        ordering::Ordered,
        physical::{
            Estimate, ExecutorKind, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr,
            PlannedLock, PlannedSortKey, PlannedTableCall,
        },
        plan_tools::output,
    },
};

/// How many rows a buffer is taken to hold.
pub(super) const BUFFERED_ROWS: f64 = 100.0;

/// Rows expected of a function that gives rows.
pub(crate) const SERIES: f64 = 100.0;
/// The part of the rows that a LIMIT is taken to let through whose number is not known.
const LIMITED: f64 = 0.1;

/// Chooses operators.
pub(crate) struct Builder<'a> {
    pub(super) estimator: &'a Estimator<'a>,
    tables: &'a dyn Fn(TableId) -> Option<Arc<TableHandle>>,
    /// The columns and estimates of the WITH queries around the plan being built.
    pub(super) shared: RefCell<HashMap<SharedId, (Vec<PlanColumn>, Estimate)>>,
}

/// The columns that a plan gives.
pub(super) fn plan_columns(plan: &LogicalPlan) -> Vec<PlanColumn> {
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
                let (scan, estimate) = access::plan_scan(&Request {
                    table: self.table(table.id)?,
                    columns: &scanned,
                    row_key,
                    filter: &filter,
                    plan_columns: &columns,
                    estimator: self.estimator,
                })?;
                Ok(self.node(estimate, columns, scan))
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
                self.filter_node(self.build(*input)?, predicates)
            }
            LogicalPlan::Project { input, items } => {
                self.project_node(self.build(*input)?, items, columns)
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
            LogicalPlan::Sort { input, keys } => self.sorted(*input, keys, None),
            LogicalPlan::LockRows { input, locks } => {
                self.lock_rows_node(self.build(*input)?, locks)
            }
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

    /// The rows of `input` for which all of `predicates` are true.
    pub(super) fn filter_node(
        &self,
        input: PhysicalPlan,
        predicates: Vec<Expr>,
    ) -> Result<PhysicalPlan> {
        let part = self.estimator.all(&predicates);
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

    /// What `items` compute of the rows of `input`, as `columns`.
    pub(super) fn project_node(
        &self,
        input: PhysicalPlan,
        items: Vec<(ColumnId, Expr)>,
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let passes_through = items.len() == input.columns.len()
            && items
                .iter()
                .zip(&input.columns)
                .all(|((id, expr), column)| {
                    *id == column.id && matches!(expr.kind, ExprKind::Column(of) if of == column.id)
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

    fn lock_rows_node(&self, input: PhysicalPlan, locks: Vec<RowLock>) -> Result<PhysicalPlan> {
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
            cost: input.estimate.cost + input.estimate.rows * locks.len() as f64 * FETCH,
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
        let (input, limit) = match (input, limit) {
            (LogicalPlan::Sort { input, keys }, Some(limit)) => {
                let last = self.limited(&input, wanted, skipped);
                let sorting = |rows: f64| cost_model::top_rows(rows, last.min(rows));
                match self.ordered(*input, &keys, Some(last), &sorting)? {
                    Ordered::Yes(input) => (input, Some(limit)),
                    Ordered::No(input) => {
                        let rows = wanted.map_or(input.estimate.rows, |wanted| {
                            wanted.min(input.estimate.rows)
                        });
                        let sorting = cost_model::top_rows(input.estimate.rows, rows + skipped);
                        let estimate = Estimate {
                            rows,
                            cost: input.estimate.cost + sorting,
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
                }
            }
            (input, limit) => {
                let last = limit
                    .as_ref()
                    .map(|_| self.limited(&input, wanted, skipped));
                (self.build_first(input, last)?, limit)
            }
        };
        Ok(self.limit_node(input, limit, offset, wanted, skipped))
    }

    /// How many rows of a plan a limit needs, of which `wanted` come after `skipped`.
    fn limited(&self, plan: &LogicalPlan, wanted: Option<f64>, skipped: f64) -> f64 {
        let wanted = wanted.unwrap_or_else(|| self.estimator.rows(plan) * LIMITED);
        (wanted + skipped).max(1.0)
    }

    /// Plans `plan`, of whose rows only the first `wanted` are asked for, if that is known.
    fn build_first(&self, plan: LogicalPlan, wanted: Option<f64>) -> Result<PhysicalPlan> {
        let columns = plan_columns(&plan);
        match plan {
            LogicalPlan::Sort { input, keys } => self.sorted(*input, keys, wanted),
            LogicalPlan::LockRows { input, locks } => {
                self.lock_rows_node(self.build_first(*input, wanted)?, locks)
            }
            LogicalPlan::Project { input, items } => {
                self.project_node(self.build_first(*input, wanted)?, items, columns)
            }
            plan => self.build(plan),
        }
    }

    pub(super) fn limit_node(
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
        let cost = if streams(&input) {
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

/// Whether a plan gives its first rows for a part of its cost.
fn streams(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PhysicalNode::Scan(_)
        | PhysicalNode::Filter { .. }
        | PhysicalNode::Project { .. }
        | PhysicalNode::UnionAll { .. }
        | PhysicalNode::Values { .. }
        | PhysicalNode::Buffered { .. } => true,
        PhysicalNode::LockRows { input, .. } => streams(input),
        _ => false,
    }
}
