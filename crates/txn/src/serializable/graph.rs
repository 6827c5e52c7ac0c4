//! Who must come before whom: the rw-antidependencies between serializable transactions, and
//! the rule that decides which of them may not commit.
//!
//! A transaction that reads a version which a concurrent one replaces must come *before* it in
//! any serial order (an edge reader → writer). Snapshot isolation allows histories without a
//! serial order only where two such edges meet, T1 → T2 → T3, and T3 is the first of the three
//! to commit (Fekete et al., "Making Snapshot Isolation Serializable", TODS 2005; Cahill et
//! al., "Serializable Isolation for Snapshot Databases", SIGMOD 2008). Such a structure is
//! broken by ending one transaction of it. The rules here are those of Ports and Grittner,
//! "Serializable Snapshot Isolation in PostgreSQL", VLDB 2012: T3 counts as committed once it
//! is *prepared* (nothing can stop its commit but the disk); the pivot T2 is ended where it
//! still can be, since its next attempt then begins after T3; and where T1 only reads, T3 must
//! have committed before T1's snapshot.
//!
//! Members stay after their commit as long as anybody runs who began before it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use hashbrown::HashMap;
use rustling_storage::{Lsn, Snapshot};
use smallvec::SmallVec;

use crate::serializable::participant::Participant;

/// Names a serializable transaction, by the tick of the graph's clock at which it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(pub(super) u64);

impl MemberId {
    /// Stands for committed transactions of which only a summary is kept.
    pub(super) const SUMMARY: MemberId = MemberId(0);
}

/// How many members [`Graph::judge`] looks at.
const MOST_JUDGED: usize = 64;

/// Few members, in no order.
pub(super) type Members = SmallVec<[MemberId; 4]>;

/// How far a member is. Times are ticks of the graph's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Prepared { at: u64 },
    Committed { prepared: u64, at: u64 },
}

#[derive(Debug)]
struct Member {
    /// What it has read and written.
    participant: Arc<Participant>,
    /// Whether it cannot write, or did not until it committed.
    read_only: bool,
    snapshot: Lsn,
    phase: Phase,
    /// Where it committed; `None` before, and where it wrote nothing.
    lsn: Option<Lsn>,
    /// When the first of those prepared that it must come before and that had prepared when it
    /// committed.
    earliest_out: Option<u64>,
    /// Who must come before it.
    incoming: Members,
    /// Who must come after it.
    outgoing: Members,
    /// Of a read-only member: the writers that ran when it began and have not ended.
    unsettled: BTreeSet<MemberId>,
}

impl Member {
    fn prepared(&self) -> Option<u64> {
        match self.phase {
            Phase::Running => None,
            Phase::Prepared { at } => Some(at),
            Phase::Committed { prepared, .. } => Some(prepared),
        }
    }

    fn committed(&self) -> Option<u64> {
        match self.phase {
            Phase::Committed { at, .. } => Some(at),
            Phase::Running | Phase::Prepared { .. } => None,
        }
    }

    fn is_doomed(&self) -> bool {
        self.participant.doomed.load(Ordering::Relaxed)
    }
}

/// A structure that may not be: why a transaction must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Danger {
    /// Whether the dependencies that are known close a circle. Otherwise the structure is only
    /// the possible beginning of one.
    pub(super) proven: bool,
}

/// What a new edge leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flagged {
    /// Nothing.
    Harmless,
    /// The member that acts goes on; the pivot is doomed.
    PivotDoomed(Danger),
    /// The member that acts must end.
    MustEnd(Danger),
}

/// How a read-only member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Safety {
    /// It depends on writers that run.
    Undecided,
    /// No writer can make what it reads inconsistent: it needs no tracking.
    Safe,
    /// A writer that ran when it began has committed after somebody it must come before.
    Unsafe,
}

/// What the end of a member leaves to be tidied up, outside the graph's mutex.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Members whose reads and writes concern nobody any more.
    pub(super) forgotten: Vec<Arc<Participant>>,
    /// Whether the summary concerns nobody any more.
    pub(super) summary_is_stale: bool,
    /// Whether a read-only member's safety was decided.
    pub(super) decided: bool,
}

/// The members and edges.
#[derive(Debug, Default)]
pub(super) struct Graph {
    clock: u64,
    members: HashMap<MemberId, Member, foldhash::fast::RandomState>,
    /// Members that have not ended.
    running: BTreeSet<MemberId>,
    /// Members that have committed, in that order.
    committed: VecDeque<MemberId>,
}

impl Graph {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Whether there is a summary.
    pub(super) fn has_summary(&self) -> bool {
        self.members.contains_key(&MemberId::SUMMARY)
    }

    /// Members, the summary among them.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a member with the snapshot that `take` takes. A read-only one that no running
    /// writer can harm is not added.
    pub(super) fn begin(
        &mut self,
        read_only: bool,
        take: impl FnOnce() -> Snapshot,
    ) -> (Snapshot, Arc<Participant>) {
        let id = MemberId(self.tick());
        let snapshot = take();
        let participant = Arc::new(Participant::new(id));
        let unsettled = if read_only {
            let writers = self.running.iter().copied();
            writers
                .filter(|id| self.members.get(id).is_some_and(|member| !member.read_only))
                .collect()
        } else {
            BTreeSet::new()
        };
        if read_only && unsettled.is_empty() {
            participant.safe.store(true, Ordering::Relaxed);
            return (snapshot, participant);
        }
        self.members.insert(
            id,
            Member {
                participant: Arc::clone(&participant),
                read_only,
                snapshot: snapshot.lsn(),
                phase: Phase::Running,
                lsn: None,
                earliest_out: None,
                incoming: Members::new(),
                outgoing: Members::new(),
                unsettled,
            },
        );
        self.running.insert(id);
        (snapshot, participant)
    }

    /// How a read-only member stands.
    pub(super) fn safety(&self, id: MemberId) -> Safety {
        match self.members.get(&id) {
            None => Safety::Safe,
            Some(member) if member.unsettled.is_empty() => Safety::Unsafe,
            Some(_) => Safety::Undecided,
        }
    }

    /// Notes that `reader` has read what `writer` writes; one of them is `acting`, right now.
    pub(super) fn flag(&mut self, reader: MemberId, writer: MemberId, acting: MemberId) -> Flagged {
        let (Some(from), Some(to)) = (self.members.get(&reader), self.members.get(&writer)) else {
            return Flagged::Harmless;
        };
        // What the summary stands for changes, and with it what its edges mean.
        let is_summary = [reader, writer].contains(&MemberId::SUMMARY);
        let sees = to.lsn.is_some_and(|lsn| lsn <= from.snapshot);
        let precedes = from.committed().is_some_and(|at| at < writer.0);
        if reader == writer
            || sees
            || precedes
            || from.is_doomed()
            || to.is_doomed()
            || (from.outgoing.contains(&writer) && !is_summary)
        {
            return Flagged::Harmless;
        }
        let danger = self.danger(reader, writer);
        let to_is_final = to.prepared().is_some();
        let flagged = match danger {
            None => Flagged::Harmless,
            Some(danger) if acting == writer || to_is_final => {
                self.doom(acting);
                return Flagged::MustEnd(danger);
            }
            Some(danger) => {
                self.doom(writer);
                Flagged::PivotDoomed(danger)
            }
        };
        if let Some(from) = self.members.get_mut(&reader) {
            add(&mut from.outgoing, writer);
        }
        if let Some(to) = self.members.get_mut(&writer) {
            add(&mut to.incoming, reader);
        }
        flagged
    }

    fn doom(&self, id: MemberId) {
        if let Some(member) = self.members.get(&id) {
            member.participant.doomed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an edge `reader` → `writer` would complete a dangerous structure.
    fn danger(&self, reader: MemberId, writer: MemberId) -> Option<Danger> {
        let from = self.members.get(&reader)?;
        let to = self.members.get(&writer)?;
        // T1 = reader, T2 = writer: has a T3 prepared before either committed?
        let is_first = |prepared: u64| {
            from.committed().is_none_or(|at| prepared <= at)
                && to.committed().is_none_or(|at| prepared <= at)
                && (!from.read_only || prepared < reader.0)
        };
        let known = to.outgoing.iter().find(|third| {
            let prepared = self.members.get(*third).and_then(Member::prepared);
            prepared.is_some_and(is_first)
        });
        if let Some(third) = known {
            return Some(self.judge(reader, *third));
        }
        if to.earliest_out.is_some_and(is_first) {
            return Some(Danger { proven: false });
        }
        // T2 = reader, T3 = writer: is there a T1 that has not committed before T3?
        let prepared = to.prepared().filter(|_| !from.read_only)?;
        let first = from.incoming.iter().find(|first| {
            self.members.get(*first).is_some_and(|member| {
                !member.is_doomed()
                    && member.committed().is_none_or(|at| at >= prepared)
                    && (!member.read_only || first.0 > prepared)
            })
        })?;
        Some(self.judge(*first, writer))
    }

    /// Looks for a way back from T3 to T1 over what is known: a transaction comes before
    /// another where it must not see its writes (an edge), and where the other's snapshot shows
    /// its commit.
    fn judge(&self, first: MemberId, third: MemberId) -> Danger {
        let mut seen = vec![third];
        let mut at = 0;
        while let Some(id) = seen.get(at).copied().filter(|_| at < MOST_JUDGED) {
            at += 1;
            if id == first {
                return Danger { proven: true };
            }
            let Some(member) = self.members.get(&id) else {
                continue;
            };
            let mut found: Vec<MemberId> = member.outgoing.to_vec();
            if let Some(lsn) = member.lsn {
                let later = self.members.iter();
                found.extend(
                    later
                        .filter(|(other, member)| **other > id && lsn <= member.snapshot)
                        .map(|(other, _)| *other),
                );
            }
            for next in found {
                if !seen.contains(&next) {
                    seen.push(next);
                }
            }
        }
        Danger { proven: false }
    }

    /// The last check before the commit of `id`, which nothing but the store can stop after it.
    /// It may be the T3 of structures whose T1 and T2 still run: then T2 is doomed, or where it
    /// is past that, `id` must end. Gives the dangers averted by dooming others.
    pub(super) fn prepare(&mut self, id: MemberId) -> Result<Vec<Danger>, Danger> {
        let mut averted = Vec::new();
        let Some(member) = self.members.get(&id) else {
            return Ok(averted);
        };
        for pivot in &member.incoming {
            let Some(second) = self.members.get(pivot) else {
                continue;
            };
            if second.committed().is_some() || second.is_doomed() {
                continue;
            }
            let first = second.incoming.iter().find(|first| {
                **first == id
                    || self.members.get(*first).is_some_and(|member| {
                        member.committed().is_none() && !member.read_only && !member.is_doomed()
                    })
            });
            if let Some(first) = first {
                let danger = self.judge(*first, id);
                if second.prepared().is_some() {
                    self.doom(id);
                    return Err(danger);
                }
                self.doom(*pivot);
                averted.push(danger);
            }
        }
        let at = self.tick();
        if let Some(member) = self.members.get_mut(&id) {
            member.phase = Phase::Prepared { at };
        }
        Ok(averted)
    }

    /// Notes the commit of `id`; `lsn` is `None` where it wrote nothing.
    pub(super) fn commit(&mut self, id: MemberId, lsn: Option<Lsn>) -> Ended {
        let at = self.tick();
        let Some(member) = self.members.get(&id) else {
            return Ended::default();
        };
        let prepared = member.prepared().unwrap_or(at);
        let outs = member.outgoing.iter().filter_map(|out| {
            let member = self.members.get(out)?;
            member.prepared()
        });
        let earliest = outs.min();
        if let Some(member) = self.members.get_mut(&id) {
            member.phase = Phase::Committed { prepared, at };
            member.lsn = lsn;
            member.read_only |= lsn.is_none();
            member.earliest_out = earliest;
            member.unsettled.clear();
        }
        self.running.remove(&id);
        self.committed.push_back(id);
        let mut ended = Ended::default();
        self.settle(id, earliest, &mut ended);
        self.forget_committed(&mut ended);
        ended
    }

    /// Notes that `id` was rolled back.
    pub(super) fn roll_back(&mut self, id: MemberId) -> Ended {
        let mut ended = Ended::default();
        if self.running.remove(&id) {
            self.remove(id, &mut ended);
            self.settle(id, None, &mut ended);
            self.forget_committed(&mut ended);
        }
        ended
    }

    /// Tells the read-only members that a writer has ended.
    fn settle(&mut self, id: MemberId, earliest_out: Option<u64>, ended: &mut Ended) {
        let mut safe = Vec::new();
        for reader in &self.running {
            let Some(member) = self.members.get_mut(reader) else {
                continue;
            };
            if !member.unsettled.remove(&id) {
                continue;
            }
            if earliest_out.is_some_and(|prepared| prepared < reader.0) {
                member.unsettled.clear();
                ended.decided = true;
            } else if member.unsettled.is_empty() {
                safe.push(*reader);
            }
        }
        for reader in safe {
            ended.decided = true;
            if let Some(member) = self.members.get(&reader) {
                member.participant.safe.store(true, Ordering::Relaxed);
            }
            self.running.remove(&reader);
            self.remove(reader, ended);
        }
    }

    /// Removes committed members that ended before everyone who runs began.
    fn forget_committed(&mut self, ended: &mut Ended) {
        let oldest = self.running.first().map_or(u64::MAX, |id| id.0);
        let is_past = |member: &Member| member.committed().is_some_and(|at| at < oldest);
        while let Some(id) = self.committed.front().copied() {
            if !self.members.get(&id).is_none_or(is_past) {
                break;
            }
            self.committed.pop_front();
            self.remove(id, ended);
        }
        ended.summary_is_stale = self.members.get(&MemberId::SUMMARY).is_some_and(is_past);
    }

    fn remove(&mut self, id: MemberId, ended: &mut Ended) {
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        for from in &member.incoming {
            if let Some(from) = self.members.get_mut(from) {
                from.outgoing.retain(|out| *out != id);
            }
        }
        for to in &member.outgoing {
            if let Some(to) = self.members.get_mut(to) {
                to.incoming.retain(|into| *into != id);
            }
        }
        ended.forgotten.push(member.participant);
    }

    /// The committed members.
    pub(super) fn committed(&self) -> Vec<Arc<Participant>> {
        let members = self.committed.iter().filter_map(|id| self.members.get(id));
        members
            .map(|member| Arc::clone(&member.participant))
            .collect()
    }

    /// Lets the summary stand for committed members: what it claims holds for each of them, and
    /// so for more than is true.
    pub(super) fn summarise(&mut self, summary: &Arc<Participant>, ids: &[MemberId]) -> Ended {
        let mut ended = Ended::default();
        for id in ids {
            let Some(member) = self.members.get(id) else {
                continue;
            };
            let (Some(prepared), Some(at)) = (member.prepared(), member.committed()) else {
                continue;
            };
            let (lsn, earliest) = (member.lsn, member.earliest_out);
            let (incoming, outgoing) = (member.incoming.clone(), member.outgoing.clone());
            self.remove(*id, &mut ended);
            for from in &incoming {
                if let Some(from) = self.members.get_mut(from) {
                    add(&mut from.outgoing, MemberId::SUMMARY);
                }
            }
            for to in &outgoing {
                if let Some(to) = self.members.get_mut(to) {
                    add(&mut to.incoming, MemberId::SUMMARY);
                }
            }
            let whole = self
                .members
                .entry(MemberId::SUMMARY)
                .or_insert_with(|| Member {
                    participant: Arc::clone(summary),
                    read_only: false,
                    snapshot: Lsn::ZERO,
                    phase: Phase::Committed { prepared, at },
                    lsn: None,
                    earliest_out: None,
                    incoming: Members::new(),
                    outgoing: Members::new(),
                    unsettled: BTreeSet::new(),
                });
            if let Phase::Committed {
                prepared: first,
                at: last,
            } = &mut whole.phase
            {
                *first = (*first).min(prepared);
                *last = (*last).max(at);
            }
            whole.lsn = whole.lsn.max(lsn);
            whole.earliest_out = match (whole.earliest_out, earliest) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let others = |id: &MemberId| *id != MemberId::SUMMARY;
            for from in incoming.into_iter().filter(others) {
                add(&mut whole.incoming, from);
            }
            for to in outgoing.into_iter().filter(others) {
                add(&mut whole.outgoing, to);
            }
        }
        let members = &self.members;
        self.committed.retain(|id| members.contains_key(id));
        ended
    }

    /// Removes the summary where it concerns nobody any more; `false` where it does.
    pub(super) fn forget_summary(&mut self) -> bool {
        let oldest = self.running.first().map_or(u64::MAX, |id| id.0);
        let summary = self.members.get(&MemberId::SUMMARY);
        let is_past = summary.is_none_or(|member| member.committed().is_some_and(|at| at < oldest));
        if is_past {
            self.remove(MemberId::SUMMARY, &mut Ended::default());
        }
        is_past
    }
}

fn add(members: &mut Members, id: MemberId) {
    if !members.contains(&id) {
        members.push(id);
    }
}
