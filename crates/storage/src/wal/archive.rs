//! Handing log segments over before they are removed, for restoring to a point in time.

use std::{io, path::Path};

/// A log segment that no restart needs any more. Nothing is written to it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSegment<'a> {
    /// Its number: segments follow each other in ascending order, with gaps where one was never
    /// used.
    pub sequence: u64,
    /// Its file.
    pub path: &'a Path,
}

/// Takes log segments before the store removes them: the checkpoint of a backup and all segments
/// from its own on are what any later state can be restored from, up to the next change of a
/// keyspace's engine ([`crate::Store::change_engine`]) or merge of what [`crate::Store::ingest`] was
/// given. What those write is in no log: the whole store has to be backed up again after the commit
/// that makes it part of a keyspace, and a restore from an older backup may go up to just before
/// that commit. Transactions log loads of any size where there is an archive
/// ([`crate::Store::keeps_log`]).
///
/// Called after checkpoints, oldest segment first, by a thread of its own: neither checkpoints nor
/// commits wait for it, however long it takes, and closing the store waits for the segment that it
/// is at. (Without background threads, and for what is left when the store is closed, whoever makes
/// the checkpoint calls it.) A segment is removed only after this has answered `Ok` for it, which
/// should be after the copy is durable; otherwise it stays, with those after it, and is offered
/// again after the next checkpoint. A segment may be offered again after a crash.
pub trait LogArchive: Send + Sync + std::fmt::Debug {
    /// Takes a segment.
    ///
    /// # Errors
    /// Whatever goes wrong; the store stays usable, and keeps the segment.
    fn archive(&self, segment: LogSegment<'_>) -> io::Result<()>;
}
