//! The page store's face: pages held for reading and writing, allocated and freed.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{
    chain,
    checkpoint::CheckpointState,
    chunked::ChunkedArray,
    delta::{self, Change, Deltas},
    file::PageFile,
    guard::{PageMut, PageRef},
    huge,
    image::{IMAGE_HEADER, Location},
    options::PageStoreOptions,
    pool::{Body, Frame, Pool},
    space::Space,
    table,
    waits::NamedWaits,
};
use crate::{
    caches::Caches,
    error::{Error, Result},
    sync::{
        Mutex, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
    waits::Waits,
};

/// Names a logical page; it stays the same wherever the page is on disk. Never 0 for a page,
/// so that a tree may use 0 as "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageId(pub(crate) u32);

/// See [`PageStore::era`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// What is known about a page id.
#[derive(Debug, Default)]
pub(super) struct PageEntry {
    /// The frame that holds the page, plus one; 0 where it is not in memory. Set by whoever
    /// brings the page in, and reset under the frame's exclusive latch.
    pub(super) frame: AtomicU32,
    /// Where the durable checkpoint has the page ([`Location::to_words`]). Used only under
    /// the page's shard lock, which is what orders the two halves.
    durable: [AtomicU64; 2],
}

impl PageEntry {
    pub(super) fn durable(&self) -> Option<Location> {
        let [first, second] = &self.durable;
        let words = (
            first.load(Ordering::Relaxed),
            second.load(Ordering::Relaxed),
        );
        Location::from_words(words.0, words.1).ok().flatten()
    }

    pub(super) fn set_durable(&self, location: Option<Location>) {
        let (first, second) = Location::to_words(location);
        self.durable[0].store(first, Ordering::Relaxed);
        self.durable[1].store(second, Ordering::Relaxed);
    }
}

/// Counters that are not kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) misses: AtomicU64,
    pub(super) read_ahead: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) eviction_writes: AtomicU64,
    pub(super) checkpoint_writes: AtomicU64,
    pub(super) checkpoints: AtomicU64,
}

/// Logical pages over one data file. Shared behind an `Arc`.
///
/// Lock order: frame latches (in the order their user defines) → shard lock → slots. The
/// pool's policy lock and the list of free ids are taken alone. Bringing a page in never waits
/// for a latch while one is held: victims are only tried.
#[derive(Debug)]
pub(crate) struct PageStore {
    pub(super) options: PageStoreOptions,
    pub(super) read_only: bool,
    pub(super) salt: u64,
    pub(super) file: PageFile,
    pub(super) pages: ChunkedArray<PageEntry>,
    pub(super) pool: Pool,
    pub(super) deltas: Deltas,
    /// The current epoch; the shards of `deltas` repeat it.
    pub(super) epoch: AtomicU64,
    pub(super) space: Space,
    /// Ids below this have been used.
    pub(super) next_id: AtomicU32,
    /// Ids below it that are free.
    pub(super) free_ids: Mutex<BTreeSet<u32>>,
    pub(super) counters: Counters,
    /// Whether a frozen checkpoint has not been written yet.
    pub(super) frozen: AtomicBool,
    /// Whether the checkpoint found at opening is known to be durable.
    pub(super) settled: AtomicBool,
    /// Links of the last metadata chain.
    pub(super) metadata_links: AtomicU32,
    pub(super) checkpoint: Mutex<CheckpointState>,
}

/// Counters of a page store, since it was opened unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolStats {
    /// Reads and writes of pages that were in memory (roughly).
    pub(crate) hits: u64,
    /// Pages read from disk.
    pub(crate) misses: u64,
    /// Pages that the system was asked for before they were read.
    pub(crate) read_ahead: u64,
    /// Pages that left the cache for others.
    pub(crate) evictions: u64,
    /// Page images written before a checkpoint, to make room.
    pub(crate) eviction_writes: u64,
    /// Page images written by checkpoints.
    pub(crate) checkpoint_writes: u64,
    /// Bytes of page images in memory now.
    pub(crate) cached_bytes: usize,
    /// Bytes of the process's memory in huge pages, where the cache is to be there.
    pub(crate) huge_bytes: u64,
    /// Bytes that the cache may hold.
    pub(crate) cache_limit: usize,
    /// Bytes that the next checkpoint has to write.
    pub(crate) dirty_bytes: usize,
    /// Pages allocated now.
    pub(crate) pages: u64,
    /// The data file's length.
    pub(crate) file_bytes: u64,
    /// Bytes of it that hold nothing.
    pub(crate) free_bytes: u64,
    /// Checkpoints written.
    pub(crate) checkpoints: u64,
}

/// Room in the data file kept for changes to come, until it is dropped.
#[derive(Debug)]
pub(crate) struct SpaceReservation<'a> {
    store: &'a PageStore,
    pages: usize,
}

impl Drop for SpaceReservation<'_> {
    fn drop(&mut self) {
        self.store.space.unreserve(self.pages);
    }
}

impl PageStore {
    /// Bytes of a page that its user may fill.
    #[inline]
    pub(crate) fn payload_size(&self) -> usize {
        self.options.page_size.bytes() - IMAGE_HEADER
    }

    /// The memory that pages share with cached blocks of tables.
    pub(crate) fn caches(&self) -> &Arc<Caches> {
        self.pool.caches()
    }

    /// The data file, for errors about what is in a page.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// An error saying that what is in page `id` makes no sense.
    pub(crate) fn corrupt_page(&self, id: PageId, reason: impl std::fmt::Display) -> Error {
        let offset = self
            .location(id)
            .ok()
            .flatten()
            .map_or(0, |location| location.offset());
        Error::corrupt(self.path(), offset, format!("page {}: {reason}", id.0))
    }

    /// Holds page `id` for reading.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where there is no such page or its image does not verify,
    /// [`Error::Io`].
    #[inline]
    pub(crate) fn read(&self, id: PageId) -> Result<PageRef<'_>> {
        match self.read_cached(id) {
            Some(page) => Ok(page),
            None => self.read_slowly(id),
        }
    }

    /// Holds page `id` for reading where that takes no waiting: it is in memory, and nobody
    /// changes it.
    #[inline]
    fn read_cached(&self, id: PageId) -> Option<PageRef<'_>> {
        let (frame, _) = self.cached(id)?;
        let body = frame.latch.try_read()?;
        if body.page != id {
            return None;
        }
        frame.touch();
        Some(PageRef::new(body))
    }

    /// As [`PageStore::read`] of a page that existed in `era`; `None` where it may have been given
    /// back since and belong to somebody else by now, or is not at hand.
    #[inline]
    pub(crate) fn read_again(&self, id: PageId, era: Era) -> Option<PageRef<'_>> {
        let page = self.read_cached(id)?;
        (self.era() == era).then_some(page)
    }

    /// The time in which no page that exists now becomes another one: an id that is given back
    /// is used again only after a checkpoint, which begins by ending the epoch. To be asked for with
    /// the page, or one that refers to it, held.
    #[inline]
    pub(crate) fn era(&self) -> Era {
        Era(self.epoch.load(Ordering::Acquire))
    }

    #[cold]
    fn read_slowly(&self, id: PageId) -> Result<PageRef<'_>> {
        loop {
            if let Some((frame, index)) = self.cached(id) {
                let Some(body) = self.wait(id, index, || frame.latch.try_read_for(PATIENCE)) else {
                    continue;
                };
                if body.page == id {
                    frame.touch();
                    return Ok(PageRef::new(body));
                }
            } else if let Some((_, body)) = self.bring_in(id)? {
                return Ok(PageRef::brought_in(RwLockWriteGuard::downgrade(body)));
            }
        }
    }

    /// Holds page `id` for writing, and counts it as changed.
    ///
    /// # Errors
    /// As [`PageStore::read`]; [`Error::Poisoned`]; [`Error::Io`] with `StorageFull` where the
    /// file has no room for the change, which leaves everything as it was.
    pub(crate) fn write(&self, id: PageId) -> Result<PageMut<'_>> {
        let (index, mut body) = self.hold(id)?;
        let frame = self.frame(index);
        if frame.dirty_epoch.load(Ordering::Relaxed) != self.epoch.load(Ordering::Relaxed) {
            self.begin_change(id, frame, &mut body)?;
        }
        Ok(PageMut::new(index, body))
    }

    /// Holds page `id` to give it to [`PageStore::free`], and for nothing else: a change might
    /// be lost. Needs no room in the file, so it works on a full disk.
    ///
    /// # Errors
    /// As [`PageStore::read`]; [`Error::Poisoned`].
    pub(crate) fn hold_to_free(&self, id: PageId) -> Result<PageMut<'_>> {
        let (index, body) = self.hold(id)?;
        Ok(PageMut::new(index, body))
    }

    /// Holds page `id` exclusively.
    fn hold(&self, id: PageId) -> Result<(u32, RwLockWriteGuard<'_, Body>)> {
        self.file.poison().check()?;
        loop {
            if let Some((frame, index)) = self.cached(id) {
                let body = match frame.latch.try_write() {
                    Some(body) => Some(body),
                    None => self.wait(id, index, || frame.latch.try_write_for(PATIENCE)),
                };
                let Some(body) = body else { continue };
                if body.page == id {
                    frame.touch();
                    return Ok((index, body));
                }
            } else if let Some(held) = self.bring_in(id)? {
                return Ok(held);
            }
        }
    }

    /// A new page of zeros, held for writing.
    ///
    /// # Errors
    /// As [`PageStore::write`].
    pub(crate) fn allocate(&self) -> Result<PageMut<'_>> {
        self.file.poison().check()?;
        self.promise()?;
        let held = self.make_room().and_then(|()| self.take_id());
        let id = held.inspect_err(|_| self.space.forget_unwritten())?;
        let (index, frame, mut body) = self.pool.take_empty();
        body.buffer.fill(0);
        let entry = self.entry(id);
        let mut shard = self.deltas.shard(id);
        let before = shard.current.insert(id.0, Change::InMemory);
        debug_assert!(before.is_none(), "page {} was not free", id.0);
        self.deltas.count_page();
        frame.dirty_epoch.store(shard.epoch, Ordering::Relaxed);
        entry.frame.store(index + 1, Ordering::Release);
        drop(shard);
        body.page = id;
        self.pool.inserted(index, frame, id);
        Ok(PageMut::new(index, body))
    }

    fn take_id(&self) -> Result<PageId> {
        if let Some(id) = self.free_ids.lock().pop_first() {
            return Ok(PageId(id));
        }
        self.next_id
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                next.checked_add(1)
            })
            .map(PageId)
            .map_err(|_| {
                let full = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
                Error::io("allocate a page in", self.path(), full)
            })
    }

    /// Gives a page back. Its id and place become usable again after the next checkpoint.
    pub(crate) fn free(&self, page: PageMut<'_>) {
        let (index, mut body) = page.into_parts();
        let id = std::mem::take(&mut body.page);
        let frame = self.frame(index);
        let mut shard = self.deltas.shard(id);
        let dirty = frame.dirty_epoch.swap(0, Ordering::Relaxed);
        if dirty != 0 && dirty != shard.epoch {
            // The image belongs to the frozen checkpoint, which has not written it yet.
            shard.aside.insert(id.0, std::mem::take(&mut body.buffer));
        }
        match shard.current.insert(id.0, Change::Freed) {
            Some(Change::InMemory) => self.space.forget_unwritten(),
            Some(Change::Written(location)) => self.space.release(&location),
            Some(Change::Freed) | None => {}
        }
        if let Some(entry) = self.pages.get(id.0) {
            entry.frame.store(0, Ordering::Release);
        }
        drop(shard);
        self.pool.removed(index);
        self.pool.put_empty(index, body);
    }

    /// Keeps room in the file for `pages` changed pages, growing it where needed, so that a
    /// full disk shows before a commit has begun. Changes made while the reservation is held
    /// use its room.
    ///
    /// # Errors
    /// [`Error::Io`] with `StorageFull`; everything is as it was.
    pub(crate) fn reserve(&self, pages: usize) -> Result<SpaceReservation<'_>> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        self.file.poison().check()?;
        self.space.reserve(&self.file, pages, self.overhead())?;
        Ok(SpaceReservation { store: self, pages })
    }

    /// Makes sure that the next checkpoint has room for metadata of `len` bytes.
    ///
    /// # Errors
    /// As [`PageStore::reserve`].
    pub(crate) fn reserve_metadata(&self, len: usize) -> Result<()> {
        self.note_metadata(len);
        self.reserve(0).map(drop)
    }

    /// Pages that logged commits have changed since the durable checkpoint: those that replaying
    /// the log would read and change.
    pub(crate) fn logged_pages(&self) -> usize {
        self.deltas.logged_pages()
    }

    /// Runs a change that no log repeats, and that [`PageStore::logged_pages`] does not count.
    pub(crate) fn unlogged<R>(change: impl FnOnce() -> R) -> R {
        delta::unlogged(change)
    }

    /// Bytes that the next checkpoint has to write.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.space.unwritten() * self.options.page_size.bytes()
    }

    /// Counters.
    pub(crate) fn stats(&self) -> PoolStats {
        let page_size = self.options.page_size.bytes();
        let misses = self.counters.misses.load(Ordering::Relaxed);
        let (blocks, free_units) = self
            .space
            .inspect(|slots| (slots.blocks(), slots.free_units()));
        let free_ids = self.free_ids.lock().len() as u64;
        PoolStats {
            hits: self.pool.total_accesses().saturating_sub(misses),
            misses,
            read_ahead: self.counters.read_ahead.load(Ordering::Relaxed),
            evictions: self.counters.evictions.load(Ordering::Relaxed),
            eviction_writes: self.counters.eviction_writes.load(Ordering::Relaxed),
            checkpoint_writes: self.counters.checkpoint_writes.load(Ordering::Relaxed),
            cached_bytes: self.pool.buffers() * page_size,
            huge_bytes: match self.pool.has_huge_pages() {
                true => huge::bytes_in_use(),
                false => 0,
            },
            cache_limit: self.pool.limit() * page_size,
            dirty_bytes: self.dirty_bytes(),
            pages: u64::from(self.next_id.load(Ordering::Relaxed) - 1).saturating_sub(free_ids),
            file_bytes: u64::from(blocks) * page_size as u64,
            free_bytes: free_units * super::image::UNIT as u64,
            checkpoints: self.counters.checkpoints.load(Ordering::Relaxed),
        }
    }

    /// The ids of all pages that are allocated now, ascending.
    pub(crate) fn allocated_pages(&self) -> Vec<PageId> {
        (1..self.next_id.load(Ordering::Relaxed))
            .map(PageId)
            .filter(|id| self.is_allocated(*id))
            .collect()
    }

    /// Whether page `id` exists now.
    pub(crate) fn is_allocated(&self, id: PageId) -> bool {
        let shard = self.deltas.shard(id);
        match shard.newest(id) {
            Some(Change::InMemory | Change::Written(_)) => true,
            Some(Change::Freed) => false,
            None => self.pages.get(id.0).and_then(PageEntry::durable).is_some(),
        }
    }

    /// Where the newest image of page `id` is; `None` where that is in memory only.
    ///
    /// # Errors
    /// Where there is no such page.
    pub(super) fn location(&self, id: PageId) -> Result<Option<Location>> {
        let shard = self.deltas.shard(id);
        let location = match shard.newest(id) {
            Some(Change::InMemory) => return Ok(None),
            Some(Change::Written(location)) => Some(location),
            Some(Change::Freed) => None,
            None => self.pages.get(id.0).and_then(PageEntry::durable),
        };
        location.map(Some).ok_or_else(|| {
            Error::corrupt(self.path(), 0, format!("page {} is not allocated", id.0))
        })
    }

    /// The frame that holds page `id`, or did a moment ago.
    #[inline]
    pub(super) fn cached(&self, id: PageId) -> Option<(&Frame, u32)> {
        let index = self
            .pages
            .get(id.0)?
            .frame
            .load(Ordering::Acquire)
            .checked_sub(1)?;
        Some((self.pool.frame(index)?, index))
    }

    /// What is known about page `id`, which may be a new one.
    pub(super) fn entry(&self, id: PageId) -> &PageEntry {
        let grown = |bytes| self.caches().note_fixed(bytes);
        self.pages.get_or_grow(id.0, grown)
    }

    pub(super) fn frame(&self, index: u32) -> &Frame {
        self.pool.frame(index).expect("an index comes from a frame")
    }

    /// Waits for a latch as long as the frame is the page's. A page that has left the frame
    /// must not be waited for: the frame's next user may want a latch that we hold.
    pub(super) fn wait<G>(
        &self,
        id: PageId,
        index: u32,
        mut attempt: impl FnMut() -> Option<G>,
    ) -> Option<G> {
        let wait = || loop {
            if let Some(guard) = attempt() {
                return Some(guard);
            }
            if self.cached(id).is_none_or(|(_, now)| now != index) {
                return None;
            }
        };
        self.waits().time(|waits| &waits.latch, wait)
    }

    /// Where waits around pages are counted.
    pub(crate) fn waits(&self) -> &NamedWaits {
        self.file.waits()
    }

    /// Counts waits around pages in `waits` from now on.
    pub(crate) fn name_waits(&self, waits: &Waits) {
        self.waits().name(waits);
    }

    /// Marks the page in `frame`, held exclusively, as changed in the current epoch. Where its
    /// image still belongs to a frozen checkpoint, that image is set aside and the frame goes
    /// on with a copy.
    fn begin_change(
        &self,
        id: PageId,
        frame: &Frame,
        body: &mut RwLockWriteGuard<'_, Body>,
    ) -> Result<()> {
        if frame.dirty_epoch.load(Ordering::Relaxed) != 0 {
            // Another buffer will be needed, as a rule; nobody else may be about to make room for it.
            self.make_room()?;
        }
        let mut shard = self.deltas.shard(id);
        let dirty = frame.dirty_epoch.load(Ordering::Relaxed);
        if dirty == shard.epoch {
            return Ok(());
        }
        if let Some(Change::Written(location)) = shard.current.get(&id.0).copied()
            && location.len() == self.options.page_size.bytes()
        {
            // The slot written in this epoch, of which no checkpoint knows, is itself the room.
            shard.current.insert(id.0, Change::InMemory);
            self.space.count_unwritten();
            self.space.release(&location);
        } else {
            self.promise()?;
            if dirty != 0 {
                let mut copy = self.pool.take_buffer();
                copy.copy_from_slice(&body.buffer);
                shard
                    .aside
                    .insert(id.0, std::mem::replace(&mut body.buffer, copy));
            }
            match shard.current.insert(id.0, Change::InMemory) {
                Some(Change::Written(location)) => self.space.release(&location),
                Some(Change::InMemory | Change::Freed) => {}
                None => self.deltas.count_page(),
            }
        }
        frame.dirty_epoch.store(shard.epoch, Ordering::Relaxed);
        Ok(())
    }

    /// Counts one more unwritten page, with room for it in the file.
    fn promise(&self) -> Result<()> {
        if self.read_only {
            // Replaying a log over a store that is only read changes pages in memory.
            self.space.count_unwritten();
            return Ok(());
        }
        self.space.promise(&self.file, self.overhead())
    }

    /// Blocks that a checkpoint needs beside those of data pages: two generations of table and
    /// metadata. Pages that are being allocated just now are counted.
    pub(super) fn overhead(&self) -> usize {
        let page_size = self.options.page_size.bytes();
        let next_id = self.next_id.load(Ordering::Relaxed);
        let table = table::table_pages(page_size, next_id.saturating_add(MOST_ALLOCATING));
        2 * (table + self.metadata_links.load(Ordering::Relaxed) as usize) + 1
    }

    /// Remembers how long the metadata is.
    pub(super) fn note_metadata(&self, len: usize) {
        let links = chain::links(self.options.page_size.bytes(), len);
        self.metadata_links.store(links as u32, Ordering::Relaxed);
    }
}

/// Threads that are between the promise for a new page and its id, at most.
const MOST_ALLOCATING: u32 = 16;

/// How long to wait for a latch before looking whether it is still the right one.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_millis(1);

/// Makes a store for tests.
#[cfg(test)]
impl PageStore {
    /// A store without compression over files in memory.
    pub(crate) fn for_test(
        page_size: super::PageSize,
        cache_bytes: usize,
    ) -> std::sync::Arc<PageStore> {
        let env = crate::env::Env::in_memory();
        let dir = Path::new("/test");
        env.vfs.create_dir_all(dir).unwrap();
        let options = PageStoreOptions {
            page_size,
            cache_bytes,
            ..PageStoreOptions::default()
        };
        let poison = std::sync::Arc::new(crate::poison::Poison::new());
        std::sync::Arc::new(PageStore::create(&env, dir, options, poison).unwrap())
    }
}
