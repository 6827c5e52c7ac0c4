//! From the errors of the layers below to SQL errors that say what to do.

use rustling_storage::Error as StorageError;
use rustling_txn::Error as TxnError;

use crate::{Error, SqlState};

/// `object_in_use`.
pub(crate) const OBJECT_IN_USE: SqlState = SqlState("55006");
/// `program_limit_exceeded`: a key or value too long to be stored.
const TOO_LARGE: SqlState = SqlState::PROGRAM_LIMIT_EXCEEDED;
/// `system_error`-class state for a store that is closing.
const ADMIN_SHUTDOWN: SqlState = SqlState("57P01");
/// `undefined_file`.
const UNDEFINED_FILE: SqlState = SqlState("58P01");

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Error {
        storage_error(error)
    }
}

/// A storage error as an SQL error.
pub(crate) fn storage_error(error: StorageError) -> Error {
    let message = error.to_string();
    match error {
        StorageError::Corrupt { .. } => Error::new(SqlState::DATA_CORRUPTED, message)
            .hint("Run \"rustling check\" on the database, and restore from a backup."),
        StorageError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::StorageFull =>
        {
            Error::new(SqlState::DISK_FULL, message)
                .hint("Free space on the disk of the database and try again.")
        }
        StorageError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Error::new(SqlState::IO_ERROR, message)
                .hint("The process needs read and write access to the database directory.")
        }
        StorageError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::NotADirectory =>
        {
            Error::new(SqlState::IO_ERROR, message)
                .hint("A database is a directory, and a file stands in its place: name another path.")
        }
        StorageError::Io { .. } => Error::new(SqlState::IO_ERROR, message),
        StorageError::Poisoned { .. } => Error::new(SqlState::IO_ERROR, message)
            .hint("Close the database and open it again; what was committed is recovered."),
        StorageError::Locked { .. } => Error::new(OBJECT_IN_USE, message)
            .hint("Only one process can have a database open: end the other one first."),
        StorageError::NotFound { .. } => Error::new(UNDEFINED_FILE, message),
        StorageError::Version { .. } => Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint("Use a newer version of this program."),
        StorageError::UnknownKeyspace(_) => Error::new(SqlState::UNDEFINED_TABLE, "the table was dropped by a concurrent transaction")
            .detail(message),
        StorageError::EngineChanging(_) => Error::new(OBJECT_IN_USE, "the table is being moved to another engine")
            .detail(message)
            .hint("Try again when the transaction that moves it has ended."),
        StorageError::TooLarge { .. } => Error::new(TOO_LARGE, message),
        StorageError::OutOfMemory { purpose, requested, limit } => {
            Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail(format!(
                    "{requested} more bytes for {purpose} do not fit the memory budget of {limit} bytes."
                ))
                .hint("Make the query smaller, or open the database with a larger memory budget.")
        }
        StorageError::SnapshotTooOld(_) => {
            Error::new(SqlState("72000"), "snapshot too old").detail(message)
        }
        StorageError::ReadOnly => Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message),
        StorageError::InvalidOption(_) => Error::new(SqlState::INVALID_PARAMETER_VALUE, message),
        StorageError::Unavailable { option, source, hint } => {
            Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("the system refuses what {option} asks for: {source}"),
            )
            .hint(hint)
        }
        StorageError::Closed => Error::new(ADMIN_SHUTDOWN, "the database is closed"),
        _ => Error::new(SqlState::INTERNAL_ERROR, message),
    }
}

/// A transaction error as an SQL error. Key violations are worded by those who know the table.
pub(crate) fn txn_error(error: TxnError) -> Error {
    let message = error.to_string();
    match error {
        TxnError::Storage(error) => storage_error(error),
        TxnError::WriteConflict { .. } => Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
        )
        .detail(message)
        .hint("Run the transaction again."),
        TxnError::Deadlock { .. } => Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .detail(message)
            .hint("Run the transaction again."),
        TxnError::Serialization { .. } => Error::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to read/write dependencies among transactions",
        )
        .detail(message)
        .hint("The transaction might succeed if retried."),
        TxnError::StatementTimeout { .. } => crate::engine::cancel::timed_out(),
        TxnError::SafeSnapshotTimeout { .. } => Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            "canceling statement due to lock timeout",
        )
        .detail(message),
        TxnError::LockTimeout { .. } => Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            "canceling statement due to lock timeout",
        )
        .detail(message),
        TxnError::LockNotAvailable { .. } => {
            Error::new(SqlState::LOCK_NOT_AVAILABLE, "could not obtain lock").detail(message)
        }
        TxnError::KeyExists { .. } => {
            Error::new(SqlState::UNIQUE_VIOLATION, "duplicate key").detail(message)
        }
        TxnError::ReadOnly => Error::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            "cannot change data in a read-only transaction",
        ),
        TxnError::Finished => Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message),
        TxnError::UnknownSavepoint => {
            Error::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, message)
        }
        TxnError::Cancelled { .. } => crate::engine::cancel::cancelled(),
        _ => Error::new(SqlState::INTERNAL_ERROR, message),
    }
}
