//! The one memory budget: whoever holds bulk memory reserves it here first.

mod refusal;

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicUsize, Ordering},
};

pub use refusal::Refusal;

use self::refusal::Refusals;
use crate::error::{Error, Result};

/// Of bytes that nobody has reserved, one in so many is lent: what is left covers what no account
/// knows of, as the allocator's losses.
const LENT: usize = 2;

/// Who uses memory that is free, until somebody reserves it.
pub(crate) trait Borrower: Send + Sync + std::fmt::Debug {
    /// Gives back what is borrowed beyond [`MemoryBudget::lendable`], as far as that goes. Waits for no
    /// latch: whoever reserves memory may hold some.
    fn give_back(&self);
}

#[derive(Debug)]
struct Account {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    /// Whose memory this is a share of.
    whole: Option<MemoryBudget>,
    borrower: OnceLock<Weak<dyn Borrower>>,
    /// Bytes that the borrower has, as it said last.
    borrowed: AtomicUsize,
    refusals: Refusals,
}

impl Account {
    fn new(limit: usize, whole: Option<MemoryBudget>) -> Account {
        Account {
            limit,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            whole,
            borrower: OnceLock::new(),
            borrowed: AtomicUsize::new(0),
            refusals: Refusals::default(),
        }
    }

    fn lendable(&self) -> usize {
        let free = self.limit.saturating_sub(self.used.load(Ordering::Relaxed));
        free / LENT
    }

    fn take(&self, bytes: usize, purpose: &'static str) -> Result<()> {
        let no_room = || Error::OutOfMemory {
            purpose,
            requested: bytes,
            limit: self.limit,
        };
        if self.refusals.refuse() {
            return Err(no_room());
        }
        let before = self
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= self.limit)
            })
            .map_err(|_| no_room())?;
        if let Some(whole) = &self.whole
            && let Err(error) = whole.account.take(bytes, purpose)
        {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(error);
        }
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        self.call_in();
        Ok(())
    }

    /// Has back what is lent and needed now.
    #[inline]
    fn call_in(&self) {
        if self.borrowed.load(Ordering::Relaxed) > self.lendable()
            && let Some(borrower) = self.borrower.get().and_then(Weak::upgrade)
        {
            borrower.give_back();
        }
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.account.give(bytes);
        }
    }
}

/// A shared, fallible memory account. Cheap to clone; clones share the account.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    account: Arc<Account>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> MemoryBudget {
        MemoryBudget {
            account: Arc::new(Account::new(limit, None)),
        }
    }

    /// A share of this budget, of at most `limit` bytes: what is reserved there is reserved here.
    #[must_use]
    pub fn share(&self, limit: usize) -> MemoryBudget {
        MemoryBudget {
            account: Arc::new(Account::new(limit, Some(self.clone()))),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.account.limit
    }

    /// Bytes reserved now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.account.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever reserved at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.account.peak.load(Ordering::Relaxed)
    }

    /// Has the budget refuse reservations though it has room, from now on and counted from now on:
    /// for tests of what becomes of a program that is short of memory. Those that are made through
    /// shares of the budget count as its own.
    pub fn refuse(&self, refusal: Refusal) {
        self.account.refusals.set(refusal);
    }

    /// How many reservations were asked for since [`MemoryBudget::refuse`] was called last, and how
    /// many of them were refused though there was room. Nothing is counted before the first call,
    /// nor after [`Refusal::Never`].
    #[must_use]
    pub fn refusals(&self) -> (u64, u64) {
        self.account.refusals.counts()
    }

    /// From now on `borrower` may use what nobody has reserved, and is asked to give it back when
    /// somebody does.
    pub(crate) fn lend_to(&self, borrower: Weak<dyn Borrower>) {
        let _ = self.account.borrower.set(borrower);
    }

    /// Bytes that may be borrowed now.
    pub(crate) fn lendable(&self) -> usize {
        self.account.lendable()
    }

    /// Says how many bytes are borrowed.
    pub(crate) fn set_borrowed(&self, bytes: usize) {
        self.account.borrowed.store(bytes, Ordering::Relaxed);
    }

    /// Reserves `bytes` until the reservation is dropped.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where the budget has no room: spill, or give up.
    pub fn reserve(&self, bytes: usize, purpose: &'static str) -> Result<Reservation> {
        let mut reservation = Reservation {
            budget: self.clone(),
            bytes: 0,
            purpose,
        };
        reservation.grow(bytes)?;
        Ok(reservation)
    }
}

/// Bytes held from a [`MemoryBudget`]; dropping it gives them back.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
    purpose: &'static str,
}

impl Reservation {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves `more` bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; what was held stays held.
    pub fn grow(&mut self, more: usize) -> Result<()> {
        self.budget.account.take(more, self.purpose)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives `less` bytes back (at most what is held).
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.bytes);
        self.budget.account.give(less);
        self.bytes -= less;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
