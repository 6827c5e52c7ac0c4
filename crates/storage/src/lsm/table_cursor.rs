//! Walking one table, both ways.

use std::sync::Arc;

use super::{
    block::{Block, BlockCursor, Malformed},
    format::Handle,
    table::{Partition, Table},
};
use crate::{
    cursor::VersionRef,
    error::{Error, Result},
    lsn::Lsn,
};

/// Bytes that a streaming cursor reads at once.
const READ_AHEAD: usize = 256 << 10;

/// How a cursor reads blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Through the block cache.
    Cached,
    /// Past it, many at once: for work that reads whole tables once.
    Streaming,
}

/// A part of the file that has been read ahead.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

/// Walks the versions of a table in their order or in reverse.
#[derive(Debug)]
pub(super) struct TableCursor {
    table: Arc<Table>,
    access: Access,
    window: Window,
    top: BlockCursor,
    /// On the partition and the block that `data` is from.
    index: Option<BlockCursor>,
    data: Option<BlockCursor>,
}

impl TableCursor {
    /// On no version yet.
    pub(super) fn new(table: &Arc<Table>, access: Access) -> TableCursor {
        TableCursor {
            top: BlockCursor::new(Arc::clone(table.top())),
            table: Arc::clone(table),
            access,
            window: Window::default(),
            index: None,
            data: None,
        }
    }

    /// The version that the cursor is on; `None` beyond the ends.
    #[inline]
    pub(super) fn current(&self) -> Option<VersionRef<'_>> {
        let data = self.data.as_ref().filter(|data| data.is_valid())?;
        Some(VersionRef {
            key: data.key(),
            lsn: data.lsn(),
            value: data.value(),
        })
    }

    /// Goes to the first version at or after (`key`, `lsn`).
    pub(super) fn seek(&mut self, key: &[u8], lsn: Lsn) -> Result<()> {
        self.on_top(|top| top.seek(key, lsn))?;
        if !self.enter_partition(|index| index.seek(key, lsn))? {
            return Ok(());
        }
        self.enter_block(|data| data.seek(key, lsn))?;
        // Separators may be greater than all that is in their block.
        self.settle_forward()
    }

    /// Goes to the last version before (`key`, `lsn`).
    pub(super) fn seek_before(&mut self, key: &[u8], lsn: Lsn) -> Result<()> {
        self.seek(key, lsn)?;
        if self.current().is_some() {
            self.previous()
        } else {
            self.last()
        }
    }

    /// Goes to the first version.
    pub(super) fn first(&mut self) -> Result<()> {
        self.on_top(BlockCursor::first)?;
        if self.enter_partition(BlockCursor::first)? {
            self.enter_block(BlockCursor::first)?;
        }
        Ok(())
    }

    /// Goes to the last version.
    pub(super) fn last(&mut self) -> Result<()> {
        self.on_top(BlockCursor::last)?;
        if self.enter_partition(BlockCursor::last)? {
            self.enter_block(BlockCursor::last)?;
        }
        Ok(())
    }

    /// Steps forward.
    #[inline]
    pub(super) fn next(&mut self) -> Result<()> {
        if let Some(data) = &mut self.data {
            data.next().map_err(|error| damaged(&self.table, error))?;
        }
        self.settle_forward()
    }

    /// Steps backward.
    pub(super) fn previous(&mut self) -> Result<()> {
        let table = &self.table;
        let Some(data) = &mut self.data else {
            return Ok(());
        };
        if data.previous().map_err(|error| damaged(table, error))? {
            return Ok(());
        }
        let Some(index) = &mut self.index else {
            return Ok(());
        };
        if index.previous().map_err(|error| damaged(table, error))? {
            return self.enter_block(BlockCursor::last);
        }
        if self.top.previous().map_err(|error| damaged(table, error))?
            && self.enter_partition(BlockCursor::last)?
        {
            return self.enter_block(BlockCursor::last);
        }
        self.data = None;
        Ok(())
    }

    /// Goes on to the next block where the current one is at its end.
    #[inline]
    fn settle_forward(&mut self) -> Result<()> {
        while self.data.as_ref().is_some_and(|data| !data.is_valid()) {
            self.next_block()?;
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<()> {
        let table = &self.table;
        let Some(index) = &mut self.index else {
            self.data = None;
            return Ok(());
        };
        if index.next().map_err(|error| damaged(table, error))? {
            return self.enter_block(BlockCursor::first);
        }
        if self.top.next().map_err(|error| damaged(table, error))?
            && self.enter_partition(BlockCursor::first)?
        {
            return self.enter_block(BlockCursor::first);
        }
        self.data = None;
        Ok(())
    }

    fn on_top(
        &mut self,
        place: impl FnOnce(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<()> {
        place(&mut self.top).map_err(|error| damaged(&self.table, error))
    }

    /// Opens the partition that the top index is on; false where it is on none.
    fn enter_partition(
        &mut self,
        place: impl FnOnce(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<bool> {
        let entry = self.top.is_valid().then(|| self.top.value()).flatten();
        let Some(entry) = entry else {
            self.data = None;
            return Ok(false);
        };
        let partition = Partition::decode(entry)
            .ok_or_else(|| damaged(&self.table, Malformed("an entry of the top index is none")))?;
        let block = self.table.block(partition.index)?;
        let index = match &mut self.index {
            Some(index) => {
                index.reset(block);
                index
            }
            none => none.insert(BlockCursor::new(block)),
        };
        place(index).map_err(|Malformed(reason)| self.table.damaged(partition.index, reason))?;
        if !index.is_valid() {
            self.data = None;
        }
        Ok(index.is_valid())
    }

    /// Opens the block that the index is on.
    fn enter_block(
        &mut self,
        place: impl FnOnce(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<()> {
        let entry = self.index.as_ref().filter(|index| index.is_valid());
        let Some(mut entry) = entry.and_then(BlockCursor::value) else {
            self.data = None;
            return Ok(());
        };
        let handle = Handle::decode(&mut entry)
            .ok_or_else(|| damaged(&self.table, Malformed("an index entry is none")))?;
        let block = match self.access {
            Access::Cached => self.table.block(handle)?,
            Access::Streaming => self.stream(handle)?,
        };
        let data = match &mut self.data {
            Some(data) => {
                data.reset(block);
                data
            }
            none => none.insert(BlockCursor::new(block)),
        };
        place(data).map_err(|Malformed(reason)| self.table.damaged(handle, reason))
    }

    /// Reads a block, and what follows it in the file.
    fn stream(&mut self, handle: Handle) -> Result<Arc<Block>> {
        let window = &mut self.window;
        let len = usize::try_from(handle.len).unwrap_or(usize::MAX);
        let within = |window: &Window| {
            let skip = usize::try_from(handle.offset.checked_sub(window.start)?).ok()?;
            Some(skip..skip.checked_add(len)?)
        };
        let have =
            |window: &Window| within(window).is_some_and(|range| window.bytes.get(range).is_some());
        if len > READ_AHEAD {
            let bytes = self.table.read(handle)?;
            return self.parse(handle, bytes);
        }
        if !have(window) {
            window.bytes = self.table.read_ahead(handle.offset, READ_AHEAD)?;
            window.start = handle.offset;
        }
        let bytes = within(window).and_then(|range| window.bytes.get(range));
        let bytes = bytes.ok_or_else(|| {
            self.table
                .damaged(handle, "a block runs over the table's end")
        })?;
        let bytes = self.table.open_block(handle, bytes)?;
        self.parse(handle, bytes)
    }

    fn parse(&self, handle: Handle, bytes: Vec<u8>) -> Result<Arc<Block>> {
        let block = Block::entries(bytes);
        block
            .map(Arc::new)
            .map_err(|Malformed(reason)| self.table.damaged(handle, reason))
    }
}

#[cold]
fn damaged(table: &Table, Malformed(reason): Malformed) -> Error {
    table.damaged(Handle::default(), reason)
}
