//! Pages held by their users.

use std::ops::{Deref, DerefMut};

use super::{image::IMAGE_HEADER, pool::Body, store::PageId};
use crate::sync::{RwLockReadGuard, RwLockWriteGuard};

/// A page held for reading: the latch is the pin. Others may read it too.
#[derive(Debug)]
pub(crate) struct PageRef<'a> {
    body: RwLockReadGuard<'a, Body>,
    was_absent: bool,
}

/// A page held for writing, by nobody else.
#[derive(Debug)]
pub(crate) struct PageMut<'a> {
    index: u32,
    body: RwLockWriteGuard<'a, Body>,
}

impl<'a> PageRef<'a> {
    #[inline]
    pub(super) fn new(body: RwLockReadGuard<'a, Body>) -> PageRef<'a> {
        PageRef {
            body,
            was_absent: false,
        }
    }

    /// A page that has just been read from the file.
    pub(super) fn brought_in(body: RwLockReadGuard<'a, Body>) -> PageRef<'a> {
        PageRef {
            body,
            was_absent: true,
        }
    }

    /// Whether the page had to be read from the file.
    pub(crate) fn was_absent(&self) -> bool {
        self.was_absent
    }

    /// The page's id.
    #[inline]
    pub(crate) fn id(&self) -> PageId {
        self.body.page
    }
}

impl<'a> PageMut<'a> {
    pub(super) fn new(index: u32, body: RwLockWriteGuard<'a, Body>) -> PageMut<'a> {
        PageMut { index, body }
    }

    pub(super) fn into_parts(self) -> (u32, RwLockWriteGuard<'a, Body>) {
        (self.index, self.body)
    }

    /// The page's id.
    #[inline]
    pub(crate) fn id(&self) -> PageId {
        self.body.page
    }
}

impl Deref for PageRef<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.body.buffer.get(IMAGE_HEADER..).unwrap_or_default()
    }
}

impl Deref for PageMut<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.body.buffer.get(IMAGE_HEADER..).unwrap_or_default()
    }
}

impl DerefMut for PageMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.body.buffer.get_mut(IMAGE_HEADER..).unwrap_or_default()
    }
}
