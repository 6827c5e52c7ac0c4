//! Checkpoints: freeze under the barrier, write while commits go on, then cut the log.

use std::sync::{Arc, atomic::Ordering};

use super::core::Core;
use crate::{
    btree::BTree, durability, error::Result, keyspace::Keyspace, lsn::Lsn, manifest::Manifest,
    wal::WalPosition,
};

impl Core {
    /// Makes a checkpoint of all commits so far, unless nothing has changed since the last one.
    pub(crate) fn checkpoint(&self) -> Result<Lsn> {
        self.trees.poison.check()?;
        let mut checkpoints = self.checkpoints.lock();
        let freed = self.collect_garbage()?;
        let frozen = {
            let _change = self.trees.catalog.change.lock();
            let _barrier = self.wait_points.barrier.time(|| self.barrier.write());
            let (lsn, position) = match self.sequencer.wal() {
                Some(wal) => wal.position(),
                None => (self.sequencer.last(), NOWHERE),
            };
            let vacuumed = self.vacuumed.swap(false, Ordering::AcqRel);
            if lsn == checkpoints.lsn && !freed && !vacuumed {
                return Ok(lsn);
            }
            let manifest = self.manifest(position).encode();
            let frozen = self.trees.pages.freeze(lsn, manifest);
            let frozen =
                frozen.inspect_err(|_| self.vacuumed.store(vacuumed, Ordering::Release))?;
            (frozen, lsn, position, self.written_bytes())
        };
        let (frozen, lsn, position, bytes) = frozen;
        // The superblock may not know of commits that the log could lose.
        self.sequencer.flush()?;
        durability::install_checkpoint(&self.trees.pages, frozen, || {
            if let Some(wal) = self.sequencer.wal() {
                wal.retire_before(&position);
            }
        })?;
        checkpoints.lsn = lsn;
        self.checkpointed_lsn.store(lsn.0, Ordering::Relaxed);
        self.checkpointed_bytes.store(bytes, Ordering::Relaxed);
        self.background.debt_paid();
        Ok(lsn)
    }

    fn manifest(&self, replay_from: WalPosition) -> Manifest {
        let catalog = &self.trees.catalog;
        let mut keyspaces: Vec<_> = catalog
            .read()
            .values()
            .filter(|keyspace| keyspace.dropped().is_none())
            .map(|keyspace| keyspace.record())
            .collect();
        keyspaces.sort_unstable_by_key(|keyspace| keyspace.id);
        let mut garbage: Vec<_> = catalog
            .garbage
            .lock()
            .iter()
            .map(|(_, keyspace)| keyspace.tree.root())
            .collect();
        garbage.sort_unstable();
        garbage.dedup();
        // An adopted tree belongs to its new keyspace.
        garbage.retain(|root| keyspaces.iter().all(|keyspace| keyspace.root != *root));
        Manifest {
            store: self.id,
            created: self.created,
            next_keyspace: catalog.next_id(),
            replay_from,
            keyspaces,
            garbage,
        }
    }

    /// Frees the trees of dropped keyspaces that no snapshot and no cursor can see any more.
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
                // Where another keyspace has adopted the tree, only this share of it goes.
                Ok(keyspace) => {
                    if let Some(tree) = Arc::into_inner(keyspace.tree) {
                        self.destroy(tree)?;
                        freed = true;
                    }
                }
                // A cursor is still on it.
                Err(keyspace) => catalog.garbage.lock().push((dropped, keyspace)),
            }
        }
        Ok(freed)
    }

    fn destroy(&self, tree: BTree) -> Result<()> {
        let _barrier = self.barrier.read();
        self.trees.poison.guard(tree.destroy())
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
