//! What can go wrong in the store, sorted by what the caller can do about it.

use std::{io, path::PathBuf, sync::Arc};

use crate::lsn::{KeyspaceId, Lsn};

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A storage error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes on disk do not verify. Restore from a backup, or salvage with `rustling check`.
    #[error("{} is corrupt at byte {offset}: {reason}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What does not verify.
        reason: String,
    },
    /// A file operation failed. Before any write of a commit the store stays usable.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier write or fsync failed, so what is durable is unknown. Reopen the store.
    #[error("the store stopped after a failed write ({reason}); reopen it to recover")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// Another process holds the directory.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory holds no store, or one that must be created explicitly.
    #[error("there is no store in {}", path.display())]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// The file format is newer (or foreign).
    #[error("{} has format version {found}, this program reads up to {supported}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
        /// Newest version this program reads.
        supported: u32,
    },
    /// No keyspace of this id exists at the snapshot.
    #[error("keyspace {0} does not exist")]
    UnknownKeyspace(KeyspaceId),
    /// A keyspace of this id exists already.
    #[error("keyspace {0} exists already")]
    KeyspaceExists(KeyspaceId),
    /// Another engine is being given to the keyspace already, by this transaction maybe; or the engine
    /// has changed since a large load for the keyspace was staged, or is changing now, so that all of
    /// the load would have to go through memory at once. Nothing has happened. Retry, a load from its
    /// beginning, when that has ended.
    #[error("the engine of keyspace {0} is being changed")]
    EngineChanging(KeyspaceId),
    /// A key or value is longer than the store takes.
    #[error("{what} of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// "key" or "value".
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The memory budget has no room. Retry later, with less at once, or with a larger budget.
    #[error("memory budget of {limit} bytes is used up ({requested} more wanted for {purpose})")]
    OutOfMemory {
        /// What the memory was for.
        purpose: &'static str,
        /// Bytes asked for.
        requested: usize,
        /// The budget in bytes.
        limit: usize,
    },
    /// The snapshot is older than what is still kept.
    #[error("versions at LSN {0} are no longer kept")]
    SnapshotTooOld(Lsn),
    /// The store was opened read-only.
    #[error("the store is open read-only")]
    ReadOnly,
    /// The options contradict one another or what is on disk.
    #[error("invalid option: {0}")]
    InvalidOption(String),
    /// The system refuses what an option asks for. The hint says what to do about it.
    #[error("the system refuses what {option} asks for: {source}; {hint}")]
    Unavailable {
        /// The option of [`crate::StoreOptions`].
        option: &'static str,
        /// The system's answer.
        #[source]
        source: Arc<io::Error>,
        /// What to do.
        hint: &'static str,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// An I/O failure of `action` on `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::Io {
            action,
            path: path.into(),
            source: Arc::new(source),
        }
    }

    /// Whether the disk, or what the user may have of it, is full. Make room and try again.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Error::Io { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
            }
            _ => false,
        }
    }

    /// Whether the process, or the whole system, has as many files open as it may have. Close some,
    /// or raise the limit, and try again.
    #[must_use]
    pub fn is_out_of_files(&self) -> bool {
        match self {
            Error::Io { source, .. } => source.raw_os_error().is_some_and(says_too_many_files),
            _ => false,
        }
    }

    /// Whether the system has refused what would have taken more of the disk, or one more open
    /// file, and done nothing else: what nothing refers to yet can be tried again.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_disk_full() || self.is_out_of_files()
    }

    /// Bytes at `offset` of `file` that do not verify.
    pub fn corrupt(file: impl Into<PathBuf>, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt {
            file: file.into(),
            offset,
            reason: reason.into(),
        }
    }
}

#[cfg(not(windows))]
fn says_too_many_files(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|error| error.raw_os_error() == code)
}

#[cfg(windows)]
fn says_too_many_files(code: i32) -> bool {
    // ERROR_TOO_MANY_OPEN_FILES
    code == 4
}
