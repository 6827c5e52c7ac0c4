//! Pauses between attempts: random, so that those who collided do not collide again, and
//! growing, so that a crowd disperses.

use std::time::Duration;

use rustling_storage::Env;

/// The longest pause before the second attempt; it doubles with each further one.
const FIRST: Duration = Duration::from_micros(50);
/// The longest pause of all.
const LONGEST: Duration = Duration::from_millis(50);

/// Counts attempts and sleeps between them ("full jitter": evenly random up to a bound that
/// doubles). Public for callers whose retry loop has errors of its own.
#[derive(Clone, Debug)]
pub struct Backoff {
    env: Env,
    attempts: u32,
    attempt: u32,
}

impl Backoff {
    /// For at most `attempts` attempts in all.
    #[must_use]
    pub fn new(env: &Env, attempts: u32) -> Backoff {
        Backoff {
            env: env.clone(),
            attempts,
            attempt: 0,
        }
    }

    /// Attempts that have failed so far.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Sleeps after a failed attempt. False, and no sleep, where that was the last one.
    pub fn pause(&mut self) -> bool {
        self.attempt += 1;
        if self.attempt >= self.attempts {
            return false;
        }
        let bound = FIRST
            .saturating_mul(1 << (self.attempt - 1).min(16))
            .min(LONGEST);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.env
            .clock
            .sleep(Duration::from_nanos(self.env.random.next_u64() % nanos));
        true
    }
}
