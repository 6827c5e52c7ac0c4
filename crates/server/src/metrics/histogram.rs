//! Latencies, counted without locks.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets within each doubling: quantiles are off by at most an eighth.
const STEPS: usize = 8;
/// Doublings of a microsecond: up to more than an hour.
const DOUBLINGS: usize = 33;
const BUCKETS: usize = STEPS * DOUBLINGS;
/// Seconds that quantiles look back, at least; at most twice as long.
const WINDOW: u64 = 60;

/// Counts of latencies by size.
#[derive(Debug)]
struct Counts([AtomicU64; BUCKETS]);

impl Default for Counts {
    fn default() -> Counts {
        Counts(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// The bucket that holds a number of microseconds.
fn bucket_of(micros: u64) -> usize {
    let steps = STEPS as u64;
    if micros < steps {
        return micros as usize;
    }
    let doubling = micros.ilog2();
    let step = (micros >> (doubling - 3)) & (steps - 1);
    let at = (doubling as usize - 2) * STEPS + step as usize;
    at.min(BUCKETS - 1)
}

/// The least number of microseconds above a bucket.
fn end_of(bucket: usize) -> u64 {
    let (doubling, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    if doubling == 0 {
        step + 1
    } else {
        (STEPS as u64 + step + 1) << (doubling - 1)
    }
}

/// Latencies since the beginning, and those of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    count: AtomicU64,
    micros: AtomicU64,
    all: Counts,
    /// Of two windows, taking turns.
    recent: [Counts; 2],
    /// The number of the window that is being filled.
    window: AtomicU64,
}

impl Latencies {
    /// Counts one, at a moment since the server began.
    pub(crate) fn record(&self, latency: Duration, now: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        let bucket = bucket_of(micros);
        let window = self.enter(now);
        for counts in [&self.all, &self.recent[(window % 2) as usize]] {
            if let Some(count) = counts.0.get(bucket) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The window of a moment, emptied where it is a new one.
    fn enter(&self, now: Duration) -> u64 {
        let window = now.as_secs() / WINDOW;
        let before = self.window.load(Ordering::Relaxed);
        if window > before
            && self
                .window
                .compare_exchange(before, window, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let stale = if window > before + 1 { 0..2 } else { 0..1 };
            for at in stale {
                for count in &self.recent[((window + at) % 2) as usize].0 {
                    count.store(0, Ordering::Relaxed);
                }
            }
        }
        window
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Their sum in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// How many took at most so long.
    pub(crate) fn within(&self, limit: Duration) -> u64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.all
            .0
            .iter()
            .enumerate()
            .take_while(|(bucket, _)| end_of(*bucket) <= micros.saturating_add(1))
            .map(|(_, count)| count.load(Ordering::Relaxed))
            .sum()
    }

    /// The latency in seconds that this part of the recent ones stays within; `None`: there were none.
    pub(crate) fn quantile(&self, part: f64, now: Duration) -> Option<f64> {
        self.enter(now);
        let counts: Vec<u64> = (0..BUCKETS)
            .map(|bucket| {
                self.recent
                    .iter()
                    .filter_map(|counts| counts.0.get(bucket))
                    .map(|count| count.load(Ordering::Relaxed))
                    .sum()
            })
            .collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = (part * total as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(end_of(bucket) as f64 / 1e6);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Latencies, bucket_of, end_of};

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for bucket in 1..BUCKETS {
            assert_eq!(bucket_of(end_of(bucket - 1)), bucket);
            assert!(end_of(bucket) > end_of(bucket - 1));
        }
        for micros in [0, 1, 7, 8, 9, 1000, 123_456, 1 << 40, u64::MAX] {
            let bucket = bucket_of(micros);
            assert!(bucket == BUCKETS - 1 || micros < end_of(bucket), "{micros}");
        }
    }

    #[test]
    fn quantiles_look_back_a_few_minutes() {
        let latencies = Latencies::default();
        let at = Duration::from_secs;
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros), at(1));
        }
        let median = latencies.quantile(0.5, at(2)).unwrap();
        assert!((0.0005..0.00058).contains(&median), "{median}");
        let most = latencies.quantile(0.99, at(61)).unwrap();
        assert!((0.00099..0.00115).contains(&most), "{most}");
        assert_eq!(latencies.within(Duration::from_secs(1)), 1000);
        assert!(latencies.within(Duration::from_micros(511)) <= 511);
        assert_eq!(latencies.quantile(0.5, at(200)), None);
        assert_eq!(latencies.count(), 1000);
    }
}
