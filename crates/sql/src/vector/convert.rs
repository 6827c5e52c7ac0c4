//! SQL values to Arrow arrays and back.
//!
//! | SQL                        | Arrow                                                       |
//! |----------------------------|-------------------------------------------------------------|
//! | boolean                    | Boolean                                                     |
//! | int1, int2, int4, int8     | Int8 … Int64                                                |
//! | real, double precision     | Float32, Float64                                            |
//! | text, varchar, char        | Utf8View: short strings compare and move without a pointer  |
//! | bytea                      | BinaryView                                                  |
//! | date, time                 | Date32, Time64(µs)                                          |
//! | timestamp, timestamptz     | Timestamp(µs), Timestamp(µs, UTC)                           |
//! | numeric                    | Decimal128 or BinaryView: see [`super::decimal`]            |
//! | interval                   | FixedSizeBinary(16): months, days, µs, little-endian        |
//! | uuid                       | FixedSizeBinary(16)                                         |
//! | json                       | Utf8View                                                    |
//! | jsonb, arrays              | BinaryView: the bytes that rows hold                        |
//! | enumerated types           | BinaryView: the position of the label                       |
//!
//! Arrow's month-day-nano interval cannot hold SQL's range of microseconds.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, builder as b,
    cast::AsArray,
    new_empty_array,
    types::{
        Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use arrow_schema::{DataType as ArrowType, TimeUnit};
use uuid::Uuid;

use crate::{
    DataType, Interval, Result, Value,
    encoding::{ValueRef, composite, corrupt, enum_value, wrong_type},
    types::TimeTz,
    vector::{
        batch::arrow_error,
        decimal::{self, DecimalBuilder},
    },
};

const WIDE: i32 = 16;

/// The Arrow type of an SQL type.
pub(crate) fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int1 => ArrowType::Int8,
        DataType::Int2 => ArrowType::Int16,
        DataType::Int4 => ArrowType::Int32,
        DataType::Int8 | DataType::Oid | DataType::TimeTz => ArrowType::Int64,
        DataType::Float4 => ArrowType::Float32,
        DataType::Float8 => ArrowType::Float64,
        DataType::Unknown
        | DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Name
        | DataType::InternalChar => ArrowType::Utf8View,
        DataType::Bytea | DataType::Enum(_) => ArrowType::BinaryView,
        // Of values: others than NULL may have the other form, and another scale.
        DataType::Decimal(_) => decimal::fixed_type(0),
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        DataType::TimestampTz => {
            ArrowType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
        }
        DataType::Interval | DataType::Uuid => ArrowType::FixedSizeBinary(WIDE),
        DataType::Json => ArrowType::Utf8View,
        DataType::Jsonb
        | DataType::Array(_)
        | DataType::Int2Vector
        | DataType::OidVector
        | DataType::Object(_) => ArrowType::BinaryView,
        DataType::Rounded(time, _) => arrow_type(time.data_type()),
    }
}

/// An array without rows.
pub(crate) fn empty_array(data_type: DataType) -> ArrayRef {
    new_empty_array(&arrow_type(data_type))
}

fn interval_bytes(interval: &Interval) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&interval.months.to_le_bytes());
    bytes[4..8].copy_from_slice(&interval.days.to_le_bytes());
    bytes[8..].copy_from_slice(&interval.micros.to_le_bytes());
    bytes
}

/// Row `at` of an array that holds values of type `data_type`.
#[inline]
pub(crate) fn value_at(array: &dyn Array, data_type: DataType, at: usize) -> Result<Value> {
    if array.is_null(at) {
        return Ok(Value::Null);
    }
    Ok(match data_type {
        DataType::Boolean => Value::Boolean(array.as_boolean().value(at)),
        DataType::Int1 => Value::Int1(array.as_primitive::<Int8Type>().value(at)),
        DataType::Int2 => Value::Int2(array.as_primitive::<Int16Type>().value(at)),
        DataType::Int4 => Value::Int4(array.as_primitive::<Int32Type>().value(at)),
        DataType::Int8 => Value::Int8(array.as_primitive::<Int64Type>().value(at)),
        DataType::Oid => Value::Oid(
            u32::try_from(array.as_primitive::<Int64Type>().value(at))
                .map_err(|_| corrupt("a number is out of its type's range"))?,
        ),
        DataType::TimeTz => Value::TimeTz(
            TimeTz::from_packed(array.as_primitive::<Int64Type>().value(at))
                .ok_or_else(|| corrupt("a time is out of its range"))?,
        ),
        DataType::Float4 => Value::Float4(array.as_primitive::<Float32Type>().value(at)),
        DataType::Float8 => Value::Float8(array.as_primitive::<Float64Type>().value(at)),
        DataType::Unknown
        | DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Name
        | DataType::InternalChar => Value::Text(array.as_string_view().value(at).into()),
        DataType::Bytea => Value::Bytea(array.as_binary_view().value(at).to_vec()),
        DataType::Enum(of) => enum_value(of, array.as_binary_view().value(at))?,
        DataType::Decimal(_) => Value::Decimal(decimal::value(array, at)?),
        DataType::Date => Value::Date(array.as_primitive::<Date32Type>().value(at)),
        DataType::Time => Value::Time(array.as_primitive::<Time64MicrosecondType>().value(at)),
        DataType::Timestamp => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(at))
        }
        DataType::TimestampTz => {
            Value::TimestampTz(array.as_primitive::<TimestampMicrosecondType>().value(at))
        }
        DataType::Interval => {
            let bytes = array.as_fixed_size_binary().value(at);
            let short = || corrupt("an interval has too few bytes");
            let (months, rest) = bytes.split_first_chunk().ok_or_else(short)?;
            let (days, rest) = rest.split_first_chunk().ok_or_else(short)?;
            let micros = rest.first_chunk().ok_or_else(short)?;
            Value::Interval(Interval {
                months: i32::from_le_bytes(*months),
                days: i32::from_le_bytes(*days),
                micros: i64::from_le_bytes(*micros),
            })
        }
        DataType::Uuid => {
            let bytes = array.as_fixed_size_binary().value(at);
            let bytes = bytes
                .first_chunk()
                .ok_or_else(|| corrupt("a uuid has too few bytes"))?;
            Value::Uuid(Uuid::from_bytes(*bytes))
        }
        DataType::Json => Value::Json(array.as_string_view().value(at).into()),
        DataType::Jsonb
        | DataType::Array(_)
        | DataType::Int2Vector
        | DataType::OidVector
        | DataType::Object(_) => composite::decode(data_type, array.as_binary_view().value(at))
            .ok_or_else(|| corrupt("an array or jsonb does not decode"))?,
        DataType::Rounded(time, _) => return value_at(array, time.data_type(), at),
    })
}

/// Builds an array of an SQL type.
pub(crate) struct ColumnBuilder {
    data_type: DataType,
    kind: Kind,
}

enum Kind {
    Boolean(b::BooleanBuilder),
    Int1(b::Int8Builder),
    Int2(b::Int16Builder),
    Int4(b::Int32Builder),
    Int8(b::Int64Builder),
    Float4(b::Float32Builder),
    Float8(b::Float64Builder),
    Text(b::StringViewBuilder),
    Bytes(b::BinaryViewBuilder),
    Decimal(DecimalBuilder),
    Date(b::Date32Builder),
    Time(b::Time64MicrosecondBuilder),
    Timestamp(b::TimestampMicrosecondBuilder),
    Wide(b::FixedSizeBinaryBuilder),
}

macro_rules! each_builder {
    ($kind:expr, $builder:ident => $body:expr, decimal $decimal:ident => $of_decimal:expr) => {
        match $kind {
            Kind::Boolean($builder) => $body,
            Kind::Int1($builder) => $body,
            Kind::Int2($builder) => $body,
            Kind::Int4($builder) => $body,
            Kind::Int8($builder) => $body,
            Kind::Float4($builder) => $body,
            Kind::Float8($builder) => $body,
            Kind::Text($builder) => $body,
            Kind::Bytes($builder) => $body,
            Kind::Decimal($decimal) => $of_decimal,
            Kind::Date($builder) => $body,
            Kind::Time($builder) => $body,
            Kind::Timestamp($builder) => $body,
            Kind::Wide($builder) => $body,
        }
    };
}

impl ColumnBuilder {
    /// For values of `data_type`, `rows` of them expected.
    pub(crate) fn new(data_type: DataType, rows: usize) -> ColumnBuilder {
        let kind = match data_type {
            DataType::Boolean => Kind::Boolean(b::BooleanBuilder::with_capacity(rows)),
            DataType::Int1 => Kind::Int1(b::Int8Builder::with_capacity(rows)),
            DataType::Int2 => Kind::Int2(b::Int16Builder::with_capacity(rows)),
            DataType::Int4 => Kind::Int4(b::Int32Builder::with_capacity(rows)),
            DataType::Int8 | DataType::Oid | DataType::TimeTz => {
                Kind::Int8(b::Int64Builder::with_capacity(rows))
            }
            DataType::Float4 => Kind::Float4(b::Float32Builder::with_capacity(rows)),
            DataType::Float8 => Kind::Float8(b::Float64Builder::with_capacity(rows)),
            DataType::Unknown
            | DataType::Text
            | DataType::Varchar(_)
            | DataType::Char(_)
            | DataType::Name
            | DataType::InternalChar => Kind::Text(b::StringViewBuilder::with_capacity(rows)),
            DataType::Bytea | DataType::Enum(_) => {
                Kind::Bytes(b::BinaryViewBuilder::with_capacity(rows))
            }
            DataType::Decimal(_) => Kind::Decimal(DecimalBuilder::with_capacity(rows)),
            DataType::Date => Kind::Date(b::Date32Builder::with_capacity(rows)),
            DataType::Time => Kind::Time(b::Time64MicrosecondBuilder::with_capacity(rows)),
            DataType::Timestamp | DataType::TimestampTz => Kind::Timestamp(
                b::TimestampMicrosecondBuilder::with_capacity(rows)
                    .with_data_type(arrow_type(data_type)),
            ),
            DataType::Json => Kind::Text(b::StringViewBuilder::with_capacity(rows)),
            DataType::Jsonb
            | DataType::Array(_)
            | DataType::Int2Vector
            | DataType::OidVector
            | DataType::Object(_) => Kind::Bytes(b::BinaryViewBuilder::with_capacity(rows)),
            DataType::Rounded(time, _) => return ColumnBuilder::new(time.data_type(), rows),
            DataType::Interval | DataType::Uuid => {
                Kind::Wide(b::FixedSizeBinaryBuilder::with_capacity(rows, WIDE))
            }
        };
        ColumnBuilder { data_type, kind }
    }

    /// Appends NULL.
    pub(crate) fn append_null(&mut self) {
        each_builder!(
            &mut self.kind,
            builder => builder.append_null(),
            decimal builder => builder.append_null()
        );
    }

    /// Appends a value as the row decoder gives it.
    #[inline]
    pub(crate) fn append_ref(&mut self, value: ValueRef<'_>) -> Result<()> {
        let range = |_| corrupt("a number is out of its type's range");
        match (&mut self.kind, value) {
            (_, ValueRef::Null) => self.append_null(),
            (Kind::Int4(of), ValueRef::Integer(value)) => {
                of.append_value(value.try_into().map_err(range)?);
            }
            (Kind::Int8(of), ValueRef::Integer(value)) => of.append_value(value),
            (Kind::Text(of), ValueRef::Bytes(bytes)) => of.append_value(
                std::str::from_utf8(bytes).map_err(|_| corrupt("a string is not UTF-8"))?,
            ),
            (Kind::Float8(of), ValueRef::Float8(value)) => of.append_value(value),
            (Kind::Timestamp(of), ValueRef::Integer(value)) => of.append_value(value),
            (Kind::Decimal(of), ValueRef::Decimal { scale, digits }) => {
                of.append_ref(scale, digits);
            }
            (Kind::Boolean(of), ValueRef::Boolean(value)) => of.append_value(value),
            (Kind::Int1(of), ValueRef::Integer(value)) => {
                of.append_value(value.try_into().map_err(range)?);
            }
            (Kind::Int2(of), ValueRef::Integer(value)) => {
                of.append_value(value.try_into().map_err(range)?);
            }
            (Kind::Date(of), ValueRef::Integer(value)) => {
                of.append_value(value.try_into().map_err(range)?);
            }
            (Kind::Time(of), ValueRef::Integer(value)) => of.append_value(value),
            (Kind::Float4(of), ValueRef::Float4(value)) => of.append_value(value),
            (Kind::Bytes(of), ValueRef::Bytes(bytes)) => of.append_value(bytes),
            (Kind::Wide(of), ValueRef::Interval(value)) => of
                .append_value(interval_bytes(&value))
                .map_err(arrow_error)?,
            (Kind::Wide(of), ValueRef::Uuid(value)) => {
                of.append_value(value.to_be_bytes()).map_err(arrow_error)?;
            }
            _ => return Err(corrupt("a value is of another type than its column")),
        }
        Ok(())
    }

    /// Appends a value.
    #[inline]
    pub(crate) fn append(&mut self, value: &Value) -> Result<()> {
        match (&mut self.kind, value) {
            (_, Value::Null) => self.append_null(),
            (Kind::Boolean(of), Value::Boolean(value)) => of.append_value(*value),
            (Kind::Int1(of), Value::Int1(value)) => of.append_value(*value),
            (Kind::Int2(of), Value::Int2(value)) => of.append_value(*value),
            (Kind::Int4(of), Value::Int4(value)) => of.append_value(*value),
            (Kind::Int8(of), Value::Int8(value)) => of.append_value(*value),
            (Kind::Int8(of), Value::Oid(value)) => of.append_value(i64::from(*value)),
            (Kind::Int8(of), Value::TimeTz(value)) => of.append_value(value.packed()),
            (Kind::Float4(of), Value::Float4(value)) => of.append_value(*value),
            (Kind::Float8(of), Value::Float8(value)) => of.append_value(*value),
            (Kind::Text(of), Value::Text(value)) => of.append_value(value),
            (Kind::Bytes(of), Value::Bytea(value)) => of.append_value(value),
            (Kind::Bytes(of), Value::Enum(value)) => of.append_value(value.position()),
            (Kind::Text(of), Value::Json(value)) => of.append_value(value),
            (Kind::Bytes(of), Value::Array(_) | Value::Jsonb(_) | Value::Object(_)) => of
                .append_value(
                    composite::encode(value).ok_or_else(|| wrong_type(self.data_type, value))?,
                ),
            (Kind::Decimal(of), Value::Decimal(value)) => of.append(value),
            (Kind::Date(of), Value::Date(value)) => of.append_value(*value),
            (Kind::Time(of), Value::Time(value)) => of.append_value(*value),
            (Kind::Timestamp(of), Value::Timestamp(value) | Value::TimestampTz(value)) => {
                of.append_value(*value);
            }
            (Kind::Wide(of), Value::Interval(value)) => {
                of.append_value(interval_bytes(value))
                    .map_err(arrow_error)?;
            }
            (Kind::Wide(of), Value::Uuid(value)) => {
                of.append_value(value.as_bytes()).map_err(arrow_error)?;
            }
            (_, value) => return Err(wrong_type(self.data_type, value)),
        }
        Ok(())
    }

    /// The array; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        each_builder!(
            &mut self.kind,
            builder => Arc::new(builder.finish()),
            decimal builder => builder.finish()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decimal;

    #[test]
    fn values_come_back_as_they_went_in() {
        let big: Decimal =
            Value::parse("-12345678901234567890123456789.50", DataType::Decimal(None))
                .map(|value| match value {
                    Value::Decimal(number) => number,
                    other => panic!("{other:?}"),
                })
                .unwrap();
        let cases = [
            (DataType::Boolean, Value::Boolean(true)),
            (DataType::Int1, Value::Int1(-3)),
            (DataType::Int2, Value::Int2(i16::MIN)),
            (DataType::Int4, Value::Int4(7)),
            (DataType::Int8, Value::Int8(i64::MAX)),
            (DataType::Float4, Value::Float4(-0.0)),
            (DataType::Float8, Value::Float8(1e300)),
            (
                DataType::Text,
                Value::Text("a string longer than a view".into()),
            ),
            (DataType::Char(3), Value::Text("ab ".into())),
            (DataType::Bytea, Value::Bytea(vec![0, 255])),
            (DataType::Decimal(None), Value::Decimal(big)),
            (
                DataType::Decimal(Some((5, 2))),
                Value::Decimal(Decimal::from_i64(-150, 2).unwrap()),
            ),
            (DataType::Date, Value::Date(i32::MAX)),
            (DataType::Time, Value::Time(86_400_000_000)),
            (DataType::Timestamp, Value::Timestamp(-1)),
            (DataType::TimestampTz, Value::TimestampTz(i64::MIN)),
            (
                DataType::Interval,
                Value::Interval(Interval {
                    months: -1,
                    days: 40,
                    micros: i64::MIN,
                }),
            ),
            (DataType::Uuid, Value::Uuid(Uuid::from_u128(5))),
        ];
        for (data_type, value) in cases {
            let mut builder = ColumnBuilder::new(data_type, 2);
            builder.append(&value).unwrap();
            builder.append(&Value::Null).unwrap();
            let array = builder.finish();
            if !matches!(data_type, DataType::Decimal(_)) {
                assert_eq!(array.data_type(), &arrow_type(data_type));
            }
            let back = value_at(&array, data_type, 0).unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
            assert_eq!(value_at(&array, data_type, 1).unwrap(), Value::Null);
            let wrong = if matches!(value, Value::Boolean(_)) {
                Value::Int4(1)
            } else {
                Value::Boolean(true)
            };
            assert!(builder.append(&wrong).is_err());
        }
    }
}
