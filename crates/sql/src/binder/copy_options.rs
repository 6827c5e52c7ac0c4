//! The options of COPY: which there are, what they take, and which go together.

use super::{expr::with_hint, suggest::did_you_mean};
use crate::{
    ast::{Copy, CopyDirection, CopyOption, CopyValue, Ident},
    bound::{CopyFormat, CopyHeader, CopyOptions},
    error::{Error, Result, SqlState},
};

const NAMES: [&str; 11] = [
    "format",
    "freeze",
    "delimiter",
    "null",
    "header",
    "quote",
    "escape",
    "force_quote",
    "force_not_null",
    "force_null",
    "encoding",
];

/// What is given, before anything is taken for granted.
#[derive(Default)]
struct Given {
    format: Option<CopyFormat>,
    freeze: Option<bool>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<CopyHeader>,
    quote: Option<String>,
    escape: Option<String>,
    encoding: Option<String>,
}

fn unsupported(message: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The options of a COPY; those that name columns are left to [`set_columns`].
///
/// # Errors
/// As PostgreSQL has them: 42601 for options that are unknown or contradict each other, 22023
/// and 0A000 for values that are not allowed.
pub(super) fn copy_options(copy: &Copy) -> Result<CopyOptions> {
    let is_from = copy.direction == CopyDirection::From;
    let mut given = Given::default();
    for option in &copy.options {
        read(option, is_from, &mut given).map_err(|error| error.at(option.name.span))?;
    }
    for (at, option) in copy.options.iter().enumerate() {
        let before = copy.options.iter().take(at);
        if before
            .into_iter()
            .any(|other| other.name.name == option.name.name)
        {
            return Err(
                Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options")
                    .at(option.name.span),
            );
        }
    }
    let has = |name: &str| copy.options.iter().any(|option| option.name.name == name);
    let format = given.format.unwrap_or(CopyFormat::Text);
    let is_csv = format == CopyFormat::Csv;
    if format == CopyFormat::Binary {
        for (name, shown) in [("delimiter", "DELIMITER"), ("null", "NULL")] {
            if has(name) {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("cannot specify {shown} in BINARY mode"),
                ));
            }
        }
        if given
            .header
            .is_some_and(|header| header != CopyHeader::None)
        {
            return Err(unsupported("cannot specify HEADER in BINARY mode"));
        }
    }
    let delimiter = one_byte(
        given.delimiter.as_deref(),
        if is_csv { b',' } else { b'\t' },
        "COPY delimiter must be a single one-byte character",
    )?;
    let null = given.null.unwrap_or_else(|| {
        if is_csv {
            String::new()
        } else {
            "\\N".to_owned()
        }
    });
    if matches!(delimiter, b'\n' | b'\r') {
        return Err(invalid(
            "COPY delimiter cannot be newline or carriage return",
        ));
    }
    if null.contains(['\n', '\r']) {
        return Err(invalid(
            "COPY null representation cannot use newline or carriage return",
        ));
    }
    // In text format these would be taken for parts of escapes or numbers.
    if !is_csv
        && (matches!(delimiter, b'\\' | b'.')
            || delimiter.is_ascii_lowercase()
            || delimiter.is_ascii_digit())
    {
        return Err(invalid(format!(
            "COPY delimiter cannot be \"{}\"",
            char::from(delimiter)
        )));
    }
    if !is_csv {
        for (name, message) in [
            ("quote", "COPY quote available only in CSV mode"),
            ("escape", "COPY escape available only in CSV mode"),
            ("force_quote", "COPY force quote available only in CSV mode"),
            (
                "force_not_null",
                "COPY force not null available only in CSV mode",
            ),
            ("force_null", "COPY force null available only in CSV mode"),
        ] {
            if has(name) {
                return Err(unsupported(message));
            }
        }
    }
    let quote = one_byte(
        given.quote.as_deref(),
        b'"',
        "COPY quote must be a single one-byte character",
    )?;
    if is_csv && delimiter == quote {
        return Err(invalid("COPY delimiter and quote must be different"));
    }
    let escape = one_byte(
        given.escape.as_deref(),
        quote,
        "COPY escape must be a single one-byte character",
    )?;
    for (name, message, only_from) in [
        (
            "force_quote",
            "COPY force quote only available using COPY TO",
            false,
        ),
        (
            "force_not_null",
            "COPY force not null only available using COPY FROM",
            true,
        ),
        (
            "force_null",
            "COPY force null only available using COPY FROM",
            true,
        ),
    ] {
        if has(name) && only_from != is_from {
            return Err(unsupported(message));
        }
    }
    if format != CopyFormat::Binary && null.as_bytes().contains(&delimiter) {
        return Err(unsupported(
            "COPY delimiter must not appear in the NULL specification",
        ));
    }
    if is_csv && null.as_bytes().contains(&quote) {
        return Err(unsupported(
            "CSV quote character must not appear in the NULL specification",
        ));
    }
    Ok(CopyOptions {
        format,
        delimiter,
        null,
        header: given.header.unwrap_or(CopyHeader::None),
        quote,
        escape,
        force_quote: Vec::new(),
        force_not_null: Vec::new(),
        force_null: Vec::new(),
        encoding: given.encoding,
        freeze: given.freeze.unwrap_or(false),
    })
}

/// Sets the options that name columns; `columns` are those that are copied, of `what`.
///
/// # Errors
/// 42703 for a column that is not there, 42P10 for one that is not copied.
pub(super) fn set_columns(
    copy: &Copy,
    options: &mut CopyOptions,
    columns: &[&str],
    what: impl ColumnSource,
) -> Result<()> {
    for option in &copy.options {
        let (place, shown) = match option.name.name.as_str() {
            "force_quote" => (&mut options.force_quote, "FORCE_QUOTE"),
            "force_not_null" => (&mut options.force_not_null, "FORCE_NOT_NULL"),
            "force_null" => (&mut options.force_null, "FORCE_NULL"),
            _ => continue,
        };
        let named: &[Ident] = match &option.value {
            CopyValue::All => {
                *place = vec![true; columns.len()];
                continue;
            }
            CopyValue::List(named) => named,
            _ => &[],
        };
        *place = vec![false; columns.len()];
        for name in named {
            let at = columns.iter().position(|column| *column == name.name);
            match at.and_then(|at| place.get_mut(at)) {
                Some(flag) => *flag = true,
                None if what.has(&name.name) => {
                    return Err(Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{shown} column \"{}\" not referenced by COPY", name.name),
                    )
                    .at(name.span));
                }
                None => {
                    return Err(Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{}\" does not exist", name.name),
                    )
                    .at(name.span));
                }
            }
        }
    }
    Ok(())
}

/// What columns are taken from.
pub(super) trait ColumnSource {
    /// Whether it has a column of that name.
    fn has(&self, name: &str) -> bool;
}

impl ColumnSource for &std::sync::Arc<crate::catalog::Table> {
    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

impl ColumnSource for &str {
    fn has(&self, _name: &str) -> bool {
        false
    }
}

fn read(option: &CopyOption, is_from: bool, given: &mut Given) -> Result<()> {
    let name = option.name.name.as_str();
    match name {
        "format" => {
            let format = text(option)?;
            given.format = Some(match format.as_str() {
                "text" => CopyFormat::Text,
                "csv" => CopyFormat::Csv,
                "binary" => CopyFormat::Binary,
                _ => return Err(invalid(format!("COPY format \"{format}\" not recognized"))),
            });
        }
        "freeze" => given.freeze = Some(boolean(option)?),
        "delimiter" => given.delimiter = Some(text(option)?),
        "null" => given.null = Some(text(option)?),
        "header" => {
            let is_match = match &option.value {
                CopyValue::Word(word) => word.name.eq_ignore_ascii_case("match"),
                CopyValue::String(word) => word.eq_ignore_ascii_case("match"),
                _ => false,
            };
            given.header = Some(if is_match && is_from {
                CopyHeader::Match
            } else if is_match {
                return Err(invalid("cannot use \"match\" with HEADER in COPY TO"));
            } else {
                match boolean(option) {
                    Ok(true) => CopyHeader::Names,
                    Ok(false) => CopyHeader::None,
                    Err(_) => {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "header requires a Boolean value or \"match\"",
                        ));
                    }
                }
            });
        }
        "quote" => given.quote = Some(text(option)?),
        "escape" => given.escape = Some(text(option)?),
        "encoding" => given.encoding = Some(text(option)?),
        "force_quote" if matches!(option.value, CopyValue::All) => {}
        "force_quote" | "force_not_null" | "force_null" => {
            if !matches!(option.value, CopyValue::List(_)) {
                return Err(invalid(format!(
                    "argument to option \"{name}\" must be a list of column names"
                )));
            }
        }
        _ => {
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                format!("option \"{name}\" not recognized"),
            );
            return Err(with_hint(error, did_you_mean(name, NAMES)));
        }
    }
    Ok(())
}

fn text(option: &CopyOption) -> Result<String> {
    match &option.value {
        CopyValue::Word(word) => Ok(word.name.clone()),
        CopyValue::String(text) | CopyValue::Number(text) => Ok(text.clone()),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires a parameter", option.name.name),
        )),
    }
}

fn boolean(option: &CopyOption) -> Result<bool> {
    let word = match &option.value {
        CopyValue::None => return Ok(true),
        _ => text(option)?.to_ascii_lowercase(),
    };
    match word.as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires a Boolean value", option.name.name),
        )),
    }
}

fn one_byte(given: Option<&str>, otherwise: u8, message: &str) -> Result<u8> {
    match given.map(str::as_bytes) {
        None => Ok(otherwise),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(unsupported(message)),
    }
}
