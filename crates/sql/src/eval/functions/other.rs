//! Functions about the session, and encodings of bytes.

use uuid::Uuid;

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, check_length},
    types::{DataType as T, Value, input, write_hex},
};

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::GenRandomUuid, []) => function!(context, || {
            let bits =
                u128::from(context.random.next_u64()) << 64 | u128::from(context.random.next_u64());
            Value::Uuid(
                uuid::Builder::from_random_bytes(Uuid::from_u128(bits).into_bytes()).into_uuid(),
            )
        }),
        (F::Version, []) => function!(|| Value::from(concat!(
            "RustlingDB ",
            env!("CARGO_PKG_VERSION"),
            " (PostgreSQL 15 dialect)"
        ))),
        (F::CurrentUser, []) => {
            function!(context, || Value::from(context.session.user.as_str()))
        }
        (F::SessionUser, []) => {
            function!(context, || Value::from(
                context.session.session_user.as_str()
            ))
        }
        (F::CurrentDatabase, []) => {
            function!(context, || Value::from(context.session.database.as_str()))
        }
        (F::CurrentSchema, []) => {
            function!(context, || Value::from(context.session.schema.as_str()))
        }
        (F::Encode, [T::Bytea, format]) if format.is_string() => encode,
        (F::Decode, [text, format]) if text.is_string() && format.is_string() => decode,
        _ => return None,
    })
}

fn unknown_encoding(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unrecognized encoding: \"{name}\""),
    )
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Bytea(bytes), Value::Text(format)] = values else {
        return Err(mismatch(values));
    };
    let lower = format.to_ascii_lowercase();
    let mut out = String::new();
    match lower.as_str() {
        "hex" => {
            out.reserve(check_length(bytes.len().checked_mul(2))?);
            write_hex(&mut out, bytes).map_err(|_| unknown_encoding(format))?;
        }
        "escape" => {
            check_length(bytes.len().checked_mul(4))?;
            for byte in bytes {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 128.. => {
                        out.push('\\');
                        for shift in [6, 3, 0] {
                            out.push(char::from(b'0' + (byte >> shift & 7)));
                        }
                    }
                    ascii => out.push(char::from(*ascii)),
                }
            }
        }
        "base64" => {
            check_length(bytes.len().checked_mul(2))?;
            let mut column = 0;
            for group in bytes.chunks(3) {
                // Lines of 76 characters, after RFC 2045.
                if column == 76 {
                    out.push('\n');
                    column = 0;
                }
                let mut bits = 0_u32;
                for index in 0..3 {
                    bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
                }
                for index in 0..4 {
                    if index <= group.len() {
                        let digit = bits >> (18 - 6 * index) & 63;
                        out.push(char::from(BASE64[digit as usize]));
                    } else {
                        out.push('=');
                    }
                }
                column += 4;
            }
        }
        _ => return Err(unknown_encoding(format)),
    }
    Ok(Value::Text(out.into()))
}

fn decode(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Text(text), Value::Text(format)] = values else {
        return Err(mismatch(values));
    };
    let lower = format.to_ascii_lowercase();
    match lower.as_str() {
        "hex" => input::parse_hex(text).map(Value::Bytea),
        "escape" => input::parse_escaped_bytes(text).map(Value::Bytea),
        "base64" => decode_base64(text).map(Value::Bytea),
        _ => Err(unknown_encoding(format)),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut digits, mut padding) = (0_u32, 0, 0);
    for character in text.chars() {
        if character.is_ascii_whitespace() {
            continue;
        }
        let digit = if character == '=' {
            padding += 1;
            if digits < 2 {
                return Err(invalid(
                    "unexpected \"=\" while decoding base64 sequence".to_owned(),
                ));
            }
            0
        } else {
            if padding > 0 {
                return Err(invalid("invalid base64 end sequence".to_owned()));
            }
            BASE64
                .iter()
                .position(|candidate| char::from(*candidate) == character)
                .ok_or_else(|| {
                    invalid(format!(
                        "invalid symbol \"{character}\" found while decoding base64 sequence"
                    ))
                })? as u32
        };
        bits = bits << 6 | digit;
        digits += 1;
        if digits == 4 {
            let group = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
            bytes.extend_from_slice(group.get(..3_usize.saturating_sub(padding)).unwrap_or(&[]));
            (bits, digits) = (0, 0);
        }
    }
    if digits != 0 {
        return Err(invalid("invalid base64 end sequence".to_owned()));
    }
    Ok(bytes)
}
