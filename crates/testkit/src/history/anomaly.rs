//! Anomalies, and which isolation level excludes which.

use std::fmt;

use super::Key;

/// Why one transaction must have come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// It wrote the version that the other one replaced.
    WriteWrite,
    /// The other one read what it wrote.
    WriteRead,
    /// It read the version that the other one replaced.
    ReadWrite,
    /// As [`Edge::ReadWrite`], and it found the version (or none) by a predicate.
    PredicateReadWrite,
}

impl Edge {
    /// Whether the earlier one read what the later one replaced.
    #[must_use]
    pub fn is_anti(self) -> bool {
        matches!(self, Edge::ReadWrite | Edge::PredicateReadWrite)
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// A transaction did not see its own changes, or saw two states of one key that it did not
    /// change in between (the latter is no anomaly where each statement has its own snapshot).
    Internal,
    /// Two reads of one key within a transaction differ though it changed nothing.
    NonRepeatable,
    /// A value was read that nobody wrote.
    Garbage,
    /// A change was read that was rolled back.
    AbortedRead,
    /// A change was read that its own transaction overwrote.
    IntermediateRead,
    /// Two reads of one list disagree about the order of its values, or a committed value is
    /// missing from a list whose later values were read.
    IncompatibleOrder,
    /// Two committed transactions replaced one version.
    LostUpdate,
    /// A circle of writes (G0).
    DirtyWrite,
    /// A circle of writes and reads (G1c).
    CircularFlow,
    /// A circle with one anti-dependency (G-single).
    ReadSkew,
    /// A circle with several anti-dependencies, no two of them in a row (G-nonadjacent).
    NonAdjacent,
    /// A circle with anti-dependencies in a row, all of them on keys read (G2-item).
    WriteSkew,
    /// A circle with anti-dependencies in a row, a predicate among them (G2).
    Phantom,
}

/// An isolation level, by what it excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// READ COMMITTED (PL-2).
    ReadCommitted,
    /// SNAPSHOT (PL-SI; Cerone and Gotsman, "Analysing Snapshot Isolation", PODC 2016: every
    /// circle has two anti-dependencies in a row).
    Snapshot,
    /// SERIALIZABLE (PL-3).
    Serializable,
}

impl Level {
    /// Whether the anomaly may not happen.
    #[must_use]
    pub fn excludes(self, kind: AnomalyKind) -> bool {
        use AnomalyKind as Kind;
        match kind {
            Kind::Internal
            | Kind::Garbage
            | Kind::AbortedRead
            | Kind::IntermediateRead
            | Kind::IncompatibleOrder
            | Kind::DirtyWrite
            | Kind::CircularFlow => true,
            Kind::NonRepeatable | Kind::LostUpdate | Kind::ReadSkew | Kind::NonAdjacent => {
                self >= Level::Snapshot
            }
            Kind::WriteSkew | Kind::Phantom => self >= Level::Serializable,
        }
    }
}

/// An anomaly that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// The transactions of a circle, each before the next for the reason given, the last before
    /// the first; or those concerned, with no reason.
    pub circle: Vec<(u64, Option<(Edge, Key)>)>,
    /// What was seen, for people.
    pub detail: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for (at, (id, edge)) in self.circle.iter().enumerate() {
            write!(f, "{}T{id}", if at == 0 { ": " } else { " " })?;
            if let Some((edge, key)) = edge {
                write!(f, " -{edge:?} of {key}->")?;
            }
        }
        Ok(())
    }
}

/// Anomalies that a level excludes and that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(pub Vec<Anomaly>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        writeln!(f, "{} anomalies:", self.0.len())?;
        for anomaly in self.0.iter().take(SHOWN) {
            writeln!(f, "  {anomaly}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
