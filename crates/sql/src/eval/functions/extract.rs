//! EXTRACT, `date_part` and `date_trunc`.

use crate::{
    Error, Result, SqlState,
    eval::date_arithmetic::is_infinite,
    types::{
        DataType, Decimal, Interval, TimeZone, Value,
        calendar::{
            Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, MICROS_PER_HOUR,
            MICROS_PER_MINUTE, MICROS_PER_SECOND, MIN_DATE, TIMESTAMP_INFINITY,
            TIMESTAMP_NEGATIVE_INFINITY, civil_from_days, day_of_week, days_from_civil, iso_week,
            iso_week_start,
        },
    },
};

/// What can be taken out of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Julian,
    Epoch,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

impl Field {
    /// Whether it grows with time without bound.
    fn grows(self) -> bool {
        matches!(
            self,
            Field::Year
                | Field::IsoYear
                | Field::Decade
                | Field::Century
                | Field::Millennium
                | Field::Julian
                | Field::Epoch
        )
    }

    fn by_name(name: &str) -> Option<Field> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "us" | "usec" | "usecs" | "microsecond" | "microseconds" => Field::Microseconds,
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => Field::Milliseconds,
            "s" | "sec" | "secs" | "second" | "seconds" => Field::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Field::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Field::Hour,
            "d" | "day" | "days" => Field::Day,
            "w" | "week" | "weeks" => Field::Week,
            "mon" | "mons" | "month" | "months" => Field::Month,
            "qtr" | "quarter" => Field::Quarter,
            "y" | "yr" | "yrs" | "year" | "years" => Field::Year,
            "dec" | "decs" | "decade" | "decades" => Field::Decade,
            "c" | "cent" | "century" | "centuries" => Field::Century,
            "mil" | "mils" | "millennium" | "millennia" => Field::Millennium,
            "isoyear" => Field::IsoYear,
            "dow" => Field::DayOfWeek,
            "isodow" => Field::IsoDayOfWeek,
            "doy" => Field::DayOfYear,
            "julian" | "jd" | "j" => Field::Julian,
            "epoch" => Field::Epoch,
            "timezone" => Field::Timezone,
            "timezone_hour" | "timezone_h" => Field::TimezoneHour,
            "timezone_minute" | "timezone_m" => Field::TimezoneMinute,
            _ => return None,
        })
    }
}

fn type_name(value: &Value) -> String {
    value
        .data_type()
        .map_or_else(String::new, |data_type: DataType| data_type.to_string())
}

fn unsupported(name: &str, value: &Value) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "unit \"{name}\" not supported for type {}",
            type_name(value)
        ),
    )
}

fn field(name: &str, value: &Value) -> Result<Field> {
    Field::by_name(name).ok_or_else(|| unrecognized(name, value))
}

fn unrecognized(name: &str, value: &Value) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!(
            "unit \"{name}\" not recognized for type {}",
            type_name(value)
        ),
    )
}

fn whole(number: i64) -> Result<Decimal> {
    Ok(Decimal::from(number))
}

/// `number × 10^-scale`
fn scaled(number: i64, scale: u16) -> Result<Decimal> {
    Decimal::from_i64(number, scale)
}

fn round_up_years(year: i64, per: i64) -> i64 {
    // The first century is 1 to 100, the one before it 100 BC to 1 BC.
    if year > 0 {
        (year + per - 1) / per
    } else {
        -((per - 1 - (year - 1)) / per)
    }
}

/// EXTRACT: the exact value of a field; `None` for one that an infinite time does not have.
pub(super) fn extract(name: &str, value: &Value, zone: &TimeZone) -> Result<Option<Decimal>> {
    let wanted = field(name, value)?;
    let result = match value {
        Value::Date(days) if *days == i32::MAX || *days == i32::MIN => {
            return infinite(wanted, name, value);
        }
        Value::Date(days) => date_field(wanted, i64::from(*days)),
        Value::Timestamp(micros) | Value::TimestampTz(micros) if is_infinite(*micros) => {
            return infinite(wanted, name, value);
        }
        Value::Timestamp(micros) => timestamp_field(wanted, *micros, *micros, None),
        Value::TimestampTz(micros) => timestamp_field(
            wanted,
            zone.to_local(*micros),
            *micros,
            Some(zone.offset_at(*micros)),
        ),
        Value::Time(micros) => match wanted {
            Field::Epoch => Some(scaled(*micros, 6)),
            _ => time_field(wanted, *micros),
        },
        Value::TimeTz(time) => {
            let offset = i64::from(time.seconds_east());
            match wanted {
                Field::Epoch => Some(scaled(time.utc_micros(), 6)),
                Field::Timezone => Some(whole(offset)),
                Field::TimezoneHour => Some(whole(offset / 3_600)),
                Field::TimezoneMinute => Some(whole(offset / 60 % 60)),
                _ => time_field(wanted, time.micros()),
            }
        }
        Value::Interval(interval) => interval_field(wanted, interval),
        _ => None,
    };
    match result {
        Some(number) => number.map(Some),
        None => Err(unsupported(name, value)),
    }
}

/// The fields that grow without bound are infinite, which exact numbers are not; the others are
/// not known.
fn infinite(wanted: Field, name: &str, value: &Value) -> Result<Option<Decimal>> {
    match wanted {
        wanted if wanted.grows() => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "unit \"{name}\" of an infinite {} is not a number",
                type_name(value)
            ),
        )),
        _ => Ok(None),
    }
}

/// What `date_part` gives of an infinite time: infinity for the fields that grow without bound.
pub(super) fn infinite_part(name: &str, value: &Value) -> Option<f64> {
    let sign = match value {
        Value::Date(DATE_INFINITY)
        | Value::Timestamp(TIMESTAMP_INFINITY)
        | Value::TimestampTz(TIMESTAMP_INFINITY) => 1.0,
        Value::Date(DATE_NEGATIVE_INFINITY)
        | Value::Timestamp(TIMESTAMP_NEGATIVE_INFINITY)
        | Value::TimestampTz(TIMESTAMP_NEGATIVE_INFINITY) => -1.0,
        _ => return None,
    };
    let grows = Field::by_name(name).is_some_and(Field::grows);
    grows.then_some(sign * f64::INFINITY)
}

fn time_field(wanted: Field, micros: i64) -> Option<Result<Decimal>> {
    let of_minute = micros % MICROS_PER_MINUTE;
    Some(match wanted {
        Field::Microseconds => whole(of_minute),
        Field::Milliseconds => scaled(of_minute, 3),
        Field::Second => scaled(of_minute, 6),
        Field::Minute => whole(micros / MICROS_PER_MINUTE % 60),
        Field::Hour => whole(micros / MICROS_PER_HOUR),
        _ => return None,
    })
}

fn date_field(wanted: Field, days: i64) -> Option<Result<Decimal>> {
    // Dates reach further than timestamps do.
    let (year, month, day) = civil_from_days(days);
    // Before year 1 there is 1 BC, shown as -1.
    let shown = |year: i64| if year > 0 { year } else { year - 1 };
    Some(whole(match wanted {
        Field::Day => day.into(),
        Field::Month => month.into(),
        Field::Quarter => (i64::from(month) - 1) / 3 + 1,
        Field::Week => iso_week(days).1.into(),
        Field::Year => shown(year),
        Field::Decade => year.div_euclid(10),
        Field::Century => round_up_years(year, 100),
        Field::Millennium => round_up_years(year, 1_000),
        Field::IsoYear => shown(iso_week(days).0),
        Field::DayOfWeek => day_of_week(days).into(),
        Field::IsoDayOfWeek => match day_of_week(days) {
            0 => 7,
            day => day.into(),
        },
        Field::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
        Field::Julian => days - i64::from(MIN_DATE),
        Field::Epoch => days * 86_400,
        _ => return None,
    }))
}

fn timestamp_field(
    wanted: Field,
    local: i64,
    instant: i64,
    offset: Option<i32>,
) -> Option<Result<Decimal>> {
    let civil = Civil::from_timestamp(local);
    match (wanted, offset) {
        (Field::Epoch, _) => Some(scaled(instant, 6)),
        (Field::Julian, _) => {
            let day = Decimal::from(civil.days - i64::from(MIN_DATE));
            Some(
                Decimal::from(civil.micros)
                    .checked_div(&Decimal::from(MICROS_PER_DAY))
                    .and_then(|fraction| day.checked_add(&fraction)),
            )
        }
        (Field::Timezone, Some(offset)) => Some(whole(offset.into())),
        (Field::TimezoneHour, Some(offset)) => Some(whole((offset / 3_600).into())),
        (Field::TimezoneMinute, Some(offset)) => Some(whole((offset / 60 % 60).into())),
        _ => time_field(wanted, civil.micros).or_else(|| date_field(wanted, civil.days)),
    }
}

fn interval_field(wanted: Field, interval: &Interval) -> Option<Result<Decimal>> {
    let years = i64::from(interval.months / 12);
    Some(match wanted {
        Field::Day => whole(interval.days.into()),
        Field::Month => whole((interval.months % 12).into()),
        Field::Quarter => whole((interval.months % 12 / 3 + 1).into()),
        Field::Year => whole(years),
        Field::Decade => whole(years / 10),
        Field::Century => whole(years / 100),
        Field::Millennium => whole(years / 1_000),
        Field::Epoch => {
            // A year counts 365.25 days here, a month 30.
            let days = i128::from(interval.months / 12) * 1_461 * 6
                + i128::from(interval.months % 12) * 30 * 24
                + i128::from(interval.days) * 24;
            let micros = days * i128::from(MICROS_PER_HOUR) + i128::from(interval.micros);
            Decimal::from_parts(micros.into(), 6)
        }
        _ => return time_field(wanted, interval.micros),
    })
}

/// A week of an interval and a time zone are units that cannot be cut to; the others are none.
fn not_truncatable(wanted: Field, name: &str, value: &Value) -> Error {
    match wanted {
        Field::IsoYear
        | Field::DayOfWeek
        | Field::IsoDayOfWeek
        | Field::DayOfYear
        | Field::Julian
        | Field::Epoch => unrecognized(name, value),
        _ => unsupported(name, value),
    }
}

/// `date_trunc` of a local timestamp.
pub(super) fn truncate(name: &str, value: &Value, local: i64) -> Result<i64> {
    let wanted = field(name, value)?;
    if is_infinite(local) {
        return Ok(local);
    }
    let civil = Civil::from_timestamp(local);
    let (year, month) = (civil.year, i64::from(civil.month));
    let down_to = |unit: i64| civil.days * MICROS_PER_DAY + civil.micros / unit * unit;
    let days = match wanted {
        Field::Microseconds => return Ok(local),
        Field::Milliseconds => return Ok(down_to(1_000)),
        Field::Second => return Ok(down_to(MICROS_PER_SECOND)),
        Field::Minute => return Ok(down_to(MICROS_PER_MINUTE)),
        Field::Hour => return Ok(down_to(MICROS_PER_HOUR)),
        Field::Day => civil.days,
        Field::Week => {
            let (year, week) = iso_week(civil.days);
            iso_week_start(year, week.into())
        }
        Field::Month => days_from_civil(year, month, 1),
        Field::Quarter => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
        Field::Year => days_from_civil(year, 1, 1),
        Field::Decade => days_from_civil(year.div_euclid(10) * 10, 1, 1),
        Field::Century => days_from_civil((year - 1).div_euclid(100) * 100 + 1, 1, 1),
        Field::Millennium => days_from_civil((year - 1).div_euclid(1_000) * 1_000 + 1, 1, 1),
        _ => return Err(not_truncatable(wanted, name, value)),
    };
    days.checked_mul(MICROS_PER_DAY)
        .filter(|micros| *micros < TIMESTAMP_INFINITY)
        .ok_or_else(crate::eval::date_arithmetic::timestamp_out_of_range)
}

/// Whether the field is shorter than a day: cutting to it keeps the offset from UTC.
pub(super) fn is_within_day(name: &str, value: &Value) -> Result<bool> {
    Ok(matches!(
        field(name, value)?,
        Field::Microseconds | Field::Milliseconds | Field::Second | Field::Minute | Field::Hour
    ))
}

/// `date_trunc` of an interval.
pub(super) fn truncate_interval(name: &str, interval: &Interval) -> Result<Interval> {
    let value = Value::Interval(*interval);
    let wanted = field(name, &value)?;
    let months = |unit: i32| Interval {
        months: interval.months / unit * unit,
        ..Interval::default()
    };
    let time = |unit: i64| Interval {
        micros: interval.micros / unit * unit,
        ..*interval
    };
    Ok(match wanted {
        Field::Microseconds => *interval,
        Field::Milliseconds => time(1_000),
        Field::Second => time(MICROS_PER_SECOND),
        Field::Minute => time(MICROS_PER_MINUTE),
        Field::Hour => time(MICROS_PER_HOUR),
        Field::Day => Interval {
            micros: 0,
            ..*interval
        },
        Field::Month => months(1),
        Field::Quarter => months(3),
        Field::Year => months(12),
        Field::Decade => months(120),
        Field::Century => months(1_200),
        Field::Millennium => months(12_000),
        _ => return Err(not_truncatable(wanted, name, &value)),
    })
}
