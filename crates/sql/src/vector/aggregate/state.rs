//! The states of one aggregate over all groups, side by side.
//!
//! Counts, sums and averages of numbers, extremes of integers and numerics have typed states; the others
//! use the row executor's [`Accumulator`]. Both give the same values to the last digit, save
//! that partial sums of floats are added in another order.

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Float64Type, Int8Type, Int16Type, Int32Type, Int64Type},
};

use crate::{
    DataType, Decimal, Error, Result, SqlState, Value,
    bound::{AggregateCall, AggregateFunction as F},
    eval::Accumulator,
    vector::{
        aggregate::decimal_state::DecimalStates,
        batch::Batch,
        convert::{ColumnBuilder, value_at},
    },
};

/// States by group number.
pub(crate) enum States {
    Count(Vec<i64>),
    /// `sum` of integers below 64 bits. A sum of 2^32 of them fits, and rows are counted, so
    /// that what leaves 64 bits is seen.
    SumInt {
        sums: Vec<i64>,
        any: Vec<bool>,
    },
    /// `sum` of bigint, and averages of integers.
    Wide {
        sums: Vec<i128>,
        counts: Vec<i64>,
        average: bool,
    },
    Float {
        sums: Vec<f64>,
        counts: Vec<i64>,
        average: bool,
    },
    Extreme {
        best: Vec<i64>,
        any: Vec<bool>,
        greatest: bool,
        data_type: DataType,
    },
    Decimal(DecimalStates),
    Rows {
        call: Box<AggregateCall>,
        states: Vec<Accumulator>,
    },
}

#[cold]
fn out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")
}

#[cold]
fn overflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: overflow",
    )
}

#[inline]
fn add_floats(sum: f64, number: f64) -> Result<f64> {
    let total = sum + number;
    if total.is_infinite() && sum.is_finite() && number.is_finite() {
        return Err(overflow());
    }
    Ok(total)
}

/// Calls `visit` with the group and value of every row that is not NULL.
macro_rules! each {
    ($array:expr, $type:ty, $groups:expr, |$group:ident, $value:ident| $body:expr) => {{
        let array = $array.as_primitive::<$type>();
        let values = array.values();
        match array.nulls() {
            None => {
                for (group, value) in $groups.iter().zip(values.iter()) {
                    let ($group, $value) = (*group as usize, *value);
                    $body
                }
            }
            Some(nulls) => {
                for (at, (group, value)) in $groups.iter().zip(values.iter()).enumerate() {
                    if nulls.is_valid(at) {
                        let ($group, $value) = (*group as usize, *value);
                        $body
                    }
                }
            }
        }
    }};
}

macro_rules! each_integer {
    ($array:expr, $data_type:expr, $groups:expr, |$group:ident, $value:ident| $body:expr) => {
        match $data_type {
            DataType::Int1 => each!($array, Int8Type, $groups, |$group, $value| $body),
            DataType::Int2 => each!($array, Int16Type, $groups, |$group, $value| $body),
            DataType::Int4 => each!($array, Int32Type, $groups, |$group, $value| $body),
            _ => each!($array, Int64Type, $groups, |$group, $value| $body),
        }
    };
}

impl States {
    /// No groups yet.
    pub(crate) fn new(call: &AggregateCall) -> States {
        use DataType as T;
        let argument = call.arguments.first().map_or(T::Unknown, |of| of.data_type);
        match (call.function, argument) {
            (F::CountStar | F::Count, _) => States::Count(Vec::new()),
            (F::Sum, T::Int1 | T::Int2 | T::Int4) => States::SumInt {
                sums: Vec::new(),
                any: Vec::new(),
            },
            (F::Sum, T::Int8) => States::Wide {
                sums: Vec::new(),
                counts: Vec::new(),
                average: false,
            },
            (F::Avg, T::Int1 | T::Int2 | T::Int4 | T::Int8) => States::Wide {
                sums: Vec::new(),
                counts: Vec::new(),
                average: true,
            },
            (F::Sum | F::Avg, T::Float8) => States::Float {
                sums: Vec::new(),
                counts: Vec::new(),
                average: call.function == F::Avg,
            },
            (F::Min | F::Max, T::Int1 | T::Int2 | T::Int4 | T::Int8) => States::Extreme {
                best: Vec::new(),
                any: Vec::new(),
                greatest: call.function == F::Max,
                data_type: argument,
            },
            (function, T::Decimal(_)) if DecimalStates::handles(function) => {
                States::Decimal(DecimalStates::new(call))
            }
            _ => States::Rows {
                call: Box::new(call.clone()),
                states: Vec::new(),
            },
        }
    }

    /// Makes states for groups up to `groups`.
    pub(crate) fn resize(&mut self, groups: usize) -> Result<()> {
        match self {
            States::Count(counts) => counts.resize(groups, 0),
            States::SumInt { sums, any } => {
                sums.resize(groups, 0);
                any.resize(groups, false);
            }
            States::Wide { sums, counts, .. } => {
                sums.resize(groups, 0);
                counts.resize(groups, 0);
            }
            States::Float { sums, counts, .. } => {
                sums.resize(groups, 0.0);
                counts.resize(groups, 0);
            }
            States::Extreme { best, any, .. } => {
                best.resize(groups, 0);
                any.resize(groups, false);
            }
            States::Decimal(states) => states.resize(groups),
            States::Rows { call, states } => {
                if groups > states.len() {
                    let fresh = Accumulator::new(call)?;
                    states.resize(groups, fresh);
                }
            }
        }
        Ok(())
    }

    /// Takes in rows: `groups[i]` is the group of row `i` of `arguments`.
    #[expect(
        clippy::useless_conversion,
        reason = "one text for integers of all widths"
    )]
    pub(crate) fn update(
        &mut self,
        arguments: &Batch,
        types: &[DataType],
        groups: &[u32],
    ) -> Result<()> {
        let argument = arguments.columns.first();
        if let (States::Decimal(states), Some(array)) = (&mut *self, argument) {
            let Err(done) = states.update(array, groups) else {
                return Ok(());
            };
            self.go_on_in_rows()?;
            return self.update_rows(arguments, types, groups, done);
        }
        if let States::Rows { .. } = self {
            return self.update_rows(arguments, types, groups, 0);
        }
        let data_type = types.first().copied().unwrap_or(DataType::Unknown);
        match (self, argument) {
            (States::Count(counts), None) => {
                for group in groups {
                    counts[*group as usize] += 1;
                }
            }
            (States::Count(counts), Some(array)) => match array.nulls() {
                None => {
                    for group in groups {
                        counts[*group as usize] += 1;
                    }
                }
                Some(nulls) => {
                    for (group, valid) in groups.iter().zip(nulls) {
                        counts[*group as usize] += i64::from(valid);
                    }
                }
            },
            (States::SumInt { sums, any }, Some(array)) => {
                each_integer!(array, data_type, groups, |group, value| {
                    let sum = &mut sums[group];
                    *sum = sum.checked_add(i64::from(value)).ok_or_else(out_of_range)?;
                    any[group] = true;
                });
            }
            (States::Wide { sums, counts, .. }, Some(array)) => {
                each_integer!(array, data_type, groups, |group, value| {
                    sums[group] += i128::from(value);
                    counts[group] += 1;
                });
            }
            (States::Float { sums, counts, .. }, Some(array)) => {
                each!(array, Float64Type, groups, |group, value| {
                    sums[group] = add_floats(sums[group], value)?;
                    counts[group] += 1;
                });
            }
            (
                States::Extreme {
                    best,
                    any,
                    greatest,
                    ..
                },
                Some(array),
            ) => {
                let greatest = *greatest;
                each_integer!(array, data_type, groups, |group, value| {
                    let value = i64::from(value);
                    let current = &mut best[group];
                    if !any[group] || (value > *current) == greatest && value != *current {
                        *current = value;
                        any[group] = true;
                    }
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes in rows from number `from` on, as the row executor does it.
    fn update_rows(
        &mut self,
        arguments: &Batch,
        types: &[DataType],
        groups: &[u32],
        from: usize,
    ) -> Result<()> {
        let States::Rows { states, .. } = self else {
            return Ok(());
        };
        let mut values = vec![Value::Null; arguments.columns.len()];
        for (at, group) in groups.iter().enumerate().skip(from) {
            for ((value, array), data_type) in values.iter_mut().zip(&arguments.columns).zip(types)
            {
                *value = value_at(array, *data_type, at)?;
            }
            states[*group as usize].update(&values)?;
        }
        Ok(())
    }

    /// Goes on as the row executor does it.
    fn go_on_in_rows(&mut self) -> Result<()> {
        if let States::Decimal(states) = self {
            let call = states.call().clone();
            let states = std::mem::replace(states, DecimalStates::new(&call)).into_rows()?;
            *self = States::Rows {
                call: Box::new(call),
                states,
            };
        }
        Ok(())
    }

    /// Takes in other states: `groups[i]` is the group here of the other's group `i`.
    pub(crate) fn merge(&mut self, other: States, groups: &[u32]) -> Result<()> {
        let places = || groups.iter().map(|group| *group as usize);
        let mut other = other;
        if let (States::Decimal(_), States::Rows { .. }) = (&*self, &other) {
            self.go_on_in_rows()?;
        } else if let (States::Rows { .. }, States::Decimal(_)) = (&*self, &other) {
            other.go_on_in_rows()?;
        }
        if let (States::Decimal(states), States::Decimal(more)) = (&mut *self, &other)
            && !states.takes(more)
        {
            self.go_on_in_rows()?;
            other.go_on_in_rows()?;
        }
        match (self, other) {
            (States::Decimal(states), States::Decimal(more)) => states.merge(more, groups),
            (States::Count(counts), States::Count(more)) => {
                for (place, more) in places().zip(more) {
                    counts[place] += more;
                }
            }
            (
                States::SumInt { sums, any },
                States::SumInt {
                    sums: more,
                    any: more_any,
                },
            ) => {
                for (place, (more, more_any)) in places().zip(more.into_iter().zip(more_any)) {
                    sums[place] = sums[place].checked_add(more).ok_or_else(out_of_range)?;
                    any[place] |= more_any;
                }
            }
            (
                States::Wide { sums, counts, .. },
                States::Wide {
                    sums: more,
                    counts: more_counts,
                    ..
                },
            ) => {
                for (place, (more, count)) in places().zip(more.into_iter().zip(more_counts)) {
                    sums[place] += more;
                    counts[place] += count;
                }
            }
            (
                States::Float { sums, counts, .. },
                States::Float {
                    sums: more,
                    counts: more_counts,
                    ..
                },
            ) => {
                for (place, (more, count)) in places().zip(more.into_iter().zip(more_counts)) {
                    sums[place] = add_floats(sums[place], more)?;
                    counts[place] += count;
                }
            }
            (
                States::Extreme {
                    best,
                    any,
                    greatest,
                    ..
                },
                States::Extreme {
                    best: more,
                    any: more_any,
                    ..
                },
            ) => {
                for (place, (more, more_any)) in places().zip(more.into_iter().zip(more_any)) {
                    if more_any
                        && (!any[place] || (more > best[place]) == *greatest && more != best[place])
                    {
                        best[place] = more;
                        any[place] = true;
                    }
                }
            }
            (States::Rows { states, .. }, States::Rows { states: more, .. }) => {
                for (place, more) in places().zip(more) {
                    states[place].merge(more)?;
                }
            }
            _ => {
                return Err(Error::new(
                    SqlState::INTERNAL_ERROR,
                    "states of different aggregates cannot be merged",
                ));
            }
        }
        Ok(())
    }

    /// The values of all groups.
    pub(crate) fn finish(self, data_type: DataType) -> Result<ArrayRef> {
        let groups = self.len();
        let mut builder = ColumnBuilder::new(data_type, groups);
        match self {
            States::Count(counts) => {
                for count in counts {
                    builder.append(&Value::Int8(count))?;
                }
            }
            States::SumInt { sums, any } => {
                for (sum, any) in sums.into_iter().zip(any) {
                    builder.append(&if any { Value::Int8(sum) } else { Value::Null })?;
                }
            }
            States::Wide {
                sums,
                counts,
                average,
            } => {
                for (sum, count) in sums.into_iter().zip(counts) {
                    let value = match (count, average) {
                        (0, _) => Value::Null,
                        (_, false) => Value::Decimal(Decimal::from(sum)),
                        (_, true) => {
                            Value::Decimal(Decimal::from(sum).checked_div(&Decimal::from(count))?)
                        }
                    };
                    builder.append(&value)?;
                }
            }
            States::Float {
                sums,
                counts,
                average,
            } => {
                for (sum, count) in sums.into_iter().zip(counts) {
                    let value = match (count, average) {
                        (0, _) => Value::Null,
                        (_, false) => Value::Float8(sum),
                        (_, true) => Value::Float8(sum / count as f64),
                    };
                    builder.append(&value)?;
                }
            }
            States::Extreme {
                best,
                any,
                data_type,
                ..
            } => {
                for (best, any) in best.into_iter().zip(any) {
                    let value = match data_type {
                        _ if !any => Value::Null,
                        DataType::Int1 => Value::Int1(best as i8),
                        DataType::Int2 => Value::Int2(best as i16),
                        DataType::Int4 => Value::Int4(best as i32),
                        _ => Value::Int8(best),
                    };
                    builder.append(&value)?;
                }
            }
            States::Decimal(states) => {
                for value in states.values() {
                    builder.append(&value?)?;
                }
            }
            States::Rows { states, .. } => {
                for state in states {
                    builder.append(&state.finish()?)?;
                }
            }
        }
        Ok(builder.finish())
    }

    fn len(&self) -> usize {
        match self {
            States::Count(counts) => counts.len(),
            States::SumInt { sums, .. } => sums.len(),
            States::Wide { sums, .. } => sums.len(),
            States::Float { sums, .. } => sums.len(),
            States::Extreme { best, .. } => best.len(),
            States::Decimal(states) => states.len(),
            States::Rows { states, .. } => states.len(),
        }
    }

    /// About how many bytes the states take, without strings that are being put together.
    pub(crate) fn size(&self) -> usize {
        let each = match self {
            States::Count(_) => 8,
            States::SumInt { .. } | States::Extreme { .. } => 9,
            States::Wide { .. } | States::Decimal(_) => 24,
            States::Float { .. } => 16,
            States::Rows { .. } => size_of::<Accumulator>(),
        };
        self.len() * each
    }
}
