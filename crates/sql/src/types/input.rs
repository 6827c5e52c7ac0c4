//! Reading values from text: PostgreSQL's input syntax.

use compact_str::CompactString;
use uuid::Uuid;

use super::{
    Array, Conversion, DataType, Decimal, Json, ObjectClass, Value, array,
    date_time_input as date_time, excerpt, interval,
};
use crate::{Error, Result, SqlState};

pub(super) fn invalid_input(type_name: &str, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!(
            "invalid input syntax for type {type_name}: \"{}\"",
            excerpt(text)
        ),
    )
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}

impl Value {
    /// Reads a value of type `to` in PostgreSQL's input syntax, in UTC.
    ///
    /// # Errors
    /// 22P02 for a text that is not of the type's form (22007 for dates and times), 22003 and
    /// 22008 for one that is out of range, 22001 for a string longer than its type.
    pub fn parse(text: &str, to: DataType) -> Result<Value> {
        Value::parse_in(text, to, &Conversion::UTC)
    }

    /// As [`Value::parse`], with the session's time zone and clock for the dates and times that
    /// depend on them.
    ///
    /// # Errors
    /// As [`Value::parse`].
    pub fn parse_in(text: &str, to: DataType, conversion: &Conversion<'_>) -> Result<Value> {
        Ok(match to {
            DataType::Unknown | DataType::Text | DataType::Varchar(None) => {
                Value::Text(CompactString::new(text))
            }
            DataType::Varchar(Some(limit)) => Value::Text(fit_varchar(text, limit, false)?),
            DataType::Char(length) => Value::Text(fit_char(text, length, false)?),
            DataType::Boolean => Value::Boolean(parse_boolean(text)?),
            DataType::Int1 => Value::Int1(parse_integer(text, to)?),
            DataType::Int2 => Value::Int2(parse_integer(text, to)?),
            DataType::Int4 => Value::Int4(parse_integer(text, to)?),
            DataType::Int8 => Value::Int8(parse_integer(text, to)?),
            DataType::Float4 => Value::Float4(parse_float4(text)?),
            DataType::Float8 => Value::Float8(parse_float8(text)?),
            DataType::Decimal(limits) => {
                let number: Decimal = text.parse()?;
                Value::Decimal(match limits {
                    Some((precision, scale)) => number.with_precision(precision, scale)?,
                    None => number,
                })
            }
            DataType::Bytea => Value::Bytea(parse_bytea(text)?),
            DataType::Date => Value::Date(date_time::parse_date(text, conversion)?),
            DataType::Time => Value::Time(date_time::parse_time(text, conversion)?),
            DataType::TimeTz => Value::TimeTz(date_time::parse_time_tz(text, conversion)?),
            DataType::Timestamp => Value::Timestamp(date_time::parse_timestamp(text, conversion)?),
            DataType::TimestampTz => {
                Value::TimestampTz(date_time::parse_timestamp_tz(text, conversion)?)
            }
            DataType::Interval => {
                Value::Interval(interval::parse(text, conversion.style.interval)?)
            }
            DataType::Uuid => Value::Uuid(parse_uuid(text)?),
            DataType::Enum(of) => Value::Enum(of.parse(text)?),
            DataType::Json => {
                Json::parse(text)?;
                Value::Json(CompactString::new(text))
            }
            DataType::Jsonb => Value::Jsonb(Box::new(Json::parse(text)?)),
            DataType::Name => Value::Text(name(text)),
            DataType::InternalChar => Value::Text(internal_char(text)),
            DataType::Oid => Value::Oid(parse_oid(text)?),
            DataType::Object(class) => return Err(unresolved(text, class)),
            DataType::Int2Vector => vector(text, DataType::Int2, conversion)?,
            DataType::OidVector => vector(text, DataType::Oid, conversion)?,
            DataType::Array(element) => Value::Array(Box::new(array::parse(
                text,
                element.data_type(),
                conversion,
            )?)),
            DataType::Rounded(time, digits) => {
                Value::parse_in(text, time.data_type(), conversion)?.rounded(digits)
            }
        })
    }
}

/// `text` as a `name`: cut to 63 bytes, as PostgreSQL cuts it.
pub(super) fn name(text: &str) -> CompactString {
    const LIMIT: usize = 63;
    let mut end = text.len().min(LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    CompactString::new(&text[..end])
}

/// `text` as a `"char"`: its first character.
pub(super) fn internal_char(text: &str) -> CompactString {
    text.chars().take(1).collect()
}

/// A number of the catalog. As in PostgreSQL, -1 is the greatest.
fn parse_oid(text: &str) -> Result<u32> {
    let number: i64 = parse_integer(text, DataType::Oid)?;
    oid(number)
}

/// The number as an `oid`.
pub(super) fn oid(number: i64) -> Result<u32> {
    match i32::try_from(number) {
        Ok(negative) if negative < 0 => Ok(negative as u32),
        _ => u32::try_from(number).map_err(|_| {
            Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value \"{number}\" is out of range for type oid"),
            )
        }),
    }
}

/// Names are looked up by functions that know the catalog; here a number at most is understood.
fn unresolved(text: &str, class: ObjectClass) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{} {text:?} cannot be looked up here", class.type_name()),
    )
    .hint(format!(
        "Write '…'::{} in the statement.",
        class.type_name()
    ))
}

/// `1 2 3`
fn vector(text: &str, element: DataType, conversion: &Conversion<'_>) -> Result<Value> {
    let values = text
        .split_ascii_whitespace()
        .map(|part| Value::parse_in(part, element, conversion))
        .collect::<Result<Vec<Value>>>()?;
    Ok(Value::Array(Box::new(Array::vector(values))))
}

/// `text` as `varchar(limit)`. An explicit cast cuts; otherwise only blanks may be lost.
pub(super) fn fit_varchar(text: &str, limit: u32, explicit: bool) -> Result<CompactString> {
    match text.char_indices().nth(limit as usize) {
        Some((end, _)) if explicit || text[end..].bytes().all(|byte| byte == b' ') => {
            Ok(CompactString::new(&text[..end]))
        }
        Some(_) => Err(too_long(DataType::Varchar(Some(limit)))),
        None => Ok(CompactString::new(text)),
    }
}

/// `text` as `char(length)`: cut as [`fit_varchar`], and padded with blanks.
pub(super) fn fit_char(text: &str, length: u32, explicit: bool) -> Result<CompactString> {
    match text.char_indices().nth(length as usize) {
        Some((end, _)) if explicit || text[end..].bytes().all(|byte| byte == b' ') => {
            Ok(CompactString::new(&text[..end]))
        }
        Some(_) => Err(too_long(DataType::Char(length))),
        None => {
            let missing = length as usize - text.chars().count();
            let mut padded = CompactString::with_capacity(text.len() + missing);
            padded.push_str(text);
            padded.extend(std::iter::repeat_n(' ', missing));
            Ok(padded)
        }
    }
}

fn too_long(data_type: DataType) -> Error {
    Error::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {data_type}"),
    )
}

fn parse_boolean(text: &str) -> Result<bool> {
    let word = trim(text);
    let abbreviates = |full: &str, at_least: usize| {
        word.len() >= at_least
            && word.len() <= full.len()
            && full.as_bytes()[..word.len()].eq_ignore_ascii_case(word.as_bytes())
    };
    if abbreviates("true", 1) || abbreviates("yes", 1) || abbreviates("on", 2) || word == "1" {
        Ok(true)
    } else if abbreviates("false", 1)
        || abbreviates("no", 1)
        || abbreviates("off", 2)
        || word == "0"
    {
        Ok(false)
    } else {
        Err(invalid_input("boolean", text))
    }
}

fn parse_integer<T: TryFrom<i64>>(text: &str, to: DataType) -> Result<T> {
    let trimmed = trim(text);
    let (negative, digits) = match trimmed.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(invalid_input(&to.to_string(), text));
    }
    let mut number = Some(0_i64);
    for digit in digits {
        let digit = i64::from(digit - b'0');
        number = number
            .and_then(|number| number.checked_mul(10))
            .and_then(|number| {
                if negative {
                    number.checked_sub(digit)
                } else {
                    number.checked_add(digit)
                }
            });
    }
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "value \"{}\" is out of range for type {to}",
                    excerpt(trimmed)
                ),
            )
        })
}

fn float_out_of_range(text: &str, type_name: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{}\" is out of range for type {type_name}", excerpt(text)),
    )
}

/// The special values, or `None` where the text must be a decimal number.
fn special_float(trimmed: &str) -> Option<f64> {
    let (sign, word) = match trimmed.as_bytes().first() {
        Some(b'-') => (-1.0, &trimmed[1..]),
        Some(b'+') => (1.0, &trimmed[1..]),
        _ => (1.0, trimmed),
    };
    if word.eq_ignore_ascii_case("nan") {
        Some(f64::NAN)
    } else if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity") {
        Some(sign * f64::INFINITY)
    } else {
        None
    }
}

fn is_decimal_number(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
}

/// Whether the digits before any exponent are all zeros.
fn is_written_zero(text: &str) -> bool {
    text.bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .all(|byte| !matches!(byte, b'1'..=b'9'))
}

fn parse_float8(text: &str) -> Result<f64> {
    const NAME: &str = "double precision";
    let trimmed = trim(text);
    if let Some(special) = special_float(trimmed) {
        return Ok(special);
    }
    let number: f64 = Some(trimmed)
        .filter(|trimmed| is_decimal_number(trimmed))
        .and_then(|trimmed| trimmed.parse().ok())
        .ok_or_else(|| invalid_input(NAME, text))?;
    if number.is_infinite() || (number == 0.0 && !is_written_zero(trimmed)) {
        return Err(float_out_of_range(trimmed, NAME));
    }
    Ok(number)
}

fn parse_float4(text: &str) -> Result<f32> {
    const NAME: &str = "real";
    let trimmed = trim(text);
    if let Some(special) = special_float(trimmed) {
        return Ok(special as f32);
    }
    let number: f32 = Some(trimmed)
        .filter(|trimmed| is_decimal_number(trimmed))
        .and_then(|trimmed| trimmed.parse().ok())
        .ok_or_else(|| invalid_input(NAME, text))?;
    if number.is_infinite() || (number == 0.0 && !is_written_zero(trimmed)) {
        return Err(float_out_of_range(trimmed, NAME));
    }
    Ok(number)
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Pairs of hexadecimal digits with white space between pairs.
pub(crate) fn parse_hex(digits: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits.bytes();
    while let Some(first) = rest.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let Some(high) = hex_digit(first) else {
            return Err(invalid_hex_digit(digits, digits.len() - rest.len() - 1));
        };
        let Some(second) = rest.next() else {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid hexadecimal data: odd number of digits",
            ));
        };
        let Some(low) = hex_digit(second) else {
            return Err(invalid_hex_digit(digits, digits.len() - rest.len() - 1));
        };
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

fn invalid_hex_digit(digits: &str, at: usize) -> Error {
    let character = digits
        .char_indices()
        .take_while(|(start, _)| *start <= at)
        .last()
        .map_or('?', |(_, character)| character);
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid hexadecimal digit: \"{character}\""),
    )
}

fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escaped_bytes(text),
    }
}

/// `bytea`'s escape form: `\\` and `\ooo`.
pub(crate) fn parse_escaped_bytes(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [
                b'\\',
                high @ b'0'..=b'3',
                middle @ b'0'..=b'7',
                low @ b'0'..=b'7',
                tail @ ..,
            ] => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                rest = tail;
            }
            [b'\\', ..] => return Err(invalid_input("bytea", text)),
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

/// 32 hexadecimal digits, a hyphen allowed after every fourth, braces allowed around.
fn parse_uuid(text: &str) -> Result<Uuid> {
    let invalid = || invalid_input("uuid", text);
    let trimmed = trim(text);
    let inner = match trimmed.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(invalid)?,
        None => trimmed,
    };
    let mut digits = 0_usize;
    let mut number = 0_u128;
    let mut after_hyphen = true;
    for byte in inner.bytes() {
        if byte == b'-' {
            if after_hyphen || !digits.is_multiple_of(4) || digits == 32 {
                return Err(invalid());
            }
            after_hyphen = true;
            continue;
        }
        let digit = hex_digit(byte).ok_or_else(invalid)?;
        if digits == 32 {
            return Err(invalid());
        }
        number = number << 4 | u128::from(digit);
        digits += 1;
        after_hyphen = false;
    }
    if digits != 32 {
        return Err(invalid());
    }
    Ok(Uuid::from_u128(number))
}
