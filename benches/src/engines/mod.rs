//! One small interface over every engine that is measured.

mod fjall;
mod fjall_tx;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "rocksdb")]
mod rocksdb_tx;
mod rustling;
mod sqlite;

use std::{error::Error, path::Path};

pub use self::rustling::{Rustling, transaction_options};

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a value.
pub const VALUE_BYTES: usize = 100;
/// Rows of a range scan.
pub const SCANNED: usize = 100;

/// A key: 8 bytes that all share, then a big-endian number.
pub type Key = [u8; KEY_BYTES];
/// A value.
pub type Value = [u8; VALUE_BYTES];

/// What a measurement answers: engines fail in their own ways, and any failure ends the run.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How much memory an engine may use for its cache, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes for caches and buffers.
    pub memory: usize,
}

/// An open engine with one map from keys to values.
pub trait Engine: Send + Sync {
    /// Loads rows in ascending order of their keys into the empty map, the fastest way that the
    /// engine's documentation offers. Durable at the end.
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()>;

    /// Writes a batch as one transaction, without making it durable.
    fn write(&self, batch: &[(Key, Value)]) -> Result<()>;

    /// Writes one row and answers before it is durable: RustlingDB's becomes so soon, others' as
    /// after [`Engine::write`].
    fn put_async(&self, key: &Key, value: &Value) -> Result<()> {
        self.write(&[(*key, *value)])
    }

    /// Writes one row and answers when it is durable.
    fn put_durable(&self, key: &Key, value: &Value) -> Result<()>;

    /// The length of the value of `key`, having touched it.
    fn get(&self, key: &Key) -> Result<Option<usize>>;

    /// Reads up to `count` rows from `from` on; how many there were.
    fn scan(&self, from: &Key, count: usize) -> Result<usize>;

    /// Reads the value of `key`, changes it and writes it back, without making it durable.
    fn modify(&self, key: &Key, value: &Value) -> Result<()> {
        std::hint::black_box(self.get(key)?);
        self.write(&[(*key, *value)])
    }

    /// Makes everything durable and lets background work come to its end.
    fn settle(&self) -> Result<()>;

    /// The engine's read-write transactions, where it has any.
    fn transactions(&self) -> Option<&dyn Transactions> {
        None
    }
}

/// What a transaction is kept safe from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each read sees what was committed last.
    ReadCommitted,
    /// All reads see one state, and what is written has not changed since.
    Snapshot,
    /// As if transactions ran one after the other.
    Serializable,
}

/// An engine that makes reads and writes one transaction.
pub trait Transactions: Engine {
    /// The levels of isolation that it has.
    fn levels(&self) -> &'static [Isolation] {
        &[Isolation::Serializable]
    }

    /// The length of the value of `key`, read in a transaction of its own.
    fn read(&self, key: &Key) -> Result<Option<usize>> {
        self.get(key)
    }

    /// Reads one row and writes another in one transaction, which is run again where others got in
    /// its way. As durable as [`Engine::put_async`].
    fn read_and_write(
        &self,
        isolation: Isolation,
        read: &Key,
        written: &Key,
        value: &Value,
    ) -> Result<()>;
}

/// RustlingDB's B+ tree, LSM tree, and both in one.
pub const OURS: [&str; 3] = ["rustling", "rustling-lsm", "rustling-hybrid"];

/// The engines that RustlingDB is compared with.
pub const RIVALS: [&str; 7] = [
    "redb",
    "fjall",
    "fjall-tx",
    "lmdb",
    "sqlite",
    "rocksdb",
    "rocksdb-tx",
];

/// Whether the engine called `name` is one of RustlingDB's.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(OURS[0])
}

/// Names of the engines that this program was built with.
pub fn names() -> Vec<&'static str> {
    let compiled = |name: &&str| cfg!(feature = "rocksdb") || !name.starts_with("rocksdb");
    OURS.into_iter()
        .chain(RIVALS.into_iter().filter(compiled))
        .collect()
}

/// Opens or creates the engine called `name` in the directory `path`.
pub fn open(name: &str, path: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    Ok(match name {
        ours if is_ours(ours) => Box::new(Rustling::named(ours, path, settings)?),
        "redb" => Box::new(redb::Redb::open(path, settings)?),
        "fjall" => Box::new(fjall::Fjall::open(path, settings)?),
        "fjall-tx" => Box::new(fjall_tx::FjallTransactions::open(path, settings)?),
        "lmdb" => Box::new(lmdb::Lmdb::open(path, settings)?),
        "sqlite" => Box::new(sqlite::Sqlite::open(path, settings)?),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(rocksdb::Rocks::open(path, settings)?),
        #[cfg(feature = "rocksdb")]
        "rocksdb-tx" => Box::new(rocksdb_tx::RocksTransactions::open(path, settings)?),
        other => return Err(format!("there is no engine called {other}").into()),
    })
}
