//! Statements.

use super::{Expr, Ident, ObjectName, OrderItem, Query, SelectItem, TableRef, TypeName, With};
use crate::{
    bound::{TableLock, TransactionStatement},
    span::Span,
};

/// A statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// Where in the script.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StatementKind {
    /// A query.
    Query(Box<Query>),
    /// INSERT.
    Insert(Box<Insert>),
    /// UPDATE.
    Update(Box<Update>),
    /// DELETE.
    Delete(Box<Delete>),
    /// CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// DROP TABLE.
    DropTable {
        /// Which.
        names: Vec<ObjectName>,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// DROP INDEX.
    DropIndex {
        /// Which.
        names: Vec<ObjectName>,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// BEGIN, COMMIT, …
    Transaction(TransactionStatement),
    /// EXPLAIN.
    Explain(Box<Explain>),
    /// ANALYZE.
    Analyze {
        /// Tables, with columns.
        tables: Vec<(ObjectName, Vec<Ident>)>,
    },
    /// SET name = value.
    Set {
        /// SESSION or LOCAL.
        scope: SetScope,
        /// Which.
        name: ObjectName,
        /// To what; `None`: DEFAULT (also RESET).
        value: Option<Vec<SettingValue>>,
    },
    /// RESET ALL.
    ResetAll,
    /// SHOW name; `None`: ALL.
    Show {
        /// Which.
        name: Option<ObjectName>,
    },
    /// CHECKPOINT.
    Checkpoint,
    /// LOCK TABLE.
    LockTable {
        /// The tables.
        tables: Vec<ObjectName>,
        /// How strongly.
        mode: TableLock,
        /// NOWAIT.
        no_wait: bool,
    },
}

/// INSERT.
#[derive(Clone, Debug)]
pub struct Insert {
    /// WITH.
    pub with: Option<With>,
    /// Into which table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// Columns, where named.
    pub columns: Option<Vec<Ident>>,
    /// Rows.
    pub source: InsertSource,
    /// ON CONFLICT.
    pub on_conflict: Option<OnConflict>,
    /// RETURNING.
    pub returning: Option<Vec<SelectItem>>,
}

/// What INSERT inserts.
#[derive(Clone, Debug)]
pub enum InsertSource {
    /// DEFAULT VALUES.
    Defaults,
    /// A query or VALUES.
    Query(Box<Query>),
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// `(columns)`.
    pub columns: Vec<Ident>,
    /// `ON CONSTRAINT name`.
    pub constraint: Option<Ident>,
    /// `WHERE` of the target.
    pub target_filter: Option<Expr>,
    /// DO UPDATE SET …; `None`: DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
    /// Where.
    pub span: Span,
}

/// `column = value` or `(columns) = (values)`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Columns: one, or those of the row form.
    pub columns: Vec<Ident>,
    /// Whether it is the row form.
    pub row: bool,
    /// The value.
    pub value: Expr,
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// WITH.
    pub with: Option<With>,
    /// Which table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// SET.
    pub assignments: Vec<Assignment>,
    /// FROM.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// RETURNING.
    pub returning: Option<Vec<SelectItem>>,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// WITH.
    pub with: Option<With>,
    /// Which table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// USING.
    pub using: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// RETURNING.
    pub returning: Option<Vec<SelectItem>>,
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// USING: the table access method.
    pub method: Option<Ident>,
    /// Columns, or a query.
    pub body: TableBody,
}

/// What CREATE TABLE takes its columns from.
#[derive(Clone, Debug)]
pub enum TableBody {
    /// Definitions.
    Definitions {
        /// Columns.
        columns: Vec<ColumnDefinition>,
        /// Table constraints.
        constraints: Vec<TableConstraint>,
    },
    /// `AS query`.
    Query {
        /// Column names.
        columns: Vec<Ident>,
        /// The query.
        query: Box<Query>,
        /// WITH DATA (not NO DATA).
        with_data: bool,
    },
}

/// A column of CREATE TABLE.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// Its constraints in order.
    pub constraints: Vec<ColumnConstraint>,
    /// Where.
    pub span: Span,
}

/// A constraint of a column.
#[derive(Clone, Debug)]
pub struct ColumnConstraint {
    /// Its name.
    pub name: Option<Ident>,
    /// What it says.
    pub kind: ColumnConstraintKind,
    /// Where.
    pub span: Span,
}

/// The kinds of column constraint.
#[derive(Clone, Debug)]
pub enum ColumnConstraintKind {
    /// NOT NULL
    NotNull,
    /// NULL
    Null,
    /// DEFAULT
    Default(Expr),
    /// PRIMARY KEY
    PrimaryKey,
    /// UNIQUE
    Unique,
    /// CHECK
    Check(Expr),
}

/// A constraint of a table.
#[derive(Clone, Debug)]
pub struct TableConstraint {
    /// Its name.
    pub name: Option<Ident>,
    /// What it says.
    pub kind: TableConstraintKind,
    /// Where.
    pub span: Span,
}

/// The kinds of table constraint.
#[derive(Clone, Debug)]
pub enum TableConstraintKind {
    /// PRIMARY KEY (columns)
    PrimaryKey(Vec<Ident>),
    /// UNIQUE (columns)
    Unique(Vec<Ident>),
    /// CHECK
    Check(Expr),
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// UNIQUE.
    pub unique: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name, where given.
    pub name: Option<Ident>,
    /// On which table.
    pub table: ObjectName,
    /// USING method.
    pub method: Option<Ident>,
    /// Keys.
    pub elements: Vec<IndexElement>,
}

/// A key of CREATE INDEX.
#[derive(Clone, Debug)]
pub struct IndexElement {
    /// What, and how it is ordered.
    pub order: OrderItem,
    /// Operator class.
    pub operator_class: Option<Ident>,
}

/// EXPLAIN.
#[derive(Clone, Debug)]
pub struct Explain {
    /// ANALYZE.
    pub analyze: bool,
    /// VERBOSE.
    pub verbose: bool,
    /// Other options, with values as written.
    pub options: Vec<(Ident, Option<String>)>,
    /// What.
    pub statement: Statement,
}

/// Whose setting SET changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetScope {
    /// The session's.
    Session,
    /// The transaction's.
    Local,
}

/// A value of SET.
#[derive(Clone, Debug)]
pub enum SettingValue {
    /// A number as written.
    Number(String),
    /// A string.
    String(String),
    /// A bare word.
    Word(Ident),
}
