//! Orders inner joins by estimated size.

use std::collections::HashSet;

use crate::{
    Result,
    bound::{ColumnId, Expr, JoinKind, LogicalPlan},
    planner::{
        cost::Estimator,
        expr_tools::columns_of,
        plan_tools::{filtered, inputs_mut, output_ids, take},
        rules::{Rule, RuleContext},
    },
};

/// Up to this many relations every order is looked at (Selinger-style dynamic programming over
/// subsets); beyond, the cheapest next join is taken each time.
const EXHAUSTIVE: usize = 10;

/// Takes trees of inner joins apart and joins their parts anew, small results first.
pub(super) struct OrderJoins;

impl Rule for OrderJoins {
    fn name(&self) -> &'static str {
        "order_joins"
    }

    fn apply(&self, plan: &mut LogicalPlan, context: &RuleContext<'_>) -> Result<bool> {
        Ok(order(plan, context.estimator))
    }
}

/// A part of a join tree.
struct Relation {
    plan: LogicalPlan,
    columns: HashSet<ColumnId>,
    rows: f64,
}

/// How a set of relations is joined best.
#[derive(Clone, Copy)]
struct Best {
    cost: f64,
    rows: f64,
    /// The two sets joined last; both 0 for a single relation.
    left: usize,
    right: usize,
}

fn order(plan: &mut LogicalPlan, estimator: &Estimator<'_>) -> bool {
    let is_inner = |plan: &LogicalPlan| {
        matches!(
            plan,
            LogicalPlan::Join {
                kind: JoinKind::Inner,
                ..
            }
        )
    };
    if !is_inner(plan) {
        return inputs_mut(plan)
            .into_iter()
            .fold(false, |changed, input| order(input, estimator) | changed);
    }
    let mut parts = Vec::new();
    let mut conditions = Vec::new();
    flatten(take(plan), &mut parts, &mut conditions);
    let mut changed = false;
    let relations: Vec<Relation> = parts
        .into_iter()
        .map(|mut plan| {
            changed |= order(&mut plan, estimator);
            Relation {
                columns: output_ids(&plan),
                rows: estimator.rows(&plan),
                plan,
            }
        })
        .collect();
    let (joined, reordered) = if relations.len() <= EXHAUSTIVE {
        exhaustive(relations, conditions, estimator)
    } else {
        greedy(relations, conditions, estimator)
    };
    *plan = joined;
    changed | reordered
}

fn flatten(plan: LogicalPlan, parts: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) {
    match plan {
        LogicalPlan::Join {
            kind: JoinKind::Inner,
            left,
            right,
            on,
        } => {
            flatten(*left, parts, conditions);
            flatten(*right, parts, conditions);
            conditions.extend(on);
        }
        LogicalPlan::Filter { input, predicates }
            if matches!(
                *input,
                LogicalPlan::Join {
                    kind: JoinKind::Inner,
                    ..
                }
            ) =>
        {
            conditions.extend(predicates);
            flatten(*input, parts, conditions);
        }
        other => parts.push(other),
    }
}

/// Joins two plans by those of `conditions` that they can answer, which are taken out.
fn join(left: Relation, right: Relation, conditions: &mut Vec<Expr>, rows: f64) -> Relation {
    let mut columns = left.columns;
    columns.extend(right.columns);
    let (on, rest) = std::mem::take(conditions)
        .into_iter()
        .partition(|condition| columns_of(condition).is_subset(&columns));
    *conditions = rest;
    let plan = LogicalPlan::Join {
        kind: JoinKind::Inner,
        left: Box::new(left.plan),
        right: Box::new(right.plan),
        on,
    };
    Relation {
        plan,
        columns,
        rows,
    }
}

fn exhaustive(
    relations: Vec<Relation>,
    mut conditions: Vec<Expr>,
    estimator: &Estimator<'_>,
) -> (LogicalPlan, bool) {
    let count = relations.len();
    // For each condition the set of relations it reads, as bits.
    let needs: Vec<(usize, f64)> = conditions
        .iter()
        .map(|condition| {
            let read = columns_of(condition);
            let set = relations
                .iter()
                .enumerate()
                .filter(|(_, relation)| !relation.columns.is_disjoint(&read))
                .fold(0, |set, (at, _)| set | 1 << at);
            (set, estimator.selectivity(condition))
        })
        .collect();
    let mut best: Vec<Option<Best>> = vec![None; 1 << count];
    for (at, relation) in relations.iter().enumerate() {
        best[1 << at] = Some(Best {
            cost: 0.0,
            rows: relation.rows,
            left: 0,
            right: 0,
        });
    }
    for set in 1usize..1 << count {
        if set.count_ones() < 2 {
            continue;
        }
        let applies = |need: usize, part: usize| need & !part == 0;
        let rows = (0..count)
            .filter(|at| set >> at & 1 == 1)
            .map(|at| relations[at].rows)
            .product::<f64>()
            * needs
                .iter()
                .filter(|(need, _)| applies(*need, set))
                .map(|(_, selectivity)| selectivity)
                .product::<f64>();
        let rows = rows.max(1.0);
        let mut left = (set - 1) & set;
        while left > 0 {
            let right = set & !left;
            if let (Some(a), Some(b)) = (best[left], best[right]) {
                let connected = needs
                    .iter()
                    .any(|(need, _)| applies(*need, set) && need & left != 0 && need & right != 0);
                // A product is kept for where nothing else is to be had.
                let product = if connected { 0.0 } else { a.rows * b.rows };
                // The right side is kept in memory: prefer the small one there.
                let cost = a.cost + b.cost + rows + product + a.rows * 0.1 + b.rows * 0.2;
                if best[set].is_none_or(|known| cost < known.cost) {
                    best[set] = Some(Best {
                        cost,
                        rows,
                        left,
                        right,
                    });
                }
            }
            left = (left - 1) & set;
        }
    }
    let mut relations: Vec<Option<Relation>> = relations.into_iter().map(Some).collect();
    let mut sequence = Vec::new();
    let whole = assemble(
        (1 << count) - 1,
        &best,
        &mut relations,
        &mut conditions,
        &mut sequence,
    );
    let in_order = sequence.windows(2).all(|pair| pair[0] < pair[1]);
    match whole {
        Some(relation) => (filtered(relation.plan, conditions), !in_order),
        None => (crate::planner::plan_tools::placeholder(), false),
    }
}

fn assemble(
    set: usize,
    best: &[Option<Best>],
    relations: &mut [Option<Relation>],
    conditions: &mut Vec<Expr>,
    sequence: &mut Vec<usize>,
) -> Option<Relation> {
    let choice = (*best.get(set)?)?;
    if choice.left == 0 {
        let at = set.trailing_zeros() as usize;
        sequence.push(at);
        return relations.get_mut(at)?.take();
    }
    let left = assemble(choice.left, best, relations, conditions, sequence)?;
    let right = assemble(choice.right, best, relations, conditions, sequence)?;
    Some(join(left, right, conditions, choice.rows))
}

fn greedy(
    mut relations: Vec<Relation>,
    mut conditions: Vec<Expr>,
    estimator: &Estimator<'_>,
) -> (LogicalPlan, bool) {
    let rows_of = |left: &Relation, right: &Relation, conditions: &[Expr]| {
        let mut columns = left.columns.clone();
        columns.extend(&right.columns);
        let selectivity: f64 = conditions
            .iter()
            .filter(|condition| {
                let read = columns_of(condition);
                read.is_subset(&columns)
                    && !read.is_disjoint(&left.columns)
                    && !read.is_disjoint(&right.columns)
            })
            .map(|condition| estimator.selectivity(condition))
            .product();
        (left.rows * right.rows * selectivity).max(1.0)
    };
    while relations.len() > 1 {
        let mut choice = (0, 1, f64::INFINITY);
        for left in 0..relations.len() {
            for right in left + 1..relations.len() {
                let rows = rows_of(&relations[left], &relations[right], &conditions);
                if rows < choice.2 {
                    choice = (left, right, rows);
                }
            }
        }
        let right = relations.swap_remove(choice.1);
        let left = relations.swap_remove(choice.0);
        relations.push(join(left, right, &mut conditions, choice.2));
    }
    match relations.pop() {
        Some(relation) => (filtered(relation.plan, conditions), true),
        None => (crate::planner::plan_tools::placeholder(), false),
    }
}
