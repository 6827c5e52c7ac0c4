//! Statements.

use super::{
    AccessStatement, AlterSequence, AlterTable, Comment, Copy, CreateIndex, CreateSchema,
    CreateSequence, CreateTable, CreateView, Drop, Expr, Ident, ObjectName, Query, QueryBody,
    Select, SessionStatement, TableRef, With,
};
use super::{AlterType, CreateDomain, CreateType, DropType};
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
    /// MERGE.
    Merge(Box<Merge>),
    /// COPY.
    Copy(Box<Copy>),
    /// TRUNCATE.
    Truncate(Truncate),
    /// CREATE TABLE.
    CreateTable(Box<CreateTable>),
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// CREATE VIEW.
    CreateView(Box<CreateView>),
    /// CREATE SEQUENCE.
    CreateSequence(Box<CreateSequence>),
    /// CREATE SCHEMA.
    CreateSchema(CreateSchema),
    /// COMMENT ON.
    Comment(Comment),
    /// CREATE TYPE.
    CreateType(CreateType),
    /// CREATE DOMAIN.
    CreateDomain(Box<CreateDomain>),
    /// ALTER TYPE.
    AlterType(AlterType),
    /// DROP TYPE, DROP DOMAIN.
    DropType(DropType),
    /// ALTER TABLE, and ALTER of other things that are like tables.
    AlterTable(Box<AlterTable>),
    /// ALTER SEQUENCE.
    AlterSequence(Box<AlterSequence>),
    /// DROP.
    Drop(Drop),
    /// About roles and privileges.
    Access(AccessStatement),
    /// About the session.
    Session(SessionStatement),
    /// SET CONSTRAINTS.
    SetConstraints {
        /// Which; none: ALL.
        names: Vec<ObjectName>,
        /// DEFERRED, not IMMEDIATE.
        deferred: bool,
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
    /// OVERRIDING.
    pub overriding: Option<Overriding>,
    /// Rows.
    pub source: InsertSource,
    /// ON CONFLICT.
    pub on_conflict: Option<OnConflict>,
    /// RETURNING: a SELECT of just these items.
    pub returning: Option<Box<Select>>,
}

impl Insert {
    /// `INSERT INTO table VALUES (…)` with one row.
    #[must_use]
    pub fn row(table: ObjectName, values: Vec<Expr>) -> Statement {
        let span = table.span;
        let source = Query::of_body(QueryBody::Values(vec![values]), span);
        let insert = Insert {
            with: None,
            table,
            alias: None,
            columns: None,
            overriding: None,
            source: InsertSource::Query(Box::new(source)),
            on_conflict: None,
            returning: None,
        };
        Statement {
            kind: StatementKind::Insert(Box::new(insert)),
            span,
        }
    }
}

/// OVERRIDING: which values of identity columns count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// OVERRIDING SYSTEM VALUE: those given.
    System,
    /// OVERRIDING USER VALUE: those of the sequence.
    User,
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
    /// ONLY: without the tables made of it.
    pub only: bool,
    /// Its alias.
    pub alias: Option<Ident>,
    /// SET.
    pub assignments: Vec<Assignment>,
    /// FROM.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// RETURNING: a SELECT of just these items.
    pub returning: Option<Box<Select>>,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// WITH.
    pub with: Option<With>,
    /// Which table.
    pub table: ObjectName,
    /// ONLY: without the tables made of it.
    pub only: bool,
    /// Its alias.
    pub alias: Option<Ident>,
    /// USING.
    pub using: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// RETURNING: a SELECT of just these items.
    pub returning: Option<Box<Select>>,
}

/// MERGE.
#[derive(Clone, Debug)]
pub struct Merge {
    /// WITH.
    pub with: Option<With>,
    /// Which table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<Ident>,
    /// USING.
    pub source: TableRef,
    /// ON.
    pub on: Expr,
    /// WHEN …, in order.
    pub clauses: Vec<MergeClause>,
}

/// One WHEN of MERGE.
#[derive(Clone, Debug)]
pub struct MergeClause {
    /// WHEN MATCHED, not WHEN NOT MATCHED.
    pub matched: bool,
    /// AND condition.
    pub condition: Option<Expr>,
    /// THEN.
    pub action: MergeAction,
    /// Where.
    pub span: Span,
}

/// What a WHEN of MERGE does.
#[derive(Clone, Debug)]
pub enum MergeAction {
    /// UPDATE SET.
    Update(Vec<Assignment>),
    /// DELETE.
    Delete,
    /// INSERT.
    Insert {
        /// Columns, where named.
        columns: Option<Vec<Ident>>,
        /// OVERRIDING.
        overriding: Option<Overriding>,
        /// VALUES; `None`: DEFAULT VALUES.
        values: Option<Vec<Expr>>,
    },
    /// DO NOTHING.
    Nothing,
}

/// TRUNCATE.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// Which tables, and whether ONLY stands before them.
    pub tables: Vec<(ObjectName, bool)>,
    /// RESTART IDENTITY.
    pub restart_identity: bool,
    /// CASCADE.
    pub cascade: bool,
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
    /// The session's, which goes back to its default: RESET.
    Reset,
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
