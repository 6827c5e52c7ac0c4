//! The write-ahead log: the only thing that a commit must make durable.
//!
//! The log is logical (keyspace, key, value) and lives in segments of zeros that are overwritten
//! record by record. `docs/formats/wal.md` describes the format and the rules of recovery.

mod archive;
mod batch_codec;
mod buffer;
mod encode;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod log;
mod reader;
mod segment;
#[cfg(test)]
mod tests;

pub use archive::{LogArchive, LogSegment};
pub(crate) use batch_codec::{BatchReader, LoggedOperation, engine_code, engine_of};
pub(crate) use encode::{Compressibility, ENTRY_WORK, EncodedBatch};
pub(crate) use format::StoreId;
pub(crate) use log::{MIN_SEGMENT, Wal, WalOptions, WalPosition};
pub(crate) use reader::{Tail, read};
pub(crate) use segment::{first_with_records, remove_all};
