//! The protocol by which snapshots pin their LSN while versions below the watermark are dropped,
//! in every interleaving of a few threads. This is a model: the steps are those of
//! `crates/storage/src/pins.rs`. What it must show: no version that a pinned snapshot reads is ever
//! dropped, and the watermark never goes back. Nor is it when a commit goes by a watermark that
//! somebody else has computed.
//!
//! The code's accesses are sequentially consistent; here each is followed by a fence that is,
//! because that is how the checker knows such an order.
//!
//! The code itself runs under schedules in `crates/storage/tests/schedules/snapshots.rs`, for which every
//! atomic is sequentially consistent, whatever it asks for. The model stays because the order is what
//! the protocol rests on: it fails with a weaker one.

#![expect(clippy::unwrap_used, reason = "a test")]

use loom::{
    model::Builder,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire, Release, SeqCst},
            fence,
        },
    },
    thread,
};

const FREE: u64 = 0;

struct Registry {
    /// The newest published commit.
    published: AtomicU64,
    /// A pinned LSN plus one, or [`FREE`].
    slots: Vec<AtomicU64>,
    /// Pins that found no slot.
    crowd: Mutex<Vec<u64>>,
    /// Pins in the crowd, and those on their way there.
    crowded: AtomicU64,
    announced: AtomicU64,
    watermark: AtomicU64,
    /// The highest watermark that anybody has dropped versions by.
    dropped: AtomicU64,
}

/// A pin: where it is, and what it keeps.
struct Pin {
    slot: Option<usize>,
    lsn: u64,
}

impl Registry {
    fn new(slots: usize) -> Registry {
        Registry {
            published: AtomicU64::new(1),
            slots: (0..slots).map(|_| AtomicU64::new(FREE)).collect(),
            crowd: Mutex::new(Vec::new()),
            crowded: AtomicU64::new(0),
            announced: AtomicU64::new(1),
            watermark: AtomicU64::new(1),
            dropped: AtomicU64::new(1),
        }
    }

    fn published(&self) -> u64 {
        let lsn = self.published.load(Acquire);
        fence(SeqCst);
        lsn
    }

    fn announced(&self) -> u64 {
        fence(SeqCst);
        let lsn = self.announced.load(Acquire);
        fence(SeqCst);
        lsn
    }

    fn publish(&self, lsn: u64) {
        self.published.store(lsn, Release);
        fence(SeqCst);
    }

    fn pin(&self) -> Pin {
        let mut lsn = self.published();
        for (index, slot) in self.slots.iter().enumerate() {
            if slot
                .compare_exchange(FREE, lsn + 1, AcqRel, Acquire)
                .is_err()
            {
                continue;
            }
            while self.announced() > lsn {
                lsn = self.published();
                slot.store(lsn + 1, Release);
            }
            return Pin {
                slot: Some(index),
                lsn,
            };
        }
        let mut crowd = self.crowd.lock().unwrap();
        self.crowded.fetch_add(1, AcqRel);
        let lsn = loop {
            let lsn = self.published();
            if self.announced() <= lsn {
                break lsn;
            }
            thread::yield_now();
        };
        crowd.push(lsn);
        Pin { slot: None, lsn }
    }

    fn unpin(&self, pin: &Pin) {
        match pin.slot {
            Some(index) => {
                self.slots[index].store(FREE, Release);
                fence(SeqCst);
            }
            None => {
                let mut crowd = self.crowd.lock().unwrap();
                let at = crowd.iter().position(|lsn| *lsn == pin.lsn).unwrap();
                crowd.remove(at);
                self.crowded.fetch_sub(1, AcqRel);
                fence(SeqCst);
            }
        }
    }

    /// What may be dropped: every version that a commit at or below the answer has replaced.
    fn advance(&self) -> u64 {
        let published = self.published();
        self.announced.fetch_max(published, AcqRel);
        self.watermark_below(published)
    }

    fn watermark_below(&self, published: u64) -> u64 {
        fence(SeqCst);
        let mut oldest = published;
        for slot in &self.slots {
            let value = slot.load(Acquire);
            if value != FREE {
                oldest = oldest.min(value - 1);
            }
        }
        if self.crowded.load(Acquire) != 0 {
            for lsn in self.crowd.lock().unwrap().iter() {
                oldest = oldest.min(*lsn);
            }
        }
        self.watermark.fetch_max(oldest, AcqRel).max(oldest)
    }

    /// A commit drops versions by the watermark as somebody has left it.
    fn drop_lately(&self) -> u64 {
        let lately = self.watermark.load(Acquire);
        fence(SeqCst);
        self.dropped.fetch_max(lately, AcqRel);
        fence(SeqCst);
        lately
    }

    /// A snapshot's life: what it reads must be there until it is gone.
    fn read(&self) {
        let pin = self.pin();
        fence(SeqCst);
        assert!(
            pin.lsn >= self.watermark.load(Acquire),
            "versions of a pinned snapshot may be dropped"
        );
        assert!(
            pin.lsn >= self.dropped.load(Acquire),
            "versions of a pinned snapshot are dropped"
        );
        self.unpin(&pin);
    }
}

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(body);
}

#[test]
fn a_pin_is_never_below_the_watermark() {
    explore(|| {
        let registry = Arc::new(Registry::new(1));
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.read())
        };
        registry.publish(2);
        let first = registry.advance();
        let second = registry.advance();
        assert!(first <= second);
        reader.join().unwrap();
        assert_eq!(registry.advance(), 2, "nothing is pinned any more");
    });
}

#[test]
fn a_pin_in_the_crowd_is_counted_too() {
    explore(|| {
        let registry = Arc::new(Registry::new(1));
        let old = registry.pin();
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.read())
        };
        registry.publish(2);
        assert_eq!(registry.advance(), 1, "the old snapshot reads on");
        registry.unpin(&old);
        registry.advance();
        reader.join().unwrap();
    });
}

/// What was the watermark once is one for ever: a commit need not compute it.
#[test]
fn a_commit_may_go_by_a_watermark_of_lately() {
    explore(|| {
        let registry = Arc::new(Registry::new(1));
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.read())
        };
        let committer = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || {
                let first = registry.drop_lately();
                assert!(first <= registry.drop_lately());
            })
        };
        registry.publish(2);
        registry.advance();
        reader.join().unwrap();
        committer.join().unwrap();
    });
}

/// The model can fail: who counts himself into the crowd only once he is there is missed.
#[test]
#[should_panic(expected = "may be dropped")]
fn a_pin_that_joins_the_crowd_uncounted_is_caught() {
    explore(|| {
        let registry = Arc::new(Registry::new(0));
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || {
                let mut crowd = registry.crowd.lock().unwrap();
                let mut lsn = registry.published();
                if registry.announced() > lsn {
                    lsn = registry.published();
                }
                crowd.push(lsn);
                registry.crowded.fetch_add(1, AcqRel);
                drop(crowd);
                fence(SeqCst);
                assert!(
                    lsn >= registry.watermark.load(Acquire),
                    "versions of a pinned snapshot may be dropped"
                );
            })
        };
        registry.publish(2);
        registry.advance();
        reader.join().unwrap();
    });
}

/// The model can fail: who computes the watermark without announcing it first misses a pin.
#[test]
#[should_panic(expected = "may be dropped")]
fn a_watermark_that_is_not_announced_is_caught() {
    explore(|| {
        let registry = Arc::new(Registry::new(1));
        let reader = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || registry.read())
        };
        registry.publish(2);
        let published = registry.published();
        registry.watermark_below(published);
        reader.join().unwrap();
    });
}
