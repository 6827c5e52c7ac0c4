//! How a cursor comes by the blocks of tables, one after the other.
//!
//! A cursor that goes from block to block reads many at once: into a window, which grows from one
//! read to the next, as it is unknown how far the cursor will go. What is cached is taken from
//! there. What a short scan reads, is cached for the next one; what a long one reads, only where
//! nothing else has to leave for it.

use std::{ops::Range, sync::Arc};

use super::{
    block::{Block, Payload},
    cache::Loan,
    format::Handle,
    table::Table,
};
use crate::{error::Result, store::Direction};

/// How a cursor reads blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Through the block cache.
    Cached,
    /// Past it, many at once: for work that reads whole tables once.
    Streaming,
}

/// Blocks in a row before the first that is read with a window.
const PATIENCE: u32 = 2;
/// Bytes of a scan's first window, and of its largest.
const FIRST_WINDOW: usize = 16 << 10;
const LARGEST_WINDOW: usize = 256 << 10;
/// The largest window whose blocks push others out of the cache.
const CACHED_WINDOW: usize = 64 << 10;
/// Bytes of something else that may lie between blocks in a row: filters and indexes.
const GAP: u64 = 64 << 10;

/// A part of a file that has been read.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Arc<[u8]>,
}

impl Window {
    /// Where a block is in it, if it is.
    fn place_of(&self, handle: Handle) -> Option<Range<usize>> {
        let skip = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        let end = skip.checked_add(usize::try_from(handle.len).ok()?)?;
        (end <= self.bytes.len()).then_some(skip..end)
    }
}

/// Reads the blocks that a cursor comes to.
#[derive(Debug)]
pub(super) struct BlockReader {
    access: Access,
    window: Window,
    /// Memory for the window; its size is that of the last one.
    loan: Option<Loan>,
    /// The block before, if it is of the same table.
    last: Option<Handle>,
    /// Where the cursor goes, and blocks that it has come to on that way.
    direction: Direction,
    in_a_row: u32,
}

impl BlockReader {
    pub(super) fn new(access: Access, direction: Direction) -> BlockReader {
        BlockReader {
            access,
            window: Window::default(),
            loan: None,
            last: None,
            direction,
            in_a_row: 0,
        }
    }

    /// Goes on with the next table on the way.
    pub(super) fn leave_table(&mut self) {
        self.window = Window::default();
        self.last = None;
    }

    /// Reads the block that the cursor has come to.
    pub(super) fn read(&mut self, table: &Table, handle: Handle) -> Result<Arc<Block>> {
        match self.access {
            Access::Streaming => self.stream(table, handle),
            Access::Cached => self.scan(table, handle),
        }
    }

    fn stream(&mut self, table: &Table, handle: Handle) -> Result<Arc<Block>> {
        let size = table.space.options.window_bytes;
        if handle.len > size as u64 {
            return table.parse(handle, table.read(handle)?);
        }
        let payload = self.through_window(table, handle, size)?;
        table.parse(handle, payload)
    }

    fn scan(&mut self, table: &Table, handle: Handle) -> Result<Arc<Block>> {
        self.note(handle);
        if self.in_a_row <= PATIENCE {
            return table.block(handle);
        }
        if let Some(block) = table.cached_block(handle) {
            return Ok(block);
        }
        if self.window.place_of(handle).is_none() {
            self.widen(table);
        }
        let size = self.loan.as_ref().map_or(0, Loan::bytes);
        if handle.len > size as u64 {
            return table.block(handle);
        }
        let payload = self.through_window(table, handle, size)?;
        table.offer(handle, payload, size <= CACHED_WINDOW)
    }

    /// Counts the blocks in a row.
    fn note(&mut self, handle: Handle) {
        let is_next = match (self.last.replace(handle), self.direction) {
            // The first of a table goes on with the row of the one before.
            (None, _) => true,
            (Some(last), Direction::Forward) => is_behind(last, handle),
            (Some(last), Direction::Backward) => is_behind(handle, last),
        };
        self.in_a_row = match is_next {
            true => self.in_a_row.saturating_add(1),
            false => 1,
        };
    }

    /// Has memory for a larger window than the last one, if there is any.
    fn widen(&mut self, table: &Table) {
        match &mut self.loan {
            Some(loan) => {
                loan.grow_to((2 * loan.bytes()).min(LARGEST_WINDOW));
            }
            None => self.loan = table.lend(FIRST_WINDOW),
        }
    }

    /// The payload of a block from the window, which is read anew where it does not hold it.
    fn through_window(&mut self, table: &Table, handle: Handle, size: usize) -> Result<Payload> {
        let range = match self.window.place_of(handle) {
            Some(range) => Some(range),
            None => {
                let start = match self.direction {
                    Direction::Forward => handle.offset,
                    Direction::Backward => handle.end().saturating_sub(size as u64),
                };
                self.window = Window {
                    start,
                    bytes: table.read_ahead(start, size)?,
                };
                self.window.place_of(handle)
            }
        };
        let range =
            range.ok_or_else(|| table.damaged(handle, "a block runs over the table's end"))?;
        table.open_block(handle, &self.window.bytes, range)
    }
}

/// Whether `b` lies behind `a`, with little in between.
fn is_behind(a: Handle, b: Handle) -> bool {
    b.offset.checked_sub(a.end()).is_some_and(|gap| gap <= GAP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::Codec,
        cursor::VersionRef,
        lsm::{block::BlockCursor, tests::space, writer::TableWriter},
        lsn::Lsn,
        vfs_memory::MemoryVfs,
    };

    fn table(codec: Codec) -> Arc<Table> {
        let mut writer = TableWriter::create(&space(&MemoryVfs::new(), codec), 1).unwrap();
        for number in 0..600_u32 {
            let version = VersionRef {
                key: &number.to_be_bytes(),
                lsn: Lsn(1),
                value: Some(&[3; 60]),
            };
            writer.add(version).unwrap();
        }
        writer.finish().unwrap()
    }

    fn handles(table: &Table) -> Vec<Handle> {
        let mut handles = Vec::new();
        for number in 0..table.partitions().len() {
            let partition = table.partitions().get(number).unwrap();
            let mut index = BlockCursor::new(table.index(number, partition.index).unwrap());
            index.first().unwrap();
            while index.is_valid() {
                handles.push(Handle::decode(&mut index.value().unwrap()).unwrap());
                index.next().unwrap();
            }
        }
        handles
    }

    #[test]
    fn work_on_whole_tables_shares_what_it_has_read() {
        let table = table(Codec::None);
        let handles = handles(&table);
        let before = table.space.cache.statistics();
        let mut reader = BlockReader::new(Access::Streaming, Direction::Forward);
        let window = table.len() as usize - crate::lsm::format::FOOTER;
        for handle in handles.iter().skip(1) {
            let block = reader.read(&table, *handle).unwrap();
            assert_eq!(block.memory(), window - handles[1].offset as usize);
        }
        // The cache is not asked, and given nothing.
        assert_eq!(table.space.cache.statistics(), before);
    }

    /// Two blocks are read singly, the others with a window, and all are cached without it.
    #[test]
    fn a_scan_reads_ahead_after_two_blocks() {
        for codec in [Codec::None, Codec::Lz4] {
            for direction in [Direction::Forward, Direction::Backward] {
                let table = table(codec);
                let mut handles = handles(&table);
                if direction == Direction::Backward {
                    handles.reverse();
                }
                let mut reader = BlockReader::new(Access::Cached, direction);
                for (number, handle) in handles.iter().enumerate() {
                    let block = reader.read(&table, *handle).unwrap();
                    assert!(block.memory() < 400, "{}", block.memory());
                    assert!(table.cached_block(*handle).is_some());
                    let size = reader.loan.as_ref().map(Loan::bytes);
                    assert_eq!(size, (number >= 2).then_some(FIRST_WINDOW));
                }
                // All the memory that there is for that.
                assert!(table.lend(1).is_none());
                drop(reader);
                assert!(table.lend(FIRST_WINDOW).is_some());
            }
        }
    }

    /// Who jumps about does not read ahead, and neither does anybody without memory for it.
    #[test]
    fn only_what_is_in_a_row_is_read_ahead() {
        let table = table(Codec::None);
        let handles = handles(&table);
        let mut reader = BlockReader::new(Access::Cached, Direction::Forward);
        for handle in handles.iter().rev().step_by(3) {
            reader.read(&table, *handle).unwrap();
            assert!(reader.loan.is_none());
        }
        let all = table.lend(FIRST_WINDOW).unwrap();
        for handle in &handles {
            let block = reader.read(&table, *handle).unwrap();
            assert!(block.memory() < 400);
        }
        assert!(reader.loan.is_none());
        drop(all);
    }
}
