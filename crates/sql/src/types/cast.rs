//! Conversion between types.

use compact_str::{CompactString, ToCompactString};

use super::{
    Array, DataType, Decimal, Interval, Json, ObjectReference, TextStyle, TimeTz, TimeZone, Value,
    calendar::{
        Civil, DATE_INFINITY, DATE_NEGATIVE_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY,
        TIMESTAMP_NEGATIVE_INFINITY, is_valid_timestamp,
    },
    input::{fit_char, fit_varchar},
};
use crate::{Error, Result, SqlState};

/// Why a conversion happens, which decides whether it may lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CastContext {
    /// An operator or function wants another type.
    Implicit,
    /// INSERT and UPDATE store into a column: a string too long is an error.
    Assignment,
    /// `CAST` and `::`: a string too long is cut.
    Explicit,
}

/// What the text forms of dates and times depend on.
#[derive(Clone, Copy, Debug)]
pub struct Conversion<'a> {
    /// The session's time zone and styles.
    pub style: &'a TextStyle,
    /// The transaction's time in microseconds since 1970 UTC, for `'now'` and `'today'`; `None`
    /// where there is no session: those words are then a typed error.
    pub now: Option<i64>,
}

impl Conversion<'static> {
    /// UTC, no clock.
    pub const UTC: Conversion<'static> = Conversion {
        style: &TextStyle::DEFAULT,
        now: None,
    };
}

fn out_of_range(to: DataType) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{to} out of range"),
    )
}

fn float_range(overflow: bool) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        if overflow {
            "value out of range: overflow"
        } else {
            "value out of range: underflow"
        },
    )
}

impl Value {
    /// Converts to another type, in UTC. NULL stays NULL.
    ///
    /// # Errors
    /// 42846 where there is no such cast; otherwise as [`Value::parse`].
    pub fn cast(self, to: DataType, context: CastContext) -> Result<Value> {
        self.cast_in(to, context, &Conversion::UTC)
    }

    /// As [`Value::cast`], with the session's time zone and clock.
    ///
    /// # Errors
    /// As [`Value::cast`].
    pub fn cast_in(
        self,
        to: DataType,
        context: CastContext,
        conversion: &Conversion<'_>,
    ) -> Result<Value> {
        match (self, to) {
            (Value::Null, _) => Ok(Value::Null),
            (Value::Jsonb(json), to) if to.is_numeric() || to == DataType::Boolean => {
                scalar_of_json(*json, to, context)
            }
            (value, DataType::Unknown) => Ok(value),
            (Value::Text(text), _) => cast_text(text, to, context, conversion),
            (value, DataType::Text | DataType::Varchar(None)) => {
                Ok(Value::Text(value.to_text(conversion.style)))
            }
            (value, DataType::Varchar(_) | DataType::Char(_)) => {
                let text = value.to_text(conversion.style);
                cast_text(text, to, context, conversion)
            }
            (value, DataType::Oid) => match value.as_integer() {
                Some(number) => super::input::oid(number).map(Value::Oid),
                None => Err(no_cast(&value, to)),
            },
            (value, DataType::Name | DataType::InternalChar) => {
                let text = value.to_text(conversion.style);
                cast_text(text, to, context, conversion)
            }
            (value, DataType::Int1) => value.to_integer(to).map(Value::Int1),
            (value, DataType::Int2) => value.to_integer(to).map(Value::Int2),
            (value, DataType::Int4) => value.to_integer(to).map(Value::Int4),
            (value, DataType::Int8) => value.to_integer(to).map(Value::Int8),
            (value, DataType::Float8) => value.to_float8().map(Value::Float8),
            (value, DataType::Float4) => value.to_float4().map(Value::Float4),
            (value, DataType::Decimal(limits)) => {
                let number = value.to_decimal(to)?;
                Ok(Value::Decimal(match limits {
                    Some((precision, scale)) => number.with_precision(precision, scale)?,
                    None => number,
                }))
            }
            (Value::Boolean(truth), DataType::Boolean) => Ok(Value::Boolean(truth)),
            (Value::Int4(number), DataType::Boolean) => Ok(Value::Boolean(number != 0)),
            (Value::Bytea(bytes), DataType::Bytea) => Ok(Value::Bytea(bytes)),
            (Value::Uuid(uuid), DataType::Uuid) => Ok(Value::Uuid(uuid)),
            (Value::Enum(value), DataType::Enum(of)) => value.in_type(of).map(Value::Enum),
            (value, DataType::Interval) => match value {
                Value::Interval(_) => Ok(value),
                Value::Time(micros) => Ok(Value::Interval(Interval {
                    micros,
                    ..Interval::default()
                })),
                _ => Err(no_cast(&value, to)),
            },
            (Value::Array(array), DataType::Array(element)) => {
                let element = element.data_type();
                let converted = array.map(|value| value.cast_in(element, context, conversion))?;
                Ok(Value::Array(Box::new(converted.not_vector())))
            }
            (Value::Object(object), DataType::Object(_)) => Ok(Value::Object(object)),
            (value, DataType::Object(_)) => match value.as_integer() {
                // A number is not looked up here: it is written as itself.
                Some(number) => {
                    let oid = super::input::oid(number)?;
                    Ok(Value::Object(Box::new(ObjectReference {
                        oid,
                        name: oid.to_compact_string(),
                    })))
                }
                None => Err(no_cast(&value, to)),
            },
            (Value::Json(text), DataType::Json) => Ok(Value::Json(text)),
            (Value::Json(text), DataType::Jsonb) => Ok(Value::Jsonb(Box::new(Json::parse(&text)?))),
            (Value::Jsonb(json), DataType::Jsonb) => Ok(Value::Jsonb(json)),
            (Value::Jsonb(json), DataType::Json) => Ok(Value::Json(json.to_string().into())),
            (Value::Array(array), DataType::Int2Vector | DataType::OidVector) => {
                let element = to.element().unwrap_or(DataType::Oid);
                let converted = array.map(|value| value.cast_in(element, context, conversion))?;
                Ok(Value::Array(Box::new(Array::vector(
                    converted.into_values(),
                ))))
            }
            (value, DataType::Rounded(time, digits)) => Ok(value
                .cast_in(time.data_type(), context, conversion)?
                .rounded(digits)),
            (value, DataType::Date) => value.to_date(&conversion.style.time_zone),
            (value, DataType::Time) => value.to_time(&conversion.style.time_zone),
            (value, DataType::TimeTz) => value.to_time_tz(conversion),
            (value, DataType::Timestamp) => value.to_timestamp(&conversion.style.time_zone),
            (value, DataType::TimestampTz) => value.to_timestamp_tz(&conversion.style.time_zone),
            (value, _) => Err(no_cast(&value, to)),
        }
    }

    /// A time with so many digits of seconds; other values as they are.
    #[must_use]
    pub fn rounded(self, digits: u8) -> Value {
        let infinite = |micros| matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY);
        match self {
            Value::Time(micros) => Value::Time(round_micros(micros, digits)),
            Value::TimeTz(time) => {
                TimeTz::new(round_micros(time.micros(), digits), time.seconds_east())
                    .map_or(Value::TimeTz(time), Value::TimeTz)
            }
            Value::Timestamp(micros) if !infinite(micros) => {
                Value::Timestamp(round_timestamp(micros, digits))
            }
            Value::TimestampTz(micros) if !infinite(micros) => {
                Value::TimestampTz(round_timestamp(micros, digits))
            }
            Value::Interval(interval) => Value::Interval(Interval {
                micros: round_micros(interval.micros, digits),
                ..interval
            }),
            other => other,
        }
    }

    /// The value's text as a cast to `text` gives it (booleans in full).
    #[must_use]
    pub fn to_text(&self, style: &TextStyle) -> CompactString {
        match self {
            Value::Boolean(true) => CompactString::const_new("true"),
            Value::Boolean(false) => CompactString::const_new("false"),
            Value::Text(text) => text.clone(),
            _ => self.display_in(style).to_compact_string(),
        }
    }

    fn to_integer<T: TryFrom<i64>>(&self, to: DataType) -> Result<T> {
        let wide = match self {
            Value::Boolean(truth) if to == DataType::Int4 => Some(i64::from(*truth)),
            Value::Float4(number) => float_to_i64(f64::from(*number)),
            Value::Float8(number) => float_to_i64(*number),
            Value::Decimal(number) => number.round_to_i64(),
            _ => match self.as_integer() {
                Some(number) => Some(number),
                None => return Err(no_cast(self, to)),
            },
        };
        wide.and_then(|wide| T::try_from(wide).ok())
            .ok_or_else(|| out_of_range(to))
    }

    fn to_float8(&self) -> Result<f64> {
        Ok(match self {
            Value::Float4(number) => f64::from(*number),
            Value::Float8(number) => *number,
            Value::Decimal(number) => number.to_f64()?,
            _ => match self.as_integer() {
                Some(number) => number as f64,
                None => return Err(no_cast(self, DataType::Float8)),
            },
        })
    }

    fn to_float4(&self) -> Result<f32> {
        if let Some(number) = self.as_integer() {
            return Ok(number as f32);
        }
        let (wide, narrow) = match self {
            Value::Float4(number) => return Ok(*number),
            Value::Float8(number) => (*number, *number as f32),
            Value::Decimal(number) => {
                let wide = number.to_f64()?;
                // Rounded once, from the decimal text.
                (wide, number.to_string().parse().unwrap_or(wide as f32))
            }
            _ => return Err(no_cast(self, DataType::Float4)),
        };
        if narrow.is_infinite() && wide.is_finite() {
            return Err(float_range(true));
        }
        if narrow == 0.0 && wide != 0.0 {
            return Err(float_range(false));
        }
        Ok(narrow)
    }

    fn to_decimal(&self, to: DataType) -> Result<Decimal> {
        match self {
            Value::Decimal(number) => Ok(number.clone()),
            Value::Float4(number) => Decimal::from_f32(*number),
            Value::Float8(number) => Decimal::from_f64(*number),
            _ => match self.as_integer() {
                Some(number) => Ok(Decimal::from(number)),
                None => Err(no_cast(self, to)),
            },
        }
    }

    fn to_date(&self, zone: &TimeZone) -> Result<Value> {
        Ok(Value::Date(match self {
            Value::Date(days) => *days,
            Value::Timestamp(micros) => timestamp_date(*micros),
            Value::TimestampTz(micros) => timestamp_date(zone.to_local(*micros)),
            _ => return Err(no_cast(self, DataType::Date)),
        }))
    }

    fn to_time(&self, zone: &TimeZone) -> Result<Value> {
        Ok(match self {
            Value::Time(_) => self.clone(),
            Value::TimeTz(time) => Value::Time(time.micros()),
            // An infinite timestamp has no time of day.
            Value::Timestamp(TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY)
            | Value::TimestampTz(TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY) => Value::Null,
            Value::Timestamp(micros) => Value::Time(micros.rem_euclid(MICROS_PER_DAY)),
            Value::TimestampTz(micros) => {
                Value::Time(zone.to_local(*micros).rem_euclid(MICROS_PER_DAY))
            }
            Value::Interval(interval) => Value::Time(interval.micros.rem_euclid(MICROS_PER_DAY)),
            _ => return Err(no_cast(self, DataType::Time)),
        })
    }

    fn to_time_tz(&self, conversion: &Conversion<'_>) -> Result<Value> {
        let zone = &conversion.style.time_zone;
        let (micros, offset) = match self {
            Value::TimeTz(_) => return Ok(self.clone()),
            Value::TimestampTz(TIMESTAMP_INFINITY | TIMESTAMP_NEGATIVE_INFINITY) => {
                return Ok(Value::Null);
            }
            Value::TimestampTz(instant) => (
                zone.to_local(*instant).rem_euclid(MICROS_PER_DAY),
                zone.offset_at(*instant),
            ),
            // The zone's offset at that time of the current day.
            Value::Time(micros) => {
                let now = zone.to_local(conversion.now.unwrap_or(0));
                let midnight = now - now.rem_euclid(MICROS_PER_DAY);
                (*micros, zone.offset_at(zone.to_utc(midnight + micros)))
            }
            _ => return Err(no_cast(self, DataType::TimeTz)),
        };
        TimeTz::new(micros, offset)
            .map(Value::TimeTz)
            .ok_or_else(|| out_of_range(DataType::TimeTz))
    }

    fn to_timestamp(&self, zone: &TimeZone) -> Result<Value> {
        Ok(Value::Timestamp(match self {
            Value::Timestamp(micros) => *micros,
            Value::TimestampTz(micros) => zone.to_local(*micros),
            Value::Date(days) => date_timestamp(*days)?,
            _ => return Err(no_cast(self, DataType::Timestamp)),
        }))
    }

    fn to_timestamp_tz(&self, zone: &TimeZone) -> Result<Value> {
        Ok(Value::TimestampTz(match self {
            Value::TimestampTz(micros) => *micros,
            Value::Timestamp(micros) => zone.to_utc(*micros),
            Value::Date(days) => zone.to_utc(date_timestamp(*days)?),
            _ => return Err(no_cast(self, DataType::TimestampTz)),
        }))
    }
}

/// A number or truth value out of JSON.
fn scalar_of_json(json: Json, to: DataType, context: CastContext) -> Result<Value> {
    match json {
        Json::Number(number) if to.is_numeric() => Value::Decimal(number).cast(to, context),
        Json::Bool(truth) if to == DataType::Boolean => Ok(Value::Boolean(truth)),
        other => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("cannot cast jsonb {} to type {to}", other.kind()),
        )),
    }
}

/// The nearest multiple of 10^-`digits` seconds, halves away from zero.
pub(crate) fn round_micros(micros: i64, digits: u8) -> i64 {
    let unit = 10_i64.pow(6 - u32::from(digits.min(6)));
    let half = unit / 2 * micros.signum();
    // Near the ends of the range there is nothing to round up to.
    micros.saturating_add(half) / unit * unit
}

/// As [`round_micros`], away from the beginning of 2000, from which PostgreSQL counts.
fn round_timestamp(micros: i64, digits: u8) -> i64 {
    const YEAR_2000: i64 = 10_957 * MICROS_PER_DAY;
    round_micros(micros.saturating_sub(YEAR_2000), digits).saturating_add(YEAR_2000)
}

fn no_cast(value: &Value, to: DataType) -> Error {
    let from = value
        .data_type()
        .map_or_else(|| "unknown".to_owned(), |data_type| data_type.to_string());
    Error::new(
        SqlState::CANNOT_COERCE,
        format!("cannot cast type {from} to {to}"),
    )
}

fn cast_text(
    text: CompactString,
    to: DataType,
    context: CastContext,
    conversion: &Conversion<'_>,
) -> Result<Value> {
    let explicit = context == CastContext::Explicit;
    match to {
        DataType::Text | DataType::Varchar(None) => Ok(Value::Text(text)),
        DataType::Name => Ok(Value::Text(super::input::name(&text))),
        DataType::InternalChar => Ok(Value::Text(super::input::internal_char(&text))),
        // As many bytes as characters allowed: nothing to count.
        DataType::Varchar(Some(limit)) if text.len() <= limit as usize => Ok(Value::Text(text)),
        DataType::Varchar(Some(limit)) => fit_varchar(&text, limit, explicit).map(Value::Text),
        DataType::Char(length) => fit_char(&text, length, explicit).map(Value::Text),
        _ => Value::parse_in(&text, to, conversion),
    }
}

/// The nearest integer, halves to even; `None` for NaN and beyond 64 bits.
pub(crate) fn float_to_i64(number: f64) -> Option<i64> {
    let rounded = number.round_ties_even();
    // -2^63 is a float, 2^63 - 1 is not.
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0)
        .contains(&rounded)
        .then_some(rounded as i64)
}

fn timestamp_date(micros: i64) -> i32 {
    match micros {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEGATIVE_INFINITY => DATE_NEGATIVE_INFINITY,
        _ => Civil::from_timestamp(micros).days as i32,
    }
}

/// Midnight of a date.
pub(crate) fn date_timestamp(days: i32) -> Result<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEGATIVE_INFINITY => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        _ => i64::from(days)
            .checked_mul(MICROS_PER_DAY)
            .filter(|timestamp| is_valid_timestamp(*timestamp))
            .ok_or_else(|| {
                Error::new(
                    SqlState::DATETIME_FIELD_OVERFLOW,
                    "date out of range for timestamp",
                )
            }),
    }
}
