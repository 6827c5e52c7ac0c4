//! The LSM tree: commits go to a memtable, memtables to tables, tables to ever larger ones.
//!
//! ```text
//!  commits ──> memtable                                   memtable
//!                 │ checkpoint
//!  front       run  run  run        overlapping           run, version
//!                 │ compaction
//!  levels      1  ▭▭▭▭                                    compaction
//!              2  ▭▭▭▭▭▭▭▭▭▭▭▭      ten times as large
//! ```
//!
//! - A table is an immutable file of sorted, prefix-compressed, checksummed blocks with filters
//!   and a two-level index (`block`, `filter`, `format`, `table`, `writer`).
//! - A [`version`] is the list of all parts. Readers keep the one that they began with; whoever
//!   changes the tree installs a new one.
//! - **Durability**: the log is what makes a commit durable. A checkpoint ends every memtable
//!   in the same moment as the page store's epoch, writes them to tables, and lists all tables
//!   of that moment in its manifest; what compactions do becomes true with the next checkpoint.
//!   Tables that a durable checkpoint lists stay until another one is durable, and longer
//!   while a cursor reads them. Files that no manifest lists are removed when the store opens.
//!
//! The format is described in `docs/formats/tables.md`.

mod block;
mod block_reader;
mod buffers;
mod cache;
mod compaction;
mod current;
mod debt;
mod filter;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod ground;
mod hash;
mod heads;
mod ingest;
mod kept;
mod memory_cursor;
mod memtable;
mod merge;
mod outputs;
mod partitions;
mod place;
mod range;
mod run;
mod settled;
mod space;
mod table;
mod table_cursor;
mod tables_cursor;
#[cfg(test)]
mod tests;
mod tree;
mod version;
mod writer;

pub use self::space::{TableReads, TableStatistics};
pub(crate) use self::{
    compaction::Compacted,
    debt::{Excess, Measure},
    run::RunCursor,
    space::{TableOptions, TableSpace},
    table::TableRecord,
    tree::{FrozenVersion, LsmTree, WrittenVersion},
    version::RunRecord,
};
