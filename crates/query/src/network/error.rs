//! What the server or the wire says, as an error of SQL.

use rustling_sql::{Error, Span, SqlState};
use tokio_postgres::error::ErrorPosition;

use super::sql_states::state_of;

/// connection_failure
const CONNECTION_FAILURE: SqlState = SqlState("08006");

/// The error of a statement that did not run.
pub(crate) fn failed(error: tokio_postgres::Error, sql: &str) -> Error {
    if let Some(told) = error.as_db_error() {
        let mut own = Error::new(state_of(told.code().code()), told.message());
        if let Some(detail) = told.detail() {
            own = own.detail(detail);
        }
        if let Some(hint) = told.hint() {
            own = own.hint(hint);
        }
        if let Some(context) = told.where_() {
            own = own.context(context);
        }
        if let Some(ErrorPosition::Original(character)) = told.position() {
            own = own.at(place(sql, *character));
        }
        return own;
    }
    let source = std::error::Error::source(&error);
    // A value that could not be read says so itself.
    if let Some(own) = source.and_then(|source| source.downcast_ref::<Error>()) {
        return own.clone();
    }
    let message = match source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Error::new(CONNECTION_FAILURE, message)
}

/// The character of a number, from 1.
fn place(sql: &str, character: u32) -> Span {
    let at = (character as usize).saturating_sub(1);
    let start = sql
        .char_indices()
        .nth(at)
        .map_or(sql.len(), |(start, _)| start);
    let length = sql[start..].chars().next().map_or(0, char::len_utf8);
    Span {
        start,
        end: start + length,
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(place("SELECT 'ü', x", 13).start, "SELECT 'ü', ".len());
        assert_eq!(place("x", 9).end, 1);
    }
}
