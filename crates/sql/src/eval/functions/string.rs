//! Functions of character and byte strings. Positions and lengths count characters from 1.

use compact_str::CompactString;
use memchr::memmem;

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, arithmetic::out_of_range, check_length},
    types::{DataType as T, Value},
};

fn text(string: impl Into<CompactString>) -> Value {
    Value::Text(string.into())
}

/// A count as SQL's `integer`.
fn count(number: usize) -> Result<Value> {
    i32::try_from(number)
        .map(Value::Int4)
        .map_err(|_| out_of_range("integer"))
}

fn integer(value: &Value) -> i64 {
    value.as_integer().unwrap_or(0)
}

/// The byte at which character `index` (from 0) begins; the end of the text beyond it.
fn byte_of(string: &str, index: usize) -> usize {
    if string.is_ascii() {
        return index.min(string.len());
    }
    string
        .char_indices()
        .nth(index)
        .map_or(string.len(), |(at, _)| at)
}

/// Whether all arguments are strings or, from the second on, integers.
fn strings_and_integers(types: &[T]) -> bool {
    types.first().is_some_and(|first| first.is_string())
        && types.iter().all(|of| of.is_string() || of.is_integer())
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    match function {
        F::Concat => return Some(concat),
        F::ConcatWs => return Some(concat_ws),
        F::ToHex if types.len() == 1 && types[0].is_integer() => {
            return Some(function!(|number| match number {
                Value::Int8(number) => text(format!("{number:x}")),
                other => text(format!("{:x}", integer(other) as i32)),
            }));
        }
        F::Chr if types.len() == 1 && types[0].is_integer() => return Some(chr),
        _ => {}
    }
    if types.first() == Some(&T::Bytea) {
        return of_bytes(function, types);
    }
    if !strings_and_integers(types) {
        return None;
    }
    match types.len() {
        1 => of_one(function),
        2 => of_two(function, types[1]),
        _ => of_more(function, types),
    }
}

fn of_one(function: F) -> Option<Function> {
    Some(match function {
        F::Length => function!(|Value::Text(s)| count(s.chars().count())?),
        F::OctetLength => function!(|Value::Text(s)| count(s.len())?),
        F::BitLength => function!(|Value::Text(s)| count(s.len() * 8)?),
        F::Lower => function!(|Value::Text(s)| Value::Text(lower(s))),
        F::Upper => function!(|Value::Text(s)| Value::Text(upper(s))),
        F::Initcap => function!(|Value::Text(s)| initcap(s)),
        F::Trim => function!(|Value::Text(s)| text(s.trim_matches(' '))),
        F::LeftTrim => function!(|Value::Text(s)| text(s.trim_start_matches(' '))),
        F::RightTrim => function!(|Value::Text(s)| text(s.trim_end_matches(' '))),
        F::Reverse => function!(|Value::Text(s)| text(s.chars().rev().collect::<CompactString>())),
        F::Ascii => function!(|Value::Text(s)| {
            Value::Int4(s.chars().next().map_or(0, |first| first as i32))
        }),
        F::Md5 => function!(|Value::Text(s)| md5(s.as_bytes())),
        F::QuoteIdent => function!(|Value::Text(s)| text(quote_identifier(s))),
        F::QuoteLiteral => function!(|Value::Text(s)| text(quote_literal(s))),
        _ => return None,
    })
}

fn of_two(function: F, second: T) -> Option<Function> {
    if second.is_integer() {
        return Some(match function {
            F::Substring => function!(|Value::Text(s), from| substring(s, integer(from), None)?),
            F::Left => function!(|Value::Text(s), n| left(s, integer(n))),
            F::Right => function!(|Value::Text(s), n| right(s, integer(n))),
            F::Repeat => function!(|Value::Text(s), n| repeat(s, integer(n))?),
            F::LeftPad => function!(|Value::Text(s), n| pad(s, integer(n), " ", true)?),
            F::RightPad => function!(|Value::Text(s), n| pad(s, integer(n), " ", false)?),
            _ => return None,
        });
    }
    Some(match function {
        F::Trim => function!(|Value::Text(s), Value::Text(of)| {
            text(s.trim_matches(|c| of.contains(c)))
        }),
        F::LeftTrim => function!(|Value::Text(s), Value::Text(of)| {
            text(s.trim_start_matches(|c| of.contains(c)))
        }),
        F::RightTrim => function!(|Value::Text(s), Value::Text(of)| {
            text(s.trim_end_matches(|c| of.contains(c)))
        }),
        F::Position => function!(|Value::Text(s), Value::Text(part)| {
            match memmem::find(s.as_bytes(), part.as_bytes()) {
                Some(at) => count(s[..at].chars().count() + 1)?,
                None => Value::Int4(0),
            }
        }),
        F::StartsWith => function!(|Value::Text(s), Value::Text(prefix)| {
            Value::Boolean(s.starts_with(prefix.as_str()))
        }),
        F::Substring => substring_regex,
        _ => return None,
    })
}

fn of_more(function: F, types: &[T]) -> Option<Function> {
    let shape: Vec<bool> = types.iter().map(|of| of.is_integer()).collect();
    Some(match (function, shape.as_slice()) {
        (F::Substring, [false, true, true]) => function!(|Value::Text(s), from, length| {
            substring(s, integer(from), Some(integer(length)))?
        }),
        (F::Replace, [false, false, false]) => replace,
        (F::Translate, [false, false, false]) => {
            function!(|Value::Text(s), Value::Text(from), Value::Text(to)| translate(s, from, to))
        }
        (F::SplitPart, [false, false, true]) => {
            function!(|Value::Text(s), Value::Text(delimiter), n| {
                split_part(s, delimiter, integer(n))?
            })
        }
        (F::LeftPad, [false, true, false]) => {
            function!(|Value::Text(s), n, Value::Text(fill)| pad(s, integer(n), fill, true)?)
        }
        (F::RightPad, [false, true, false]) => {
            function!(|Value::Text(s), n, Value::Text(fill)| pad(s, integer(n), fill, false)?)
        }
        (F::Overlay, [false, false, true]) => {
            function!(|Value::Text(s), Value::Text(new), from| {
                let length = new.chars().count() as i64;
                overlay(s, new, integer(from), length)?
            })
        }
        (F::Overlay, [false, false, true, true]) => {
            function!(|Value::Text(s), Value::Text(new), from, length| {
                overlay(s, new, integer(from), integer(length))?
            })
        }
        _ => return None,
    })
}

fn of_bytes(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::Length | F::OctetLength, [_]) => function!(|Value::Bytea(b)| count(b.len())?),
        (F::BitLength, [_]) => function!(|Value::Bytea(b)| count(b.len() * 8)?),
        (F::Md5, [_]) => function!(|Value::Bytea(b)| md5(b)),
        (F::Position, [_, T::Bytea]) => function!(|Value::Bytea(b), Value::Bytea(part)| {
            match memmem::find(b, part) {
                Some(at) => count(at + 1)?,
                None => Value::Int4(0),
            }
        }),
        (F::Substring, [_, from]) if from.is_integer() => function!(|Value::Bytea(b), from| {
            let (start, end) = window(integer(from), None, b.len())?;
            Value::Bytea(b[start..end].to_vec())
        }),
        (F::Substring, [_, from, length]) if from.is_integer() && length.is_integer() => {
            function!(|Value::Bytea(b), from, length| {
                let (start, end) = window(integer(from), Some(integer(length)), b.len())?;
                Value::Bytea(b[start..end].to_vec())
            })
        }
        (F::Trim, [_, T::Bytea]) => function!(|Value::Bytea(b), Value::Bytea(of)| {
            let start = b
                .iter()
                .position(|byte| !of.contains(byte))
                .unwrap_or(b.len());
            let end = b
                .iter()
                .rposition(|byte| !of.contains(byte))
                .map_or(start, |at| at + 1);
            Value::Bytea(b[start..end].to_vec())
        }),
        _ => return None,
    })
}

fn md5(bytes: &[u8]) -> Value {
    use md5::Digest;
    let digest = md5::Md5::digest(bytes);
    let mut hex = CompactString::with_capacity(32);
    for byte in digest {
        hex.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        hex.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Value::Text(hex)
}

/// One character for one: a letter whose other case is longer stays as it is.
fn upper_character(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        _ => character,
    }
}

fn lower_character(character: char) -> char {
    let mut mapped = character.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(lower), None) => lower,
        _ => character,
    }
}

fn upper(string: &str) -> CompactString {
    if string.is_ascii() {
        let mut out = CompactString::new(string);
        out.make_ascii_uppercase();
        return out;
    }
    string.chars().map(upper_character).collect()
}

fn lower(string: &str) -> CompactString {
    if string.is_ascii() {
        let mut out = CompactString::new(string);
        out.make_ascii_lowercase();
        return out;
    }
    string.chars().map(lower_character).collect()
}

fn initcap(string: &str) -> Value {
    let mut out = CompactString::with_capacity(string.len());
    let mut in_word = false;
    for character in string.chars() {
        if in_word {
            out.push(lower_character(character));
        } else {
            out.push(upper_character(character));
        }
        in_word = character.is_alphanumeric();
    }
    Value::Text(out)
}

/// The half-open range that SUBSTRING takes of something `length` long.
fn window(from: i64, count: Option<i64>, length: usize) -> Result<(usize, usize)> {
    let end = match count {
        None => length,
        Some(count) if count < 0 => {
            // 22011: substring_error
            return Err(Error::new(
                SqlState("22011"),
                "negative substring length not allowed",
            ));
        }
        Some(count) => {
            let end = from.saturating_add(count).saturating_sub(1);
            usize::try_from(end.max(0))
                .unwrap_or(usize::MAX)
                .min(length)
        }
    };
    let start = usize::try_from(from.saturating_sub(1).max(0))
        .unwrap_or(usize::MAX)
        .min(end);
    Ok((start, end))
}

fn substring(string: &str, from: i64, count: Option<i64>) -> Result<Value> {
    // A text has no more characters than bytes.
    let (start, end) = window(from, count, string.len())?;
    let first = byte_of(string, start);
    let rest = &string[first..];
    Ok(text(&rest[..byte_of(rest, end - start)]))
}

/// `substring(text from pattern)`: the first group of the first match, or all of it.
fn substring_regex(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Text(string), Value::Text(pattern)] = values else {
        return Err(mismatch(values));
    };
    let regex = crate::eval::regular::plain(pattern)?;
    Ok(match regex.captures(string) {
        Some(captures) if captures.len() > 1 => captures
            .get(1)
            .map_or(Value::Null, |group| text(group.as_str())),
        Some(captures) => captures
            .get(0)
            .map_or(Value::Null, |all| text(all.as_str())),
        None => Value::Null,
    })
}

fn left(string: &str, n: i64) -> Value {
    let keep = if n >= 0 {
        n as usize
    } else {
        string
            .chars()
            .count()
            .saturating_sub(n.unsigned_abs() as usize)
    };
    text(&string[..byte_of(string, keep)])
}

fn right(string: &str, n: i64) -> Value {
    let length = string.chars().count();
    let skip = if n >= 0 {
        length.saturating_sub(n as usize)
    } else {
        n.unsigned_abs() as usize
    };
    text(&string[byte_of(string, skip)..])
}

fn repeat(string: &str, times: i64) -> Result<Value> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    check_length(string.len().checked_mul(times))?;
    Ok(text(string.repeat(times)))
}

fn pad(string: &str, length: i64, fill: &str, at_left: bool) -> Result<Value> {
    let wanted = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    let has = string.chars().count();
    if has >= wanted {
        return Ok(text(&string[..byte_of(string, wanted)]));
    }
    if fill.is_empty() {
        return Ok(text(string));
    }
    let missing = wanted - has;
    let widest = fill.chars().map(char::len_utf8).max().unwrap_or(1);
    check_length(
        missing
            .checked_mul(widest)
            .and_then(|bytes| bytes.checked_add(string.len())),
    )?;
    let padding = fill.chars().cycle().take(missing);
    let mut out = CompactString::with_capacity(string.len() + missing);
    if at_left {
        out.extend(padding);
        out.push_str(string);
    } else {
        out.push_str(string);
        out.extend(padding);
    }
    Ok(Value::Text(out))
}

fn replace(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Text(string), Value::Text(from), Value::Text(to)] = values else {
        return Err(mismatch(values));
    };
    if from.is_empty() {
        return Ok(values[0].clone());
    }
    if to.len() > from.len() {
        let places = memmem::find_iter(string.as_bytes(), from.as_bytes()).count();
        check_length(
            (to.len() - from.len())
                .checked_mul(places)
                .and_then(|bytes| bytes.checked_add(string.len())),
        )?;
    }
    Ok(text(string.replace(from.as_str(), to)))
}

fn translate(string: &str, from: &str, to: &str) -> Value {
    let mut out = CompactString::with_capacity(string.len());
    for character in string.chars() {
        match from.chars().position(|candidate| candidate == character) {
            None => out.push(character),
            Some(index) => out.extend(to.chars().nth(index)),
        }
    }
    Value::Text(out)
}

fn split_part(string: &str, delimiter: &str, n: i64) -> Result<Value> {
    if n == 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if delimiter.is_empty() {
        return Ok(text(if n == 1 || n == -1 { string } else { "" }));
    }
    let index = usize::try_from(n.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let part = if n > 0 {
        string.split(delimiter).nth(index)
    } else {
        // Delimiters are found from the left, also where they overlap.
        let parts = string.split(delimiter).count();
        parts
            .checked_sub(1 + index)
            .and_then(|from_left| string.split(delimiter).nth(from_left))
    };
    Ok(text(part.unwrap_or("")))
}

fn overlay(string: &str, new: &str, from: i64, length: i64) -> Result<Value> {
    if from <= 0 {
        return Err(Error::new(
            SqlState("22011"),
            "negative substring length not allowed",
        ));
    }
    let start = byte_of(string, usize::try_from(from - 1).unwrap_or(usize::MAX));
    let resume = from.saturating_add(length).saturating_sub(1).max(0);
    let resume = byte_of(string, usize::try_from(resume).unwrap_or(usize::MAX));
    check_length(Some(string.len() * 2 + new.len()))?;
    let mut out = CompactString::with_capacity(string.len() + new.len());
    out.push_str(&string[..start]);
    out.push_str(new);
    out.push_str(&string[resume..]);
    Ok(Value::Text(out))
}

fn chr(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [code] = values else {
        return Err(mismatch(values));
    };
    let code = integer(code);
    if code == 0 {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "null character not permitted",
        ));
    }
    if code < 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "character number must be positive",
        ));
    }
    u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .map(|character| text(character.encode_utf8(&mut [0; 4]) as &str))
        .ok_or_else(|| {
            Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("requested character not valid for encoding: {code}"),
            )
        })
}

/// Appends a value's output. NULL is nothing.
fn append(out: &mut CompactString, value: &Value, context: &EvalContext<'_>) -> Result<()> {
    use std::fmt::Write;
    match value {
        Value::Null => return Ok(()),
        Value::Text(part) => {
            check_length(out.len().checked_add(part.len()))?;
            out.push_str(part);
        }
        other => {
            write!(out, "{}", other.display_in(&context.session.style))
                .map_err(|_| out_of_range("text"))?;
            check_length(Some(out.len()))?;
        }
    }
    Ok(())
}

fn concat(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let mut out = CompactString::default();
    for value in values {
        append(&mut out, value, context)?;
    }
    Ok(Value::Text(out))
}

fn concat_ws(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some((separator, parts)) = values.split_first() else {
        return Err(mismatch(values));
    };
    if separator.is_null() {
        return Ok(Value::Null);
    }
    let mut out = CompactString::default();
    let mut first = true;
    for value in parts.iter().filter(|value| !value.is_null()) {
        if !first {
            append(&mut out, separator, context)?;
        }
        first = false;
        append(&mut out, value, context)?;
    }
    Ok(Value::Text(out))
}

/// Words that cannot stand as a bare name: those PostgreSQL reserves.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

pub(super) fn quote_identifier(name: &str) -> String {
    let plain = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && RESERVED.binary_search(&name).is_err();
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

pub(super) fn quote_literal(string: &str) -> String {
    let quoted = string.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
