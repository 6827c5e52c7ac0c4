//! `to_char` of dates, times and intervals.

use std::fmt::Write;

use compact_str::CompactString;

use super::template::{Case, Field, Item, parse};
use crate::{
    Result,
    eval::internal,
    types::{
        Interval, TimeZone, Value,
        calendar::{
            Civil, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, MIN_DATE, day_of_week,
            days_from_civil, iso_week, iso_week_start,
        },
    },
};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
pub(super) const ROMAN: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

/// What there is to show.
struct Moment {
    year: i64,
    month: u32,
    /// Whether the months are an interval's below zero.
    negative_months: bool,
    day: i64,
    /// Days since 1970; `None` for an interval.
    days: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    zone: Option<(String, i32)>,
}

impl Moment {
    fn of_timestamp(local: i64, zone: Option<(String, i32)>) -> Moment {
        let civil = Civil::from_timestamp(local);
        Moment {
            year: civil.year,
            month: civil.month,
            negative_months: false,
            day: civil.day.into(),
            days: Some(civil.days),
            hour: civil.hour(),
            minute: civil.minute(),
            second: civil.second(),
            micros: civil.microsecond(),
            zone,
        }
    }

    fn of_interval(interval: &Interval) -> Moment {
        Moment {
            year: i64::from(interval.months / 12),
            month: (interval.months % 12).unsigned_abs(),
            negative_months: interval.months % 12 < 0,
            day: interval.days.into(),
            days: None,
            hour: interval.micros / MICROS_PER_HOUR,
            minute: interval.micros / MICROS_PER_MINUTE % 60,
            second: interval.micros / MICROS_PER_SECOND % 60,
            micros: interval.micros % MICROS_PER_SECOND,
            zone: None,
        }
    }
}

/// The text of a date or time by a template; `None` for an infinite one.
pub(super) fn format(
    value: &Value,
    template: &str,
    zone: &TimeZone,
) -> Result<Option<CompactString>> {
    let moment = match value {
        Value::Timestamp(micros) if super::super::date_arithmetic::is_infinite(*micros) => {
            return Ok(None);
        }
        Value::TimestampTz(micros) if super::super::date_arithmetic::is_infinite(*micros) => {
            return Ok(None);
        }
        Value::Timestamp(micros) => Moment::of_timestamp(*micros, None),
        Value::TimestampTz(micros) => Moment::of_timestamp(
            zone.to_local(*micros),
            Some((zone.abbreviation_at(*micros), zone.offset_at(*micros))),
        ),
        Value::Interval(interval) => Moment::of_interval(interval),
        _ => return Err(internal("to_char of other than a date or time")),
    };
    let mut out = CompactString::default();
    for item in parse(template) {
        match item {
            Item::Literal(text) => out.push_str(&text),
            Item::Field {
                field,
                fill,
                ordinal,
            } => write_field(&mut out, &moment, field, fill, ordinal)
                .map_err(|_| internal("text could not be written"))?,
        }
    }
    Ok(Some(out))
}

fn cased(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_uppercase(),
        Case::Title => text.to_owned(),
        Case::Lower => text.to_lowercase(),
    }
}

/// A name, padded to the longest of its kind unless `FM`.
fn write_name(
    out: &mut CompactString,
    name: &str,
    case: Case,
    width: usize,
    fill: bool,
) -> std::fmt::Result {
    let width = if fill { 0 } else { width };
    write!(out, "{:<width$}", cased(name, case))
}

/// A number with leading zeros unless `FM`; a sign does not count as a digit.
fn write_number(
    out: &mut CompactString,
    number: i64,
    width: usize,
    fill: bool,
    ordinal: Option<Case>,
) -> std::fmt::Result {
    let width = if fill {
        0
    } else {
        width + usize::from(number < 0)
    };
    write!(out, "{number:0width$}")?;
    if let Some(case) = ordinal {
        let suffix = match (number.unsigned_abs() % 100, number.unsigned_abs() % 10) {
            (11..=13, _) => "th",
            (_, 1) => "st",
            (_, 2) => "nd",
            (_, 3) => "rd",
            _ => "th",
        };
        out.push_str(&cased(suffix, case));
    }
    Ok(())
}

fn write_field(
    out: &mut CompactString,
    moment: &Moment,
    field: Field,
    fill: bool,
    ordinal: Option<Case>,
) -> std::fmt::Result {
    let number = |out: &mut CompactString, value: i64, width: usize| {
        write_number(out, value, width, fill, ordinal)
    };
    // Years before 1 are shown by their count before Christ; an interval's as they are.
    let shown_year = |year: i64| {
        if moment.days.is_some() && year <= 0 {
            1 - year
        } else {
            year
        }
    };
    let hour12 = match moment.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let days = moment.days.unwrap_or(0);
    match field {
        Field::Hour12 => number(
            out,
            if moment.days.is_some() {
                hour12
            } else if moment.hour % 12 == 0 {
                12
            } else {
                moment.hour % 12
            },
            2,
        ),
        Field::Hour24 => number(out, moment.hour, 2),
        Field::Minute => number(out, moment.minute, 2),
        Field::Second => number(out, moment.second, 2),
        Field::Millisecond => number(out, moment.micros / 1_000, 3),
        Field::Microsecond => number(out, moment.micros, 6),
        Field::Fraction(digits) => {
            let cut = moment.micros / 10_i64.pow(6 - digits);
            write!(out, "{:0width$}", cut.abs(), width = digits as usize)
        }
        Field::SecondOfDay => number(
            out,
            moment.hour * 3_600 + moment.minute * 60 + moment.second,
            1,
        ),
        Field::Meridiem { case, periods } => {
            let text = match (moment.hour.rem_euclid(24) >= 12, periods) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            out.push_str(&cased(text, case));
            Ok(())
        }
        Field::Era { case, periods } => {
            let text = match (moment.year <= 0, periods) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            out.push_str(&cased(text, case));
            Ok(())
        }
        Field::YearComma => {
            let year = shown_year(moment.year);
            write!(out, "{},{:03}", year / 1_000, year % 1_000)
        }
        Field::Year(digits) => write_year(out, shown_year(moment.year), digits, fill, ordinal),
        Field::IsoYear(digits) => {
            let year = if moment.days.is_some() {
                iso_week(days).0
            } else {
                moment.year
            };
            write_year(out, shown_year(year), digits, fill, ordinal)
        }
        Field::MonthName(case) => match name_of_month(moment) {
            Some(name) => write_name(out, name, case, 9, fill),
            None => Ok(()),
        },
        Field::MonthShort(case) => match name_of_month(moment) {
            Some(name) => write_name(out, &name[..3], case, 3, fill),
            None => Ok(()),
        },
        Field::Month => number(out, moment.month.into(), 2),
        Field::DayName(case) => write_name(out, DAYS[day_of_week(days) as usize], case, 9, fill),
        Field::DayShort(case) => {
            write_name(out, &DAYS[day_of_week(days) as usize][..3], case, 3, fill)
        }
        Field::DayOfYear => {
            let day = match moment.days {
                Some(days) => days - days_from_civil(moment.year, 1, 1) + 1,
                None => moment.year * 360 + i64::from(moment.month) * 30 + moment.day,
            };
            number(out, day, 3)
        }
        Field::IsoDayOfYear => {
            let start = iso_week_start(iso_week(days).0, 1);
            number(out, days - start + 1, 3)
        }
        Field::Day => number(out, moment.day, 2),
        Field::DayOfWeek => number(out, i64::from(day_of_week(days)) + 1, 1),
        Field::IsoDayOfWeek => {
            let day = match day_of_week(days) {
                0 => 7,
                day => i64::from(day),
            };
            number(out, day, 1)
        }
        Field::WeekOfMonth => number(out, (moment.day - 1) / 7 + 1, 1),
        Field::WeekOfYear => {
            let day = days - days_from_civil(moment.year, 1, 1);
            number(out, day / 7 + 1, 2)
        }
        Field::IsoWeek => number(out, iso_week(days).1.into(), 2),
        Field::Century => {
            let year = moment.year;
            let century = if moment.days.is_none() {
                year / 100
            } else if year > 0 {
                (year + 99) / 100
            } else {
                -((99 - (year - 1)) / 100)
            };
            number(out, century, 2)
        }
        Field::Julian => number(out, days - i64::from(MIN_DATE), 1),
        Field::Quarter => {
            if moment.month == 0 {
                return Ok(());
            }
            number(out, (i64::from(moment.month) - 1) / 3 + 1, 1)
        }
        Field::RomanMonth(case) => {
            // An interval's months may be 0, of a year that is gone, or negative: then they
            // count backwards.
            let index = match (moment.month, moment.year) {
                (0, 0) => return Ok(()),
                (0, year) if year < 0 => 0,
                (0, _) => 11,
                (month, _) if moment.negative_months => 12 - month,
                (month, _) => month - 1,
            };
            let roman = ROMAN.get(index as usize).copied().unwrap_or("");
            write_name(out, roman, case, 4, fill)
        }
        Field::Zone(case) => {
            if let Some((name, _)) = &moment.zone {
                out.push_str(&cased(
                    name,
                    if case == Case::Lower {
                        case
                    } else {
                        Case::Title
                    },
                ));
            }
            Ok(())
        }
        Field::ZoneHours => {
            let offset = moment.zone.as_ref().map_or(0, |(_, offset)| *offset);
            let sign = if offset < 0 { '-' } else { '+' };
            write!(out, "{sign}{:02}", offset.unsigned_abs() / 3_600)
        }
        Field::ZoneMinutes => {
            let offset = moment.zone.as_ref().map_or(0, |(_, offset)| *offset);
            write!(out, "{:02}", offset.unsigned_abs() / 60 % 60)
        }
        Field::Offset => {
            let offset = moment.zone.as_ref().map_or(0, |(_, offset)| *offset);
            let sign = if offset < 0 { '-' } else { '+' };
            write!(out, "{sign}{:02}", offset.unsigned_abs() / 3_600)?;
            if offset % 3_600 != 0 {
                write!(out, ":{:02}", offset.unsigned_abs() / 60 % 60)?;
            }
            Ok(())
        }
    }
}

fn name_of_month(moment: &Moment) -> Option<&'static str> {
    MONTHS.get(moment.month.checked_sub(1)? as usize).copied()
}

fn write_year(
    out: &mut CompactString,
    year: i64,
    digits: u32,
    fill: bool,
    ordinal: Option<Case>,
) -> std::fmt::Result {
    let shown = if digits == 4 {
        year
    } else {
        year % 10_i64.pow(digits)
    };
    write_number(out, shown, digits as usize, fill, ordinal)
}
