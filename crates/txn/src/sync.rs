//! The mutexes and condition variables that transactions meet at: those of `parking_lot`, or, with
//! the feature `shuttle`, ones whose schedule a test decides
//! (`crates/txn/tests/interleavings.rs`), as it decides that of the storage layer's.

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
#[cfg(feature = "shuttle")]
pub(crate) use rustling_storage::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
