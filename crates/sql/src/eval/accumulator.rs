//! The state of an aggregate over one group.

use compact_str::CompactString;

use super::{
    arithmetic::{out_of_range, overflow},
    check_length, date_arithmetic, internal,
    node::Collation,
    ordered_set::OrderedSet,
    regression::Regression,
    variance::{Measure, Variance},
};
use crate::{
    Error, Result, SqlState,
    bound::{AggregateCall, AggregateFunction},
    types::{DataType, Decimal, Interval, Json, Value, write_json_string},
};

/// The state of one aggregate over one group.
///
/// FILTER and DISTINCT are the caller's: it gives to [`Accumulator::update`] the arguments of
/// the rows that count, each distinct combination once. Partial states of the same call
/// [`merge`](Accumulator::merge) into one, except where DISTINCT would need to see both.
#[derive(Clone, Debug)]
pub struct Accumulator(State);

#[derive(Clone, Debug)]
enum State {
    CountStar(i64),
    Count(i64),
    /// `sum` of integers up to 32 bits: `bigint`.
    SumInt {
        sum: i64,
        any: bool,
    },
    /// `sum` of `bigint`: `numeric`.
    SumBig {
        sum: i128,
        any: bool,
    },
    SumFloat4(Option<f32>),
    SumFloat8(Option<f64>),
    SumDecimal(Option<Decimal>),
    SumInterval(Option<Interval>),
    AvgInt {
        sum: i128,
        count: i64,
    },
    AvgDecimal {
        sum: Decimal,
        count: i64,
    },
    AvgFloat {
        sum: f64,
        count: i64,
    },
    AvgInterval {
        sum: Interval,
        count: i64,
    },
    Extreme {
        best: Value,
        collation: Collation,
        greatest: bool,
    },
    Every(Option<bool>),
    Any(Option<bool>),
    /// `string_agg` of text, or of `bytea`.
    Strings(Option<CompactString>),
    Bytes(Option<Vec<u8>>),
    Variance(Box<Variance>),
    Regression(Box<Regression>),
    /// `array_agg`; NULL elements count.
    List(Vec<Value>),
    /// The JSON aggregates: the text so far; their arguments come as `json`.
    Json {
        text: Option<String>,
        object: bool,
        binary: bool,
    },
    Bits {
        value: Value,
        function: AggregateFunction,
    },
    OrderedSet(Box<OrderedSet>),
    /// Over an untyped NULL.
    Null,
}

fn unsupported(call: &AggregateCall, argument: DataType) -> Error {
    Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {:?}({argument}) does not exist", call.function),
    )
}

#[cold]
fn mismatch(value: &Value) -> Error {
    internal(format!(
        "an aggregate got a value of type {:?}",
        value.data_type()
    ))
}

impl Accumulator {
    /// The state of no rows.
    ///
    /// # Errors
    /// 42883 where the aggregate is not defined for its arguments' types.
    pub fn new(call: &AggregateCall) -> Result<Accumulator> {
        use AggregateFunction as F;
        use DataType as T;
        let argument = call
            .arguments
            .first()
            .map_or(DataType::Unknown, |argument| argument.data_type);
        if let Some(state) = OrderedSet::new(call) {
            return Ok(Accumulator(State::OrderedSet(Box::new(state))));
        }
        let state = match (call.function, argument) {
            (F::CountStar, _) => State::CountStar(0),
            (F::Count, _) => State::Count(0),
            (F::Min | F::Max, _) => State::Extreme {
                best: Value::Null,
                collation: Collation::of(argument),
                greatest: call.function == F::Max,
            },
            (F::ArrayAgg, _) => State::List(Vec::new()),
            (F::JsonAgg | F::JsonbAgg | F::JsonObjectAgg | F::JsonbObjectAgg, _) => State::Json {
                text: None,
                object: matches!(call.function, F::JsonObjectAgg | F::JsonbObjectAgg),
                binary: matches!(call.function, F::JsonbAgg | F::JsonbObjectAgg),
            },
            (F::BitAnd | F::BitOr | F::BitXor, integer) if integer.is_integer() => State::Bits {
                value: Value::Null,
                function: call.function,
            },
            (F::Regression(measure), _) => State::Regression(Box::new(Regression::new(measure))),
            (_, T::Unknown) => State::Null,
            (F::Sum, T::Int1 | T::Int2 | T::Int4) => State::SumInt { sum: 0, any: false },
            (F::Sum, T::Int8) => State::SumBig { sum: 0, any: false },
            (F::Sum, T::Float4) => State::SumFloat4(None),
            (F::Sum, T::Float8) => State::SumFloat8(None),
            (F::Sum, T::Decimal(_)) => State::SumDecimal(None),
            (F::Sum, T::Interval) => State::SumInterval(None),
            (F::Avg, T::Int1 | T::Int2 | T::Int4 | T::Int8) => State::AvgInt { sum: 0, count: 0 },
            (F::Avg, T::Float4 | T::Float8) => State::AvgFloat { sum: 0.0, count: 0 },
            (F::Avg, T::Decimal(_)) => State::AvgDecimal {
                sum: Decimal::ZERO,
                count: 0,
            },
            (F::Avg, T::Interval) => State::AvgInterval {
                sum: Interval::default(),
                count: 0,
            },
            (F::BoolAnd, T::Boolean) => State::Every(None),
            (F::BoolOr, T::Boolean) => State::Any(None),
            (F::StringAgg, T::Bytea) => State::Bytes(None),
            (F::StringAgg, text) if text.is_string() => State::Strings(None),
            (F::StddevPop | F::StddevSamp | F::VarPop | F::VarSamp, number)
                if number.is_numeric() =>
            {
                let (root, sample) = match call.function {
                    F::StddevPop => (true, false),
                    F::StddevSamp => (true, true),
                    F::VarPop => (false, false),
                    _ => (false, true),
                };
                State::Variance(Box::new(Variance::new(number, Measure { root, sample })))
            }
            _ => return Err(unsupported(call, argument)),
        };
        Ok(Accumulator(state))
    }

    /// The state after `count` numerics that come to `number`: their sum for `sum` and `avg`, the
    /// one looked for by `min` and `max`.
    pub(crate) fn of_decimals(
        call: &AggregateCall,
        number: Decimal,
        count: i64,
    ) -> Result<Accumulator> {
        let mut state = Accumulator::new(call)?;
        if count > 0 {
            match &mut state.0 {
                State::SumDecimal(sum) => *sum = Some(number),
                State::AvgDecimal { sum, count: of } => (*sum, *of) = (number, count),
                State::Extreme { best, .. } => *best = Value::Decimal(number),
                _ => return Err(internal("an aggregate is not one of numerics")),
            }
        }
        Ok(state)
    }

    /// Takes in the arguments of one row. NULLs do not count, except for `count(*)`.
    ///
    /// # Errors
    /// 22003 where a sum leaves its type's range; 54000 for a string too long.
    pub fn update(&mut self, arguments: &[Value]) -> Result<()> {
        if let State::CountStar(count) = &mut self.0 {
            *count += 1;
            return Ok(());
        }
        let Some(value) = arguments.first() else {
            return Err(internal("an aggregate got no argument"));
        };
        match &mut self.0 {
            State::List(values) => {
                values.push(value.clone());
                return Ok(());
            }
            State::Json { text, object, .. } => return add_json(text, *object, arguments),
            State::Regression(state) => return state.update(arguments),
            State::OrderedSet(state) if state.counts_nulls() => {
                state.update(arguments);
                return Ok(());
            }
            _ => {}
        }
        if value.is_null() {
            return Ok(());
        }
        match (&mut self.0, value) {
            (State::Bits { value, function }, number) => {
                *value = combine_bits(*function, value, number)?;
            }
            (State::Count(count), _) => *count += 1,
            (State::SumInt { sum, any }, value) => {
                let number = value.as_integer().ok_or_else(|| mismatch(value))?;
                *sum = sum
                    .checked_add(number)
                    .ok_or_else(|| out_of_range("bigint"))?;
                *any = true;
            }
            (State::SumBig { sum, any }, value) => {
                // 2^64 rows of the largest value fit.
                *sum += i128::from(value.as_integer().ok_or_else(|| mismatch(value))?);
                *any = true;
            }
            (State::AvgInt { sum, count }, value) => {
                *sum += i128::from(value.as_integer().ok_or_else(|| mismatch(value))?);
                *count += 1;
            }
            (State::SumFloat8(sum), Value::Float8(number)) => {
                *sum = Some(add_floats(sum.unwrap_or(0.0), *number)?);
            }
            (State::SumFloat4(sum), Value::Float4(number)) => {
                let total = sum.unwrap_or(0.0) + number;
                if total.is_infinite() && number.is_finite() && sum.is_none_or(f32::is_finite) {
                    return Err(overflow());
                }
                *sum = Some(total);
            }
            (State::AvgFloat { sum, count }, Value::Float8(number)) => {
                *sum = add_floats(*sum, *number)?;
                *count += 1;
            }
            (State::AvgFloat { sum, count }, Value::Float4(number)) => {
                *sum = add_floats(*sum, f64::from(*number))?;
                *count += 1;
            }
            (State::SumDecimal(sum), Value::Decimal(number)) => {
                *sum = Some(match sum {
                    Some(sum) => sum.checked_add(number)?,
                    None => number.clone(),
                });
            }
            (State::AvgDecimal { sum, count }, Value::Decimal(number)) => {
                *sum = sum.checked_add(number)?;
                *count += 1;
            }
            (State::SumInterval(sum), Value::Interval(interval)) => {
                *sum = Some(match sum {
                    Some(sum) => date_arithmetic::add_intervals(sum, interval)?,
                    None => *interval,
                });
            }
            (State::AvgInterval { sum, count }, Value::Interval(interval)) => {
                *sum = date_arithmetic::add_intervals(sum, interval)?;
                *count += 1;
            }
            (
                State::Extreme {
                    best,
                    collation,
                    greatest,
                },
                value,
            ) => {
                let better = best.is_null() || {
                    let ordering = collation.compare(value, best);
                    if *greatest {
                        ordering.is_gt()
                    } else {
                        ordering.is_lt()
                    }
                };
                if better {
                    *best = value.clone();
                }
            }
            (State::Every(all), Value::Boolean(truth)) => {
                *all = Some(all.unwrap_or(true) && *truth);
            }
            (State::Any(any), Value::Boolean(truth)) => {
                *any = Some(any.unwrap_or(false) || *truth);
            }
            (State::Strings(joined), Value::Text(text)) => match joined {
                None => *joined = Some(text.clone()),
                Some(joined) => {
                    let delimiter = arguments.get(1).and_then(Value::as_text).unwrap_or("");
                    check_length(
                        joined
                            .len()
                            .checked_add(delimiter.len())
                            .and_then(|bytes| bytes.checked_add(text.len())),
                    )?;
                    joined.push_str(delimiter);
                    joined.push_str(text);
                }
            },
            (State::Bytes(joined), Value::Bytea(bytes)) => match joined {
                None => *joined = Some(bytes.clone()),
                Some(joined) => {
                    let delimiter: &[u8] = match arguments.get(1) {
                        Some(Value::Bytea(delimiter)) => delimiter,
                        _ => &[],
                    };
                    check_length(
                        joined
                            .len()
                            .checked_add(delimiter.len())
                            .and_then(|length| length.checked_add(bytes.len())),
                    )?;
                    joined.extend_from_slice(delimiter);
                    joined.extend_from_slice(bytes);
                }
            },
            (State::Variance(variance), value) => variance.update(value)?,
            (State::OrderedSet(state), _) => state.update(arguments),
            (_, value) => return Err(mismatch(value)),
        }
        Ok(())
    }

    /// Takes in the rows of another state of the same call. `string_agg` appends them without
    /// the delimiter between the two parts being known: it cannot be merged.
    ///
    /// # Errors
    /// As [`Accumulator::update`]; XX000 for states of different calls and for `string_agg`.
    pub fn merge(&mut self, other: Accumulator) -> Result<()> {
        match (&mut self.0, other.0) {
            (State::CountStar(count), State::CountStar(more))
            | (State::Count(count), State::Count(more)) => *count += more,
            (
                State::SumInt { sum, any },
                State::SumInt {
                    sum: more,
                    any: more_any,
                },
            ) => {
                *sum = sum
                    .checked_add(more)
                    .ok_or_else(|| out_of_range("bigint"))?;
                *any |= more_any;
            }
            (
                State::SumBig { sum, any },
                State::SumBig {
                    sum: more,
                    any: more_any,
                },
            ) => {
                *sum += more;
                *any |= more_any;
            }
            (
                State::AvgInt { sum, count },
                State::AvgInt {
                    sum: more,
                    count: more_count,
                },
            ) => {
                *sum += more;
                *count += more_count;
            }
            (State::SumFloat8(sum), State::SumFloat8(Some(more))) => {
                *sum = Some(add_floats(sum.unwrap_or(0.0), more)?);
            }
            (State::SumFloat4(_), State::SumFloat4(Some(more))) => {
                return self.update(&[Value::Float4(more)]);
            }
            (
                State::AvgFloat { sum, count },
                State::AvgFloat {
                    sum: more,
                    count: more_count,
                },
            ) => {
                *sum = add_floats(*sum, more)?;
                *count += more_count;
            }
            (
                State::AvgDecimal { sum, count },
                State::AvgDecimal {
                    sum: more,
                    count: more_count,
                },
            ) => {
                *sum = sum.checked_add(&more)?;
                *count += more_count;
            }
            (
                State::AvgInterval { sum, count },
                State::AvgInterval {
                    sum: more,
                    count: more_count,
                },
            ) => {
                *sum = date_arithmetic::add_intervals(sum, &more)?;
                *count += more_count;
            }
            (State::SumDecimal(_), State::SumDecimal(Some(more))) => {
                return self.update(&[Value::Decimal(more)]);
            }
            (State::SumInterval(_), State::SumInterval(Some(more))) => {
                return self.update(&[Value::Interval(more)]);
            }
            (State::Extreme { .. }, State::Extreme { best, .. }) => {
                return self.update(&[best]);
            }
            (State::Every(_), State::Every(Some(truth)))
            | (State::Any(_), State::Any(Some(truth))) => {
                return self.update(&[Value::Boolean(truth)]);
            }
            (State::Variance(variance), State::Variance(more)) => variance.merge(&more)?,
            (State::Regression(state), State::Regression(more)) => state.merge(&more)?,
            (State::Bits { .. }, State::Bits { value, .. }) => return self.update(&[value]),
            (State::SumFloat8(_), State::SumFloat8(None))
            | (State::SumFloat4(_), State::SumFloat4(None))
            | (State::SumDecimal(_), State::SumDecimal(None))
            | (State::SumInterval(_), State::SumInterval(None))
            | (State::Every(_), State::Every(None))
            | (State::Any(_), State::Any(None))
            | (State::Null, State::Null) => {}
            _ => return Err(internal("states of different aggregates cannot be merged")),
        }
        Ok(())
    }

    /// The aggregate's value.
    ///
    /// # Errors
    /// 22003 where it leaves its type's range.
    pub fn finish(self) -> Result<Value> {
        Ok(match self.0 {
            State::CountStar(count) | State::Count(count) => Value::Int8(count),
            State::SumInt { sum, any: true } => Value::Int8(sum),
            State::SumBig { sum, any: true } => Value::Decimal(Decimal::from(sum)),
            State::SumInt { .. } | State::SumBig { .. } | State::Null => Value::Null,
            State::SumFloat4(sum) => sum.map_or(Value::Null, Value::Float4),
            State::SumFloat8(sum) => sum.map_or(Value::Null, Value::Float8),
            State::SumDecimal(sum) => sum.map_or(Value::Null, Value::Decimal),
            State::SumInterval(sum) => sum.map_or(Value::Null, Value::Interval),
            State::AvgInt { count: 0, .. }
            | State::AvgDecimal { count: 0, .. }
            | State::AvgFloat { count: 0, .. }
            | State::AvgInterval { count: 0, .. } => Value::Null,
            State::AvgInt { sum, count } => {
                Value::Decimal(Decimal::from(sum).checked_div(&Decimal::from(count))?)
            }
            State::AvgDecimal { sum, count } => {
                Value::Decimal(sum.checked_div(&Decimal::from(count))?)
            }
            State::AvgFloat { sum, count } => Value::Float8(sum / count as f64),
            State::AvgInterval { sum, count } => {
                Value::Interval(date_arithmetic::divide_interval(&sum, count as f64)?)
            }
            State::Extreme { best, .. } => best,
            State::Every(truth) | State::Any(truth) => truth.map_or(Value::Null, Value::Boolean),
            State::Strings(joined) => joined.map_or(Value::Null, Value::Text),
            State::Bytes(joined) => joined.map_or(Value::Null, Value::Bytea),
            State::Variance(variance) => variance.finish()?,
            State::Regression(state) => state.finish(),
            State::List(values) if values.is_empty() => Value::Null,
            State::List(values) => super::functions::array_of(&values)?,
            State::Json { text: None, .. } => Value::Null,
            State::Json {
                text: Some(mut text),
                object,
                binary,
            } => {
                text.push_str(if object { " }" } else { "]" });
                if binary {
                    Value::Jsonb(Box::new(Json::parse(&text)?))
                } else {
                    Value::Json(text.into())
                }
            }
            State::Bits { value, .. } => value,
            State::OrderedSet(state) => state.finish()?,
        })
    }

    /// Bytes on the heap, for memory accounting.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            State::Strings(Some(text)) if text.is_heap_allocated() => text.capacity(),
            State::Bytes(Some(bytes)) => bytes.capacity(),
            State::Extreme { best, .. } => best.heap_size(),
            State::Variance(_) => size_of::<Variance>(),
            State::Regression(_) => size_of::<Regression>(),
            State::List(values) => values
                .iter()
                .map(|value| size_of::<Value>() + value.heap_size())
                .sum(),
            State::Json {
                text: Some(text), ..
            } => text.capacity(),
            State::OrderedSet(state) => size_of::<OrderedSet>() + state.heap_size(),
            _ => 0,
        }
    }
}

/// Appends an element, or a key and a value, to the text of an array or object.
fn add_json(text: &mut Option<String>, object: bool, arguments: &[Value]) -> Result<()> {
    let started = text.is_some();
    let text = text.get_or_insert_default();
    text.push_str(match (started, object) {
        (true, _) => ", ",
        (false, true) => "{ ",
        (false, false) => "[",
    });
    let value = if object {
        let [Value::Text(key), value] = arguments else {
            return Err(match arguments {
                [Value::Null, _] => Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "field name must not be null",
                ),
                _ => internal("a JSON aggregate got no key"),
            });
        };
        // Writing to a String does not fail.
        let _ = write_json_string(text, key);
        text.push_str(" : ");
        value
    } else {
        arguments.first().unwrap_or(&Value::Null)
    };
    match value {
        Value::Json(json) => text.push_str(json),
        Value::Null => text.push_str("null"),
        other => return Err(mismatch(other)),
    }
    check_length(Some(text.len())).map(drop)
}

fn combine_bits(function: AggregateFunction, so_far: &Value, number: &Value) -> Result<Value> {
    use AggregateFunction as F;
    if so_far.is_null() {
        return Ok(number.clone());
    }
    macro_rules! combined {
        ($kind:ident, $left:expr, $right:expr) => {
            Value::$kind(match function {
                F::BitAnd => $left & $right,
                F::BitOr => $left | $right,
                _ => $left ^ $right,
            })
        };
    }
    Ok(match (so_far, number) {
        (Value::Int1(left), Value::Int1(right)) => combined!(Int1, left, right),
        (Value::Int2(left), Value::Int2(right)) => combined!(Int2, left, right),
        (Value::Int4(left), Value::Int4(right)) => combined!(Int4, left, right),
        (Value::Int8(left), Value::Int8(right)) => combined!(Int8, left, right),
        (_, other) => return Err(mismatch(other)),
    })
}

fn add_floats(sum: f64, number: f64) -> Result<f64> {
    let total = sum + number;
    if total.is_infinite() && sum.is_finite() && number.is_finite() {
        return Err(overflow());
    }
    Ok(total)
}
