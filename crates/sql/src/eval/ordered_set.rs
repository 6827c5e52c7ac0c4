//! Ordered-set aggregates (PostgreSQL 9.21, table 9.61): over values that come in order.

use super::date_arithmetic;
use crate::{
    Error, Result, SqlState,
    bound::AggregateFunction,
    types::{Interval, Value},
};

/// The state of an ordered-set aggregate.
#[derive(Clone, Debug)]
pub(super) enum OrderedSet {
    /// The most frequent value, the first of several.
    Mode {
        current: Value,
        count: u64,
        best: Value,
        best_count: u64,
    },
    /// A percentile of the values.
    Percentile {
        values: Vec<Value>,
        fraction: Value,
        continuous: bool,
    },
}

impl OrderedSet {
    /// The state of no rows; `None`: not such an aggregate.
    pub(super) fn new(function: AggregateFunction) -> Option<OrderedSet> {
        match function {
            AggregateFunction::Mode => Some(OrderedSet::Mode {
                current: Value::Null,
                count: 0,
                best: Value::Null,
                best_count: 0,
            }),
            AggregateFunction::PercentileCont | AggregateFunction::PercentileDisc => {
                Some(OrderedSet::Percentile {
                    values: Vec::new(),
                    fraction: Value::Null,
                    continuous: function == AggregateFunction::PercentileCont,
                })
            }
            _ => None,
        }
    }

    /// Takes in the next value.
    pub(super) fn update(&mut self, arguments: &[Value]) {
        let Some(value) = arguments.first() else {
            return;
        };
        match self {
            OrderedSet::Mode {
                current,
                count,
                best,
                best_count,
            } => {
                if current.compare(value).is_eq() && !current.is_null() {
                    *count += 1;
                } else {
                    *current = value.clone();
                    *count = 1;
                }
                if *count > *best_count {
                    *best = current.clone();
                    *best_count = *count;
                }
            }
            OrderedSet::Percentile {
                values, fraction, ..
            } => {
                values.push(value.clone());
                if let Some(given) = arguments.get(1) {
                    *fraction = given.clone();
                }
            }
        }
    }

    /// The aggregate's value.
    pub(super) fn finish(self) -> Result<Value> {
        let (values, fraction, continuous) = match self {
            OrderedSet::Mode { best, .. } => return Ok(best),
            OrderedSet::Percentile {
                values,
                fraction,
                continuous,
            } => (values, fraction, continuous),
        };
        let Value::Float8(fraction) = fraction else {
            return Ok(Value::Null);
        };
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("percentile value {fraction} is not between 0 and 1"),
            ));
        }
        let at = |place: f64| values.get(place as usize).cloned().unwrap_or(Value::Null);
        if !continuous {
            let place = (fraction * values.len() as f64).ceil();
            return Ok(at((place - 1.0).max(0.0)));
        }
        let place = fraction * values.len().saturating_sub(1) as f64;
        let (low, high) = (at(place.floor()), at(place.ceil()));
        let part = place - place.floor();
        Ok(match (low, high) {
            (low, _) if part == 0.0 => low,
            (Value::Float8(low), Value::Float8(high)) => Value::Float8(low + (high - low) * part),
            (Value::Interval(low), Value::Interval(high)) => {
                Value::Interval(between(&low, &high, part)?)
            }
            (low, _) => low,
        })
    }

    /// Bytes on the heap.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            OrderedSet::Mode { .. } => 0,
            OrderedSet::Percentile { values, .. } => {
                values.capacity() * size_of::<Value>()
                    + values.iter().map(Value::heap_size).sum::<usize>()
            }
        }
    }
}

/// `low + (high - low) * part`.
fn between(low: &Interval, high: &Interval, part: f64) -> Result<Interval> {
    let distance = date_arithmetic::add_intervals(high, &date_arithmetic::negated(low)?)?;
    date_arithmetic::add_intervals(low, &date_arithmetic::scale_interval(&distance, part)?)
}
