//! Giving all pages of a tree back.

use super::{
    key::Tail, layout::NodeResult, node::Node, overflow::Chain, prune::chains_of, tree::BTree,
};
use crate::{error::Result, page::PageId};

impl BTree {
    /// Frees every page of the tree. Nobody else may use it any more.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`], [`crate::Error::Io`], [`crate::Error::Poisoned`]; part of the
    /// pages is free then, and the tree must not be used.
    pub(crate) fn destroy(self) -> Result<()> {
        let tree = &self.tree;
        let mut pending = vec![(tree.root, None)];
        while let Some((id, level)) = pending.pop() {
            let page = tree.pages.hold_to_free(id)?;
            let mut chains = Vec::new();
            let mut children: Vec<PageId> = Vec::new();
            let header =
                references(&page, &mut children, &mut chains).map_err(|e| tree.locate(id, e))?;
            if level.is_some_and(|level| level != header) {
                return Err(tree
                    .pages
                    .corrupt_page(id, "not on the level of its siblings"));
            }
            pending.extend(children.into_iter().map(|child| (child, Some(header - 1))));
            tree.pages.free(page);
            self.free_chains(&mut chains)?;
        }
        Ok(())
    }
}

/// Collects what a node refers to; answers its level.
fn references(page: &[u8], children: &mut Vec<PageId>, chains: &mut Vec<Chain>) -> NodeResult<u8> {
    let node = Node::parse(page)?;
    if node.is_leaf() {
        for index in 0..node.count() {
            let cell = node.leaf_cell(index)?;
            chains.extend(chains_of(cell.key.tail, cell.value, node.inline_limit()));
        }
    } else {
        children.push(node.child(0)?);
        for index in 0..node.count() {
            let cell = node.inner_cell(index)?;
            children.push(cell.child);
            chains.extend(cell.key.tail.map(|tail: Tail| Chain {
                page: tail.page,
                len: tail.total.saturating_sub(node.inline_limit()),
            }));
        }
    }
    Ok(node.header.level)
}
