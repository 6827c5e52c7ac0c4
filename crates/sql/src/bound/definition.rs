//! Bound statements that define things.

use std::sync::Arc;

use crate::{
    ast::{AccessStatement, ObjectKind, RoleSpec, Statement},
    bound::{ColumnId, Expr, LogicalPlan},
    catalog::named_type::{NamedType, TypeId},
    catalog::{ColumnNumber, Index, PartitionBound, Sequence, SequenceId, Table},
    types::{EnumLabel, EnumPlace},
};

/// A statement that changes the catalog.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Definition {
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// CREATE INDEX.
    CreateIndex(CreateIndex),
    /// CREATE VIEW.
    CreateView(CreateView),
    /// CREATE SEQUENCE.
    CreateSequence {
        /// Its definition; id and state are given by the engine.
        sequence: Sequence,
        /// IF NOT EXISTS and it exists.
        exists: bool,
    },
    /// CREATE SCHEMA.
    CreateSchema(CreateSchema),
    /// COMMENT ON: the engine finds what it is on.
    Comment(crate::ast::Comment),
    /// ALTER TABLE, ALTER VIEW, ALTER INDEX.
    AlterTable(AlterTable),
    /// ALTER SEQUENCE.
    AlterSequence {
        /// Its new definition.
        sequence: Sequence,
        /// RESTART: with which number.
        restart: Option<i64>,
    },
    /// ALTER … IF EXISTS of what does not exist: a notice.
    Nothing {
        /// The command tag.
        tag: String,
        /// What to say.
        notice: String,
    },
    /// DROP.
    Drop(Drop),
    /// TRUNCATE.
    Truncate(Truncate),
    /// CREATE TYPE, CREATE DOMAIN; its id is given by the engine, unless it defines a shell.
    CreateType {
        /// Its definition.
        definition: NamedType,
        /// The command tag.
        tag: &'static str,
    },
    /// CREATE TYPE … AS ENUM; the numbers of its labels are given by the engine.
    CreateEnum {
        /// The shell that it defines; 0: none.
        id: TypeId,
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// Its labels, in order.
        labels: Vec<EnumLabel>,
    },
    /// ALTER TYPE.
    AlterType {
        /// Which.
        of: Arc<NamedType>,
        /// What happens to it.
        change: TypeChange,
    },
    /// DROP TYPE, DROP DOMAIN.
    DropTypes {
        /// Which.
        types: Vec<Arc<NamedType>>,
        /// Names that do not exist (with IF EXISTS: a notice each).
        missing: Vec<String>,
        /// CASCADE.
        cascade: bool,
        /// DOMAIN, not TYPE.
        domain: bool,
    },
    /// Roles, owners and privileges.
    Access(Box<AccessStatement>),
}

/// What ALTER TYPE does.
#[derive(Clone, Debug)]
pub enum TypeChange {
    /// ADD VALUE.
    AddValue {
        /// The new label.
        label: String,
        /// Where it goes.
        place: EnumPlace,
    },
    /// RENAME VALUE.
    RenameValue {
        /// The label as it was.
        from: String,
        /// … as it is to be.
        to: String,
    },
    /// RENAME TO, SET SCHEMA.
    Rename {
        /// Its schema from now on.
        schema: String,
        /// Its name from now on.
        name: String,
    },
    /// What it asks for is so already.
    Nothing {
        /// What to say.
        notice: String,
    },
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// The definition. Ids and keyspaces in it are given by the engine: until then, indexes and
    /// identity columns have number 0, and a foreign key to the table itself has
    /// [`TableId::ITSELF`](crate::catalog::TableId::ITSELF).
    pub table: Table,
    /// Which rows of its parent it holds, where it is a partition.
    pub bound: Option<PartitionBound<Expr>>,
    /// Whether the table lives no longer than its session.
    pub temporary: Option<OnCommit>,
    /// IF NOT EXISTS and it exists: do nothing but say so.
    pub exists: bool,
    /// Sequences to be made for columns, by ordinal.
    pub sequences: Vec<(usize, SequenceDefinition)>,
    /// The command tag, where no rows are inserted.
    pub tag: &'static str,
    /// CREATE TABLE … AS query: the source and its columns in table order.
    pub source: Option<(LogicalPlan, Vec<ColumnId>)>,
}

/// What happens to a temporary table when a transaction commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCommit {
    /// Nothing.
    #[default]
    PreserveRows,
    /// It is emptied.
    DeleteRows,
    /// It is dropped.
    Drop,
}

/// A sequence to be made for a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceDefinition {
    /// Its definition; id, state and owner are given by the engine.
    pub sequence: Sequence,
    /// For an identity column, whether ALWAYS; `None` (serial): the column's default calls
    /// nextval.
    pub identity: Option<bool>,
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// On which table.
    pub table: Arc<Table>,
    /// What; its id and keyspace are given by the engine.
    pub index: Index,
    /// IF NOT EXISTS and it exists.
    pub exists: bool,
    /// What follows for the partitions of the table.
    pub children: Vec<AlterTable>,
}

/// CREATE SCHEMA.
#[derive(Clone, Debug)]
pub struct CreateSchema {
    /// Its name; `None`: that of its owner.
    pub name: Option<String>,
    /// IF NOT EXISTS and it exists.
    pub exists: bool,
    /// AUTHORIZATION: its owner.
    pub owner: Option<RoleSpec>,
    /// What is made in it, one after the other.
    pub elements: Vec<Statement>,
}

/// CREATE VIEW.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// Its definition; its id is given by the engine.
    pub table: Table,
    /// OR REPLACE: the view that there is.
    pub replaced: Option<Arc<Table>>,
}

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// What it was called in the statement.
    pub object: ObjectKind,
    /// The definition as it is.
    pub old: Arc<Table>,
    /// The definition as it is to be. New indexes have number 0.
    pub new: Table,
    /// Values of columns, new or of a new type, over the old row (column `i` of the old
    /// definition is [`ColumnId`] `i`).
    pub values: Vec<(ColumnNumber, Expr)>,
    /// Sequences to be made for columns, by ordinal.
    pub sequences: Vec<(usize, SequenceDefinition)>,
    /// Sequences that go away.
    pub dropped_sequences: Vec<SequenceId>,
    /// CASCADE.
    pub cascade: bool,
    /// What the user should know beside.
    pub notices: Vec<String>,
    /// Whether nothing changes but how the table is stored.
    pub only_storage: bool,
    /// ATTACH PARTITION, where the table becomes one: which rows it holds.
    pub bound: Option<PartitionBound<Expr>>,
    /// What follows for the tables made of it, parents before children.
    pub children: Vec<AlterTable>,
}

/// DROP.
#[derive(Clone, Debug)]
pub struct Drop {
    /// What is dropped.
    pub kind: ObjectKind,
    /// Tables or views.
    pub tables: Vec<Arc<Table>>,
    /// Indexes by name, with their tables.
    pub indexes: Vec<(Arc<Table>, String)>,
    /// Sequences.
    pub sequences: Vec<Arc<Sequence>>,
    /// Schemas.
    pub schemas: Vec<String>,
    /// Names that do not exist (with IF EXISTS: a notice each).
    pub missing: Vec<String>,
    /// CASCADE.
    pub cascade: bool,
}

/// TRUNCATE.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// Which tables.
    pub tables: Vec<Arc<Table>>,
    /// Whether their sequences begin anew.
    pub restart_identity: bool,
    /// Whether tables that refer to them are emptied as well.
    pub cascade: bool,
}
