//! A table: an immutable file of sorted versions, opened for reading.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    block::{Block, Malformed},
    cache::BlockCache,
    filter,
    format::{
        self, FOOTER, FORMAT_VERSION, Footer, FooterError, Handle, Properties, TableIdentity,
    },
    space::{TableReads, TableSpace},
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    vfs::{OpenMode, VfsFile},
};

/// A table as a manifest lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableRecord {
    /// Its number, which is its name.
    pub(crate) number: u64,
    /// Random bits that its checksums cover.
    pub(crate) salt: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
}

/// A table. Its top index and its properties are in memory; filters, index partitions and data
/// go through the block cache.
pub(crate) struct Table {
    pub(super) space: Arc<TableSpace>,
    identity: TableIdentity,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    len: u64,
    top: Arc<Block>,
    properties: Properties,
    /// Whether no version lists it any more.
    obsolete: AtomicBool,
    trash: Arc<Mutex<Vec<PathBuf>>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("number", &self.identity.number)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            self.trash.lock().push(std::mem::take(&mut self.path));
        }
    }
}

/// A version that was found in a table.
#[derive(Clone, Debug)]
pub(super) struct TableVersion {
    pub(super) lsn: Lsn,
    block: Arc<Block>,
    value: Option<Range<usize>>,
}

impl TableVersion {
    /// The value, or `None` for a tombstone.
    #[inline]
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(|range| self.block.slice(range))
    }
}

/// The handles in an entry of the top index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition {
    pub(super) index: Handle,
    pub(super) filter: Handle,
}

impl Partition {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        self.index.encode(&mut bytes);
        self.filter.encode(&mut bytes);
        bytes
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Partition> {
        let partition = Partition {
            index: Handle::decode(&mut bytes)?,
            filter: Handle::decode(&mut bytes)?,
        };
        bytes.is_empty().then_some(partition)
    }
}

impl Table {
    /// Opens the table of a record.
    ///
    /// # Errors
    /// [`Error::Corrupt`] (also where the file is missing), [`Error::Version`], [`Error::Io`].
    pub(super) fn open(space: &Arc<TableSpace>, record: &TableRecord) -> Result<Table> {
        let path = space.path_of(record.number);
        let vfs = &space.env.vfs;
        let opened = match (space.options.direct, space.options.reads) {
            (true, _) => vfs.open_direct(&path, OpenMode::ReadOnly),
            (false, TableReads::Mapped) => vfs.open_mapped(&path),
            (false, TableReads::Positional) => vfs.open(&path, OpenMode::ReadOnly),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::corrupt(path, 0, "the table is missing"));
            }
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let len = file
            .len()
            .map_err(|error| Error::io("measure", &path, error))?;
        let footer_at = len.checked_sub(FOOTER as u64);
        let Some(footer_at) = footer_at.filter(|_| len == record.len) else {
            let reason = format!("the table has {len} bytes instead of {}", record.len);
            return Err(Error::corrupt(path, 0, reason));
        };
        let mut bytes = [0; FOOTER];
        file.read_exact_at(&mut bytes, footer_at)
            .map_err(|error| Error::io("read", &path, error))?;
        let footer = match Footer::decode(&bytes) {
            Ok(footer) => footer,
            Err(FooterError::Corrupt(reason)) => {
                return Err(Error::corrupt(path, footer_at, reason));
            }
            Err(FooterError::Version(found)) => {
                return Err(Error::Version {
                    path,
                    found,
                    supported: FORMAT_VERSION,
                });
            }
        };
        let identity = TableIdentity {
            number: record.number,
            salt: record.salt,
        };
        if footer.identity != identity {
            return Err(Error::corrupt(path, footer_at, "another table's file"));
        }
        let read = |handle: Handle| read_block(&*file, &path, footer_at, identity, handle);
        let top_at = footer.top.offset;
        let top = Block::entries(read(footer.top)?)
            .map_err(|Malformed(reason)| Error::corrupt(&path, top_at, reason))?;
        let properties = Properties::decode(&read(footer.properties)?)
            .map_err(|reason| Error::corrupt(&path, footer.properties.offset, reason))?;
        Ok(Table {
            space: Arc::clone(space),
            identity,
            trash: space.trash(),
            path,
            file,
            len,
            top: Arc::new(top),
            properties,
            obsolete: AtomicBool::new(false),
        })
    }

    /// How a manifest lists the table.
    pub(super) fn record(&self) -> TableRecord {
        TableRecord {
            number: self.identity.number,
            salt: self.identity.salt,
            len: self.len,
        }
    }

    /// Its name.
    pub(super) fn number(&self) -> u64 {
        self.identity.number
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What it says about itself.
    pub(super) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The top index.
    pub(super) fn top(&self) -> &Arc<Block> {
        &self.top
    }

    /// Says that no version lists the table any more: when its last reader and the durable
    /// checkpoint let go of it, its file goes.
    pub(super) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// Whether `key` is between the first and the last.
    #[inline]
    pub(super) fn spans(&self, key: &[u8]) -> bool {
        self.properties.first_key.as_slice() <= key && key <= self.properties.last_key.as_slice()
    }

    /// An error for damage in the block at `handle`.
    #[cold]
    pub(super) fn damaged(&self, handle: Handle, reason: &str) -> Error {
        Error::corrupt(&self.path, handle.offset, reason)
    }

    fn cached(
        &self,
        handle: Handle,
        parse: impl FnOnce(Vec<u8>) -> Result<Block, Malformed>,
    ) -> Result<Arc<Block>> {
        let cache: &BlockCache = &self.space.cache;
        let key = (self.identity.number, handle.offset);
        if let Some(block) = cache.get(key) {
            return Ok(block);
        }
        let bytes = self.read(handle)?;
        let block = parse(bytes).map_err(|Malformed(reason)| self.damaged(handle, reason))?;
        let block = Arc::new(block);
        cache.insert(key, &block);
        Ok(block)
    }

    /// Reads a block from the file.
    pub(super) fn read(&self, handle: Handle) -> Result<Vec<u8>> {
        let end = self.len - FOOTER as u64;
        read_block(&*self.file, &self.path, end, self.identity, handle)
    }

    /// Reads bytes that are not one block, up to the footer; for [`Table::open_block`].
    pub(super) fn read_ahead(&self, offset: u64, wanted: usize) -> Result<Vec<u8>> {
        let left = (self.len - FOOTER as u64).saturating_sub(offset);
        let mut bytes = vec![0; left.min(wanted as u64) as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| read_error(&self.path, offset, error))?;
        Ok(bytes)
    }

    /// The payload of a block whose bytes have been read.
    pub(super) fn open_block(&self, handle: Handle, bytes: &[u8]) -> Result<Vec<u8>> {
        format::open_block(self.identity, handle.offset, bytes.to_vec())
            .map_err(|reason| Error::corrupt(&self.path, handle.offset, reason))
    }

    /// A block of versions or of an index, through the cache.
    #[inline]
    pub(super) fn block(&self, handle: Handle) -> Result<Arc<Block>> {
        self.cached(handle, Block::entries)
    }

    /// A filter, through the cache.
    #[inline]
    pub(super) fn filter(&self, handle: Handle) -> Result<Arc<Block>> {
        self.cached(handle, |bytes| Ok(Block::filter(bytes)))
    }

    /// The newest version of `key` at or below `at`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn find(&self, key: &[u8], at: Lsn) -> Result<Option<TableVersion>> {
        let place = |handle: Handle| move |Malformed(reason)| (handle, reason);
        let damaged = |(handle, reason): (Handle, &str)| self.damaged(handle, reason);
        let nowhere = Handle::default();
        let top = &self.top;
        let found = top.find(key, at).map_err(place(nowhere)).map_err(damaged)?;
        let Some(partition) = found.and_then(|found| found.value) else {
            return Ok(None);
        };
        let partition = Partition::decode(top.slice(&partition));
        let partition =
            partition.ok_or_else(|| self.damaged(nowhere, "an entry of the top index is none"))?;
        let filter = self.filter(partition.filter)?;
        match filter::may_contain(self.properties.filter_kind, filter.bytes(), key) {
            Some(true) => {}
            Some(false) => {
                let key = (self.identity.number, partition.filter.offset);
                self.space.cache.note_filtered(key);
                return Ok(None);
            }
            None => return Err(self.damaged(partition.filter, "a filter is none")),
        }
        let index = self.block(partition.index)?;
        let found = index.find(key, at);
        let found = found.map_err(place(partition.index)).map_err(damaged)?;
        let Some(mut handle) = found
            .as_ref()
            .and_then(|found| found.value.as_ref())
            .map(|range| index.slice(range))
        else {
            return Ok(None);
        };
        let handle = Handle::decode(&mut handle)
            .ok_or_else(|| self.damaged(partition.index, "an index entry is none"))?;
        let block = self.block(handle)?;
        let found = block
            .find(key, at)
            .map_err(place(handle))
            .map_err(damaged)?;
        Ok(found
            .filter(|found| found.same_key)
            .map(|found| TableVersion {
                lsn: found.lsn,
                value: found.value,
                block,
            }))
    }
}

fn read_error(path: &Path, offset: u64, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        Error::corrupt(path, offset, "the table ends before a block does")
    } else {
        Error::io("read", path, error)
    }
}

/// Reads and checks a block that must end at or before `end`.
fn read_block(
    file: &dyn VfsFile,
    path: &Path,
    end: u64,
    identity: TableIdentity,
    handle: Handle,
) -> Result<Vec<u8>> {
    let fits = handle
        .offset
        .checked_add(handle.len)
        .is_some_and(|block_end| block_end <= end);
    let len = usize::try_from(handle.len).ok().filter(|_| fits);
    let Some(len) = len else {
        let reason = "a block runs over the table's end";
        return Err(Error::corrupt(path, handle.offset, reason));
    };
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, handle.offset)
        .map_err(|error| read_error(path, handle.offset, error))?;
    format::open_block(identity, handle.offset, bytes)
        .map_err(|reason| Error::corrupt(path, handle.offset, reason))
}
