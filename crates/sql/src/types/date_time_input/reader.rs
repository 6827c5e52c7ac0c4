//! Reading a written date and time, field by field.

use super::{
    super::{
        DateOrder, TimeZone,
        calendar::{
            MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, MIN_DATE,
            civil_from_days, days_from_civil, days_in_month,
        },
        excerpt, take_while,
        time_zone::{abbreviation_offset, parse_offset},
    },
    Failure, Parts, Special, is_day_name, month_by_name,
};
use crate::{Error, SqlState};

/// The state of one reading.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    parts: Parts,
    order: DateOrder,
    year: Option<i64>,
    /// The year has at most two digits: the century is left open.
    short_year: bool,
    month: Option<i64>,
    /// The month is a name.
    named_month: bool,
    day: Option<i64>,
    before_christ: bool,
    era_given: bool,
    afternoon: Option<bool>,
    /// A `T` has just announced a time.
    time_next: bool,
    wants_time: bool,
}

/// What a text says; numbers alone are a time where `wants_time`.
pub(super) fn parse(text: &str, wants_time: bool, order: DateOrder) -> Result<Parts, Failure> {
    // No date is longer; what is is not worth taking apart.
    if text.len() > 256 {
        return Err(Failure::Syntax);
    }
    let trimmed = text.trim();
    let signed = match trimmed.as_bytes().first() {
        Some(b'-') => Some((Special::NegativeInfinity, &trimmed[1..])),
        Some(b'+') => Some((Special::Infinity, &trimmed[1..])),
        _ => None,
    };
    if let Some((special, word)) = signed {
        return if word.eq_ignore_ascii_case("infinity") {
            Ok(Parts {
                special: Some(special),
                ..Parts::default()
            })
        } else {
            Err(Failure::Syntax)
        };
    }
    let mut reader = Reader {
        text: trimmed,
        rest: trimmed,
        parts: Parts::default(),
        order,
        year: None,
        short_year: false,
        month: None,
        named_month: false,
        day: None,
        before_christ: false,
        era_given: false,
        afternoon: None,
        time_next: false,
        wants_time,
    };
    reader.read()?;
    reader.finish()
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), Failure> {
        while let Some(first) = self.rest.bytes().next() {
            match first {
                b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' | b',' => {
                    self.rest = &self.rest[1..];
                }
                b'0'..=b'9' => self.read_number()?,
                b'+' | b'-' => self.read_offset()?,
                byte if byte.is_ascii_alphabetic() => self.read_word()?,
                _ => return Err(Failure::Syntax),
            }
        }
        Ok(())
    }

    fn has_date(&self) -> bool {
        self.parts.date.is_some()
            || (self.year.is_some() && self.month.is_some() && self.day.is_some())
    }

    /// Whether part of a date has been read.
    fn has_begun_date(&self) -> bool {
        self.year.is_some() || self.month.is_some() || self.day.is_some()
    }

    fn set_date(&mut self, year: i64, month: i64, day: i64) {
        (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
    }

    fn set_year(&mut self, year: i64, digits: &str) {
        self.year = Some(year);
        self.short_year = digits.len() <= 2;
    }

    /// The next number of a date: what it is depends on what is known, on the session's order,
    /// and on its length, since three digits or more are a year.
    fn date_number(&mut self, digits: &str) -> Result<(), Failure> {
        let value = number(digits)?;
        let year_first = digits.len() >= 3 || self.order == DateOrder::Ymd;
        match (self.year, self.month, self.day) {
            (None, None, None) if year_first => self.set_year(value, digits),
            (None, None, None) if self.order == DateOrder::Dmy => self.day = Some(value),
            (None, None, None) | (Some(_), None, None) | (None, None, Some(_)) => {
                self.month = Some(value);
            }
            (None, Some(_), None) if self.named_month && year_first => {
                self.set_year(value, digits);
            }
            (None, Some(_), None) => self.day = Some(value),
            (Some(year), Some(_), None)
                if self.named_month && self.short_year && digits.len() >= 3 =>
            {
                // What looked like the year was the day.
                self.day = Some(year);
                self.set_year(value, digits);
            }
            (Some(_), Some(_), None) => self.day = Some(value),
            (None, Some(_), Some(_)) => self.set_year(value, digits),
            _ => return Err(Failure::Syntax),
        }
        Ok(())
    }

    fn date_month(&mut self, month: u32) -> Result<(), Failure> {
        match self.month {
            // What looked like the month was the day.
            Some(day @ 1..=31) if !self.named_month && self.day.is_none() => self.day = Some(day),
            Some(_) => return Err(Failure::Syntax),
            None => {}
        }
        self.month = Some(month.into());
        self.named_month = true;
        Ok(())
    }

    fn read_number(&mut self) -> Result<(), Failure> {
        let start = self.rest;
        let digits = take_while(&mut self.rest, |byte| byte.is_ascii_digit());
        match self.rest.bytes().next() {
            Some(b':') => {
                self.rest = start;
                return self.read_clock();
            }
            Some(b'.') if self.time_next || (self.has_date() && digits.len() == 6) => {
                self.rest = start;
                let run = take_while(&mut self.rest, |byte| byte.is_ascii_digit() || byte == b'.');
                return self.set_compact_time(run);
            }
            Some(separator @ (b'-' | b'/' | b'.')) if !self.has_date() && !self.time_next => {
                let follows = self.rest.as_bytes().get(1);
                if follows.is_some_and(u8::is_ascii_alphanumeric) {
                    self.rest = start;
                    let run = take_while(&mut self.rest, |byte| {
                        byte.is_ascii_alphanumeric() || byte == separator
                    });
                    return self.split_date(run, separator);
                }
                return Err(Failure::Syntax);
            }
            _ => {}
        }
        if self.time_next || (self.wants_time && matches!(digits.len(), 4 | 6)) {
            return self.set_compact_time(digits);
        }
        if self.has_date() {
            return if matches!(digits.len(), 4 | 6) && self.parts.time.is_none() {
                self.set_compact_time(digits)
            } else {
                Err(Failure::Syntax)
            };
        }
        match digits.len() {
            8 if !self.has_begun_date() => self.set_date(
                number(&digits[..4])?,
                number(&digits[4..6])?,
                number(&digits[6..])?,
            ),
            6 if !self.has_begun_date() => {
                self.set_date(
                    number(&digits[..2])?,
                    number(&digits[2..4])?,
                    number(&digits[4..])?,
                );
                self.short_year = true;
            }
            _ => self.date_number(digits)?,
        }
        Ok(())
    }

    /// A date whose three fields one separator joins, or year and day of year.
    fn split_date(&mut self, run: &str, separator: u8) -> Result<(), Failure> {
        let fields: Vec<&str> = run.split(char::from(separator)).collect();
        match fields.as_slice() {
            [first, second, third] => {
                // `2001-02-03T04:05:06`: the time begins inside the run.
                let (third, time) = match third.find(|c: char| c.is_ascii_alphabetic()) {
                    Some(at) if at > 0 => third.split_at(at),
                    _ => (*third, ""),
                };
                if !time.is_empty() {
                    // Read on at the letter.
                    let consumed = self.text.len() - self.rest.len() - time.len();
                    self.rest = &self.text[consumed..];
                }
                // A name is the month wherever it stands.
                let fields = [*first, *second, third];
                let is_word = |field: &str| field.starts_with(|c: char| c.is_ascii_alphabetic());
                if is_word(third) && !is_word(first) && !is_word(second) {
                    // A month behind two numbers is not part of the run.
                    return Err(Failure::Syntax);
                }
                for month in fields.iter().filter_map(|field| month_by_name(field)) {
                    self.date_month(month)?;
                }
                for field in fields.iter().filter(|field| month_by_name(field).is_none()) {
                    self.date_number(field)?;
                }
                Ok(())
            }
            [year, day_of_year]
                if separator == b'.' && day_of_year.len() == 3 && (year.len() >= 4) =>
            {
                let (year, day) = (number(year)?, number(day_of_year)?);
                if !(1..=366).contains(&day) {
                    return Err(Failure::Range);
                }
                let (_, month, day) = civil_from_days(days_from_civil(year, 1, 1) + day - 1);
                self.set_date(year, month.into(), day.into());
                Ok(())
            }
            _ => Err(Failure::Syntax),
        }
    }

    /// `hh:mm[:ss[.f]]`
    fn read_clock(&mut self) -> Result<(), Failure> {
        let run = take_while(&mut self.rest, |byte| {
            byte.is_ascii_digit() || matches!(byte, b':' | b'.')
        });
        let mut fields = run.split(':');
        let hour = number(fields.next().unwrap_or(""))?;
        let minute = fields.next().unwrap_or("");
        let (minute, seconds) = match (minute.contains('.'), fields.next()) {
            (false, seconds) => (number(minute)?, seconds.unwrap_or("0")),
            // `mm:ss.f` is interval's form, not a time's.
            (true, _) => return Err(Failure::Syntax),
        };
        if fields.next().is_some() {
            return Err(Failure::Syntax);
        }
        let seconds = seconds_in_micros(seconds)?;
        self.set_time(hour, minute, seconds)
    }

    /// `hhmmss[.f]`, `hhmm`, `hh`
    fn set_compact_time(&mut self, run: &str) -> Result<(), Failure> {
        let (digits, fraction) = run.split_at(run.find('.').unwrap_or(run.len()));
        let (hour, minute, second) = match digits.len() {
            6 => (&digits[..2], &digits[2..4], &digits[4..]),
            4 if fraction.is_empty() => (&digits[..2], &digits[2..], "0"),
            1 | 2 if fraction.is_empty() => (digits, "0", "0"),
            _ => return Err(Failure::Syntax),
        };
        let seconds = seconds_in_micros(&format!("{second}{fraction}"))?;
        self.set_time(number(hour)?, number(minute)?, seconds)
    }

    fn set_time(&mut self, hour: i64, minute: i64, seconds: i64) -> Result<(), Failure> {
        self.time_next = false;
        if self.parts.time.is_some() {
            return Err(Failure::Syntax);
        }
        if hour > 24 || minute > 59 || seconds > 60 * MICROS_PER_SECOND {
            return Err(Failure::Range);
        }
        let time = hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + seconds;
        if time > MICROS_PER_DAY {
            return Err(Failure::Range);
        }
        self.parts.time = Some(time);
        Ok(())
    }

    fn read_offset(&mut self) -> Result<(), Failure> {
        let run = {
            let (sign, _) = self.rest.split_at(1);
            self.rest = &self.rest[1..];
            let digits = take_while(&mut self.rest, |byte| byte.is_ascii_digit() || byte == b':');
            format!("{sign}{digits}")
        };
        if self.parts.zone.is_some() || (self.parts.time.is_none() && !self.has_date()) {
            return Err(Failure::Syntax);
        }
        let offset = parse_offset(&run).ok_or_else(|| {
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            if digits == 0 {
                Failure::Syntax
            } else {
                Failure::Other(Error::new(
                    SqlState("22009"),
                    format!(
                        "time zone displacement out of range: \"{}\"",
                        excerpt(self.text)
                    ),
                ))
            }
        })?;
        self.parts.zone = TimeZone::fixed(offset);
        Ok(())
    }

    fn read_word(&mut self) -> Result<(), Failure> {
        let start = self.rest;
        let word = take_while(&mut self.rest, |byte| byte.is_ascii_alphabetic());
        let next = self.rest.bytes().next();
        let lower = word.to_ascii_lowercase();
        let digit_follows = next.is_some_and(|byte| byte.is_ascii_digit());
        match lower.as_str() {
            "t" if digit_follows => {
                self.time_next = true;
                return Ok(());
            }
            "j" | "jd" | "julian" if !self.has_date() => {
                let digits = take_while(&mut self.rest, |byte| byte.is_ascii_digit());
                if digits.is_empty() || digits.len() > 10 {
                    return Err(Failure::Syntax);
                }
                let days = number(digits)? + i64::from(MIN_DATE);
                self.parts.date = Some(days);
                return Ok(());
            }
            "epoch" => return self.set_special(Special::Epoch),
            "now" => return self.set_special(Special::Now),
            "today" => return self.set_special(Special::Day(0)),
            "tomorrow" => return self.set_special(Special::Day(1)),
            "yesterday" => return self.set_special(Special::Day(-1)),
            "infinity" => return self.set_special(Special::Infinity),
            "allballs" => {
                self.set_time(0, 0, 0)?;
                return self.set_zone(TimeZone::UTC);
            }
            "am" | "pm" if self.afternoon.is_none() => {
                self.afternoon = Some(lower == "pm");
                return Ok(());
            }
            "ad" | "bc" if !self.era_given => {
                self.era_given = true;
                self.before_christ = lower == "bc";
                return Ok(());
            }
            "at" | "on" => return Ok(()),
            _ => {}
        }
        if let Some(month) = month_by_name(word)
            && !self.has_date()
        {
            if let Some(separator @ (b'-' | b'/' | b'.')) = next
                && !self.has_begun_date()
                && self.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
            {
                self.rest = start;
                let run = take_while(&mut self.rest, |byte| {
                    byte.is_ascii_alphanumeric() || byte == separator
                });
                return self.split_date(run, separator);
            }
            self.rest = self.rest.strip_prefix('.').unwrap_or(self.rest);
            return self.date_month(month);
        }
        if is_day_name(word) {
            self.rest = self.rest.strip_prefix('.').unwrap_or(self.rest);
            return Ok(());
        }
        let named_day = matches!(self.parts.special, Some(Special::Day(_)));
        if self.parts.time.is_none() && !self.has_date() && !named_day {
            return Err(Failure::Syntax);
        }
        self.rest = start;
        let name = take_while(&mut self.rest, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'+' | b'-' | b':')
        });
        if !name.contains('/')
            && let Some(at) = name.find(['+', '-'])
            && let Some(offset) = parse_offset(&name[at..])
        {
            // POSIX: the digits count hours west.
            let zone = TimeZone::fixed(-offset).ok_or(Failure::Range)?;
            return self.set_zone(zone);
        }
        if let Some(offset) = abbreviation_offset(name) {
            return self.set_zone(TimeZone::fixed(offset).ok_or(Failure::Range)?);
        }
        let zone = TimeZone::named(name).map_err(|error| {
            if name.contains('/') {
                Failure::Other(error)
            } else {
                Failure::Syntax
            }
        })?;
        self.set_zone(zone)
    }

    fn set_zone(&mut self, zone: TimeZone) -> Result<(), Failure> {
        if self.parts.zone.replace(zone).is_some() {
            return Err(Failure::Syntax);
        }
        Ok(())
    }

    fn set_special(&mut self, special: Special) -> Result<(), Failure> {
        if self.parts.special.replace(special).is_some() || self.has_date() {
            return Err(Failure::Syntax);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Parts, Failure> {
        if self.time_next || (self.has_begun_date() && !self.has_date()) {
            return Err(Failure::Syntax);
        }
        if let Some(afternoon) = self.afternoon {
            let time = self.parts.time.ok_or(Failure::Syntax)?;
            let hour = time / MICROS_PER_HOUR;
            if hour > 12 {
                return Err(Failure::Range);
            }
            let base = if hour == 12 {
                time - 12 * MICROS_PER_HOUR
            } else {
                time
            };
            self.parts.time = Some(if afternoon {
                base + 12 * MICROS_PER_HOUR
            } else {
                base
            });
        }
        if let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) {
            let year = if self.short_year && !self.before_christ {
                two_digit_year(year)
            } else {
                year
            };
            let year = if self.before_christ { 1 - year } else { year };
            if (year <= 0 && !self.before_christ) || (self.before_christ && year > 0) {
                // There is no year 0.
                return Err(Failure::Range);
            }
            if !(1..=12).contains(&month)
                || day < 1
                || day > i64::from(days_in_month(year, month as u32))
                || year.abs() > 5_900_000
            {
                return Err(Failure::Range);
            }
            self.parts.date = Some(days_from_civil(year, month, day));
        } else if self.era_given {
            return Err(Failure::Syntax);
        }
        let with_time =
            self.parts.time.is_some() && !matches!(self.parts.special, Some(Special::Day(_)));
        if self.parts.special.is_some() && (self.parts.date.is_some() || with_time) {
            return Err(Failure::Syntax);
        }
        if self.parts.special.is_none() && self.parts.date.is_none() && self.parts.time.is_none() {
            return Err(Failure::Syntax);
        }
        Ok(self.parts)
    }
}

fn number(digits: &str) -> Result<i64, Failure> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Syntax);
    }
    if digits.len() > 10 {
        return Err(Failure::Range);
    }
    digits.parse().map_err(|_| Failure::Range)
}

/// `ss[.f]` in microseconds, rounded.
fn seconds_in_micros(text: &str) -> Result<i64, Failure> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = number(whole)?;
    if fraction.is_empty() {
        return Ok(whole.min(1_000) * MICROS_PER_SECOND);
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::Syntax);
    }
    let mut micros = 0;
    for position in 0..6 {
        let digit = fraction
            .as_bytes()
            .get(position)
            .map_or(0, |byte| byte - b'0');
        micros = micros * 10 + i64::from(digit);
    }
    // Halves go to the even microsecond.
    let rest = fraction.get(6..).unwrap_or("").trim_end_matches('0');
    if rest > "5" || (rest == "5" && micros % 2 == 1) {
        micros += 1;
    }
    Ok(whole.min(1_000) * MICROS_PER_SECOND + micros)
}

/// Years of two digits lie between 1970 and 2069.
fn two_digit_year(year: i64) -> i64 {
    match year {
        0..=69 => year + 2_000,
        70..=99 => year + 1_900,
        _ => year,
    }
}
