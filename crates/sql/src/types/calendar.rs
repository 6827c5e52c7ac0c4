//! The proleptic Gregorian calendar on plain integers.
//!
//! Days and microseconds count from 1970-01-01. Years are astronomical (0 is 1 BC). The range is
//! PostgreSQL's: dates from 4714-11-24 BC to 5874897-12-31, timestamps to 294246-12-31. The
//! largest and smallest integers stand for `infinity` and `-infinity`.

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
/// Microseconds in a day of 24 hours.
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// `infinity` as a date.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `-infinity` as a date.
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
/// `infinity` as a timestamp.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
/// `-infinity` as a timestamp.
pub const TIMESTAMP_NEGATIVE_INFINITY: i64 = i64::MIN;

/// The first date: 4714-11-24 BC, Julian day 0.
pub const MIN_DATE: i32 = -2_440_588;
/// The last date: 5874897-12-31.
pub const MAX_DATE: i32 = 2_145_042_905;
/// The first timestamp: 4714-11-24 00:00:00 BC.
pub const MIN_TIMESTAMP: i64 = MIN_DATE as i64 * MICROS_PER_DAY;
/// One past the last timestamp: 294247-01-01 00:00:00, the last year that microseconds since
/// 1970 hold whole.
pub const END_TIMESTAMP: i64 = days_from_civil(294_247, 1, 1) * MICROS_PER_DAY;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; the day may lie outside
/// the month. After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
#[must_use]
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day number.
#[must_use]
pub const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    } as u32;
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Whether February has 29 days.
#[must_use]
pub const fn is_leap_year(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// The number of days in a month (1–12).
#[must_use]
pub const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The day of the week, Sunday 0.
#[must_use]
pub const fn day_of_week(days: i64) -> u32 {
    (days + 4).rem_euclid(7) as u32
}

/// ISO 8601 week-numbering year and week.
#[must_use]
pub const fn iso_week(days: i64) -> (i64, u32) {
    // The week belongs to the year of its Thursday.
    let monday_based = (days + 3).rem_euclid(7);
    let thursday = days - monday_based + 3;
    let (year, _, _) = civil_from_days(thursday);
    let week = (thursday - days_from_civil(year, 1, 1)) / 7 + 1;
    (year, week as u32)
}

/// The Monday that begins ISO week `week` of `year`.
#[must_use]
pub const fn iso_week_start(year: i64, week: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7) + (week - 1) * 7
}

/// A timestamp taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical year.
    pub year: i64,
    /// 1–12.
    pub month: u32,
    /// 1–31.
    pub day: u32,
    /// Days since 1970-01-01.
    pub days: i64,
    /// Microseconds since midnight.
    pub micros: i64,
}

impl Civil {
    /// From microseconds since 1970-01-01 00:00:00.
    #[must_use]
    pub const fn from_timestamp(timestamp: i64) -> Civil {
        let days = timestamp.div_euclid(MICROS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            days,
            micros: timestamp.rem_euclid(MICROS_PER_DAY),
        }
    }

    /// The hour, 0–23.
    #[must_use]
    pub const fn hour(&self) -> i64 {
        self.micros / MICROS_PER_HOUR
    }

    /// The minute, 0–59.
    #[must_use]
    pub const fn minute(&self) -> i64 {
        self.micros / MICROS_PER_MINUTE % 60
    }

    /// The second, 0–59.
    #[must_use]
    pub const fn second(&self) -> i64 {
        self.micros / MICROS_PER_SECOND % 60
    }

    /// The microsecond of the second.
    #[must_use]
    pub const fn microsecond(&self) -> i64 {
        self.micros % MICROS_PER_SECOND
    }
}

/// Whether a timestamp is neither infinite nor out of range.
#[must_use]
pub const fn is_valid_timestamp(timestamp: i64) -> bool {
    timestamp >= MIN_TIMESTAMP && timestamp < END_TIMESTAMP
}

/// Whether a day number is a date in range.
#[must_use]
pub const fn is_valid_date(days: i64) -> bool {
    days >= MIN_DATE as i64 && days <= MAX_DATE as i64
}

/// A date moved by months; the day is clamped to the month's last.
#[must_use]
pub fn add_months(year: i64, month: u32, day: u32, months: i64) -> (i64, u32, u32) {
    let total = year * 12 + i64::from(month) - 1 + months;
    let year = total.div_euclid(12);
    let month = total.rem_euclid(12) as u32 + 1;
    (year, month, day.min(days_in_month(year, month)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_some_centuries_round_trips() {
        let mut expected = (1_599, 12, 31);
        let first = days_from_civil(1_600, 1, 1);
        for days in first..days_from_civil(2_101, 1, 1) {
            let (year, month, day) = expected;
            expected = if day < days_in_month(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            assert_eq!(civil_from_days(days), expected);
            let (year, month, day) = expected;
            assert_eq!(
                days_from_civil(year, i64::from(month), i64::from(day)),
                days
            );
        }
    }

    #[test]
    fn the_limits_are_postgresql_s() {
        assert_eq!(civil_from_days(i64::from(MIN_DATE)), (-4_713, 11, 24));
        assert_eq!(civil_from_days(i64::from(MAX_DATE)), (5_874_897, 12, 31));
        assert_eq!(Civil::from_timestamp(END_TIMESTAMP - 1).year, 294_246);
        assert_eq!(iso_week(days_from_civil(2005, 1, 1)), (2004, 53));
        assert_eq!(day_of_week(0), 4);
    }
}
