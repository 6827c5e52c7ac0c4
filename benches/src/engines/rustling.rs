//! RustlingDB's storage.

use std::{ops::Bound, path::Path};

use rustling_storage::{
    Batch, Direction, Durability, Env, KeyRange, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};

use super::{Engine, Key, Result, Settings, Value};

/// Rows of a load that are committed at a time.
const LOADED_AT_ONCE: usize = 10_000;

/// A store with one keyspace.
pub struct Rustling {
    store: Store,
    keyspace: KeyspaceId,
}

impl Rustling {
    /// Opens or creates the store.
    pub fn open(path: &Path, settings: Settings) -> Result<Rustling> {
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
                batch.create_keyspace(id, KeyspaceOptions::default());
                store.commit(&batch, Durability::Sync)?;
                id
            }
        };
        Ok(Rustling { store, keyspace })
    }
}

impl Engine for Rustling {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        loop {
            let mut batch = Batch::new();
            let mut count = 0;
            while count < LOADED_AT_ONCE
                && let Some((key, value)) = rows.next()
            {
                batch.put(self.keyspace, key, value);
                count += 1;
            }
            if count == 0 {
                break;
            }
            self.store.commit(&batch, Durability::None)?;
        }
        self.store.flush()?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        let mut batch = Batch::new();
        for (key, value) in rows {
            batch.put(self.keyspace, *key, *value);
        }
        self.store.commit(&batch, Durability::None)?;
        Ok(())
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(self.keyspace, *key, *value);
        self.store.commit(&batch, Durability::Sync)?;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let snapshot = self.store.snapshot();
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
        while found < count
            && let Some(row) = cursor.next()?
        {
            std::hint::black_box(row);
            found += 1;
        }
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.store.vacuum()?;
        Ok(())
    }
}
