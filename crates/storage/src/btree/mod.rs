//! The B+ tree: an ordered map from keys to versioned values, on pages of a [`PageStore`](crate::page::PageStore).
//!
//! An entry is a version: key, LSN and value, or tombstone. The order is (key ascending, LSN
//! descending). Nodes are slotted pages with a dense array of key heads for binary search, a
//! low and a high fence, and without the prefix that the fences share. What is too long for a
//! node (see [`layout`]) goes to overflow chains.
//!
//! # Latches
//!
//! A node's latch is its page's latch. Three rules make the protocol:
//!
//! 1. Whoever descends holds the parent until it holds the child, shared all the way, and takes
//!    only a leaf exclusively (to change what is in it). So latches are always taken downwards.
//! 2. Whoever changes the structure – splits, merges, the root's growth and shrinking – holds
//!    the tree's structure lock, finds the nodes concerned with shared latches (inner nodes
//!    change under that lock only, so they stay as seen), lets all latches go, and takes the
//!    exclusive ones it needs downwards and, among siblings, from left to right.
//! 3. An overflow chain is read only under the latch of the leaf that refers to it, and given
//!    back only after the reference was removed under that leaf's exclusive latch. Chains of
//!    long separators belong to the one inner cell that holds the separator; the fences that
//!    repeat it only borrow them.
//! 4. A cursor that goes on to a leaf it knows by name takes that latch alone, shared, and only
//!    where it need not wait. The leaf is the right one if the page has not become another since it
//!    was named ([`PageStore::era`](crate::page::PageStore::era)) and its fence is where the cursor
//!    stands; otherwise the cursor descends.
//!
//! The root's page id never changes: when the root splits its content moves to a new child,
//! and when it has but one child left that child's content moves up.
//!
//! The on-disk format is described in `docs/formats/btree.md`.

mod build;
mod cell;
mod copy;
mod cursor;
mod destroy;
mod estimate;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key;
mod layout;
mod merge;
mod node;
mod overflow;
mod pack;
mod prune;
mod read_ahead;
mod rebuild;
mod split;
mod tree;
mod verify;
mod visit;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    cursor::TreeCursor,
    layout::{MAX_KEY, MAX_VALUE},
    tree::{BTree, TreeEntry},
};
