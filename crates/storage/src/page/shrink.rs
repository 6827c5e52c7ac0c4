//! Giving disk space back: moving the pages at the file's end into free slots further front,
//! and cutting off the end once a durable checkpoint needs nothing of it.

use super::{
    delta::Change,
    image::{Location, UNIT},
    store::{PageEntry, PageId, PageStore},
};
use crate::error::{Error, Result};

/// The file is left alone while fewer bytes are free.
const LEAST_FREE: u64 = if cfg!(test) { 4 << 10 } else { 32 << 10 };
/// It is also left alone while less than one part in this many is.
const FREE_PART: u64 = 64;
/// Room left to write the next checkpoint into: one part in this many of the blocks in use.
const KEPT_PART: usize = 64;

impl PageStore {
    /// The block from which on the file could be cut off were its pages packed to the front;
    /// `None` where that would save too little. For a store at rest, after a checkpoint.
    pub(crate) fn shrink_target(&self) -> Option<u32> {
        let page_size = self.options.page_size.bytes();
        let kept = self.overhead() + self.space.unwritten();
        let (blocks, free) = self
            .space
            .inspect(|slots| (slots.blocks(), slots.free_units()));
        let free = (free * UNIT as u64 / page_size as u64) as u32;
        let used = blocks.saturating_sub(free);
        let keep = used as usize + used as usize / KEPT_PART + kept;
        let cut = u32::try_from(keep).ok().filter(|cut| *cut < blocks)?;
        let saved = u64::from(blocks - cut) * page_size as u64;
        let whole = u64::from(blocks) * page_size as u64;
        (saved >= LEAST_FREE && saved >= whole / FREE_PART).then_some(cut)
    }

    /// Puts what is written from now on before block `cut` as far as there is room; `None` ends
    /// that.
    pub(crate) fn prefer_front(&self, cut: Option<u32>) {
        self.space.prefer(cut.unwrap_or(u32::MAX));
    }

    /// Counts up to `most` pages from block `cut` on as changed, from page `from` on, so that the
    /// next checkpoint puts them further front. Answers how many, and the page to go on from, if
    /// there are more. A checkpoint must not freeze meanwhile.
    ///
    /// # Errors
    /// As [`PageStore::write`].
    pub(crate) fn move_to_front(
        &self,
        cut: u32,
        from: PageId,
        most: usize,
    ) -> Result<(usize, Option<PageId>)> {
        let units = (self.options.page_size.bytes() / UNIT) as u32;
        let is_behind = |location: &Location| location.unit / units >= cut;
        let last = self.next_id.load(std::sync::atomic::Ordering::Relaxed);
        let mut moved = 0;
        for id in (from.0.max(1)..last).map(PageId) {
            let location = {
                let shard = self.deltas.shard(id);
                match shard.newest(id) {
                    Some(Change::InMemory | Change::Freed) => None,
                    Some(Change::Written(location)) => Some(location),
                    None => self.pages.get(id.0).and_then(PageEntry::durable),
                }
            };
            if location.is_some_and(|location| is_behind(&location)) {
                if moved == most {
                    return Ok((moved, Some(id)));
                }
                self.count_as_changed(id)?;
                moved += 1;
            }
        }
        // A page of the page table moves with any page that it lists.
        let (behind, fanout) = {
            let state = self.checkpoint.lock();
            (state.table.behind(&is_behind), state.table.fanout())
        };
        for index in behind {
            let first = u32::try_from(index * fanout).unwrap_or(u32::MAX).max(1);
            let listed = (first..last)
                .take(fanout)
                .map(PageId)
                .find(|id| self.is_allocated(*id));
            if let Some(id) = listed {
                self.count_as_changed(id)?;
                moved += 1;
            }
        }
        Ok((moved, None))
    }

    /// Counts page `id` as changed, unless somebody gives it back just now.
    fn count_as_changed(&self, id: PageId) -> Result<()> {
        match self.write(id) {
            Ok(page) => drop(page),
            Err(Error::Corrupt { .. }) if !self.is_allocated(id) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Forgets free blocks at the file's end that nothing has been promised to. The file is cut
    /// off there once a durable superblock says so. For a store at rest: one that is written to
    /// needs the slots of each checkpoint for the next but one.
    pub(crate) fn trim(&self) {
        let page_size = self.options.page_size.bytes() as u64;
        self.space.forget_free_end(self.overhead(), |blocks, gone| {
            let gone = u64::from(gone) * page_size;
            gone >= LEAST_FREE && gone >= u64::from(blocks) * page_size / FREE_PART
        });
    }

    /// Whether the next checkpoint, even one without changes, would cut the file off.
    pub(crate) fn is_cut_due(&self) -> bool {
        let durable = self.checkpoint.lock().superblock.blocks;
        durable > self.space.inspect(super::slots::Slots::blocks)
    }
}
