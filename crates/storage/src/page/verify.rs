//! Checking the durable checkpoint and the books about it.

use super::{
    delta::Change,
    image::{ImageKind, Location, Owner, UNIT},
    residency::page_owner,
    slots::Claims,
    store::{PageEntry, PageId, PageStore},
    superblock::{self, REGION},
};
use crate::{
    error::{Error, Result},
    verify::VerifyReport,
};

impl PageStore {
    /// Checks the durable checkpoint: superblock copies, every image that it refers to, and
    /// that every slot is either used once or free. May run beside everything else; a
    /// checkpoint waits for it. Which pages a tree reaches is for the trees to say
    /// ([`PageStore::allocated_pages`]).
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read. What does not verify is in the report.
    pub(crate) fn verify(&self, report: &mut VerifyReport) -> Result<()> {
        let state = self.checkpoint.lock();
        let path = self.path();
        if let Err(error) = superblock::choose(&self.file.read_superblock_region()?, path)
            .map(|chosen| self.check_superblock(&chosen, &state.superblock, report))
        {
            add(report, error)?;
        }
        let mut buffer = vec![0; self.options.page_size.bytes()];
        for (owner, location) in state.table.pages() {
            self.check_image(owner, &location, &mut buffer, report)?;
        }
        for (number, location) in (0u32..).zip(&state.metadata) {
            let owner = Owner {
                kind: ImageKind::Metadata,
                id: number,
            };
            self.check_image(owner, location, &mut buffer, report)?;
        }
        for id in (1..state.superblock.page_count).map(PageId) {
            let location = {
                // The checkpoint's lock keeps the slot from being released.
                let _shard = self.deltas.shard(id);
                self.pages.get(id.0).and_then(PageEntry::durable)
            };
            if let Some(location) = location {
                self.check_image(page_owner(id), &location, &mut buffer, report)?;
            }
        }
        drop(state);
        self.check_slots(report);
        Ok(())
    }

    fn check_superblock(
        &self,
        found: &superblock::Chosen,
        expected: &superblock::Superblock,
        report: &mut VerifyReport,
    ) {
        if found.superblock != *expected {
            report.add(
                self.path(),
                Some(0),
                "the superblock on disk is not the one last written",
            );
        }
        for copy in &found.stale {
            let offset = (copy * superblock::COPY_SIZE) as u64;
            // A store that was stopped while writing has such a copy until the next checkpoint.
            if self.settled.load(std::sync::atomic::Ordering::Acquire) {
                report.add(
                    self.path(),
                    Some(offset),
                    format!("superblock copy {copy} is damaged"),
                );
            }
        }
    }

    fn check_image(
        &self,
        owner: Owner,
        location: &Location,
        buffer: &mut [u8],
        report: &mut VerifyReport,
    ) -> Result<()> {
        report.pages += 1;
        let len = buffer.len() - super::image::IMAGE_HEADER;
        let payload = &mut buffer[..len];
        match self.file.read_payload(location, owner, self.salt, payload) {
            Ok(()) => Ok(()),
            Err(error) => add(report, error),
        }
    }

    /// Checks that what is used and what is free add up to the file: used are the slots of the
    /// durable checkpoint, of changes written since, of images being written, and those that
    /// wait for a pin.
    pub(super) fn check_slots(&self, report: &mut VerifyReport) {
        let state = self.checkpoint.lock();
        let shards = self.deltas.lock_all();
        self.space.inspect(|slots| {
            let mut claims = Claims::new(self.options.page_size.bytes(), slots.blocks());
            let mut claim = |unit: u32, units: u8, what: &str| {
                if let Err(reason) = claims.claim(unit, units) {
                    let offset = u64::from(unit) * UNIT as u64;
                    report.add(self.path(), Some(offset), format!("{what}: {reason}"));
                }
            };
            for unit in 0..(REGION / UNIT) as u32 {
                claim(unit, 1, "superblock");
            }
            for (_, location) in state.table.pages() {
                claim(location.unit, location.units, "page table");
            }
            for location in &state.metadata {
                claim(location.unit, location.units, "metadata");
            }
            for location in state.releases.waiting() {
                claim(location.unit, location.units, "pinned slot");
            }
            for (unit, units) in slots.pending() {
                claim(unit, units, "slot being written");
            }
            for id in 1..self.next_id.load(std::sync::atomic::Ordering::Acquire) {
                if let Some(location) = self.pages.get(id).and_then(PageEntry::durable) {
                    claim(location.unit, location.units, &format!("page {id}"));
                }
            }
            for shard in &shards {
                for (id, change) in shard.current.iter().chain(&shard.frozen) {
                    if let Change::Written(location) = change {
                        claim(location.unit, location.units, &format!("changed page {id}"));
                    }
                }
            }
            let differing = claims.free_bits().iter().zip(slots.free_bits());
            for (block, (expected, found)) in differing.enumerate() {
                if expected != found {
                    let offset = (block * self.options.page_size.bytes()) as u64;
                    report.add(
                        self.path(),
                        Some(offset),
                        format!("units {found:#06x} are free where {expected:#06x} should be"),
                    );
                }
            }
        });
    }
}

/// Corruption is a finding; anything else ends the verification.
fn add(report: &mut VerifyReport, error: Error) -> Result<()> {
    match error {
        Error::Corrupt {
            file,
            offset,
            reason,
        } => {
            report.add(file, Some(offset), reason);
            Ok(())
        }
        other => Err(other),
    }
}
