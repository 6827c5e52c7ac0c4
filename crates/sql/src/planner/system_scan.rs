//! Scans of system relations.

use std::sync::Arc;

use crate::{
    Result,
    bound::{Expr, ScanColumn},
    catalog::Table,
    planner::{
        access::equal_value,
        build::Builder,
        cost::Estimator,
        expr_tools::column,
        physical::{Estimate, PhysicalNode, PhysicalPlan, PlanColumn, PlannedExpr, SystemScanNode},
    },
    system::SystemRelation,
};

/// Rows that a system relation is taken to have.
const ROWS: f64 = 400.0;
/// Rows of it with one key.
const KEY_ROWS: f64 = 5.0;
/// Cost of making a row.
const MAKE_ROW: f64 = 2.0;

impl Builder<'_> {
    /// Plans the scan of a system relation.
    pub(super) fn build_system_scan(
        &self,
        table: &Table,
        relation: &'static SystemRelation,
        scanned: &[ScanColumn],
        filter: Vec<Expr>,
        columns: Vec<PlanColumn>,
    ) -> Result<PhysicalPlan> {
        let key = relation
            .key
            .and_then(|name| table.column(name))
            .and_then(|key| key_value(&filter, table, scanned, key));
        let part = Estimator::all(self.estimator, &filter);
        let (rows, made) = match key {
            Some(_) => (KEY_ROWS.min(ROWS * part), KEY_ROWS),
            None => (ROWS * part, ROWS),
        };
        let scan = SystemScanNode {
            relation,
            ordinals: scanned.iter().map(|column| column.ordinal).collect(),
            key: key.map(|key| PlannedExpr::new(key, &[])).transpose()?,
            filter: PlannedExpr::all(filter, &columns)?,
        };
        let estimate = Estimate {
            rows: rows.max(1.0),
            cost: made * MAKE_ROW,
        };
        Ok(self.node(estimate, columns, PhysicalNode::SystemScan(Arc::new(scan))))
    }
}

/// What a conjunct says that the key column equals.
fn key_value(filter: &[Expr], table: &Table, scanned: &[ScanColumn], key: usize) -> Option<Expr> {
    let data_type = table.columns.get(key)?.data_type.of_values();
    let id = scanned.iter().find(|column| column.ordinal == key)?.id;
    equal_value(filter, &column(id, data_type, true))
}
