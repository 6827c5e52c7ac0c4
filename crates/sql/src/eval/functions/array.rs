//! Functions on arrays.

use std::cmp::Ordering;

use super::{Function, function, mismatch};
use crate::{
    Error, Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, check_length},
    types::{
        ARRAY_SUBSCRIPT_ERROR, Array, DataType as T, Dimension, MAX_DIMENSIONS, MAX_ELEMENTS,
        Value, too_many_dimensions,
    },
};

/// Whether a function sees NULL arguments.
pub(super) fn sees_null(function: F) -> bool {
    matches!(
        function,
        F::ArrayBuild
            | F::ArrayAny
            | F::ArrayAll
            | F::ArrayAppend
            | F::ArrayPrepend
            | F::ArrayCat
            | F::ArrayPosition
            | F::ArrayPositions
            | F::ArrayRemove
            | F::ArrayReplace
            | F::ArrayToString
            | F::StringToArray
            | F::ArrayFill
    )
}

fn array(array: Array) -> Value {
    Value::Array(Box::new(array))
}

fn int4(number: impl TryInto<i32>) -> Value {
    number.try_into().map_or(Value::Null, Value::Int4)
}

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    Some(match (function, types.len()) {
        (F::ArrayBuild, _) => build,
        (F::ArrayGet, 2..) => get,
        (F::ArraySlice, 3..) => slice,
        (F::ArrayAny, 3) => |values, _| quantified(values, false),
        (F::ArrayAll, 3) => |values, _| quantified(values, true),
        (F::ArrayAppend, 2) => |values, _| {
            let [list, item] = values else {
                return Err(mismatch(values));
            };
            added(list, item, true)
        },
        (F::ArrayPrepend, 2) => |values, _| {
            let [item, list] = values else {
                return Err(mismatch(values));
            };
            added(list, item, false)
        },
        (F::ArrayCat, 2) => cat,
        (F::ArrayLength, 2) => function!(|Value::Array(list), Value::Int4(at)| {
            dimension(list, *at).map_or(Value::Null, |found| int4(found.length))
        }),
        (F::ArrayLower, 2) => function!(|Value::Array(list), Value::Int4(at)| {
            dimension(list, *at).map_or(Value::Null, |found| Value::Int4(found.lower))
        }),
        (F::ArrayUpper, 2) => function!(|Value::Array(list), Value::Int4(at)| {
            dimension(list, *at).map_or(Value::Null, |found| int4(found.upper()))
        }),
        (F::ArrayNdims, 1) => function!(|Value::Array(list)| {
            match list.dimensions() {
                [] => Value::Null,
                dimensions => int4(dimensions.len()),
            }
        }),
        (F::ArrayDims, 1) => function!(|Value::Array(list)| {
            match list.dimensions() {
                [] => Value::Null,
                dimensions => Value::Text(
                    dimensions
                        .iter()
                        .map(|found| format!("[{}:{}]", found.lower, found.upper()))
                        .collect::<String>()
                        .into(),
                ),
            }
        }),
        (F::Cardinality, 1) => function!(|Value::Array(list)| int4(list.values().len())),
        (F::ArrayPosition, 2 | 3) => position,
        (F::ArrayPositions, 2) => positions,
        (F::ArrayRemove, 2) => remove,
        (F::ArrayReplace, 3) => replace,
        (F::ArrayToString, 2 | 3) => to_string,
        (F::StringToArray, 2 | 3) => of_string,
        (F::ArrayFill, 2 | 3) => fill,
        (F::TrimArray, 2) => trim,
        (F::ArrayContains, 2) => function!(|Value::Array(left), Value::Array(right)| {
            Value::Boolean(contains(left, right))
        }),
        (F::ArrayContained, 2) => function!(|Value::Array(left), Value::Array(right)| {
            Value::Boolean(contains(right, left))
        }),
        (F::ArrayOverlap, 2) => function!(|Value::Array(left), Value::Array(right)| {
            Value::Boolean(left.values().iter().any(|value| holds(right, value)))
        }),
        _ => return None,
    })
}

fn dimension(list: &Array, at: i32) -> Option<Dimension> {
    usize::try_from(at)
        .ok()
        .and_then(|at| at.checked_sub(1))
        .and_then(|at| list.dimensions().get(at))
        .copied()
}

/// Whether a value that is not NULL is among the elements.
fn holds(list: &Array, wanted: &Value) -> bool {
    !wanted.is_null()
        && list
            .values()
            .iter()
            .any(|value| !value.is_null() && value.compare(wanted).is_eq())
}

fn contains(left: &Array, right: &Array) -> bool {
    right.values().iter().all(|value| holds(left, value))
}

fn too_many_elements() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})"),
    )
}

fn with_dimensions(dimensions: &[Dimension], values: Vec<Value>) -> Result<Value> {
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(dimensions.len()));
    }
    Array::with_dimensions(dimensions, values)
        .map(array)
        .ok_or_else(too_many_elements)
}

/// `ARRAY[…]`: of arrays, one with a dimension more.
fn build(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    of_elements(values)
}

pub(super) fn of_elements(values: &[Value]) -> Result<Value> {
    let mut inner: Option<&[Dimension]> = None;
    let mut flat = Vec::with_capacity(values.len());
    let mut nested = 0u32;
    for value in values {
        match value {
            Value::Array(list) => {
                nested += 1;
                if *inner.get_or_insert(list.dimensions()) != list.dimensions() {
                    return Err(Error::new(
                        ARRAY_SUBSCRIPT_ERROR,
                        "multidimensional arrays must have array expressions with matching dimensions",
                    ));
                }
                flat.extend_from_slice(list.values());
            }
            other => flat.push(other.clone()),
        }
    }
    if nested == 0 {
        return Ok(array(Array::new(flat)));
    }
    let mut dimensions = vec![Dimension {
        lower: 1,
        length: nested,
    }];
    dimensions.extend(inner.unwrap_or_default());
    with_dimensions(&dimensions, flat)
}

fn get(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Array(list), subscripts @ ..] = values else {
        return Err(mismatch(values));
    };
    let mut numbers = [0; MAX_DIMENSIONS];
    for (place, subscript) in numbers.iter_mut().zip(subscripts) {
        let Value::Int4(number) = subscript else {
            return Err(mismatch(values));
        };
        *place = *number;
    }
    let numbers = numbers.get(..subscripts.len()).unwrap_or_default();
    Ok(list.get(numbers).cloned().unwrap_or(Value::Null))
}

fn slice(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Array(list), bounds @ ..] = values else {
        return Err(mismatch(values));
    };
    let mut pairs = Vec::with_capacity(bounds.len() / 2);
    for pair in bounds.chunks(2) {
        let [Value::Int4(low), Value::Int4(high)] = pair else {
            return Err(mismatch(values));
        };
        pairs.push((
            Some(*low).filter(|low| *low != i32::MIN),
            Some(*high).filter(|high| *high != i32::MAX),
        ));
    }
    Ok(array(list.slice(&pairs)))
}

/// `left op ANY (array)`: the operator comes as its symbol.
fn quantified(values: &[Value], all: bool) -> Result<Value> {
    let [Value::Text(symbol), left, list] = values else {
        return Err(mismatch(values));
    };
    let Value::Array(list) = list else {
        return Ok(Value::Null);
    };
    let mut unknown = false;
    for value in list.values() {
        if left.is_null() || value.is_null() {
            unknown = true;
            continue;
        }
        let ordering = left.compare(value);
        let truth = match symbol.as_str() {
            "=" => ordering.is_eq(),
            "<>" => ordering.is_ne(),
            "<" => ordering.is_lt(),
            "<=" => ordering.is_le(),
            ">" => ordering.is_gt(),
            ">=" => ordering.is_ge(),
            _ => return Err(mismatch(values)),
        };
        if truth != all {
            return Ok(Value::Boolean(truth));
        }
    }
    Ok(if unknown {
        Value::Null
    } else {
        Value::Boolean(all)
    })
}

/// An element at one of the ends; NULL is an array without elements.
fn added(list: &Value, item: &Value, at_end: bool) -> Result<Value> {
    let (dimensions, mut values) = match list {
        Value::Array(list) => (list.dimensions(), list.values().to_vec()),
        _ => (&[][..], Vec::new()),
    };
    let lower = match dimensions {
        [] => 1,
        [only] => only.lower,
        _ => {
            return Err(Error::new(
                SqlState("22000"),
                "argument must be empty or one-dimensional array",
            ));
        }
    };
    if at_end {
        values.push(item.clone());
    } else {
        values.insert(0, item.clone());
    }
    let length = u32::try_from(values.len()).map_err(|_| too_many_elements())?;
    with_dimensions(&[Dimension { lower, length }], values)
}

fn cat(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (left, right) = match values {
        [Value::Array(left), Value::Array(right)] => (left, right),
        [only @ Value::Array(_), Value::Null] | [Value::Null, only @ Value::Array(_)] => {
            return Ok(only.clone());
        }
        [Value::Null, Value::Null] => return Ok(Value::Null),
        _ => return Err(mismatch(values)),
    };
    if left.values().is_empty() {
        return Ok(Value::Array(right.clone()));
    }
    if right.values().is_empty() {
        return Ok(Value::Array(left.clone()));
    }
    let incompatible = || {
        Error::new(
            ARRAY_SUBSCRIPT_ERROR,
            "cannot concatenate incompatible arrays",
        )
        .detail(format!(
            "Arrays of {} and {} dimensions are not compatible for concatenation.",
            left.dimensions().len(),
            right.dimensions().len()
        ))
    };
    let lengths = |dimensions: &[Dimension]| -> Vec<u32> {
        dimensions.iter().map(|found| found.length).collect()
    };
    let (l, r) = (left.dimensions(), right.dimensions());
    let grown = |outer: &[Dimension], by: u32| -> Result<Vec<Dimension>> {
        let mut dimensions = outer.to_vec();
        if let Some(first) = dimensions.first_mut() {
            first.length = first.length.checked_add(by).ok_or_else(too_many_elements)?;
        }
        Ok(dimensions)
    };
    let inner = |dimensions: &[Dimension]| lengths(dimensions.get(1..).unwrap_or_default());
    let dimensions = match l.len().cmp(&r.len()) {
        Ordering::Equal if inner(l) == inner(r) => {
            grown(l, r.first().map_or(0, |found| found.length))?
        }
        // A row more at the end, or at the beginning.
        Ordering::Greater if inner(l) == lengths(r) => grown(l, 1)?,
        Ordering::Less if inner(r) == lengths(l) => grown(r, 1)?,
        _ => return Err(incompatible()),
    };
    let values = left
        .values()
        .iter()
        .chain(right.values())
        .cloned()
        .collect();
    with_dimensions(&dimensions, values)
}

fn one_dimension(list: &Array, what: &str) -> Result<i32> {
    match list.dimensions() {
        [] => Ok(1),
        [only] => Ok(only.lower),
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} in multidimensional arrays is not supported"),
        )),
    }
}

fn is_same(left: &Value, right: &Value) -> bool {
    match (left.is_null(), right.is_null()) {
        (true, true) => true,
        (false, false) => left.compare(right).is_eq(),
        _ => false,
    }
}

fn position(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (list, wanted, start) = match values {
        [Value::Array(list), wanted] => (list, wanted, None),
        [Value::Array(list), wanted, Value::Int4(start)] => (list, wanted, Some(*start)),
        [Value::Array(_), _, Value::Null] => {
            return Err(Error::new(
                SqlState("22004"),
                "initial position must not be null",
            ));
        }
        [Value::Null, ..] => return Ok(Value::Null),
        _ => return Err(mismatch(values)),
    };
    let lower = i64::from(one_dimension(list, "searching for elements")?);
    let start = start.map_or(lower, i64::from);
    let found = list
        .values()
        .iter()
        .zip(lower..)
        .find(|(value, at)| *at >= start && is_same(value, wanted));
    Ok(found.map_or(Value::Null, |(_, at)| int4(at)))
}

fn positions(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (list, wanted) = match values {
        [Value::Array(list), wanted] => (list, wanted),
        [Value::Null, _] => return Ok(Value::Null),
        _ => return Err(mismatch(values)),
    };
    let lower = i64::from(one_dimension(list, "searching for elements")?);
    let found = list
        .values()
        .iter()
        .zip(lower..)
        .filter(|(value, _)| is_same(value, wanted))
        .map(|(_, at)| int4(at))
        .collect();
    Ok(array(Array::new(found)))
}

fn remove(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (list, unwanted) = match values {
        [Value::Array(list), unwanted] => (list, unwanted),
        [Value::Null, _] => return Ok(Value::Null),
        _ => return Err(mismatch(values)),
    };
    let lower = one_dimension(list, "removing elements")?;
    let kept: Vec<Value> = list
        .values()
        .iter()
        .filter(|value| !is_same(value, unwanted))
        .cloned()
        .collect();
    let length = u32::try_from(kept.len()).map_err(|_| too_many_elements())?;
    with_dimensions(&[Dimension { lower, length }], kept)
}

fn replace(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (list, from, to) = match values {
        [Value::Array(list), from, to] => (list, from, to),
        [Value::Null, ..] => return Ok(Value::Null),
        _ => return Err(mismatch(values)),
    };
    let replaced = list.as_ref().clone().map(|value| {
        Ok(if is_same(&value, from) {
            to.clone()
        } else {
            value
        })
    })?;
    Ok(array(replaced))
}

fn to_string(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let (list, delimiter, null) = match values {
        [Value::Array(list), Value::Text(delimiter)]
        | [Value::Array(list), Value::Text(delimiter), Value::Null] => (list, delimiter, None),
        [
            Value::Array(list),
            Value::Text(delimiter),
            Value::Text(null),
        ] => (list, delimiter, Some(null)),
        _ => return Ok(Value::Null),
    };
    let mut text = String::new();
    let mut first = true;
    for value in list.values() {
        let shown = match (value.is_null(), null) {
            (true, None) => continue,
            (true, Some(null)) => null.to_string(),
            (false, _) => value.display_in(&context.session.style).to_string(),
        };
        check_length(text.len().checked_add(shown.len() + delimiter.len()))?;
        if !std::mem::take(&mut first) {
            text.push_str(delimiter);
        }
        text.push_str(&shown);
    }
    Ok(Value::Text(text.into()))
}

fn of_string(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (Some(Value::Text(text)), Some(delimiter)) = (values.first(), values.get(1)) else {
        return Ok(Value::Null);
    };
    let null = values.get(2).and_then(Value::as_text);
    let field = |field: &str| {
        if null == Some(field) {
            Value::Null
        } else {
            Value::Text(field.into())
        }
    };
    let fields = match delimiter {
        _ if text.is_empty() => Vec::new(),
        // Every character on its own.
        Value::Null => text
            .chars()
            .map(|c| field(c.encode_utf8(&mut [0; 4])))
            .collect(),
        Value::Text(delimiter) if delimiter.is_empty() => vec![field(text)],
        Value::Text(delimiter) => text.split(delimiter.as_str()).map(field).collect(),
        _ => return Err(mismatch(values)),
    };
    Ok(array(Array::new(fields)))
}

fn fill(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let (value, lengths, lowers) = match values {
        [value, Value::Array(lengths)] => (value, lengths, None),
        [value, Value::Array(lengths), Value::Array(lowers)] => (value, lengths, Some(lowers)),
        _ => {
            return Err(Error::new(
                SqlState("22004"),
                "dimension array or low bound array cannot be null",
            ));
        }
    };
    let wrong = |message: &str| Error::new(ARRAY_SUBSCRIPT_ERROR, message);
    let numbers = |list: &Array| -> Result<Vec<i32>> {
        list.values()
            .iter()
            .map(|value| match value {
                Value::Int4(number) => Ok(*number),
                _ => Err(Error::new(
                    SqlState("22004"),
                    "dimension values cannot be null",
                )),
            })
            .collect()
    };
    let lengths = numbers(lengths)?;
    let lowers = match lowers {
        Some(lowers) => numbers(lowers)?,
        None => vec![1; lengths.len()],
    };
    if lengths.len() != lowers.len() {
        return Err(wrong("wrong number of array subscripts"));
    }
    let mut count = 1usize;
    let mut dimensions = Vec::with_capacity(lengths.len());
    for (length, lower) in lengths.into_iter().zip(lowers) {
        let length =
            u32::try_from(length).map_err(|_| wrong("array lengths cannot be negative"))?;
        count = count
            .checked_mul(length as usize)
            .filter(|count| *count <= MAX_ELEMENTS)
            .ok_or_else(too_many_elements)?;
        dimensions.push(Dimension { lower, length });
    }
    if dimensions.is_empty() {
        count = 0;
    }
    check_length(count.checked_mul(size_of::<Value>() + value.heap_size()))?;
    with_dimensions(&dimensions, vec![value.clone(); count])
}

fn trim(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let [Value::Array(list), Value::Int4(count)] = values else {
        return Err(mismatch(values));
    };
    let length = list.dimensions().first().map_or(0, |found| found.length);
    let count = u32::try_from(*count)
        .ok()
        .filter(|count| *count <= length)
        .ok_or_else(|| {
            Error::new(
                ARRAY_SUBSCRIPT_ERROR,
                format!("number of elements to trim must be between 0 and {length}"),
            )
        })?;
    let upper = list
        .dimensions()
        .first()
        .map_or(0, |found| found.upper() - i64::from(count));
    let upper = i32::try_from(upper).unwrap_or(i32::MAX);
    Ok(array(list.slice(&[(None, Some(upper))])))
}
