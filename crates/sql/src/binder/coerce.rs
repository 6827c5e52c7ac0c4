//! Conversions between types: which exist, and how an expression gets one.

use super::{Binder, literal};
use crate::{
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction, SystemFunction},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, ObjectClass, TypeCategory, Value, cast_depends_on_session},
};

/// The type without its length or precision.
pub(super) fn base(data_type: DataType) -> DataType {
    match data_type {
        DataType::Decimal(_) => DataType::Decimal(None),
        DataType::Varchar(_) => DataType::Varchar(None),
        DataType::Char(_) => DataType::Char(1),
        other => other.of_values(),
    }
}

/// Where the type stands in the order of numeric promotion.
fn numeric_rank(data_type: DataType) -> Option<u8> {
    Some(match data_type {
        DataType::Int1 => 1,
        DataType::Int2 => 2,
        DataType::Int4 => 3,
        DataType::Int8 => 4,
        DataType::Decimal(_) => 5,
        DataType::Float4 => 6,
        DataType::Float8 => 7,
        _ => return None,
    })
}

/// Whether a value of one type may become one of another in that context (PostgreSQL's `pg_cast`
/// for these types, and text both ways).
#[must_use]
pub fn can_cast(from: DataType, to: DataType, context: CastContext) -> bool {
    use DataType as T;
    if base(from) == base(to) || from == T::Unknown {
        return true;
    }
    if let (Some(from), Some(to)) = (numeric_rank(from), numeric_rank(to)) {
        return from < to || context != CastContext::Implicit;
    }
    if from.is_string() && to.is_string() {
        return true;
    }
    if is_object(from) || is_object(to) {
        return object_cast(from, to, context);
    }
    let (from, to) = (from.of_values(), to.of_values());
    if from == to {
        return true;
    }
    if let (Some(from), Some(to)) = (from.element(), to.element()) {
        return can_cast(from, to, context);
    }
    if to.is_string() {
        return context != CastContext::Implicit;
    }
    if from.is_string() {
        return context == CastContext::Explicit;
    }
    match (from, to) {
        (T::Date, T::Timestamp | T::TimestampTz)
        | (T::Timestamp, T::TimestampTz)
        | (T::Time, T::Interval | T::TimeTz) => true,
        (T::Timestamp | T::TimestampTz, T::Date | T::Time)
        | (T::TimestampTz, T::Timestamp | T::TimeTz)
        | (T::TimeTz, T::Time)
        | (T::Interval, T::Time) => context != CastContext::Implicit,
        (T::Json, T::Jsonb) | (T::Jsonb, T::Json) => context != CastContext::Implicit,
        (T::Jsonb, to) if to.is_numeric() || to == T::Boolean => context == CastContext::Explicit,
        (T::Int4, T::Boolean) | (T::Boolean, T::Int4) => context == CastContext::Explicit,
        _ => false,
    }
}

/// Whether values are numbers of objects of the catalog.
pub(super) fn is_object(data_type: DataType) -> bool {
    matches!(data_type, DataType::Oid | DataType::Object(_))
}

/// Casts from and to numbers of objects: among each other and from integers by themselves.
fn object_cast(from: DataType, to: DataType, context: CastContext) -> bool {
    let number = |of: DataType| of.is_integer() && of != DataType::Int1;
    match (is_object(from), is_object(to)) {
        (true, true) => true,
        (false, _) if number(from) => true,
        (_, false) if matches!(to, DataType::Int4 | DataType::Int8) => {
            context != CastContext::Implicit
        }
        (_, false) if to.is_string() => context != CastContext::Implicit,
        (false, _) => from.is_string() && context == CastContext::Explicit,
        _ => false,
    }
}

/// Whether PostgreSQL prefers the type in its category.
pub(super) fn is_preferred(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Float8
            | DataType::Text
            | DataType::TimestampTz
            | DataType::Interval
    )
}

/// The type that values of several types have in common in UNION, CASE, VALUES and the like
/// (PostgreSQL 10.5); the two that do not match otherwise. Nothing but unknown gives text.
///
/// # Errors
/// The two types that have none.
pub fn common_type(
    types: impl IntoIterator<Item = DataType>,
) -> Result<DataType, (DataType, DataType)> {
    let mut chosen: Option<DataType> = None;
    for next in types {
        if next == DataType::Unknown {
            continue;
        }
        chosen = Some(match chosen {
            None => next,
            Some(current) if current == next => current,
            Some(current) if base(current) == base(next) => match current {
                DataType::Decimal(_) => DataType::Decimal(None),
                DataType::Char(_) => DataType::Text,
                _ => base(current),
            },
            Some(current)
                if (is_object(current) || current.is_integer())
                    && (is_object(next) || next.is_integer())
                    && (is_object(current) || is_object(next)) =>
            {
                DataType::Oid
            }
            Some(current) if current.category() != next.category() => {
                return Err((current, next));
            }
            Some(current) => {
                if !is_preferred(current)
                    && can_cast(current, next, CastContext::Implicit)
                    && !can_cast(next, current, CastContext::Implicit)
                {
                    base(next)
                } else if can_cast(next, current, CastContext::Implicit) {
                    if current.is_string() {
                        DataType::Text
                    } else {
                        base(current)
                    }
                } else {
                    return Err((current, next));
                }
            }
        });
    }
    Ok(chosen.unwrap_or(DataType::Text))
}

/// The type that numeric operators compute in.
pub(super) fn promote(left: DataType, right: DataType) -> Option<DataType> {
    let (left_rank, right_rank) = (numeric_rank(left)?, numeric_rank(right)?);
    let (low, high) = if left_rank <= right_rank {
        (left, right)
    } else {
        (right, left)
    };
    Some(match (low, high) {
        // PostgreSQL has no real + integer: both become double precision.
        (DataType::Float4, DataType::Float4) => DataType::Float4,
        (_, DataType::Float4) => DataType::Float8,
        _ => base(high),
    })
}

/// Wraps an expression in a conversion; none where the values are the same.
pub(super) fn cast(expr: Expr, to: DataType) -> Expr {
    if expr.data_type == to {
        return expr;
    }
    Expr {
        data_type: to,
        nullable: expr.nullable,
        span: expr.span,
        kind: ExprKind::Cast(Box::new(expr)),
    }
}

impl Binder<'_> {
    /// Converts an expression, if the context allows it.
    pub(super) fn coerce(
        &mut self,
        expr: Expr,
        to: DataType,
        context: CastContext,
    ) -> Result<Expr> {
        let from = expr.data_type;
        if from == to {
            return Ok(expr);
        }
        if let DataType::Rounded(time, digits) = to {
            // Values are of the type without the precision: what rounds them is a function.
            let span = expr.span;
            let expr = self.coerce(expr, time.data_type(), context)?;
            if let ExprKind::Literal(value) = expr.kind {
                return Ok(literal::constant(
                    value.rounded(digits),
                    time.data_type(),
                    span,
                ));
            }
            let digits = literal::constant(Value::Int4(digits.into()), DataType::Int4, span);
            return Ok(Expr {
                nullable: expr.nullable,
                kind: ExprKind::Function(ScalarFunction::RoundTime, vec![expr, digits]),
                data_type: time.data_type(),
                span,
            });
        }
        if let DataType::Object(class) = to
            && let Some(expr) = self.reference(&expr, class, context)
        {
            return Ok(expr);
        }
        if from == DataType::Unknown {
            return self.coerce_unknown(expr, to, context);
        }
        if let (DataType::Time, DataType::Timestamp, CastContext::Explicit) = (from, to, context) {
            // SQL:2016 part 2, 6.13: the date is the current one.
            let span = expr.span;
            let nullable = expr.nullable;
            let today = Expr {
                kind: ExprKind::Function(ScalarFunction::CurrentDate, Vec::new()),
                data_type: DataType::Date,
                nullable: false,
                span,
            };
            return Ok(Expr {
                kind: ExprKind::Binary(BinaryOp::Add, Box::new(today), Box::new(expr)),
                data_type: DataType::Timestamp,
                nullable,
                span,
            });
        }
        if !can_cast(from, to, context) {
            return Err(cannot_cast(from, to, context, expr.span));
        }
        // Constants are converted here and now, unless that depends on the session.
        if let ExprKind::Literal(value) = &expr.kind
            && !cast_depends_on_session(from, to)
        {
            let value = value
                .clone()
                .cast(to, context)
                .map_err(|error| error.at(expr.span))?;
            return Ok(Expr {
                kind: ExprKind::Literal(value),
                data_type: to,
                ..expr
            });
        }
        let limited = matches!(to, DataType::Varchar(Some(_)) | DataType::Char(_));
        if limited && context == CastContext::Assignment {
            return Ok(Expr {
                data_type: to,
                nullable: expr.nullable,
                span: expr.span,
                kind: ExprKind::AssignmentCast(Box::new(expr)),
            });
        }
        Ok(cast(expr, to))
    }

    /// A name or number as an object of the catalog, looked up when it runs; `None` where it is
    /// one already, or its name does not matter: a function's argument.
    fn reference(&mut self, expr: &Expr, class: ObjectClass, context: CastContext) -> Option<Expr> {
        let from = expr.data_type;
        let operand = match (&expr.kind, from) {
            (ExprKind::Literal(Value::Null), _) | (_, DataType::Object(_)) => return None,
            (_, DataType::Unknown) => {
                let text = expr.clone();
                self.coerce(text, DataType::Text, CastContext::Implicit)
                    .ok()?
            }
            (_, from) if from.is_string() && context == CastContext::Explicit => expr.clone(),
            (_, from)
                if (from == DataType::Oid || from.is_integer())
                    && context == CastContext::Explicit =>
            {
                expr.clone()
            }
            _ => return None,
        };
        Some(Expr {
            nullable: operand.nullable,
            span: expr.span,
            data_type: DataType::Object(class),
            kind: ExprKind::Function(
                ScalarFunction::System(SystemFunction::Reference(class)),
                vec![operand],
            ),
        })
    }

    /// Gives a string literal, NULL or parameter its type.
    fn coerce_unknown(&mut self, expr: Expr, to: DataType, context: CastContext) -> Result<Expr> {
        let span = expr.span;
        match expr.kind {
            ExprKind::Literal(Value::Null) => Ok(Expr {
                kind: ExprKind::Literal(Value::Null),
                data_type: to,
                nullable: true,
                span,
            }),
            ExprKind::Literal(Value::Text(text)) => literal::typed(&text, to, context, span),
            ExprKind::Parameter(index) => {
                let known = self.parameters.get(index).copied();
                match known {
                    Some(DataType::Unknown) => {
                        // A parameter takes any value of the type: no length, no precision.
                        let wide = match to {
                            DataType::Decimal(_) => DataType::Decimal(None),
                            DataType::Varchar(_) | DataType::Char(_) => DataType::Text,
                            other => other,
                        };
                        self.parameters[index] = wide;
                        let parameter = Expr {
                            kind: ExprKind::Parameter(index),
                            data_type: wide,
                            nullable: true,
                            span,
                        };
                        self.coerce(parameter, to, context)
                    }
                    Some(known) => {
                        let parameter = Expr {
                            kind: ExprKind::Parameter(index),
                            data_type: known,
                            nullable: true,
                            span,
                        };
                        self.coerce(parameter, to, context)
                    }
                    None => Err(super::internal("a parameter was not counted", span)),
                }
            }
            kind => {
                // A column of unknown type, out of a subquery.
                let expr = Expr { kind, ..expr };
                Ok(cast(expr, to))
            }
        }
    }

    /// What is still of unknown type becomes text.
    pub(super) fn settle(&mut self, expr: Expr) -> Expr {
        if expr.data_type != DataType::Unknown {
            return expr;
        }
        let fallback = Expr {
            data_type: DataType::Text,
            ..expr.clone()
        };
        self.coerce(expr, DataType::Text, CastContext::Implicit)
            .unwrap_or(fallback)
    }

    /// Brings expressions to the type they have in common; `what` is for the message.
    pub(super) fn unified(&mut self, exprs: Vec<Expr>, what: &str) -> Result<Vec<Expr>> {
        let common =
            common_type(exprs.iter().map(|expr| expr.data_type)).map_err(|(left, right)| {
                let span = exprs
                    .iter()
                    .find(|expr| expr.data_type == right)
                    .map_or_else(Span::default, |expr| expr.span);
                no_common_type(what, left, right, span)
            })?;
        exprs
            .into_iter()
            .map(|expr| self.coerce(expr, common, CastContext::Implicit))
            .collect()
    }
}

pub(super) fn no_common_type(what: &str, left: DataType, right: DataType, span: Span) -> Error {
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("{what} types {left} and {right} cannot be matched"),
    )
    .at(span)
    .hint("Convert one of them with CAST.")
}

fn cannot_cast(from: DataType, to: DataType, context: CastContext, span: Span) -> Error {
    let error = Error::new(
        SqlState::CANNOT_COERCE,
        match context {
            CastContext::Explicit => format!("cannot cast type {from} to {to}"),
            _ => format!("expected {to}, found an expression of type {from}"),
        },
    )
    .at(span);
    if context != CastContext::Explicit && can_cast(from, to, CastContext::Explicit) {
        return error.hint(format!("Convert it explicitly: CAST(… AS {to})."));
    }
    if from.category() == TypeCategory::Boolean && to.is_numeric() {
        return error.hint("Write CASE WHEN … THEN 1 ELSE 0 END.");
    }
    error
}
