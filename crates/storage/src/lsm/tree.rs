//! The LSM tree's face: point reads, applying a batch, cursors, and the changes of its version.

use std::sync::{Arc, atomic::Ordering};

use super::{
    compaction::Picker,
    current::Current,
    debt::{Debt, Ledger},
    ingest::GrowingRun,
    memtable::Memtable,
    run::{ListedTable, Run, RunCursor, Tables},
    space::{TableCounters, TableSpace},
    table::Table,
    version::{RunRecord, Version},
    writer::TableWriter,
};
use crate::{
    btree::TreeEntry,
    cursor::VersionCollector,
    error::Result,
    lsn::Lsn,
    store::{Direction, KeyRange},
    sync::{Mutex, atomic::AtomicBool},
    verify::VerifyReport,
};

/// A log-structured merge tree. All methods may be called from any number of threads.
#[derive(Debug)]
pub(crate) struct LsmTree {
    pub(super) space: Arc<TableSpace>,
    current: Current,
    /// What is owed to compactions, and by writers for that.
    pub(super) ledger: Ledger,
    /// Held by whoever replaces the version.
    pub(super) change: Mutex<Ownership>,
    /// Held by whoever compacts.
    pub(super) picker: Mutex<Picker>,
    /// Whether older versions may lie below this tree: in another one, or yet to come.
    is_front: AtomicBool,
    /// What has been ingested and is not part of the tree yet. Held by whoever ingests or seals.
    pub(super) growing: Mutex<GrowingRun>,
    /// Whether there is such a thing, for those who may not wait for the lock.
    pub(super) is_growing: AtomicBool,
}

/// Whose the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Own,
    /// Another tree has taken everything over. This one stays readable and changes no more.
    GivenAway,
}

/// A tree's version at a checkpoint's LSN, to be written out.
#[derive(Debug)]
pub(crate) struct FrozenVersion(Arc<Version>);

/// A frozen version with everything in tables. Keeps their files.
#[derive(Debug)]
pub(crate) struct WrittenVersion(Version);

impl WrittenVersion {
    /// How the manifest lists it.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        self.0.records()
    }
}

/// How large a tree is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LsmEstimate {
    /// Versions, tombstones included.
    pub(crate) entries: u64,
    /// Data blocks.
    pub(crate) blocks: u64,
    /// Runs and levels that a point read may have to look at.
    pub(crate) parts: u32,
}

impl LsmTree {
    /// An empty tree.
    pub(crate) fn create(space: &Arc<TableSpace>) -> LsmTree {
        LsmTree::with_version(space, Version::empty(space))
    }

    /// The tree of a manifest.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Version`], [`crate::Error::Io`].
    pub(crate) fn open(space: &Arc<TableSpace>, records: &[RunRecord]) -> Result<LsmTree> {
        Ok(LsmTree::with_version(space, Version::open(space, records)?))
    }

    /// The same tree above another one, which holds older versions.
    pub(crate) fn in_front(self) -> LsmTree {
        LsmTree {
            is_front: AtomicBool::new(true),
            ..self
        }
    }

    fn with_version(space: &Arc<TableSpace>, version: Version) -> LsmTree {
        LsmTree {
            space: Arc::clone(space),
            ledger: Ledger::new(Debt::of(&version, &space.options)),
            current: Current::new(version),
            change: Mutex::new(Ownership::Own),
            picker: Mutex::default(),
            is_front: AtomicBool::new(false),
            growing: Mutex::default(),
            is_growing: AtomicBool::new(false),
        }
    }

    /// Whether older versions may lie below this tree.
    pub(super) fn is_front(&self) -> bool {
        self.is_front.load(Ordering::Acquire)
    }

    /// Says that nothing lies below this tree any more. The picker's lock is held.
    pub(super) fn settle_on_ground(&self) {
        self.is_front.store(false, Ordering::Release);
    }

    /// The version now.
    #[inline]
    pub(super) fn version(&self) -> Arc<Version> {
        self.current.get()
    }

    /// Changes the version, unless it is another tree's by now. Answers whether it has.
    pub(super) fn change(&self, change: impl FnOnce(&mut Version)) -> bool {
        let ownership = self.change.lock();
        if *ownership == Ownership::GivenAway {
            return false;
        }
        let mut version = self.current.with(Version::clone);
        change(&mut version);
        let debt = Debt::of(&version, &self.space.options);
        self.current.set(version);
        self.ledger.set(debt);
        if debt.excess(&self.space.options).is_some() {
            self.space.note_debtor();
        }
        true
    }

    /// Calls `read` with LSN and value (`None` for a tombstone) of the newest version of `key`
    /// at or below `at`; gives it back where there is none.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    #[inline]
    pub(crate) fn get<R, F: FnOnce(Lsn, Option<&[u8]>) -> R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: F,
    ) -> Result<std::result::Result<R, F>> {
        let found = self
            .current
            .with_or_keep(|version| version.get_in_memory(key, at, read));
        match found {
            Ok(found) => Ok(Ok(found)),
            Err((read, version)) => version.get_below(key, at, read),
        }
    }

    /// Adds a version at `lsn` of each entry's key; one that is there already stays. The caller
    /// holds the store's barrier, so that the memtable stays the active one meanwhile.
    pub(crate) fn apply(&self, entries: &[TreeEntry<'_>], lsn: Lsn) {
        // Not under the lock: who replaces the version meanwhile would wait for a large batch, and
        // all readers would wait behind.
        let active = self.current.with(|version| Arc::clone(&version.active));
        active.apply(entries, lsn);
    }

    /// Cursors over all parts, the newest first. None of them where there is nothing.
    pub(crate) fn cursors(&self, range: &KeyRange, direction: Direction) -> Vec<RunCursor> {
        self.version().cursors(range, direction)
    }

    /// Whether there is no version of anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.with(Version::is_empty)
    }

    /// How large the tree is.
    pub(crate) fn estimate(&self) -> LsmEstimate {
        let version = self.version();
        let memory: usize = version.memtables().map(|memtable| memtable.len()).sum();
        let mut estimate = LsmEstimate {
            entries: memory as u64,
            blocks: 0,
            parts: 1 + version.front.len() as u32,
        };
        for table in version.tables() {
            estimate.entries += table.properties().entries;
            estimate.blocks += table.properties().data_blocks;
        }
        let levels = version.levels.iter();
        estimate.parts += levels.filter(|level| !level.as_slice().is_empty()).count() as u32;
        estimate
    }

    /// Bytes of all tables, and their number.
    pub(crate) fn table_bytes(&self) -> (u64, usize) {
        let version = self.version();
        let bytes = version.tables().map(|table| table.len()).sum();
        (bytes, version.tables().count())
    }

    /// Ends the memtable, so that the version holds exactly the commits applied until now. The
    /// caller holds the store's barrier alone. No I/O.
    pub(crate) fn freeze(&self) -> FrozenVersion {
        self.change(|version| {
            if !version.active.is_empty() {
                let active = Arc::new(Memtable::new(&self.space));
                let full = std::mem::replace(&mut version.active, active);
                version.front.insert(0, Run::memory(full));
            }
        });
        FrozenVersion(self.version())
    }

    /// Writes the memtables of a frozen version to tables, whose names are still to be made
    /// durable. Versions that no snapshot at or above `watermark` sees are left out.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corrupt`]. After a full disk it may be called again;
    /// `frozen` has the tables that have been written.
    pub(crate) fn write_out(
        &self,
        frozen: &mut FrozenVersion,
        watermark: Lsn,
    ) -> Result<WrittenVersion> {
        let version = Arc::make_mut(&mut frozen.0);
        for run in &mut version.front {
            if let Run::Memory { memtable, staged } = run {
                let (memtable, staged) = (Arc::clone(memtable), *staged);
                let table = self.write_memtable(&memtable, staged, watermark)?;
                let tables = Tables::new(vec![ListedTable::new(Arc::clone(&table), staged)]);
                *run = Run::Tables(tables.clone());
                if self.install_flushed(&memtable, tables) {
                    memtable.count_out();
                } else {
                    table.retire();
                }
            }
        }
        let mut written = Version::clone(version);
        written.active = Arc::new(Memtable::new(&self.space));
        Ok(WrittenVersion(written))
    }

    /// Puts the table of a memtable in its place.
    fn install_flushed(&self, memtable: &Arc<Memtable>, tables: Tables) -> bool {
        self.change(|version| {
            for run in &mut version.front {
                if matches!(run, Run::Memory { memtable: one, .. } if Arc::ptr_eq(one, memtable)) {
                    *run = Run::Tables(tables.clone());
                }
            }
        })
    }

    fn write_memtable(
        &self,
        memtable: &Arc<Memtable>,
        staged: Lsn,
        watermark: Lsn,
    ) -> Result<Arc<Table>> {
        // Of a staged key only the newest version counts.
        let watermark = if staged == Lsn::ZERO {
            watermark
        } else {
            Lsn::MAX
        };
        let mut collector = VersionCollector::new(watermark);
        let mut writer = TableWriter::create(&self.space, 0)?;
        let mut next = memtable.first();
        while let Some(found) = next {
            let version = found.version();
            if collector.keeps(version, |_| false) {
                writer.add(version)?;
            }
            next = found.next();
        }
        let table = writer.finish()?;
        let counters = &self.space.counters;
        TableCounters::add(&counters.flushes, 1);
        TableCounters::add(&counters.flushed_bytes, table.len());
        Ok(table)
    }

    /// Says that no checkpoint will write the memtables out any more, as the tree's keyspace is
    /// gone: writers would wait for that while a snapshot keeps the tree. What another tree has
    /// taken over still counts. The caller holds the store's barrier alone.
    pub(crate) fn count_out_memtables(&self) {
        let ownership = self.change.lock();
        if *ownership == Ownership::Own {
            self.version()
                .memtables()
                .for_each(|memtable| memtable.count_out());
        }
    }

    /// Gives all tables back. Nobody else may use the tree any more.
    pub(crate) fn destroy(&self) {
        drop(std::mem::take(&mut *self.growing.lock()));
        let mut ownership = self.change.lock();
        if *ownership == Ownership::Own {
            for table in self.version().tables() {
                table.retire();
            }
        }
        *ownership = Ownership::GivenAway;
    }

    /// Checks every table.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where a file cannot be read. What does not verify is in the report.
    pub(crate) fn verify(&self, report: &mut VerifyReport) -> Result<()> {
        self.version().verify(report)
    }

    /// The tables that a manifest has listed, which has just been opened.
    pub(crate) fn opened(&self) -> WrittenVersion {
        WrittenVersion(self.current.with(Version::clone))
    }
}
