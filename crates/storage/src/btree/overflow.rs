//! Overflow chains: values and key tails that are too long for a node.
//!
//! A chain is a list of pages, each with `kind u8, 0 u8 × 3, next page u32, length u32` and
//! data. It is written once, before anything refers to it, and never changed; whoever holds
//! the reference knows its length in bytes, which also bounds the walk.

use super::{
    key::Tails,
    layout::{KIND_OVERFLOW, NodeError, NodeResult, OVERFLOW_HEADER, get_u32},
};
use crate::{
    error::Result,
    page::{PageId, PageStore},
};

/// A chain that nothing refers to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) page: PageId,
    pub(super) len: usize,
}

/// Reads key tails from the page store.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredTails<'a>(pub(super) &'a PageStore);

impl Tails for StoredTails<'_> {
    fn load(&self, tail: PageId, len: usize, into: &mut Vec<u8>) -> NodeResult<()> {
        into.clear();
        read(self.0, Chain { page: tail, len }, |data| {
            into.extend_from_slice(data)
        })
        .map_err(NodeError::from)
    }
}

/// The data of an overflow page and the page after it.
fn decode(page: &[u8]) -> Option<(PageId, &[u8])> {
    if *page.first()? != KIND_OVERFLOW {
        return None;
    }
    let next = PageId(get_u32(page, 4)?);
    let len = get_u32(page, 8)? as usize;
    let data = page.get(OVERFLOW_HEADER..)?.get(..len)?;
    (!data.is_empty()).then_some((next, data))
}

/// Calls `take` with the pieces of a chain, in order.
fn read(pages: &PageStore, chain: Chain, mut take: impl FnMut(&[u8])) -> Result<()> {
    visit(pages, chain, |_, data| take(data))
}

/// Calls `visit` with each page of a chain and its data, in order.
pub(super) fn visit(
    pages: &PageStore,
    chain: Chain,
    mut visit: impl FnMut(PageId, &[u8]),
) -> Result<()> {
    let (mut id, mut left) = (chain.page, chain.len);
    // Brent's cycle detection: no damage makes a chain longer than the store.
    let (mut marker, mut steps, mut power) = (PageId(0), 0u32, 1u32);
    while left > 0 {
        if id == marker {
            return Err(pages.corrupt_page(id, "an overflow chain runs in a circle"));
        }
        steps += 1;
        if steps == power {
            (marker, steps, power) = (id, 0, power.saturating_mul(2));
        }
        let page = pages.read(id)?;
        match decode(&page) {
            Some((next, data)) if data.len() <= left && (next.0 == 0) == (data.len() == left) => {
                visit(id, data);
                left -= data.len();
                id = next;
            }
            _ => return Err(pages.corrupt_page(id, "not the expected overflow page")),
        }
    }
    Ok(())
}

/// Replaces `into` by a chain's bytes.
pub(super) fn load(pages: &PageStore, chain: Chain, into: &mut Vec<u8>) -> Result<()> {
    into.clear();
    read(pages, chain, |data| into.extend_from_slice(data))
}

/// Writes `bytes`, of which there is at least one, to new pages. Where that fails, the pages
/// taken so far are given back.
pub(super) fn write(pages: &PageStore, bytes: &[u8]) -> Result<Chain> {
    let chunk = pages.payload_size() - OVERFLOW_HEADER;
    let mut page = pages.allocate()?;
    let first = page.id();
    let mut written = 0;
    for data in bytes.chunks(chunk) {
        page[0] = KIND_OVERFLOW;
        page[8..OVERFLOW_HEADER].copy_from_slice(&(data.len() as u32).to_le_bytes());
        page[OVERFLOW_HEADER..OVERFLOW_HEADER + data.len()].copy_from_slice(data);
        written += data.len();
        if written == bytes.len() {
            break;
        }
        match pages.allocate() {
            Ok(next) => {
                page[4..8].copy_from_slice(&next.id().0.to_le_bytes());
                page = next;
            }
            Err(error) => {
                drop(page);
                // The chain so far ends with its own length, so it can be walked and freed.
                let _ = free(
                    pages,
                    Chain {
                        page: first,
                        len: written,
                    },
                );
                return Err(error);
            }
        }
    }
    Ok(Chain {
        page: first,
        len: bytes.len(),
    })
}

/// Gives a chain's pages back.
pub(super) fn free(pages: &PageStore, chain: Chain) -> Result<()> {
    let (mut id, mut left) = (chain.page, chain.len);
    while left > 0 {
        let page = pages.hold_to_free(id)?;
        match decode(&page).map(|(next, data)| (next, data.len())) {
            Some((next, len)) if len <= left && (next.0 == 0) == (len == left) => {
                left -= len;
                pages.free(page);
                id = next;
            }
            _ => return Err(pages.corrupt_page(id, "not the expected overflow page")),
        }
    }
    Ok(())
}
