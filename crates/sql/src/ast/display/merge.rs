//! MERGE and TRUNCATE.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated};
use crate::ast::{Merge, MergeAction, MergeClause, Overriding, Truncate};

impl Display for Overriding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overriding::System => "OVERRIDING SYSTEM VALUE",
            Overriding::User => "OVERRIDING USER VALUE",
        })
    }
}

impl Display for Merge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        write!(f, "MERGE INTO {}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        write!(f, " USING {} ON {}", self.source, self.on)?;
        for clause in &self.clauses {
            write!(f, " {clause}")?;
        }
        Ok(())
    }
}

impl Display for MergeClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.matched {
            "WHEN MATCHED"
        } else {
            "WHEN NOT MATCHED"
        })?;
        clause(f, "AND", self.condition.as_ref())?;
        f.write_str(" THEN ")?;
        match &self.action {
            MergeAction::Update(assignments) => {
                f.write_str("UPDATE SET ")?;
                separated(f, assignments, ", ")
            }
            MergeAction::Delete => f.write_str("DELETE"),
            MergeAction::Nothing => f.write_str("DO NOTHING"),
            MergeAction::Insert {
                columns,
                overriding,
                values,
            } => {
                f.write_str("INSERT")?;
                if let Some(columns) = columns {
                    f.write_char(' ')?;
                    list(f, columns)?;
                }
                if let Some(overriding) = overriding {
                    write!(f, " {overriding}")?;
                }
                match values {
                    Some(values) => {
                        f.write_str(" VALUES ")?;
                        list(f, values)
                    }
                    None => f.write_str(" DEFAULT VALUES"),
                }
            }
        }
    }
}

impl Display for Truncate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("TRUNCATE ")?;
        for (at, (table, only)) in self.tables.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(if *only { "ONLY " } else { "" })?;
            write!(f, "{table}")?;
        }
        if self.restart_identity {
            f.write_str(" RESTART IDENTITY")?;
        }
        if self.cascade {
            f.write_str(" CASCADE")?;
        }
        Ok(())
    }
}
