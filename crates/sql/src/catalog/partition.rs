//! Tables made of tables: partitions, and inheritance.

use std::cmp::Ordering;

use crate::{
    bound::Expr,
    types::{DataType, Value},
};

/// How a partitioned table tells its partitions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionStrategy {
    /// By values.
    List,
    /// By ranges of values.
    Range,
    /// By the remainder of a hash.
    Hash,
}

impl PartitionStrategy {
    /// All of them.
    pub const ALL: [PartitionStrategy; 3] = [
        PartitionStrategy::List,
        PartitionStrategy::Range,
        PartitionStrategy::Hash,
    ];

    /// The name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PartitionStrategy::List => "list",
            PartitionStrategy::Range => "range",
            PartitionStrategy::Hash => "hash",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<PartitionStrategy> {
        PartitionStrategy::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
    }
}

/// PARTITION BY: what makes a table a partitioned one, which keeps no rows itself.
#[derive(Clone, Debug)]
pub struct Partitioning {
    /// List, range or hash.
    pub strategy: PartitionStrategy,
    /// The key, as SQL text and bound over the row as a [`Check`](super::Check) is.
    pub keys: Vec<(String, Expr)>,
}

impl Partitioning {
    /// The types of the key.
    pub fn types(&self) -> impl Iterator<Item = DataType> {
        self.keys.iter().map(|(_, expr)| expr.data_type)
    }
}

/// One end of a range in one key.
#[derive(Clone, Debug, PartialEq)]
pub enum RangeEnd<V = Value> {
    /// MINVALUE: below every value.
    Min,
    /// A value.
    Value(V),
    /// MAXVALUE: above every value.
    Max,
}

/// Which rows a partition holds. Before a definition is carried out, the values are expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionBound<V = Value> {
    /// DEFAULT: those that no other partition holds.
    Default,
    /// IN (values), NULL among them where it is named.
    List(Vec<V>),
    /// FROM (values) TO (values): from the first, inclusive, to the second, exclusive.
    Range {
        /// The lower end, key by key.
        from: Vec<RangeEnd<V>>,
        /// The upper end, key by key.
        to: Vec<RangeEnd<V>>,
    },
    /// WITH (MODULUS, REMAINDER) of the key's hash.
    Hash {
        /// The hash is divided by it.
        modulus: u32,
        /// What must be left.
        remainder: u32,
    },
}

/// How one end of a range lies to another of the same keys.
#[must_use]
pub fn compare_ends(left: &[RangeEnd], right: &[RangeEnd]) -> Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = match (left, right) {
            // What stands after MINVALUE or MAXVALUE does not matter any more.
            (RangeEnd::Min, RangeEnd::Min) | (RangeEnd::Max, RangeEnd::Max) => {
                return Ordering::Equal;
            }
            (RangeEnd::Min, _) | (_, RangeEnd::Max) => Ordering::Less,
            (RangeEnd::Max, _) | (_, RangeEnd::Min) => Ordering::Greater,
            (RangeEnd::Value(left), RangeEnd::Value(right)) => left.compare(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// How a key without NULLs lies to one end of a range.
#[must_use]
fn compare_key(key: &[Value], end: &[RangeEnd]) -> Ordering {
    for (value, end) in key.iter().zip(end) {
        let order = match end {
            RangeEnd::Min => return Ordering::Greater,
            RangeEnd::Max => return Ordering::Less,
            RangeEnd::Value(end) => value.compare(end),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl PartitionBound {
    /// Whether a partition of this bound holds rows with that key; of a DEFAULT bound whether it
    /// would, if no other does. `hash` is the key's.
    #[must_use]
    pub fn holds(&self, key: &[Value], hash: impl FnOnce() -> u64) -> bool {
        match self {
            PartitionBound::Default => true,
            PartitionBound::List(values) => key.first().is_some_and(|key| {
                values
                    .iter()
                    .any(|value| value.compare(key) == Ordering::Equal)
            }),
            PartitionBound::Range { from, to } => {
                !key.iter().any(Value::is_null)
                    && compare_key(key, from) != Ordering::Less
                    && compare_key(key, to) == Ordering::Less
            }
            PartitionBound::Hash { modulus, remainder } => {
                hash() % u64::from((*modulus).max(1)) == u64::from(*remainder)
            }
        }
    }

    /// Whether a key could be held by both.
    #[must_use]
    pub fn overlaps(&self, other: &PartitionBound) -> bool {
        match (self, other) {
            (PartitionBound::Default, PartitionBound::Default) => true,
            (PartitionBound::List(values), PartitionBound::List(others)) => {
                values.iter().any(|value| {
                    others
                        .iter()
                        .any(|other| value.compare(other) == Ordering::Equal)
                })
            }
            (
                PartitionBound::Range { from, to },
                PartitionBound::Range {
                    from: other_from,
                    to: other_to,
                },
            ) => {
                compare_ends(from, other_to) == Ordering::Less
                    && compare_ends(other_from, to) == Ordering::Less
            }
            (
                PartitionBound::Hash { modulus, remainder },
                PartitionBound::Hash {
                    modulus: other_modulus,
                    remainder: other_remainder,
                },
            ) => {
                // The smaller of two moduli divides the greater: that is checked before.
                let least = (*modulus).min(*other_modulus).max(1);
                remainder % least == other_remainder % least
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: i32, to: i32) -> PartitionBound {
        PartitionBound::Range {
            from: vec![RangeEnd::Value(Value::Int4(from))],
            to: vec![RangeEnd::Value(Value::Int4(to))],
        }
    }

    #[test]
    fn ranges_meet_but_do_not_overlap() {
        assert!(!range(1, 5).overlaps(&range(5, 9)));
        assert!(range(1, 6).overlaps(&range(5, 9)));
        let below = PartitionBound::Range {
            from: vec![RangeEnd::Min],
            to: vec![RangeEnd::Value(Value::Int4(1))],
        };
        assert!(!below.overlaps(&range(1, 5)));
        assert!(below.overlaps(&range(0, 5)));
        let key = |value| [Value::Int4(value)];
        assert!(range(1, 5).holds(&key(1), || 0));
        assert!(!range(1, 5).holds(&key(5), || 0));
        assert!(!range(1, 5).holds(&[Value::Null], || 0));
        assert!(below.holds(&key(i32::MIN), || 0));
    }

    #[test]
    fn lists_hold_their_values_and_null_where_it_is_named() {
        let list = PartitionBound::List(vec![Value::Int4(1), Value::Null]);
        assert!(list.holds(&[Value::Int4(1)], || 0));
        assert!(list.holds(&[Value::Null], || 0));
        assert!(!list.holds(&[Value::Int4(2)], || 0));
        assert!(list.overlaps(&PartitionBound::List(vec![Value::Null])));
    }

    #[test]
    fn remainders_of_nested_moduli_overlap() {
        let hash = |modulus, remainder| PartitionBound::Hash { modulus, remainder };
        assert!(hash(2, 0).overlaps(&hash(4, 2)));
        assert!(!hash(2, 0).overlaps(&hash(4, 3)));
        assert!(hash(4, 3).holds(&[Value::Int4(0)], || 7));
    }
}
