//! The memory that tracking takes: reserved in the store's budget, and bounded.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustling_storage::{MemoryBudget, Reservation};

use crate::sync::Mutex;

/// Tracking this small needs no reservation.
const UNRESERVED: usize = 256 << 10;
/// Reservations grow and shrink in steps of this.
const STEP: usize = 256 << 10;

/// Counts the bytes of tracked reads and writes.
#[derive(Debug)]
pub(super) struct TrackMemory {
    budget: MemoryBudget,
    limit: usize,
    bytes: AtomicUsize,
    reserved: AtomicUsize,
    short: AtomicBool,
    reservation: Mutex<Option<Reservation>>,
}

impl TrackMemory {
    /// At most `limit` bytes of `budget`.
    pub(super) fn new(budget: MemoryBudget, limit: usize) -> TrackMemory {
        TrackMemory {
            budget,
            limit,
            bytes: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            short: AtomicBool::new(false),
            reservation: Mutex::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether tracking is at its bound, and must be coarse.
    pub(super) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Counts bytes added and given up. `false` where that is beyond the bound: what there is
    /// must become less.
    pub(super) fn charge(&self, more: usize, less: usize) -> bool {
        if less >= more {
            self.release(less - more);
            return true;
        }
        let bytes = self.bytes.fetch_add(more - less, Ordering::Relaxed) + more - less;
        if bytes <= self.reserved.load(Ordering::Relaxed) + UNRESERVED.min(self.limit) {
            return true;
        }
        let fits = bytes <= self.limit && self.reserve(bytes);
        if !fits {
            self.short.store(true, Ordering::Relaxed);
        }
        fits
    }

    fn reserve(&self, bytes: usize) -> bool {
        let mut reservation = self.reservation.lock();
        let held = reservation.as_ref().map_or(0, Reservation::bytes);
        let Some(missing) = bytes.checked_sub(held + UNRESERVED) else {
            return true;
        };
        let step = missing.next_multiple_of(STEP);
        let grown = match &mut *reservation {
            Some(reservation) => reservation.grow(step).is_ok(),
            None => match self
                .budget
                .reserve(step, "tracking serializable transactions")
            {
                Ok(new) => {
                    *reservation = Some(new);
                    true
                }
                Err(_) => false,
            },
        };
        if grown {
            self.reserved.store(held + step, Ordering::Relaxed);
        }
        grown
    }

    /// Counts bytes given up.
    pub(super) fn release(&self, less: usize) {
        if less == 0 {
            return;
        }
        let bytes = self.bytes.fetch_sub(less, Ordering::Relaxed) - less;
        if bytes < self.limit / 2 && self.is_short() {
            self.short.store(false, Ordering::Relaxed);
        }
        if self.reserved.load(Ordering::Relaxed) <= bytes + 2 * STEP {
            return;
        }
        let mut reservation = self.reservation.lock();
        if let Some(held) = &mut *reservation {
            let wanted = self.bytes().next_multiple_of(STEP);
            held.shrink(held.bytes().saturating_sub(wanted));
            self.reserved.store(held.bytes(), Ordering::Relaxed);
        }
    }
}
