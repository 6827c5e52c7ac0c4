//! Durable, versioned, ordered keyspaces: the storage engine below RustlingDB's transactions.
//!
//! A [`Store`] holds *keyspaces*, ordered maps from bytes to versioned bytes, under one
//! write-ahead log, one clock (the [`Lsn`]) and one page cache. A [`Batch`] of changes to any
//! number of them commits whole or not at all; a [`Snapshot`] sees the store as of one commit.
//! Isolation between writers is the business of the layer above.
//!
//! ```
//! use rustling_storage::{
//!     Batch, Direction, Durability, Env, KeyRange, KeyspaceOptions, Store, StoreOptions,
//! };
//!
//! # fn main() -> rustling_storage::Result<()> {
//! # let env = Env::in_memory();
//! # let path = std::path::Path::new("/example");
//! // `Env::system()` for files of the operating system.
//! let store = Store::open(env, path, StoreOptions::default())?;
//! let fruit = store.allocate_keyspace_id();
//! let mut batch = Batch::new();
//! batch.create_keyspace(fruit, KeyspaceOptions::default());
//! batch.put(fruit, "apple", "green");
//! batch.put(fruit, "cherry", "red");
//! store.commit(&batch, Durability::Sync)?;
//!
//! let before = store.snapshot();
//! let mut batch = Batch::new();
//! batch.put(fruit, "apple", "yellow");
//! batch.delete(fruit, "cherry");
//! store.commit(&batch, Durability::Sync)?;
//!
//! assert_eq!(store.snapshot().get(fruit, b"apple")?.as_deref(), Some(&b"yellow"[..]));
//! let mut cursor = before.scan(fruit, KeyRange::all(), Direction::Backward)?;
//! assert_eq!(cursor.next()?, Some((&b"cherry"[..], &b"red"[..])));
//! assert_eq!(cursor.next()?, Some((&b"apple"[..], &b"green"[..])));
//! assert_eq!(cursor.next()?, None);
//! drop((before, cursor));
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | what | where |
//! |---|---|
//! | opening, committing, checkpoints, snapshots | [`store`] |
//! | the order of commits and group commit | `sequencer` |
//! | the log | `wal` |
//! | what is durable when | [`durability`] |
//! | versions: cursors, merging, garbage collection | `cursor` |
//! | the engines | `btree`, `lsm`, `hybrid` |
//! | pages, the cache, the superblock | `page` |
//! | how cached pages and cached blocks share memory | `caches` |
//! | what snapshots keep alive | `pins` |
//! | files, clock, randomness, threads | [`vfs`], [`env`](mod@env) |
//! | memory, waits, verification | [`memory`], [`waits`], [`verify`] |

pub mod batch;
pub(crate) mod btree;
mod caches;
pub mod codec;
pub(crate) mod cursor;
pub mod durability;
pub mod engine;
pub mod env;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod hybrid;
mod keyspace;
pub(crate) mod lsm;
pub mod lsn;
mod manifest;
pub mod memory;
mod owed;
pub(crate) mod page;
mod pins;
pub(crate) mod poison;
pub(crate) mod sequencer;
mod shared;
pub mod staging;
pub mod store;
#[cfg(not(feature = "shuttle"))]
pub(crate) mod sync;
#[cfg(feature = "shuttle")]
pub mod sync;
pub mod verify;
pub mod vfs;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod vfs_direct;
mod vfs_mapped;
pub mod vfs_memory;
pub mod vfs_os;
#[cfg(all(feature = "io_uring", target_os = "linux"))]
mod vfs_uring;
pub mod waits;
pub(crate) mod wal;

pub use crate::{
    batch::{Batch, Operation},
    caches::CacheStatistics,
    codec::Codec,
    durability::Durability,
    engine::{EngineKind, KeyspaceOptions},
    env::{Clock, Env, JoinHandle, Randomness, Spawner},
    error::{Error, Result},
    lsm::{TableReads, TableStatistics},
    lsn::{KeyspaceId, Lsn},
    memory::{MemoryBudget, Refusal, Reservation},
    page::{EvictionPolicyKind, PageSize},
    pins::PinStatistics,
    store::{
        Cursor, Direction, EngineChange, KeyRange, KeyspaceEstimate, OpenStatistics,
        PageStatistics, Snapshot, SnapshotRef, Store, StoreOptions, StoreStatistics, check,
    },
    verify::{Finding, VerifyReport},
    vfs::{OpenMode, Vfs, VfsFile, VfsLock},
    vfs_memory::MemoryVfs,
    vfs_os::OsVfs,
    waits::{WaitPoint, WaitStatistics, Waits},
    wal::{LogArchive, LogSegment},
};
