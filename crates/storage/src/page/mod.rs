//! The page store: logical pages, cached in memory and shadow-paged on disk.
//!
//! ```text
//!  B+ trees          read(id) / write(id) / allocate() / free()          store, guard
//!                              |
//!  memory       entry of id -> frame (latch = pin)                       pool, residency, eviction, buffer
//!                              |
//!  changes      current epoch | frozen epoch                             delta, checkpoint
//!                              |
//!  disk         superblock -> page table -> slot                         superblock, table, chain
//!               free slots, images                                       slots, space, image, writer
//! ```
//!
//! A page keeps its id for life while its place on disk moves: nothing that the durable
//! checkpoint refers to is ever overwritten. A checkpoint freezes the changes of an epoch,
//! writes them to free slots while new changes go on, and becomes true with the superblock.
//! So there are no torn pages to repair: after a crash the file is exactly the last checkpoint.
//!
//! The format is described in `docs/formats/pages.md`.

mod buffer;
mod chain;
mod checkpoint;
mod chunked;
mod delta;
mod eviction;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
pub(crate) mod huge;
mod image;
mod open;
mod options;
mod pool;
mod releases;
mod residency;
mod shrink;
mod slots;
mod space;
mod store;
mod superblock;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod waits;
mod writer;

pub(crate) use checkpoint::{CheckpointInfo, FrozenCheckpoint};
pub(crate) use guard::{PageMut, PageRef};
pub(crate) use options::PageStoreOptions;
pub use options::{EvictionPolicyKind, PageSize};
#[cfg(test)]
pub(crate) use store::PoolStats;
pub(crate) use store::{Era, PageId, PageStore};
