//! Row numbers: the hidden keys of tables without a primary key.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustling_storage::{Direction, KeyRange, KeyspaceId, Store};

use crate::{Error, Result, SqlState, encoding::row::row_number, engine::error::storage_error};

/// Not yet recovered.
const UNKNOWN: u64 = u64::MAX;

/// Hands out ascending row numbers without a lock. One of these exists per table and process;
/// the first use recovers the next number from the last key in the store. Numbers of rolled-back
/// inserts are not used again.
#[derive(Debug)]
pub(crate) struct RowNumbers {
    next: AtomicU64,
    recovery: Mutex<()>,
}

impl RowNumbers {
    /// For a table of which nothing is known yet.
    pub(crate) fn new() -> RowNumbers {
        RowNumbers {
            next: AtomicU64::new(UNKNOWN),
            recovery: Mutex::new(()),
        }
    }

    /// The first of `count` numbers that nobody else has.
    pub(crate) fn allocate(&self, store: &Store, keyspace: KeyspaceId, count: u64) -> Result<u64> {
        if self.next.load(Ordering::Acquire) == UNKNOWN {
            self.recover(store, keyspace)?;
        }
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        if first >= UNKNOWN / 2 {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "the table has used up its row numbers",
            ));
        }
        Ok(first)
    }

    #[cold]
    fn recover(&self, store: &Store, keyspace: KeyspaceId) -> Result<()> {
        let _one = self.recovery.lock();
        if self.next.load(Ordering::Acquire) != UNKNOWN {
            return Ok(());
        }
        // A keyspace that only an open transaction knows holds nothing in the store yet.
        let next = if store.contains_keyspace(keyspace) {
            let mut cursor = store
                .snapshot()
                .scan(keyspace, KeyRange::all(), Direction::Backward)
                .map_err(storage_error)?;
            match cursor.next().map_err(storage_error)? {
                None => 1,
                Some((key, _)) => row_number(key)
                    .ok_or_else(|| crate::encoding::corrupt("a row number is damaged"))?
                    .saturating_add(1),
            }
        } else {
            1
        };
        self.next.store(next, Ordering::Release);
        Ok(())
    }
}
