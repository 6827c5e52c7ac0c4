//! fjall's transactional mode with several writers: every read and write is in a transaction, and a
//! commit fails where something that it has read was changed meanwhile.

use std::path::Path;

use fjall::{OptimisticTxDatabase, OptimisticTxKeyspace, OptimisticWriteTx, PersistMode, Readable};

use super::{
    Engine, Isolation, Key, Result, Settings, Transactions, Value,
    fjall::{compact, ingest, keyspace_options, take},
};

/// A transactional database with one keyspace.
pub struct FjallTransactions {
    database: OptimisticTxDatabase,
    rows: OptimisticTxKeyspace,
}

impl FjallTransactions {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<FjallTransactions> {
        let database = OptimisticTxDatabase::builder(path)
            .cache_size(settings.memory as u64 / 2)
            .open()?;
        let rows = database.keyspace("rows", keyspace_options)?;
        Ok(FjallTransactions { database, rows })
    }

    fn put(&self, mut transaction: OptimisticWriteTx, rows: &[(Key, Value)]) -> Result<()> {
        for (key, value) in rows {
            transaction.insert(&self.rows, key.as_slice(), value.as_slice());
        }
        // What has read nothing conflicts with nothing.
        transaction.commit()??;
        Ok(())
    }
}

impl Engine for FjallTransactions {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        ingest(self.rows.as_ref(), rows)?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        self.put(self.database.write_tx()?, rows)
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        let transaction = self.database.write_tx()?;
        let durable = transaction.durability(Some(PersistMode::SyncData));
        self.put(durable, &[(*key, *value)])
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let found = self.database.read_tx().get(&self.rows, key)?;
        Ok(found.map(|value| std::hint::black_box(&value[..]).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let rows = self.database.read_tx().range(&self.rows, from.as_slice()..);
        take(rows, count)
    }

    fn modify(&self, key: &Key, value: &Value) -> Result<()> {
        self.read_and_write(Isolation::Serializable, key, key, value)
    }

    fn settle(&self) -> Result<()> {
        compact(self.rows.as_ref())?;
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

impl Transactions for FjallTransactions {
    fn read_and_write(
        &self,
        _isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        loop {
            let mut transaction = self.database.write_tx()?;
            std::hint::black_box(transaction.get(&self.rows, read)?);
            transaction.insert(&self.rows, written.as_slice(), value.as_slice());
            if transaction.commit()?.is_ok() {
                return Ok(());
            }
        }
    }
}
