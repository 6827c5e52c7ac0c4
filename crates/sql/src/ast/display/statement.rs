//! Statements.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated, string};
use crate::{
    ast::{
        Assignment, ColumnConstraint, ColumnConstraintKind, ColumnDefinition, CreateIndex,
        CreateTable, Delete, Explain, ExprKind, Ident, IndexElement, Insert, InsertSource,
        ObjectName, OnConflict, SelectItem, SetScope, SettingValue, Statement, StatementKind,
        TableBody, TableConstraint, TableConstraintKind, Update,
    },
    bound::{IsolationLevel, TableLock, TransactionModes, TransactionStatement},
};

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StatementKind::Query(query) => write!(f, "{query}"),
            StatementKind::Insert(insert) => write!(f, "{insert}"),
            StatementKind::Update(update) => write!(f, "{update}"),
            StatementKind::Delete(delete) => write!(f, "{delete}"),
            StatementKind::CreateTable(create) => write!(f, "{create}"),
            StatementKind::CreateIndex(create) => write!(f, "{create}"),
            StatementKind::DropTable {
                names,
                if_exists,
                cascade,
            } => drop(f, "TABLE", names, *if_exists, *cascade),
            StatementKind::DropIndex {
                names,
                if_exists,
                cascade,
            } => drop(f, "INDEX", names, *if_exists, *cascade),
            StatementKind::Transaction(transaction) => write!(f, "{transaction}"),
            StatementKind::Explain(explain) => write!(f, "{explain}"),
            StatementKind::Analyze { tables } => {
                f.write_str("ANALYZE")?;
                for (index, (table, columns)) in tables.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { " " })?;
                    write!(f, "{table}")?;
                    if !columns.is_empty() {
                        f.write_char(' ')?;
                        list(f, columns)?;
                    }
                }
                Ok(())
            }
            StatementKind::Set { scope, name, value } => {
                f.write_str(match scope {
                    SetScope::Session => "SET ",
                    SetScope::Local => "SET LOCAL ",
                })?;
                write!(f, "{name} TO ")?;
                match value {
                    Some(values) => separated(f, values, ", "),
                    None => f.write_str("DEFAULT"),
                }
            }
            StatementKind::ResetAll => f.write_str("RESET ALL"),
            StatementKind::Show { name: Some(name) } => write!(f, "SHOW {name}"),
            StatementKind::Show { name: None } => f.write_str("SHOW ALL"),
            StatementKind::Checkpoint => f.write_str("CHECKPOINT"),
            StatementKind::LockTable {
                tables,
                mode,
                no_wait,
            } => {
                f.write_str("LOCK TABLE ")?;
                separated(f, tables, ", ")?;
                write!(f, " IN {mode} MODE")?;
                f.write_str(if *no_wait { " NOWAIT" } else { "" })
            }
        }
    }
}

impl Display for SettingValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Number(text) => f.write_str(text),
            SettingValue::String(text) => string(f, text),
            SettingValue::Word(word) => write!(f, "{word}"),
        }
    }
}

fn drop(
    f: &mut Formatter<'_>,
    what: &str,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> fmt::Result {
    write!(f, "DROP {what} ")?;
    if if_exists {
        f.write_str("IF EXISTS ")?;
    }
    separated(f, names, ", ")?;
    if cascade {
        f.write_str(" CASCADE")?;
    }
    Ok(())
}

fn returning(f: &mut Formatter<'_>, items: Option<&Vec<SelectItem>>) -> fmt::Result {
    if let Some(items) = items {
        f.write_str(" RETURNING ")?;
        separated(f, items, ", ")?;
    }
    Ok(())
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        write!(f, "INSERT INTO {}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        if let Some(columns) = &self.columns {
            f.write_char(' ')?;
            list(f, columns)?;
        }
        match &self.source {
            InsertSource::Defaults => f.write_str(" DEFAULT VALUES")?,
            InsertSource::Query(query) => write!(f, " {query}")?,
        }
        if let Some(conflict) = &self.on_conflict {
            write!(f, "{conflict}")?;
        }
        returning(f, self.returning.as_ref())
    }
}

impl Display for OnConflict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(" ON CONFLICT")?;
        if let Some(constraint) = &self.constraint {
            write!(f, " ON CONSTRAINT {constraint}")?;
        } else if !self.columns.is_empty() {
            f.write_char(' ')?;
            list(f, &self.columns)?;
            clause(f, "WHERE", self.target_filter.as_ref())?;
        }
        match &self.update {
            None => f.write_str(" DO NOTHING"),
            Some((assignments, filter)) => {
                f.write_str(" DO UPDATE SET ")?;
                separated(f, assignments, ", ")?;
                clause(f, "WHERE", filter.as_ref())
            }
        }
    }
}

impl Display for Assignment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.row {
            separated(f, &self.columns, ", ")?;
            return write!(f, " = {}", self.value);
        }
        list(f, &self.columns)?;
        f.write_str(" = ")?;
        match &self.value.kind {
            ExprKind::Row(items) => list(f, items),
            _ => write!(f, "{}", self.value),
        }
    }
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        write!(f, "UPDATE {}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        f.write_str(" SET ")?;
        separated(f, &self.assignments, ", ")?;
        if !self.from.is_empty() {
            f.write_str(" FROM ")?;
            separated(f, &self.from, ", ")?;
        }
        clause(f, "WHERE", self.filter.as_ref())?;
        returning(f, self.returning.as_ref())
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        write!(f, "DELETE FROM {}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        if !self.using.is_empty() {
            f.write_str(" USING ")?;
            separated(f, &self.using, ", ")?;
        }
        clause(f, "WHERE", self.filter.as_ref())?;
        returning(f, self.returning.as_ref())
    }
}

fn using(f: &mut Formatter<'_>, method: Option<&Ident>) -> fmt::Result {
    match method {
        Some(method) => write!(f, " USING {method}"),
        None => Ok(()),
    }
}

impl Display for CreateTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE TABLE ")?;
        if self.if_not_exists {
            f.write_str("IF NOT EXISTS ")?;
        }
        write!(f, "{}", self.name)?;
        match &self.body {
            TableBody::Definitions {
                columns,
                constraints,
            } => {
                f.write_str(" (")?;
                separated(f, columns, ", ")?;
                if !columns.is_empty() && !constraints.is_empty() {
                    f.write_str(", ")?;
                }
                separated(f, constraints, ", ")?;
                f.write_char(')')?;
                using(f, self.method.as_ref())
            }
            TableBody::Query {
                columns,
                query,
                with_data,
            } => {
                if !columns.is_empty() {
                    f.write_char(' ')?;
                    list(f, columns)?;
                }
                using(f, self.method.as_ref())?;
                write!(f, " AS {query}")?;
                if !with_data {
                    f.write_str(" WITH NO DATA")?;
                }
                Ok(())
            }
        }
    }
}

impl Display for ColumnDefinition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.data_type)?;
        for constraint in &self.constraints {
            write!(f, " {constraint}")?;
        }
        Ok(())
    }
}

impl Display for ColumnConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {name} ")?;
        }
        match &self.kind {
            ColumnConstraintKind::NotNull => f.write_str("NOT NULL"),
            ColumnConstraintKind::Null => f.write_str("NULL"),
            ColumnConstraintKind::Default(value) => write!(f, "DEFAULT {value}"),
            ColumnConstraintKind::PrimaryKey => f.write_str("PRIMARY KEY"),
            ColumnConstraintKind::Unique => f.write_str("UNIQUE"),
            ColumnConstraintKind::Check(condition) => write!(f, "CHECK ({condition})"),
        }
    }
}

impl Display for TableConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {name} ")?;
        }
        match &self.kind {
            TableConstraintKind::PrimaryKey(columns) => {
                f.write_str("PRIMARY KEY ")?;
                list(f, columns)
            }
            TableConstraintKind::Unique(columns) => {
                f.write_str("UNIQUE ")?;
                list(f, columns)
            }
            TableConstraintKind::Check(condition) => write!(f, "CHECK ({condition})"),
        }
    }
}

impl Display for CreateIndex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.unique {
            "CREATE UNIQUE INDEX "
        } else {
            "CREATE INDEX "
        })?;
        if self.if_not_exists {
            f.write_str("IF NOT EXISTS ")?;
        }
        if let Some(name) = &self.name {
            write!(f, "{name} ")?;
        }
        write!(f, "ON {}", self.table)?;
        clause(f, "USING", self.method.as_ref())?;
        f.write_char(' ')?;
        list(f, &self.elements)
    }
}

impl Display for IndexElement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(class) = &self.operator_class else {
            return write!(f, "{}", self.order);
        };
        write!(f, "{} {class}", self.order.expr)?;
        if self.order.descending {
            f.write_str(" DESC")?;
        }
        match self.order.nulls_first {
            None => Ok(()),
            Some(true) => f.write_str(" NULLS FIRST"),
            Some(false) => f.write_str(" NULLS LAST"),
        }
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("EXPLAIN ")?;
        let mut options = Vec::new();
        if self.analyze {
            options.push("ANALYZE".to_owned());
        }
        if self.verbose {
            options.push("VERBOSE".to_owned());
        }
        for (name, value) in &self.options {
            options.push(match value {
                Some(value) => format!("{name} '{}'", value.replace('\'', "''")),
                None => name.to_string(),
            });
        }
        if !options.is_empty() {
            list(f, &options)?;
            f.write_char(' ')?;
        }
        write!(f, "{}", self.statement)
    }
}

impl Display for TransactionStatement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        match self {
            TransactionStatement::Begin(modes) => write!(f, "BEGIN{modes}"),
            TransactionStatement::Set(modes) => write!(f, "SET TRANSACTION{modes}"),
            TransactionStatement::SetSession(modes) => {
                write!(f, "SET SESSION CHARACTERISTICS AS TRANSACTION{modes}")
            }
            TransactionStatement::Commit => f.write_str("COMMIT"),
            TransactionStatement::Rollback => f.write_str("ROLLBACK"),
            TransactionStatement::Savepoint(savepoint) => {
                write!(f, "SAVEPOINT {}", name(savepoint))
            }
            TransactionStatement::RollbackTo(savepoint) => {
                write!(f, "ROLLBACK TO SAVEPOINT {}", name(savepoint))
            }
            TransactionStatement::Release(savepoint) => {
                write!(f, "RELEASE SAVEPOINT {}", name(savepoint))
            }
        }
    }
}

impl Display for TransactionModes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(isolation) = self.isolation {
            write!(f, " ISOLATION LEVEL {isolation}")?;
        }
        f.write_str(match self.read_only {
            None => "",
            Some(true) => " READ ONLY",
            Some(false) => " READ WRITE",
        })?;
        f.write_str(match self.deferrable {
            None => "",
            Some(true) => " DEFERRABLE",
            Some(false) => " NOT DEFERRABLE",
        })
    }
}

impl Display for IsolationLevel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IsolationLevel::ReadUncommitted => "READ UNCOMMITTED",
            IsolationLevel::ReadCommitted => "READ COMMITTED",
            IsolationLevel::RepeatableRead => "REPEATABLE READ",
            IsolationLevel::Snapshot => "SNAPSHOT",
            IsolationLevel::Serializable => "SERIALIZABLE",
        })
    }
}

impl Display for TableLock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableLock::AccessShare => "ACCESS SHARE",
            TableLock::RowShare => "ROW SHARE",
            TableLock::RowExclusive => "ROW EXCLUSIVE",
            TableLock::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            TableLock::Share => "SHARE",
            TableLock::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            TableLock::Exclusive => "EXCLUSIVE",
            TableLock::AccessExclusive => "ACCESS EXCLUSIVE",
        })
    }
}
