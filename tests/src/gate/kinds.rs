//! The kinds of faults that the gates must have hit, and how often they were.

use std::{collections::BTreeMap, fmt};

use rustling_testkit::sim::{Fault, FaultCounts};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One of the simulated disk, system or clock.
    Disk(Fault),
    /// A power failure after which later writes are there without earlier ones.
    Reorder,
    /// A crash while the store recovers from another.
    DoubleCrash,
    /// A reservation of memory that is refused.
    AllocationRefusal,
}

impl Kind {
    /// Every kind.
    #[must_use]
    pub fn all() -> Vec<Kind> {
        let others = [Kind::Reorder, Kind::DoubleCrash, Kind::AllocationRefusal];
        Fault::ALL
            .map(Kind::Disk)
            .into_iter()
            .chain(others)
            .collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Disk(fault) => format!("{fault:?}"),
            other => format!("{other:?}"),
        };
        f.pad(&name)
    }
}

/// How often each kind was hit. Shown as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    counts: BTreeMap<Kind, u64>,
}

impl Hits {
    /// Counts hits of a kind.
    pub fn add(&mut self, kind: Kind, count: u64) {
        *self.counts.entry(kind).or_default() += count;
    }

    /// Counts what the simulated disk has counted.
    pub fn add_faults(&mut self, faults: &FaultCounts) {
        for (fault, count) in faults.iter() {
            self.add(Kind::Disk(fault), count);
        }
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Hits) {
        for (kind, count) in &other.counts {
            self.add(*kind, *count);
        }
    }

    /// How often a kind was hit.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// The kinds that were hit less often than that, those among them that never were.
    #[must_use]
    pub fn behind(&self, least: u64) -> Vec<Kind> {
        let mut all = Kind::all();
        all.retain(|kind| self.of(*kind) < least);
        all
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in Kind::all() {
            writeln!(f, "    {kind:<20} {:>9}", self.of(kind))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_was_never_hit_is_behind() {
        let mut hits = Hits::default();
        assert_eq!(hits.behind(1), Kind::all());
        for kind in Kind::all() {
            hits.add(kind, 2);
        }
        assert_eq!(hits.behind(2), []);
        hits.add(Kind::Reorder, 1);
        assert_eq!(hits.behind(3).len(), Kind::all().len() - 1);
        assert_eq!(Hits::default().to_string().lines().count(), 27);
    }
}
