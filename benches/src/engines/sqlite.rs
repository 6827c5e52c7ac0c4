//! SQLite through rusqlite: a B+ tree behind SQL, with a write-ahead log.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::{Engine, Key, Result, Settings, Value};

const INSERT: &str = "INSERT INTO rows VALUES (?1, ?2) ON CONFLICT DO UPDATE SET v = excluded.v";
const SELECT: &str = "SELECT v FROM rows WHERE k = ?1";
const SCAN: &str = "SELECT k, v FROM rows WHERE k >= ?1 ORDER BY k LIMIT ?2";

/// A database with one table, and a connection per thread that uses it.
pub struct Sqlite {
    path: PathBuf,
    settings: Settings,
    idle: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<Sqlite> {
        std::fs::create_dir_all(path)?;
        let sqlite = Sqlite {
            path: path.join("rows.sqlite"),
            settings,
            idle: Mutex::default(),
        };
        sqlite.with(|connection| {
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS rows (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
            )?;
            Ok(())
        })?;
        Ok(sqlite)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Connection) -> Result<R>) -> Result<R> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&self.path)?;
                connection.execute_batch(&format!(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                     PRAGMA cache_size = -{}; PRAGMA mmap_size = {}; PRAGMA busy_timeout = 60000;",
                    self.settings.memory / 2 / 1024,
                    self.settings.memory / 2,
                ))?;
                connection.set_prepared_statement_cache_capacity(16);
                connection
            }
        };
        let result = work(&mut connection);
        self.idle().push(connection);
        result
    }

    fn put(&self, rows: &mut dyn Iterator<Item = (Key, Value)>, synchronous: &str) -> Result<()> {
        self.with(|connection| {
            connection.pragma_update(None, "synchronous", synchronous)?;
            let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for (key, value) in rows {
                    insert.execute((&key[..], &value[..]))?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }
}

impl Engine for Sqlite {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        self.put(rows, "FULL")
    }

    fn write(&self, batch: &[(Key, Value)]) -> Result<()> {
        self.put(&mut batch.iter().copied(), "OFF")
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.put(&mut [(*key, *value)].into_iter(), "FULL")
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(SELECT)?;
            let found = select.query_row([&key[..]], |row| {
                Ok(std::hint::black_box(row.get_ref(0)?.as_blob()?).len())
            });
            Ok(found.optional()?)
        })
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(SCAN)?;
            let mut rows = select.query((&from[..], i64::try_from(count).unwrap_or(i64::MAX)))?;
            let mut found = 0;
            while let Some(row) = rows.next()? {
                std::hint::black_box((row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?));
                found += 1;
            }
            Ok(found)
        })
    }

    fn settle(&self) -> Result<()> {
        self.with(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        })
    }
}
