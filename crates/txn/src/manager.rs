//! Where transactions begin, and where all of them can be looked at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hashbrown::HashMap;
use rustling_storage::{Clock, Env, Store};

use crate::{
    error::{Error, Result, TransactionId},
    lock::{LockInfo, LockManager},
    options::{ManagerOptions, TransactionOptions},
    retry::Backoff,
    serializable::Serializability,
    state::State,
    stats::{Counters, TransactionInfo, TransactionStats},
    sync::Mutex,
    transaction::Transaction,
};

/// Shards of the register of running transactions: a power of two.
const REGISTER_SHARDS: u64 = 16;

/// By default tracking serializable transactions may take this part of the memory budget.
const TRACKING_SHARE: usize = 16;

/// By default a write set may hold this part of the store's memory budget.
const DEFAULT_SHARE: usize = 8;

type Register = Mutex<HashMap<TransactionId, Arc<State>, foldhash::fast::RandomState>>;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) env: Env,
    /// The bytes that one write set may hold in memory.
    pub(crate) write_set_bytes: usize,
    /// The bytes of a sorted load that are logged at most.
    pub(crate) logged_load_bytes: usize,
    attempts: u32,
    pub(crate) locks: LockManager,
    pub(crate) serializability: Serializability,
    pub(crate) counters: Counters,
    next_id: AtomicU64,
    register: Box<[Register]>,
}

impl Inner {
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.env.clock
    }

    fn register(&self, id: TransactionId) -> &Register {
        &self.register[(id.0 % REGISTER_SHARDS) as usize]
    }

    /// Takes a transaction that has ended off the register.
    pub(crate) fn unregister(&self, id: TransactionId) {
        self.register(id).lock().remove(&id);
    }
}

/// Begins transactions on a store. Cheap to clone; clones are one manager, and all writers of
/// a store must share it: the row locks are its own.
#[derive(Clone, Debug)]
pub struct TransactionManager {
    inner: Arc<Inner>,
}

impl TransactionManager {
    /// A manager for `store`, with time, randomness and sleep from `env`.
    #[must_use]
    pub fn new(store: Store, env: Env) -> TransactionManager {
        TransactionManager::with_options(store, env, ManagerOptions::default())
    }

    /// As [`TransactionManager::new`], with options.
    #[must_use]
    pub fn with_options(store: Store, env: Env, options: ManagerOptions) -> TransactionManager {
        let share = || store.memory().limit() / DEFAULT_SHARE;
        let inner = Inner {
            counters: Counters::new(store.waits()),
            serializability: Serializability::new(
                store.memory().clone(),
                options
                    .tracking_bytes
                    .unwrap_or_else(|| store.memory().limit() / TRACKING_SHARE),
                options.tracking_entries,
                store.waits().point("transaction.safe_snapshot"),
            ),
            write_set_bytes: options.write_set_bytes.unwrap_or_else(share),
            logged_load_bytes: options.logged_load_bytes,
            attempts: options.attempts,
            store,
            locks: LockManager::new(Arc::clone(&env.clock)),
            env,
            next_id: AtomicU64::new(1),
            register: (0..REGISTER_SHARDS).map(|_| Register::default()).collect(),
        };
        TransactionManager {
            inner: Arc::new(inner),
        }
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`Error::SafeSnapshotTimeout`] where [`TransactionOptions::deferrable`] took too long.
    pub fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        self.begin_attempt(&options, 0)
    }

    fn begin_attempt(&self, options: &TransactionOptions, attempt: u32) -> Result<Transaction> {
        let id = TransactionId(self.inner.next_id.fetch_add(1, Ordering::Relaxed));
        let state = Arc::new(State::new(&self.inner, id, options, attempt)?);
        self.inner.counters.begun.increment();
        self.inner
            .register(id)
            .lock()
            .insert(id, Arc::clone(&state));
        Ok(Transaction::new(state))
    }

    /// Runs `body` in a transaction and commits it. Where body or commit fail with a retryable
    /// error, everything is rolled back and run again, after a short random pause that grows
    /// with each attempt. So `body` must have no effect outside the transaction that may not
    /// happen twice.
    ///
    /// # Errors
    /// What `body` or the commit failed with: an error that is not retryable, or the last of
    /// [`ManagerOptions::attempts`] that were.
    pub fn transaction<R>(
        &self,
        options: TransactionOptions,
        mut body: impl FnMut(&Transaction) -> Result<R>,
    ) -> Result<R> {
        let mut backoff = Backoff::new(&self.inner.env, self.inner.attempts);
        loop {
            let transaction = self.begin_attempt(&options, backoff.attempt())?;
            let result = body(&transaction).and_then(|result| transaction.commit().map(|_| result));
            match result {
                Err(error) if error.is_retryable() && backoff.pause() => {
                    self.inner.counters.retried.increment()
                }
                result => return result,
            }
        }
    }

    /// What all transactions have done so far.
    #[must_use]
    pub fn stats(&self) -> TransactionStats {
        let active = self
            .inner
            .register
            .iter()
            .map(|shard| shard.lock().len())
            .sum();
        self.inner.counters.stats(
            active,
            self.inner.locks.size(),
            self.inner.serializability.sizes(),
        )
    }

    /// The running transactions, oldest first.
    #[must_use]
    pub fn active(&self) -> Vec<TransactionInfo> {
        let states: Vec<_> = self
            .inner
            .register
            .iter()
            .flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>())
            .collect();
        let mut infos: Vec<_> = states.iter().map(|state| state.info()).collect();
        infos.sort_by_key(|info| info.id);
        infos
    }

    /// Every lock that is held or waited for.
    #[must_use]
    pub fn locks(&self) -> Vec<LockInfo> {
        self.inner.locks.infos()
    }
}

impl From<TransactionId> for u64 {
    fn from(id: TransactionId) -> u64 {
        id.0
    }
}

const _: fn() = || {
    fn shareable<T: Send + Sync>() {}
    fn movable<T: Send>() {}
    shareable::<TransactionManager>();
    shareable::<Transaction>();
    shareable::<Error>();
    movable::<crate::TransactionCursor>();
    shareable::<crate::BulkWriter>();
};
