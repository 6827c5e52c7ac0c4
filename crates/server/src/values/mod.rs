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

/// The number of `unknown`, and of what has no number of its own.
const UNKNOWN: u32 = 705;

/// The type's number and shape.
pub(crate) fn wire_type(data_type: DataType) -> WireType {
    let shown = match data_type {
        // PostgreSQL has no 8-bit integer: the next wider one takes its place.
        DataType::Int1 => DataType::Int2,
        // Nothing has decided what it is: it travels as its text.
        DataType::Unknown => DataType::Text,
        other => other,
    };
    let size = match (shown, shown.entry()) {
        (DataType::Enum(_), _) => 4,
        (DataType::Array(_), _) | (_, None) => -1,
        (_, Some(entry)) => entry.size,
    };
    WireType {
        oid: match shown.oid() {
            UNKNOWN => wire_type(DataType::Text).oid,
            oid => oid,
        },
        size,
        modifier: shown.modifier(),
    }
}

/// The type with that number in every database; `None` for one that has no binary form here.
#[must_use]
pub fn type_of(oid: u32) -> Option<DataType> {
    match DataType::from_oid(oid)? {
        DataType::Unknown | DataType::Name => Some(DataType::Text),
        // How long it is, a parameter's number does not tell.
        DataType::Char(_) => Some(DataType::Varchar(None)),
        DataType::InternalChar
        | DataType::Object(_)
        | DataType::Int2Vector
        | DataType::OidVector => None,
        other => Some(other),
    }
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

#[cfg(test)]
mod tests {
    use rustling_sql::types::{CastContext, RoundedTime};

    use super::*;

    #[test]
    fn types_are_known_by_postgresql_s_numbers_and_sizes() {
        for (data_type, oid, size, modifier) in [
            (DataType::Int1, 21, 2, -1),
            (DataType::Unknown, 25, -1, -1),
            (DataType::Char(3), 1042, -1, 7),
            (DataType::Varchar(Some(10)), 1043, -1, 14),
            (DataType::Varchar(None), 1043, -1, -1),
            (DataType::Decimal(Some((9, 2))), 1700, -1, (9 << 16) + 6),
            (DataType::TimeTz, 1266, 12, -1),
            (DataType::Rounded(RoundedTime::TimestampTz, 3), 1184, 8, 3),
            (DataType::Oid, 26, 4, -1),
            (DataType::Int4.array().unwrap(), 1007, -1, -1),
            (DataType::TimeTz.array().unwrap(), 1270, -1, -1),
        ] {
            let found = wire_type(data_type);
            assert_eq!(
                (found.oid, found.size, found.modifier),
                (oid, size, modifier)
            );
            let read = type_of(oid).unwrap();
            assert_eq!(wire_type(read).oid, if oid == 1042 { 1043 } else { oid });
        }
        assert_eq!(type_of(2205), None);
        assert_eq!(type_of(999_999), None);
    }

    #[test]
    fn a_time_with_its_zone_goes_there_and_back() {
        let style = TextStyle::DEFAULT;
        let text = Value::Text("04:05:06.5+03:30".into());
        let time = text.cast(DataType::TimeTz, CastContext::Explicit).unwrap();
        let mut out = BytesMut::new();
        write_value(&mut out, &time, DataType::TimeTz, Format::Text, &style).unwrap();
        assert_eq!(&out[4..], b"04:05:06.5+03:30");
        out.clear();
        write_value(&mut out, &time, DataType::TimeTz, Format::Binary, &style).unwrap();
        // Microseconds, and seconds west of Greenwich.
        let mut expected = 14_706_500_000_i64.to_be_bytes().to_vec();
        expected.extend((-12_600_i32).to_be_bytes());
        assert_eq!(&out[4..], expected);
        let bytes = Some(Bytes::from(expected));
        let read = read_parameter(bytes, Format::Binary, DataType::TimeTz).unwrap();
        assert_eq!(read, time);
    }
}
