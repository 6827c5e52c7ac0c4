//! What one serializable transaction has read and written, as far as it is tracked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hashbrown::HashMap;
use rustling_storage::KeyspaceId;

use crate::{
    serializable::{graph::MemberId, interval::Interval},
    sync::Mutex,
};

/// Bytes that a tracked key costs beside its bytes: entries here and in the index.
pub(super) const KEY_OVERHEAD: usize = 128;

/// A member as its transaction holds it.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(super) id: MemberId,
    /// Whether it must end: every further step of it fails.
    pub(super) doomed: AtomicBool,
    /// Whether it is read-only and what it reads is consistent whatever others do.
    pub(super) safe: AtomicBool,
    pub(super) tracks: Mutex<Tracks>,
}

impl Participant {
    pub(super) fn new(id: MemberId) -> Participant {
        Participant {
            id,
            doomed: AtomicBool::new(false),
            safe: AtomicBool::new(false),
            tracks: Mutex::default(),
        }
    }

    /// Whether it is read-only and needs no tracking.
    pub(crate) fn is_safe(&self) -> bool {
        self.safe.load(Ordering::Relaxed)
    }
}

/// What is to be taken out of the index again.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    pub(super) tables: HashMap<KeyspaceId, TableTracks, foldhash::fast::RandomState>,
    /// Bytes that all of it costs.
    pub(super) bytes: usize,
    /// Set when the transaction ends: nothing is added from then on.
    pub(super) closed: bool,
}

/// What was read and written of one keyspace.
#[derive(Debug, Default)]
pub(super) struct TableTracks {
    pub(super) read: Extent,
    pub(super) written: Extent,
}

/// Keys and intervals, each also in the index.
#[derive(Debug, Default)]
pub(super) struct Extent {
    pub(super) keys: Vec<Arc<[u8]>>,
    pub(super) intervals: Vec<Interval>,
}

impl Extent {
    /// The smallest interval around all of it.
    pub(super) fn hull(&self) -> Option<Interval> {
        let keys = self.keys.iter().map(|key| Interval::point(key));
        keys.chain(self.intervals.iter().cloned())
            .reduce(|mut hull, more| {
                hull.cover(&more);
                hull
            })
    }

    /// Bytes that all of it costs.
    pub(super) fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.len() + KEY_OVERHEAD).sum();
        keys + self.intervals.iter().map(Interval::bytes).sum::<usize>()
    }
}
