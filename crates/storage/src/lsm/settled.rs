//! For the hybrid tree: the runs that may leave the front for good.

use super::{
    block_reader::Access,
    compaction::{FRONT_TRIGGER, settled_front},
    range::Range,
    run::{ListedTable, Run, RunCursor, Tables},
    space::TableCounters,
    tree::LsmTree,
    version::Version,
};
use crate::lsn::Lsn;

/// Runs that hold nothing newer than the watermark, and nothing else in front is older.
#[derive(Debug)]
pub(crate) struct SettledRuns {
    /// The newest first; levels count as runs here.
    runs: Vec<Run>,
    newest: Lsn,
}

fn listed(run: &Run) -> &[ListedTable] {
    run.tables().map(Tables::as_slice).unwrap_or_default()
}

/// The newest commit in a run of tables.
fn newest_of(run: &Run) -> Lsn {
    let newest = listed(run).iter().map(ListedTable::newest);
    newest.max().unwrap_or_default()
}

/// The oldest commit in a run.
fn oldest_of(run: &Run) -> Lsn {
    match run {
        Run::Memory { memtable, staged } => match *staged {
            Lsn::ZERO => memtable.oldest(),
            staged => staged,
        },
        Run::Tables(_) => {
            let oldest = listed(run).iter().map(ListedTable::oldest);
            oldest.min().unwrap_or(Lsn::MAX)
        }
    }
}

/// Whether everything that stays in front, of which `above` is the oldest commit of what lies above
/// all runs, is newer than all runs from `from` on. Levels overlap in time; and the commit that a
/// staged run belongs to may have written to the parts above it, too: in the tree below, the first
/// version of a key at an LSN would stay.
fn is_clean_cut(above: Lsn, all: &[Run], from: usize) -> bool {
    let (staying, going) = all.split_at(from);
    let Some(newest) = going.iter().map(newest_of).max() else {
        return false;
    };
    staying.iter().map(oldest_of).fold(above, Lsn::min) > newest
}

impl SettledRuns {
    fn of(version: &Version, watermark: Lsn) -> Option<SettledRuns> {
        let levels = version
            .levels
            .iter()
            .filter(|level| !level.as_slice().is_empty());
        let levels = levels.map(|level| Run::Tables(level.clone()));
        let settled = settled_front(version);
        let all: Vec<Run> = settled.iter().cloned().chain(levels).collect();
        let too_new = all.iter().rposition(|run| newest_of(run) > watermark);
        let first = too_new.map_or(0, |at| at + 1);
        let (unsettled, _) = version.front.split_at(version.front.len() - settled.len());
        let above = unsettled.iter().map(oldest_of);
        let above = above.fold(version.active.oldest(), Lsn::min);
        let from = (first..all.len()).find(|from| is_clean_cut(above, &all, *from))?;
        let runs = all[from..].to_vec();
        let newest = runs.iter().map(newest_of).max()?;
        Some(SettledRuns { runs, newest })
    }

    /// The newest commit in them.
    pub(crate) fn newest(&self) -> Lsn {
        self.newest
    }

    /// Cursors over them, the newest first.
    pub(crate) fn cursors(&self) -> Vec<RunCursor> {
        let cursor = |run: &Run| run.cursor(Range::everything(), Access::Streaming);
        self.runs.iter().map(cursor).collect()
    }
}

impl LsmTree {
    /// The runs that may go down now, if it is worth it: there are enough of them, or nothing
    /// is being written.
    pub(crate) fn settled_runs(&self, watermark: Lsn) -> Option<SettledRuns> {
        let version = self.version();
        let runs = SettledRuns::of(&version, watermark)?;
        let is_at_rest = version.active.is_empty();
        (is_at_rest || runs.runs.len() >= FRONT_TRIGGER).then_some(runs)
    }

    /// Removes runs whose content is elsewhere now; false where another tree has taken over.
    pub(crate) fn remove_runs(&self, gone: &SettledRuns) -> bool {
        let is_gone = |tables: &Tables| {
            let inputs = gone.runs.iter().filter_map(Run::tables);
            inputs.into_iter().any(|input| input.is(tables))
        };
        let removed = self.change(|version| {
            version
                .front
                .retain(|run| !run.tables().is_some_and(is_gone));
            for level in &mut version.levels {
                if is_gone(level) {
                    *level = Tables::none();
                }
            }
        });
        if removed {
            self.space.note_change();
            TableCounters::add(&self.space.counters.compactions, 1);
            let tables = gone.runs.iter().filter_map(Run::tables);
            for table in tables.flat_map(|tables| tables.as_slice()) {
                TableCounters::add(&self.space.counters.compaction_read_bytes, table.len());
                table.retire();
            }
        }
        removed
    }

    /// Whether the store closes.
    pub(crate) fn is_closing(&self) -> bool {
        self.space.is_closing()
    }
}
