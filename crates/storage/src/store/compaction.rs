//! Compaction in the background: which keyspace is next, and how writers are held back when
//! merging falls behind.

use std::sync::Arc;

use super::{core::Core, engine::Engine};
use crate::{
    batch::{Batch, Operation},
    error::Result,
    keyspace::Keyspace,
    lsm::{Compacted, LsmTree, TableStatistics},
    page::PageStore,
};

/// Runs in front of a tree, beyond those that trigger a compaction, from which on writers are
/// slowed down, and at which they wait.
const SLOW_FROM: usize = 6;
const STOP_AT: usize = 20;

/// Nanoseconds per written byte that a writer waits just before it has to stop: 20 MB/s.
const SLOWEST: f64 = 50.0;

impl Core {
    /// The keyspaces with tables, by id.
    fn table_keyspaces(&self) -> Vec<Arc<Keyspace>> {
        let mut all: Vec<_> = self
            .trees
            .catalog
            .read()
            .values()
            .filter(|keyspace| keyspace.engine.lsm().is_some() && keyspace.dropped().is_none())
            .cloned()
            .collect();
        all.sort_unstable_by_key(|keyspace| keyspace.id);
        all
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
                self.state_front_debt();
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

    /// Whether writers are being slowed down.
    pub(super) fn compaction_is_behind(&self) -> bool {
        self.trees.media.tables.front_debt() > SLOW_FROM
    }

    /// Starts a compaction in the background where one is due.
    pub(crate) fn compact_soon(&self) {
        self.state_front_debt();
        if self.wants_compaction() {
            self.background.compact_soon(self);
        }
    }

    fn state_front_debt(&self) {
        let all = self.table_keyspaces();
        let debts = all.iter().filter_map(|keyspace| keyspace.engine.lsm());
        let debt = debts.map(LsmTree::front_debt).max().unwrap_or(0);
        self.trees.media.tables.set_front_debt(debt);
        self.background.debt_paid();
    }

    /// Reserves memory for memtables and cached blocks, if `batch` creates the first keyspace
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

    /// Reserves memory for memtables and cached blocks, unless that has been done.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub(crate) fn hold_table_memory(&self) -> Result<()> {
        let mut held = self.table_memory.lock();
        if held.is_none() {
            let options = self.options.tables();
            let bytes = 2 * options.memtable_bytes + options.block_cache_bytes;
            *held = Some(self.budget.reserve(bytes, "memtables and cached blocks")?);
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

    /// Holds a writer to tables back where compactions have fallen behind: a little when there
    /// are some runs too many in front of a tree, then more and more.
    pub(crate) fn throttle_for_compaction(&self, batch: &Batch) {
        let tables = &self.trees.media.tables;
        let debt = tables.front_debt();
        if !self.compaction_is_behind() || !self.writes_tables(batch) {
            return;
        }
        self.background.compact_soon(self);
        if debt >= STOP_AT {
            let point = &self.wait_points.compaction;
            point.time(|| self.wait_while_compacting(|| tables.front_debt() >= STOP_AT));
            return;
        }
        let over = (debt - SLOW_FROM) as f64 / (STOP_AT - SLOW_FROM) as f64;
        let owed = (batch.byte_size() as f64 * over * over * SLOWEST) as u64;
        let owing = &self.background.owed_to_compactions;
        self.pay(owing, owed, &self.wait_points.compaction);
    }

    fn writes_tables(&self, batch: &Batch) -> bool {
        let mut last = None;
        batch.operations().iter().any(|operation| {
            let (Operation::Put { keyspace, .. } | Operation::Delete { keyspace, .. }) = operation
            else {
                return false;
            };
            if last.replace(*keyspace) == Some(*keyspace) {
                return false;
            }
            let found = self.trees.catalog.find_current(*keyspace);
            found.is_some_and(|keyspace| {
                let mut engines = keyspace.written_engines();
                engines.any(|engine| engine.lsm().is_some())
            })
        })
    }

    /// Figures about memtables and tables.
    pub(crate) fn table_statistics(&self) -> TableStatistics {
        let mut statistics = self.trees.media.tables.statistics();
        for keyspace in self.table_keyspaces() {
            if let Some(lsm) = keyspace.engine.lsm() {
                let (bytes, tables) = lsm.table_bytes();
                statistics.table_bytes += bytes;
                statistics.tables += tables;
            }
        }
        statistics
    }
}
