//! Factorials, scales and bits of numbers and byte strings.

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, arithmetic::out_of_range},
    types::{DataType as T, Decimal, Value},
};

/// As large as a factorial may be asked for: its digits fit a numeric.
const LARGEST_FACTORIAL: i64 = 32_177;

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::Factorial, [T::Int8]) => factorial,
        (F::Scale, [T::Decimal(_)]) => {
            function!(|Value::Decimal(x)| Value::Int4(x.scale().into()))
        }
        (F::MinScale, [T::Decimal(_)]) => {
            function!(|Value::Decimal(x)| Value::Int4(least_scale(x).into()))
        }
        (F::TrimScale, [T::Decimal(_)]) => {
            function!(|Value::Decimal(x)| Value::Decimal(x.trunc(least_scale(x).into())))
        }
        (F::BitCount, [T::Bytea]) => function!(|Value::Bytea(bytes)| {
            Value::Int8(bytes.iter().map(|byte| i64::from(byte.count_ones())).sum())
        }),
        (F::GetByte, [T::Bytea, _]) => function!(|Value::Bytea(bytes), at| {
            Value::Int4(bytes[byte_at(bytes, at, 1)?].into())
        }),
        (F::GetBit, [T::Bytea, _]) => function!(|Value::Bytea(bytes), at| {
            let byte = bytes[byte_at(bytes, at, 8)?];
            Value::Int4((byte >> (at.as_integer().unwrap_or(0) % 8) & 1).into())
        }),
        (F::SetByte, [T::Bytea, _, _]) => function!(|Value::Bytea(bytes), at, new| {
            let mut bytes = bytes.clone();
            let place = byte_at(&bytes, at, 1)?;
            bytes[place] = new.as_integer().unwrap_or(0) as u8;
            Value::Bytea(bytes)
        }),
        (F::SetBit, [T::Bytea, _, _]) => function!(|Value::Bytea(bytes), at, new| {
            let mut bytes = bytes.clone();
            let place = byte_at(&bytes, at, 8)?;
            let mask = 1u8 << (at.as_integer().unwrap_or(0) % 8);
            match new.as_integer() {
                Some(0) => bytes[place] &= !mask,
                Some(1) => bytes[place] |= mask,
                _ => {
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "new bit must be 0 or 1",
                    ));
                }
            }
            Value::Bytea(bytes)
        }),
        (F::NumNulls, _) => |values, _| Ok(count(values, true)),
        (F::NumNonNulls, _) => |values, _| Ok(count(values, false)),
        _ => return None,
    })
}

fn count(values: &[Value], nulls: bool) -> Value {
    let found = values.iter().filter(|value| value.is_null() == nulls);
    Value::Int4(i32::try_from(found.count()).unwrap_or(i32::MAX))
}

fn factorial(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Int8(number)] = values else {
        return Err(mismatch(values));
    };
    if *number < 0 {
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "factorial of a negative number is undefined",
        ));
    }
    if *number > LARGEST_FACTORIAL {
        return Err(out_of_range("numeric"));
    }
    let mut product = num_bigint::BigInt::from(1);
    for factor in 2..=*number {
        product *= factor;
    }
    Decimal::from_parts(product, 0).map(Value::Decimal)
}

/// The least scale that loses nothing.
fn least_scale(number: &Decimal) -> u16 {
    let text = number.to_string();
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    u16::try_from(fraction.trim_end_matches('0').len()).unwrap_or(u16::MAX)
}

/// The place of the byte that a position names, counted in parts of a byte.
fn byte_at(bytes: &[u8], at: &Value, parts: i64) -> Result<usize> {
    let at = at.as_integer().unwrap_or(-1);
    usize::try_from(at.div_euclid(parts))
        .ok()
        .filter(|place| at >= 0 && *place < bytes.len())
        .ok_or_else(|| {
            Error::new(
                // array_subscript_error
                SqlState("2202E"),
                format!(
                    "index {at} out of valid range, 0..{}",
                    bytes.len() as i64 * parts - 1
                ),
            )
        })
}
