//! Readers, writers, eviction and checkpoints at the same time.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{DIR, Model, check_clean, fill, tiny};
use crate::{
    codec::Codec,
    env::Env,
    lsn::Lsn,
    page::{EvictionPolicyKind, PageId, PageStore, PageStoreOptions},
    poison::Poison,
    vfs_memory::MemoryVfs,
};

/// Fills a page so that it says its version itself.
fn write_version(payload: &mut [u8], id: PageId, version: u64) {
    fill(payload, id, version);
    payload[..8].copy_from_slice(&version.to_le_bytes());
}

/// The version that a page says it has; all of the page must agree.
fn read_version(payload: &[u8], id: PageId) -> u64 {
    let version = u64::from_le_bytes(payload[..8].try_into().unwrap());
    let mut expected = vec![0; payload.len()];
    write_version(&mut expected, id, version);
    assert!(payload == expected, "page {id:?} is torn");
    version
}

struct World {
    vfs: MemoryVfs,
    options: PageStoreOptions,
    store: Arc<PageStore>,
    shared: Vec<PageId>,
    /// Versions of the shared pages, raised while the page is held.
    versions: Vec<AtomicU64>,
    /// Pages that one writer each makes and gives back.
    own: Vec<Mutex<Model>>,
    barrier: RwLock<()>,
    stop: AtomicBool,
}

impl World {
    fn new(options: PageStoreOptions, pages: usize, writers: usize) -> World {
        let vfs = MemoryVfs::new();
        let env = Env::with_vfs(vfs.clone());
        let store = Arc::new(super::create(&env, options).unwrap());
        let shared: Vec<PageId> = (0..pages)
            .map(|_| {
                let mut page = store.allocate().unwrap();
                let id = page.id();
                write_version(&mut page, id, 0);
                id
            })
            .collect();
        World {
            vfs,
            options,
            store,
            versions: shared.iter().map(|_| AtomicU64::new(0)).collect(),
            shared,
            own: (0..writers).map(|_| Mutex::default()).collect(),
            barrier: RwLock::new(()),
            stop: AtomicBool::new(false),
        }
    }

    fn write(&self, writer: usize, steps: u64) {
        let mut random = fastrand::Rng::with_seed(writer as u64);
        for step in 0..steps {
            let _barrier = self.barrier.read();
            if random.u8(..4) == 0 {
                let mut own = self.own[writer].lock();
                if own.len() < 30 && random.bool() {
                    let mut page = self.store.allocate().unwrap();
                    let id = page.id();
                    write_version(&mut page, id, step);
                    assert_eq!(own.insert(id, step), None);
                } else if let Some((id, version)) = own.pop_first() {
                    let page = self.store.write(id).unwrap();
                    assert_eq!(read_version(&page, id), version);
                    self.store.free(page);
                }
                continue;
            }
            let at = random.usize(..self.shared.len());
            let id = self.shared[at];
            let mut page = self.store.write(id).unwrap();
            let version = read_version(&page, id);
            assert_eq!(version, self.versions[at].load(Ordering::Relaxed));
            write_version(&mut page, id, version + 1);
            self.versions[at].store(version + 1, Ordering::Relaxed);
        }
    }

    fn read(&self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let at = random.usize(..self.shared.len());
            let before = self.versions[at].load(Ordering::Relaxed);
            // Two pages at once now and then, in ascending order as a tree would.
            let second = (at + 1 < self.shared.len() && random.bool())
                .then(|| {
                    (
                        self.store.read(self.shared[at]).unwrap(),
                        self.shared[at + 1],
                    )
                })
                .map(|(first, next)| (first, self.store.read(next).unwrap(), next));
            if let Some((_, page, id)) = second {
                read_version(&page, id);
            }
            let page = self.store.read(self.shared[at]).unwrap();
            assert!(
                read_version(&page, self.shared[at]) >= before,
                "a stale page"
            );
        }
    }

    /// Checkpoints until told to stop, and opens a copy of the disk after each.
    fn checkpoint(&self) {
        let mut lsn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            lsn += 1;
            let (frozen, expected) = {
                let _barrier = self.barrier.write();
                let mut expected: Model = self
                    .shared
                    .iter()
                    .zip(&self.versions)
                    .map(|(id, version)| (*id, version.load(Ordering::Relaxed)))
                    .collect();
                for own in &self.own {
                    expected.extend(own.lock().iter());
                }
                (
                    self.store.freeze(Lsn(lsn), vec![lsn as u8; 100]).unwrap(),
                    expected,
                )
            };
            self.store.write_checkpoint(frozen).unwrap();
            let env = Env::with_vfs(self.vfs.fork());
            let (copy, info) = PageStore::open(
                &env,
                Path::new(DIR),
                self.options,
                Arc::new(Poison::new()),
                true,
            )
            .unwrap();
            assert_eq!(info.lsn, Lsn(lsn));
            assert_eq!(
                copy.allocated_pages(),
                expected.keys().copied().collect::<Vec<_>>()
            );
            for (id, version) in &expected {
                assert_eq!(read_version(&copy.read(*id).unwrap(), *id), *version);
            }
            check_clean(&self.store);
        }
    }

    fn run(&self, steps: u64) {
        std::thread::scope(|scope| {
            for seed in 0..2 {
                scope.spawn(move || self.read(seed));
            }
            scope.spawn(|| self.checkpoint());
            let writers: Vec<_> = (0..self.own.len())
                .map(|writer| scope.spawn(move || self.write(writer, steps)))
                .collect();
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            self.stop.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
        check_clean(&self.store);
    }
}

fn steps() -> u64 {
    std::env::var("RUSTLING_STRESS_STEPS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(8_000)
}

#[test]
fn readers_writers_and_checkpoints_over_a_small_pool() {
    for eviction in [
        EvictionPolicyKind::Random { seed: 1 },
        EvictionPolicyKind::S3Fifo,
        EvictionPolicyKind::Clock,
    ] {
        let options = PageStoreOptions {
            eviction,
            ..tiny(Codec::None, 24)
        };
        World::new(options, 200, 3).run(steps());
    }
}

#[test]
fn readers_writers_and_checkpoints_with_everything_in_memory() {
    World::new(tiny(Codec::Lz4, 2000), 60, 3).run(steps());
}
