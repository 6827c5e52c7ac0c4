//! Going from leaf to leaf by the names that the node above gave them.

use std::{collections::HashSet, sync::Arc};

use super::{BTree, PageStore, TreeEntry, assert_sound, tiny_pages};
use crate::{
    btree::{key::Place, node::Node, read_ahead::LeavesAhead},
    cursor::SnapshotCursor,
    lsn::Lsn,
    page::PageId,
    store::{Direction, KeyRange},
};

const ROWS: u32 = 4000;

/// A tree of [`ROWS`] rows, each of them with the value `owner`.
fn tree_of(pages: &Arc<PageStore>, owner: u8) -> BTree {
    let tree = BTree::create(Arc::clone(pages)).unwrap();
    let keys: Vec<[u8; 4]> = (0..ROWS).map(u32::to_be_bytes).collect();
    let value = [owner; 20];
    let entries: Vec<TreeEntry<'_>> = keys
        .iter()
        .map(|key| TreeEntry {
            key,
            value: Some(&value),
        })
        .collect();
    tree.apply(&entries, Lsn(1), Lsn::ZERO).unwrap();
    tree
}

fn checkpoint(pages: &PageStore) {
    let frozen = pages.freeze(Lsn(1), Vec::new()).unwrap();
    pages.write_checkpoint(frozen).unwrap();
}

/// The key that the leaf `id` begins with, the bound it shares with its left neighbour.
fn low_of(pages: &PageStore, id: PageId) -> Vec<u8> {
    let page = pages.read(id).unwrap();
    let node = Node::parse_leaf(&page).unwrap();
    node.low().unwrap().unwrap().inline.to_vec()
}

/// The first leaf is come down to, the next ones are gone to as they were named: one descent for
/// more and more leaves.
#[test]
fn a_cursor_comes_down_less_the_further_it_goes() {
    let tree = tree_of(&tiny_pages(), 1);
    for before in [false, true] {
        let mut ahead = LeavesAhead::default();
        let (mut descents, mut leaves) = (0, HashSet::new());
        let end = ROWS.to_be_bytes().to_vec();
        let mut next = Some(if before { end } else { Vec::new() });
        while let Some(key) = next {
            let place = Place::before(&key);
            let followed = ahead.follow(&tree.tree, place, before);
            let page = followed.unwrap_or_else(|| {
                descents += 1;
                tree.tree.descend_naming(place, before, &mut ahead).unwrap()
            });
            ahead.count(page.was_absent());
            assert!(leaves.insert(page.id()));
            let node = Node::parse_leaf(&page).unwrap();
            let fence = if before { node.low() } else { node.high() };
            next = fence.unwrap().map(|fence| fence.inline.to_vec());
        }
        assert!(leaves.len() > 100, "{}", leaves.len());
        // Nodes above the leaves end, too: what is named goes no further than that.
        assert!(descents < leaves.len() / 4, "{descents}");
    }
}

/// A page that was given back is not taken for the leaf that it was: neither at once nor when it
/// is a leaf of another tree, with the same bounds.
#[test]
fn a_page_that_has_changed_hands_is_not_taken() {
    let pages = tiny_pages();
    let mine = tree_of(&pages, 1);
    let tree = mine.tree.clone();
    let mut ahead = LeavesAhead::default();
    let first = tree
        .descend_naming(Place::before(b""), false, &mut ahead)
        .unwrap();
    let bound = Node::parse_leaf(&first).unwrap().high().unwrap().unwrap();
    let bound = bound.inline.to_vec();
    drop(first);
    let place = Place::before(&bound);
    let taken = ahead.clone().follow(&tree, place, false).unwrap();
    let second = taken.id();
    drop(taken);

    mine.destroy().unwrap();
    assert!(ahead.clone().follow(&tree, place, false).is_none());
    checkpoint(&pages);
    let theirs = tree_of(&pages, 2);
    assert_eq!(low_of(&pages, second), bound, "the page serves as before");
    assert!(ahead.follow(&tree, place, false).is_none());
    assert_sound(&theirs, &pages, 0);
}

/// Between any two rows leaves may be filled up from others, merged away, and their pages used by
/// another tree: a cursor goes on as if nothing had happened.
#[test]
fn leaves_come_and_go_under_a_cursor() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let pages = tiny_pages();
        let mine = tree_of(&pages, 1);
        let gone: Vec<[u8; 4]> = (0..ROWS)
            .filter(|row| !row.is_multiple_of(7))
            .map(u32::to_be_bytes)
            .collect();
        let deletions: Vec<TreeEntry<'_>> = gone
            .iter()
            .map(|key| TreeEntry { key, value: None })
            .collect();
        mine.apply(&deletions, Lsn(2), Lsn::ZERO).unwrap();
        let direction = match seed % 2 {
            0 => Direction::Forward,
            _ => Direction::Backward,
        };
        let mut cursor = SnapshotCursor::new(mine.cursor(KeyRange::all(), direction), Lsn(2));
        let (mut found, mut packing, mut others) = (Vec::new(), None, Vec::new());
        while let Some((key, value)) = cursor.next_entry().unwrap() {
            assert_eq!(value, [1; 20]);
            found.push(u32::from_be_bytes(key.try_into().unwrap()));
            match random.u8(..40) {
                0 => checkpoint(&pages),
                1 => others.push(tree_of(&pages, 2)),
                2..12 => packing = mine.pack(Lsn(2), packing, random.usize(1..12)).unwrap(),
                _ => {}
            }
            if others.len() > 2 {
                others.swap_remove(random.usize(..3)).destroy().unwrap();
            }
        }
        if direction == Direction::Backward {
            found.reverse();
        }
        let expected: Vec<u32> = (0..ROWS).step_by(7).collect();
        assert_eq!(found, expected, "seed {seed}");
    }
}
