//! RustlingDB: its storage, and the transactions above it.

use std::{
    ops::{Bound, ControlFlow},
    path::Path,
};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, KeyRange, KeyspaceId, KeyspaceOptions, Store,
    StoreOptions,
};

use rustling_txn::{IsolationLevel, TransactionManager, TransactionOptions};

use super::{Engine, Isolation, Key, Result, Settings, Transactions, VALUE_BYTES, Value};

/// Rows of a load that are ingested at a time.
const LOADED_AT_ONCE: usize = 10_000;
/// The first byte of a staged value, as `staging::encode_put` writes it.
const STAGED_PUT: u8 = 1;

/// A store with one keyspace.
pub struct Rustling {
    store: Store,
    manager: TransactionManager,
    keyspace: KeyspaceId,
    engine: EngineKind,
}

impl Rustling {
    /// Opens or creates the store, with a keyspace of the engine called `name`.
    pub fn named(name: &str, path: &Path, settings: Settings) -> Result<Rustling> {
        let engine = match name {
            "rustling" => EngineKind::BTree,
            "rustling-lsm" => EngineKind::Lsm,
            "rustling-hybrid" => EngineKind::Hybrid,
            other => return Err(format!("there is no engine called {other}").into()),
        };
        Rustling::open(path, settings, engine)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The transactions above the store.
    pub fn manager(&self) -> &TransactionManager {
        &self.manager
    }

    /// The keyspace that holds all rows.
    pub fn keyspace(&self) -> KeyspaceId {
        self.keyspace
    }

    fn open(path: &Path, settings: Settings, engine: EngineKind) -> Result<Rustling> {
        let options = StoreOptions {
            memory_budget: settings.memory,
            ..StoreOptions::default()
        };
        let store = Store::open(Env::system(), path, options)?;
        let keyspace = match store.keyspaces().first() {
            Some((id, _)) => *id,
            None => {
                let id = store.allocate_keyspace_id();
                let mut batch = Batch::new();
                let staging = false;
                batch.create_keyspace(id, KeyspaceOptions { engine, staging });
                store.commit(&batch, Durability::Sync)?;
                id
            }
        };
        let manager = TransactionManager::new(store.clone(), Env::system());
        Ok(Rustling {
            store,
            manager,
            keyspace,
            engine,
        })
    }

    fn commit(&self, rows: &[(Key, Value)], durability: Durability) -> Result<()> {
        let mut batch = Batch::new();
        for (key, value) in rows {
            batch.put(self.keyspace, *key, *value);
        }
        self.store.commit(&batch, durability)?;
        Ok(())
    }
}

/// The level that the transaction layer calls so, and when the commit answers.
pub fn transaction_options(isolation: Isolation, durability: Durability) -> TransactionOptions {
    let mut options = TransactionOptions::isolation(match isolation {
        Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
        Isolation::Snapshot => IsolationLevel::Snapshot,
        Isolation::Serializable => IsolationLevel::Serializable,
    });
    options.durability = durability;
    options
}

impl Engine for Rustling {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        let staging = self.store.allocate_keyspace_id();
        let mut batch = Batch::new();
        let options = KeyspaceOptions {
            staging: true,
            engine: self.engine,
        };
        batch.create_keyspace(staging, options);
        self.store.commit(&batch, Durability::None)?;
        let mut keys = Vec::with_capacity(LOADED_AT_ONCE);
        let mut values = Vec::with_capacity(LOADED_AT_ONCE);
        loop {
            keys.clear();
            values.clear();
            while keys.len() < LOADED_AT_ONCE
                && let Some((key, value)) = rows.next()
            {
                keys.push(key);
                let mut staged = [0; VALUE_BYTES + 1];
                staged[0] = STAGED_PUT;
                staged[1..].copy_from_slice(&value);
                values.push(staged);
            }
            if keys.is_empty() {
                break;
            }
            let entries: Vec<(&[u8], &[u8])> = keys
                .iter()
                .zip(&values)
                .map(|(key, value)| (&key[..], &value[..]))
                .collect();
            self.store.ingest(staging, &entries)?;
        }
        let mut batch = Batch::new();
        batch.merge(staging, self.keyspace);
        self.store.commit(&batch, Durability::Sync)?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        self.commit(rows, Durability::None)
    }

    fn put_async(&self, key: &Key, value: &Value) -> Result<()> {
        self.commit(&[(*key, *value)], Durability::Async)
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.commit(&[(*key, *value)], Durability::Sync)
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let snapshot = self.store.snapshot_ref();
        Ok(snapshot.get_with(self.keyspace, key, |value| {
            std::hint::black_box(value).len()
        })?)
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let mut range = KeyRange::all();
        range.start = Bound::Included(from.to_vec());
        let snapshot = self.store.snapshot();
        let mut cursor = snapshot.scan(self.keyspace, range, Direction::Forward)?;
        let mut found = 0;
        if count == 0 {
            return Ok(0);
        }
        let _ = cursor.visit(|key, value| {
            std::hint::black_box((key, value));
            found += 1;
            if found < count {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.store.vacuum()?;
        Ok(())
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

impl Transactions for Rustling {
    fn levels(&self) -> &'static [Isolation] {
        &[
            Isolation::ReadCommitted,
            Isolation::Snapshot,
            Isolation::Serializable,
        ]
    }

    fn read(&self, key: &Key) -> Result<Option<usize>> {
        let mut options = transaction_options(Isolation::Snapshot, Durability::None);
        options.read_only = true;
        let transaction = self.manager.begin(options)?;
        let found = transaction.get_with(self.keyspace, key, |value| {
            std::hint::black_box(value).len()
        })?;
        transaction.commit()?;
        Ok(found)
    }

    fn read_and_write(
        &self,
        isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        let options = transaction_options(isolation, Durability::Async);
        self.manager.transaction(options, |transaction| {
            std::hint::black_box(transaction.get_with(self.keyspace, read, <[u8]>::len)?);
            transaction.put(self.keyspace, written, value)
        })?;
        Ok(())
    }
}
