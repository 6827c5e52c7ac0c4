//! What writers owe for outrunning background work: naps that are taken once they are long enough.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A writer that is slowed down sleeps for no less than this at a time.
const SHORTEST_SLEEP: u64 = 1_000_000;
/// Nor for more: the next one goes on where this is not enough.
const LONGEST_SLEEP: u64 = 1_000_000_000;

/// Nanoseconds that writers have yet to sleep for what they wrote, together.
#[derive(Debug, Default)]
pub(crate) struct Owed(AtomicU64);

impl Owed {
    /// Adds `nanos`; answers how long the caller is to sleep now, for all of the debt.
    pub(crate) fn add(&self, nanos: u64) -> Option<Duration> {
        let nanos = nanos.min(LONGEST_SLEEP);
        if self.0.fetch_add(nanos, Ordering::Relaxed) + nanos < SHORTEST_SLEEP {
            return None;
        }
        // Somebody else may have taken some or all of it since: what is taken is there once.
        let nanos = self.0.swap(0, Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However writers meet, what they sleep is what they owe.
    #[test]
    fn debts_are_paid_once() {
        const WRITERS: u64 = 4;
        const TIMES: u64 = 20_000;
        let owed = Owed::default();
        let paid = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (owed, paid) = (&owed, &paid);
                scope.spawn(move || {
                    for _ in 0..TIMES {
                        if let Some(nap) = owed.add(SHORTEST_SLEEP / 2 + writer) {
                            let nanos = u64::try_from(nap.as_nanos()).unwrap();
                            assert!(nanos <= WRITERS * SHORTEST_SLEEP);
                            paid.fetch_add(nanos, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let left = owed.0.into_inner();
        let all: u64 = (0..WRITERS)
            .map(|writer| TIMES * (SHORTEST_SLEEP / 2 + writer))
            .sum();
        assert_eq!(paid.into_inner() + left, all);
    }

    #[test]
    fn no_debt_is_endless() {
        let owed = Owed::default();
        assert_eq!(owed.add(u64::MAX), Some(Duration::from_secs(1)));
        assert_eq!(owed.add(SHORTEST_SLEEP - 1), None);
        assert_eq!(owed.add(1), Some(Duration::from_nanos(SHORTEST_SLEEP)));
    }
}
