//! redb: a copy-on-write B+ tree.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{Engine, Key, Result, Settings, Value};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// A database with one table.
pub struct Redb {
    database: Database,
}

impl Redb {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<Redb> {
        std::fs::create_dir_all(path)?;
        let mut builder = Database::builder();
        builder.set_cache_size(settings.memory);
        let database = builder.create(path.join("redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        Ok(Redb { database })
    }

    fn put(
        &self,
        rows: &mut dyn Iterator<Item = (Key, Value)>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in rows {
                table.insert(&key[..], &value[..])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Engine for Redb {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        self.put(rows, Durability::Immediate)
    }

    fn write(&self, batch: &[(Key, Value)]) -> Result<()> {
        self.put(&mut batch.iter().copied(), Durability::None)
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.put(&mut [(*key, *value)].into_iter(), Durability::Immediate)
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(TABLE)?;
        let found = table.get(&key[..])?;
        Ok(found.map(|value| std::hint::black_box(value.value()).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(TABLE)?;
        let mut found = 0;
        for row in table.range(&from[..]..)?.take(count) {
            let (key, value) = row?;
            std::hint::black_box((key.value(), value.value()));
            found += 1;
        }
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.put(&mut std::iter::empty(), Durability::Immediate)
    }
}
