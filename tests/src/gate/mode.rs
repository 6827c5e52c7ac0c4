//! How much a gate tries, and for how long.

use std::time::Duration;

use rustling_storage::Env;

/// Minutes that a gate takes in deep mode, where nothing else is said.
const MINUTES: u64 = 60;

/// The seeds of one round begin so many after those of the one before.
const SEEDS_OF_A_ROUND: u64 = 1_000_000;

/// Read from the environment variable `RUSTLING_GATE`: `quick` (the default), `full` or `deep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A sample, for every change: all gates together within a minute on two cores.
    Quick,
    /// The figures that a release states.
    Full,
    /// Rounds with new seeds until the time is over that `RUSTLING_GATE_MINUTES` gives the gate:
    /// an hour where it says nothing.
    Deep,
}

impl Mode {
    /// The mode that the environment asks for.
    ///
    /// # Panics
    /// Where it asks for a mode that does not exist.
    #[must_use]
    #[expect(clippy::panic, reason = "a misspelt mode must not pass as a quick one")]
    pub fn from_environment() -> Mode {
        match std::env::var("RUSTLING_GATE").as_deref() {
            Err(_) | Ok("quick" | "") => Mode::Quick,
            Ok("full") => Mode::Full,
            Ok("deep") => Mode::Deep,
            Ok(other) => panic!("RUSTLING_GATE is '{other}'; it can be quick, full or deep"),
        }
    }

    /// The figure for this mode; in deep mode for each round.
    pub fn pick<T>(self, quick: T, full: T, deep: T) -> T {
        match self {
            Mode::Quick => quick,
            Mode::Full => full,
            Mode::Deep => deep,
        }
    }

    /// The rounds of a test, each as the first of its seeds: one round, and in deep mode as many as
    /// begin within the test's share of the gate's time.
    #[must_use]
    pub fn rounds(self, test: &'static str, percent: u64) -> Rounds {
        let env = Env::system();
        let share = match self {
            Mode::Quick | Mode::Full => Duration::ZERO,
            Mode::Deep => Duration::from_secs(minutes() * 60 * percent / 100),
        };
        Rounds {
            test,
            mode: self,
            first: seed(),
            number: 0,
            started: env.now(),
            share,
            env,
        }
    }
}

/// The rounds of one test.
#[derive(Debug)]
pub struct Rounds {
    test: &'static str,
    mode: Mode,
    first: u64,
    /// Rounds begun.
    number: u64,
    env: Env,
    started: Duration,
    share: Duration,
}

impl Iterator for Rounds {
    type Item = u64;

    #[expect(clippy::print_stdout, reason = "says what was tried, as tests do")]
    fn next(&mut self) -> Option<u64> {
        let taken = self.env.now().saturating_sub(self.started);
        if self.number > 0 && taken >= self.share {
            if self.mode == Mode::Deep {
                println!(
                    "{}: {} rounds in {} of {} s",
                    self.test,
                    self.number,
                    taken.as_secs(),
                    self.share.as_secs()
                );
            }
            return None;
        }
        let first = self.first + self.number * SEEDS_OF_A_ROUND;
        self.number += 1;
        if self.mode == Mode::Deep {
            println!(
                "{}: round {}, seeds from {first}, after {} s",
                self.test,
                self.number,
                taken.as_secs()
            );
        }
        Some(first)
    }
}

/// The seed that the gate's scripts start from: `RUSTLING_SEED`, else 0.
#[must_use]
pub fn seed() -> u64 {
    number("RUSTLING_SEED").unwrap_or(0)
}

/// Minutes that the gate takes in deep mode: `RUSTLING_GATE_MINUTES`, else an hour.
#[must_use]
pub fn minutes() -> u64 {
    number("RUSTLING_GATE_MINUTES").unwrap_or(MINUTES)
}

/// What a variable of the environment says.
#[expect(clippy::panic, reason = "a misspelt number must not pass as another")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is '{text}', which is no number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_and_full_modes_take_one_round() {
        for mode in [Mode::Quick, Mode::Full] {
            assert_eq!(mode.rounds("a test", 50).count(), 1);
        }
    }

    #[test]
    fn deep_mode_goes_on_with_new_seeds_until_the_time_is_over() {
        let rounds = || Rounds {
            test: "a test",
            mode: Mode::Deep,
            first: 7,
            number: 0,
            env: Env::system(),
            started: Env::system().now(),
            share: Duration::MAX,
        };
        let all: Vec<u64> = rounds().take(3).collect();
        assert_eq!(all, [7, 1_000_007, 2_000_007]);
        let over = Rounds {
            share: Duration::ZERO,
            ..rounds()
        };
        assert_eq!(over.collect::<Vec<_>>(), [7]);
    }
}
