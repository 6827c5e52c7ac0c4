//! Mathematical functions.

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{
        EvalContext,
        arithmetic::{self, division_by_zero, out_of_range, overflow},
    },
    types::{
        DataType as T, Decimal, Value,
        decimal::functions::{logarithm_of_negative, logarithm_of_zero, negative_root},
    },
};

fn input_out_of_range() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "input is out of range",
    )
}

fn finite(input: f64, result: f64) -> Result<Value> {
    if result.is_infinite() && input.is_finite() {
        return Err(overflow());
    }
    Ok(Value::Float8(result))
}

/// A function of one float.
macro_rules! float {
    (|$x:ident| $result:expr) => {
        function!(|Value::Float8(x)| {
            let $x = *x;
            $result
        })
    };
}

/// A function of one decimal.
macro_rules! decimal {
    (|$x:ident| $result:expr) => {
        function!(|Value::Decimal($x)| Value::Decimal($result))
    };
}

/// A function of one integer of any width, or of two of the same; `None`: out of range.
macro_rules! integer {
    ($type:expr, |$x:ident| $result:expr) => {
        match $type {
            T::Int1 => Some(function!(|Value::Int1(x)| {
                let $x = *x;
                Value::Int1($result.ok_or_else(|| out_of_range("int1"))?)
            })),
            T::Int2 => Some(function!(|Value::Int2(x)| {
                let $x = *x;
                Value::Int2($result.ok_or_else(|| out_of_range("smallint"))?)
            })),
            T::Int4 => Some(function!(|Value::Int4(x)| {
                let $x = *x;
                Value::Int4($result.ok_or_else(|| out_of_range("integer"))?)
            })),
            T::Int8 => Some(function!(|Value::Int8(x)| {
                let $x = *x;
                Value::Int8($result.ok_or_else(|| out_of_range("bigint"))?)
            })),
            _ => None,
        }
    };
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    match types {
        [] => match function {
            F::Pi => Some(function!(|| Value::Float8(std::f64::consts::PI))),
            F::Random => Some(function!(context, || {
                // 53 random bits, as many as a float holds.
                Value::Float8((context.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64)
            })),
            _ => None,
        },
        [one] => match one {
            T::Float4 => of_float4(function),
            T::Float8 => of_float8(function),
            T::Decimal(_) => of_decimal(function),
            integer if integer.is_integer() => of_integer(function, *integer),
            _ => None,
        },
        [first, second] => of_two(function, *first, *second),
        [T::Float8, T::Float8, T::Float8, count]
            if function == F::WidthBucket && count.is_integer() =>
        {
            Some(width_bucket_float)
        }
        [T::Decimal(_), T::Decimal(_), T::Decimal(_), count]
            if function == F::WidthBucket && count.is_integer() =>
        {
            Some(width_bucket_decimal)
        }
        _ => None,
    }
}

fn of_integer(function: F, one: T) -> Option<Function> {
    match function {
        F::Abs => integer!(one, |x| x.checked_abs()),
        F::Sign => integer!(one, |x| Some(x.signum())),
        // An integer is its own rounding.
        F::Ceil | F::Floor | F::Round | F::Trunc => {
            Some(|values, _| values.first().cloned().ok_or_else(|| mismatch(values)))
        }
        _ => None,
    }
}

fn of_float4(function: F) -> Option<Function> {
    Some(match function {
        F::Abs => function!(|Value::Float4(x)| Value::Float4(x.abs())),
        F::Sign => function!(|Value::Float4(x)| Value::Float4(sign(f64::from(*x)) as f32)),
        F::Ceil => function!(|Value::Float4(x)| Value::Float4(x.ceil())),
        F::Floor => function!(|Value::Float4(x)| Value::Float4(x.floor())),
        F::Round => function!(|Value::Float4(x)| Value::Float4(x.round_ties_even())),
        F::Trunc => function!(|Value::Float4(x)| Value::Float4(x.trunc())),
        _ => return None,
    })
}

fn sign(number: f64) -> f64 {
    if number > 0.0 {
        1.0
    } else if number < 0.0 {
        -1.0
    } else {
        0.0
    }
}

fn check_logarithm(number: f64) -> Result<f64> {
    if number == 0.0 {
        return Err(logarithm_of_zero());
    }
    if number < 0.0 {
        return Err(logarithm_of_negative());
    }
    Ok(number)
}

/// The sine, cosine or tangent of an angle that has one.
fn circular(angle: f64, result: f64) -> Result<Value> {
    if angle.is_infinite() {
        return Err(input_out_of_range());
    }
    Ok(Value::Float8(result))
}

fn of_float8(function: F) -> Option<Function> {
    Some(match function {
        F::Abs => float!(|x| Value::Float8(x.abs())),
        F::Sign => float!(|x| Value::Float8(sign(x))),
        F::Ceil => float!(|x| Value::Float8(x.ceil())),
        F::Floor => float!(|x| Value::Float8(x.floor())),
        F::Round => float!(|x| Value::Float8(x.round_ties_even())),
        F::Trunc => float!(|x| Value::Float8(x.trunc())),
        F::Sqrt => float!(|x| {
            if x < 0.0 {
                return Err(negative_root());
            }
            Value::Float8(x.sqrt())
        }),
        F::Cbrt => float!(|x| Value::Float8(x.cbrt())),
        F::Exp => float!(|x| {
            let result = x.exp();
            if result == 0.0 && x.is_finite() {
                return Err(Error::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    "value out of range: underflow",
                ));
            }
            finite(x, result)?
        }),
        F::Ln => float!(|x| Value::Float8(check_logarithm(x)?.ln())),
        F::Log10 | F::Log => float!(|x| Value::Float8(check_logarithm(x)?.log10())),
        F::Degrees => float!(|x| finite(x, x.to_degrees())?),
        F::Radians => float!(|x| finite(x, x.to_radians())?),
        F::Sin => float!(|x| circular(x, x.sin())?),
        F::Cos => float!(|x| circular(x, x.cos())?),
        F::Tan => float!(|x| circular(x, x.tan())?),
        F::Asin => float!(|x| {
            if x.abs() > 1.0 {
                return Err(input_out_of_range());
            }
            Value::Float8(x.asin())
        }),
        F::Acos => float!(|x| {
            if x.abs() > 1.0 {
                return Err(input_out_of_range());
            }
            Value::Float8(x.acos())
        }),
        F::Atan => float!(|x| Value::Float8(x.atan())),
        _ => return None,
    })
}

fn of_decimal(function: F) -> Option<Function> {
    Some(match function {
        F::Abs => decimal!(|x| x.abs()),
        F::Sign => decimal!(|x| Decimal::from(i64::from(x.signum()))),
        F::Ceil => decimal!(|x| x.ceil()),
        F::Floor => decimal!(|x| x.floor()),
        F::Round => decimal!(|x| x.round(0)),
        F::Trunc => decimal!(|x| x.trunc(0)),
        F::Sqrt => decimal!(|x| x.sqrt()?),
        F::Exp => decimal!(|x| x.exp()?),
        F::Ln => decimal!(|x| x.ln()?),
        F::Log10 | F::Log => decimal!(|x| x.log(&Decimal::from(10_i64))?),
        _ => return None,
    })
}

/// Places of `round` and `trunc`, at most 2000 either way.
fn places(value: &Value) -> i32 {
    value.as_integer().unwrap_or(0).clamp(-2_000, 2_000) as i32
}

macro_rules! integer_pair {
    ($type:expr, |$a:ident, $b:ident| $result:expr) => {
        match $type {
            T::Int1 => Some(function!(|Value::Int1(a), Value::Int1(b)| {
                let ($a, $b) = (i128::from(*a), i128::from(*b));
                Value::Int1(i8::try_from($result).map_err(|_| out_of_range("int1"))?)
            })),
            T::Int2 => Some(function!(|Value::Int2(a), Value::Int2(b)| {
                let ($a, $b) = (i128::from(*a), i128::from(*b));
                Value::Int2(i16::try_from($result).map_err(|_| out_of_range("smallint"))?)
            })),
            T::Int4 => Some(function!(|Value::Int4(a), Value::Int4(b)| {
                let ($a, $b) = (i128::from(*a), i128::from(*b));
                Value::Int4(i32::try_from($result).map_err(|_| out_of_range("integer"))?)
            })),
            T::Int8 => Some(function!(|Value::Int8(a), Value::Int8(b)| {
                let ($a, $b) = (i128::from(*a), i128::from(*b));
                Value::Int8(i64::try_from($result).map_err(|_| out_of_range("bigint"))?)
            })),
            _ => None,
        }
    };
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn quotient(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return Err(division_by_zero());
    }
    Ok(a / b)
}

fn remainder(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return Err(division_by_zero());
    }
    Ok(a % b)
}

fn of_two(function: F, first: T, second: T) -> Option<Function> {
    if first.is_integer() && first == second {
        return match function {
            F::Mod => integer_pair!(first, |a, b| remainder(a, b)?),
            F::Div => integer_pair!(first, |a, b| quotient(a, b)?),
            F::Gcd => integer_pair!(first, |a, b| gcd(a, b)),
            F::Lcm => integer_pair!(first, |a, b| {
                let divisor = gcd(a, b);
                if divisor == 0 {
                    0
                } else {
                    (a / divisor * b).abs()
                }
            }),
            _ => None,
        };
    }
    match (function, first, second) {
        (F::Round, T::Decimal(_), places_type) if places_type.is_integer() => Some(function!(
            |Value::Decimal(x), by| Value::Decimal(x.round(places(by)))
        )),
        (F::Trunc, T::Decimal(_), places_type) if places_type.is_integer() => Some(function!(
            |Value::Decimal(x), by| Value::Decimal(x.trunc(places(by)))
        )),
        (_, T::Decimal(_), T::Decimal(_)) => Some(match function {
            F::Mod => function!(|left, right| arithmetic::modulo_decimal(left, right)?),
            F::Power => function!(|left, right| arithmetic::power_decimal(left, right)?),
            F::Div => function!(|Value::Decimal(a), Value::Decimal(b)| {
                Value::Decimal(a.checked_div_truncated(b)?)
            }),
            F::Gcd => function!(|Value::Decimal(a), Value::Decimal(b)| Value::Decimal(a.gcd(b)?)),
            F::Lcm => function!(|Value::Decimal(a), Value::Decimal(b)| Value::Decimal(a.lcm(b)?)),
            F::Log => function!(|Value::Decimal(base), Value::Decimal(x)| {
                Value::Decimal(x.log(base)?)
            }),
            _ => return None,
        }),
        (_, T::Float8, T::Float8) => Some(match function {
            F::Power => function!(|left, right| arithmetic::power_float8(left, right)?),
            F::Atan2 => {
                function!(|Value::Float8(y), Value::Float8(x)| Value::Float8(y.atan2(*x)))
            }
            _ => return None,
        }),
        _ => None,
    }
}

fn invalid_bucket(message: &str) -> Error {
    // 2201G: invalid_argument_for_width_bucket_function
    Error::new(SqlState("2201G"), message)
}

fn bucket_count(count: &Value) -> Result<i32> {
    let count = count.as_integer().unwrap_or(0);
    if count <= 0 {
        return Err(invalid_bucket("count must be greater than zero"));
    }
    i32::try_from(count).map_err(|_| out_of_range("integer"))
}

fn bucket(number: i64) -> Result<Value> {
    i32::try_from(number)
        .map(Value::Int4)
        .map_err(|_| out_of_range("integer"))
}

fn width_bucket_float(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [
        Value::Float8(operand),
        Value::Float8(low),
        Value::Float8(high),
        count,
    ] = values
    else {
        return Err(mismatch(values));
    };
    let count = bucket_count(count)?;
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid_bucket(
            "operand, lower bound, and upper bound cannot be NaN",
        ));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid_bucket("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(invalid_bucket("lower bound cannot equal upper bound"));
    }
    let (outside_low, outside_high) = if low < high {
        (operand < low, operand >= high)
    } else {
        (operand > low, operand <= high)
    };
    if outside_low {
        return bucket(0);
    }
    if outside_high {
        return bucket(i64::from(count) + 1);
    }
    // Halved, so that the width of the whole range is finite.
    let share = (operand / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    let number = (share * f64::from(count)) as i64;
    bucket(number.min(i64::from(count) - 1) + 1)
}

fn width_bucket_decimal(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [
        Value::Decimal(operand),
        Value::Decimal(low),
        Value::Decimal(high),
        count,
    ] = values
    else {
        return Err(mismatch(values));
    };
    let count = bucket_count(count)?;
    if low == high {
        return Err(invalid_bucket("lower bound cannot equal upper bound"));
    }
    let (outside_low, outside_high) = if low < high {
        (operand < low, operand >= high)
    } else {
        (operand > low, operand <= high)
    };
    if outside_low {
        return bucket(0);
    }
    if outside_high {
        return bucket(i64::from(count) + 1);
    }
    let distance = operand.checked_sub(low)?.abs();
    let width = high.checked_sub(low)?.abs();
    let number = distance
        .checked_mul(&Decimal::from(i64::from(count)))?
        .checked_div_truncated(&width)?;
    bucket(number.round_to_i64().unwrap_or(i64::MAX - 1) + 1)
}
