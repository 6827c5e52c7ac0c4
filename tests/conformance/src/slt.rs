//! sqllogictest files in their classic format (<https://www.sqlite.org/sqllogictest/>).
//!
//! Records are separated by blank lines. `statement ok` and `statement error` precede a
//! statement; `query TYPES [SORT] [LABEL]` a query, then `----` and its values one per line, or
//! `N values hashing to MD5`. Records under `skipif X` and `onlyif X` are for other products: the
//! first are run (we are none of them), the second are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use md5::{Digest, Md5};
use rustling_sql::{Database, Session, StatementResult};

use crate::{
    Error, Mode, Result, corpus,
    score::{Failure, Report},
    values,
};

/// How many records of a file quick mode runs.
const QUICK_RECORDS: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    None,
    Rows,
    Values,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Ok,
    Error,
    Values {
        types: String,
        sort: Sort,
        lines: Vec<String>,
    },
}

#[derive(Debug)]
struct Record {
    /// The line of `statement` or `query`, from 1.
    line: usize,
    sql: String,
    expected: Expected,
}

/// The records of a file that are for us, and the threshold above which values are hashed.
fn parse(path: &Path, text: &str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    let mut for_us = true;
    while let Some((index, line)) = lines.next() {
        let wrong = |reason: &str| Error::Format {
            path: path.into(),
            line: index + 1,
            reason: reason.to_owned(),
        };
        let header = line.split('#').next().unwrap_or_default();
        let mut words = header.split_whitespace();
        let expected = match words.next() {
            None | Some("hash-threshold" | "skipif") => continue,
            Some("halt") => break,
            Some("onlyif") => {
                for_us = false;
                continue;
            }
            Some("statement") => match words.next() {
                Some("ok") => Expected::Ok,
                Some("error") => Expected::Error,
                _ => return Err(wrong("a statement is ok or error")),
            },
            Some("query") => Expected::Values {
                types: words
                    .next()
                    .ok_or_else(|| wrong("a query has column types"))?
                    .to_owned(),
                sort: match words.next() {
                    None | Some("nosort") => Sort::None,
                    Some("rowsort") => Sort::Rows,
                    Some("valuesort") => Sort::Values,
                    Some(_) => return Err(wrong("unknown sort mode")),
                },
                lines: Vec::new(),
            },
            Some(_) => return Err(wrong("unknown record")),
        };
        let mut record = Record {
            line: index + 1,
            sql: String::new(),
            expected,
        };
        let mut in_values = false;
        for (_, line) in lines.by_ref().take_while(|(_, line)| !line.is_empty()) {
            match &mut record.expected {
                Expected::Values { lines, .. } if in_values => lines.push(line.to_owned()),
                Expected::Values { .. } if line == "----" => in_values = true,
                _ => {
                    record.sql.push_str(line);
                    record.sql.push('\n');
                }
            }
        }
        if std::mem::replace(&mut for_us, true) {
            records.push(record);
        }
    }
    Ok(records)
}

/// Runs a record; the reason where it fails.
fn run_record(session: &mut Session, record: &Record) -> Result<(), String> {
    let result = session.run(&record.sql, ());
    let (types, sort, expected) = match (&record.expected, result) {
        (Expected::Ok, Ok(StatementResult::Rows(rows))) => {
            return rows.values().map(drop).map_err(|error| error.to_string());
        }
        (Expected::Ok, Ok(_)) | (Expected::Error, Err(_)) => {
            return Ok(());
        }
        (Expected::Error, Ok(StatementResult::Rows(rows))) => {
            return match rows.values() {
                Err(_) => Ok(()),
                Ok(_) => Err("no error, but one is expected".to_owned()),
            };
        }
        (Expected::Error, Ok(_)) => return Err("no error, but one is expected".to_owned()),
        (_, Err(error)) => return Err(format!("{} {error}", error.state().0)),
        (Expected::Values { types, sort, lines }, Ok(StatementResult::Rows(rows))) => {
            let rows = rows
                .values()
                .map_err(|error| format!("{} {error}", error.state().0))?;
            (types, sort, (lines, rows))
        }
        (Expected::Values { .. }, Ok(_)) => return Err("no rows came back".to_owned()),
    };
    let (expected, rows) = expected;
    let mut shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .zip(types.chars().chain(std::iter::repeat('T')))
                .map(|(value, column_type)| values::sqllogictest(value, column_type))
                .collect()
        })
        .collect();
    if *sort == Sort::Rows {
        shown.sort();
    }
    let mut flat: Vec<String> = shown.into_iter().flatten().collect();
    if *sort == Sort::Values {
        flat.sort();
    }
    let same = match expected.as_slice() {
        [only] if only.contains(" values hashing to ") => {
            let mut hash = Md5::new();
            for value in &flat {
                hash.update(value.as_bytes());
                hash.update(b"\n");
            }
            let digest: String = hash
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            *only == format!("{} values hashing to {digest}", flat.len())
        }
        lines => lines == flat,
    };
    if same {
        return Ok(());
    }
    let short = |lines: &[String]| {
        let shown: Vec<&str> = lines.iter().take(12).map(String::as_str).collect();
        format!("{} ({} lines)", shown.join(" "), lines.len())
    };
    Err(format!(
        "expected {}\ngot      {}",
        short(expected),
        short(&flat)
    ))
}

/// The lines of each file whose records may fail.
fn differences(folder: &Path) -> Result<BTreeMap<String, BTreeSet<usize>>> {
    let path = folder.join("differences.json");
    let text = corpus::read(&path)?;
    serde_json::from_str(&text).map_err(|error| Error::Format {
        line: error.line(),
        reason: error.to_string(),
        path,
    })
}

/// Runs the corpus with these settings in every session.
///
/// # Errors
/// Where the corpus cannot be read.
pub fn run(mode: Mode, suite: &str, settings: &[(&str, &str)]) -> Result<Report> {
    let folder = corpus::folder("slt");
    let differences = differences(&folder)?;
    let files = corpus::files(&folder, ".test.zst")?;
    Report::of_files(suite, &files, |path, report| {
        let name = path
            .strip_prefix(&folder)
            .unwrap_or(path)
            .to_string_lossy()
            .trim_end_matches(".zst")
            .to_owned();
        let mut records = parse(path, &corpus::read(path)?)?;
        if mode == Mode::Quick {
            records.truncate(QUICK_RECORDS);
        }
        let may_fail = differences.get(&name);
        let mut session = Database::in_memory()?.session();
        for (name, value) in settings {
            session.set(name, value)?;
        }
        for record in &records {
            match run_record(&mut session, record) {
                Ok(()) => report.pass(&name),
                // Listed as a difference by design: neither passed nor failed.
                Err(_) if may_fail.is_some_and(|lines| lines.contains(&record.line)) => {}
                Err(reason) => report.fail(Failure {
                    group: name.clone(),
                    place: record.line.to_string(),
                    sql: record.sql.clone(),
                    reason,
                }),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let text = "hash-threshold 8\n\nonlyif mysql # no\nstatement ok\nSELECT 1\n\n\
                    skipif postgresql # yes\nquery IT rowsort label-1\nSELECT a,\nb\n----\n1\nx\n\n\
                    statement error\nSELECT\n";
        let records = parse(Path::new("t"), text).expect("a good file");
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].line, 8);
        assert_eq!(records[0].sql, "SELECT a,\nb\n");
        assert_eq!(
            records[0].expected,
            Expected::Values {
                types: "IT".to_owned(),
                sort: Sort::Rows,
                lines: vec!["1".to_owned(), "x".to_owned()],
            }
        );
        assert_eq!(records[1].expected, Expected::Error);
    }

    #[test]
    fn a_wrong_value_fails() {
        let mut session = Database::in_memory().expect("opens").session();
        let text = "query I nosort\nSELECT 1\n----\n1\n\nquery I nosort\nSELECT 1\n----\n2\n";
        let records = parse(Path::new("t"), text).expect("a good file");
        assert!(run_record(&mut session, &records[0]).is_ok());
        assert!(run_record(&mut session, &records[1]).is_err());
    }
}
