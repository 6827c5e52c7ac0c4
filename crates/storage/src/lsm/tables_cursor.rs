//! Walking the tables of a run, both ways.

use super::{
    block_reader::{Access, BlockReader},
    range::{Range, Start},
    run::{ListedTable, Tables},
    table_cursor::TableCursor,
};
use crate::{
    cursor::{VersionCursor, VersionRef},
    error::Result,
    lsn::Lsn,
    store::Direction,
};

/// Goes from version to version of a run's tables.
#[derive(Debug)]
struct TablesWalk {
    tables: Tables,
    access: Access,
    /// The table that the cursor is in; its index in `tables`.
    at: usize,
    cursor: Option<TableCursor>,
}

impl TablesWalk {
    #[inline]
    fn current(&self) -> Option<VersionRef<'_>> {
        self.cursor.as_ref().and_then(TableCursor::current)
    }

    /// [`ListedTable::staged`] of the table that the cursor is in.
    #[inline]
    fn staged(&self) -> Lsn {
        let table = self.tables.as_slice().get(self.at);
        table.map_or(Lsn::ZERO, ListedTable::staged)
    }

    /// Opens the table at an index, which the cursor is on no version of yet; none where there is none
    /// or all of it is beyond the range.
    fn open(&mut self, at: Option<usize>, range: &Range) -> Option<&mut TableCursor> {
        let reader = match self.cursor.take() {
            Some(cursor) => cursor.into_reader(),
            None => BlockReader::new(self.access, range.direction),
        };
        let at = at?;
        let table = self.tables.as_slice().get(at)?;
        let properties = table.properties();
        let nearest = match range.direction {
            Direction::Forward => &properties.first_key,
            Direction::Backward => &properties.last_key,
        };
        if !range.holds(nearest) {
            return None;
        }
        self.at = at;
        Some(self.cursor.insert(TableCursor::new(table, reader)))
    }

    fn begin_forward(&mut self, range: &Range) -> Result<()> {
        match range.start() {
            Start::Beginning => {
                if let Some(cursor) = self.open(Some(0), range) {
                    cursor.first()?;
                }
            }
            Start::At(key, lsn) | Start::Behind(key, lsn) => {
                let at = self.tables.first_reaching(key);
                if let Some(cursor) = self.open(Some(at), range) {
                    cursor.seek(key, lsn)?;
                }
            }
        }
        self.settle_forward(range)
    }

    /// Goes on to the next table where the current one is at its end.
    #[inline]
    fn settle_forward(&mut self, range: &Range) -> Result<()> {
        while self.cursor.is_some() && self.current().is_none() {
            if let Some(cursor) = self.open(Some(self.at + 1), range) {
                cursor.first()?;
            }
        }
        Ok(())
    }

    fn begin_backward(&mut self, range: &Range) -> Result<()> {
        let last = self.tables.as_slice().len().checked_sub(1);
        match range.start() {
            Start::Beginning => {
                if let Some(cursor) = self.open(last, range) {
                    cursor.last()?;
                }
            }
            Start::At(key, lsn) | Start::Behind(key, lsn) => {
                let at = self.tables.first_reaching(key);
                let at = last.map(|last| last.min(at));
                if let Some(cursor) = self.open(at, range) {
                    cursor.seek_before(key, lsn)?;
                }
            }
        }
        self.settle_backward(range)
    }

    fn settle_backward(&mut self, range: &Range) -> Result<()> {
        while self.cursor.is_some() && self.current().is_none() {
            if let Some(cursor) = self.open(self.at.checked_sub(1), range) {
                cursor.last()?;
            }
        }
        Ok(())
    }

    #[inline]
    fn next(&mut self, range: &Range) -> Result<()> {
        if let Some(cursor) = &mut self.cursor {
            cursor.next()?;
        }
        self.settle_forward(range)
    }

    fn previous(&mut self, range: &Range) -> Result<()> {
        if let Some(cursor) = &mut self.cursor {
            cursor.previous()?;
        }
        self.settle_backward(range)
    }
}

/// Walks the versions of tables of a run, both ways, as they lie there.
#[derive(Debug)]
pub(super) struct TablesCursor {
    walk: TablesWalk,
    range: Range,
    /// [`ListedTable::staged`] of the table that the version shown is from.
    pub(super) staged: Lsn,
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
            walk: TablesWalk {
                tables: tables.clone(),
                access,
                at: 0,
                cursor: None,
            },
            range,
            staged: Lsn::ZERO,
            begun: false,
            group: Vec::new(),
            group_bytes: Vec::new(),
            group_key: Vec::new(),
            left: 0,
        }
    }

    #[inline]
    fn advance_forward(&mut self) -> Result<bool> {
        let at = self.walk.at;
        if self.begun {
            self.walk.next(&self.range)?;
        } else {
            self.walk.begin_forward(&self.range)?;
        }
        if !self.begun || at != self.walk.at {
            self.staged = self.walk.staged();
        }
        self.begun = true;
        let holds = |version: VersionRef<'_>| self.range.holds(version.key);
        Ok(self.walk.current().is_some_and(holds))
    }

    /// Backward: gathers the versions of the next key, from the oldest to the newest.
    fn advance_backward(&mut self) -> Result<bool> {
        if self.left > 1 {
            self.left -= 1;
            return Ok(true);
        }
        if !self.begun {
            self.begun = true;
            self.walk.begin_backward(&self.range)?;
        }
        self.group.clear();
        self.group_bytes.clear();
        self.left = 0;
        while let Some(version) = self.walk.current() {
            if self.group.is_empty() {
                if !self.range.holds(version.key) {
                    break;
                }
                self.staged = self.walk.staged();
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
            self.walk.previous(&self.range)?;
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
            return self.walk.current().unwrap_or(VersionRef::NOTHING);
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
        self.walk.cursor = None;
        Ok(())
    }
}
