//! The bytes of small trees. A change here is a change of the on-disk format: it needs a new
//! format version, not a new expectation.

use super::{BTree, TreeEntry, put, tiny_pages};
use crate::{
    btree::{layout::HEADER, node::Node},
    lsn::Lsn,
    page::PageId,
};

/// A page without its free bytes: header, slots, and cells with fences.
fn dump(tree: &BTree, page: PageId) -> [String; 3] {
    let page = tree.tree.pages.read(page).unwrap();
    let header = Node::parse(&page).unwrap().header;
    let slots = HEADER..HEADER + 6 * header.count;
    [0..HEADER, slots, header.heap_start..page.len()].map(|range| {
        page[range]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    })
}

#[test]
fn the_bytes_of_a_leaf() {
    let tree = BTree::create(tiny_pages()).unwrap();
    put(&tree, b"a", b"one", 1);
    put(&tree, b"longer", b"", 0x0203);
    put(&tree, b"over", &[7; 300], 4);
    tree.apply(
        &[TreeEntry {
            key: b"a",
            value: None,
        }],
        Lsn(5),
        Lsn::ZERO,
    )
    .unwrap();
    put(&tree, &[b'x'; 70], b"v", 6);
    assert_eq!(dump(&tree, tree.root()), LEAF);
    assert_eq!(tree.tree.pages.read(PageId(2)).unwrap()[..14], OVERFLOW);
}

const LEAF: [&str; 3] = [
    "b10005007f03000000000000000001000500000000000000",
    "61000000610000006c6f6e676f76657278787878c403d903d203c7037f03",
    "203e01067878787878787878787878787878787878787878787878787878787878787878787878787878\
     7878787878787878787878787878787878787878460003000000760801051004042c010000020000\
     0001060003026572000103016f6e65",
];
const OVERFLOW: [u8; 14] = [0xb3, 0, 0, 0, 0, 0, 0, 0, 0x2c, 1, 0, 0, 7, 7];

#[test]
fn the_bytes_of_an_inner_node() {
    let tree = BTree::create(tiny_pages()).unwrap();
    for key in 0..60u16 {
        let key = [b"row/".as_slice(), &key.to_be_bytes(), b"/end"].concat();
        put(&tree, &key, &[1; 20], 9);
    }
    for lsn in 0..20 {
        put(&tree, b"row", &[lsn; 50], u64::from(lsn) + 1);
    }
    assert_eq!(dump(&tree, tree.root()), INNER);
    let root = tree.tree.pages.read(tree.root()).unwrap();
    let child = Node::parse(&root).unwrap().child(1).unwrap();
    drop(root);
    assert_eq!(dump(&tree, child)[0], CHILD);
}

const INNER: [&str; 3] = [
    "b2010500b403000000000000000000000200000000000000",
    "726f7700726f772f726f772f726f772f726f772fb403c203c803d803d003",
    "070000000103f7ffffffffffffff060000000004050000000006000d0400000000060034030000000006001a",
];
const CHILD: &str = "b10008001b0200000300cb03d90300000200000000000000";
