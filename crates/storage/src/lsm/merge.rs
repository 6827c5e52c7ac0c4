//! Merging runs into tables, the keys divided among threads.

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use super::{
    block_reader::Access,
    outputs::Outputs,
    range::Range,
    run::{ListedTable, Run, Tables},
    space::{TableCounters, TableSpace},
    table::Table,
};
use crate::{
    cursor::{MergeCursor, VersionCollector, VersionCursor},
    error::{Error, Result},
    lsn::Lsn,
    store::{Direction, KeyRange},
    sync::{Mutex, atomic::AtomicUsize},
};

/// Versions between looks at whether the store closes.
const PATIENCE: u32 = 1024;
/// Tables that a thread should have to write at least.
const LEAST_TABLES: u64 = 2;

/// What to merge, and what becomes of it.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) space: Arc<TableSpace>,
    /// The newest first.
    pub(super) sources: Vec<Run>,
    /// Levels below the one that is written to.
    pub(super) deeper: Vec<Tables>,
    /// Whether older versions may lie outside of the tree.
    pub(super) is_front: bool,
    /// Versions that no snapshot at or above it sees are dropped.
    pub(super) watermark: Lsn,
    /// The level that is written to.
    pub(super) level: usize,
}

/// What the threads share.
struct Work {
    merge: Merge,
    /// Where the keys are divided, ascending; a part lies before each of them, and one behind.
    bounds: Vec<Vec<u8>>,
    /// The part that nobody has begun.
    next: AtomicUsize,
    /// What has been written, by part.
    done: Mutex<Vec<(usize, Vec<Arc<Table>>)>>,
    /// Why not all has been.
    stopped: Mutex<Option<Option<Error>>>,
}

impl Merge {
    /// Writes the merged tables; `None` where the store closes meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] (nothing is left of what was written), [`Error::Corrupt`].
    pub(super) fn run(self) -> Result<Option<Vec<Arc<Table>>>> {
        let bounds = self.bounds();
        if bounds.is_empty() {
            return self.part(KeyRange::all());
        }
        let space = Arc::clone(&self.space);
        let parts = bounds.len() + 1;
        TableCounters::add(&space.counters.subcompactions, parts as u64);
        let work = Arc::new(Work {
            merge: self,
            bounds,
            next: AtomicUsize::new(0),
            done: Mutex::default(),
            stopped: Mutex::default(),
        });
        let helpers: Vec<_> = (1..parts)
            .filter_map(|_| {
                let work = Arc::clone(&work);
                // Where no thread can be had, this one does it all.
                let run = move || work.run();
                space.env.spawn("rustling-compact", run).ok()
            })
            .collect();
        work.run();
        for helper in helpers {
            if !helper.join() {
                space.poison.set("a thread that merged tables panicked");
            }
        }
        let mut done = std::mem::take(&mut *work.done.lock());
        done.sort_by_key(|(part, _)| *part);
        let tables: Vec<Arc<Table>> = done.into_iter().flat_map(|(_, tables)| tables).collect();
        let stopped = work.stopped.lock().take();
        let stopped = stopped.or_else(|| space.poison.check().err().map(Some));
        if let Some(reason) = stopped {
            tables.iter().for_each(|table| table.retire());
            return reason.map_or(Ok(None), Err);
        }
        Ok(Some(tables))
    }

    /// Keys that divide the work into parts of about the same size, one for each thread, unless
    /// it is too little: first keys of tables, the only ones known without reading.
    fn bounds(&self) -> Vec<Vec<u8>> {
        let tables = self.sources.iter().filter_map(Run::tables);
        let mut tables: Vec<&ListedTable> = tables.flat_map(|tables| tables.as_slice()).collect();
        tables.sort_by(|a, b| a.properties().first_key.cmp(&b.properties().first_key));
        let total: u64 = tables.iter().map(|table| table.len()).sum();
        let options = &self.space.options;
        let most = total / (LEAST_TABLES * options.table_bytes).max(1);
        let parts = most.min(options.compaction_threads as u64);
        let mut bounds: Vec<Vec<u8>> = Vec::new();
        let mut before = 0;
        for table in &tables {
            let first = &table.properties().first_key;
            let part = bounds.len() as u64 + 1;
            if part < parts && before >= total / parts * part && bounds.last() != Some(first) {
                bounds.push(first.clone());
            }
            before += table.len();
        }
        bounds
    }

    /// Merges the keys of a range.
    fn part(&self, keys: KeyRange) -> Result<Option<Vec<Arc<Table>>>> {
        let space = &self.space;
        let range = Range::new(keys, Direction::Forward);
        let cursor = |run: &Run| run.cursor(range.clone(), Access::Streaming);
        let sources = self.sources.iter().map(cursor).collect();
        let mut merged = MergeCursor::new(sources, Direction::Forward);
        let mut collector = VersionCollector::new(self.watermark);
        let is_bottom = |key: &[u8]| {
            let mut deeper = self.deeper.iter();
            !self.is_front && deeper.all(|tables| tables.table_of(key).is_none())
        };
        let mut outputs = Outputs::new(space, self.level);
        let mut patience = PATIENCE;
        while let Some(found) = merged.next_version()? {
            patience -= 1;
            if patience == 0 {
                patience = PATIENCE;
                if space.is_closing() {
                    return Ok(None);
                }
                space.poison.check()?;
            }
            if collector.keeps(found, is_bottom) {
                outputs.add(found)?;
            }
        }
        Ok(Some(outputs.finish()?))
    }
}

impl Work {
    /// Takes parts until none is left or something has failed.
    fn run(&self) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part > self.bounds.len() || self.stopped.lock().is_some() {
                return;
            }
            match self.merge.part(self.keys(part)) {
                Ok(Some(tables)) => self.done.lock().push((part, tables)),
                Ok(None) => {
                    self.stopped.lock().get_or_insert(None);
                }
                Err(error) => {
                    self.stopped.lock().get_or_insert(Some(error));
                }
            }
        }
    }

    fn keys(&self, part: usize) -> KeyRange {
        let start = part.checked_sub(1).and_then(|at| self.bounds.get(at));
        let end = self.bounds.get(part);
        KeyRange {
            start: start.map_or(Bound::Unbounded, |key| Bound::Included(key.clone())),
            end: end.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone())),
        }
    }
}
