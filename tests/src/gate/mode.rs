//! How much a gate tries.

/// Read from the environment variable `RUSTLING_GATE`: `quick` (the default), `full` or `deep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A sample, for every change: all gates together within a minute on two cores.
    Quick,
    /// The figures that a release states.
    Full,
    /// About an hour.
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

    /// The figure for this mode.
    pub fn pick<T>(self, quick: T, full: T, deep: T) -> T {
        match self {
            Mode::Quick => quick,
            Mode::Full => full,
            Mode::Deep => deep,
        }
    }
}

/// The seed that the gate's scripts start from: `RUSTLING_SEED`, else 0.
#[must_use]
pub fn seed() -> u64 {
    std::env::var("RUSTLING_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
