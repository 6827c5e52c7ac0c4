//! Values on the wire: PostgreSQL's type numbers, and the text and binary forms of each type.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use rustling_sql::{DataType, Error, Result, SqlState, Value, binary, types::TextStyle};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As SQL prints it.
    Text,
    /// PostgreSQL's send and receive functions.
    Binary,
}

impl Format {
    /// The format of item `at`, from the list that a client gave: none: text, one: for all.
    ///
    /// # Errors
    /// 08P01 where the list does not fit or holds other numbers than 0 and 1.
    pub(crate) fn of(list: &[i16], at: usize) -> Result<Format> {
        let code = match list {
            [] => 0,
            [one] => *one,
            many => *many.get(at).ok_or_else(|| {
                Error::new(
                    SqlState("08P01"),
                    format!("{} formats are given for more values", many.len()),
                )
            })?,
        };
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            )),
        }
    }

    /// The number that stands for it.
    pub(crate) fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// A type as clients know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireType {
    /// Its number in `pg_type`.
    pub(crate) oid: u32,
    /// Bytes of a value; -1: they vary.
    pub(crate) size: i16,
    /// Length or precision; -1: none.
    pub(crate) modifier: i32,
}

/// What a length or precision is raised by in a type modifier (`VARHDRSZ`).
const MODIFIER_OFFSET: i32 = 4;

/// The type's number and shape.
pub(crate) fn wire_type(data_type: DataType) -> WireType {
    let plain = |oid, size| WireType {
        oid,
        size,
        modifier: -1,
    };
    let limited = |oid, limit: i64| WireType {
        oid,
        size: -1,
        modifier: i32::try_from(limit).map_or(-1, |limit| limit.saturating_add(MODIFIER_OFFSET)),
    };
    match data_type {
        DataType::Boolean => plain(16, 1),
        DataType::Bytea => plain(17, -1),
        DataType::Int8 => plain(20, 8),
        // PostgreSQL has no 8-bit integer: the next wider one takes its place.
        DataType::Int1 | DataType::Int2 => plain(21, 2),
        DataType::Int4 => plain(23, 4),
        DataType::Float4 => plain(700, 4),
        DataType::Float8 => plain(701, 8),
        DataType::Char(length) => limited(1042, length.into()),
        DataType::Varchar(Some(length)) => limited(1043, length.into()),
        DataType::Varchar(None) => plain(1043, -1),
        DataType::Date => plain(1082, 4),
        DataType::Time => plain(1083, 8),
        DataType::Timestamp => plain(1114, 8),
        DataType::TimestampTz => plain(1184, 8),
        DataType::Interval => plain(1186, 16),
        DataType::Decimal(Some((precision, scale))) => limited(
            1700,
            (i64::from(precision) << 16) | (i64::from(scale) & 0x7ff),
        ),
        DataType::Decimal(None) => plain(1700, -1),
        DataType::Uuid => plain(2950, 16),
        DataType::InternalChar => plain(18, 1),
        DataType::Name => plain(19, 64),
        DataType::Oid | DataType::Object(_) => plain(data_type.oid(), 4),
        DataType::Json
        | DataType::Jsonb
        | DataType::Array(_)
        | DataType::Int2Vector
        | DataType::OidVector => match data_type.oid() {
            0 | 705 => plain(25, -1),
            oid => plain(oid, -1),
        },
        // Text, and every type that travels as its text.
        _ => plain(25, -1),
    }
}

/// The type with that number; `None` for one that has no binary form here.
#[must_use]
pub fn type_of(oid: u32) -> Option<DataType> {
    Some(match oid {
        16 => DataType::Boolean,
        17 => DataType::Bytea,
        20 => DataType::Int8,
        21 => DataType::Int2,
        23 => DataType::Int4,
        26 => DataType::Oid,
        // text, name, unknown
        19 | 25 | 705 => DataType::Text,
        700 => DataType::Float4,
        701 => DataType::Float8,
        1042 | 1043 => DataType::Varchar(None),
        1082 => DataType::Date,
        1083 => DataType::Time,
        1114 => DataType::Timestamp,
        1184 => DataType::TimestampTz,
        1186 => DataType::Interval,
        1700 => DataType::Decimal(None),
        2950 => DataType::Uuid,
        oid => match DataType::from_oid(oid) {
            Some(of @ (DataType::Json | DataType::Jsonb | DataType::Array(_))) => of,
            _ => return None,
        },
    })
}

/// Writes a value behind its length, as a field of a row.
///
/// # Errors
/// 54000 where the value is longer than the protocol can say.
pub(crate) fn write_value(
    out: &mut BytesMut,
    value: &Value,
    data_type: DataType,
    format: Format,
    style: &TextStyle,
) -> Result<()> {
    if value.is_null() {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    match (value, format) {
        // The bytes of a string are the same in both forms.
        (Value::Text(text), _) => out.put_slice(text.as_bytes()),
        (_, Format::Text) => write!(out, "{}", value.display_in(style)).map_err(|_| too_long())?,
        (_, Format::Binary) => binary::write_as(out, value, data_type)?,
    }
    let length = i32::try_from(out.len() - start - 4).map_err(|_| too_long())?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn too_long() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "a value is too long for the wire",
    )
}

/// Reads a parameter. Text is left to the engine, which knows the type it needs.
///
/// # Errors
/// 22P03 for bytes that are no value of the type, 22021 for text that is not UTF-8.
pub(crate) fn read_parameter(
    bytes: Option<Bytes>,
    format: Format,
    data_type: DataType,
) -> Result<Value> {
    match (bytes, format) {
        (None, _) => Ok(Value::Null),
        (Some(bytes), Format::Text) => binary::text(&bytes),
        (Some(bytes), Format::Binary) => binary::read(&bytes, data_type),
    }
}
