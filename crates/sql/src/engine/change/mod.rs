//! Statements that change rows, planned and run.
//!
//! - [`plan`]: from the bound change to a [`ChangeAction`].
//! - [`apply`]: runs one within a transaction.
//! - [`family`]: changes of partitioned tables, and of those that others inherit from.
//! - [`locking`]: the rows that UPDATE, DELETE and MERGE work on, locked and as they are now.
//! - [`upsert`]: INSERT … ON CONFLICT.

pub(super) mod apply;
pub(super) mod family;
mod locking;
pub(super) mod plan;
mod upsert;

use std::sync::Arc;

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    engine::{
        change::family::{Member, Partitions},
        rows::ResultColumn,
        table::TableHandle,
    },
    eval::{CompiledExpr, EvalContext},
    planner::physical::QueryPlan,
};

/// A statement that changes rows.
#[derive(Debug)]
pub(crate) struct ChangeAction {
    /// Of which table.
    pub(crate) table: Arc<TableHandle>,
    /// Where the rows come from; [`ChangeKind`] says what stands in them.
    pub(crate) source: QueryPlan,
    /// Whether the source reads the table itself, so that its rows must be collected before
    /// the first is written.
    pub(crate) reads_itself: bool,
    /// What happens to them.
    pub(crate) kind: ChangeKind,
    /// What the statement gives back.
    pub(crate) returning: Option<ReturningAction>,
    /// UPDATE and DELETE: the tables whose rows the source gives, where they are more than one;
    /// the number of a row's table stands behind its key.
    pub(crate) family: Option<Vec<Arc<Member>>>,
    /// Where the rows go, where the table is partitioned.
    pub(crate) partitions: Option<Partitions>,
    /// WITH CHECK OPTION of views: a view's name and what must be true of new rows.
    pub(crate) checks: Vec<(String, CompiledExpr)>,
}

impl ChangeAction {
    /// Fails where a new row would not be seen through the views that it is written through.
    pub(super) fn check_views(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<()> {
        for (view, condition) in &self.checks {
            if condition.eval_predicate(row, eval)? != Some(true) {
                let error = Error::new(
                    SqlState("44000"),
                    format!("new row violates check option for view \"{view}\""),
                );
                return Err(self.table.with_row(error, row, eval));
            }
        }
        Ok(())
    }
}

/// What happens to the rows of a change's source.
#[derive(Debug)]
pub(crate) enum ChangeKind {
    /// They are added: whole rows in table order.
    Insert(Option<Box<ConflictAction>>),
    /// Columns are set: the old row, its key, the new values, then what RETURNING wants beside.
    Update {
        /// The source's row-key column.
        row_key: ColumnId,
        /// The columns that are set, in the order of the values.
        ordinals: Vec<usize>,
    },
    /// They are removed: the old row, its key, then what RETURNING wants beside.
    Delete {
        /// The source's row-key column.
        row_key: ColumnId,
    },
    /// The row that matches (or NULLs), its key (or NULL), the number of the action to take, and
    /// all values of all actions.
    Merge {
        /// The actions; the places of their values are counted from the row's beginning.
        actions: Vec<MergeStep>,
    },
}

/// An action of MERGE.
#[derive(Debug)]
pub(crate) enum MergeStep {
    /// Nothing.
    Nothing,
    /// A row whose values stand from this place on.
    Insert(usize),
    /// Ordinals, with the places of their values.
    Update(Vec<(usize, usize)>),
    /// The row goes.
    Delete,
}

/// ON CONFLICT.
#[derive(Debug)]
pub(crate) struct ConflictAction {
    /// The keys whose conflicts are meant.
    pub(crate) arbiters: Vec<ArbiterKey>,
    /// DO UPDATE.
    pub(crate) update: Option<UpsertAction>,
}

/// A unique key of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArbiterKey {
    /// The primary key.
    PrimaryKey,
    /// The index at this position.
    Index(usize),
}

/// ON CONFLICT DO UPDATE.
#[derive(Debug)]
pub(crate) struct UpsertAction {
    /// The buffer for the existing row and the one that was to be inserted.
    pub(crate) slot: usize,
    /// Gives the new values, or no row.
    pub(crate) plan: QueryPlan,
    /// The columns that are set, in the order of the values.
    pub(crate) ordinals: Vec<usize>,
}

/// RETURNING.
#[derive(Debug)]
pub(crate) struct ReturningAction {
    /// The buffer for the changed rows.
    pub(crate) slot: usize,
    /// How many columns of the source stand in it after the row's own.
    pub(crate) others: usize,
    /// Computes the result from it.
    pub(crate) plan: QueryPlan,
    /// Whether it reads tables row by row: those as they were before the change.
    pub(crate) reads_tables: bool,
    /// The result's columns.
    pub(crate) columns: Arc<[ResultColumn]>,
}
