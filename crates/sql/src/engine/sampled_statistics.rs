//! Statistics that nobody has asked for with ANALYZE, or that a table has outgrown.
//!
//! Before the planner relies on them, some rows of a large table are looked at: a few from many
//! places spread over its keys. What they tell is kept in memory until the table has become twice
//! or half as large. ANALYZE remains the better source: it sees every row, and what it finds is
//! stored.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustling_storage::{Direction, KeyRange, Store};

use crate::{
    Result,
    catalog::TableId,
    engine::{analyze::column_statistics, error::storage_error, key_range, table::TableHandle},
    planner::statistics::TableStatistics,
};

/// Tables of fewer rows are planned for as they are.
const SMALLEST: u64 = 10_000;
/// Places that are looked at, and rows at each.
const PLACES: usize = 64;
const ROWS: usize = 32;
/// A table that has become so many times larger or smaller is looked at again.
const OUTGROWN: u64 = 2;

/// What was sampled, by table.
#[derive(Debug, Default)]
pub(crate) struct SampledStatistics {
    tables: Mutex<HashMap<TableId, Sampled>>,
}

#[derive(Clone, Debug)]
struct Sampled {
    version: u32,
    statistics: Arc<TableStatistics>,
}

fn outgrown(before: u64, now: u64) -> bool {
    now > before.saturating_mul(OUTGROWN) || before > now.saturating_mul(OUTGROWN)
}

impl SampledStatistics {
    /// The statistics of a table that has about `rows` rows now.
    pub(crate) fn of(
        &self,
        table: &TableHandle,
        rows: u64,
        store: &Store,
    ) -> Option<Arc<TableStatistics>> {
        let stored = table.statistics.as_ref();
        if rows < SMALLEST || stored.is_some_and(|stored| !outgrown(stored.rows, rows)) {
            return stored.cloned();
        }
        let (id, version) = (table.table.id, table.table.version);
        let known = self.tables.lock().get(&id).cloned();
        if let Some(known) = known
            && known.version == version
            && !outgrown(known.statistics.rows, rows)
        {
            return Some(known.statistics);
        }
        // A plan without statistics is better than no plan.
        let statistics = Arc::new(sample(table, rows, store).ok()?);
        let sampled = Sampled {
            version,
            statistics: Arc::clone(&statistics),
        };
        self.tables.lock().insert(id, sampled);
        Some(statistics)
    }
}

fn sample(table: &TableHandle, rows: u64, store: &Store) -> Result<TableStatistics> {
    let snapshot = store.snapshot();
    let scan = |range: KeyRange, direction| {
        let cursor = snapshot.scan(table.keyspace, range, direction);
        cursor.map_err(storage_error)
    };
    let mut first = scan(KeyRange::all(), Direction::Forward)?;
    let mut last = scan(KeyRange::all(), Direction::Backward)?;
    let bounds = match (
        first.next().map_err(storage_error)?,
        last.next().map_err(storage_error)?,
    ) {
        (Some((low, _)), Some((high, _))) => key_range::spread(low, high, PLACES),
        _ => Vec::new(),
    };
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(PLACES * ROWS);
    let mut bytes = 0;
    for range in key_range::cut(KeyRange::all(), bounds) {
        let mut cursor = scan(range, Direction::Forward)?;
        for _ in 0..ROWS {
            let Some((key, stored)) = cursor.next().map_err(storage_error)? else {
                break;
            };
            bytes += (key.len() + stored.len()) as u64;
            found.push((key.to_vec(), stored.to_vec()));
        }
    }
    let columns = (0..table.table.columns.len())
        .map(|ordinal| column_statistics(table, ordinal, &found, rows))
        .collect::<Result<_>>()?;
    Ok(TableStatistics {
        rows,
        bytes: bytes * (rows / (found.len() as u64).max(1)).max(1),
        columns,
    })
}

#[cfg(test)]
mod tests {
    use crate::Database;

    fn expected_rows(database: &Database, sql: &str) -> f64 {
        let plan: Vec<(String,)> = database
            .query(&format!("EXPLAIN {sql}"), ())
            .unwrap()
            .read_all()
            .unwrap();
        let (_, after) = plan[0].0.split_once("rows=").unwrap();
        after.split(')').next().unwrap().parse().unwrap()
    }

    #[test]
    fn large_tables_need_no_analyze() {
        let database = Database::in_memory().unwrap();
        let fill = |from: u32, to: u32, value: &str| {
            let sql =
                format!("INSERT INTO t SELECT i, {value} FROM generate_series({from}, {to}) i");
            database.execute(&sql, ()).unwrap();
        };
        database
            .execute("CREATE TABLE t (id int PRIMARY KEY, k int)", ())
            .unwrap();
        fill(1, 11_000, "i % 4");
        let rows = expected_rows(&database, "SELECT id FROM t WHERE k = 1");
        assert!((1_300.0..5_500.0).contains(&rows), "{rows}");
        // A table that has grown is looked at again.
        fill(11_001, 30_000, "1");
        let rows = expected_rows(&database, "SELECT k FROM t WHERE k = 1");
        assert!((12_000.0..45_000.0).contains(&rows), "{rows}");
    }
}
