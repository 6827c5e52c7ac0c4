//! Date and time input: ISO 8601 and the common written forms; where a date of three numbers
//! leaves their order open, the session's `DateStyle` decides (PostgreSQL 8.5.1, appendix B.1).

mod reader;

use self::reader::parse;
use super::{
    Conversion, TimeTz, TimeZone,
    calendar::{
        Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY,
        TIMESTAMP_NEGATIVE_INFINITY, days_from_civil, days_in_month, is_valid_date,
        is_valid_timestamp,
    },
    excerpt,
};
use crate::{Error, Result, SqlState};

/// Why a text is no date or time.
enum Failure {
    /// Not of the form.
    Syntax,
    /// A field, or the whole, is out of range.
    Range,
    /// Refused with an error of its own.
    Other(Error),
}

impl Failure {
    fn into_error(self, type_name: &str, text: &str) -> Error {
        match self {
            Failure::Syntax => Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!(
                    "invalid input syntax for type {type_name}: \"{}\"",
                    excerpt(text)
                ),
            ),
            Failure::Range => Error::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{}\"", excerpt(text)),
            ),
            Failure::Other(error) => error,
        }
    }
}

/// What a text says, before a type makes a value of it.
#[derive(Debug, Default)]
struct Parts {
    special: Option<Special>,
    /// Days since 1970-01-01.
    date: Option<i64>,
    /// Microseconds since midnight.
    time: Option<i64>,
    zone: Option<TimeZone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    /// Midnight, so many days from today.
    Day(i64),
}

/// Reads a `date`.
pub(super) fn parse_date(text: &str, conversion: &Conversion<'_>) -> Result<i32> {
    if let Some(days) = parse_iso_date(text) {
        return Ok(days);
    }
    let date = || -> Result<i32, Failure> {
        let parts = parse(text, false, conversion.style.date.order)?;
        let days = match parts.special {
            Some(Special::Infinity) => return Ok(DATE_INFINITY),
            Some(Special::NegativeInfinity) => return Ok(DATE_NEGATIVE_INFINITY),
            Some(special) => Civil::from_timestamp(local_instant(special, conversion)?).days,
            None => parts.date.ok_or(Failure::Syntax)?,
        };
        if !is_valid_date(days) {
            return Err(Failure::Other(Error::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date out of range: \"{}\"", excerpt(text)),
            )));
        }
        Ok(days as i32)
    };
    date().map_err(|failure| failure.into_error("date", text))
}

/// The plain `YYYY-MM-DD`, the form nearly all data has.
fn parse_iso_date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    let digit = |at: usize| -> Option<i64> {
        bytes[at]
            .is_ascii_digit()
            .then(|| i64::from(bytes[at] - b'0'))
    };
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digit(0)? * 1_000 + digit(1)? * 100 + digit(2)? * 10 + digit(3)?;
    let month = digit(5)? * 10 + digit(6)?;
    let day = digit(8)? * 10 + digit(9)?;
    if year == 0 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    (day <= i64::from(days_in_month(year, month as u32)))
        .then(|| days_from_civil(year, month, day) as i32)
}

/// Reads a `time`.
pub(super) fn parse_time(text: &str, conversion: &Conversion<'_>) -> Result<i64> {
    let time = || -> Result<i64, Failure> {
        let parts = parse(text, true, conversion.style.date.order)?;
        match parts.special {
            Some(Special::Now) => {
                Ok(Civil::from_timestamp(local_instant(Special::Now, conversion)?).micros)
            }
            Some(_) => Err(Failure::Syntax),
            None => parts.time.ok_or(Failure::Syntax),
        }
    };
    time().map_err(|failure| failure.into_error("time", text))
}

/// Reads a `time with time zone`; without a time zone in the text, the session's.
pub(super) fn parse_time_tz(text: &str, conversion: &Conversion<'_>) -> Result<TimeTz> {
    let time = || -> Result<TimeTz, Failure> {
        let parts = parse(text, true, conversion.style.date.order)?;
        let zone = parts.zone.as_ref().unwrap_or(&conversion.style.time_zone);
        let local = match parts.special {
            Some(Special::Now) => local_instant(Special::Now, conversion)?,
            Some(_) => return Err(Failure::Syntax),
            None => {
                let time = parts.time.ok_or(Failure::Syntax)?;
                // A zone's offset may depend on the day: the one given, else the current one.
                let day = match (parts.date, conversion.now) {
                    (Some(days), _) => days,
                    (None, Some(now)) => Civil::from_timestamp(zone.to_local(now)).days,
                    (None, None) => 0,
                };
                combine(&Parts {
                    date: Some(day),
                    time: Some(time),
                    ..Parts::default()
                })
                .ok_or_else(|| out_of_range(text))?
            }
        };
        let offset = zone.offset_at(zone.to_utc(local));
        // 24:00:00 stays what it is.
        let micros = match parts.time {
            Some(time) => time,
            None => Civil::from_timestamp(local).micros,
        };
        TimeTz::new(micros, offset).ok_or(Failure::Range)
    };
    time().map_err(|failure| failure.into_error("time with time zone", text))
}

/// Reads a `timestamp`; a time zone in the text is ignored.
pub(super) fn parse_timestamp(text: &str, conversion: &Conversion<'_>) -> Result<i64> {
    let timestamp = || -> Result<i64, Failure> {
        let parts = parse(text, false, conversion.style.date.order)?;
        match parts.special {
            Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
            Some(Special::NegativeInfinity) => Ok(TIMESTAMP_NEGATIVE_INFINITY),
            Some(special) => with_time(special, &parts, conversion)
                .and_then(|instant| instant.ok_or_else(|| out_of_range(text))),
            None => combine(&parts).ok_or_else(|| out_of_range(text)),
        }
    };
    timestamp().map_err(|failure| failure.into_error("timestamp", text))
}

/// Reads a `timestamptz`; without a time zone in the text, the session's.
pub(super) fn parse_timestamp_tz(text: &str, conversion: &Conversion<'_>) -> Result<i64> {
    let timestamp = || -> Result<i64, Failure> {
        let parts = parse(text, false, conversion.style.date.order)?;
        match parts.special {
            Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
            Some(Special::NegativeInfinity) => Ok(TIMESTAMP_NEGATIVE_INFINITY),
            Some(Special::Epoch) => Ok(0),
            Some(special) => {
                let local =
                    with_time(special, &parts, conversion)?.ok_or_else(|| out_of_range(text))?;
                let zone = parts.zone.as_ref().unwrap_or(&conversion.style.time_zone);
                Ok(zone.to_utc(local))
            }
            None => {
                let local = combine(&parts).ok_or_else(|| out_of_range(text))?;
                let zone = parts.zone.as_ref().unwrap_or(&conversion.style.time_zone);
                Some(zone.to_utc(local))
                    .filter(|instant| is_valid_timestamp(*instant))
                    .ok_or_else(|| out_of_range(text))
            }
        }
    };
    timestamp().map_err(|failure| failure.into_error("timestamp with time zone", text))
}

fn out_of_range(text: &str) -> Failure {
    Failure::Other(Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("timestamp out of range: \"{}\"", excerpt(text)),
    ))
}

fn combine(parts: &Parts) -> Option<i64> {
    parts
        .date?
        .checked_mul(MICROS_PER_DAY)?
        .checked_add(parts.time.unwrap_or(0))
        .filter(|timestamp| is_valid_timestamp(*timestamp))
}

/// The session's clock at `now`, or midnight of a day near it.
fn local_instant(special: Special, conversion: &Conversion<'_>) -> Result<i64, Failure> {
    let now = || {
        conversion
            .now
            .map(|now| conversion.style.time_zone.to_local(now))
            .ok_or_else(|| {
                Failure::Other(
                    Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "there is no current time here",
                    )
                    .hint("Use now() or CURRENT_DATE."),
                )
            })
    };
    match special {
        Special::Epoch => Ok(0),
        Special::Now => now(),
        Special::Day(offset) => Ok((Civil::from_timestamp(now()?).days + offset) * MICROS_PER_DAY),
        Special::Infinity => Ok(TIMESTAMP_INFINITY),
        Special::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
    }
}

/// A day named in words with the time that stands beside it; `None` where it is out of range.
fn with_time(
    special: Special,
    parts: &Parts,
    conversion: &Conversion<'_>,
) -> Result<Option<i64>, Failure> {
    let instant = local_instant(special, conversion)?;
    Ok(match (special, parts.time) {
        (Special::Day(_), Some(time)) => instant
            .checked_add(time)
            .filter(|instant| is_valid_timestamp(*instant)),
        _ => Some(instant),
    })
}

/// The month (1–12) of a name, full or of at least three letters as written commonly.
pub(crate) fn month_by_name(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.trim_end_matches('.');
    if word.eq_ignore_ascii_case("sept") {
        return Some(9);
    }
    MONTHS
        .iter()
        .position(|month| {
            word.eq_ignore_ascii_case(month) || word.eq_ignore_ascii_case(&month[..3])
        })
        .map(|index| index as u32 + 1)
}

fn is_day_name(word: &str) -> bool {
    [
        "sun",
        "sunday",
        "mon",
        "monday",
        "tue",
        "tues",
        "tuesday",
        "wed",
        "weds",
        "wednesday",
        "thu",
        "thur",
        "thurs",
        "thursday",
        "fri",
        "friday",
        "sat",
        "saturday",
    ]
    .iter()
    .any(|day| word.eq_ignore_ascii_case(day))
}
