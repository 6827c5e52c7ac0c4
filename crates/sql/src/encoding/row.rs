//! Rows as bytes.
//!
//! ```text
//! row    := version  tags  data
//! version   the row's format, as a varint (one byte below 128)
//! tags      four bits per stored column, low half first: how long its data is
//! data      the columns' data, one after the other
//! ```
//!
//! Tag 15 is NULL for every type. Otherwise:
//!
//! | type                | tag → data                                                          |
//! |---------------------|---------------------------------------------------------------------|
//! | boolean             | 0 false, 1 true; no data                                            |
//! | integers, date      | 0–8: that many bytes, little-endian two's complement                |
//! | times               | as integers; 9–13: whole seconds in tag − 8 bytes                   |
//! | real, double        | 0–7: a whole number, as integers; 8: IEEE bits                      |
//! | text, bytea, numeric, interval, json, jsonb, arrays, enumerated types | 0–12: length; 13: a length byte first; 14: a u32 first |
//! | uuid                | 0: 16 bytes                                                         |
//!
//! A numeric's data is its scale (varint) and its digits as a big-endian two's
//! complement number; an interval's three zigzag varints: months, days, microseconds. What
//! arrays and jsonb consist of says `composite`. A value of an enumerated type is the position of
//! its label (`types::enum_position`).
//!
//! Columns of the primary key stand in the key and are left out of the row where the key gives
//! them back exactly. So a row costs one byte and a half byte per column above its data, and
//! to reach a column only the tags before it are read.

use smallvec::SmallVec;

use crate::{
    DataType, Result, Value,
    catalog::{ColumnNumber, Table},
    encoding::{KeyLayout, composite, key, wrong_type},
};

pub(crate) const TAG_NULL: u8 = 15;
pub(crate) const TAG_LEN8: u8 = 13;
pub(crate) const TAG_LEN32: u8 = 14;
/// Tags above this one, less [`SECONDS_BASE`], are lengths of whole seconds.
pub(crate) const SECONDS_BASE: u8 = 8;
pub(crate) const MAX_INLINE: usize = 12;

/// How a column's data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Boolean,
    Integer,
    Micros,
    Float4,
    Float8,
    Bytes,
    Decimal,
    Interval,
    Uuid,
}

impl Storage {
    pub(crate) fn of(data_type: DataType) -> Storage {
        match data_type {
            DataType::Boolean => Storage::Boolean,
            DataType::Int1
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Date
            | DataType::TimeTz
            | DataType::Oid
            | DataType::Unknown => Storage::Integer,
            DataType::Time | DataType::Timestamp | DataType::TimestampTz => Storage::Micros,
            DataType::Float4 => Storage::Float4,
            DataType::Float8 => Storage::Float8,
            DataType::Decimal(_) => Storage::Decimal,
            DataType::Text
            | DataType::Varchar(_)
            | DataType::Char(_)
            | DataType::Name
            | DataType::InternalChar
            | DataType::Bytea => Storage::Bytes,
            DataType::Interval => Storage::Interval,
            DataType::Uuid => Storage::Uuid,
            DataType::Json
            | DataType::Jsonb
            | DataType::Array(_)
            | DataType::Int2Vector
            | DataType::OidVector
            | DataType::Object(_)
            | DataType::Enum(_) => Storage::Bytes,
            DataType::Rounded(time, _) => Storage::of(time.data_type()),
        }
    }
}

/// A column that rows of a format hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredColumn {
    /// Its ordinal in the table; `None`: the table does not have it any more.
    pub(crate) ordinal: Option<usize>,
    /// How its data is written.
    pub(crate) storage: Storage,
}

/// One version of a table's row format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowFormat {
    /// The number that rows name it by.
    pub(crate) version: u32,
    /// The columns in the order they are stored.
    pub(crate) columns: Vec<StoredColumn>,
}

/// Encodes and decodes the rows of one table version.
#[derive(Clone, Debug)]
pub(crate) struct TableCodec {
    /// The key's layout; `None`: hidden row numbers.
    pub(crate) key: Option<KeyLayout>,
    /// The ordinals of the key's columns.
    pub(crate) key_columns: Vec<usize>,
    /// The types of all columns.
    pub(crate) types: Vec<DataType>,
    /// Every format that rows of the table may have, the current one last.
    pub(crate) formats: Vec<RowFormat>,
    /// What rows hold in columns that their format does not have, where that is not NULL: the
    /// column's ordinal, and the value as stored.
    pub(crate) before: Vec<(usize, StoredValue)>,
}

/// A value as rows hold it.
#[derive(Clone, Debug)]
pub(crate) struct StoredValue {
    /// How its data is written.
    pub(crate) storage: Storage,
    /// Its tag.
    pub(crate) tag: u8,
    /// Its data.
    pub(crate) data: Vec<u8>,
}

impl TableCodec {
    /// The codec of `table`.
    pub(crate) fn new(table: &Table) -> TableCodec {
        let types: Vec<DataType> = table
            .columns
            .iter()
            .map(|column| column.data_type)
            .collect();
        let mut codec = TableCodec::from_types(types, &table.primary_key);
        let in_key = |number: ColumnNumber| {
            table.ordinal(number).is_some_and(|ordinal| {
                table.primary_key.contains(&ordinal)
                    && codec
                        .types
                        .get(ordinal)
                        .is_some_and(|of| key::is_exact(*of))
            })
        };
        let formats: Vec<RowFormat> = table
            .row_versions
            .iter()
            .map(|of| RowFormat {
                version: of.version,
                columns: of
                    .columns
                    .iter()
                    .filter(|(number, _)| !in_key(*number))
                    .map(|(number, data_type)| StoredColumn {
                        ordinal: table.ordinal(*number),
                        storage: Storage::of(*data_type),
                    })
                    .collect(),
            })
            .collect();
        if !formats.is_empty() {
            codec.formats = formats;
        }
        for (ordinal, column) in table.columns.iter().enumerate() {
            let storage = Storage::of(column.data_type);
            let mut data = Vec::new();
            // What is of another type was refused when the column was added.
            if let Some(tag) = encode_value(storage, &column.before, &mut data)
                && tag != TAG_NULL
            {
                codec
                    .before
                    .push((ordinal, StoredValue { storage, tag, data }));
            }
        }
        codec
    }

    /// The codec of a table with columns of these types and this primary key.
    pub(crate) fn from_types(types: Vec<DataType>, primary_key: &[usize]) -> TableCodec {
        let types: Vec<DataType> = types.into_iter().map(DataType::of_values).collect();
        let in_key = |ordinal: usize| {
            primary_key.contains(&ordinal)
                && types.get(ordinal).is_some_and(|of| key::is_exact(*of))
        };
        let columns = types
            .iter()
            .enumerate()
            .filter(|(ordinal, _)| !in_key(*ordinal))
            .map(|(ordinal, data_type)| StoredColumn {
                ordinal: Some(ordinal),
                storage: Storage::of(*data_type),
            })
            .collect();
        let key = (!primary_key.is_empty()).then(|| {
            KeyLayout::primary(
                primary_key
                    .iter()
                    .filter_map(|ordinal| types.get(*ordinal).copied()),
            )
        });
        TableCodec {
            key,
            key_columns: primary_key.to_vec(),
            formats: vec![RowFormat {
                version: 1,
                columns,
            }],
            before: Vec::new(),
            types,
        }
    }

    /// Appends the primary key of `row` to `out`. Tables without one have no such key.
    pub(crate) fn encode_key(&self, row: &[Value], out: &mut Vec<u8>) -> Result<()> {
        match &self.key {
            Some(layout) => layout.encode(
                self.key_columns
                    .iter()
                    .filter_map(|ordinal| row.get(*ordinal)),
                out,
            ),
            None => Ok(()),
        }
    }

    /// Appends the stored form of `row` (all columns in table order) to `out`.
    pub(crate) fn encode_row(&self, row: &[Value], out: &mut Vec<u8>) -> Result<()> {
        let Some(format) = self.formats.last() else {
            return Ok(());
        };
        write_varint(u64::from(format.version), out);
        let tags = out.len();
        out.resize(tags + format.columns.len().div_ceil(2), 0);
        for (at, column) in format.columns.iter().enumerate() {
            let value = column
                .ordinal
                .and_then(|ordinal| row.get(ordinal))
                .unwrap_or(&Value::Null);
            let tag = encode_value(column.storage, value, out).ok_or_else(|| {
                wrong_type(
                    column
                        .ordinal
                        .and_then(|ordinal| self.types.get(ordinal))
                        .copied()
                        .unwrap_or(DataType::Unknown),
                    value,
                )
            })?;
            out[tags + at / 2] |= tag << (at % 2 * 4);
        }
        Ok(())
    }
}

/// The key of a row without primary key.
pub(crate) fn row_number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The row number that [`row_number_key`] made a key of.
pub(crate) fn row_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

pub(crate) fn write_varint(mut number: u64, out: &mut impl Extend<u8>) {
    while number >= 0x80 {
        out.extend([number as u8 | 0x80]);
        number >>= 7;
    }
    out.extend([number as u8]);
}

/// Reads a varint at `at`, moving it on.
pub(crate) fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Appends the fewest bytes that hold `number`; gives how many.
fn push_integer(number: i64, out: &mut Vec<u8>) -> u8 {
    let len = integer_len(number);
    out.extend_from_slice(&number.to_le_bytes()[..len]);
    len as u8
}

/// How many bytes hold `number`; none for zero.
fn integer_len(number: i64) -> usize {
    if number == 0 {
        return 0;
    }
    // Leading bits that repeat the sign, less the sign bit itself, need not be kept.
    let sign_bits = if number < 0 {
        number.leading_ones()
    } else {
        number.leading_zeros()
    };
    ((64 - sign_bits + 1).div_ceil(8)) as usize
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Option<u8> {
    let tag = if bytes.len() <= MAX_INLINE {
        bytes.len() as u8
    } else if let Ok(len) = u8::try_from(bytes.len()) {
        out.push(len);
        TAG_LEN8
    } else {
        out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
        TAG_LEN32
    };
    out.extend_from_slice(bytes);
    Some(tag)
}

/// A float that is a whole number of at most 53 bits, and not `-0.0`.
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= LIMIT && !(value == 0.0 && value.is_sign_negative()))
        .then_some(value as i64)
}

/// Appends `value`'s data; gives its tag, or `None` where it is of another type.
pub(crate) fn encode_value(storage: Storage, value: &Value, out: &mut Vec<u8>) -> Option<u8> {
    Some(match (storage, value) {
        (_, Value::Null) => TAG_NULL,
        (Storage::Boolean, Value::Boolean(value)) => u8::from(*value),
        (Storage::Integer, Value::Int1(value)) => push_integer(i64::from(*value), out),
        (Storage::Integer, Value::Int2(value)) => push_integer(i64::from(*value), out),
        (Storage::Integer, Value::Int4(value) | Value::Date(value)) => {
            push_integer(i64::from(*value), out)
        }
        (Storage::Integer, Value::Int8(value)) => push_integer(*value, out),
        (Storage::Integer, Value::TimeTz(value)) => push_integer(value.packed(), out),
        (Storage::Integer, Value::Oid(value)) => push_integer(i64::from(*value), out),
        (
            Storage::Micros,
            Value::Time(value) | Value::Timestamp(value) | Value::TimestampTz(value),
        ) => {
            let start = out.len();
            if value % 1_000_000 == 0 && *value != 0 {
                let len = push_integer(value / 1_000_000, out);
                if len <= 5 {
                    return Some(SECONDS_BASE + len);
                }
                out.truncate(start);
            }
            push_integer(*value, out)
        }
        (Storage::Float4, Value::Float4(value)) => match whole(f64::from(*value)) {
            Some(number) if number.unsigned_abs() < 1 << 23 => push_integer(number, out),
            _ => {
                out.extend_from_slice(&value.to_le_bytes());
                8
            }
        },
        (Storage::Float8, Value::Float8(value)) => match whole(*value) {
            Some(number) => push_integer(number, out),
            None => {
                out.extend_from_slice(&value.to_le_bytes());
                8
            }
        },
        (Storage::Bytes, Value::Text(value)) => push_bytes(value.as_bytes(), out)?,
        (Storage::Bytes, Value::Bytea(value)) => push_bytes(value, out)?,
        (Storage::Bytes, Value::Json(value)) => push_bytes(value.as_bytes(), out)?,
        (Storage::Bytes, Value::Enum(value)) => push_bytes(value.position(), out)?,
        (Storage::Bytes, Value::Array(_) | Value::Jsonb(_) | Value::Object(_)) => {
            push_bytes(&composite::encode(value)?, out)?
        }
        (Storage::Decimal, Value::Decimal(value)) => {
            let mut bytes = SmallVec::<[u8; 24]>::new();
            match value.small_parts() {
                Some((digits, scale)) => {
                    write_varint(u64::from(scale), &mut bytes);
                    // The fewest bytes that keep the sign; big-endian as for large numbers.
                    let all = digits.to_be_bytes();
                    let len = integer_len(digits).max(1);
                    bytes.extend_from_slice(&all[8 - len..]);
                }
                None => {
                    let (digits, scale) = value.to_parts();
                    write_varint(u64::from(scale), &mut bytes);
                    bytes.extend_from_slice(&digits.to_signed_bytes_be());
                }
            }
            push_bytes(&bytes, out)?
        }
        (Storage::Interval, Value::Interval(value)) => {
            let mut bytes = SmallVec::<[u8; 24]>::new();
            write_varint(zigzag(i64::from(value.months)), &mut bytes);
            write_varint(zigzag(i64::from(value.days)), &mut bytes);
            write_varint(zigzag(value.micros), &mut bytes);
            push_bytes(&bytes, out)?
        }
        (Storage::Uuid, Value::Uuid(value)) => {
            out.extend_from_slice(value.as_bytes());
            0
        }
        _ => return None,
    })
}
