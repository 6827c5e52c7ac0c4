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
