//! The visible contents of a program as a plain map, and a hash that tells two apart.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher},
};

/// Visible contents: what the program under test should hold.
pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A hash of visible contents that does not depend on the order in which they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateHash {
    sum: u128,
    entries: u64,
}

impl StateHash {
    /// Adds an entry.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let half = |seed: u64| {
            let mut hasher = foldhash::quality::FixedState::with_seed(seed).build_hasher();
            hasher.write_usize(key.len());
            hasher.write(key);
            hasher.write(value);
            u128::from(hasher.finish())
        };
        self.sum = self.sum.wrapping_add((half(1) << 64) | half(2));
        self.entries += 1;
    }

    /// The hash of a map.
    #[must_use]
    pub fn of(model: &Model) -> StateHash {
        let mut hash = StateHash::default();
        for (key, value) in model {
            hash.add(key, value);
        }
        hash
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} ({} entries)", self.sum, self.entries)
    }
}

/// The first differences between what should be there and what is.
pub(crate) fn difference(expected: &Model, actual: &Model) -> String {
    use std::fmt::Write as _;
    let show = |bytes: &[u8]| {
        let short: String = String::from_utf8_lossy(&bytes[..bytes.len().min(12)])
            .escape_default()
            .collect();
        if bytes.len() > 12 {
            format!("{short}… ({} bytes)", bytes.len())
        } else {
            short
        }
    };
    let mut text = format!(
        "{} entries expected, {} found",
        expected.len(),
        actual.len()
    );
    let mut shown = 0;
    for key in expected
        .keys()
        .chain(actual.keys().filter(|key| !expected.contains_key(*key)))
    {
        let (wanted, found) = (expected.get(key), actual.get(key));
        if wanted != found && shown < 5 {
            shown += 1;
            let name = |value: Option<&Vec<u8>>| {
                value.map_or_else(|| "nothing".to_owned(), |value| show(value))
            };
            let _ = write!(
                text,
                "; {}: {} expected, {} found",
                show(key),
                name(wanted),
                name(found)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_every_entry_and_no_order() {
        let hash = |entries: &[(&str, &str)]| {
            let mut hash = StateHash::default();
            entries
                .iter()
                .for_each(|(k, v)| hash.add(k.as_bytes(), v.as_bytes()));
            hash
        };
        assert_eq!(
            hash(&[("a", "1"), ("b", "2")]),
            hash(&[("b", "2"), ("a", "1")])
        );
        assert_ne!(
            hash(&[("a", "1"), ("b", "2")]),
            hash(&[("a", "2"), ("b", "1")])
        );
        assert_ne!(hash(&[("a", "12")]), hash(&[("a1", "2")]));
        assert_ne!(hash(&[("a", "1")]), hash(&[("a", "1"), ("a", "1")]));
    }
}
