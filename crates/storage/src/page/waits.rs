//! What is waited for around pages, by name.

use std::sync::OnceLock;

use crate::waits::{WaitPoint, Waits};

/// The places at which pages are waited for.
#[derive(Debug)]
pub(crate) struct PageWaits {
    /// Somebody else holds the page.
    pub(crate) latch: WaitPoint,
    /// A page is read from the file.
    pub(crate) read: WaitPoint,
    /// A changed page is written to make room for another.
    pub(crate) evict: WaitPoint,
    /// The file becomes longer.
    pub(crate) grow: WaitPoint,
    /// Somebody else changes the structure of the tree.
    pub(crate) structure: WaitPoint,
}

/// The same, from when they have names on: while a store is being opened, nobody waits but who
/// opens it.
#[derive(Debug, Default)]
pub(crate) struct NamedWaits(OnceLock<PageWaits>);

impl NamedWaits {
    /// Counts waits in `waits` from now on.
    pub(super) fn name(&self, waits: &Waits) {
        let _ = self.0.set(PageWaits {
            latch: waits.point("page.latch"),
            read: waits.point("page.read"),
            evict: waits.point("page.evict"),
            grow: waits.point("page.grow"),
            structure: waits.point("tree.structure"),
        });
    }

    /// Runs `wait` and counts how long it took.
    pub(crate) fn time<R>(
        &self,
        point: impl FnOnce(&PageWaits) -> &WaitPoint,
        wait: impl FnOnce() -> R,
    ) -> R {
        match self.0.get() {
            Some(waits) => point(waits).time(wait),
            None => wait(),
        }
    }
}
