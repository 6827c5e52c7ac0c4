//! Writing intervals in the four styles.

use std::fmt::{self, Write};

use super::{
    Interval, IntervalStyle,
    calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND},
    display::write_fraction,
};

/// An interval taken apart; every field has the sign of its group.
#[derive(Clone, Copy)]
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// Microseconds of the last minute.
    micros: i64,
}

impl Fields {
    fn of(interval: Interval) -> Fields {
        Fields {
            years: i64::from(interval.months / 12),
            months: i64::from(interval.months % 12),
            days: i64::from(interval.days),
            hours: interval.micros / MICROS_PER_HOUR,
            minutes: interval.micros / MICROS_PER_MINUTE % 60,
            micros: interval.micros % MICROS_PER_MINUTE,
        }
    }

    fn all(self) -> [i64; 6] {
        [
            self.years,
            self.months,
            self.days,
            self.hours,
            self.minutes,
            self.micros,
        ]
    }

    /// Fields are at most 2^63 / 3.6e9, so that none overflows.
    fn negated(self) -> Fields {
        Fields {
            years: -self.years,
            months: -self.months,
            days: -self.days,
            hours: -self.hours,
            minutes: -self.minutes,
            micros: -self.micros,
        }
    }
}

/// Seconds without their sign: `6.7`, or `06.7`.
fn write_seconds(f: &mut impl Write, micros: i64, two_digits: bool) -> fmt::Result {
    let magnitude = micros.unsigned_abs();
    let seconds = magnitude / MICROS_PER_SECOND as u64;
    if two_digits {
        write!(f, "{seconds:02}")?;
    } else {
        write!(f, "{seconds}")?;
    }
    write_fraction(f, magnitude % MICROS_PER_SECOND as u64)
}

pub(super) fn write(f: &mut impl Write, interval: Interval, style: IntervalStyle) -> fmt::Result {
    let fields = Fields::of(interval);
    match style {
        IntervalStyle::Postgres => write_postgres(f, interval, fields),
        IntervalStyle::PostgresVerbose => write_verbose(f, fields),
        IntervalStyle::SqlStandard => write_standard(f, fields),
        IntervalStyle::Iso8601 => write_iso(f, fields),
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, *self, IntervalStyle::Postgres)
    }
}

/// `1 year 2 mons -3 days +04:05:06.7`. A field after a negative one shows its sign.
fn write_postgres(f: &mut impl Write, interval: Interval, fields: Fields) -> fmt::Result {
    let mut first = true;
    let mut negative_before = false;
    let parts = [
        (fields.years, "year"),
        (fields.months, "mon"),
        (fields.days, "day"),
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
    if !first && interval.micros == 0 {
        return Ok(());
    }
    if !first {
        f.write_char(' ')?;
    }
    if interval.micros < 0 {
        f.write_char('-')?;
    } else if negative_before {
        f.write_char('+')?;
    }
    write!(
        f,
        "{:02}:{:02}:",
        fields.hours.unsigned_abs(),
        fields.minutes.unsigned_abs()
    )?;
    write_seconds(f, fields.micros, true)
}

/// `@ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs`; `ago` turns the sign of what begins
/// negative.
fn write_verbose(f: &mut impl Write, fields: Fields) -> fmt::Result {
    let mut empty = true;
    let mut before = false;
    f.write_char('@')?;
    let parts = [
        (fields.years, "year"),
        (fields.months, "mon"),
        (fields.days, "day"),
        (fields.hours, "hour"),
        (fields.minutes, "min"),
    ];
    for (count, unit) in parts {
        if count == 0 {
            continue;
        }
        if empty {
            before = count < 0;
        }
        let shown = if before { -count } else { count };
        write!(f, " {shown} {unit}{}", if shown == 1 { "" } else { "s" })?;
        empty = false;
    }
    if fields.micros != 0 {
        f.write_char(' ')?;
        if empty {
            before = fields.micros < 0;
        } else if (fields.micros < 0) != before {
            f.write_char('-')?;
        }
        write_seconds(f, fields.micros, false)?;
        let one = fields.micros.unsigned_abs() == MICROS_PER_SECOND as u64;
        f.write_str(if one { " sec" } else { " secs" })?;
        empty = false;
    }
    if empty {
        f.write_str(" 0")?;
    }
    if before {
        f.write_str(" ago")?;
    }
    Ok(())
}

/// The standard's literals where the value is one of theirs (all of one sign, and year-month or
/// day-time alone), else every field with its sign.
fn write_standard(f: &mut impl Write, fields: Fields) -> fmt::Result {
    let negative = fields.all().iter().any(|field| *field < 0);
    let positive = fields.all().iter().any(|field| *field > 0);
    let year_month = fields.years != 0 || fields.months != 0;
    let day_time =
        fields.days != 0 || fields.hours != 0 || fields.minutes != 0 || fields.micros != 0;
    if !negative && !positive {
        return f.write_char('0');
    }
    if (negative && positive) || (year_month && day_time) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        write!(
            f,
            "{}{}-{} {}{} {}{}:{:02}:",
            sign(fields.years < 0 || fields.months < 0),
            fields.years.abs(),
            fields.months.abs(),
            sign(fields.days < 0),
            fields.days.abs(),
            sign(fields.hours < 0 || fields.minutes < 0 || fields.micros < 0),
            fields.hours.abs(),
            fields.minutes.abs()
        )?;
        return write_seconds(f, fields.micros, true);
    }
    let fields = if negative {
        f.write_char('-')?;
        fields.negated()
    } else {
        fields
    };
    if year_month {
        return write!(f, "{}-{}", fields.years, fields.months);
    }
    if fields.days != 0 {
        write!(f, "{} ", fields.days)?;
    }
    write!(f, "{}:{:02}:", fields.hours, fields.minutes)?;
    write_seconds(f, fields.micros, true)
}

/// `P1Y2M3DT4H5M6.7S`
fn write_iso(f: &mut impl Write, fields: Fields) -> fmt::Result {
    if fields.all() == [0; 6] {
        return f.write_str("PT0S");
    }
    f.write_char('P')?;
    for (count, unit) in [
        (fields.years, 'Y'),
        (fields.months, 'M'),
        (fields.days, 'D'),
    ] {
        if count != 0 {
            write!(f, "{count}{unit}")?;
        }
    }
    if fields.hours == 0 && fields.minutes == 0 && fields.micros == 0 {
        return Ok(());
    }
    f.write_char('T')?;
    for (count, unit) in [(fields.hours, 'H'), (fields.minutes, 'M')] {
        if count != 0 {
            write!(f, "{count}{unit}")?;
        }
    }
    if fields.micros != 0 {
        if fields.micros < 0 {
            f.write_char('-')?;
        }
        write_seconds(f, fields.micros, false)?;
        f.write_char('S')?;
    }
    Ok(())
}
