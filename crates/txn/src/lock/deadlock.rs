//! Finding circles in the wait-for graph at the moment a wait begins.
//!
//! The graph is not stored: its edges are read off the lock queues. Only the set of waiting
//! transactions is, behind one mutex that nobody takes who does not wait.
//!
//! Why that suffices:
//!
//! - *No deadlock is missed.* A granted or released lock adds no edge between transactions that
//!   wait already (who queues behind a request waits for its owner before and after the grant;
//!   an upgrade that goes ahead in line adds edges to its own transaction only). So a circle is
//!   closed by a transaction that begins to wait, and that one searches: after it stands in
//!   line and one at a time under the mutex, so that the last of a circle sees all others.
//! - *No deadlock is invented.* The search reads one queue at a time while others move on. A
//!   circle found is read a second time: wait cells are used for one wait only, so a
//!   transaction seen with the same cell twice waited all the time between, and an edge to a
//!   transaction that was asleep could not go away. At the moment between the readings the
//!   whole circle existed; and no circle dissolves by itself.
//!
//! The victim is who has been retried least, then who has written least, then who is youngest:
//! the least work is lost, and a transaction that loses again and again stops being chosen.

use std::{cmp::Reverse, sync::Arc};

use hashbrown::{HashMap, HashSet};

use crate::{
    error::TransactionId,
    lock::{
        table::{Address, LockName, LockTable},
        wait::{Verdict, WaitCell},
    },
    sync::Mutex,
};

/// What a waiting transaction has to lose. Fixed while it waits, since it does nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    /// How often the work was begun before.
    pub(crate) attempt: u32,
    /// Changes made so far.
    pub(crate) writes: u64,
}

/// A transaction in line.
#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) name: LockName,
    pub(crate) cell: Arc<WaitCell>,
    pub(crate) weight: Weight,
}

/// The transactions that wait.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    waiting: Mutex<HashMap<TransactionId, Waiter, foldhash::fast::RandomState>>,
}

impl Detector {
    /// Notes that `transaction` waits (it stands in line already) and breaks every circle that
    /// this closes. Returns how many transactions were made victims, `transaction` itself
    /// perhaps among them: its cell then holds the verdict.
    pub(crate) fn begin_wait(
        &self,
        locks: &LockTable,
        transaction: TransactionId,
        waiter: Waiter,
    ) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.insert(transaction, waiter);
        let mut victims = 0;
        while let Some(cycle) = find_cycle(locks, &waiting, transaction) {
            let Some(victim) = choose_victim(&waiting, &cycle) else {
                break;
            };
            let Some(waiter) = waiting.get(&victim) else {
                break;
            };
            let verdict = Verdict::Victim(cycle);
            if locks.with_name(&waiter.name, |queue| queue.withdraw(&waiter.cell, verdict))
                == Some(true)
            {
                victims += 1;
            }
            if victim == transaction {
                break;
            }
        }
        victims
    }

    /// Notes that `transaction` waits no more.
    pub(crate) fn end_wait(&self, transaction: TransactionId) {
        let mut waiting = self.waiting.lock();
        waiting.remove(&transaction);
        if waiting.is_empty() && waiting.capacity() > 256 {
            waiting.shrink_to_fit();
        }
    }

    /// What `transaction` waits for.
    pub(crate) fn waiter(&self, transaction: TransactionId) -> Option<Waiter> {
        self.waiting.lock().get(&transaction).cloned()
    }
}

type Waiting = HashMap<TransactionId, Waiter, foldhash::fast::RandomState>;

fn choose_victim(waiting: &Waiting, cycle: &[TransactionId]) -> Option<TransactionId> {
    cycle
        .iter()
        .filter_map(|id| waiting.get(id).map(|waiter| (waiter.weight, *id)))
        .min_by_key(|(weight, id)| (weight.attempt, weight.writes, Reverse(*id)))
        .map(|(_, id)| id)
}

/// A transaction on the path of the search and whom of its blockers to visit next.
struct Step {
    transaction: TransactionId,
    blockers: Vec<TransactionId>,
}

/// A circle through `start`, confirmed by a second reading. (Depth first, without recursion:
/// a chain of waits may be as long as there are transactions.)
fn find_cycle(
    locks: &LockTable,
    waiting: &Waiting,
    start: TransactionId,
) -> Option<Vec<TransactionId>> {
    let mut visited: HashSet<TransactionId, foldhash::fast::RandomState> = HashSet::default();
    // How far each queue was explored through a request that waits for all ahead of it: one
    // nearer its head leads nowhere new. Keeps a long queue on one row linear.
    let mut explored: HashMap<Address, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut path = vec![Step {
        transaction: start,
        blockers: Vec::new(),
    }];
    visited.insert(start);
    expand(locks, waiting, &mut explored, path.last_mut()?);
    while let Some(step) = path.last_mut() {
        let Some(next) = step.blockers.pop() else {
            path.pop();
            continue;
        };
        if next == start {
            let cycle: Vec<_> = path.iter().map(|step| step.transaction).collect();
            if is_still_closed(locks, waiting, &cycle) {
                return Some(cycle);
            }
            continue;
        }
        if visited.insert(next) {
            let mut step = Step {
                transaction: next,
                blockers: Vec::new(),
            };
            expand(locks, waiting, &mut explored, &mut step);
            path.push(step);
        }
    }
    None
}

fn expand(
    locks: &LockTable,
    waiting: &Waiting,
    explored: &mut HashMap<Address, usize, foldhash::fast::RandomState>,
    step: &mut Step,
) {
    let Some(waiter) = waiting.get(&step.transaction) else {
        return;
    };
    locks.with_name(&waiter.name, |queue| {
        let known = explored.get(&waiter.name.address()).copied();
        if let (Some(known), Some(at)) = (known, queue.place(&waiter.cell))
            && at < known
        {
            return;
        }
        if let Some(place) = queue.blockers(&waiter.cell, &mut step.blockers)
            && place.behind_all
        {
            explored.insert(waiter.name.address(), place.ahead);
        }
    });
}

/// Whether each transaction of `cycle` (still) waits for the next and the last for the first.
fn is_still_closed(locks: &LockTable, waiting: &Waiting, cycle: &[TransactionId]) -> bool {
    let mut blockers = Vec::new();
    cycle
        .iter()
        .zip(cycle.iter().cycle().skip(1))
        .all(|(from, to)| {
            blockers.clear();
            waiting.get(from).is_some_and(|waiter| {
                locks.with_name(&waiter.name, |queue| {
                    queue.blockers(&waiter.cell, &mut blockers)
                });
                blockers.contains(to)
            })
        })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use quickcheck::quickcheck;
    use rustling_storage::KeyspaceId;

    use super::*;
    use crate::lock::{mode::Mode, queue::Attempt, table::Target};

    const TRANSACTIONS: u64 = 7;

    /// Transactions that ask for locks in any order and never sleep: who waits just asks for
    /// nothing more.
    #[derive(Default)]
    struct Crowd {
        held: BTreeMap<u64, Vec<LockName>>,
        waits: BTreeMap<u64, Waiter>,
    }

    impl Crowd {
        fn edges(&self, locks: &LockTable) -> BTreeMap<u64, Vec<u64>> {
            let mut edges = BTreeMap::new();
            for (id, waiter) in &self.waits {
                let mut blockers = Vec::new();
                locks.with_name(&waiter.name, |queue| {
                    queue.blockers(&waiter.cell, &mut blockers)
                });
                edges.insert(*id, blockers.into_iter().map(|id| id.0).collect());
            }
            edges
        }

        /// The transactions that are in a circle, the slow way: who can reach themselves.
        fn in_circles(&self, locks: &LockTable) -> Vec<u64> {
            let edges = self.edges(locks);
            let reaches_itself = |start: &u64| {
                let mut reached = vec![*start];
                let mut at = 0;
                while let Some(id) = reached.get(at).copied() {
                    for next in edges.get(&id).into_iter().flatten() {
                        if next == start {
                            return true;
                        }
                        if !reached.contains(next) {
                            reached.push(*next);
                        }
                    }
                    at += 1;
                }
                false
            };
            edges.keys().copied().filter(reaches_itself).collect()
        }

        /// Collects verdicts; victims roll back.
        fn settle(&mut self, locks: &LockTable, detector: &Detector) -> Vec<u64> {
            let mut victims = Vec::new();
            loop {
                let settled = self.waits.iter().find_map(|(id, waiter)| {
                    waiter
                        .cell
                        .wait(Some(Duration::ZERO))
                        .map(|verdict| (*id, verdict))
                });
                let Some((id, verdict)) = settled else {
                    return victims;
                };
                detector.end_wait(TransactionId(id));
                let waiter = self.waits.remove(&id).expect("found above");
                match verdict {
                    Verdict::Granted => self.held.entry(id).or_default().push(waiter.name),
                    _ => {
                        self.end(locks, id);
                        victims.push(id);
                    }
                }
            }
        }

        fn end(&mut self, locks: &LockTable, id: u64) {
            for name in self.held.remove(&id).unwrap_or_default() {
                locks.release(&name, TransactionId(id));
            }
        }
    }

    quickcheck! {
        fn circles_are_broken_as_they_close_and_nothing_else_is(steps: Vec<(u8, u8, u8, u8)>) -> bool {
            let (locks, detector) = (LockTable::new(), Detector::default());
            let mut crowd = Crowd::default();
            for (who, row, mode, writes) in steps {
                let id = u64::from(who) % TRANSACTIONS;
                if crowd.waits.contains_key(&id) {
                    continue;
                }
                if mode % 8 == 7 {
                    crowd.end(&locks, id);
                    crowd.settle(&locks, &detector);
                    continue;
                }
                let mode = [Mode::Shared, Mode::Update, Mode::Exclusive][usize::from(mode % 3)];
                let row = [row % 4];
                let target = Target { keyspace: KeyspaceId(1), row: Some(&row) };
                let waiter = locks.with_target(target, |name, queue| match queue.try_acquire(TransactionId(id), mode, mode) {
                    Attempt::Granted => {
                        crowd.held.entry(id).or_default().push(name.clone());
                        None
                    }
                    Attempt::Upgraded | Attempt::Held => None,
                    Attempt::Blocked => {
                        let cell = Arc::new(WaitCell::default());
                        queue.enqueue(TransactionId(id), mode, Arc::clone(&cell));
                        let weight = Weight { attempt: 0, writes: u64::from(writes % 4) };
                        Some(Waiter { name: name.clone(), cell, weight })
                    }
                });
                let Some(waiter) = waiter else { continue };
                crowd.waits.insert(id, waiter.clone());
                let doomed = crowd.in_circles(&locks);
                let broken = detector.begin_wait(&locks, TransactionId(id), waiter);
                assert_eq!(broken > 0, !doomed.is_empty());
                assert!(crowd.in_circles(&locks).is_empty(), "a circle is left");
                let victims = crowd.settle(&locks, &detector);
                assert_eq!(victims.len() as u64, broken);
                assert!(victims.iter().all(|victim| doomed.contains(victim)), "{victims:?} of {doomed:?}");
            }
            // Nobody is in a circle: whoever runs can end, and lets all others go on.
            while !(crowd.held.is_empty() && crowd.waits.is_empty()) {
                let runs = (0..TRANSACTIONS).find(|id| crowd.held.contains_key(id) && !crowd.waits.contains_key(id));
                crowd.end(&locks, runs.expect("somebody runs"));
                assert!(crowd.settle(&locks, &detector).is_empty());
            }
            locks.len() == 0
        }
    }

    #[test]
    fn the_victim_has_least_to_lose() {
        let row = [0];
        let locks = LockTable::new();
        let name = locks.with_target(
            Target {
                keyspace: KeyspaceId(1),
                row: Some(&row),
            },
            |name, _| name.clone(),
        );
        let weights = [(1, 3, 0), (2, 0, 5), (3, 0, 2), (4, 0, 2), (5, 1, 0)];
        let mut waiting = Waiting::default();
        for (id, attempt, writes) in weights {
            let weight = Weight { attempt, writes };
            let waiter = Waiter {
                name: name.clone(),
                cell: Arc::default(),
                weight,
            };
            waiting.insert(TransactionId(id), waiter);
        }
        let victim = |cycle: &[u64]| {
            let cycle: Vec<_> = cycle.iter().copied().map(TransactionId).collect();
            choose_victim(&waiting, &cycle).map(|id| id.0)
        };
        assert_eq!(victim(&[1, 2, 3, 4, 5]), Some(4));
        assert_eq!(victim(&[1, 5]), Some(5));
        assert_eq!(victim(&[1, 2]), Some(2));
    }
}
