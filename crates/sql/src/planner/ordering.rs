//! Which order a plan's rows come in, and how to have them come in one, so that a sort can be left
//! out.

use std::sync::Arc;

use crate::{
    Result,
    bound::{ColumnId, Expr, LogicalPlan, ScanColumn, SortKey},
    catalog::TableKind,
    planner::{
        access::{
            self, Request,
            key::{PathColumn, PathKey, is_same_value},
        },
        build::{Builder, plan_columns, sort_keys},
        cost_model,
        expr_tools::{columns_of, is_volatile, substitute},
        physical::{AccessPath, Estimate, KeyCondition, PhysicalNode, PhysicalPlan, ScanNode},
    },
};

/// Whether `plan` gives its rows in the order of `keys`, if need be after turning its scan
/// around, which is done then.
pub(crate) fn provide(plan: &mut PhysicalPlan, keys: &[SortKey]) -> Result<bool> {
    let ids: Vec<ColumnId> = plan.columns.iter().map(|column| column.id).collect();
    match &mut plan.node {
        PhysicalNode::Filter { input, .. } => provide(input, keys),
        PhysicalNode::Project { input, items } => {
            let below = below(keys, |id| {
                let at = ids.iter().position(|of| *of == id)?;
                items.get(at).map(|item| &item.expr)
            });
            below.map_or(Ok(false), |below| provide(input, &below))
        }
        PhysicalNode::Scan(scan) | PhysicalNode::IndexUnion { fetch: scan, .. } => {
            let Some(backward) = direction(scan, &ids, keys)? else {
                return Ok(false);
            };
            if backward != scan.backward {
                let mut turned = ScanNode::clone(scan);
                turned.backward = backward;
                *scan = Arc::new(turned);
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The keys over the input of a projection, whose columns are what `item` says; `None`: they are not
/// the same for equal rows.
fn below<'e>(
    keys: &[SortKey],
    item: impl Fn(ColumnId) -> Option<&'e Expr>,
) -> Option<Vec<SortKey>> {
    let mut below = keys.to_vec();
    for key in &mut below {
        if columns_of(&key.expr)
            .into_iter()
            .any(|id| item(id).is_none())
        {
            return None;
        }
        substitute(&mut key.expr, &|id| item(id).cloned());
        if is_volatile(&key.expr) {
            return None;
        }
    }
    Some(below)
}

/// The direction in which the scan, whose columns are `ids`, gives the order; `None`: in neither.
fn direction(scan: &ScanNode, ids: &[ColumnId], keys: &[SortKey]) -> Result<Option<bool>> {
    let columns: Vec<ScanColumn> = scan
        .ordinals
        .iter()
        .zip(ids)
        .map(|(ordinal, id)| ScanColumn {
            ordinal: *ordinal,
            id: *id,
        })
        .collect();
    let Some(path) = PathKey::of(&scan.table, scan.path, &columns)? else {
        return Ok(None);
    };
    // Index entries of equal columns come in the order of the rows' own keys.
    let behind = match scan.path {
        AccessPath::Table => None,
        AccessPath::Index(_) => PathKey::of(&scan.table, AccessPath::Table, &columns)?,
    };
    let behind = behind.map_or_else(Vec::new, |behind| behind.columns);
    Ok(direction_of(&path, &behind, &scan.condition, keys))
}

/// The direction in which the part of a path that `condition` leaves gives the order; the columns
/// `behind` come after those of the path.
fn direction_of(
    path: &PathKey,
    behind: &[PathColumn],
    condition: &KeyCondition,
    keys: &[SortKey],
) -> Option<bool> {
    let holds = |column: &PathColumn, expr: &Expr| {
        let own = column.expr.as_ref();
        own.is_some_and(|own| is_same_value(own, expr))
    };
    let fixed = condition.fixed();
    let has_nulls = |at: usize, column: &PathColumn| {
        let is_present = at < path.columns.len() && condition.is_present(at);
        !column.not_null && !is_present
    };
    let columns: Vec<&PathColumn> = path.columns.iter().chain(behind).collect();
    let own = path.columns.iter().enumerate();
    // From here on there is one row at most, whose order does not matter.
    let one_row = match path.is_unique && own.clone().all(|(at, of)| !has_nulls(at, of)) {
        true if !path.columns.is_empty() => path.columns.len(),
        _ if !behind.is_empty() => columns.len(),
        _ => usize::MAX,
    };
    let mut at = fixed;
    let mut direction: Option<bool> = None;
    for key in keys {
        // One value only, or one that rows are in the order of already: any order.
        let passed = columns
            .iter()
            .take(at)
            .any(|column| holds(column, &key.expr));
        if passed || columns_of(&key.expr).is_empty() && !is_volatile(&key.expr) {
            continue;
        }
        // A column that comes in the key again changes nothing.
        while columns.get(at).is_some_and(|column| {
            let own = column.expr.as_ref();
            own.is_some_and(|own| columns.iter().take(at).any(|before| holds(before, own)))
        }) {
            at += 1;
        }
        if at >= one_row {
            break;
        }
        let column = *columns.get(at)?;
        if !holds(column, &key.expr) {
            return None;
        }
        let backward = key.descending != column.form.descending;
        if has_nulls(at, column) && key.nulls_first != (column.form.nulls_first != backward) {
            return None;
        }
        if *direction.get_or_insert(backward) != backward {
            return None;
        }
        at += 1;
    }
    Some(direction.unwrap_or(false))
}

/// An input whose rows are wanted in an order.
pub(super) enum Ordered {
    /// They come in it.
    Yes(PhysicalPlan),
    /// They are still to be sorted.
    No(PhysicalPlan),
}

impl Builder<'_> {
    /// Plans `input` so that its rows come in the order of `keys`, where that costs less than sorting
    /// them, of which `sorting` tells the cost. Of the rows only the first `wanted` are asked for, if
    /// that is known.
    pub(super) fn ordered(
        &self,
        input: LogicalPlan,
        keys: &[SortKey],
        wanted: Option<f64>,
        sorting: &dyn Fn(f64) -> f64,
    ) -> Result<Ordered> {
        let in_order = self.in_order(&input, keys, wanted)?;
        let mut plain = self.build(input)?;
        let provides = provide(&mut plain, keys)?;
        let cost = if provides {
            stopped(plain.estimate, wanted)
        } else {
            plain.estimate.cost + sorting(plain.estimate.rows)
        };
        Ok(match in_order {
            Some(plan) if stopped(plan.estimate, wanted) < cost => Ordered::Yes(plan),
            _ if provides => Ordered::Yes(plain),
            _ => Ordered::No(plain),
        })
    }

    /// A plan of `input` whose rows come in the order of `keys` by the way in which they are read:
    /// the cheapest for the first `wanted` of them.
    pub(super) fn in_order(
        &self,
        input: &LogicalPlan,
        keys: &[SortKey],
        wanted: Option<f64>,
    ) -> Result<Option<PhysicalPlan>> {
        if !self.estimator.optimizes() {
            return Ok(None);
        }
        match input {
            LogicalPlan::Filter { input, predicates } => {
                let part = self.estimator.all(predicates).max(f64::MIN_POSITIVE);
                let input = self.in_order(input, keys, wanted.map(|wanted| wanted / part))?;
                let input = input.map(|input| self.filter_node(input, predicates.clone()));
                input.transpose()
            }
            LogicalPlan::Project { input: from, items } => {
                let item = |id: ColumnId| {
                    let found = items.iter().find(|(item, _)| *item == id);
                    found.map(|(_, expr)| expr)
                };
                let Some(keys) = below(keys, item) else {
                    return Ok(None);
                };
                let columns = plan_columns(input);
                let from = self.in_order(from, &keys, wanted)?;
                let plan = from.map(|from| self.project_node(from, items.clone(), columns));
                plan.transpose()
            }
            LogicalPlan::Scan {
                table,
                columns,
                row_key,
                filter,
            } if !matches!(table.kind, TableKind::System(_)) => {
                let given = plan_columns(input);
                let request = Request {
                    table: self.table(table.id)?,
                    columns,
                    row_key: *row_key,
                    filter,
                    plan_columns: &given,
                    estimator: self.estimator,
                };
                let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
                let first = |path: &PathKey| {
                    let holds = |expr: &Expr| {
                        let column = |of: &PathColumn| {
                            of.expr.as_ref().is_some_and(|own| is_same_value(own, expr))
                        };
                        path.columns.iter().any(column)
                    };
                    keys.iter().any(|key| holds(&key.expr))
                };
                let mut best: Option<(ScanNode, Estimate)> = None;
                for (mut scan, estimate) in access::plan_paths(&request, first)? {
                    let Some(backward) = direction(&scan, &ids, keys)? else {
                        continue;
                    };
                    let cost = stopped(estimate, wanted);
                    if best
                        .as_ref()
                        .is_none_or(|(_, best)| cost < stopped(*best, wanted))
                    {
                        scan.backward = backward;
                        best = Some((scan, estimate));
                    }
                }
                Ok(best.map(|(scan, estimate)| {
                    self.node(estimate, given, PhysicalNode::Scan(Arc::new(scan)))
                }))
            }
            _ => Ok(None),
        }
    }

    /// `input` in the order of `keys`: sorted, unless it comes in it. Of the rows only the first
    /// `wanted` are asked for, if that is known.
    pub(super) fn sorted(
        &self,
        input: LogicalPlan,
        keys: Vec<SortKey>,
        wanted: Option<f64>,
    ) -> Result<PhysicalPlan> {
        let input = match self.ordered(input, &keys, wanted, &cost_model::sort)? {
            Ordered::Yes(plan) => return Ok(plan),
            Ordered::No(plan) => plan,
        };
        let estimate = Estimate {
            rows: input.estimate.rows,
            cost: input.estimate.cost + cost_model::sort(input.estimate.rows),
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
}

/// The cost of the first `wanted` rows of a plan that gives them as it goes.
fn stopped(estimate: Estimate, wanted: Option<f64>) -> f64 {
    let part = wanted.map_or(1.0, |wanted| (wanted / estimate.rows.max(1.0)).min(1.0));
    estimate.cost * part
}
