//! Reading dates and times by a template: `to_date` and `to_timestamp`.

use super::{
    date_time::field_out_of_range,
    template::{self, Field, Item},
    to_char,
};
use crate::{
    Error, Result, SqlState,
    eval::date_arithmetic::{add_interval, timestamp_out_of_range},
    types::{
        Interval, TimeZone,
        calendar::{
            MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, days_from_civil,
            days_in_month, is_valid_date, is_valid_timestamp, iso_week_start,
        },
        date_time_input::month_by_name,
        date_timestamp,
    },
};

/// What `to_date` and `to_timestamp` read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    year: Option<i64>,
    iso_year: Option<i64>,
    before_christ: bool,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    week_of_year: Option<i64>,
    julian: Option<i64>,
    hour: Option<i64>,
    twelve_hours: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    second_of_day: Option<i64>,
    zone_hours: Option<i64>,
    zone_minutes: i64,
    zone_negative: bool,
    zone: Option<TimeZone>,
}

fn invalid_value(text: &str, what: &str) -> Error {
    Error::new(
        SqlState::INVALID_DATETIME_FORMAT,
        format!(
            "invalid value \"{}\" for \"{what}\"",
            crate::types::excerpt(text)
        ),
    )
}

/// At most `width` digits off the front of `rest`, as many as there are where no digit place
/// follows.
fn take_digits<'a>(rest: &mut &'a str, width: usize, what: &str) -> Result<(i64, &'a str)> {
    let trimmed = rest.trim_start();
    let (negative, digits_at) = match trimmed.strip_prefix(['-', '+']) {
        Some(after) => (trimmed.starts_with('-'), after),
        None => (false, trimmed),
    };
    let count = digits_at
        .bytes()
        .take(width)
        .take_while(u8::is_ascii_digit)
        .count();
    let (digits, after) = digits_at.split_at(count);
    if digits.is_empty() {
        return Err(invalid_value(
            rest.get(..width.min(rest.len())).unwrap_or(rest),
            what,
        ));
    }
    *rest = after;
    let number: i64 = digits.parse().map_err(|_| invalid_value(digits, what))?;
    Ok((if negative { -number } else { number }, digits))
}

fn take_word<'a>(rest: &mut &'a str) -> &'a str {
    let trimmed = rest.trim_start();
    let end = trimmed
        .find(|character: char| !character.is_ascii_alphabetic() && character != '.')
        .unwrap_or(trimmed.len());
    let (word, after) = trimmed.split_at(end);
    *rest = after;
    word
}

/// Reads a text by a template.
pub(super) fn read(text: &str, format: &str) -> Result<Reading> {
    let items = template::parse(format);
    let mut reading = Reading::default();
    let mut rest = text.trim_start();
    for (index, item) in items.iter().enumerate() {
        let field = match item {
            Item::Literal(literal) => {
                for character in literal.chars() {
                    // A blank matches any run of blanks, a sign any one sign, a letter itself or
                    // whatever stands in its place.
                    if character.is_whitespace() {
                        rest = rest.trim_start();
                    } else if character.is_alphanumeric() {
                        let mut characters = rest.chars();
                        characters.next();
                        rest = characters.as_str();
                    } else {
                        let trimmed = rest.trim_start();
                        rest = match trimmed.chars().next() {
                            Some(found)
                                if !found.is_alphanumeric() && found != '-' && found != '+' =>
                            {
                                &trimmed[found.len_utf8()..]
                            }
                            Some(found) if found == character => &trimmed[1..],
                            Some('-' | '+') if !matches!(character, '-' | '+') => &trimmed[1..],
                            _ => trimmed,
                        };
                    }
                }
                continue;
            }
            Item::Field { field, .. } => *field,
        };
        if rest.trim().is_empty() {
            break;
        }
        // Digits run on where the next item is no digit field.
        let digits_follow = matches!(items.get(index + 1), Some(Item::Field { .. }));
        reading.take(field, &mut rest, digits_follow)?;
    }
    Ok(reading)
}

impl Reading {
    fn take(&mut self, field: Field, rest: &mut &str, digits_follow: bool) -> Result<()> {
        let wide = |width: usize| if digits_follow { width } else { width.max(9) };
        match field {
            Field::Hour24 => self.hour = Some(take_digits(rest, 2, "HH24")?.0),
            Field::Hour12 => {
                self.hour = Some(take_digits(rest, 2, "HH12")?.0);
                self.twelve_hours = true;
            }
            Field::Minute => self.minute = take_digits(rest, 2, "MI")?.0,
            Field::Second => self.second = take_digits(rest, 2, "SS")?.0,
            Field::Millisecond => self.take_fraction(rest, 3)?,
            Field::Microsecond => self.take_fraction(rest, 6)?,
            Field::Fraction(digits) => self.take_fraction(rest, digits as usize)?,
            Field::SecondOfDay => self.second_of_day = Some(take_digits(rest, 5, "SSSS")?.0),
            Field::Meridiem { .. } => {
                let word = take_word(rest).replace('.', "");
                self.afternoon = Some(match word.to_ascii_lowercase().as_str() {
                    "am" => false,
                    "pm" => true,
                    _ => return Err(invalid_value(&word, "AM")),
                });
            }
            Field::Era { .. } => {
                let word = take_word(rest).replace('.', "");
                self.before_christ = match word.to_ascii_lowercase().as_str() {
                    "bc" => true,
                    "ad" => false,
                    _ => return Err(invalid_value(&word, "BC")),
                };
            }
            Field::YearComma => {
                let (thousands, _) = take_digits(rest, 3, "Y,YYY")?;
                *rest = rest.strip_prefix(',').unwrap_or(rest);
                let (below, _) = take_digits(rest, 3, "Y,YYY")?;
                self.year = Some(thousands * 1_000 + below);
            }
            Field::Year(digits) => {
                let (year, text) = take_digits(rest, wide(digits as usize), "YYYY")?;
                self.year = Some(complete_year(year, text.len(), digits));
            }
            Field::IsoYear(digits) => {
                let (year, text) = take_digits(rest, wide(digits as usize), "IYYY")?;
                self.iso_year = Some(complete_year(year, text.len(), digits));
            }
            Field::MonthName(_) | Field::MonthShort(_) => self.take_month_name(rest)?,
            Field::RomanMonth(_) => {
                let word = take_word(rest).to_ascii_uppercase();
                let index = to_char::ROMAN.iter().position(|roman| *roman == word);
                self.month = Some(index.ok_or_else(|| invalid_value(&word, "RM"))? as i64 + 1);
            }
            Field::Month => self.month = Some(take_digits(rest, 2, "MM")?.0),
            Field::DayName(_) | Field::DayShort(_) => {
                take_word(rest);
            }
            Field::DayOfYear => self.day_of_year = Some(take_digits(rest, 3, "DDD")?.0),
            Field::IsoDayOfYear => {
                let (day, _) = take_digits(rest, 3, "IDDD")?;
                self.iso_week = Some((day - 1).div_euclid(7) + 1);
                self.iso_day = Some((day - 1).rem_euclid(7) + 1);
            }
            Field::Day => self.day = Some(take_digits(rest, 2, "DD")?.0),
            Field::DayOfWeek => {
                take_digits(rest, 1, "D")?;
            }
            Field::IsoDayOfWeek => self.iso_day = Some(take_digits(rest, 1, "ID")?.0),
            Field::WeekOfMonth => {
                let (week, _) = take_digits(rest, 1, "W")?;
                self.day = Some((week - 1) * 7 + 1);
            }
            Field::WeekOfYear => self.week_of_year = Some(take_digits(rest, 2, "WW")?.0),
            Field::IsoWeek => self.iso_week = Some(take_digits(rest, 2, "IW")?.0),
            Field::Century => self.century = Some(take_digits(rest, 2, "CC")?.0),
            Field::Julian => self.julian = Some(take_digits(rest, 9, "J")?.0),
            Field::Quarter => {
                // Read over: it does not name a date.
                take_digits(rest, 1, "Q")?;
            }
            Field::Zone(_) => {
                let word = take_word(rest);
                self.zone = Some(TimeZone::named(word)?);
            }
            Field::ZoneHours | Field::Offset => {
                self.zone_negative = rest.trim_start().starts_with('-');
                let (hours, _) = take_digits(rest, 2, "TZH")?;
                self.zone_hours = Some(hours.abs());
                if field == Field::Offset
                    && let Some(after) = rest.strip_prefix(':')
                {
                    *rest = after;
                    self.zone_minutes = take_digits(rest, 2, "OF")?.0;
                }
            }
            Field::ZoneMinutes => self.zone_minutes = take_digits(rest, 2, "TZM")?.0,
        }
        Ok(())
    }

    fn take_fraction(&mut self, rest: &mut &str, width: usize) -> Result<()> {
        let (number, text) = take_digits(rest, width, "US")?;
        self.micros = number * 10_i64.pow(6_u32.saturating_sub(text.len() as u32));
        Ok(())
    }

    fn take_month_name(&mut self, rest: &mut &str) -> Result<()> {
        let trimmed = rest.trim_start();
        let found = to_char::MONTHS
            .iter()
            .flat_map(|month| [*month, &month[..3]])
            .find(|name| {
                trimmed
                    .get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            });
        match found {
            Some(name) => {
                self.month = month_by_name(name).map(i64::from);
                *rest = &trimmed[name.len()..];
                Ok(())
            }
            None => Err(invalid_value(take_word(rest), "MONTH")),
        }
    }

    pub(super) fn date(&self) -> Result<i64> {
        let range = || field_out_of_range("date/time");
        if let Some(julian) = self.julian {
            let days = julian + i64::from(crate::types::calendar::MIN_DATE);
            return Some(days)
                .filter(|days| is_valid_date(*days))
                .ok_or_else(range);
        }
        let mut year = match (self.year, self.century) {
            (Some(year), Some(century)) if year < 100 => (century - 1) * 100 + year,
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            (None, None) => 0,
        };
        let given = self.year.is_some() || self.century.is_some();
        if self.before_christ && given {
            year = 1 - year;
        } else if year < 0 {
            // A year written negative counts before Christ.
            year += 1;
        }
        if let Some(week) = self.iso_week {
            let iso_year = self.iso_year.unwrap_or(year);
            if !(1..=53).contains(&week) {
                return Err(range());
            }
            let days = iso_week_start(iso_year, week) + self.iso_day.unwrap_or(1) - 1;
            return Some(days)
                .filter(|days| is_valid_date(*days))
                .ok_or_else(range);
        }
        if year == 0 && !given && self.iso_year.is_none() {
            // No year: 1 BC, as PostgreSQL has it.
            year = 0;
        }
        let year = if given {
            year
        } else {
            self.iso_year.unwrap_or(year)
        };
        if year.abs() > 6_000_000 {
            return Err(range());
        }
        let day_of_year = self
            .day_of_year
            .or(self.week_of_year.map(|week| (week - 1) * 7 + 1))
            .filter(|_| self.month.is_none());
        let days = if let Some(day) = day_of_year {
            let length = if days_in_month(year, 2) == 29 {
                366
            } else {
                365
            };
            if !(1..=length).contains(&day) {
                return Err(range());
            }
            days_from_civil(year, 1, 1) + day - 1
        } else {
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            if !(1..=12).contains(&month)
                || day < 1
                || day > i64::from(days_in_month(year, month as u32))
            {
                return Err(range());
            }
            days_from_civil(year, month, day)
        };
        Some(days)
            .filter(|days| is_valid_date(*days))
            .ok_or_else(range)
    }

    fn time(&self) -> Result<i64> {
        let range = || field_out_of_range("date/time");
        if let Some(second) = self.second_of_day {
            return Some(second)
                .filter(|second| (0..86_400).contains(second))
                .map(|second| second * MICROS_PER_SECOND + self.micros)
                .ok_or_else(range);
        }
        let mut hour = self.hour.unwrap_or(0);
        if self.twelve_hours || self.afternoon.is_some() {
            if !(1..=12).contains(&hour) {
                return Err(Error::new(
                    SqlState::INVALID_DATETIME_FORMAT,
                    format!("hour \"{hour}\" is invalid for the 12-hour clock"),
                )
                .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match self.afternoon {
                Some(true) => hour = hour % 12 + 12,
                Some(false) => hour %= 12,
                None => hour %= 12,
            }
        }
        if !(0..=24).contains(&hour)
            || !(0..60).contains(&self.minute)
            || !(0..60).contains(&self.second)
        {
            return Err(range());
        }
        let time = hour * MICROS_PER_HOUR
            + self.minute * MICROS_PER_MINUTE
            + self.second * MICROS_PER_SECOND
            + self.micros;
        Some(time)
            .filter(|time| *time <= MICROS_PER_DAY)
            .ok_or_else(range)
    }

    pub(super) fn instant(&self, session_zone: &TimeZone) -> Result<i64> {
        let span = Interval {
            micros: self.time()?,
            ..Interval::default()
        };
        let days = self.date()?;
        let local = add_interval(date_timestamp(days as i32)?, &span)?;
        let fixed = self.zone_hours.map(|hours| {
            let seconds = hours * 3_600 + self.zone_minutes * 60;
            let signed = if self.zone_negative {
                -seconds
            } else {
                seconds
            };
            i32::try_from(signed).ok().and_then(TimeZone::fixed)
        });
        let zone = match &fixed {
            Some(Some(zone)) => zone,
            Some(None) => return Err(field_out_of_range("time zone")),
            None => self.zone.as_ref().unwrap_or(session_zone),
        };
        Some(zone.to_utc(local))
            .filter(|instant| is_valid_timestamp(*instant))
            .ok_or_else(timestamp_out_of_range)
    }
}

/// Years of fewer than four digits are those nearest to 2020.
fn complete_year(year: i64, digits: usize, width: u32) -> i64 {
    if width >= 4 || digits >= 4 || year < 0 {
        return year;
    }
    match year {
        0..=69 => year + 2_000,
        70..=99 => year + 1_900,
        100..=519 => year + 2_000,
        520..=999 => year + 1_000,
        _ => year,
    }
}
