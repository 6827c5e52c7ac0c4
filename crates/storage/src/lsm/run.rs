//! Sorted runs: what is between a tree and its tables. A run is a memtable, or tables of which
//! each begins behind the end of the one before.

use std::{ops::Deref, sync::Arc};

use super::{
    block_reader::Access,
    hash::Sought,
    heads::Heads,
    memory_cursor::MemoryCursor,
    memtable::{MemoryVersion, Memtable},
    range::Range,
    table::{Table, TableRecord, TableVersion},
    tables_cursor::TablesCursor,
};
use crate::{
    btree::TreeCursor,
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    staging,
};

/// A table as a run or a level has it.
#[derive(Clone, Debug)]
pub(super) struct ListedTable {
    table: Arc<Table>,
    /// The commit that made its versions visible, where they were staged: they hold staged
    /// values (see [`crate::staging`]) and count as written by that commit, of each key the
    /// newest alone. Zero for a table whose versions were written by commits of their own.
    staged: Lsn,
}

impl Deref for ListedTable {
    type Target = Arc<Table>;

    fn deref(&self) -> &Arc<Table> {
        &self.table
    }
}

impl ListedTable {
    /// A table whose versions were made visible by `staged`, or, where that is zero, each by the
    /// commit that wrote it.
    pub(super) fn new(table: Arc<Table>, staged: Lsn) -> ListedTable {
        ListedTable { table, staged }
    }

    /// A table whose versions were written by commits of their own.
    pub(super) fn plain(table: Arc<Table>) -> ListedTable {
        ListedTable::new(table, Lsn::ZERO)
    }

    /// As [`ListedTable::plain`], of each.
    pub(super) fn all_plain(tables: Vec<Arc<Table>>) -> Vec<ListedTable> {
        tables.into_iter().map(ListedTable::plain).collect()
    }

    /// The commit that made its versions visible, or zero.
    #[inline]
    pub(super) fn staged(&self) -> Lsn {
        self.staged
    }

    /// The newest commit that has written to it.
    pub(super) fn newest(&self) -> Lsn {
        match self.staged {
            Lsn::ZERO => self.table.properties().newest,
            staged => staged,
        }
    }

    /// The oldest commit that has written to it.
    pub(super) fn oldest(&self) -> Lsn {
        match self.staged {
            Lsn::ZERO => self.table.properties().oldest,
            staged => staged,
        }
    }

    /// How a manifest lists it.
    pub(super) fn record(&self) -> TableRecord {
        self.table.record(self.staged)
    }
}

/// Tables of ascending keys that do not overlap. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Tables(Arc<TableList>);

#[derive(Debug)]
struct TableList {
    tables: Box<[ListedTable]>,
    /// Of the last key of each.
    ends: Heads,
    /// Of all files.
    bytes: u64,
}

impl Tables {
    /// The tables of a run, in ascending order.
    pub(super) fn new(tables: Vec<ListedTable>) -> Tables {
        debug_assert!(
            tables.is_sorted_by(|a, b| { a.properties().last_key < b.properties().first_key })
        );
        let ends = tables
            .iter()
            .map(|table| table.properties().last_key.as_slice());
        Tables(Arc::new(TableList {
            ends: Heads::new(ends),
            bytes: tables.iter().map(|table| table.len()).sum(),
            tables: tables.into(),
        }))
    }

    /// Tables of a run in any order.
    pub(super) fn sorted(mut tables: Vec<ListedTable>) -> Tables {
        tables.sort_by(|a, b| a.properties().first_key.cmp(&b.properties().first_key));
        Tables::new(tables)
    }

    /// No tables.
    pub(super) fn none() -> Tables {
        Tables::new(Vec::new())
    }

    pub(super) fn as_slice(&self) -> &[ListedTable] {
        &self.0.tables
    }

    /// Whether they are the same list.
    pub(super) fn is(&self, other: &Tables) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The table that holds `key`, if any does.
    #[inline]
    pub(super) fn table_of(&self, key: &[u8]) -> Option<&ListedTable> {
        let at = self.first_reaching(key);
        let table = self.as_slice().get(at);
        table.filter(|table| table.properties().first_key.as_slice() <= key)
    }

    /// The first table that ends at or behind `key`.
    #[inline]
    pub(super) fn first_reaching(&self, key: &[u8]) -> usize {
        let tables = self.as_slice();
        let ends_before = |at: usize| tables[at].properties().last_key.as_slice() < key;
        self.0.ends.count_less(key, ends_before)
    }

    /// The tables that hold keys from `first` to `last`, as a range of indexes.
    pub(super) fn overlapping(&self, first: &[u8], last: &[u8]) -> std::ops::Range<usize> {
        let from = self.first_reaching(first);
        let count = self.as_slice()[from..]
            .partition_point(|table| table.properties().first_key.as_slice() <= last);
        from..from + count
    }

    /// The smallest and the greatest key.
    pub(super) fn span(&self) -> Option<(&[u8], &[u8])> {
        let (first, last) = (self.as_slice().first()?, self.as_slice().last()?);
        Some((&first.properties().first_key, &last.properties().last_key))
    }

    pub(super) fn records(&self) -> Vec<TableRecord> {
        self.as_slice().iter().map(ListedTable::record).collect()
    }
}

/// A run in front of the levels.
#[derive(Clone, Debug)]
pub(super) enum Run {
    /// In memory still.
    Memory {
        memtable: Arc<Memtable>,
        /// As a table's in a list, see [`ListedTable`].
        staged: Lsn,
    },
    Tables(Tables),
}

/// A version as it lies in a run.
#[derive(Debug)]
enum StoredVersion<'a> {
    Memory(MemoryVersion<'a>),
    Table(TableVersion),
}

impl StoredVersion<'_> {
    #[inline]
    fn lsn(&self) -> Lsn {
        match self {
            StoredVersion::Memory(version) => version.lsn(),
            StoredVersion::Table(version) => version.lsn,
        }
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        match self {
            StoredVersion::Memory(version) => version.value(),
            StoredVersion::Table(version) => version.value(),
        }
    }
}

/// A version that a lookup has found.
#[derive(Debug)]
pub(super) struct FoundVersion<'a> {
    stored: StoredVersion<'a>,
    staged: Lsn,
}

impl<'a> FoundVersion<'a> {
    /// The newest version to look for, as it lies there, for a snapshot at `at`; `None` where it
    /// sees nothing of what `staged` has made visible.
    #[inline]
    fn newest_for(at: Lsn, staged: Lsn) -> Option<Lsn> {
        match staged {
            Lsn::ZERO => Some(at),
            staged if at < staged => None,
            _ => Some(Lsn::MAX),
        }
    }

    /// What has been found so, if it counts.
    #[inline]
    fn of(stored: StoredVersion<'a>, staged: Lsn) -> Option<FoundVersion<'a>> {
        // A deletion in the staging keyspace took back what was staged before.
        let counts = staged == Lsn::ZERO || stored.value().is_some();
        counts.then_some(FoundVersion { stored, staged })
    }

    /// The commit that wrote it.
    #[inline]
    pub(super) fn lsn(&self) -> Lsn {
        match self.staged {
            Lsn::ZERO => self.stored.lsn(),
            staged => staged,
        }
    }

    /// Its value, or `None` for a tombstone.
    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        match self.staged {
            Lsn::ZERO => self.stored.value(),
            _ => self.stored.value().and_then(staging::decode),
        }
    }
}

impl Run {
    /// What commits of its own have written to memory.
    pub(super) fn memory(memtable: Arc<Memtable>) -> Run {
        let staged = Lsn::ZERO;
        Run::Memory { memtable, staged }
    }

    /// The newest version of a key that a snapshot at `at` sees in this run.
    #[inline]
    pub(super) fn find(&self, sought: Sought<'_>, at: Lsn) -> Result<Option<FoundVersion<'_>>> {
        match self {
            Run::Memory { memtable, staged } => {
                Ok(find_in_memory(memtable, *staged, sought.key, at))
            }
            Run::Tables(tables) => find_in(tables, sought, at),
        }
    }

    /// Whether it has keys from `first` to `last`, as far as that is known without reading.
    pub(super) fn overlaps(&self, first: &[u8], last: &[u8]) -> bool {
        match self {
            Run::Memory { memtable, .. } => memtable.overlaps(first, last),
            Run::Tables(tables) => !tables.overlapping(first, last).is_empty(),
        }
    }

    /// The tables, unless it is in memory.
    pub(super) fn tables(&self) -> Option<&Tables> {
        match self {
            Run::Memory { .. } => None,
            Run::Tables(tables) => Some(tables),
        }
    }

    /// A cursor over its versions.
    pub(super) fn cursor(&self, range: Range, access: Access) -> RunCursor {
        match self {
            Run::Memory { memtable, staged } => RunCursor::new(SourceCursor::Memory(
                MemoryCursor::new(memtable, range),
                *staged,
            )),
            Run::Tables(tables) => RunCursor::tables(tables, range, access),
        }
    }
}

/// The newest version of `key` that a snapshot at `at` sees in a memtable, whose versions commit
/// `staged` has made visible, if it is not zero.
#[inline]
pub(super) fn find_in_memory<'a>(
    memtable: &'a Memtable,
    staged: Lsn,
    key: &[u8],
    at: Lsn,
) -> Option<FoundVersion<'a>> {
    let newest = FoundVersion::newest_for(at, staged)?;
    let found = memtable.find(key, newest)?;
    FoundVersion::of(StoredVersion::Memory(found), staged)
}

/// The newest version of a key that a snapshot at `at` sees in tables of a run or level.
#[inline]
pub(super) fn find_in(
    tables: &Tables,
    sought: Sought<'_>,
    at: Lsn,
) -> Result<Option<FoundVersion<'static>>> {
    let Some(listed) = tables.table_of(sought.key) else {
        return Ok(None);
    };
    let Some(newest) = FoundVersion::newest_for(at, listed.staged) else {
        return Ok(None);
    };
    let found = listed.find(sought, newest)?;
    Ok(found.and_then(|found| FoundVersion::of(StoredVersion::Table(found), listed.staged)))
}

/// The kinds of cursors that a tree merges.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are of the larger kind, and a scan makes one of each part of a tree"
)]
enum SourceCursor {
    /// And the run's [`ListedTable::staged`].
    Memory(MemoryCursor, Lsn),
    Tables(TablesCursor),
    Base(Box<TreeCursor>),
}

impl SourceCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self {
            SourceCursor::Memory(cursor, _) => cursor.advance(),
            SourceCursor::Tables(cursor) => cursor.advance(),
            SourceCursor::Base(cursor) => cursor.advance(),
        }
    }

    /// The version as it lies there.
    #[inline]
    fn stored(&self) -> VersionRef<'_> {
        match self {
            SourceCursor::Memory(cursor, _) => cursor.version(),
            SourceCursor::Tables(cursor) => cursor.version(),
            SourceCursor::Base(cursor) => cursor.version(),
        }
    }

    /// The commit that made the version visible, or zero.
    #[inline]
    fn staged(&self) -> Lsn {
        match self {
            SourceCursor::Memory(_, staged) => *staged,
            SourceCursor::Tables(cursor) => cursor.staged,
            SourceCursor::Base(_) => Lsn::ZERO,
        }
    }
}

/// Walks a run or a level, staged or not, or a B+ tree below all runs.
#[derive(Debug)]
pub(crate) struct RunCursor {
    source: SourceCursor,
    /// Of the current version.
    staged: Lsn,
    /// Of what was staged: the key whose newest version has been met.
    last: Option<Vec<u8>>,
}

impl RunCursor {
    fn new(source: SourceCursor) -> RunCursor {
        RunCursor {
            source,
            staged: Lsn::ZERO,
            last: None,
        }
    }

    /// A cursor over tables of a run or level.
    pub(super) fn tables(tables: &Tables, range: Range, access: Access) -> RunCursor {
        let cursor = TablesCursor::new(tables, range, access);
        RunCursor::new(SourceCursor::Tables(cursor))
    }

    /// A cursor over a B+ tree.
    pub(crate) fn base(cursor: TreeCursor) -> RunCursor {
        RunCursor::new(SourceCursor::Base(Box::new(cursor)))
    }

    /// Whether the current version, which was staged, is the newest of its key, and says
    /// anything.
    fn counts(&mut self) -> bool {
        let version = self.source.stored();
        if self.last.as_deref() == Some(version.key) {
            return false;
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(version.key);
        version.value.is_some()
    }
}

impl VersionCursor for RunCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        while self.source.advance()? {
            self.staged = self.source.staged();
            if self.staged == Lsn::ZERO || self.counts() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        let stored = self.source.stored();
        if self.staged == Lsn::ZERO {
            return stored;
        }
        VersionRef {
            key: stored.key,
            lsn: self.staged,
            value: stored.value.and_then(staging::decode),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.last = None;
        match &mut self.source {
            SourceCursor::Memory(cursor, _) => cursor.seek(key),
            SourceCursor::Tables(cursor) => cursor.seek(key),
            SourceCursor::Base(cursor) => cursor.seek(key),
        }
    }
}
