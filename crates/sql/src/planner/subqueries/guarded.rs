//! Scalar subqueries that are not always asked for.
//!
//! In `CASE`, `COALESCE`, `AND` and `OR` a subquery may stand where it is not evaluated for every
//! row. One that can fail must not be evaluated for the others: below a limit of no rows, for
//! them, it is not. It is not decorrelated then, but evaluated row by row.

use crate::{
    DataType, Result, Value,
    bound::{Expr, ExprKind, JoinKind, LogicalPlan, ScalarFunction, plan_walk::for_each_expr_deep},
    planner::{
        expr_tools::{cannot_fail, is_volatile, literal},
        plan_tools::inputs_mut,
    },
    span::Span,
};

use super::{Extractor, decorrelate::has_at_most_one_row};

impl Extractor {
    /// Replaces the subqueries within the operands of `expr`, which is evaluated where all of
    /// `guard` is true; each of its conditions where those before it are.
    pub(super) fn replace_operands(
        &mut self,
        expr: &mut Expr,
        mut source: Option<&mut LogicalPlan>,
        guard: &[Expr],
    ) -> Result<()> {
        let mut guard = guard.to_vec();
        match &mut expr.kind {
            ExprKind::Case {
                branches,
                otherwise,
            } => {
                for (condition, result) in branches {
                    self.replace(condition, source.as_deref_mut(), &guard)?;
                    guard.push(is_truth(condition, true, false));
                    self.replace(result, source.as_deref_mut(), &guard)?;
                    guard.pop();
                    guard.push(is_truth(condition, true, true));
                }
                if let Some(otherwise) = otherwise {
                    self.replace(otherwise, source, &guard)?;
                }
            }
            ExprKind::And(operands) => {
                for operand in operands {
                    self.replace(operand, source.as_deref_mut(), &guard)?;
                    guard.push(is_truth(operand, false, true));
                }
            }
            ExprKind::Or(operands) => {
                for operand in operands {
                    self.replace(operand, source.as_deref_mut(), &guard)?;
                    guard.push(is_truth(operand, true, true));
                }
            }
            ExprKind::Function(ScalarFunction::Coalesce, operands) => {
                for operand in operands {
                    self.replace(operand, source.as_deref_mut(), &guard)?;
                    guard.push(boolean(ExprKind::IsNull {
                        operand: Box::new(operand.clone()),
                        negated: false,
                    }));
                }
            }
            _ => {
                for operand in expr.operands_mut() {
                    self.replace(operand, source.as_deref_mut(), &guard)?;
                }
            }
        }
        Ok(())
    }
}

/// A scalar subquery that gives no row, and looks for none, where `guard` is not true, if it
/// could fail there.
pub(super) fn guarded(subquery: LogicalPlan, guard: &[Expr]) -> LogicalPlan {
    // What is volatile would be another condition the second time.
    if guard.is_empty() || guard.iter().any(is_volatile) {
        return subquery;
    }
    let mut subquery = subquery;
    if has_at_most_one_row(&subquery) && !may_fail(&mut subquery) {
        return subquery;
    }
    let asked_for = match guard {
        [only] => only.clone(),
        all => boolean(ExprKind::And(all.to_vec())),
    };
    let limit = Expr {
        kind: ExprKind::Case {
            branches: vec![(asked_for, literal(Value::Null, DataType::Int8))],
            otherwise: Some(Box::new(literal(Value::Int8(0), DataType::Int8))),
        },
        data_type: DataType::Int8,
        nullable: true,
        span: Span::default(),
    };
    LogicalPlan::Limit {
        input: Box::new(subquery),
        limit: Some(limit),
        offset: None,
    }
}

/// Whether a plan may fail for some rows of the query around it.
fn may_fail(plan: &mut LogicalPlan) -> bool {
    let mut fails = false;
    for_each_expr_deep(plan, &mut |expr| fails |= !cannot_fail(expr));
    fails || has_single_join(plan)
}

fn has_single_join(plan: &mut LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Join {
            kind: JoinKind::Single,
            ..
        } | LogicalPlan::Apply {
            kind: JoinKind::Single,
            ..
        }
    ) || inputs_mut(plan).into_iter().any(has_single_join)
}

/// `operand IS [NOT] value`.
fn is_truth(operand: &Expr, value: bool, negated: bool) -> Expr {
    boolean(ExprKind::IsTruth {
        operand: Box::new(operand.clone()),
        value: Some(value),
        negated,
    })
}

fn boolean(kind: ExprKind) -> Expr {
    Expr {
        kind,
        data_type: DataType::Boolean,
        nullable: false,
        span: Span::default(),
    }
}
