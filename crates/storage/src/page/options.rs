//! How a page store is made and opened.

use crate::{
    codec::Codec,
    error::{Error, Result},
};

/// The size of a page, chosen when a store is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PageSize {
    /// 1 KiB, so that tests meet full pages all the time.
    #[cfg(test)]
    Kib1,
    /// 4 KiB: least written per changed row.
    Kib4,
    /// 8 KiB: the default.
    #[default]
    Kib8,
    /// 16 KiB: best for compression and long scans.
    Kib16,
}

impl PageSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            #[cfg(test)]
            PageSize::Kib1 => 1 << 10,
            PageSize::Kib4 => 4 << 10,
            PageSize::Kib8 => 8 << 10,
            PageSize::Kib16 => 16 << 10,
        }
    }

    /// The page size of that many bytes.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for any other number.
    pub fn from_bytes(bytes: usize) -> Result<PageSize> {
        match bytes {
            #[cfg(test)]
            0x400 => Ok(PageSize::Kib1),
            0x1000 => Ok(PageSize::Kib4),
            0x2000 => Ok(PageSize::Kib8),
            0x4000 => Ok(PageSize::Kib16),
            _ => Err(Error::InvalidOption(format!(
                "page size {bytes} is not 4096, 8192 or 16384"
            ))),
        }
    }
}

/// Which page leaves the cache when another needs its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionPolicyKind {
    /// CLOCK, the usual approximation of least recently used: a hit only marks the page.
    Clock,
    /// S3-FIFO (Yang et al., SOSP 2023), which also weighs how often a page was used, so that
    /// one long scan does not wash the cache out.
    #[default]
    S3Fifo,
    /// Any page, drawn from a seeded generator: for tests.
    Random {
        /// The generator's seed.
        seed: u64,
    },
}

/// Options of a page store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageStoreOptions {
    /// Used at creation; an existing store keeps its own.
    pub(crate) page_size: PageSize,
    /// How pages are compressed from now on; pages written before stay readable.
    pub(crate) codec: Codec,
    /// Memory for page images, in bytes.
    pub(crate) cache_bytes: usize,
    /// What leaves the cache first.
    pub(crate) eviction: EvictionPolicyKind,
    /// Whether pages come and go past the system's cache.
    pub(crate) direct: bool,
    /// Whether cached pages lie in huge pages, as far as the system has them.
    pub(crate) huge_pages: bool,
}

impl Default for PageStoreOptions {
    fn default() -> PageStoreOptions {
        PageStoreOptions {
            page_size: PageSize::default(),
            codec: Codec::None,
            cache_bytes: 64 << 20,
            eviction: EvictionPolicyKind::default(),
            direct: false,
            huge_pages: false,
        }
    }
}
