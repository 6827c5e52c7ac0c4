//! The syntax tree: what a statement says, before names are looked up.
//!
//! Every node knows its [`Span`] in the text it was parsed from. A tree prints ([`std::fmt::Display`])
//! as SQL that parses to the same tree. Its depth is bounded by the parser
//! ([`crate::parser::MAX_DEPTH`]): long operator chains, lists and set operations are vectors, so
//! recursion over a tree is safe.

mod access;
mod copy;
mod definition;
mod display;
mod expr;
mod name;
mod named_type;
mod query;
mod session;
mod statement;
mod walk;
mod window;

pub use access::{
    AccessStatement, AllKind, GrantPrivileges, GrantRoles, GrantTarget, NamedPrivilege, OwnedKind,
    RoleOption, RoleSpec, RoleWord, RoutineKind, RoutineName,
};
pub use copy::{Copy, CopyDirection, CopyOption, CopyPlace, CopySubject, CopyValue};
pub use definition::{
    AlterAction, AlterSequence, AlterTable, ColumnAction, ColumnConstraint, ColumnConstraintKind,
    ColumnDefinition, Comment, CommentTarget, CreateIndex, CreateSchema, CreateSequence,
    CreateTable, CreateView, Drop, IndexElement, ObjectKind, PartitionBound, PartitionBoundKind,
    PartitionBy, PartitionOf, References, SequenceOptions, StorageParameter, TableBody,
    TableConstraint, TableConstraintKind, TableElement,
};
pub use expr::{
    Argument, BinaryOperator, CastStyle, ComparisonOperator, CurrentValue, Expr, ExprKind,
    FunctionCall, IntervalField, LikeKind, Quantified, TrimSide, UnaryOperator,
};
pub use name::{Ident, ObjectName, TypeName, TypeNameKind};
pub use named_type::{AlterType, CreateDomain, CreateType, DropType, Label, TypeAction, TypeBody};
pub use query::{
    CommonTable, Distinct, GroupBy, GroupItem, JoinConstraint, JoinOperator, LockingClause,
    OrderItem, Query, QueryBody, Select, SelectItem, SetOperator, TableAlias, TableRef,
    TableRefKind, With,
};
pub use session::{Discard, FetchDirection, SessionStatement};
pub use statement::{
    Assignment, Delete, Explain, Insert, InsertSource, Merge, MergeAction, MergeClause, OnConflict,
    Overriding, SetScope, SettingValue, Statement, StatementKind, Truncate, Update,
};

pub use walk::walk_expr_mut;
pub use window::{Frame, FrameBound, FrameExclusion, FrameUnit, Over, WindowDefinition};

#[doc(no_inline)]
pub use crate::span::Span;
