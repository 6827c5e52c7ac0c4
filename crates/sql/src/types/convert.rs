//! Rust values into SQL values and back.

use bigdecimal::BigDecimal;
use compact_str::CompactString;
use uuid::Uuid;

use super::{Decimal, Interval, Value};
use crate::{Error, Result, SqlState};

/// A Rust type that an SQL value can be read as.
pub trait FromValue: Sized {
    /// Reads the value. Integers and floats widen; nothing is cut or rounded.
    ///
    /// # Errors
    /// 42804 where the value is of another type or NULL, 22003 where it does not fit. `Option`
    /// takes NULL.
    fn from_value(value: &Value) -> Result<Self>;
}

/// A Rust type that can be a parameter or a stored value.
pub trait ToValue {
    /// Makes the SQL value.
    fn to_value(&self) -> Value;
}

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

fn does_not_fit(value: &Value, wanted: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{value} does not fit {wanted}"),
    )
}

macro_rules! integers {
    ($($rust:ty => $variant:ident as $sql:ty),* $(,)?) => { $(
        impl FromValue for $rust {
            fn from_value(value: &Value) -> Result<$rust> {
                let number = value
                    .as_integer()
                    .ok_or_else(|| mismatch(value, stringify!($rust)))?;
                <$rust>::try_from(number).map_err(|_| does_not_fit(value, stringify!($rust)))
            }
        }
        impl From<$rust> for Value {
            fn from(number: $rust) -> Value {
                Value::$variant(<$sql>::from(number))
            }
        }
        impl ToValue for $rust {
            fn to_value(&self) -> Value {
                Value::from(*self)
            }
        }
    )* };
}

integers! {
    i8 => Int1 as i8,
    i16 => Int2 as i16,
    i32 => Int4 as i32,
    i64 => Int8 as i64,
    u8 => Int2 as i16,
    u16 => Int4 as i32,
    u32 => Int8 as i64,
}

/// 64-bit unsigned integers read any integer that is not negative; as a parameter they are
/// `bigint` where they fit and `numeric` beyond.
impl FromValue for u64 {
    fn from_value(value: &Value) -> Result<u64> {
        let number = value.as_integer().ok_or_else(|| mismatch(value, "u64"))?;
        u64::try_from(number).map_err(|_| does_not_fit(value, "u64"))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        match i64::try_from(number) {
            Ok(number) => Value::Int8(number),
            Err(_) => Value::Decimal(Decimal::from(i128::from(number))),
        }
    }
}

impl ToValue for u64 {
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
}

/// As `u64`.
impl FromValue for usize {
    fn from_value(value: &Value) -> Result<usize> {
        let number = value.as_integer().ok_or_else(|| mismatch(value, "usize"))?;
        usize::try_from(number).map_err(|_| does_not_fit(value, "usize"))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::from(number as u64)
    }
}

impl ToValue for usize {
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
}

impl FromValue for f32 {
    fn from_value(value: &Value) -> Result<f32> {
        match value {
            Value::Float4(number) => Ok(*number),
            _ => Err(mismatch(value, "f32")),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<f64> {
        match value {
            Value::Float8(number) => Ok(*number),
            Value::Float4(number) => Ok(f64::from(*number)),
            Value::Int1(number) => Ok(f64::from(*number)),
            Value::Int2(number) => Ok(f64::from(*number)),
            Value::Int4(number) => Ok(f64::from(*number)),
            Value::Decimal(number) => number.to_f64(),
            _ => Err(mismatch(value, "f64")),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<String> {
        value
            .as_text()
            .or(value.as_label())
            .map(str::to_owned)
            .ok_or_else(|| mismatch(value, "String"))
    }
}

impl FromValue for std::borrow::Cow<'_, str> {
    fn from_value(value: &Value) -> Result<Self> {
        String::from_value(value).map(Self::Owned)
    }
}

impl FromValue for CompactString {
    fn from_value(value: &Value) -> Result<CompactString> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            Value::Enum(value) => Ok(CompactString::new(value.label())),
            _ => Err(mismatch(value, "CompactString")),
        }
    }
}

impl FromValue for BigDecimal {
    fn from_value(value: &Value) -> Result<BigDecimal> {
        match value {
            Value::Decimal(number) => Ok(number.to_big_decimal()),
            _ => value
                .as_integer()
                .map(BigDecimal::from)
                .ok_or_else(|| mismatch(value, "BigDecimal")),
        }
    }
}

impl FromValue for Decimal {
    fn from_value(value: &Value) -> Result<Decimal> {
        match value {
            Value::Decimal(number) => Ok(number.clone()),
            _ => value
                .as_integer()
                .map(Decimal::from)
                .ok_or_else(|| mismatch(value, "Decimal")),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Value> {
        Ok(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Option<T>> {
        if value.is_null() {
            Ok(None)
        } else {
            T::from_value(value).map(Some)
        }
    }
}

macro_rules! plain {
    ($($rust:ty => $variant:ident),* $(,)?) => { $(
        impl FromValue for $rust {
            fn from_value(value: &Value) -> Result<$rust> {
                match value {
                    Value::$variant(inner) => Ok(inner.clone()),
                    _ => Err(mismatch(value, stringify!($rust))),
                }
            }
        }
    )* };
}

plain! { bool => Boolean, Vec<u8> => Bytea, Uuid => Uuid, Interval => Interval }

macro_rules! into_value {
    ($($rust:ty => |$value:ident| $make:expr),* $(,)?) => { $(
        impl From<$rust> for Value {
            fn from($value: $rust) -> Value {
                $make
            }
        }
        impl ToValue for $rust {
            fn to_value(&self) -> Value {
                Value::from(self.clone())
            }
        }
    )* };
}

into_value! {
    bool => |value| Value::Boolean(value),
    f32 => |value| Value::Float4(value),
    f64 => |value| Value::Float8(value),
    String => |value| Value::Text(CompactString::from(value)),
    CompactString => |value| Value::Text(value),
    Vec<u8> => |value| Value::Bytea(value),
    Uuid => |value| Value::Uuid(value),
    Decimal => |value| Value::Decimal(value),
    Interval => |value| Value::Interval(value),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(CompactString::new(text))
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        Value::from(self)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytea(bytes.to_vec())
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value {
        Value::from(self)
    }
}

impl TryFrom<&BigDecimal> for Value {
    type Error = Error;

    fn try_from(number: &BigDecimal) -> Result<Value> {
        Decimal::try_from(number).map(Value::Decimal)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}
