//! Bound statements that change rows.

use std::sync::Arc;

use crate::{
    bound::{ColumnId, Expr, LogicalPlan, OutputColumn},
    catalog::{IndexId, Table},
};

/// A statement that changes rows of one table.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which table.
    pub table: Arc<Table>,
    /// Where the rows come from.
    pub source: LogicalPlan,
    /// What happens to them.
    pub kind: ChangeKind,
    /// What it gives back.
    pub returning: Option<Returning>,
    /// UPDATE and DELETE: the tables made of `table` whose rows change as well.
    pub family: Option<Family>,
    /// WITH CHECK OPTION of the views through which the table is changed: a view's name and what
    /// must be true of new rows, bound over the row as a CHECK constraint is.
    pub checks: Vec<(String, Expr)>,
}

/// The tables whose rows an UPDATE or DELETE works on, where they are more than one.
#[derive(Clone, Debug)]
pub struct Family {
    /// The source's column (`int4`) with the place of the member that a row is of.
    pub member: ColumnId,
    /// The column with the number of each row's table, where that is wanted.
    pub table_oid: Option<ColumnId>,
    /// The members.
    pub members: Vec<FamilyMember>,
}

/// One table of a [`Family`].
#[derive(Clone, Debug)]
pub struct FamilyMember {
    /// The table.
    pub table: Arc<Table>,
    /// The column of row keys of the scan of it.
    pub row_key: ColumnId,
    /// Where the columns of the family's first table stand in it.
    pub columns: Vec<usize>,
}

/// What happens to the rows of a change's source.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// They are added.
    Insert {
        /// The source's columns in table order, one per table column and of its type; defaults
        /// are filled in.
        columns: Vec<ColumnId>,
        /// ON CONFLICT; `None`: a key that is there is an error.
        on_conflict: Option<InsertConflict>,
    },
    /// Columns of them are set.
    Update {
        /// The source's column with the row's key.
        row_key: ColumnId,
        /// The old row's columns in table order.
        columns: Vec<ColumnId>,
        /// New values, over the source's columns.
        assignments: Vec<Assignment>,
    },
    /// They are removed.
    Delete {
        /// The source's column with the row's key.
        row_key: ColumnId,
        /// The old row's columns in table order (index entries are made of them).
        columns: Vec<ColumnId>,
    },
    /// What their number says.
    Merge {
        /// The source's column with the row's key; NULL where nothing matches.
        row_key: ColumnId,
        /// The old row's columns in table order.
        columns: Vec<ColumnId>,
        /// The source's column (`int4`) with the place of the action to take; NULL: none.
        choice: ColumnId,
        /// The actions.
        actions: Vec<MergeAction>,
    },
}

/// An action of MERGE. Its values are columns of the source, which are NULL where another
/// action is chosen.
#[derive(Clone, Debug)]
pub enum MergeAction {
    /// Nothing.
    Nothing,
    /// A new row.
    Insert(Vec<ColumnId>),
    /// New values for columns of the row that matches: ordinals and values.
    Update(Vec<(usize, ColumnId)>),
    /// The row that matches is removed.
    Delete,
}

/// `SET column = expr`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The column's ordinal.
    pub ordinal: usize,
    /// Its new value, of the column's type.
    pub value: Expr,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct InsertConflict {
    /// The key whose conflicts are meant; `None`: any of the table's.
    pub arbiters: Option<Vec<Arbiter>>,
    /// DO UPDATE; `None`: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// A unique key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arbiter {
    /// The primary key.
    PrimaryKey,
    /// A unique index.
    Index(IndexId),
}

/// ON CONFLICT DO UPDATE.
#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    /// The buffer that holds the existing row and, after it, the row that was to be inserted.
    pub slot: usize,
    /// Gives the new values from that buffer; no row where the condition is not true.
    pub plan: LogicalPlan,
    /// Ordinals of the columns set, with the plan's columns.
    pub values: Vec<(usize, ColumnId)>,
}

/// RETURNING.
#[derive(Clone, Debug)]
pub struct Returning {
    /// The buffer that holds the rows: the changed row's columns in table order (after the
    /// change; of a deleted row, before it), then `others`.
    pub slot: usize,
    /// Columns of the source beside the row's own.
    pub others: Vec<ColumnId>,
    /// Computes the result from the buffer.
    pub plan: LogicalPlan,
    /// The result's columns.
    pub columns: Vec<OutputColumn>,
}
