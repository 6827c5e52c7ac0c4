//! The configuration's file.

use std::path::Path;

use rustling_storage::{Env, OpenMode};
use toml::{Spanned, de::DeTable, de::DeValue};

use super::{
    Config, Source, Value,
    keys::{self, KEYS, Key, nearest},
};
use crate::error::{Error, Result};

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the file.
pub(super) fn read(env: &Env, path: &Path) -> Result<String> {
    let read = || -> std::io::Result<String> {
        let file = env.vfs.open(path, OpenMode::ReadOnly)?;
        let length = file.len()?;
        if length > MAX_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData.into())
    };
    read().map_err(|source| rustling_storage::Error::io("read", path, source).into())
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.matches('\n').count() + 1
}

fn wrong(path: &Path, line: usize, problem: &str, hint: String) -> Error {
    Error::Usage {
        message: format!("{}, line {line}: {problem}", path.display()),
        hint,
    }
}

/// Takes over what a file's text says.
///
/// # Errors
/// Names the line that is wrong.
pub(super) fn apply(config: &mut Config, path: &Path, text: &str) -> Result<()> {
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let hint = "the file is TOML: rustling config prints one".to_owned();
        wrong(path, line, error.message(), hint)
    })?;
    for (table, value) in document.get_ref() {
        let table_name: &str = table.get_ref();
        let line = line_of(text, table.span().start);
        let prefix = format!("{table_name}.");
        let is_table = KEYS.iter().any(|key| key.name.starts_with(&prefix));
        let (DeValue::Table(entries), true) = (value.get_ref(), is_table) else {
            let hint = "rustling config lists the tables and their keys".to_owned();
            let problem = format!("there is no table {table_name}");
            return Err(wrong(path, line, &problem, hint));
        };
        for (name, value) in entries {
            let line = line_of(text, name.span().start);
            let name = format!("{prefix}{}", name.get_ref());
            let Some(key) = keys::key(&name) else {
                let hint = match nearest(&name) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "rustling config lists the keys".to_owned(),
                };
                return Err(wrong(path, line, &format!("there is no key {name}"), hint));
            };
            let found = read_value(key, value).map_err(|problem| {
                wrong(
                    path,
                    line,
                    &format!("{name}: {problem}"),
                    key.help.to_owned(),
                )
            })?;
            config.set(key, found, Source::File(path.to_path_buf(), line));
        }
    }
    Ok(())
}

fn read_value(key: &Key, value: &Spanned<DeValue<'_>>) -> std::result::Result<Value, String> {
    use super::Kind;
    match (value.get_ref(), key.kind) {
        (DeValue::Boolean(truth), Kind::Truth) => Ok(Value::Truth(*truth)),
        (DeValue::Integer(number), Kind::Count) => Value::parse(key, number.as_str()),
        (DeValue::Integer(number), Kind::Bytes) => Value::parse(key, number.as_str()),
        (DeValue::String(text), _) => Value::from_text(key, text),
        (DeValue::Array(items), _) => {
            let texts: Option<Vec<&str>> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(&**text),
                    _ => None,
                })
                .collect();
            let texts = texts.ok_or("the list holds something other than texts")?;
            match (key.kind, texts.as_slice()) {
                (Kind::Address, [one]) => Value::from_text(key, one),
                _ => Value::list(key, texts.into_iter()),
            }
        }
        (_, Kind::Truth) => Err("true or false is wanted".to_owned()),
        (_, Kind::Count) => Err("a whole number is wanted".to_owned()),
        (_, Kind::Time) => Err("a time with its unit is wanted: \"10s\"".to_owned()),
        _ => Err("a text is wanted".to_owned()),
    }
}
