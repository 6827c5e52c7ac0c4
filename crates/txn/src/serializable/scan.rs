//! What a scan has read: the keys it has passed over, those that are not there among them.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange, KeyspaceId};

use crate::{
    error::Result,
    serializable::interval::{Interval, successor},
    state::State,
};

/// Rows up to which a scan is tracked as far as it went. A longer one counts as having read its
/// whole range: what it would save is a scan that stops half-way, and that is mostly a short
/// one (LIMIT, EXISTS).
const EXACT_ROWS: u32 = 32;

/// Tracks one scan of a serializable transaction.
#[derive(Debug)]
pub(crate) struct ScanTracker {
    state: Arc<State>,
    keyspace: KeyspaceId,
    /// What is not tracked yet.
    rest: Interval,
    direction: Direction,
    rows: u32,
    done: bool,
}

impl ScanTracker {
    /// For a scan of `range`; `None` where the transaction needs none.
    pub(crate) fn new(
        state: &Arc<State>,
        keyspace: KeyspaceId,
        range: &KeyRange,
        direction: Direction,
    ) -> Option<ScanTracker> {
        state.needs_tracking().then(|| ScanTracker {
            state: Arc::clone(state),
            keyspace,
            rest: Interval::of(range),
            direction,
            rows: 0,
            done: false,
        })
    }

    /// The scan has come to `key`, or to its end.
    pub(crate) fn reached(&mut self, key: Option<&[u8]>) -> Result<()> {
        if self.done {
            return self.state.check_serializable();
        }
        self.rows += 1;
        let Some(key) = key.filter(|_| self.rows <= EXACT_ROWS) else {
            self.done = true;
            return self.state.track_interval(self.keyspace, &self.rest);
        };
        let passed = match self.direction {
            Direction::Forward => {
                let next = successor(key);
                Interval {
                    start: std::mem::replace(&mut self.rest.start, next.clone()),
                    end: Some(next),
                }
            }
            Direction::Backward => Interval {
                start: key.to_vec(),
                end: self.rest.end.replace(key.to_vec()),
            },
        };
        self.state.track_interval(self.keyspace, &passed)
    }
}
