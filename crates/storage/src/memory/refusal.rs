//! Refusing memory that there is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Which reservations a [`super::MemoryBudget`] refuses though it has room. They are counted from
/// zero.
///
/// ```
/// use rustling_storage::{Error, MemoryBudget, Refusal};
///
/// let budget = MemoryBudget::new(1 << 20);
/// budget.refuse(Refusal::At(1));
/// let first = budget.reserve(10, "a sort")?;
/// let second = budget.reserve(10, "a sort");
/// assert!(matches!(second, Err(Error::OutOfMemory { .. })));
/// let third = budget.reserve(10, "a sort")?;
/// assert_eq!((first.bytes(), third.bytes()), (10, 10));
/// assert_eq!(budget.refusals(), (3, 1));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// None, and nothing is counted.
    #[default]
    Never,
    /// The one of this number.
    At(u64),
    /// That and every later one.
    From(u64),
    /// One in so many, chosen at random by a seed.
    Random {
        /// Decides which.
        seed: u64,
        /// One of so many is refused; of 0 none.
        one_in: u64,
    },
}

impl Refusal {
    fn hits(self, number: u64) -> bool {
        match self {
            Refusal::Never => false,
            Refusal::At(at) => number == at,
            Refusal::From(from) => number >= from,
            Refusal::Random { seed, one_in } => {
                let mixed = fastrand::Rng::with_seed(seed ^ number.rotate_left(32)).u64(..);
                mixed.checked_rem(one_in) == Some(0)
            }
        }
    }
}

/// What an account refuses, and has refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Whether anything is counted at all: the one thing that other accounts look at.
    counts: AtomicBool,
    refusal: Mutex<Refusal>,
    asked: AtomicU64,
    refused: AtomicU64,
}

impl Refusals {
    pub(super) fn set(&self, refusal: Refusal) {
        let mut current = self.refusal.lock();
        let counts = refusal != Refusal::Never;
        if counts {
            self.asked.store(0, Ordering::Relaxed);
            self.refused.store(0, Ordering::Relaxed);
        }
        *current = refusal;
        self.counts.store(counts, Ordering::Relaxed);
    }

    /// Whether the reservation that is asked for now is refused.
    #[inline]
    pub(super) fn refuse(&self) -> bool {
        self.counts.load(Ordering::Relaxed) && self.decide()
    }

    #[cold]
    fn decide(&self) -> bool {
        let refusal = *self.refusal.lock();
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let hits = refusal.hits(number);
        self.refused.fetch_add(u64::from(hits), Ordering::Relaxed);
        hits
    }

    /// Asked for, refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.asked), load(&self.refused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refusal: Refusal) -> Vec<u64> {
        let refusals = Refusals::default();
        refusals.set(refusal);
        (0..1000).filter(|_| refusals.refuse()).collect()
    }

    #[test]
    fn those_are_refused_that_should_be() {
        assert_eq!(refused(Refusal::Never), []);
        assert_eq!(refused(Refusal::At(3)), [3]);
        assert_eq!(refused(Refusal::From(997)), [997, 998, 999]);
        let of = |seed, one_in| refused(Refusal::Random { seed, one_in });
        assert_eq!(of(1, 10), of(1, 10));
        assert_ne!(of(1, 10), of(2, 10));
        assert!((50..200).contains(&of(1, 10).len()));
        assert_eq!((of(1, 0).len(), of(1, 1).len()), (0, 1000));
    }

    #[test]
    fn what_is_never_refused_is_not_counted_and_earlier_counts_stay() {
        let refusals = Refusals::default();
        assert!(!refusals.refuse());
        assert_eq!(refusals.counts(), (0, 0));
        refusals.set(Refusal::From(1));
        assert_eq!([refusals.refuse(), refusals.refuse()], [false, true]);
        refusals.set(Refusal::Never);
        assert!(!refusals.refuse());
        assert_eq!(refusals.counts(), (2, 1));
    }
}
