//! `date_bin`, `isfinite`, `OVERLAPS`, and clocks that go on (PostgreSQL 9.9).

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, date_arithmetic::timestamp_out_of_range},
    types::{
        DataType as T, Interval, Value,
        calendar::{
            DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY,
            TIMESTAMP_NEGATIVE_INFINITY, is_valid_timestamp,
        },
    },
};

/// Whether a function sees NULL arguments.
pub(super) fn sees_null(function: F) -> bool {
    function == F::Overlaps
}

fn is_finite(micros: i64) -> Value {
    Value::Boolean(!matches!(
        micros,
        TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY
    ))
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::IsFinite, [T::Date]) => function!(|Value::Date(days)| {
            Value::Boolean(!matches!(*days, DATE_INFINITY | DATE_NEGATIVE_INFINITY))
        }),
        (F::IsFinite, [T::Timestamp]) => {
            function!(|Value::Timestamp(micros)| is_finite(*micros))
        }
        (F::IsFinite, [T::TimestampTz]) => {
            function!(|Value::TimestampTz(micros)| is_finite(*micros))
        }
        (F::IsFinite, [T::Interval]) => {
            function!(|Value::Interval(_interval)| Value::Boolean(true))
        }
        (F::DateBin, [T::Interval, T::Timestamp, T::Timestamp]) => {
            function!(
                |Value::Interval(stride), Value::Timestamp(at), Value::Timestamp(origin)| {
                    Value::Timestamp(bin(stride, *at, *origin)?)
                }
            )
        }
        (F::DateBin, [T::Interval, T::TimestampTz, T::TimestampTz]) => {
            function!(|Value::Interval(stride),
                       Value::TimestampTz(at),
                       Value::TimestampTz(origin)| {
                Value::TimestampTz(bin(stride, *at, *origin)?)
            })
        }
        (F::Overlaps, [_, _, _, _]) => |values, _| overlaps(values),
        _ => return None,
    })
}

/// The beginning of the stride that a moment is in.
fn bin(stride: &Interval, at: i64, origin: i64) -> Result<i64> {
    let infinite = |micros| matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY);
    if infinite(at) {
        return Ok(at);
    }
    if infinite(origin) {
        return Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "origin out of range",
        ));
    }
    if stride.months != 0 {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let stride = i64::from(stride.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(timestamp_out_of_range)?;
    if stride <= 0 {
        return Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "stride must be greater than zero",
        ));
    }
    let difference = at
        .checked_sub(origin)
        .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
    difference
        .div_euclid(stride)
        .checked_mul(stride)
        .and_then(|bins| bins.checked_add(origin))
        .filter(|bin| is_valid_timestamp(*bin))
        .ok_or_else(timestamp_out_of_range)
}

/// `(a, b) OVERLAPS (c, d)`: periods without their ends, in either order, NULL unknown
/// (SQL-92 8.11).
fn overlaps(values: &[Value]) -> Result<Value> {
    let [a, b, c, d] = values else {
        return Err(mismatch(values));
    };
    // The earlier end of each first; of NULL and a value the value.
    fn ordered<'a>(first: &'a Value, second: &'a Value) -> Option<(&'a Value, &'a Value)> {
        match (first.is_null(), second.is_null()) {
            (true, true) => None,
            (true, false) => Some((second, first)),
            (false, true) => Some((first, second)),
            (false, false) if first.compare(second).is_gt() => Some((second, first)),
            (false, false) => Some((first, second)),
        }
    }
    let (Some((start, end)), Some((other_start, other_end))) = (ordered(a, b), ordered(c, d))
    else {
        return Ok(Value::Null);
    };
    Ok(match start.compare(other_start) {
        std::cmp::Ordering::Equal => {
            if end.is_null() || other_end.is_null() {
                Value::Null
            } else {
                Value::Boolean(true)
            }
        }
        // The later beginning must lie before the end of the earlier period.
        std::cmp::Ordering::Greater => within(start, other_end, end),
        std::cmp::Ordering::Less => within(other_start, end, other_end),
    })
}

fn within(later_start: &Value, earlier_end: &Value, later_end: &Value) -> Value {
    if earlier_end.is_null() {
        return Value::Null;
    }
    if later_start.compare(earlier_end).is_lt() {
        return Value::Boolean(true);
    }
    if later_end.is_null() {
        return Value::Null;
    }
    Value::Boolean(false)
}
