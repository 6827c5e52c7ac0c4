//! Ordered-set aggregates (PostgreSQL 9.21, table 9.61): over values that come in order.

use std::cmp::Ordering;

use super::date_arithmetic;
use crate::{
    Error, Result, SqlState,
    bound::{AggregateCall, AggregateFunction, HypotheticalMeasure},
    types::{Interval, Value, compare_sort_keys},
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
    /// Where a row would stand among those that come.
    Hypothetical(Hypothetical),
}

/// Counts rows beside one that is not there.
#[derive(Clone, Debug)]
pub(super) struct Hypothetical {
    measure: HypotheticalMeasure,
    /// Whether each key is descending, and has NULLs first.
    directions: Vec<(bool, bool)>,
    /// All rows.
    rows: u64,
    /// Those before the hypothetical one.
    before: u64,
    /// How many of these differ.
    different: u64,
    /// Those that stand where it would.
    equal: u64,
    /// The keys of the row that came last.
    last: Vec<Value>,
}

impl Hypothetical {
    fn compare(&self, left: &[Value], right: &[Value]) -> Ordering {
        left.iter()
            .zip(right)
            .zip(&self.directions)
            .map(|((left, right), (descending, nulls_first))| {
                compare_sort_keys(left, right, *descending, *nulls_first)
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn update(&mut self, arguments: &[Value]) {
        let (row, hypothetical) = arguments.split_at(self.directions.len().min(arguments.len()));
        self.rows += 1;
        match self.compare(row, hypothetical) {
            Ordering::Less => {
                self.before += 1;
                if self.last.is_empty() || self.compare(&self.last, row).is_ne() {
                    self.different += 1;
                    self.last = row.to_vec();
                }
            }
            Ordering::Equal => self.equal += 1,
            Ordering::Greater => {}
        }
    }

    fn finish(&self) -> Value {
        match self.measure {
            HypotheticalMeasure::Rank => Value::Int8(self.before as i64 + 1),
            HypotheticalMeasure::DenseRank => Value::Int8(self.different as i64 + 1),
            HypotheticalMeasure::PercentRank if self.rows == 0 => Value::Float8(0.0),
            HypotheticalMeasure::PercentRank => {
                Value::Float8(self.before as f64 / self.rows as f64)
            }
            HypotheticalMeasure::CumulativeDistribution => {
                let up_to = self.before + self.equal + 1;
                Value::Float8(up_to as f64 / (self.rows + 1) as f64)
            }
        }
    }
}

impl OrderedSet {
    /// The state of no rows; `None`: not such an aggregate.
    pub(super) fn new(call: &AggregateCall) -> Option<OrderedSet> {
        let function = call.function;
        match function {
            AggregateFunction::Hypothetical(measure) => {
                Some(OrderedSet::Hypothetical(Hypothetical {
                    measure,
                    directions: call
                        .order_by
                        .iter()
                        .map(|key| (key.descending, key.nulls_first))
                        .collect(),
                    rows: 0,
                    before: 0,
                    different: 0,
                    equal: 0,
                    last: Vec::new(),
                }))
            }
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

    /// Whether rows with a NULL key count.
    pub(super) fn counts_nulls(&self) -> bool {
        matches!(self, OrderedSet::Hypothetical(_))
    }

    /// Takes in the next value.
    pub(super) fn update(&mut self, arguments: &[Value]) {
        let Some(value) = arguments.first() else {
            return;
        };
        match self {
            OrderedSet::Hypothetical(state) => state.update(arguments),
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
            OrderedSet::Hypothetical(state) => return Ok(state.finish()),
            OrderedSet::Mode { best, .. } => return Ok(best),
            OrderedSet::Percentile {
                values,
                fraction,
                continuous,
            } => (values, fraction, continuous),
        };
        match fraction {
            Value::Float8(fraction) => percentile(&values, fraction, continuous),
            Value::Array(fractions) if !values.is_empty() => Ok(Value::Array(Box::new(
                fractions.map(|fraction| match fraction {
                    Value::Float8(fraction) => percentile(&values, fraction, continuous),
                    _ => Ok(Value::Null),
                })?,
            ))),
            _ => Ok(Value::Null),
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            OrderedSet::Mode { .. } => 0,
            OrderedSet::Hypothetical(state) => {
                state.last.iter().map(Value::heap_size).sum::<usize>()
                    + state.last.capacity() * size_of::<Value>()
            }
            OrderedSet::Percentile { values, .. } => {
                values.capacity() * size_of::<Value>()
                    + values.iter().map(Value::heap_size).sum::<usize>()
            }
        }
    }
}

/// The value that such a part of the values, which are in order, does not exceed.
fn percentile(values: &[Value], fraction: f64, continuous: bool) -> Result<Value> {
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

/// `low + (high - low) * part`.
fn between(low: &Interval, high: &Interval, part: f64) -> Result<Interval> {
    let distance = date_arithmetic::add_intervals(high, &date_arithmetic::negated(low)?)?;
    date_arithmetic::add_intervals(low, &date_arithmetic::scale_interval(&distance, part)?)
}
