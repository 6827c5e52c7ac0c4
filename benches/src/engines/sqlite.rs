//! SQLite through rusqlite: a B+ tree behind SQL, with a write-ahead log.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::{Engine, Isolation, Key, Result, Settings, Transactions, Value};

const INSERT: &str = "INSERT INTO rows VALUES (?1, ?2) ON CONFLICT DO UPDATE SET v = excluded.v";
const SELECT: &str = "SELECT v FROM rows WHERE k = ?1";
const SCAN: &str = "SELECT k, v FROM rows WHERE k >= ?1 ORDER BY k LIMIT ?2";

/// A database with one table, and a connection per thread that uses it.
pub struct Sqlite {
    path: PathBuf,
    settings: Settings,
    idle: Mutex<Vec<Session>>,
}

/// A connection, and the `synchronous` that it was set to last.
struct Session {
    connection: Connection,
    synchronous: Synchronous,
}

/// Whether commits wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synchronous {
    Full,
    Off,
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
        sqlite.with(|session| {
            session.connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS rows (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
            )?;
            Ok(())
        })?;
        Ok(sqlite)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Session) -> Result<R>) -> Result<R> {
        let idle = self.idle().pop();
        let mut session = match idle {
            Some(session) => session,
            None => Session::open(&self.path, self.settings)?,
        };
        let result = work(&mut session);
        self.idle().push(session);
        result
    }

    fn put(
        &self,
        rows: &mut dyn Iterator<Item = (Key, Value)>,
        synchronous: Synchronous,
    ) -> Result<()> {
        self.with(|session| {
            session.set(synchronous)?;
            let transaction = session.begin()?;
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

    /// One row, in the transaction that each statement is by itself.
    fn put_one(&self, key: &Key, value: &Value, synchronous: Synchronous) -> Result<()> {
        self.with(|session| {
            session.set(synchronous)?;
            let mut insert = session.connection.prepare_cached(INSERT)?;
            insert.execute((&key[..], &value[..]))?;
            Ok(())
        })
    }
}

impl Session {
    fn open(path: &Path, settings: Settings) -> Result<Session> {
        let connection = Connection::open(path)?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA cache_size = -{}; PRAGMA mmap_size = {}; PRAGMA busy_timeout = 60000;",
            settings.memory / 2 / 1024,
            settings.memory / 2,
        ))?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Session {
            connection,
            synchronous: Synchronous::Full,
        })
    }

    fn set(&mut self, synchronous: Synchronous) -> Result<()> {
        if self.synchronous != synchronous {
            let word = match synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Off => "OFF",
            };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.synchronous = synchronous;
        }
        Ok(())
    }

    /// Begins a transaction that writes. It waits for others here: once it has read, it could not.
    fn begin(&mut self) -> Result<Transaction<'_>> {
        let behavior = TransactionBehavior::Immediate;
        Ok(Transaction::new(&mut self.connection, behavior)?)
    }
}

/// The length of the value of `key`, having touched it.
fn get(connection: &Connection, key: &Key) -> Result<Option<usize>> {
    let mut select = connection.prepare_cached(SELECT)?;
    let found = select.query_row([&key[..]], |row| {
        Ok(std::hint::black_box(row.get_ref(0)?.as_blob()?).len())
    });
    Ok(found.optional()?)
}

impl Engine for Sqlite {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        self.put(rows, Synchronous::Full)
    }

    fn write(&self, batch: &[(Key, Value)]) -> Result<()> {
        match batch {
            [(key, value)] => self.put_one(key, value, Synchronous::Off),
            rows => self.put(&mut rows.iter().copied(), Synchronous::Off),
        }
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        self.put_one(key, value, Synchronous::Full)
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        self.with(|session| get(&session.connection, key))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        self.with(|session| {
            let mut select = session.connection.prepare_cached(SCAN)?;
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
        self.with(|session| {
            session.set(Synchronous::Full)?;
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            session.connection.query_row(checkpoint, [], |_| Ok(()))?;
            Ok(())
        })
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }
}

/// All its writes are transactions, one at a time.
impl Transactions for Sqlite {
    fn read_and_write(
        &self,
        _isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()> {
        self.with(|session| {
            session.set(Synchronous::Off)?;
            let transaction = session.begin()?;
            std::hint::black_box(get(&transaction, read)?);
            transaction
                .prepare_cached(INSERT)?
                .execute((&written[..], &value[..]))?;
            transaction.commit()?;
            Ok(())
        })
    }
}
