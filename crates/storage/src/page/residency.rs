//! How pages come into memory and leave it.

use std::sync::atomic::Ordering;

use parking_lot::RwLockWriteGuard;

use super::{
    delta::Change,
    image::{self, IMAGE_HEADER, ImageKind, Location, Owner},
    pool::Body,
    store::{PageId, PageStore},
    writer::ImageWriter,
};
use crate::{
    codec::CODEC_NONE,
    error::{Error, Result},
};

/// Frames that are looked at for a place before the pool goes over its limit for a while.
const MOST_ATTEMPTS: usize = 256;

/// Whose image a data page's is.
pub(super) fn page_owner(id: PageId) -> Owner {
    Owner {
        kind: ImageKind::Data,
        id: id.0,
    }
}

impl PageStore {
    /// Reads page `id`, which is not in memory, into a frame that is then held exclusively;
    /// `None` where somebody else was faster.
    ///
    /// # Errors
    /// As [`PageStore::read`]. A failed read poisons nothing.
    pub(super) fn bring_in(&self, id: PageId) -> Result<Option<(u32, RwLockWriteGuard<'_, Body>)>> {
        let unknown = || Error::corrupt(self.path(), 0, format!("page {} is not allocated", id.0));
        let entry = self
            .pages
            .get(id.0)
            .filter(|_| id != PageId(0))
            .ok_or_else(unknown)?;
        self.make_room()?;
        let (index, frame, mut body) = self.pool.take_empty();
        // From here on others who want the page wait for this frame's latch.
        let claimed =
            entry
                .frame
                .compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed);
        if claimed.is_err() {
            self.pool.put_empty(index, body);
            return Ok(None);
        }
        let loaded = self.location(id).and_then(|location| {
            // Nobody but us can move the page while the frame is ours.
            let location = location.ok_or_else(unknown)?;
            self.load(id, &location, &mut body)
        });
        if let Err(error) = loaded {
            // Where the id has just been allocated anew, the entry is not ours any more.
            let ours = index + 1;
            let _ = entry
                .frame
                .compare_exchange(ours, 0, Ordering::AcqRel, Ordering::Relaxed);
            self.pool.put_empty(index, body);
            return Err(error);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        body.page = id;
        self.pool.inserted(index, frame, id);
        Ok(Some((index, body)))
    }

    fn load(&self, id: PageId, location: &Location, body: &mut Body) -> Result<()> {
        let owner = page_owner(id);
        if location.len() != body.buffer.len() {
            let payload = &mut body.buffer[IMAGE_HEADER..];
            return self.file.read_payload(location, owner, self.salt, payload);
        }
        let (codec, stored) = self
            .file
            .read_image(location, owner, self.salt, &mut body.buffer)?;
        if codec == CODEC_NONE && stored == self.payload_size() {
            return Ok(());
        }
        let wrong = |reason| Error::corrupt(self.path(), location.offset(), reason);
        let bytes = body.buffer[IMAGE_HEADER..IMAGE_HEADER + stored].to_vec();
        image::unpack(codec, &bytes, &mut body.buffer[IMAGE_HEADER..]).map_err(wrong)
    }

    /// Evicts pages until there is room for one more buffer. Where everything is held, or may
    /// not be written, the pool goes over its limit instead: whoever holds a latch must not be
    /// made to wait for one.
    ///
    /// # Errors
    /// Where writing a changed page fails.
    pub(super) fn make_room(&self) -> Result<()> {
        let mut attempts = MOST_ATTEMPTS;
        while !self.pool.has_room() && attempts > 0 {
            attempts -= 1;
            let Some(index) = self.pool.victim() else {
                break;
            };
            self.evict(index)?;
        }
        Ok(())
    }

    /// Evicts what is in the frame, where nobody holds it.
    fn evict(&self, index: u32) -> Result<()> {
        let frame = self.frame(index);
        let Some(mut body) = frame.latch.try_write() else {
            // The page in the frame is somebody's business; which one it is matters only to
            // the policy's memory of pages.
            self.pool.keep(index, PageId(0));
            return Ok(());
        };
        let id = body.page;
        if id == PageId(0) {
            return Ok(());
        }
        let dirty = frame.dirty_epoch.load(Ordering::Relaxed);
        if dirty != 0 {
            if self.read_only || self.file.poison().is_poisoned() {
                self.pool.keep(index, id);
                return Ok(());
            }
            let written = self.write_out(id, dirty, &body);
            let location = written.inspect_err(|_| self.pool.keep(index, id))?;
            self.install(id, dirty, location);
            self.counters
                .eviction_writes
                .fetch_add(1, Ordering::Relaxed);
        }
        if let Some(entry) = self.pages.get(id.0) {
            entry.frame.store(0, Ordering::Release);
        }
        body.page = PageId(0);
        self.pool.removed(index);
        self.pool.put_empty(index, body);
        self.counters.evictions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write_out(&self, id: PageId, epoch: u64, body: &Body) -> Result<Location> {
        let mut writer = self.writer(epoch)?;
        let location = writer.append_page(page_owner(id), &body.buffer[IMAGE_HEADER..])?;
        writer.flush()?;
        Ok(location)
    }

    /// A writer of images of that epoch. Nothing is written before the state found at opening
    /// is known to be durable, as the free slots are free in that state only.
    pub(super) fn writer(&self, epoch: u64) -> Result<ImageWriter<'_>> {
        self.settle()?;
        Ok(ImageWriter::new(
            &self.file,
            &self.space,
            self.options.codec,
            self.salt,
            epoch,
        ))
    }

    /// The image that page `id` has in `epoch` is in the file at `location`. Where somebody
    /// else has written the same image meanwhile, this slot is not needed. The page's frame is
    /// clean then, unless it has moved on.
    pub(super) fn install(&self, id: PageId, epoch: u64, location: Location) {
        let mut shard = self.deltas.shard(id);
        let change = shard.changes(epoch).get_mut(&id.0);
        let Some(change) = change.filter(|change| **change == Change::InMemory) else {
            drop(shard);
            self.space.release(&location);
            return;
        };
        *change = Change::Written(location);
        self.space.settle(&location);
        self.space.forget_unwritten();
        if epoch != shard.epoch && shard.aside.remove(&id.0).is_some() {
            self.pool.forget_buffer();
            return;
        }
        if let Some((frame, _)) = self.cached(id) {
            frame.mark_clean(epoch);
        }
    }
}
