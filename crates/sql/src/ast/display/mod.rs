//! Prints syntax trees as SQL that parses to the same tree.

mod access;
mod copy;
mod definition;
mod expr;
mod merge;
mod named_type;
mod query;
mod session;
mod statement;
mod window;

use std::fmt::{self, Display, Formatter, Write as _};

use super::{Ident, IntervalField, ObjectName, TypeName, TypeNameKind};

impl Display for Ident {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.quoted {
            write!(f, "\"{}\"", self.name.replace('"', "\"\""))
        } else {
            f.write_str(&self.name)
        }
    }
}

impl Display for ObjectName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, &self.parts, ".")
    }
}

impl Display for TypeName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TypeNameKind::Named { name, arguments } => {
                write!(f, "{name}")?;
                if !arguments.is_empty() {
                    f.write_char('(')?;
                    separated(f, arguments, ", ")?;
                    f.write_char(')')?;
                }
            }
            TypeNameKind::WithTimeZone {
                timestamp,
                precision,
            } => {
                f.write_str(if *timestamp { "timestamp" } else { "time" })?;
                optional_precision(f, *precision)?;
                f.write_str(" with time zone")?;
            }
            TypeNameKind::Interval { fields, precision } => {
                f.write_str("interval")?;
                if let Some(fields) = fields {
                    f.write_char(' ')?;
                    interval_fields(f, *fields)?;
                }
                optional_precision(f, *precision)?;
            }
        }
        for _ in 0..self.dimensions {
            f.write_str("[]")?;
        }
        Ok(())
    }
}

impl Display for IntervalField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IntervalField::Year => "YEAR",
            IntervalField::Month => "MONTH",
            IntervalField::Day => "DAY",
            IntervalField::Hour => "HOUR",
            IntervalField::Minute => "MINUTE",
            IntervalField::Second => "SECOND",
        })
    }
}

fn interval_fields(
    f: &mut Formatter<'_>,
    (first, last): (IntervalField, IntervalField),
) -> fmt::Result {
    write!(f, "{first}")?;
    if first != last {
        write!(f, " TO {last}")?;
    }
    Ok(())
}

fn optional_precision(f: &mut Formatter<'_>, precision: Option<u32>) -> fmt::Result {
    match precision {
        Some(precision) => write!(f, "({precision})"),
        None => Ok(()),
    }
}

/// A string literal.
fn string(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

/// Items with a separator between them.
fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// `(a, b)`
fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_char('(')?;
    separated(f, items, ", ")?;
    f.write_char(')')
}

/// A keyword and what follows it, where there is something.
fn clause<T: Display>(f: &mut Formatter<'_>, keyword: &str, item: Option<&T>) -> fmt::Result {
    match item {
        Some(item) => write!(f, " {keyword} {item}"),
        None => Ok(()),
    }
}
