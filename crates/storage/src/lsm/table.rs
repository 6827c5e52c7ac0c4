//! A table: an immutable file of sorted versions, opened for reading.

use std::{
    fmt,
    ops::{Deref, Range},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    block::{Block, Malformed, Payload},
    cache::{BlockCache, Loan},
    filter,
    format::{
        self, FOOTER, FORMAT_VERSION, Footer, FooterError, Handle, Properties, TableIdentity,
    },
    hash::Sought,
    partitions::{Keepable, Partitions},
    space::{TableReads, TableSpace},
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    shared,
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
    /// The commit that made its versions visible, where they were staged; zero for others.
    pub(crate) staged: Lsn,
}

/// A table. Its top index and its properties are in memory, and so are filters and index partitions
/// as far as there is room; what else there is goes through the block cache.
pub(crate) struct Table {
    pub(super) space: Arc<TableSpace>,
    identity: TableIdentity,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    len: u64,
    partitions: Partitions,
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
        for block in self.partitions.kept() {
            self.space.cache.note_released(block);
        }
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

/// A block that its table keeps, or its reader.
#[derive(Debug)]
enum HeldBlock<'a> {
    Table(&'a Block),
    Reader(Arc<Block>),
}

impl Deref for HeldBlock<'_> {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        match self {
            HeldBlock::Table(block) => block,
            HeldBlock::Reader(block) => block,
        }
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
        let partitions = Block::entries(read(footer.top)?)
            .and_then(Partitions::read)
            .map_err(|Malformed(reason)| Error::corrupt(&path, top_at, reason))?;
        let properties = Properties::decode(read(footer.properties)?.bytes())
            .map_err(|reason| Error::corrupt(&path, footer.properties.offset, reason))?;
        Ok(Table {
            space: Arc::clone(space),
            identity,
            trash: space.trash(),
            path,
            file,
            len,
            partitions,
            properties,
            obsolete: AtomicBool::new(false),
        })
    }

    /// How a manifest lists the table, whose versions commit `staged` has made visible, if it is
    /// not zero.
    pub(super) fn record(&self, staged: Lsn) -> TableRecord {
        TableRecord {
            number: self.identity.number,
            salt: self.identity.salt,
            len: self.len,
            staged,
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

    /// Its parts.
    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Says that no version lists the table any more: when its last reader and the durable
    /// checkpoint let go of it, its file goes.
    pub(super) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// An error for damage in the block at `handle`.
    #[cold]
    pub(super) fn damaged(&self, handle: Handle, reason: &str) -> Error {
        Error::corrupt(&self.path, handle.offset, reason)
    }

    fn cached(
        &self,
        handle: Handle,
        parse: impl FnOnce(Payload) -> Result<Block, Malformed>,
    ) -> Result<Arc<Block>> {
        let cache: &BlockCache = &self.space.cache;
        let key = (self.identity.number, handle.offset);
        if let Some(block) = cache.get(key) {
            return Ok(block);
        }
        let payload = self.read(handle)?;
        let block = parse(payload).map_err(|Malformed(reason)| self.damaged(handle, reason))?;
        let block = Arc::new(block);
        cache.insert(key, &block);
        Ok(block)
    }

    /// A block of versions, from its payload.
    pub(super) fn parse(&self, handle: Handle, payload: Payload) -> Result<Arc<Block>> {
        let block = Block::entries(payload);
        block
            .map(Arc::new)
            .map_err(|Malformed(reason)| self.damaged(handle, reason))
    }

    /// A block that the cache holds.
    pub(super) fn cached_block(&self, handle: Handle) -> Option<Arc<Block>> {
        self.space.cache.get((self.identity.number, handle.offset))
    }

    /// As [`Table::parse`], of a part of something larger. The block is cached, for which others may
    /// have to leave or not.
    pub(super) fn offer(
        &self,
        handle: Handle,
        payload: Payload,
        may_evict: bool,
    ) -> Result<Arc<Block>> {
        let cache = &self.space.cache;
        let key = (self.identity.number, handle.offset);
        if !may_evict && !cache.has_room(key, payload.bytes().len()) {
            return self.parse(handle, payload);
        }
        let block = self.parse(handle, payload.alone())?;
        cache.insert(key, &block);
        Ok(block)
    }

    /// Memory for what is read ahead, if there is any.
    pub(super) fn lend(&self, bytes: usize) -> Option<Loan> {
        BlockCache::lend(&self.space.cache, bytes)
    }

    /// Reads a block from the file.
    pub(super) fn read(&self, handle: Handle) -> Result<Payload> {
        let end = self.len - FOOTER as u64;
        read_block(&*self.file, &self.path, end, self.identity, handle)
    }

    /// Reads bytes that are not one block, up to the footer; for [`Table::open_block`].
    pub(super) fn read_ahead(&self, offset: u64, wanted: usize) -> Result<Arc<[u8]>> {
        let left = (self.len - FOOTER as u64).saturating_sub(offset);
        let mut bytes = shared::zeroed(left.min(wanted as u64) as usize);
        self.file
            .read_exact_at(Arc::make_mut(&mut bytes), offset)
            .map_err(|error| read_error(&self.path, offset, error))?;
        Ok(bytes)
    }

    /// The payload of a block that lies in a part of what has been read.
    pub(super) fn open_block(
        &self,
        handle: Handle,
        bytes: &Arc<[u8]>,
        range: Range<usize>,
    ) -> Result<Payload> {
        format::open_block(self.identity, handle.offset, bytes, range)
            .map_err(|reason| Error::corrupt(&self.path, handle.offset, reason))
    }

    /// A block of versions or of an index, through the cache.
    #[inline]
    pub(super) fn block(&self, handle: Handle) -> Result<Arc<Block>> {
        self.cached(handle, Block::entries)
    }

    /// An index partition, for a cursor.
    pub(super) fn index(&self, index: &Keepable) -> Result<Arc<Block>> {
        match index.kept.get() {
            Some(kept) => Ok(Arc::clone(kept)),
            None => self.block(index.handle),
        }
    }

    /// A block that is kept from now on, if there is room.
    #[inline]
    fn kept<'a>(
        &'a self,
        block: &'a Keepable,
        parse: impl FnOnce(Payload) -> Result<Block, Malformed>,
    ) -> Result<HeldBlock<'a>> {
        match block.kept.get() {
            Some(kept) => Ok(HeldBlock::Table(kept)),
            None => self.keep(block, parse).map(HeldBlock::Reader),
        }
    }

    fn keep(
        &self,
        block: &Keepable,
        parse: impl FnOnce(Payload) -> Result<Block, Malformed>,
    ) -> Result<Arc<Block>> {
        let found = self.cached(block.handle, parse)?;
        let key = (self.identity.number, block.handle.offset);
        if self.space.cache.may_keep(key, &found) && block.kept.set(Arc::clone(&found)).is_err() {
            // Somebody else was faster.
            self.space.cache.note_released(&found);
        }
        Ok(found)
    }

    /// The newest version of a key at or below `at`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn find(&self, sought: Sought<'_>, at: Lsn) -> Result<Option<TableVersion>> {
        let Sought { key, hash } = sought;
        let place = |handle: Handle| move |Malformed(reason)| (handle, reason);
        let damaged = |(handle, reason): (Handle, &str)| self.damaged(handle, reason);
        let nowhere = Handle::default();
        let number = self.partitions.reaching(key, at);
        let number = number.map_err(place(nowhere)).map_err(damaged)?;
        let Some(partition) = self.partitions.get(number) else {
            return Ok(None);
        };
        let filter = self.kept(&partition.filter, |payload| Ok(Block::filter(payload)))?;
        match filter::may_contain(self.properties.filter_kind, filter.bytes(), hash) {
            Some(true) => {}
            Some(false) => {
                self.space.cache.note_filtered();
                return Ok(None);
            }
            None => return Err(self.damaged(partition.filter.handle, "a filter is none")),
        }
        let index = self.kept(&partition.index, Block::entries)?;
        let index_at = partition.index.handle;
        let found = index.find(key, at);
        let found = found.map_err(place(index_at)).map_err(damaged)?;
        let Some(mut handle) = found
            .as_ref()
            .and_then(|found| found.value.as_ref())
            .map(|range| index.slice(range))
        else {
            return Ok(None);
        };
        let handle = Handle::decode(&mut handle)
            .ok_or_else(|| self.damaged(index_at, "an index entry is none"))?;
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
) -> Result<Payload> {
    let fits = handle
        .offset
        .checked_add(handle.len)
        .is_some_and(|block_end| block_end <= end);
    let len = usize::try_from(handle.len).ok().filter(|_| fits);
    let Some(len) = len else {
        let reason = "a block runs over the table's end";
        return Err(Error::corrupt(path, handle.offset, reason));
    };
    let mut bytes = shared::zeroed(len);
    file.read_exact_at(Arc::make_mut(&mut bytes), handle.offset)
        .map_err(|error| read_error(path, handle.offset, error))?;
    format::open_block(identity, handle.offset, &bytes, 0..len)
        .map_err(|reason| Error::corrupt(path, handle.offset, reason))
}
