//! Takes the references to the outer query out of a subquery.
//!
//! Conjuncts with such references are lifted through the operators above them until the
//! subquery stands without them; then they are conditions of a join with the outer query:
//!
//! - through a projection, which gives the columns that the conjuncts read as well;
//! - through an aggregation, where they are equalities: `sum(x) … WHERE key = outer.key` becomes
//!   `sum(x) … GROUP BY key`. Without keys of its own an aggregation gives a row even for no
//!   input, so the join is an outer one, and the values over no rows are put in above it;
//! - through DISTINCT, where they are equalities with columns;
//! - through inner joins, and the left side of other joins.
//!
//! Everything else keeps its references, and with them its place on the right of an apply.

use std::collections::HashSet;

use super::{Extractor, made_columns, output, output_ids};
use crate::{
    DataType, Value,
    bound::{
        AggregateCall, BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, ScalarFunction,
    },
    eval::Accumulator,
    planner::{
        expr_tools::{
            cannot_fail, collect_columns, column, columns_of, is_volatile, literal, rejects_null,
            split_conjuncts, substitute,
        },
        plan_tools::{filtered, for_each_expr_mut, inputs_mut, take},
    },
};

/// A plan without its references outwards.
struct Lifted {
    plan: LogicalPlan,
    /// The conjuncts with references, to be checked above the plan.
    conditions: Vec<Expr>,
    /// Where the subquery gives exactly one row for every outer row: its columns' values, over
    /// the columns of `plan`, which are NULL where it has no row.
    always: Option<Vec<(ColumnId, Expr)>>,
}

/// What was to be joined, given back where it could not be decorrelated.
pub(super) type Refused = Box<(LogicalPlan, Vec<Expr>)>;

impl Extractor {
    /// Joins `source` with the rows of `right`, which reads columns of it.
    pub(super) fn decorrelate(
        &mut self,
        source: &mut LogicalPlan,
        kind: JoinKind,
        right: LogicalPlan,
        on: Vec<Expr>,
    ) -> Result<(), Refused> {
        if matches!(kind, JoinKind::Mark(_)) {
            // The conjuncts lifted would have to be false where they are unknown.
            return Err(Box::new((right, on)));
        }
        let mut made = HashSet::new();
        let mut copy = right.clone();
        made_columns(&mut copy, &mut made);
        let lifted = self.lift(copy, &made, false);
        let Some(Lifted {
            plan,
            conditions,
            always,
        }) = lifted
        else {
            return Err(Box::new((right, on)));
        };
        match always {
            None => {
                // Of the rows that are not asked for nothing that can fail is computed.
                let (plan, computed) = if kind == JoinKind::Single {
                    take_computed(plan, &conditions)
                } else {
                    (plan, None)
                };
                let computed = match computed {
                    None => None,
                    Some(items) => match never_null(&plan, &conditions) {
                        Some(found) => Some((found, items)),
                        None => return Err(Box::new((right, on))),
                    },
                };
                let kind = if kind == JoinKind::Single && is_unique(&plan, &conditions) {
                    JoinKind::Left
                } else {
                    kind
                };
                self.has_alternative |= !matches!(strip(&plan), LogicalPlan::Scan { .. });
                let outer = output(source);
                let on = on.into_iter().chain(conditions).collect();
                super::join(source, kind, plan, on);
                if let Some((found, computed)) = computed {
                    let items = outer
                        .into_iter()
                        .map(|(id, data_type)| (id, column(id, data_type, true)))
                        .chain(
                            computed
                                .into_iter()
                                .map(|(id, expr)| (id, where_found(&found, expr))),
                        )
                        .collect();
                    *source = LogicalPlan::Project {
                        input: Box::new(take(source)),
                        items,
                    };
                }
            }
            Some(values) => {
                if !matches!(kind, JoinKind::Single | JoinKind::Left | JoinKind::Inner)
                    || kind == JoinKind::Left && !on.is_empty()
                {
                    return Err(Box::new((right, on)));
                }
                self.has_alternative = true;
                let items = output(source)
                    .into_iter()
                    .map(|(id, data_type)| (id, column(id, data_type, true)))
                    .chain(values)
                    .collect();
                super::join(source, JoinKind::Left, plan, conditions);
                let project = LogicalPlan::Project {
                    input: Box::new(take(source)),
                    items,
                };
                *source = filtered(project, on);
            }
        }
        Ok(())
    }

    /// Lifts the conjuncts with references to columns that are not among `made`. `ordered`: what
    /// reads the plan takes its rows in their order.
    fn lift(
        &mut self,
        mut plan: LogicalPlan,
        made: &HashSet<ColumnId>,
        ordered: bool,
    ) -> Option<Lifted> {
        if !refers(&mut plan, made) {
            return Some(Lifted {
                plan,
                conditions: Vec::new(),
                always: None,
            });
        }
        let foreign = |expr: &Expr| !columns_of(expr).is_subset(made);
        match plan {
            LogicalPlan::Filter { input, predicates } => {
                let mut lifted = self.lift(*input, made, ordered)?;
                if lifted.always.is_some() {
                    return None;
                }
                let mut conjuncts = Vec::new();
                for predicate in predicates {
                    split_conjuncts(predicate, &mut conjuncts);
                }
                if conjuncts.iter().any(is_volatile) {
                    return None;
                }
                let (up, kept): (Vec<Expr>, Vec<Expr>) = conjuncts.into_iter().partition(foreign);
                lifted.conditions.extend(up);
                lifted.plan = filtered(lifted.plan, kept);
                Some(lifted)
            }
            LogicalPlan::Project { input, mut items } => {
                let lifted = self.lift(*input, made, ordered)?;
                if items.iter().any(|(_, expr)| is_volatile(expr)) {
                    return None;
                }
                if let Some(values) = lifted.always {
                    for (_, expr) in &mut items {
                        substitute(expr, &|id| {
                            values
                                .iter()
                                .find(|(known, _)| *known == id)
                                .map(|(_, value)| value.clone())
                        });
                    }
                    return Some(Lifted {
                        always: Some(items),
                        ..lifted
                    });
                }
                if items.iter().any(|(_, expr)| foreign(expr)) {
                    return None;
                }
                let mut read = HashSet::new();
                for condition in &lifted.conditions {
                    collect_columns(condition, &mut read);
                }
                for (id, data_type) in output(&lifted.plan) {
                    if read.contains(&id) && !items.iter().any(|(known, _)| *known == id) {
                        items.push((id, column(id, data_type, true)));
                    }
                }
                Some(Lifted {
                    plan: LogicalPlan::Project {
                        input: Box::new(lifted.plan),
                        items,
                    },
                    ..lifted
                })
            }
            LogicalPlan::Aggregate {
                input,
                mut keys,
                aggregates,
                sets: None,
            } => {
                let own = keys
                    .iter()
                    .map(|(_, expr)| expr)
                    .chain(aggregates.iter().flat_map(|(_, call)| {
                        call.arguments
                            .iter()
                            .chain(&call.filter)
                            .chain(call.order_by.iter().map(|key| &key.expr))
                    }));
                if own.into_iter().any(foreign) {
                    return None;
                }
                // With an order of its own an aggregate does not need that of its input.
                let ordered = aggregates
                    .iter()
                    .any(|(_, call)| call.function.depends_on_order() && call.order_by.is_empty());
                let lifted = self.lift(*input, made, ordered)?;
                if lifted.always.is_some() {
                    return None;
                }
                let always = if keys.is_empty() {
                    let values = aggregates.iter().map(|(id, call)| {
                        let value = column(*id, call.data_type, true);
                        Some((*id, over_no_rows(call, value)?))
                    });
                    Some(values.collect::<Option<Vec<_>>>()?)
                } else {
                    None
                };
                let mut conditions = Vec::with_capacity(lifted.conditions.len());
                for condition in lifted.conditions {
                    let (inner, outer) = equality(condition, made)?;
                    let id = match keys.iter().find(|(_, key)| key.is_same(&inner)) {
                        Some((id, _)) => *id,
                        None => {
                            let id = self.fresh_column();
                            keys.push((id, inner.clone()));
                            id
                        }
                    };
                    conditions.push(equal(column(id, inner.data_type, inner.nullable), outer));
                }
                Some(Lifted {
                    plan: LogicalPlan::Aggregate {
                        input: Box::new(lifted.plan),
                        keys,
                        aggregates,
                        sets: None,
                    },
                    conditions,
                    always,
                })
            }
            LogicalPlan::Distinct { input, on: None } => {
                let lifted = self.lift(*input, made, ordered)?;
                if lifted.always.is_some() {
                    return Some(lifted);
                }
                for condition in &lifted.conditions {
                    let (inner, _) = equality(condition.clone(), made)?;
                    if !matches!(inner.kind, ExprKind::Column(_)) {
                        return None;
                    }
                }
                Some(Lifted {
                    plan: LogicalPlan::Distinct {
                        input: Box::new(lifted.plan),
                        on: None,
                    },
                    ..lifted
                })
            }
            LogicalPlan::Window {
                input,
                mut partition,
                order,
                mut calls,
            } => {
                let own = partition
                    .iter()
                    .chain(order.iter().map(|key| &key.expr))
                    .any(foreign);
                let of_calls = calls
                    .iter_mut()
                    .flat_map(|(_, call)| call.exprs_mut())
                    .any(|expr| foreign(expr));
                if own || of_calls {
                    return None;
                }
                let lifted = self.lift(*input, made, ordered || order.is_empty())?;
                if lifted.always.is_some() {
                    return None;
                }
                // Each outer row has partitions of its own.
                for condition in &lifted.conditions {
                    partition.push(equality(condition.clone(), made)?.0);
                }
                Some(Lifted {
                    plan: LogicalPlan::Window {
                        input: Box::new(lifted.plan),
                        partition,
                        order,
                        calls,
                    },
                    ..lifted
                })
            }
            LogicalPlan::Sort { input, keys } if ordered => {
                if keys.iter().any(|key| foreign(&key.expr)) {
                    return None;
                }
                let lifted = self.lift(*input, made, false)?;
                if lifted.always.is_some() {
                    return Some(lifted);
                }
                Some(Lifted {
                    plan: LogicalPlan::Sort {
                        input: Box::new(lifted.plan),
                        keys,
                    },
                    ..lifted
                })
            }
            // Without a limit the order of a subquery does not matter to others.
            LogicalPlan::Sort { input, .. } => self.lift(*input, made, false),
            LogicalPlan::Join {
                kind: JoinKind::Inner,
                left,
                right,
                on,
            } => {
                let left = self.lift(*left, made, ordered)?;
                let right = self.lift(*right, made, false)?;
                if left.always.is_some() || right.always.is_some() || on.iter().any(is_volatile) {
                    return None;
                }
                let (up, on): (Vec<Expr>, Vec<Expr>) = on.into_iter().partition(foreign);
                Some(Lifted {
                    plan: LogicalPlan::Join {
                        kind: JoinKind::Inner,
                        left: Box::new(left.plan),
                        right: Box::new(right.plan),
                        on,
                    },
                    conditions: [left.conditions, right.conditions, up].concat(),
                    always: None,
                })
            }
            LogicalPlan::Join {
                kind,
                left,
                mut right,
                on,
            } if !matches!(kind, JoinKind::Right | JoinKind::Full) => {
                if on.iter().any(foreign) || refers(&mut right, made) {
                    return None;
                }
                let left = self.lift(*left, made, ordered)?;
                if left.always.is_some() {
                    return None;
                }
                Some(Lifted {
                    plan: LogicalPlan::Join {
                        kind,
                        left: Box::new(left.plan),
                        right,
                        on,
                    },
                    ..left
                })
            }
            _ => None,
        }
    }
}

/// Whether a part of the plan reads columns that are not among `made`.
fn refers(plan: &mut LogicalPlan, made: &HashSet<ColumnId>) -> bool {
    let mut found = false;
    for_each_expr_mut(plan, |expr| found |= !columns_of(expr).is_subset(made));
    found
        || inputs_mut(plan)
            .into_iter()
            .any(|input| refers(input, made))
}

/// `inner = outer` of which one side reads only columns among `made` and the other none.
fn equality(condition: Expr, made: &HashSet<ColumnId>) -> Option<(Expr, Expr)> {
    let ExprKind::Binary(BinaryOp::Equal, left, right) = condition.kind else {
        return None;
    };
    let inner = |expr: &Expr| {
        let read = columns_of(expr);
        !read.is_empty() && read.is_subset(made)
    };
    let outer = |expr: &Expr| columns_of(expr).is_disjoint(made);
    if inner(&left) && outer(&right) {
        Some((*left, *right))
    } else if inner(&right) && outer(&left) {
        Some((*right, *left))
    } else {
        None
    }
}

fn equal(left: Expr, right: Expr) -> Expr {
    Expr {
        data_type: DataType::Boolean,
        nullable: left.nullable || right.nullable,
        span: right.span,
        kind: ExprKind::Binary(BinaryOp::Equal, Box::new(left), Box::new(right)),
    }
}

/// The value of an aggregate, given one that is NULL where there were no rows; `None` where that
/// cannot be told.
fn over_no_rows(call: &AggregateCall, value: Expr) -> Option<Expr> {
    let none = Accumulator::new(call).and_then(Accumulator::finish).ok()?;
    if none.is_null() {
        return Some(value);
    }
    Some(Expr {
        data_type: value.data_type,
        nullable: false,
        span: value.span,
        kind: ExprKind::Function(
            ScalarFunction::Coalesce,
            vec![value, literal(none, call.data_type)],
        ),
    })
}

/// The plan below filters and projections.
fn strip(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Filter { input, .. } | LogicalPlan::Project { input, .. } => strip(input),
        other => other,
    }
}

/// Whether at most one row of `plan` meets the equalities among `conditions`: it reads a table
/// by a unique key.
fn is_unique(plan: &LogicalPlan, conditions: &[Expr]) -> bool {
    let LogicalPlan::Scan { table, columns, .. } = strip(plan) else {
        return false;
    };
    let made = output_ids(strip(plan));
    let fixed: Vec<usize> = conditions
        .iter()
        .filter_map(|condition| {
            let (inner, _) = equality(condition.clone(), &made)?;
            let ExprKind::Column(id) = inner.kind else {
                return None;
            };
            columns
                .iter()
                .find(|column| column.id == id)
                .map(|column| column.ordinal)
        })
        .collect();
    let covered = |key: &[usize]| !key.is_empty() && key.iter().all(|part| fixed.contains(part));
    covered(&table.primary_key)
        || table.indexes.iter().any(|index| {
            let key: Vec<usize> = index.columns.iter().map(|column| column.ordinal).collect();
            // One of some rows only, or over expressions, is no key.
            index.unique && index.is_plain() && covered(&key)
        })
}

/// Whether a subquery is known to give at most one row for each row of the query around it.
pub(super) fn has_at_most_one_row(plan: &LogicalPlan) -> bool {
    fn below<'p>(plan: &'p LogicalPlan, conditions: &mut Vec<Expr>) -> &'p LogicalPlan {
        match plan {
            LogicalPlan::Filter { input, predicates } => {
                for predicate in predicates {
                    split_conjuncts(predicate.clone(), conditions);
                }
                below(input, conditions)
            }
            LogicalPlan::Project { input, .. } | LogicalPlan::Sort { input, .. } => {
                below(input, conditions)
            }
            other => other,
        }
    }
    let mut conditions = Vec::new();
    match below(plan, &mut conditions) {
        LogicalPlan::Aggregate {
            keys, sets: None, ..
        } => keys.is_empty(),
        LogicalPlan::Limit {
            limit: Some(limit), ..
        } => matches!(limit.kind, ExprKind::Literal(Value::Int8(..=1))),
        LogicalPlan::Values { rows, .. } => rows.len() <= 1,
        scan => is_unique(scan, &conditions),
    }
}

/// Takes the projections from the top of a plan where something in them can fail; gives the
/// columns that they make, over those of what is left. It still gives what `conditions` read.
fn take_computed(
    plan: LogicalPlan,
    conditions: &[Expr],
) -> (LogicalPlan, Option<Vec<(ColumnId, Expr)>>) {
    let mut read = HashSet::new();
    for condition in conditions {
        collect_columns(condition, &mut read);
    }
    let mut computed: Vec<(ColumnId, Expr)> = output(&plan)
        .into_iter()
        .map(|(id, data_type)| (id, column(id, data_type, true)))
        .collect();
    let mut can_fail = false;
    let mut below = &plan;
    while let LogicalPlan::Project { input, items } = below {
        let given = output_ids(input);
        let stays = items
            .iter()
            .any(|(id, expr)| read.contains(id) && !given.contains(id) || is_volatile(expr));
        if stays {
            break;
        }
        can_fail |= items.iter().any(|(_, expr)| !cannot_fail(expr));
        for (_, expr) in &mut computed {
            substitute(expr, &|id| {
                items
                    .iter()
                    .find(|(known, _)| *known == id)
                    .map(|(_, expr)| expr.clone())
            });
        }
        below = input;
    }
    if can_fail {
        (below.clone(), Some(computed))
    } else {
        (plan, None)
    }
}

/// A column of `plan` that is NULL in no row of which `conditions` are true.
fn never_null(plan: &LogicalPlan, conditions: &[Expr]) -> Option<Expr> {
    output(plan)
        .into_iter()
        .find(|(id, _)| {
            let only = HashSet::from([*id]);
            conditions
                .iter()
                .any(|condition| rejects_null(condition, &only))
        })
        .map(|(id, data_type)| column(id, data_type, true))
}

/// The value of `expr` in rows of which `found` is not NULL; NULL in others.
fn where_found(found: &Expr, expr: Expr) -> Expr {
    if matches!(expr.kind, ExprKind::Column(_)) {
        return expr;
    }
    let condition = Expr {
        data_type: DataType::Boolean,
        nullable: false,
        span: expr.span,
        kind: ExprKind::IsNull {
            operand: Box::new(found.clone()),
            negated: true,
        },
    };
    Expr {
        data_type: expr.data_type,
        nullable: true,
        span: expr.span,
        kind: ExprKind::Case {
            branches: vec![(condition, expr)],
            otherwise: None,
        },
    }
}
