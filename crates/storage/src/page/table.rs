//! The page table on disk: from page id to slot.
//!
//! A tree of fixed shape: level 0 holds the locations of data pages in order of their ids,
//! each level above the locations of the pages below, until one page, named by the superblock,
//! holds all. A checkpoint writes the pages that changed to new slots, bottom to top. The
//! locations of the table's own pages stay in memory.

use std::collections::BTreeSet;

use super::{
    file::PageFile,
    image::{IMAGE_HEADER, ImageKind, LOCATION_SIZE, Location, Owner},
    slots::Claims,
    writer::ImageWriter,
};
use crate::error::{Error, Result};

/// Where the pages of the page table are.
#[derive(Clone, Debug)]
pub(super) struct Table {
    fanout: usize,
    payload_size: usize,
    /// Level 0 first; the last level has one page, unless there is no page at all.
    levels: Vec<Vec<Option<Location>>>,
}

/// Entries in a table page.
fn fanout(page_size: usize) -> usize {
    (page_size - IMAGE_HEADER) / LOCATION_SIZE
}

/// Pages per level for ids below `page_count`, level 0 first.
fn shape(fanout: usize, page_count: u32) -> Vec<usize> {
    let mut sizes = vec![(page_count as usize).div_ceil(fanout)];
    while let Some(&size) = sizes.last()
        && size > 1
    {
        sizes.push(size.div_ceil(fanout));
    }
    sizes
}

/// Table pages for ids below `page_count`.
pub(super) fn table_pages(page_size: usize, page_count: u32) -> usize {
    let (mut size, fanout) = (
        (page_count as usize).div_ceil(fanout(page_size)),
        fanout(page_size),
    );
    let mut total = size;
    while size > 1 {
        size = size.div_ceil(fanout);
        total += size;
    }
    total
}

impl Table {
    /// The table of a store without pages.
    pub(super) fn empty(page_size: usize) -> Table {
        Table {
            fanout: fanout(page_size),
            payload_size: page_size - IMAGE_HEADER,
            levels: Vec::new(),
        }
    }

    /// Reads the table under `root`, claims the slots of its pages and hands every data page's
    /// location to `entry`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`], and those of `entry`.
    pub(super) fn load(
        file: &PageFile,
        page_size: usize,
        salt: u64,
        root: Option<Location>,
        page_count: u32,
        claims: &mut Claims,
        mut entry: impl FnMut(u32, Location, &mut Claims) -> Result<()>,
    ) -> Result<Table> {
        let mut table = Table::empty(page_size);
        if root.is_none() {
            return Ok(table);
        }
        let sizes = shape(table.fanout, page_count);
        table.levels = sizes.iter().map(|_| Vec::new()).collect();
        let mut above = vec![root];
        let mut payload = vec![0; table.payload_size];
        for (level, _) in sizes.iter().enumerate().rev() {
            let below = if level == 0 {
                page_count as usize
            } else {
                sizes[level - 1]
            };
            let mut locations = Vec::new();
            for (index, location) in (0u32..).zip(&above) {
                let first = index as usize * table.fanout;
                let here = (below - first).min(table.fanout);
                if level > 0 {
                    locations.resize(first + here, None);
                }
                let Some(location) = location else { continue };
                let wrong = |reason: &str| {
                    let reason = format!("page table level {level} page {index}: {reason}");
                    Error::corrupt(file.path(), location.offset(), reason)
                };
                claims.claim(location.unit, location.units).map_err(wrong)?;
                let owner = table_owner(level, index);
                file.read_payload(location, owner, salt, &mut payload)?;
                for (at, bytes) in payload.chunks_exact(LOCATION_SIZE).enumerate() {
                    let Some(found) = Location::decode(bytes).map_err(wrong)? else {
                        continue;
                    };
                    if at >= here {
                        return Err(wrong("has an entry past the last page"));
                    }
                    if level > 0 {
                        locations[first + at] = Some(found);
                    } else {
                        entry((first + at) as u32, found, claims)?;
                    }
                }
            }
            table.levels[level] = above;
            above = locations;
        }
        Ok(table)
    }

    /// Writes the pages that hold `changed` ids and all pages above them, with what `entry`
    /// answers, and answers the new top. The slots of the pages replaced are added to
    /// `retired`, the new ones to `written`.
    pub(super) fn write(
        &mut self,
        page_count: u32,
        changed: impl Iterator<Item = u32>,
        entry: impl Fn(u32) -> Option<Location>,
        writer: &mut ImageWriter<'_>,
        retired: &mut Vec<Location>,
        written: &mut Vec<Location>,
    ) -> Result<Option<Location>> {
        let mut dirty: BTreeSet<usize> = changed.map(|id| id as usize / self.fanout).collect();
        if dirty.is_empty() {
            return Ok(self.root());
        }
        let mut payload = vec![0; self.payload_size];
        for (level, size) in shape(self.fanout, page_count).into_iter().enumerate() {
            if self.levels.len() <= level {
                // A level that has just come into being refers to all that is below it.
                self.levels.push(Vec::new());
                if level > 0 {
                    dirty = (0..size).collect();
                }
            }
            self.levels[level].resize(size, None);
            for page in &dirty {
                let first = page * self.fanout;
                let mut used = 0;
                for (at, bytes) in payload.chunks_exact_mut(LOCATION_SIZE).enumerate() {
                    let location = if level == 0 {
                        u32::try_from(first + at)
                            .ok()
                            .filter(|id| *id < page_count)
                            .and_then(&entry)
                    } else {
                        self.levels[level - 1].get(first + at).copied().flatten()
                    };
                    if location.is_some() {
                        used = (at + 1) * LOCATION_SIZE;
                    }
                    bytes.copy_from_slice(&Location::encode(location));
                }
                let location =
                    writer.append_plain(table_owner(level, *page as u32), &payload[..used])?;
                written.push(location);
                retired.extend(self.levels[level][*page].replace(location));
            }
            dirty = dirty.iter().map(|page| page / self.fanout).collect();
        }
        Ok(self.root())
    }

    /// Entries in a page of the table.
    pub(super) fn fanout(&self) -> usize {
        self.fanout
    }

    /// The pages of level 0, by number, that `is_behind`, or that a page above them is.
    pub(super) fn behind(&self, is_behind: &dyn Fn(&Location) -> bool) -> Vec<usize> {
        let mut behind = BTreeSet::new();
        let mut below = 1;
        for level in &self.levels {
            let pages = level.iter().enumerate();
            behind.extend(
                pages
                    .filter(|(_, location)| location.as_ref().is_some_and(is_behind))
                    .map(|(index, _)| index * below),
            );
            below *= self.fanout;
        }
        behind.into_iter().collect()
    }

    /// The top page.
    pub(super) fn root(&self) -> Option<Location> {
        self.levels
            .last()
            .and_then(|level| level.first())
            .copied()
            .flatten()
    }

    /// The table's pages with whose they are.
    pub(super) fn pages(&self) -> impl Iterator<Item = (Owner, Location)> {
        self.levels.iter().enumerate().flat_map(|(level, pages)| {
            (0u32..).zip(pages).filter_map(move |(index, location)| {
                location.map(|location| (table_owner(level, index), location))
            })
        })
    }
}

fn table_owner(level: usize, index: u32) -> Owner {
    Owner {
        kind: ImageKind::Table { level: level as u8 },
        id: index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_covers_every_id() {
        for page_count in [0, 1, 62, 63, 100, 3844, 3845, 1_000_000, u32::MAX] {
            let sizes = shape(62, page_count);
            assert!(sizes[0] as u64 * 62 >= u64::from(page_count));
            assert!(*sizes.last().unwrap() <= 1);
            assert_eq!(sizes.iter().sum::<usize>(), table_pages(1024, page_count));
            assert!(sizes.len() <= 7);
        }
    }
}
