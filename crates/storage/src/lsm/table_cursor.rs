//! Walking one table, both ways.

use std::sync::Arc;

use super::{
    block::{BlockCursor, Malformed},
    block_reader::BlockReader,
    format::Handle,
    table::Table,
};
use crate::{
    cursor::VersionRef,
    error::{Error, Result},
    lsn::Lsn,
};

/// Walks the versions of a table in their order or in reverse.
#[derive(Debug)]
pub(super) struct TableCursor {
    table: Arc<Table>,
    reader: BlockReader,
    /// The number of the partition that `index` is on.
    partition: usize,
    /// On the partition and the block that `data` is from.
    index: Option<BlockCursor>,
    data: Option<BlockCursor>,
}

impl TableCursor {
    /// On no version yet. Blocks come from `reader`.
    pub(super) fn new(table: &Arc<Table>, reader: BlockReader) -> TableCursor {
        TableCursor {
            table: Arc::clone(table),
            reader,
            partition: 0,
            index: None,
            data: None,
        }
    }

    /// Its reader, for the next table on the way.
    pub(super) fn into_reader(self) -> BlockReader {
        let mut reader = self.reader;
        reader.leave_table();
        reader
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
        let partition = self.table.partitions().reaching(key, lsn);
        let partition = partition.map_err(|error| damaged(&self.table, error))?;
        if !self.enter_partition(Some(partition), |index| index.seek(key, lsn))? {
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
        if self.enter_partition(Some(0), BlockCursor::first)? {
            self.enter_block(BlockCursor::first)?;
        }
        Ok(())
    }

    /// Goes to the last version.
    pub(super) fn last(&mut self) -> Result<()> {
        let last = self.table.partitions().len().checked_sub(1);
        if self.enter_partition(last, BlockCursor::last)? {
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
        let before = self.partition.checked_sub(1);
        if self.enter_partition(before, BlockCursor::last)? {
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
        let next = self.partition + 1;
        if self.enter_partition(Some(next), BlockCursor::first)? {
            return self.enter_block(BlockCursor::first);
        }
        self.data = None;
        Ok(())
    }

    /// Opens the partition of a number; false where there is none.
    fn enter_partition(
        &mut self,
        number: Option<usize>,
        place: impl FnOnce(&mut BlockCursor) -> Result<(), Malformed>,
    ) -> Result<bool> {
        let table = &self.table;
        let found = number.and_then(|number| Some((number, table.partitions().get(number)?)));
        let Some((number, partition)) = found else {
            self.data = None;
            return Ok(false);
        };
        let handle = partition.index;
        let block = table.index(number, handle)?;
        self.partition = number;
        let index = match &mut self.index {
            Some(index) => {
                index.reset(block);
                index
            }
            none => none.insert(BlockCursor::new(block)),
        };
        place(index).map_err(|Malformed(reason)| table.damaged(handle, reason))?;
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
        let block = self.reader.read(&self.table, handle)?;
        let data = match &mut self.data {
            Some(data) => {
                data.reset(block);
                data
            }
            none => none.insert(BlockCursor::new(block)),
        };
        place(data).map_err(|Malformed(reason)| self.table.damaged(handle, reason))
    }
}

#[cold]
fn damaged(table: &Table, Malformed(reason): Malformed) -> Error {
    table.damaged(Handle::default(), reason)
}
