//! ANALYZE: statistics for the planner.

use std::sync::Arc;

use hashbrown::HashMap;
use rustling_storage::{Direction, KeyRange};
use rustling_txn::Transaction;

use crate::{
    DataType, Error, Result, SqlState, Value,
    bound::{BoundStatement, Needed},
    catalog::{CatalogReader, Table},
    encoding::{KeyColumn, RowDecoder},
    engine::{
        catalog::statistics::statistics_record,
        error::txn_error,
        session::{Session, StatementResult},
        table::TableHandle,
    },
    planner::statistics::{ColumnStatistics, TableStatistics},
};

/// Rows that values are sampled from (as PostgreSQL's 300 × its default target of 100).
const SAMPLE: usize = 30_000;
/// The most common values kept per column.
const COMMON: usize = 50;
/// Parts of the histogram.
const PARTS: usize = 100;
/// Longer values are cut out of the statistics: they would make the catalog large.
const LONGEST: usize = 256;

/// A table by name.
fn named(catalog: &dyn CatalogReader, name: &str) -> Result<Arc<Table>> {
    catalog.table(None, name)?.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
    })
}

impl Session {
    /// Collects the planner's statistics of a table; for `None`, of all tables that belong to the
    /// session's role.
    ///
    /// # Errors
    /// 42P01 where there is no such table; whatever reading it fails with.
    pub fn analyze(&mut self, table: Option<&str>) -> Result<()> {
        self.define(|catalog| {
            let tables = table
                .map(|name| named(catalog, name))
                .into_iter()
                .collect::<Result<_>>()?;
            Ok((BoundStatement::Analyze { tables }, Some(Needed::default())))
        })?;
        Ok(())
    }

    /// Collects statistics of tables; where none is named, of all that are the session's role's to
    /// analyze.
    pub(super) fn analyze_tables(
        &mut self,
        transaction: &Transaction,
        tables: &[Arc<Table>],
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let handles: Vec<Arc<TableHandle>> = if tables.is_empty() {
            let may = |handle: &&Arc<TableHandle>| {
                handle.table.view().is_none() && self.may_maintain(&catalog, &handle.table)
            };
            catalog.handles().filter(may).cloned().collect()
        } else {
            tables
                .iter()
                .filter_map(|table| catalog.handle(table.id))
                .filter(|handle| handle.table.view().is_none())
                .collect()
        };
        for handle in handles {
            let statistics = self.collect(transaction, &handle)?;
            let record = statistics_record(&handle.table, &statistics)?;
            self.database.inner.catalog_store.put_statistics(
                transaction,
                handle.table.id,
                &record,
            )?;
        }
        Ok(StatementResult::done("ANALYZE"))
    }

    /// Counts every row and samples some (reservoir sampling, Vitter's algorithm R).
    fn collect(&self, transaction: &Transaction, handle: &TableHandle) -> Result<TableStatistics> {
        let random = &self.database.env().random;
        let mut sample: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let (mut rows, mut bytes) = (0u64, 0u64);
        let mut cursor = transaction
            .scan(handle.keyspace, KeyRange::all(), Direction::Forward)
            .map_err(txn_error)?;
        while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
            rows += 1;
            bytes += (key.len() + stored.len()) as u64;
            if rows.is_multiple_of(1024) {
                self.cancel.check()?;
            }
            if sample.len() < SAMPLE {
                sample.push((key.to_vec(), stored.to_vec()));
            } else if let Some(place) = sample.get_mut((random.next_u64() % rows) as usize) {
                *place = (key.to_vec(), stored.to_vec());
            }
        }
        let columns = (0..handle.table.columns.len())
            .map(|ordinal| column_statistics(handle, ordinal, &sample, rows))
            .collect::<Result<_>>()?;
        Ok(TableStatistics {
            rows,
            bytes,
            columns,
        })
    }
}

/// The statistics of a column, from a sample of a table of `rows` rows.
pub(super) fn column_statistics(
    handle: &TableHandle,
    ordinal: usize,
    sample: &[(Vec<u8>, Vec<u8>)],
    rows: u64,
) -> Result<ColumnStatistics> {
    let data_type = handle
        .codec
        .types
        .get(ordinal)
        .copied()
        .unwrap_or(DataType::Unknown);
    let decoder = RowDecoder::new(Arc::clone(&handle.codec), &[ordinal]);
    let key_column = KeyColumn::ascending(data_type);
    let mut counts: HashMap<Vec<u8>, (Value, usize), foldhash::fast::RandomState> =
        HashMap::default();
    let mut nulls = 0usize;
    let mut scratch = Vec::new();
    for (key, stored) in sample {
        let mut value = [Value::Null];
        decoder.decode_values(key, stored, &mut scratch, &mut value)?;
        let [value] = value;
        if matches!(value, Value::Null) {
            nulls += 1;
            continue;
        }
        let mut bytes = Vec::new();
        key_column.encode(&value, &mut bytes)?;
        counts.entry(bytes).or_insert((value, 0)).1 += 1;
    }
    let size = sample.len().max(1);
    let once = counts.values().filter(|(_, count)| *count == 1).count();
    let distinct = distinct_estimate(counts.len(), once, size, sample.len() as u64 == rows, rows);
    let mut ordered: Vec<(Vec<u8>, Value, usize)> = counts
        .into_iter()
        .map(|(bytes, (value, count))| (bytes, value, count))
        .collect();
    // A value is common where it is clearly more frequent than the average.
    let average = (size - nulls) as f64 / ordered.len().max(1) as f64;
    ordered.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    let is_few = ordered.len() <= COMMON;
    let split = ordered
        .iter()
        .take(COMMON)
        .take_while(|(bytes, _, count)| {
            bytes.len() <= LONGEST && *count > 1 && (is_few || *count as f64 > average * 1.25)
        })
        .count();
    let mut rest = ordered.split_off(split);
    let common = ordered
        .into_iter()
        .map(|(_, value, count)| (value, count as f64 / size as f64))
        .collect();
    rest.retain(|(bytes, ..)| bytes.len() <= LONGEST);
    rest.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ColumnStatistics {
        null_fraction: nulls as f64 / size as f64,
        distinct,
        common,
        histogram: histogram(&rest),
    })
}

/// How many distinct values the table has, from how many the sample has (Haas and Stokes,
/// "Estimating the Number of Classes in a Finite Population", 1998, the Duj1 estimator).
fn distinct_estimate(distinct: usize, once: usize, size: usize, complete: bool, rows: u64) -> f64 {
    if complete || once == 0 {
        return distinct as f64;
    }
    let (distinct, once, size, rows) = (distinct as f64, once as f64, size as f64, rows as f64);
    if once >= size {
        return rows;
    }
    let estimate = size * distinct / (size - once + once * size / rows);
    estimate.clamp(distinct, rows)
}

/// Values that divide the others into equal parts by their number of rows.
fn histogram(ordered: &[(Vec<u8>, Value, usize)]) -> Vec<Value> {
    if ordered.len() < 2 {
        return ordered.iter().map(|(_, value, _)| value.clone()).collect();
    }
    let total: usize = ordered.iter().map(|(.., count)| count).sum();
    let parts = PARTS.min(ordered.len() - 1);
    let mut bounds = Vec::with_capacity(parts + 1);
    let mut seen = 0;
    for (_, value, count) in ordered {
        // The value that holds the next bound's row.
        while bounds.len() <= parts && bounds.len() * (total - 1) / parts < seen + count {
            bounds.push(value.clone());
        }
        seen += count;
    }
    bounds
}
