//! Where tables go that come from elsewhere: as deep as they fit.
//!
//! Whatever a table holds is newer than all that its new tree holds. So it may lie in the deepest
//! level such that no key of it lies in that level or in a newer part: what is older lies below,
//! and a reader meets the table first. Where it overlaps nothing it goes where it would end up
//! after all compactions. Nothing is written again, and no compaction is owed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    compaction::roomy_level,
    memtable::Memtable,
    run::{ListedTable, Run, Tables},
    space::{TableOptions, TableSpace},
    tree::{LsmTree, Ownership},
    version::Version,
};
use crate::lsn::Lsn;

/// The newest part that a table overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlap {
    Nothing,
    Front,
    Level(usize),
}

impl Version {
    fn overlap(&self, table: &ListedTable) -> Overlap {
        let properties = table.properties();
        let (first, last) = (&properties.first_key, &properties.last_key);
        if self.active.overlaps(first, last)
            || self.front.iter().any(|run| run.overlaps(first, last))
        {
            return Overlap::Front;
        }
        let mut levels = (1..).zip(&self.levels);
        let level = levels.find(|(_, tables)| !tables.overlapping(first, last).is_empty());
        level.map_or(Overlap::Nothing, |(number, _)| Overlap::Level(number))
    }

    /// Adds tables of a run, newer than all that is there, to the levels that they fit into.
    /// Answers those that must lie in front.
    fn place(&mut self, tables: Vec<ListedTable>, options: &TableOptions) -> Vec<ListedTable> {
        let mut in_front = Vec::new();
        let mut anywhere = Vec::new();
        let mut by_level: BTreeMap<usize, Vec<ListedTable>> = BTreeMap::new();
        for table in tables {
            match self.overlap(&table) {
                Overlap::Nothing => anywhere.push(table),
                Overlap::Front | Overlap::Level(1) => in_front.push(table),
                Overlap::Level(number) => by_level.entry(number - 1).or_default().push(table),
            }
        }
        if !anywhere.is_empty() {
            let deepest = self
                .levels
                .iter()
                .rposition(|level| !level.as_slice().is_empty());
            let bytes = anywhere.iter().map(|table| table.len()).sum();
            let level = roomy_level(options, deepest.map_or(1, |at| at + 1), bytes);
            by_level.entry(level).or_default().append(&mut anywhere);
        }
        for (number, more) in by_level {
            let level = self.level_mut(number);
            let tables = level.as_slice().iter().cloned().chain(more).collect();
            *level = Tables::sorted(tables);
        }
        in_front
    }

    /// Adds a run above all there is.
    fn push_above(&mut self, run: Run, space: &Arc<TableSpace>) {
        if !self.active.is_empty() {
            let empty = Arc::new(Memtable::new(space));
            let full = std::mem::replace(&mut self.active, empty);
            self.front.insert(0, Run::memory(full));
        }
        self.front.insert(0, run);
    }
}

impl LsmTree {
    /// Adds tables of one run, which no key of the tree may lie between, as deep as they fit.
    /// False, and nothing changed, where one does, or where another tree has taken this one over.
    pub(super) fn install_run(&self, tables: &[ListedTable]) -> bool {
        let picker = self.picker.try_lock();
        let mut installed = false;
        self.change(|version| {
            let mut all = tables.iter();
            installed = all.all(|table| version.overlap(table) == Overlap::Nothing);
            if !installed {
                return;
            }
            let rest = self.place(version, tables.to_vec(), picker.is_some());
            if !rest.is_empty() {
                // Below the memtable, which goes on: what comes there from now on is newer.
                version.front.insert(0, Run::Tables(Tables::new(rest)));
            }
            self.space.note_change();
        });
        installed
    }

    /// Takes over everything of a staging tree as the newest there is, visible with commit
    /// `staged`. The caller holds the store's barrier alone.
    pub(crate) fn attach(&self, from: &LsmTree, staged: Lsn) {
        let source = {
            let mut ownership = from.change.lock();
            *ownership = Ownership::GivenAway;
            from.version()
        };
        let listed = |tables: &Tables| -> Vec<ListedTable> {
            let tables = tables.as_slice().iter();
            tables
                .map(|table| ListedTable::new(Arc::clone(table), staged))
                .collect()
        };
        let picker = self.picker.try_lock();
        self.change(|version| {
            let add_tables = |version: &mut Version, tables: &Tables| {
                let rest = self.place(version, listed(tables), picker.is_some());
                if !rest.is_empty() {
                    version.push_above(Run::Tables(Tables::new(rest)), &self.space);
                }
            };
            let add_memtable = |version: &mut Version, memtable: &Arc<Memtable>| {
                let memtable = Arc::clone(memtable);
                version.push_above(Run::Memory { memtable, staged }, &self.space);
            };
            // The oldest first: what is newer must come to lie above it.
            for level in source.levels.iter().rev() {
                add_tables(version, level);
            }
            for run in source.front.iter().rev() {
                match run {
                    Run::Memory { memtable, .. } => add_memtable(version, memtable),
                    Run::Tables(tables) => add_tables(version, tables),
                }
            }
            if !source.active.is_empty() {
                add_memtable(version, &source.active);
            }
        });
    }

    /// Adds tables of a run to the levels that they fit into, and answers the others: all of them
    /// where `is_quiet` does not say that no compaction is under way, the result of which may come
    /// to lie between keys of its input. A front above another tree has no use for levels.
    fn place(
        &self,
        version: &mut Version,
        tables: Vec<ListedTable>,
        is_quiet: bool,
    ) -> Vec<ListedTable> {
        match is_quiet && !self.is_front() {
            true => version.place(tables, &self.space.options),
            false => tables,
        }
    }
}
