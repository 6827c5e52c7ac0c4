//! Order-preserving keys: comparing two keys as bytes gives the order of their SQL values.
//!
//! A key is the concatenation of its columns. Each column is
//!
//! ```text
//! [marker] payload      marker only where the column is nullable:
//!                         0x00 NULL (nulls first)   0x01 a value   0x02 NULL (nulls last)
//! ```
//!
//! and the payload, every bit inverted where the column is descending:
//!
//! | type                  | payload                                                          |
//! |-----------------------|------------------------------------------------------------------|
//! | boolean               | one byte, 0 or 1                                                 |
//! | integers, date, times | big-endian, sign bit flipped (1, 2, 4 or 8 bytes)                |
//! | floats                | IEEE bits, sign flipped if positive, else all; one NaN, one zero |
//! | numeric               | sign, exponent, base-100 digits (`key_decimal`)                  |
//! | text, bytea           | bytes, 0x00 written as 0x00 0xFF, ended by 0x00 0x01; of char(n) |
//! |                       | without the blanks at its end                                    |
//! | interval              | its length in microseconds, 16 bytes, sign flipped               |
//! | uuid                  | its 16 bytes                                                     |
//! | enumerated types      | the position of the label, as bytea                              |
//! | arrays                | per element 0x01 and its payload, or 0x02 for NULL; 0x00; number |
//! |                       | of dimensions, their lengths, their lower bounds                 |
//! | jsonb                 | kind; of arrays and objects the count, then what they hold       |
//!
//! The last column of an *open-ended* layout (primary keys), if it is text or bytea, is
//! written as it is: nothing follows that it would have to be told apart from.

use crate::{
    DataType, Interval, Result, Value,
    encoding::{ValueRef, corrupt, key_decimal, wrong_type},
    types::{ElementType, Json},
};

const NULL_FIRST: u8 = 0x00;
const PRESENT: u8 = 0x01;
const NULL_LAST: u8 = 0x02;

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
const END: u8 = 0x01;

/// After the last element of an array, so that a shorter one comes first.
const ELEMENTS_END: u8 = 0x00;
const ELEMENT: u8 = 0x01;
const ELEMENT_NULL: u8 = 0x02;

/// How deep a `jsonb` in a key may be nested: deeper than any that is written.
const MAX_JSON_DEPTH: usize = 1_000;

/// One column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    /// The type of its values.
    pub(crate) data_type: DataType,
    /// Whether the order is descending.
    pub(crate) descending: bool,
    /// Whether NULLs come first.
    pub(crate) nulls_first: bool,
    /// Whether NULL can occur (costs a marker byte).
    pub(crate) nullable: bool,
}

impl KeyColumn {
    /// An ascending column without NULLs.
    pub(crate) fn ascending(data_type: DataType) -> KeyColumn {
        KeyColumn {
            data_type,
            descending: false,
            nulls_first: false,
            nullable: false,
        }
    }

    /// Appends `value`'s part of a key.
    pub(crate) fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        if self.nullable {
            if matches!(value, Value::Null) {
                out.push(if self.nulls_first {
                    NULL_FIRST
                } else {
                    NULL_LAST
                });
                return Ok(());
            }
            out.push(PRESENT);
        }
        let start = out.len();
        encode_payload(self.data_type, value, out)?;
        if self.descending {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
        Ok(())
    }

    /// The length of this column's part at the start of `key`.
    pub(crate) fn part_len(&self, key: &[u8]) -> Result<usize> {
        let (marker, payload) = self.split_marker(key)?;
        match payload {
            None => Ok(marker),
            Some(payload) => {
                let len = payload_len(self.data_type, payload, self.mask())
                    .ok_or_else(|| corrupt("a key ends early"))?;
                Ok(marker + len)
            }
        }
    }

    fn mask(&self) -> u8 {
        if self.descending { 0xff } else { 0 }
    }

    /// Splits the marker off; no payload means NULL.
    fn split_marker<'a>(&self, key: &'a [u8]) -> Result<(usize, Option<&'a [u8]>)> {
        if !self.nullable {
            return Ok((0, Some(key)));
        }
        match key.split_first() {
            Some((&PRESENT, rest)) => Ok((1, Some(rest))),
            Some((&(NULL_FIRST | NULL_LAST), _)) => Ok((1, None)),
            _ => Err(corrupt("a key has no valid NULL marker")),
        }
    }
}

/// Whether a value can be had back from its key exactly. The others (`-0.0`, the trailing
/// zeros of a decimal, the padding of char, `1 day` against `24 hours`) are equal in order but not in look, so rows
/// keep them beside the key.
pub(crate) fn is_exact(data_type: DataType) -> bool {
    !matches!(
        data_type,
        DataType::Float4
            | DataType::Float8
            | DataType::Decimal(_)
            | DataType::Char(_)
            | DataType::Interval
            | DataType::Array(_)
            | DataType::Int2Vector
            | DataType::OidVector
            | DataType::Object(_)
            | DataType::Json
            | DataType::Jsonb
    )
}

/// The columns of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLayout {
    columns: Vec<KeyColumn>,
    open_end: bool,
}

impl KeyLayout {
    /// The layout of a primary key over columns of these types.
    pub(crate) fn primary(types: impl IntoIterator<Item = DataType>) -> KeyLayout {
        let columns: Vec<KeyColumn> = types.into_iter().map(KeyColumn::ascending).collect();
        let open_end = columns.last().is_some_and(|column| {
            matches!(
                column.data_type,
                DataType::Text | DataType::Varchar(_) | DataType::Bytea
            )
        });
        KeyLayout { columns, open_end }
    }

    /// The layout of an index's columns, each with a NULL marker, something else following.
    pub(crate) fn index(columns: Vec<KeyColumn>) -> KeyLayout {
        KeyLayout {
            columns,
            open_end: false,
        }
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[KeyColumn] {
        &self.columns
    }

    /// Whether column `at` is the last one and written without an end: a key with it is whole,
    /// and may be the beginning of another one.
    pub(crate) fn is_open_at(&self, at: usize) -> bool {
        self.open_end && at.wrapping_add(1) == self.columns.len()
    }

    /// Appends the key of `values`, which may be fewer than the columns (a prefix).
    pub(crate) fn encode<'a>(
        &self,
        values: impl IntoIterator<Item = &'a Value>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        for (at, value) in (0..self.columns.len()).zip(values) {
            self.encode_at(at, value, out)?;
        }
        Ok(())
    }

    /// Appends the part of column `at`, which there is, to a key of the columns before it.
    pub(crate) fn encode_at(&self, at: usize, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let Some(column) = self.columns.get(at) else {
            return Ok(());
        };
        if !self.is_open_at(at) {
            return column.encode(value, out);
        }
        match value {
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Bytea(bytes) => out.extend_from_slice(bytes),
            other => return Err(wrong_type(column.data_type, other)),
        }
        Ok(())
    }

    /// Walks a key's columns, giving the value of each column that `wanted` asks for. Values
    /// of inexact types are not given (see [`is_exact`]).
    ///
    /// `scratch` holds unescaped strings.
    pub(crate) fn decode(
        &self,
        key: &[u8],
        wanted: &[Option<usize>],
        scratch: &mut Vec<u8>,
        sink: &mut impl FnMut(usize, ValueRef<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = key;
        for (at, (column, slot)) in self.columns.iter().zip(wanted).enumerate() {
            if self.open_end && at + 1 == self.columns.len() {
                if let Some(slot) = slot {
                    sink(*slot, ValueRef::Bytes(rest))?;
                }
                return Ok(());
            }
            let len = column.part_len(rest)?;
            let (part, after) = rest
                .split_at_checked(len)
                .ok_or_else(|| corrupt("a key ends early"))?;
            if let Some(slot) = slot {
                let (_, payload) = column.split_marker(part)?;
                match payload {
                    None => sink(*slot, ValueRef::Null)?,
                    Some(payload) => {
                        let value =
                            decode_payload(column.data_type, payload, column.mask(), scratch)
                                .ok_or_else(|| corrupt("a key column does not decode"))?;
                        sink(*slot, value)?;
                    }
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// The bytes after the columns: the row key in an index entry.
    pub(crate) fn suffix<'a>(&self, key: &'a [u8]) -> Result<&'a [u8]> {
        let mut rest = key;
        for column in &self.columns {
            let len = column.part_len(rest)?;
            rest = rest
                .get(len..)
                .ok_or_else(|| corrupt("an index key ends early"))?;
        }
        Ok(rest)
    }
}

/// The sort position of an interval in microseconds: months of 30 days, days of 24 hours, as
/// PostgreSQL compares them.
pub(crate) fn interval_micros(interval: Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * 86_400_000_000 + i128::from(interval.micros)
}

fn encode_payload(data_type: DataType, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match (data_type, value) {
        (DataType::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (DataType::Int1, Value::Int1(value)) => out.push(*value as u8 ^ 0x80),
        (DataType::Int2, Value::Int2(value)) => {
            out.extend_from_slice(&(*value as u16 ^ 1 << 15).to_be_bytes());
        }
        (DataType::Int4, Value::Int4(value)) | (DataType::Date, Value::Date(value)) => {
            out.extend_from_slice(&(*value as u32 ^ 1 << 31).to_be_bytes());
        }
        (DataType::Int8, Value::Int8(value))
        | (DataType::Time, Value::Time(value))
        | (DataType::Timestamp, Value::Timestamp(value))
        | (DataType::TimestampTz, Value::TimestampTz(value)) => {
            out.extend_from_slice(&(*value as u64 ^ 1 << 63).to_be_bytes());
        }
        (DataType::TimeTz, Value::TimeTz(value)) => {
            out.extend_from_slice(&(value.packed() as u64 ^ 1 << 63).to_be_bytes());
        }
        (DataType::Float4, Value::Float4(value)) => {
            let value = if value.is_nan() {
                f32::NAN.abs()
            } else {
                *value + 0.0
            };
            let bits = value.to_bits();
            let mask = if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
            out.extend_from_slice(&(bits ^ mask).to_be_bytes());
        }
        (DataType::Float8, Value::Float8(value)) => {
            let value = if value.is_nan() {
                f64::NAN.abs()
            } else {
                *value + 0.0
            };
            let bits = value.to_bits();
            let mask = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
            out.extend_from_slice(&(bits ^ mask).to_be_bytes());
        }
        (DataType::Decimal(_), Value::Decimal(value)) => key_decimal::encode(value, out),
        (
            DataType::Text | DataType::Varchar(_) | DataType::Name | DataType::InternalChar,
            Value::Text(value),
        ) => {
            escape(value.as_bytes(), out);
        }
        // The padding of char(n) does not count in comparisons.
        (DataType::Char(_), Value::Text(value)) => {
            escape(value.trim_end_matches(' ').as_bytes(), out);
        }
        (DataType::Bytea, Value::Bytea(value)) => escape(value, out),
        (DataType::Enum(_), Value::Enum(value)) => escape(value.position(), out),
        (DataType::Interval, Value::Interval(value)) => {
            let micros = interval_micros(*value);
            out.extend_from_slice(&(micros as u128 ^ 1 << 127).to_be_bytes());
        }
        (DataType::Uuid, Value::Uuid(value)) => out.extend_from_slice(value.as_bytes()),
        (DataType::Oid, Value::Oid(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (DataType::Object(_), Value::Object(object)) => {
            out.extend_from_slice(&object.oid.to_be_bytes());
        }
        (DataType::Int2Vector, value @ Value::Array(_)) => {
            return encode_payload(DataType::Array(ElementType::INT2), value, out);
        }
        (DataType::OidVector, value @ Value::Array(_)) => {
            return encode_payload(DataType::Array(ElementType::OID), value, out);
        }
        (DataType::Array(element), Value::Array(array)) => {
            for value in array.values() {
                if value.is_null() {
                    out.push(ELEMENT_NULL);
                } else {
                    out.push(ELEMENT);
                    encode_payload(element.data_type(), value, out)?;
                }
            }
            out.push(ELEMENTS_END);
            out.push(array.dimensions().len() as u8);
            for dimension in array.dimensions() {
                out.extend_from_slice(&dimension.length.to_be_bytes());
            }
            for dimension in array.dimensions() {
                out.extend_from_slice(&(dimension.lower as u32 ^ 1 << 31).to_be_bytes());
            }
        }
        (DataType::Json, Value::Json(value)) => escape(value.as_bytes(), out),
        (DataType::Jsonb, Value::Jsonb(json)) => encode_json(json, out),
        (DataType::Rounded(time, _), value) => {
            return encode_payload(time.data_type(), value, out);
        }
        (data_type, value) => return Err(wrong_type(data_type, value)),
    }
    Ok(())
}

/// A kind in [`Json::compare`]'s order, how much there is, and what.
fn encode_json(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.push(0),
        Json::String(text) => {
            out.push(1);
            escape(text.as_bytes(), out);
        }
        Json::Number(number) => {
            out.push(2);
            key_decimal::encode(number, out);
        }
        Json::Bool(truth) => out.extend_from_slice(&[3, u8::from(*truth)]),
        Json::Array(elements) => {
            out.push(4);
            out.extend_from_slice(&(elements.len() as u32).to_be_bytes());
            elements
                .iter()
                .for_each(|element| encode_json(element, out));
        }
        Json::Object(members) => {
            out.push(5);
            out.extend_from_slice(&(members.len() as u32).to_be_bytes());
            for (key, value) in members {
                out.extend_from_slice(&(key.len() as u32).to_be_bytes());
                escape(key.as_bytes(), out);
                encode_json(value, out);
            }
        }
    }
}

/// The length of a `jsonb`'s part at the start of `payload`.
fn json_len(payload: &[u8], mask: u8, depth: usize) -> Option<usize> {
    if depth > MAX_JSON_DEPTH {
        return None;
    }
    let count = || -> Option<u32> {
        let bytes: [u8; 4] = payload.get(1..5)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes.map(|byte| byte ^ mask)))
    };
    Some(match *payload.first()? ^ mask {
        0 => 1,
        1 => 1 + escaped_len(payload.get(1..)?, mask)?,
        2 => 1 + key_decimal::len(payload.get(1..)?, mask)?,
        3 => 2,
        kind @ (4 | 5) => {
            let mut at = 5;
            for _ in 0..count()? {
                if kind == 5 {
                    at += 4;
                    at += escaped_len(payload.get(at..)?, mask)?;
                }
                at += json_len(payload.get(at..)?, mask, depth + 1)?;
            }
            at
        }
        _ => return None,
    })
}

/// The length of an array's part at the start of `payload`.
fn array_len(element: DataType, payload: &[u8], mask: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let marker = *payload.get(at)? ^ mask;
        at += 1;
        match marker {
            ELEMENT => at += payload_len(element, payload.get(at..)?, mask)?,
            ELEMENT_NULL => {}
            ELEMENTS_END => break,
            _ => return None,
        }
    }
    let dimensions = usize::from(*payload.get(at)? ^ mask);
    Some(at + 1 + dimensions * 8)
}

/// The length of an escaped string with its end.
fn escaped_len(payload: &[u8], mask: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(ESCAPE ^ mask, payload.get(at..)?)?;
        if *payload.get(at + 1)? == END ^ mask {
            return Some(at + 2);
        }
        at += 2;
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(zero) = memchr::memchr(ESCAPE, rest) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[ESCAPE, ESCAPED_ZERO]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[ESCAPE, END]);
}

fn payload_len(data_type: DataType, payload: &[u8], mask: u8) -> Option<usize> {
    let len = match data_type {
        DataType::Boolean | DataType::Int1 => 1,
        DataType::Int2 => 2,
        DataType::Int4
        | DataType::Float4
        | DataType::Date
        | DataType::Oid
        | DataType::Object(_) => 4,
        DataType::Int8
        | DataType::Float8
        | DataType::Time
        | DataType::TimeTz
        | DataType::Timestamp
        | DataType::TimestampTz => 8,
        DataType::Interval | DataType::Uuid => 16,
        DataType::Decimal(_) => key_decimal::len(payload, mask)?,
        DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Name
        | DataType::InternalChar
        | DataType::Bytea
        | DataType::Enum(_) => escaped_len(payload, mask)?,
        DataType::Json => escaped_len(payload, mask)?,
        DataType::Jsonb => json_len(payload, mask, 0)?,
        DataType::Int2Vector => array_len(DataType::Int2, payload, mask)?,
        DataType::OidVector => array_len(DataType::Oid, payload, mask)?,
        DataType::Array(element) => array_len(element.data_type(), payload, mask)?,
        DataType::Rounded(time, _) => return payload_len(time.data_type(), payload, mask),
        DataType::Unknown => return None,
    };
    (len <= payload.len()).then_some(len)
}

/// Decodes a payload that [`payload_len`] has measured. Inexact types give `None`.
fn decode_payload<'a>(
    data_type: DataType,
    payload: &'a [u8],
    mask: u8,
    scratch: &'a mut Vec<u8>,
) -> Option<ValueRef<'a>> {
    let unsigned = |len: usize| -> Option<u64> {
        let bytes = payload.get(..len)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(byte ^ mask)),
        )
    };
    Some(match data_type {
        DataType::Boolean => ValueRef::Boolean(unsigned(1)? != 0),
        DataType::Int1 => ValueRef::Integer(i64::from((unsigned(1)? as u8 ^ 0x80) as i8)),
        DataType::Int2 => ValueRef::Integer(i64::from((unsigned(2)? as u16 ^ 1 << 15) as i16)),
        DataType::Int4 | DataType::Date => {
            ValueRef::Integer(i64::from((unsigned(4)? as u32 ^ 1 << 31) as i32))
        }
        DataType::Int8
        | DataType::Time
        | DataType::TimeTz
        | DataType::Timestamp
        | DataType::TimestampTz => ValueRef::Integer((unsigned(8)? ^ 1 << 63) as i64),
        DataType::Oid => ValueRef::Integer(i64::from(unsigned(4)? as u32)),
        DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Name
        | DataType::InternalChar
        | DataType::Bytea
        | DataType::Enum(_) => {
            let body = payload.get(..payload.len().checked_sub(2)?)?;
            if mask == 0 && memchr::memchr(ESCAPE, body).is_none() {
                return Some(ValueRef::Bytes(body));
            }
            scratch.clear();
            let mut bytes = body.iter().map(|byte| byte ^ mask);
            while let Some(byte) = bytes.next() {
                if byte == ESCAPE && bytes.next()? != ESCAPED_ZERO {
                    return None;
                }
                scratch.push(byte);
            }
            ValueRef::Bytes(scratch)
        }
        DataType::Uuid => {
            let bytes: [u8; 16] = payload.get(..16)?.try_into().ok()?;
            ValueRef::Uuid(u128::from_be_bytes(bytes.map(|byte| byte ^ mask)))
        }
        DataType::Unknown
        | DataType::Float4
        | DataType::Float8
        | DataType::Decimal(_)
        | DataType::Interval
        | DataType::Array(_)
        | DataType::Int2Vector
        | DataType::OidVector
        | DataType::Object(_)
        | DataType::Json
        | DataType::Jsonb => return None,
        DataType::Rounded(time, _) => {
            return decode_payload(time.data_type(), payload, mask, scratch);
        }
    })
}
