//! The sharded hash table of locks. An entry exists while somebody holds or wants its lock.

use std::sync::Arc;

use hashbrown::hash_table::{Entry as Slot, HashTable};
use rustling_storage::KeyspaceId;

use crate::{
    error::{LockResource, TransactionId},
    lock::queue::LockQueue,
    sync::Mutex,
};

/// A power of two: far more than there are threads, so that two rarely meet by chance.
const SHARDS: usize = 64;

/// Tables keep room for this many entries when they shrink.
const MIN_CAPACITY: usize = 32;

/// What is locked, borrowed: a keyspace, or a key of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target<'a> {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) row: Option<&'a [u8]>,
}

impl Target<'_> {
    pub(crate) fn to_resource(self) -> LockResource {
        match self.row {
            None => LockResource::Table(self.keyspace),
            Some(key) => LockResource::Row(self.keyspace, key.to_vec()),
        }
    }
}

/// What is locked, shared between the lock table and the holders' lists.
#[derive(Clone, Debug)]
pub(crate) struct LockName {
    keyspace: KeyspaceId,
    row: Option<Arc<[u8]>>,
    hash: u64,
}

impl LockName {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            keyspace: self.keyspace,
            row: self.row.as_deref(),
        }
    }

    pub(crate) fn keyspace(&self) -> KeyspaceId {
        self.keyspace
    }

    /// Identifies the lock among those that exist, without its key.
    pub(crate) fn address(&self) -> Address {
        (self.keyspace, self.row.as_ref().map(|row| row.as_ptr()))
    }

    /// The locked key, or `None` for a table lock.
    pub(crate) fn row(&self) -> Option<&Arc<[u8]>> {
        self.row.as_ref()
    }
}

/// A keyspace, and for a row where the lock table keeps its key.
pub(crate) type Address = (KeyspaceId, Option<*const u8>);

#[derive(Debug)]
struct Entry {
    name: LockName,
    queue: LockQueue,
}

/// All locks of a manager.
#[derive(Debug)]
pub(crate) struct LockTable {
    shards: Box<[Mutex<HashTable<Entry>>]>,
    hasher: foldhash::fast::RandomState,
}

impl LockTable {
    /// An empty table.
    pub(crate) fn new() -> LockTable {
        LockTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    fn hash(&self, target: Target<'_>) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(target)
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Entry>> {
        // The table inside uses the low bits for its buckets and the top seven for its tags.
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    /// Runs `act` on the lock of `target`, which need not exist before; an entry that is unused
    /// afterwards is removed. `act` runs under the shard's mutex: it must not block.
    pub(crate) fn with_target<R>(
        &self,
        target: Target<'_>,
        act: impl FnOnce(&LockName, &mut LockQueue) -> R,
    ) -> R {
        let hash = self.hash(target);
        let mut shard = self.shard(hash).lock();
        let slot = shard.entry(
            hash,
            |entry| entry.name.target() == target,
            |entry| entry.name.hash,
        );
        let mut occupied = match slot {
            Slot::Occupied(occupied) => occupied,
            Slot::Vacant(vacant) => {
                let name = LockName {
                    keyspace: target.keyspace,
                    row: target.row.map(Arc::from),
                    hash,
                };
                vacant.insert(Entry {
                    name,
                    queue: LockQueue::default(),
                })
            }
        };
        let entry = occupied.get_mut();
        let result = act(&entry.name, &mut entry.queue);
        if entry.queue.is_unused() {
            occupied.remove();
            shrink(&mut shard);
        }
        result
    }

    /// Runs `act` on the lock called `name` where it exists; removes an entry left unused.
    pub(crate) fn with_name<R>(
        &self,
        name: &LockName,
        act: impl FnOnce(&mut LockQueue) -> R,
    ) -> Option<R> {
        let mut shard = self.shard(name.hash).lock();
        let target = name.target();
        let mut occupied = shard
            .find_entry(name.hash, |entry| entry.name.target() == target)
            .ok()?;
        let entry = occupied.get_mut();
        let result = act(&mut entry.queue);
        if entry.queue.is_unused() {
            occupied.remove();
            shrink(&mut shard);
        }
        Some(result)
    }

    /// Takes back what `transaction` holds of `name`.
    pub(crate) fn release(&self, name: &LockName, transaction: TransactionId) {
        self.with_name(name, |queue| queue.release(transaction));
    }

    /// Shows every lock to `visit`, one shard at a time.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&LockName, &LockQueue)) {
        for shard in &self.shards {
            for entry in shard.lock().iter() {
                visit(&entry.name, &entry.queue);
            }
        }
    }

    /// Locks that somebody holds or wants.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Locks that the table has room for without growing.
    pub(crate) fn capacity(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().capacity())
            .sum()
    }
}

/// Gives memory back once seven eighths are empty: between two shrinks at least as many
/// entries are removed as the second one moves.
fn shrink(shard: &mut HashTable<Entry>) {
    let len = shard.len();
    if shard.capacity() > MIN_CAPACITY * 2 && len < shard.capacity() / 8 {
        shard.shrink_to((len * 2).max(MIN_CAPACITY), |entry| entry.name.hash);
    }
}
