//! What the compiler says where a statement and the Rust around it do not fit.

use rustling_sql::{
    DataType, Error, Span, SqlState,
    template::{Parameter, Piece, Template},
};
use syn::ext::IdentExt;

use crate::{
    query::{in_file, render},
    record::Field,
    rust_types::{column_type_name, fitting},
    schema::Loaded,
    values::is_name,
};

/// Stands for a type that only the compiler knows, until braces have been doubled.
const UNKNOWN_TYPE: char = '\u{e000}';

/// What is written where a value from Rust belongs.
const EXAMPLE: &str = "{user_id}";
const IN_BRACES: &str = "Write the value's Rust expression in braces: {user_id}.";
/// What is written where a value cannot stand.
const CHOICE: &str = "What stands in braces is a value, never a name or a part of SQL. Write the choices out: \
                      {match order { Order::Name => { name }, Order::Newest => { id DESC } }}.";

/// An error with what to do about it here, where that is not what the engine would say.
pub(crate) fn advised(error: Error, loaded: &Loaded, template: &Template, sql: &str) -> Error {
    match (error.state(), error.hint_text()) {
        (SqlState::UNDEFINED_TABLE, None) if error.message().starts_with("relation") => {
            error.hint(format!("The tables are those of {}.", loaded.place()))
        }
        (SqlState::UNDEFINED_PARAMETER, _) if error.span().is_none() => {
            match named_parameter(sql) {
                Some(span) => error.at(span),
                None => error,
            }
        }
        (_, Some(hint)) if hint.starts_with("Parameters are written $1") => error.hint(IN_BRACES),
        (SqlState::SYNTAX_ERROR, None)
            if error.message().contains("an expression, found the end") =>
        {
            error.hint(format!("A value from Rust stands in braces: {EXAMPLE}."))
        }
        (SqlState::SYNTAX_ERROR, _) if error.message().contains("found the number $") => {
            value_for_name(error, template, sql)
        }
        (_, Some(hint)) if hint.starts_with("Say the type of a string") => {
            match template.parameters.first() {
                Some(parameter) => error.hint(format!(
                    "Say the type of the parameter: {{{}}}::integer.",
                    parameter.expression
                )),
                None => error,
            }
        }
        _ => error,
    }
}

/// A parameter where SQL wants a name or a word, as the engine reports it: by its number.
fn value_for_name(error: Error, template: &Template, sql: &str) -> Error {
    let parameter = error
        .span()
        .and_then(|span| template.parameters.iter().find(|of| of.span == span));
    let (Some(parameter), Some((before, _))) = (
        parameter,
        error.message().split_once(", found the number $"),
    ) else {
        return error;
    };
    let written = &parameter.expression;
    let word = sql
        .get(..parameter.span.start)
        .and_then(|before| {
            let mut words = before
                .trim_end()
                .rsplit(|c: char| c != '_' && !c.is_alphanumeric());
            words.next()
        })
        .unwrap_or_default();
    let takes_list = ["IN", "ANY", "SOME", "ALL", "VALUES"]
        .iter()
        .any(|list| word.eq_ignore_ascii_case(list));
    let hint = if takes_list && before.ends_with("expected \"(\"") {
        format!("Put it in parentheses: ({{{written}}}).")
    } else {
        CHOICE.to_owned()
    };
    Error::new(
        error.state(),
        format!("{before}, found the parameter {{{written}}}"),
    )
    .at(parameter.span)
    .hint(hint)
}

/// Rows ordered by a parameter alone, which are in no order at all: its value is the same for
/// every row. It is meant to name a column.
pub(crate) fn ordered_by_value(template: &Template, sql: &str) -> Option<String> {
    let parameter = value_in_order(&template.pieces, template)?;
    let error = Error::new(
        SqlState::SYNTAX_ERROR,
        format!(
            "ORDER BY {{{}}} orders by a value that is the same for every row",
            parameter.expression
        ),
    )
    .at(parameter.span)
    .hint(CHOICE);
    Some(render(&error, sql))
}

fn value_in_order<'t>(pieces: &[Piece], template: &'t Template) -> Option<&'t Parameter> {
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Parameter(parameter) => {
                let text = |at: Option<usize>| match at.and_then(|at| pieces.get(at)) {
                    Some(Piece::Text { sql, .. }) => sql.as_str(),
                    _ => "",
                };
                let before = text(at.checked_sub(1)).to_ascii_uppercase();
                let mut before = before.split_whitespace().rev();
                let in_order = before.next() == Some("BY") && before.next() == Some("ORDER");
                if in_order && is_alone(text(Some(at + 1))) {
                    return template.parameters.get(*parameter);
                }
            }
            Piece::Branch(branch) => {
                let found = branch
                    .alternatives
                    .iter()
                    .find_map(|pieces| value_in_order(pieces, template));
                if found.is_some() {
                    return found;
                }
            }
            Piece::Text { .. } => {}
        }
    }
    None
}

/// Whether what comes behind a value leaves it as it is.
fn is_alone(behind: &str) -> bool {
    let behind = behind.trim_start().to_ascii_uppercase();
    let words = ["ASC", "DESC", "NULLS", "LIMIT", "OFFSET", "FETCH", "FOR"];
    let first = behind
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    behind.is_empty() || behind.starts_with([',', ')', ';']) || words.contains(&first)
}

/// What stands in braces and is no Rust.
pub(crate) fn not_rust(text: &str, reason: &str, sql: &str) -> String {
    let error = Error::new(
        SqlState::SYNTAX_ERROR,
        format!("\"{text}\" is no Rust expression: {reason}"),
    )
    .hint("What stands in braces is Rust; SQL's own text stands outside.");
    render(
        &placed(
            error,
            only(sql.match_indices(text).map(|(at, found)| Span {
                start: at,
                end: at + found.len(),
            })),
        ),
        sql,
    )
}

/// A parameter whose value is of a type that does not fit; a format of the compiler's, with
/// `{Self}` for that type. `file`: where the statement was read from.
pub(crate) fn parameter(
    parameter: &Parameter,
    data_type: DataType,
    sql: &str,
    file: Option<&str>,
) -> String {
    let written = &parameter.expression;
    let (message, hint) = match data_type {
        DataType::Array(element) if parameter.list => {
            let element = element.data_type();
            (
                format!(
                    "the list `{written}` must have elements for the SQL type {element}, but is of the \
                     type `{UNKNOWN_TYPE}`"
                ),
                format!("IN ({{list}}) takes {}.", fitting(data_type)),
            )
        }
        _ => (
            format!(
                "the parameter `{written}` must fit the SQL type {data_type}, but is of the type \
                 `{UNKNOWN_TYPE}`"
            ),
            format!(
                "{data_type} takes {}. {}",
                fitting(data_type),
                conversion(written, data_type)
            ),
        ),
    };
    let error = Error::new(SqlState::DATATYPE_MISMATCH, message)
        .at(parameter.span)
        .hint(hint);
    format_of(&in_file(file, &render(&error, sql)), "{Self}")
}

/// How a value of another type becomes a parameter of this one.
fn conversion(written: &str, data_type: DataType) -> String {
    match data_type {
        DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Name
        | DataType::InternalChar
        | DataType::Enum(_) => {
            let name = if is_name(written) || syn::parse_str::<syn::Ident>(written).is_ok() {
                written
            } else {
                "value"
            };
            format!("Convert the value in the braces: {{{name}.to_string()}}.")
        }
        DataType::Int1 | DataType::Int2 | DataType::Int4 => {
            by_type(written, data_type, &[("a larger integer", "bigint")])
        }
        DataType::Float4 => by_type(written, data_type, &[("an f64", "double precision")]),
        DataType::Float8 => by_type(written, data_type, &[("an i64", "bigint")]),
        DataType::Decimal(_) => by_type(
            written,
            data_type,
            &[("an f64", "double precision::numeric")],
        ),
        DataType::Oid => format!(
            "Convert the value in the braces, or write {{{written}}}::bigint for an integer."
        ),
        DataType::Array(_) => "Convert the elements in the braces.".to_owned(),
        _ => by_type(written, data_type, &[]),
    }
}

/// What to write for values of other types, which only the compiler knows.
fn by_type(written: &str, data_type: DataType, others: &[(&str, &str)]) -> String {
    let text = format!("text::{data_type}");
    let choices: Vec<String> = others
        .iter()
        .copied()
        .chain([("a text", text.as_str())])
        .map(|(what, cast)| format!("{{{written}}}::{cast} for {what}"))
        .collect();
    format!(
        "Convert the value in the braces, or write {}.",
        choices.join(" and ")
    )
}

/// A column whose field in a struct of the caller's has another type; a format of the compiler's,
/// with `{Field}` for that type. `words`: those of the statement.
pub(crate) fn column(field: &Field, sql: &str, words: &[Span]) -> String {
    let name = field.name.unraw().to_string();
    let plain = column_type_name(field.sql_type);
    let sql_type = field.sql_type;
    let (message, hint) = if field.nullable {
        (
            format!(
                "column \"{name}\" is {sql_type} and can be NULL: the field `{name}` must be \
                 `Option<{plain}>`, not `{UNKNOWN_TYPE}`"
            ),
            format!(
                "Give the field that type, or a value in place of NULL: coalesce(…). Where you \
                 know that none is NULL, say so: AS \"{name}!\"."
            ),
        )
    } else {
        (
            format!(
                "column \"{name}\" is {sql_type} and never NULL: the field `{name}` must be \
                 `{plain}`, not `{UNKNOWN_TYPE}`"
            ),
            "Give the field that type, or convert the column: CAST(… AS …).".to_owned(),
        )
    };
    let error = placed(
        Error::new(SqlState::DATATYPE_MISMATCH, message).hint(hint),
        output_column(sql, words, &name),
    );
    format_of(&render(&error, sql), "{Field}")
}

fn placed(error: Error, span: Option<Span>) -> Error {
    match span {
        Some(span) => error.at(span),
        None => error,
    }
}

/// A text as a format of the compiler's.
fn format_of(text: &str, unknown_type: &str) -> String {
    text.trim_end()
        .replace('{', "{{")
        .replace('}', "}}")
        .replace(UNKNOWN_TYPE, unknown_type)
}

/// The only one of several places; `None` where there are more, or none.
fn only(mut places: impl Iterator<Item = Span>) -> Option<Span> {
    let first = places.next()?;
    places.next().is_none().then_some(first)
}

/// Where a column of the result gets its name, if that is plain to see: behind the only AS that
/// gives it, or where the name stands at all.
fn output_column(sql: &str, words: &[Span], name: &str) -> Option<Span> {
    let is_name = |span: &Span| {
        let word = &sql[span.start..span.end];
        word.eq_ignore_ascii_case(name)
    };
    let named = words.windows(2).filter_map(|pair| {
        let [before, word] = pair else { return None };
        let is_as = sql[before.start..before.end].eq_ignore_ascii_case("as");
        (is_as && is_name(word)).then_some(*word)
    });
    only(named).or_else(|| only(words.iter().filter(|word| is_name(word)).copied()))
}

/// `:name`, which other libraries write where braces stand here.
fn named_parameter(sql: &str) -> Option<Span> {
    words(sql).into_iter().find_map(|word| {
        let before = sql[..word.start].strip_suffix(':')?;
        (!before.ends_with(':')).then_some(Span {
            start: before.len(),
            end: word.end,
        })
    })
}

/// The words of a text, without those in single quotes.
pub(crate) fn words(sql: &str) -> Vec<Span> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in sql.char_indices().chain([(sql.len(), ' ')]) {
        let in_word = c == '_' || c.is_alphanumeric();
        match start {
            Some(from) if !in_word => {
                if !quoted {
                    words.push(Span {
                        start: from,
                        end: at,
                    });
                }
                start = None;
            }
            None if in_word => start = Some(at),
            _ => {}
        }
        if c == '\'' {
            quoted = !quoted;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &str, span: Option<Span>) -> Option<&str> {
        span.map(|span| &sql[span.start..span.end])
    }

    #[test]
    fn columns_are_found_where_that_is_plain() {
        let sql = "SELECT id, u.email FROM users u WHERE note = 'email'";
        let output_column = |sql, name| output_column(sql, &words(sql), name);
        let span = output_column(sql, "email").unwrap();
        assert_eq!(span.start, sql.find("email").unwrap());
        let sql = "SELECT max(n) AS n FROM t";
        assert_eq!(
            output_column(sql, "n").unwrap().start,
            sql.find("AS n").unwrap() + 3
        );
        assert_eq!(output_column("SELECT * FROM t", "n"), None);
        assert_eq!(output_column("SELECT n FROM t WHERE n > 1", "n"), None);
    }

    #[test]
    fn named_parameters_are_no_casts() {
        let sql = "SELECT 'a:b', x::int FROM t WHERE x = :id";
        assert_eq!(text(sql, named_parameter(sql)), Some(":id"));
        assert_eq!(named_parameter("SELECT x::int"), None);
    }

    #[test]
    fn messages_are_formats() {
        assert_eq!(
            format_of("{id} is a \u{e000}\n", "{Self}"),
            "{{id}} is a {Self}"
        );
    }
}
