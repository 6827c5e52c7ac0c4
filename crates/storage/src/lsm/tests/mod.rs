//! Tests of tables and trees as a whole.

mod ingest;
mod load;
mod reads;
mod table;

use std::{path::Path, sync::Arc};

use super::space::{TableOptions, TableReads, TableSpace};
use crate::{caches::Caches, codec::Codec, env::Env, poison::Poison, vfs_memory::MemoryVfs};

/// A space of small tables and blocks over `vfs`.
pub(super) fn space(vfs: &MemoryVfs, codec: Codec) -> Arc<TableSpace> {
    let options = TableOptions {
        memtable_bytes: 64 << 10,
        table_bytes: 4096,
        level_bytes: 16 << 10,
        debt_soft_bytes: 128 << 10,
        debt_hard_bytes: 256 << 10,
        codec,
        block_bytes: 256,
        window_bytes: 256 << 10,
        reads: TableReads::default(),
        direct: false,
        compaction_threads: 1,
    };
    let env = Env::with_vfs(vfs.clone());
    let poison = Arc::new(Poison::new());
    let caches = Arc::new(Caches::new(64 << 10, 4096));
    let dir = Path::new("/store");
    Arc::new(TableSpace::new(env, dir, poison, options, &caches))
}
