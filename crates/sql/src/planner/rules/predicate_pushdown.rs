//! Moves conditions to where rows are read.

use std::collections::HashSet;

use crate::{
    Result,
    bound::{ColumnId, Expr, JoinKind, LogicalPlan},
    planner::{
        expr_tools::{columns_of, is_volatile, substitute},
        plan_tools::{filtered, inputs_mut, output_ids, take},
        rules::{Rule, RuleContext},
    },
};

/// Pushes conjuncts through projections, joins, aggregates (those on group keys), sorts and
/// unions into joins and scans.
pub(super) struct PushDownPredicates;

impl Rule for PushDownPredicates {
    fn name(&self) -> &'static str {
        "push_down_predicates"
    }

    fn apply(&self, plan: &mut LogicalPlan, _: &RuleContext<'_>) -> Result<bool> {
        let mut moved = false;
        let whole = take(plan);
        *plan = push(whole, Vec::new(), &mut moved);
        Ok(moved)
    }
}

fn reads_only(expr: &Expr, columns: &HashSet<ColumnId>) -> bool {
    columns_of(expr).is_subset(columns)
}

/// Splits off the predicates for which `test` holds.
fn partition_by(predicates: Vec<Expr>, test: impl Fn(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    predicates.into_iter().partition(test)
}

/// `plan` with `predicates` applied to its rows, as deep as they go.
fn push(mut plan: LogicalPlan, mut predicates: Vec<Expr>, moved: &mut bool) -> LogicalPlan {
    match plan {
        LogicalPlan::Filter {
            input,
            predicates: mut own,
        } => {
            // The inner conditions come first: the outer ones may fail for rows that those drop.
            own.append(&mut predicates);
            push(*input, own, moved)
        }
        LogicalPlan::Scan { ref mut filter, .. } => {
            // Conditions without columns (parameters, subqueries) are settled here as well.
            *moved |= !predicates.is_empty();
            filter.extend(predicates);
            plan
        }
        LogicalPlan::Project { input, items } => {
            let (down, up) = partition_by(predicates, |predicate| {
                let read = columns_of(predicate);
                !is_volatile(predicate)
                    && !items
                        .iter()
                        .any(|(id, expr)| read.contains(id) && is_volatile(expr))
            });
            let down = down
                .into_iter()
                .map(|mut predicate| {
                    substitute(&mut predicate, &|id| {
                        items
                            .iter()
                            .find(|(item, _)| *item == id)
                            .map(|(_, expr)| expr.clone())
                    });
                    predicate
                })
                .collect();
            let input = Box::new(push(*input, down, moved));
            filtered(LogicalPlan::Project { input, items }, up)
        }
        LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        } => push_into_join(kind, None, *left, *right, on, predicates, moved),
        LogicalPlan::Apply {
            kind,
            left,
            right,
            on,
            bindings,
        } => push_into_join(kind, Some(bindings), *left, *right, on, predicates, moved),
        LogicalPlan::Aggregate {
            input,
            keys,
            aggregates,
            sets,
        } => {
            let plain_keys: HashSet<ColumnId> = keys.iter().map(|(id, _)| *id).collect();
            let (down, up) = partition_by(predicates, |predicate| {
                let read = columns_of(predicate);
                // Without keys there is a row even for no input: nothing may be moved below.
                // A key that is not in every set is NULL in some groups.
                sets.is_none()
                    && !keys.is_empty()
                    && !is_volatile(predicate)
                    && read.is_subset(&plain_keys)
            });
            let down = down
                .into_iter()
                .map(|mut predicate| {
                    substitute(&mut predicate, &|id| {
                        keys.iter()
                            .find(|(key, _)| *key == id)
                            .map(|(_, expr)| expr.clone())
                    });
                    predicate
                })
                .collect();
            let input = Box::new(push(*input, down, moved));
            filtered(
                LogicalPlan::Aggregate {
                    input,
                    keys,
                    aggregates,
                    sets,
                },
                up,
            )
        }
        LogicalPlan::Distinct { input, on: None } => LogicalPlan::Distinct {
            input: Box::new(push(*input, predicates, moved)),
            on: None,
        },
        LogicalPlan::Window {
            input,
            partition,
            order,
            calls,
        } => {
            // Whole partitions may be left out.
            let fixed: HashSet<ColumnId> = partition
                .iter()
                .filter_map(|expr| match expr.kind {
                    crate::bound::ExprKind::Column(id) => Some(id),
                    _ => None,
                })
                .collect();
            let (down, up) = partition_by(predicates, |predicate| {
                !is_volatile(predicate) && reads_only(predicate, &fixed)
            });
            let plan = LogicalPlan::Window {
                input: Box::new(push(*input, down, moved)),
                partition,
                order,
                calls,
            };
            filtered(plan, up)
        }
        LogicalPlan::Sort { input, keys } => LogicalPlan::Sort {
            input: Box::new(push(*input, predicates, moved)),
            keys,
        },
        LogicalPlan::UnionAll { inputs, columns } => {
            let inputs = inputs
                .into_iter()
                .enumerate()
                .map(|(at, input)| {
                    let own = predicates
                        .iter()
                        .cloned()
                        .map(|mut predicate| {
                            substitute(&mut predicate, &|id| {
                                let (_, ids, data_type) =
                                    columns.iter().find(|(column, ..)| *column == id)?;
                                Some(crate::planner::expr_tools::column(
                                    *ids.get(at)?,
                                    *data_type,
                                    true,
                                ))
                            });
                            predicate
                        })
                        .collect();
                    push(input, own, moved)
                })
                .collect();
            LogicalPlan::UnionAll { inputs, columns }
        }
        LogicalPlan::With {
            id,
            name,
            definition,
            input,
        } => LogicalPlan::With {
            id,
            name,
            definition: Box::new(push(*definition, Vec::new(), moved)),
            input: Box::new(push(*input, predicates, moved)),
        },
        // A limit, and DISTINCT ON, decide which rows there are; a lock is taken of all of them;
        // VALUES are few.
        LogicalPlan::Distinct { .. }
        | LogicalPlan::LockRows { .. }
        | LogicalPlan::Limit { .. }
        | LogicalPlan::Values { .. }
        | LogicalPlan::Buffered { .. }
        | LogicalPlan::TableFunctions { .. }
        | LogicalPlan::SharedScan { .. }
        | LogicalPlan::Recursive { .. } => {
            for input in inputs_mut(&mut plan) {
                let whole = take(input);
                *input = push(whole, Vec::new(), moved);
            }
            filtered(plan, predicates)
        }
    }
}

/// `bindings`: those of an apply.
fn push_into_join(
    kind: JoinKind,
    bindings: Option<Vec<(usize, Expr)>>,
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<Expr>,
    predicates: Vec<Expr>,
    moved: &mut bool,
) -> LogicalPlan {
    let (left_ids, right_ids) = (output_ids(&left), output_ids(&right));
    let count = predicates.len();
    // Conditions from above the join.
    let keeps_left = matches!(
        kind,
        JoinKind::Inner
            | JoinKind::Left
            | JoinKind::Semi
            | JoinKind::Anti
            | JoinKind::Mark(_)
            | JoinKind::Exists(_)
            | JoinKind::Single
    );
    let keeps_right = matches!(kind, JoinKind::Inner | JoinKind::Right);
    let (mut to_left, rest) = partition_by(predicates, |predicate| {
        keeps_left && !is_volatile(predicate) && reads_only(predicate, &left_ids)
    });
    let (mut to_right, mut above) = partition_by(rest, |predicate| {
        keeps_right && !is_volatile(predicate) && reads_only(predicate, &right_ids)
    });
    let mut on = on;
    if kind == JoinKind::Inner {
        on.append(&mut above);
    }
    *moved |= above.len() != count;
    // The join's own conditions: those on one side filter that side, where it is not kept whole.
    let filters_left = matches!(kind, JoinKind::Inner | JoinKind::Right | JoinKind::Semi);
    let filters_right = matches!(
        kind,
        JoinKind::Inner
            | JoinKind::Left
            | JoinKind::Semi
            | JoinKind::Anti
            | JoinKind::Exists(_)
            | JoinKind::Single
    );
    let (mut own_left, rest) = partition_by(on, |predicate| {
        filters_left && !is_volatile(predicate) && reads_only(predicate, &left_ids)
    });
    let (mut own_right, on) = partition_by(rest, |predicate| {
        filters_right && !is_volatile(predicate) && reads_only(predicate, &right_ids)
    });
    own_left.append(&mut to_left);
    own_right.append(&mut to_right);
    let left = Box::new(push(left, own_left, moved));
    let right = Box::new(push(right, own_right, moved));
    let join = match bindings {
        None => LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        },
        Some(bindings) => LogicalPlan::Apply {
            kind,
            left,
            right,
            on,
            bindings,
        },
    };
    filtered(join, above)
}
