//! The pin registry: which LSNs somebody still reads, and below which nobody ever will.
//!
//! A pin is one compare-and-swap on a slot that usually belongs to the thread alone, so that
//! a point read can afford a snapshot of its own. The watermark is the oldest pin, or the newest
//! published commit where there is none; whatever only older snapshots could see may go.
//!
//! **Why no pin is missed.** Who pins writes the LSN to a slot, then reads the *announced*
//! watermark, and starts again where that is newer than its LSN. Who computes the watermark
//! announces a published LSN first and then reads the slots. All of it is sequentially
//! consistent, so either the reader sees the announcement and moves on to a newer LSN, or the
//! slots are read after the pin was written and the pin is counted. A pin that found no slot is
//! the same: it counts itself into the *crowd* first, and then reads the announced watermark.
//!
//! **Who pays.** Reading all slots is for those who have much to drop. A commit goes by the
//! watermark that somebody has computed lately ([`PinRegistry::lately`]): what was a watermark once
//! stays one, as nothing below it is ever pinned again.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering::{Acquire, Relaxed, SeqCst},
};

use crossbeam_utils::CachePadded;

use crate::{
    lsn::Lsn,
    sync::{
        self, Mutex,
        atomic::{AtomicU64, AtomicUsize},
    },
};

/// Pins beyond this number share a locked map.
const SLOTS: usize = 128;
const FREE: u64 = 0;
/// Commits that may be published before one of them computes the watermark again. Each key that is
/// overwritten all the time has as many versions more than it needs, until its page is full.
const STRIDE: u64 = 32;

/// The register of pins.
#[derive(Debug)]
pub(crate) struct PinRegistry {
    /// A pinned LSN plus one, or [`FREE`].
    slots: Box<[CachePadded<AtomicU64>]>,
    /// Slots from here on have never been used.
    used: AtomicUsize,
    crowd: Mutex<BTreeMap<u64, usize>>,
    /// Pins in the crowd, and those on their way there.
    crowded: AtomicUsize,
    announced: CachePadded<AtomicU64>,
    watermark: CachePadded<AtomicU64>,
}

/// Keeps everything that a snapshot at its LSN sees, until it is given back with
/// [`PinRegistry::unpin`]. It does not name its registry: counting who does would make threads that
/// pin and unpin all the time meet at one counter.
#[derive(Debug)]
#[must_use = "nothing newer is collected until it is given back"]
pub(crate) struct Pin {
    lsn: Lsn,
    slot: Option<usize>,
}

/// Below what nobody reads, for who applies a commit: known roughly for nothing, and exactly for
/// the price of a look at all pins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watermark<'a> {
    lately: Lsn,
    /// Who knows it exactly, and a commit that is published.
    exactly: Option<(&'a PinRegistry, Lsn)>,
}

impl From<Lsn> for Watermark<'_> {
    fn from(exactly: Lsn) -> Self {
        Watermark {
            lately: exactly,
            exactly: None,
        }
    }
}

impl Watermark<'_> {
    /// What was the watermark a few commits ago.
    #[inline]
    pub(crate) fn lately(&self) -> Lsn {
        self.lately
    }

    /// The watermark, computed once.
    pub(crate) fn exactly(&mut self) -> Lsn {
        if let Some((registry, published)) = self.exactly.take() {
            self.lately = registry.advance(published);
        }
        self.lately
    }
}

/// What is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinStatistics {
    /// Snapshots (and what else pins) alive now.
    pub pins: usize,
    /// The oldest LSN that is pinned, if any is.
    pub oldest: Option<Lsn>,
}

/// The slot at which this thread begins to look for a free one. Threads are spread over them.
#[inline]
pub(crate) fn home() -> usize {
    sync::thread_number() % SLOTS
}

impl PinRegistry {
    /// No pins; nothing below `watermark` is kept.
    pub(crate) fn new(watermark: Lsn) -> PinRegistry {
        PinRegistry {
            slots: (0..SLOTS)
                .map(|_| CachePadded::new(AtomicU64::new(FREE)))
                .collect(),
            used: AtomicUsize::new(0),
            crowd: Mutex::default(),
            crowded: AtomicUsize::new(0),
            announced: CachePadded::new(AtomicU64::new(watermark.0)),
            watermark: CachePadded::new(AtomicU64::new(watermark.0)),
        }
    }

    /// Pins the newest commit that `published` answers.
    #[inline]
    pub(crate) fn pin(&self, published: impl Fn() -> Lsn) -> Pin {
        let home = home();
        let mut lsn = published();
        for step in 0..SLOTS {
            let index = (home + step) % SLOTS;
            if self.used.load(SeqCst) <= index {
                self.used.fetch_max(index + 1, SeqCst);
            }
            let slot = &self.slots[index];
            if slot
                .compare_exchange(FREE, lsn.0 + 1, SeqCst, SeqCst)
                .is_err()
            {
                continue;
            }
            while self.announced.load(SeqCst) > lsn.0 {
                lsn = published();
                slot.store(lsn.0 + 1, SeqCst);
            }
            return Pin {
                lsn,
                slot: Some(index),
            };
        }
        self.pin_in_crowd(published)
    }

    #[cold]
    fn pin_in_crowd(&self, published: impl Fn() -> Lsn) -> Pin {
        let mut crowd = self.crowd.lock();
        // Whoever announces from now on sees that there is a crowd, and waits for this lock before
        // reading it.
        self.crowded.fetch_add(1, SeqCst);
        let lsn = loop {
            let lsn = published();
            if self.announced.load(SeqCst) <= lsn.0 {
                break lsn;
            }
        };
        *crowd.entry(lsn.0).or_insert(0) += 1;
        drop(crowd);
        Pin { lsn, slot: None }
    }

    /// Gives a pin back.
    #[inline]
    pub(crate) fn unpin(&self, pin: &Pin) {
        if let Some(slot) = pin.slot {
            self.slots[slot].store(FREE, SeqCst);
            return;
        }
        let mut crowd = self.crowd.lock();
        if let Some(count) = crowd.get_mut(&pin.lsn.0) {
            *count -= 1;
            if *count == 0 {
                crowd.remove(&pin.lsn.0);
            }
            self.crowded.fetch_sub(1, SeqCst);
        }
    }

    /// The oldest pin, or `published` where there is none: nothing older will ever be read.
    /// `published` must not be newer than the newest published commit.
    pub(crate) fn advance(&self, published: Lsn) -> Lsn {
        self.announced.fetch_max(published.0, SeqCst);
        let oldest = self
            .oldest()
            .map_or(published.0, |oldest| oldest.0.min(published.0));
        Lsn(self.watermark.fetch_max(oldest, SeqCst).max(oldest))
    }

    /// The watermark for a commit, which must not pay for it: the exact one again after
    /// [`STRIDE`] commits. `published` as in [`PinRegistry::advance`].
    #[inline]
    pub(crate) fn lately(&self, published: Lsn) -> Watermark<'_> {
        let mut watermark = Watermark {
            lately: Lsn(self.watermark.load(Acquire)),
            exactly: Some((self, published)),
        };
        // The announced commit is where the watermark was computed last, however far back a pin has
        // held it.
        if self.announced.load(Relaxed).saturating_add(STRIDE) <= published.0 {
            watermark.exactly();
        }
        watermark
    }

    fn oldest(&self) -> Option<Lsn> {
        let used = self.used.load(SeqCst);
        let slots = self.slots.iter().take(used).map(|slot| slot.load(SeqCst));
        let oldest = slots
            .filter(|value| *value != FREE)
            .map(|value| value - 1)
            .min();
        let crowd = match self.crowded.load(SeqCst) {
            0 => None,
            _ => self.crowd.lock().keys().next().copied(),
        };
        oldest.into_iter().chain(crowd).min().map(Lsn)
    }

    /// What is pinned now.
    pub(crate) fn statistics(&self) -> PinStatistics {
        let slots = self
            .slots
            .iter()
            .filter(|slot| slot.load(SeqCst) != FREE)
            .count();
        let pins = slots + self.crowd.lock().values().sum::<usize>();
        PinStatistics {
            pins,
            oldest: self.oldest(),
        }
    }
}

impl Pin {
    /// The LSN that is pinned.
    #[inline]
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn the_oldest_pin_holds_the_watermark() {
        let registry = PinRegistry::new(Lsn(5));
        assert_eq!(registry.advance(Lsn(0)), Lsn(5));
        let old = registry.pin(|| Lsn(7));
        let many: Vec<Pin> = (0..300).map(|_| registry.pin(|| Lsn(9))).collect();
        assert_eq!(registry.advance(Lsn(20)), Lsn(7));
        assert_eq!(
            registry.statistics(),
            PinStatistics {
                pins: 301,
                oldest: Some(Lsn(7))
            }
        );
        registry.unpin(&old);
        assert_eq!(registry.advance(Lsn(20)), Lsn(9));
        many.iter().for_each(|pin| registry.unpin(pin));
        assert_eq!(registry.advance(Lsn(15)), Lsn(15));
        assert_eq!(registry.advance(Lsn(20)), Lsn(20));
        assert_eq!(registry.statistics(), PinStatistics::default());
    }

    /// A commit reads two numbers, most of the time.
    #[test]
    fn commits_go_by_what_was_the_watermark_lately() {
        let registry = PinRegistry::new(Lsn(5));
        for published in 5..5 + STRIDE {
            let watermark = registry.lately(Lsn(published));
            assert_eq!(watermark.lately(), Lsn(5));
        }
        assert_eq!(registry.announced.load(SeqCst), 5, "nobody has looked");
        let now = Lsn(5 + STRIDE);
        assert_eq!(registry.lately(now).lately(), now);
        // Who needs it exactly may have it.
        let old = registry.pin(|| now);
        let newer = Lsn(now.0 + 3);
        assert_eq!(registry.lately(newer).exactly(), now);
        registry.unpin(&old);
        let mut watermark = registry.lately(newer);
        assert_eq!(watermark.lately(), now);
        assert_eq!(watermark.exactly(), newer);
        assert_eq!(watermark.lately(), newer);
        assert_eq!(Watermark::from(Lsn(3)).exactly(), Lsn(3));
    }

    /// The lock of the crowd is for those who find no slot.
    #[test]
    fn without_a_crowd_nobody_takes_its_lock() {
        let registry = PinRegistry::new(Lsn(5));
        let many: Vec<Pin> = (0..SLOTS).map(|_| registry.pin(|| Lsn(7))).collect();
        let crowd = registry.crowd.lock();
        std::thread::scope(|scope| {
            let advanced = scope.spawn(|| registry.advance(Lsn(9)));
            while !advanced.is_finished() {
                std::thread::yield_now();
            }
            assert_eq!(advanced.join().unwrap(), Lsn(7));
        });
        drop(crowd);
        let last = registry.pin(|| Lsn(9));
        many.iter().for_each(|pin| registry.unpin(pin));
        assert_eq!(registry.advance(Lsn(12)), Lsn(9));
        registry.unpin(&last);
        assert_eq!(registry.crowded.load(SeqCst), 0);
        assert_eq!(registry.advance(Lsn(12)), Lsn(12));
    }

    #[test]
    fn no_pin_is_ever_below_the_watermark() {
        let registry = PinRegistry::new(Lsn(0));
        let published = AtomicU64::new(0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (registry, published, done) = (&registry, &published, &done);
                scope.spawn(move || {
                    while !done.load(SeqCst) {
                        let pins: Vec<Pin> = (0..60)
                            .map(|_| registry.pin(|| Lsn(published.load(SeqCst))))
                            .collect();
                        for pin in &pins {
                            assert!(pin.lsn().0 >= registry.watermark.load(SeqCst));
                        }
                        pins.iter().for_each(|pin| registry.unpin(pin));
                    }
                });
            }
            for _ in 0..20_000 {
                let now = published.fetch_add(1, SeqCst) + 1;
                assert!(registry.lately(Lsn(now)).lately() <= Lsn(now));
                if now.is_multiple_of(3) {
                    assert!(registry.advance(Lsn(now)) <= Lsn(now));
                }
            }
            done.store(true, SeqCst);
        });
    }
}
