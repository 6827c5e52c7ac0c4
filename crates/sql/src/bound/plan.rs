//! The logical plan: what to compute, not how.

use std::sync::Arc;

use crate::{
    bound::{AggregateCall, ColumnId, Expr},
    catalog::Table,
    types::DataType,
};

/// A column that a scan gives.
#[derive(Clone, Debug)]
pub struct ScanColumn {
    /// Its ordinal in the table.
    pub ordinal: usize,
    /// Its id in this statement.
    pub id: ColumnId,
}

/// A column of a query's result.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    /// Its id in the plan.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// A key of a sort.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// What to sort by.
    pub expr: Expr,
    /// Descending.
    pub descending: bool,
    /// NULLs first.
    pub nulls_first: bool,
}

/// Kinds of join. Semi and anti joins come from subqueries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// All of the left.
    Left,
    /// All of the right.
    Right,
    /// All of both.
    Full,
    /// Rows of the left with a match.
    Semi,
    /// Rows of the left without one (`NOT EXISTS`).
    Anti,
    /// All rows of the left, with one more boolean column of this id: the value of
    /// `key IN (right)`, NULL where SQL has it so. The condition is one equality. The binder
    /// does not make these: the planner does, of `IN (subquery)` where it is not a condition of
    /// its own.
    Mark(ColumnId),
}

/// How strongly SELECT locks rows, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockStrength {
    /// FOR KEY SHARE: the row stays, and its key.
    KeyShare,
    /// FOR SHARE: the row does not change.
    Share,
    /// FOR NO KEY UPDATE: nobody else changes the row.
    NoKeyUpdate,
    /// FOR UPDATE: nobody else changes or locks the row.
    Update,
}

/// What SELECT does about rows that others have locked, the most patient first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockWaitPolicy {
    /// Waits.
    #[default]
    Wait,
    /// SKIP LOCKED.
    SkipLocked,
    /// NOWAIT.
    NoWait,
}

/// Which rows SELECT locks, and how.
#[derive(Clone, Debug)]
pub struct RowLock {
    /// The table.
    pub table: Arc<Table>,
    /// The column that has the keys of its rows; NULL: no row.
    pub row_key: ColumnId,
    /// How strongly.
    pub strength: LockStrength,
    /// What to do about rows that others have locked.
    pub wait: LockWaitPolicy,
}

/// A logical plan node. The columns of a node are named by [`ColumnId`]s.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LogicalPlan {
    /// Rows of a table.
    Scan {
        /// The table.
        table: Arc<Table>,
        /// The columns wanted.
        columns: Vec<ScanColumn>,
        /// Where wanted, a hidden `bytea` column: the row's key in the table's keyspace
        /// (UPDATE and DELETE find the row by it).
        row_key: Option<ColumnId>,
        /// Conjuncts pushed into the scan.
        filter: Vec<Expr>,
    },
    /// Literal rows; with no columns and one row: SELECT without FROM.
    Values {
        /// The columns.
        columns: Vec<(ColumnId, DataType)>,
        /// The rows.
        rows: Vec<Vec<Expr>>,
    },
    /// Rows that are put aside before the plan runs: what a data-changing statement gives, or
    /// the rows of a table that is computed.
    Buffered {
        /// Which of the statement's buffers.
        slot: usize,
        /// All columns of its rows, in order.
        columns: Vec<(ColumnId, DataType)>,
    },
    /// Rows for which every conjunct is true.
    Filter {
        /// Input.
        input: Box<LogicalPlan>,
        /// Conjuncts.
        predicates: Vec<Expr>,
    },
    /// Computed columns; only these are given on.
    Project {
        /// Input.
        input: Box<LogicalPlan>,
        /// Columns.
        items: Vec<(ColumnId, Expr)>,
    },
    /// A join; the columns of the left, then (unless semi or anti) of the right.
    Join {
        /// Its kind.
        kind: JoinKind,
        /// Left input.
        left: Box<LogicalPlan>,
        /// Right input.
        right: Box<LogicalPlan>,
        /// Conjuncts of the condition; empty: cross join.
        on: Vec<Expr>,
    },
    /// Groups and aggregates; no keys: one row.
    Aggregate {
        /// Input.
        input: Box<LogicalPlan>,
        /// Group keys.
        keys: Vec<(ColumnId, Expr)>,
        /// Aggregates.
        aggregates: Vec<(ColumnId, AggregateCall)>,
    },
    /// Distinct rows over all columns (NULLs equal).
    Distinct {
        /// Input.
        input: Box<LogicalPlan>,
    },
    /// Rows in order.
    Sort {
        /// Input.
        input: Box<LogicalPlan>,
        /// Keys, first the most significant.
        keys: Vec<SortKey>,
    },
    /// Locks rows as they pass; gives them as they are then, or not where they do not belong
    /// to the input any more.
    LockRows {
        /// Input.
        input: Box<LogicalPlan>,
        /// The locks.
        locks: Vec<RowLock>,
    },
    /// The first rows.
    Limit {
        /// Input.
        input: Box<LogicalPlan>,
        /// How many (int8, no input columns); `None`: all.
        limit: Option<Expr>,
        /// How many to leave out first.
        offset: Option<Expr>,
    },
    /// `UNION ALL` of inputs with equal column types.
    UnionAll {
        /// Inputs.
        inputs: Vec<LogicalPlan>,
        /// The columns given: for each the id, and its id in every input.
        columns: Vec<(ColumnId, Vec<ColumnId>, DataType)>,
    },
}
