//! What the tests share: a manager on an in-memory store, and a way not to hang.

use std::{io, time::Duration};

use rustling_storage::{Batch, Durability, Env, KeyspaceId, KeyspaceOptions, Store, StoreOptions};
use rustling_txn::{
    IsolationLevel, ManagerOptions, Transaction, TransactionManager, TransactionOptions,
};

/// A manager on an empty store with one keyspace.
pub(crate) fn manager() -> (TransactionManager, KeyspaceId) {
    manager_with(ManagerOptions::default())
}

/// As [`manager`], with options.
pub(crate) fn manager_with(options: ManagerOptions) -> (TransactionManager, KeyspaceId) {
    let store = Store::in_memory(StoreOptions::default()).expect("a store in memory");
    manager_on(store, options)
}

/// As [`manager_with`], on an empty store of the test's own.
pub(crate) fn manager_on(
    store: Store,
    options: ManagerOptions,
) -> (TransactionManager, KeyspaceId) {
    let keyspace = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(keyspace, KeyspaceOptions::default());
    store
        .commit(&batch, Durability::None)
        .expect("an empty keyspace");
    (
        TransactionManager::with_options(store, Env::in_memory(), options),
        keyspace,
    )
}

/// Begins a transaction at `isolation`.
pub(crate) fn begin(manager: &TransactionManager, isolation: IsolationLevel) -> Transaction {
    manager
        .begin(TransactionOptions::isolation(isolation))
        .expect("a transaction")
}

/// Ends the process, with a message, where the guard is not dropped within two minutes: a lost
/// wake-up shall not look like a slow machine for hours.
pub(crate) struct Watchdog {
    _alive: std::sync::mpsc::Sender<()>,
}

impl Watchdog {
    #[expect(clippy::disallowed_methods, reason = "guards the tests themselves")]
    pub(crate) fn new(what: &'static str) -> Watchdog {
        let (_alive, dropped) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            if dropped.recv_timeout(Duration::from_secs(120))
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let _ =
                    io::Write::write_all(&mut io::stderr(), format!("{what} hangs\n").as_bytes());
                std::process::abort();
            }
        });
        Watchdog { _alive }
    }
}

/// Waits until `done`, yielding: for "the other thread waits by now".
pub(crate) fn until(done: impl Fn() -> bool) {
    let _watchdog = Watchdog::new("a condition that a test waits for");
    while !done() {
        std::thread::yield_now();
    }
}

/// Whether transaction `id` waits for a lock.
pub(crate) fn waits(manager: &TransactionManager, id: rustling_txn::TransactionId) -> bool {
    manager
        .active()
        .iter()
        .any(|info| info.id == id && info.waits_for.is_some())
}
