//! A statement after binding: names resolved, types decided, conversions explicit.

mod change;
mod definition;
mod expr;
mod plan;
mod statement;
mod walk;

pub use change::{
    Arbiter, Assignment, Change, ChangeKind, ConflictUpdate, InsertConflict, MergeAction, Returning,
};
pub use definition::{
    AlterTable, CreateIndex, CreateTable, CreateView, Definition, Drop, OnCommit,
    SequenceDefinition, Truncate,
};
pub use expr::{
    AggregateCall, AggregateFunction, BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction, UnaryOp,
};
pub use plan::{
    JoinKind, LockStrength, LockWaitPolicy, LogicalPlan, OutputColumn, RowLock, ScanColumn, SortKey,
};
pub use statement::{
    BoundStatement, Explain, IsolationLevel, TableLock, TransactionModes, TransactionStatement,
};
