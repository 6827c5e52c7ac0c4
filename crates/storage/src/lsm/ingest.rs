//! Sorted runs that are written to tables as they come in, past memtables and log.
//!
//! A run grows behind the tree's back, one table after the other, each durable when it is
//! complete. Sealing it completes the last one, makes their names durable, and only then makes
//! all of it part of the tree. What has not been sealed is given up with the tree, and by a
//! crash: no manifest lists its files.

use std::sync::atomic::Ordering;

use super::{compaction::MAX_LEVELS, outputs::Outputs, run::ListedTable, tree::LsmTree};
use crate::{btree::TreeEntry, cursor::VersionRef, error::Result, lsn::Lsn};

/// A run on its way into a tree; an error where part of it could not be written, so that it can
/// never be sealed.
pub(super) type GrowingRun = Option<Result<GrowingTables>>;

/// The tables of such a run.
#[derive(Debug)]
pub(super) struct GrowingTables {
    outputs: Outputs,
    last_key: Vec<u8>,
}

impl LsmTree {
    /// The last key of the run that grows.
    pub(crate) fn last_ingested(&self) -> Option<Vec<u8>> {
        match &*self.growing.lock() {
            Some(Ok(run)) => Some(run.last_key.clone()),
            Some(Err(_)) | None => None,
        }
    }

    /// Whether something has been ingested and not been sealed.
    pub(crate) fn has_unsealed(&self) -> bool {
        self.is_growing.load(Ordering::Acquire)
    }

    /// Appends versions at `lsn` to the run that grows. Entries ascend by key, and come behind all
    /// that have been ingested before. Nobody reads them before [`LsmTree::seal`].
    ///
    /// # Errors
    /// [`crate::Error::Io`] (a full disk leaves a working store), [`crate::Error::Poisoned`]. The run cannot be
    /// sealed after that.
    pub(crate) fn ingest(&self, entries: &[TreeEntry<'_>], lsn: Lsn) -> Result<()> {
        let mut growing = self.growing.lock();
        self.is_growing.store(true, Ordering::Release);
        let run = growing.get_or_insert_with(|| {
            Ok(GrowingTables {
                // What is loaded in bulk mostly comes to lie deep.
                outputs: Outputs::new(&self.space, MAX_LEVELS),
                last_key: Vec::new(),
            })
        });
        let run = run.as_mut().map_err(|error| error.clone())?;
        let written = run.add(entries, lsn);
        if let Err(error) = &written {
            *growing = Some(Err(error.clone()));
        }
        written
    }

    /// Completes the run that grows, if there is one, and makes it part of the tree within
    /// `install`, which is given the step that does so. No key of the tree may lie between the
    /// run's: that step answers false where one does, or the tree is another's by now.
    ///
    /// # Errors
    /// As [`LsmTree::ingest`], and those of `install`.
    pub(crate) fn seal(
        &self,
        install: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<()>,
    ) -> Result<()> {
        let mut growing = self.growing.lock();
        let sealed = match growing.take() {
            None => return Ok(()),
            Some(run) => run.and_then(|run| self.seal_run(run, install)),
        };
        match &sealed {
            Ok(()) => self.is_growing.store(false, Ordering::Release),
            Err(error) => *growing = Some(Err(error.clone())),
        }
        sealed
    }

    fn seal_run(
        &self,
        run: GrowingTables,
        install: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<()>,
    ) -> Result<()> {
        let tables = ListedTable::all_plain(run.outputs.finish()?);
        let mut installed = false;
        let result = install(&mut || {
            installed = self.install_run(&tables);
            installed
        });
        if !installed {
            tables.iter().for_each(|table| table.retire());
        }
        result
    }
}

impl GrowingTables {
    fn add(&mut self, entries: &[TreeEntry<'_>], lsn: Lsn) -> Result<()> {
        for entry in entries {
            self.outputs.add(VersionRef {
                key: entry.key,
                lsn,
                value: entry.value,
            })?;
        }
        if let Some(last) = entries.last() {
            self.last_key.clear();
            self.last_key.extend_from_slice(last.key);
        }
        Ok(())
    }
}
