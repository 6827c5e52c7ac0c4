//! What a keyspace can be: its engine kind and options.

/// How a keyspace stores its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// Pages in key order: one-seek reads, in-order scans.
    #[default]
    BTree,
    /// A log-structured merge tree: writes are gathered in memory and written in sorted runs,
    /// which are merged in the background. Fast to write, compact; reads look in several places.
    Lsm,
    /// An LSM front above a B+ tree: arrivals are gathered as in an LSM tree and merged into the
    /// B+ tree in sorted batches, so that reads at rest look in one place.
    Hybrid,
}

/// How a keyspace is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceOptions {
    /// The engine.
    pub engine: EngineKind,
    /// Whether this is the private work area of a transaction or load that has outgrown memory.
    /// A staging keyspace that is still there when the store opens belongs to unfinished work
    /// and is dropped.
    pub staging: bool,
}
