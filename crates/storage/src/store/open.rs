//! Opening a store: create or recover.
//!
//! Recovery is superblock → page table and manifest → engines → replay of the log above the
//! checkpoint. It can be interrupted anywhere and begins anew then: until the first new commit
//! it only makes durable again what it has read.

use std::{
    io,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    background::Background,
    catalog::Catalog,
    core::{Checkpoints, Core, WaitPoints},
    engine::{Engine, EngineRecord, Media},
    options::StoreOptions,
    plan::Trees,
    replay::{self, ReplayOptions},
    stats::OpenStatistics,
};
use crate::{
    durability,
    engine::{EngineKind, KeyspaceOptions},
    env::Env,
    error::{Error, Result},
    keyspace::Keyspace,
    lsm::{LsmTree, TableSpace, WrittenVersion},
    lsn::{KeyspaceId, Lsn},
    manifest::{KeyspaceRecord, Manifest},
    memory::MemoryBudget,
    page::{CheckpointInfo, PageStore, huge},
    pins::PinRegistry,
    poison::Poison,
    sequencer::Sequencer,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    vfs::VfsLock,
    waits::Waits,
    wal::{self, Compressibility, StoreId, Wal, WalOptions},
};

/// The data file's name in the store's directory.
pub(super) const DATA_FILE: &str = "data.rdb";
/// The log's directory in the store's directory.
pub(super) const LOG_DIR: &str = "wal";
/// The lock's name in the store's directory.
pub(super) const LOCK_FILE: &str = "lock";

/// What has been opened or made.
struct Parts {
    trees: Trees,
    id: StoreId,
    created: i64,
    wal: Option<Wal>,
    /// The newest commit.
    last: Lsn,
    /// The checkpoint that is on disk, and the tables that it lists.
    checkpoint: Lsn,
    tables: Vec<WrittenVersion>,
    lock: Option<Box<dyn VfsLock>>,
    waits: Waits,
    opening: OpenStatistics,
}

/// Opens the store in `dir`, or creates one.
pub(super) fn open(env: Env, dir: &Path, options: StoreOptions) -> Result<Arc<Core>> {
    options.check()?;
    let start = env.now();
    // Before anything is made.
    let log = log_env(&env, &options)?;
    check_huge_pages(&options)?;
    let exists = has_data(&env, dir)?;
    if !exists {
        if options.read_only || !options.create {
            return Err(Error::NotFound {
                path: dir.to_path_buf(),
            });
        }
        create_dir(&env, dir)?;
    }
    let lock = lock(&env, dir, &options)?;
    let poison = Arc::new(Poison::new());
    // Somebody may have created it before we had the lock.
    let mut parts = if exists || has_data(&env, dir)? {
        recover(&env, &log, dir, &options, poison, lock)?
    } else {
        create(&env, &log, dir, &options, poison, lock)?
    };
    parts.opening.total = env.now().saturating_sub(start);
    let core = assemble(env, options, parts);
    let keyspaces = core.trees.catalog.list(core.sequencer.published());
    if keyspaces
        .iter()
        .any(|keyspace| keyspace.engine.lsm().is_some())
    {
        core.hold_table_memory()?;
        if !core.options.read_only {
            core.compact_soon();
        }
    }
    if core.debt() > 0 && !core.options.read_only {
        // What was replayed would be replayed again.
        core.background.note_activity(&core);
    }
    Ok(core)
}

/// Makes a store in memory.
pub(super) fn in_memory(options: StoreOptions) -> Result<Arc<Core>> {
    options.check()?;
    check_huge_pages(&options)?;
    let env = Env::in_memory();
    let dir = Path::new("/memory");
    create_dir(&env, dir)?;
    let poison = Arc::new(Poison::new());
    let pages = PageStore::create(&env, dir, options.pages()?, Arc::clone(&poison))?;
    let waits = Waits::new(Arc::clone(&env.clock));
    let parts = Parts {
        trees: Trees {
            media: media(&env, dir, &options, pages, &poison),
            catalog: Catalog::new(Vec::new(), Vec::new(), 1),
            poison,
        },
        id: new_id(&env),
        created: env.wall_clock(),
        wal: None,
        last: Lsn::ZERO,
        checkpoint: Lsn::ZERO,
        tables: Vec::new(),
        lock: None,
        waits,
        opening: OpenStatistics::default(),
    };
    Ok(assemble(env, options, parts))
}

fn has_data(env: &Env, dir: &Path) -> Result<bool> {
    let path = dir.join(DATA_FILE);
    env.vfs
        .exists(&path)
        .map_err(|error| Error::io("look for", path, error))
}

/// Makes `dir` and its missing parents; [`fill`] makes their names durable.
fn create_dir(env: &Env, dir: &Path) -> Result<()> {
    env.vfs
        .create_dir_all(dir)
        .map_err(|error| Error::io("create", dir, error))
}

/// Makes the names of `dir` and of all directories above it durable. A creation that was
/// interrupted may have made any of them without coming to this.
fn sync_names(env: &Env, dir: &Path) -> Result<()> {
    let poison = Poison::new();
    let named = |path: &&Path| !path.as_os_str().is_empty() && path.parent().is_some();
    for path in dir.ancestors().filter(named) {
        match durability::sync_parent(&*env.vfs, path, &poison) {
            // What may not be opened, nobody like us has made.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                break;
            }
            result => result?,
        }
    }
    Ok(())
}

fn lock(env: &Env, dir: &Path, options: &StoreOptions) -> Result<Option<Box<dyn VfsLock>>> {
    if !options.lock {
        return Ok(None);
    }
    let path = dir.join(LOCK_FILE);
    match env.vfs.lock(&path, !options.read_only) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Error::Locked {
            path: dir.to_path_buf(),
        }),
        // Nobody can be writing there.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && options.read_only => {
            Ok(None)
        }
        Err(error) => Err(Error::io("lock", path, error)),
    }
}

fn new_id(env: &Env) -> StoreId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&env.random.next_u64().to_le_bytes());
    id[8..].copy_from_slice(&env.random.next_u64().to_le_bytes());
    id
}

fn check_huge_pages(options: &StoreOptions) -> Result<()> {
    match options.huge_pages {
        true => huge::check(),
        false => Ok(()),
    }
}

/// The world in which the log is written.
fn log_env(env: &Env, options: &StoreOptions) -> Result<Env> {
    if !options.wal_io_uring || options.read_only {
        return Ok(env.clone());
    }
    let with_ring = env
        .vfs
        .with_io_uring()
        .map_err(|source| Error::Unavailable {
            option: "wal_io_uring",
            hint: hint_of_refusal(source.kind()),
            source: Arc::new(source),
        })?;
    Ok(Env {
        vfs: with_ring.unwrap_or_else(|| Arc::clone(&env.vfs)),
        ..env.clone()
    })
}

/// What to do where the system refuses a ring.
fn hint_of_refusal(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "the setting kernel.io_uring_disabled or a filter of system calls, as containers have \
             one, forbids it to this process: allow io_uring_setup, io_uring_enter and \
             io_uring_register, or leave the option off"
        }
        io::ErrorKind::OutOfMemory => {
            "raise the limit of locked memory (ulimit -l, LimitMEMLOCK), or leave the option off"
        }
        io::ErrorKind::Unsupported => {
            "it takes Linux 5.6 or later and no filter of system calls that hides io_uring: leave \
             the option off where that is not to be had"
        }
        _ => "leave the option off where that does not change",
    }
}

fn wal_options(options: &StoreOptions) -> WalOptions {
    WalOptions {
        segment_bytes: options.wal_segment_bytes,
        kept_segments: options.wal_kept_segments,
        archive: options.wal_archive.clone(),
    }
}

/// Threads that replay a log at most.
const MOST_REPLAY_THREADS: usize = 4;
/// Bytes of log that are gathered at least, and at most, before they are applied.
const GATHERED: (usize, usize) = (4 << 20, 64 << 20);

/// How a log is replayed: without background threads in the calling one only, so that a run can
/// be repeated exactly.
pub(super) fn replay_options(options: &StoreOptions) -> ReplayOptions {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MOST_REPLAY_THREADS);
    // The other half of the budget, which is for more than this.
    let share = (options.memory_budget - options.cache_bytes()) / 4;
    ReplayOptions {
        read_only: options.read_only,
        threads: if options.background { threads } else { 1 },
        gathered_bytes: share.clamp(GATHERED.0, GATHERED.1),
    }
}

fn create(
    env: &Env,
    log: &Env,
    dir: &Path,
    options: &StoreOptions,
    poison: Arc<Poison>,
    lock: Option<Box<dyn VfsLock>>,
) -> Result<Parts> {
    let pages = PageStore::create(env, dir, options.pages()?, Arc::clone(&poison))?;
    fill(env, log, dir, options, poison, lock, pages)
}

/// Makes the first log segment and checkpoint of a store whose data file is empty. Until that
/// checkpoint is durable there are no commits, and opening begins here again.
fn fill(
    env: &Env,
    log: &Env,
    dir: &Path,
    options: &StoreOptions,
    poison: Arc<Poison>,
    lock: Option<Box<dyn VfsLock>>,
    pages: PageStore,
) -> Result<Parts> {
    sync_names(env, dir)?;
    let log_dir = dir.join(LOG_DIR);
    env.vfs
        .create_dir_all(&log_dir)
        .map_err(|error| Error::io("create", &log_dir, error))?;
    durability::sync_parent(&*env.vfs, &log_dir, &poison)?;
    if let Some(segment) = wal::first_with_records(env, &log_dir)? {
        let reason = "the data file is new, but the log beside it holds commits";
        return Err(Error::corrupt(segment, 0, reason));
    }
    wal::remove_all(env, &log_dir)?;
    let id = new_id(env);
    let created = env.wall_clock();
    let waits = Waits::new(Arc::clone(&env.clock));
    let wal = Wal::create(log, &log_dir, id, &wal_options(options), &poison, &waits)?;
    let manifest = Manifest {
        store: id,
        created,
        next_keyspace: 1,
        replay_from: wal.position().1,
        keyspaces: Vec::new(),
        garbage: Vec::new(),
        next_table: 1,
    };
    let frozen = pages.freeze(Lsn::ZERO, manifest.encode())?;
    durability::install_checkpoint(&pages, frozen, || {})?;
    Ok(Parts {
        trees: Trees {
            media: media(env, dir, options, pages, &poison),
            catalog: Catalog::new(Vec::new(), Vec::new(), 1),
            poison,
        },
        id,
        created,
        wal: Some(wal),
        last: Lsn::ZERO,
        checkpoint: Lsn::ZERO,
        tables: Vec::new(),
        lock,
        waits,
        opening: OpenStatistics::default(),
    })
}

/// Whether the store's creation was interrupted before its first checkpoint.
pub(super) fn is_unfinished(info: &CheckpointInfo) -> bool {
    info.metadata.is_empty() && info.lsn == Lsn::ZERO
}

fn recover(
    env: &Env,
    log: &Env,
    dir: &Path,
    options: &StoreOptions,
    poison: Arc<Poison>,
    lock: Option<Box<dyn VfsLock>>,
) -> Result<Parts> {
    let read_only = options.read_only;
    let mut last_step = env.now();
    // The time since the last step.
    let mut took = || {
        let before = std::mem::replace(&mut last_step, env.now());
        last_step.saturating_sub(before)
    };
    let opened = PageStore::open(env, dir, options.pages()?, Arc::clone(&poison), read_only);
    let (pages, info) = opened?;
    if is_unfinished(&info) {
        return match read_only {
            true => Err(Error::NotFound {
                path: dir.to_path_buf(),
            }),
            false => fill(env, log, dir, options, poison, lock, pages),
        };
    }
    let manifest = Manifest::decode(&info.metadata, pages.path())?;
    let page_table = took();
    let media = media(env, dir, options, pages, &poison);
    let trees = open_trees(media, &manifest, Arc::clone(&poison))?;
    let tables = trees.catalog.list(info.lsn);
    let tables = tables.iter().filter_map(|keyspace| keyspace.engine.lsm());
    let tables = tables.map(LsmTree::opened).collect();
    let engines = took();
    let log_dir = dir.join(LOG_DIR);
    let how = replay_options(options);
    let (tail, replayed) = replay::replay(env, &log_dir, &manifest, info.lsn, how, &trees)?;
    let replaying = took();
    if !read_only {
        trees.media.pages.settle_if_in_doubt()?;
        tail.settle(&poison)?;
        // Not before the checkpoint is known to be durable: the one that a power failure would
        // bring back may list other tables.
        let listed = manifest.table_numbers();
        trees.media.tables.remove_orphans(&listed)?;
    }
    let last = tail.lsn;
    drop_staging(&trees.catalog, last);
    let waits = Waits::new(Arc::clone(&env.clock));
    let wal = Wal::resume(
        log,
        &log_dir,
        manifest.store,
        &wal_options(options),
        &poison,
        &waits,
        tail,
    );
    wal.add_work(replayed.work());
    if !read_only {
        wal.unlink_unreferenced();
    }
    let opening = OpenStatistics {
        total: Duration::ZERO,
        page_table,
        engines,
        reading_log: replaying.saturating_sub(replayed.applying),
        applying_log: replayed.applying,
        settling: took(),
        replayed_commits: replayed.commits,
        replayed_operations: replayed.operations,
        replayed_bytes: replayed.bytes,
    };
    Ok(Parts {
        trees,
        id: manifest.store,
        created: manifest.created,
        wal: Some(wal),
        last,
        checkpoint: info.lsn,
        tables,
        lock,
        waits,
        opening,
    })
}

/// Where the engines of the store in `dir` keep what they hold.
pub(super) fn media(
    env: &Env,
    dir: &Path,
    options: &StoreOptions,
    pages: PageStore,
    poison: &Arc<Poison>,
) -> Media {
    let (env, poison) = (env.clone(), Arc::clone(poison));
    let tables = TableSpace::new(env, dir, poison, options.tables(), pages.caches());
    let pages = Arc::new(pages);
    pages.join_caches();
    Media {
        pages,
        tables: Arc::new(tables),
    }
}

/// The engines as of the checkpoint that `manifest` belongs to.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Version`], [`Error::Io`] where a table does not open.
pub(super) fn open_trees(media: Media, manifest: &Manifest, poison: Arc<Poison>) -> Result<Trees> {
    media.tables.spend_numbers_below(manifest.next_table);
    let open = |record: &KeyspaceRecord| {
        let engine = Engine::open(&media, &record.engine)?;
        Ok(Keyspace::from_record(record, engine))
    };
    let keyspaces = manifest.keyspaces.iter().map(open).collect::<Result<_>>()?;
    let ownerless = |root| KeyspaceRecord {
        id: KeyspaceId(0),
        options: KeyspaceOptions::default(),
        engine: EngineRecord {
            kind: EngineKind::BTree,
            root: Some(root),
            runs: Vec::new(),
        },
        created: Lsn::ZERO,
        adopted: Lsn::ZERO,
        replaces: None,
    };
    let garbage = manifest
        .garbage
        .iter()
        .map(|root| Ok((Lsn::ZERO, Arc::new(open(&ownerless(*root))?))))
        .collect::<Result<_>>()?;
    let catalog = Catalog::new(keyspaces, garbage, manifest.next_keyspace);
    Ok(Trees {
        media,
        catalog,
        poison,
    })
}

/// Staging keyspaces belong to work that did not finish.
fn drop_staging(catalog: &Catalog, last: Lsn) {
    let staging: Vec<_> = catalog
        .list(last)
        .into_iter()
        .filter(|keyspace| keyspace.options.staging)
        .collect();
    let mut garbage = catalog.garbage.lock();
    catalog.update(|map| {
        for replaced in staging.iter().filter_map(|keyspace| keyspace.replaces) {
            if let Some(listed) = map.get_mut(&replaced) {
                let keyspace = Arc::new(listed.with_replacement(None));
                keyspace.inherit(listed);
                garbage.push((last, Arc::clone(listed)));
                *listed = keyspace.into();
            }
        }
    });
    for keyspace in staging {
        keyspace.set_dropped(last);
        garbage.push((last, keyspace));
    }
}

fn assemble(env: Env, options: StoreOptions, parts: Parts) -> Arc<Core> {
    let budget = MemoryBudget::new(options.memory_budget - options.cache_bytes());
    let Parts {
        trees,
        id,
        created,
        wal,
        last,
        checkpoint,
        tables,
        lock,
        waits,
        opening,
    } = parts;
    trees.media.pages.caches().borrow_from(&budget);
    trees.media.pages.name_waits(&waits);
    let poison = Arc::clone(&trees.poison);
    Arc::new_cyclic(|core| Core {
        id,
        created,
        sequencer: Sequencer::new(wal, last, poison, &waits),
        trees,
        barrier: RwLock::new(()),
        pins: PinRegistry::new(last),
        budget,
        wait_points: WaitPoints {
            barrier: waits.point("checkpoint.barrier"),
            change: waits.point("catalog.change"),
            debt: waits.point("checkpoint.debt"),
            asynchronous: waits.point("commit.async"),
            memtable: waits.point("memtable.full"),
            compaction_front: waits.point("compaction.debt.front"),
            compaction_bytes: waits.point("compaction.debt.bytes"),
        },
        waits,
        checkpoints: Mutex::new(Checkpoints {
            lsn: checkpoint,
            tables,
            table_changes: 0,
            unwritten: None,
        }),
        table_memory: Mutex::new(None),
        checkpointed_lsn: AtomicU64::new(checkpoint.0),
        checkpointed_work: AtomicU64::new(0),
        checkpointed_log: AtomicU64::new(0),
        committed_bytes: AtomicU64::new(0),
        compacting: Mutex::new(()),
        vacuuming: Mutex::new(()),
        compressibility: Compressibility::default(),
        vacuumed: AtomicBool::new(false),
        background: Background::new(core.clone()),
        closed: AtomicBool::new(false),
        opening,
        _lock: lock,
        env,
        options,
    })
}

/// Where the log is.
pub(super) fn log_dir(dir: &Path) -> PathBuf {
    dir.join(LOG_DIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_ring_says_what_to_do() {
        use io::ErrorKind::{Other, OutOfMemory, PermissionDenied, Unsupported};
        let hints = [
            (PermissionDenied, "io_uring_setup"),
            (OutOfMemory, "ulimit -l"),
            (Unsupported, "5.6"),
            (Other, "off"),
        ];
        for (kind, part) in hints {
            assert!(hint_of_refusal(kind).contains(part), "{kind}");
        }
    }
}
