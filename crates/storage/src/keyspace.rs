//! A keyspace in memory: its engine and between which commits it exists.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    btree::TreeEntry,
    engine::{EngineKind, KeyspaceOptions},
    error::Result,
    lsn::{KeyspaceId, Lsn},
    manifest::KeyspaceRecord,
    pins::Watermark,
    staging,
    store::Engine,
    sync::{Mutex, atomic::AtomicU64},
};

/// One keyspace. What changes about it changes under the catalog's lock.
#[derive(Debug)]
pub(crate) struct Keyspace {
    pub(crate) id: KeyspaceId,
    pub(crate) options: KeyspaceOptions,
    /// Shared with the keyspace that has adopted it, if one has.
    pub(crate) engine: Arc<Engine>,
    /// The keyspace that will take this one's place with another engine: every commit goes to
    /// both.
    pub(crate) replacement: Option<Arc<Keyspace>>,
    /// Whose place it will take.
    pub(crate) replaces: Option<KeyspaceId>,
    /// The commit with which it took the place of `before`; zero for none.
    replaced: AtomicU64,
    /// What snapshots from before that commit read, as long as there are any.
    before: Mutex<Option<Arc<Keyspace>>>,
    created: AtomicU64,
    adopted: AtomicU64,
    dropped: AtomicU64,
    /// Held by whoever ingests: whether keys ascend is looked up, and must stay so until they are
    /// in.
    pub(crate) ingesting: Mutex<()>,
    /// How often something was added to it that neither the log nor a checkpoint held, and how many
    /// of these additions a durable checkpoint holds.
    unlogged: AtomicU64,
    settled: AtomicU64,
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
            replacement: None,
            replaces: None,
            replaced: AtomicU64::new(0),
            before: Mutex::new(None),
            created: AtomicU64::new(NEVER),
            adopted: AtomicU64::new(0),
            dropped: AtomicU64::new(NEVER),
            ingesting: Mutex::new(()),
            unlogged: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        }
    }

    /// What will take the place of keyspace `of`. Dropped, as all that is staged, where that has
    /// not come to pass when the store opens.
    pub(crate) fn replacement_of(
        of: KeyspaceId,
        id: KeyspaceId,
        kind: EngineKind,
        engine: Arc<Engine>,
    ) -> Keyspace {
        let options = KeyspaceOptions {
            engine: kind,
            staging: true,
        };
        Keyspace {
            replaces: Some(of),
            ..Keyspace::new(id, options, engine)
        }
    }

    /// The same keyspace with another replacement, or none; [`Keyspace::inherit`] goes with it.
    pub(crate) fn with_replacement(&self, replacement: Option<Arc<Keyspace>>) -> Keyspace {
        Keyspace {
            replacement,
            ..Keyspace::new(self.id, self.options, Arc::clone(&self.engine))
        }
    }

    /// The same keyspace with its replacement's engine; [`Keyspace::take_place_of`] goes with it.
    pub(crate) fn with_engine_of(&self, replacement: &Keyspace) -> Keyspace {
        let options = KeyspaceOptions {
            engine: replacement.options.engine,
            ..self.options
        };
        Keyspace::new(self.id, options, Arc::clone(&replacement.engine))
    }

    /// A keyspace as a manifest records it.
    pub(crate) fn from_record(record: &KeyspaceRecord, engine: Engine) -> Keyspace {
        let keyspace = Keyspace {
            replaces: record.replaces,
            ..Keyspace::new(record.id, record.options, Arc::new(engine))
        };
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
            replaces: self.replaces,
        }
    }

    /// Takes over the history of `old`, whose engine it has.
    pub(crate) fn inherit(&self, old: &Keyspace) {
        self.set_created(old.created());
        self.set_adopted(old.adopted());
        let replaced = old.replaced.load(Ordering::Acquire);
        self.replaced.store(replaced, Ordering::Release);
        *self.before.lock() = old.before.lock().clone();
    }

    /// Becomes the keyspace with commit `lsn`; older snapshots go on reading `old`.
    pub(crate) fn take_place_of(&self, old: &Arc<Keyspace>, lsn: Lsn) {
        self.set_created(old.created());
        self.replaced.store(lsn.0, Ordering::Release);
        *self.before.lock() = Some(Arc::clone(old));
    }

    /// The keyspace as a snapshot at `at` reads it.
    pub(crate) fn seen_at(self: &Arc<Keyspace>, at: Lsn) -> Arc<Keyspace> {
        let mut seen = Arc::clone(self);
        while at.0 < seen.replaced.load(Ordering::Acquire) {
            let before = seen.before.lock().clone();
            match before {
                Some(before) => seen = before,
                // Nobody reads at such an LSN any more.
                None => break,
            }
        }
        seen
    }

    /// Lets go of `gone`, which no snapshot reads any more.
    pub(crate) fn forget(self: &Arc<Keyspace>, gone: &Arc<Keyspace>) {
        let mut at = Arc::clone(self);
        loop {
            let mut before = at.before.lock();
            if before
                .as_ref()
                .is_some_and(|before| Arc::ptr_eq(before, gone))
            {
                *before = None;
            }
            let Some(next) = before.clone() else { return };
            drop(before);
            at = next;
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
        self.settled.load(Ordering::Acquire) < self.unlogged_additions()
    }

    /// Says that entries are added which neither the log nor a checkpoint holds. The caller holds
    /// the store's barrier until they are in, or nothing uses them up before they are.
    pub(crate) fn add_unlogged(&self) {
        self.unlogged.fetch_add(1, Ordering::AcqRel);
    }

    /// How often [`Keyspace::add_unlogged`] has said so.
    pub(crate) fn unlogged_additions(&self) -> u64 {
        self.unlogged.load(Ordering::Acquire)
    }

    /// Says that a checkpoint which was frozen after the first `additions` is durable.
    pub(crate) fn settle_unlogged(&self, additions: u64) {
        self.settled.fetch_max(additions, Ordering::AcqRel);
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
        if at.0 < self.replaced.load(Ordering::Acquire) {
            return self.get_before(key, at, read);
        }
        self.get_here(key, at, read)
    }

    #[cold]
    fn get_before<R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: impl FnOnce(Lsn, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let before = self.before.lock().clone();
        match before {
            Some(before) => before.seen_at(at).get_here(key, at, read),
            // Nobody reads at such an LSN any more.
            None => self.get_here(key, at, read),
        }
    }

    /// As [`Keyspace::get`], of this engine.
    #[inline]
    fn get_here<R>(
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

    /// Adds a version at `lsn` of each entry's key, here and to the replacement; see
    /// [`Engine::apply`].
    #[inline]
    pub(crate) fn apply(
        &self,
        entries: &[TreeEntry<'_>],
        lsn: Lsn,
        watermark: Watermark<'_>,
    ) -> Result<()> {
        self.engine.apply(entries, lsn, watermark)?;
        match &self.replacement {
            Some(replacement) => replacement.engine.apply(entries, lsn, watermark),
            None => Ok(()),
        }
    }

    /// The engines that commits go to.
    pub(crate) fn written_engines(&self) -> impl Iterator<Item = &Engine> {
        let replacement = self.replacement.as_ref();
        let replacement = replacement.map(|replacement| replacement.engine.as_ref());
        std::iter::once(self.engine.as_ref()).chain(replacement)
    }

    /// How many of the engines that commits go to change pages directly.
    #[inline]
    pub(crate) fn page_writers(&self) -> usize {
        match self.replacement {
            None => usize::from(self.engine.writes_pages()),
            Some(_) => self
                .written_engines()
                .filter(|engine| engine.writes_pages())
                .count(),
        }
    }
}
