//! Writing values as text: PostgreSQL's output.

use std::fmt::{self, Write};

use super::{
    Interval, TimeZone, Value,
    calendar::{
        Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_HOUR, MICROS_PER_MINUTE,
        MICROS_PER_SECOND, TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, civil_from_days,
    },
    time_zone::format_offset,
};

/// A value with the time zone its output is for; made by [`Value::display_in`].
#[derive(Clone, Copy, Debug)]
pub struct ValueDisplay<'a> {
    value: &'a Value,
    zone: &'a TimeZone,
}

impl Value {
    /// The value's text output, `timestamptz` in the given zone. NULL is empty.
    #[must_use]
    pub fn display_in<'a>(&'a self, zone: &'a TimeZone) -> ValueDisplay<'a> {
        ValueDisplay { value: self, zone }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display_in(&TimeZone::UTC).fmt(f)
    }
}

impl fmt::Display for ValueDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::Null => Ok(()),
            Value::Boolean(truth) => f.write_str(if *truth { "t" } else { "f" }),
            Value::Int1(number) => write!(f, "{number}"),
            Value::Int2(number) => write!(f, "{number}"),
            Value::Int4(number) => write!(f, "{number}"),
            Value::Int8(number) => write!(f, "{number}"),
            Value::Float4(number) => write_float4(f, *number),
            Value::Float8(number) => write_float8(f, *number),
            Value::Decimal(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Bytea(bytes) => {
                f.write_str("\\x")?;
                write_hex(f, bytes)
            }
            Value::Date(days) => write_date(f, *days),
            Value::Time(micros) => write_time(f, *micros),
            Value::Timestamp(micros) => write_timestamp(f, *micros),
            Value::TimestampTz(micros) => write_timestamp_tz(f, *micros, self.zone),
            Value::Interval(interval) => write!(f, "{interval}"),
            Value::Uuid(uuid) => write!(f, "{}", uuid.as_hyphenated()),
        }
    }
}

pub(crate) fn write_hex(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        f.write_char(DIGITS[usize::from(byte >> 4)].into())?;
        f.write_char(DIGITS[usize::from(byte & 15)].into())?;
    }
    Ok(())
}

/// The fewest digits that read back as the same number, in scientific form from 1e15 on and
/// below 1e-4.
fn write_float8(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-4..1e15).contains(&magnitude) {
        write!(f, "{number}")
    } else if number.is_finite() {
        write_scientific(f, format_args!("{number:e}"))
    } else {
        write_special(f, number)
    }
}

/// As [`write_float8`], in scientific form from 1e6 on.
fn write_float4(f: &mut fmt::Formatter<'_>, number: f32) -> fmt::Result {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        write!(f, "{number}")
    } else if number.is_finite() {
        write_scientific(f, format_args!("{number:e}"))
    } else {
        write_special(f, f64::from(number))
    }
}

fn write_special(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    f.write_str(if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}

/// C's form of the exponent: signed, at least two digits.
fn write_scientific(f: &mut fmt::Formatter<'_>, number: fmt::Arguments<'_>) -> fmt::Result {
    let mut text = compact_str::CompactString::default();
    text.write_fmt(number)?;
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    write!(f, "{mantissa}e{sign}{digits:0>2}")
}

fn write_year_month_day(
    f: &mut impl Write,
    (year, month, day): (i64, u32, u32),
) -> Result<bool, fmt::Error> {
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    write!(f, "{shown:04}-{month:02}-{day:02}")?;
    Ok(before_christ)
}

fn write_date(f: &mut impl Write, days: i32) -> fmt::Result {
    match days {
        DATE_INFINITY => f.write_str("infinity"),
        DATE_NEGATIVE_INFINITY => f.write_str("-infinity"),
        _ => {
            if write_year_month_day(f, civil_from_days(days.into()))? {
                f.write_str(" BC")?;
            }
            Ok(())
        }
    }
}

pub(crate) fn write_time(f: &mut impl Write, micros: i64) -> fmt::Result {
    write!(
        f,
        "{:02}:{:02}:{:02}",
        micros / MICROS_PER_HOUR,
        micros / MICROS_PER_MINUTE % 60,
        micros / MICROS_PER_SECOND % 60
    )?;
    write_fraction(f, (micros % MICROS_PER_SECOND).unsigned_abs())
}

/// `.micros` without trailing zeros; nothing for 0.
fn write_fraction(f: &mut impl Write, micros: u64) -> fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let (mut digits, mut width) = (micros, 6);
    while digits % 10 == 0 {
        digits /= 10;
        width -= 1;
    }
    write!(f, ".{digits:0width$}")
}

fn write_infinite(f: &mut impl Write, micros: i64) -> Option<fmt::Result> {
    match micros {
        TIMESTAMP_INFINITY => Some(f.write_str("infinity")),
        TIMESTAMP_NEGATIVE_INFINITY => Some(f.write_str("-infinity")),
        _ => None,
    }
}

fn write_timestamp(f: &mut impl Write, micros: i64) -> fmt::Result {
    if let Some(written) = write_infinite(f, micros) {
        return written;
    }
    let civil = Civil::from_timestamp(micros);
    let before_christ = write_year_month_day(f, (civil.year, civil.month, civil.day))?;
    f.write_char(' ')?;
    write_time(f, civil.micros)?;
    if before_christ {
        f.write_str(" BC")?;
    }
    Ok(())
}

fn write_timestamp_tz(f: &mut impl Write, micros: i64, zone: &TimeZone) -> fmt::Result {
    if let Some(written) = write_infinite(f, micros) {
        return written;
    }
    let offset = zone.offset_at(micros);
    let civil = Civil::from_timestamp(micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND));
    let before_christ = write_year_month_day(f, (civil.year, civil.month, civil.day))?;
    f.write_char(' ')?;
    write_time(f, civil.micros)?;
    f.write_str(&format_offset(offset))?;
    if before_christ {
        f.write_str(" BC")?;
    }
    Ok(())
}

/// The style named `postgres`: `1 year 2 mons -3 days +04:05:06.7`. A field after a negative one
/// shows its sign.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut negative_before = false;
        let parts = [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ];
        for (count, unit) in parts {
            if count == 0 {
                continue;
            }
            write!(
                f,
                "{}{}{count} {unit}{}",
                if first { "" } else { " " },
                if negative_before && count > 0 {
                    "+"
                } else {
                    ""
                },
                if count == 1 { "" } else { "s" }
            )?;
            first = false;
            negative_before = count < 0;
        }
        if !first && self.micros == 0 {
            return Ok(());
        }
        if !first {
            f.write_char(' ')?;
        }
        if self.micros < 0 {
            f.write_char('-')?;
        } else if negative_before {
            f.write_char('+')?;
        }
        let micros = self.micros.unsigned_abs();
        write!(
            f,
            "{:02}:{:02}:{:02}",
            micros / MICROS_PER_HOUR as u64,
            micros / MICROS_PER_MINUTE as u64 % 60,
            micros / MICROS_PER_SECOND as u64 % 60
        )?;
        write_fraction(f, micros % MICROS_PER_SECOND as u64)
    }
}
