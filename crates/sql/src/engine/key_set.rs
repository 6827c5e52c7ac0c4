//! From alternatives for key columns to the ranges of keys that they leave, in order.

use std::ops::Bound;

use rustling_storage::KeyRange;

use crate::{DataType, Result, Value, encoding::KeyLayout, engine::key_range::range_after};

/// Lists for several columns of a key are multiplied up to this many ranges; beyond it the columns
/// before the last list are looked at alone.
const MAX_PRODUCT: usize = 1 << 14;

/// About what a range costs beside the bytes of its ends.
const RANGE_BYTES: usize = size_of::<Span>() + 32;

/// One end of a range of values: the value, and whether it is inside.
pub(crate) type End = (Value, bool);

/// What the columns of a key are to be. The values are of the columns' types.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyPart {
    /// What the first columns may equal: each one of its values. NULL stands for `IS NULL`.
    pub(crate) equal: Vec<Vec<Value>>,
    /// The lower end for the column after those; not NULL.
    pub(crate) lower: Option<End>,
    /// The upper end for it; not NULL.
    pub(crate) upper: Option<End>,
    /// Whether it is not NULL.
    pub(crate) present: bool,
}

/// Ranges of keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeySet {
    /// In ascending order; none touches another.
    pub(crate) ranges: Vec<KeyRange>,
    /// Whether they hold nothing but what was asked for.
    pub(crate) exact: bool,
}

impl KeySet {
    /// Every key.
    pub(crate) fn all(exact: bool) -> KeySet {
        KeySet {
            ranges: vec![KeyRange::all()],
            exact,
        }
    }
}

/// What a value means among those of a key column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fitted {
    /// It is one of them.
    Exact(Value),
    /// It is NULL.
    Null,
    /// It lies between two of them: this one is the last below it. `None`: it is below all.
    Above(Option<Value>),
}

/// Whether values of type `from` can be looked for in a key column of type `of`: comparing them
/// with what the column holds is comparing what [`fitted`] makes of them.
pub(crate) fn fits(from: DataType, of: DataType) -> bool {
    let (from, of) = (from.of_values(), of.of_values());
    match of {
        _ if from == of => true,
        _ if of.is_integer() => from.is_integer() || matches!(from, DataType::Decimal(_)),
        // numeric(10,2) and numeric have one key form.
        DataType::Decimal(_) => matches!(from, DataType::Decimal(_)),
        // Whatever is compared with char(n) is compared without trailing blanks.
        DataType::Char(_) => from.is_string(),
        _ if of.is_string() => from.is_string() && !matches!(from, DataType::Char(_)),
        _ => false,
    }
}

/// `value`, of a type that [`fits`], in a key column of type `of`.
pub(crate) fn fitted(value: Value, of: DataType) -> Fitted {
    if value.is_null() {
        return Fitted::Null;
    }
    let (least, greatest) = match of {
        DataType::Int1 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        DataType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::Int8 => (i64::MIN, i64::MAX),
        _ => return Fitted::Exact(value),
    };
    let (floor, whole) = match &value {
        Value::Decimal(number) => {
            let floor = number.floor();
            let whole = floor == *number;
            match floor.to_i128_at_scale(0) {
                Some(floor) => (floor, whole),
                None if number.is_negative() => (i128::MIN, false),
                None => (i128::MAX, false),
            }
        }
        other => match other.as_integer() {
            Some(number) => (i128::from(number), true),
            None => return Fitted::Exact(value),
        },
    };
    if floor < i128::from(least) {
        return Fitted::Above(None);
    }
    let Some(integer) = integer(floor.min(i128::from(greatest)) as i64, of) else {
        return Fitted::Exact(value);
    };
    if whole && floor <= i128::from(greatest) {
        Fitted::Exact(integer)
    } else {
        Fitted::Above(Some(integer))
    }
}

/// A number as a value of an integer type that has it.
fn integer(number: i64, of: DataType) -> Option<Value> {
    Some(match of {
        DataType::Int1 => Value::Int1(number.try_into().ok()?),
        DataType::Int2 => Value::Int2(number.try_into().ok()?),
        DataType::Int4 => Value::Int4(number.try_into().ok()?),
        DataType::Int8 => Value::Int8(number),
        _ => return None,
    })
}

/// The keys from `start` up to, and without, `end`.
#[derive(Debug)]
struct Span {
    start: Vec<u8>,
    /// `None`: no end.
    end: Option<Vec<u8>>,
}

/// The key that follows `key` at once.
fn next_key(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

impl Span {
    fn of(range: KeyRange) -> Span {
        Span {
            start: match range.start {
                Bound::Included(key) => key,
                Bound::Excluded(key) => next_key(key),
                Bound::Unbounded => Vec::new(),
            },
            end: match range.end {
                Bound::Included(key) => Some(next_key(key)),
                Bound::Excluded(key) => Some(key),
                Bound::Unbounded => None,
            },
        }
    }

    fn into_range(self) -> KeyRange {
        let is_point = self.end.as_ref().is_some_and(|end| {
            end.split_last()
                .is_some_and(|(last, rest)| *last == 0 && rest == self.start)
        });
        if is_point {
            return point(self.start);
        }
        KeyRange {
            start: Bound::Included(self.start),
            end: self.end.map_or(Bound::Unbounded, Bound::Excluded),
        }
    }
}

/// The range of one key.
pub(crate) fn point(key: Vec<u8>) -> KeyRange {
    KeyRange {
        start: Bound::Included(key.clone()),
        end: Bound::Included(key),
    }
}

/// The one key that a range holds, if it was made for one.
pub(crate) fn only_key(range: &KeyRange) -> Option<&[u8]> {
    match (&range.start, &range.end) {
        (Bound::Included(start), Bound::Included(end)) if start == end => Some(start),
        _ => None,
    }
}

/// A range of keys from the first of `ranges`, which are in order, to the last.
pub(crate) fn covering(ranges: &[KeyRange]) -> Option<KeyRange> {
    Some(KeyRange {
        start: ranges.first()?.start.clone(),
        end: ranges.last()?.end.clone(),
    })
}

/// Whether `key` lies before the range begins.
pub(crate) fn is_before(key: &[u8], range: &KeyRange) -> bool {
    match &range.start {
        Bound::Included(start) => key < start.as_slice(),
        Bound::Excluded(start) => key <= start.as_slice(),
        Bound::Unbounded => false,
    }
}

/// Whether `key` lies behind the range's end.
pub(crate) fn is_behind(key: &[u8], range: &KeyRange) -> bool {
    match &range.end {
        Bound::Included(end) => key > end.as_slice(),
        Bound::Excluded(end) => key >= end.as_slice(),
        Bound::Unbounded => false,
    }
}

/// The keys that satisfy one of `parts`. `is_whole` says that a key has nothing behind the columns,
/// where none of them is NULL. `reserve` is told of memory before it is taken; where it says no,
/// every key is given.
pub(crate) fn key_set(
    layout: &KeyLayout,
    parts: &[KeyPart],
    is_whole: bool,
    reserve: &mut dyn FnMut(usize) -> Result<bool>,
) -> Result<KeySet> {
    let mut spans = Vec::new();
    let mut exact = true;
    for part in parts {
        match spans_of(layout, part, is_whole, &mut spans, reserve)? {
            Found::Exactly => {}
            Found::More => exact = false,
            Found::TooMany => return Ok(KeySet::all(false)),
        }
    }
    spans.sort_unstable_by(|one, other| one.start.cmp(&other.start));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(Span { end: None, .. }) => {}
            Some(Span {
                end: Some(reached), ..
            }) if span.start <= *reached => match span.end {
                Some(end) => *reached = end.max(std::mem::take(reached)),
                None => merged
                    .last_mut()
                    .into_iter()
                    .for_each(|last| last.end = None),
            },
            _ => merged.push(span),
        }
    }
    Ok(KeySet {
        ranges: merged.into_iter().map(Span::into_range).collect(),
        exact,
    })
}

/// What came of looking for the ranges of a part.
enum Found {
    /// They hold what was asked for.
    Exactly,
    /// They hold more.
    More,
    /// There is no memory for them.
    TooMany,
}

/// A beginning of keys, and whether one of its columns is NULL.
#[derive(Clone, Default)]
struct Prefix {
    key: Vec<u8>,
    has_null: bool,
}

fn spans_of(
    layout: &KeyLayout,
    part: &KeyPart,
    is_whole: bool,
    spans: &mut Vec<Span>,
    reserve: &mut dyn FnMut(usize) -> Result<bool>,
) -> Result<Found> {
    let mut prefixes = vec![Prefix::default()];
    for (at, values) in part.equal.iter().enumerate() {
        let Some(column) = layout.columns().get(at) else {
            break;
        };
        let mut endings: Vec<Prefix> = Vec::with_capacity(values.len());
        for value in values {
            let has_null = value.is_null();
            if has_null && !column.nullable {
                continue;
            }
            let mut key = Vec::new();
            layout.encode_at(at, value, &mut key)?;
            endings.push(Prefix { key, has_null });
        }
        if values.len() > 1 {
            endings.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            endings.dedup_by(|one, other| one.key == other.key);
        }
        // What is alone multiplies nothing.
        if prefixes.len() > 1
            && endings.len() > 1
            && prefixes.len().saturating_mul(endings.len()) > MAX_PRODUCT
        {
            add(layout, prefixes, at, &KeyPart::default(), false, spans)?;
            return Ok(Found::More);
        }
        if prefixes.len() == 1 && endings.len() == 1 {
            for (prefix, ending) in prefixes.iter_mut().zip(&endings) {
                prefix.key.extend_from_slice(&ending.key);
                prefix.has_null |= ending.has_null;
            }
            continue;
        }
        let each = prefixes.iter().chain(&endings).map(|of| of.key.len()).max();
        let each = 2 * each.unwrap_or(0) + RANGE_BYTES;
        if !reserve(prefixes.len() * endings.len() * each)? {
            return Ok(Found::TooMany);
        }
        let mut longer = Vec::with_capacity(prefixes.len() * endings.len());
        for prefix in &prefixes {
            for ending in &endings {
                longer.push(Prefix {
                    key: [prefix.key.as_slice(), &ending.key].concat(),
                    has_null: prefix.has_null || ending.has_null,
                });
            }
        }
        prefixes = longer;
    }
    add(layout, prefixes, part.equal.len(), part, is_whole, spans)?;
    Ok(Found::Exactly)
}

/// Adds the ranges behind `prefixes`, which are of the columns before `at`.
fn add(
    layout: &KeyLayout,
    prefixes: Vec<Prefix>,
    at: usize,
    part: &KeyPart,
    is_whole: bool,
    spans: &mut Vec<Span>,
) -> Result<()> {
    let (lower, upper) = (part.lower.as_ref(), part.upper.as_ref());
    let is_range = lower.is_some() || upper.is_some() || part.present;
    for Prefix { key, has_null } in prefixes {
        if is_whole && !has_null && !is_range && at == layout.columns().len() {
            spans.push(Span::of(point(key)));
        } else if let Some(range) = range_after(layout, key, at, lower, upper, part.present)? {
            spans.push(Span::of(range));
        }
    }
    Ok(())
}
