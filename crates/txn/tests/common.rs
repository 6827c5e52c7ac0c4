//! What the tests share: a manager on an in-memory store, and a way not to hang.

use std::{io, time::Duration};

use rustling_storage::{
    Batch, Durability, EngineKind, Env, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};
use rustling_txn::{
    IsolationLevel, ManagerOptions, Transaction, TransactionManager, TransactionOptions,
};

/// Every engine that a keyspace can have.
pub(crate) const ENGINES: [EngineKind; 3] =
    [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// Makes a test for each engine of functions that take one.
macro_rules! for_every_engine {
    ($($test:ident),* $(,)?) => {
        for_every_engine!(@ b_tree BTree $($test)*);
        for_every_engine!(@ lsm Lsm $($test)*);
        for_every_engine!(@ hybrid Hybrid $($test)*);
    };
    (@ $module:ident $engine:ident $($test:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test(rustling_storage::EngineKind::$engine);
                }
            )*
        }
    };
}
pub(crate) use for_every_engine;

/// A manager on an empty store with one keyspace, a B+ tree.
pub(crate) fn manager() -> (TransactionManager, KeyspaceId) {
    manager_with(ManagerOptions::default())
}

/// As [`manager`], with options.
pub(crate) fn manager_with(options: ManagerOptions) -> (TransactionManager, KeyspaceId) {
    manager_of_with(EngineKind::BTree, options)
}

/// As [`manager`], with a keyspace of this engine.
pub(crate) fn manager_of(engine: EngineKind) -> (TransactionManager, KeyspaceId) {
    manager_of_with(engine, ManagerOptions::default())
}

/// As [`manager_of`], with options.
pub(crate) fn manager_of_with(
    engine: EngineKind,
    options: ManagerOptions,
) -> (TransactionManager, KeyspaceId) {
    let (manager, [keyspace]) = manager_of_all([engine], options);
    (manager, keyspace)
}

/// As [`manager_with`], with a keyspace of each of these engines.
pub(crate) fn manager_of_all<const COUNT: usize>(
    engines: [EngineKind; COUNT],
    options: ManagerOptions,
) -> (TransactionManager, [KeyspaceId; COUNT]) {
    let store = Store::in_memory(StoreOptions::default()).expect("a store in memory");
    let keyspaces = engines.map(|engine| keyspace(&store, engine));
    let manager = TransactionManager::with_options(store, Env::in_memory(), options);
    (manager, keyspaces)
}

/// As [`manager_with`], on an empty store of the test's own.
pub(crate) fn manager_on(
    store: Store,
    options: ManagerOptions,
) -> (TransactionManager, KeyspaceId) {
    let keyspace = keyspace(&store, EngineKind::BTree);
    let manager = TransactionManager::with_options(store, Env::in_memory(), options);
    (manager, keyspace)
}

/// Adds a keyspace of this engine.
fn keyspace(store: &Store, engine: EngineKind) -> KeyspaceId {
    let keyspace = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    let options = KeyspaceOptions {
        engine,
        ..KeyspaceOptions::default()
    };
    batch.create_keyspace(keyspace, options);
    store
        .commit(&batch, Durability::None)
        .expect("an empty keyspace");
    keyspace
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
