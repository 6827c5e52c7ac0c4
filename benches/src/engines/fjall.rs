//! fjall: a log-structured merge tree.

use std::path::Path;

use fjall::{
    CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::CompressionPolicy,
};

use super::{Engine, Key, Result, Settings, Value};

/// A database with one keyspace.
pub struct Fjall {
    database: Database,
    rows: Keyspace,
}

impl Fjall {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<Fjall> {
        let database = Database::builder(path)
            .cache_size(settings.memory as u64 / 2)
            .open()?;
        let rows = database.keyspace("rows", keyspace_options)?;
        Ok(Fjall { database, rows })
    }
}

/// How the keyspace is made.
pub fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(64 << 20)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
}

/// Loads rows in ascending order into an empty keyspace.
pub fn ingest(keyspace: &Keyspace, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
    let mut ingestion = keyspace.start_ingestion()?;
    for (key, value) in rows {
        ingestion.write(key.as_slice(), value.as_slice())?;
    }
    ingestion.finish()?;
    Ok(())
}

/// Reads up to `count` rows; how many there were.
pub fn take(rows: Iter, count: usize) -> Result<usize> {
    let mut found = 0;
    for row in rows.take(count) {
        std::hint::black_box(row.into_inner()?);
        found += 1;
    }
    Ok(found)
}

/// Lets the background work of a keyspace come to its end.
pub fn compact(keyspace: &Keyspace) -> Result<()> {
    keyspace.rotate_memtable_and_wait()?;
    keyspace.major_compact()?;
    Ok(())
}

impl Engine for Fjall {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        ingest(&self.rows, rows)?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        if let [(key, value)] = rows {
            self.rows.insert(key.as_slice(), value.as_slice())?;
            return Ok(());
        }
        let mut batch = self.database.batch();
        for (key, value) in rows {
            batch.insert(&self.rows, key.as_slice(), value.as_slice());
        }
        batch.commit()?;
        Ok(())
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.rows.insert(key.as_slice(), value.as_slice())?;
        self.database.persist(PersistMode::SyncData)?;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let found = self.rows.get(key)?;
        Ok(found.map(|value| std::hint::black_box(&value[..]).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        take(self.rows.range(from.as_slice()..), count)
    }

    fn settle(&self) -> Result<()> {
        compact(&self.rows)?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }
}
