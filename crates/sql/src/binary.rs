//! The binary form of values: PostgreSQL's send and receive functions, which COPY's binary format
//! and the wire protocol share.

use bytes::{BufMut, BytesMut};

use crate::{
    DataType, Decimal, Error, Interval, Result, SqlState, Value,
    types::{Array, Dimension, MAX_DIMENSIONS, TimeTz},
};

/// Days from 1970-01-01, where our dates begin, to 2000-01-01, where PostgreSQL's do.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Writes a value that is not NULL.
///
/// # Errors
/// 22003 where a number has more digits than the form can say.
pub fn write(out: &mut BytesMut, value: &Value) -> Result<()> {
    match value {
        Value::Boolean(value) => out.put_u8(u8::from(*value)),
        Value::Int1(value) => out.put_i16((*value).into()),
        Value::Int2(value) => out.put_i16(*value),
        Value::Int4(value) => out.put_i32(*value),
        Value::Int8(value) | Value::Time(value) => out.put_i64(*value),
        Value::TimeTz(time) => {
            out.put_i64(time.micros());
            // The protocol counts the seconds to the west.
            out.put_i32(-time.seconds_east());
        }
        Value::Float4(value) => out.put_f32(*value),
        Value::Float8(value) => out.put_f64(*value),
        Value::Decimal(number) => write_decimal(out, number)?,
        Value::Bytea(bytes) => out.put_slice(bytes),
        Value::Date(days) => out.put_i32(match *days {
            i32::MIN | i32::MAX => *days,
            days => days.saturating_sub(EPOCH_DAYS),
        }),
        Value::Timestamp(micros) | Value::TimestampTz(micros) => out.put_i64(match *micros {
            i64::MIN | i64::MAX => *micros,
            micros => micros.saturating_sub(EPOCH_MICROS),
        }),
        Value::Interval(interval) => {
            out.put_i64(interval.micros);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        Value::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
        Value::Oid(number) => out.put_u32(*number),
        Value::Object(object) => out.put_u32(object.oid),
        // Types that travel as their text.
        other => out.put_slice(other.to_string().as_bytes()),
    }
    Ok(())
}

/// Writes a value of a type that is not NULL: the forms of arrays and of jsonb depend on it.
///
/// # Errors
/// As [`write()`].
pub fn write_as(out: &mut BytesMut, value: &Value, data_type: DataType) -> Result<()> {
    match (value, data_type.element()) {
        (Value::Array(array), Some(element)) => write_array(out, array, element),
        _ => {
            if data_type == DataType::Jsonb {
                out.put_u8(JSONB_VERSION);
            }
            write(out, value)
        }
    }
}

/// The first byte of a jsonb.
const JSONB_VERSION: u8 = 1;

/// The number of dimensions, whether there are NULLs, the elements' type; each dimension's length
/// and first subscript; the elements behind their lengths.
fn write_array(out: &mut BytesMut, array: &Array, element: DataType) -> Result<()> {
    let too_large = |_| {
        Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "the array is too large for its binary form",
        )
    };
    out.put_i32(i32::try_from(array.dimensions().len()).map_err(too_large)?);
    out.put_i32(array.values().iter().any(Value::is_null).into());
    out.put_u32(element.oid());
    for dimension in array.dimensions() {
        out.put_i32(i32::try_from(dimension.length).map_err(too_large)?);
        out.put_i32(dimension.lower);
    }
    for value in array.values() {
        let start = out.len();
        if value.is_null() {
            out.put_i32(-1);
            continue;
        }
        out.put_i32(0);
        write_as(out, value, element)?;
        let length = i32::try_from(out.len() - start - 4).map_err(too_large)?;
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

/// `None` for bytes that are no array.
fn read_array(mut bytes: &[u8], element: DataType) -> Option<Result<Value>> {
    let mut word = || {
        let (word, rest) = bytes.split_first_chunk::<4>()?;
        bytes = rest;
        Some(i32::from_be_bytes(*word))
    };
    let count = usize::try_from(word()?).ok()?;
    word()?;
    let found = word()?.cast_unsigned();
    if count > MAX_DIMENSIONS {
        return None;
    }
    if found != element.oid() {
        return Some(Err(other_elements(found, element)));
    }
    let mut dimensions = Vec::with_capacity(count);
    let mut total = usize::from(count > 0);
    for _ in 0..count {
        let (length, lower) = (u32::try_from(word()?).ok()?, word()?);
        total = total.checked_mul(length as usize)?;
        dimensions.push(Dimension { lower, length });
    }
    // Each element takes four bytes at least.
    if total > bytes.len() / 4 {
        return None;
    }
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            values.push(Value::Null);
            bytes = rest;
            continue;
        }
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        bytes = rest;
        let value = match read(value, element) {
            // Types that travel as their text.
            Ok(Value::Text(text)) if !element.is_string() => Value::parse(&text, element),
            other => other,
        };
        match value {
            Ok(value) => values.push(value),
            Err(error) => return Some(Err(error)),
        }
    }
    if !bytes.is_empty() {
        return None;
    }
    let array = Array::with_dimensions(&dimensions, values)?;
    Some(Ok(Value::Array(Box::new(array))))
}

fn other_elements(found: u32, expected: DataType) -> Error {
    let name = DataType::from_oid(found).map_or("???".to_owned(), |of| of.to_string());
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "binary data has array element type {found} ({name}) instead of expected {} \
             ({expected})",
            expected.oid()
        ),
    )
}

/// Reads a value of a type.
///
/// # Errors
/// 22P03 for bytes that are none; 42804 for an array of other elements; 22P02 for what is no label
/// of an enumerated type.
pub fn read(bytes: &[u8], data_type: DataType) -> Result<Value> {
    Ok(match data_type {
        DataType::Boolean => match bytes {
            [byte] => Value::Boolean(*byte != 0),
            _ => return Err(malformed(data_type)),
        },
        DataType::Int1 | DataType::Int2 => {
            Value::Int2(i16::from_be_bytes(exact(bytes, data_type)?))
        }
        DataType::Int4 => Value::Int4(i32::from_be_bytes(exact(bytes, data_type)?)),
        DataType::Int8 => Value::Int8(i64::from_be_bytes(exact(bytes, data_type)?)),
        DataType::Oid => Value::Oid(u32::from_be_bytes(exact(bytes, data_type)?)),
        DataType::Float4 => Value::Float4(f32::from_be_bytes(exact(bytes, data_type)?)),
        DataType::Float8 => Value::Float8(f64::from_be_bytes(exact(bytes, data_type)?)),
        DataType::Decimal(_) => {
            Value::Decimal(read_decimal(bytes).ok_or_else(|| malformed(data_type))?)
        }
        DataType::Bytea => Value::Bytea(bytes.to_vec()),
        DataType::Date => {
            let days = i32::from_be_bytes(exact(bytes, data_type)?);
            Value::Date(match days {
                i32::MIN | i32::MAX => days,
                days => days
                    .checked_add(EPOCH_DAYS)
                    .ok_or_else(|| malformed(data_type))?,
            })
        }
        DataType::Time => {
            let micros = i64::from_be_bytes(exact(bytes, data_type)?);
            if !(0..=86_400_000_000).contains(&micros) {
                return Err(malformed(data_type));
            }
            Value::Time(micros)
        }
        DataType::TimeTz => {
            let (micros, west) = bytes
                .split_first_chunk::<8>()
                .ok_or_else(|| malformed(data_type))?;
            let west = i32::from_be_bytes(exact(west, data_type)?);
            west.checked_neg()
                .and_then(|east| TimeTz::new(i64::from_be_bytes(*micros), east))
                .map(Value::TimeTz)
                .ok_or_else(|| malformed(data_type))?
        }
        DataType::Timestamp => Value::Timestamp(read_micros(bytes, data_type)?),
        DataType::TimestampTz => Value::TimestampTz(read_micros(bytes, data_type)?),
        DataType::Interval => {
            let (micros, rest) = bytes
                .split_first_chunk::<8>()
                .ok_or_else(|| malformed(data_type))?;
            let (days, months) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| malformed(data_type))?;
            Value::Interval(Interval {
                months: i32::from_be_bytes(exact(months, data_type)?),
                days: i32::from_be_bytes(*days),
                micros: i64::from_be_bytes(*micros),
            })
        }
        DataType::Uuid => {
            let text = exact::<16>(bytes, data_type)?
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>();
            Value::parse(&text, DataType::Uuid)?
        }
        DataType::Jsonb => match bytes.split_first() {
            Some((&JSONB_VERSION, bytes)) => text(bytes)?,
            _ => return Err(malformed(data_type)),
        },
        DataType::Array(_) | DataType::Int2Vector | DataType::OidVector => data_type
            .element()
            .and_then(|element| read_array(bytes, element))
            .ok_or_else(|| malformed(data_type))??,
        DataType::Enum(of) => match text(bytes)? {
            Value::Text(label) => Value::Enum(of.parse(&label)?),
            other => other,
        },
        // Strings, and types that travel as their text.
        _ => text(bytes)?,
    })
}

/// Bytes as a string.
///
/// # Errors
/// 22021 where they are not UTF-8, or hold a zero.
pub fn text(bytes: &[u8]) -> Result<Value> {
    let invalid = |what: &dyn std::fmt::Display| {
        Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {what}"),
        )
    };
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(&error))?;
    if text.contains('\0') {
        return Err(invalid(&"0x00"));
    }
    Ok(Value::Text(text.into()))
}

fn read_micros(bytes: &[u8], data_type: DataType) -> Result<i64> {
    let micros = i64::from_be_bytes(exact(bytes, data_type)?);
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        micros => micros
            .checked_add(EPOCH_MICROS)
            .ok_or_else(|| malformed(data_type)),
    }
}

fn exact<const N: usize>(bytes: &[u8], data_type: DataType) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| malformed(data_type))
}

fn malformed(data_type: DataType) -> Error {
    Error::new(
        SqlState("22P03"),
        format!("incorrect binary data format for type {data_type}"),
    )
}

/// Sign words of a number.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
/// Decimal digits in one digit of the form, whose base is 10,000.
const GROUP: usize = 4;

/// A number as base-10,000 digits: their count, the first one's power of 10,000, sign, decimal
/// digits after the point, digits.
fn write_decimal(out: &mut BytesMut, number: &Decimal) -> Result<()> {
    let text = number.to_string();
    let unsigned = text.strip_prefix('-');
    let (integer, fraction) = {
        let digits = unsigned.unwrap_or(&text);
        digits.split_once('.').unwrap_or((digits, ""))
    };
    // Both parts are filled up to whole groups, outwards from the point.
    let lead = (GROUP - integer.len() % GROUP) % GROUP;
    let trail = (GROUP - fraction.len() % GROUP) % GROUP;
    let mut decimals = String::with_capacity(text.len() + 2 * GROUP);
    decimals.extend(std::iter::repeat_n('0', lead));
    decimals.push_str(integer);
    decimals.push_str(fraction);
    decimals.extend(std::iter::repeat_n('0', trail));
    let mut groups: Vec<i16> = Vec::with_capacity(decimals.len() / GROUP);
    let mut group = 0i16;
    for (at, digit) in decimals.bytes().enumerate() {
        group = group * 10 + i16::from(digit.wrapping_sub(b'0') % 10);
        if at % GROUP == GROUP - 1 {
            groups.push(group);
            group = 0;
        }
    }
    let mut weight = ((lead + integer.len()) / GROUP) as i64 - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= leading as i64;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let too_large = |_| {
        Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "the number has too many digits for its binary form",
        )
    };
    out.put_i16(i16::try_from(groups.len()).map_err(too_large)?);
    out.put_i16(i16::try_from(weight).map_err(too_large)?);
    out.put_u16(if unsigned.is_some() {
        NEGATIVE
    } else {
        POSITIVE
    });
    out.put_i16(i16::try_from(fraction.len()).map_err(too_large)?);
    for group in groups {
        out.put_i16(group);
    }
    Ok(())
}

fn read_decimal(bytes: &[u8]) -> Option<Decimal> {
    let mut words = bytes
        .chunks(2)
        .map(|word| word.try_into().map(u16::from_be_bytes).ok());
    let mut word = || words.next().flatten();
    let count = word()?;
    let weight = i64::from(word()?.cast_signed());
    let sign = word()?;
    let scale = i64::from(word()?);
    if bytes.len() != 8 + 2 * usize::from(count) {
        return None;
    }
    let mut text = String::new();
    match sign {
        POSITIVE => {}
        NEGATIVE => text.push('-'),
        _ => return None,
    }
    let digits: Vec<u16> = (0..count).map(|_| word()).collect::<Option<_>>()?;
    if digits.iter().any(|digit| *digit >= 10_000) {
        return None;
    }
    let group = |power: i64| -> u16 {
        usize::try_from(weight - power)
            .ok()
            .and_then(|at| digits.get(at))
            .copied()
            .unwrap_or(0)
    };
    text.push('0');
    for power in (0..=weight).rev() {
        text.push_str(&format!("{:04}", group(power)));
    }
    let mut fraction = String::new();
    let mut power = -1;
    while (fraction.len() as i64) < scale {
        fraction.push_str(&format!("{:04}", group(power)));
        power -= 1;
    }
    fraction.truncate(usize::try_from(scale).ok()?);
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(&fraction);
    }
    match Value::parse(&text, DataType::Decimal(None)) {
        Ok(Value::Decimal(number)) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{DataType, Value, types::ElementType};
    use bytes::BytesMut;

    use super::{read, write, write_as};

    fn bytes(value: &Value) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut out, value).unwrap();
        out.to_vec()
    }

    #[test]
    fn values_come_back_as_they_went() {
        let cases = [
            ("true", DataType::Boolean),
            ("-32768", DataType::Int2),
            ("2147483647", DataType::Int4),
            ("-9223372036854775808", DataType::Int8),
            ("1.5", DataType::Float4),
            ("-1e300", DataType::Float8),
            ("0", DataType::Decimal(None)),
            ("0.00", DataType::Decimal(None)),
            ("10000", DataType::Decimal(None)),
            ("-12345.678", DataType::Decimal(None)),
            ("0.000012", DataType::Decimal(None)),
            (
                "99999999999999999999999999999.99999",
                DataType::Decimal(None),
            ),
            ("100000000", DataType::Decimal(None)),
            ("\\x00ff", DataType::Bytea),
            ("1999-12-31", DataType::Date),
            ("infinity", DataType::Date),
            ("23:59:59.999999", DataType::Time),
            ("1969-12-31 23:59:59.5", DataType::Timestamp),
            ("-infinity", DataType::Timestamp),
            ("2024-02-29 12:00:00+00", DataType::TimestampTz),
            ("1 year 2 mons -3 days 04:05:06.7", DataType::Interval),
            ("8c5f1b3e-9d3c-4b0e-8a55-0d8a8f0ac1fe", DataType::Uuid),
            ("text ü", DataType::Text),
        ];
        for (text, data_type) in cases {
            let value = Value::parse(text, data_type).unwrap();
            assert_eq!(read(&bytes(&value), data_type).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn forms_are_those_of_postgresql() {
        // As `SELECT numeric_send(…)` prints them.
        let decimal = |text: &str| bytes(&Value::parse(text, DataType::Decimal(None)).unwrap());
        assert_eq!(decimal("1"), [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(decimal("0.5"), [0, 1, 255, 255, 0, 0, 0, 1, 19, 136]);
        assert_eq!(
            decimal("-10001.5"),
            [0, 3, 0, 1, 64, 0, 0, 1, 0, 1, 0, 1, 19, 136]
        );
        let date = Value::parse("2000-01-02", DataType::Date).unwrap();
        assert_eq!(bytes(&date), [0, 0, 0, 1]);
    }

    #[test]
    fn arrays_come_back_as_they_went() {
        for (text, element) in [
            ("{}", DataType::Int4),
            ("{1,NULL,-3}", DataType::Int4),
            ("{{1,2},{3,4}}", DataType::Int8),
            ("[0:1]={a,\"b,c\"}", DataType::Text),
            ("{2024-02-29,infinity}", DataType::Date),
            ("{1.50,-7}", DataType::Decimal(None)),
        ] {
            let data_type = DataType::Array(ElementType::of(element).unwrap());
            let value = Value::parse(text, data_type).unwrap();
            let mut out = BytesMut::new();
            write_as(&mut out, &value, data_type).unwrap();
            assert_eq!(read(&out, data_type).unwrap(), value, "{text}");
            for end in 0..out.len() {
                assert!(read(&out[..end], data_type).is_err(), "{text} cut at {end}");
            }
            for at in 0..out.len() {
                let mut changed = out.to_vec();
                changed[at] ^= 0x80;
                // Any answer but a panic will do.
                drop(read(&changed, data_type));
            }
        }
        let array = DataType::Array(ElementType::INT4);
        let mut out = BytesMut::new();
        write_as(&mut out, &Value::parse("{7}", array).unwrap(), array).unwrap();
        let form = [
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7,
        ];
        assert_eq!(&out[..], form);
        let mut out = BytesMut::new();
        let json = Value::parse("{\"a\": 1}", DataType::Jsonb).unwrap();
        write_as(&mut out, &json, DataType::Jsonb).unwrap();
        assert_eq!(&out[..], b"\x01{\"a\": 1}");
    }

    #[test]
    fn bytes_that_are_no_value_are_refused() {
        let types = [
            DataType::Boolean,
            DataType::Int2,
            DataType::Int4,
            DataType::Int8,
            DataType::Float4,
            DataType::Float8,
            DataType::Decimal(None),
            DataType::Date,
            DataType::Time,
            DataType::Timestamp,
            DataType::Interval,
            DataType::Uuid,
        ];
        for data_type in types {
            for length in [0, 3, 5, 7, 9, 17] {
                assert!(
                    read(&vec![0xff; length], data_type).is_err(),
                    "{data_type} {length}"
                );
            }
        }
        assert!(
            read(
                &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
                DataType::Decimal(None)
            )
            .is_err()
        );
        assert!(read(b"\xff", DataType::Text).is_err());
    }
}
