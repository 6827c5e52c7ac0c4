//! Room in the data file, and the promise that every changed page has some.

use std::sync::atomic::Ordering;

use super::{file::PageFile, image::Location, slots::Slots};
use crate::{
    error::{Error, Result},
    sync::{Mutex, atomic::AtomicUsize},
};

/// The file grows by a sixteenth of its length, within these bounds, in bytes.
const LEAST_EXTENT: u64 = 64 << 10;
const MOST_EXTENT: u64 = 32 << 20;

/// The file's free slots and the claims on them.
///
/// `free blocks >= unwritten pages + overhead of a checkpoint` holds whenever a page has been
/// marked as changed, so that eviction and checkpoint find room without growing the file: a
/// full disk shows when a page is about to be changed, and nothing has happened yet.
#[derive(Debug)]
pub(super) struct Space {
    slots: Mutex<Slots>,
    /// Mirrors [`promised_blocks`] of `slots`.
    free_blocks: AtomicUsize,
    /// Changed pages whose image has not been written yet.
    unwritten: AtomicUsize,
    /// Blocks kept by reservations.
    reserved: AtomicUsize,
    page_size: u64,
}

/// Blocks that stand against promises: the free ones, and the slots taken for pages that still
/// count as unwritten.
fn promised_blocks(slots: &Slots) -> usize {
    slots.free_blocks() + slots.pending_slots()
}

impl Space {
    /// The space of a file with those slots.
    pub(super) fn new(slots: Slots, page_size: usize) -> Space {
        Space {
            free_blocks: AtomicUsize::new(promised_blocks(&slots)),
            slots: Mutex::new(slots),
            unwritten: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            page_size: page_size as u64,
        }
    }

    /// Counts one more unwritten page, with room for it.
    ///
    /// # Errors
    /// Where the file has to grow and cannot; nothing is counted then.
    pub(super) fn promise(&self, file: &PageFile, overhead: usize) -> Result<()> {
        let unwritten = self.unwritten.fetch_add(1, Ordering::Relaxed) + 1;
        let ensured = self.ensure(file, unwritten + overhead);
        if ensured.is_err() {
            self.unwritten.fetch_sub(1, Ordering::Relaxed);
        }
        ensured
    }

    /// Counts one more unwritten page, room or not: where nothing is ever written.
    pub(super) fn count_unwritten(&self) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// An unwritten page has been written or freed.
    pub(super) fn forget_unwritten(&self) {
        self.unwritten.fetch_sub(1, Ordering::Relaxed);
    }

    /// Changed pages that have not been written.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Keeps room for `blocks` more changed pages.
    ///
    /// # Errors
    /// Where the file has to grow and cannot; nothing is kept then.
    pub(super) fn reserve(&self, file: &PageFile, blocks: usize, overhead: usize) -> Result<()> {
        let reserved = self.reserved.fetch_add(blocks, Ordering::Relaxed) + blocks;
        let needed = self
            .unwritten()
            .saturating_add(reserved)
            .saturating_add(overhead);
        let ensured = self.ensure(file, needed);
        if ensured.is_err() {
            self.unreserve(blocks);
        }
        ensured
    }

    /// Gives kept room back.
    pub(super) fn unreserve(&self, blocks: usize) {
        self.reserved.fetch_sub(blocks, Ordering::Relaxed);
    }

    fn ensure(&self, file: &PageFile, free_blocks: usize) -> Result<()> {
        if self.free_blocks.load(Ordering::Relaxed) >= free_blocks {
            return Ok(());
        }
        // Whoever makes the file longer does so with the slots locked.
        let mut slots = match self.slots.try_lock() {
            Some(slots) => slots,
            None => file.waits().time(|waits| &waits.grow, || self.slots.lock()),
        };
        let missing = free_blocks.saturating_sub(promised_blocks(&slots));
        if missing > 0 {
            self.grow(file, &mut slots, missing)?;
        }
        Ok(())
    }

    /// Adds at least `blocks` free blocks.
    fn grow(&self, file: &PageFile, slots: &mut Slots, blocks: usize) -> Result<()> {
        let extent = u64::from(slots.blocks()) * self.page_size / 16;
        let extent = extent.clamp(LEAST_EXTENT, MOST_EXTENT) / self.page_size;
        // The first extent fills the first 64 KiB together with the superblock.
        let extent =
            extent - u64::from(slots.blocks()) % (LEAST_EXTENT / self.page_size).min(extent);
        let added = (blocks as u64).max(extent);
        let most = u64::from(u32::MAX) * super::image::UNIT as u64 / self.page_size;
        let total = u64::from(slots.blocks()) + added;
        if total > most {
            let full = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
            return Err(Error::io("grow", file.path(), full));
        }
        file.grow(total * self.page_size)?;
        slots.extend(added as u32);
        self.mirror(slots);
        Ok(())
    }

    fn mirror(&self, slots: &Slots) {
        self.free_blocks
            .store(promised_blocks(slots), Ordering::Relaxed);
    }

    /// A free slot of `units` units; its first unit.
    ///
    /// # Errors
    /// Where the file has to grow and cannot.
    pub(super) fn take(&self, file: &PageFile, units: usize) -> Result<u32> {
        let mut slots = self.slots.lock();
        loop {
            if let Some(unit) = slots.take(units as u32) {
                self.mirror(&slots);
                return Ok(unit);
            }
            self.grow(file, &mut slots, 1)?;
        }
    }

    /// Something points to the slot now. Called under the lock that protects the pointer.
    pub(super) fn settle(&self, location: &Location) {
        let mut slots = self.slots.lock();
        slots.settle(location.unit);
        self.mirror(&slots);
    }

    /// The slot is free again.
    pub(super) fn release(&self, location: &Location) {
        self.release_all(std::slice::from_ref(location));
    }

    /// The slots are free again.
    pub(super) fn release_all(&self, locations: &[Location]) {
        let mut slots = self.slots.lock();
        for location in locations {
            slots.release(location.unit, location.units);
        }
        self.mirror(&slots);
    }

    /// Takes the free blocks at the end away where they are worth it (`is_worth` is told how many
    /// blocks there are and how many would go), as far as nothing has been promised to them.
    pub(super) fn forget_free_end(&self, overhead: usize, is_worth: impl Fn(u32, u32) -> bool) {
        let mut slots = self.slots.lock();
        let promised = self.unwritten() + self.reserved.load(Ordering::Relaxed) + overhead;
        let spare = promised_blocks(&slots).saturating_sub(promised);
        let gone = slots
            .free_end()
            .min(u32::try_from(spare).unwrap_or(u32::MAX));
        if gone > 0 && is_worth(slots.blocks(), gone) {
            slots.shorten(gone);
            self.mirror(&slots);
        }
    }

    /// Cuts the file off behind its last block, but leaves the `durable` ones that the durable
    /// superblock says there are: blocks at the end may be forgotten while a checkpoint is being
    /// written. A file that stays longer harms nobody.
    pub(super) fn cut_file(&self, file: &PageFile, durable: u32) {
        // Under the lock, so that the file does not grow meanwhile.
        let slots = self.slots.lock();
        file.cut(u64::from(slots.blocks().max(durable)) * self.page_size);
    }

    /// From now on takes slots from blocks below `front` where there are any.
    pub(super) fn prefer(&self, front: u32) {
        self.slots.lock().prefer(front);
    }

    /// Looks at the slots while nothing can change them.
    pub(super) fn inspect<R>(&self, look: impl FnOnce(&Slots) -> R) -> R {
        look(&self.slots.lock())
    }
}
