//! Random single-threaded work, compared with a map.

use super::{Model, check, check_clean, create, fill, open, tiny};
use crate::{
    codec::Codec,
    env::Env,
    lsn::Lsn,
    page::{EvictionPolicyKind, FrozenCheckpoint, PageId, PageSize, PageStore, PageStoreOptions},
};

/// Random changes to a store, and what they should come to.
pub(super) struct Work {
    pub(super) random: fastrand::Rng,
    pub(super) model: Model,
    version: u64,
}

impl Work {
    pub(super) fn new(seed: u64) -> Work {
        Work {
            random: fastrand::Rng::with_seed(seed),
            model: Model::new(),
            version: 0,
        }
    }

    fn any_page(&mut self) -> Option<PageId> {
        if self.model.is_empty() {
            return None;
        }
        let at = self.random.usize(..self.model.len());
        self.model.keys().nth(at).copied()
    }

    /// One random operation that keeps about `pages` pages alive.
    pub(super) fn step(&mut self, store: &PageStore, pages: usize) -> crate::error::Result<()> {
        self.version += 1;
        let grow = self.random.usize(..pages) >= self.model.len();
        match self.random.u8(..10) {
            0..=2 if grow => {
                let mut page = store.allocate()?;
                assert!(page.iter().all(|byte| *byte == 0), "a new page is zero");
                let id = page.id();
                fill(&mut page, id, self.version);
                assert_eq!(self.model.insert(id, self.version), None);
            }
            0..=2 => {
                if let Some(id) = self.any_page() {
                    let held = match self.random.bool() {
                        true => store.write(id)?,
                        false => store.hold_to_free(id)?,
                    };
                    store.free(held);
                    self.model.remove(&id);
                }
            }
            3..=6 => {
                if let Some(id) = self.any_page() {
                    let mut page = store.write(id)?;
                    fill(&mut page, id, self.version);
                    self.model.insert(id, self.version);
                }
            }
            _ => {
                if let Some(id) = self.any_page() {
                    let page = store.read(id)?;
                    let mut expected = vec![0; page.len()];
                    fill(&mut expected, id, self.model[&id]);
                    assert!(*page == *expected, "page {id:?}");
                }
            }
        }
        Ok(())
    }
}

fn check_work(seed: u64, options: PageStoreOptions, pages: usize, steps: usize) {
    let env = Env::in_memory();
    let mut store = create(&env, options).unwrap();
    let mut work = Work::new(seed);
    let mut durable = (Lsn::ZERO, Model::new());
    let mut frozen: Option<(FrozenCheckpoint, Model)> = None;
    for step in 0..steps {
        work.step(&store, pages).unwrap();
        match work.random.u16(..400) {
            0..4 if frozen.is_none() => {
                let lsn = Lsn(step as u64);
                let metadata = vec![step as u8; work.random.usize(..5000)];
                frozen = Some((store.freeze(lsn, metadata).unwrap(), work.model.clone()));
            }
            4..10 => {
                if let Some((checkpoint, model)) = frozen.take() {
                    durable = (checkpoint.lsn(), model);
                    store.write_checkpoint(checkpoint).unwrap();
                    check_clean(&store);
                }
            }
            10..12 => {
                // The store goes without a word; what was frozen but not written is lost.
                frozen = None;
                drop(store);
                let (opened, info) = open(&env, options).unwrap();
                assert_eq!(info.lsn, durable.0);
                assert!(info.metadata.iter().all(|byte| *byte == durable.0.0 as u8));
                store = opened;
                work.model = durable.1.clone();
                check(&store, &work.model);
                check_clean(&store);
            }
            12 => check_clean(&store),
            13..16 => {
                let mut next = store.shrink_target().map(|_| PageId::default());
                let cut = store.shrink_target().unwrap_or_default();
                while let Some(from) = next {
                    next = store.move_to_front(cut, from, 5).unwrap().1;
                }
            }
            16 => store.trim(),
            _ => {}
        }
    }
    check(&store, &work.model);
    check_clean(&store);
}

#[test]
fn random_work_matches_a_map() {
    let policies = [
        EvictionPolicyKind::Clock,
        EvictionPolicyKind::S3Fifo,
        EvictionPolicyKind::Random { seed: 7 },
    ];
    for seed in 0..12 {
        for eviction in policies {
            let options = PageStoreOptions {
                eviction,
                ..tiny(Codec::None, 12)
            };
            check_work(seed, options, 150, 1500);
        }
    }
}

#[test]
fn random_work_with_every_page_size_and_codec() {
    let sizes = [PageSize::Kib4, PageSize::Kib8, PageSize::Kib16];
    let codecs = [Codec::None, Codec::Lz4, Codec::Zstd { level: 1 }];
    for page_size in sizes {
        for codec in codecs {
            if codec.check().is_ok() {
                let options = PageStoreOptions {
                    page_size,
                    cache_bytes: 20 * page_size.bytes(),
                    ..tiny(codec, 0)
                };
                check_work(page_size.bytes() as u64, options, 100, 2000);
            }
        }
    }
}

#[test]
fn tables_of_several_levels() {
    // Pages of 1 KiB hold 62 locations: three levels from 3,844 pages on.
    let env = Env::in_memory();
    let options = tiny(Codec::None, 500);
    let store = create(&env, options).unwrap();
    let mut model = Model::new();
    for round in 0..4u64 {
        for version in 0..1500 {
            let mut page = store.allocate().unwrap();
            let id = page.id();
            fill(&mut page, id, version);
            model.insert(id, version);
        }
        let frozen = store.freeze(Lsn(round), vec![]).unwrap();
        store.write_checkpoint(frozen).unwrap();
    }
    check_clean(&store);
    drop(store);
    let (store, info) = open(&env, options).unwrap();
    assert_eq!(info.lsn, Lsn(3));
    check(&store, &model);
    check_clean(&store);
}

#[test]
fn the_file_does_not_grow_without_need() {
    let env = Env::in_memory();
    let options = tiny(Codec::None, 50);
    let store = create(&env, options).unwrap();
    let mut work = Work::new(1);
    let mut sizes = Vec::new();
    for round in 0..200 {
        for _ in 0..100 {
            work.step(&store, 100).unwrap();
        }
        let frozen = store.freeze(Lsn(round), vec![0; 100]).unwrap();
        store.write_checkpoint(frozen).unwrap();
        sizes.push(store.stats().file_bytes);
    }
    assert_eq!(sizes[20], sizes[199], "slots leak");
    check_clean(&store);
}

#[test]
fn a_small_store_is_a_small_file() {
    let env = Env::in_memory();
    let store = create(&env, PageStoreOptions::default()).unwrap();
    for _ in 0..2 {
        store.allocate().unwrap();
        let frozen = store.freeze(Lsn(1), vec![0; 300]).unwrap();
        store.write_checkpoint(frozen).unwrap();
    }
    assert!(store.stats().file_bytes <= 128 << 10, "{:?}", store.stats());
}

#[test]
fn compression_saves_space() {
    let sizes = [Codec::None, Codec::Lz4].map(|codec| {
        let env = Env::in_memory();
        let store = create(
            &env,
            PageStoreOptions {
                codec,
                ..PageStoreOptions::default()
            },
        )
        .unwrap();
        for _ in 0..500 {
            let mut page = store.allocate().unwrap();
            for (at, byte) in page.iter_mut().enumerate() {
                *byte = (at / 50) as u8;
            }
        }
        let frozen = store.freeze(Lsn(1), vec![]).unwrap();
        store.write_checkpoint(frozen).unwrap();
        let stats = store.stats();
        stats.file_bytes - stats.free_bytes
    });
    assert!(sizes[1] * 4 < sizes[0], "{sizes:?}");
}

#[test]
fn pinned_checkpoints_keep_their_slots() {
    let env = Env::in_memory();
    let options = tiny(Codec::None, 20);
    let store = std::sync::Arc::new(create(&env, options).unwrap());
    let mut work = Work::new(3);
    let mut checkpoint = |lsn| {
        for _ in 0..100 {
            work.step(&store, 60).unwrap();
        }
        store
            .write_checkpoint(store.freeze(Lsn(lsn), vec![]).unwrap())
            .unwrap();
    };
    for lsn in 1..20 {
        checkpoint(lsn);
    }
    let before = store.stats();
    let pin = store.pin_checkpoint();
    for lsn in 20..40 {
        checkpoint(lsn);
    }
    check_clean(&store);
    let pinned = store.stats();
    let used = |stats: &crate::page::PoolStats| stats.file_bytes - stats.free_bytes;
    assert!(used(&pinned) > used(&before));
    drop(pin);
    let after = store.stats();
    assert!(used(&after) < used(&pinned), "{after:?} {pinned:?}");
    check_clean(&store);
}

#[test]
fn a_store_that_is_only_read() {
    let env = Env::in_memory();
    let options = tiny(Codec::None, 20);
    let store = create(&env, options).unwrap();
    let mut work = Work::new(9);
    for _ in 0..500 {
        work.step(&store, 60).unwrap();
    }
    store
        .write_checkpoint(store.freeze(Lsn(1), vec![]).unwrap())
        .unwrap();
    drop(store);
    let before = work.model.clone();
    let reopen = |read_only| {
        let dir = std::path::Path::new(super::DIR);
        let poison = std::sync::Arc::new(crate::poison::Poison::new());
        PageStore::open(&env, dir, options, poison, read_only)
            .unwrap()
            .0
    };
    let store = reopen(true);
    check(&store, &work.model);
    // A log may be replayed over it, in memory.
    for _ in 0..500 {
        work.step(&store, 60).unwrap();
    }
    check(&store, &work.model);
    assert!(matches!(
        store.freeze(Lsn(2), vec![]),
        Err(crate::Error::ReadOnly)
    ));
    assert!(matches!(store.settle(), Err(crate::Error::ReadOnly)));
    drop(store);
    check(&reopen(false), &before);
}

#[test]
fn pages_that_do_not_exist_are_refused() {
    let store = PageStore::for_test(PageSize::Kib4, 1 << 20);
    let id = store.allocate().unwrap().id();
    store.free(store.write(id).unwrap());
    for id in [PageId(0), id, PageId(77), PageId(u32::MAX)] {
        assert!(
            matches!(store.read(id), Err(crate::Error::Corrupt { .. })),
            "{id:?}"
        );
        assert!(
            matches!(store.write(id), Err(crate::Error::Corrupt { .. })),
            "{id:?}"
        );
    }
}
