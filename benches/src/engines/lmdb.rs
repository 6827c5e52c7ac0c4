//! LMDB through heed: a memory-mapped copy-on-write B+ tree.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, PutFlags, WithTls,
    types::Bytes,
};

use super::{Engine, Isolation, Key, Result, Settings, Transactions, Value};

/// The most that the map may grow to.
const MAP_BYTES: usize = 64 << 30;

/// An environment with one database.
pub struct Lmdb {
    env: Env<WithTls>,
    rows: Database<'static, Bytes, Bytes>,
    /// Whether commits wait for the disk.
    sync: AtomicBool,
}

impl Lmdb {
    /// Opens or creates the environment. LMDB has no cache of its own: it maps the file.
    #[expect(
        unsafe_code,
        reason = "the map must not be changed by others, and is not"
    )]
    pub fn open(path: &Path, _settings: Settings) -> Result<Lmdb> {
        std::fs::create_dir_all(path)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: this process alone has the directory, and opens it once.
        let env = unsafe { options.open(path)? };
        let transaction = env.write_txn()?;
        let rows = env
            .create_databases_and_commit(transaction, |opener, transaction| {
                let rows = opener.create_database::<Bytes, Bytes>(transaction, None)?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(rows))
            })?
            .unwrap_commit();
        Ok(Lmdb {
            env,
            rows,
            sync: AtomicBool::new(true),
        })
    }

    #[expect(
        unsafe_code,
        reason = "the flag trades durability, which is what is measured"
    )]
    fn set_sync(&self, sync: bool) -> Result<()> {
        if self.sync.swap(sync, Ordering::Relaxed) == sync {
            return Ok(());
        }
        let mode = if sync {
            FlagSetMode::Disable
        } else {
            FlagSetMode::Enable
        };
        // SAFETY: no other thread writes while the flag changes: each workload uses one mode.
        unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode)? };
        Ok(())
    }
}

impl Engine for Lmdb {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        self.set_sync(true)?;
        let mut transaction = self.env.write_txn()?;
        for (key, value) in rows {
            self.rows
                .put_with_flags(&mut transaction, PutFlags::APPEND, &key, &value)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn write(&self, batch: &[(Key, Value)]) -> Result<()> {
        self.set_sync(false)?;
        let mut transaction = self.env.write_txn()?;
        for (key, value) in batch {
            self.rows.put(&mut transaction, key, value)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.set_sync(true)?;
        let mut transaction = self.env.write_txn()?;
        self.rows.put(&mut transaction, key, value)?;
        transaction.commit()?;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let transaction = self.env.read_txn()?;
        let found = self.rows.get(&transaction, key)?;
        Ok(found.map(|value| std::hint::black_box(value).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let transaction = self.env.read_txn()?;
        let mut found = 0;
        let range = (
            std::ops::Bound::Included(&from[..]),
            std::ops::Bound::Unbounded,
        );
        for row in self.rows.range(&transaction, &range)?.take(count) {
            std::hint::black_box(row?);
            found += 1;
        }
        Ok(found)
    }

    fn settle(&self) -> Result<()> {
        self.set_sync(true)?;
        self.env.force_sync()?;
        Ok(())
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

/// All its writes are transactions, one at a time.
impl Transactions for Lmdb {
    fn read_and_write(
        &self,
        _isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        self.set_sync(false)?;
        let mut transaction = self.env.write_txn()?;
        let found = self.rows.get(&transaction, read)?;
        std::hint::black_box(found.map(<[u8]>::len));
        self.rows.put(&mut transaction, written, value)?;
        transaction.commit()?;
        Ok(())
    }
}
