//! The holders and the queue of one lock: who is granted what, and who comes next.
//!
//! Pure state, no blocking: the table calls it under its shard's mutex. The rules:
//!
//! - A request is granted when it conflicts with no other holder and with no request ahead of
//!   it. So nobody overtakes a request they would delay, and nobody starves.
//! - A holder that wants a stronger mode goes ahead of those who hold nothing: it could not be
//!   overtaken by them anyway, since they would wait for what it holds.

use std::{collections::VecDeque, sync::Arc};

use smallvec::SmallVec;

use crate::{
    error::TransactionId,
    lock::{
        mode::{Mode, ModeSet},
        wait::{Verdict, WaitCell},
    },
};

/// A granted lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) transaction: TransactionId,
    pub(crate) mode: Mode,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) transaction: TransactionId,
    /// The mode it will hold: for an upgrade the join of held and wanted.
    pub(crate) mode: Mode,
    upgrade: bool,
    cell: Arc<WaitCell>,
}

/// What became of a request that does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Granted to a transaction that held nothing here.
    Granted,
    /// Granted to a transaction that held a weaker mode.
    Upgraded,
    /// The transaction holds a mode that covers the wanted one.
    Held,
    /// Another transaction is in the way.
    Blocked,
}

/// The state of one lock.
#[derive(Debug, Default)]
pub(crate) struct LockQueue {
    granted: SmallVec<[Grant; 1]>,
    /// Boxed, because almost no lock is ever waited for.
    #[expect(
        clippy::box_collection,
        reason = "keeps the entries of the lock table small"
    )]
    waiting: Option<Box<VecDeque<Request>>>,
}

impl LockQueue {
    pub(crate) fn granted(&self) -> &[Grant] {
        &self.granted
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter().flat_map(|queue| queue.iter())
    }

    /// Whether nobody holds or wants the lock.
    pub(crate) fn is_unused(&self) -> bool {
        self.granted.is_empty() && self.waiting.is_none()
    }

    fn held_by_others(&self, transaction: TransactionId) -> ModeSet {
        self.granted
            .iter()
            .filter(|grant| grant.transaction != transaction)
            .fold(ModeSet::EMPTY, |modes, grant| modes.with(grant.mode))
    }

    /// The mode that `transaction` holds.
    pub(crate) fn held_by(&self, transaction: TransactionId) -> Option<Mode> {
        self.granted
            .iter()
            .find(|grant| grant.transaction == transaction)
            .map(|grant| grant.mode)
    }

    /// Grants `mode` where that needs no waiting. A holder of a mode that covers `enough` gets
    /// nothing more.
    pub(crate) fn try_acquire(
        &mut self,
        transaction: TransactionId,
        mode: Mode,
        enough: Mode,
    ) -> Attempt {
        let others = self.held_by_others(transaction);
        if let Some(grant) = self
            .granted
            .iter_mut()
            .find(|grant| grant.transaction == transaction)
        {
            if grant.mode.covers(enough) {
                return Attempt::Held;
            }
            let wanted = grant.mode.join(mode);
            if wanted.conflicts_with_any(others) {
                return Attempt::Blocked;
            }
            grant.mode = wanted;
            return Attempt::Upgraded;
        }
        if mode.conflicts_with_any(others)
            || self
                .waiting()
                .any(|request| mode.conflicts_with(request.mode))
        {
            return Attempt::Blocked;
        }
        self.granted.push(Grant { transaction, mode });
        Attempt::Granted
    }

    /// Puts a request that was [`Attempt::Blocked`] in line.
    pub(crate) fn enqueue(&mut self, transaction: TransactionId, mode: Mode, cell: Arc<WaitCell>) {
        let held = self.held_by(transaction);
        let mode = held.map_or(mode, |held| held.join(mode));
        let upgrade = held.is_some();
        let queue = self.waiting.get_or_insert_default();
        let at = if upgrade {
            queue.iter().take_while(|request| request.upgrade).count()
        } else {
            queue.len()
        };
        queue.insert(
            at,
            Request {
                transaction,
                mode,
                upgrade,
                cell,
            },
        );
    }

    /// Takes back what `transaction` holds, and lets the next in line in.
    pub(crate) fn release(&mut self, transaction: TransactionId) {
        self.granted
            .retain(|grant| grant.transaction != transaction);
        self.admit();
    }

    /// Takes the request of `cell` out of the line and tells its owner why. False where it is
    /// not in line any more, since it was granted or withdrawn before.
    pub(crate) fn withdraw(&mut self, cell: &Arc<WaitCell>, verdict: Verdict) -> bool {
        let Some(queue) = &mut self.waiting else {
            return false;
        };
        let Some(at) = queue
            .iter()
            .position(|request| Arc::ptr_eq(&request.cell, cell))
        else {
            return false;
        };
        queue.remove(at);
        cell.settle(verdict);
        self.admit();
        true
    }

    /// Grants every request that nothing stands in the way of.
    fn admit(&mut self) {
        let Some(mut queue) = self.waiting.take() else {
            return;
        };
        let mut ahead = ModeSet::EMPTY;
        let mut at = 0;
        while let Some(request) = queue.get(at) {
            let blocked = request.mode.conflicts_with_any(ahead)
                || request
                    .mode
                    .conflicts_with_any(self.held_by_others(request.transaction));
            if blocked {
                ahead = ahead.with(request.mode);
                // Nothing gets past an exclusive request.
                if request.mode == Mode::Exclusive {
                    break;
                }
                at += 1;
                continue;
            }
            if let Some(request) = queue.remove(at) {
                match self
                    .granted
                    .iter_mut()
                    .find(|grant| grant.transaction == request.transaction)
                {
                    Some(grant) => grant.mode = request.mode,
                    None => self.granted.push(Grant {
                        transaction: request.transaction,
                        mode: request.mode,
                    }),
                }
                request.cell.settle(Verdict::Granted);
            }
        }
        if !queue.is_empty() {
            self.waiting = Some(queue);
        }
    }

    /// Whom the request of `cell` waits for: conflicting holders and conflicting requests ahead
    /// of it. Returns its place in line, or `None` where it does not wait any more.
    pub(crate) fn blockers(
        &self,
        cell: &Arc<WaitCell>,
        blockers: &mut Vec<TransactionId>,
    ) -> Option<Place> {
        let queue = self.waiting.as_ref()?;
        let at = queue
            .iter()
            .position(|request| Arc::ptr_eq(&request.cell, cell))?;
        let request = queue.get(at)?;
        let holders = self
            .granted
            .iter()
            .map(|grant| (grant.transaction, grant.mode));
        let ahead = queue
            .iter()
            .take(at)
            .map(|request| (request.transaction, request.mode));
        blockers.extend(
            holders
                .chain(ahead)
                .filter(|(transaction, mode)| {
                    *transaction != request.transaction && request.mode.conflicts_with(*mode)
                })
                .map(|(transaction, _)| transaction),
        );
        Some(Place {
            ahead: at,
            behind_all: request.mode == Mode::Exclusive && !request.upgrade,
        })
    }

    /// How many requests are ahead of the one of `cell`, or `None` where it does not wait.
    pub(crate) fn place(&self, cell: &Arc<WaitCell>) -> Option<usize> {
        self.waiting
            .as_ref()?
            .iter()
            .position(|request| Arc::ptr_eq(&request.cell, cell))
    }
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Requests ahead.
    pub(crate) ahead: usize,
    /// Whether the request waits for every holder and every request ahead, and none of those
    /// waits for it (as they may for an upgrade, whose transaction is a holder too).
    pub(crate) behind_all: bool,
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask(u64, Mode),
        Release(u64),
        GiveUp(u64),
    }

    impl Arbitrary for Step {
        fn arbitrary(g: &mut Gen) -> Step {
            use Mode::{
                Exclusive, IntentionExclusive, IntentionShared, Shared, SharedIntentionExclusive,
                Update,
            };
            let modes = [
                IntentionShared,
                IntentionExclusive,
                Shared,
                Update,
                SharedIntentionExclusive,
                Exclusive,
            ];
            let transaction = u64::arbitrary(g) % 6;
            match u8::arbitrary(g) % 5 {
                0..=2 => Step::Ask(transaction, *g.choose(&modes).unwrap_or(&Exclusive)),
                3 => Step::Release(transaction),
                _ => Step::GiveUp(transaction),
            }
        }
    }

    /// What must hold of a queue at all times.
    fn check(queue: &LockQueue) {
        for (at, grant) in queue.granted.iter().enumerate() {
            for other in &queue.granted[at + 1..] {
                assert_ne!(
                    grant.transaction, other.transaction,
                    "two grants of one transaction"
                );
                assert!(
                    !grant.mode.conflicts_with(other.mode),
                    "{grant:?} beside {other:?}"
                );
            }
        }
        let mut blockers = Vec::new();
        for request in queue.waiting() {
            blockers.clear();
            let place = queue.blockers(&request.cell, &mut blockers);
            assert!(
                place.is_some() && !blockers.is_empty(),
                "{request:?} waits for nobody in {queue:?}"
            );
            assert!(
                !blockers.contains(&request.transaction),
                "{request:?} waits for itself"
            );
            assert_eq!(
                request.upgrade,
                queue.held_by(request.transaction).is_some(),
                "{request:?}"
            );
        }
        let upgrades = queue
            .waiting()
            .take_while(|request| request.upgrade)
            .count();
        assert!(
            queue
                .waiting()
                .skip(upgrades)
                .all(|request| !request.upgrade),
            "upgrades go first"
        );
        assert_ne!(
            queue.waiting.as_ref().map(|waiting| waiting.len()),
            Some(0),
            "an empty line is none"
        );
    }

    quickcheck! {
        fn holders_agree_and_nobody_waits_for_nothing(steps: Vec<Step>) -> bool {
            let mut queue = LockQueue::default();
            let mut cells: [Option<Arc<WaitCell>>; 6] = Default::default();
            let mut held: [Option<Mode>; 6] = [None; 6];
            let mut wanted: [Option<Mode>; 6] = [None; 6];
            for step in steps {
                match step {
                    Step::Ask(id, mode) if cells[id as usize].is_none() => {
                        let transaction = TransactionId(id);
                        let join = held[id as usize].map_or(mode, |held| held.join(mode));
                        match queue.try_acquire(transaction, mode, mode) {
                            Attempt::Granted | Attempt::Upgraded => held[id as usize] = Some(join),
                            Attempt::Held => assert!(held[id as usize].is_some_and(|held| held.covers(mode))),
                            Attempt::Blocked => {
                                let cell = Arc::new(WaitCell::default());
                                queue.enqueue(transaction, mode, Arc::clone(&cell));
                                cells[id as usize] = Some(cell);
                                wanted[id as usize] = Some(join);
                            }
                        }
                    }
                    Step::GiveUp(id) => {
                        if let Some(cell) = &cells[id as usize] {
                            assert!(queue.withdraw(cell, Verdict::TimedOut));
                            assert!(!queue.withdraw(cell, Verdict::TimedOut));
                        }
                    }
                    Step::Release(id) if cells[id as usize].is_none() => {
                        queue.release(TransactionId(id));
                        held[id as usize] = None;
                    }
                    Step::Ask(..) | Step::Release(_) => {}
                }
                for id in 0..6 {
                    match cells[id].as_ref().and_then(|cell| cell.wait(Some(std::time::Duration::ZERO))) {
                        Some(Verdict::Granted) => held[id] = wanted[id],
                        Some(_) => {}
                        None => continue,
                    }
                    cells[id] = None;
                }
                check(&queue);
                for (id, held) in (0..).zip(held) {
                    assert_eq!(queue.held_by(TransactionId(id)), held);
                }
            }
            for id in 0..6u64 {
                if let Some(cell) = &cells[id as usize] {
                    queue.withdraw(cell, Verdict::TimedOut);
                }
                queue.release(TransactionId(id));
            }
            queue.is_unused()
        }
    }

    #[test]
    fn nobody_overtakes_who_would_be_delayed() {
        let mut queue = LockQueue::default();
        let [reader, writer, late] = [1, 2, 3].map(TransactionId);
        assert_eq!(
            queue.try_acquire(reader, Mode::Shared, Mode::Shared),
            Attempt::Granted
        );
        assert_eq!(
            queue.try_acquire(writer, Mode::Exclusive, Mode::Exclusive),
            Attempt::Blocked
        );
        let cell = Arc::new(WaitCell::default());
        queue.enqueue(writer, Mode::Exclusive, Arc::clone(&cell));
        assert_eq!(
            queue.try_acquire(late, Mode::Shared, Mode::Shared),
            Attempt::Blocked,
            "behind the writer"
        );
        assert_eq!(
            queue.try_acquire(reader, Mode::Exclusive, Mode::Exclusive),
            Attempt::Upgraded,
            "the only holder"
        );
        queue.release(reader);
        assert_eq!(cell.wait(None), Some(Verdict::Granted));
    }
}
