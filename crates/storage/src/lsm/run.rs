//! Sorted runs: what is between a tree and its tables. A run is a memtable, or tables of which
//! each begins behind the end of the one before.

use std::sync::Arc;

use super::{
    memtable::{MemoryCursor, MemoryVersion, Memtable},
    range::{Range, Start},
    table::{Table, TableRecord, TableVersion},
    table_cursor::{Access, TableCursor},
};
use crate::{
    btree::TreeCursor,
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    staging,
    store::Direction,
};

/// Tables of ascending keys that do not overlap. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Tables(Arc<[Arc<Table>]>);

impl Tables {
    /// The tables of a run, in ascending order.
    pub(super) fn new(tables: Vec<Arc<Table>>) -> Tables {
        debug_assert!(
            tables.is_sorted_by(|a, b| { a.properties().last_key < b.properties().first_key })
        );
        Tables(tables.into())
    }

    pub(super) fn as_slice(&self) -> &[Arc<Table>] {
        &self.0
    }

    /// Whether they are the same list.
    pub(super) fn is(&self, other: &Tables) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|table| table.len()).sum()
    }

    /// The table that holds `key`, if any does.
    #[inline]
    pub(super) fn table_of(&self, key: &[u8]) -> Option<&Arc<Table>> {
        let at = self.first_reaching(key);
        self.0.get(at).filter(|table| table.spans(key))
    }

    /// The first table that ends at or behind `key`.
    #[inline]
    fn first_reaching(&self, key: &[u8]) -> usize {
        self.0
            .partition_point(|table| table.properties().last_key.as_slice() < key)
    }

    /// The tables that hold keys from `first` to `last`, as a range of indexes.
    pub(super) fn overlapping(&self, first: &[u8], last: &[u8]) -> std::ops::Range<usize> {
        let from = self.first_reaching(first);
        let count =
            self.0[from..].partition_point(|table| table.properties().first_key.as_slice() <= last);
        from..from + count
    }

    /// The smallest and the greatest key.
    pub(super) fn span(&self) -> Option<(&[u8], &[u8])> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        Some((&first.properties().first_key, &last.properties().last_key))
    }

    pub(super) fn records(&self) -> Vec<TableRecord> {
        self.0.iter().map(|table| table.record()).collect()
    }
}

/// Where the versions of a run are.
#[derive(Clone, Debug)]
pub(super) enum RunContent {
    Memory(Arc<Memtable>),
    Tables(Tables),
}

/// A run in front of the levels.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) content: RunContent,
    /// The commit that made this run visible, where it was staged: its versions hold staged
    /// values (see [`crate::staging`]) and count as written by that commit, of each key the
    /// newest alone. Zero for a run that was not.
    pub(super) staged: Lsn,
}

/// A version that a lookup has found.
#[derive(Clone, Debug)]
pub(super) enum FoundVersion {
    Memory(MemoryVersion),
    Table(TableVersion),
}

impl FoundVersion {
    #[inline]
    pub(super) fn lsn(&self) -> Lsn {
        match self {
            FoundVersion::Memory(version) => version.lsn(),
            FoundVersion::Table(version) => version.lsn,
        }
    }

    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        match self {
            FoundVersion::Memory(version) => version.value(),
            FoundVersion::Table(version) => version.value(),
        }
    }
}

impl Run {
    /// What was written by commits of its own.
    pub(super) fn plain(content: RunContent) -> Run {
        Run {
            content,
            staged: Lsn::ZERO,
        }
    }

    /// The newest version of `key` at or below `at`, as it lies in the run.
    #[inline]
    pub(super) fn find(&self, key: &[u8], at: Lsn) -> Result<Option<FoundVersion>> {
        let at = if self.staged == Lsn::ZERO {
            at
        } else if at < self.staged {
            return Ok(None);
        } else {
            Lsn::MAX
        };
        match &self.content {
            RunContent::Memory(memtable) => Ok(memtable.find(key, at).map(FoundVersion::Memory)),
            RunContent::Tables(tables) => find_in(tables, key, at),
        }
    }

    /// The tables, unless it is in memory.
    pub(super) fn tables(&self) -> Option<&Tables> {
        match &self.content {
            RunContent::Memory(_) => None,
            RunContent::Tables(tables) => Some(tables),
        }
    }

    /// A cursor over its versions.
    pub(super) fn cursor(&self, range: Range, access: Access) -> RunCursor {
        let content = match &self.content {
            RunContent::Memory(memtable) => {
                SourceCursor::Memory(MemoryCursor::new(memtable, range))
            }
            RunContent::Tables(tables) => {
                SourceCursor::Tables(Box::new(TablesCursor::new(tables, range, access)))
            }
        };
        RunCursor {
            content,
            staged: self.staged,
            last: None,
        }
    }
}

/// The newest version of `key` at or below `at` in tables of a run or level.
#[inline]
pub(super) fn find_in(tables: &Tables, key: &[u8], at: Lsn) -> Result<Option<FoundVersion>> {
    match tables.table_of(key) {
        Some(table) => Ok(table.find(key, at)?.map(FoundVersion::Table)),
        None => Ok(None),
    }
}

/// Walks the versions of tables of a run, both ways.
#[derive(Debug)]
pub(super) struct TablesCursor {
    tables: Tables,
    range: Range,
    access: Access,
    /// The table that the cursor is in; its index in `tables`.
    at: usize,
    cursor: Option<TableCursor>,
    begun: bool,
    /// Backward: the versions of the current key, the oldest first; those from `left` on have
    /// been shown.
    group: Vec<(Lsn, Option<(usize, usize)>)>,
    group_bytes: Vec<u8>,
    group_key: Vec<u8>,
    left: usize,
}

impl TablesCursor {
    pub(super) fn new(tables: &Tables, range: Range, access: Access) -> TablesCursor {
        TablesCursor {
            tables: tables.clone(),
            range,
            access,
            at: 0,
            cursor: None,
            begun: false,
            group: Vec::new(),
            group_bytes: Vec::new(),
            group_key: Vec::new(),
            left: 0,
        }
    }

    #[inline]
    fn raw(&self) -> Option<VersionRef<'_>> {
        self.cursor.as_ref().and_then(TableCursor::current)
    }

    /// Opens the table at an index; false where there is none.
    fn open(&mut self, at: Option<usize>) -> bool {
        self.cursor = at.and_then(|at| {
            self.at = at;
            let table = self.tables.as_slice().get(at)?;
            Some(TableCursor::new(table, self.access))
        });
        self.cursor.is_some()
    }

    fn begin_forward(&mut self) -> Result<()> {
        let (at, place) = match self.range.start() {
            Start::Beginning => (0, None),
            Start::At(key, lsn) | Start::Behind(key, lsn) => {
                (self.tables.first_reaching(key), Some((key.to_vec(), lsn)))
            }
        };
        if self.open(Some(at))
            && let Some(cursor) = &mut self.cursor
        {
            match &place {
                Some((key, lsn)) => cursor.seek(key, *lsn)?,
                None => cursor.first()?,
            }
        }
        self.settle_forward()
    }

    /// Goes on to the next table where the current one is at its end.
    #[inline]
    fn settle_forward(&mut self) -> Result<()> {
        while self.cursor.is_some() && self.raw().is_none() {
            if self.open(Some(self.at + 1))
                && let Some(cursor) = &mut self.cursor
            {
                cursor.first()?;
            }
        }
        Ok(())
    }

    fn begin_backward(&mut self) -> Result<()> {
        let last = self.tables.as_slice().len().checked_sub(1);
        let (at, place) = match self.range.start() {
            Start::Beginning => (last, None),
            Start::At(key, lsn) | Start::Behind(key, lsn) => {
                let at = self.tables.first_reaching(key);
                (last.map(|last| last.min(at)), Some((key.to_vec(), lsn)))
            }
        };
        if self.open(at)
            && let Some(cursor) = &mut self.cursor
        {
            match &place {
                Some((key, lsn)) => cursor.seek_before(key, *lsn)?,
                None => cursor.last()?,
            }
        }
        self.settle_backward()
    }

    fn settle_backward(&mut self) -> Result<()> {
        while self.cursor.is_some() && self.raw().is_none() {
            if self.open(self.at.checked_sub(1))
                && let Some(cursor) = &mut self.cursor
            {
                cursor.last()?;
            }
        }
        Ok(())
    }

    #[inline]
    fn advance_forward(&mut self) -> Result<bool> {
        if self.begun {
            if let Some(cursor) = &mut self.cursor {
                cursor.next()?;
            }
            self.settle_forward()?;
        } else {
            self.begun = true;
            self.begin_forward()?;
        }
        Ok(self
            .raw()
            .is_some_and(|version| self.range.holds(version.key)))
    }

    /// Backward: gathers the versions of the next key, from the oldest to the newest.
    fn advance_backward(&mut self) -> Result<bool> {
        if self.left > 1 {
            self.left -= 1;
            return Ok(true);
        }
        if !self.begun {
            self.begun = true;
            self.begin_backward()?;
        }
        self.group.clear();
        self.group_bytes.clear();
        self.left = 0;
        while let Some(version) = self.cursor.as_ref().and_then(TableCursor::current) {
            if self.group.is_empty() {
                if !self.range.holds(version.key) {
                    break;
                }
                self.group_key.clear();
                self.group_key.extend_from_slice(version.key);
            } else if self.group_key != version.key {
                break;
            }
            let value = version.value.map(|value| {
                let start = self.group_bytes.len();
                self.group_bytes.extend_from_slice(value);
                (start, self.group_bytes.len())
            });
            self.group.push((version.lsn, value));
            if let Some(cursor) = &mut self.cursor {
                cursor.previous()?;
            }
            self.settle_backward()?;
        }
        self.left = self.group.len();
        Ok(self.left > 0)
    }
}

impl VersionCursor for TablesCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self.range.direction {
            Direction::Forward => self.advance_forward(),
            Direction::Backward => self.advance_backward(),
        }
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        if self.range.direction == Direction::Forward {
            return self.raw().unwrap_or(VersionRef::NOTHING);
        }
        let shown = self.left.checked_sub(1).and_then(|at| self.group.get(at));
        match shown {
            Some((lsn, value)) => VersionRef {
                key: &self.group_key,
                lsn: *lsn,
                value: value.map(|(start, end)| &self.group_bytes[start..end]),
            },
            None => VersionRef::NOTHING,
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.range.seek(key);
        self.begun = false;
        self.left = 0;
        Ok(())
    }
}

/// The kinds of cursors that a tree merges.
#[derive(Debug)]
enum SourceCursor {
    Memory(MemoryCursor),
    Tables(Box<TablesCursor>),
    Base(Box<TreeCursor>),
}

/// Walks a run, staged or not, or a B+ tree below all runs.
#[derive(Debug)]
pub(crate) struct RunCursor {
    content: SourceCursor,
    staged: Lsn,
    /// In a staged run: the key whose newest version has been met.
    last: Option<Vec<u8>>,
}

impl RunCursor {
    /// A cursor over tables of a level.
    pub(super) fn level(tables: &Tables, range: Range, access: Access) -> RunCursor {
        RunCursor {
            content: SourceCursor::Tables(Box::new(TablesCursor::new(tables, range, access))),
            staged: Lsn::ZERO,
            last: None,
        }
    }

    /// A cursor over a B+ tree.
    pub(crate) fn base(cursor: TreeCursor) -> RunCursor {
        RunCursor {
            content: SourceCursor::Base(Box::new(cursor)),
            staged: Lsn::ZERO,
            last: None,
        }
    }

    #[inline]
    fn step(&mut self) -> Result<bool> {
        match &mut self.content {
            SourceCursor::Memory(cursor) => cursor.advance(),
            SourceCursor::Tables(cursor) => cursor.advance(),
            SourceCursor::Base(cursor) => cursor.advance(),
        }
    }

    #[inline]
    fn stored(&self) -> VersionRef<'_> {
        match &self.content {
            SourceCursor::Memory(cursor) => cursor.version(),
            SourceCursor::Tables(cursor) => cursor.version(),
            SourceCursor::Base(cursor) => cursor.version(),
        }
    }

    /// Steps to the newest version of the next key that has one.
    fn step_staged(&mut self) -> Result<bool> {
        while self.step()? {
            let mut last = self.last.take();
            let version = self.stored();
            let is_repeated = last.as_deref() == Some(version.key);
            let is_put_or_delete = version.value.is_some();
            let kept = last.get_or_insert_default();
            kept.clear();
            kept.extend_from_slice(version.key);
            self.last = last;
            if !is_repeated && is_put_or_delete {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl VersionCursor for RunCursor {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if self.staged == Lsn::ZERO {
            self.step()
        } else {
            self.step_staged()
        }
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        let stored = self.stored();
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
        match &mut self.content {
            SourceCursor::Memory(cursor) => cursor.seek(key),
            SourceCursor::Tables(cursor) => cursor.seek(key),
            SourceCursor::Base(cursor) => cursor.seek(key),
        }
    }
}
