//! Golden SQL scripts: statements in, results out, as text. See `scripts/*.golden`.
//!
//! A block is a script of statements. A `COPY … FROM STDIN` that begins a block is followed by its
//! data. A line `@name` before them chooses the session that runs
//! them (sessions come into being when first named and live as long as the file's database).

use std::{collections::HashMap, path::Path};

use rustling_sql::{
    Database, Error, Session, StatementResult, Value, split_statements, types::TextStyle,
};
use rustling_testkit::golden;

fn show_value(value: &Value, style: &TextStyle) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value => value.display_in(style).to_string(),
    }
}

fn show_error(error: &Error, sql: &str) -> String {
    let mut text = format!("ERROR {}: {error}", error.state().0);
    if let Some(span) = error.span()
        && let Some(place) = sql.get(span.start..span.end)
    {
        text.push_str(&format!("\nAT: {place}"));
    }
    if let Some(detail) = error.detail_text() {
        text.push_str(&format!("\nDETAIL: {detail}"));
    }
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("\nHINT: {hint}"));
    }
    if let Some(context) = error.context_text() {
        text.push_str(&format!("\nCONTEXT: {context}"));
    }
    text
}

fn show(result: Result<StatementResult, Error>, sql: &str, style: &TextStyle) -> String {
    match result {
        Err(error) => show_error(&error, sql),
        Ok(StatementResult::Done { tag, notices, .. }) => notices
            .iter()
            .map(ToString::to_string)
            .chain([tag])
            .collect::<Vec<_>>()
            .join("\n"),
        Ok(StatementResult::CopyIn(_)) => "(waits for data)".to_owned(),
        Ok(StatementResult::CopyOut(copy)) => {
            let mut out = Vec::new();
            match copy.write_to(&mut out) {
                Ok(count) => format!("{}COPY {count}", String::from_utf8_lossy(&out)),
                Err(error) => show_error(&error, sql),
            }
        }
        Ok(StatementResult::Rows(rows)) => {
            let names: Vec<&str> = rows
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            let mut lines = vec![names.join(" | ")];
            for row in rows {
                match row {
                    Ok(row) => lines.push(
                        row.values()
                            .iter()
                            .map(|value| show_value(value, style))
                            .collect::<Vec<_>>()
                            .join(" | "),
                    ),
                    Err(error) => {
                        lines.push(show_error(&error, sql));
                        break;
                    }
                }
            }
            lines.push(format!("({} rows)", lines.len() - 1));
            lines.join("\n")
        }
    }
}

/// A COPY FROM STDIN and the data behind it.
fn copy_with_data(block: &str) -> Option<(&str, &str)> {
    let (statement, data) = block.split_once(";\n")?;
    let upper = statement.to_uppercase();
    (upper.starts_with("COPY ") && upper.contains("FROM STDIN")).then_some((statement, data))
}

/// Times differ from run to run.
fn without_times(text: String) -> String {
    text.lines()
        .filter(|line| {
            !line.starts_with("Planning Time")
                && !line.starts_with("Execution Time")
                && !line.starts_with("Peak Memory")
        })
        .map(
            |line| match (line.find("(actual time="), line.rfind(" rows=")) {
                (Some(start), Some(end)) if start < end => {
                    format!("{}(actual{}", &line[..start], &line[end..])
                }
                _ => line.to_owned(),
            },
        )
        .collect::<Vec<_>>()
        .join("\n")
}

fn runner(_: &Path) -> impl FnMut(&str) -> String + use<> {
    let database = Database::in_memory().expect("a database in memory opens");
    let mut sessions: HashMap<String, Session> = HashMap::new();
    move |input| {
        let (name, sql) = match input
            .strip_prefix('@')
            .and_then(|rest| rest.split_once('\n'))
        {
            Some((name, sql)) => (name.trim(), sql),
            None => ("", input),
        };
        let session = sessions
            .entry(name.to_owned())
            .or_insert_with(|| database.session());
        if let Some((statement, data)) = copy_with_data(sql) {
            // What ends a block's line is no part of it.
            let data = data.replace("<CR>", "\r").replace("<END>", "");
            return match session.copy_in(statement, format!("{data}\n").as_bytes()) {
                Ok(count) => format!("COPY {count}"),
                Err(error) => show_error(&error, statement),
            };
        }
        let spans = match split_statements(sql) {
            Ok(spans) => spans,
            Err(error) => return show_error(&error, sql),
        };
        let outputs: Vec<String> = spans
            .into_iter()
            .map(|span| {
                let statement = &sql[span.start..span.end];
                let style = session.text_style();
                without_times(show(session.run(statement, ()), statement, &style))
            })
            .collect();
        outputs.join("\n")
    }
}

#[test]
fn scripts() {
    golden::run_dir(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts"),
        runner,
    );
}
