//! Checkpoints: freeze under the barrier, write while commits go on, then cut the log.

use std::sync::{Arc, atomic::Ordering};

use super::{core::Core, engine::Engine};
use crate::{
    durability,
    error::Result,
    keyspace::Keyspace,
    lsm::{FrozenVersion, WrittenVersion},
    lsn::Lsn,
    manifest::Manifest,
    page::FrozenCheckpoint,
    wal::WalPosition,
};

/// The store at an LSN, in memory: what a checkpoint writes.
#[derive(Debug)]
struct FrozenStore {
    pages: FrozenCheckpoint,
    /// Without the tables that the memtables will be written to.
    manifest: Manifest,
    /// LSM trees, by their keyspace's place in the manifest.
    trees: Vec<(usize, Arc<Keyspace>, FrozenVersion)>,
    lsn: Lsn,
    position: WalPosition,
    written_bytes: u64,
    table_changes: u64,
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
    pub(crate) fn write_checkpoint(&self) -> Result<Lsn> {
        self.trees.poison.check()?;
        let mut checkpoints = self.checkpoints.lock();
        let freed = self.collect_garbage()?;
        let tables = &self.trees.media.tables;
        let frozen = {
            let _change = self.trees.catalog.change.lock();
            let _barrier = self.wait_points.barrier.time(|| self.barrier.write());
            let (lsn, position) = match self.sequencer.wal() {
                Some(wal) => wal.position(),
                None => (self.sequencer.last(), NOWHERE),
            };
            let vacuumed = self.vacuumed.swap(false, Ordering::AcqRel);
            let table_changes = tables.changes();
            let changed = freed || vacuumed || table_changes != checkpoints.table_changes;
            if lsn == checkpoints.lsn && !changed {
                return Ok(lsn);
            }
            let (manifest, trees) = self.freeze_keyspaces(position);
            let pages = self.trees.media.pages.freeze(lsn, Vec::new());
            let pages = pages.inspect_err(|_| self.vacuumed.store(vacuumed, Ordering::Release))?;
            FrozenStore {
                pages,
                manifest,
                trees,
                lsn,
                position,
                written_bytes: self.written_bytes(),
                table_changes,
            }
        };
        let FrozenStore {
            mut pages,
            manifest,
            trees,
            lsn,
            position,
            written_bytes,
            table_changes,
        } = frozen;
        // The superblock may not know of commits that the log could lose.
        self.sequencer.flush()?;
        let written = self.write_tables(manifest, trees);
        let (manifest, written) = self.trees.poison.guard(written)?;
        pages.set_metadata(manifest.encode())?;
        durability::install_checkpoint(&self.trees.media.pages, pages, || {
            if let Some(wal) = self.sequencer.wal() {
                wal.retire_before(&position);
            }
            checkpoints.tables = written;
            tables.empty_trash();
        })?;
        checkpoints.lsn = lsn;
        checkpoints.table_changes = table_changes;
        self.checkpointed_lsn.store(lsn.0, Ordering::Relaxed);
        self.checkpointed_bytes
            .store(written_bytes, Ordering::Relaxed);
        self.background.debt_paid();
        Ok(lsn)
    }

    /// Writes all frozen memtables to tables, and completes the manifest.
    fn write_tables(
        &self,
        mut manifest: Manifest,
        trees: Vec<(usize, Arc<Keyspace>, FrozenVersion)>,
    ) -> Result<(Manifest, Vec<WrittenVersion>)> {
        let tables = &self.trees.media.tables;
        let watermark = self.pins.advance(self.sequencer.published());
        let before = tables.next_number();
        let mut written = Vec::with_capacity(trees.len());
        for (place, keyspace, frozen) in trees {
            let (Some(lsm), Some(record)) =
                (keyspace.engine.lsm(), manifest.keyspaces.get_mut(place))
            else {
                continue;
            };
            let version = lsm.write_out(frozen, watermark)?;
            record.engine.runs = version.records();
            written.push(version);
        }
        manifest.next_table = tables.next_number();
        if manifest.next_table != before {
            tables.sync_names()?;
        }
        Ok((manifest, written))
    }

    /// Ends all memtables, and lists what there is. The barrier is held alone.
    fn freeze_keyspaces(
        &self,
        replay_from: WalPosition,
    ) -> (Manifest, Vec<(usize, Arc<Keyspace>, FrozenVersion)>) {
        let catalog = &self.trees.catalog;
        let mut all: Vec<Arc<Keyspace>> = catalog
            .read()
            .values()
            .filter(|keyspace| keyspace.dropped().is_none())
            .cloned()
            .collect();
        all.sort_unstable_by_key(|keyspace| keyspace.id);
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
                if map
                    .get(&keyspace.id)
                    .is_some_and(|listed| Arc::ptr_eq(listed, keyspace))
                {
                    map.remove(&keyspace.id);
                }
            }
        });
        let mut freed = false;
        for (dropped, keyspace) in unseen {
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
