//! Where reads meet writes: who has read, and who has written, a key or an interval around it.
//!
//! A read is entered before it looks for writers, a write before it looks for readers, both
//! under one mutex per keyspace. So of two that meet the later one sees the earlier.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use rustling_storage::KeyspaceId;

use crate::{
    serializable::{
        graph::{MemberId, Members},
        interval::{Holders, Interval, SegmentMap},
        participant::{Extent, KEY_OVERHEAD, Participant, Tracks},
    },
    sync::{Mutex, MutexGuard},
};

/// Shards of the index, by keyspace: a power of two.
const SHARDS: usize = 32;

/// Which side of an antidependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// What a member does to a keyspace.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'a> {
    Key(&'a [u8]),
    Interval(&'a Interval),
}

#[derive(Debug, Default)]
struct Side {
    keys: BTreeMap<Arc<[u8]>, Holders>,
    intervals: SegmentMap,
}

impl Side {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.intervals.is_empty()
    }

    fn holds(&self, what: What<'_>, member: MemberId) -> bool {
        match what {
            What::Key(key) => {
                self.intervals.at(key).contains(&member)
                    || self
                        .keys
                        .get(key)
                        .is_some_and(|holders| holders.contains(&member))
            }
            What::Interval(interval) => self.intervals.holds(interval, member),
        }
    }

    /// Everybody else who holds something of `what`.
    fn others(&self, what: What<'_>, member: MemberId) -> Members {
        let mut found = Members::new();
        let mut see = |holder: MemberId| {
            if holder != member && !found.contains(&holder) {
                found.push(holder);
            }
        };
        match what {
            What::Key(key) => {
                self.intervals.at(key).iter().copied().for_each(&mut see);
                if let Some(holders) = self.keys.get(key) {
                    holders.iter().copied().for_each(see);
                }
            }
            What::Interval(interval) => {
                self.intervals.overlapping(interval, &mut see);
                for (_, holders) in interval.within(&self.keys).into_iter().flatten() {
                    holders.iter().copied().for_each(&mut see);
                }
            }
        }
        found
    }

    fn remove(&mut self, extent: &Extent, member: MemberId) {
        for key in &extent.keys {
            if let Some(holders) = self.keys.get_mut(key) {
                holders.retain(|holder| *holder != member);
                if holders.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        for interval in &extent.intervals {
            self.intervals.remove(interval, member);
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    read: Side,
    written: Side,
}

impl Table {
    fn sides(&mut self, access: Access) -> (&mut Side, &Side) {
        match access {
            Access::Read => (&mut self.read, &self.written),
            Access::Write => (&mut self.written, &self.read),
        }
    }
}

type Shard = HashMap<KeyspaceId, Table, foldhash::fast::RandomState>;

/// What was entered, and whom it meets.
#[derive(Debug, Default)]
pub(super) struct Entered {
    /// The members on the other side.
    pub(super) others: Members,
    /// Bytes more than before.
    pub(super) more_bytes: usize,
    /// Bytes less than before.
    pub(super) less_bytes: usize,
    /// Whether keys and intervals were replaced by one interval around them.
    pub(super) promoted: bool,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[Mutex<Shard>]>,
}

impl Index {
    pub(super) fn new() -> Index {
        Index {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn shard(&self, keyspace: KeyspaceId) -> MutexGuard<'_, Shard> {
        self.shards[keyspace.0 as usize % SHARDS].lock()
    }

    /// Enters that `member` reads or writes `what`, unless that is known. `None` where the
    /// member has ended. Where it has `limit` entries in the keyspace already, one interval
    /// replaces them.
    pub(super) fn enter(
        &self,
        member: &Participant,
        keyspace: KeyspaceId,
        access: Access,
        what: What<'_>,
        limit: usize,
    ) -> Option<Entered> {
        let id = member.id;
        let mut tracks = member.tracks.lock();
        if tracks.closed {
            return None;
        }
        let Tracks { tables, bytes, .. } = &mut *tracks;
        let mut shard = self.shard(keyspace);
        let table = shard.entry(keyspace).or_default();
        let (side, opposite) = table.sides(access);
        let mut entered = Entered::default();
        if side.holds(what, id) {
            return Some(entered);
        }
        let own = tables.entry(keyspace).or_default();
        let extent = match access {
            Access::Read => &mut own.read,
            Access::Write => &mut own.written,
        };
        if extent.keys.len() + extent.intervals.len() >= limit.max(1) {
            let mut hull = match what {
                What::Key(key) => Interval::point(key),
                What::Interval(interval) => interval.clone(),
            };
            if let Some(known) = extent.hull() {
                hull.cover(&known);
            }
            entered.others = opposite.others(What::Interval(&hull), id);
            entered.less_bytes = extent.bytes();
            entered.more_bytes = hull.bytes();
            entered.promoted = extent.keys.len() + extent.intervals.len() > 1;
            side.intervals.insert(&hull, id);
            extent.intervals.clear();
            side.remove(extent, id);
            *extent = Extent {
                keys: Vec::new(),
                intervals: vec![hull],
            };
        } else {
            entered.others = opposite.others(what, id);
            match what {
                What::Key(key) => {
                    let key = match side.keys.get_key_value(key) {
                        Some((key, _)) => Arc::clone(key),
                        None => Arc::from(key),
                    };
                    entered.more_bytes = key.len() + KEY_OVERHEAD;
                    side.keys.entry(Arc::clone(&key)).or_default().push(id);
                    extent.keys.push(key);
                }
                What::Interval(interval) => {
                    side.intervals.insert(interval, id);
                    // A scan in progress extends what it has.
                    match extent.intervals.last_mut() {
                        Some(last) if last.end.as_deref() == Some(interval.start.as_slice()) => {
                            entered.less_bytes = last.bytes();
                            last.end.clone_from(&interval.end);
                            entered.more_bytes = last.bytes();
                        }
                        Some(last) if interval.end.as_deref() == Some(last.start.as_slice()) => {
                            entered.less_bytes = last.bytes();
                            last.start.clone_from(&interval.start);
                            entered.more_bytes = last.bytes();
                        }
                        _ => {
                            entered.more_bytes = interval.bytes();
                            extent.intervals.push(interval.clone());
                        }
                    }
                }
            }
        }
        *bytes = (*bytes + entered.more_bytes).saturating_sub(entered.less_bytes);
        Some(entered)
    }

    /// Takes everything of a member out; where `close`, nothing can be entered for it any more.
    /// Gives the bytes that it cost.
    pub(super) fn remove(&self, member: &Participant, close: bool) -> usize {
        let tracks = {
            let mut tracks = member.tracks.lock();
            let closed = tracks.closed || close;
            std::mem::replace(
                &mut *tracks,
                Tracks {
                    closed,
                    ..Tracks::default()
                },
            )
        };
        for (keyspace, own) in &tracks.tables {
            let mut shard = self.shard(*keyspace);
            if let Some(table) = shard.get_mut(keyspace) {
                table.read.remove(&own.read, member.id);
                table.written.remove(&own.written, member.id);
                if table.read.is_empty() && table.written.is_empty() {
                    shard.remove(keyspace);
                }
            }
        }
        tracks.bytes
    }
}
