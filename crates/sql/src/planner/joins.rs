//! How two inputs are joined.

use std::{collections::HashSet, sync::Arc};

use crate::{
    Result,
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, plan_walk::for_each_expr_deep,
    },
    catalog::TableKind,
    encoding::RowDecoder,
    planner::{
        access::{
            Wanted,
            key::{PathKey, paths},
            matching::{Matcher, PathMatch},
        },
        build::Builder,
        cost_model::{KEEP, NEXT_ROW, PAIR, PROBE, RUN},
        expr_tools::{columns_of, is_volatile},
        physical::{Estimate, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr, ScanNode},
    },
};

/// Whether two evaluations of the plan may differ.
fn reads_volatile(plan: &LogicalPlan) -> bool {
    let mut found = false;
    for_each_expr_deep(&mut plan.clone(), &mut |expr| found |= is_volatile(expr));
    found
}

/// `left key = right key` pairs and what else must hold.
struct Conditions {
    left_keys: Vec<Expr>,
    right_keys: Vec<Expr>,
    /// Of which keys NULL equals NULL: `IS NOT DISTINCT FROM`.
    nulls_equal: Vec<bool>,
    residual: Vec<Expr>,
}

fn ids(columns: &[PlanColumn]) -> HashSet<ColumnId> {
    columns.iter().map(|column| column.id).collect()
}

fn split(on: Vec<Expr>, left: &[PlanColumn], right: &[PlanColumn]) -> Conditions {
    let (left_ids, right_ids) = (ids(left), ids(right));
    let mut conditions = Conditions {
        left_keys: Vec::new(),
        right_keys: Vec::new(),
        nulls_equal: Vec::new(),
        residual: Vec::new(),
    };
    for conjunct in on {
        let whole = conjunct.clone();
        let (a, b, nulls_equal) = match conjunct.kind {
            ExprKind::Binary(BinaryOp::Equal, a, b) if !is_volatile(&whole) => (*a, *b, false),
            ExprKind::IsDistinct {
                left,
                right,
                negated: true,
            } if !is_volatile(&whole) => (*left, *right, true),
            _ => {
                conditions.residual.push(whole);
                continue;
            }
        };
        let (reads_a, reads_b) = (columns_of(&a), columns_of(&b));
        let (left_key, right_key) =
            if !reads_b.is_empty() && reads_a.is_subset(&left_ids) && reads_b.is_subset(&right_ids)
            {
                (a, b)
            } else if !reads_a.is_empty()
                && reads_b.is_subset(&left_ids)
                && reads_a.is_subset(&right_ids)
            {
                (b, a)
            } else {
                conditions.residual.push(whole);
                continue;
            };
        conditions.left_keys.push(left_key);
        conditions.right_keys.push(right_key);
        conditions.nulls_equal.push(nulls_equal);
    }
    conditions
}

/// The columns that a join gives.
fn join_columns(kind: JoinKind, left: &[PlanColumn], right: &[PlanColumn]) -> Vec<PlanColumn> {
    let mut columns = left.to_vec();
    match kind {
        JoinKind::Semi | JoinKind::Anti => {}
        JoinKind::Mark(id) | JoinKind::Exists(id) => columns.push(PlanColumn {
            id,
            data_type: crate::DataType::Boolean,
        }),
        _ => columns.extend_from_slice(right),
    }
    columns
}

fn both(left: &[PlanColumn], right: &[PlanColumn]) -> Vec<PlanColumn> {
    [left, right].concat()
}

impl Builder<'_> {
    /// Plans a join.
    pub(super) fn build_join(
        &self,
        kind: JoinKind,
        left: LogicalPlan,
        right: LogicalPlan,
        on: Vec<Expr>,
    ) -> Result<PhysicalPlan> {
        let left = self.build(left)?;
        if let Some(join) = self.try_lookup(kind, &left, &right, &on)? {
            return Ok(join);
        }
        let mut left = left;
        let mut right = self.build(right)?;
        let rows = self
            .estimator
            .join_rows(kind, left.estimate.rows, right.estimate.rows, &on);
        let mut kind = kind;
        // What is kept in memory stands on the right: the smaller one, where there is a choice.
        let mirrored = match kind {
            JoinKind::Inner => Some(JoinKind::Inner),
            JoinKind::Left => Some(JoinKind::Right),
            JoinKind::Right => Some(JoinKind::Left),
            JoinKind::Full => Some(JoinKind::Full),
            _ => None,
        };
        if let Some(mirrored) = mirrored
            && left.estimate.rows < right.estimate.rows
        {
            std::mem::swap(&mut left, &mut right);
            kind = mirrored;
        }
        let columns = join_columns(kind, &left.columns, &right.columns);
        let pair = both(&left.columns, &right.columns);
        let inputs = left.estimate.cost + right.estimate.cost;
        let conditions = split(on.clone(), &left.columns, &right.columns);
        // A mark is NULL where its condition is: only of one equality the hash join can tell.
        let pairwise = conditions.left_keys.is_empty()
            || matches!(kind, JoinKind::Mark(_))
                && (conditions.left_keys.len() > 1 || !conditions.residual.is_empty());
        if pairwise {
            let pairs = left.estimate.rows * right.estimate.rows;
            return Ok(self.node(
                Estimate {
                    rows,
                    cost: inputs + right.estimate.rows * KEEP + pairs * PAIR,
                },
                columns,
                PhysicalNode::NestedLoopJoin {
                    kind,
                    on: PlannedExpr::all(on, &pair)?.into(),
                    left: Box::new(left),
                    right: Box::new(right),
                },
            ));
        }
        let cost = inputs + right.estimate.rows * KEEP + left.estimate.rows * PROBE + rows * PROBE;
        Ok(self.node(
            Estimate { rows, cost },
            columns,
            PhysicalNode::HashJoin {
                kind,
                left_keys: PlannedExpr::all(conditions.left_keys, &left.columns)?.into(),
                right_keys: PlannedExpr::all(conditions.right_keys, &right.columns)?.into(),
                nulls_equal: conditions.nulls_equal.into(),
                residual: PlannedExpr::all(conditions.residual, &pair)?.into(),
                left: Box::new(left),
                right: Box::new(right),
            },
        ))
    }

    /// Plans a join whose right side is evaluated for every row of the left.
    pub(super) fn build_apply(
        &self,
        kind: JoinKind,
        left: LogicalPlan,
        right: LogicalPlan,
        on: Vec<Expr>,
        bindings: Vec<(usize, Expr)>,
    ) -> Result<PhysicalPlan> {
        let left = self.build(left)?;
        let repeatable = !reads_volatile(&right);
        let right = self.build(right)?;
        let given = left.estimate.rows;
        let runs = if repeatable {
            self.estimator
                .groups(bindings.iter().map(|(_, expr)| expr), given)
        } else {
            given
        };
        let rows = self
            .estimator
            .join_rows(kind, given, right.estimate.rows, &on);
        let estimate = Estimate {
            rows,
            cost: left.estimate.cost
                + runs * (right.estimate.cost + RUN)
                + given * (PROBE + right.estimate.rows * PAIR),
        };
        let bindings = bindings
            .into_iter()
            .map(|(parameter, expr)| Ok((parameter, PlannedExpr::new(expr, &left.columns)?)))
            .collect::<Result<_>>()?;
        let pair = both(&left.columns, &right.columns);
        Ok(self.node(
            estimate,
            join_columns(kind, &left.columns, &right.columns),
            PhysicalNode::Apply {
                kind,
                on: PlannedExpr::all(on, &pair)?.into(),
                left: Box::new(left),
                right: Arc::new(right),
                bindings,
                repeatable,
            },
        ))
    }

    /// A lookup join, where the right is a table with a fitting key and few rows are asked for.
    fn try_lookup(
        &self,
        kind: JoinKind,
        left: &PhysicalPlan,
        right: &LogicalPlan,
        on: &[Expr],
    ) -> Result<Option<PhysicalPlan>> {
        if !self.estimator.optimizes() {
            return Ok(None);
        }
        let LogicalPlan::Scan {
            table,
            columns,
            row_key: None,
            filter,
        } = right
        else {
            return Ok(None);
        };
        if !matches!(
            kind,
            JoinKind::Inner
                | JoinKind::Left
                | JoinKind::Semi
                | JoinKind::Anti
                | JoinKind::Exists(_)
                | JoinKind::Single
        ) {
            return Ok(None);
        }
        if matches!(table.kind, TableKind::System(_)) {
            return Ok(None);
        }
        let handle = self.table(table.id)?;
        let left_ids = ids(&left.columns);
        let is_left = |expr: &Expr| !is_volatile(expr) && columns_of(expr).is_subset(&left_ids);
        let table_rows = self.estimator.table_rows(table.id);
        let wanted = Wanted::new(columns, false);
        let matcher = Matcher {
            estimator: self.estimator,
            table_rows,
            wanted: &wanted,
            is_value: &is_left,
        };
        // What is known of the right side alone narrows the key as well, but looking rows up is for
        // what the left side says.
        let conditions = [on, filter.as_slice()].concat();
        let mut found: Option<PathMatch<'_>> = None;
        for path in paths(&handle) {
            let Some(key) = PathKey::of(&handle, path, columns)? else {
                continue;
            };
            let Some(match_) = matcher.match_path(&handle, &key, &conditions) else {
                continue;
            };
            let usable = match_.equal() > 0 && match_.rests_on(|condition| condition < on.len());
            let better = found.as_ref().is_none_or(|found| {
                let order = match_.cost.total_cmp(&found.cost);
                order.then(found.equal().cmp(&match_.equal())).is_lt()
            });
            if usable && better {
                found = Some(match_);
            }
        }
        let Some(found) = found else { return Ok(None) };
        let each = found.cost;
        let hash = table_rows * (NEXT_ROW + self.estimator.all(filter) * KEEP)
            + left.estimate.rows * PROBE;
        if left.estimate.rows * each >= hash {
            return Ok(None);
        }
        let right_columns: Vec<PlanColumn> = crate::planner::plan_tools::output(right)
            .into_iter()
            .map(|(id, data_type)| PlanColumn { id, data_type })
            .collect();
        let ordinals: Vec<usize> = columns.iter().map(|column| column.ordinal).collect();
        let scan = ScanNode {
            entries: wanted.entries_of(&handle, found.path),
            decoder: RowDecoder::new(Arc::clone(&handle.codec), &ordinals),
            ordinals,
            row_key: None,
            path: found.path,
            condition: found.condition(&left.columns)?,
            condition_exprs: Vec::new(),
            // The conditions of the join are checked of every pair.
            implied: Vec::new(),
            filter: PlannedExpr::all(filter.clone(), &right_columns)?,
            backward: false,
            table: handle,
        };
        let pair = both(&left.columns, &right_columns);
        let rows = self.estimator.join_rows(
            kind,
            left.estimate.rows,
            (table_rows * self.estimator.all(filter)).max(1.0),
            on,
        );
        let estimate = Estimate {
            rows,
            cost: left.estimate.cost + left.estimate.rows * each,
        };
        Ok(Some(self.node(
            estimate,
            join_columns(kind, &left.columns, &right_columns),
            PhysicalNode::LookupJoin {
                kind,
                left: Box::new(left.clone()),
                right: Arc::new(scan),
                right_columns,
                on: PlannedExpr::all(on.to_vec(), &pair)?.into(),
            },
        )))
    }
}
