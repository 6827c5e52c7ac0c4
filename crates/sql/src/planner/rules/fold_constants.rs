//! Evaluates what does not depend on rows or parameters.

use crate::{
    Result,
    bound::{Expr, LogicalPlan},
    eval::fold_constants,
    planner::{
        plan_tools::{for_each_expr_mut, inputs_mut},
        rules::{Rule, RuleContext},
    },
};

/// `1 + 1` → `2`. What fails to evaluate is left to fail when, and if, it runs.
pub(super) struct FoldConstants;

impl Rule for FoldConstants {
    fn name(&self) -> &'static str {
        "fold_constants"
    }

    fn apply(&self, plan: &mut LogicalPlan, _: &RuleContext<'_>) -> Result<bool> {
        fold(plan)
    }
}

fn fold(plan: &mut LogicalPlan) -> Result<bool> {
    let mut changed = false;
    let mut failure = None;
    // The rows of a long INSERT … VALUES are literals already.
    let skip = matches!(plan, LogicalPlan::Values { rows, .. } if rows.len() > 1);
    if !skip {
        for_each_expr_mut(plan, |expr| match fold_expr(expr) {
            Ok(folded) => changed |= folded,
            Err(error) => failure = Some(error),
        });
    }
    if let Some(error) = failure {
        return Err(error);
    }
    for input in inputs_mut(plan) {
        changed |= fold(input)?;
    }
    Ok(changed)
}

fn fold_expr(expr: &mut Expr) -> Result<bool> {
    use crate::bound::ExprKind;
    if matches!(
        expr.kind,
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Parameter(_)
    ) {
        return Ok(false);
    }
    let folded = fold_constants(expr.clone())?;
    let changed = matches!(folded.kind, ExprKind::Literal(_));
    *expr = folded;
    Ok(changed)
}
