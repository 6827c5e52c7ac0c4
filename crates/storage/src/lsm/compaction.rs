//! Leveled compaction: which tables to merge next, and merging them.
//!
//! Memtables are written to runs in front of the levels. When there are enough of them, all are
//! merged into level 1. A level that holds more than it should gives a table to the next one,
//! taking turns through the keys; where nothing there overlaps, the table moves as it is. So a
//! level is at most ten times as large as the one above it, and an entry is rewritten a number
//! of times that grows with the logarithm of the whole (O'Neil et al., "The log-structured
//! merge-tree", 1996, and the leveling that LevelDB made of it).

use std::{ops::Range as IndexRange, sync::Arc};

use super::{
    merge::Merge,
    run::{Run, RunContent, Tables},
    space::{TableCounters, TableOptions},
    table::Table,
    tree::LsmTree,
    version::Version,
};
use crate::{error::Result, lsn::Lsn};

/// Runs in front of the levels that are merged into level 1.
pub(super) const FRONT_TRIGGER: usize = 4;
/// How much larger a level may be than the one above it.
const LEVEL_RATIO: u64 = 10;
/// Levels, the front not counted.
pub(super) const MAX_LEVELS: usize = 7;
/// At rest a tree is merged into one level where one byte in so many is not in the deepest.
const WORTHWHILE: u64 = 8;

/// Where the turns through the keys of each level are.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    /// Per level the last key of the table that was given to the next one last.
    turns: Vec<Vec<u8>>,
}

/// What to merge.
#[derive(Debug)]
struct Job {
    /// Runs in front, the oldest ones, the newest of them first.
    runs: Vec<Run>,
    /// A table of a level, with the level.
    table: Option<(usize, Arc<Table>)>,
    /// Where the result goes.
    target: usize,
    /// The tables there that overlap, by index.
    overlapping: IndexRange<usize>,
}

/// What a compaction has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compacted {
    /// There was nothing to do.
    Nothing,
    /// Tables were merged or moved.
    Some,
    /// The store closes, or another tree has taken over the tables.
    Stopped,
}

fn level(version: &Version, level: usize) -> &[Arc<Table>] {
    let tables = level.checked_sub(1).and_then(|at| version.levels.get(at));
    tables.map(Tables::as_slice).unwrap_or_default()
}

/// The runs in front that can be merged: the oldest ones, up to the first in memory.
pub(super) fn settled_front(version: &Version) -> &[Run] {
    let in_memory = version
        .front
        .iter()
        .rposition(|run| run.tables().is_none())
        .map_or(0, |at| at + 1);
    &version.front[in_memory..]
}

/// Bytes that a level should not exceed.
pub(super) fn level_limit(options: &TableOptions, level: usize) -> u64 {
    let ratio = LEVEL_RATIO.saturating_pow(level as u32 - 1);
    options.level_bytes.saturating_mul(ratio).max(1)
}

impl Picker {
    /// The part of the tree that needs it most.
    fn pick(&self, version: &Version, options: &TableOptions) -> Option<Job> {
        let front = settled_front(version);
        let mut best = (front.len() as f64 / FRONT_TRIGGER as f64, 0);
        for (number, tables) in (1..MAX_LEVELS).zip(&version.levels) {
            let score = tables.bytes() as f64 / level_limit(options, number) as f64;
            // A level over its limit only costs space; runs in front cost every read.
            if score > best.0 && best.0 < 1.0 {
                best = (score, number);
            }
        }
        match best {
            (score, _) if score < 1.0 => None,
            (_, 0) => pick_front(version, front),
            (_, number) => self.pick_table(version, number),
        }
    }

    /// What there is to merge until everything is in one level.
    fn pick_any(&self, version: &Version) -> Option<Job> {
        let front = settled_front(version);
        if !front.is_empty() {
            return pick_front(version, front);
        }
        let is_full = |number: &usize| !level(version, *number).is_empty();
        let highest = (1..=version.levels.len()).find(is_full)?;
        let is_above = (highest + 1..=version.levels.len()).any(|number| is_full(&number));
        is_above
            .then(|| self.pick_table(version, highest))
            .flatten()
    }

    fn pick_table(&self, version: &Version, number: usize) -> Option<Job> {
        let tables = level(version, number);
        let turn = self.turns.get(number).map(Vec::as_slice);
        let after = turn.map_or(0, |turn| {
            tables.partition_point(|table| table.properties().first_key.as_slice() <= turn)
        });
        let table = tables.get(after).or_else(|| tables.first())?;
        let properties = table.properties();
        let overlapping = overlap(
            version,
            number + 1,
            &properties.first_key,
            &properties.last_key,
        );
        Some(Job {
            runs: Vec::new(),
            table: Some((number, Arc::clone(table))),
            target: number + 1,
            overlapping,
        })
    }

    fn note_turn(&mut self, number: usize, last_key: &[u8]) {
        if self.turns.len() <= number {
            self.turns.resize(number + 1, Vec::new());
        }
        self.turns[number] = last_key.to_vec();
    }
}

fn overlap(version: &Version, number: usize, first: &[u8], last: &[u8]) -> IndexRange<usize> {
    let tables = number.checked_sub(1).and_then(|at| version.levels.get(at));
    tables.map_or(0..0, |tables| tables.overlapping(first, last))
}

/// Merges all runs in front, or moves the oldest one where nothing overlaps it: what is
/// inserted in order is written once.
fn pick_front(version: &Version, front: &[Run]) -> Option<Job> {
    let oldest = front.last()?;
    let (first, last) = oldest.tables()?.span()?;
    let overlapping = overlap(version, 1, first, last);
    if oldest.staged == Lsn::ZERO && overlapping.is_empty() {
        return Some(Job {
            runs: vec![oldest.clone()],
            table: None,
            target: 1,
            overlapping,
        });
    }
    let spans = || front.iter().filter_map(|run| run.tables()?.span());
    let first = spans().map(|(first, _)| first).min()?;
    let last = spans().map(|(_, last)| last).max()?;
    Some(Job {
        runs: front.to_vec(),
        table: None,
        target: 1,
        overlapping: overlap(version, 1, first, last),
    })
}

impl Job {
    /// Whether the tables can go to the target level as they are.
    fn is_move(&self) -> bool {
        self.overlapping.is_empty()
            && self.runs.iter().all(|run| run.staged == Lsn::ZERO)
            && self.runs.len() + usize::from(self.table.is_some()) == 1
    }

    /// The tables that are not in the target level.
    fn upper(&self) -> Vec<Arc<Table>> {
        let runs = self.runs.iter().filter_map(Run::tables);
        let runs = runs.flat_map(|tables| tables.as_slice());
        let table = self.table.iter().map(|(_, table)| table);
        runs.chain(table).cloned().collect()
    }
}

impl LsmTree {
    /// Merges what needs it most. Versions that no snapshot at or above `watermark` sees are
    /// dropped on the way.
    ///
    /// # Errors
    /// [`crate::Error::Io`] (a full disk leaves everything as it was), [`crate::Error::Corrupt`].
    pub(crate) fn compact(&self, watermark: Lsn) -> Result<Compacted> {
        let mut picker = self.picker.lock();
        let version = self.version();
        match picker.pick(&version, &self.space.options) {
            Some(job) => self.run(job, &version, watermark, &mut picker),
            None => Ok(Compacted::Nothing),
        }
    }

    /// As [`LsmTree::compact`], until all tables are in one level: no version is left that another
    /// hides from every snapshot at or above `watermark`.
    ///
    /// # Errors
    /// As [`LsmTree::compact`].
    pub(crate) fn compact_further(&self, watermark: Lsn) -> Result<Compacted> {
        let mut picker = self.picker.lock();
        let version = self.version();
        match picker.pick_any(&version) {
            Some(job) => self.run(job, &version, watermark, &mut picker),
            None => Ok(Compacted::Nothing),
        }
    }

    /// Whether tables that are not in the deepest level are so large a part of all that merging
    /// everything is worth it.
    pub(crate) fn wants_full_compaction(&self) -> bool {
        let version = self.version();
        let mut levels = version.levels.iter().map(Tables::bytes);
        let deepest = levels.rfind(|bytes| *bytes > 0).unwrap_or(0);
        let all: u64 = version.tables().map(|table| table.len()).sum();
        (all - deepest) * WORTHWHILE > all
    }

    fn run(
        &self,
        job: Job,
        version: &Version,
        watermark: Lsn,
        picker: &mut Picker,
    ) -> Result<Compacted> {
        let turn = job
            .table
            .as_ref()
            .map(|(number, table)| (*number, table.properties().last_key.clone()));
        let done = if job.is_move() {
            TableCounters::add(&self.space.counters.moves, 1);
            let moved = job.upper();
            self.install(&job, &[], moved)
        } else {
            match self.merge(version, &job, watermark)? {
                Some(outputs) => {
                    let lower = level(version, job.target)[job.overlapping.clone()].to_vec();
                    self.finish_merge(&job, &lower, outputs)
                }
                None => false,
            }
        };
        if let Some((number, last_key)) = turn.filter(|_| done) {
            picker.note_turn(number, &last_key);
        }
        Ok(if done {
            Compacted::Some
        } else {
            Compacted::Stopped
        })
    }

    /// Whether [`LsmTree::compact`] would find something to do.
    pub(crate) fn wants_compaction(&self) -> bool {
        // Whoever holds the picker is compacting, and looks again afterwards.
        let Some(picker) = self.picker.try_lock() else {
            return false;
        };
        picker.pick(&self.version(), &self.space.options).is_some()
    }

    /// Runs in front beyond those that trigger a compaction.
    pub(crate) fn front_debt(&self) -> usize {
        self.version().front.len().saturating_sub(FRONT_TRIGGER)
    }

    fn finish_merge(&self, job: &Job, lower: &[Arc<Table>], outputs: Vec<Arc<Table>>) -> bool {
        let counters = &self.space.counters;
        let bytes = |tables: &[Arc<Table>]| tables.iter().map(|table| table.len()).sum();
        let upper = job.upper();
        let (read, written): (u64, u64) = (bytes(&upper), bytes(&outputs));
        TableCounters::add(&counters.compactions, 1);
        let read = read + bytes(lower);
        TableCounters::add(&counters.compaction_read_bytes, read);
        TableCounters::add(&counters.compaction_written_bytes, written);
        let gone = [&upper, lower].concat();
        let installed = self.install(job, lower, outputs.clone());
        let retired = if installed { gone } else { outputs };
        retired.iter().for_each(|table| table.retire());
        installed
    }

    /// Replaces a job's tables by its result.
    fn install(&self, job: &Job, lower: &[Arc<Table>], outputs: Vec<Arc<Table>>) -> bool {
        self.change(|version| {
            version.front.retain(|run| {
                let tables = run.tables();
                let merged = |tables: &Tables| {
                    let inputs = job.runs.iter().filter_map(Run::tables);
                    inputs.into_iter().any(|input| input.is(tables))
                };
                !tables.is_some_and(merged)
            });
            while version.levels.len() < job.target {
                version.levels.push(Tables::new(Vec::new()));
            }
            let is_one_of = |some: &[Arc<Table>], table: &Arc<Table>| {
                some.iter().any(|one| Arc::ptr_eq(one, table))
            };
            if let Some((number, table)) = &job.table {
                let rest = level(version, *number).iter();
                let rest = rest.filter(|one| !Arc::ptr_eq(one, table)).cloned();
                version.levels[number - 1] = Tables::new(rest.collect());
            }
            let stay = level(version, job.target).iter();
            let stay = stay.filter(|table| !is_one_of(lower, table)).cloned();
            let mut tables: Vec<Arc<Table>> = stay.chain(outputs).collect();
            tables.sort_by(|a, b| a.properties().first_key.cmp(&b.properties().first_key));
            version.levels[job.target - 1] = Tables::new(tables);
            self.space.note_change();
        })
    }

    /// Writes the merged tables; `None` where the store closes meanwhile.
    fn merge(
        &self,
        version: &Version,
        job: &Job,
        watermark: Lsn,
    ) -> Result<Option<Vec<Arc<Table>>>> {
        let tables = |tables: Vec<Arc<Table>>| Run::plain(RunContent::Tables(Tables::new(tables)));
        let mut sources = job.runs.clone();
        if let Some((_, table)) = &job.table {
            sources.push(tables(vec![Arc::clone(table)]));
        }
        if !job.overlapping.is_empty() {
            let lower = level(version, job.target)[job.overlapping.clone()].to_vec();
            sources.push(tables(lower));
        }
        let deeper = version.levels.get(job.target..).unwrap_or_default();
        let merge = Merge {
            space: Arc::clone(&self.space),
            sources,
            deeper: deeper.to_vec(),
            is_front: self.is_front(),
            watermark,
            level: job.target,
        };
        merge.run()
    }
}
