//! Arithmetic on dates, times and intervals.

use super::{
    EvalContext,
    arithmetic::{Binary, division_by_zero, mismatch},
    functions::Function,
    internal,
};
use crate::{
    Error, Result, SqlState,
    bound::BinaryOp,
    types::{
        DataType, Interval, TimeZone, Value,
        calendar::{
            Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY,
            TIMESTAMP_NEGATIVE_INFINITY, add_months, days_from_civil, is_valid_date,
            is_valid_timestamp,
        },
        date_timestamp,
    },
};

#[cold]
pub(super) fn timestamp_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

#[cold]
fn date_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

#[cold]
pub(super) fn interval_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

pub(super) fn is_infinite(timestamp: i64) -> bool {
    matches!(timestamp, TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY)
}

fn is_infinite_date(days: i32) -> bool {
    matches!(days, DATE_INFINITY | DATE_NEGATIVE_INFINITY)
}

/// The date so many days later.
pub(super) fn add_days(date: i32, days: i64) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    i64::from(date)
        .checked_add(days)
        .filter(|days| is_valid_date(*days))
        .map(|days| days as i32)
        .ok_or_else(date_out_of_range)
}

/// The timestamp so much later: months first (the day clamped to the month), then days, then
/// microseconds.
pub(super) fn add_interval(timestamp: i64, interval: &Interval) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let mut result = Some(timestamp);
    if interval.months != 0 {
        let civil = Civil::from_timestamp(timestamp);
        let (year, month, day) =
            add_months(civil.year, civil.month, civil.day, interval.months.into());
        result = days_from_civil(year, month.into(), day.into())
            .checked_mul(MICROS_PER_DAY)
            .and_then(|micros| micros.checked_add(civil.micros));
    }
    result
        .and_then(|micros| micros.checked_add(i64::from(interval.days) * MICROS_PER_DAY))
        .and_then(|micros| micros.checked_add(interval.micros))
        .filter(|timestamp| is_valid_timestamp(*timestamp))
        .ok_or_else(timestamp_out_of_range)
}

/// As [`add_interval`] for an instant: months and days move the clocks of the zone, hours the
/// instant.
pub(super) fn add_interval_zoned(
    instant: i64,
    interval: &Interval,
    zone: &TimeZone,
) -> Result<i64> {
    if is_infinite(instant) {
        return Ok(instant);
    }
    let mut result = instant;
    if interval.months != 0 || interval.days != 0 {
        let calendar_part = Interval {
            micros: 0,
            ..*interval
        };
        result = zone.to_utc(add_interval(zone.to_local(instant), &calendar_part)?);
    }
    result
        .checked_add(interval.micros)
        .filter(|instant| is_valid_timestamp(*instant))
        .ok_or_else(timestamp_out_of_range)
}

/// The timestamp an interval later; with a zone, by the zone's calendar.
pub(crate) fn step_timestamp(
    timestamp: i64,
    interval: &Interval,
    zone: Option<&TimeZone>,
) -> Result<i64> {
    match zone {
        Some(zone) => add_interval_zoned(timestamp, interval, zone),
        None => add_interval(timestamp, interval),
    }
}

pub(super) fn negated(interval: &Interval) -> Result<Interval> {
    match (
        interval.months.checked_neg(),
        interval.days.checked_neg(),
        interval.micros.checked_neg(),
    ) {
        (Some(months), Some(days), Some(micros)) => Ok(Interval {
            months,
            days,
            micros,
        }),
        _ => Err(interval_out_of_range()),
    }
}

pub(super) fn add_intervals(left: &Interval, right: &Interval) -> Result<Interval> {
    match (
        left.months.checked_add(right.months),
        left.days.checked_add(right.days),
        left.micros.checked_add(right.micros),
    ) {
        (Some(months), Some(days), Some(micros)) => Ok(Interval {
            months,
            days,
            micros,
        }),
        _ => Err(interval_out_of_range()),
    }
}

/// Rounded to microseconds, as fractions of seconds are between steps.
fn round_micro(seconds: f64) -> f64 {
    (seconds * 1e6).round_ties_even() / 1e6
}

fn whole_i32(number: f64) -> Result<i32> {
    if number.is_nan() || number < f64::from(i32::MIN) || number > f64::from(i32::MAX) {
        return Err(interval_out_of_range());
    }
    Ok(number as i32)
}

/// The interval times `factor`. What is not a whole month spills into days of 30 to the month,
/// what is not a whole day into seconds.
pub(super) fn scale_interval(interval: &Interval, factor: f64) -> Result<Interval> {
    scale_by(interval, |field| field * factor)
}

pub(super) fn divide_interval(interval: &Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    scale_by(interval, |field| field / divisor)
}

fn scale_by(interval: &Interval, scale: impl Fn(f64) -> f64) -> Result<Interval> {
    let scaled_months = scale(f64::from(interval.months));
    let scaled_days = scale(f64::from(interval.days));
    let months = whole_i32(scaled_months)?;
    let mut days = whole_i32(scaled_days)?;
    let spilled_days = round_micro((scaled_months - f64::from(months)) * 30.0);
    let mut seconds = round_micro(
        (scaled_days - f64::from(days) + spilled_days - spilled_days.trunc()) * 86_400.0,
    );
    if seconds.abs() >= 86_400.0 {
        let more = whole_i32(seconds / 86_400.0)?;
        days = days.checked_add(more).ok_or_else(interval_out_of_range)?;
        seconds -= f64::from(more) * 86_400.0;
    }
    days = days
        .checked_add(whole_i32(spilled_days)?)
        .ok_or_else(interval_out_of_range)?;
    let micros = (scale(interval.micros as f64) + seconds * 1e6).round_ties_even();
    let micros = Some(micros)
        .filter(|micros| micros.abs() < 9.2e18)
        .ok_or_else(interval_out_of_range)? as i64;
    Ok(Interval {
        months,
        days,
        micros,
    })
}

/// The difference of two timestamps, in days and time.
pub(super) fn subtract_timestamps(left: i64, right: i64) -> Result<Interval> {
    if is_infinite(left) || is_infinite(right) {
        return Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let micros = left.checked_sub(right).ok_or_else(interval_out_of_range)?;
    justify_hours(&Interval {
        micros,
        ..Interval::default()
    })
}

/// Whole 24-hour spans become days.
pub(super) fn justify_hours(interval: &Interval) -> Result<Interval> {
    let mut days = i64::from(interval.days) + interval.micros / MICROS_PER_DAY;
    let mut micros = interval.micros % MICROS_PER_DAY;
    if days > 0 && micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= MICROS_PER_DAY;
        days += 1;
    }
    Ok(Interval {
        months: interval.months,
        days: i32::try_from(days).map_err(|_| interval_out_of_range())?,
        micros,
    })
}

/// Whole 30-day spans become months.
pub(super) fn justify_days(interval: &Interval) -> Result<Interval> {
    let mut months = i64::from(interval.months) + i64::from(interval.days / 30);
    let mut days = interval.days % 30;
    if months > 0 && days < 0 {
        days += 30;
        months -= 1;
    } else if months < 0 && days > 0 {
        days -= 30;
        months += 1;
    }
    Ok(Interval {
        months: i32::try_from(months).map_err(|_| interval_out_of_range())?,
        days,
        micros: interval.micros,
    })
}

/// Both adjustments, and all fields of one sign.
pub(super) fn justify_interval(interval: &Interval) -> Result<Interval> {
    let mut result = justify_days(&justify_hours(interval)?)?;
    if result.months > 0 && (result.days < 0 || (result.days == 0 && result.micros < 0)) {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && (result.days > 0 || (result.days == 0 && result.micros > 0)) {
        result.days -= 30;
        result.months += 1;
    }
    if result.days > 0 && result.micros < 0 {
        result.micros += MICROS_PER_DAY;
        result.days -= 1;
    } else if result.days < 0 && result.micros > 0 {
        result.micros -= MICROS_PER_DAY;
        result.days += 1;
    }
    Ok(result)
}

pub(super) fn negate_interval(value: &Value) -> Result<Value> {
    match value {
        Value::Interval(interval) => negated(interval).map(Value::Interval),
        _ => Err(mismatch(value, value)),
    }
}

fn add(left: &Value, right: &Value) -> Result<Value> {
    Ok(match (left, right) {
        (Value::Date(date), other) | (other, Value::Date(date)) if other.as_integer().is_some() => {
            Value::Date(add_days(*date, other.as_integer().unwrap_or(0))?)
        }
        (Value::Date(date), Value::Interval(interval))
        | (Value::Interval(interval), Value::Date(date)) => {
            Value::Timestamp(add_interval(date_timestamp(*date)?, interval)?)
        }
        (Value::Date(date), Value::Time(time)) | (Value::Time(time), Value::Date(date)) => {
            let midnight = date_timestamp(*date)?;
            let span = Interval {
                micros: *time,
                ..Interval::default()
            };
            Value::Timestamp(add_interval(midnight, &span)?)
        }
        (Value::Timestamp(timestamp), Value::Interval(interval))
        | (Value::Interval(interval), Value::Timestamp(timestamp)) => {
            Value::Timestamp(add_interval(*timestamp, interval)?)
        }
        (Value::TimeTz(time), Value::Interval(interval))
        | (Value::Interval(interval), Value::TimeTz(time)) => {
            Value::TimeTz(time.with_micros(time.micros() + interval.micros % MICROS_PER_DAY))
        }
        (Value::Date(date), Value::TimeTz(time)) | (Value::TimeTz(time), Value::Date(date)) => {
            let span = Interval {
                micros: time.utc_micros(),
                ..Interval::default()
            };
            Value::TimestampTz(add_interval(date_timestamp(*date)?, &span)?)
        }
        (Value::Time(time), Value::Interval(interval))
        | (Value::Interval(interval), Value::Time(time)) => {
            Value::Time(shift_time(*time, interval.micros))
        }
        (Value::Interval(left), Value::Interval(right)) => {
            Value::Interval(add_intervals(left, right)?)
        }
        _ => return Err(mismatch(left, right)),
    })
}

/// A time of day moved round the clock.
fn shift_time(time: i64, by: i64) -> i64 {
    (time + by % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY)
}

fn subtract(left: &Value, right: &Value) -> Result<Value> {
    Ok(match (left, right) {
        (Value::Date(left), Value::Date(right)) => {
            if is_infinite_date(*left) || is_infinite_date(*right) {
                return Err(Error::new(
                    SqlState::DATETIME_FIELD_OVERFLOW,
                    "cannot subtract infinite dates",
                ));
            }
            // Valid dates are less than 2^32 days apart, but may be more than 2^31.
            let days = i64::from(*left) - i64::from(*right);
            Value::Int4(i32::try_from(days).map_err(|_| date_out_of_range())?)
        }
        (Value::Date(date), days) if days.as_integer().is_some() => {
            let days = days.as_integer().unwrap_or(0);
            Value::Date(add_days(
                *date,
                days.checked_neg().ok_or_else(date_out_of_range)?,
            )?)
        }
        (Value::Date(date), Value::Interval(interval)) => {
            Value::Timestamp(add_interval(date_timestamp(*date)?, &negated(interval)?)?)
        }
        (Value::Timestamp(timestamp), Value::Interval(interval)) => {
            Value::Timestamp(add_interval(*timestamp, &negated(interval)?)?)
        }
        (Value::Timestamp(left), Value::Timestamp(right))
        | (Value::TimestampTz(left), Value::TimestampTz(right)) => {
            Value::Interval(subtract_timestamps(*left, *right)?)
        }
        (Value::Time(left), Value::Time(right)) => Value::Interval(Interval {
            micros: left - right,
            ..Interval::default()
        }),
        (Value::TimeTz(time), Value::Interval(interval)) => {
            Value::TimeTz(time.with_micros(time.micros() - interval.micros % MICROS_PER_DAY))
        }
        (Value::Time(time), Value::Interval(interval)) => {
            Value::Time(shift_time(*time, -(interval.micros % MICROS_PER_DAY)))
        }
        (Value::Interval(left), Value::Interval(right)) => {
            Value::Interval(add_intervals(left, &negated(right)?)?)
        }
        _ => return Err(mismatch(left, right)),
    })
}

fn multiply(left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Interval(interval), Value::Float8(factor))
        | (Value::Float8(factor), Value::Interval(interval)) => {
            scale_interval(interval, *factor).map(Value::Interval)
        }
        _ => Err(mismatch(left, right)),
    }
}

fn divide(left: &Value, right: &Value) -> Result<Value> {
    match (left, right) {
        (Value::Interval(interval), Value::Float8(divisor)) => {
            divide_interval(interval, *divisor).map(Value::Interval)
        }
        _ => Err(mismatch(left, right)),
    }
}

/// The operator for two operand types, where there is one that needs no time zone.
pub(super) fn resolve(op: BinaryOp, left: DataType, right: DataType) -> Option<Binary> {
    use DataType::{
        Date, Float8, Int1, Int2, Int4, Int8, Interval, Time, TimeTz, Timestamp, TimestampTz,
    };
    match (op, left, right) {
        (BinaryOp::Add, Date, Int1 | Int2 | Int4 | Int8 | Interval | Time | TimeTz)
        | (BinaryOp::Add, Int1 | Int2 | Int4 | Int8, Date)
        | (BinaryOp::Add, Timestamp | Time | TimeTz | Interval, Interval)
        | (BinaryOp::Add, Interval, Date | Timestamp | Time | TimeTz)
        | (BinaryOp::Add, Time | TimeTz, Date) => Some(add),
        (BinaryOp::Subtract, Date, Date | Int1 | Int2 | Int4 | Int8 | Interval)
        | (BinaryOp::Subtract, Timestamp, Timestamp | Interval)
        | (BinaryOp::Subtract, TimestampTz, TimestampTz)
        | (BinaryOp::Subtract, Time, Time | Interval)
        | (BinaryOp::Subtract, TimeTz, Interval)
        | (BinaryOp::Subtract, Interval, Interval) => Some(subtract),
        (BinaryOp::Multiply, Interval, Float8) | (BinaryOp::Multiply, Float8, Interval) => {
            Some(multiply)
        }
        (BinaryOp::Divide, Interval, Float8) => Some(divide),
        _ => None,
    }
}

/// The operators that the session's time zone matters to.
pub(super) fn resolve_zoned(op: BinaryOp, left: DataType, right: DataType) -> Option<Function> {
    match (op, left, right) {
        (BinaryOp::Add, DataType::TimestampTz, DataType::Interval)
        | (BinaryOp::Add, DataType::Interval, DataType::TimestampTz) => Some(add_zoned),
        (BinaryOp::Subtract, DataType::TimestampTz, DataType::Interval) => Some(subtract_zoned),
        _ => None,
    }
}

fn add_zoned(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    match values {
        [Value::TimestampTz(instant), Value::Interval(interval)]
        | [Value::Interval(interval), Value::TimestampTz(instant)] => {
            add_interval_zoned(*instant, interval, &context.session.style.time_zone)
                .map(Value::TimestampTz)
        }
        _ => Err(internal("operands of a time zone operator")),
    }
}

fn subtract_zoned(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    match values {
        [Value::TimestampTz(instant), Value::Interval(interval)] => add_interval_zoned(
            *instant,
            &negated(interval)?,
            &context.session.style.time_zone,
        )
        .map(Value::TimestampTz),
        _ => Err(internal("operands of a time zone operator")),
    }
}
