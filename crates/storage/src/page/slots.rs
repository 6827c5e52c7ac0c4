//! Which parts of the data file are free.
//!
//! The file is a row of *blocks* of the page size, and a block a row of 1 KiB *units*. A slot
//! is a run of units inside one block, so that a free block always has room for any page: the
//! number of free blocks is what is promised to changed pages. An uncompressed page fills a
//! block; compressed pages share one.

use std::collections::{BTreeMap, BTreeSet};

use super::image::UNIT;

/// Units of the largest block.
const MOST_UNITS: usize = 16;

/// The free units of a data file. Derived from the page table at opening, never stored.
#[derive(Debug)]
pub(super) struct Slots {
    units_per_block: u32,
    /// Per block, a bit per unit that is set where the unit is free.
    free: Vec<u16>,
    /// Blocks by the length of their longest free run; full blocks are in none.
    by_run: [BTreeSet<u32>; MOST_UNITS + 1],
    free_units: u64,
    /// Slots handed out whose image is not installed yet: first unit and length.
    pending: BTreeMap<u32, u8>,
    /// Slots are taken from blocks below this one where there are any.
    front: u32,
}

/// Length of the longest run of set bits.
fn longest_run(mut bits: u16) -> usize {
    let mut length = 0;
    while bits != 0 {
        bits &= bits << 1;
        length += 1;
    }
    length
}

/// A bit for each of `count` units from `first` on.
fn mask(first: u32, count: u32) -> u16 {
    (((1u32 << count) - 1) << first) as u16
}

impl Slots {
    /// `blocks` blocks, all taken.
    pub(super) fn all_taken(page_size: usize, blocks: u32) -> Slots {
        Slots {
            units_per_block: (page_size / UNIT) as u32,
            free: vec![0; blocks as usize],
            by_run: Default::default(),
            free_units: 0,
            pending: BTreeMap::new(),
            front: u32::MAX,
        }
    }

    /// What the claims have left over.
    pub(super) fn from_claims(claims: Claims) -> Slots {
        let mut slots = Slots {
            units_per_block: claims.units_per_block,
            free: claims.free,
            by_run: Default::default(),
            free_units: 0,
            pending: BTreeMap::new(),
            front: u32::MAX,
        };
        let mut by_run: [Vec<u32>; MOST_UNITS + 1] = Default::default();
        for (block, bits) in (0u32..).zip(&slots.free) {
            slots.free_units += u64::from(bits.count_ones());
            by_run[longest_run(*bits)].push(block);
        }
        for (run, blocks) in by_run.into_iter().enumerate().skip(1) {
            slots.by_run[run] = BTreeSet::from_iter(blocks);
        }
        slots
    }

    /// Blocks in the file.
    pub(super) fn blocks(&self) -> u32 {
        self.free.len() as u32
    }

    /// Blocks of which nothing is taken.
    pub(super) fn free_blocks(&self) -> usize {
        self.by_run[self.units_per_block as usize].len()
    }

    /// Units that are not taken.
    pub(super) fn free_units(&self) -> u64 {
        self.free_units
    }

    /// Adds free blocks at the end.
    pub(super) fn extend(&mut self, blocks: u32) {
        let whole = mask(0, self.units_per_block);
        for _ in 0..blocks {
            self.by_run[self.units_per_block as usize].insert(self.blocks());
            self.free.push(whole);
            self.free_units += u64::from(self.units_per_block);
        }
    }

    /// From now on takes slots from blocks below `front` where there are any.
    pub(super) fn prefer(&mut self, front: u32) {
        self.front = front;
    }

    /// Free blocks at the end.
    pub(super) fn free_end(&self) -> u32 {
        let whole = mask(0, self.units_per_block);
        let free = self.free.iter().rev().take_while(|bits| **bits == whole);
        free.count() as u32
    }

    /// Takes away that many free blocks at the end.
    pub(super) fn shorten(&mut self, blocks: u32) {
        debug_assert!(blocks <= self.free_end());
        for _ in 0..blocks {
            self.free.pop();
            self.by_run[self.units_per_block as usize].remove(&self.blocks());
            self.free_units -= u64::from(self.units_per_block);
        }
    }

    /// Takes a slot of `units` units, in the fullest block it fits in and then the first; its
    /// first unit. It is pending until [`Slots::settle`] or [`Slots::release`].
    pub(super) fn take(&mut self, units: u32) -> Option<u32> {
        debug_assert!(units >= 1 && units <= self.units_per_block);
        let fitting = self.by_run.get(units as usize..)?.iter();
        let mut firsts = fitting.filter_map(|blocks| blocks.first().copied());
        let any = firsts.clone().next()?;
        let block = firsts.find(|block| *block < self.front).unwrap_or(any);
        let bits = self.free[block as usize];
        let starts = (1..units).fold(bits, |starts, shift| starts & (bits >> shift));
        let first = starts.trailing_zeros();
        self.set(block, bits & !mask(first, units));
        self.free_units -= u64::from(units);
        let unit = block * self.units_per_block + first;
        self.pending.insert(unit, units as u8);
        Some(unit)
    }

    /// The slot's image is installed: something points to it.
    pub(super) fn settle(&mut self, unit: u32) {
        let settled = self.pending.remove(&unit);
        debug_assert!(settled.is_some(), "slot {unit} was not pending");
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, unit: u32, units: u8) {
        self.pending.remove(&unit);
        let units = u32::from(units);
        let block = unit / self.units_per_block;
        let bits = self.free[block as usize];
        let given = mask(unit % self.units_per_block, units);
        assert!(bits & given == 0, "slot {unit} was given back twice");
        self.set(block, bits | given);
        self.free_units += u64::from(units);
    }

    /// The number of slots handed out but not installed.
    pub(super) fn pending_slots(&self) -> usize {
        self.pending.len()
    }

    /// The slots handed out but not installed.
    pub(super) fn pending(&self) -> impl Iterator<Item = (u32, u8)> {
        self.pending.iter().map(|(unit, units)| (*unit, *units))
    }

    /// The free bits per block, to compare.
    pub(super) fn free_bits(&self) -> &[u16] {
        &self.free
    }

    fn set(&mut self, block: u32, bits: u16) {
        let slot = &mut self.free[block as usize];
        let (before, after) = (longest_run(*slot), longest_run(bits));
        *slot = bits;
        if before != after {
            if before > 0 {
                self.by_run[before].remove(&block);
            }
            if after > 0 {
                self.by_run[after].insert(block);
            }
        }
    }
}

/// A file being taken stock of: everything is free until claimed, and nothing can be claimed
/// twice.
#[derive(Debug)]
pub(super) struct Claims {
    units_per_block: u32,
    free: Vec<u16>,
}

impl Claims {
    /// `blocks` free blocks.
    pub(super) fn new(page_size: usize, blocks: u32) -> Claims {
        let units_per_block = (page_size / UNIT) as u32;
        Claims {
            units_per_block,
            free: vec![mask(0, units_per_block); blocks as usize],
        }
    }

    /// Marks the slot as used.
    ///
    /// # Errors
    /// Where it is not within one block of the file, or overlaps what was claimed before.
    pub(super) fn claim(&mut self, unit: u32, units: u8) -> Result<(), &'static str> {
        let (block, first) = (unit / self.units_per_block, unit % self.units_per_block);
        let units = u32::from(units);
        if units == 0 || first + units > self.units_per_block {
            return Err("a slot does not lie within one block");
        }
        let bits = self
            .free
            .get_mut(block as usize)
            .ok_or("a slot lies outside of the file")?;
        let wanted = mask(first, units);
        if *bits & wanted != wanted {
            return Err("a slot is used twice");
        }
        *bits &= !wanted;
        Ok(())
    }

    /// The free bits per block, to compare.
    pub(super) fn free_bits(&self) -> &[u16] {
        &self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_never_overlap_and_come_back() {
        let mut random = fastrand::Rng::with_seed(4);
        for page_size in [1024, 4096, 8192, 16384] {
            let most = (page_size / UNIT) as u32;
            let mut slots = Slots::all_taken(page_size, 0);
            slots.extend(40);
            let mut held: Vec<(u32, u8)> = Vec::new();
            for _ in 0..4000 {
                if random.bool() {
                    let units = random.u32(1..=most);
                    let had_block = slots.free_blocks() > 0;
                    match slots.take(units) {
                        Some(unit) => {
                            slots.settle(unit);
                            held.push((unit, units as u8));
                        }
                        None => assert!(!had_block),
                    }
                } else if !held.is_empty() {
                    let (unit, units) = held.swap_remove(random.usize(..held.len()));
                    slots.release(unit, units);
                }
                let mut claims = Claims::new(page_size, 40);
                for (unit, units) in &held {
                    claims.claim(*unit, *units).unwrap();
                }
                assert_eq!(claims.free_bits(), slots.free_bits());
                let fresh = Slots::from_claims(claims);
                assert_eq!(fresh.by_run, slots.by_run);
                assert_eq!(fresh.free_units(), slots.free_units());
            }
        }
    }

    #[test]
    fn nonsense_cannot_be_claimed() {
        let mut claims = Claims::new(4096, 2);
        assert!(claims.claim(3, 2).is_err());
        assert!(claims.claim(8, 1).is_err());
        assert!(claims.claim(0, 0).is_err());
        assert!(claims.claim(u32::MAX, 255).is_err());
        assert!(claims.claim(1, 2).is_ok());
        assert!(claims.claim(2, 1).is_err());
    }
}
