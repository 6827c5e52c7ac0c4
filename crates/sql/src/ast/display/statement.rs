//! Statements.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated, string};
use crate::{
    ast::{
        Assignment, Delete, Explain, ExprKind, Insert, InsertSource, OnConflict, Select, SetScope,
        SettingValue, Statement, StatementKind, Update,
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
            StatementKind::Merge(merge) => write!(f, "{merge}"),
            StatementKind::Copy(copy) => write!(f, "{copy}"),
            StatementKind::Truncate(truncate) => write!(f, "{truncate}"),
            StatementKind::CreateTable(create) => write!(f, "{create}"),
            StatementKind::CreateIndex(create) => write!(f, "{create}"),
            StatementKind::CreateView(create) => write!(f, "{create}"),
            StatementKind::CreateSequence(create) => write!(f, "{create}"),
            StatementKind::CreateSchema(create) => write!(f, "{create}"),
            StatementKind::Comment(comment) => write!(f, "{comment}"),
            StatementKind::CreateType(create) => write!(f, "{create}"),
            StatementKind::CreateDomain(create) => write!(f, "{create}"),
            StatementKind::AlterType(alter) => write!(f, "{alter}"),
            StatementKind::DropType(drop) => write!(f, "{drop}"),
            StatementKind::AlterTable(alter) => write!(f, "{alter}"),
            StatementKind::AlterSequence(alter) => write!(f, "{alter}"),
            StatementKind::Drop(drop) => write!(f, "{drop}"),
            StatementKind::Access(statement) => write!(f, "{statement}"),
            StatementKind::Session(statement) => write!(f, "{statement}"),
            StatementKind::SetConstraints { names, deferred } => {
                f.write_str("SET CONSTRAINTS ")?;
                if names.is_empty() {
                    f.write_str("ALL")?;
                }
                separated(f, names, ", ")?;
                f.write_str(if *deferred { " DEFERRED" } else { " IMMEDIATE" })
            }
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
            StatementKind::Set {
                scope: SetScope::Reset,
                name,
                ..
            } => write!(f, "RESET {name}"),
            StatementKind::Set { scope, name, value } => {
                f.write_str(match scope {
                    SetScope::Local => "SET LOCAL ",
                    SetScope::Session | SetScope::Reset => "SET ",
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

fn returning(f: &mut Formatter<'_>, select: Option<&Select>) -> fmt::Result {
    if let Some(select) = select {
        f.write_str(" RETURNING ")?;
        separated(f, &select.items, ", ")?;
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
        if let Some(overriding) = self.overriding {
            write!(f, " {overriding}")?;
        }
        match &self.source {
            InsertSource::Defaults => f.write_str(" DEFAULT VALUES")?,
            InsertSource::Query(query) => write!(f, " {query}")?,
        }
        if let Some(conflict) = &self.on_conflict {
            write!(f, "{conflict}")?;
        }
        returning(f, self.returning.as_deref())
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
        f.write_str(if self.only { "UPDATE ONLY " } else { "UPDATE " })?;
        write!(f, "{}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        f.write_str(" SET ")?;
        separated(f, &self.assignments, ", ")?;
        if !self.from.is_empty() {
            f.write_str(" FROM ")?;
            separated(f, &self.from, ", ")?;
        }
        clause(f, "WHERE", self.filter.as_ref())?;
        returning(f, self.returning.as_deref())
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        f.write_str(if self.only {
            "DELETE FROM ONLY "
        } else {
            "DELETE FROM "
        })?;
        write!(f, "{}", self.table)?;
        clause(f, "AS", self.alias.as_ref())?;
        if !self.using.is_empty() {
            f.write_str(" USING ")?;
            separated(f, &self.using, ", ")?;
        }
        clause(f, "WHERE", self.filter.as_ref())?;
        returning(f, self.returning.as_deref())
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
            TransactionStatement::Start(modes) => write!(f, "START TRANSACTION{modes}"),
            TransactionStatement::Set(modes) => write!(f, "SET TRANSACTION{modes}"),
            TransactionStatement::SetSession(modes) => {
                write!(f, "SET SESSION CHARACTERISTICS AS TRANSACTION{modes}")
            }
            TransactionStatement::Commit { chain } => {
                f.write_str(if *chain { "COMMIT AND CHAIN" } else { "COMMIT" })
            }
            TransactionStatement::Rollback { chain } => f.write_str(if *chain {
                "ROLLBACK AND CHAIN"
            } else {
                "ROLLBACK"
            }),
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
