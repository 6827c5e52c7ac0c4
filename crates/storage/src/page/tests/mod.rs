//! Tests of the page store as a whole.

mod concurrent;
mod corruption;
mod crash;
mod disk;
mod full_disk;
mod golden;
mod measure;
mod memory;
mod model;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{PageId, PageSize, PageStore, PageStoreOptions};
use crate::{
    codec::Codec,
    env::{Clock, Env, Randomness},
    error::Result,
    poison::Poison,
    verify::VerifyReport,
    vfs::Vfs,
};

/// The pages that should exist, each with the version of its contents.
type Model = BTreeMap<PageId, u64>;

/// What a page of that version holds: noise in front, so that it compresses only in part.
fn fill(payload: &mut [u8], id: PageId, version: u64) {
    let mut random = fastrand::Rng::with_seed(u64::from(id.0) << 32 ^ version);
    let noisy = random.usize(..payload.len());
    random.fill(&mut payload[..noisy]);
    payload[noisy..].fill(version as u8);
}

/// Whether the store holds exactly what the model says.
fn check(store: &PageStore, model: &Model) {
    assert_eq!(
        store.allocated_pages(),
        model.keys().copied().collect::<Vec<_>>()
    );
    let mut expected = vec![0; store.payload_size()];
    for (id, version) in model {
        fill(&mut expected, *id, *version);
        let page = store.read(*id).unwrap();
        assert!(
            *page == *expected,
            "page {id:?} does not hold version {version}"
        );
    }
}

/// The books must balance and every image verify.
fn check_clean(store: &PageStore) {
    let mut report = VerifyReport::default();
    store.verify(&mut report).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// A world whose clock and generator always say the same.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
    fn wall_clock_micros(&self) -> i64 {
        1_700_000_000_000_000
    }
    fn sleep(&self, _duration: std::time::Duration) {}
}

impl Randomness for Still {
    fn next_u64(&self) -> u64 {
        0x0123_4567_89AB_CDEF
    }
}

fn still_env(vfs: impl Vfs + 'static) -> Env {
    Env {
        clock: Arc::new(Still),
        random: Arc::new(Still),
        ..Env::with_vfs(vfs)
    }
}

const DIR: &str = "/store";

fn create(env: &Env, options: PageStoreOptions) -> Result<PageStore> {
    env.vfs.create_dir_all(Path::new(DIR)).unwrap();
    PageStore::create(env, Path::new(DIR), options, Arc::new(Poison::new()))
}

fn open(env: &Env, options: PageStoreOptions) -> Result<(PageStore, super::CheckpointInfo)> {
    PageStore::open(env, Path::new(DIR), options, Arc::new(Poison::new()), false)
}

/// Options that make edges frequent: tiny pages and hardly any memory.
fn tiny(codec: Codec, frames: usize) -> PageStoreOptions {
    PageStoreOptions {
        page_size: PageSize::Kib1,
        codec,
        cache_bytes: frames << 10,
        ..PageStoreOptions::default()
    }
}
