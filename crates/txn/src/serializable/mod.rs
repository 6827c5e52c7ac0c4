//! Serializable snapshot isolation: transactions read one snapshot, wait for nobody, and are
//! ended where they could be part of a history without a serial order.
//!
//! `index` notices that one transaction read what a concurrent one writes, `graph` keeps these
//! antidependencies and finds dangerous structures, `participant` is what one transaction has
//! read and written, `memory` bounds all of it. Only transactions at this level take part:
//! among them, and not for others, the outcome is that of some serial order.

mod graph;
mod index;
mod interval;
mod memory;
mod participant;
mod scan;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustling_storage::{Clock, KeyspaceId, Lsn, MemoryBudget, Snapshot, WaitPoint};

pub(crate) use crate::serializable::{
    interval::Interval, participant::Participant, scan::ScanTracker,
};
use crate::{
    error::{Error, Result},
    serializable::{
        graph::{Danger, Ended, Flagged, Graph, MemberId, Safety},
        index::{Access, Index, What},
        memory::TrackMemory,
    },
    stats::Counters,
    sync::{Condvar, Mutex},
};

/// Beyond so many members those that have committed are summarised, however little they have
/// read and written.
const MOST_MEMBERS: usize = 4096;

/// The serializable transactions of a manager.
#[derive(Debug)]
pub(crate) struct Serializability {
    graph: Mutex<Graph>,
    /// Signalled when a read-only transaction's snapshot turned out safe or not.
    decided: Condvar,
    index: Index,
    memory: TrackMemory,
    /// How many keys and intervals of a keyspace one transaction may have before one interval
    /// replaces them.
    limit: usize,
    /// Holds what summarised members read and wrote.
    summary: Arc<Participant>,
    /// Held while the summary changes.
    summarising: Mutex<()>,
    safe_snapshot_wait: WaitPoint,
}

/// Sizes, for statistics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Transactions kept, running and committed.
    pub(crate) members: usize,
    /// Bytes of what they have read and written.
    pub(crate) bytes: usize,
}

impl Serializability {
    /// Nobody yet. Tracking takes at most `bytes` of the budget, and `limit` entries for each
    /// transaction and keyspace, before it becomes coarser.
    pub(crate) fn new(
        budget: MemoryBudget,
        bytes: usize,
        limit: usize,
        safe_snapshot_wait: WaitPoint,
    ) -> Serializability {
        Serializability {
            graph: Mutex::default(),
            decided: Condvar::new(),
            index: Index::new(),
            memory: TrackMemory::new(budget, bytes),
            limit,
            summary: Arc::new(Participant::new(MemberId::SUMMARY)),
            summarising: Mutex::default(),
            safe_snapshot_wait,
        }
    }

    /// Begins a transaction with the snapshot that `take` takes.
    pub(crate) fn begin(
        &self,
        read_only: bool,
        take: impl FnOnce() -> Snapshot,
        counters: &Counters,
    ) -> (Snapshot, Arc<Participant>) {
        let (snapshot, participant) = self.graph.lock().begin(read_only, take);
        if participant.is_safe() {
            counters.safe_snapshots.increment();
        }
        (snapshot, participant)
    }

    /// Begins a read-only transaction with a snapshot that is known to be safe: waits for the
    /// writers that run, and where their commits make the snapshot unsafe takes another one.
    /// `None` where that took longer than `timeout`.
    pub(crate) fn begin_deferred(
        &self,
        take: impl Fn() -> Snapshot,
        timeout: Option<Duration>,
        clock: &dyn Clock,
        counters: &Counters,
    ) -> Option<(Snapshot, Arc<Participant>)> {
        let mut started = None;
        let begun = loop {
            let (snapshot, participant) = self.graph.lock().begin(true, &take);
            if participant.is_safe() {
                break Some((snapshot, participant));
            }
            let start = *started.get_or_insert_with(|| self.safe_snapshot_wait.start());
            let waited = clock.now().saturating_sub(start);
            let left = timeout.map(|timeout| timeout.saturating_sub(waited));
            match self.wait_for_safety(&participant, left) {
                Safety::Safe => break Some((snapshot, participant)),
                Safety::Unsafe => self.roll_back(&participant),
                Safety::Undecided => {
                    self.roll_back(&participant);
                    break None;
                }
            }
        };
        if let Some(start) = started {
            self.safe_snapshot_wait.stop(start);
        }
        if begun.is_some() {
            counters.safe_snapshots.increment();
        }
        begun
    }

    /// `Undecided` where the time is up.
    fn wait_for_safety(&self, participant: &Participant, timeout: Option<Duration>) -> Safety {
        let mut graph = self.graph.lock();
        loop {
            let safety = graph.safety(participant.id);
            if safety != Safety::Undecided {
                return safety;
            }
            match timeout {
                None => self.decided.wait(&mut graph),
                Some(timeout) => {
                    if self.decided.wait_for(&mut graph, timeout).timed_out() {
                        return graph.safety(participant.id);
                    }
                }
            }
        }
    }

    /// Fails where the transaction must end.
    pub(crate) fn check(&self, participant: &Participant) -> Result<()> {
        if participant.doomed.load(Ordering::Relaxed) {
            return Err(failure(
                "a concurrent transaction committed first that this one does not see",
            ));
        }
        Ok(())
    }

    /// Notes that `key` is read from the snapshot.
    pub(crate) fn read_key(
        &self,
        participant: &Participant,
        keyspace: KeyspaceId,
        key: &[u8],
        counters: &Counters,
    ) -> Result<()> {
        self.enter(
            participant,
            keyspace,
            Access::Read,
            What::Key(key),
            counters,
        )
    }

    /// Notes that every key of `interval` is read from the snapshot.
    pub(crate) fn read_interval(
        &self,
        participant: &Participant,
        keyspace: KeyspaceId,
        interval: &Interval,
        counters: &Counters,
    ) -> Result<()> {
        if interval.is_empty() {
            return Ok(());
        }
        let what = What::Interval(interval);
        self.enter(participant, keyspace, Access::Read, what, counters)
    }

    /// Notes that `key` is written; its row is locked.
    pub(crate) fn write_key(
        &self,
        participant: &Participant,
        keyspace: KeyspaceId,
        key: &[u8],
        counters: &Counters,
    ) -> Result<()> {
        self.enter(
            participant,
            keyspace,
            Access::Write,
            What::Key(key),
            counters,
        )
    }

    /// Notes that any key may be written.
    pub(crate) fn write_all(
        &self,
        participant: &Participant,
        keyspace: KeyspaceId,
        counters: &Counters,
    ) -> Result<()> {
        let all = Interval::all();
        let what = What::Interval(&all);
        self.enter(participant, keyspace, Access::Write, what, counters)
    }

    fn enter(
        &self,
        participant: &Participant,
        keyspace: KeyspaceId,
        access: Access,
        what: What<'_>,
        counters: &Counters,
    ) -> Result<()> {
        if participant.is_safe() {
            return Ok(());
        }
        self.check(participant)?;
        // Memory that is short makes everybody's tracking coarse.
        let limit = if self.memory.is_short() {
            1
        } else {
            self.limit
        };
        let entered = self.index.enter(participant, keyspace, access, what, limit);
        let Some(entered) = entered else {
            return if participant.is_safe() {
                Ok(())
            } else {
                Err(Error::Finished)
            };
        };
        if entered.promoted {
            counters.tracking_promotions.increment();
        }
        if !self.memory.charge(entered.more_bytes, entered.less_bytes) {
            self.summarise(counters);
        }
        if entered.others.is_empty() {
            return Ok(());
        }
        let mut graph = self.graph.lock();
        let me = participant.id;
        for other in entered.others {
            let flagged = match access {
                Access::Read => graph.flag(me, other, me),
                Access::Write => graph.flag(other, me, me),
            };
            match flagged {
                Flagged::Harmless => {}
                Flagged::PivotDoomed(danger) => {
                    counters.record_serialization_failure(danger.proven)
                }
                Flagged::MustEnd(danger) => return Err(refused(danger, access, counters)),
            }
        }
        Ok(())
    }

    /// The last check before the transaction's commit. Nothing is tracked from here on.
    pub(crate) fn prepare(&self, participant: &Participant, counters: &Counters) -> Result<()> {
        participant.tracks.lock().closed = true;
        if participant.is_safe() {
            return Ok(());
        }
        let mut graph = self.graph.lock();
        // Dooming happens under this mutex, so from here on the transaction is past it.
        self.check(participant)?;
        match graph.prepare(participant.id) {
            Ok(averted) => {
                for danger in averted {
                    counters.record_serialization_failure(danger.proven);
                }
                Ok(())
            }
            Err(danger) => {
                counters.record_serialization_failure(danger.proven);
                Err(failure(
                    "its commit would complete a circle of dependencies with transactions that are committing",
                ))
            }
        }
    }

    /// Notes the commit at `lsn`, or of nothing.
    pub(crate) fn commit(&self, participant: &Participant, lsn: Option<Lsn>, counters: &Counters) {
        let mut graph = self.graph.lock();
        let ended = graph.commit(participant.id, lsn);
        let crowded = graph.len() > MOST_MEMBERS;
        drop(graph);
        self.tidy(ended);
        if crowded {
            self.summarise(counters);
        }
    }

    /// Notes that the transaction was rolled back.
    pub(crate) fn roll_back(&self, participant: &Participant) {
        let ended = self.graph.lock().roll_back(participant.id);
        self.tidy(ended);
        // Who was safe was not among the members any more.
        self.forget(participant);
    }

    fn tidy(&self, ended: Ended) {
        if ended.decided {
            self.decided.notify_all();
        }
        for participant in &ended.forgotten {
            self.forget(participant);
        }
        if ended.summary_is_stale {
            let _turn = self.summarising.lock();
            if self.graph.lock().forget_summary() {
                self.memory.release(self.index.remove(&self.summary, false));
            }
        }
    }

    fn forget(&self, participant: &Participant) {
        self.memory.release(self.index.remove(participant, true));
    }

    /// Replaces what all committed members have read and written by one interval per keyspace.
    fn summarise(&self, counters: &Counters) {
        let Some(_turn) = self.summarising.try_lock() else {
            return;
        };
        let committed = self.graph.lock().committed();
        // First the summary's intervals, then its place in the graph, and only then does what
        // it stands for disappear: whoever looks meanwhile finds one or the other.
        for participant in &committed {
            let tracks = participant.tracks.lock();
            let mut hulls = Vec::new();
            for (keyspace, own) in &tracks.tables {
                hulls.push((*keyspace, Access::Read, own.read.hull()));
                hulls.push((*keyspace, Access::Write, own.written.hull()));
            }
            drop(tracks);
            for (keyspace, access, hull) in hulls {
                let Some(hull) = hull else { continue };
                let what = What::Interval(&hull);
                if let Some(entered) = self.index.enter(&self.summary, keyspace, access, what, 1) {
                    self.memory.charge(entered.more_bytes, entered.less_bytes);
                }
            }
        }
        let ids: Vec<MemberId> = committed.iter().map(|participant| participant.id).collect();
        let (ended, needed) = {
            let mut graph = self.graph.lock();
            (graph.summarise(&self.summary, &ids), graph.has_summary())
        };
        if !needed {
            // All of them were forgotten meanwhile.
            self.memory.release(self.index.remove(&self.summary, false));
        }
        counters
            .summarised_transactions
            .add(ended.forgotten.len() as u64);
        for participant in &ended.forgotten {
            self.forget(participant);
        }
    }

    /// Sizes now.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            members: self.graph.lock().len(),
            bytes: self.memory.bytes(),
        }
    }
}

#[cold]
fn failure(reason: &'static str) -> Error {
    Error::Serialization { reason }
}

#[cold]
fn refused(danger: Danger, access: Access, counters: &Counters) -> Error {
    counters.record_serialization_failure(danger.proven);
    failure(match access {
        Access::Read => {
            "this read makes it the beginning or the middle of a chain of dependencies whose end has committed"
        }
        Access::Write => {
            "this write makes it the middle of a chain of dependencies whose end has committed"
        }
    })
}
