//! Operators on numbers, strings and times, resolved by operand types once.

use compact_str::CompactString;

use super::{check_length, date_arithmetic, internal};
use crate::{
    Error, Result, SqlState,
    bound::{BinaryOp, UnaryOp},
    types::{DataType, Value, decimal},
};

/// An operator with two operands, neither NULL.
pub(super) type Binary = fn(&Value, &Value) -> Result<Value>;
/// An operator with one operand, not NULL.
pub(super) type Unary = fn(&Value) -> Result<Value>;

#[cold]
pub(super) fn mismatch(left: &Value, right: &Value) -> Error {
    internal(format!(
        "operands of types {:?} and {:?} reached an operator that is not for them",
        left.data_type(),
        right.data_type()
    ))
}

#[cold]
pub(super) fn out_of_range(type_name: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{type_name} out of range"),
    )
}

#[cold]
pub(super) fn overflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: overflow",
    )
}

#[cold]
fn underflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: underflow",
    )
}

pub(super) use decimal::division_by_zero;

macro_rules! integer_operators {
    ($module:ident, $variant:ident, $native:ty, $name:literal) => {
        mod $module {
            use super::*;

            macro_rules! operator {
                ($operator:ident, |$a:ident, $b:ident| $result:expr) => {
                    pub(super) fn $operator(left: &Value, right: &Value) -> Result<Value> {
                        let (Value::$variant($a), Value::$variant($b)) = (left, right) else {
                            return Err(mismatch(left, right));
                        };
                        let result: Option<$native> = $result;
                        result
                            .map(Value::$variant)
                            .ok_or_else(|| out_of_range($name))
                    }
                };
            }

            operator!(add, |a, b| a.checked_add(*b));
            operator!(subtract, |a, b| a.checked_sub(*b));
            operator!(multiply, |a, b| a.checked_mul(*b));
            operator!(divide, |a, b| {
                if *b == 0 {
                    return Err(division_by_zero());
                }
                a.checked_div(*b)
            });
            operator!(modulo, |a, b| {
                if *b == 0 {
                    return Err(division_by_zero());
                }
                // The least value has remainder 0 by -1, though the quotient overflows.
                Some(a.wrapping_rem(*b))
            });
            operator!(bit_and, |a, b| Some(a & b));
            operator!(bit_or, |a, b| Some(a | b));
            operator!(bit_xor, |a, b| Some(a ^ b));

            pub(super) fn shift_left(left: &Value, right: &Value) -> Result<Value> {
                match (left, right.as_integer()) {
                    (Value::$variant(a), Some(by)) => Ok(Value::$variant(
                        i64::from(*a).wrapping_shl(shift_width(by, <$native>::BITS)) as $native,
                    )),
                    _ => Err(mismatch(left, right)),
                }
            }

            pub(super) fn shift_right(left: &Value, right: &Value) -> Result<Value> {
                match (left, right.as_integer()) {
                    (Value::$variant(a), Some(by)) => Ok(Value::$variant(
                        i64::from(*a).wrapping_shr(shift_width(by, <$native>::BITS)) as $native,
                    )),
                    _ => Err(mismatch(left, right)),
                }
            }

            pub(super) fn negate(value: &Value) -> Result<Value> {
                match value {
                    Value::$variant(a) => a
                        .checked_neg()
                        .map(Value::$variant)
                        .ok_or_else(|| out_of_range($name)),
                    _ => Err(mismatch(value, value)),
                }
            }

            pub(super) fn bit_not(value: &Value) -> Result<Value> {
                match value {
                    Value::$variant(a) => Ok(Value::$variant(!a)),
                    _ => Err(mismatch(value, value)),
                }
            }

            pub(super) fn resolve(op: BinaryOp) -> Option<Binary> {
                Some(match op {
                    BinaryOp::Add => add,
                    BinaryOp::Subtract => subtract,
                    BinaryOp::Multiply => multiply,
                    BinaryOp::Divide => divide,
                    BinaryOp::Modulo => modulo,
                    BinaryOp::BitAnd => bit_and,
                    BinaryOp::BitOr => bit_or,
                    BinaryOp::BitXor => bit_xor,
                    BinaryOp::ShiftLeft => shift_left,
                    BinaryOp::ShiftRight => shift_right,
                    _ => return None,
                })
            }
        }
    };
}

/// Shifts go by the width of the machine's operation: 32 bits, or 64 for `bigint`.
fn shift_width(by: i64, bits: u32) -> u32 {
    (by as u32) & (bits.max(32) - 1)
}

integer_operators!(int1, Int1, i8, "int1");
integer_operators!(int2, Int2, i16, "smallint");
integer_operators!(int4, Int4, i32, "integer");
integer_operators!(int8, Int8, i64, "bigint");

macro_rules! float_operators {
    ($module:ident, $variant:ident, $native:ty) => {
        mod $module {
            use super::*;

            fn check(result: $native, finite: bool, nonzero: bool) -> Result<Value> {
                if result.is_infinite() && finite {
                    return Err(overflow());
                }
                if result == 0.0 && nonzero {
                    return Err(underflow());
                }
                Ok(Value::$variant(result))
            }

            fn operands(left: &Value, right: &Value) -> Result<($native, $native)> {
                match (left, right) {
                    (Value::$variant(a), Value::$variant(b)) => Ok((*a, *b)),
                    _ => Err(mismatch(left, right)),
                }
            }

            pub(super) fn add(left: &Value, right: &Value) -> Result<Value> {
                let (a, b) = operands(left, right)?;
                check(a + b, a.is_finite() && b.is_finite(), false)
            }

            pub(super) fn subtract(left: &Value, right: &Value) -> Result<Value> {
                let (a, b) = operands(left, right)?;
                check(a - b, a.is_finite() && b.is_finite(), false)
            }

            pub(super) fn multiply(left: &Value, right: &Value) -> Result<Value> {
                let (a, b) = operands(left, right)?;
                check(a * b, a.is_finite() && b.is_finite(), a != 0.0 && b != 0.0)
            }

            pub(super) fn divide(left: &Value, right: &Value) -> Result<Value> {
                let (a, b) = operands(left, right)?;
                if b == 0.0 && !a.is_nan() {
                    return Err(division_by_zero());
                }
                check(a / b, a.is_finite(), a != 0.0 && b.is_finite())
            }

            pub(super) fn negate(value: &Value) -> Result<Value> {
                match value {
                    Value::$variant(a) => Ok(Value::$variant(-a)),
                    _ => Err(mismatch(value, value)),
                }
            }

            pub(super) fn resolve(op: BinaryOp) -> Option<Binary> {
                Some(match op {
                    BinaryOp::Add => add,
                    BinaryOp::Subtract => subtract,
                    BinaryOp::Multiply => multiply,
                    BinaryOp::Divide => divide,
                    _ => return None,
                })
            }
        }
    };
}

float_operators!(float4, Float4, f32);
float_operators!(float8, Float8, f64);

/// `a ^ b` of floats, with errors for what has no real result.
pub(super) fn power_float8(left: &Value, right: &Value) -> Result<Value> {
    let (Value::Float8(a), Value::Float8(b)) = (left, right) else {
        return Err(mismatch(left, right));
    };
    if *a == 0.0 && *b < 0.0 {
        return Err(decimal::functions::zero_to_negative_power());
    }
    if *a < 0.0 && b.is_finite() && b.fract() != 0.0 {
        return Err(decimal::functions::negative_to_fraction());
    }
    let result = a.powf(*b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && *a != 0.0 && a.is_finite() && b.is_finite() {
        return Err(underflow());
    }
    Ok(Value::Float8(result))
}

macro_rules! decimal_operator {
    ($name:ident, $method:ident) => {
        pub(super) fn $name(left: &Value, right: &Value) -> Result<Value> {
            match (left, right) {
                (Value::Decimal(a), Value::Decimal(b)) => a.$method(b).map(Value::Decimal),
                _ => Err(mismatch(left, right)),
            }
        }
    };
}

decimal_operator!(add_decimal, checked_add);
decimal_operator!(subtract_decimal, checked_sub);
decimal_operator!(multiply_decimal, checked_mul);
decimal_operator!(divide_decimal, checked_div);
decimal_operator!(modulo_decimal, checked_rem);
decimal_operator!(power_decimal, power);

fn negate_decimal(value: &Value) -> Result<Value> {
    match value {
        Value::Decimal(number) => Ok(Value::Decimal(number.negated())),
        _ => Err(mismatch(value, value)),
    }
}

fn concat_text(left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => {
            let bytes = check_length(a.len().checked_add(b.len()))?;
            let mut text = CompactString::with_capacity(bytes);
            text.push_str(a);
            text.push_str(b);
            Ok(Value::Text(text))
        }
        _ => Err(mismatch(left, right)),
    }
}

fn concat_bytes(left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Bytea(a), Value::Bytea(b)) => {
            let mut bytes = Vec::with_capacity(check_length(a.len().checked_add(b.len()))?);
            bytes.extend_from_slice(a);
            bytes.extend_from_slice(b);
            Ok(Value::Bytea(bytes))
        }
        _ => Err(mismatch(left, right)),
    }
}

/// An operator over a NULL literal.
fn always_null(_: &Value, _: &Value) -> Result<Value> {
    Ok(Value::Null)
}

/// The function for an operator that is no comparison, by its operands' types.
pub(super) fn resolve_binary(op: BinaryOp, left: DataType, right: DataType) -> Result<Binary> {
    let function = match (op, left, right) {
        (_, DataType::Unknown, _) | (_, _, DataType::Unknown) => Some(always_null as Binary),
        (BinaryOp::ShiftLeft | BinaryOp::ShiftRight, _, shift) if !shift.is_integer() => None,
        (_, DataType::Int1, DataType::Int1)
        | (BinaryOp::ShiftLeft | BinaryOp::ShiftRight, DataType::Int1, _) => int1::resolve(op),
        (_, DataType::Int2, DataType::Int2)
        | (BinaryOp::ShiftLeft | BinaryOp::ShiftRight, DataType::Int2, _) => int2::resolve(op),
        (_, DataType::Int4, DataType::Int4)
        | (BinaryOp::ShiftLeft | BinaryOp::ShiftRight, DataType::Int4, _) => int4::resolve(op),
        (_, DataType::Int8, DataType::Int8)
        | (BinaryOp::ShiftLeft | BinaryOp::ShiftRight, DataType::Int8, _) => int8::resolve(op),
        (_, DataType::Float4, DataType::Float4) => float4::resolve(op),
        (BinaryOp::Power, DataType::Float8, DataType::Float8) => Some(power_float8 as Binary),
        (_, DataType::Float8, DataType::Float8) => float8::resolve(op),
        (_, DataType::Decimal(_), DataType::Decimal(_)) => match op {
            BinaryOp::Add => Some(add_decimal as Binary),
            BinaryOp::Subtract => Some(subtract_decimal as Binary),
            BinaryOp::Multiply => Some(multiply_decimal as Binary),
            BinaryOp::Divide => Some(divide_decimal as Binary),
            BinaryOp::Modulo => Some(modulo_decimal as Binary),
            BinaryOp::Power => Some(power_decimal as Binary),
            _ => None,
        },
        (BinaryOp::Concat, DataType::Bytea, DataType::Bytea) => Some(concat_bytes as Binary),
        (BinaryOp::Concat, left, right) if left.is_string() && right.is_string() => {
            Some(concat_text as Binary)
        }
        _ => date_arithmetic::resolve(op, left, right),
    };
    function.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("operator does not exist: {left} {} {right}", op.symbol()),
        )
    })
}

/// The function for an operator with one operand that is not `NOT`.
pub(super) fn resolve_unary(op: UnaryOp, operand: DataType) -> Result<Unary> {
    fn always_null(_: &Value) -> Result<Value> {
        Ok(Value::Null)
    }
    let function = match (op, operand) {
        (_, DataType::Unknown) => Some(always_null as Unary),
        (UnaryOp::Negate, DataType::Int1) => Some(int1::negate as Unary),
        (UnaryOp::Negate, DataType::Int2) => Some(int2::negate as Unary),
        (UnaryOp::Negate, DataType::Int4) => Some(int4::negate as Unary),
        (UnaryOp::Negate, DataType::Int8) => Some(int8::negate as Unary),
        (UnaryOp::Negate, DataType::Float4) => Some(float4::negate as Unary),
        (UnaryOp::Negate, DataType::Float8) => Some(float8::negate as Unary),
        (UnaryOp::Negate, DataType::Decimal(_)) => Some(negate_decimal as Unary),
        (UnaryOp::Negate, DataType::Interval) => Some(date_arithmetic::negate_interval as Unary),
        (UnaryOp::BitNot, DataType::Int1) => Some(int1::bit_not as Unary),
        (UnaryOp::BitNot, DataType::Int2) => Some(int2::bit_not as Unary),
        (UnaryOp::BitNot, DataType::Int4) => Some(int4::bit_not as Unary),
        (UnaryOp::BitNot, DataType::Int8) => Some(int8::bit_not as Unary),
        _ => None,
    };
    function.ok_or_else(|| {
        let symbol = if op == UnaryOp::BitNot { "~" } else { "-" };
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("operator does not exist: {symbol} {operand}"),
        )
    })
}
