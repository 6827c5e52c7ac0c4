//! Keys, values, and which key an operation draws.

use crate::engines::{Key, VALUE_BYTES, Value};

/// The key of row `number`.
#[must_use]
pub fn key(number: u64) -> Key {
    let mut key = *b"user\0\0\0\0\0\0\0\0\0\0\0\0";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// A value that no compression shortens much.
#[must_use]
pub fn value(random: &mut fastrand::Rng) -> Value {
    let mut value = [0; VALUE_BYTES];
    random.fill(&mut value);
    value
}

/// The skew of YCSB.
const THETA: f64 = 0.99;

/// Draws numbers below a bound so that some are drawn much more often than others: Gray et al.,
/// "Quickly generating billion-record synthetic databases", 1994, as YCSB uses it.
#[derive(Clone, Debug)]
pub struct Zipfian {
    bound: u64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipfian {
    /// Draws numbers below `bound`.
    #[must_use]
    pub fn new(bound: u64) -> Zipfian {
        let zeta_of = |count: u64| {
            (1..=count)
                .map(|rank| (rank as f64).powf(-THETA))
                .sum::<f64>()
        };
        let zeta = zeta_of(bound);
        Zipfian {
            bound,
            zeta,
            alpha: 1.0 / (1.0 - THETA),
            eta: (1.0 - (2.0 / bound as f64).powf(1.0 - THETA)) / (1.0 - zeta_of(2) / zeta),
        }
    }

    /// The rank drawn: 0 is the most frequent.
    pub fn rank(&self, random: &mut fastrand::Rng) -> u64 {
        let uniform = random.f64();
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let rank = self.bound as f64 * (self.eta * uniform - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.bound - 1)
    }

    /// A number below the bound, the frequent ones spread over all of them.
    pub fn scattered(&self, random: &mut fastrand::Rng) -> u64 {
        let rank = self.rank(random);
        // FNV-1a, as in YCSB.
        let hash = rank
            .to_le_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        hash % self.bound
    }
}
