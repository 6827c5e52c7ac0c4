//! How pages come into memory and leave it.

use std::sync::{Arc, Weak, atomic::Ordering};

use super::{
    delta::Change,
    image::{self, IMAGE_HEADER, ImageKind, Location, Owner},
    pool::Body,
    store::{PageId, PageStore},
    writer::ImageWriter,
};
use crate::{
    caches::{Cache, Sharing},
    codec::CODEC_NONE,
    error::{Error, Result},
    sync::RwLockWriteGuard,
};

/// Frames that are looked at for a place before the pool goes over its limit for a while.
const MOST_ATTEMPTS: usize = 256;
/// Changed pages that leave together at most, as long as they are no more than one in
/// [`LEAST_LEFT`] of those that the pool may hold.
const MOST_TOGETHER: usize = 16;
const LEAST_LEFT: usize = 64;

/// A changed page on its way out, held exclusively.
struct Victim<'a> {
    index: u32,
    id: PageId,
    /// The epoch that its image belongs to.
    epoch: u64,
    body: RwLockWriteGuard<'a, Body>,
}

/// Whose image a data page's is.
pub(super) fn page_owner(id: PageId) -> Owner {
    Owner {
        kind: ImageKind::Data,
        id: id.0,
    }
}

impl Sharing for PageStore {
    fn shrink(&self, bytes: usize) {
        let wanted = bytes.div_ceil(self.options.page_size.bytes());
        let wanted = wanted - self.pool.shed_spare(wanted);
        let before = self.pool.buffers();
        let goal = before.saturating_sub(wanted);
        // Pages that cannot be written stay; the next commit is told why.
        let _ = self.evict_until(wanted + MOST_ATTEMPTS, || self.pool.buffers() <= goal);
        // What pages have left, or as much of it as nobody has taken meanwhile.
        self.pool
            .shed_spare(before.saturating_sub(self.pool.buffers()));
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
            self.waits()
                .time(|waits| &waits.read, || self.load(id, &location, &mut body))
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
        self.pool.missed(id);
        body.page = id;
        self.pool.inserted(index, frame, id);
        Ok(Some((index, body)))
    }

    /// Says that these pages will be read soon: asks the system for those that are not in memory.
    pub(crate) fn will_need(&self, ids: &[PageId]) {
        let is_absent = |id: &&PageId| {
            let entry = self.pages.get(id.0);
            entry.is_some_and(|entry| entry.frame.load(Ordering::Relaxed) == 0)
        };
        let place = |id: &PageId| {
            let location = self.location(*id).ok().flatten()?;
            Some((location.offset(), location.len() as u64))
        };
        let mut places: Vec<(u64, u64)> = ids.iter().filter(is_absent).filter_map(place).collect();
        let count = places.len() as u64;
        self.counters.read_ahead.fetch_add(count, Ordering::Relaxed);
        places.sort_unstable();
        // Neighbours are one request.
        places.dedup_by(|next, before| {
            let adjoins = before.0 + before.1 == next.0;
            if adjoins {
                before.1 += next.1;
            }
            adjoins
        });
        for (offset, len) in places {
            self.file.will_need(offset, len);
        }
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

    /// Makes room for one more buffer: cached blocks of tables make way, where they take more than
    /// their share, or pages leave. Where everything is held, or may not be written, the pool goes
    /// over its limit instead: whoever holds a latch must not be made to wait for one.
    ///
    /// # Errors
    /// Where writing a changed page fails.
    pub(super) fn make_room(&self) -> Result<()> {
        if self.pool.has_room() {
            return Ok(());
        }
        self.pool.make_way();
        self.evict_until(MOST_ATTEMPTS, || self.pool.has_room())
    }

    /// Evicts pages until there are enough, looking at so many of them. In a pool that is not tiny an
    /// unchanged page leaves before changed ones that are met on the way to it: the next checkpoint writes those, with
    /// others and in nobody's way. Where there are only changed ones, several leave together, so that
    /// neighbours are written together.
    fn evict_until(&self, mut attempts: usize, is_enough: impl Fn() -> bool) -> Result<()> {
        let together = (self.pool.limit() / LEAST_LEFT).clamp(1, MOST_TOGETHER);
        let mut changed = Vec::new();
        while attempts > 0 && !is_enough() {
            attempts -= 1;
            let Some(index) = self.pool.victim() else {
                break;
            };
            changed.extend(self.evict_unchanged(index));
            if changed.len() >= together {
                self.evict_changed(std::mem::take(&mut changed))?;
            }
        }
        if is_enough() {
            for victim in changed {
                self.pool.keep(victim.index, victim.id);
            }
            return Ok(());
        }
        self.evict_changed(changed)
    }

    /// From now on pages make way for whoever shares their memory.
    pub(crate) fn join_caches(self: &Arc<PageStore>) {
        let weak: Weak<PageStore> = Arc::downgrade(self);
        self.caches().join(Cache::Pages, weak);
    }

    /// Evicts what is in the frame, where nobody holds it; a changed page is answered instead.
    fn evict_unchanged(&self, index: u32) -> Option<Victim<'_>> {
        let frame = self.frame(index);
        let Some(body) = frame.latch.try_write() else {
            // The page in the frame is somebody's business; which one it is matters only to
            // the policy's memory of pages.
            self.pool.keep(index, PageId(0));
            return None;
        };
        let id = body.page;
        if id == PageId(0) {
            return None;
        }
        let epoch = frame.dirty_epoch.load(Ordering::Relaxed);
        let victim = Victim {
            index,
            id,
            epoch,
            body,
        };
        if epoch == 0 {
            self.let_go(victim);
            return None;
        }
        if self.read_only
            || self.file.poison().is_poisoned()
            || self.deltas.shard(id).is_leaving(id, epoch)
        {
            self.pool.keep(index, id);
            return None;
        }
        Some(victim)
    }

    /// Writes changed pages to free slots and evicts them.
    fn evict_changed(&self, mut victims: Vec<Victim<'_>>) -> Result<()> {
        victims.sort_unstable_by_key(|victim| (victim.epoch, victim.id));
        let mut victims = victims.into_iter().peekable();
        while let Some(epoch) = victims.peek().map(|victim| victim.epoch) {
            let mut group = Vec::new();
            while let Some(victim) = victims.next_if(|victim| victim.epoch == epoch) {
                group.push(victim);
            }
            let written = self
                .waits()
                .time(|waits| &waits.evict, || self.write_out(epoch, &group));
            let locations = match written {
                Ok(locations) => locations,
                Err(error) => {
                    for victim in group.iter().chain(&Vec::from_iter(victims)) {
                        self.pool.keep(victim.index, victim.id);
                    }
                    return Err(error);
                }
            };
            for (victim, location) in group.into_iter().zip(locations) {
                self.install(victim.id, epoch, location);
                self.counters
                    .eviction_writes
                    .fetch_add(1, Ordering::Relaxed);
                self.let_go(victim);
            }
        }
        Ok(())
    }

    /// Empties the frame of a page that is as on disk.
    fn let_go(&self, victim: Victim<'_>) {
        let Victim {
            index,
            id,
            mut body,
            ..
        } = victim;
        if let Some(entry) = self.pages.get(id.0) {
            entry.frame.store(0, Ordering::Release);
        }
        body.page = PageId(0);
        self.pool.removed(index);
        self.pool.departed(id);
        self.pool.put_empty(index, body);
        self.counters.evictions.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the images of one epoch; where each went, all of them or none.
    fn write_out(&self, epoch: u64, victims: &[Victim<'_>]) -> Result<Vec<Location>> {
        let mut writer = self.writer(epoch)?;
        let mut locations = Vec::with_capacity(victims.len());
        let written = victims.iter().try_for_each(|victim| {
            writer.make_room()?;
            let payload = &victim.body.buffer[IMAGE_HEADER..];
            locations.push(writer.append_page(page_owner(victim.id), payload)?);
            Ok(())
        });
        if let Err(error) = written.and_then(|()| writer.flush()) {
            // Nothing points to these slots, whatever is in them.
            self.space.release_all(&locations);
            return Err(error);
        }
        Ok(locations)
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
        if epoch != shard.epoch {
            shard.leaving.remove(&id.0);
        }
        let change = shard.changes(epoch).get_mut(&id.0);
        let Some(change) = change.filter(|change| **change == Change::InMemory) else {
            drop(shard);
            self.space.release(&location);
            return;
        };
        *change = Change::Written(location);
        self.space.settle(&location);
        self.space.forget_unwritten();
        if epoch != shard.epoch
            && let Some(image) = shard.aside.remove(&id.0)
        {
            drop(shard);
            self.pool.give_buffer(image);
            return;
        }
        if let Some((frame, _)) = self.cached(id) {
            frame.mark_clean(epoch);
        }
    }
}
