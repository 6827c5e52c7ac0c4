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
/// from its own on are what any later state can be restored from.
///
/// Called by checkpoints, oldest segment first. A segment is removed only after this has answered
/// `Ok` for it, which should be after the copy is durable; otherwise it stays, with those after
/// it, and is offered again by the next checkpoint. A segment may be offered again after a crash.
pub trait LogArchive: Send + Sync + std::fmt::Debug {
    /// Takes a segment.
    ///
    /// # Errors
    /// Whatever goes wrong; the store stays usable, and keeps the segment.
    fn archive(&self, segment: LogSegment<'_>) -> io::Result<()>;
}
