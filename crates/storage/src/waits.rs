//! Every wait has a name and is counted where it happens.
//!
//! A wait point is registered once under a static name (`wal.fsync`, `checkpoint.barrier`,
//! `lock.row` …) and then costs three relaxed atomics per wait, so it can stay on always.
//! Layers above register points of their own with [`Waits::point`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

use crate::env::Clock;

#[derive(Debug)]
struct Counter {
    name: &'static str,
    count: AtomicU64,
    total_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

/// The register of all waits of a store. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Waits {
    clock: Arc<dyn Clock>,
    counters: Arc<RwLock<Vec<Arc<Counter>>>>,
}

/// One named wait. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct WaitPoint {
    clock: Arc<dyn Clock>,
    counter: Arc<Counter>,
}

/// What has been waited at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitStatistics {
    /// The wait's name.
    pub name: &'static str,
    /// How often.
    pub count: u64,
    /// How long altogether.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
}

impl Waits {
    /// An empty register that measures with `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Waits {
        Waits {
            clock,
            counters: Arc::default(),
        }
    }

    /// The wait point of that name, made on first use. Keep it rather than asking again.
    #[must_use]
    pub fn point(&self, name: &'static str) -> WaitPoint {
        let find = |counters: &[Arc<Counter>]| {
            counters
                .iter()
                .find(|counter| counter.name == name)
                .cloned()
        };
        let known = find(&self.counters.read());
        let counter = known.unwrap_or_else(|| {
            let mut counters = self.counters.write();
            find(&counters).unwrap_or_else(|| {
                let counter = Arc::new(Counter {
                    name,
                    count: AtomicU64::new(0),
                    total_nanos: AtomicU64::new(0),
                    max_nanos: AtomicU64::new(0),
                });
                counters.push(Arc::clone(&counter));
                counter
            })
        });
        WaitPoint {
            clock: Arc::clone(&self.clock),
            counter,
        }
    }

    /// Counts a wait that has been measured elsewhere.
    pub fn record(&self, name: &'static str, waited: Duration) {
        self.point(name).record(waited);
    }

    /// All waits so far, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<WaitStatistics> {
        let mut all: Vec<WaitStatistics> = self
            .counters
            .read()
            .iter()
            .map(|counter| counter.read())
            .collect();
        all.sort_by_key(|wait| wait.name);
        all
    }
}

impl Counter {
    fn read(&self) -> WaitStatistics {
        let nanos = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        WaitStatistics {
            name: self.name,
            count: self.count.load(Ordering::Relaxed),
            total: nanos(&self.total_nanos),
            max: nanos(&self.max_nanos),
        }
    }
}

impl WaitPoint {
    /// Counts a wait.
    pub fn record(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.counter.count.fetch_add(1, Ordering::Relaxed);
        self.counter.total_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.counter.max_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Runs `wait` and counts how long it took.
    pub fn time<R>(&self, wait: impl FnOnce() -> R) -> R {
        let start = self.start();
        let result = wait();
        self.stop(start);
        result
    }

    /// The time now, for [`WaitPoint::stop`].
    #[must_use]
    pub fn start(&self) -> Duration {
        self.clock.now()
    }

    /// Counts a wait that began at `start`.
    pub fn stop(&self, start: Duration) {
        self.record(self.clock.now().saturating_sub(start));
    }

    /// The point's counts so far.
    #[must_use]
    pub fn statistics(&self) -> WaitStatistics {
        self.counter.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;

    #[test]
    fn points_of_one_name_are_one() {
        let waits = Waits::new(Env::in_memory().clock);
        waits.point("lock.row").record(Duration::from_millis(3));
        waits.record("lock.row", Duration::from_millis(1));
        assert_eq!(waits.point("disk").time(|| 7), 7);
        let all = waits.snapshot();
        let names: Vec<_> = all.iter().map(|wait| (wait.name, wait.count)).collect();
        assert_eq!(names, [("disk", 1), ("lock.row", 2)]);
        assert_eq!(
            (all[1].total, all[1].max),
            (Duration::from_millis(4), Duration::from_millis(3))
        );
    }
}
