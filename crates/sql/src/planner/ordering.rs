//! Which order a plan's rows come in, so that a sort can be left out.

use std::sync::Arc;

use crate::{
    bound::{ColumnId, ExprKind, SortKey},
    planner::{
        access_path::path_columns,
        physical::{PhysicalNode, PhysicalPlan, ScanNode},
    },
};

/// Whether `plan` gives its rows in the order of `keys`, if need be after turning its scan
/// around, which is done then.
pub(crate) fn provide(plan: &mut PhysicalPlan, keys: &[SortKey]) -> bool {
    let columns: Option<Vec<(ColumnId, bool, bool)>> = keys
        .iter()
        .map(|key| match key.expr.kind {
            ExprKind::Column(id) => Some((id, key.descending, key.nulls_first)),
            _ => None,
        })
        .collect();
    columns.is_some_and(|columns| provide_columns(plan, &columns))
}

fn provide_columns(plan: &mut PhysicalPlan, keys: &[(ColumnId, bool, bool)]) -> bool {
    let ids: Vec<ColumnId> = plan.columns.iter().map(|column| column.id).collect();
    match &mut plan.node {
        PhysicalNode::Filter { input, .. } => provide_columns(input, keys),
        PhysicalNode::Project { input, items } => {
            // Columns that are passed through under another id.
            let below: Option<Vec<(ColumnId, bool, bool)>> = keys
                .iter()
                .map(|(id, descending, nulls_first)| {
                    let at = ids.iter().position(|of| of == id)?;
                    match items.get(at)?.expr.kind {
                        ExprKind::Column(id) => Some((id, *descending, *nulls_first)),
                        _ => None,
                    }
                })
                .collect();
            below.is_some_and(|below| provide_columns(input, &below))
        }
        PhysicalNode::Scan(scan) => match scan_direction(scan, &ids, keys) {
            Some(backward) => {
                let mut turned = ScanNode::clone(scan);
                turned.backward = backward;
                *scan = Arc::new(turned);
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// The direction in which the scan gives the order; `None`: in neither.
fn scan_direction(
    scan: &ScanNode,
    ids: &[ColumnId],
    keys: &[(ColumnId, bool, bool)],
) -> Option<bool> {
    let path = path_columns(&scan.table, scan.path);
    let fixed = scan.condition.equal.len();
    let mut at = 0;
    let mut direction: Option<bool> = None;
    for (id, descending, nulls_first) in keys {
        let ordinal = *scan.ordinals.get(ids.iter().position(|of| of == id)?)?;
        if path.iter().take(fixed).any(|(of, _)| *of == ordinal) {
            // One value only: any order.
            continue;
        }
        at = at.max(fixed);
        let (of, column) = path.get(at)?;
        at += 1;
        if *of != ordinal {
            return None;
        }
        let backward = *descending != column.descending;
        let can_be_null = column.nullable
            && scan
                .table
                .table
                .columns
                .get(ordinal)
                .is_none_or(|column| !column.not_null);
        if can_be_null && *nulls_first != (column.nulls_first != backward) {
            return None;
        }
        if *direction.get_or_insert(backward) != backward {
            return None;
        }
    }
    Some(direction.unwrap_or(false))
}
