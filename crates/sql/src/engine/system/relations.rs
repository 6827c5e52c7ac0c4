//! Relations: tables, views, indexes, sequences and the system's own, as `pg_class` lists them.

use std::{borrow::Cow, sync::Arc};

use rustling_storage::KeyspaceId;

use crate::{
    DataType, Value,
    catalog::{Index, IndexColumn, Sequence, Table, TableKind, TableStorage},
    engine::{
        system::{SystemView, activity, columns, names, type_rows},
        table::TableHandle,
        temporary::PREFIX,
    },
    system::{self, oids},
    types::FIRST_USER_OID,
};

/// Bytes of a page, unless the database was made with others: sizes are estimates.
const PAGE: u64 = 8192;

/// System relations from this number on are views.
const FIRST_SYSTEM_VIEW: u32 = 12_000;

/// Which index of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexPlace {
    /// The primary key.
    PrimaryKey,
    /// The one at that place.
    Secondary(usize),
}

/// What a relation is.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A table or view.
    Table(Arc<TableHandle>),
    /// An index of a table.
    Index(Arc<TableHandle>, IndexPlace),
    /// A sequence.
    Sequence(Arc<Sequence>),
    /// A system relation.
    System(Arc<Table>),
}

/// A relation.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Its number.
    pub(crate) oid: u32,
    pub(crate) part: Part,
}

/// An index, as the catalog shows it: also that which a primary key is.
pub(crate) struct IndexParts<'a> {
    pub(crate) columns: Cow<'a, [IndexColumn]>,
    pub(crate) included: &'a [usize],
    pub(crate) expressions: &'a [(String, crate::bound::Expr)],
    pub(crate) predicate: Option<&'a str>,
    pub(crate) unique: bool,
    pub(crate) primary: bool,
    /// Whether it stands for a constraint.
    pub(crate) constraint: bool,
    pub(crate) parameters: &'a [(String, String)],
}

/// The number of the index that a primary key is.
pub(crate) fn primary_key_oid(table: &Table) -> u32 {
    match table.primary_key_oid {
        // Of a definition from before keys had numbers: one that no object gets.
        0 => 0x8000_0000 | table.id.0,
        oid => oid,
    }
}

/// The number of an index.
pub(crate) fn index_oid(index: &Index) -> u32 {
    FIRST_USER_OID + index.id.0
}

/// The number of a sequence.
pub(crate) fn sequence_oid(sequence: &Sequence) -> u32 {
    FIRST_USER_OID + sequence.id.0
}

/// The name of a table's primary key.
pub(crate) fn primary_key_name(table: &Table) -> Cow<'_, str> {
    match &table.primary_key_name {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("{}_pkey", table.name)),
    }
}

impl SystemView {
    /// Every relation, or the one with the number asked for.
    pub(crate) fn relations(&self, only: Option<&Value>) -> Vec<Relation> {
        let only = match only {
            None => None,
            Some(value) => match value.as_integer().and_then(|oid| u32::try_from(oid).ok()) {
                Some(oid) => Some(oid),
                None => return Vec::new(),
            },
        };
        let wanted = |oid: u32| only.is_none_or(|only| only == oid);
        let mut relations = Vec::new();
        let mut add = |oid: u32, part: &dyn Fn() -> Part| {
            if wanted(oid) {
                relations.push(Relation { oid, part: part() });
            }
        };
        for handle in self.catalog.handles() {
            let table = &handle.table;
            add(table.id.oid(), &|| Part::Table(Arc::clone(handle)));
            if !table.primary_key.is_empty() {
                add(primary_key_oid(table), &|| {
                    Part::Index(Arc::clone(handle), IndexPlace::PrimaryKey)
                });
            }
            for (at, index) in table.indexes.iter().enumerate() {
                add(index_oid(index), &|| {
                    Part::Index(Arc::clone(handle), IndexPlace::Secondary(at))
                });
            }
        }
        for sequence in self.catalog.all_sequences() {
            add(sequence_oid(sequence), &|| {
                Part::Sequence(Arc::clone(sequence))
            });
        }
        if only.is_none_or(|oid| oid < FIRST_USER_OID) {
            for (schema, relation) in system::relations() {
                if wanted(relation.oid)
                    && let Some(table) = system::table(schema, relation.name)
                {
                    relations.push(Relation {
                        oid: relation.oid,
                        part: Part::System(table),
                    });
                }
            }
        }
        relations
    }

    /// The relation with that number.
    pub(crate) fn relation(&self, oid: u32) -> Option<Relation> {
        self.relations(Some(&Value::Oid(oid))).pop()
    }

    /// Tables and views, without the system's.
    pub(crate) fn tables(&self) -> Vec<Relation> {
        self.catalog
            .handles()
            .map(|handle| Relation {
                oid: handle.table.id.oid(),
                part: Part::Table(Arc::clone(handle)),
            })
            .collect()
    }

    /// The indexes of users' tables; those of one table, or the one with that number.
    pub(crate) fn indexes(&self) -> Vec<Relation> {
        self.relations(None)
            .into_iter()
            .filter(|relation| matches!(relation.part, Part::Index(..)))
            .collect()
    }

    /// The sequences.
    pub(crate) fn sequences(&self) -> Vec<Arc<Sequence>> {
        self.catalog.all_sequences().cloned().collect()
    }
}

impl Relation {
    /// The table that it is, or that it is an index of.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.part {
            Part::Table(handle) | Part::Index(handle, _) => Some(&handle.table),
            Part::System(table) => Some(table),
            Part::Sequence(_) => None,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match &self.part {
            Part::Table(handle) => Cow::Borrowed(handle.table.name.as_str()),
            Part::System(table) => Cow::Borrowed(table.name.as_str()),
            Part::Sequence(sequence) => Cow::Borrowed(sequence.name.as_str()),
            Part::Index(handle, IndexPlace::PrimaryKey) => primary_key_name(&handle.table),
            Part::Index(handle, IndexPlace::Secondary(at)) => Cow::Borrowed(
                handle
                    .table
                    .indexes
                    .get(*at)
                    .map_or("", |index| index.name.as_str()),
            ),
        }
    }

    /// Its schema's name.
    pub(crate) fn schema(&self) -> &str {
        match &self.part {
            Part::Table(handle) | Part::Index(handle, _) => &handle.table.schema,
            Part::System(table) => &table.schema,
            Part::Sequence(sequence) => &sequence.schema,
        }
    }

    /// `relkind`
    pub(crate) fn kind(&self) -> char {
        match &self.part {
            Part::Table(handle) => match handle.table.kind {
                TableKind::View(_) => 'v',
                _ if handle.table.partitioning.is_some() => 'p',
                _ => 'r',
            },
            // What PostgreSQL shows through views is numbered above its tables.
            Part::System(_) if self.oid >= FIRST_SYSTEM_VIEW => 'v',
            Part::System(_) => 'r',
            Part::Index(handle, _) if handle.table.partitioning.is_some() => 'I',
            Part::Index(..) => 'i',
            Part::Sequence(_) => 'S',
        }
    }

    /// `relpersistence`
    pub(crate) fn persistence(&self) -> char {
        if self.schema().starts_with(PREFIX) {
            't'
        } else {
            'p'
        }
    }

    /// Whether it has a file of its own: tables, indexes and sequences have.
    pub(crate) fn file(&self) -> u32 {
        match self.kind() {
            'r' | 'i' | 'S' => self.oid,
            _ => 0,
        }
    }

    /// The number of its access method; 0: none.
    pub(crate) fn access_method(&self) -> u32 {
        match (&self.part, self.kind()) {
            (Part::Table(handle), 'r') => table_access_method(handle.table.storage),
            (Part::Index(..), _) => oids::BTREE_INDEX,
            (Part::System(_), 'r') => oids::HEAP,
            _ => 0,
        }
    }

    /// How many columns it has.
    pub(crate) fn width(&self) -> i16 {
        let width = match &self.part {
            Part::Table(handle) => handle.table.columns.len(),
            Part::System(table) => table.columns.len(),
            Part::Index(..) => self
                .index()
                .map_or(0, |index| index.columns.len() + index.included.len()),
            Part::Sequence(_) => 3,
        };
        i16::try_from(width).unwrap_or(i16::MAX)
    }

    /// How many CHECK constraints it has.
    pub(crate) fn checks(&self) -> i16 {
        match &self.part {
            Part::Table(handle) => i16::try_from(handle.table.checks.len()).unwrap_or(i16::MAX),
            _ => 0,
        }
    }

    /// Whether it has indexes.
    pub(crate) fn has_index(&self) -> bool {
        match &self.part {
            Part::Table(handle) => {
                !handle.table.indexes.is_empty() || !handle.table.primary_key.is_empty()
            }
            _ => false,
        }
    }

    /// Whether foreign keys, which PostgreSQL keeps by triggers, begin or end here.
    pub(crate) fn has_triggers(&self) -> bool {
        match &self.part {
            Part::Table(handle) => {
                !handle.table.foreign_keys.is_empty() || !handle.referenced_by.is_empty()
            }
            _ => false,
        }
    }

    /// Storage parameters as `name=value`; those of `toast.` are not among them.
    pub(crate) fn options(&self) -> Option<Vec<String>> {
        let parameters = match &self.part {
            Part::Table(handle) => match handle.table.view() {
                Some(view) => {
                    let option = view.check_option.map(|option| match option {
                        crate::catalog::CheckOption::Local => "check_option=local",
                        crate::catalog::CheckOption::Cascaded => "check_option=cascaded",
                    });
                    let parameters = &handle.table.parameters;
                    let options: Vec<String> = parameters
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .chain(option.map(str::to_owned))
                        .collect();
                    return (!options.is_empty()).then_some(options);
                }
                None => &handle.table.parameters,
            },
            Part::Index(handle, IndexPlace::Secondary(at)) => {
                &handle.table.indexes.get(*at)?.parameters
            }
            _ => return None,
        };
        let shown: Vec<String> = parameters
            .iter()
            .filter(|(name, _)| !name.contains('.'))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!shown.is_empty()).then_some(shown)
    }

    /// The keyspace that holds it.
    pub(crate) fn keyspace(&self) -> Option<u32> {
        match &self.part {
            Part::Table(handle) => {
                let table = &handle.table;
                let stored = table.view().is_none() && table.partitioning.is_none();
                stored.then_some(table.keyspace)
            }
            Part::Index(handle, IndexPlace::Secondary(at)) => {
                handle.table.indexes.get(*at).map(|index| index.keyspace)
            }
            _ => None,
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self, view: &SystemView) -> u64 {
        self.keyspace()
            .and_then(|keyspace| activity::estimate(view, KeyspaceId(keyspace)))
            .map_or(0, |estimate| estimate.leaf_pages * PAGE)
    }

    /// About how many pages of 8 KiB it takes.
    pub(crate) fn pages(&self, view: &SystemView) -> i32 {
        i32::try_from(self.bytes(view).div_ceil(PAGE)).unwrap_or(i32::MAX)
    }

    /// Rows as ANALYZE counted them; -1: never.
    pub(crate) fn tuples(&self) -> f32 {
        match &self.part {
            Part::Table(handle) if handle.table.view().is_none() => handle
                .statistics
                .as_ref()
                .map_or(-1.0, |statistics| statistics.rows as f32),
            Part::Index(handle, _) => handle
                .statistics
                .as_ref()
                .map_or(0.0, |statistics| statistics.rows as f32),
            Part::Sequence(_) => 1.0,
            _ => 0.0,
        }
    }

    /// The index that it is.
    pub(crate) fn index(&self) -> Option<IndexParts<'_>> {
        match &self.part {
            Part::Index(handle, IndexPlace::PrimaryKey) => Some(IndexParts {
                columns: Cow::Owned(
                    handle
                        .table
                        .primary_key
                        .iter()
                        .map(|ordinal| IndexColumn {
                            ordinal: *ordinal,
                            descending: false,
                            nulls_first: false,
                        })
                        .collect(),
                ),
                included: &[],
                expressions: &[],
                predicate: None,
                unique: true,
                primary: true,
                constraint: true,
                parameters: &[],
            }),
            Part::Index(handle, IndexPlace::Secondary(at)) => {
                handle.table.indexes.get(*at).map(|index| IndexParts {
                    columns: Cow::Borrowed(&index.columns),
                    included: &index.included,
                    expressions: &index.expressions,
                    predicate: index.predicate.as_ref().map(|(text, _)| text.as_str()),
                    unique: index.unique,
                    primary: false,
                    constraint: index.constraint,
                    parameters: &index.parameters,
                })
            }
            _ => None,
        }
    }
}

/// The number of a table's access method.
pub(crate) fn table_access_method(storage: TableStorage) -> u32 {
    match storage {
        TableStorage::BTree => oids::HEAP,
        TableStorage::Lsm => oids::LSM,
        TableStorage::Hybrid => oids::HYBRID,
    }
}

/// Indexes, each with its parts and its table.
pub(crate) fn indexes_with_tables(
    indexes: &[Relation],
) -> impl Iterator<Item = (&Relation, IndexParts<'_>, &Table)> {
    indexes
        .iter()
        .filter_map(|relation| Some((relation, relation.index()?, relation.table()?)))
}

/// The number of a table in `pg_class`.
pub(crate) fn oid_of(table: &Table) -> u32 {
    table.id.oid()
}

/// A value of `regtype`.
pub(crate) fn type_reference(data_type: DataType) -> Value {
    names::reference_named(data_type.oid(), data_type.to_string())
}

impl IndexParts<'_> {
    /// The collations of its key columns.
    pub(crate) fn collations(&self, table: &Table) -> Vec<u32> {
        self.key_types(table).map(columns::collation).collect()
    }

    /// The operator classes of its key columns.
    pub(crate) fn operator_classes(&self, table: &Table) -> Vec<u32> {
        self.key_types(table)
            .map(type_rows::operator_class)
            .collect()
    }

    fn key_types(&self, table: &Table) -> impl Iterator<Item = DataType> {
        let keys = self.columns.len();
        self.columns_of(table)
            .into_iter()
            .take(keys)
            .map(|(_, data_type)| data_type)
    }

    /// The numbers of its columns in the table, included ones last; 0: an expression.
    pub(crate) fn column_numbers(&self, table: &Table) -> Vec<i16> {
        let number = |ordinal: usize| {
            table
                .columns
                .get(ordinal)
                .and_then(|column| i16::try_from(column.number.0).ok())
                .unwrap_or(0)
        };
        self.columns
            .iter()
            .map(|column| number(column.ordinal))
            .chain(self.included.iter().map(|ordinal| number(*ordinal)))
            .collect()
    }

    /// `indoption`: 1 descending, 2 NULLs first.
    pub(crate) fn options(&self) -> Vec<i16> {
        self.columns
            .iter()
            .map(|column| i16::from(column.descending) | i16::from(column.nulls_first) << 1)
            .collect()
    }

    /// Its expressions as SQL text.
    pub(crate) fn expression_text(&self) -> Option<String> {
        let texts: Vec<&str> = self
            .expressions
            .iter()
            .map(|(text, _)| text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// The types and names of its columns, included ones last.
    pub(crate) fn columns_of(&self, table: &Table) -> Vec<(String, DataType)> {
        let of = |at: usize, ordinal: usize| match table.columns.get(ordinal) {
            Some(column) => (column.name.clone(), column.data_type),
            None => {
                let expression = self.expressions.get(ordinal - table.columns.len());
                let data_type = expression.map_or(DataType::Text, |(_, expr)| expr.data_type);
                let name = match at {
                    0 => "expr".to_owned(),
                    at => format!("expr{at}"),
                };
                (name, data_type)
            }
        };
        let mut expressions = 0;
        let mut columns = Vec::new();
        for ordinal in self
            .columns
            .iter()
            .map(|column| column.ordinal)
            .chain(self.included.iter().copied())
        {
            columns.push(of(expressions, ordinal));
            if ordinal >= table.columns.len() {
                expressions += 1;
            }
        }
        columns
    }
}
