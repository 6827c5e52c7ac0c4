//! One small interface over every engine that is measured.

mod fjall;
mod lmdb;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod rustling;
mod sqlite;

use std::{error::Error, path::Path};

pub use self::rustling::Rustling;

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
}

/// Whether the engine called `name` is one of RustlingDB's.
pub fn is_ours(name: &str) -> bool {
    name.starts_with("rustling")
}

/// Names of the engines that this program was built with.
pub fn names() -> Vec<&'static str> {
    let mut names = vec![
        "rustling",
        "rustling-lsm",
        "rustling-hybrid",
        "redb",
        "fjall",
        "lmdb",
        "sqlite",
    ];
    if cfg!(feature = "rocksdb") {
        names.push("rocksdb");
    }
    names
}

/// Opens or creates the engine called `name` in the directory `path`.
pub fn open(name: &str, path: &Path, settings: Settings) -> Result<Box<dyn Engine>> {
    Ok(match name {
        ours if is_ours(ours) => Box::new(Rustling::named(ours, path, settings)?),
        "redb" => Box::new(redb::Redb::open(path, settings)?),
        "fjall" => Box::new(fjall::Fjall::open(path, settings)?),
        "lmdb" => Box::new(lmdb::Lmdb::open(path, settings)?),
        "sqlite" => Box::new(sqlite::Sqlite::open(path, settings)?),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(rocksdb::Rocks::open(path, settings)?),
        other => return Err(format!("there is no engine called {other}").into()),
    })
}
