//! Ranges of keys hold what the values ask for, and nothing else.

use std::ops::RangeBounds;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_storage::KeyRange;

use super::key_set::{
    End, Fitted, KeyPart, KeySet, covering, fits, fitted, is_before, is_behind, key_set, only_key,
};
use crate::{
    DataType, Decimal, Value,
    encoding::{KeyColumn, KeyLayout},
};

fn int(number: i32) -> Value {
    Value::Int4(number)
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse::<Decimal>().unwrap())
}

fn layout(columns: &[(bool, bool)]) -> KeyLayout {
    let column = |(descending, nulls_first): &(bool, bool)| KeyColumn {
        data_type: DataType::Int4,
        descending: *descending,
        nulls_first: *nulls_first,
        nullable: true,
    };
    KeyLayout::index(columns.iter().map(column).collect())
}

fn set(layout: &KeyLayout, parts: &[KeyPart], is_whole: bool) -> KeySet {
    key_set(layout, parts, is_whole, &mut |_| Ok(true)).unwrap()
}

fn holds(ranges: &[KeyRange], key: &[u8]) -> usize {
    let holds =
        |range: &&KeyRange| (range.start.clone(), range.end.clone()).contains(&key.to_vec());
    ranges.iter().filter(holds).count()
}

/// Parts of a key of three small columns, and rows to look for.
#[derive(Clone, Debug)]
struct Case {
    orders: Vec<(bool, bool)>,
    parts: Vec<KeyPart>,
    is_whole: bool,
}

fn small(g: &mut Gen) -> Value {
    int(i32::from(u8::arbitrary(g) % 4))
}

fn end(g: &mut Gen) -> Option<End> {
    bool::arbitrary(g).then(|| (small(g), bool::arbitrary(g)))
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Case {
        let orders = (0..3)
            .map(|_| (bool::arbitrary(g), bool::arbitrary(g)))
            .collect();
        let parts = (0..1 + usize::arbitrary(g) % 3)
            .map(|_| {
                let values = |g: &mut Gen| -> Vec<Value> {
                    let mut values: Vec<Value> =
                        (0..1 + usize::arbitrary(g) % 3).map(|_| small(g)).collect();
                    if u8::arbitrary(g) % 5 == 0 {
                        values.push(Value::Null);
                    }
                    values
                };
                let equal: Vec<Vec<Value>> =
                    (0..usize::arbitrary(g) % 4).map(|_| values(g)).collect();
                let is_last = equal.len() == 3;
                let (lower, upper) = (end(g), end(g));
                KeyPart {
                    equal,
                    lower: lower.filter(|_| !is_last),
                    upper: upper.filter(|_| !is_last),
                    present: !is_last && bool::arbitrary(g),
                }
            })
            .collect();
        Case {
            orders,
            parts,
            is_whole: bool::arbitrary(g),
        }
    }
}

fn satisfies(part: &KeyPart, row: &[Value]) -> bool {
    let equal = part
        .equal
        .iter()
        .zip(row)
        .all(|(values, of)| values.contains(of));
    let is_range = part.present || part.lower.is_some() || part.upper.is_some();
    let next = row.get(part.equal.len());
    let within = |of: &Value| {
        let above = part.lower.as_ref().is_none_or(|(value, inclusive)| {
            let order = of.compare(value);
            order.is_gt() || *inclusive && order.is_eq()
        });
        let below = part.upper.as_ref().is_none_or(|(value, inclusive)| {
            let order = of.compare(value);
            order.is_lt() || *inclusive && order.is_eq()
        });
        !of.is_null() && above && below
    };
    equal && (!is_range || next.is_some_and(within))
}

/// Every row of small numbers is in one range where it satisfies a part, and in none otherwise.
fn rows_are_where_they_belong(case: Case) -> bool {
    let layout = layout(&case.orders);
    let set = set(&layout, &case.parts, case.is_whole);
    let values = [int(0), int(1), int(2), int(3), int(4), Value::Null];
    let mut previous: Option<&KeyRange> = None;
    for range in &set.ranges {
        let starts_behind = previous.is_none_or(|previous| match &range.start {
            std::ops::Bound::Included(start) => is_behind(start, previous),
            _ => false,
        });
        assert!(starts_behind, "{:?}", set.ranges);
        previous = Some(range);
    }
    for a in &values {
        for b in &values {
            for c in &values {
                let row = [a.clone(), b.clone(), c.clone()];
                let mut key = Vec::new();
                layout.encode(&row, &mut key).unwrap();
                // What is not whole ends with the key of the row.
                let has_null = row.iter().any(Value::is_null);
                if !case.is_whole || has_null {
                    key.extend_from_slice(b"\xffrow");
                }
                let expected = case.parts.iter().any(|part| satisfies(part, &row));
                assert_eq!(
                    holds(&set.ranges, &key),
                    usize::from(expected),
                    "{row:?} of {case:?} in {:?}",
                    set.ranges
                );
                let whole = covering(&set.ranges);
                let covered = whole.is_some_and(|whole| holds(&[whole], &key) == 1);
                assert!(covered || !expected);
            }
        }
    }
    set.exact
}

#[test]
fn ranges_hold_the_rows_that_are_asked_for() {
    QuickCheck::new()
        .tests(300)
        .quickcheck(rows_are_where_they_belong as fn(Case) -> bool);
}

#[test]
fn whole_keys_are_points() {
    let layout = layout(&[(false, false), (false, false)]);
    let part = KeyPart {
        equal: vec![vec![int(3), int(1), int(3)], vec![int(7), Value::Null]],
        ..KeyPart::default()
    };
    let set = set(&layout, &[part], true);
    assert!(set.exact);
    let points = set.ranges.iter().filter(|range| only_key(range).is_some());
    // (1, NULL) and (3, NULL) are followed by the keys of rows.
    assert_eq!((set.ranges.len(), points.count()), (4, 2));
}

#[test]
fn open_ended_keys_are_points_too() {
    let layout = KeyLayout::primary([DataType::Int4, DataType::Text]);
    let text = |text: &str| Value::Text(text.into());
    let part = KeyPart {
        equal: vec![vec![int(1)], vec![text("a"), text("a\0"), text("")]],
        ..KeyPart::default()
    };
    let set = set(&layout, &[part], true);
    for (value, expected) in [("", 1), ("a", 1), ("a\0", 1), ("a\0\0", 0), ("aa", 0)] {
        let mut key = Vec::new();
        layout.encode(&[int(1), text(value)], &mut key).unwrap();
        assert_eq!(holds(&set.ranges, &key), expected, "{value:?}");
    }
}

#[test]
fn too_many_combinations_are_read_over() {
    let layout = layout(&[(false, false), (false, false)]);
    let many: Vec<Value> = (0..300).map(int).collect();
    let part = KeyPart {
        equal: vec![many.clone(), many],
        ..KeyPart::default()
    };
    let set = set(&layout, std::slice::from_ref(&part), false);
    assert!(!set.exact);
    // Neighbours touch, but for the signs of numbers.
    assert!(set.ranges.len() <= 300);
    // Without memory everything is read.
    let set = key_set(&layout, &[part], false, &mut |_| Ok(false)).unwrap();
    assert_eq!(set, KeySet::all(false));
}

#[test]
fn a_long_list_beside_single_values_is_looked_for() {
    let layout = layout(&[(false, false), (false, false)]);
    let many: Vec<Value> = (0..20_000).map(int).collect();
    let one = vec![int(7)];
    for equal in [vec![one.clone(), many.clone()], vec![many, one]] {
        let part = KeyPart {
            equal,
            ..KeyPart::default()
        };
        let set = set(&layout, &[part], true);
        assert!(set.exact);
        assert_eq!(set.ranges.len(), 20_000);
    }
    // How often a value stands in a list does not count.
    let often: Vec<Value> = (0..400).map(|number| int(number % 2)).collect();
    let part = KeyPart {
        equal: vec![(0..100).map(int).collect(), often],
        ..KeyPart::default()
    };
    let set = set(&layout, &[part], true);
    assert!(set.exact);
    assert_eq!(set.ranges.len(), 200);
}

#[test]
fn nothing_is_asked_of_columns_without_nulls() {
    let layout = KeyLayout::primary([DataType::Int4]);
    let part = KeyPart {
        equal: vec![vec![Value::Null]],
        ..KeyPart::default()
    };
    assert!(set(&layout, &[part], true).ranges.is_empty());
    assert!(set(&layout, &[], true).ranges.is_empty());
}

#[test]
fn keys_lie_before_and_behind_ranges() {
    let layout = layout(&[(false, false)]);
    let part = KeyPart {
        lower: Some((int(2), true)),
        upper: Some((int(4), false)),
        ..KeyPart::default()
    };
    let set = set(&layout, &[part], false);
    let [range] = set.ranges.as_slice() else {
        panic!("{set:?}");
    };
    for (number, before, behind) in [(1, true, false), (2, false, false), (4, false, true)] {
        let mut key = Vec::new();
        layout.encode(&[int(number)], &mut key).unwrap();
        assert_eq!(
            (is_before(&key, range), is_behind(&key, range)),
            (before, behind)
        );
    }
}

#[test]
fn numbers_are_found_among_those_of_the_column() {
    let of = DataType::Int4;
    let exact = |value| fitted(value, of);
    assert_eq!(exact(Value::Int8(7)), Fitted::Exact(int(7)));
    assert_eq!(exact(decimal("7.00")), Fitted::Exact(int(7)));
    assert_eq!(exact(decimal("7.5")), Fitted::Above(Some(int(7))));
    assert_eq!(exact(decimal("-7.5")), Fitted::Above(Some(int(-8))));
    assert_eq!(
        exact(Value::Int8(i64::MAX)),
        Fitted::Above(Some(int(i32::MAX)))
    );
    assert_eq!(exact(Value::Int8(i64::MIN)), Fitted::Above(None));
    assert_eq!(exact(decimal("1e60")), Fitted::Above(Some(int(i32::MAX))));
    assert_eq!(exact(decimal("-1e60")), Fitted::Above(None));
    assert_eq!(
        exact(decimal("2147483647.5")),
        Fitted::Above(Some(int(i32::MAX)))
    );
    assert_eq!(exact(decimal("-2147483648.5")), Fitted::Above(None));
    assert_eq!(exact(Value::Null), Fitted::Null);
    let text = Value::Text("x".into());
    assert_eq!(fitted(text.clone(), DataType::Text), Fitted::Exact(text));
}

#[test]
fn only_types_that_compare_alike_fit() {
    use DataType as T;
    for (from, of, expected) in [
        (T::Int8, T::Int4, true),
        (T::Decimal(None), T::Int2, true),
        (T::Float8, T::Int4, false),
        (T::Int4, T::Float8, false),
        (T::Int4, T::Decimal(None), false),
        (T::Decimal(None), T::Decimal(Some((10, 2))), true),
        (T::Text, T::Varchar(Some(3)), true),
        (T::Text, T::Char(3), true),
        (T::Char(5), T::Char(3), true),
        (T::Char(3), T::Text, false),
        (T::Date, T::Timestamp, false),
        (T::Uuid, T::Uuid, true),
    ] {
        assert_eq!(fits(from, of), expected, "{from} in {of}");
    }
}
