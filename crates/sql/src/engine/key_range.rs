//! From conditions on key columns to a range of key bytes.

use std::ops::Bound;

use rustling_storage::KeyRange;

use crate::{Result, Value, encoding::KeyLayout};

/// The marker of a value that is not NULL: what NULLs of either order are told apart by.
const PRESENT: u8 = 0x01;

/// The least byte string above every one that starts with `prefix`; `None`: there is none.
pub(crate) fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.last_mut() {
        if *last == u8::MAX {
            prefix.pop();
        } else {
            *last += 1;
            return Some(prefix);
        }
    }
    None
}

fn below_successor(prefix: Vec<u8>) -> Bound<Vec<u8>> {
    successor(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// The keys whose first columns equal `equal` and whose next column lies between `lower` and
/// `upper` (each a value and whether it is included). Comparing with NULL is never true:
/// `None`, no key.
pub(crate) fn key_range(
    layout: &KeyLayout,
    equal: &[Value],
    lower: Option<&(Value, bool)>,
    upper: Option<&(Value, bool)>,
) -> Result<Option<KeyRange>> {
    let bounds = [lower, upper];
    let is_null = |value: &Value| matches!(value, Value::Null);
    if equal.iter().any(is_null) || bounds.iter().flatten().any(|(value, _)| is_null(value)) {
        return Ok(None);
    }
    let mut prefix = Vec::new();
    layout.encode(equal, &mut prefix)?;
    range_after(layout, prefix, equal.len(), lower, upper, false)
}

/// The keys that begin with `prefix`, which is that of the columns before `at`, and whose column `at`
/// lies between `lower` and `upper`, neither of them NULL, or is at least no NULL itself where
/// `present`.
pub(crate) fn range_after(
    layout: &KeyLayout,
    prefix: Vec<u8>,
    at: usize,
    lower: Option<&(Value, bool)>,
    upper: Option<&(Value, bool)>,
    present: bool,
) -> Result<Option<KeyRange>> {
    if lower.is_none() && upper.is_none() && !present {
        return Ok(Some(if layout.is_open_at(at.wrapping_sub(1)) {
            KeyRange {
                start: Bound::Included(prefix.clone()),
                end: Bound::Included(prefix),
            }
        } else {
            KeyRange {
                start: Bound::Included(prefix.clone()),
                end: below_successor(prefix),
            }
        }));
    }
    let Some(column) = layout.columns().get(at) else {
        return Ok(None);
    };
    let encode = |value: &Value| -> Result<Vec<u8>> {
        let mut key = prefix.clone();
        layout.encode_at(at, value, &mut key)?;
        Ok(key)
    };
    // Without an end, the range ends where the NULLs are.
    let mut present = prefix.clone();
    if column.nullable {
        present.push(PRESENT);
    }
    if layout.is_open_at(at) {
        let end = |bound: &(Value, bool)| -> Result<Bound<Vec<u8>>> {
            let key = encode(&bound.0)?;
            Ok(if bound.1 {
                Bound::Included(key)
            } else {
                Bound::Excluded(key)
            })
        };
        let range = KeyRange {
            start: lower.map_or(Ok(Bound::Included(present.clone())), end)?,
            end: upper.map_or_else(|| Ok(below_successor(present)), end)?,
        };
        return Ok(not_empty(range));
    }
    let (first, last) = if column.descending {
        (upper, lower)
    } else {
        (lower, upper)
    };
    let start = match first {
        None => Bound::Included(present.clone()),
        Some((value, true)) => Bound::Included(encode(value)?),
        Some((value, false)) => match successor(encode(value)?) {
            Some(key) => Bound::Included(key),
            None => return Ok(None),
        },
    };
    let end = match last {
        None => below_successor(present),
        Some((value, true)) => below_successor(encode(value)?),
        Some((value, false)) => Bound::Excluded(encode(value)?),
    };
    Ok(not_empty(KeyRange { start, end }))
}

/// Keys that cut what lies between two keys into `parts` parts of equal size, if keys are spread
/// evenly; fewer where they lie close together.
pub(crate) fn spread(low: &[u8], high: &[u8], parts: usize) -> Vec<Vec<u8>> {
    let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; 8];
        for (byte, of) in bytes.iter_mut().zip(key.get(common..).unwrap_or_default()) {
            *byte = *of;
        }
        u64::from_be_bytes(bytes)
    };
    let (from, to) = (number(low), number(high));
    let parts = parts as u64;
    let step = to.saturating_sub(from) / parts.max(1);
    if step == 0 {
        return Vec::new();
    }
    let prefix = low.get(..common).unwrap_or_default();
    (1..parts)
        .map(|part| {
            let mut bound = prefix.to_vec();
            bound.extend_from_slice(&(from + part * step).to_be_bytes());
            bound
        })
        .collect()
}

/// The parts of `range` between `bounds`, which lie in it in ascending order.
pub(crate) fn cut(range: KeyRange, bounds: Vec<Vec<u8>>) -> Vec<KeyRange> {
    let mut parts = Vec::with_capacity(bounds.len() + 1);
    let mut start = range.start;
    for bound in bounds {
        parts.push(KeyRange {
            start: std::mem::replace(&mut start, Bound::Included(bound.clone())),
            end: Bound::Excluded(bound),
        });
    }
    parts.push(KeyRange {
        start,
        end: range.end,
    });
    parts
}

/// The range, unless its ends have crossed.
fn not_empty(range: KeyRange) -> Option<KeyRange> {
    let crossed = match (&range.start, &range.end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    };
    (!crossed).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, encoding::KeyColumn};
    use std::ops::RangeBounds;

    fn layouts(descending: bool, nulls_first: bool) -> KeyLayout {
        KeyLayout::index(vec![
            KeyColumn::ascending(DataType::Int4),
            KeyColumn {
                data_type: DataType::Text,
                descending,
                nulls_first,
                nullable: true,
            },
        ])
    }

    #[test]
    fn parts_hold_every_key_once() {
        for (low, high) in [
            (&b"a"[..], &b"z"[..]),
            (b"key 100", b"key 999999"),
            (b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            (b"same", b"same"),
            (b"a", b"a\x01"),
        ] {
            let bounds = spread(low, high, 7);
            assert!(bounds.is_sorted(), "{bounds:?}");
            let parts = cut(KeyRange::all(), bounds);
            for key in [
                low,
                high,
                b"",
                b"key 5",
                b"m",
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ] {
                let holds = |part: &&KeyRange| {
                    (part.start.clone(), part.end.clone()).contains(&key.to_vec())
                };
                assert_eq!(parts.iter().filter(holds).count(), 1);
            }
        }
    }

    #[test]
    fn ranges_hold_exactly_the_rows_that_match() {
        let texts = ["", "a", "a\0", "aa", "b", "c"];
        let mut values: Vec<Value> = texts
            .iter()
            .map(|text| Value::Text((*text).into()))
            .collect();
        values.push(Value::Null);
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        for (descending, nulls_first) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let layout = layouts(descending, nulls_first);
            let ends: Vec<Option<(Value, bool)>> = std::iter::once(None)
                .chain(
                    values
                        .iter()
                        .flat_map(|value| [true, false].map(|i| Some((value.clone(), i)))),
                )
                .collect();
            for lower in &ends {
                for upper in &ends {
                    let range =
                        key_range(&layout, &[Value::Int4(1)], lower.as_ref(), upper.as_ref())
                            .unwrap();
                    for number in [0, 1, 2] {
                        for value in &values {
                            let mut key = Vec::new();
                            layout
                                .encode([&Value::Int4(number), value], &mut key)
                                .unwrap();
                            key.extend_from_slice(b"\xff\xffrow");
                            let inside = range.as_ref().is_some_and(|range| {
                                (range.start.clone(), range.end.clone()).contains(&key)
                            });
                            let within = |end: &Option<(Value, bool)>, less: bool| match end {
                                None => true,
                                Some((end, inclusive)) => match (text(value), text(end)) {
                                    (Some(value), Some(end)) => {
                                        value == end && *inclusive
                                            || if less { value < end } else { value > end }
                                    }
                                    _ => false,
                                },
                            };
                            let unbounded = lower.is_none() && upper.is_none();
                            let expected = number == 1
                                && (unbounded
                                    || text(value).is_some()
                                        && within(lower, false)
                                        && within(upper, true));
                            assert_eq!(
                                inside, expected,
                                "{number} {value:?} in {lower:?}..{upper:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_open_ended_key_is_ranged_exactly() {
        let layout = KeyLayout::primary([DataType::Text]);
        let a = (Value::Text("a".into()), false);
        let range = key_range(&layout, &[], Some(&a), None).unwrap().unwrap();
        assert!((range.start, range.end).contains(&b"aa".to_vec()));
        let range = key_range(&layout, &[a.0], None, None).unwrap().unwrap();
        assert_eq!(range.start, Bound::Included(b"a".to_vec()));
        assert_eq!(range.end, Bound::Included(b"a".to_vec()));
    }
}
