//! The catalog's model: what the binder needs to know about tables. Where it is kept is the
//! engine's business ([`CatalogReader`]).

pub mod access;
pub mod named_type;
mod partition;

use std::sync::Arc;

use crate::{
    ast,
    bound::Expr,
    system::SystemRelation,
    types::{DataType, FIRST_USER_OID, Value},
};
use named_type::{NamedType, TypeId};

pub use partition::{PartitionBound, PartitionStrategy, Partitioning, RangeEnd, compare_ends};

/// Names a table for ever; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

impl TableId {
    /// Stands for a table that is being defined.
    pub const ITSELF: TableId = TableId(u32::MAX);

    /// From here on they stand for system relations: the rest is the number in `pg_class`.
    pub(crate) const SYSTEM: u32 = 0xf000_0000;

    /// The table's number in `pg_class`.
    #[must_use]
    pub fn oid(self) -> u32 {
        if self.0 >= TableId::SYSTEM {
            self.0 - TableId::SYSTEM
        } else {
            FIRST_USER_OID + self.0
        }
    }
}

/// Names an index for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// Names a sequence for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u32);

/// Names a column within its table for ever; never used twice there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnNumber(pub u32);

/// One column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// What rows and other tables know it by.
    pub number: ColumnNumber,
    /// Its name, folded as written.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The default, as SQL text (kept) and bound without input columns.
    pub default: Option<(String, Expr)>,
    /// GENERATED … AS IDENTITY.
    pub identity: Option<Identity>,
    /// GENERATED ALWAYS AS (…) STORED: SQL text, and bound over the row's columns as a
    /// [`Check`] is.
    pub generated: Option<(String, Expr)>,
    /// What rows that are older than the column hold in it.
    pub before: Value,
    /// The number of its default or generating expression in the system catalog; 0: none yet.
    pub default_oid: u32,
    /// The domain or distinct type that it was declared with.
    pub named_type: Option<TypeId>,
}

impl Column {
    /// A column that takes every value of its type.
    #[must_use]
    pub fn new(number: ColumnNumber, name: String, data_type: DataType) -> Column {
        Column {
            number,
            name,
            data_type,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
            before: Value::Null,
            default_oid: 0,
            named_type: None,
        }
    }
}

/// GENERATED … AS IDENTITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// ALWAYS: a value of the user's is refused; otherwise (BY DEFAULT) it is taken.
    pub always: bool,
    /// Where the values come from.
    pub sequence: SequenceId,
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
    /// Whether it is known of every row (not so after NOT VALID).
    pub validated: bool,
    /// Its number in the system catalog; 0: none yet.
    pub oid: u32,
}

/// A FOREIGN KEY constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Ordinals of the referring columns.
    pub columns: Vec<usize>,
    /// The table referred to.
    pub parent: TableId,
    /// Its columns, one for each of `columns`.
    pub parent_columns: Vec<ColumnNumber>,
    /// ON DELETE.
    pub on_delete: ReferentialAction,
    /// ON UPDATE.
    pub on_update: ReferentialAction,
    /// Ordinals of the columns that SET NULL and SET DEFAULT of ON DELETE set.
    pub set_columns: Vec<usize>,
    /// MATCH FULL: either no column is NULL, or all are.
    pub match_full: bool,
    /// Whether and when it may be checked later than at the statement's end.
    pub deferral: Deferral,
    /// Whether it is known of every row (not so after NOT VALID).
    pub validated: bool,
    /// Its number in the system catalog; 0: none yet.
    pub oid: u32,
}

/// What happens to rows whose parent goes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferentialAction {
    /// An error, where they are still there when the constraint is checked.
    #[default]
    NoAction,
    /// An error at once.
    Restrict,
    /// They go as well, or get the parent's new key.
    Cascade,
    /// The referring columns become NULL.
    SetNull,
    /// The referring columns get their defaults.
    SetDefault,
}

/// When a constraint is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deferral {
    /// At the end of every statement, always.
    #[default]
    Never,
    /// At the end of every statement, unless SET CONSTRAINTS says otherwise.
    Immediate,
    /// At the transaction's end, unless SET CONSTRAINTS says otherwise.
    Deferred,
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
    /// What key columns beyond the table's own hold: ordinal `table.columns.len() + i` of
    /// [`Index::columns`] is the value of the expression `i`, given as SQL text and bound as a
    /// [`Check`] is.
    pub expressions: Vec<(String, Expr)>,
    /// Which rows are in the index, as SQL text and bound as a [`Check`] is; `None`: all.
    pub predicate: Option<(String, Expr)>,
    /// Ordinals of further columns that the index was told to carry (INCLUDE).
    pub included: Vec<usize>,
    /// Whether two rows may not share a key without NULLs.
    pub unique: bool,
    /// Whether it stands for a UNIQUE constraint.
    pub constraint: bool,
    /// Storage parameters: name and value.
    pub parameters: Vec<(String, String)>,
    /// The keyspace that holds it, as the storage's number.
    pub keyspace: u32,
}

impl Index {
    /// Whether it has an entry for every row, made of columns alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.expressions.is_empty() && self.predicate.is_none()
    }
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

/// One form that stored rows of a table have or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowVersion {
    /// The number that rows name it by.
    pub version: u32,
    /// The columns in the order they are stored, with the types they had; those that the table
    /// does not have any more are read over.
    pub columns: Vec<(ColumnNumber, DataType)>,
}

/// What a view shows.
#[derive(Clone, Debug)]
pub struct View {
    /// Its query as SQL text.
    pub text: String,
    /// Its query.
    pub query: Arc<ast::Query>,
    /// The schemas in which its query looks for names, in order.
    pub search_path: Vec<String>,
    /// The tables and views that it reads.
    pub reads: Vec<TableId>,
    /// WITH CHECK OPTION.
    pub check_option: Option<CheckOption>,
}

/// WITH CHECK OPTION of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOption {
    /// LOCAL: the view's own condition.
    Local,
    /// CASCADED: also those of the views below.
    Cascaded,
}

/// What a table is.
#[derive(Clone, Debug, Default)]
pub enum TableKind {
    /// Rows in storage.
    #[default]
    Table,
    /// A query under a name.
    View(Box<View>),
    /// Rows that the engine computes when they are asked for.
    System(&'static SystemRelation),
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
    /// What it is.
    pub kind: TableKind,
    /// Counts definition changes.
    pub version: u32,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The number that the next column gets.
    pub next_column: u32,
    /// The forms that its rows may have, the newest last.
    pub row_versions: Vec<RowVersion>,
    /// Ordinals of the primary key; empty: rows are kept under a hidden row number.
    pub primary_key: Vec<usize>,
    /// The primary key constraint's name.
    pub primary_key_name: Option<String>,
    /// The primary key's number in the system catalog; 0: none yet.
    pub primary_key_oid: u32,
    /// CHECK constraints.
    pub checks: Vec<Check>,
    /// FOREIGN KEY constraints.
    pub foreign_keys: Vec<ForeignKey>,
    /// Secondary indexes.
    pub indexes: Vec<Index>,
    /// The keyspace of the rows, as the storage's number.
    pub keyspace: u32,
    /// How rows and index entries are stored.
    pub storage: TableStorage,
    /// Storage parameters: name and value.
    pub parameters: Vec<(String, String)>,
    /// The tables whose columns it has taken over and whose rows its own are counted among: one
    /// where it is a partition, those of INHERITS otherwise.
    pub parents: Vec<TableId>,
    /// PARTITION BY.
    pub partitioning: Option<Partitioning>,
    /// Which rows of its parent it holds, where it is a partition.
    pub partition_bound: Option<PartitionBound>,
}

impl Table {
    /// A table without columns, of which rows can be stored in `keyspace`.
    #[must_use]
    pub fn new(id: TableId, schema: String, name: String, keyspace: u32) -> Table {
        Table {
            id,
            schema,
            name,
            kind: TableKind::Table,
            version: 1,
            columns: Vec::new(),
            next_column: 1,
            row_versions: Vec::new(),
            primary_key: Vec::new(),
            primary_key_name: None,
            primary_key_oid: 0,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
            keyspace,
            storage: TableStorage::default(),
            parameters: Vec::new(),
            parents: Vec::new(),
            partitioning: None,
            partition_bound: None,
        }
    }

    /// Whether it is a partition of another table.
    #[must_use]
    pub fn is_partition(&self) -> bool {
        self.partition_bound.is_some()
    }

    /// Where each of its columns stands in a child; `None` where a child lacks one.
    #[must_use]
    pub fn columns_in(&self, child: &Table) -> Option<Vec<usize>> {
        self.columns
            .iter()
            .map(|column| child.column(&column.name))
            .collect()
    }

    /// The ordinal of a column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The ordinal of a column by number.
    #[must_use]
    pub fn ordinal(&self, number: ColumnNumber) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.number == number)
    }

    /// Whether the primary key or a unique index of all rows has just these columns.
    #[must_use]
    pub fn has_unique_key(&self, columns: &[ColumnNumber]) -> bool {
        let mut wanted: Vec<Option<usize>> =
            columns.iter().map(|number| self.ordinal(*number)).collect();
        wanted.sort_unstable();
        let same = |mut ordinals: Vec<usize>| {
            ordinals.sort_unstable();
            ordinals.len() == wanted.len()
                && ordinals
                    .iter()
                    .zip(&wanted)
                    .all(|(of, wanted)| Some(*of) == *wanted)
        };
        same(self.primary_key.clone())
            || self.indexes.iter().any(|index| {
                index.unique
                    && index.is_plain()
                    && same(index.columns.iter().map(|column| column.ordinal).collect())
            })
    }

    /// The view that it is.
    #[must_use]
    pub fn view(&self) -> Option<&View> {
        match &self.kind {
            TableKind::View(view) => Some(view),
            _ => None,
        }
    }

    /// Notes that rows are written with the columns as they are now.
    pub fn new_row_version(&mut self) {
        let columns = self
            .columns
            .iter()
            .map(|column| (column.number, column.data_type))
            .collect();
        let newest = self.row_versions.last();
        if newest.is_some_and(|newest| newest.columns == columns) {
            return;
        }
        let version = newest.map_or(0, |newest| newest.version) + 1;
        self.row_versions.push(RowVersion { version, columns });
    }
}

/// A sequence of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its id.
    pub id: SequenceId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `int2`, `int4` or `int8`.
    pub data_type: DataType,
    /// The first number.
    pub start: i64,
    /// From one number to the next; never 0.
    pub increment: i64,
    /// The least number.
    pub min: i64,
    /// The greatest number.
    pub max: i64,
    /// Whether it begins again after the last number.
    pub cycle: bool,
    /// How many numbers a session takes at a time.
    pub cache: i64,
    /// The column that it belongs to and goes away with.
    pub owner: Option<(TableId, ColumnNumber)>,
    /// Under which number its state is kept; restarting it takes a new one.
    pub state: u32,
}

/// What the binder asks of a catalog. One that says nothing of its own is empty.
pub trait CatalogReader {
    /// The table of that name, in `schema` or (with `None`) on the search path.
    ///
    /// # Errors
    /// Where the catalog cannot be read; a missing table is `Ok(None)`.
    fn table(&self, _schema: Option<&str>, _name: &str) -> crate::Result<Option<Arc<Table>>> {
        Ok(None)
    }

    /// Every visible table, for "did you mean", completion and listings.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn tables(&self) -> crate::Result<Vec<Arc<Table>>> {
        Ok(Vec::new())
    }

    /// The table that owns the index of that name.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn table_of_index(
        &self,
        _schema: Option<&str>,
        _name: &str,
    ) -> crate::Result<Option<Arc<Table>>> {
        Ok(None)
    }

    /// The tables made of a table's columns by INHERITS or PARTITION OF, directly.
    fn children(&self, _id: TableId) -> Vec<Arc<Table>> {
        Vec::new()
    }

    /// A table by id.
    fn table_by_id(&self, _id: TableId) -> Option<Arc<Table>> {
        None
    }

    /// A sequence by id.
    fn sequence_by_id(&self, _id: SequenceId) -> Option<Arc<Sequence>> {
        None
    }

    /// The sequence of that name, in `schema` or (with `None`) on the search path.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn sequence(&self, _schema: Option<&str>, _name: &str) -> crate::Result<Option<Arc<Sequence>>> {
        Ok(None)
    }

    /// Every sequence, those of columns included.
    fn sequences(&self) -> Vec<Arc<Sequence>> {
        Vec::new()
    }

    /// The type of that name that a user has made, in `schema` or (with `None`) on the search path.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    fn named_type(
        &self,
        _schema: Option<&str>,
        _name: &str,
    ) -> crate::Result<Option<Arc<NamedType>>> {
        Ok(None)
    }

    /// Every named type, for "did you mean".
    fn named_types(&self) -> Vec<Arc<NamedType>> {
        Vec::new()
    }

    /// A named type by id.
    fn named_type_by_id(&self, _id: TypeId) -> Option<Arc<NamedType>> {
        None
    }

    /// The schema that new objects go to: the first of the search path that exists.
    fn current_schema(&self) -> Option<&str> {
        Some("public")
    }

    /// The schema of the session's temporary objects.
    fn temporary_schema(&self) -> Option<&str> {
        None
    }

    /// Whether there is a schema of that name.
    fn has_schema(&self, name: &str) -> bool {
        name == "public"
    }

    /// The search path, in order.
    fn search_path(&self) -> Vec<String> {
        vec!["public".to_owned()]
    }
}
