//! Values that consist of others, as bytes: arrays and `jsonb`.
//!
//! ```text
//! array     := number of dimensions (varint)
//!              per dimension: lower bound (zigzag varint), length (varint)
//!              the element type's number (varint), then the elements
//! element   := tag (as in a row), data (as in a row)
//! jsonb     := node
//! node      := 0 null | 1 false | 2 true
//!            | 3 number: length (varint), scale (varint), digits (two's complement, big-endian)
//!            | 4 string: length (varint), UTF-8
//!            | 5 array: count (varint), nodes
//!            | 6 object: count (varint), per member: key as a string without its tag, node
//! ```

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::{
    Value,
    encoding::{
        ValueRef,
        decode::read_value,
        row::{Storage, encode_value, read_varint, unzigzag, write_varint, zigzag},
    },
    types::{
        Array, DataType, Dimension, ENUM_ELEMENT, ElementType, Json, MAX_DIMENSIONS,
        ObjectReference,
    },
};

/// How deep a stored `jsonb` may be nested: deeper than any that is written.
const MAX_DEPTH: usize = 1_000;

/// The bytes of an array or a `jsonb`; `None` for other values, an array of arrays, and a `jsonb`
/// that is nested deeper than [`decode`] reads.
pub(crate) fn encode(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Array(array) => encode_array(array, &mut out)?,
        Value::Jsonb(json) => encode_json(json, &mut out, 0)?,
        Value::Object(object) => {
            out.extend_from_slice(&object.oid.to_le_bytes());
            out.extend_from_slice(object.name.as_bytes());
        }
        _ => return None,
    }
    Some(out)
}

/// The value of type `data_type`, an array or `jsonb`, that the bytes stand for.
pub(crate) fn decode(data_type: DataType, bytes: &[u8]) -> Option<Value> {
    let mut at = 0;
    let value = match data_type {
        DataType::Array(element) => Value::Array(Box::new(decode_array(element, bytes, &mut at)?)),
        DataType::Int2Vector | DataType::OidVector => {
            let array = decode_array(ElementType::INT2, bytes, &mut at)?;
            Value::Array(Box::new(Array::vector(array.into_values())))
        }
        DataType::Object(_) => {
            let (oid, name) = bytes.split_first_chunk::<4>()?;
            at = bytes.len();
            Value::Object(Box::new(ObjectReference {
                oid: u32::from_le_bytes(*oid),
                name: std::str::from_utf8(name).ok()?.into(),
            }))
        }
        DataType::Jsonb => Value::Jsonb(Box::new(decode_json(bytes, &mut at, 0)?)),
        _ => return None,
    };
    (at == bytes.len()).then_some(value)
}

fn encode_array(array: &Array, out: &mut Vec<u8>) -> Option<()> {
    write_varint(array.dimensions().len() as u64, out);
    for dimension in array.dimensions() {
        write_varint(zigzag(i64::from(dimension.lower)), out);
        write_varint(u64::from(dimension.length), out);
    }
    let element = array
        .values()
        .iter()
        .find_map(Value::data_type)
        .map_or(Some(DataType::Text), Some)
        .and_then(ElementType::of)?;
    write_varint(u64::from(element.number()), out);
    let storage = Storage::of(element.data_type());
    for value in array.values() {
        let tag = out.len();
        out.push(0);
        out[tag] = encode_value(storage, value, out)?;
    }
    Some(())
}

/// `declared`: the type of the elements as the column says it, which of several enumerated types
/// only it knows.
fn decode_array(declared: ElementType, bytes: &[u8], at: &mut usize) -> Option<Array> {
    let count = usize::try_from(read_varint(bytes, at)?)
        .ok()
        .filter(|count| *count <= MAX_DIMENSIONS)?;
    let mut dimensions: SmallVec<[Dimension; 2]> = SmallVec::new();
    let mut elements = usize::from(count > 0);
    for _ in 0..count {
        let lower = unzigzag(read_varint(bytes, at)?).try_into().ok()?;
        let length: u32 = read_varint(bytes, at)?.try_into().ok()?;
        elements = elements.checked_mul(length as usize)?;
        dimensions.push(Dimension { lower, length });
    }
    let number: u32 = read_varint(bytes, at)?.try_into().ok()?;
    let element = if number == ENUM_ELEMENT && declared.number() == ENUM_ELEMENT {
        declared.data_type()
    } else {
        ElementType::numbered(number)?.data_type()
    };
    let storage = Storage::of(element);
    // Every element takes a byte at least.
    if elements > bytes.len().saturating_sub(*at) {
        return None;
    }
    let mut values = Vec::with_capacity(elements);
    for _ in 0..elements {
        let tag = *bytes.get(*at)?;
        *at += 1;
        if tag > 15 {
            return None;
        }
        let value: ValueRef<'_> = read_value(storage, tag, bytes, at)?;
        values.push(value.to_value(element).ok()?);
    }
    Array::with_dimensions(&dimensions, values)
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    write_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn encode_json(json: &Json, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json {
        Json::Null => out.push(0),
        Json::Bool(truth) => out.push(1 + u8::from(*truth)),
        Json::Number(number) => {
            out.push(3);
            let (digits, scale) = number.to_parts();
            let digits = digits.to_signed_bytes_be();
            write_varint(digits.len() as u64, out);
            write_varint(u64::from(scale), out);
            out.extend_from_slice(&digits);
        }
        Json::String(text) => {
            out.push(4);
            push_text(text, out);
        }
        Json::Array(elements) => {
            out.push(5);
            write_varint(elements.len() as u64, out);
            for element in elements {
                encode_json(element, out, depth + 1)?;
            }
        }
        Json::Object(members) => {
            out.push(6);
            write_varint(members.len() as u64, out);
            for (key, value) in members {
                push_text(key, out);
                encode_json(value, out, depth + 1)?;
            }
        }
    }
    Some(())
}

fn read_len(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let len = usize::try_from(read_varint(bytes, at)?).ok()?;
    (len <= bytes.len().saturating_sub(*at)).then_some(len)
}

fn read_text(bytes: &[u8], at: &mut usize) -> Option<CompactString> {
    let len = read_len(bytes, at)?;
    let text = bytes.get(*at..)?.get(..len)?;
    *at += len;
    CompactString::from_utf8(text).ok()
}

fn decode_json(bytes: &[u8], at: &mut usize, depth: usize) -> Option<Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    let kind = *bytes.get(*at)?;
    *at += 1;
    Some(match kind {
        0 => Json::Null,
        1 => Json::Bool(false),
        2 => Json::Bool(true),
        3 => {
            let len = usize::try_from(read_varint(bytes, at)?).ok()?;
            let scale = read_varint(bytes, at)?.try_into().ok()?;
            let digits = bytes.get(*at..)?.get(..len)?;
            *at += len;
            let number = ValueRef::Decimal { scale, digits };
            match number.to_value(DataType::Decimal(None)).ok()? {
                Value::Decimal(number) => Json::Number(number),
                _ => return None,
            }
        }
        4 => Json::String(read_text(bytes, at)?),
        5 => {
            let count = read_len(bytes, at)?;
            let mut elements = Vec::with_capacity(count);
            for _ in 0..count {
                elements.push(decode_json(bytes, at, depth + 1)?);
            }
            Json::Array(elements)
        }
        6 => {
            let count = read_len(bytes, at)?;
            let mut members = Vec::with_capacity(count);
            for _ in 0..count {
                let key = read_text(bytes, at)?;
                members.push((key, decode_json(bytes, at, depth + 1)?));
            }
            Json::Object(members)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str, data_type: DataType) {
        let value = Value::parse(text, data_type).expect("a value");
        let bytes = encode(&value).expect("bytes");
        assert_eq!(decode(data_type, &bytes), Some(value), "{text}");
        for end in 0..bytes.len() {
            assert_eq!(
                decode(data_type, &bytes[..end]),
                None,
                "{text} cut at {end}"
            );
        }
    }

    #[test]
    fn composite_values_come_back_as_they_went_in() {
        let array = |of: DataType| of.array().expect("an array type");
        round_trip("{}", array(DataType::Int4));
        round_trip("{1,NULL,-3}", array(DataType::Int4));
        round_trip("[0:1][2:2]={{a},{b c}}", array(DataType::Text));
        round_trip("{NULL}", array(DataType::Uuid));
        round_trip(
            "{1.50,-12345678901234567890}",
            array(DataType::Decimal(None)),
        );
        round_trip(
            "{\"a\":[1,2.50,null,true,\"x\"],\"bb\":{\"c\":-1e20}}",
            DataType::Jsonb,
        );
    }

    #[test]
    fn what_is_too_deep_to_be_read_is_not_written() {
        let nested = |levels: usize| {
            (0..levels).fold(Value::Jsonb(Box::new(Json::Null)), |inner, _| match inner {
                Value::Jsonb(json) => Value::Jsonb(Box::new(Json::Array(vec![*json]))),
                other => other,
            })
        };
        let deepest = nested(MAX_DEPTH);
        let bytes = encode(&deepest).expect("bytes");
        assert_eq!(decode(DataType::Jsonb, &bytes), Some(deepest));
        assert_eq!(encode(&nested(MAX_DEPTH + 1)), None);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for damaged in [
            &[7u8][..],
            &[1, 2, 255, 255, 255, 255, 15, 4],
            &[5, 255, 255, 3],
            &[],
        ] {
            assert_eq!(decode(DataType::Jsonb, damaged), None);
            assert_eq!(
                decode(DataType::Int4.array().expect("a type"), damaged),
                None
            );
        }
    }
}
