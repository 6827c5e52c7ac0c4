//! Operators: which there are for which types, and what they give.

use super::{Binder, coerce, internal, literal};
use crate::{
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction, UnaryOp},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, Value},
};

pub(super) fn no_operator(symbol: &str, left: DataType, right: DataType, span: Span) -> Error {
    let error = Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {left} {symbol} {right}"),
    )
    .at(span);
    let hint = match (symbol, left, right) {
        ("+", a, b) if a.is_string() || b.is_string() => "Strings are joined with ||.",
        ("=" | "<>" | "<" | "<=" | ">" | ">=", ..) => {
            "The two sides must be of comparable types: convert one of them with CAST."
        }
        ("%", DataType::Float4 | DataType::Float8, _)
        | ("%", _, DataType::Float4 | DataType::Float8) => {
            "The remainder is defined for integers and numeric: convert with CAST(… AS numeric)."
        }
        _ => "No operator takes these types: convert one of them with CAST.",
    };
    error.hint(hint)
}

/// Both operands and the type of the value.
type Operands = (Expr, Expr, DataType);

impl Binder<'_> {
    /// A comparison; both operands get one type.
    pub(super) fn comparison(
        &mut self,
        operator: BinaryOp,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let (left, right) = self.comparable(operator.symbol(), left, right, operator_span)?;
        Ok(Expr {
            nullable: left.nullable || right.nullable,
            kind: ExprKind::Binary(operator, Box::new(left), Box::new(right)),
            data_type: DataType::Boolean,
            span,
        })
    }

    /// Brings two operands to a type in which they compare.
    pub(super) fn comparable(
        &mut self,
        symbol: &str,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Result<(Expr, Expr)> {
        let (left_type, right_type) = (left.data_type, right.data_type);
        let wrong = || no_operator(symbol, left_type, right_type, span);
        match (left_type, right_type) {
            (DataType::Unknown, DataType::Unknown) => {
                let left = self.coerce(left, DataType::Text, CastContext::Implicit)?;
                let right = self.coerce(right, DataType::Text, CastContext::Implicit)?;
                Ok((left, right))
            }
            // As in PostgreSQL: texts that differ may be the same JSON.
            (DataType::Json, _) | (_, DataType::Json) => Err(wrong()),
            (DataType::Unknown, known) => Ok((self.compared_literal(left, known)?, right)),
            (known, DataType::Unknown) => {
                let right = self.compared_literal(right, known)?;
                Ok((left, right))
            }
            _ if coerce::base(left_type) == coerce::base(right_type) => Ok((left, right)),
            _ if coerce::is_object(left_type) || coerce::is_object(right_type) => {
                let number = |of: DataType| coerce::is_object(of) || of.is_integer();
                if !number(left_type) || !number(right_type) {
                    return Err(wrong());
                }
                let left = self.coerce(left, DataType::Oid, CastContext::Implicit)?;
                let right = self.coerce(right, DataType::Oid, CastContext::Implicit)?;
                Ok((left, right))
            }
            _ if left_type.is_numeric() && right_type.is_numeric() => {
                // A constant takes the column's type where it fits, so that indexes serve.
                if let Some(right) = fitting_constant(&right, left_type) {
                    return Ok((left, right));
                }
                if let Some(left) = fitting_constant(&left, right_type) {
                    return Ok((left, right));
                }
                let common = if coerce::is_preferred(left_type) || coerce::is_preferred(right_type)
                {
                    DataType::Float8
                } else {
                    coerce::promote(left_type, right_type).ok_or_else(wrong)?
                };
                let left = self.coerce(left, common, CastContext::Implicit)?;
                let right = self.coerce(right, common, CastContext::Implicit)?;
                Ok((left, right))
            }
            _ if left_type.is_string() && right_type.is_string() => {
                let blank_padded = |data_type| matches!(data_type, DataType::Char(_));
                let left = if blank_padded(left_type) {
                    coerce::cast(left, DataType::Text)
                } else {
                    left
                };
                let right = if blank_padded(right_type) {
                    coerce::cast(right, DataType::Text)
                } else {
                    right
                };
                Ok((left, right))
            }
            _ => {
                let implicit = CastContext::Implicit;
                let same = left_type.category() == right_type.category();
                if same && coerce::can_cast(left_type, right_type, implicit) {
                    let left = self.coerce(left, right_type, implicit)?;
                    Ok((left, right))
                } else if same && coerce::can_cast(right_type, left_type, implicit) {
                    let right = self.coerce(right, left_type, implicit)?;
                    Ok((left, right))
                } else {
                    Err(wrong())
                }
            }
        }
    }

    /// An untyped literal beside a value of that type. Length limits do not apply, so that a
    /// longer text is unequal and not an error; beside `char(n)` it is blank-padded text too.
    fn compared_literal(&mut self, literal: Expr, known: DataType) -> Result<Expr> {
        if let (DataType::Char(_), ExprKind::Literal(Value::Text(text))) = (known, &literal.kind) {
            let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
            return Ok(Expr {
                data_type: DataType::Char(length.max(1)),
                ..literal
            });
        }
        let wanted = match known {
            DataType::Varchar(_) | DataType::Char(_) => DataType::Text,
            other => coerce::base(other),
        };
        self.coerce(literal, wanted, CastContext::Implicit)
    }

    /// `left operator right` for everything but comparisons.
    pub(super) fn arithmetic(
        &mut self,
        operator: BinaryOp,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let (left_type, right_type) = (left.data_type, right.data_type);
        let found = match operator {
            BinaryOp::Concat => self.concat(left, right)?,
            BinaryOp::Add
            | BinaryOp::Subtract
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Modulo
            | BinaryOp::Power => self.number_or_time(operator, left, right, operator_span)?,
            BinaryOp::ShiftLeft | BinaryOp::ShiftRight => self.shift(left, right)?,
            _ => self.bits(left, right)?,
        };
        let Some((left, right, data_type)) = found else {
            return Err(no_operator(
                operator.symbol(),
                left_type,
                right_type,
                operator_span,
            ));
        };
        Ok(Expr {
            nullable: left.nullable || right.nullable,
            kind: ExprKind::Binary(operator, Box::new(left), Box::new(right)),
            data_type,
            span,
        })
    }

    fn concat(&mut self, left: Expr, right: Expr) -> Result<Option<Operands>> {
        use DataType as T;
        let implicit = CastContext::Implicit;
        let text = |data_type: DataType| data_type.is_string();
        Ok(match (left.data_type, right.data_type) {
            (T::Bytea, T::Bytea | T::Unknown) | (T::Unknown, T::Bytea) => {
                let left = self.coerce(left, T::Bytea, implicit)?;
                let right = self.coerce(right, T::Bytea, implicit)?;
                Some((left, right, T::Bytea))
            }
            (a, b) if text(a) || text(b) || a == T::Unknown || b == T::Unknown => {
                let mut as_text = |expr: Expr| {
                    if text(expr.data_type) {
                        Ok(expr)
                    } else {
                        self.coerce(expr, T::Text, CastContext::Explicit)
                    }
                };
                let left = as_text(left)?;
                let right = as_text(right)?;
                Some((left, right, T::Text))
            }
            _ => None,
        })
    }

    fn bits(&mut self, left: Expr, right: Expr) -> Result<Option<Operands>> {
        let (left, right) = self.same_unknown(left, right)?;
        let Some(common) =
            coerce::promote(left.data_type, right.data_type).filter(|common| common.is_integer())
        else {
            return Ok(None);
        };
        let left = self.coerce(left, common, CastContext::Implicit)?;
        let right = self.coerce(right, common, CastContext::Implicit)?;
        Ok(Some((left, right, common)))
    }

    fn shift(&mut self, left: Expr, right: Expr) -> Result<Option<Operands>> {
        let shifted = left.data_type;
        if !shifted.is_integer()
            || !coerce::can_cast(right.data_type, DataType::Int4, CastContext::Implicit)
        {
            return Ok(None);
        }
        let right = self.coerce(right, DataType::Int4, CastContext::Implicit)?;
        Ok(Some((left, right, shifted)))
    }

    /// An operand of unknown type takes the other's.
    fn same_unknown(&mut self, left: Expr, right: Expr) -> Result<(Expr, Expr)> {
        let implicit = CastContext::Implicit;
        match (left.data_type, right.data_type) {
            (DataType::Unknown, DataType::Unknown) => Ok((left, right)),
            (DataType::Unknown, known) => Ok((self.coerce(left, known, implicit)?, right)),
            (known, DataType::Unknown) => {
                let right = self.coerce(right, known, implicit)?;
                Ok((left, right))
            }
            _ => Ok((left, right)),
        }
    }

    fn number_or_time(
        &mut self,
        operator: BinaryOp,
        left: Expr,
        right: Expr,
        operator_span: Span,
    ) -> Result<Option<Operands>> {
        use BinaryOp as Op;
        use DataType as T;
        let implicit = CastContext::Implicit;
        let (left_type, right_type) = (left.data_type, right.data_type);
        // What an untyped literal becomes beside a date, time or interval.
        let partner = |known: DataType, on_the_left: bool| -> Option<DataType> {
            Some(match (operator, known) {
                (Op::Add, T::Timestamp | T::TimestampTz | T::Interval) => T::Interval,
                (Op::Subtract, T::Timestamp | T::TimestampTz | T::Date | T::Time | T::Interval) => {
                    known
                }
                (Op::Multiply, T::Interval) => T::Float8,
                (Op::Divide, T::Interval) if on_the_left => T::Float8,
                _ => return None,
            })
        };
        let (left, right) = match (left_type, right_type) {
            (T::Unknown, T::Unknown) => {
                return Err(not_unique(operator, left_type, right_type, operator_span));
            }
            (T::Unknown, known) if known.is_numeric() => {
                (self.coerce(left, coerce::base(known), implicit)?, right)
            }
            (known, T::Unknown) if known.is_numeric() => {
                let right = self.coerce(right, coerce::base(known), implicit)?;
                (left, right)
            }
            (T::Unknown, known) => match partner(known, false) {
                Some(wanted) => (self.coerce(left, wanted, implicit)?, right),
                None if known == T::Date || known == T::Time => {
                    return Err(not_unique(operator, left_type, right_type, operator_span));
                }
                None => return Ok(None),
            },
            (known, T::Unknown) => match partner(known, true) {
                Some(wanted) => {
                    let right = self.coerce(right, wanted, implicit)?;
                    (left, right)
                }
                None if known == T::Date || known == T::Time => {
                    return Err(not_unique(operator, left_type, right_type, operator_span));
                }
                None => return Ok(None),
            },
            _ => (left, right),
        };
        let (left_type, right_type) = (left.data_type, right.data_type);
        if left_type.is_numeric() && right_type.is_numeric() {
            let Some(mut common) = coerce::promote(left_type, right_type) else {
                return Ok(None);
            };
            match operator {
                Op::Modulo if matches!(common, T::Float4 | T::Float8) => return Ok(None),
                Op::Power if !matches!(common, T::Decimal(_)) => common = T::Float8,
                _ => {}
            }
            let left = self.operand(left, common)?;
            let right = self.operand(right, common)?;
            return Ok(Some((left, right, common)));
        }
        Ok(match (operator, left_type, right_type) {
            (Op::Add | Op::Subtract, T::Date, integer)
                if integer.is_integer() && integer != T::Int8 =>
            {
                let right = self.coerce(right, T::Int4, implicit)?;
                Some((left, right, T::Date))
            }
            (Op::Add, integer, T::Date) if integer.is_integer() && integer != T::Int8 => {
                let left = self.coerce(left, T::Int4, implicit)?;
                // date + integer, the order the evaluator knows.
                Some((right, left, T::Date))
            }
            (Op::Subtract, T::Date, T::Date) => Some((left, right, T::Int4)),
            (Op::Add, T::Date, T::Time) => {
                let left = coerce::cast(left, T::Timestamp);
                let right = coerce::cast(right, T::Interval);
                Some((left, right, T::Timestamp))
            }
            (Op::Add, T::Time, T::Date) => {
                let right = coerce::cast(right, T::Timestamp);
                let left = coerce::cast(left, T::Interval);
                Some((right, left, T::Timestamp))
            }
            (Op::Add | Op::Subtract, T::Date, T::Interval) => Some((left, right, T::Timestamp)),
            (Op::Add, T::Date, T::TimeTz) => Some((left, right, T::TimestampTz)),
            (Op::Add, T::TimeTz, T::Date) => Some((right, left, T::TimestampTz)),
            (
                Op::Add | Op::Subtract,
                T::Timestamp | T::TimestampTz | T::Time | T::TimeTz,
                T::Interval,
            ) => Some((left, right, left_type)),
            (Op::Add, T::Interval, T::Date) => Some((right, left, T::Timestamp)),
            (Op::Add, T::Interval, T::Timestamp | T::TimestampTz | T::Time | T::TimeTz) => {
                Some((right, left, right_type))
            }
            (Op::Subtract, T::Time, T::Time)
            | (Op::Add | Op::Subtract, T::Interval, T::Interval) => {
                Some((left, right, T::Interval))
            }
            (Op::Subtract, T::Interval, T::Time) => {
                let right = coerce::cast(right, T::Interval);
                Some((left, right, T::Interval))
            }
            (
                Op::Subtract,
                T::Timestamp | T::TimestampTz | T::Date,
                T::Timestamp | T::TimestampTz | T::Date,
            ) => {
                let common = if left_type == T::TimestampTz || right_type == T::TimestampTz {
                    T::TimestampTz
                } else {
                    T::Timestamp
                };
                let left = self.coerce(left, common, implicit)?;
                let right = self.coerce(right, common, implicit)?;
                Some((left, right, T::Interval))
            }
            (Op::Multiply, T::Interval, number) if number.is_numeric() => {
                let right = self.coerce(right, T::Float8, implicit)?;
                Some((left, right, T::Interval))
            }
            (Op::Multiply, number, T::Interval) if number.is_numeric() => {
                let left = self.coerce(left, T::Float8, implicit)?;
                Some((right, left, T::Interval))
            }
            (Op::Divide, T::Interval, number) if number.is_numeric() => {
                let right = self.coerce(right, T::Float8, implicit)?;
                Some((left, right, T::Interval))
            }
            _ => None,
        })
    }

    /// An operand in the type that an operator computes in; a precision does not matter.
    fn operand(&mut self, expr: Expr, wanted: DataType) -> Result<Expr> {
        if coerce::base(expr.data_type) == wanted {
            return Ok(expr);
        }
        self.coerce(expr, wanted, CastContext::Implicit)
    }

    /// `- operand`, `~ operand`.
    pub(super) fn unary(&mut self, operator: UnaryOp, operand: Expr, span: Span) -> Result<Expr> {
        let data_type = operand.data_type;
        let symbol = if operator == UnaryOp::BitNot {
            "~"
        } else {
            "-"
        };
        let operand = match (operator, data_type) {
            (UnaryOp::Negate, DataType::Unknown) => {
                self.coerce(operand, DataType::Float8, CastContext::Implicit)?
            }
            (UnaryOp::Negate, DataType::Interval) => operand,
            (UnaryOp::Negate, number) if number.is_numeric() => operand,
            (UnaryOp::BitNot, integer) if integer.is_integer() => operand,
            (UnaryOp::Not, _) => return Err(internal("NOT is no unary operator here", span)),
            _ => {
                return Err(Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {symbol} {data_type}"),
                )
                .at(span));
            }
        };
        Ok(Expr {
            data_type: coerce::base(operand.data_type),
            nullable: operand.nullable,
            kind: ExprKind::Unary(operator, Box::new(operand)),
            span,
        })
    }

    /// The pattern operators `~`, `~*`, `!~`, `!~*`.
    pub(super) fn regular(
        &mut self,
        symbol: &str,
        left: Expr,
        right: Expr,
        span: Span,
    ) -> Result<Expr> {
        let operand = self.text_operand(symbol, left)?;
        let pattern = self.text_operand(symbol, right)?;
        let nullable = operand.nullable || pattern.nullable;
        let mut arguments = vec![operand, pattern];
        if symbol.ends_with('*') {
            arguments.push(literal::constant(
                Value::Text("i".into()),
                DataType::Text,
                span,
            ));
        }
        let matched = Expr {
            kind: ExprKind::Function(ScalarFunction::RegexpLike, arguments),
            data_type: DataType::Boolean,
            nullable,
            span,
        };
        Ok(if symbol.starts_with('!') {
            negate(matched)
        } else {
            matched
        })
    }

    /// An operand that must be text.
    pub(super) fn text_operand(&mut self, symbol: &str, expr: Expr) -> Result<Expr> {
        if expr.data_type.is_string() {
            return Ok(expr);
        }
        if expr.data_type == DataType::Unknown {
            return self.coerce(expr, DataType::Text, CastContext::Implicit);
        }
        Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!(
                "{symbol} wants text, found an expression of type {}",
                expr.data_type
            ),
        )
        .at(expr.span)
        .hint("Convert it with CAST(… AS text)."))
    }
}

/// `NOT expr`.
pub(super) fn negate(expr: Expr) -> Expr {
    Expr {
        nullable: expr.nullable,
        span: expr.span,
        data_type: DataType::Boolean,
        kind: ExprKind::Unary(UnaryOp::Not, Box::new(expr)),
    }
}

/// A number constant in another numeric type, where nothing is lost and the comparison's outcome
/// stays what PostgreSQL's cross-type operators give.
fn fitting_constant(constant: &Expr, wanted: DataType) -> Option<Expr> {
    let ExprKind::Literal(value) = &constant.kind else {
        return None;
    };
    let from = constant.data_type;
    let safe = match wanted {
        DataType::Int1 | DataType::Int2 | DataType::Int4 | DataType::Int8 => from.is_integer(),
        DataType::Decimal(_) => from.is_integer(),
        DataType::Float8 => from.is_integer() || matches!(from, DataType::Decimal(_)),
        _ => false,
    };
    if !safe {
        return None;
    }
    let wanted = coerce::base(wanted);
    let value = value.clone().cast(wanted, CastContext::Implicit).ok()?;
    Some(Expr {
        kind: ExprKind::Literal(value),
        data_type: wanted,
        nullable: constant.nullable,
        span: constant.span,
    })
}

fn not_unique(operator: BinaryOp, left: DataType, right: DataType, span: Span) -> Error {
    Error::new(
        SqlState("42725"),
        format!(
            "operator is not unique: {left} {} {right}",
            operator.symbol()
        ),
    )
    .at(span)
    .hint("Say the type of a string, for example DATE '…', INTERVAL '…' or CAST('…' AS integer).")
}
