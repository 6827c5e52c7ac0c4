//! A keyspace in memory: its engine and between which commits it exists.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    engine::KeyspaceOptions,
    error::Result,
    lsn::{KeyspaceId, Lsn},
    manifest::KeyspaceRecord,
    staging,
    store::Engine,
};

/// One keyspace. What changes about it changes under the catalog's lock.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) id: KeyspaceId,
    pub(crate) options: KeyspaceOptions,
    /// Shared with the keyspace that has adopted it, if one has.
    pub(crate) engine: Arc<Engine>,
    created: AtomicU64,
    adopted: AtomicU64,
    dropped: AtomicU64,
    unlogged: AtomicBool,
}

/// "Not yet", for an LSN that a commit will fill in.
const NEVER: u64 = u64::MAX;

impl Keyspace {
    /// A keyspace that no snapshot sees yet.
    pub(crate) fn new(id: KeyspaceId, options: KeyspaceOptions, engine: Arc<Engine>) -> Keyspace {
        Keyspace {
            id,
            options,
            engine,
            created: AtomicU64::new(NEVER),
            adopted: AtomicU64::new(0),
            dropped: AtomicU64::new(NEVER),
            unlogged: AtomicBool::new(false),
        }
    }

    /// A keyspace as a manifest records it.
    pub(crate) fn from_record(record: &KeyspaceRecord, engine: Engine) -> Keyspace {
        let keyspace = Keyspace::new(record.id, record.options, Arc::new(engine));
        keyspace.created.store(record.created.0, Ordering::Release);
        keyspace.adopted.store(record.adopted.0, Ordering::Release);
        keyspace
    }

    /// What the manifest says about it, but for its tables.
    pub(crate) fn record(&self) -> KeyspaceRecord {
        KeyspaceRecord {
            id: self.id,
            options: self.options,
            engine: self.engine.record(),
            created: self.created(),
            adopted: self.adopted(),
        }
    }

    /// The commit that created it.
    pub(crate) fn created(&self) -> Lsn {
        Lsn(self.created.load(Ordering::Acquire))
    }

    /// The commit that gave it a staging keyspace's engine; zero for none. Older versions in it
    /// hold staged values, and become visible with that commit.
    #[inline]
    pub(crate) fn adopted(&self) -> Lsn {
        Lsn(self.adopted.load(Ordering::Acquire))
    }

    /// The commit that dropped it, if one has.
    pub(crate) fn dropped(&self) -> Option<Lsn> {
        match self.dropped.load(Ordering::Acquire) {
            NEVER => None,
            lsn => Some(Lsn(lsn)),
        }
    }

    /// Sets the commit that creates it.
    pub(crate) fn set_created(&self, lsn: Lsn) {
        self.created.store(lsn.0, Ordering::Release);
    }

    /// Sets the commit with which its engine, a staging keyspace's until then, becomes its own.
    pub(crate) fn set_adopted(&self, lsn: Lsn) {
        self.adopted.store(lsn.0, Ordering::Release);
    }

    /// Sets the commit that drops it.
    pub(crate) fn set_dropped(&self, lsn: Lsn) {
        self.dropped.store(lsn.0, Ordering::Release);
    }

    /// Whether it holds entries that neither the log nor a checkpoint does.
    pub(crate) fn is_unlogged(&self) -> bool {
        self.unlogged.load(Ordering::Acquire)
    }

    /// Sets whether it holds entries that neither the log nor a checkpoint does.
    pub(crate) fn set_unlogged(&self, unlogged: bool) {
        self.unlogged.store(unlogged, Ordering::Release);
    }

    /// Whether a snapshot at `at` sees it.
    #[inline]
    pub(crate) fn exists_at(&self, at: Lsn) -> bool {
        self.created.load(Ordering::Acquire) <= at.0 && at.0 < self.dropped.load(Ordering::Acquire)
    }

    /// The newest version of `key` that a snapshot at `at` sees: the commit that made it
    /// visible, and its value unless it is a deletion.
    #[inline]
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: impl FnOnce(Lsn, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let adopted = self.adopted();
        if at < adopted {
            return Ok(None);
        }
        self.engine.get(key, at, |lsn, value| match value {
            Some(staged) if lsn < adopted => read(adopted, staging::decode(staged)),
            value => read(lsn.max(adopted), value),
        })
    }
}
