//! Conditions of a subquery that are none of its own.
//!
//! `EXISTS (SELECT … WHERE p AND q)`, where `q` reads the outer query alone, is `q AND EXISTS
//! (SELECT … WHERE p)`. Where `q` has a subquery in it, that one then is joined with the outer
//! query's rows once, and not anew for the rows of every `EXISTS`. In a `NOT EXISTS` and within other
//! conditions the value of `q`'s subquery is.

use std::collections::HashSet;

use crate::{
    bound::{ColumnId, Expr, LogicalPlan, plan_walk::for_each_expr_deep},
    planner::{
        expr_tools::{collect_columns, has_subquery, is_volatile, split_conjuncts},
        plan_tools::{filtered, take},
    },
};

use super::{free_columns, made_columns};

/// Takes from the filter at the top of a subquery of `EXISTS` the conditions with subqueries in
/// them that read columns of the outer query, and no others.
pub(super) fn conditions_of_outer(subquery: &mut LogicalPlan) -> Vec<Expr> {
    let LogicalPlan::Filter { input, predicates } = subquery else {
        return Vec::new();
    };
    let mut made = HashSet::new();
    made_columns(input, &mut made);
    let mut conjuncts = Vec::new();
    for predicate in std::mem::take(predicates) {
        split_conjuncts(predicate, &mut conjuncts);
    }
    let (lifted, kept) = conjuncts.into_iter().partition(|conjunct: &Expr| {
        has_subquery(conjunct) && {
            let (read, repeatable) = reading(conjunct.clone());
            repeatable && !read.is_empty() && read.is_disjoint(&made)
        }
    });
    *subquery = filtered(take(input), kept);
    lifted
}

/// The columns that an expression and its subqueries read from around them, and whether its value
/// depends on nothing else.
fn reading(mut expr: Expr) -> (HashSet<ColumnId>, bool) {
    let mut read = HashSet::new();
    collect_columns(&expr, &mut read);
    let mut repeatable = !is_volatile(&expr);
    within(&mut expr, &mut |subquery| {
        read.extend(free_columns(subquery));
        for_each_expr_deep(subquery, &mut |expr| repeatable &= !is_volatile(expr));
    });
    (read, repeatable)
}

/// Visits the subqueries of an expression.
fn within(expr: &mut Expr, visit: &mut dyn FnMut(&mut LogicalPlan)) {
    if let Some(subquery) = expr.subquery_mut() {
        visit(subquery);
    }
    for operand in expr.operands_mut() {
        within(operand, visit);
    }
}
