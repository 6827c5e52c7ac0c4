//! Evaluating ahead what no row can change.

use super::{CompiledExpr, EvalContext, NoRandomness, SessionInfo};
use crate::{
    Result,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    types::{DataType, TextStyle, Value, cast_depends_on_session},
};

/// Replaces by literals the parts of `expr` that depend on nothing: no row, no parameter, no
/// session, no clock. What fails to evaluate stays as it is, to fail when, and if, it runs.
///
/// # Errors
/// None today; the result leaves room for rules that can refuse.
pub fn fold_constants(expr: Expr) -> Result<Expr> {
    let session = SessionInfo {
        user: String::new(),
        session_user: String::new(),
        database: String::new(),
        schema: String::new(),
        style: TextStyle::DEFAULT,
        ..SessionInfo::default()
    };
    let context = EvalContext {
        parameters: &[],
        transaction_time: 0,
        random: &NoRandomness,
        session: &session,
    };
    Ok(Folder {
        context: &context,
        one_execution: false,
    }
    .fold(expr))
}

/// As [`fold_constants`] for a single execution: parameters, `now()`, and what depends on the
/// session's time zone are known too. The result must not outlive the statement's run.
///
/// # Errors
/// As [`fold_constants`].
pub fn fold_constants_in(expr: Expr, context: &EvalContext<'_>) -> Result<Expr> {
    Ok(Folder {
        context,
        one_execution: true,
    }
    .fold(expr))
}

struct Folder<'a> {
    context: &'a EvalContext<'a>,
    one_execution: bool,
}

/// When the value of a function is fixed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Volatility {
    /// By its arguments.
    Immutable,
    /// Within a statement.
    Stable,
    /// Never.
    Volatile,
}

fn volatility(expr: &Expr) -> Volatility {
    let zoned = |data_type: DataType| data_type == DataType::TimestampTz;
    match &expr.kind {
        ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand)
            if cast_depends_on_session(operand.data_type, expr.data_type) =>
        {
            Volatility::Stable
        }
        ExprKind::Binary(BinaryOp::Add | BinaryOp::Subtract, left, right)
            if zoned(left.data_type) != zoned(right.data_type) =>
        {
            Volatility::Stable
        }
        ExprKind::Function(function, arguments) => match function {
            function if function.is_volatile() => Volatility::Volatile,
            function if function.is_of_session() => Volatility::Stable,
            ScalarFunction::ToTimestamp => Volatility::Stable,
            ScalarFunction::Age if arguments.len() == 1 => Volatility::Stable,
            ScalarFunction::Extract
            | ScalarFunction::DatePart
            | ScalarFunction::DateTrunc
            | ScalarFunction::Age
            | ScalarFunction::ToChar
                if arguments.iter().any(|argument| zoned(argument.data_type)) =>
            {
                Volatility::Stable
            }
            function
                if function.writes_values_as_text()
                    && arguments.iter().any(|argument| {
                        cast_depends_on_session(argument.data_type, DataType::Text)
                    }) =>
            {
                Volatility::Stable
            }
            _ => Volatility::Immutable,
        },
        _ => Volatility::Immutable,
    }
}

/// Stands in for an expression that is being folded.
fn null() -> Expr {
    Expr {
        kind: ExprKind::Literal(Value::Null),
        data_type: DataType::Unknown,
        nullable: true,
        span: crate::Span::default(),
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(_))
}

fn truth(expr: &Expr) -> Option<Option<bool>> {
    match &expr.kind {
        ExprKind::Literal(Value::Boolean(truth)) => Some(Some(*truth)),
        ExprKind::Literal(Value::Null) => Some(None),
        _ => None,
    }
}

impl Folder<'_> {
    fn fold_box(&self, mut expr: Box<Expr>) -> Box<Expr> {
        let place = &mut *expr;
        let owned = std::mem::replace(place, null());
        *place = self.fold(owned);
        expr
    }

    fn fold_all(&self, exprs: Vec<Expr>) -> Vec<Expr> {
        exprs.into_iter().map(|expr| self.fold(expr)).collect()
    }

    fn fold(&self, expr: Expr) -> Expr {
        let Expr {
            kind,
            data_type,
            nullable,
            span,
        } = expr;
        let make = |kind| Expr {
            kind,
            data_type,
            nullable,
            span,
        };
        let folded = match kind {
            ExprKind::Literal(_)
            | ExprKind::Column(_)
            | ExprKind::ScalarSubquery(_)
            | ExprKind::InSubquery { .. }
            | ExprKind::Exists { .. } => return make(kind),
            ExprKind::Parameter(number) => {
                return match self.context.parameters.get(number) {
                    Some(value) if self.one_execution => make(ExprKind::Literal(value.clone())),
                    _ => make(ExprKind::Parameter(number)),
                };
            }
            ExprKind::And(operands) => return self.junction(operands, false, &make),
            ExprKind::Or(operands) => return self.junction(operands, true, &make),
            ExprKind::Case {
                branches,
                otherwise,
            } => return self.case(branches, otherwise, &make),
            ExprKind::Function(ScalarFunction::Coalesce, arguments) => {
                return self.coalesce(arguments, &make);
            }
            ExprKind::Unary(op, operand) => make(ExprKind::Unary(op, self.fold_box(operand))),
            ExprKind::Binary(op, left, right) => make(ExprKind::Binary(
                op,
                self.fold_box(left),
                self.fold_box(right),
            )),
            ExprKind::IsNull { operand, negated } => make(ExprKind::IsNull {
                operand: self.fold_box(operand),
                negated,
            }),
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } => make(ExprKind::IsTruth {
                operand: self.fold_box(operand),
                value,
                negated,
            }),
            ExprKind::IsDistinct {
                left,
                right,
                negated,
            } => make(ExprKind::IsDistinct {
                left: self.fold_box(left),
                right: self.fold_box(right),
                negated,
            }),
            ExprKind::InList {
                operand,
                list,
                negated,
            } => make(ExprKind::InList {
                operand: self.fold_box(operand),
                list: self.fold_all(list),
                negated,
            }),
            ExprKind::Like {
                operand,
                pattern,
                escape,
                case_insensitive,
                negated,
            } => make(ExprKind::Like {
                operand: self.fold_box(operand),
                pattern: self.fold_box(pattern),
                escape: escape.map(|escape| self.fold_box(escape)),
                case_insensitive,
                negated,
            }),
            ExprKind::Cast(operand) => make(ExprKind::Cast(self.fold_box(operand))),
            ExprKind::AssignmentCast(operand) => {
                make(ExprKind::AssignmentCast(self.fold_box(operand)))
            }
            ExprKind::Function(function, arguments) => {
                make(ExprKind::Function(function, self.fold_all(arguments)))
            }
        };
        self.evaluate(folded)
    }

    /// The literal, where all operands are literals and the value is fixed.
    fn evaluate(&self, expr: Expr) -> Expr {
        let allowed = if self.one_execution {
            Volatility::Stable
        } else {
            Volatility::Immutable
        };
        if volatility(&expr) > allowed || !operands_are_literals(&expr) {
            return expr;
        }
        let value = CompiledExpr::compile(&expr, &|_| None)
            .and_then(|compiled| compiled.eval(&[], self.context));
        match value {
            // A long literal would only make the plan heavy.
            Ok(value) if value.heap_size() <= 1 << 16 => Expr {
                nullable: value.is_null(),
                kind: ExprKind::Literal(value),
                ..expr
            },
            _ => expr,
        }
    }

    /// AND (`decisive` false) and OR (`decisive` true).
    fn junction(
        &self,
        operands: Vec<Expr>,
        decisive: bool,
        make: &dyn Fn(ExprKind) -> Expr,
    ) -> Expr {
        let mut kept = Vec::with_capacity(operands.len());
        for operand in operands {
            let operand = self.fold(operand);
            match truth(&operand) {
                Some(Some(truth)) if truth == decisive => {
                    let mut literal = make(ExprKind::Literal(Value::Boolean(decisive)));
                    literal.nullable = false;
                    return literal;
                }
                Some(Some(_)) => {}
                _ => kept.push(operand),
            }
        }
        match kept.len() {
            0 => {
                let mut literal = make(ExprKind::Literal(Value::Boolean(!decisive)));
                literal.nullable = false;
                literal
            }
            1 => kept.remove(0),
            _ if kept.iter().all(|operand| truth(operand).is_some()) => {
                make(ExprKind::Literal(Value::Null))
            }
            _ if decisive => make(ExprKind::Or(kept)),
            _ => make(ExprKind::And(kept)),
        }
    }

    fn case(
        &self,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        make: &dyn Fn(ExprKind) -> Expr,
    ) -> Expr {
        let mut kept = Vec::with_capacity(branches.len());
        let mut last = otherwise.map(|result| self.fold(*result));
        for (condition, result) in branches {
            let condition = self.fold(condition);
            match truth(&condition) {
                // Never taken.
                Some(Some(false) | None) => {}
                // Always taken where it is reached.
                Some(Some(true)) => {
                    last = Some(self.fold(result));
                    break;
                }
                None => {
                    let result = self.fold(result);
                    kept.push((condition, result));
                }
            }
        }
        if kept.is_empty() {
            return last.unwrap_or_else(|| make(ExprKind::Literal(Value::Null)));
        }
        make(ExprKind::Case {
            branches: kept,
            otherwise: last.map(Box::new),
        })
    }

    fn coalesce(&self, arguments: Vec<Expr>, make: &dyn Fn(ExprKind) -> Expr) -> Expr {
        let mut kept = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let argument = self.fold(argument);
            match &argument.kind {
                ExprKind::Literal(Value::Null) => {}
                ExprKind::Literal(_) => {
                    kept.push(argument);
                    break;
                }
                _ => kept.push(argument),
            }
        }
        match kept.len() {
            0 => make(ExprKind::Literal(Value::Null)),
            1 => kept.remove(0),
            _ => make(ExprKind::Function(ScalarFunction::Coalesce, kept)),
        }
    }
}

fn operands_are_literals(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Unary(_, operand)
        | ExprKind::Cast(operand)
        | ExprKind::AssignmentCast(operand)
        | ExprKind::IsNull { operand, .. }
        | ExprKind::IsTruth { operand, .. } => is_literal(operand),
        ExprKind::Binary(_, left, right) | ExprKind::IsDistinct { left, right, .. } => {
            is_literal(left) && is_literal(right)
        }
        ExprKind::InList { operand, list, .. } => {
            is_literal(operand) && list.iter().all(is_literal)
        }
        ExprKind::Like {
            operand,
            pattern,
            escape,
            ..
        } => is_literal(operand) && is_literal(pattern) && escape.as_deref().is_none_or(is_literal),
        ExprKind::Function(_, arguments) => arguments.iter().all(is_literal),
        _ => false,
    }
}
