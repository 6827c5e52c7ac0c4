//! The catalog in memory: one immutable version of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    DataType, Error, Result, SqlState, Value,
    bound::{Expr, ExprKind},
    catalog::{
        CatalogReader, Check, Column, Index, IndexColumn, IndexId, Table, TableId, TableStorage,
    },
    encoding::{RowDecoder, TableCodec},
    engine::{
        catalog::record::{
            CheckRecord, ColumnRecord, ColumnStatisticsRecord, IndexColumnRecord, IndexRecord,
            StatisticsRecord, TableRecord,
        },
        row_numbers::RowNumbers,
        table::TableHandle,
    },
    planner::statistics::{ColumnStatistics, TableStatistics},
};

/// The schema that tables are in where none is named.
pub(crate) const PUBLIC: &str = "public";

/// Every table at one moment.
#[derive(Debug)]
pub(crate) struct CatalogSnapshot {
    /// Tells versions apart: no two snapshots of a process share it.
    pub(crate) generation: u64,
    by_id: HashMap<TableId, Arc<TableHandle>>,
    by_name: BTreeMap<(String, String), TableId>,
    by_index: HashMap<String, TableId>,
}

impl CatalogSnapshot {
    /// The snapshot of these records. `row_numbers` gives the allocator of a keyspace.
    pub(crate) fn new(
        generation: u64,
        records: Vec<(TableRecord, Option<StatisticsRecord>)>,
        row_numbers: &dyn Fn(u32) -> Arc<RowNumbers>,
    ) -> Result<CatalogSnapshot> {
        let mut snapshot = CatalogSnapshot {
            generation,
            by_id: HashMap::new(),
            by_name: BTreeMap::new(),
            by_index: HashMap::new(),
        };
        for (record, statistics) in records {
            let numbers = row_numbers(record.keyspace);
            let table = Arc::new(table_of(record)?);
            let statistics = statistics
                .map(|statistics| statistics_of(&table, &statistics).map(Arc::new))
                .transpose()?;
            snapshot
                .by_name
                .insert((table.schema.clone(), table.name.clone()), table.id);
            for index in &table.indexes {
                snapshot.by_index.insert(index.name.clone(), table.id);
            }
            let handle = TableHandle::new(Arc::clone(&table), numbers, statistics)?;
            snapshot.by_id.insert(table.id, Arc::new(handle));
        }
        Ok(snapshot)
    }

    /// A table by id.
    pub(crate) fn handle(&self, id: TableId) -> Option<Arc<TableHandle>> {
        self.by_id.get(&id).cloned()
    }

    /// A table by name; without a schema, on the search path.
    pub(crate) fn find(&self, schema: Option<&str>, name: &str) -> Option<Arc<TableHandle>> {
        let key = (schema.unwrap_or(PUBLIC).to_owned(), name.to_owned());
        self.handle(*self.by_name.get(&key)?)
    }

    /// Every table, by name.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &Arc<TableHandle>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }
}

impl CatalogReader for CatalogSnapshot {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self
            .find(schema, name)
            .map(|handle| Arc::clone(&handle.table)))
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        Ok(self
            .handles()
            .map(|handle| Arc::clone(&handle.table))
            .collect())
    }

    fn table_of_index(&self, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self
            .by_index
            .get(name)
            .and_then(|id| self.by_id.get(id))
            .map(|handle| Arc::clone(&handle.table)))
    }
}

/// The definition that a record holds, its expressions bound.
fn table_of(record: TableRecord) -> Result<Table> {
    let ordinals = |numbers: &[u32]| numbers.iter().map(|number| *number as usize).collect();
    let mut table = Table {
        id: TableId(record.id),
        schema: record.schema,
        name: record.name,
        version: record.version,
        columns: record
            .columns
            .iter()
            .map(|column| {
                Ok(Column {
                    name: column.name.clone(),
                    data_type: column
                        .data_type
                        .map_or(Ok(DataType::Unknown), DataType::try_from)?,
                    not_null: column.not_null,
                    default: None,
                })
            })
            .collect::<Result<_>>()?,
        storage: storage_of(record.storage)?,
        primary_key: ordinals(&record.primary_key),
        primary_key_name: record.primary_key_name,
        checks: Vec::new(),
        indexes: record
            .indexes
            .into_iter()
            .map(|index| Index {
                id: IndexId(index.id),
                name: index.name,
                columns: index
                    .columns
                    .iter()
                    .map(|column| IndexColumn {
                        ordinal: column.ordinal as usize,
                        descending: column.descending,
                        nulls_first: column.nulls_first,
                    })
                    .collect(),
                unique: index.unique,
                keyspace: index.keyspace,
            })
            .collect(),
        keyspace: record.keyspace,
    };
    // Defaults and checks are kept as text and bound again: they follow the language.
    for (at, column) in record.columns.into_iter().enumerate() {
        if let Some(text) = column.default {
            let data_type = table.columns[at].data_type;
            let expr = converted(crate::binder::bind_expression(&text, &table)?, data_type);
            table.columns[at].default = Some((text, expr));
        }
    }
    for check in record.checks {
        let predicate = crate::binder::bind_expression(&check.text, &table)?;
        table.checks.push(Check {
            name: check.name,
            text: check.text,
            predicate,
        });
    }
    Ok(table)
}

/// `expr` as one of type `to`, as an assignment converts.
fn converted(expr: Expr, to: DataType) -> Expr {
    if expr.data_type == to {
        return expr;
    }
    Expr {
        data_type: to,
        nullable: expr.nullable,
        span: expr.span,
        kind: ExprKind::AssignmentCast(Box::new(expr)),
    }
}

/// The storage of a number in a record.
fn storage_of(number: u32) -> Result<TableStorage> {
    let known = TableStorage::ALL.get(number as usize).copied();
    known.ok_or_else(|| {
        Error::new(
            SqlState::DATA_CORRUPTED,
            format!("the catalog names an unknown table storage ({number})"),
        )
    })
}

/// The record of a definition.
pub(crate) fn record_of(table: &Table) -> TableRecord {
    TableRecord {
        id: table.id.0,
        schema: table.schema.clone(),
        name: table.name.clone(),
        version: table.version,
        keyspace: table.keyspace,
        columns: table
            .columns
            .iter()
            .map(|column| ColumnRecord {
                name: column.name.clone(),
                data_type: Some(column.data_type.into()),
                not_null: column.not_null,
                default: column.default.as_ref().map(|(text, _)| text.clone()),
            })
            .collect(),
        primary_key: table
            .primary_key
            .iter()
            .map(|ordinal| *ordinal as u32)
            .collect(),
        primary_key_name: table.primary_key_name.clone(),
        checks: table
            .checks
            .iter()
            .map(|check| CheckRecord {
                name: check.name.clone(),
                text: check.text.clone(),
            })
            .collect(),
        indexes: table.indexes.iter().map(index_record).collect(),
        storage: table.storage as u32,
    }
}

/// The record of an index.
pub(crate) fn index_record(index: &Index) -> IndexRecord {
    IndexRecord {
        id: index.id.0,
        name: index.name.clone(),
        columns: index
            .columns
            .iter()
            .map(|column| IndexColumnRecord {
                ordinal: column.ordinal as u32,
                descending: column.descending,
                nulls_first: column.nulls_first,
            })
            .collect(),
        unique: index.unique,
        keyspace: index.keyspace,
    }
}

/// A codec for single values of a type.
fn value_codec(data_type: DataType) -> Arc<TableCodec> {
    Arc::new(TableCodec::from_types(vec![data_type], &[]))
}

/// The record of statistics.
pub(crate) fn statistics_record(
    table: &Table,
    statistics: &TableStatistics,
) -> Result<StatisticsRecord> {
    let columns = table
        .columns
        .iter()
        .zip(&statistics.columns)
        .map(|(column, of)| {
            let codec = value_codec(column.data_type);
            let encode = |value: &Value| -> Result<Vec<u8>> {
                let mut bytes = Vec::new();
                codec.encode_row(std::slice::from_ref(value), &mut bytes)?;
                Ok(bytes)
            };
            Ok(ColumnStatisticsRecord {
                null_fraction: of.null_fraction,
                distinct: of.distinct,
                common_values: of
                    .common
                    .iter()
                    .map(|(value, _)| encode(value))
                    .collect::<Result<_>>()?,
                common_fractions: of.common.iter().map(|(_, fraction)| *fraction).collect(),
                histogram: of.histogram.iter().map(encode).collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(StatisticsRecord {
        rows: statistics.rows,
        bytes: statistics.bytes,
        columns,
    })
}

fn statistics_of(table: &Table, record: &StatisticsRecord) -> Result<TableStatistics> {
    let columns = table
        .columns
        .iter()
        .zip(&record.columns)
        .map(|(column, of)| {
            let decoder = RowDecoder::new(value_codec(column.data_type), &[0]);
            let decode = |bytes: &Vec<u8>| -> Result<Value> {
                let mut row = [Value::Null];
                decoder.decode_values(&[], bytes, &mut Vec::new(), &mut row)?;
                let [value] = row;
                Ok(value)
            };
            Ok(ColumnStatistics {
                null_fraction: of.null_fraction,
                distinct: of.distinct,
                common: of
                    .common_values
                    .iter()
                    .zip(&of.common_fractions)
                    .map(|(value, fraction)| Ok((decode(value)?, *fraction)))
                    .collect::<Result<_>>()?,
                histogram: of.histogram.iter().map(decode).collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(TableStatistics {
        rows: record.rows,
        bytes: record.bytes,
        columns,
    })
}
