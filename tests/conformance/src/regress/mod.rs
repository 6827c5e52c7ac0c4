//! PostgreSQL's own regression tests, scored per statement: the same rows, the same tag, the
//! same SQLSTATE. EXPLAIN, psql's backslash commands and statements joined by `\;` (a message of
//! the wire protocol) do not count.
//!
//! [`expected`] are the answers of PostgreSQL 15, which [`record`] took down; each script runs in
//! a database of its own with the tables of `setup.sql`.

pub mod expected;
pub mod record;
pub mod split;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use rustling_sql::{Database, Session, StatementResult};

use self::{expected::Answer, split::Statement};
use crate::{
    Error, Result, corpus,
    score::{Failure, Report},
};

/// The settings under which PostgreSQL runs its tests.
const SETTINGS: &[(&str, &str)] = &[
    ("timezone", "PST8PDT"),
    ("datestyle", "Postgres, MDY"),
    ("intervalstyle", "postgres_verbose"),
];

/// What `\getenv` finds in the scripts: `data/` lies in the first folder. There are no C libraries
/// to load, so those statements fail here as there.
fn environment(folder: &Path) -> HashMap<String, String> {
    [
        ("PG_ABS_SRCDIR", folder.to_string_lossy().as_ref()),
        ("PG_LIBDIR", "/nowhere"),
        ("PG_DLSUFFIX", ".so"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn answers_path(script: &Path) -> PathBuf {
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    corpus::folder("regress")
        .join("answers")
        .join(format!("{name}.txt"))
}

/// What a statement gave here; `data` is for COPY … FROM STDIN.
fn run_text(
    session: &mut Session,
    sql: &str,
    data: Option<&[String]>,
) -> Result<Answer, rustling_sql::Error> {
    let style = session.text_style();
    Ok(match session.run(sql, ())? {
        StatementResult::Done { tag, .. } => Answer {
            tag,
            ..Answer::default()
        },
        StatementResult::CopyIn(mut copy) => {
            for line in data.unwrap_or_default() {
                copy.write(session, line.as_bytes())?;
                copy.write(session, b"\n")?;
            }
            Answer {
                tag: format!("COPY {}", copy.finish(session)?),
                ..Answer::default()
            }
        }
        // psql prints the data and no tag; what was taken down is its last line.
        StatementResult::CopyOut(copy) => {
            let mut printed = Vec::new();
            copy.write_to(&mut printed)?;
            let printed = String::from_utf8_lossy(&printed);
            Answer {
                tag: printed.trim().lines().last().unwrap_or_default().to_owned(),
                ..Answer::default()
            }
        }
        StatementResult::Rows(rows) => {
            let lines = rows
                .values()?
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|value| {
                            let text =
                                (!value.is_null()).then(|| value.display_in(&style).to_string());
                            expected::field(text.as_deref())
                        })
                        .collect::<Vec<_>>()
                        .join("\t")
                })
                .collect();
            Answer {
                rows: Some(lines),
                ..Answer::default()
            }
        }
    })
}

fn run_statement(session: &mut Session, statement: &Statement) -> (Answer, String) {
    let mut last = Answer::default();
    for part in &statement.parts {
        match run_text(session, part, statement.copy_data.as_deref()) {
            Ok(answer) => last = answer,
            Err(error) => {
                return (
                    Answer {
                        line: statement.line,
                        state: error.state().0.to_owned(),
                        ..Answer::default()
                    },
                    error.to_string(),
                );
            }
        }
    }
    last.line = statement.line;
    last.state = "00000".to_owned();
    (last, String::new())
}

/// Whether the statement fixes the order of its rows.
fn is_ordered(statement: &Statement) -> bool {
    let text = statement.text().to_ascii_uppercase();
    text.contains("ORDER BY") || text.contains("ORDER  BY")
}

/// The reason where the two differ.
fn compare(
    statement: &Statement,
    expected: &Answer,
    found: &Answer,
    message: &str,
) -> Option<String> {
    if expected.state != found.state {
        return Some(if found.state == "00000" {
            format!("expected error {}, got none", expected.state)
        } else if expected.state == "00000" {
            format!("{} {message}", found.state)
        } else {
            format!(
                "expected error {}, got {} {message}",
                expected.state, found.state
            )
        });
    }
    if expected.state != "00000" {
        return None;
    }
    match (&expected.rows, &found.rows) {
        (None, None) => {}
        (Some(expected), Some(found)) => {
            let (mut left, mut right) = (expected.clone(), found.clone());
            if !is_ordered(statement) {
                left.sort();
                right.sort();
            }
            if left != right {
                let lines = |rows: &[String]| {
                    rows.iter()
                        .take(8)
                        .map(|row| format!("  {row}\n"))
                        .collect::<String>()
                };
                let differing = |one: &[String], other: &[String]| -> Vec<String> {
                    one.iter()
                        .enumerate()
                        .filter(|(index, row)| other.get(*index) != Some(row))
                        .map(|(_, row)| row.clone())
                        .collect()
                };
                return Some(format!(
                    "rows differ; expected {}:\n{}got {}:\n{}",
                    left.len(),
                    lines(&differing(&left, &right)),
                    right.len(),
                    lines(&differing(&right, &left)),
                ));
            }
        }
        (Some(_), None) => return Some(format!("expected rows, got {}", found.tag)),
        (None, Some(_)) => return Some(format!("expected {}, got rows", expected.tag)),
    }
    // A query with RETURNING gives its rows here and the tag beside them there.
    (expected.rows.is_none() && expected.tag != found.tag)
        .then(|| format!("expected tag {}, got {}", expected.tag, found.tag))
}

/// `\copy table from 'file'`.
fn client_copy(session: &mut Session, folder: &Path, table: &str, file: &str) -> Result<()> {
    let text = corpus::read(&folder.join(file))?;
    session.copy_in(&format!("COPY {table} FROM STDIN"), text.as_bytes())?;
    Ok(())
}

/// A session with the tables of `setup.sql`; the large ones only where the script names them.
fn prepared(folder: &Path, script: &str) -> Result<Session> {
    let mut session = Database::in_memory()?.session();
    // What PostgreSQL answers at once is not waited for: it counts as failed.
    session.set("statement_timeout", "10s")?;
    let setup = corpus::read(&folder.join("setup.sql"))?;
    let large = ["onek", "tenk"];
    for statement in split::split(&setup, &HashMap::new()) {
        let text = match &statement.client_copy {
            Some((table, _)) => table.clone(),
            None => statement.text(),
        };
        if large
            .iter()
            .any(|table| text.contains(table) && !script.contains(table))
        {
            continue;
        }
        match &statement.client_copy {
            Some((table, file)) => client_copy(&mut session, folder, table, file)?,
            // What the database cannot do yet costs the statements that depend on it.
            None => drop(run_statement(&mut session, &statement)),
        }
    }
    for (name, value) in SETTINGS {
        session.set_default(name, value)?;
    }
    Ok(session)
}

/// Runs the scripts whose names contain `only`.
///
/// # Errors
/// Where a file cannot be read.
pub fn run(only: Option<&str>) -> Result<Report> {
    let folder = corpus::folder("regress");
    let mut scripts = corpus::files(&folder.join("sql"), ".sql")?;
    scripts.retain(|path| only.is_none_or(|only| script_name(path).contains(only)));
    Report::of_files("regress", &scripts, |path, report| {
        run_script(&folder, path, &script_name(path), report)
    })
}

fn script_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn run_script(folder: &Path, path: &Path, name: &str, report: &mut Report) -> Result<()> {
    let script = corpus::read(path)?;
    let answers_path = answers_path(path);
    let answers = expected::parse(&corpus::read(&answers_path)?).map_err(|line| Error::Format {
        path: answers_path.clone(),
        line,
        reason: "neither an answer nor a row of one".to_owned(),
    })?;
    let statements = split::split(&script, &environment(folder));
    let mut session = prepared(folder, &script)?;
    let mut answers = answers.iter().peekable();
    for statement in statements
        .iter()
        .filter(|statement| statement.client_copy.is_none())
    {
        let (found, message) = run_statement(&mut session, statement);
        let Some(expected) = answers.next_if(|answer| answer.line == statement.line) else {
            return Err(Error::Format {
                path: answers_path.clone(),
                line: 1,
                reason: format!("no answer for line {}", statement.line),
            });
        };
        if statement.parts.len() > 1 || statement.starts_with("EXPLAIN") {
            continue;
        }
        match compare(statement, expected, &found, &message) {
            None => report.pass(name),
            Some(reason) => report.fail(Failure {
                group: name.to_owned(),
                place: statement.line.to_string(),
                sql: statement.text(),
                reason,
            }),
        }
    }
    Ok(())
}
