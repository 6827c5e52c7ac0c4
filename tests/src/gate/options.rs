//! How the gates open their stores: limits so small that the edges occur constantly.

use rustling_storage::{Codec, EngineKind, EvictionPolicyKind, KeyspaceOptions, StoreOptions};

/// Options for runs that replay from a seed: no threads, tiny segments, a tiny cache, and page
/// sizes, codecs and eviction policies by seed.
#[must_use]
pub fn for_crashes(seed: u64) -> StoreOptions {
    StoreOptions {
        page_size: if seed.is_multiple_of(3) { 8192 } else { 4096 },
        memory_budget: 1 << 20,
        codec: match seed % 4 {
            0 => Codec::Lz4,
            1 => Codec::Zstd { level: 1 },
            _ => Codec::None,
        },
        eviction: eviction(seed),
        wal_segment_bytes: 16 << 10,
        wal_compress_above: 2000,
        checkpoint_wal_bytes: 256 << 10,
        background: false,
        ..StoreOptions::default()
    }
}

/// Options for runs with threads: as small, with background work that checkpoints all the time.
#[must_use]
pub fn for_threads(seed: u64) -> StoreOptions {
    StoreOptions {
        wal_segment_bytes: 64 << 10,
        checkpoint_wal_bytes: 128 << 10,
        background: true,
        ..for_crashes(seed)
    }
}

/// An eviction policy by seed.
#[must_use]
pub fn eviction(seed: u64) -> EvictionPolicyKind {
    match seed % 3 {
        0 => EvictionPolicyKind::Random { seed },
        1 => EvictionPolicyKind::Clock,
        _ => EvictionPolicyKind::S3Fifo,
    }
}

/// Every engine that a keyspace can have.
pub const ENGINES: [EngineKind; 3] = [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// Options of a keyspace with this engine.
#[must_use]
pub fn of_engine(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions {
        engine,
        ..KeyspaceOptions::default()
    }
}
