//! A stored value, borrowed from the bytes that hold it.

use compact_str::CompactString;
use num_bigint::BigInt;
use uuid::Uuid;

use crate::{
    DataType, Decimal, Interval, Result, Value,
    encoding::{composite, corrupt},
    types::{EnumType, TimeTz},
};

/// A value as the decoders give it. What it means is up to its column's type: an
/// [`ValueRef::Integer`] is an integer of any width, a date or a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ValueRef<'a> {
    /// NULL.
    Null,
    /// `boolean`.
    Boolean(bool),
    /// Integers, dates (days) and times (microseconds).
    Integer(i64),
    /// `real`.
    Float4(f32),
    /// `double precision`.
    Float8(f64),
    /// Character strings, `bytea`, `json`, the bytes of `jsonb` and arrays, and positions of
    /// labels.
    Bytes(&'a [u8]),
    /// `numeric`: two's complement, big-endian, times 10^-scale.
    Decimal {
        /// Digits after the point.
        scale: u16,
        /// The number without its point.
        digits: &'a [u8],
    },
    /// `interval`.
    Interval(Interval),
    /// `uuid`.
    Uuid(u128),
}

impl ValueRef<'_> {
    /// The value on its own, as one of type `data_type`.
    pub(crate) fn to_value(self, data_type: DataType) -> Result<Value> {
        let range = |_| corrupt("a number is out of its type's range");
        Ok(match (data_type, self) {
            (_, ValueRef::Null) => Value::Null,
            (DataType::Boolean, ValueRef::Boolean(value)) => Value::Boolean(value),
            (DataType::Int1, ValueRef::Integer(value)) => {
                Value::Int1(value.try_into().map_err(range)?)
            }
            (DataType::Int2, ValueRef::Integer(value)) => {
                Value::Int2(value.try_into().map_err(range)?)
            }
            (DataType::Int4, ValueRef::Integer(value)) => {
                Value::Int4(value.try_into().map_err(range)?)
            }
            (DataType::Int8, ValueRef::Integer(value)) => Value::Int8(value),
            (DataType::Date, ValueRef::Integer(value)) => {
                Value::Date(value.try_into().map_err(range)?)
            }
            (DataType::Time, ValueRef::Integer(value)) => Value::Time(value),
            (DataType::TimeTz, ValueRef::Integer(value)) => Value::TimeTz(
                TimeTz::from_packed(value).ok_or_else(|| corrupt("a time is out of its range"))?,
            ),
            (DataType::Timestamp, ValueRef::Integer(value)) => Value::Timestamp(value),
            (DataType::TimestampTz, ValueRef::Integer(value)) => Value::TimestampTz(value),
            (DataType::Float4, ValueRef::Float4(value)) => Value::Float4(value),
            (DataType::Float8, ValueRef::Float8(value)) => Value::Float8(value),
            (
                DataType::Text
                | DataType::Varchar(_)
                | DataType::Char(_)
                | DataType::Name
                | DataType::InternalChar,
                ValueRef::Bytes(bytes),
            ) => Value::Text(
                CompactString::from_utf8(bytes).map_err(|_| corrupt("a string is not UTF-8"))?,
            ),
            (DataType::Oid, ValueRef::Integer(value)) => {
                Value::Oid(value.try_into().map_err(range)?)
            }
            (DataType::Bytea, ValueRef::Bytes(bytes)) => Value::Bytea(bytes.to_vec()),
            (DataType::Enum(of), ValueRef::Bytes(bytes)) => enum_value(of, bytes)?,
            (DataType::Json, ValueRef::Bytes(bytes)) => Value::Json(
                CompactString::from_utf8(bytes).map_err(|_| corrupt("a string is not UTF-8"))?,
            ),
            (
                DataType::Jsonb
                | DataType::Array(_)
                | DataType::Int2Vector
                | DataType::OidVector
                | DataType::Object(_),
                ValueRef::Bytes(bytes),
            ) => composite::decode(data_type, bytes)
                .ok_or_else(|| corrupt("an array or jsonb does not decode"))?,
            (DataType::Rounded(time, _), value) => return value.to_value(time.data_type()),
            (DataType::Decimal(_), ValueRef::Decimal { scale, digits }) => {
                Value::Decimal(decimal(scale, digits)?)
            }
            (DataType::Interval, ValueRef::Interval(value)) => Value::Interval(value),
            (DataType::Uuid, ValueRef::Uuid(value)) => Value::Uuid(Uuid::from_u128(value)),
            _ => return Err(corrupt("a value is of another type than its column")),
        })
    }
}

/// The value whose label's position was stored.
pub(crate) fn enum_value(of: EnumType, position: &[u8]) -> Result<Value> {
    of.positioned(position)
        .map(Value::Enum)
        .ok_or_else(|| corrupt("a value of an enumerated type has no label"))
}

/// `digits`, a big-endian two's complement number, times 10^-`scale`.
fn decimal(scale: u16, digits: &[u8]) -> Result<Decimal> {
    let number = match digits.len() {
        len @ 1..=8 => {
            let negative = digits[0] & 0x80 != 0;
            let mut bytes = [if negative { 0xff } else { 0 }; 8];
            bytes[8 - len..].copy_from_slice(digits);
            Decimal::from_i64(i64::from_be_bytes(bytes), scale)
        }
        _ => Decimal::from_parts(BigInt::from_signed_bytes_be(digits), i64::from(scale)),
    };
    number.map_err(|_| corrupt("a numeric value is out of range"))
}
