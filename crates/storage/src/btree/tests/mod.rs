//! Tests of whole trees, on pages so small that splits, merges and overflow happen all the time.

mod damage;
mod full_disk;
mod golden;
mod model;
mod speed;
mod stress;
mod walking;

use std::{path::Path, sync::Arc};

use super::{BTree, TreeEntry};
use crate::{
    env::Env,
    lsn::Lsn,
    page::{PageSize, PageStore, PageStoreOptions},
    poison::Poison,
    verify::VerifyReport,
    vfs_memory::MemoryVfs,
};

fn tiny_pages() -> Arc<PageStore> {
    PageStore::for_test(PageSize::Kib1, 64 << 20)
}

/// A disk in memory with a page store on it that can be reopened.
struct Disk {
    env: Env,
    options: PageStoreOptions,
}

impl Disk {
    const DIR: &str = "/test";

    /// With tiny pages of which the cache holds about `frames`.
    fn new(frames: usize) -> Disk {
        Disk::on(MemoryVfs::new(), frames)
    }

    fn on(vfs: MemoryVfs, frames: usize) -> Disk {
        let env = Env::with_vfs(vfs);
        env.vfs.create_dir_all(Path::new(Disk::DIR)).unwrap();
        let options = PageStoreOptions {
            page_size: PageSize::Kib1,
            cache_bytes: frames << 10,
            ..PageStoreOptions::default()
        };
        Disk { env, options }
    }

    fn create(&self) -> Arc<PageStore> {
        let poison = Arc::new(Poison::new());
        let dir = Path::new(Disk::DIR);
        Arc::new(PageStore::create(&self.env, dir, self.options, poison).unwrap())
    }

    fn reopen(&self) -> Arc<PageStore> {
        let poison = Arc::new(Poison::new());
        let dir = Path::new(Disk::DIR);
        Arc::new(
            PageStore::open(&self.env, dir, self.options, poison, false)
                .unwrap()
                .0,
        )
    }
}

/// Asserts that the tree verifies, and that it refers to every allocated page but `others`.
fn assert_sound(tree: &BTree, pages: &PageStore, others: usize) -> VerifyReport {
    let mut report = VerifyReport::default();
    let mut reached = Vec::new();
    tree.verify(&mut |page| reached.push(page), &mut report)
        .unwrap();
    assert_eq!(report.findings, [], "the tree must verify");
    reached.sort_unstable();
    let allocated = pages.allocated_pages();
    if others == 0 {
        assert_eq!(reached, allocated, "every page belongs to the tree");
    } else {
        assert_eq!(reached.len() + others, allocated.len(), "no page is lost");
    }
    report
}

fn put(tree: &BTree, key: &[u8], value: &[u8], lsn: u64) {
    tree.apply(
        &[TreeEntry {
            key,
            value: Some(value),
        }],
        Lsn(lsn),
        Lsn::ZERO,
    )
    .unwrap();
}

fn get(tree: &BTree, key: &[u8], at: u64) -> Option<(u64, Option<Vec<u8>>)> {
    tree.get(key, Lsn(at), |lsn, value| {
        (lsn.0, value.map(<[u8]>::to_vec))
    })
    .unwrap()
}

#[test]
fn an_empty_tree_has_nothing() {
    let pages = tiny_pages();
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    assert!(tree.is_empty().unwrap());
    assert_eq!(get(&tree, b"a", u64::MAX), None);
    assert_eq!(get(&tree, b"", 0), None);
    assert_sound(&tree, &pages, 0);
    tree.destroy().unwrap();
    assert!(pages.allocated_pages().is_empty());
}

#[test]
fn versions_are_seen_by_lsn() {
    let pages = tiny_pages();
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    put(&tree, b"k", b"five", 5);
    put(&tree, b"k", b"three", 3);
    tree.apply(
        &[TreeEntry {
            key: b"k",
            value: None,
        }],
        Lsn(8),
        Lsn::ZERO,
    )
    .unwrap();
    assert_eq!(get(&tree, b"k", 2), None);
    assert_eq!(get(&tree, b"k", 3), Some((3, Some(b"three".to_vec()))));
    assert_eq!(get(&tree, b"k", 7), Some((5, Some(b"five".to_vec()))));
    assert_eq!(get(&tree, b"k", u64::MAX), Some((8, None)));
    assert_eq!(get(&tree, b"", u64::MAX), None);
    assert_eq!(get(&tree, b"k\0", u64::MAX), None);
    assert_sound(&tree, &pages, 0);
}

#[test]
fn a_long_value_and_key_round_trip() {
    let pages = tiny_pages();
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    let value: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
    let long = vec![b'x'; 65_535];
    let mut longer_tail = long.clone();
    longer_tail[65_534] = b'y';
    put(&tree, &long, &value, 1);
    put(&tree, &longer_tail, &value[..5000], 1);
    put(&tree, &long[..65_534], b"", 1);
    assert_eq!(get(&tree, &long, 1), Some((1, Some(value.clone()))));
    assert_eq!(
        get(&tree, &longer_tail, 1),
        Some((1, Some(value[..5000].to_vec())))
    );
    assert_eq!(get(&tree, &long[..65_534], 1), Some((1, Some(Vec::new()))));
    assert_sound(&tree, &pages, 0);
    let long = vec![b'x'; 65_536];
    let too_long = tree.apply(
        &[TreeEntry {
            key: &long,
            value: None,
        }],
        Lsn(2),
        Lsn::ZERO,
    );
    assert!(matches!(
        too_long,
        Err(crate::Error::TooLarge { what: "key", .. })
    ));
    tree.destroy().unwrap();
    assert!(pages.allocated_pages().is_empty());
}

#[test]
fn estimates_are_near() {
    let pages = tiny_pages();
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    assert_eq!(tree.estimate().unwrap().entries, 0);
    let mut rng = fastrand::Rng::with_seed(1);
    for lsn in 1..=10_000 {
        put(&tree, &rng.u64(..).to_be_bytes(), &[0; 20], lsn);
    }
    let estimate = tree.estimate().unwrap();
    assert!((9_000..11_000).contains(&estimate.entries), "{estimate:?}");
    let leaves = estimate.leaf_pages as f64 / pages.allocated_pages().len() as f64;
    assert!((0.8..1.1).contains(&leaves), "{estimate:?}");
    assert!(estimate.depth >= 3, "{estimate:?}");
}

#[test]
fn ascending_batches_leave_leaves_full() {
    let pages = PageStore::for_test(PageSize::Kib8, 64 << 20);
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    let keys: Vec<[u8; 16]> = (0..20_000u128).map(|i| (i * 7).to_be_bytes()).collect();
    for (lsn, batch) in keys.chunks(1000).enumerate() {
        let entries: Vec<TreeEntry<'_>> = batch
            .iter()
            .map(|key| TreeEntry {
                key,
                value: Some(&[1; 100]),
            })
            .collect();
        tree.apply(&entries, Lsn(lsn as u64 + 1), Lsn::ZERO)
            .unwrap();
    }
    assert_sound(&tree, &pages, 0);
    // The keys differ in two bytes, so pages hold little but values.
    let bytes = pages.allocated_pages().len() * pages.payload_size();
    assert!(bytes < 20_000 * 116, "{bytes} bytes");
}

#[test]
fn packing_fills_leaves_whatever_order_their_keys_came_in() {
    let pages = PageStore::for_test(PageSize::Kib4, 64 << 20);
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    let mut numbers: Vec<u64> = (0..20_000).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    for (lsn, number) in (1..).zip(&numbers) {
        put(&tree, &number.to_be_bytes(), &[7; 50], lsn);
    }
    let before = tree.estimate().unwrap();
    assert!(tree.wants_packing().unwrap());
    let mut at = None;
    loop {
        at = tree.pack(Lsn(1), at, 5).unwrap();
        if at.is_none() {
            break;
        }
    }
    assert!(!tree.wants_packing().unwrap());
    assert_sound(&tree, &pages, 0);
    let after = tree.estimate().unwrap();
    // Splitting at random leaves about ln 2 of each leaf in use.
    assert!(
        after.leaf_pages * 5 < before.leaf_pages * 4,
        "{after:?} where there were {before:?}"
    );
    for number in 0..20_000_u64 {
        assert!(get(&tree, &number.to_be_bytes(), u64::MAX).is_some());
    }
}

#[test]
fn what_is_deleted_gives_its_pages_back() {
    let pages = tiny_pages();
    let tree = BTree::create(Arc::clone(&pages)).unwrap();
    for number in 0..3_000_u32 {
        put(&tree, &number.to_be_bytes(), &[7; 60], 1);
    }
    let before = pages.allocated_pages().len();
    let keys: Vec<[u8; 4]> = (0..3_000_u32)
        .filter(|number| number % 3 != 0)
        .map(u32::to_be_bytes)
        .collect();
    let gone: Vec<TreeEntry<'_>> = keys
        .iter()
        .map(|key| TreeEntry { key, value: None })
        .collect();
    tree.apply(&gone, Lsn(2), Lsn::ZERO).unwrap();
    tree.pack(Lsn(1), None, usize::MAX).unwrap();
    assert!(get(&tree, &1_u32.to_be_bytes(), 1).is_some(), "still seen");
    let mut at = None;
    loop {
        at = tree.pack(Lsn(2), at, 16).unwrap();
        if at.is_none() {
            break;
        }
    }
    assert_sound(&tree, &pages, 0);
    let after = pages.allocated_pages().len();
    assert!(
        after * 5 < before * 2,
        "{after} pages where there were {before}"
    );
}
