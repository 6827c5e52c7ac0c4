//! COPY.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated, string};
use crate::ast::{Copy, CopyDirection, CopyOption, CopyPlace, CopySubject, CopyValue};

impl Display for Copy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("COPY ")?;
        match &self.subject {
            CopySubject::Table { table, columns } => {
                write!(f, "{table}")?;
                if let Some(columns) = columns {
                    f.write_char(' ')?;
                    list(f, columns)?;
                }
            }
            CopySubject::Query(statement) => write!(f, "({statement})")?,
        }
        f.write_str(match self.direction {
            CopyDirection::From => " FROM ",
            CopyDirection::To => " TO ",
        })?;
        match (&self.place, self.direction) {
            (CopyPlace::Client, CopyDirection::From) => f.write_str("STDIN")?,
            (CopyPlace::Client, CopyDirection::To) => f.write_str("STDOUT")?,
            (CopyPlace::File(path), _) => string(f, path)?,
            (CopyPlace::Program(command), _) => {
                f.write_str("PROGRAM ")?;
                string(f, command)?;
            }
        }
        if !self.options.is_empty() {
            f.write_str(" WITH (")?;
            separated(f, &self.options, ", ")?;
            f.write_char(')')?;
        }
        clause(f, "WHERE", self.filter.as_ref())
    }
}

impl Display for CopyOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.value {
            CopyValue::None => Ok(()),
            CopyValue::Word(word) => write!(f, " {word}"),
            CopyValue::String(text) => {
                f.write_char(' ')?;
                string(f, text)
            }
            CopyValue::Number(number) => write!(f, " {number}"),
            CopyValue::All => f.write_str(" *"),
            CopyValue::List(names) => {
                f.write_char(' ')?;
                list(f, names)
            }
        }
    }
}
