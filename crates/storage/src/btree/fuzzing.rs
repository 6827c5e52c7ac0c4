//! Arbitrary pages as nodes of a tree.

use std::{path::Path, sync::Arc};

use super::{
    BTree, TreeEntry, build,
    cell::{CellValue, LeafEntry},
    key::{Place, Tails},
    layout::{NodeResult, malformed},
    node::Node,
    prune,
};
use crate::{
    cursor::VersionCursor,
    env::Env,
    fuzzing::take_piece,
    lsn::Lsn,
    page::{PageId, PageStore, PageStoreOptions},
    poison::Poison,
    store::{Direction, KeyRange},
    verify::VerifyReport,
};

/// No key has a tail.
struct NoTails;

impl Tails for NoTails {
    fn load(&self, _: PageId, _: usize, _: &mut Vec<u8>) -> NodeResult<()> {
        malformed("no tails here")
    }
}

/// Does everything that is done to nodes to a page, in memory.
///
/// # Errors
/// What does not decode.
pub(super) fn use_node(page: &mut [u8], key: &[u8]) -> NodeResult<()> {
    let place = Place::at(key, Lsn(9));
    let mut out = Vec::new();
    let node = Node::parse(page)?;
    let _ = (node.low(), node.high(), node.prefix(), node.used());
    let _ = node.find_child(place, true, &NoTails);
    for index in 0..=node.count() {
        let _ = node.child(index);
        if let Ok(cell) = node.leaf_cell(index) {
            let _ = node.whole_key(&cell.key, &NoTails, &mut out);
        }
        if let Ok(cell) = node.inner_cell(index) {
            let _ = node.whole_key(&cell.key, &NoTails, &mut out);
        }
    }
    let entry = LeafEntry {
        inline: &key[..key.len().min(node.inline_limit())],
        tail: None,
        lsn: Lsn(9),
        value: CellValue::Inline(b"value"),
    };
    if let Ok((index, _)) = node.find(place, &NoTails) {
        let _ = build::insert_leaf(page, index, &entry);
    }
    let mut freed = Vec::new();
    let _ = prune::prune_leaf(page, Lsn(7), &NoTails, &mut freed);
    let _ = prune::prune_key(page, place, Lsn(8), &NoTails, &mut freed);
    let _ = build::retain(page, |index| index % 2 == 0);
    let node = Node::parse(page)?;
    if node.count() > 0
        && let Ok(cell) = node.leaf_cell(node.count() / 2)
    {
        let index = node.count() / 2;
        build::remove(page, index, cell.size)?;
    }
    Ok(())
}

/// The input as a node: a key, then the page.
pub(crate) fn nodes(mut data: &[u8]) {
    let key = take_piece(&mut data).unwrap_or_default();
    let len = [0, 24, 480, 512, 992, 4064];
    for len in len {
        let mut page = data.to_vec();
        page.resize(len, 0);
        let _ = use_node(&mut page, key);
    }
}

/// A small tree some of whose pages are overwritten, in part, by the input: pieces of a page, a
/// place in it, and bytes.
pub(crate) fn tree(mut data: &[u8]) {
    let env = Env::in_memory();
    let dir = Path::new("/tree");
    let options = PageStoreOptions::default();
    let made = env.vfs.create_dir_all(dir);
    assert!(made.is_ok(), "memory takes a directory");
    let Ok(pages) = PageStore::create(&env, dir, options, Arc::new(Poison::new())) else {
        return;
    };
    let pages = Arc::new(pages);
    let Ok(tree) = BTree::create(Arc::clone(&pages)) else {
        return;
    };
    for lsn in 1..4 {
        let keys: Vec<Vec<u8>> = (0..60_u32)
            .map(|number| match number % 19 {
                0 => vec![number as u8; 1200],
                _ => format!("key/{number:03}").into_bytes(),
            })
            .collect();
        apply(&tree, keys, lsn);
    }
    let ids = pages.allocated_pages();
    while let Some(piece) = take_piece(&mut data) {
        let [page, low, high, bytes @ ..] = piece else {
            break;
        };
        let id = ids[usize::from(*page) % ids.len()];
        let Ok(mut page) = pages.write(id) else {
            return;
        };
        let at = usize::from(u16::from_le_bytes([*low, *high])) % page.len();
        let end = page.len().min(at + bytes.len());
        page[at..end].copy_from_slice(&bytes[..end - at]);
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let mut cursor = tree.cursor(KeyRange::all(), direction);
        while let Ok(Some(_)) = cursor.next_version() {}
    }
    let _ = tree.verify(&mut |_| {}, &mut VerifyReport::default());
    let _ = tree.estimate();
    let _ = tree.get(b"key/030", Lsn(15), |_, _| ());
    apply(&tree, vec![b"key/0305".to_vec(), b"zz".to_vec()], 20);
    let _ = tree.prune(Lsn(25), None, 1000);
    let _ = tree.pack(Lsn(25), None, 1000);
    let _ = tree.destroy();
}

fn apply(tree: &BTree, mut keys: Vec<Vec<u8>>, lsn: u64) {
    keys.sort();
    let value = vec![7; 40 * lsn as usize];
    let entries: Vec<TreeEntry<'_>> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| TreeEntry {
            key,
            value: (number % 7 != 3).then_some(value.as_slice()),
        })
        .collect();
    let _ = tree.apply(&entries, Lsn(lsn), Lsn(lsn.saturating_sub(2)));
}
