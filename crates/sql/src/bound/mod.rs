//! A statement after binding: names resolved, types decided, conversions explicit.

mod access;
mod change;
mod column_ids;
mod copy;
mod definition;
mod expr;
mod plan;
pub mod plan_walk;
mod row;
mod statement;
mod system;
mod walk;
mod window;

pub use access::{AccessCheck, Needed};
pub use change::{
    Arbiter, Assignment, Change, ChangeKind, ConflictUpdate, Family, FamilyMember, InsertConflict,
    MergeAction, Returning,
};
pub(crate) use column_ids::ColumnIds;
pub use copy::{CopyFormat, CopyFrom, CopyHeader, CopyOptions, CopyTo};
pub use definition::{
    AlterTable, CreateIndex, CreateSchema, CreateTable, CreateView, Definition, Drop, OnCommit,
    SequenceDefinition, Truncate, TypeChange,
};
pub use expr::{
    AggregateCall, AggregateFunction, BinaryOp, ColumnId, Expr, ExprKind, HypotheticalMeasure,
    RegressionMeasure, ScalarFunction, UnaryOp,
};
pub use plan::{
    GroupingSets, JoinKind, LockStrength, LockWaitPolicy, LogicalPlan, OutputColumn, RowLock,
    ScanColumn, SharedId, SortKey, TableCall, TableFunction,
};
pub use row::row_comparison;
pub use statement::{
    BoundStatement, Explain, IsolationLevel, TableLock, TransactionModes, TransactionStatement,
};
pub use system::SystemFunction;
pub use window::{FrameBound, FrameExclusion, WindowCall, WindowFrame, WindowFunction};
