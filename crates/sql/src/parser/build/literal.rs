//! Literals: strings in all their forms, numbers.

use super::{Builder, Node, syntax_error, unsupported};
use crate::{
    error::Result,
    parser::grammar::{dollar_body, quoted_parts},
    span::Span,
};

/// Removes the quotes around a text and halves those inside.
pub(super) fn undouble(text: &str, quote: char) -> String {
    let inner = text
        .strip_prefix(quote)
        .and_then(|rest| rest.strip_suffix(quote))
        .unwrap_or(text);
    if memchr::memchr(quote as u8, inner.as_bytes()).is_none() {
        return inner.to_owned();
    }
    let mut result = String::with_capacity(inner.len());
    let mut doubled = false;
    for character in inner.chars() {
        if character == quote {
            doubled = !doubled;
            if !doubled {
                continue;
            }
        }
        result.push(character);
    }
    result
}

/// A number without the underscores between its digits; hexadecimal, octal and binary integers
/// in decimal.
pub(super) fn number(text: &str) -> String {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let based = digits.get(..2).and_then(|prefix| match prefix {
        "0x" | "0X" => Some(16),
        "0o" | "0O" => Some(8),
        "0b" | "0B" => Some(2),
        _ => None,
    });
    match based {
        Some(radix) => digits
            .get(2..)
            .and_then(|rest| num_bigint::BigUint::parse_bytes(rest.as_bytes(), radix))
            .map_or(digits, |number| number.to_string()),
        None => digits,
    }
}

impl Builder<'_> {
    /// A `string`: its decoded text.
    pub(super) fn string(&self, node: Node<'_>) -> Result<String> {
        let span = self.span(&node);
        let text = self.text(&node);
        match text.as_bytes() {
            [b'\'', ..] | [b'n' | b'N', ..] => Ok(plain(text)),
            [b'e' | b'E', ..] => {
                let mut result = String::new();
                for part in quoted_parts(text).0 {
                    backslash_escapes(part, span, &mut result)?;
                }
                Ok(result)
            }
            [b'u' | b'U', ..] => unicode_escapes(text, span),
            [b'$', ..] => Ok(dollar_body(text).to_owned()),
            _ => Err(unsupported("bit strings are", span)
                .hint("For bytes write a bytea literal: '\\x1f00'.")),
        }
    }
}

fn plain(text: &str) -> String {
    match quoted_parts(text).0.as_slice() {
        [only] => undouble(only, '\''),
        parts => parts.iter().map(|part| undouble(part, '\'')).collect(),
    }
}

/// Decodes `E'…'`: C-like escapes (PostgreSQL 4.1.2.2).
fn backslash_escapes(quoted: &str, span: Span, result: &mut String) -> Result<()> {
    let inner = quoted
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or_default();
    let mut characters = inner.chars().peekable();
    // Escapes may give the bytes of one character one by one.
    let mut bytes = Vec::with_capacity(inner.len());
    let push = |bytes: &mut Vec<u8>, character: char| {
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(character) = characters.next() {
        if character == '\'' {
            characters.next();
            bytes.push(b'\'');
            continue;
        }
        if character != '\\' {
            push(&mut bytes, character);
            continue;
        }
        let Some(escape) = characters.next() else {
            break;
        };
        match escape {
            'b' => bytes.push(0x08),
            'f' => bytes.push(0x0c),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(0x0b),
            '0'..='7' => {
                let mut value = escape.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    match characters.peek().and_then(|c| c.to_digit(8)) {
                        Some(digit) => {
                            value = value * 8 + digit;
                            characters.next();
                        }
                        None => break,
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            'x' => {
                let mut value = None;
                for _ in 0..2 {
                    match characters.peek().and_then(|c| c.to_digit(16)) {
                        Some(digit) => {
                            value = Some(value.unwrap_or(0) * 16 + digit);
                            characters.next();
                        }
                        None => break,
                    }
                }
                match value {
                    Some(value) => bytes.push(value as u8),
                    None => bytes.push(b'x'),
                }
            }
            'u' | 'U' => {
                let wanted = if escape == 'u' { 4 } else { 8 };
                let mut unit = hex(&mut characters, wanted).ok_or_else(|| {
                    bad_escape(
                        &format!("\\{escape} wants {wanted} hexadecimal digits"),
                        span,
                    )
                })?;
                if (0xd800..0xdc00).contains(&unit) {
                    let low = (characters.next() == Some('\\')
                        && matches!(characters.next(), Some('u')))
                    .then(|| hex(&mut characters, 4))
                    .flatten()
                    .filter(|low| (0xdc00..0xe000).contains(low))
                    .ok_or_else(|| {
                        bad_escape("the second half of a surrogate pair is missing", span)
                    })?;
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                let decoded = char::from_u32(unit)
                    .ok_or_else(|| bad_escape("this is no Unicode character", span))?;
                push(&mut bytes, decoded);
            }
            other => push(&mut bytes, other),
        }
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| bad_escape("the escapes do not give valid UTF-8", span))?;
    if text.contains('\0') {
        return Err(bad_escape(
            "a string cannot hold the character of code zero",
            span,
        ));
    }
    result.push_str(text);
    Ok(())
}

fn hex(characters: &mut impl Iterator<Item = char>, count: usize) -> Option<u32> {
    let mut value = 0u32;
    for _ in 0..count {
        value = value
            .checked_mul(16)?
            .checked_add(characters.next()?.to_digit(16)?)?;
    }
    Some(value)
}

fn bad_escape(reason: &str, span: Span) -> crate::Error {
    syntax_error(format!("invalid escape in a string: {reason}"), span)
}

/// Decodes `U&'…' [UESCAPE 'c']` and `U&"…"`: `\XXXX` and `\+XXXXXX`.
pub(super) fn unicode_escapes(token: &str, span: Span) -> Result<String> {
    let (parts, escape) = quoted_parts(token);
    let mut text = String::new();
    for part in parts {
        let quote = if part.starts_with('"') { '"' } else { '\'' };
        text.push_str(&undouble(part, quote));
    }
    let escape = escape.map_or(Ok('\\'), |quoted| escape_character(quoted, span))?;
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut high: Option<u32> = None;
    while let Some(character) = characters.next() {
        if character != escape {
            if high.is_some() {
                return Err(bad_escape(
                    "the second half of a surrogate pair is missing",
                    span,
                ));
            }
            result.push(character);
            continue;
        }
        if characters.peek() == Some(&escape) {
            characters.next();
            result.push(escape);
            continue;
        }
        let count = if characters.peek() == Some(&'+') {
            characters.next();
            6
        } else {
            4
        };
        let unit = hex(&mut characters, count)
            .ok_or_else(|| bad_escape(&format!("wants {count} hexadecimal digits"), span))?;
        let code = match high.take() {
            Some(first) if (0xdc00..0xe000).contains(&unit) => {
                0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00)
            }
            Some(_) => {
                return Err(bad_escape(
                    "the second half of a surrogate pair is missing",
                    span,
                ));
            }
            None if (0xd800..0xdc00).contains(&unit) => {
                high = Some(unit);
                continue;
            }
            None => unit,
        };
        let decoded = char::from_u32(code)
            .filter(|decoded| *decoded != '\0')
            .ok_or_else(|| bad_escape("this is no Unicode character", span))?;
        result.push(decoded);
    }
    if high.is_some() {
        return Err(bad_escape(
            "the second half of a surrogate pair is missing",
            span,
        ));
    }
    Ok(result)
}

fn escape_character(quoted: &str, span: Span) -> Result<char> {
    let text = undouble(quoted, '\'');
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None)
            if !character.is_ascii_hexdigit() && !" +'\"\t\n".contains(character) =>
        {
            Ok(character)
        }
        _ => Err(syntax_error(
            "UESCAPE wants one character that is no digit, letter a–f, plus, quote or space",
            span,
        )),
    }
}
