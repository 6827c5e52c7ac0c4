//! Compaction in the background: which keyspace is next, and how writers are held back when
//! merging falls behind.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{core::Core, engine::Engine};
use crate::{
    batch::{Batch, Operation},
    error::Result,
    keyspace::Keyspace,
    lsm::{Compacted, Excess, LsmTree, Measure, TableStatistics},
    lsn::KeyspaceId,
    page::PageStore,
};

/// Nanoseconds per written byte that a writer waits between the soft and the hard limit of its
/// tree's debt, times [`steepness`].
const SLOWNESS: f64 = 50.0;

/// How much a writer is slowed down that far beyond the soft limit: little at first, and without
/// bounds towards the hard one, so that it is hardly ever met. Half way it is 40 MB/s.
fn steepness(part: f64) -> f64 {
    part * part / (1.0 - part)
}

/// The tree of a keyspace that is furthest behind, of those that commits go to.
fn furthest_behind(keyspace: &Keyspace) -> Option<(Excess, &LsmTree)> {
    let trees = keyspace.written_engines().filter_map(Engine::lsm);
    let behind = trees.filter_map(|lsm| Some((lsm.debt_excess()?, lsm)));
    behind.max_by(|(a, _), (b, _)| a.part.total_cmp(&b.part))
}

impl Core {
    /// The keyspaces with tables, by id.
    fn table_keyspaces(&self) -> Vec<Arc<Keyspace>> {
        self.trees
            .catalog
            .list_where(|keyspace| keyspace.engine.lsm().is_some() && keyspace.dropped().is_none())
    }

    /// Compacts until there is nothing left to do, or the store closes. Answers whether anything
    /// has changed.
    pub(crate) fn compact_all(&self) -> Result<bool> {
        // Two at once would merge the same runs, and the later one for nothing.
        let _turn = self.compacting.lock();
        let tables = &self.trees.media.tables;
        let mut changed = false;
        loop {
            let mut more = false;
            for keyspace in self.table_keyspaces() {
                match self.compact(&keyspace)? {
                    Compacted::Nothing => {}
                    Compacted::Some => more = true,
                    Compacted::Stopped if tables.is_closing() => return Ok(changed),
                    Compacted::Stopped => {}
                }
                self.state_debts();
            }
            if !more {
                return Ok(changed);
            }
            changed = true;
        }
    }

    fn compact(&self, keyspace: &Keyspace) -> Result<Compacted> {
        let watermark = self.pins.advance(self.sequencer.published());
        match &keyspace.engine.as_ref() {
            Engine::BTree(_) => Ok(Compacted::Nothing),
            Engine::Lsm(lsm) => lsm.compact(watermark),
            Engine::Hybrid(hybrid) => {
                let pages = &self.trees.media.pages;
                hybrid.compact(watermark, pages.payload_size(), &mut |bound, change| {
                    let _barrier = self.barrier.read();
                    let _room = pages.reserve(bound)?;
                    self.trees.poison.guard(PageStore::unlogged(change))
                })
            }
        }
    }

    fn wants_compaction(&self) -> bool {
        let watermark = self.pins.advance(self.sequencer.published());
        self.table_keyspaces()
            .iter()
            .any(|keyspace| match &keyspace.engine.as_ref() {
                Engine::BTree(_) => false,
                Engine::Lsm(lsm) => lsm.wants_compaction(),
                Engine::Hybrid(hybrid) => hybrid.wants_compaction(watermark),
            })
    }

    /// Whether writers to some keyspace are being slowed down.
    pub(super) fn compaction_is_behind(&self) -> bool {
        self.trees.media.tables.has_debtors()
    }

    /// Starts a compaction in the background where one is due.
    pub(crate) fn compact_soon(&self) {
        self.state_debts();
        if self.wants_compaction() {
            self.background.compact_soon(self);
        }
    }

    fn state_debts(&self) {
        let all = self.table_keyspaces();
        let is_behind = |keyspace: &Arc<Keyspace>| furthest_behind(keyspace).is_some();
        let any = all.iter().any(is_behind);
        self.trees.media.tables.set_debtors(any);
        self.background.debt_paid();
    }

    /// Reserves memory for memtables and merges of tables, if `batch` creates the first keyspace
    /// that has them.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub(crate) fn reserve_table_memory(&self, batch: &Batch) -> Result<()> {
        let creates = batch.operations().iter().any(|operation| match operation {
            Operation::CreateKeyspace { options, .. } => options.engine_kind().has_tables(),
            Operation::CreateReplacement { engine, .. } => engine.has_tables(),
            _ => false,
        });
        if creates {
            self.hold_table_memory()
        } else {
            Ok(())
        }
    }

    /// Reserves memory for memtables and merges of tables, unless that has been done.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub(crate) fn hold_table_memory(&self) -> Result<()> {
        let mut held = self.table_memory.lock();
        if held.is_none() {
            let bytes = self.options.table_working_bytes();
            *held = Some(
                self.budget
                    .reserve(bytes, "memtables and merges of tables")?,
            );
        }
        Ok(())
    }

    /// Holds a writer back while memtables take too much memory: writes them out at their limit,
    /// waits at twice as much.
    ///
    /// # Errors
    /// As [`Core::checkpoint`]: where the disk is full, memtables must not grow further.
    pub(crate) fn make_memtable_room(&self) -> Result<()> {
        let tables = &self.trees.media.tables;
        let limit = tables.memtable_limit();
        if tables.memtable_bytes() < limit {
            return Ok(());
        }
        if !self.options.background {
            return self.checkpoint().map(|_| ());
        }
        self.background.checkpoint_soon(self);
        if tables.memtable_bytes() >= 2 * limit {
            return self
                .wait_points
                .memtable
                .time(|| self.wait_while(|| tables.memtable_bytes() >= 2 * limit));
        }
        Ok(())
    }

    /// Holds the writer of `batch` back where compactions of what it writes to have fallen behind: a
    /// little beyond a soft limit, then more and more.
    pub(crate) fn throttle_for_compaction(&self, batch: &Batch) {
        if !self.compaction_is_behind() {
            return;
        }
        let mut written: SmallVec<[(KeyspaceId, usize); 4]> = SmallVec::new();
        for operation in batch.operations() {
            let (keyspace, bytes) = match operation {
                Operation::Put {
                    keyspace,
                    key,
                    value,
                } => (keyspace, key.len() + value.len()),
                Operation::Delete { keyspace, key } => (keyspace, key.len()),
                // A run more, however long it is.
                Operation::Merge { into, .. } => (into, 0),
                Operation::CreateKeyspace { .. }
                | Operation::DropKeyspace { .. }
                | Operation::CreateReplacement { .. }
                | Operation::Replace { .. } => continue,
            };
            // Mostly the one before.
            match written.iter_mut().rfind(|(known, _)| known == keyspace) {
                Some((_, sum)) => *sum += bytes,
                None => written.push((*keyspace, bytes)),
            }
        }
        for (keyspace, bytes) in written {
            self.throttle_for(keyspace, bytes);
        }
    }

    fn throttle_for(&self, id: KeyspaceId, bytes: usize) {
        let Some(keyspace) = self.trees.catalog.find_current(id) else {
            return;
        };
        let Some((excess, lsm)) = furthest_behind(&keyspace) else {
            return;
        };
        if bytes == 0 && !excess.stops() {
            return;
        }
        self.background.compact_soon(self);
        let point = match excess.measure {
            Measure::Front => &self.wait_points.compaction_front,
            Measure::Bytes => &self.wait_points.compaction_bytes,
        };
        if !excess.stops() {
            let owed = bytes as f64 * SLOWNESS * steepness(excess.part);
            self.pay(lsm.owed(), owed as u64, point);
            return;
        }
        // It may be dropped meanwhile, or get another engine.
        let must_wait = || {
            let keyspace = self.trees.catalog.find_current(id);
            keyspace.is_some_and(|keyspace| {
                furthest_behind(&keyspace).is_some_and(|(excess, _)| excess.stops())
            })
        };
        point.time(|| self.wait_while_compacting(must_wait));
    }

    /// Figures about memtables and tables.
    pub(crate) fn table_statistics(&self) -> TableStatistics {
        let mut statistics = self.trees.media.tables.statistics();
        for keyspace in self.table_keyspaces() {
            if let Some(lsm) = keyspace.engine.lsm() {
                let (bytes, tables) = lsm.table_bytes();
                statistics.table_bytes += bytes;
                statistics.tables += tables;
                let debt = lsm.debt();
                statistics.compaction_debt_bytes += debt.bytes;
                statistics.front_runs = statistics.front_runs.max(debt.runs);
            }
        }
        statistics
    }
}
