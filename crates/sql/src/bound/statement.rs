//! Bound statements.

use std::sync::Arc;

use crate::{
    bound::{ColumnId, Expr, LogicalPlan, OutputColumn},
    catalog::{IndexColumn, Table, TableStorage},
    types::{DataType, Value},
};

/// A statement ready for planning.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BoundStatement {
    /// A query.
    Query {
        /// Its plan.
        plan: LogicalPlan,
        /// Its result columns in order.
        columns: Vec<OutputColumn>,
    },
    /// INSERT.
    Insert {
        /// Into.
        table: Arc<Table>,
        /// Gives one column per table column, in table order, of the column's type; defaults
        /// are filled in.
        source: LogicalPlan,
        /// The source's columns in table order.
        columns: Vec<ColumnId>,
        /// What to do with a row whose key is there.
        on_conflict: InsertConflict,
    },
    /// UPDATE.
    Update {
        /// Which table.
        table: Arc<Table>,
        /// Gives the row key and every column of the rows to change.
        source: LogicalPlan,
        /// The row key's column.
        row_key: ColumnId,
        /// The old row's columns in table order.
        columns: Vec<ColumnId>,
        /// New values, over `source`'s columns.
        assignments: Vec<Assignment>,
    },
    /// DELETE.
    Delete {
        /// Which table.
        table: Arc<Table>,
        /// Gives the row key and every column of the rows to delete.
        source: LogicalPlan,
        /// The row key's column.
        row_key: ColumnId,
        /// The old row's columns in table order (index entries are made of them).
        columns: Vec<ColumnId>,
    },
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// DROP TABLE.
    DropTable {
        /// The tables that exist.
        tables: Vec<Arc<Table>>,
        /// Names that do not (with IF EXISTS: a notice each).
        missing: Vec<String>,
    },
    /// CREATE INDEX.
    CreateIndex(CreateIndex),
    /// DROP INDEX.
    DropIndex {
        /// Index names with their tables.
        indexes: Vec<(Arc<Table>, String)>,
        /// Names that do not exist (with IF EXISTS).
        missing: Vec<String>,
    },
    /// BEGIN, COMMIT, SAVEPOINT …
    Transaction(TransactionStatement),
    /// EXPLAIN.
    Explain(Explain),
    /// ANALYZE; none named: all.
    Analyze {
        /// The tables.
        tables: Vec<Arc<Table>>,
    },
    /// SET name = value; `None`: DEFAULT.
    Set {
        /// The setting.
        name: String,
        /// Its value.
        value: Option<Value>,
    },
    /// SHOW name, or `SHOW ALL` (`None`).
    Show {
        /// The setting.
        name: Option<String>,
    },
    /// CHECKPOINT.
    Checkpoint,
    /// LOCK TABLE.
    LockTables {
        /// The tables.
        tables: Vec<Arc<Table>>,
        /// How strongly.
        mode: TableLock,
        /// NOWAIT.
        no_wait: bool,
    },
}

/// What INSERT does with a row whose unique key exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertConflict {
    /// Fail with a unique violation.
    Error,
    /// Skip the row (`ON CONFLICT DO NOTHING`).
    DoNothing,
}

/// `SET column = expr`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The column's ordinal.
    pub ordinal: usize,
    /// Its new value, of the column's type.
    pub value: Expr,
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Schema, where named.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// IF NOT EXISTS and it exists: do nothing but say so.
    pub exists: bool,
    /// Columns.
    pub columns: Vec<ColumnDefinition>,
    /// Ordinals of the primary key.
    pub primary_key: Vec<usize>,
    /// Its constraint name.
    pub primary_key_name: Option<String>,
    /// UNIQUE constraints.
    pub unique: Vec<IndexDefinition>,
    /// CHECK constraints: name, SQL text, predicate (column `i` is `ColumnId(i)`).
    pub checks: Vec<(String, String, Expr)>,
    /// How it is stored.
    pub storage: TableStorage,
    /// CREATE TABLE … AS query: the source and its columns in table order.
    pub source: Option<(LogicalPlan, Vec<ColumnId>)>,
}

/// One column of CREATE TABLE.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// NOT NULL (also through PRIMARY KEY).
    pub not_null: bool,
    /// DEFAULT: its text and expression, of the column's type.
    pub default: Option<(String, Expr)>,
}

/// An index to be made.
#[derive(Clone, Debug)]
pub struct IndexDefinition {
    /// Name.
    pub name: String,
    /// Key columns.
    pub columns: Vec<IndexColumn>,
    /// UNIQUE.
    pub unique: bool,
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// On which table.
    pub table: Arc<Table>,
    /// What.
    pub index: IndexDefinition,
    /// IF NOT EXISTS and it exists.
    pub exists: bool,
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionStatement {
    /// BEGIN / START TRANSACTION.
    Begin(TransactionModes),
    /// SET TRANSACTION.
    Set(TransactionModes),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION: the modes of later transactions.
    SetSession(TransactionModes),
    /// COMMIT / END.
    Commit,
    /// ROLLBACK / ABORT.
    Rollback,
    /// SAVEPOINT.
    Savepoint(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// RELEASE.
    Release(String),
}

/// The modes of LOCK TABLE, by PostgreSQL's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum TableLock {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// What a transaction is to be like; what is not said is as the session's settings have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY / READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE / NOT DEFERRABLE: whether a serializable read-only transaction waits for a
    /// snapshot that it never fails with.
    pub deferrable: Option<bool>,
}

/// Isolation levels by their SQL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Snapshot,
    Serializable,
}

/// EXPLAIN.
#[derive(Clone, Debug)]
pub struct Explain {
    /// Run it and add what happened.
    pub analyze: bool,
    /// What to explain.
    pub statement: Box<BoundStatement>,
}
