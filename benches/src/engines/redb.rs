//! redb: a copy-on-write B+ tree.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Engine, Isolation, Key, Result, Settings, Transactions, Value};

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

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

/// All its writes are transactions, one at a time.
impl Transactions for Redb {
    fn read_and_write(
        &self,
        _isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            let found = table.get(&read[..])?;
            std::hint::black_box(found.map(|value| value.value().len()));
            table.insert(&written[..], &value[..])?;
        }
        transaction.commit()?;
        Ok(())
    }
}
