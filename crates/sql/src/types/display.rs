//! Writing values as text: PostgreSQL's output.

use std::fmt::{self, Write};

use super::{
    DateLayout, DateOrder, DateStyle, TextStyle, Value,
    calendar::{
        Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_HOUR, MICROS_PER_MINUTE,
        MICROS_PER_SECOND, TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, civil_from_days,
    },
    interval_display,
    time_zone::format_offset,
};

/// A value with the style its output is in; made by [`Value::display_in`].
#[derive(Clone, Copy, Debug)]
pub struct ValueDisplay<'a> {
    value: &'a Value,
    style: &'a TextStyle,
}

impl Value {
    /// The value's text output in a session's style. NULL is empty.
    #[must_use]
    pub fn display_in<'a>(&'a self, style: &'a TextStyle) -> ValueDisplay<'a> {
        ValueDisplay { value: self, style }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display_in(&TextStyle::DEFAULT).fmt(f)
    }
}

impl fmt::Display for ValueDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = self.style;
        match self.value {
            Value::Null => Ok(()),
            Value::Boolean(truth) => f.write_str(if *truth { "t" } else { "f" }),
            Value::Int1(number) => write!(f, "{number}"),
            Value::Int2(number) => write!(f, "{number}"),
            Value::Int4(number) => write!(f, "{number}"),
            Value::Int8(number) => write!(f, "{number}"),
            Value::Float4(number) => match style.extra_float_digits {
                1.. => write_float4(f, *number),
                extra => write_rounded(f, (*number).into(), 6 + i32::from(extra)),
            },
            Value::Float8(number) => match style.extra_float_digits {
                1.. => write_float8(f, *number),
                extra => write_rounded(f, *number, 15 + i32::from(extra)),
            },
            Value::Decimal(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Bytea(bytes) if style.bytea_escape => write_escaped(f, bytes),
            Value::Bytea(bytes) => {
                f.write_str("\\x")?;
                write_hex(f, bytes)
            }
            Value::Date(days) => write_date(f, *days, style.date),
            Value::Time(micros) => write_time(f, *micros),
            Value::TimeTz(time) => {
                write_time(f, time.micros())?;
                f.write_str(&format_offset(time.seconds_east()))
            }
            Value::Timestamp(micros) => write_timestamp(f, *micros, style.date, ""),
            Value::TimestampTz(micros) => write_timestamp_tz(f, *micros, style),
            Value::Interval(interval) => interval_display::write(f, *interval, style.interval),
            Value::Uuid(uuid) => write!(f, "{}", uuid.as_hyphenated()),
            Value::Array(array) => array.write(f, style),
            Value::Json(text) => f.write_str(text),
            Value::Jsonb(json) => write!(f, "{json}"),
            Value::Oid(number) => write!(f, "{number}"),
            Value::Object(object) => write!(f, "{object}"),
            Value::Enum(value) => f.write_str(value.label()),
        }
    }
}

/// `bytea`'s escape form.
fn write_escaped(f: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        match byte {
            b'\\' => f.write_str("\\\\")?,
            b' '..=b'~' => f.write_char(char::from(*byte))?,
            _ => write!(f, "\\{byte:03o}")?,
        }
    }
    Ok(())
}

/// C's `%g` with so many significant digits.
fn write_rounded(f: &mut fmt::Formatter<'_>, number: f64, digits: i32) -> fmt::Result {
    if !number.is_finite() {
        return write_special(f, number);
    }
    let digits = usize::try_from(digits).unwrap_or(1).max(1);
    let mut text = compact_str::CompactString::default();
    write!(text, "{number:.*e}", digits - 1)?;
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| -> compact_str::CompactString {
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').into(),
            false => text.into(),
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let mantissa = trimmed(mantissa);
        return write_scientific(f, format_args!("{mantissa}e{exponent}"));
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    f.write_str(&trimmed(&format!("{number:.decimals$}")))
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

/// The year as written, and whether it is before Christ.
fn era(year: i64) -> (i64, bool) {
    if year <= 0 {
        (1 - year, true)
    } else {
        (year, false)
    }
}

fn write_date(f: &mut impl Write, days: i32, style: DateStyle) -> fmt::Result {
    match days {
        DATE_INFINITY => f.write_str("infinity"),
        DATE_NEGATIVE_INFINITY => f.write_str("-infinity"),
        _ => {
            let (year, month, day) = civil_from_days(days.into());
            let (year, before_christ) = era(year);
            let day_first = style.order == DateOrder::Dmy;
            match style.layout {
                DateLayout::Iso => write!(f, "{year:04}-{month:02}-{day:02}"),
                DateLayout::Sql if day_first => write!(f, "{day:02}/{month:02}/{year:04}"),
                DateLayout::Sql => write!(f, "{month:02}/{day:02}/{year:04}"),
                DateLayout::Postgres if day_first => write!(f, "{day:02}-{month:02}-{year:04}"),
                DateLayout::Postgres => write!(f, "{month:02}-{day:02}-{year:04}"),
                DateLayout::German => write!(f, "{day:02}.{month:02}.{year:04}"),
            }?;
            if before_christ {
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
pub(super) fn write_fraction(f: &mut impl Write, micros: u64) -> fmt::Result {
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

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A timestamp with what is to stand behind its time or year: the zone.
fn write_timestamp(f: &mut impl Write, micros: i64, style: DateStyle, zone: &str) -> fmt::Result {
    if let Some(written) = write_infinite(f, micros) {
        return written;
    }
    let civil = Civil::from_timestamp(micros);
    let (year, before_christ) = era(civil.year);
    let (month, day) = (civil.month, civil.day);
    let day_first = style.order == DateOrder::Dmy;
    match style.layout {
        DateLayout::Iso => write!(f, "{year:04}-{month:02}-{day:02} ")?,
        DateLayout::Sql if day_first => write!(f, "{day:02}/{month:02}/{year:04} ")?,
        DateLayout::Sql => write!(f, "{month:02}/{day:02}/{year:04} ")?,
        DateLayout::German => write!(f, "{day:02}.{month:02}.{year:04} ")?,
        DateLayout::Postgres => {
            // 1970-01-01 was a Thursday.
            let week_day = (civil.days + 4).rem_euclid(7) as usize;
            let name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
            let week_day = DAYS.get(week_day).copied().unwrap_or_default();
            if day_first {
                write!(f, "{week_day} {day:02} {name} ")?;
            } else {
                write!(f, "{week_day} {name} {day:02} ")?;
            }
        }
    }
    write_time(f, civil.micros)?;
    if style.layout == DateLayout::Postgres {
        write!(f, " {year:04}")?;
    }
    f.write_str(zone)?;
    if before_christ {
        f.write_str(" BC")?;
    }
    Ok(())
}

fn write_timestamp_tz(f: &mut impl Write, micros: i64, style: &TextStyle) -> fmt::Result {
    if let Some(written) = write_infinite(f, micros) {
        return written;
    }
    let offset = style.time_zone.offset_at(micros);
    let local = micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
    let zone = match style.date.layout {
        DateLayout::Iso => format_offset(offset),
        _ => format!(" {}", style.time_zone.abbreviation_at(micros)),
    };
    write_timestamp(f, local, style.date, &zone)
}
