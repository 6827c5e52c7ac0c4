//! Feature tests of SQL:2016's mandatory part, from sqltest (<https://github.com/elliotchance/sqltest>).
//!
//! A test passes where every statement of it runs without an error, in one transaction of a fresh
//! database. The corpus is a small part of YAML: documents `---` with `id`, `feature` and `sql`,
//! which is one statement or a list of them.

use rustling_sql::{Database, StatementResult};

use crate::{
    Error, Result, corpus,
    score::{Failure, Report},
};

#[derive(Debug, Default, PartialEq, Eq)]
struct Test {
    id: String,
    feature: String,
    statements: Vec<String>,
}

/// A scalar: plain, or in single or double quotes.
fn scalar(text: &str) -> String {
    let text = text.trim();
    if let Some(inner) = text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        inner.replace("''", "'")
    } else if let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        inner.replace("\\\"", "\"").replace("\\\\", "\\")
    } else {
        text.to_owned()
    }
}

fn parse(text: &str) -> Result<Vec<Test>, (usize, String)> {
    let mut tests = Vec::new();
    let mut test = Test::default();
    for (index, line) in text.lines().enumerate() {
        if line == "---" {
            tests.push(std::mem::take(&mut test));
        } else if let Some(value) = line.strip_prefix("id:") {
            test.id = scalar(value);
        } else if let Some(value) = line.strip_prefix("feature:") {
            test.feature = scalar(value);
        } else if let Some(value) = line.strip_prefix("sql:") {
            if !value.trim().is_empty() {
                test.statements.push(scalar(value));
            }
        } else if let Some(value) = line.strip_prefix("- ") {
            test.statements.push(scalar(value));
        } else if let Some(value) = line.strip_prefix("  ") {
            // A folded line goes on with the one before.
            match test.statements.last_mut() {
                Some(statement) => {
                    statement.push(' ');
                    statement.push_str(value.trim());
                }
                None => return Err((index + 1, "nothing to go on with".to_owned())),
            }
        } else if !line.trim().is_empty() {
            return Err((index + 1, format!("unexpected line: {line}")));
        }
    }
    if !test.statements.is_empty() {
        tests.push(test);
    }
    Ok(tests)
}

fn run_test(test: &Test) -> Result<(), (String, String)> {
    let fail = |sql: &str, error: rustling_sql::Error| {
        (sql.to_owned(), format!("{} {error}", error.state().0))
    };
    let mut session = Database::in_memory()
        .map_err(|error| fail("", error))?
        .session();
    let statements = std::iter::once("BEGIN")
        .chain(test.statements.iter().map(String::as_str))
        .chain(["ROLLBACK"]);
    for sql in statements {
        match session.run(sql, ()) {
            Ok(StatementResult::Rows(rows)) => {
                rows.values().map_err(|error| fail(sql, error))?;
            }
            Ok(_) => {}
            Err(error) => return Err(fail(sql, error)),
        }
    }
    Ok(())
}

/// Runs every test.
///
/// # Errors
/// Where the corpus cannot be read.
pub fn run() -> Result<Report> {
    let path = corpus::folder("sqltest").join("tests.yml");
    let tests = parse(&corpus::read(&path)?).map_err(|(line, reason)| Error::Format {
        path,
        line,
        reason,
    })?;
    let mut report = Report::new("sqltest");
    for test in &tests {
        let feature = test.feature.split('-').next().unwrap_or(&test.feature);
        match run_test(test) {
            Ok(()) => report.pass(feature),
            Err((sql, reason)) => report.fail(Failure {
                group: feature.to_owned(),
                place: test.id.clone(),
                sql,
                reason,
            }),
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_read() {
        let text = "id: a\nfeature: E011-01\nsql: SELECT 'x'\n---\nid: b\nfeature: F031\nsql:\n\
                    - CREATE TABLE t (\n  a INT )\n- 'SELECT ''y'''\n";
        let tests = parse(text).expect("a good file");
        assert_eq!(tests.len(), 2);
        assert_eq!(tests[0].statements, ["SELECT 'x'"]);
        assert_eq!(
            tests[1].statements,
            ["CREATE TABLE t ( a INT )", "SELECT 'y'"]
        );
    }
}
