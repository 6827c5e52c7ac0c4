//! Buffers that the pool has while a checkpoint is being written.

use super::{PageId, PageSize, PageStore};
use crate::lsn::Lsn;

/// Pages that are changed again while their frozen images wait to be written take no more memory than
/// the cache may have: others leave it for the copies.
#[test]
fn images_set_aside_stay_within_the_limit() {
    const PAGES: usize = 120;
    let store = PageStore::for_test(PageSize::Kib1, 128 << 10);
    let ids: Vec<PageId> = (0..PAGES).map(|_| store.allocate().unwrap().id()).collect();
    let change = |version: u8| {
        for id in &ids {
            store.write(*id).unwrap().fill(version);
            let stats = store.stats();
            assert!(stats.cached_bytes <= stats.cache_limit, "{stats:?}");
        }
    };
    let holds = |version: u8| {
        for id in &ids {
            assert!(store.read(*id).unwrap().iter().all(|byte| *byte == version));
        }
    };
    change(1);
    for version in 2..5 {
        let frozen = store.freeze(Lsn(u64::from(version)), Vec::new()).unwrap();
        change(version);
        holds(version);
        store.write_checkpoint(frozen).unwrap();
        holds(version);
    }
    super::check_clean(&store);
}

/// Room is made by pages that are as on disk, as long as there are some among those whose turn it is.
#[test]
fn unchanged_pages_leave_first() {
    const FRAMES: usize = 2048;
    let store = PageStore::for_test(PageSize::Kib1, FRAMES << 10);
    let ids: Vec<PageId> = (0..FRAMES * 3 / 2)
        .map(|_| store.allocate().unwrap().id())
        .collect();
    let frozen = store.freeze(Lsn(1), Vec::new()).unwrap();
    store.write_checkpoint(frozen).unwrap();
    let (cached, others) = ids.split_at(FRAMES - 100);
    for id in cached {
        drop(store.read(*id).unwrap());
    }
    for id in cached.iter().step_by(2) {
        store.write(*id).unwrap().fill(7);
    }
    let before = store.stats();
    for id in others.iter().take(FRAMES / 4) {
        drop(store.read(*id).unwrap());
    }
    let after = store.stats();
    assert!(after.evictions > before.evictions + 100, "{after:?}");
    assert_eq!(after.eviction_writes, before.eviction_writes);
    // Where there are only changed ones, these leave.
    for id in &ids {
        store.write(*id).unwrap().fill(9);
    }
    assert!(store.stats().eviction_writes > before.eviction_writes);
    super::check_clean(&store);
}
