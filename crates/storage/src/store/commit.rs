//! The way of a commit: encode → plan → log → apply → flush → publish.

use std::cell::RefCell;

use super::{core::Core, plan::Plan};
use crate::{
    batch::{Batch, Operation},
    durability::Durability,
    error::{Error, Result},
    lsn::Lsn,
    sequencer::Ticket,
    sync::RwLockWriteGuard,
    wal::{EncodedBatch, Wal},
};

thread_local! {
    /// The buffer for encoding, so that a commit allocates none.
    static SCRATCH: RefCell<Option<EncodedBatch>> = const { RefCell::new(None) };
}

impl Core {
    /// Commits a batch; see [`crate::Store::commit`].
    pub(crate) fn commit(&self, batch: &Batch, durability: Durability) -> Result<Lsn> {
        self.check_writable()?;
        if batch.is_empty() {
            return Ok(self.sequencer.published());
        }
        self.throttle(batch)?;
        self.settle_unlogged(batch)?;
        let mut encoded = SCRATCH.take().unwrap_or_default();
        let done = if self.sequencer.wal().is_some() {
            let above = self.options.wal_compress_above;
            encoded.encode(batch, above, &self.compressibility, &self.budget)
        } else {
            Ok(())
        };
        let done = done.and_then(|()| self.log_and_apply(batch, &mut encoded));
        encoded.release();
        SCRATCH.set(Some(encoded));
        let ticket = done?;
        self.background.note_activity(self);
        if batch.operations().iter().any(|one| one.uses_up().is_some()) {
            // Tables that a keyspace has taken over are in no memtable, and a checkpoint may be far.
            self.compact_soon();
        }
        if durability == Durability::Async {
            self.flush_soon();
        }
        if self.sequencer.wal().is_some_and(Wal::wants_segment) {
            self.background.prepare_log_soon(self);
        }
        ticket.applied(durability)
    }

    fn log_and_apply(&self, batch: &Batch, encoded: &mut EncodedBatch) -> Result<Ticket<'_>> {
        let ticket = if batch.operations().iter().any(Operation::is_structural) {
            self.commit_structural(batch, encoded)
        } else {
            self.commit_entries(batch, encoded)
        }?;
        if self.sequencer.wal().is_none() {
            let bytes = batch.byte_size() as u64;
            self.committed_bytes
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(ticket)
    }

    fn commit_entries(&self, batch: &Batch, encoded: &mut EncodedBatch) -> Result<Ticket<'_>> {
        let _barrier = match self.barrier.try_read() {
            Some(barrier) => barrier,
            None => self.wait_points.barrier.time(|| self.barrier.read()),
        };
        let plan = Plan::of(&self.trees, batch.operations())?;
        let _room = self
            .trees
            .media
            .pages
            .reserve(plan.page_bound(&self.trees.media.pages))?;
        let ticket = self.sequencer.begin(encoded)?;
        let watermark = self.pins.lately(self.sequencer.published());
        plan.apply(ticket.lsn(), watermark)?;
        Ok(ticket)
    }

    fn commit_structural(&self, batch: &Batch, encoded: &mut EncodedBatch) -> Result<Ticket<'_>> {
        // Whoever wants the barrier alone takes this lock first, so that nobody waits for the
        // barrier, and holds up commits, while entries are being moved below.
        let change = &self.trees.catalog.change;
        let _change = match change.try_lock() {
            Some(change) => change,
            None => self.wait_points.change.time(|| change.lock()),
        };
        self.reserve_table_memory(batch)?;
        let barrier = self.wait_points.barrier.time(|| self.barrier.write());
        if self.uses_unlogged(batch) {
            let reason = "entries were ingested while their keyspace was being merged";
            return Err(Error::InvalidOption(reason.into()));
        }
        let mut plan = Plan::of(&self.trees, batch.operations())?;
        let reserved = self
            .trees
            .media
            .pages
            .reserve(plan.page_bound(&self.trees.media.pages));
        let begun = reserved.and_then(|room| Ok((room, self.sequencer.begin(encoded)?)));
        let (_room, ticket) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                plan.abandon(&self.trees);
                return Err(error);
            }
        };
        if let Some(wal) = self.sequencer.wal() {
            wal.add_work(plan.moved_work());
        }
        plan.change_catalog(&self.trees, ticket.lsn());
        let _barrier = RwLockWriteGuard::downgrade(barrier);
        let watermark = self.pins.lately(self.sequencer.published());
        plan.apply(ticket.lsn(), watermark)?;
        Ok(ticket)
    }
}
