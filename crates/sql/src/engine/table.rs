//! A table as the executors use it: its definition with the codecs of its rows and indexes.

use std::{borrow::Cow, sync::Arc};

use rustling_storage::KeyspaceId;

use crate::{
    Result, Value,
    bound::ColumnId,
    catalog::{Index, Table, TableId},
    encoding::{KeyColumn, KeyLayout, TableCodec},
    engine::{
        partitions::{PartitionCheck, Routing},
        row_numbers::RowNumbers,
    },
    eval::{CompiledExpr, EvalContext},
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
    /// The key columns' ordinals, in the row with the values of `expressions` behind it.
    pub(crate) ordinals: Vec<usize>,
    /// What the key columns are called in messages.
    pub(crate) key_names: Vec<String>,
    /// Key columns that are computed, over the row.
    pub(crate) expressions: Vec<CompiledExpr>,
    /// Which rows have an entry.
    pub(crate) predicate: Option<CompiledExpr>,
    /// Whether two rows may not share a key without NULLs.
    pub(crate) unique: bool,
    /// Where its entries are.
    pub(crate) keyspace: KeyspaceId,
}

impl IndexHandle {
    /// The handle of an index of `table`.
    pub(crate) fn new(table: &Table, index: &Index) -> Result<IndexHandle> {
        let width = table.columns.len();
        let mut columns = Vec::with_capacity(index.columns.len());
        let mut key_names = Vec::with_capacity(index.columns.len());
        for column in &index.columns {
            let (name, data_type) = match table.columns.get(column.ordinal) {
                Some(of) => (of.name.clone(), of.data_type),
                None => index
                    .expressions
                    .get(column.ordinal - width)
                    .map(|(text, expr)| (text.clone(), expr.data_type))
                    .ok_or_else(|| crate::encoding::corrupt("an index in the catalog"))?,
            };
            key_names.push(name);
            columns.push(KeyColumn {
                data_type,
                descending: column.descending,
                nulls_first: column.nulls_first,
                nullable: true,
            });
        }
        let compiled = |expr: &crate::bound::Expr| CompiledExpr::compile(expr, &row_position);
        Ok(IndexHandle {
            key_names,
            expressions: index
                .expressions
                .iter()
                .map(|(_, expr)| compiled(expr))
                .collect::<Result<_>>()?,
            predicate: match &index.predicate {
                None => None,
                Some((_, predicate)) => Some(compiled(predicate)?),
            },
            name: index.name.clone(),
            layout: KeyLayout::index(columns),
            ordinals: index.columns.iter().map(|column| column.ordinal).collect(),
            unique: index.unique,
            keyspace: KeyspaceId(index.keyspace),
        })
    }

    /// The row as [`IndexHandle::entry`] wants it, with computed key columns behind its own;
    /// `None` where it has no entry in this index.
    pub(crate) fn keyed<'r>(
        &self,
        row: &'r [Value],
        eval: &EvalContext<'_>,
    ) -> Result<Option<Cow<'r, [Value]>>> {
        if let Some(predicate) = &self.predicate
            && predicate.eval_predicate(row, eval)? != Some(true)
        {
            return Ok(None);
        }
        if self.expressions.is_empty() {
            return Ok(Some(Cow::Borrowed(row)));
        }
        let mut keyed = Vec::with_capacity(row.len() + self.expressions.len());
        keyed.extend_from_slice(row);
        for expression in &self.expressions {
            keyed.push(expression.eval(row, eval)?);
        }
        Ok(Some(Cow::Owned(keyed)))
    }

    /// Whether it has an entry for every row, made of columns alone.
    pub(crate) fn is_plain(&self) -> bool {
        self.expressions.is_empty() && self.predicate.is_none()
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

/// Where a column stands in a whole row: expressions kept in the catalog are over those.
pub(crate) fn row_position(ColumnId(ordinal): ColumnId) -> Option<usize> {
    Some(ordinal as usize)
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
    /// Generated columns: ordinal and value over the row.
    pub(crate) generated: Vec<(usize, CompiledExpr)>,
    /// Foreign keys of other tables, and its own, that lead to it: the table and the place among
    /// that table's foreign keys.
    pub(crate) referenced_by: Vec<(TableId, usize)>,
    /// The tables made of it, directly.
    pub(crate) children: Vec<TableId>,
    /// Its partitions, where it is partitioned.
    pub(crate) routing: Option<Arc<Routing>>,
    /// What must hold of its rows where it is a partition.
    pub(crate) partition_checks: Vec<PartitionCheck>,
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
                let condition = CompiledExpr::compile(&check.predicate, &row_position)?;
                Ok((check.name.clone(), condition))
            })
            .collect::<Result<_>>()?;
        let generated = table
            .columns
            .iter()
            .enumerate()
            .filter_map(|(ordinal, column)| {
                let (_, expr) = column.generated.as_ref()?;
                Some(CompiledExpr::compile(expr, &row_position).map(|compiled| (ordinal, compiled)))
            })
            .collect::<Result<_>>()?;
        Ok(TableHandle {
            codec: Arc::new(TableCodec::new(&table)),
            keyspace: KeyspaceId(table.keyspace),
            indexes: table
                .indexes
                .iter()
                .map(|index| IndexHandle::new(&table, index))
                .collect::<Result<_>>()?,
            checks,
            generated,
            referenced_by: Vec::new(),
            children: Vec::new(),
            routing: None,
            partition_checks: Vec::new(),
            row_numbers,
            statistics,
            table,
        })
    }

    /// The index at a position.
    pub(crate) fn index(&self, at: usize) -> Result<&IndexHandle> {
        self.indexes
            .get(at)
            .ok_or_else(|| crate::engine::write::no_such_index(self, at))
    }

    /// The name of the primary key constraint.
    pub(crate) fn primary_key_name(&self) -> String {
        self.table
            .primary_key_name
            .clone()
            .unwrap_or_else(|| format!("{}_pkey", self.table.name))
    }
}
