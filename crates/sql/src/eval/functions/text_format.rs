//! `format()`, and what goes with it (PostgreSQL 9.4.1).

use super::{
    Function, mismatch,
    string::{quote_identifier, quote_literal},
};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, check_length},
    types::{DataType as T, Value},
};

/// Whether a function sees NULL arguments.
pub(super) fn sees_null(function: F) -> bool {
    matches!(
        function,
        F::Format | F::QuoteNullable | F::NumNulls | F::NumNonNulls
    )
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types.len()) {
        (F::Format, 1..) => format,
        (F::QuoteNullable, 1) => |values, context| {
            let [value] = values else {
                return Err(mismatch(values));
            };
            Ok(Value::Text(if value.is_null() {
                "NULL".into()
            } else {
                quote_literal(&value.to_text(&context.session.style)).into()
            }))
        },
        _ => return None,
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// A conversion: `%[position$][-][width]type`.
fn format(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let [template, arguments @ ..] = values else {
        return Err(mismatch(values));
    };
    let Value::Text(template) = template else {
        return Ok(Value::Null);
    };
    let mut out = String::new();
    let mut next = 0usize;
    let mut rest = template.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let unfinished = || {
            invalid("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".")
        };
        let number = |text: &str| -> Result<Option<(usize, usize)>> {
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            if end == 0 {
                return Ok(None);
            }
            let number = text[..end].parse::<i32>().map_err(|_| {
                Error::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    "number is out of range",
                )
            })?;
            Ok(Some((number as usize, end)))
        };
        if let Some((position, end)) = number(rest)?
            && rest[end..].starts_with('$')
        {
            if position == 0 {
                return Err(invalid(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
            next = position - 1;
            rest = &rest[end + 1..];
        }
        let mut left = false;
        while let Some(after) = rest.strip_prefix('-') {
            left = true;
            rest = after;
        }
        let mut take = || {
            let argument = arguments
                .get(next)
                .ok_or_else(|| invalid("too few arguments for format()"));
            next += 1;
            argument
        };
        let mut width = 0usize;
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            let given = take()?.as_integer().unwrap_or(0);
            left |= given < 0;
            width = usize::try_from(given.unsigned_abs()).unwrap_or(usize::MAX);
        } else if let Some((given, end)) = number(rest)? {
            width = given;
            rest = &rest[end..];
        }
        let kind = rest.chars().next().ok_or_else(unfinished)?;
        rest = &rest[kind.len_utf8()..];
        let argument = match kind {
            's' | 'I' | 'L' => take()?,
            other => {
                return Err(
                    invalid(format!("unrecognized format() type specifier \"{other}\""))
                        .hint("For a single \"%\" use \"%%\"."),
                );
            }
        };
        let text = argument.to_text(&context.session.style);
        let shown = match (kind, argument.is_null()) {
            ('s', true) => String::new(),
            ('s', false) => text.to_string(),
            ('I', true) => {
                return Err(Error::new(
                    SqlState("22004"),
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', false) => quote_identifier(&text).to_string(),
            (_, true) => "NULL".to_owned(),
            (_, false) => quote_literal(&text).to_string(),
        };
        let padding = width.saturating_sub(shown.chars().count());
        check_length(
            out.len()
                .checked_add(shown.len())
                .and_then(|length| length.checked_add(padding)),
        )?;
        if !left {
            out.extend(std::iter::repeat_n(' ', padding));
        }
        out.push_str(&shown);
        if left {
            out.extend(std::iter::repeat_n(' ', padding));
        }
    }
    out.push_str(rest);
    Ok(Value::Text(out.into()))
}
