//! Functions on JSON.

use std::fmt::Write;

use compact_str::CompactString;

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::EvalContext,
    types::{
        Array, DataType as T, DateLayout, DateStyle, Json, TextStyle, Value, json_index, raw_json,
        write_json_string,
    },
};

/// Whether a function sees NULL arguments.
pub(super) fn sees_null(function: F) -> bool {
    matches!(
        function,
        F::JsonBuildObject | F::JsonbBuildObject | F::JsonBuildArray | F::JsonbBuildArray
    )
}

fn jsonb(json: Json) -> Value {
    Value::Jsonb(Box::new(json))
}

/// A value put together of others, which may be nested deeper than each of them.
fn composed(json: Json) -> Result<Value> {
    json.check_depth()?;
    Ok(jsonb(json))
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types) {
        (F::JsonGet, [_, _]) => |values, _| {
            Ok(match step(values)? {
                None => Value::Null,
                Some(Found::Tree(json)) => jsonb(json.clone()),
                Some(Found::Raw(text)) => Value::Json(text.into()),
            })
        },
        (F::JsonGetText, [_, _]) => |values, _| Ok(step(values)?.map_or(Value::Null, plain)),
        (F::JsonPath, _) => |values, _| {
            Ok(match path(values)? {
                None => Value::Null,
                Some(Found::Tree(json)) => jsonb(json.clone()),
                Some(Found::Raw(text)) => Value::Json(text.into()),
            })
        },
        (F::JsonPathText, _) => |values, _| Ok(path(values)?.map_or(Value::Null, plain)),
        (F::JsonContains, [_, _]) => function!(|Value::Jsonb(left), Value::Jsonb(right)| {
            Value::Boolean(left.contains(right))
        }),
        (F::JsonContained, [_, _]) => function!(|Value::Jsonb(left), Value::Jsonb(right)| {
            Value::Boolean(right.contains(left))
        }),
        (F::JsonExists, [_, _]) => {
            function!(|Value::Jsonb(json), Value::Text(key)| Value::Boolean(exists(json, key)))
        }
        (F::JsonExistsAny, [_, _]) => function!(|Value::Jsonb(json), Value::Array(keys)| {
            Value::Boolean(texts(keys).any(|key| exists(json, key)))
        }),
        (F::JsonExistsAll, [_, _]) => function!(|Value::Jsonb(json), Value::Array(keys)| {
            Value::Boolean(texts(keys).all(|key| exists(json, key)))
        }),
        (F::JsonConcat, [_, _]) => {
            function!(|Value::Jsonb(left), Value::Jsonb(right)| composed(concat(left, right))?)
        }
        (F::JsonDelete, [_, _]) => delete,
        (F::JsonDeletePath, [_, _]) => function!(|Value::Jsonb(json), Value::Array(path)| {
            let path: Vec<&str> = texts(path).collect();
            jsonb(match path.as_slice() {
                [] => json.as_ref().clone(),
                path => changed(json, path, &Change::Delete, 1)?,
            })
        }),
        (F::JsonBuildObject, _) => |values, context| {
            let mut text = String::from("{");
            for (at, pair) in pairs(values)?.enumerate() {
                let (key, value) = pair?;
                if at > 0 {
                    text.push_str(", ");
                }
                // Writing to a String does not fail.
                let _ = write_json_string(&mut text, &object_key(key, context)?);
                text.push_str(" : ");
                write_value(&mut text, value, context);
            }
            text.push('}');
            Ok(Value::Json(text.into()))
        },
        (F::JsonbBuildObject, _) => |values, context| {
            let members = pairs(values)?
                .map(|pair| {
                    let (key, value) = pair?;
                    Ok((object_key(key, context)?, tree(value, context)?))
                })
                .collect::<Result<_>>()?;
            composed(Json::object(members))
        },
        (F::JsonBuildArray, _) => |values, context| {
            let mut text = String::from("[");
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                write_value(&mut text, value, context);
            }
            text.push(']');
            Ok(Value::Json(text.into()))
        },
        (F::JsonbBuildArray, _) => |values, context| {
            let elements = values
                .iter()
                .map(|value| tree(value, context))
                .collect::<Result<_>>()?;
            composed(Json::Array(elements))
        },
        (F::ToJson, [_]) => function!(context, |value| {
            let mut text = String::new();
            write_value(&mut text, value, context);
            Value::Json(text.into())
        }),
        (F::ToJsonb, [_]) => function!(context, |value| jsonb(tree(value, context)?)),
        (F::JsonTypeof, [_]) => |values, _| Ok(Value::from(json_of(values.first())?.kind())),
        (F::JsonArrayLength, [_]) => |values, _| match json_of(values.first())? {
            Json::Array(elements) => {
                Ok(i32::try_from(elements.len()).map_or(Value::Null, Value::Int4))
            }
            other => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "cannot get array length of {}",
                    match other {
                        Json::Object(_) => "a non-array",
                        _ => "a scalar",
                    }
                ),
            )),
        },
        (F::JsonSet, [_, _, _] | [_, _, _, _]) => |values, _| {
            let (json, path, new, create) = change_arguments(values)?;
            let change = Change::Set {
                new,
                create: create.unwrap_or(true),
            };
            composed(match path.as_slice() {
                [] => json.clone(),
                path => changed(json, path, &change, 1)?,
            })
        },
        (F::JsonInsert, [_, _, _] | [_, _, _, _]) => |values, _| {
            let (json, path, new, after) = change_arguments(values)?;
            let change = Change::Insert {
                new,
                after: after.unwrap_or(false),
            };
            composed(match path.as_slice() {
                [] => json.clone(),
                path => changed(json, path, &change, 1)?,
            })
        },
        (F::JsonStripNulls, [_]) => |values, _| {
            let stripped = strip_nulls(json_of(values.first())?);
            Ok(match values.first() {
                Some(Value::Json(_)) => Value::Json(stripped.to_string().into()),
                _ => jsonb(stripped),
            })
        },
        (F::JsonPretty, [_]) => {
            function!(|Value::Jsonb(json)| Value::Text(json.pretty().into()))
        }
        _ => return None,
    })
}

/// The tree of a `json` or `jsonb`.
fn json_of(value: Option<&Value>) -> Result<Json> {
    match value {
        Some(Value::Jsonb(json)) => Ok(json.as_ref().clone()),
        Some(Value::Json(text)) => Json::parse(text),
        other => Err(mismatch(
            other.map(std::slice::from_ref).unwrap_or_default(),
        )),
    }
}

/// A part of a JSON value: of `jsonb` a tree, of `json` its own text.
#[derive(Clone, Copy)]
enum Found<'a> {
    Tree(&'a Json),
    Raw(&'a str),
}

impl<'a> Found<'a> {
    fn of(value: &'a Value) -> Option<Found<'a>> {
        match value {
            Value::Jsonb(json) => Some(Found::Tree(json)),
            Value::Json(text) => Some(Found::Raw(text)),
            _ => None,
        }
    }

    fn member(self, key: &str) -> Result<Option<Found<'a>>> {
        Ok(match self {
            Found::Tree(json) => json.member(key).map(Found::Tree),
            Found::Raw(text) => raw_json::member(text, key)?.map(Found::Raw),
        })
    }

    fn element(self, position: i64) -> Result<Option<Found<'a>>> {
        Ok(match self {
            Found::Tree(json) => json.element(position).map(Found::Tree),
            Found::Raw(text) => raw_json::element(text, position)?.map(Found::Raw),
        })
    }

    fn is_array(self) -> bool {
        match self {
            Found::Tree(json) => matches!(json, Json::Array(_)),
            Found::Raw(text) => text.trim_start().starts_with('['),
        }
    }
}

/// `->`: by key or by position.
fn step(values: &[Value]) -> Result<Option<Found<'_>>> {
    let [json, at] = values else {
        return Err(mismatch(values));
    };
    let found = Found::of(json).ok_or_else(|| mismatch(values))?;
    match at {
        Value::Text(key) => found.member(key),
        at => match at.as_integer() {
            Some(position) => found.element(position),
            None => Err(mismatch(values)),
        },
    }
}

/// `#>`: the steps come as an array or one by one.
fn path(values: &[Value]) -> Result<Option<Found<'_>>> {
    let [json, steps @ ..] = values else {
        return Err(mismatch(values));
    };
    let mut found = Found::of(json).ok_or_else(|| mismatch(values))?;
    let steps: &[Value] = match steps {
        [Value::Array(steps)] => steps.values(),
        steps => steps,
    };
    for step in steps {
        let Value::Text(step) = step else {
            return Ok(None);
        };
        let next = if found.is_array() {
            match step.trim().parse() {
                Ok(position) => found.element(position)?,
                Err(_) => None,
            }
        } else {
            found.member(step)?
        };
        match next {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// The text that `->>` gives.
fn plain(found: Found<'_>) -> Value {
    let text = match found {
        Found::Tree(json) => json.to_plain_text(),
        Found::Raw(text) => match Json::parse(text) {
            Ok(json @ (Json::Null | Json::String(_))) => json.to_plain_text(),
            _ => Some(text.into()),
        },
    };
    text.map_or(Value::Null, Value::Text)
}

fn texts(list: &Array) -> impl Iterator<Item = &str> {
    list.values().iter().filter_map(Value::as_text)
}

/// Whether a string is a key of an object, an element of an array, or the scalar itself.
fn exists(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(_) => json.member(key).is_some(),
        Json::Array(elements) => elements
            .iter()
            .any(|element| matches!(element, Json::String(text) if text == key)),
        Json::String(text) => text == key,
        _ => false,
    }
}

fn concat(left: &Json, right: &Json) -> Json {
    let elements = |json: &Json| match json {
        Json::Array(elements) => elements.clone(),
        other => vec![other.clone()],
    };
    match (left, right) {
        (Json::Object(first), Json::Object(second)) => {
            Json::object(first.iter().chain(second).cloned().collect())
        }
        _ => {
            let mut all = elements(left);
            all.extend(elements(right));
            Json::Array(all)
        }
    }
}

fn cannot_delete(what: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("cannot delete from {what}"),
    )
}

fn delete(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Jsonb(json), what] = values else {
        return Err(mismatch(values));
    };
    let without = |unwanted: &dyn Fn(&str) -> bool| match json.as_ref() {
        Json::Object(members) => Ok(Json::Object(
            members
                .iter()
                .filter(|(key, _)| !unwanted(key))
                .cloned()
                .collect(),
        )),
        Json::Array(elements) => Ok(Json::Array(
            elements
                .iter()
                .filter(|element| !matches!(element, Json::String(text) if unwanted(text)))
                .cloned()
                .collect(),
        )),
        _ => Err(cannot_delete("scalar")),
    };
    let left = match what {
        Value::Text(key) => without(&|known| known == key.as_str())?,
        Value::Array(keys) => without(&|known| texts(keys).any(|key| key == known))?,
        position => {
            let position = position.as_integer().ok_or_else(|| mismatch(values))?;
            match json.as_ref() {
                Json::Array(elements) => {
                    let mut elements = elements.clone();
                    if let Some(at) = json_index(elements.len(), position) {
                        elements.remove(at);
                    }
                    Json::Array(elements)
                }
                Json::Object(_) => {
                    return Err(cannot_delete("object using integer index"));
                }
                _ => return Err(cannot_delete("scalar")),
            }
        }
    };
    Ok(jsonb(left))
}

/// What is done at the end of a path.
enum Change<'a> {
    Set { new: &'a Json, create: bool },
    Insert { new: &'a Json, after: bool },
    Delete,
}

type ChangeArguments<'a> = (&'a Json, Vec<&'a str>, &'a Json, Option<bool>);

fn change_arguments(values: &[Value]) -> Result<ChangeArguments<'_>> {
    let (json, path, new, flag) = match values {
        [Value::Jsonb(json), Value::Array(path), Value::Jsonb(new)] => (json, path, new, None),
        [
            Value::Jsonb(json),
            Value::Array(path),
            Value::Jsonb(new),
            Value::Boolean(flag),
        ] => (json, path, new, Some(*flag)),
        _ => return Err(mismatch(values)),
    };
    if !matches!(**json, Json::Array(_) | Json::Object(_)) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "cannot set path in scalar",
        ));
    }
    if let Some(at) = path.values().iter().position(Value::is_null) {
        return Err(Error::new(
            SqlState("22004"),
            format!("path element at position {} is null", at + 1),
        ));
    }
    Ok((json, texts(path).collect(), new, flag))
}

/// The value with a change at a path; where the path leads nowhere, as it is.
fn changed(json: &Json, path: &[&str], change: &Change<'_>, level: usize) -> Result<Json> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(json.clone());
    };
    match json {
        Json::Object(members) => {
            let mut members = members.clone();
            let place = members.iter().position(|(key, _)| key == step);
            match (place, rest.is_empty(), change) {
                (Some(at), false, _) => {
                    if let Some((_, value)) = members.get_mut(at) {
                        *value = changed(value, rest, change, level + 1)?;
                    }
                }
                (None, false, _) => {}
                (Some(at), true, Change::Delete) => drop(members.remove(at)),
                (Some(at), true, Change::Set { new, .. }) => {
                    if let Some((_, value)) = members.get_mut(at) {
                        *value = (*new).clone();
                    }
                }
                (Some(_), true, Change::Insert { .. }) => {
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "cannot replace existing key",
                    )
                    .hint("Use jsonb_set to change a member that is there."));
                }
                (None, true, Change::Set { new, create: true })
                | (None, true, Change::Insert { new, .. }) => {
                    members.push((CompactString::from(*step), (*new).clone()));
                }
                (None, true, _) => {}
            }
            Ok(Json::object(members))
        }
        Json::Array(elements) => {
            let position: i64 = step.trim().parse().map_err(|_| {
                Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("path element at position {level} is not an integer: \"{step}\""),
                )
            })?;
            let mut elements = elements.clone();
            let place = json_index(elements.len(), position);
            // Beyond the ends is at the nearer one.
            let end = if position < 0 { 0 } else { elements.len() };
            match (place, rest.is_empty(), change) {
                (Some(at), false, _) => {
                    if let Some(value) = elements.get_mut(at) {
                        *value = changed(value, rest, change, level + 1)?;
                    }
                }
                (None, false, _) => {}
                (Some(at), true, Change::Delete) => drop(elements.remove(at)),
                (Some(at), true, Change::Set { new, .. }) => {
                    if let Some(value) = elements.get_mut(at) {
                        *value = (*new).clone();
                    }
                }
                (Some(at), true, Change::Insert { new, after }) => {
                    elements.insert(at + usize::from(*after), (*new).clone());
                }
                (None, true, Change::Set { new, create: true })
                | (None, true, Change::Insert { new, .. }) => {
                    elements.insert(end, (*new).clone());
                }
                (None, true, _) => {}
            }
            Ok(Json::Array(elements))
        }
        scalar => Ok(scalar.clone()),
    }
}

fn strip_nulls(json: Json) -> Json {
    match json {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Json::Array(elements) => Json::Array(elements.into_iter().map(strip_nulls).collect()),
        scalar => scalar,
    }
}

/// Keys and values by turns.
fn pairs(values: &[Value]) -> Result<impl Iterator<Item = Result<(&Value, &Value)>>> {
    if !values.len().is_multiple_of(2) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "argument list must have even number of elements",
        )
        .hint("The arguments are keys and values by turns."));
    }
    Ok(values.chunks(2).map(|pair| match pair {
        [key, value] => Ok((key, value)),
        _ => Err(mismatch(pair)),
    }))
}

/// The text of an object's key.
pub(in crate::eval) fn object_key(key: &Value, context: &EvalContext<'_>) -> Result<CompactString> {
    if key.is_null() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "null value not allowed for object key",
        ));
    }
    Ok(key.to_text(&context.session.style))
}

/// Dates in JSON are ISO 8601's.
fn json_style(context: &EvalContext<'_>) -> TextStyle {
    TextStyle {
        date: DateStyle {
            layout: DateLayout::Iso,
            ..context.session.style.date
        },
        ..context.session.style.clone()
    }
}

/// Writes an SQL value as JSON.
pub(in crate::eval) fn write_value(out: &mut String, value: &Value, context: &EvalContext<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(truth) => {
            let _ = write!(out, "{truth}");
        }
        Value::Int1(_) | Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Decimal(_) => {
            let _ = write!(out, "{value}");
        }
        Value::Float4(number) if number.is_finite() => {
            let _ = write!(out, "{}", value.display_in(&context.session.style));
        }
        Value::Float8(number) if number.is_finite() => {
            let _ = write!(out, "{}", value.display_in(&context.session.style));
        }
        Value::Json(text) => out.push_str(text),
        Value::Jsonb(json) => {
            let _ = write!(out, "{json}");
        }
        Value::Array(list) => {
            let lengths: Vec<u32> = list.dimensions().iter().map(|found| found.length).collect();
            let mut values = list.values().iter();
            write_array(out, &lengths, &mut values, context);
        }
        Value::Timestamp(_) | Value::TimestampTz(_) => {
            let mut text = value.display_in(&json_style(context)).to_string();
            if let Some(blank) = text.find(' ') {
                text.replace_range(blank..=blank, "T");
            }
            if matches!(value, Value::TimestampTz(_))
                && text.len() > 3
                && matches!(text.as_bytes().get(text.len() - 3), Some(b'+' | b'-'))
            {
                text.push_str(":00");
            }
            let _ = write_json_string(out, &text);
        }
        other => {
            let text = other.display_in(&json_style(context)).to_string();
            let _ = write_json_string(out, &text);
        }
    }
}

fn write_array<'a>(
    out: &mut String,
    lengths: &[u32],
    values: &mut impl Iterator<Item = &'a Value>,
    context: &EvalContext<'_>,
) {
    let Some((length, inner)) = lengths.split_first() else {
        match values.next() {
            Some(value) => write_value(out, value, context),
            None => out.push_str("[]"),
        }
        return;
    };
    out.push('[');
    for at in 0..*length {
        if at > 0 {
            out.push(',');
        }
        write_array(out, inner, values, context);
    }
    out.push(']');
}

/// An SQL value as a JSON tree.
pub(in crate::eval) fn tree(value: &Value, context: &EvalContext<'_>) -> Result<Json> {
    match value {
        Value::Jsonb(json) => Ok(json.as_ref().clone()),
        Value::Text(text) => Ok(Json::String(text.clone())),
        value => {
            let mut text = String::new();
            write_value(&mut text, value, context);
            Json::parse(&text)
        }
    }
}
