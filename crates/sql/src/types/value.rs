//! One SQL value.

use compact_str::CompactString;
use uuid::Uuid;

use super::{
    Array, DataType, Decimal, ElementType, EnumValue, Json, ObjectClass, ObjectReference, TimeTz,
};

/// A span of time in PostgreSQL's three independent fields.
///
/// `==` compares the fields; SQL's comparison ([`Interval::span`]) takes a month for 30 days and
/// a day for 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Months (years are twelve of them).
    pub months: i32,
    /// Days, which may be of 23 or 25 hours.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

/// An SQL value of any type, or NULL.
///
/// `==` is structural; SQL's comparison is [`Value::compare`], and grouping uses
/// [`super::GroupKey`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// NULL.
    #[default]
    Null,
    /// `boolean`.
    Boolean(bool),
    /// `int1`.
    Int1(i8),
    /// `smallint`.
    Int2(i16),
    /// `integer`.
    Int4(i32),
    /// `bigint`.
    Int8(i64),
    /// `real`.
    Float4(f32),
    /// `double precision`.
    Float8(f64),
    /// `numeric`.
    Decimal(Decimal),
    /// `text`, `varchar`, `char` (blank-padded to its length).
    Text(CompactString),
    /// `bytea`.
    Bytea(Vec<u8>),
    /// `date`: days since 1970-01-01. The extremes of the integer are `infinity` and
    /// `-infinity`, also of the two timestamps.
    Date(i32),
    /// `time`: microseconds since midnight; 24:00:00 is a value.
    Time(i64),
    /// `time with time zone`.
    TimeTz(TimeTz),
    /// `timestamp`: microseconds since 1970-01-01 00:00:00.
    Timestamp(i64),
    /// `timestamptz`: microseconds since 1970-01-01 00:00:00 UTC.
    TimestampTz(i64),
    /// `interval`.
    Interval(Interval),
    /// `uuid`.
    Uuid(Uuid),
    /// An array; its column or expression knows the type of its elements.
    Array(Box<Array>),
    /// `json`: the text as it was written.
    Json(CompactString),
    /// `jsonb`.
    Jsonb(Box<Json>),
    /// `oid`.
    Oid(u32),
    /// An object of the catalog; its column or expression knows the class.
    Object(Box<ObjectReference>),
    /// A value of an enumerated type.
    Enum(EnumValue),
}

// Rows are vectors of values: their size is the executor's memory traffic.
const _: () = assert!(size_of::<Value>() <= 32);

impl Value {
    /// The value's type, without length or precision; `None` for NULL. Of an array it is that of
    /// the first element that is there.
    #[must_use]
    pub fn data_type(&self) -> Option<DataType> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(_) => DataType::Boolean,
            Value::Int1(_) => DataType::Int1,
            Value::Int2(_) => DataType::Int2,
            Value::Int4(_) => DataType::Int4,
            Value::Int8(_) => DataType::Int8,
            Value::Float4(_) => DataType::Float4,
            Value::Float8(_) => DataType::Float8,
            Value::Decimal(_) => DataType::Decimal(None),
            Value::Text(_) => DataType::Text,
            Value::Bytea(_) => DataType::Bytea,
            Value::Date(_) => DataType::Date,
            Value::Time(_) => DataType::Time,
            Value::TimeTz(_) => DataType::TimeTz,
            Value::Timestamp(_) => DataType::Timestamp,
            Value::TimestampTz(_) => DataType::TimestampTz,
            Value::Interval(_) => DataType::Interval,
            Value::Uuid(_) => DataType::Uuid,
            Value::Oid(_) => DataType::Oid,
            Value::Object(_) => DataType::Object(ObjectClass::Relation),
            Value::Array(array) => DataType::Array(
                array
                    .values()
                    .iter()
                    .find_map(|value| ElementType::of(value.data_type()?))
                    .or_else(|| ElementType::of(DataType::Text))?,
            ),
            Value::Json(_) => DataType::Json,
            Value::Jsonb(_) => DataType::Jsonb,
            Value::Enum(value) => DataType::Enum(value.enum_type()),
        })
    }

    /// Whether it is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Bytes on the heap, for memory accounting.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        match self {
            Value::Text(text) if text.is_heap_allocated() => text.capacity(),
            Value::Bytea(bytes) => bytes.capacity(),
            Value::Json(text) if text.is_heap_allocated() => text.capacity(),
            Value::Array(array) => array.heap_size(),
            Value::Jsonb(json) => json.heap_size(),
            Value::Object(object) => size_of::<ObjectReference>() + object.name.capacity(),
            Value::Decimal(number) => match number.small_parts() {
                Some(_) => 0,
                // A number of that many decimal digits, at 3.33 bits each.
                None => number.leading_exponent().map_or(0, |exponent| {
                    (exponent.unsigned_abs() as usize + usize::from(number.scale())) / 2 + 48
                }),
            },
            _ => 0,
        }
    }
}
