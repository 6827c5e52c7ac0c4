//! Interval input: PostgreSQL's verbose and traditional forms, the SQL standard's, ISO 8601's.

use super::{
    Interval, IntervalStyle,
    calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND},
    excerpt,
};
use crate::{Error, Result, SqlState};

/// SQLSTATE 22015, interval_field_overflow.
const INTERVAL_FIELD_OVERFLOW: SqlState = SqlState("22015");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

fn unit(word: &str) -> Option<Unit> {
    // PostgreSQL tells words apart by their first ten letters.
    let mut lower = word.to_ascii_lowercase();
    lower.truncate(10);
    Some(match lower.as_str() {
        "us" | "usec" | "usecs" | "useconds" | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "mseconds" | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    })
}

/// A signed decimal number, its fraction apart and of the same sign.
#[derive(Clone, Copy, Debug)]
struct Number {
    whole: i64,
    fraction: f64,
}

/// The sum while fields come in; wide, so that only the end can overflow.
#[derive(Default)]
struct Sum {
    /// The units that have come, a bit each: none may come twice.
    seen: u32,
    months: i128,
    days: i128,
    micros: i128,
}

impl Sum {
    /// Notes that units come; whether one of them had come before.
    fn repeats(&mut self, units: &[Unit]) -> bool {
        let bits = units.iter().fold(0, |bits, unit| bits | 1 << *unit as u32);
        let repeats = self.seen & bits != 0;
        self.seen |= bits;
        repeats
    }

    fn add(&mut self, number: Number, unit: Unit) {
        let whole = i128::from(number.whole);
        let fraction = number.fraction;
        let time = |per_unit: i64| {
            whole * i128::from(per_unit) + (fraction * per_unit as f64).round_ties_even() as i128
        };
        match unit {
            Unit::Microsecond => self.micros += time(1),
            Unit::Millisecond => self.micros += time(1_000),
            Unit::Second => self.micros += time(MICROS_PER_SECOND),
            Unit::Minute => self.micros += time(MICROS_PER_MINUTE),
            Unit::Hour => self.micros += time(MICROS_PER_HOUR),
            Unit::Day => {
                self.days += whole;
                self.add_days(fraction);
            }
            Unit::Week => {
                self.days += whole * 7;
                self.add_days(fraction * 7.0);
            }
            Unit::Month => {
                self.months += whole;
                self.add_days(fraction * 30.0);
            }
            Unit::Year => self.add_years(whole, fraction, 1),
            Unit::Decade => self.add_years(whole, fraction, 10),
            Unit::Century => self.add_years(whole, fraction, 100),
            Unit::Millennium => self.add_years(whole, fraction, 1_000),
        }
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc() as i128;
        self.micros += (days.fract() * MICROS_PER_DAY as f64).round_ties_even() as i128;
    }

    fn add_years(&mut self, whole: i128, fraction: f64, years: i128) {
        self.months +=
            whole * years * 12 + (fraction * years as f64 * 12.0).round_ties_even() as i128;
    }

    fn finish(self, text: &str) -> Result<Interval> {
        match (
            i32::try_from(self.months),
            i32::try_from(self.days),
            i64::try_from(self.micros),
        ) {
            (Ok(months), Ok(days), Ok(micros)) => Ok(Interval {
                months,
                days,
                micros,
            }),
            _ => Err(overflow(text)),
        }
    }
}

fn overflow(text: &str) -> Error {
    Error::new(
        INTERVAL_FIELD_OVERFLOW,
        format!("interval field value out of range: \"{}\"", excerpt(text)),
    )
}

fn invalid(text: &str) -> Error {
    Error::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!(
            "invalid input syntax for type interval: \"{}\"",
            excerpt(text)
        ),
    )
}

/// Reads an interval in any of its input forms.
pub(super) fn parse(text: &str, style: IntervalStyle) -> Result<Interval> {
    let trimmed = text.trim();
    let body = trimmed.strip_prefix('@').unwrap_or(trimmed).trim_start();
    if body.is_empty() {
        return Err(invalid(text));
    }
    if body.starts_with(['P', 'p']) {
        return parse_iso(&body[1..], text);
    }
    let mut sum = Sum::default();
    let mut scanner = Scanner {
        rest: body,
        text,
        // The standard's sign before the first field is that of all.
        all_negative: style == IntervalStyle::SqlStandard
            && body.starts_with('-')
            && !body
                .split_ascii_whitespace()
                .skip(1)
                .any(|field| field.starts_with(['-', '+'])),
    };
    let mut fields = 0;
    while let Some(field) = scanner.next_field()? {
        let mut repeats = false;
        match field {
            Field::Ago => {
                if fields == 0 || !scanner.rest.trim().is_empty() {
                    return Err(invalid(text));
                }
                sum = Sum {
                    seen: sum.seen,
                    months: -sum.months,
                    days: -sum.days,
                    micros: -sum.micros,
                };
            }
            Field::Time(micros) => {
                repeats = sum.repeats(&[Unit::Hour, Unit::Minute, Unit::Second]);
                sum.micros += micros;
            }
            Field::YearMonth(months) => {
                repeats = sum.repeats(&[Unit::Year, Unit::Month]);
                sum.months += months;
            }
            Field::Number(number, unit) => {
                repeats = sum.repeats(&[unit]);
                sum.add(number, unit);
            }
        }
        if repeats {
            return Err(invalid(text));
        }
        fields += 1;
    }
    if fields == 0 {
        return Err(invalid(text));
    }
    sum.finish(text)
}

enum Field {
    Number(Number, Unit),
    /// Microseconds of `h:m:s`.
    Time(i128),
    /// Months of `y-m`.
    YearMonth(i128),
    Ago,
}

struct Scanner<'a> {
    rest: &'a str,
    text: &'a str,
    /// Every field is negative, whatever its own sign.
    all_negative: bool,
}

impl<'a> Scanner<'a> {
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self
            .rest
            .bytes()
            .position(|byte| !accept(byte))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
    }

    fn next_field(&mut self) -> Result<Option<Field>> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.rest.as_bytes()[0].is_ascii_alphabetic() {
            let word = self.take_while(|byte| byte.is_ascii_alphabetic());
            return if word.eq_ignore_ascii_case("ago") {
                Ok(Some(Field::Ago))
            } else {
                Err(invalid(self.text))
            };
        }
        let negative = match self.rest.as_bytes()[0] {
            b'-' => {
                self.rest = self.rest[1..].trim_start();
                true
            }
            b'+' => {
                self.rest = self.rest[1..].trim_start();
                false
            }
            _ => false,
        };
        let negative = negative || self.all_negative;
        let token = self.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':'));
        let sign = if negative { -1 } else { 1 };
        if token.contains(':') {
            let micros = parse_clock(token).ok_or_else(|| self.clock_error(token))?;
            return Ok(Some(Field::Time(micros * sign)));
        }
        let bytes = self.rest.as_bytes();
        if bytes.first() == Some(&b'-') && bytes.get(1).is_some_and(u8::is_ascii_digit) {
            self.rest = &self.rest[1..];
            let months = self.take_while(|byte| byte.is_ascii_digit());
            let years: i64 = token.parse().map_err(|_| invalid(self.text))?;
            let months: i64 = months.parse().map_err(|_| invalid(self.text))?;
            if months >= 12 {
                return Err(overflow(self.text));
            }
            return Ok(Some(Field::YearMonth(
                sign * (i128::from(years) * 12 + i128::from(months)),
            )));
        }
        let number = parse_number(token, negative).ok_or_else(|| self.number_error(token))?;
        self.skip_blanks();
        let after_number = self.rest;
        let word = self.take_while(|byte| byte.is_ascii_alphabetic());
        if word.is_empty() || word.eq_ignore_ascii_case("ago") {
            self.rest = after_number;
            // A bare number before a time counts days, at the end seconds.
            let before_time = after_number
                .trim_start_matches(['+', '-'])
                .bytes()
                .find(|byte| !byte.is_ascii_digit())
                == Some(b':');
            if before_time {
                return Ok(Some(Field::Number(number, Unit::Day)));
            }
            if after_number.is_empty() || !word.is_empty() {
                return Ok(Some(Field::Number(number, Unit::Second)));
            }
            return Err(invalid(self.text));
        }
        let unit = unit(word).ok_or_else(|| invalid(self.text))?;
        Ok(Some(Field::Number(number, unit)))
    }

    /// Why a token is no time of day: a field too large, or not one.
    fn clock_error(&self, token: &str) -> Error {
        let numeric = token
            .split([':', '.'])
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if numeric && token.split(':').count() <= 3 {
            overflow(self.text)
        } else {
            invalid(self.text)
        }
    }

    /// Why a token that should be a number is none: too large, or not one.
    fn number_error(&self, token: &str) -> Error {
        let numeric = token.bytes().any(|byte| byte.is_ascii_digit())
            && token.bytes().filter(|byte| *byte == b'.').count() <= 1;
        if numeric {
            overflow(self.text)
        } else {
            invalid(self.text)
        }
    }
}

/// `12`, `1.5`, `.5`; `None`: not that, or beyond 64 bits.
fn parse_number(token: &str, negative: bool) -> Option<Number> {
    let (whole, fraction) = token.split_once('.').unwrap_or((token, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let signed = if negative {
        format!("-{whole}")
    } else {
        whole.to_owned()
    };
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        signed.parse().ok()?
    };
    let fraction: f64 = if fraction.is_empty() {
        0.0
    } else {
        format!("0.{fraction}").parse().ok()?
    };
    Some(Number {
        whole,
        fraction: if negative { -fraction } else { fraction },
    })
}

/// `h:m`, `h:m:s.f`, or `m:s.f` in microseconds; hours are not limited, minutes and seconds are.
fn parse_clock(token: &str) -> Option<i128> {
    let parts: Vec<&str> = token.split(':').collect();
    let whole = |text: &str| -> Option<i128> { text.parse::<u32>().ok().map(i128::from) };
    let seconds = |text: &str| -> Option<i128> {
        let number = parse_number(text, false)?;
        (number.whole < 60).then(|| {
            i128::from(number.whole) * i128::from(MICROS_PER_SECOND)
                + (number.fraction * 1e6).round_ties_even() as i128
        })
    };
    let minutes = |text: &str| whole(text).filter(|minutes| *minutes < 60);
    let (hour, minute) = (i128::from(MICROS_PER_HOUR), i128::from(MICROS_PER_MINUTE));
    match parts.as_slice() {
        [first, second] if second.contains('.') => {
            Some(minutes(first)? * minute + seconds(second)?)
        }
        [first, second] => Some(whole(first)? * hour + minutes(second)? * minute),
        [first, second, third] => {
            Some(whole(first)? * hour + minutes(second)? * minute + seconds(third)?)
        }
        _ => None,
    }
}

/// `1Y2M3DT4H5M6S` or `0001-02-03T04:05:06`, after the `P`.
fn parse_iso(body: &str, text: &str) -> Result<Interval> {
    let mut sum = Sum::default();
    let mut scanner = Scanner {
        rest: body,
        text,
        all_negative: false,
    };
    let mut in_time = false;
    let mut fields = 0;
    if let Some((years, rest)) = body.split_once('-')
        && !years.is_empty()
        && years.bytes().all(|byte| byte.is_ascii_digit())
    {
        let (date, time) = rest.split_once(['T', 't']).unwrap_or((rest, ""));
        let (months, days) = date.split_once('-').unwrap_or((date, "0"));
        for (digits, unit) in [
            (years, Unit::Year),
            (months, Unit::Month),
            (days, Unit::Day),
        ] {
            sum.add(
                parse_number(digits, false).ok_or_else(|| invalid(text))?,
                unit,
            );
        }
        if !time.is_empty() {
            sum.micros += parse_clock(time).ok_or_else(|| invalid(text))?;
        }
        return sum.finish(text);
    }
    while !scanner.rest.is_empty() {
        if let Some(rest) = scanner.rest.strip_prefix(['T', 't']) {
            if in_time {
                return Err(invalid(text));
            }
            in_time = true;
            scanner.rest = rest;
            if rest.contains(':') {
                let (negative, clock) = match rest.strip_prefix('-') {
                    Some(clock) => (true, clock),
                    None => (false, rest),
                };
                let micros = parse_clock(clock).ok_or_else(|| invalid(text))?;
                sum.micros += if negative { -micros } else { micros };
                return sum.finish(text);
            }
            continue;
        }
        let negative = scanner.rest.starts_with('-');
        if scanner.rest.starts_with(['-', '+']) {
            scanner.rest = &scanner.rest[1..];
        }
        let digits = scanner.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = parse_number(digits, negative).ok_or_else(|| scanner.number_error(digits))?;
        let Some(designator) = scanner.rest.chars().next() else {
            if fields > 0 || in_time {
                return Err(invalid(text));
            }
            // The alternative form, cut after its years.
            sum.add(number, Unit::Year);
            return sum.finish(text);
        };
        scanner.rest = &scanner.rest[designator.len_utf8()..];
        let unit = match (designator.to_ascii_uppercase(), in_time) {
            ('Y', false) => Unit::Year,
            ('M', false) => Unit::Month,
            ('W', false) => Unit::Week,
            ('D', false) => Unit::Day,
            ('H', true) => Unit::Hour,
            ('M', true) => Unit::Minute,
            ('S', true) => Unit::Second,
            _ => return Err(invalid(text)),
        };
        sum.add(number, unit);
        fields += 1;
    }
    if fields == 0 && !in_time {
        return Err(invalid(text));
    }
    sum.finish(text)
}
