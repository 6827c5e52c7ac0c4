//! What the other process answers, as values and errors.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, ErrorFields, RowDescriptionBody};
use rustling_server::type_of;
use rustling_sql::{DataType, Error as SqlError, Span, SqlState, Value};

use super::{lost, state_named};
use crate::{error::Result, output::Column};

/// The columns of a result.
pub(super) fn read_columns(body: &RowDescriptionBody) -> Result<Vec<Column>> {
    body.fields()
        .map(|field| {
            Ok(Column {
                name: field.name().to_owned(),
                data_type: type_of(field.type_oid()).unwrap_or(DataType::Text),
            })
        })
        .collect()
        .map_err(lost)
}

/// The fields of a row as text.
pub(super) fn read_texts(body: &DataRowBody) -> Result<Vec<Option<String>>> {
    let buffer = body.buffer();
    body.ranges()
        .map(|range| {
            Ok(range.map(|range| {
                let bytes = buffer.get(range).unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            }))
        })
        .collect()
        .map_err(lost)
}

/// The fields of a row as values: those that are written otherwise than their text.
pub(super) fn read_values(body: &DataRowBody, columns: &[Column]) -> Result<Vec<Value>> {
    let texts = read_texts(body)?;
    let of_column = |(text, column): (Option<String>, &Column)| {
        let Some(text) = text else {
            return Value::Null;
        };
        let typed = column.data_type.is_numeric()
            || matches!(
                column.data_type,
                DataType::Boolean | DataType::Json | DataType::Jsonb
            );
        typed
            .then(|| Value::parse(&text, column.data_type).ok())
            .flatten()
            .unwrap_or_else(|| Value::Text(text.into()))
    };
    Ok(texts.into_iter().zip(columns).map(of_column).collect())
}

/// An error or notice, with whether it ends the connection.
pub(super) fn read_error(mut fields: ErrorFields<'_>, statement: &str) -> (SqlError, bool) {
    let mut state = SqlState::INTERNAL_ERROR;
    let (mut message, mut detail, mut hint, mut context) = (String::new(), None, None, None);
    let (mut position, mut fatal) = (None, false);
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => fatal = matches!(value.as_str(), "FATAL" | "PANIC"),
            b'C' => state = state_named(&value),
            b'M' => message = value,
            b'D' => detail = Some(value),
            b'H' => hint = Some(value),
            b'W' => context = Some(value),
            b'P' => position = value.parse::<usize>().ok(),
            _ => {}
        }
    }
    let mut error = SqlError::new(state, message);
    if let Some(detail) = detail {
        error = error.detail(detail);
    }
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    if let Some(context) = context {
        error = error.context(context);
    }
    // Positions count characters, from 1.
    let place =
        position.and_then(|position| statement.char_indices().nth(position.saturating_sub(1)));
    if let Some((start, found)) = place {
        let rest = statement.get(start..).unwrap_or_default();
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let end = start + word.max(found.len_utf8());
        error = error.at(Span { start, end });
    }
    (error, fatal)
}
