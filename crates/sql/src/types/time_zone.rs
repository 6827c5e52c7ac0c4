//! Time zones: the tz database that is built into the program, and fixed offsets.

use std::fmt;

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone as JiffZone},
};

use super::calendar::{
    Civil, MICROS_PER_SECOND, TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, days_from_civil,
};
use crate::{Error, Result, SqlState};

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Utc,
    /// Seconds east of UTC.
    Fixed(i32),
    Named(JiffZone),
}

/// The zone abbreviations that text input understands, in seconds east of UTC: those of
/// PostgreSQL's default set that are in wide use and mean one offset.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("acdt", 37_800),
    ("acst", 34_200),
    ("adt", -10_800),
    ("aedt", 39_600),
    ("aest", 36_000),
    ("akdt", -28_800),
    ("akst", -32_400),
    ("ast", -14_400),
    ("awst", 28_800),
    ("bst", 3_600),
    ("cdt", -18_000),
    ("cest", 7_200),
    ("cet", 3_600),
    ("cst", -21_600),
    ("edt", -14_400),
    ("eest", 10_800),
    ("eet", 7_200),
    ("est", -18_000),
    ("gmt", 0),
    ("hkt", 28_800),
    ("hst", -36_000),
    ("ist", 7_200),
    ("jst", 32_400),
    ("kst", 32_400),
    ("mdt", -21_600),
    ("msd", 14_400),
    ("msk", 10_800),
    ("mst", -25_200),
    ("ndt", -9_000),
    ("nst", -12_600),
    ("nzdt", 46_800),
    ("nzst", 43_200),
    ("pdt", -25_200),
    ("pst", -28_800),
    ("sast", 7_200),
    ("sgt", 28_800),
    ("ut", 0),
    ("utc", 0),
    ("uct", 0),
    ("wast", 7_200),
    ("wat", 3_600),
    ("west", 3_600),
    ("wet", 0),
    ("z", 0),
    ("zulu", 0),
];

/// The offset that a zone abbreviation stands for, in seconds east of UTC.
pub(crate) fn abbreviation_offset(name: &str) -> Option<i32> {
    ABBREVIATIONS
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|(_, offset)| *offset)
}

impl TimeZone {
    /// Coordinated universal time.
    pub const UTC: TimeZone = TimeZone(Kind::Utc);

    /// A fixed offset in seconds east of UTC; `None` beyond a day.
    #[must_use]
    pub fn fixed(seconds_east: i32) -> Option<TimeZone> {
        (seconds_east.abs() < 86_400).then_some(TimeZone(Kind::Fixed(seconds_east)))
    }

    /// A zone by its name in the tz database (any case), its abbreviation, or a POSIX offset
    /// such as `UTC+3` or `-08:00` (in which positive is *west*, as POSIX has it).
    ///
    /// # Errors
    /// 22023 for an unknown name.
    pub fn named(name: &str) -> Result<TimeZone> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            return Ok(TimeZone::UTC);
        }
        if let Ok(zone) = JiffZone::get(name) {
            return Ok(TimeZone(Kind::Named(zone)));
        }
        if let Some(offset) = abbreviation_offset(name) {
            return Ok(TimeZone(Kind::Fixed(offset)));
        }
        let digits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        if let Some(offset) = parse_offset(digits) {
            return Ok(TimeZone(Kind::Fixed(-offset)));
        }
        Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("time zone \"{name}\" not recognized"),
        ))
    }

    /// Seconds east of UTC at an instant in microseconds since 1970.
    #[must_use]
    pub fn offset_at(&self, timestamp: i64) -> i32 {
        match &self.0 {
            Kind::Utc => 0,
            Kind::Fixed(offset) => *offset,
            Kind::Named(zone) => zone.to_offset(instant(timestamp)).seconds(),
        }
    }

    /// The zone's abbreviation in force at an instant.
    #[must_use]
    pub fn abbreviation_at(&self, timestamp: i64) -> String {
        match &self.0 {
            Kind::Utc => "UTC".to_owned(),
            Kind::Fixed(offset) => format_offset(*offset),
            Kind::Named(zone) => zone
                .to_offset_info(instant(timestamp))
                .abbreviation()
                .to_owned(),
        }
    }

    /// The instant at which clocks of this zone show `local`, both in microseconds. A time that
    /// the spring change skips is read with the offset before it, one that the autumn change
    /// repeats with standard time, as PostgreSQL does.
    #[must_use]
    pub fn to_utc(&self, local: i64) -> i64 {
        if matches!(local, TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY) {
            return local;
        }
        let offset = match &self.0 {
            Kind::Utc => 0,
            Kind::Fixed(offset) => *offset,
            Kind::Named(zone) => match civil(local) {
                Some(civil) => {
                    let offset = match zone.to_ambiguous_timestamp(civil).offset() {
                        jiff::tz::AmbiguousOffset::Unambiguous { offset } => offset,
                        jiff::tz::AmbiguousOffset::Gap { before, .. } => before,
                        jiff::tz::AmbiguousOffset::Fold { after, .. } => after,
                    };
                    offset.seconds()
                }
                None => self.offset_at(local),
            },
        };
        local.saturating_sub(i64::from(offset) * MICROS_PER_SECOND)
    }

    /// What clocks of this zone show at an instant, both in microseconds.
    #[must_use]
    pub fn to_local(&self, timestamp: i64) -> i64 {
        if matches!(timestamp, TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY) {
            return timestamp;
        }
        timestamp.saturating_add(i64::from(self.offset_at(timestamp)) * MICROS_PER_SECOND)
    }
}

impl Default for TimeZone {
    fn default() -> TimeZone {
        TimeZone::UTC
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Utc => f.write_str("UTC"),
            Kind::Fixed(offset) => write!(
                f,
                "<{0}>{1}",
                format_offset(*offset),
                format_offset(-offset)
            ),
            Kind::Named(zone) => f.write_str(zone.iana_name().unwrap_or("unnamed")),
        }
    }
}

/// The instant for the tz database; beyond its years the nearest one it knows (same rules).
fn instant(timestamp: i64) -> Timestamp {
    Timestamp::from_microsecond(timestamp).unwrap_or(if timestamp < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

fn civil(local: i64) -> Option<DateTime> {
    let civil = Civil::from_timestamp(local);
    DateTime::new(
        i16::try_from(civil.year).ok()?,
        civil.month as i8,
        civil.day as i8,
        civil.hour() as i8,
        civil.minute() as i8,
        civil.second() as i8,
        (civil.microsecond() * 1_000) as i32,
    )
    .ok()
    // The last hours of the database's range have no instant in every zone.
    .filter(|date_time| Offset::UTC.to_timestamp(*date_time).is_ok())
    .filter(|_| local > days_from_civil(-9_998, 1, 1) * super::calendar::MICROS_PER_DAY)
}

/// An ISO offset (`+02`, `-08:30`, `+0530`, `+05:30:15`) in seconds east of UTC.
pub(crate) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let part = |text: &str| -> Option<i32> {
        ((1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    };
    let (hours, minutes, seconds) = if digits.contains(':') {
        let mut parts = digits.split(':');
        let hours = part(parts.next()?)?;
        let minutes = part(parts.next()?)?;
        let seconds = parts.next().map_or(Some(0), part)?;
        if parts.next().is_some() {
            return None;
        }
        (hours, minutes, seconds)
    } else if !digits.is_ascii() {
        return None;
    } else {
        match digits.len() {
            1 | 2 => (part(digits)?, 0, 0),
            3 => (part(&digits[..1])?, part(&digits[1..])?, 0),
            4 => (part(&digits[..2])?, part(&digits[2..])?, 0),
            6 => (
                part(&digits[..2])?,
                part(&digits[2..4])?,
                part(&digits[4..])?,
            ),
            _ => return None,
        }
    };
    (hours <= 15 && minutes < 60 && seconds < 60)
        .then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}

/// An offset as text output shows it: `+00`, `-08`, `+05:30`.
pub(crate) fn format_offset(seconds_east: i32) -> String {
    let sign = if seconds_east < 0 { '-' } else { '+' };
    let magnitude = seconds_east.unsigned_abs();
    let (hours, minutes, seconds) = (magnitude / 3_600, magnitude / 60 % 60, magnitude % 60);
    if seconds != 0 {
        format!("{sign}{hours:02}:{minutes:02}:{seconds:02}")
    } else if minutes != 0 {
        format!("{sign}{hours:02}:{minutes:02}")
    } else {
        format!("{sign}{hours:02}")
    }
}
