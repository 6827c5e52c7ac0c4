//! Bound statements.

use std::sync::Arc;

use crate::{
    bound::{Change, CopyFrom, CopyTo, Definition, LogicalPlan, OutputColumn},
    catalog::{Table, TableId},
    types::Value,
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
    /// INSERT, UPDATE, DELETE or MERGE.
    Change(Box<Change>),
    /// Changes whose rows are put aside, and then a statement that may read them.
    With {
        /// The changes in order, each with the buffer that its rows go to.
        changes: Vec<(usize, Change)>,
        /// The statement.
        statement: Box<BoundStatement>,
    },
    /// COPY … FROM.
    CopyFrom(Box<CopyFrom>),
    /// COPY … TO.
    CopyTo(Box<CopyTo>),
    /// What changes the catalog.
    Definition(Box<Definition>),
    /// SET CONSTRAINTS.
    SetConstraints {
        /// Tables and constraint names; none: ALL.
        constraints: Vec<(TableId, String)>,
        /// Whether it is ALL.
        all: bool,
        /// DEFERRED, not IMMEDIATE.
        deferred: bool,
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
        /// LOCAL: until the transaction's end.
        local: bool,
        /// RESET, not SET … TO DEFAULT.
        reset: bool,
        /// The setting.
        name: String,
        /// Its value.
        value: Option<Value>,
    },
    /// RESET ALL.
    ResetAll,
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

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionStatement {
    /// BEGIN.
    Begin(TransactionModes),
    /// START TRANSACTION: the same under the standard's name.
    Start(TransactionModes),
    /// SET TRANSACTION.
    Set(TransactionModes),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION: the modes of later transactions.
    SetSession(TransactionModes),
    /// COMMIT / END.
    Commit {
        /// AND CHAIN: another block with the same modes begins at once.
        chain: bool,
    },
    /// ROLLBACK / ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
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
    /// As JSON instead of text.
    pub json: bool,
    /// What to explain.
    pub statement: Box<BoundStatement>,
}
