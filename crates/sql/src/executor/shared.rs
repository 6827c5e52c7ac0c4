//! WITH queries that are evaluated once: their rows are kept for all that read them.
//!
//! Rows are taken from the definition as they are asked for, so a reader that stops early costs
//! no more than it reads. A recursive query is evaluated step by step: each step reads the rows
//! that the one before it has made (SQL:1999 7.12, "semi-naive").

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use hashbrown::HashSet;
use parking_lot::Mutex;

use crate::{
    Result,
    bound::SharedId,
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer, build, distinct::GroupEncoder, row_bytes,
    },
    planner::physical::PhysicalPlan,
};

/// The kept rows of a statement's WITH queries.
///
/// The table is made when the first WITH query is opened: everything that reads it is opened,
/// and takes its copy of the context, after that.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTables(OnceLock<Tables>);

type Tables = Arc<Mutex<HashMap<SharedId, Arc<Mutex<SharedTable>>>>>;

impl SharedTables {
    fn put(&self, id: SharedId, table: SharedTable) -> Arc<Mutex<SharedTable>> {
        let table = Arc::new(Mutex::new(table));
        let tables = self.0.get_or_init(Tables::default);
        tables.lock().insert(id, Arc::clone(&table));
        table
    }

    fn get(&self, id: SharedId) -> Option<Arc<Mutex<SharedTable>>> {
        self.0.get()?.lock().get(&id).cloned()
    }
}

/// Rows that are kept, and where more come from.
struct SharedTable {
    rows: Vec<RowBuffer>,
    source: Option<Box<dyn Operator>>,
    memory: MemoryMeter,
}

impl std::fmt::Debug for SharedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTable")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl SharedTable {
    /// Makes `row` the row of that number; `false`: there are no more.
    fn read(&mut self, at: usize, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while self.rows.len() <= at {
            let Some(source) = &mut self.source else {
                return Ok(false);
            };
            if !source.next(context, row)? {
                self.source = None;
                return Ok(false);
            }
            self.memory.grow(row_bytes(row))?;
            self.rows.push(std::mem::take(row));
        }
        if let Some(kept) = self.rows.get(at) {
            row.clone_from(kept);
        }
        Ok(true)
    }
}

/// A query with a WITH query that it reads several times.
pub(crate) struct With {
    input: Box<dyn Operator>,
}

impl With {
    /// Prepares the definition, then the query over it.
    pub(crate) fn new(
        id: SharedId,
        definition: Box<dyn Operator>,
        context: &ExecContext,
        input: impl FnOnce() -> Result<Box<dyn Operator>>,
    ) -> Result<With> {
        let table = SharedTable {
            rows: Vec::new(),
            source: Some(definition),
            memory: MemoryMeter::new(context, "a WITH query")?,
        };
        context.shared.put(id, table);
        Ok(With { input: input()? })
    }
}

impl Operator for With {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        self.input.next(context, row)
    }
}

/// Reads a WITH query's rows.
pub(crate) struct SharedScan {
    table: Option<Arc<Mutex<SharedTable>>>,
    /// Which of its columns are given.
    positions: Arc<[usize]>,
    at: usize,
    whole: RowBuffer,
}

impl SharedScan {
    /// Reads the columns at `positions`.
    pub(crate) fn new(id: SharedId, positions: Arc<[usize]>, context: &ExecContext) -> SharedScan {
        SharedScan {
            table: context.shared.get(id),
            positions,
            at: 0,
            whole: RowBuffer::new(),
        }
    }
}

impl Operator for SharedScan {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let Some(table) = &self.table else {
            return Ok(false);
        };
        if self.at.is_multiple_of(256) {
            context.check()?;
        }
        if !table.lock().read(self.at, context, &mut self.whole)? {
            return Ok(false);
        }
        self.at += 1;
        row.clear();
        row.extend(
            self.positions
                .iter()
                .filter_map(|position| self.whole.get(*position).cloned()),
        );
        Ok(true)
    }
}

/// A recursive query.
pub(crate) struct Recursive {
    id: SharedId,
    /// What runs now: the base, then one step after the other.
    running: Option<Box<dyn Operator>>,
    step: Arc<PhysicalPlan>,
    /// The rows made by what runs now.
    made: Vec<RowBuffer>,
    /// With UNION: all rows so far.
    seen: Option<HashSet<Box<[u8]>, foldhash::fast::RandomState>>,
    encoder: GroupEncoder,
    key: Vec<u8>,
    memory: MemoryMeter,
    bytes: usize,
}

impl Recursive {
    /// Starts with `base`; `step` reads the rows made last as the WITH query `id`.
    pub(crate) fn new(
        id: SharedId,
        base: Box<dyn Operator>,
        step: Arc<PhysicalPlan>,
        distinct: bool,
        context: &ExecContext,
    ) -> Result<Recursive> {
        Ok(Recursive {
            id,
            running: Some(base),
            encoder: GroupEncoder::new(step.columns.iter().map(|column| column.data_type)),
            step,
            made: Vec::new(),
            seen: distinct.then(HashSet::default),
            key: Vec::new(),
            memory: MemoryMeter::new(context, "a recursive query")?,
            bytes: 0,
        })
    }

    /// Whether the row is there for the first time.
    fn is_new(&mut self, row: &RowBuffer) -> Result<bool> {
        let Some(seen) = &mut self.seen else {
            return Ok(true);
        };
        self.key.clear();
        for (column, value) in row.iter().enumerate() {
            self.encoder.encode(column, value, &mut self.key)?;
        }
        if seen.contains(self.key.as_slice()) {
            return Ok(false);
        }
        self.memory.grow(self.key.len() + 32)?;
        seen.insert(self.key.as_slice().into());
        Ok(true)
    }
}

impl Operator for Recursive {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while let Some(running) = &mut self.running {
            if running.next(context, row)? {
                if self.is_new(row)? {
                    let bytes = row_bytes(row);
                    self.memory.grow(bytes)?;
                    self.bytes += bytes;
                    self.made.push(row.clone());
                    return Ok(true);
                }
                continue;
            }
            self.running = None;
            if self.made.is_empty() {
                break;
            }
            context.check()?;
            // The rows made before the last step are not read again.
            self.memory.shrink(self.bytes);
            self.bytes = 0;
            let table = SharedTable {
                rows: std::mem::take(&mut self.made),
                source: None,
                memory: MemoryMeter::new(context, "a recursive query")?,
            };
            context.shared.put(self.id, table);
            self.running = Some(build(&self.step, context, None)?);
        }
        Ok(false)
    }
}
