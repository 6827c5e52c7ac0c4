//! Recording what PostgreSQL answers, with its own client: `psql` must reach a server (its usual
//! environment variables say which) and be allowed to create databases.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    SETTINGS,
    expected::{self, Answer},
    split::{self, Statement},
};
use crate::{Error, Result, corpus};

const BASE: &str = "rustling_regress_base";
const SCRATCH: &str = "rustling_regress";
const COLUMN: char = '\u{1f}';
const ROW: char = '\u{1e}';
const NULL: &str = "\u{1d}";
const MARK: char = '\u{2}';

fn psql(database: &str, folder: &Path, script: &str) -> Result<String> {
    let options: Vec<String> = SETTINGS
        .iter()
        .map(|(name, value)| format!("-c {name}={}", value.replace(' ', "\\ ")))
        .collect();
    let mut child = Command::new("psql")
        .args(["-X", "-A", "-d", database, "-f", "-"])
        .args(["-F", &COLUMN.to_string(), "-R", &ROW.to_string()])
        .args(["-P", &format!("null={NULL}")])
        .current_dir(folder)
        .env("PGOPTIONS", options.join(" "))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::Psql(error.to_string()))?;
    let mut input = child
        .stdin
        .take()
        .ok_or_else(|| Error::Psql("no standard input".to_owned()))?;
    let text = script.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child
        .wait_with_output()
        .map_err(|error| Error::Psql(error.to_string()))?;
    writer
        .join()
        .map_err(|_| Error::Psql("the writer failed".to_owned()))?
        .map_err(|error| Error::Psql(error.to_string()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The answer in what psql printed between two marks.
fn answer(line: usize, state: &str, printed: &str) -> Answer {
    let mut answer = Answer {
        line,
        state: state.to_owned(),
        ..Answer::default()
    };
    if state != "00000" {
        return answer;
    }
    let mut rest = printed;
    if let Some((table, after)) = footer(printed) {
        let mut records = table.split(ROW);
        records.next();
        answer.rows = Some(
            records
                .map(|record| {
                    record
                        .split(COLUMN)
                        .map(|value| expected::field((value != NULL).then_some(value)))
                        .collect::<Vec<_>>()
                        .join("\t")
                })
                .collect(),
        );
        rest = after;
    }
    // Of several statements sent as one, the last.
    answer.tag = rest.trim().lines().last().unwrap_or_default().to_owned();
    answer
}

/// Splits a printed table from what follows `(3 rows)`.
fn footer(printed: &str) -> Option<(&str, &str)> {
    let at = printed.rfind(&format!("{ROW}("))?;
    let after = &printed[at + ROW.len_utf8()..];
    let (count, rest) = after.split_once('\n')?;
    let inner = count.strip_prefix('(')?.strip_suffix(')')?;
    inner
        .strip_suffix(" rows")
        .or_else(|| inner.strip_suffix(" row"))?
        .parse::<usize>()
        .ok()?;
    Some((&printed[..at], rest))
}

fn script(statements: &[Statement]) -> String {
    let mut script = String::new();
    for statement in statements {
        if statement.client_copy.is_some() {
            continue;
        }
        script.push_str(&statement.text());
        script.push_str("\n;\n");
        if let Some(data) = &statement.copy_data {
            for line in data {
                script.push_str(line);
                script.push('\n');
            }
            script.push_str("\\.\n");
        }
        script.push_str(&format!("\\echo {MARK} {} :SQLSTATE\n", statement.line));
    }
    script
}

/// Writes the answers of every script anew.
///
/// # Errors
/// Where psql fails or a file cannot be written.
pub fn record() -> Result<()> {
    let folder = corpus::folder("regress");
    psql(
        "postgres",
        &folder,
        &format!("DROP DATABASE IF EXISTS {BASE};\nCREATE DATABASE {BASE} TEMPLATE template0;\n"),
    )?;
    psql(BASE, &folder, &corpus::read(&folder.join("setup.sql"))?)?;
    for path in corpus::files(&folder.join("sql"), ".sql")? {
        psql(
            "postgres",
            &folder,
            &format!(
                "DROP DATABASE IF EXISTS {SCRATCH};\nCREATE DATABASE {SCRATCH} TEMPLATE {BASE};\n"
            ),
        )?;
        let statements = split::split(&corpus::read(&path)?, &super::environment(&folder));
        let printed = psql(SCRATCH, &folder, &script(&statements))?;
        let mut answers = Vec::new();
        let mut before = String::new();
        for piece in printed.split_inclusive('\n') {
            match piece.strip_prefix(MARK) {
                Some(mark) => {
                    let mut words = mark.split_whitespace();
                    let line = words.next().and_then(|word| word.parse().ok());
                    let (Some(line), Some(state)) = (line, words.next()) else {
                        return Err(Error::Psql(format!("an unreadable mark: {mark}")));
                    };
                    answers.push(answer(line, state, &before));
                    before.clear();
                }
                None => before.push_str(piece),
            }
        }
        let target = super::answers_path(&path);
        std::fs::write(&target, expected::write(&answers)).map_err(|source| Error::File {
            path: target,
            source,
        })?;
    }
    psql(
        "postgres",
        &folder,
        &format!("DROP DATABASE IF EXISTS {SCRATCH};\nDROP DATABASE IF EXISTS {BASE};\n"),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_tables_become_rows() {
        let printed = format!("a{COLUMN}b{ROW}1{COLUMN}{NULL}{ROW}2{COLUMN}x{ROW}(2 rows)\n");
        let found = answer(7, "00000", &printed);
        assert_eq!(
            found.rows,
            Some(vec!["1\t\\N".to_owned(), "2\tx".to_owned()])
        );
        assert_eq!(found.tag, "");
        let found = answer(7, "00000", &format!("a{ROW}(0 rows)\nINSERT 0 0\n"));
        assert_eq!(found.rows, Some(Vec::new()));
        assert_eq!(found.tag, "INSERT 0 0");
        let found = answer(7, "00000", "CREATE TABLE\n");
        assert_eq!((found.rows, found.tag.as_str()), (None, "CREATE TABLE"));
    }
}
