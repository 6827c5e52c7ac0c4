//! Disjunctions that no single path leads to: each branch by a path of its own.

use std::{borrow::Cow, sync::Arc};

use crate::{
    DataType, Result,
    bound::{ColumnId, Expr, ExprKind},
    encoding::RowDecoder,
    planner::{
        access::{
            Request, Wanted,
            key::PathKey,
            matching::{Matcher, PathMatch},
        },
        cost_model::{LOOKUP, UNION_SEARCH},
        expr_tools::{any, split_conjuncts},
        physical::{
            AccessPath, Estimate, ExecutorKind, KeyCondition, PhysicalNode, PhysicalPlan,
            PlanColumn, PlannedExpr, ScanNode,
        },
    },
};

/// The operands of a disjunction, those of disjunctions among them included.
fn disjuncts(expr: &Expr, into: &mut Vec<Expr>) {
    match &expr.kind {
        ExprKind::Or(operands) => operands.iter().for_each(|operand| disjuncts(operand, into)),
        _ => into.push(expr.clone()),
    }
}

/// How many disjuncts an expression has, without making them.
fn count_disjuncts(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::Or(operands) => operands.iter().map(count_disjuncts).sum(),
        _ => 1,
    }
}

/// Of how many parts an expression is made.
fn size(expr: &Expr) -> usize {
    let mut parts = 0;
    any(expr, &mut |_| {
        parts += 1;
        false
    });
    parts
}

/// `operand` split into conjuncts, and how many these are; then the other conditions.
fn conditions(operand: Expr, others: &[Expr]) -> (Vec<Expr>, usize) {
    let mut conditions = Vec::new();
    split_conjuncts(operand, &mut conditions);
    let own = conditions.len();
    conditions.extend_from_slice(others);
    (conditions, own)
}

/// A union of scans for one of the disjunctions among the conditions that the path chosen for the
/// table does not cover, if that costs less than `cost`.
pub(super) fn plan_union(
    request: &Request<'_>,
    covered: &[usize],
    cost: f64,
) -> Result<Option<(PhysicalNode, Estimate)>> {
    let mut best: Option<(PhysicalNode, Estimate)> = None;
    if !request
        .filter
        .iter()
        .any(|condition| matches!(condition.kind, ExprKind::Or(_)))
    {
        return Ok(None);
    }
    let all: usize = request.filter.iter().map(size).sum();
    let mut left = UNION_SEARCH;
    for (at, condition) in request.filter.iter().enumerate() {
        if !matches!(condition.kind, ExprKind::Or(_)) || covered.contains(&at) {
            continue;
        }
        // Every operand is looked at together with all other conditions.
        let own = size(condition);
        let beside = (all - own).saturating_mul(count_disjuncts(condition));
        let Some(rest) = left.checked_sub(own.saturating_add(beside)) else {
            continue;
        };
        left = rest;
        let limit = best.as_ref().map_or(cost, |(_, estimate)| estimate.cost);
        if let Some(union) = union_of(request, at, condition, limit)? {
            best = Some(union);
        }
    }
    Ok(best)
}

/// The union for the disjunction at a place among the conditions.
fn union_of(
    request: &Request<'_>,
    at: usize,
    disjunction: &Expr,
    limit: f64,
) -> Result<Option<(PhysicalNode, Estimate)>> {
    let wanted = Wanted::keys();
    let matcher = Matcher {
        wanted: &wanted,
        ..request.matcher(&wanted)
    };
    let mut others = request.filter.to_vec();
    others.remove(at);
    // Which of them go by which path.
    let mut operands = Vec::new();
    disjuncts(disjunction, &mut operands);
    let mut groups: Vec<(AccessPath, Vec<Expr>)> = Vec::new();
    for operand in operands {
        let (conditions, own) = conditions(operand.clone(), &others);
        let found = request.matches(&matcher, &conditions)?;
        let usable = found
            .into_iter()
            .filter(|found| found.is_narrow() && found.rests_on(|condition| condition < own))
            .min_by(|one, other| one.cost.total_cmp(&other.cost));
        let Some(found) = usable else {
            return Ok(None);
        };
        match groups.iter_mut().find(|(path, _)| *path == found.path) {
            Some((_, group)) => group.push(operand),
            None => groups.push((found.path, vec![operand])),
        }
    }
    // What one path leads to needs no union.
    if groups.len() < 2 {
        return Ok(None);
    }
    let mut branches = Vec::with_capacity(groups.len());
    let (mut rows, mut cost) = (0.0, 0.0);
    for (path, mut group) in groups {
        let operand = match group.len() {
            1 => group.remove(0),
            _ => Expr {
                kind: ExprKind::Or(group),
                ..disjunction.clone()
            },
        };
        let (conditions, _) = conditions(operand, &others);
        let key = PathKey::of(&request.table, path, request.columns)?;
        let found = key.and_then(|key| matcher.match_path(&request.table, &key, &conditions));
        let Some(found) = found.filter(PathMatch::is_narrow) else {
            return Ok(None);
        };
        rows += found.rows;
        cost += found.cost;
        branches.push(branch(request, &found)?);
    }
    rows = rows.min(matcher.table_rows);
    cost += rows * LOOKUP;
    if cost >= limit {
        return Ok(None);
    }
    let given = matcher.table_rows * request.estimator.all(request.filter);
    let estimate = Estimate {
        rows: given.min(rows).max(1.0),
        cost,
    };
    let wanted = request.wanted();
    let fetch = ScanNode {
        decoder: RowDecoder::new(Arc::clone(&request.table.codec), &wanted.ordinals),
        entries: None,
        table: Arc::clone(&request.table),
        ordinals: wanted.ordinals,
        row_key: request.row_key,
        path: AccessPath::Table,
        condition: KeyCondition::default(),
        condition_exprs: Vec::new(),
        implied: PlannedExpr::all(vec![disjunction.clone()], request.plan_columns)?,
        filter: PlannedExpr::all(others, request.plan_columns)?,
        backward: false,
    };
    let node = PhysicalNode::IndexUnion {
        branches,
        fetch: Arc::new(fetch),
    };
    Ok(Some((node, estimate)))
}

/// The column of the keys that branches give: nothing reads it by its id.
const KEYS: ColumnId = ColumnId(u32::MAX);

/// A scan for the keys of the rows that a path leads to.
fn branch(request: &Request<'_>, found: &PathMatch<'_>) -> Result<PhysicalPlan> {
    let scan = ScanNode {
        decoder: RowDecoder::new(Arc::clone(&request.table.codec), &[]),
        entries: None,
        table: Arc::clone(&request.table),
        ordinals: Vec::new(),
        row_key: Some(KEYS),
        path: found.path,
        condition: found.condition(&[])?,
        condition_exprs: found.shown.clone(),
        implied: Vec::new(),
        filter: Vec::new(),
        backward: false,
    };
    Ok(PhysicalPlan {
        id: 0,
        node: PhysicalNode::Scan(Arc::new(scan)),
        columns: vec![PlanColumn {
            id: KEYS,
            data_type: DataType::Bytea,
        }],
        estimate: Estimate {
            rows: found.rows,
            cost: found.cost,
        },
        executor: ExecutorKind::Row,
        reason: Cow::Borrowed(""),
    })
}
