//! The catalog's model: what the binder needs to know about tables. Where it is kept is the
//! engine's business ([`CatalogReader`]).

use std::sync::Arc;

use crate::{bound::Expr, types::DataType};

/// Names a table for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// Names an index for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name, folded as written.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The default, as SQL text (kept) and bound without input columns.
    pub default: Option<(String, Expr)>,
}

/// A CHECK constraint over the row's columns.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its SQL text.
    pub text: String,
    /// Bound; column `i` of the table is [`crate::bound::ColumnId`] `i`.
    pub predicate: Expr,
}

/// A secondary index, or the index behind a UNIQUE constraint.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its id.
    pub id: IndexId,
    /// Its name.
    pub name: String,
    /// Ordinals of the key columns, with descending order and nulls-first flags.
    pub columns: Vec<IndexColumn>,
    /// Whether two rows may not share a key without NULLs.
    pub unique: bool,
    /// The keyspace that holds it, as the storage's number.
    pub keyspace: u32,
}

/// One key column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    /// The column's ordinal in the table.
    pub ordinal: usize,
    /// Whether the order is descending.
    pub descending: bool,
    /// Whether NULLs come first (PostgreSQL: last when ascending).
    pub nulls_first: bool,
}

/// How the rows of a table (and the entries of its indexes) are stored: PostgreSQL's table access
/// method, `CREATE TABLE … USING`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TableStorage {
    /// A B+ tree.
    #[default]
    BTree,
    /// A log-structured merge tree.
    Lsm,
    /// An LSM tree for what arrives, in front of a B+ tree for the rest.
    Hybrid,
}

impl TableStorage {
    /// All of them.
    pub const ALL: [TableStorage; 3] =
        [TableStorage::BTree, TableStorage::Lsm, TableStorage::Hybrid];

    /// The name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TableStorage::BTree => "btree",
            TableStorage::Lsm => "lsm",
            TableStorage::Hybrid => "hybrid",
        }
    }

    /// The storage of that name. PostgreSQL's `heap` stands for the default.
    #[must_use]
    pub fn named(name: &str) -> Option<TableStorage> {
        if name == "heap" {
            return Some(TableStorage::default());
        }
        TableStorage::ALL
            .into_iter()
            .find(|storage| storage.name() == name)
    }
}

/// A table as the binder and planner see it: one immutable version of its definition.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its id.
    pub id: TableId,
    /// Its schema (namespace).
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Counts definition changes.
    pub version: u32,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Ordinals of the primary key; empty: rows are kept under a hidden row number.
    pub primary_key: Vec<usize>,
    /// The primary key constraint's name.
    pub primary_key_name: Option<String>,
    /// CHECK constraints.
    pub checks: Vec<Check>,
    /// Secondary indexes.
    pub indexes: Vec<Index>,
    /// The keyspace of the rows, as the storage's number.
    pub keyspace: u32,
    /// How rows and index entries are stored.
    pub storage: TableStorage,
}

impl Table {
    /// The ordinal of a column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// What the binder asks of a catalog.
pub trait CatalogReader {
    /// The table of that name, in `schema` or (with `None`) on the search path.
    ///
    /// # Errors
    /// Where the catalog cannot be read; a missing table is `Ok(None)`.
    fn table(&self, schema: Option<&str>, name: &str) -> crate::Result<Option<Arc<Table>>>;

    /// Every visible table, for "did you mean", completion and listings.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn tables(&self) -> crate::Result<Vec<Arc<Table>>>;

    /// The table that owns the index of that name.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn table_of_index(&self, name: &str) -> crate::Result<Option<Arc<Table>>>;
}
