//! What can go wrong in a transaction, sorted by what the caller can do about it.

use std::{fmt, time::Duration};

use rustling_storage::KeyspaceId;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names a transaction for as long as its manager lives. Larger means begun later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u64);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// What a lock is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockResource {
    /// A whole keyspace.
    Table(KeyspaceId),
    /// One key of a keyspace, whether it holds a value or not.
    Row(KeyspaceId, Vec<u8>),
}

impl fmt::Display for LockResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockResource::Table(keyspace) => write!(f, "keyspace {keyspace}"),
            LockResource::Row(keyspace, key) => {
                write!(f, "key {} of keyspace {keyspace}", Key(key))
            }
        }
    }
}

/// A key as it appears in messages: escaped, and cut where it is long.
struct Key<'a>(&'a [u8]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 48;
        match self.0.get(..SHOWN) {
            Some(head) if self.0.len() > SHOWN => {
                write!(f, "'{}…' ({} bytes)", head.escape_ascii(), self.0.len())
            }
            _ => write!(f, "'{}'", self.0.escape_ascii()),
        }
    }
}

/// A transaction error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed or refused; see the storage error for what to do.
    #[error(transparent)]
    Storage(#[from] rustling_storage::Error),
    /// Another transaction changed the row after this one's snapshot was taken (SNAPSHOT: the
    /// first updater wins). Roll back and run the transaction again.
    #[error(
        "a concurrent transaction changed key {} of keyspace {keyspace} first",
        Key(key)
    )]
    WriteConflict {
        /// Where.
        keyspace: KeyspaceId,
        /// Which row.
        key: Vec<u8>,
    },
    /// The transaction could be part of a history that no serial order explains (SERIALIZABLE).
    /// It has ended: roll back and run it again.
    #[error("read/write dependencies among transactions: {reason}")]
    Serialization {
        /// What about it, for people.
        reason: &'static str,
    },
    /// No safe snapshot was to be had within [`crate::TransactionOptions::lock_timeout`]
    /// ([`crate::TransactionOptions::deferrable`]). Try again.
    #[error("gave up waiting for a safe snapshot after {waited:?}")]
    SafeSnapshotTimeout {
        /// For how long.
        waited: Duration,
    },
    /// Transactions waited for one another in a circle and this one was chosen to give way.
    /// Roll back and run the transaction again.
    #[error(
        "deadlock: {} each wait for the next; {transaction} was chosen to give way",
        Circle(cycle)
    )]
    Deadlock {
        /// The transaction that gives way.
        transaction: TransactionId,
        /// The circle: each waits for the next, the last for the first.
        cycle: Vec<TransactionId>,
        /// What this transaction was waiting for.
        resource: LockResource,
    },
    /// A lock was not to be had within [`crate::TransactionOptions::lock_timeout`]. The
    /// transaction is unharmed: try again, or roll back.
    #[error("gave up waiting for the lock on {resource} after {waited:?}")]
    LockTimeout {
        /// What was waited for.
        resource: LockResource,
        /// For how long.
        waited: Duration,
    },
    /// A lock was not to be had before the statement's time was up
    /// ([`crate::TransactionOptions::statement_timeout`]). The transaction is unharmed.
    #[error("the statement's time was up while waiting for the lock on {resource}")]
    StatementTimeout {
        /// What was waited for.
        resource: LockResource,
    },
    /// The lock is taken and [`crate::LockWait::NoWait`] was asked for. The transaction is
    /// unharmed.
    #[error("the lock on {resource} is held by another transaction")]
    LockNotAvailable {
        /// What is locked.
        resource: LockResource,
    },
    /// The key that was to be inserted is there already.
    #[error("key {} of keyspace {keyspace} exists already", Key(key))]
    KeyExists {
        /// Where.
        keyspace: KeyspaceId,
        /// Which key.
        key: Vec<u8>,
    },
    /// A write or a row lock in a transaction that was begun read-only.
    #[error("the transaction is read-only")]
    ReadOnly,
    /// The transaction has been committed or rolled back.
    #[error("the transaction has ended")]
    Finished,
    /// The savepoint was released, rolled back past, or belongs to another transaction.
    #[error("the savepoint does not exist any more")]
    UnknownSavepoint,
    /// The wait was cancelled through a [`crate::CancelHandle`]. The transaction is unharmed.
    #[error("the wait for the lock on {resource} was cancelled")]
    Cancelled {
        /// What was waited for.
        resource: LockResource,
    },
}

impl Error {
    /// Whether rolling back and running the whole transaction again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::WriteConflict { .. } | Error::Deadlock { .. } | Error::Serialization { .. }
        )
    }
}

/// The transactions of a cycle, in order.
struct Circle<'a>(&'a [TransactionId]);

impl fmt::Display for Circle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_place_and_reason() {
        let key = b"a\n".to_vec();
        let error = Error::WriteConflict {
            keyspace: KeyspaceId(7),
            key,
        };
        assert_eq!(
            error.to_string(),
            "a concurrent transaction changed key 'a\\n' of keyspace k7 first"
        );
        let error = Error::Deadlock {
            transaction: TransactionId(2),
            cycle: vec![TransactionId(1), TransactionId(2)],
            resource: LockResource::Table(KeyspaceId(1)),
        };
        assert_eq!(
            error.to_string(),
            "deadlock: t1, t2 each wait for the next; t2 was chosen to give way"
        );
        let error = Error::KeyExists {
            keyspace: KeyspaceId(1),
            key: vec![b'x'; 100],
        };
        assert!(error.to_string().contains("…' (100 bytes)"), "{error}");
    }
}
