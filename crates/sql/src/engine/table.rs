//! A table as the executors use it: its definition with the codecs of its rows and indexes.

use std::sync::Arc;

use rustling_storage::KeyspaceId;

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    catalog::{Index, Table},
    encoding::{KeyColumn, KeyLayout, TableCodec},
    engine::row_numbers::RowNumbers,
    eval::CompiledExpr,
    planner::statistics::TableStatistics,
};

/// An index with its codec.
#[derive(Debug)]
pub(crate) struct IndexHandle {
    /// Its name, which is also its constraint's.
    pub(crate) name: String,
    /// The columns of its key; a row key follows them unless the index is unique and none of
    /// them is NULL.
    pub(crate) layout: KeyLayout,
    /// The key columns' table ordinals.
    pub(crate) ordinals: Vec<usize>,
    /// Whether two rows may not share a key without NULLs.
    pub(crate) unique: bool,
    /// Where its entries are.
    pub(crate) keyspace: KeyspaceId,
}

impl IndexHandle {
    /// The handle of an index of `table`.
    pub(crate) fn new(table: &Table, index: &Index) -> IndexHandle {
        let columns = index.columns.iter().filter_map(|column| {
            Some(KeyColumn {
                data_type: table.columns.get(column.ordinal)?.data_type,
                descending: column.descending,
                nulls_first: column.nulls_first,
                nullable: true,
            })
        });
        IndexHandle {
            name: index.name.clone(),
            layout: KeyLayout::index(columns.collect()),
            ordinals: index.columns.iter().map(|column| column.ordinal).collect(),
            unique: index.unique,
            keyspace: KeyspaceId(index.keyspace),
        }
    }

    /// Whether equal keys are refused for this row: the index is unique and no part is NULL.
    pub(crate) fn is_unique_for(&self, row: &[Value]) -> bool {
        self.unique
            && self
                .ordinals
                .iter()
                .all(|ordinal| !matches!(row.get(*ordinal), None | Some(Value::Null)))
    }

    /// Writes the entry of `row` into `key`; gives the entry's value.
    ///
    /// A unique index keeps the row's key as the value, so that an entry can be found by the
    /// columns alone; others end the key with it.
    pub(crate) fn entry<'a>(
        &self,
        row: &[Value],
        row_key: &'a [u8],
        key: &mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let values = self.ordinals.iter().filter_map(|ordinal| row.get(*ordinal));
        self.layout.encode(values, key)?;
        if !self.is_unique_for(row) {
            key.extend_from_slice(row_key);
        }
        Ok(if self.unique { row_key } else { &[] })
    }

    /// The key of the row that an entry leads to.
    pub(crate) fn row_key<'a>(&self, key: &'a [u8], value: &'a [u8]) -> Result<&'a [u8]> {
        if self.unique {
            Ok(value)
        } else {
            self.layout.suffix(key)
        }
    }
}

/// A table version with everything that reading and writing it needs. Immutable and shared.
#[derive(Debug)]
pub(crate) struct TableHandle {
    /// The definition.
    pub(crate) table: Arc<Table>,
    /// Encodes and decodes rows.
    pub(crate) codec: Arc<TableCodec>,
    /// Where the rows are.
    pub(crate) keyspace: KeyspaceId,
    /// The indexes, in the definition's order.
    pub(crate) indexes: Vec<IndexHandle>,
    /// CHECK constraints: name and condition over the row.
    pub(crate) checks: Vec<(String, CompiledExpr)>,
    /// Hands out the keys of a table without primary key.
    pub(crate) row_numbers: Arc<RowNumbers>,
    /// What ANALYZE found out.
    pub(crate) statistics: Option<Arc<TableStatistics>>,
}

impl TableHandle {
    /// The handle of `table`.
    pub(crate) fn new(
        table: Arc<Table>,
        row_numbers: Arc<RowNumbers>,
        statistics: Option<Arc<TableStatistics>>,
    ) -> Result<TableHandle> {
        let checks = table
            .checks
            .iter()
            .map(|check| {
                let position = |ColumnId(ordinal): ColumnId| Some(ordinal as usize);
                Ok((
                    check.name.clone(),
                    CompiledExpr::compile(&check.predicate, &position)?,
                ))
            })
            .collect::<Result<_>>()?;
        Ok(TableHandle {
            codec: Arc::new(TableCodec::new(&table)),
            keyspace: KeyspaceId(table.keyspace),
            indexes: table
                .indexes
                .iter()
                .map(|index| IndexHandle::new(&table, index))
                .collect(),
            checks,
            row_numbers,
            statistics,
            table,
        })
    }

    /// The index at a position.
    pub(crate) fn index(&self, at: usize) -> Result<&IndexHandle> {
        self.indexes.get(at).ok_or_else(|| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                format!("table \"{}\" has no index {at}", self.table.name),
            )
        })
    }

    /// The name of the primary key constraint.
    pub(crate) fn primary_key_name(&self) -> String {
        self.table
            .primary_key_name
            .clone()
            .unwrap_or_else(|| format!("{}_pkey", self.table.name))
    }
}
