//! From a scan's key condition to the ranges of keys that it reads.

use rustling_storage::KeyRange;

use crate::{
    DataType, Result, SqlState, Value,
    encoding::KeyLayout,
    engine::{
        key_range::range_after,
        key_set::{End, Fitted, KeyPart, KeySet, fitted, key_set, point},
    },
    eval::EvalContext,
    executor::{ExecContext, MemoryMeter, scan::PathKeys},
    planner::physical::{KeyAlternative, KeyBound, KeyCondition, KeyValues},
};

/// The keys of `path` that satisfy `condition`, whose values may refer to columns of `outer`, with
/// what holds the memory of many. Where memory does not suffice, they are all keys.
pub(crate) fn keys_of(
    path: &PathKeys<'_>,
    condition: &KeyCondition,
    outer: &[Value],
    context: &ExecContext,
) -> Result<(KeySet, Option<MemoryMeter>)> {
    let Some(layout) = path.layout.filter(|_| !condition.is_all()) else {
        return Ok((KeySet::all(true), None));
    };
    if let [only] = condition.alternatives.as_slice()
        && let Some(range) = range_of(path, layout, only, outer, &context.eval())?
    {
        let keys = KeySet {
            ranges: range.into_iter().collect(),
            exact: true,
        };
        return Ok((keys, None));
    }
    let types: Vec<DataType> = layout
        .columns()
        .iter()
        .map(|column| column.data_type.of_values())
        .collect();
    let eval = context.eval();
    let mut parts = Vec::with_capacity(condition.alternatives.len());
    for alternative in &condition.alternatives {
        parts.extend(part_of(alternative, &types, outer, &eval)?);
    }
    let mut memory = None;
    let mut reserve = |bytes: usize| -> Result<bool> {
        let meter = match &mut memory {
            Some(meter) => meter,
            None => memory.insert(MemoryMeter::new(context, "ranges of keys")?),
        };
        match meter.try_grow(bytes, context) {
            Err(error) if error.state() == SqlState::OUT_OF_MEMORY => Ok(false),
            grown => grown,
        }
    };
    let keys = key_set(layout, &parts, path.is_whole, &mut reserve)?;
    Ok((keys, memory))
}

/// The values of an alternative; `None`: no key satisfies it.
fn part_of(
    alternative: &KeyAlternative,
    types: &[DataType],
    outer: &[Value],
    eval: &EvalContext<'_>,
) -> Result<Option<KeyPart>> {
    let mut part = KeyPart {
        equal: Vec::with_capacity(alternative.equal.len()),
        present: alternative.present,
        ..KeyPart::default()
    };
    for (values, of) in alternative.equal.iter().zip(types) {
        // Nothing equals NULL, nor what the column's type does not have.
        let exact = |value: Value| match fitted(value, *of) {
            Fitted::Exact(value) => Some(value),
            Fitted::Null | Fitted::Above(_) => None,
        };
        let values: Vec<Value> = match values {
            KeyValues::One(value) => {
                let value = value.compiled.eval(outer, eval)?;
                exact(value).into_iter().collect()
            }
            KeyValues::Null => vec![Value::Null],
            KeyValues::List(list) => {
                let mut values = Vec::with_capacity(list.len());
                for value in list {
                    values.extend(exact(value.compiled.eval(outer, eval)?));
                }
                values
            }
            KeyValues::Elements(array) => match array.compiled.eval(outer, eval)? {
                Value::Array(array) => array.values().iter().cloned().filter_map(exact).collect(),
                _ => Vec::new(),
            },
        };
        if values.is_empty() {
            return Ok(None);
        }
        part.equal.push(values);
    }
    let Some(of) = types.get(alternative.equal.len()) else {
        return Ok(Some(part));
    };
    let Some(ends) = ends_of(alternative, *of, outer, eval)? else {
        return Ok(None);
    };
    part.lower = ends.lower;
    part.upper = ends.upper;
    part.present |= ends.present;
    Ok(Some(part))
}

/// The ends of a range of values.
struct Ends {
    lower: Option<End>,
    upper: Option<End>,
    /// Whether NULL is outside.
    present: bool,
}

/// The ends for the column of type `of` behind those that equal something; `None`: nothing lies
/// between them.
fn ends_of(
    alternative: &KeyAlternative,
    of: DataType,
    outer: &[Value],
    eval: &EvalContext<'_>,
) -> Result<Option<Ends>> {
    let value = |bound: &KeyBound| bound.value.compiled.eval(outer, eval);
    let mut ends = Ends {
        lower: None,
        upper: None,
        present: alternative.present || alternative.lower.is_some(),
    };
    if let Some(bound) = &alternative.lower {
        ends.lower = match fitted(value(bound)?, of) {
            Fitted::Exact(value) => Some((value, bound.inclusive)),
            Fitted::Null => return Ok(None),
            Fitted::Above(below) => below.map(|below| -> End { (below, false) }),
        };
    }
    if let Some(bound) = &alternative.upper {
        ends.upper = match fitted(value(bound)?, of) {
            Fitted::Exact(value) => Some((value, bound.inclusive)),
            Fitted::Null | Fitted::Above(None) => return Ok(None),
            Fitted::Above(Some(below)) => Some((below, true)),
        };
    }
    Ok(Some(ends))
}

/// The range of an alternative of single values, which is all that most scans ask for; `None`: it
/// names several. `Some(None)`: no key satisfies it.
fn range_of(
    path: &PathKeys<'_>,
    layout: &KeyLayout,
    alternative: &KeyAlternative,
    outer: &[Value],
    eval: &EvalContext<'_>,
) -> Result<Option<Option<KeyRange>>> {
    let mut key = Vec::new();
    for (at, (values, column)) in alternative.equal.iter().zip(layout.columns()).enumerate() {
        let KeyValues::One(value) = values else {
            return Ok(None);
        };
        let value = value.compiled.eval(outer, eval)?;
        match fitted(value, column.data_type.of_values()) {
            Fitted::Exact(value) => layout.encode_at(at, &value, &mut key)?,
            Fitted::Null | Fitted::Above(_) => return Ok(Some(None)),
        }
    }
    let at = alternative.equal.len();
    let Some(column) = layout.columns().get(at) else {
        return Ok(Some(if path.is_whole {
            Some(point(key))
        } else {
            range_after(layout, key, at, None, None, false)?
        }));
    };
    let Some(ends) = ends_of(alternative, column.data_type.of_values(), outer, eval)? else {
        return Ok(Some(None));
    };
    let (lower, upper) = (ends.lower.as_ref(), ends.upper.as_ref());
    range_after(layout, key, at, lower, upper, ends.present).map(Some)
}
