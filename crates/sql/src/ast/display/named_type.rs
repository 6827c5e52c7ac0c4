//! Statements about types that users name.

use std::fmt::{self, Display, Formatter};

use super::{separated, string};
use crate::ast::{AlterType, CreateDomain, CreateType, DropType, Label, TypeAction, TypeBody};

impl Display for CreateType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TYPE {}", self.name)?;
        match &self.body {
            TypeBody::Shell => Ok(()),
            TypeBody::Alias(base) => write!(f, " AS {base}"),
            TypeBody::Enum(labels) => {
                f.write_str(" AS ENUM (")?;
                separated(f, labels, ", ")?;
                f.write_str(")")
            }
        }
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        string(f, &self.name)
    }
}

impl Display for CreateDomain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE DOMAIN {} AS {}", self.name, self.base)?;
        for constraint in &self.constraints {
            write!(f, " {constraint}")?;
        }
        Ok(())
    }
}

impl Display for AlterType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TYPE {} ", self.name)?;
        match &self.action {
            TypeAction::AddValue {
                label,
                if_not_exists,
                place,
            } => {
                let exists = if *if_not_exists { "IF NOT EXISTS " } else { "" };
                write!(f, "ADD VALUE {exists}{label}")?;
                match place {
                    Some((true, neighbour)) => write!(f, " BEFORE {neighbour}"),
                    Some((false, neighbour)) => write!(f, " AFTER {neighbour}"),
                    None => Ok(()),
                }
            }
            TypeAction::RenameValue(from, to) => write!(f, "RENAME VALUE {from} TO {to}"),
            TypeAction::Rename(name) => write!(f, "RENAME TO {name}"),
            TypeAction::SetSchema(name) => write!(f, "SET SCHEMA {name}"),
        }
    }
}

impl Display for DropType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.domain {
            "DROP DOMAIN "
        } else {
            "DROP TYPE "
        })?;
        f.write_str(if self.if_exists { "IF EXISTS " } else { "" })?;
        separated(f, &self.names, ", ")?;
        f.write_str(if self.cascade { " CASCADE" } else { "" })
    }
}
