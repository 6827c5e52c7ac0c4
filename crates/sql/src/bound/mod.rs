//! A statement after binding: names resolved, types decided, conversions explicit.

mod expr;
mod plan;
mod statement;
mod walk;

pub use expr::{
    AggregateCall, AggregateFunction, BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction, UnaryOp,
};
pub use plan::{
    JoinKind, LockStrength, LockWaitPolicy, LogicalPlan, OutputColumn, RowLock, ScanColumn, SortKey,
};
pub use statement::{
    Assignment, BoundStatement, ColumnDefinition, CreateIndex, CreateTable, Explain,
    IndexDefinition, InsertConflict, IsolationLevel, TableLock, TransactionModes,
    TransactionStatement,
};
