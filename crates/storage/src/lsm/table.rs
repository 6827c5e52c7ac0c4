//! A table: an immutable file of sorted versions, opened for reading.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use super::{
    block::{Block, Malformed, Payload},
    buffers::Buffers,
    cache::{self, BlockCache, Loan},
    filter,
    format::{
        self, FOOTER, FORMAT_VERSION, Footer, FooterError, Handle, Properties, TableIdentity,
    },
    hash::Sought,
    kept::{Kept, Role},
    partitions::Partitions,
    space::{TableReads, TableSpace},
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    shared,
    sync::{Mutex, atomic::AtomicBool},
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
    kept: Arc<Kept>,
    /// Bytes of memory that the table takes beside what it keeps.
    bytes: usize,
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
        let cache = &self.space.cache;
        cache.note_released(self.kept.give_up());
        cache.note_closed(self.bytes);
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
        let buffers = space.cache.buffers();
        let read = |handle: Handle| read_block(&*file, &path, footer_at, identity, handle, buffers);
        let top_at = footer.top.offset;
        let partitions = Block::entries(read(footer.top)?)
            .and_then(Partitions::read)
            .map_err(|Malformed(reason)| Error::corrupt(&path, top_at, reason))?;
        let properties = Properties::decode(read(footer.properties)?.bytes())
            .map_err(|reason| Error::corrupt(&path, footer.properties.offset, reason))?;
        let kept = Kept::new(partitions.len());
        let bytes = size_of::<Table>() + partitions.bytes() + kept.bytes() + properties.bytes();
        space.cache.note_opened(bytes);
        Ok(Table {
            space: Arc::clone(space),
            identity,
            trash: space.trash(),
            path,
            file,
            len,
            kept: Arc::new(kept),
            bytes,
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
        if !may_evict && !cache.has_room(payload.bytes().len()) {
            cache.note_refused(key);
            return self.parse(handle, payload);
        }
        let block = self.parse(handle, payload.alone(cache.buffers()))?;
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
        let buffers = self.space.cache.buffers();
        read_block(&*self.file, &self.path, end, self.identity, handle, buffers)
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
        let buffers = self.space.cache.buffers();
        format::open_block(self.identity, handle.offset, bytes, range, buffers)
            .map_err(|reason| Error::corrupt(&self.path, handle.offset, reason))
    }

    /// A block of versions or of an index, through the cache.
    #[inline]
    pub(super) fn block(&self, handle: Handle) -> Result<Arc<Block>> {
        self.cached(handle, Block::entries)
    }

    /// The index of a part, for a cursor.
    pub(super) fn index(&self, number: usize, handle: Handle) -> Result<Arc<Block>> {
        let kept = self.kept.look().get(number, Role::Index).cloned();
        match kept {
            Some(kept) => Ok(kept),
            None => self.block(handle),
        }
    }

    /// A block that the table does not keep. From now on it does, if there is room.
    fn keep(
        &self,
        number: usize,
        role: Role,
        handle: Handle,
        parse: impl FnOnce(Payload) -> Result<Block, Malformed>,
    ) -> Result<Arc<Block>> {
        let found = self.cached(handle, parse)?;
        let cache = &self.space.cache;
        if cache.may_keep((self.identity.number, handle.offset), &found) {
            if !self.kept.keep(number, role, &found) {
                // Somebody else was faster.
                cache.note_released(cache::cost(&found));
            } else if self.kept.is_unknown() {
                cache.note_keeper(&self.kept);
            }
        }
        Ok(found)
    }

    /// Whether a key of that hash may be in a part, by the part's filter.
    #[inline]
    fn may_contain(&self, filter: &Block, handle: Handle, hash: u64) -> Result<bool> {
        let may = filter::may_contain(self.properties.filter_kind, filter.bytes(), hash);
        let may = may.ok_or_else(|| self.damaged(handle, "a filter is none"))?;
        if !may {
            self.space.cache.note_filtered();
        }
        Ok(may)
    }

    /// Where the block is that (`key`, `at`) would be in, by a part's index; `None` where that is
    /// behind the last one.
    #[inline]
    fn place_of(
        &self,
        index: &Block,
        handle: Handle,
        key: &[u8],
        at: Lsn,
    ) -> Result<Option<Handle>> {
        let found = index.find(key, at);
        let found = found.map_err(|Malformed(reason)| self.damaged(handle, reason))?;
        let Some(mut place) = found
            .as_ref()
            .and_then(|found| found.value.as_ref())
            .map(|range| index.slice(range))
        else {
            return Ok(None);
        };
        let place = Handle::decode(&mut place);
        let place = place.ok_or_else(|| self.damaged(handle, "an index entry is none"))?;
        Ok(Some(place))
    }

    /// The newest version of a key at or below `at`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(super) fn find(&self, sought: Sought<'_>, at: Lsn) -> Result<Option<TableVersion>> {
        let Sought { key, hash } = sought;
        let number = self.partitions.reaching(key, at);
        let number = number.map_err(|Malformed(reason)| self.damaged(Handle::default(), reason))?;
        let Some(part) = self.partitions.get(number) else {
            return Ok(None);
        };
        // First what the table keeps, of which nothing is read while it is being looked at.
        let kept = self.kept.look();
        let may = kept.get(number, Role::Filter);
        let may = may.map(|filter| self.may_contain(filter, part.filter, hash));
        let may = may.transpose()?;
        let place = match may {
            Some(true) => kept.get(number, Role::Index),
            Some(false) | None => None,
        };
        let place = place.map(|index| self.place_of(index, part.index, key, at));
        let place = place.transpose()?;
        drop(kept);
        let may = match may {
            Some(may) => may,
            None => {
                let parse = |payload| Ok(Block::filter(payload));
                let filter = self.keep(number, Role::Filter, part.filter, parse)?;
                self.may_contain(&filter, part.filter, hash)?
            }
        };
        if !may {
            return Ok(None);
        }
        let place = match place {
            Some(place) => place,
            None => {
                // Looked up on its own: what is kept may be given up while it is read.
                let kept = self.kept.look().get(number, Role::Index).cloned();
                let index = match kept {
                    Some(kept) => kept,
                    None => self.keep(number, Role::Index, part.index, Block::entries)?,
                };
                self.place_of(&index, part.index, key, at)?
            }
        };
        let Some(handle) = place else {
            return Ok(None);
        };
        let block = self.block(handle)?;
        let found = block.find(key, at);
        let found = found.map_err(|Malformed(reason)| self.damaged(handle, reason))?;
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
    buffers: &Buffers,
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
    let mut bytes = buffers.take(len);
    file.read_exact_at(&mut Arc::make_mut(&mut bytes)[..len], handle.offset)
        .map_err(|error| read_error(path, handle.offset, error))?;
    let payload = format::open_block(identity, handle.offset, &bytes, 0..len, buffers)
        .map_err(|reason| Error::corrupt(path, handle.offset, reason))?;
    // Where the block was compressed, it is elsewhere now.
    buffers.give(bytes);
    Ok(payload)
}
