//! Leveled compaction: which tables to merge next, and merging them.
//!
//! Memtables are written to runs in front of the levels. When there are enough of them, all are
//! merged into level 1. A level that holds more than it should gives a table to the next one: the
//! one for which the least has to be written again there, those that are equal taking turns through
//! the keys; where nothing there overlaps, the table moves as it is. What is furthest beyond its
//! measure goes first, front or level: if the front always did, each merge of it would write an
//! ever larger level 1 again. So a level is at most ten times as large as the one above it, and an
//! entry is rewritten a number of times that grows with the logarithm of the whole (O'Neil et al.,
//! "The log-structured merge-tree", 1996, and the leveling that LevelDB made of it). How far a tree
//! is from that is its [`super::debt`].

use std::{ops::Range as IndexRange, sync::Arc};

use super::{
    debt::{Debt, Excess},
    merge::Merge,
    run::{ListedTable, Run, Tables},
    space::{TableCounters, TableOptions},
    table::Table,
    tree::LsmTree,
    version::Version,
};
use crate::{error::Result, lsn::Lsn, owed::Owed};

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
    /// Per level the last key of the table that was given to the next one last: where the turns of
    /// those begin that are equally good.
    turns: Vec<Vec<u8>>,
}

/// What to merge.
#[derive(Debug)]
struct Job {
    /// Runs in front, the oldest ones, the newest of them first.
    runs: Vec<Run>,
    /// A table of a level, with the level.
    table: Option<(usize, ListedTable)>,
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

fn level(version: &Version, level: usize) -> &[ListedTable] {
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

/// How urgent it is to merge the front; from 1 on it is due.
pub(super) fn front_score(version: &Version, options: &TableOptions) -> f64 {
    let front = settled_front(version);
    let bytes: u64 = front
        .iter()
        .filter_map(Run::tables)
        .map(Tables::bytes)
        .sum();
    let by_runs = front.len() as f64 / FRONT_TRIGGER as f64;
    by_runs.max(bytes as f64 / level_limit(options, 1) as f64)
}

/// The first level from `least` on that so many bytes fit into.
pub(super) fn roomy_level(options: &TableOptions, least: usize, bytes: u64) -> usize {
    let roomy = |level: &usize| level_limit(options, *level) >= bytes;
    (least.max(1)..MAX_LEVELS)
        .find(roomy)
        .unwrap_or(MAX_LEVELS.max(least))
}

impl Picker {
    /// The part of the tree that needs it most.
    fn pick(&self, version: &Version, options: &TableOptions) -> Option<Job> {
        let mut best = (front_score(version, options), 0);
        for (number, tables) in (1..MAX_LEVELS).zip(&version.levels) {
            let score = tables.bytes() as f64 / level_limit(options, number) as f64;
            // Of equals the upper one: runs in front cost every read, levels only space.
            if score > best.0 {
                best = (score, number);
            }
        }
        match best {
            (score, _) if score < 1.0 => None,
            (_, 0) => pick_front(version, settled_front(version)),
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

    /// The table of a level for which the fewest bytes of the next one have to be written again,
    /// as a part of its own; of equals the one whose turn it is.
    fn pick_table(&self, version: &Version, number: usize) -> Option<Job> {
        let tables = level(version, number);
        let turn = self.turns.get(number).map(Vec::as_slice);
        let after = turn.map_or(0, |turn| {
            tables.partition_point(|table| table.properties().first_key.as_slice() <= turn)
        });
        let (before, behind) = tables.split_at(after);
        let below = level(version, number + 1);
        let mut best: Option<(f64, &ListedTable, IndexRange<usize>)> = None;
        for table in behind.iter().chain(before) {
            let properties = table.properties();
            let overlapping = overlap(
                version,
                number + 1,
                &properties.first_key,
                &properties.last_key,
            );
            let lower = below.get(overlapping.clone()).unwrap_or_default();
            let bytes: u64 = lower.iter().map(|table| table.len()).sum();
            let ratio = bytes as f64 / table.len().max(1) as f64;
            if best.as_ref().is_none_or(|(least, ..)| ratio < *least) {
                best = Some((ratio, table, overlapping));
            }
        }
        let (_, table, overlapping) = best?;
        Some(Job {
            runs: Vec::new(),
            table: Some((number, table.clone())),
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
    if overlapping.is_empty() {
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
        self.overlapping.is_empty() && self.runs.len() + usize::from(self.table.is_some()) == 1
    }

    /// The tables that are not in the target level.
    fn upper(&self) -> Vec<ListedTable> {
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
                    let outputs = ListedTable::all_plain(outputs);
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
        // Whoever holds the picker looks again afterwards: who compacts, until there is nothing left
        // to do, and the store for those that have added tables.
        let Some(picker) = self.picker.try_lock() else {
            return false;
        };
        picker.pick(&self.version(), &self.space.options).is_some()
    }

    /// What is owed to compactions now.
    pub(crate) fn debt(&self) -> Debt {
        self.ledger.get()
    }

    /// How far that is beyond what may be, if it is.
    pub(crate) fn debt_excess(&self) -> Option<Excess> {
        self.debt().excess(&self.space.options)
    }

    /// What writers have yet to sleep for it.
    pub(crate) fn owed(&self) -> &Owed {
        &self.ledger.owed
    }

    fn finish_merge(&self, job: &Job, lower: &[ListedTable], outputs: Vec<ListedTable>) -> bool {
        let counters = &self.space.counters;
        let bytes = |tables: &[ListedTable]| tables.iter().map(|table| table.len()).sum();
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
    fn install(&self, job: &Job, lower: &[ListedTable], outputs: Vec<ListedTable>) -> bool {
        self.change(|version| {
            version.front.retain(|run| {
                let tables = run.tables();
                let merged = |tables: &Tables| {
                    let inputs = job.runs.iter().filter_map(Run::tables);
                    inputs.into_iter().any(|input| input.is(tables))
                };
                !tables.is_some_and(merged)
            });
            let is_one_of = |some: &[ListedTable], table: &Arc<Table>| {
                some.iter().any(|one| Arc::ptr_eq(one, table))
            };
            if let Some((number, table)) = &job.table {
                let rest = level(version, *number).iter();
                let rest = rest.filter(|one| !Arc::ptr_eq(one, table)).cloned();
                version.levels[number - 1] = Tables::new(rest.collect());
            }
            let stay = level(version, job.target).iter();
            let stay = stay.filter(|table| !is_one_of(lower, table)).cloned();
            let tables = stay.chain(outputs).collect();
            *version.level_mut(job.target) = Tables::sorted(tables);
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
        let tables = |tables: Vec<ListedTable>| Run::Tables(Tables::new(tables));
        let mut sources = job.runs.clone();
        if let Some((_, table)) = &job.table {
            sources.push(tables(vec![table.clone()]));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Codec,
        cursor::VersionRef,
        lsm::{space::TableSpace, tests::space, writer::TableWriter},
        vfs_memory::MemoryVfs,
    };

    /// A table with two keys, whose file is about as long as said.
    fn table(space: &Arc<TableSpace>, first: u32, last: u32, bytes: usize) -> ListedTable {
        let mut writer = TableWriter::create(space, 1).unwrap();
        for (key, len) in [(first, bytes), (last, 0)] {
            let version = VersionRef {
                key: &key.to_be_bytes(),
                lsn: Lsn(1),
                value: Some(&vec![7; len]),
            };
            writer.add(version).unwrap();
        }
        ListedTable::plain(writer.finish().unwrap())
    }

    fn run(space: &Arc<TableSpace>, random: &mut fastrand::Rng, most: usize) -> Tables {
        let mut bounds: Vec<u32> = (0..2 * random.usize(0..=most))
            .map(|_| random.u32(..10_000))
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        let pairs = bounds.as_chunks::<2>().0.iter();
        let tables = pairs.map(|[first, last]| table(space, *first, *last, random.usize(..900)));
        Tables::new(tables.collect())
    }

    fn ratio(version: &Version, number: usize, table: &ListedTable) -> f64 {
        let (own, below) = (table.properties(), level(version, number + 1).iter());
        let overlapping = below.filter(|below| {
            let other = below.properties();
            other.first_key <= own.last_key && own.first_key <= other.last_key
        });
        let bytes: u64 = overlapping.map(|table| table.len()).sum();
        bytes as f64 / table.len() as f64
    }

    /// What is furthest beyond its measure is picked, and of a level the table for which the least
    /// is to be written again.
    #[test]
    fn the_picker_takes_what_needs_it_most_and_costs_least() {
        let (mut fronts, mut levels, mut nothing) = (0, 0, 0);
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let space = space(&MemoryVfs::new(), Codec::None);
            let mut version = Version::empty(&space);
            for _ in 0..random.usize(..5) {
                let run = run(&space, &mut random, 2);
                if !run.as_slice().is_empty() {
                    version.front.push(Run::Tables(run));
                }
            }
            for number in 1..=random.usize(1..4) {
                *version.level_mut(number) = run(&space, &mut random, 9);
            }
            let options = TableOptions {
                level_bytes: random.u64(300..6000),
                ..space.options
            };
            let front: u64 = version.tables().map(|table| table.len()).sum::<u64>()
                - version.levels.iter().map(Tables::bytes).sum::<u64>();
            let front = front as f64 / options.level_bytes as f64;
            let mut scores = vec![front.max(version.front.len() as f64 / 4.0)];
            for (at, tables) in version.levels.iter().enumerate() {
                let limit = options.level_bytes * 10_u64.pow(at as u32);
                scores.push(tables.bytes() as f64 / limit as f64);
            }
            let most = scores.iter().copied().fold(0.0, f64::max);
            let debt = Debt::of(&version, &options).bytes;
            let Some(job) = Picker::default().pick(&version, &options) else {
                assert!(most < 1.0, "seed {seed}: {scores:?}");
                assert_eq!(debt, 0, "seed {seed}: where nothing is due nothing is owed");
                nothing += 1;
                continue;
            };
            assert!(most >= 1.0, "seed {seed}: {scores:?}");
            match &job.table {
                None => {
                    assert_eq!(scores[0], most, "seed {seed}: {scores:?}");
                    assert_eq!(job.target, 1);
                    fronts += 1;
                }
                Some((number, picked)) => {
                    assert_eq!(scores[*number], most, "seed {seed}: {scores:?}");
                    assert_eq!(job.target, number + 1);
                    let cost = ratio(&version, *number, picked);
                    let all = level(&version, *number).iter();
                    let least = all
                        .map(|table| ratio(&version, *number, table))
                        .fold(f64::INFINITY, f64::min);
                    assert_eq!(cost, least, "seed {seed}");
                    levels += 1;
                }
            }
        }
        assert!(
            fronts > 30 && levels > 30 && nothing > 10,
            "{fronts} {levels} {nothing}"
        );
    }

    #[test]
    fn tables_that_cost_the_same_take_turns() {
        let space = space(&MemoryVfs::new(), Codec::None);
        let mut version = Version::empty(&space);
        let tables = (0..5).map(|at| table(&space, 10 * at, 10 * at + 5, 100));
        *version.level_mut(1) = Tables::new(tables.collect());
        let options = TableOptions {
            level_bytes: 1,
            ..space.options
        };
        let mut picker = Picker::default();
        let picked: Vec<u32> = (0..7)
            .map(|_| {
                let job = picker.pick(&version, &options).unwrap();
                let (number, table) = job.table.unwrap();
                let properties = table.properties();
                picker.note_turn(number, &properties.last_key);
                u32::from_be_bytes(*properties.first_key.first_chunk().unwrap())
            })
            .collect();
        assert_eq!(picked, [0, 10, 20, 30, 40, 0, 10]);
    }
}
