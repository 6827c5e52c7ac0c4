//! What is owed to compactions: how far a tree is from what it should look like.
//!
//! By two measures. Runs in front cost every read, and there should be few. Bytes in front and in
//! levels that hold more than they should will all be written again; until then they cost space,
//! and time once nobody writes any more. Beyond the soft limit of either measure whoever writes to
//! the tree is slowed down, at the hard limit he waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{
    compaction::{FRONT_TRIGGER, MAX_LEVELS, front_score, level_limit},
    run::{Run, Tables},
    space::TableOptions,
    version::Version,
};
use crate::owed::Owed;

/// Runs in front at which writers begin to be slowed down, and at which they wait.
const SLOW_RUNS: usize = 10;
const STOP_RUNS: usize = 24;
const _: () = assert!(FRONT_TRIGGER < SLOW_RUNS && SLOW_RUNS < STOP_RUNS);

/// How much there is to do for a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Runs in front, those in memory included.
    pub(crate) runs: usize,
    /// Bytes that have to be written, about, until no part of the tree is larger than it should be.
    pub(crate) bytes: u64,
}

/// A measure of debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Runs in front.
    Front,
    /// Bytes to write.
    Bytes,
}

/// How far a tree's debt is beyond a soft limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Excess {
    /// The measure that it is furthest beyond.
    pub(crate) measure: Measure,
    /// 0 at the soft limit, 1 at the hard one.
    pub(crate) part: f64,
}

impl Excess {
    /// Whether writers have to wait.
    pub(crate) fn stops(self) -> bool {
        self.part >= 1.0
    }
}

/// How far `value` is on the way from one limit to the other; `None` where it has not begun.
fn part(value: f64, soft: f64, hard: f64) -> Option<f64> {
    (value > soft).then(|| (value - soft) / (hard - soft).max(1.0))
}

impl Debt {
    /// The debt of a version.
    pub(super) fn of(version: &Version, options: &TableOptions) -> Debt {
        let runs = version.front.iter().filter_map(Run::tables);
        let front = match front_score(version, options) >= 1.0 {
            true => runs.map(Tables::bytes).sum(),
            false => 0,
        };
        let mut bytes = front as f64;
        for (number, tables) in (1..MAX_LEVELS).zip(&version.levels) {
            let own = tables.bytes();
            let excess = own.saturating_sub(level_limit(options, number));
            if excess > 0 {
                // Each byte that goes down has those that it overlaps written again, too.
                let below = version.levels.get(number).map_or(0, Tables::bytes);
                bytes += excess as f64 * (below as f64 / own as f64 + 1.0);
            }
        }
        Debt {
            runs: version.front.len(),
            bytes: bytes as u64,
        }
    }

    /// How far it is beyond the soft limits, if it is.
    pub(super) fn excess(self, options: &TableOptions) -> Option<Excess> {
        let (soft, hard) = (options.debt_soft_bytes, options.debt_hard_bytes);
        let by_runs = part(self.runs as f64, SLOW_RUNS as f64, STOP_RUNS as f64);
        let by_bytes = part(self.bytes as f64, soft as f64, hard as f64);
        let excess = |measure, part| Excess { measure, part };
        match (by_runs, by_bytes) {
            (Some(runs), Some(bytes)) if runs < bytes => Some(excess(Measure::Bytes, bytes)),
            (Some(runs), _) => Some(excess(Measure::Front, runs)),
            (None, Some(bytes)) => Some(excess(Measure::Bytes, bytes)),
            (None, None) => None,
        }
    }
}

/// A tree's debt now, and what its writers have yet to sleep for it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    runs: AtomicUsize,
    bytes: AtomicU64,
    pub(super) owed: Owed,
}

impl Ledger {
    pub(super) fn new(debt: Debt) -> Ledger {
        let ledger = Ledger::default();
        ledger.set(debt);
        ledger
    }

    pub(super) fn set(&self, debt: Debt) {
        self.runs.store(debt.runs, Ordering::Relaxed);
        self.bytes.store(debt.bytes, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Debt {
        Debt {
            runs: self.runs.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::Codec, lsm::tests::space, vfs_memory::MemoryVfs};

    #[test]
    fn the_measure_that_is_furthest_beyond_its_limit_counts() {
        let space = space(&MemoryVfs::new(), Codec::None);
        let options = &space.options;
        let (soft, hard) = (options.debt_soft_bytes, options.debt_hard_bytes);
        let excess = |runs, bytes| Debt { runs, bytes }.excess(options);
        assert_eq!(excess(SLOW_RUNS, soft), None);
        let found = excess(STOP_RUNS, soft).unwrap();
        assert_eq!((found.measure, found.part), (Measure::Front, 1.0));
        assert!(found.stops());
        let found = excess(SLOW_RUNS, hard).unwrap();
        assert_eq!((found.measure, found.part), (Measure::Bytes, 1.0));
        let found = excess(SLOW_RUNS + 1, soft + (hard - soft) / 2).unwrap();
        assert_eq!((found.measure, found.part), (Measure::Bytes, 0.5));
        assert!(!found.stops());
        let found = excess(SLOW_RUNS + 7, soft + (hard - soft) / 4).unwrap();
        assert_eq!((found.measure, found.part), (Measure::Front, 0.5));
    }
}
