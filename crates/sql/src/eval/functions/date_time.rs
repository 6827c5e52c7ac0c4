//! Functions of dates, times and intervals.

use super::{Function, extract, function, mismatch, to_char, to_date::read, to_number};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{
        EvalContext,
        date_arithmetic::{
            interval_out_of_range, is_infinite, justify_days, justify_hours, justify_interval,
            timestamp_out_of_range,
        },
    },
    types::{
        DataType as T, Decimal, Interval, TimeTz, TimeZone, Value,
        calendar::{
            Civil, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
            TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, days_from_civil, days_in_month,
            is_valid_date, is_valid_timestamp,
        },
        date_timestamp,
    },
};

fn local_now(context: &EvalContext<'_>) -> i64 {
    context
        .session
        .style
        .time_zone
        .to_local(context.transaction_time)
}

fn is_date_time(of: T) -> bool {
    matches!(
        of,
        T::Date | T::Time | T::TimeTz | T::Timestamp | T::TimestampTz | T::Interval
    )
}

/// Rounds a time to so many fraction digits.
fn with_precision(micros: i64, digits: &[Value]) -> i64 {
    let digits = digits.first().and_then(Value::as_integer).unwrap_or(6);
    let unit = 10_i64.pow(6 - digits.clamp(0, 6) as u32);
    let down = micros.div_euclid(unit) * unit;
    if (micros - down) * 2 >= unit && unit > 1 {
        down + unit
    } else {
        down
    }
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    let optional_integer = types.is_empty() || (types.len() == 1 && types[0].is_integer());
    Some(match (function, types) {
        (F::Now | F::CurrentTimestamp, _) if optional_integer => |values, context| {
            Ok(Value::TimestampTz(with_precision(
                context.transaction_time,
                values,
            )))
        },
        (F::CurrentDate, []) => function!(context, || {
            Value::Date(Civil::from_timestamp(local_now(context)).days as i32)
        }),
        (F::CurrentTime, _) if optional_integer => |values, context| {
            let zone = &context.session.style.time_zone;
            let now = context.transaction_time;
            let micros = with_precision(Civil::from_timestamp(zone.to_local(now)).micros, values);
            Ok(TimeTz::new(micros, zone.offset_at(now)).map_or(Value::Null, Value::TimeTz))
        },
        (F::LocalTime, _) if optional_integer => |values, context| {
            let time = Civil::from_timestamp(local_now(context)).micros;
            Ok(Value::Time(with_precision(time, values)))
        },
        (F::LocalTimestamp, _) if optional_integer => {
            |values, context| Ok(Value::Timestamp(with_precision(local_now(context), values)))
        }
        (F::RoundTime, [_, T::Int4]) => |values, _| {
            let [time, Value::Int4(digits)] = values else {
                return Err(mismatch(values));
            };
            Ok(time.clone().rounded(u8::try_from(*digits).unwrap_or(6)))
        },
        (F::Extract, [field, of]) if field.is_string() && is_date_time(*of) => {
            function!(context, |Value::Text(field), value| {
                extract::extract(field, value, &context.session.style.time_zone)?
                    .map_or(Value::Null, Value::Decimal)
            })
        }
        (F::DatePart, [field, of]) if field.is_string() && is_date_time(*of) => date_part,
        (F::DateTrunc, [field, T::Date | T::Timestamp | T::TimestampTz | T::Interval])
            if field.is_string() =>
        {
            date_trunc
        }
        (F::DateTrunc, [field, T::TimestampTz, zone]) if field.is_string() && zone.is_string() => {
            function!(
                |Value::Text(field), Value::TimestampTz(instant), Value::Text(zone)| {
                    trunc_zoned(field, *instant, &TimeZone::named(zone)?)?
                }
            )
        }
        (F::Age, [T::Timestamp, T::Timestamp]) => {
            function!(|Value::Timestamp(a), Value::Timestamp(b)| Value::Interval(age(*a, *b)?))
        }
        (F::Age, [T::TimestampTz, T::TimestampTz]) => {
            function!(context, |Value::TimestampTz(a), Value::TimestampTz(b)| {
                let zone = &context.session.style.time_zone;
                Value::Interval(age(zone.to_local(*a), zone.to_local(*b))?)
            })
        }
        (F::Age, [T::Date, T::Date]) => function!(|Value::Date(a), Value::Date(b)| {
            Value::Interval(age(date_timestamp(*a)?, date_timestamp(*b)?)?)
        }),
        (F::Age, [T::Timestamp | T::TimestampTz | T::Date]) => age_today,
        (F::MakeDate, [_, _, _]) if types.iter().all(|of| of.is_integer()) => {
            function!(|year, month, day| {
                Value::Date(make_date(number(year), number(month), number(day))?)
            })
        }
        (F::MakeTime, [hour, minute, T::Float8]) if hour.is_integer() && minute.is_integer() => {
            function!(|hour, minute, Value::Float8(second)| {
                Value::Time(make_time(number(hour), number(minute), *second)?)
            })
        }
        (F::MakeTimestamp, [fields @ .., T::Float8])
            if fields.len() == 5 && fields.iter().all(|of| of.is_integer()) =>
        {
            make_timestamp
        }
        (F::MakeInterval, _)
            if types.len() <= 7
                && types.iter().take(6).all(|of| of.is_integer())
                && types
                    .get(6)
                    .is_none_or(|of| of.is_integer() || *of == T::Float8) =>
        {
            make_interval
        }
        (F::ToTimestamp, [T::Float8]) => {
            function!(|Value::Float8(seconds)| Value::TimestampTz(from_epoch(*seconds)?))
        }
        (F::ToTimestamp, [text, format]) if text.is_string() && format.is_string() => {
            function!(context, |Value::Text(text), Value::Text(format)| {
                Value::TimestampTz(read(text, format)?.instant(&context.session.style.time_zone)?)
            })
        }
        (F::ToDate, [text, format]) if text.is_string() && format.is_string() => {
            function!(|Value::Text(text), Value::Text(format)| {
                Value::Date(read(text, format)?.date()? as i32)
            })
        }
        (F::AtTimeZone, [zone, T::Timestamp | T::TimestampTz | T::TimeTz])
        | (F::AtTimeZone, [T::Timestamp | T::TimestampTz | T::TimeTz, zone])
            if zone.is_string() || *zone == T::Interval =>
        {
            at_time_zone
        }
        (F::JustifyHours, [T::Interval]) => {
            function!(|Value::Interval(interval)| Value::Interval(justify_hours(interval)?))
        }
        (F::JustifyDays, [T::Interval]) => {
            function!(|Value::Interval(interval)| Value::Interval(justify_days(interval)?))
        }
        (F::JustifyInterval, [T::Interval]) => {
            function!(|Value::Interval(interval)| Value::Interval(justify_interval(interval)?))
        }
        (F::ToChar, [of, format]) if format.is_string() => match of {
            T::Date | T::Time | T::Timestamp | T::TimestampTz | T::Interval => date_to_char,
            number if number.is_numeric() => number_to_char,
            _ => return None,
        },
        (F::ToNumber, [text, format]) if text.is_string() && format.is_string() => {
            function!(|Value::Text(text), Value::Text(format)| {
                Value::Decimal(to_number::read(text, format)?)
            })
        }
        _ => return None,
    })
}

fn number(value: &Value) -> i64 {
    value.as_integer().unwrap_or(0)
}

fn date_part(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let [Value::Text(field), value] = values else {
        return Err(mismatch(values));
    };
    if let Some(infinite) = extract::infinite_part(field, value) {
        return Ok(Value::Float8(infinite));
    }
    match extract::extract(field, value, &context.session.style.time_zone)? {
        Some(number) => number.to_f64().map(Value::Float8),
        None => Ok(Value::Null),
    }
}

fn date_trunc(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    match values {
        [Value::Text(field), value @ Value::Timestamp(local)] => {
            extract::truncate(field, value, *local).map(Value::Timestamp)
        }
        [Value::Text(field), Value::TimestampTz(instant)] => {
            trunc_zoned(field, *instant, &context.session.style.time_zone)
        }
        // A date is taken for its midnight in the session's zone.
        [Value::Text(field), Value::Date(days)] => {
            let zone = &context.session.style.time_zone;
            trunc_zoned(field, zone.to_utc(date_timestamp(*days)?), zone)
        }
        [Value::Text(field), Value::Interval(interval)] => {
            extract::truncate_interval(field, interval).map(Value::Interval)
        }
        _ => Err(mismatch(values)),
    }
}

fn trunc_zoned(field: &str, instant: i64, zone: &TimeZone) -> Result<Value> {
    let value = Value::TimestampTz(instant);
    let local = zone.to_local(instant);
    let cut = extract::truncate(field, &value, local)?;
    // Of an hour that the clocks show twice each is cut in itself.
    Ok(Value::TimestampTz(
        if extract::is_within_day(field, &value)? {
            instant.saturating_sub(local.saturating_sub(cut))
        } else {
            zone.to_utc(cut)
        },
    ))
}

/// The difference in years, months, days and time, as one counts ages.
fn age(later: i64, earlier: i64) -> Result<Interval> {
    if is_infinite(later) || is_infinite(earlier) {
        return Err(timestamp_out_of_range());
    }
    let negative = later < earlier;
    let (from, to) = if negative {
        (later, earlier)
    } else {
        (earlier, later)
    };
    let (start, end) = (Civil::from_timestamp(from), Civil::from_timestamp(to));
    let mut micros = end.micros - start.micros;
    let mut days = i64::from(end.day) - i64::from(start.day);
    let mut months = (end.year - start.year) * 12 + i64::from(end.month) - i64::from(start.month);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        // The month that is borrowed from is the earlier date's.
        days += i64::from(days_in_month(start.year, start.month));
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Interval {
        months: i32::try_from(months * sign).map_err(|_| interval_out_of_range())?,
        days: (days * sign) as i32,
        micros: micros * sign,
    })
}

fn age_today(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let zone = &context.session.style.time_zone;
    let today = Civil::from_timestamp(local_now(context)).days * MICROS_PER_DAY;
    let since = match values {
        [Value::Timestamp(local)] => *local,
        [Value::TimestampTz(instant)] => zone.to_local(*instant),
        [Value::Date(days)] => date_timestamp(*days)?,
        _ => return Err(mismatch(values)),
    };
    age(today, since).map(Value::Interval)
}

pub(super) fn field_out_of_range(what: &str) -> Error {
    Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{what} field value out of range"),
    )
}

fn make_date(year: i64, month: i64, day: i64) -> Result<i32> {
    let invalid = || {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    };
    // A negative year counts before Christ; there is no year 0.
    let astronomical = match year {
        0 => return Err(invalid()),
        year if year < 0 => year + 1,
        year => year,
    };
    if !(1..=12).contains(&month)
        || day < 1
        || day > i64::from(days_in_month(astronomical, month as u32))
        || year.abs() > 6_000_000
    {
        return Err(invalid());
    }
    let days = days_from_civil(astronomical, month, day);
    if !is_valid_date(days) {
        return Err(invalid());
    }
    Ok(days as i32)
}

fn make_time(hour: i64, minute: i64, second: f64) -> Result<i64> {
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(field_out_of_range("time"));
    }
    let time = hour * MICROS_PER_HOUR
        + minute * MICROS_PER_MINUTE
        + (second * 1e6).round_ties_even() as i64;
    if time > MICROS_PER_DAY {
        return Err(field_out_of_range("time"));
    }
    Ok(time)
}

fn make_timestamp(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [year, month, day, hour, minute, Value::Float8(second)] = values else {
        return Err(mismatch(values));
    };
    let days = make_date(number(year), number(month), number(day))?;
    let time = make_time(number(hour), number(minute), *second)?;
    date_timestamp(days)?
        .checked_add(time)
        .filter(|timestamp| is_valid_timestamp(*timestamp))
        .map(Value::Timestamp)
        .ok_or_else(timestamp_out_of_range)
}

/// Years, months, weeks, days, hours, minutes, seconds; those not given are 0.
fn make_interval(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let field = |at: usize| i128::from(values.get(at).map_or(0, number));
    let seconds = match values.get(6) {
        Some(Value::Float8(seconds)) if seconds.is_finite() => *seconds,
        Some(Value::Float8(_)) => return Err(interval_out_of_range()),
        Some(other) => number(other) as f64,
        None => 0.0,
    };
    let micros = (field(4) * 3_600 + field(5) * 60) * i128::from(MICROS_PER_SECOND)
        + (seconds * 1e6).round_ties_even() as i128;
    match (
        i32::try_from(field(0) * 12 + field(1)),
        i32::try_from(field(2) * 7 + field(3)),
        i64::try_from(micros),
    ) {
        (Ok(months), Ok(days), Ok(micros)) => Ok(Value::Interval(Interval {
            months,
            days,
            micros,
        })),
        _ => Err(interval_out_of_range()),
    }
}

fn from_epoch(seconds: f64) -> Result<i64> {
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 {
            TIMESTAMP_INFINITY
        } else {
            TIMESTAMP_NEGATIVE_INFINITY
        });
    }
    if seconds.is_nan() {
        return Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "timestamp cannot be NaN",
        ));
    }
    let micros = (seconds * 1e6).round_ties_even();
    Some(micros)
        .filter(|micros| micros.abs() < 9.2e18)
        .map(|micros| micros as i64)
        .filter(|micros| is_valid_timestamp(*micros))
        .ok_or_else(timestamp_out_of_range)
}

/// `timezone(zone, time)`, the operands in either order.
fn at_time_zone(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let (zone, time) = match values {
        [
            zone,
            time @ (Value::Timestamp(_) | Value::TimestampTz(_) | Value::TimeTz(_)),
        ] => (zone, time),
        [time, zone] => (zone, time),
        _ => return Err(mismatch(values)),
    };
    let zone = match zone {
        Value::Text(name) => TimeZone::named(name)?,
        Value::Interval(interval) if interval.months == 0 && interval.days == 0 => {
            i32::try_from(interval.micros / MICROS_PER_SECOND)
                .ok()
                .and_then(TimeZone::fixed)
                .ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("interval time zone \"{interval}\" is out of range"),
                    )
                })?
        }
        Value::Interval(interval) => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("interval time zone \"{interval}\" must not include months or days"),
            ));
        }
        _ => return Err(mismatch(values)),
    };
    match time {
        Value::Timestamp(local) => Ok(Value::TimestampTz(zone.to_utc(*local))),
        Value::TimestampTz(instant) => Ok(Value::Timestamp(zone.to_local(*instant))),
        // The zone's offset is the current one.
        Value::TimeTz(time) => {
            let offset = zone.offset_at(context.transaction_time);
            let micros = time.utc_micros() + i64::from(offset) * MICROS_PER_SECOND;
            Ok(TimeTz::new(micros.rem_euclid(MICROS_PER_DAY), offset)
                .map_or(Value::Null, Value::TimeTz))
        }
        _ => Err(mismatch(values)),
    }
}

fn date_to_char(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let [value, Value::Text(format)] = values else {
        return Err(mismatch(values));
    };
    let zone = &context.session.style.time_zone;
    let value = match value {
        // As PostgreSQL converts a date and a time before formatting.
        Value::Date(days) => Value::TimestampTz(zone.to_utc(date_timestamp(*days)?)),
        Value::Time(micros) => Value::Interval(Interval {
            micros: *micros,
            ..Interval::default()
        }),
        other => other.clone(),
    };
    Ok(to_char::format(&value, format, zone)?.map_or(Value::Null, Value::Text))
}

fn number_to_char(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [value, Value::Text(format)] = values else {
        return Err(mismatch(values));
    };
    let number = match value {
        Value::Decimal(number) => number.clone(),
        Value::Float8(number) => Decimal::from_f64(*number)?,
        Value::Float4(number) => Decimal::from_f32(*number)?,
        other => Decimal::from(number(other)),
    };
    Ok(Value::Text(to_number::format(&number, format)?.into()))
}
