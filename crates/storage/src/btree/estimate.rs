//! How large a tree is, roughly, from a few descents.

use super::{node::Node, tree::BTree};
use crate::error::Result;

/// How large a tree is. Exact for trees of one or two levels but for `entries`, which counts
/// what sampled leaves hold on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeEstimate {
    /// Versions, tombstones included.
    pub(crate) entries: u64,
    /// Leaf pages.
    pub(crate) leaf_pages: u64,
    /// Levels, leaves included.
    pub(crate) depth: u32,
}

/// Descents per estimate.
const SAMPLES: u32 = 32;

impl BTree {
    /// Estimates the tree's size (Knuth, "Estimating the efficiency of backtrack programs",
    /// 1975: along a random descent, the product of the fan-outs is an unbiased estimate of the
    /// number of leaves). The descents are spread evenly instead of drawn, so that the same
    /// tree gives the same answer.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`].
    pub(crate) fn estimate(&self) -> Result<TreeEstimate> {
        let (mut leaves, mut entries, mut depth) = (0.0, 0.0, 0);
        for sample in 0..SAMPLES {
            // The descent's position in the tree, as a fraction of its width.
            let mut position = (f64::from(sample) + 0.5) / f64::from(SAMPLES);
            let tree = &self.tree;
            let mut width = 1.0;
            let mut id = tree.root;
            let mut page = tree.pages.read(id)?;
            let mut level = None;
            depth = 0;
            loop {
                depth += 1;
                let node = Node::parse(&page).map_err(|e| tree.locate(id, e))?;
                if level.is_some_and(|level: u8| node.header.level + 1 != level) {
                    return Err(tree
                        .pages
                        .corrupt_page(id, "not on the level of its siblings"));
                }
                level = Some(node.header.level);
                if node.is_leaf() {
                    leaves += width;
                    entries += width * node.count() as f64;
                    break;
                }
                let children = node.count() + 1;
                let scaled = position * children as f64;
                let index = (scaled as usize).min(node.count());
                position = scaled.fract();
                width *= children as f64;
                id = node.child(index).map_err(|e| tree.locate(id, e))?;
                let next = tree.pages.read(id)?;
                page = next;
            }
        }
        let samples = f64::from(SAMPLES);
        Ok(TreeEstimate {
            entries: (entries / samples).round() as u64,
            leaf_pages: (leaves / samples).round() as u64,
            depth,
        })
    }
}
