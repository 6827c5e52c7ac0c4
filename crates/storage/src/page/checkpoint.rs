//! Checkpoints: freezing the changes of an epoch and making them the durable state.

use std::sync::{Arc, atomic::Ordering};

use super::{
    chain,
    delta::{Change, Shard},
    image::{EPOCH_LIMIT, IMAGE_HEADER, Location},
    releases::Releases,
    residency::page_owner,
    store::{PATIENCE, PageEntry, PageId, PageStore},
    superblock::Superblock,
    table::Table,
    writer::ImageWriter,
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    poison::Poison,
};

/// Pages written before they are installed together.
const BATCH: usize = 128;

/// What a durable checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointInfo {
    /// It holds exactly the commits up to here.
    pub(crate) lsn: Lsn,
    /// The store's manifest, opaque to the page store.
    pub(crate) metadata: Vec<u8>,
}

/// The durable checkpoint and what belongs to it. Whoever holds its lock is the one that
/// changes it.
#[derive(Debug)]
pub(super) struct CheckpointState {
    pub(super) superblock: Superblock,
    /// The highest sequence ever seen in a superblock copy.
    pub(super) highest_sequence: u64,
    /// Copies found stale at opening.
    pub(super) stale_copies: Vec<usize>,
    pub(super) table: Table,
    /// The links of the metadata chain.
    pub(super) metadata: Vec<Location>,
    pub(super) releases: Releases,
}

/// The changes of an epoch, to be written by [`PageStore::write_checkpoint`]. Dropping it
/// unwritten stops the store: the next checkpoint would lack its changes.
#[derive(Debug)]
pub(crate) struct FrozenCheckpoint {
    epoch: u64,
    lsn: Lsn,
    metadata: Vec<u8>,
    page_count: u32,
    poison: Arc<Poison>,
    done: bool,
}

impl FrozenCheckpoint {
    /// Replaces the metadata given to [`PageStore::freeze`]: for what is known only after the
    /// freeze, when other files of the checkpoint have been written.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(crate) fn set_metadata(&mut self, metadata: Vec<u8>) -> Result<()> {
        check_metadata(&metadata)?;
        self.metadata = metadata;
        Ok(())
    }

    /// It holds exactly the commits up to here.
    #[cfg(test)]
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }
}

fn check_metadata(metadata: &[u8]) -> Result<()> {
    if u32::try_from(metadata.len()).is_err() {
        return Err(Error::TooLarge {
            what: "manifest",
            len: metadata.len(),
            limit: u32::MAX as usize,
        });
    }
    Ok(())
}

impl Drop for FrozenCheckpoint {
    fn drop(&mut self) {
        if !self.done {
            self.poison.set("a frozen checkpoint was not written");
        }
    }
}

/// Keeps the slots of a durable checkpoint from being used again, until it is dropped.
#[derive(Debug)]
pub(crate) struct CheckpointPin {
    store: Arc<PageStore>,
    epoch: u64,
}

impl Drop for CheckpointPin {
    fn drop(&mut self) {
        let free = self.store.checkpoint.lock().releases.unpin(self.epoch);
        self.store.space.release_all(&free);
    }
}

impl PageStore {
    /// Ends the current epoch: the next checkpoint holds exactly what has been changed until
    /// now. No I/O, and no work in proportion to the changes. No [`super::PageMut`] may be
    /// held or taken meanwhile.
    ///
    /// # Errors
    /// [`Error::Poisoned`], [`Error::ReadOnly`]; [`Error::InvalidOption`] while another frozen
    /// checkpoint has not been written.
    pub(crate) fn freeze(&self, lsn: Lsn, metadata: Vec<u8>) -> Result<FrozenCheckpoint> {
        self.file.poison().check()?;
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        check_metadata(&metadata)?;
        if self.frozen.swap(true, Ordering::AcqRel) {
            return Err(Error::InvalidOption(
                "a frozen checkpoint has not been written yet".into(),
            ));
        }
        let page_count = self.next_id.load(Ordering::Acquire);
        self.deltas.freeze();
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel);
        debug_assert!(epoch + 1 < EPOCH_LIMIT);
        let poison = Arc::clone(self.file.shared_poison());
        Ok(FrozenCheckpoint {
            epoch,
            lsn,
            metadata,
            page_count,
            poison,
            done: false,
        })
    }

    /// Writes what was frozen and makes it the durable checkpoint: pages, page table and
    /// metadata to free slots, sync, superblock. Only then are the slots and ids free that
    /// the new checkpoint does not use.
    ///
    /// # Errors
    /// [`Error::Io`]: the store is poisoned then, and what is durable is the old checkpoint or
    /// the new one.
    pub(crate) fn write_checkpoint(&self, mut frozen: FrozenCheckpoint) -> Result<()> {
        let written = self.write_frozen(&frozen);
        self.file.poison().guard(written)?;
        frozen.done = true;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.frozen.store(false, Ordering::Release);
        Ok(())
    }

    fn write_frozen(&self, frozen: &FrozenCheckpoint) -> Result<()> {
        self.note_metadata(frozen.metadata.len());
        // Settles the state found at opening, too, which wants the lock taken below.
        self.write_frozen_pages(frozen)?;

        let mut state = self.checkpoint.lock();
        let mut retired = std::mem::take(&mut state.metadata);
        let changes = self.deltas.frozen();
        for (id, _) in &changes {
            retired.extend(self.advance_durable(*id));
        }
        let mut writer = self.writer(frozen.epoch)?;
        let mut written = Vec::new();
        let table = state.table.write(
            frozen.page_count,
            changes.iter().map(|(id, _)| id.0),
            |id| self.pages.get(id).and_then(PageEntry::durable),
            &mut writer,
            &mut retired,
            &mut written,
        )?;
        let metadata = chain::write(
            &frozen.metadata,
            self.options.page_size.bytes(),
            &mut writer,
        )?;
        writer.flush()?;
        // What the checkpoint refers to lies within these blocks. The sync makes so long a file
        // durable; one that grows behind it may be shorter again after a crash.
        let blocks = self.space.inspect(super::slots::Slots::blocks);
        self.file.sync()?;

        let superblock = Superblock {
            page_count: frozen.page_count,
            sequence: state.highest_sequence + 1,
            parent_sequence: state.superblock.sequence,
            parent_fingerprint: state.superblock.fingerprint(),
            blocks,
            epoch: frozen.epoch,
            lsn: frozen.lsn,
            table,
            metadata: metadata.first().copied(),
            metadata_len: frozen.metadata.len() as u32,
            ..state.superblock.clone()
        };
        self.file.write_superblock(&superblock, &[])?;
        self.space.cut_file(&self.file, blocks);

        // The new checkpoint is durable. What only the old one used is free, unless pinned.
        for location in written.iter().chain(&metadata) {
            self.space.settle(location);
        }
        state.metadata = metadata;
        state.highest_sequence = superblock.sequence;
        state.superblock = superblock;
        let free = state.releases.retire(frozen.epoch, retired);
        self.deltas.forget_frozen();
        self.space.release_all(&free);
        let mut free_ids = self.free_ids.lock();
        free_ids.extend(
            changes
                .iter()
                .filter(|(_, change)| *change == Change::Freed)
                .map(|(id, _)| id.0),
        );
        Ok(())
    }

    /// Writes all frozen pages that are still in memory only, by ascending id: pages made one
    /// after another come to lie side by side.
    fn write_frozen_pages(&self, frozen: &FrozenCheckpoint) -> Result<()> {
        let changes = self.deltas.frozen();
        let unwritten = changes
            .iter()
            .filter(|(_, change)| *change == Change::InMemory);
        let ids: Vec<PageId> = unwritten.map(|(id, _)| *id).collect();
        let mut writer = self.writer(frozen.epoch)?;
        let mut batch = Vec::with_capacity(BATCH);
        for chunk in ids.chunks(BATCH) {
            for id in chunk {
                let appended = self.append_frozen(*id, frozen.epoch, &mut writer)?;
                batch.extend(appended.map(|location| (*id, location)));
            }
            self.finish_batch(frozen.epoch, &mut writer, &mut batch)?;
        }
        Ok(())
    }

    fn finish_batch(
        &self,
        epoch: u64,
        writer: &mut ImageWriter<'_>,
        batch: &mut Vec<(PageId, Location)>,
    ) -> Result<()> {
        writer.flush()?;
        self.counters
            .checkpoint_writes
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        for (id, location) in batch.drain(..) {
            self.install(id, epoch, location);
        }
        Ok(())
    }

    /// Appends the image that page `id` has in the frozen epoch, and keeps others from writing it
    /// until it is installed; `None` where it has been written meanwhile.
    fn append_frozen(
        &self,
        id: PageId,
        epoch: u64,
        writer: &mut ImageWriter<'_>,
    ) -> Result<Option<Location>> {
        // Not with the page held.
        writer.make_room()?;
        let owner = page_owner(id);
        loop {
            {
                let mut shard = self.deltas.shard(id);
                if shard.frozen.get(&id.0) != Some(&Change::InMemory) {
                    return Ok(None);
                }
                let Shard { aside, leaving, .. } = &mut *shard;
                if let Some(image) = aside.get_mut(&id.0) {
                    // It is the checkpoint's alone until it is installed: nobody has to wait for
                    // the shard meanwhile.
                    let image = std::mem::take(image);
                    leaving.insert(id.0);
                    drop(shard);
                    let appended = writer.append_page(owner, &image[IMAGE_HEADER..]);
                    self.deltas.shard(id).aside.insert(id.0, image);
                    return appended.map(Some);
                }
            }
            // It is in a frame, or was a moment ago: then the shard knows more by now.
            let Some((frame, index)) = self.cached(id) else {
                continue;
            };
            let held = self.wait(id, index, || frame.latch.try_read_for(PATIENCE));
            if let Some(body) = held
                && body.page == id
                && frame.dirty_epoch.load(Ordering::Relaxed) == epoch
            {
                // Whoever evicts the page holds its latch, and looks at this first.
                self.deltas.shard(id).leaving.insert(id.0);
                let payload = &body.buffer[IMAGE_HEADER..];
                return writer.append_page(owner, payload).map(Some);
            }
        }
    }

    /// Makes the page's frozen location the one of the checkpoint, and answers the slot that
    /// the checkpoint before had it in.
    fn advance_durable(&self, id: PageId) -> Option<Location> {
        let entry = self.entry(id);
        let shard = self.deltas.shard(id);
        let now = match shard.frozen.get(&id.0) {
            Some(Change::Written(location)) => Some(*location),
            Some(Change::Freed | Change::InMemory) | None => None,
        };
        let before = entry.durable();
        entry.set_durable(now);
        before
    }

    /// Makes sure that the checkpoint found at opening is durable, as it may have been read
    /// from the system's cache only. To be called before anything is removed that it replaces
    /// (WAL segments); the store itself does so before it uses a slot.
    ///
    /// # Errors
    /// [`Error::Io`]: the store is poisoned then. [`Error::ReadOnly`].
    pub(crate) fn settle(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        if self.settled.load(Ordering::Acquire) {
            return self.file.poison().check();
        }
        let state = self.checkpoint.lock();
        if !self.settled.load(Ordering::Acquire) {
            self.file.sync_name()?;
            // What was found is durable before the copies that lag behind are brought up: from
            // then on nobody who opens the file is in doubt, however far that comes.
            self.file.sync()?;
            self.file
                .write_superblock(&state.superblock, &state.stale_copies)?;
            self.settled.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// As [`PageStore::settle`], but only where the copies of the superblock show that its
    /// writing was cut short: two copies are synced before the other two are written, so where
    /// all are equal the checkpoint is durable. To be called before a commit is acknowledged.
    ///
    /// # Errors
    /// As [`PageStore::settle`].
    pub(crate) fn settle_if_in_doubt(&self) -> Result<()> {
        let in_doubt = !self.checkpoint.lock().stale_copies.is_empty();
        if in_doubt { self.settle() } else { Ok(()) }
    }

    /// Pins the durable checkpoint: its slots stay as they are until the pin is dropped.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for backups, which copy a pinned checkpoint")
    )]
    pub(crate) fn pin_checkpoint(self: &Arc<Self>) -> CheckpointPin {
        let mut state = self.checkpoint.lock();
        let epoch = state.superblock.epoch;
        state.releases.pin(epoch);
        CheckpointPin {
            store: Arc::clone(self),
            epoch,
        }
    }
}
