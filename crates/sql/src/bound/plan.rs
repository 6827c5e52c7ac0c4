//! The logical plan: what to compute, not how.

use std::sync::Arc;

use crate::{
    bound::{AggregateCall, ColumnId, Expr, WindowCall},
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
    /// All rows of the left, with one more boolean column of this id: whether the condition is
    /// true of a row of the right, NULL where it is true of none and unknown of some: the value
    /// of `IN (subquery)`. The planner makes these, not the binder.
    Mark(ColumnId),
    /// As [`JoinKind::Mark`], but what is unknown counts as false: the value of
    /// `EXISTS (subquery)`.
    Exists(ColumnId),
    /// As [`JoinKind::Left`], where a second match of a row is an error (21000): the value of a
    /// scalar subquery.
    Single,
}

/// The sets of keys that an aggregation groups by.
#[derive(Clone, Debug)]
pub struct GroupingSets {
    /// For each set the keys in it, by position. The others are NULL in its groups; a set
    /// without keys has one group, even of no rows.
    pub sets: Vec<Vec<usize>>,
    /// A column behind the aggregates: the number of the group's set (int4).
    pub id: ColumnId,
}

/// Names a WITH query within one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedId(pub u32);

/// Functions that give rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableFunction {
    /// One row: the value of its argument.
    Scalar,
    /// `generate_series(start, stop [, step])`.
    GenerateSeries,
    /// `unnest(array)`: its elements, of all dimensions.
    Unnest,
    /// `generate_subscripts(array, dimension [, reverse])`.
    Subscripts,
    /// `pg_partition_ancestors(regclass)`: a partition and what it is part of.
    PartitionAncestors,
}

/// One call of a function that gives rows of one column.
#[derive(Clone, Debug)]
pub struct TableCall {
    /// The column.
    pub id: ColumnId,
    /// Which function.
    pub function: TableFunction,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// The column's type.
    pub data_type: DataType,
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
    /// The rows of functions, side by side: NULL where one has ended before another.
    TableFunctions {
        /// The calls.
        calls: Vec<TableCall>,
        /// A last column (int8) that numbers the rows.
        ordinality: Option<ColumnId>,
    },
    /// A plan that reads another's rows, which are computed once, by [`LogicalPlan::SharedScan`].
    With {
        /// Its id.
        id: SharedId,
        /// Its name.
        name: String,
        /// What is read.
        definition: Box<LogicalPlan>,
        /// What reads it.
        input: Box<LogicalPlan>,
    },
    /// Rows of a [`LogicalPlan::With`] or [`LogicalPlan::Recursive`] around it.
    SharedScan {
        /// Whose.
        id: SharedId,
        /// Its name.
        name: String,
        /// The columns: the id here, the id there, the type.
        columns: Vec<(ColumnId, ColumnId, DataType)>,
    },
    /// The rows of `base`, then those of `step` for as long as it gives some: it reads the rows
    /// that the run before it gave.
    Recursive {
        /// What the step reads.
        id: SharedId,
        /// Its name.
        name: String,
        /// Where it starts.
        base: Box<LogicalPlan>,
        /// How it goes on.
        step: Box<LogicalPlan>,
        /// UNION: rows that were there before are dropped.
        distinct: bool,
        /// The columns given: the id, the base's, the step's, the type.
        columns: Vec<(ColumnId, ColumnId, ColumnId, DataType)>,
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
    /// A join whose right side is evaluated for every row of the left: it reads columns of the
    /// left. Once planned these are `bindings`, and the right has parameters in their place.
    Apply {
        /// Its kind: not right or full.
        kind: JoinKind,
        /// Left input.
        left: Box<LogicalPlan>,
        /// What is evaluated for each of its rows.
        right: Box<LogicalPlan>,
        /// Conjuncts of the condition, over both.
        on: Vec<Expr>,
        /// Parameters of the right, with their values over the left.
        bindings: Vec<(usize, Expr)>,
    },
    /// Groups and aggregates; no keys: one row.
    Aggregate {
        /// Input.
        input: Box<LogicalPlan>,
        /// Group keys.
        keys: Vec<(ColumnId, Expr)>,
        /// Aggregates.
        aggregates: Vec<(ColumnId, AggregateCall)>,
        /// With several sets of keys: groups for each of them.
        sets: Option<GroupingSets>,
    },
    /// Window functions: the input's columns and one for each call.
    Window {
        /// Input.
        input: Box<LogicalPlan>,
        /// PARTITION BY.
        partition: Vec<Expr>,
        /// ORDER BY.
        order: Vec<SortKey>,
        /// The calls.
        calls: Vec<(ColumnId, WindowCall)>,
    },
    /// Distinct rows (NULLs equal): of equal ones the first.
    Distinct {
        /// Input.
        input: Box<LogicalPlan>,
        /// The columns that count (DISTINCT ON); `None`: all.
        on: Option<Vec<ColumnId>>,
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
