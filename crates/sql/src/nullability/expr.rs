//! What expressions give, and what conditions say.

use super::{
    Inference,
    facts::Facts,
    functions::{NullRule, rule},
};
use crate::{
    bound::{BinaryOp, ColumnIds, Expr, ExprKind, UnaryOp, plan_walk::output},
    types::DataType,
};

impl Inference {
    /// Whether the expression is not NULL in any row of which `facts` hold.
    pub(super) fn never_null(&mut self, expr: &Expr, facts: &Facts) -> bool {
        if self.is_never_null(expr, facts) {
            return true;
        }
        for (left, right) in facts.worlds() {
            if self.is_never_null(expr, &left) && self.is_never_null(expr, &right) {
                return true;
            }
        }
        false
    }

    fn all_never_null<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        facts: &Facts,
    ) -> bool {
        exprs
            .into_iter()
            .all(|expr| self.is_never_null(expr, facts))
    }

    fn is_never_null(&mut self, expr: &Expr, facts: &Facts) -> bool {
        match &expr.kind {
            ExprKind::Literal(value) => !value.is_null(),
            ExprKind::Column(column) => facts.is_known(*column),
            // The values are the caller's.
            ExprKind::Parameter(_) => false,
            ExprKind::Unary(_, operand) => self.is_never_null(operand, facts),
            ExprKind::Binary(_, left, right) => {
                self.is_never_null(left, facts) && self.is_never_null(right, facts)
            }
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                self.all_never_null(operands, facts)
            }
            ExprKind::IsNull { .. }
            | ExprKind::IsTruth { .. }
            | ExprKind::IsDistinct { .. }
            | ExprKind::Exists { .. } => true,
            ExprKind::InList { operand, list, .. } => {
                self.is_never_null(operand, facts) && self.all_never_null(list, facts)
            }
            ExprKind::Like {
                operand,
                pattern,
                escape,
                ..
            } => {
                self.is_never_null(operand, facts)
                    && self.is_never_null(pattern, facts)
                    && self.all_never_null(escape.as_deref(), facts)
            }
            ExprKind::Case {
                branches,
                otherwise,
            } => self.case_never_null(branches, otherwise.as_deref(), facts),
            ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => {
                keeps_values(operand.data_type, expr.data_type)
                    && self.is_never_null(operand, facts)
            }
            ExprKind::Function(function, arguments) => match rule(*function, arguments) {
                NullRule::Never => true,
                NullRule::Strict => self.all_never_null(arguments, facts),
                NullRule::AllNull => arguments
                    .iter()
                    .any(|argument| self.is_never_null(argument, facts)),
                NullRule::FirstNull => self.all_never_null(arguments.first(), facts),
                NullRule::StrictPartial | NullRule::Unknown => false,
            },
            ExprKind::ScalarSubquery(plan) => {
                let given = self.plan(plan, facts);
                Inference::gives_a_row(plan)
                    && output(plan)
                        .first()
                        .is_some_and(|(column, _)| given.is_known(*column))
            }
            ExprKind::InSubquery {
                operands, subquery, ..
            } => {
                let given = self.plan(subquery, facts);
                output(subquery)
                    .iter()
                    .all(|(column, _)| given.is_known(*column))
                    && self.all_never_null(operands, facts)
            }
        }
    }

    fn case_never_null(
        &mut self,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        facts: &Facts,
    ) -> bool {
        let Some(otherwise) = otherwise else {
            return false;
        };
        let mut facts = facts.clone();
        for (condition, result) in branches {
            let mut here = facts.clone();
            here.learn(self.when_true(condition, &facts));
            if !self.is_never_null(result, &here) {
                return false;
            }
            let passed = self.when_not_true(condition, &facts);
            facts.learn(passed);
        }
        self.is_never_null(otherwise, &facts)
    }

    /// Columns that are not NULL where the condition is true.
    pub(super) fn when_true(&mut self, condition: &Expr, facts: &Facts) -> ColumnIds {
        let mut columns = ColumnIds::default();
        match &condition.kind {
            ExprKind::And(operands) => {
                for operand in operands {
                    columns.extend(self.when_true(operand, facts));
                }
            }
            ExprKind::Or(operands) => {
                columns = self.in_all(operands, |inference, operand| {
                    inference.when_true(operand, facts)
                });
            }
            ExprKind::Unary(UnaryOp::Not, operand) => columns = self.when_false(operand, facts),
            ExprKind::IsNull {
                operand,
                negated: true,
            } => strict_columns(operand, &mut columns),
            ExprKind::IsTruth {
                operand,
                value,
                negated: false,
            } => match value {
                Some(true) => columns = self.when_true(operand, facts),
                Some(false) => columns = self.when_false(operand, facts),
                None => {}
            },
            ExprKind::IsTruth {
                operand,
                value: None,
                negated: true,
            } => strict_columns(operand, &mut columns),
            ExprKind::IsDistinct {
                left,
                right,
                negated: true,
            } => self.equal_columns(left, right, facts, &mut columns),
            ExprKind::InSubquery {
                operands,
                operator: BinaryOp::Equal,
                negated: false,
                ..
            } => {
                for operand in operands {
                    strict_columns(operand, &mut columns);
                }
            }
            ExprKind::InSubquery {
                operands,
                negated: false,
                ..
            } => {
                if let [operand] = operands.as_slice() {
                    strict_columns(operand, &mut columns);
                }
            }
            _ => strict_columns(condition, &mut columns),
        }
        columns
    }

    /// Columns that are not NULL where the condition is false.
    fn when_false(&mut self, condition: &Expr, facts: &Facts) -> ColumnIds {
        let mut columns = ColumnIds::default();
        match &condition.kind {
            ExprKind::Or(operands) => {
                for operand in operands {
                    columns.extend(self.when_false(operand, facts));
                }
            }
            ExprKind::And(operands) => {
                columns = self.in_all(operands, |inference, operand| {
                    inference.when_false(operand, facts)
                });
            }
            ExprKind::Unary(UnaryOp::Not, operand) => columns = self.when_true(operand, facts),
            ExprKind::IsNull {
                operand,
                negated: false,
            }
            | ExprKind::IsTruth {
                operand,
                value: None,
                negated: false,
            } => strict_columns(operand, &mut columns),
            ExprKind::IsTruth {
                operand,
                value: Some(value),
                negated: true,
            } => {
                columns = if *value {
                    self.when_true(operand, facts)
                } else {
                    self.when_false(operand, facts)
                };
            }
            ExprKind::IsDistinct {
                left,
                right,
                negated: false,
            } => self.equal_columns(left, right, facts, &mut columns),
            _ => strict_columns(condition, &mut columns),
        }
        columns
    }

    /// Columns that are not NULL where the condition is false or unknown.
    fn when_not_true(&mut self, condition: &Expr, facts: &Facts) -> ColumnIds {
        match &condition.kind {
            ExprKind::Or(operands) => {
                let mut columns = ColumnIds::default();
                for operand in operands {
                    columns.extend(self.when_not_true(operand, facts));
                }
                columns
            }
            _ if self.is_never_null(condition, facts) => self.when_false(condition, facts),
            _ => ColumnIds::default(),
        }
    }

    /// What is in the columns of every operand.
    fn in_all(
        &mut self,
        operands: &[Expr],
        mut columns: impl FnMut(&mut Inference, &Expr) -> ColumnIds,
    ) -> ColumnIds {
        let mut operands = operands.iter();
        let Some(first) = operands.next() else {
            return ColumnIds::default();
        };
        let mut common = columns(self, first);
        for operand in operands {
            if common.is_empty() {
                break;
            }
            let here = columns(self, operand);
            common.retain(|column| here.contains(column));
        }
        common
    }

    /// Of two equal values (NULL equals NULL) one that is never NULL makes the other so.
    fn equal_columns(&mut self, left: &Expr, right: &Expr, facts: &Facts, columns: &mut ColumnIds) {
        if self.is_never_null(left, facts) {
            strict_columns(right, columns);
        }
        if self.is_never_null(right, facts) {
            strict_columns(left, columns);
        }
    }
}

/// Adds the columns of which each makes the expression NULL where it is NULL.
pub(super) fn strict_columns(expr: &Expr, columns: &mut ColumnIds) {
    match &expr.kind {
        ExprKind::Column(column) => {
            columns.insert(*column);
        }
        ExprKind::Unary(_, operand)
        | ExprKind::Cast(operand)
        | ExprKind::AssignmentCast(operand)
        | ExprKind::InList { operand, .. } => strict_columns(operand, columns),
        ExprKind::Binary(_, left, right) => {
            strict_columns(left, columns);
            strict_columns(right, columns);
        }
        ExprKind::Like {
            operand,
            pattern,
            escape,
            ..
        } => {
            strict_columns(operand, columns);
            strict_columns(pattern, columns);
            if let Some(escape) = escape {
                strict_columns(escape, columns);
            }
        }
        ExprKind::Function(function, arguments) => match rule(*function, arguments) {
            NullRule::Strict | NullRule::StrictPartial => {
                for argument in arguments {
                    strict_columns(argument, columns);
                }
            }
            NullRule::FirstNull => {
                if let Some(first) = arguments.first() {
                    strict_columns(first, columns);
                }
            }
            NullRule::Never | NullRule::AllNull | NullRule::Unknown => {}
        },
        _ => {}
    }
}

/// Whether converting keeps every value a value. The time of an infinite timestamp is NULL, and
/// what becomes of JSON's `null` is not ours to say.
fn keeps_values(from: DataType, to: DataType) -> bool {
    let json = |data_type| matches!(data_type, DataType::Json | DataType::Jsonb);
    if json(from) {
        return json(to) || to.is_string();
    }
    let (from, to) = (from.of_values(), to.of_values());
    !matches!(to, DataType::Time | DataType::TimeTz)
        || !matches!(from, DataType::Timestamp | DataType::TimestampTz)
}
