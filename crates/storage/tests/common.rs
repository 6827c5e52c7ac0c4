//! What several of these tests do to begin with.

#![expect(clippy::unwrap_used, reason = "a test")]

use rustling_storage::{Batch, Durability, EngineKind, KeyspaceId, KeyspaceOptions, Store};

/// Every engine.
pub(crate) const ENGINES: [EngineKind; 3] =
    [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// The options of an ordinary keyspace of that engine.
pub(crate) fn of(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions {
        engine,
        ..KeyspaceOptions::default()
    }
}

/// The options of a staging keyspace of that engine.
pub(crate) fn staged(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions {
        engine,
        staging: true,
    }
}

/// Creates a keyspace, durably.
pub(crate) fn create_keyspace(store: &Store, options: KeyspaceOptions) -> KeyspaceId {
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, options);
    store.commit(&batch, Durability::Sync).unwrap();
    id
}
