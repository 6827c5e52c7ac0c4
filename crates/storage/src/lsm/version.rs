//! What an LSM tree consists of at a moment: memtable, runs in front, levels.

use std::sync::Arc;

use super::{
    block_reader::Access,
    hash::Sought,
    memtable::Memtable,
    range::Range,
    run::{ListedTable, Run, RunCursor, Tables, find_in, find_in_memory},
    space::TableSpace,
    table::{Table, TableRecord},
};
use crate::{
    cursor::VersionCursor,
    error::{Error, Result},
    lsn::Lsn,
    store::{Direction, KeyRange},
    verify::VerifyReport,
};

/// A run as a manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunRecord {
    /// 0 in front of the levels, where the newest run comes first.
    pub(crate) level: u32,
    /// Its tables in ascending order.
    pub(crate) tables: Vec<TableRecord>,
}

/// The parts of an LSM tree, each older than the one before: of a key's versions, those in an
/// earlier part are newer.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Where commits go.
    pub(super) active: Arc<Memtable>,
    /// The newest first.
    pub(super) front: Vec<Run>,
    /// Level 1 first.
    pub(super) levels: Vec<Tables>,
}

impl Version {
    pub(super) fn empty(space: &Arc<TableSpace>) -> Version {
        Version {
            active: Arc::new(Memtable::new(space)),
            front: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Opens the tables that a manifest lists.
    pub(super) fn open(space: &Arc<TableSpace>, records: &[RunRecord]) -> Result<Version> {
        let mut version = Version::empty(space);
        for record in records {
            let tables = record
                .tables
                .iter()
                .map(|record| {
                    let table = Arc::new(Table::open(space, record)?);
                    Ok(ListedTable::new(table, record.staged))
                })
                .collect::<Result<Vec<_>>>()?;
            for pair in tables.windows(2) {
                if pair[0].properties().last_key >= pair[1].properties().first_key {
                    let reason = format!("overlaps table {} of its run", pair[0].number());
                    return Err(Error::corrupt(pair[1].path(), 0, reason));
                }
            }
            let tables = Tables::new(tables);
            match record.level as usize {
                0 => version.front.push(Run::Tables(tables)),
                level => *version.level_mut(level) = tables,
            }
        }
        Ok(version)
    }

    /// How a manifest lists the version, which has no memtables but an empty one.
    pub(super) fn records(&self) -> Vec<RunRecord> {
        let front = self.front.iter().filter_map(|run| {
            Some(RunRecord {
                level: 0,
                tables: run.tables()?.records(),
            })
        });
        let levels = (1..).zip(&self.levels).map(|(level, tables)| RunRecord {
            level,
            tables: tables.records(),
        });
        front
            .chain(levels)
            .filter(|record| !record.tables.is_empty())
            .collect()
    }

    /// The tables of a level, 1 being the first, which is there from now on.
    pub(super) fn level_mut(&mut self, number: usize) -> &mut Tables {
        if self.levels.len() < number {
            self.levels.resize_with(number, Tables::none);
        }
        &mut self.levels[number - 1]
    }

    /// All tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &ListedTable> {
        let front = self.front.iter().filter_map(Run::tables);
        front
            .chain(&self.levels)
            .flat_map(|tables| tables.as_slice())
    }

    /// The memtables, the newest first.
    pub(super) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        let frozen = self.front.iter().filter_map(|run| match run {
            Run::Memory { memtable, .. } => Some(memtable),
            Run::Tables(_) => None,
        });
        std::iter::once(&self.active).chain(frozen)
    }

    /// Whether there is no version of anything.
    pub(super) fn is_empty(&self) -> bool {
        self.memtables().all(|memtable| memtable.is_empty()) && self.tables().next().is_none()
    }

    /// Calls `read` with LSN and value of the newest version of `key` at or below `at`, if that can
    /// be told without a look into tables: of the parts above the first of them. Otherwise gives it
    /// back, for [`Version::get_below`].
    #[inline]
    pub(super) fn get_in_memory<R, F: FnOnce(Lsn, Option<&[u8]>) -> R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: F,
    ) -> std::result::Result<R, F> {
        if let Some(version) = self.active.find(key, at) {
            return Ok(read(version.lsn(), version.value()));
        }
        for run in &self.front {
            let Run::Memory { memtable, staged } = run else {
                break;
            };
            if let Some(found) = find_in_memory(memtable, *staged, key, at) {
                return Ok(read(found.lsn(), found.value()));
            }
        }
        Err(read)
    }

    /// As [`Version::get_in_memory`], which has found nothing, of all the other parts.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(super) fn get_below<R, F: FnOnce(Lsn, Option<&[u8]>) -> R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: F,
    ) -> Result<std::result::Result<R, F>> {
        let sought = Sought::new(key);
        let from_tables = self.front.iter().skip_while(|run| run.tables().is_none());
        for run in from_tables {
            if let Some(found) = run.find(sought, at)? {
                return Ok(Ok(read(found.lsn(), found.value())));
            }
        }
        for level in &self.levels {
            if let Some(found) = find_in(level, sought, at)? {
                return Ok(Ok(read(found.lsn(), found.value())));
            }
        }
        Ok(Err(read))
    }

    /// Cursors over all parts, the newest first.
    pub(super) fn cursors(&self, range: &KeyRange, direction: Direction) -> Vec<RunCursor> {
        let range = Range::new(range.clone(), direction);
        let mut cursors = Vec::with_capacity(1 + self.front.len() + self.levels.len());
        if !self.active.is_empty() {
            let active = Run::memory(Arc::clone(&self.active));
            cursors.push(active.cursor(range.clone(), Access::Cached));
        }
        for run in &self.front {
            cursors.push(run.cursor(range.clone(), Access::Cached));
        }
        for level in self
            .levels
            .iter()
            .filter(|level| !level.as_slice().is_empty())
        {
            cursors.push(RunCursor::tables(level, range.clone(), Access::Cached));
        }
        cursors
    }

    /// Checks every table.
    pub(super) fn verify(&self, report: &mut VerifyReport) -> Result<()> {
        for table in self.tables() {
            match verify_table(table, report) {
                Err(Error::Corrupt {
                    file,
                    offset,
                    reason,
                }) => report.add(file, Some(offset), reason),
                other => other?,
            }
        }
        for memtable in self.memtables() {
            report.versions += memtable.len() as u64;
        }
        Ok(())
    }
}

/// Reads a table from end to end: order, properties, and that lookups find what is there.
fn verify_table(table: &Arc<Table>, report: &mut VerifyReport) -> Result<()> {
    // As they lie there, staged or not.
    let tables = Tables::new(vec![ListedTable::plain(Arc::clone(table))]);
    let mut cursor = RunCursor::tables(&tables, Range::everything(), Access::Streaming);
    let properties = table.properties();
    let mut last: Option<(Vec<u8>, Lsn)> = None;
    let (mut entries, mut tombstones, mut bytes) = (0, 0, 0);
    let (mut oldest, mut newest) = (Lsn::MAX, Lsn::ZERO);
    let wrong = |reason: String| Error::corrupt(table.path(), 0, reason);
    while let Some(version) = cursor.next_version()? {
        if entries == 0 && properties.first_key != version.key {
            return Err(wrong("the first key is not the one stated".into()));
        }
        if let Some((key, lsn)) = &last
            && super::block::compare((key, *lsn), (version.key, version.lsn)).is_ge()
        {
            return Err(wrong(format!("entry {entries} is out of order")));
        }
        entries += 1;
        tombstones += u64::from(version.value.is_none());
        bytes += (version.key.len() + version.value.map_or(0, <[u8]>::len)) as u64;
        oldest = oldest.min(version.lsn);
        newest = newest.max(version.lsn);
        let found = table.find(Sought::new(version.key), version.lsn)?;
        if found.is_none_or(|found| found.lsn != version.lsn || found.value() != version.value) {
            return Err(wrong(format!("a lookup misses entry {}", entries - 1)));
        }
        let last = last.get_or_insert_default();
        last.0.clear();
        last.0.extend_from_slice(version.key);
        last.1 = version.lsn;
    }
    let stated = (
        properties.entries,
        properties.tombstones,
        properties.key_value_bytes,
        properties.oldest,
        properties.newest,
        Some(&properties.last_key),
    );
    let found = (
        entries,
        tombstones,
        bytes,
        oldest,
        newest,
        last.as_ref().map(|(key, _)| key),
    );
    if stated != found {
        return Err(wrong("the properties are not those of the entries".into()));
    }
    report.tables += 1;
    report.versions += entries;
    Ok(())
}
