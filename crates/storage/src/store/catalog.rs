//! The keyspaces of an open store.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::Deref,
    sync::{
        Arc, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crossbeam_utils::CachePadded;

use crate::{
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    pins,
    sync::{Mutex, ShardedLock, ShardedLockReadGuard},
};

/// Keyspaces by id. Readers lock a shard of their own, so that point reads of several threads
/// do not meet; a structural change locks all shards. Nobody reads a file with a shard locked:
/// whoever changes the catalog holds up all commits.
#[derive(Debug)]
pub(crate) struct Catalog {
    keyspaces: ShardedLock<KeyspaceMap>,
    /// Held by whoever changes which keyspaces exist, and by checkpoints.
    pub(crate) change: Mutex<()>,
    /// Keyspaces to be freed once no snapshot at or below that commit's predecessor is left.
    pub(crate) garbage: Mutex<Vec<(Lsn, Arc<Keyspace>)>>,
    next: AtomicU32,
}

pub(crate) type KeyspaceMap = HashMap<KeyspaceId, Listed, BuildHasherDefault<IdHasher>>;

/// A keyspace as some of the threads keep it for a read: by a count of their own.
pub(crate) type Kept = Arc<CachePadded<Arc<Keyspace>>>;

/// Threads are spread over so many counts of who keeps a keyspace.
const COUNTS: usize = 8;

/// A keyspace that the catalog lists.
#[derive(Debug)]
pub(crate) struct Listed {
    keyspace: Arc<Keyspace>,
    /// Made when they are first needed.
    kept: [OnceLock<Kept>; COUNTS],
}

impl From<Arc<Keyspace>> for Listed {
    fn from(keyspace: Arc<Keyspace>) -> Listed {
        Listed {
            keyspace,
            kept: Default::default(),
        }
    }
}

impl Deref for Listed {
    type Target = Arc<Keyspace>;

    #[inline]
    fn deref(&self) -> &Arc<Keyspace> {
        &self.keyspace
    }
}

impl Listed {
    /// Keeps the keyspace, however long that may be.
    #[inline]
    fn keep(&self) -> Kept {
        let kept = self.kept[pins::home() % COUNTS]
            .get_or_init(|| Arc::new(CachePadded::new(Arc::clone(&self.keyspace))));
        Arc::clone(kept)
    }
}

/// Ids are small, dense and ours: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Catalog {
    /// The keyspaces of a manifest, and those that wait to be freed.
    pub(crate) fn new(
        keyspaces: Vec<Keyspace>,
        garbage: Vec<(Lsn, Arc<Keyspace>)>,
        next: u32,
    ) -> Catalog {
        let mut all: KeyspaceMap = keyspaces
            .into_iter()
            .map(|keyspace| (keyspace.id, Arc::new(keyspace).into()))
            .collect();
        let replacements: Vec<_> = all
            .values()
            .filter_map(|one| Some((one.replaces?, Arc::clone(&one.keyspace))))
            .collect();
        for (replaced, replacement) in replacements {
            if let Some(listed) = all.get_mut(&replaced) {
                let keyspace = listed.with_replacement(Some(replacement));
                keyspace.inherit(listed);
                *listed = Arc::new(keyspace).into();
            }
        }
        Catalog {
            keyspaces: ShardedLock::new(all),
            change: Mutex::new(()),
            garbage: Mutex::new(garbage),
            next: AtomicU32::new(next),
        }
    }

    /// An id that no keyspace has had.
    pub(crate) fn allocate_id(&self) -> KeyspaceId {
        KeyspaceId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The id that would be allocated next.
    pub(crate) fn next_id(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Never allocates `id` or one below it again.
    pub(crate) fn spend_id(&self, id: KeyspaceId) {
        self.next
            .fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
    }

    /// All keyspaces, dropped ones included, for as long as the guard lives: for looks at memory
    /// alone.
    #[inline]
    pub(crate) fn read(&self) -> ShardedLockReadGuard<'_, KeyspaceMap> {
        self.keyspaces
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes which keyspaces there are. The caller holds [`Catalog::change`].
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut KeyspaceMap) -> R) -> R {
        change(
            &mut self
                .keyspaces
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// The keyspace `id` as a snapshot at `at` sees it.
    pub(crate) fn find(&self, id: KeyspaceId, at: Lsn) -> Result<Arc<Keyspace>> {
        let map = self.read();
        let keyspace = map.get(&id).filter(|keyspace| keyspace.exists_at(at));
        let keyspace = keyspace.ok_or(Error::UnknownKeyspace(id))?;
        Ok(keyspace.seen_at(at))
    }

    /// As [`Catalog::find`] for a read of one key, of which threads make so many that they must
    /// not meet at a counter: [`Keyspace::get`] finds the one that a snapshot at `at` sees.
    #[inline]
    pub(crate) fn keep(&self, id: KeyspaceId, at: Lsn) -> Result<Kept> {
        let map = self.read();
        let listed = map.get(&id).filter(|keyspace| keyspace.exists_at(at));
        Ok(listed.ok_or(Error::UnknownKeyspace(id))?.keep())
    }

    /// The keyspace `id` unless it has been dropped, whether published yet or not.
    pub(crate) fn find_current(&self, id: KeyspaceId) -> Option<Arc<Keyspace>> {
        self.read()
            .get(&id)
            .filter(|keyspace| keyspace.dropped().is_none())
            .map(|listed| Arc::clone(listed))
    }

    /// The keyspaces that a snapshot at `at` sees, by id.
    pub(crate) fn list(&self, at: Lsn) -> Vec<Arc<Keyspace>> {
        self.list_where(|keyspace| keyspace.exists_at(at))
    }

    /// The keyspaces that are wanted, by id.
    pub(crate) fn list_where(&self, is_wanted: impl Fn(&Keyspace) -> bool) -> Vec<Arc<Keyspace>> {
        let mut all: Vec<_> = self
            .read()
            .values()
            .filter(|keyspace| is_wanted(keyspace))
            .map(|listed| Arc::clone(listed))
            .collect();
        all.sort_unstable_by_key(|keyspace| keyspace.id);
        all
    }
}
