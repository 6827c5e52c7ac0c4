//! Sums, averages and extremes of numerics in the fixed form (see [`crate::vector::decimal`]).

use arrow_array::{Array, ArrayRef};

use crate::{
    Decimal, Result, Value,
    bound::{AggregateCall, AggregateFunction as F},
    eval::Accumulator,
    vector::decimal,
};

/// One number by group: for as long as all values have one scale and their sums fit 128 bits.
pub(crate) struct DecimalStates {
    call: Box<AggregateCall>,
    digits: Vec<i128>,
    counts: Vec<i64>,
    /// `None`: no value has been seen.
    scale: Option<u16>,
}

impl DecimalStates {
    /// Whether there is such a state for an aggregate of numerics.
    pub(crate) fn handles(function: F) -> bool {
        matches!(function, F::Sum | F::Avg | F::Min | F::Max)
    }

    /// No groups yet.
    pub(crate) fn new(call: &AggregateCall) -> DecimalStates {
        DecimalStates {
            call: Box::new(call.clone()),
            digits: Vec::new(),
            counts: Vec::new(),
            scale: None,
        }
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.digits.len()
    }

    /// Makes states for groups up to `groups`.
    pub(crate) fn resize(&mut self, groups: usize) {
        self.digits.resize(groups, 0);
        self.counts.resize(groups, 0);
    }

    /// Puts `number`, which stands for `count` values, to those of a group; false, and nothing
    /// done, where it does not fit.
    #[inline]
    fn combine(&mut self, group: usize, number: i128, count: i64) -> bool {
        let (digits, counted) = (&mut self.digits[group], &mut self.counts[group]);
        *digits = match self.call.function {
            F::Min if *counted > 0 => number.min(*digits),
            F::Max if *counted > 0 => number.max(*digits),
            F::Min | F::Max => number,
            _ => match digits.checked_add(number) {
                Some(sum) => sum,
                None => return false,
            },
        };
        *counted += count;
        true
    }

    /// Takes in rows. Where they do not fit, answers how many rows it has taken in.
    pub(crate) fn update(&mut self, array: &ArrayRef, groups: &[u32]) -> Result<(), usize> {
        if array.null_count() == array.len() {
            return Ok(());
        }
        let (numbers, scale) = decimal::fixed(array).ok_or(0_usize)?;
        if *self.scale.get_or_insert(scale) != scale {
            return Err(0);
        }
        let nulls = numbers.nulls();
        for (at, (group, number)) in groups.iter().zip(numbers.values()).enumerate() {
            let counts = nulls.is_none_or(|nulls| nulls.is_valid(at));
            if counts && !self.combine(*group as usize, *number, 1) {
                return Err(at);
            }
        }
        Ok(())
    }

    /// The aggregate.
    pub(crate) fn call(&self) -> &AggregateCall {
        &self.call
    }

    /// Whether the states of another thread can be added.
    pub(crate) fn takes(&self, other: &DecimalStates) -> bool {
        let one_scale = match (self.scale, other.scale) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        let largest = |states: &DecimalStates| {
            let magnitudes = states.digits.iter().map(|digits| digits.unsigned_abs());
            magnitudes.max().unwrap_or_default()
        };
        let sum = largest(self).checked_add(largest(other));
        one_scale && sum.is_some_and(|sum| sum <= i128::MAX.unsigned_abs())
    }

    /// Adds the states of another thread, which fit; its group `i` is group `places[i]` here.
    pub(crate) fn merge(&mut self, other: DecimalStates, places: &[u32]) {
        self.scale = self.scale.or(other.scale);
        let others = other.digits.into_iter().zip(other.counts);
        for (place, (digits, count)) in places.iter().zip(others) {
            if count > 0 {
                self.combine(*place as usize, digits, count);
            }
        }
    }

    /// The states as the row executor has them.
    pub(crate) fn into_rows(self) -> Result<Vec<Accumulator>> {
        let scale = self.scale.unwrap_or_default();
        self.digits
            .into_iter()
            .zip(self.counts)
            .map(|(digits, count)| {
                Accumulator::of_decimals(&self.call, Decimal::from_i128(digits, scale), count)
            })
            .collect()
    }

    /// The values of all groups.
    pub(crate) fn values(self) -> impl Iterator<Item = Result<Value>> {
        let scale = self.scale.unwrap_or_default();
        let is_average = self.call.function == F::Avg;
        self.digits
            .into_iter()
            .zip(self.counts)
            .map(move |(digits, count)| {
                let number = Decimal::from_i128(digits, scale);
                Ok(match count {
                    0 => Value::Null,
                    _ if is_average => Value::Decimal(number.checked_div(&Decimal::from(count))?),
                    _ => Value::Decimal(number),
                })
            })
    }
}
