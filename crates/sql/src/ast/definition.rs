//! Statements that define things.

use super::{Expr, Ident, ObjectName, OrderItem, Query, RoleSpec, Statement, TypeName};
use crate::{
    bound::OnCommit,
    catalog::{CheckOption, Deferral, ReferentialAction},
    span::Span,
};

/// COMMENT ON.
#[derive(Clone, Debug)]
pub struct Comment {
    /// What it is on.
    pub target: CommentTarget,
    /// The comment; `None`: there is to be none any more.
    pub text: Option<String>,
}

/// What a comment is on.
#[derive(Clone, Debug)]
pub enum CommentTarget {
    /// A table, view, index, sequence or schema.
    Object(ObjectKind, ObjectName),
    /// A column: the last part of the name.
    Column(ObjectName),
    /// A constraint and its table.
    Constraint(Ident, ObjectName),
    /// The database.
    Database(ObjectName),
}

/// A storage parameter: `fillfactor = 90`.
#[derive(Clone, Debug)]
pub struct StorageParameter {
    /// Its name, with what stands before its dot.
    pub name: ObjectName,
    /// Its value as text; `None`: nothing is given, which stands for true.
    pub value: Option<String>,
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// TEMPORARY, with ON COMMIT.
    pub temporary: Option<OnCommit>,
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// USING: the table access method.
    pub method: Option<Ident>,
    /// WITH: storage parameters.
    pub parameters: Vec<StorageParameter>,
    /// INHERITS.
    pub inherits: Vec<ObjectName>,
    /// PARTITION OF.
    pub partition_of: Option<PartitionOf>,
    /// PARTITION BY.
    pub partition_by: Option<PartitionBy>,
    /// Columns, or a query.
    pub body: TableBody,
}

/// PARTITION OF.
#[derive(Clone, Debug)]
pub struct PartitionOf {
    /// The table that it becomes a partition of.
    pub parent: ObjectName,
    /// Which rows it holds.
    pub bound: PartitionBound,
}

/// PARTITION BY.
#[derive(Clone, Debug)]
pub struct PartitionBy {
    /// LIST, RANGE or HASH.
    pub strategy: Ident,
    /// The key.
    pub keys: Vec<Expr>,
    /// Where.
    pub span: Span,
}

/// FOR VALUES, or DEFAULT.
#[derive(Clone, Debug)]
pub struct PartitionBound {
    /// Which form.
    pub kind: PartitionBoundKind,
    /// Where.
    pub span: Span,
}

/// The forms of a partition's bound.
#[derive(Clone, Debug)]
pub enum PartitionBoundKind {
    /// DEFAULT
    Default,
    /// IN (values)
    In(Vec<Expr>),
    /// FROM (values) TO (values); MINVALUE and MAXVALUE are columns of those names.
    Range {
        /// The lower end.
        from: Vec<Expr>,
        /// The upper end.
        to: Vec<Expr>,
    },
    /// WITH (MODULUS, REMAINDER)
    Hash {
        /// MODULUS
        modulus: i64,
        /// REMAINDER
        remainder: i64,
    },
}

/// What CREATE TABLE takes its columns from.
#[derive(Clone, Debug)]
pub enum TableBody {
    /// Definitions.
    Definitions {
        /// Columns and LIKE, in order.
        elements: Vec<TableElement>,
        /// Table constraints.
        constraints: Vec<TableConstraint>,
    },
    /// `AS query`.
    Query {
        /// Column names.
        columns: Vec<Ident>,
        /// The query.
        query: Box<Query>,
        /// WITH DATA (not NO DATA).
        with_data: bool,
    },
}

/// What gives columns to CREATE TABLE.
#[derive(Clone, Debug)]
pub enum TableElement {
    /// A column.
    Column(ColumnDefinition),
    /// Constraints of a column that comes from the table that this is a partition of.
    Options {
        /// The column's name.
        name: Ident,
        /// Its constraints in order.
        constraints: Vec<ColumnConstraint>,
        /// Where.
        span: Span,
    },
    /// LIKE table.
    Like {
        /// The table whose columns are taken.
        table: ObjectName,
        /// INCLUDING (`true`) and EXCLUDING, in order.
        options: Vec<(bool, Ident)>,
    },
}

/// A column of CREATE TABLE.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// Its constraints in order.
    pub constraints: Vec<ColumnConstraint>,
    /// Where.
    pub span: Span,
}

/// A constraint of a column.
#[derive(Clone, Debug)]
pub struct ColumnConstraint {
    /// Its name.
    pub name: Option<Ident>,
    /// What it says.
    pub kind: ColumnConstraintKind,
    /// When it is checked.
    pub deferral: Deferral,
    /// Where.
    pub span: Span,
}

/// The kinds of column constraint.
#[derive(Clone, Debug)]
pub enum ColumnConstraintKind {
    /// NOT NULL
    NotNull,
    /// NULL
    Null,
    /// DEFAULT
    Default(Expr),
    /// PRIMARY KEY
    PrimaryKey,
    /// UNIQUE
    Unique,
    /// CHECK
    Check(Expr),
    /// REFERENCES
    References(References),
    /// GENERATED … AS IDENTITY
    Identity {
        /// ALWAYS, not BY DEFAULT.
        always: bool,
        /// Options of its sequence.
        options: SequenceOptions,
    },
    /// GENERATED ALWAYS AS (…) STORED
    Generated(Expr),
}

/// REFERENCES and what follows it.
#[derive(Clone, Debug)]
pub struct References {
    /// The table referred to.
    pub table: ObjectName,
    /// Its columns; none: its primary key.
    pub columns: Vec<Ident>,
    /// MATCH FULL.
    pub match_full: bool,
    /// ON DELETE.
    pub on_delete: ReferentialAction,
    /// The columns that SET NULL or SET DEFAULT of ON DELETE set; none: all.
    pub set_columns: Vec<Ident>,
    /// ON UPDATE.
    pub on_update: ReferentialAction,
    /// Where.
    pub span: Span,
}

/// A constraint of a table.
#[derive(Clone, Debug)]
pub struct TableConstraint {
    /// Its name.
    pub name: Option<Ident>,
    /// What it says.
    pub kind: TableConstraintKind,
    /// When it is checked.
    pub deferral: Deferral,
    /// NOT VALID.
    pub not_valid: bool,
    /// Where.
    pub span: Span,
}

/// The kinds of table constraint.
#[derive(Clone, Debug)]
pub enum TableConstraintKind {
    /// PRIMARY KEY (columns)
    PrimaryKey(Vec<Ident>),
    /// UNIQUE (columns) INCLUDE (columns)
    Unique(Vec<Ident>, Vec<Ident>),
    /// CHECK
    Check(Expr),
    /// FOREIGN KEY (columns) REFERENCES
    ForeignKey(Vec<Ident>, References),
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// UNIQUE.
    pub unique: bool,
    /// CONCURRENTLY.
    pub concurrently: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name, where given.
    pub name: Option<Ident>,
    /// On which table.
    pub table: ObjectName,
    /// USING method.
    pub method: Option<Ident>,
    /// Keys.
    pub elements: Vec<IndexElement>,
    /// INCLUDE.
    pub included: Vec<Ident>,
    /// WITH: storage parameters.
    pub parameters: Vec<StorageParameter>,
    /// WHERE.
    pub predicate: Option<Expr>,
}

/// A key of CREATE INDEX.
#[derive(Clone, Debug)]
pub struct IndexElement {
    /// What, and how it is ordered.
    pub order: OrderItem,
    /// Operator class.
    pub operator_class: Option<Ident>,
}

/// CREATE VIEW.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// OR REPLACE.
    pub replace: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// Its name.
    pub name: ObjectName,
    /// Its columns' names.
    pub columns: Vec<Ident>,
    /// WITH (…).
    pub parameters: Vec<StorageParameter>,
    /// What it shows.
    pub query: Box<Query>,
    /// WITH CHECK OPTION.
    pub check_option: Option<CheckOption>,
}

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// Its options.
    pub options: SequenceOptions,
}

/// ALTER SEQUENCE.
#[derive(Clone, Debug)]
pub struct AlterSequence {
    /// IF EXISTS.
    pub if_exists: bool,
    /// Its name.
    pub name: ObjectName,
    /// New options.
    pub options: SequenceOptions,
}

/// Options of a sequence. `Some(None)`: NO MINVALUE and the like.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// AS
    pub data_type: Option<TypeName>,
    /// START
    pub start: Option<i64>,
    /// INCREMENT
    pub increment: Option<i64>,
    /// MINVALUE
    pub min: Option<Option<i64>>,
    /// MAXVALUE
    pub max: Option<Option<i64>>,
    /// CYCLE
    pub cycle: Option<bool>,
    /// CACHE
    pub cache: Option<i64>,
    /// RESTART
    pub restart: Option<Option<i64>>,
    /// OWNED BY
    pub owned_by: Option<Option<ObjectName>>,
}

/// CREATE SCHEMA.
#[derive(Clone, Debug)]
pub struct CreateSchema {
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its name; `None`: that of its owner.
    pub name: Option<Ident>,
    /// AUTHORIZATION: its owner.
    pub owner: Option<RoleSpec>,
    /// What is made in it.
    pub elements: Vec<Statement>,
    /// Where.
    pub span: Span,
}

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// What is altered.
    pub object: ObjectKind,
    /// IF EXISTS.
    pub if_exists: bool,
    /// ONLY: tables made of it stay as they are.
    pub only: bool,
    /// Its name.
    pub name: ObjectName,
    /// What happens to it, in order.
    pub actions: Vec<AlterAction>,
}

/// A part of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum AlterAction {
    /// ADD COLUMN
    AddColumn {
        /// The column.
        column: Box<ColumnDefinition>,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP COLUMN
    DropColumn {
        /// The column.
        name: Ident,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// ALTER COLUMN
    AlterColumn {
        /// The column.
        name: Ident,
        /// What happens to it.
        action: ColumnAction,
    },
    /// ADD constraint
    AddConstraint(Box<TableConstraint>),
    /// DROP CONSTRAINT
    DropConstraint {
        /// Which.
        name: Ident,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// VALIDATE CONSTRAINT
    ValidateConstraint(Ident),
    /// RENAME TO
    Rename(Ident),
    /// RENAME COLUMN
    RenameColumn(Ident, Ident),
    /// RENAME CONSTRAINT
    RenameConstraint(Ident, Ident),
    /// SET SCHEMA
    SetSchema(Ident),
    /// SET (storage parameters)
    SetParameters(Vec<StorageParameter>),
    /// RESET (storage parameters)
    ResetParameters(Vec<StorageParameter>),
    /// SET ENGINE, in PostgreSQL's words SET ACCESS METHOD
    SetStorage(Ident),
    /// ATTACH PARTITION
    AttachPartition {
        /// The table that becomes a partition.
        table: ObjectName,
        /// Which rows it holds.
        bound: PartitionBound,
    },
    /// DETACH PARTITION
    DetachPartition(ObjectName),
    /// INHERIT
    Inherit(ObjectName),
    /// NO INHERIT
    NoInherit(ObjectName),
}

/// A part of ALTER COLUMN.
#[derive(Clone, Debug)]
pub enum ColumnAction {
    /// SET DEFAULT
    SetDefault(Expr),
    /// DROP DEFAULT
    DropDefault,
    /// SET NOT NULL
    SetNotNull,
    /// DROP NOT NULL
    DropNotNull,
    /// TYPE … USING
    Type(TypeName, Option<Expr>),
    /// ADD GENERATED … AS IDENTITY
    AddIdentity {
        /// ALWAYS, not BY DEFAULT.
        always: bool,
        /// Options of its sequence.
        options: SequenceOptions,
    },
    /// SET GENERATED ALWAYS (`true`) or BY DEFAULT
    SetGenerated(bool),
    /// DROP IDENTITY
    DropIdentity {
        /// IF EXISTS.
        if_exists: bool,
    },
    /// DROP EXPRESSION
    DropExpression {
        /// IF EXISTS.
        if_exists: bool,
    },
}

/// DROP.
#[derive(Clone, Debug)]
pub struct Drop {
    /// What is dropped.
    pub kind: ObjectKind,
    /// Which.
    pub names: Vec<ObjectName>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// Kinds of things with a name in a schema, and schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum ObjectKind {
    Table,
    View,
    Index,
    Sequence,
    Schema,
}

impl ObjectKind {
    /// Its keyword, in capitals.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            ObjectKind::Table => "TABLE",
            ObjectKind::View => "VIEW",
            ObjectKind::Index => "INDEX",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Schema => "SCHEMA",
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::Index => "index",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Schema => "schema",
        }
    }
}
