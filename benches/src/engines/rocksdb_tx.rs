//! RocksDB's transactional mode with optimistic transactions: every write is in a transaction, and a
//! commit fails where something that it depends on was changed meanwhile.

use std::path::{Path, PathBuf};

use rocksdb::{
    Direction, ErrorKind, IteratorMode, OptimisticTransactionDB, OptimisticTransactionOptions,
    Options, ReadOptions, Transaction, WriteOptions,
};

use super::{
    Engine, Isolation, Key, Result, Settings, Transactions, Value,
    rocksdb::{options, sorted_file, take},
};

/// A transactional database with its default column family.
pub struct RocksTransactions {
    database: OptimisticTransactionDB,
    options: Options,
    path: PathBuf,
    /// How a transaction is written whose commit does not wait for the disk, and one that does.
    quick: WriteOptions,
    durable: WriteOptions,
    /// How a transaction is begun that checks what it touches from then on, and one that checks
    /// from its begin on.
    latest: OptimisticTransactionOptions,
    snapshot: OptimisticTransactionOptions,
}

impl RocksTransactions {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<RocksTransactions> {
        std::fs::create_dir_all(path)?;
        let options = options(settings);
        let path = path.to_path_buf();
        let database = OptimisticTransactionDB::open(&options, path.join("db"))?;
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        let mut snapshot = OptimisticTransactionOptions::default();
        snapshot.set_snapshot(true);
        Ok(RocksTransactions {
            database,
            options,
            path,
            quick: WriteOptions::default(),
            durable,
            latest: OptimisticTransactionOptions::default(),
            snapshot,
        })
    }

    fn put(&self, rows: &[(Key, Value)], how: &WriteOptions) -> Result<()> {
        loop {
            let transaction = self.database.transaction_opt(how, &self.latest);
            for (key, value) in rows {
                transaction.put(key, value)?;
            }
            if commit(transaction)? {
                return Ok(());
            }
        }
    }
}

/// Commits; `false` where the transaction has to be run again.
fn commit(transaction: Transaction<'_, OptimisticTransactionDB>) -> Result<bool> {
    match transaction.commit() {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Engine for RocksTransactions {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        let (file, how) = sorted_file(&self.path, &self.options, rows)?;
        self.database.ingest_external_file_opts(&how, vec![file])?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        self.put(rows, &self.quick)
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.put(&[(*key, *value)], &self.durable)
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let found = self.database.get_pinned(key)?;
        Ok(found.map(|value| std::hint::black_box(&value[..]).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.database.iterator_opt(mode, ReadOptions::default());
        take(rows, count)
    }

    fn modify(&self, key: &Key, value: &Value) -> Result<()> {
        self.read_and_write(Isolation::Serializable, key, key, value)
    }

    fn settle(&self) -> Result<()> {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        self.database.flush_wal(true)?;
        Ok(())
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

impl Transactions for RocksTransactions {
    fn levels(&self) -> &'static [Isolation] {
        &[Isolation::Snapshot, Isolation::Serializable]
    }

    fn read(&self, key: &Key) -> Result<Option<usize>> {
        let transaction = self.database.transaction_opt(&self.quick, &self.snapshot);
        let snapshot = transaction.snapshot();
        let found = snapshot.get_pinned(key)?;
        Ok(found.map(|value| std::hint::black_box(&value[..]).len()))
    }

    fn read_and_write(
        &self,
        isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        loop {
            let how = match isolation {
                Isolation::Serializable => &self.latest,
                Isolation::ReadCommitted | Isolation::Snapshot => &self.snapshot,
            };
            let transaction = self.database.transaction_opt(&self.quick, how);
            match isolation {
                // What was read so is checked at the commit as what was written is.
                Isolation::Serializable => {
                    std::hint::black_box(transaction.get_pinned_for_update(read, false)?);
                }
                Isolation::ReadCommitted | Isolation::Snapshot => {
                    std::hint::black_box(transaction.snapshot().get_pinned(read)?);
                }
            }
            transaction.put(written, value)?;
            if commit(transaction)? {
                return Ok(());
            }
        }
    }
}
