//! Transactions over [`rustling_storage`]: isolation, locks, savepoints.
//!
//! A [`TransactionManager`] begins [`Transaction`]s on a store. A transaction reads a snapshot
//! with its own changes laid over it, keeps those changes to itself (in memory, and beyond its
//! share of it in the store, aside) and locks the rows that it writes; its commit hands them
//! to the store as one batch. Readers wait for nobody and nobody waits for readers.
//!
//! - [`IsolationLevel`] says what a transaction sees of others.
//! - [`Transaction::lock_row`] and [`Transaction::lock_table`] lock by hand; deadlocks are found
//!   at once and one transaction is asked to give way ([`Error::Deadlock`]).
//! - [`TransactionManager::transaction`] runs a closure and repeats it where it had to give way.
//! - [`Transaction::savepoint`] and [`Transaction::rollback_to`] undo part of the changes.
//! - [`Transaction::bulk_writer`] loads more than memory holds, all or nothing.
//!
//! ```
//! use rustling_storage::{Env, KeyspaceOptions, Store, StoreOptions};
//! use rustling_txn::{Error, IsolationLevel, TransactionManager, TransactionOptions};
//!
//! # fn main() -> Result<(), Error> {
//! let store = Store::in_memory(StoreOptions::default())?;
//! let manager = TransactionManager::new(store, Env::in_memory());
//!
//! let accounts = manager.transaction(TransactionOptions::default(), |transaction| {
//!     let accounts = transaction.create_keyspace(KeyspaceOptions::default())?;
//!     transaction.put(accounts, b"ada", &[10])?;
//!     transaction.insert(accounts, b"charles", &[5])?;
//!     Ok(accounts)
//! })?;
//!
//! // A transfer sees one snapshot, and is repeated where another one came first.
//! manager.transaction(TransactionOptions::isolation(IsolationLevel::Snapshot), |transaction| {
//!     let balance = |name: &[u8]| Ok::<u8, Error>(transaction.get(accounts, name)?.map_or(0, |value| value[0]));
//!     let (ada, charles) = (balance(b"ada")?, balance(b"charles")?);
//!     transaction.put(accounts, b"ada", &[ada - 3])?;
//!     transaction.put(accounts, b"charles", &[charles + 3])
//! })?;
//!
//! let reader = manager.begin(TransactionOptions::default())?;
//! assert_eq!(reader.get(accounts, b"charles")?, Some(vec![8]));
//! # Ok(())
//! # }
//! ```
//!
//! `docs/mvcc.md` describes the rules and which anomalies each level excludes.

mod bulk;
mod cursor;
mod error;
mod finish;
mod lock;
mod locking;
mod manager;
mod options;
mod retry;
mod serializable;
mod spill;
mod staged;
mod state;
mod stats;
mod sync;
mod transaction;
mod write_set;

pub use crate::{
    bulk::BulkWriter,
    cursor::TransactionCursor,
    error::{Error, LockResource, Result, TransactionId},
    lock::{
        LockInfo, LockWait,
        mode::{LockMode, Mode, TableLockMode},
    },
    manager::TransactionManager,
    options::{IsolationLevel, ManagerOptions, TransactionOptions},
    retry::Backoff,
    stats::{TransactionInfo, TransactionStats},
    transaction::{CancelHandle, RowState, Savepoint, Transaction},
};
