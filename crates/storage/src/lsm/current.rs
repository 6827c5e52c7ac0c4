//! The version now, for readers on many threads.
//!
//! A thread looks at a shard of its own, which holds the version by a count of its own: threads
//! that read all the time meet neither at a lock nor at a counter. Whoever replaces the version
//! goes from shard to shard, so for a moment some threads see it and others the one before. Both
//! hold everything that a snapshot of that moment can read; where commits change places (a
//! memtable ends), the store's barrier keeps them out until all shards are done.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::version::Version;
use crate::{pins, sync::RwLock};

/// Shards that threads are spread over.
const SHARDS: usize = 8;

/// A version as one shard has it.
type Held = Arc<Arc<Version>>;

/// The version now.
#[derive(Debug)]
pub(super) struct Current {
    shards: [CachePadded<RwLock<Held>>; SHARDS],
}

impl Current {
    pub(super) fn new(version: Version) -> Current {
        let version = Arc::new(version);
        let shard = |_| CachePadded::new(RwLock::new(Arc::new(Arc::clone(&version))));
        Current {
            shards: std::array::from_fn(shard),
        }
    }

    #[inline]
    fn shard(&self) -> &RwLock<Held> {
        &self.shards[pins::home() % SHARDS]
    }

    /// Calls `look` with the version under the shard's lock, for which whoever replaces the version
    /// waits, and other readers behind: for looks at memory alone.
    #[inline]
    pub(super) fn with<R>(&self, look: impl FnOnce(&Version) -> R) -> R {
        look(&self.shard().read())
    }

    /// As [`Current::with`], of a look that keeps the version where it has not answered: how long
    /// the rest takes is nobody else's business.
    #[inline]
    pub(super) fn with_or_keep<R, E>(
        &self,
        look: impl FnOnce(&Version) -> Result<R, E>,
    ) -> Result<R, (E, Held)> {
        let shard = self.shard().read();
        look(&shard).map_err(|unanswered| (unanswered, Arc::clone(&shard)))
    }

    /// The version.
    #[inline]
    pub(super) fn get(&self) -> Arc<Version> {
        Arc::clone(&self.shard().read())
    }

    /// Replaces the version. One caller at a time.
    pub(super) fn set(&self, version: Version) {
        let version = Arc::new(version);
        for shard in &self.shards {
            let held = Arc::new(Arc::clone(&version));
            let before = std::mem::replace(&mut *shard.write(), held);
            // The last one to hold a memtable frees every node of it: without the lock.
            drop(before);
        }
    }
}
