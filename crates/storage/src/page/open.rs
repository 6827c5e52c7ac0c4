//! Making and opening a page store.

use std::{path::Path, sync::Arc};

use super::{
    chain,
    checkpoint::{CheckpointInfo, CheckpointState},
    chunked::ChunkedArray,
    delta::Deltas,
    file::PageFile,
    image::EPOCH_LIMIT,
    options::{PageSize, PageStoreOptions},
    pool::Pool,
    releases::Releases,
    slots::{Claims, Slots},
    space::Space,
    store::{Counters, PageEntry, PageStore},
    superblock::{self, REGION, Superblock},
    table::{self, Table},
};
use crate::{
    env::Env,
    error::{Error, Result},
    lsn::Lsn,
    poison::Poison,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
};

impl PageStore {
    /// Makes a new, empty store's data file in `dir`, which must exist. The file has its name
    /// only once it is whole and durable.
    ///
    /// # Errors
    /// [`Error::Io`], also where there is one already; [`Error::InvalidOption`].
    pub(crate) fn create(
        env: &Env,
        dir: &Path,
        options: PageStoreOptions,
        poison: Arc<Poison>,
    ) -> Result<PageStore> {
        options.codec.check()?;
        let page_size = options.page_size.bytes();
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&env.random.next_u64().to_le_bytes());
        uuid[8..].copy_from_slice(&env.random.next_u64().to_le_bytes());
        let superblock = Superblock {
            page_size: page_size as u32,
            page_count: 1,
            uuid,
            created_micros: env.clock.wall_clock_micros(),
            sequence: 1,
            parent_sequence: 0,
            parent_fingerprint: 0,
            blocks: (REGION / page_size) as u32,
            epoch: 0,
            lsn: Lsn::ZERO,
            table: None,
            metadata: None,
            metadata_len: 0,
        };
        let file = PageFile::create(env, dir, &superblock, options.direct, poison)?;
        let slots = Slots::all_taken(page_size, superblock.blocks);
        let parts = Parts {
            slots,
            pages: ChunkedArray::new(),
            free_ids: Vec::new(),
            state: CheckpointState {
                highest_sequence: superblock.sequence,
                superblock,
                stale_copies: Vec::new(),
                table: Table::empty(page_size),
                metadata: Vec::new(),
                releases: Releases::default(),
            },
        };
        Ok(PageStore::assemble(options, false, true, file, parts, 0))
    }

    /// Opens the data file in `dir` at its newest durable checkpoint. Reads superblock, page
    /// table and metadata, and no page; writes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Version`], [`Error::Corrupt`], [`Error::Io`],
    /// [`Error::InvalidOption`].
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        mut options: PageStoreOptions,
        poison: Arc<Poison>,
        read_only: bool,
    ) -> Result<(PageStore, CheckpointInfo)> {
        options.codec.check()?;
        let file = PageFile::open(env, dir, options.direct, poison, read_only)?;
        let chosen = superblock::choose(&file.read_superblock_region()?, file.path())?;
        let superblock = chosen.superblock;
        let wrong = |reason: String| Error::corrupt(file.path(), 0, reason);
        options.page_size = PageSize::from_bytes(superblock.page_size as usize)
            .map_err(|_| wrong(format!("the page size {} is unknown", superblock.page_size)))?;
        let page_size = options.page_size.bytes();
        file.check_page_size(page_size)?;
        let expected = u64::from(superblock.blocks) * page_size as u64;
        let found = file.len()?;
        if found < expected || expected < REGION as u64 {
            return Err(wrong(format!(
                "the file has {found} bytes where {expected} belong"
            )));
        }
        if superblock.page_count == 0 || superblock.epoch >= EPOCH_LIMIT - 2 {
            return Err(wrong("the superblock makes no sense".into()));
        }
        // Whoever takes an id has its part of the page table written, were it only to say that the
        // page is gone: the file has a slot for each of the table's pages. What there is to be
        // read bounds what is allocated for it.
        let table_pages = table::table_pages(page_size, superblock.page_count);
        if table_pages as u64 > expected / super::image::UNIT as u64 {
            return Err(wrong(format!(
                "the superblock says that there are {} pages, whose table is larger than the file",
                superblock.page_count
            )));
        }

        let mut claims = Claims::new(page_size, superblock.blocks);
        for unit in 0..(REGION / super::image::UNIT) as u32 {
            claims
                .claim(unit, 1)
                .map_err(|reason| wrong(reason.into()))?;
        }
        let salt = superblock.salt();
        let (metadata, links) = chain::read(
            &file,
            page_size,
            salt,
            superblock.metadata,
            superblock.metadata_len,
            &mut claims,
        )?;
        let pages: ChunkedArray<PageEntry> = ChunkedArray::new();
        let mut free_ids = Vec::new();
        let mut next = 1;
        let table = Table::load(
            &file,
            page_size,
            salt,
            superblock.table,
            superblock.page_count,
            &mut claims,
            |id, location, claims| {
                let wrong = |reason: &str| {
                    Error::corrupt(
                        file.path(),
                        location.offset(),
                        format!("page {id}: {reason}"),
                    )
                };
                if id == 0 || location.epoch > superblock.epoch {
                    return Err(wrong("its entry in the page table makes no sense"));
                }
                claims.claim(location.unit, location.units).map_err(wrong)?;
                pages.get_or_grow(id, |_| ()).set_durable(Some(location));
                free_ids.extend(next..id);
                next = id + 1;
                Ok(())
            },
        )?;
        free_ids.extend(next..superblock.page_count);
        let info = CheckpointInfo {
            lsn: superblock.lsn,
            metadata,
        };
        let state = CheckpointState {
            superblock,
            highest_sequence: chosen.highest_sequence,
            stale_copies: chosen.stale,
            table,
            metadata: links,
            releases: Releases::default(),
        };
        let parts = Parts {
            slots: Slots::from_claims(claims),
            pages,
            free_ids,
            state,
        };
        let metadata_len = info.metadata.len();
        // Two copies are synced before the others are written: where all are the same, the
        // state is durable, and so is the file's name since the first checkpoint.
        let is_first = info.metadata.is_empty() && info.lsn == Lsn::ZERO;
        let settled = !is_first && parts.state.stale_copies.is_empty();
        Ok((
            PageStore::assemble(options, read_only, settled, file, parts, metadata_len),
            info,
        ))
    }

    fn assemble(
        options: PageStoreOptions,
        read_only: bool,
        settled: bool,
        file: PageFile,
        parts: Parts,
        metadata_len: usize,
    ) -> PageStore {
        let superblock = &parts.state.superblock;
        let epoch = superblock.epoch + 1;
        let store = PageStore {
            read_only,
            salt: superblock.salt(),
            file,
            pool: Pool::new(&options),
            deltas: Deltas::new(epoch),
            epoch: AtomicU64::new(epoch),
            space: Space::new(parts.slots, options.page_size.bytes()),
            next_id: AtomicU32::new(superblock.page_count),
            free_ids: Mutex::new(parts.free_ids.into_iter().collect()),
            pages: parts.pages,
            counters: Counters::default(),
            frozen: AtomicBool::new(false),
            settled: AtomicBool::new(settled),
            metadata_links: AtomicU32::new(0),
            checkpoint: Mutex::new(parts.state),
            options,
        };
        store.note_metadata(metadata_len);
        store.caches().note_fixed(store.pages.bytes());
        store
    }
}

/// What differs between a new store and one found on disk.
struct Parts {
    slots: Slots,
    pages: ChunkedArray<PageEntry>,
    free_ids: Vec<u32>,
    state: CheckpointState,
}
