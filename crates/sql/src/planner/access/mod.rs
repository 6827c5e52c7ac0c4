//! How a table's rows are reached: whole, by key, through an index, through several.
//!
//! 1. [`key`] says what the keys of a path hold: columns, or what an index computes of them.
//! 2. [`conditions`] turns conditions into tests of key columns, in alternatives.
//! 3. [`matching`] finds the part of a path that they leave, and its cost; [`implication`] whether a
//!    partial index has all rows that are asked for.
//! 4. [`union`] puts together what no single path leads to: `a = 1 OR b = 2`.
//!
//! When it runs, `engine::key_set` makes ranges of keys of the values.

mod conditions;
#[cfg(test)]
mod conditions_tests;
pub(crate) mod implication;
#[cfg(test)]
mod implication_tests;
pub(crate) mod key;
pub(crate) mod matching;
mod union;

use std::sync::Arc;

pub(crate) use conditions::{equal_value, equals_element};

use crate::{
    Result,
    bound::{ColumnId, Expr, ScanColumn},
    encoding::RowDecoder,
    engine::{index_entry::EntryDecoder, table::TableHandle},
    planner::{
        access::{
            implication::implies,
            key::{PathKey, paths},
            matching::{Matcher, PathMatch},
        },
        cost::Estimator,
        cost_model::NEXT_ROW,
        expr_tools::is_stable_constant,
        physical::{
            AccessPath, Estimate, KeyCondition, PhysicalNode, PlanColumn, PlannedExpr, ScanNode,
        },
    },
};

/// What a scan has to give.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    ordinals: Vec<usize>,
    /// Whether the rows' keys are wanted too.
    row_key: bool,
}

impl Wanted {
    /// These columns, and the row's key where `row_key`.
    pub(crate) fn new(columns: &[ScanColumn], row_key: bool) -> Wanted {
        Wanted {
            ordinals: columns.iter().map(|column| column.ordinal).collect(),
            row_key,
        }
    }

    /// Nothing but the keys of rows.
    fn keys() -> Wanted {
        Wanted {
            ordinals: Vec::new(),
            row_key: true,
        }
    }

    /// Whether the entries of `path` lead to rows that must be read.
    fn fetches(&self, table: &TableHandle, path: AccessPath) -> bool {
        let keys_alone = self.row_key && self.ordinals.is_empty();
        match path {
            AccessPath::Table => false,
            AccessPath::Index(_) => !keys_alone && self.entries_of(table, path).is_none(),
        }
    }

    /// What reads it out of the entries of an index that is the path, if these hold it.
    pub(crate) fn entries_of(&self, table: &TableHandle, path: AccessPath) -> Option<EntryDecoder> {
        match path {
            AccessPath::Index(at) if !self.row_key => EntryDecoder::new(table, at, &self.ordinals),
            _ => None,
        }
    }
}

/// A scan that is to be planned.
pub(crate) struct Request<'a> {
    /// The table.
    pub(crate) table: Arc<TableHandle>,
    /// The columns wanted.
    pub(crate) columns: &'a [ScanColumn],
    /// The column of the rows' keys, where wanted.
    pub(crate) row_key: Option<ColumnId>,
    /// Conjuncts that must hold.
    pub(crate) filter: &'a [Expr],
    /// The columns that it gives.
    pub(crate) plan_columns: &'a [PlanColumn],
    /// What is known of numbers of rows.
    pub(crate) estimator: &'a Estimator<'a>,
}

impl Request<'_> {
    fn wanted(&self) -> Wanted {
        Wanted::new(self.columns, self.row_key.is_some())
    }

    fn matcher<'m>(&'m self, wanted: &'m Wanted) -> Matcher<'m> {
        Matcher {
            estimator: self.estimator,
            table_rows: self.estimator.table_rows(self.table.table.id),
            wanted,
            is_value: &is_stable_constant,
        }
    }

    /// How each path leads to the rows that satisfy `conditions`, where it does.
    fn matches<'e>(
        &self,
        matcher: &Matcher<'_>,
        conditions: &'e [Expr],
    ) -> Result<Vec<PathMatch<'e>>> {
        let mut found = Vec::new();
        for path in paths(&self.table) {
            if let Some(key) = PathKey::of(&self.table, path, self.columns)? {
                found.extend(matcher.match_path(&self.table, &key, conditions));
            }
        }
        Ok(found)
    }

    /// The scan by a path, and what is expected of it.
    fn scan(&self, found: Option<&PathMatch<'_>>) -> Result<(ScanNode, Estimate)> {
        let table_rows = self.estimator.table_rows(self.table.table.id);
        let rows = (table_rows * self.estimator.all(self.filter)).max(1.0);
        let wanted = self.wanted();
        let path = found.map_or(AccessPath::Table, |found| found.path);
        let predicate = found.and_then(|found| found.predicate.as_ref());
        let (mut implied, mut rest) = (Vec::new(), Vec::new());
        for (at, condition) in self.filter.iter().enumerate() {
            let is_covered = found.is_some_and(|found| found.covered.contains(&at))
                || predicate.is_some_and(|predicate| implies(&[predicate], condition));
            if is_covered {
                implied.push(condition.clone());
            } else {
                rest.push(condition.clone());
            }
        }
        let scan = ScanNode {
            decoder: RowDecoder::new(Arc::clone(&self.table.codec), &wanted.ordinals),
            entries: wanted.entries_of(&self.table, path),
            table: Arc::clone(&self.table),
            ordinals: wanted.ordinals,
            row_key: self.row_key,
            path,
            condition: match found {
                Some(found) => found.condition(&[])?,
                None => KeyCondition::default(),
            },
            condition_exprs: found.map_or_else(Vec::new, |found| found.shown.clone()),
            implied: PlannedExpr::all(implied, self.plan_columns)?,
            filter: PlannedExpr::all(rest, self.plan_columns)?,
            backward: false,
        };
        let estimate = match found {
            Some(found) => Estimate {
                rows: rows.min(found.rows),
                cost: found.cost,
            },
            None => Estimate {
                rows,
                cost: table_rows * NEXT_ROW,
            },
        };
        Ok((scan, estimate))
    }
}

/// Chooses how to scan a table; gives the scan and its estimate.
pub(crate) fn plan_scan(request: &Request<'_>) -> Result<(PhysicalNode, Estimate)> {
    if !request.estimator.optimizes() {
        let (scan, estimate) = request.scan(None)?;
        return Ok((PhysicalNode::Scan(Arc::new(scan)), estimate));
    }
    let wanted = request.wanted();
    let matcher = request.matcher(&wanted);
    let full_cost = matcher.table_rows * NEXT_ROW;
    let mut best: Option<PathMatch<'_>> = None;
    for found in request.matches(&matcher, request.filter)? {
        // A path from end to end is worth a look where it leads to some of the rows only.
        let worth = found.is_narrow() || found.predicate.is_some();
        let better = best.as_ref().is_none_or(|best| {
            let order = found.cost.total_cmp(&best.cost);
            order.then(best.equal().cmp(&found.equal())).is_lt()
        });
        if worth && better {
            best = Some(found);
        }
    }
    let best = best.filter(|found| found.path == AccessPath::Table || found.cost < full_cost);
    let cost = best.as_ref().map_or(full_cost, |found| found.cost);
    let covered = best.as_ref().map_or(&[][..], |found| &found.covered);
    if let Some(union) = union::plan_union(request, covered, cost)? {
        return Ok(union);
    }
    let (scan, estimate) = request.scan(best.as_ref())?;
    Ok((PhysicalNode::Scan(Arc::new(scan)), estimate))
}

/// The scans of a table by each of its paths, with what is expected of them.
pub(crate) fn plan_paths(
    request: &Request<'_>,
    fits: impl Fn(&PathKey) -> bool,
) -> Result<Vec<(ScanNode, Estimate)>> {
    let wanted = request.wanted();
    let matcher = request.matcher(&wanted);
    let mut scans = Vec::new();
    for path in paths(&request.table) {
        let Some(key) = PathKey::of(&request.table, path, request.columns)? else {
            continue;
        };
        if !fits(&key) {
            continue;
        }
        if let Some(found) = matcher.match_path(&request.table, &key, request.filter) {
            let whole_table = path == AccessPath::Table && !found.is_narrow();
            scans.push(request.scan(Some(&found).filter(|_| !whole_table))?);
        }
    }
    Ok(scans)
}
