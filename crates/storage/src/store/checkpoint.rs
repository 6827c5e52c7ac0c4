//! Checkpoints: freeze under the barrier, write while commits go on, then cut the log.

use std::sync::{Arc, atomic::Ordering};

use super::{
    core::{Checkpoints, Core},
    engine::Engine,
};
use crate::{
    durability,
    error::Result,
    keyspace::Keyspace,
    lsm::{FrozenVersion, WrittenVersion},
    lsn::Lsn,
    manifest::Manifest,
    page::FrozenCheckpoint,
    wal::{Wal, WalPosition},
};

/// The store at an LSN, in memory: what a checkpoint writes.
#[derive(Debug)]
pub(crate) struct FrozenStore {
    pages: FrozenCheckpoint,
    /// Without the tables that the memtables will be written to.
    manifest: Manifest,
    /// LSM trees, by their keyspace's place in the manifest.
    trees: Vec<(usize, Arc<Keyspace>, FrozenVersion)>,
    lsn: Lsn,
    position: WalPosition,
    written_work: u64,
    log_bytes: u64,
    table_changes: u64,
    /// The number of the next table then: where it has gone up, there are names to be made durable.
    next_table: u64,
}

impl Core {
    /// Makes a checkpoint of all commits so far, unless nothing has changed since the last one.
    /// Where there are no background threads, tables are compacted too.
    pub(crate) fn checkpoint(&self) -> Result<Lsn> {
        let lsn = self.write_checkpoint()?;
        if self.options.background {
            self.compact_soon();
        } else if self.compact_all()? {
            // So that what has been compacted is true, and its input gone.
            self.write_checkpoint()?;
        }
        Ok(lsn)
    }

    /// Makes a checkpoint, unless nothing has changed since the last one.
    ///
    /// # Errors
    /// A full disk and too many open files leave the store as it was, with what was frozen to be
    /// written first the next time. Whatever else fails poisons.
    pub(crate) fn write_checkpoint(&self) -> Result<Lsn> {
        self.trees.poison.check()?;
        let mut checkpoints = self.checkpoints.lock();
        if let Some(frozen) = checkpoints.unwritten.take() {
            self.write_frozen(&mut checkpoints, frozen)?;
        }
        let freed = self.collect_garbage()?;
        match self.freeze(&checkpoints, freed)? {
            Some(frozen) => self.write_frozen(&mut checkpoints, frozen)?,
            None => return Ok(checkpoints.lsn),
        }
        Ok(checkpoints.lsn)
    }

    /// Ends epoch and memtables under the barrier; `None` where nothing has changed since the
    /// last checkpoint.
    fn freeze(&self, last: &Checkpoints, freed: bool) -> Result<Option<FrozenStore>> {
        let tables = &self.trees.media.tables;
        let _change = self.trees.catalog.change.lock();
        let _barrier = self.wait_points.barrier.time(|| self.barrier.write());
        let (lsn, position) = match self.sequencer.wal() {
            Some(wal) => wal.position(),
            None => (self.sequencer.last(), NOWHERE),
        };
        let vacuumed = self.vacuumed.swap(false, Ordering::AcqRel);
        let table_changes = tables.changes();
        let changed = freed || vacuumed || table_changes != last.table_changes;
        if lsn == last.lsn && !changed {
            return Ok(None);
        }
        let next_table = tables.next_number();
        let (manifest, trees) = self.freeze_keyspaces(position);
        let pages = self.trees.media.pages.freeze(lsn, Vec::new());
        let pages = pages.inspect_err(|_| self.vacuumed.store(vacuumed, Ordering::Release))?;
        Ok(Some(FrozenStore {
            pages,
            manifest,
            trees,
            lsn,
            position,
            written_work: self.written_work(),
            log_bytes: self.sequencer.wal().map_or(0, Wal::appended_bytes),
            table_changes,
            next_table,
        }))
    }

    /// Makes what was frozen the durable checkpoint, and cuts the log.
    fn write_frozen(&self, last: &mut Checkpoints, mut frozen: FrozenStore) -> Result<()> {
        // The superblock may not know of commits that the log could lose.
        self.sequencer.flush()?;
        let prepared = self.write_tables(&mut frozen).and_then(|written| {
            let metadata = frozen.manifest.encode();
            self.trees.media.pages.reserve_metadata(metadata.len())?;
            Ok((written, metadata))
        });
        let (written, metadata) = match prepared {
            Ok(prepared) => prepared,
            // Nothing refers to what could not be written, or not be opened after that, or whose name
            // is not durable: writing what is missing is what the next attempt begins with.
            Err(error) if error.is_refusal() => {
                last.unwritten = Some(frozen);
                return Err(error);
            }
            Err(error) => return self.trees.poison.guard(Err(error)),
        };
        let FrozenStore {
            mut pages,
            lsn,
            position,
            written_work,
            log_bytes,
            table_changes,
            ..
        } = frozen;
        pages.set_metadata(metadata)?;
        durability::install_checkpoint(&self.trees.media.pages, pages, || {
            if let Some(wal) = self.sequencer.wal() {
                wal.retire_before(&position);
                self.remove_log(wal);
            }
            last.tables = written;
            self.trees.media.tables.empty_trash();
        })?;
        last.lsn = lsn;
        last.table_changes = table_changes;
        self.checkpointed_lsn.store(lsn.0, Ordering::Relaxed);
        self.checkpointed_work
            .store(written_work, Ordering::Relaxed);
        self.checkpointed_log.store(log_bytes, Ordering::Relaxed);
        self.background.debt_paid();
        Ok(())
    }

    /// Removes log segments that nothing needs any more. Not before an archive has them: that may
    /// take longer than writers can wait for the checkpoint, and is left to a thread of its own.
    fn remove_log(&self, wal: &Wal) {
        let is_open = !self.closed.load(Ordering::Acquire);
        if wal.has_archive() && self.options.background && is_open {
            self.background.archive_soon(self);
        } else {
            wal.remove_retired(|| true);
        }
    }

    /// Writes all frozen memtables to tables, and completes the manifest.
    fn write_tables(&self, frozen: &mut FrozenStore) -> Result<Vec<WrittenVersion>> {
        let tables = &self.trees.media.tables;
        let watermark = self.pins.advance(self.sequencer.published());
        let mut written = Vec::with_capacity(frozen.trees.len());
        for (place, keyspace, version) in &mut frozen.trees {
            let (Some(lsm), Some(record)) = (
                keyspace.engine.lsm(),
                frozen.manifest.keyspaces.get_mut(*place),
            ) else {
                continue;
            };
            let version = lsm.write_out(version, watermark)?;
            record.engine.runs = version.records();
            written.push(version);
        }
        let next_table = tables.next_number();
        frozen.manifest.next_table = next_table;
        if next_table != frozen.next_table {
            tables.sync_names()?;
        }
        Ok(written)
    }

    /// Ends all memtables, and lists what there is. The barrier is held alone.
    fn freeze_keyspaces(
        &self,
        replay_from: WalPosition,
    ) -> (Manifest, Vec<(usize, Arc<Keyspace>, FrozenVersion)>) {
        let catalog = &self.trees.catalog;
        let all = catalog.list_where(|keyspace| keyspace.dropped().is_none());
        let keyspaces: Vec<_> = all.iter().map(|keyspace| keyspace.record()).collect();
        let frozen = all.into_iter().enumerate().filter_map(|(place, keyspace)| {
            let frozen = keyspace.engine.freeze()?;
            Some((place, keyspace, frozen))
        });
        let trees = frozen.collect();
        let mut garbage: Vec<_> = catalog
            .garbage
            .lock()
            .iter()
            .filter_map(|(_, keyspace)| Some(keyspace.engine.tree()?.root()))
            .collect();
        garbage.sort_unstable();
        garbage.dedup();
        // An adopted tree belongs to its new keyspace.
        let owned = |root| {
            keyspaces
                .iter()
                .any(|keyspace| keyspace.engine.root == Some(root))
        };
        garbage.retain(|root| !owned(*root));
        let manifest = Manifest {
            store: self.id,
            created: self.created,
            next_keyspace: catalog.next_id(),
            replay_from,
            keyspaces,
            garbage,
            next_table: 0,
        };
        (manifest, trees)
    }

    /// Frees the engines of dropped keyspaces that no snapshot and no cursor can see any more.
    /// Answers whether there were any.
    pub(crate) fn collect_garbage(&self) -> Result<bool> {
        let watermark = self.pins.advance(self.sequencer.published());
        let catalog = &self.trees.catalog;
        if catalog.garbage.lock().is_empty() {
            return Ok(false);
        }
        let _change = catalog.change.lock();
        let unseen: Vec<(Lsn, Arc<Keyspace>)> = catalog
            .garbage
            .lock()
            .extract_if(.., |(dropped, _)| *dropped <= watermark)
            .collect();
        catalog.update(|map| {
            for (_, keyspace) in &unseen {
                match map.get(&keyspace.id) {
                    Some(listed) if Arc::ptr_eq(listed, keyspace) => {
                        map.remove(&keyspace.id);
                    }
                    Some(listed) => listed.forget(keyspace),
                    None => {}
                }
            }
        });
        let mut freed = false;
        // What has taken another's place may hold it: the newest goes first.
        for (dropped, keyspace) in unseen.into_iter().rev() {
            match Arc::try_unwrap(keyspace) {
                // Where another keyspace has adopted the engine, only this share of it goes.
                Ok(keyspace) => {
                    if let Some(engine) = Arc::into_inner(keyspace.engine) {
                        self.destroy(engine)?;
                        freed = true;
                    }
                }
                // A cursor is still on it.
                Err(keyspace) => catalog.garbage.lock().push((dropped, keyspace)),
            }
        }
        Ok(freed)
    }

    fn destroy(&self, engine: Engine) -> Result<()> {
        let _barrier = self.barrier.read();
        self.trees.poison.guard(engine.destroy())
    }

    /// Makes everything committed so far durable.
    pub(crate) fn flush(&self) -> Result<Lsn> {
        self.sequencer.flush()
    }

    /// Asks for a flush within the configured interval.
    pub(crate) fn flush_soon(&self) {
        if self.sequencer.wal().is_some() {
            self.background.flush_soon(self);
        }
    }
}

/// The log position of a store without a log.
pub(crate) const NOWHERE: WalPosition = WalPosition {
    sequence: 0,
    salt: 0,
    offset: 0,
    chain: 0,
};
