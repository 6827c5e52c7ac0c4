//! Walking over bound expressions.

use super::{Expr, ExprKind, LogicalPlan};
use crate::types::Value;

impl Expr {
    /// The operands, without those inside subqueries.
    pub fn operands(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Literal(_)
            | ExprKind::Column(_)
            | ExprKind::Parameter(_)
            | ExprKind::ScalarSubquery(_)
            | ExprKind::Exists { .. } => Vec::new(),
            ExprKind::Unary(_, operand)
            | ExprKind::Cast(operand)
            | ExprKind::AssignmentCast(operand)
            | ExprKind::IsNull { operand, .. }
            | ExprKind::IsTruth { operand, .. } => vec![operand],
            ExprKind::InSubquery { operands, .. } => operands.iter().collect(),
            ExprKind::Binary(_, left, right) | ExprKind::IsDistinct { left, right, .. } => {
                vec![left, right]
            }
            ExprKind::And(operands) | ExprKind::Or(operands) | ExprKind::Function(_, operands) => {
                operands.iter().collect()
            }
            ExprKind::InList { operand, list, .. } => {
                std::iter::once(&**operand).chain(list).collect()
            }
            ExprKind::Like {
                operand,
                pattern,
                escape,
                ..
            } => [&**operand, &**pattern]
                .into_iter()
                .chain(escape.as_deref())
                .collect(),
            ExprKind::Case {
                branches,
                otherwise,
            } => branches
                .iter()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.as_deref())
                .collect(),
        }
    }

    /// The operands to change, without those inside subqueries.
    pub fn operands_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Literal(_)
            | ExprKind::Column(_)
            | ExprKind::Parameter(_)
            | ExprKind::ScalarSubquery(_)
            | ExprKind::Exists { .. } => Vec::new(),
            ExprKind::Unary(_, operand)
            | ExprKind::Cast(operand)
            | ExprKind::AssignmentCast(operand)
            | ExprKind::IsNull { operand, .. }
            | ExprKind::IsTruth { operand, .. } => vec![operand],
            ExprKind::InSubquery { operands, .. } => operands.iter_mut().collect(),
            ExprKind::Binary(_, left, right) | ExprKind::IsDistinct { left, right, .. } => {
                vec![left, right]
            }
            ExprKind::And(operands) | ExprKind::Or(operands) | ExprKind::Function(_, operands) => {
                operands.iter_mut().collect()
            }
            ExprKind::InList { operand, list, .. } => {
                std::iter::once(&mut **operand).chain(list).collect()
            }
            ExprKind::Like {
                operand,
                pattern,
                escape,
                ..
            } => [&mut **operand, &mut **pattern]
                .into_iter()
                .chain(escape.as_deref_mut())
                .collect(),
            ExprKind::Case {
                branches,
                otherwise,
            } => branches
                .iter_mut()
                .flat_map(|(condition, result)| [condition, result])
                .chain(otherwise.as_deref_mut())
                .collect(),
        }
    }

    /// Whether both compute the same, wherever they stand. Subqueries and volatile functions are
    /// the same as nothing but themselves.
    #[must_use]
    pub fn is_same(&self, other: &Expr) -> bool {
        if self.data_type != other.data_type {
            return false;
        }
        let alike = match (&self.kind, &other.kind) {
            (ExprKind::Literal(left), ExprKind::Literal(right)) => same_value(left, right),
            (ExprKind::Column(left), ExprKind::Column(right)) => left == right,
            (ExprKind::Parameter(left), ExprKind::Parameter(right)) => left == right,
            (ExprKind::Unary(left, _), ExprKind::Unary(right, _)) => left == right,
            (ExprKind::Binary(left, ..), ExprKind::Binary(right, ..)) => left == right,
            (ExprKind::And(_), ExprKind::And(_))
            | (ExprKind::Or(_), ExprKind::Or(_))
            | (ExprKind::Cast(_), ExprKind::Cast(_))
            | (ExprKind::AssignmentCast(_), ExprKind::AssignmentCast(_)) => true,
            (ExprKind::IsNull { negated: left, .. }, ExprKind::IsNull { negated: right, .. })
            | (
                ExprKind::IsDistinct { negated: left, .. },
                ExprKind::IsDistinct { negated: right, .. },
            )
            | (ExprKind::InList { negated: left, .. }, ExprKind::InList { negated: right, .. }) => {
                left == right
            }
            (
                ExprKind::IsTruth {
                    value: left_value,
                    negated: left,
                    ..
                },
                ExprKind::IsTruth {
                    value: right_value,
                    negated: right,
                    ..
                },
            ) => left == right && left_value == right_value,
            (
                ExprKind::Like {
                    case_insensitive: left_case,
                    negated: left,
                    escape: left_escape,
                    ..
                },
                ExprKind::Like {
                    case_insensitive: right_case,
                    negated: right,
                    escape: right_escape,
                    ..
                },
            ) => {
                left == right
                    && left_case == right_case
                    && left_escape.is_some() == right_escape.is_some()
            }
            (
                ExprKind::Case {
                    branches: left,
                    otherwise: left_otherwise,
                },
                ExprKind::Case {
                    branches: right,
                    otherwise: right_otherwise,
                },
            ) => left.len() == right.len() && left_otherwise.is_some() == right_otherwise.is_some(),
            (ExprKind::Function(left, _), ExprKind::Function(right, _)) => {
                left == right && !left.is_volatile()
            }
            _ => false,
        };
        if !alike {
            return false;
        }
        let (left, right) = (self.operands(), other.operands());
        left.len() == right.len()
            && left
                .into_iter()
                .zip(right)
                .all(|(left, right)| left.is_same(right))
    }

    /// Calls `visit` for the expression and every one below it, outside subqueries; it goes no
    /// deeper where `visit` says false.
    pub fn visit(&self, visit: &mut dyn FnMut(&Expr) -> bool) {
        if visit(self) {
            for operand in self.operands() {
                operand.visit(visit);
            }
        }
    }

    /// The plan of the subquery that this expression itself is, if it is one.
    pub fn subquery_mut(&mut self) -> Option<&mut LogicalPlan> {
        match &mut self.kind {
            ExprKind::ScalarSubquery(subquery)
            | ExprKind::InSubquery { subquery, .. }
            | ExprKind::Exists { subquery, .. } => Some(subquery),
            _ => None,
        }
    }

    /// Whether a subquery stands in the expression.
    #[must_use]
    pub fn has_subquery(&self) -> bool {
        let mut found = false;
        self.visit(&mut |expr| {
            found |= matches!(
                expr.kind,
                ExprKind::ScalarSubquery(_) | ExprKind::InSubquery { .. } | ExprKind::Exists { .. }
            );
            !found
        });
        found
    }
}

/// Equal in every respect: 1.0 and 1.00 differ.
fn same_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Float4(left), Value::Float4(right)) => left.to_bits() == right.to_bits(),
        (Value::Float8(left), Value::Float8(right)) => left.to_bits() == right.to_bits(),
        (Value::Decimal(left), Value::Decimal(right)) => left.to_string() == right.to_string(),
        _ => left == right,
    }
}

impl LogicalPlan {
    /// One row without columns: what SELECT without FROM reads.
    #[must_use]
    pub fn one_row() -> LogicalPlan {
        LogicalPlan::Values {
            columns: Vec::new(),
            rows: vec![Vec::new()],
        }
    }
}
