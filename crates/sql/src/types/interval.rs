//! Interval input: PostgreSQL's verbose and traditional forms, the SQL standard's, ISO 8601's.

use super::{
    Interval, IntervalStyle,
    calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND},
    excerpt, take_while,
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
    years: i128,
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
        self.years += whole * years;
        self.months += (fraction * years as f64 * 12.0).round_ties_even() as i128;
    }

    fn finish(self, text: &str) -> Result<Interval> {
        let (Ok(years), Ok(months), Ok(days), Ok(micros)) = (
            i32::try_from(self.years),
            i32::try_from(self.months),
            i32::try_from(self.days),
            i64::try_from(self.micros),
        ) else {
            return Err(overflow(text));
        };
        // Each field is in range; what they come to may not be.
        let months = i32::try_from(i64::from(years) * 12 + i64::from(months))
            .map_err(|_| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
        Ok(Interval {
            months,
            days,
            micros,
        })
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
                    years: -sum.years,
                    months: -sum.months,
                    days: -sum.days,
                    micros: -sum.micros,
                };
            }
            Field::Time(micros) => {
                repeats = sum.repeats(&[
                    Unit::Hour,
                    Unit::Minute,
                    Unit::Second,
                    Unit::Millisecond,
                    Unit::Microsecond,
                ]);
                sum.micros += micros;
            }
            Field::YearMonth(months) => {
                repeats = sum.repeats(&[Unit::Year, Unit::Month]);
                sum.months += months;
            }
            // A fraction of a second stands for the smaller units as well.
            Field::Number(number, unit @ Unit::Second) if number.fraction != 0.0 => {
                repeats = sum.repeats(&[unit, Unit::Millisecond, Unit::Microsecond]);
                sum.add(number, unit);
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
            let word = take_while(&mut self.rest, |byte| byte.is_ascii_alphabetic());
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
        let token = take_while(&mut self.rest, |byte| {
            byte.is_ascii_digit() || matches!(byte, b'.' | b':')
        });
        let sign = if negative { -1 } else { 1 };
        if token.contains(':') {
            let micros = parse_clock(token).ok_or_else(|| self.clock_error(token))?;
            return Ok(Some(Field::Time(micros * sign)));
        }
        let bytes = self.rest.as_bytes();
        if bytes.first() == Some(&b'-') && bytes.get(1).is_some_and(u8::is_ascii_digit) {
            self.rest = &self.rest[1..];
            let months = take_while(&mut self.rest, |byte| byte.is_ascii_digit());
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
        let word = take_while(&mut self.rest, |byte| byte.is_ascii_alphabetic());
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
        // The seconds, which stand last, have a fraction; of three fields also the first, whose
        // fraction is one of days.
        let parts: Vec<&str> = token.split(':').collect();
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let numeric = parts.iter().enumerate().all(|(at, part)| {
            let fraction = at + 1 == parts.len() || (at == 0 && parts.len() == 3);
            part.splitn(if fraction { 2 } else { 1 }, '.').all(digits)
        });
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

/// `1Y2M3DT4H5M6S`, `00010203T040506` or `0001-02-03T04:05:06`, after the `P`.
fn parse_iso(body: &str, text: &str) -> Result<Interval> {
    let mut sum = Sum::default();
    let mut rest = body;
    let mut in_time = false;
    // The forms without designators stand at the beginning of the date or the time.
    let mut begun = false;
    if body.is_empty() {
        return Err(invalid(text));
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            (in_time, begun, rest) = (true, false, after);
            continue;
        }
        let (number, digits, after) = iso_number(rest, text)?;
        let designator = after.chars().next();
        let tail = designator.map_or("", |of| &after[of.len_utf8()..]);
        let unit = match (designator, in_time) {
            (Some('Y'), false) => Unit::Year,
            (Some('M'), false) => Unit::Month,
            (Some('W'), false) => Unit::Week,
            (Some('D'), false) => Unit::Day,
            (Some('H'), true) => Unit::Hour,
            (Some('M'), true) => Unit::Minute,
            (Some('S'), true) => Unit::Second,
            (None | Some('T'), false) if digits == 8 && !begun => {
                sum.add(part(number, 10_000, i64::MAX), Unit::Year);
                sum.add(part(number, 100, 100), Unit::Month);
                let days = Number {
                    fraction: number.fraction,
                    ..part(number, 1, 100)
                };
                sum.add(days, Unit::Day);
                rest = after;
                continue;
            }
            (None, true) if digits == 6 && !begun => {
                sum.add(part(number, 10_000, i64::MAX), Unit::Hour);
                sum.add(part(number, 100, 100), Unit::Minute);
                let seconds = Number {
                    fraction: number.fraction,
                    ..part(number, 1, 100)
                };
                sum.add(seconds, Unit::Second);
                return sum.finish(text);
            }
            (None | Some('T' | '-'), false) if !begun => {
                rest = iso_alternative(&mut sum, number, after, '-', text)?;
                if !rest.is_empty() && !rest.starts_with('T') {
                    return Err(invalid(text));
                }
                continue;
            }
            (None | Some(':'), true) if !begun => {
                rest = iso_alternative(&mut sum, number, after, ':', text)?;
                if !rest.is_empty() {
                    return Err(invalid(text));
                }
                continue;
            }
            _ => return Err(invalid(text)),
        };
        sum.add(number, unit);
        begun = true;
        rest = tail;
    }
    sum.finish(text)
}

/// `Y-M-D` or `h:m:s` from its first number on; gives what stands behind.
fn iso_alternative<'t>(
    sum: &mut Sum,
    first: Number,
    after: &'t str,
    separator: char,
    text: &str,
) -> Result<&'t str> {
    let units = if separator == '-' {
        [Unit::Year, Unit::Month, Unit::Day]
    } else {
        [Unit::Hour, Unit::Minute, Unit::Second]
    };
    let (mut number, mut rest) = (first, after);
    for (at, unit) in units.into_iter().enumerate() {
        if at > 0 {
            let Some(next) = rest.strip_prefix(separator) else {
                break;
            };
            (number, _, rest) = iso_number(next, text)?;
        }
        sum.add(number, unit);
    }
    Ok(rest)
}

/// Takes the digits of a number that has several fields: `(number / unit) % modulus`.
fn part(number: Number, unit: i64, modulus: i64) -> Number {
    Number {
        whole: number.whole / unit % modulus,
        fraction: 0.0,
    }
}

/// A number with sign, fraction and exponent; gives how many digits stand before its point, and
/// what stands behind it.
fn iso_number<'t>(body: &'t str, text: &str) -> Result<(Number, usize, &'t str)> {
    let unsigned = body.strip_prefix('-').unwrap_or(body);
    let digits = |of: &str| of.bytes().take_while(u8::is_ascii_digit).count();
    let whole_digits = digits(unsigned);
    let mut end = whole_digits;
    let mut fraction_digits = 0;
    if unsigned[end..].starts_with('.') {
        fraction_digits = digits(&unsigned[end + 1..]);
        end += 1 + fraction_digits;
    }
    if whole_digits + fraction_digits == 0 {
        return Err(invalid(text));
    }
    let mut exponent = false;
    if unsigned[end..].starts_with(['e', 'E']) {
        let after = &unsigned[end + 1..];
        let signed = usize::from(after.starts_with(['-', '+']));
        let count = digits(&after[signed..]);
        if count > 0 {
            exponent = true;
            end += 1 + signed + count;
        }
    }
    let negative = unsigned.len() < body.len();
    let token = &unsigned[..end];
    let number = if exponent {
        let value: f64 = token.parse().map_err(|_| invalid(text))?;
        if value >= i64::MAX as f64 {
            return Err(overflow(text));
        }
        let value = if negative { -value } else { value };
        Number {
            whole: value.trunc() as i64,
            fraction: value.fract(),
        }
    } else {
        parse_number(token, negative).ok_or_else(|| overflow(text))?
    };
    Ok((number, whole_digits, &unsigned[end..]))
}
