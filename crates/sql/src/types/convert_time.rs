//! Dates and times of the `jiff` crate into SQL values and back.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, date},
};

use super::{FromValue, ToValue, Value};
use crate::{Error, Result, SqlState};

/// What SQL counts days and microseconds from.
const EPOCH: Date = date(1970, 1, 1);
const MICROS_PER_DAY: i64 = 86_400_000_000;

fn mismatch(value: &Value, wanted: &str) -> Error {
    match value.data_type() {
        None => Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("cannot read NULL as {wanted}"),
        )
        .hint(format!("Read it as Option<{wanted}>.")),
        Some(data_type) => Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("cannot read a value of type {data_type} as {wanted}"),
        ),
    }
}

/// `infinity`, years beyond 9999, and 24:00:00 are values of SQL alone.
fn out_of_range(value: &Value, wanted: &str) -> Error {
    Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{value} does not fit {wanted}"),
    )
}

impl FromValue for Date {
    fn from_value(value: &Value) -> Result<Date> {
        let Value::Date(days) = value else {
            return Err(mismatch(value, "Date"));
        };
        EPOCH
            .checked_add(SignedDuration::from_hours(i64::from(*days) * 24))
            .map_err(|_| out_of_range(value, "Date"))
    }
}

impl FromValue for Time {
    fn from_value(value: &Value) -> Result<Time> {
        match value {
            Value::Time(micros) if *micros < MICROS_PER_DAY => Time::midnight()
                .checked_add(SignedDuration::from_micros(*micros))
                .map_err(|_| out_of_range(value, "Time")),
            Value::Time(_) => Err(out_of_range(value, "Time")),
            _ => Err(mismatch(value, "Time")),
        }
    }
}

impl FromValue for DateTime {
    fn from_value(value: &Value) -> Result<DateTime> {
        let Value::Timestamp(micros) = value else {
            return Err(mismatch(value, "DateTime"));
        };
        EPOCH
            .at(0, 0, 0, 0)
            .checked_add(SignedDuration::from_micros(*micros))
            .map_err(|_| out_of_range(value, "DateTime"))
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Result<Timestamp> {
        let Value::TimestampTz(micros) = value else {
            return Err(mismatch(value, "Timestamp"));
        };
        Timestamp::from_microsecond(*micros).map_err(|_| out_of_range(value, "Timestamp"))
    }
}

/// Nanoseconds are rounded to microseconds.
fn micros(duration: SignedDuration) -> i64 {
    let micros = (duration.as_nanos() + 500).div_euclid(1000);
    // The years of `jiff` fit.
    i64::try_from(micros).unwrap_or(i64::MAX)
}

impl From<Date> for Value {
    fn from(day: Date) -> Value {
        let hours = day.duration_since(EPOCH).as_hours();
        Value::Date(i32::try_from(hours / 24).unwrap_or(i32::MAX))
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Value {
        Value::Time(micros(time.duration_since(Time::midnight())))
    }
}

impl From<DateTime> for Value {
    fn from(time: DateTime) -> Value {
        Value::Timestamp(micros(time.duration_since(EPOCH.at(0, 0, 0, 0))))
    }
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Value {
        Value::TimestampTz(micros(instant.duration_since(Timestamp::UNIX_EPOCH)))
    }
}

macro_rules! to_value {
    ($($rust:ty),*) => { $(
        impl ToValue for $rust {
            fn to_value(&self) -> Value {
                Value::from(*self)
            }
        }
    )* };
}

to_value! { Date, Time, DateTime, Timestamp }

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: FromValue + Into<Value> + Copy + PartialEq + std::fmt::Debug>(
        rust: T,
        sql: Value,
    ) {
        assert_eq!(rust.into(), sql);
        assert_eq!(T::from_value(&sql).unwrap(), rust);
    }

    #[test]
    fn moments_are_the_same_in_both() {
        round_trip(date(2000, 3, 1), Value::Date(11017));
        round_trip(date(1969, 12, 31), Value::Date(-1));
        round_trip(Time::constant(1, 2, 3, 4000), Value::Time(3_723_000_004));
        round_trip(
            date(1969, 12, 31).at(23, 59, 59, 0),
            Value::Timestamp(-1_000_000),
        );
        round_trip(
            Timestamp::from_microsecond(1_700_000_000_000_001).unwrap(),
            Value::TimestampTz(1_700_000_000_000_001),
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for value in [i32::MAX, i32::MIN] {
            assert!(Date::from_value(&Value::Date(value)).is_err());
        }
        assert!(Time::from_value(&Value::Time(MICROS_PER_DAY)).is_err());
        for value in [i64::MAX, i64::MIN] {
            assert!(DateTime::from_value(&Value::Timestamp(value)).is_err());
            assert!(Timestamp::from_value(&Value::TimestampTz(value)).is_err());
        }
        let error = Date::from_value(&Value::Null).unwrap_err();
        assert_eq!(error.hint_text(), Some("Read it as Option<Date>."));
    }
}
