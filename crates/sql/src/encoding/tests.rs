//! Properties of the encodings.

use std::{cmp::Ordering, sync::Arc};

use num_bigint::BigInt;
use quickcheck::{Arbitrary, Gen, quickcheck};
use uuid::Uuid;

use super::{
    RowDecoder, TableCodec, ValueRef,
    key::{self, KeyColumn, KeyLayout},
    row::row_number_key,
};
use crate::{DataType, Decimal, Interval, Value};

const TYPES: &[DataType] = &[
    DataType::Boolean,
    DataType::Int1,
    DataType::Int2,
    DataType::Int4,
    DataType::Int8,
    DataType::Float4,
    DataType::Float8,
    DataType::Decimal(None),
    DataType::Text,
    DataType::Bytea,
    DataType::Date,
    DataType::Time,
    DataType::TimeTz,
    DataType::Timestamp,
    DataType::TimestampTz,
    DataType::Interval,
    DataType::Uuid,
];

/// Numbers near the edges where encodings change their length.
fn edge(g: &mut Gen) -> i64 {
    let shift = u32::arbitrary(g) % 64;
    let near = i64::from(i8::arbitrary(g) % 3);
    let number = (1i64 << shift).wrapping_add(near);
    if bool::arbitrary(g) {
        number
    } else {
        number.wrapping_neg()
    }
}

fn text(g: &mut Gen) -> Vec<u8> {
    let len = usize::arbitrary(g) % if bool::arbitrary(g) { 5 } else { 300 };
    (0..len)
        .map(|_| *g.choose(&[0u8, 1, b'a', b'b', 0x7f]).unwrap())
        .collect()
}

fn value(g: &mut Gen, data_type: DataType) -> Value {
    let int = edge(g);
    match data_type {
        DataType::Boolean => Value::Boolean(bool::arbitrary(g)),
        DataType::Int1 => Value::Int1(int as i8),
        DataType::Int2 => Value::Int2(int as i16),
        DataType::Int4 => Value::Int4(int as i32),
        DataType::Int8 => Value::Int8(int),
        DataType::Float4 => Value::Float4(match u8::arbitrary(g) % 4 {
            0 => int as f32,
            1 => *g
                .choose(&[0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN])
                .unwrap(),
            _ => f32::arbitrary(g),
        }),
        DataType::Float8 => Value::Float8(match u8::arbitrary(g) % 4 {
            0 => int as f64,
            1 => *g
                .choose(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN])
                .unwrap(),
            _ => f64::arbitrary(g),
        }),
        DataType::Decimal(_) => {
            let scale =
                i64::from(i8::arbitrary(g) % 6) * if u8::arbitrary(g) % 8 == 0 { 40 } else { 1 };
            let digits = if bool::arbitrary(g) { int } else { int % 1000 };
            Value::Decimal(
                Decimal::from_parts(
                    BigInt::from(digits)
                        * if u8::arbitrary(g) % 8 == 0 {
                            i64::MAX
                        } else {
                            1
                        },
                    scale,
                )
                .unwrap(),
            )
        }
        DataType::Text => Value::Text(String::from_utf8(text(g)).unwrap().into()),
        DataType::Bytea => Value::Bytea(text(g)),
        DataType::Date => Value::Date(int as i32),
        DataType::Time => Value::Time(int),
        DataType::TimeTz => Value::TimeTz(
            crate::types::TimeTz::new(int.rem_euclid(86_400_000_000), (int % 57_600) as i32)
                .expect("a time of day"),
        ),
        DataType::Timestamp if bool::arbitrary(g) => {
            Value::Timestamp(int % 1_000_000_000 * 1_000_000)
        }
        DataType::Timestamp => Value::Timestamp(int),
        DataType::TimestampTz => Value::TimestampTz(int),
        DataType::Interval => Value::Interval(Interval {
            months: i32::arbitrary(g) % 3,
            days: i32::arbitrary(g) % 100,
            micros: if bool::arbitrary(g) { int } else { int % 10 },
        }),
        DataType::Uuid => Value::Uuid(Uuid::from_u128(u128::arbitrary(g))),
        _ => unreachable!("not in TYPES"),
    }
}

fn nullable(g: &mut Gen, data_type: DataType) -> Value {
    if u8::arbitrary(g) % 6 == 0 {
        Value::Null
    } else {
        value(g, data_type)
    }
}

/// The order of two values of one type, written down plainly.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Int1(a), Value::Int1(b)) => a.cmp(b),
        (Value::Int2(a), Value::Int2(b)) => a.cmp(b),
        (Value::Int4(a), Value::Int4(b)) | (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Int8(a), Value::Int8(b))
        | (Value::Time(a), Value::Time(b))
        | (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::TimestampTz(a), Value::TimestampTz(b)) => a.cmp(b),
        // The moment in UTC, then the zone further east first, as PostgreSQL has it.
        (Value::TimeTz(a), Value::TimeTz(b)) => {
            let utc = |time: &crate::types::TimeTz| {
                time.micros() - i64::from(time.seconds_east()) * 1_000_000
            };
            let west = |time: &crate::types::TimeTz| -time.seconds_east();
            utc(a).cmp(&utc(b)).then(west(a).cmp(&west(b)))
        }
        (Value::Float4(a), Value::Float4(b)) => a
            .is_nan()
            .cmp(&b.is_nan())
            .then(a.partial_cmp(b).unwrap_or(Ordering::Equal)),
        (Value::Float8(a), Value::Float8(b)) => a
            .is_nan()
            .cmp(&b.is_nan())
            .then(a.partial_cmp(b).unwrap_or(Ordering::Equal)),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
        (Value::Interval(a), Value::Interval(b)) => {
            key::interval_micros(*a).cmp(&key::interval_micros(*b))
        }
        (Value::Uuid(a), Value::Uuid(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => unreachable!("of one type"),
    }
}

/// Two rows of one random key layout.
#[derive(Clone, Debug)]
struct KeyPair {
    columns: Vec<KeyColumn>,
    left: Vec<Value>,
    right: Vec<Value>,
}

impl Arbitrary for KeyPair {
    fn arbitrary(g: &mut Gen) -> Self {
        let columns: Vec<KeyColumn> = (0..1 + usize::arbitrary(g) % 3)
            .map(|_| KeyColumn {
                data_type: *g.choose(TYPES).unwrap(),
                descending: bool::arbitrary(g),
                nulls_first: bool::arbitrary(g),
                nullable: true,
            })
            .collect();
        let left: Vec<Value> = columns.iter().map(|c| nullable(g, c.data_type)).collect();
        let right = columns
            .iter()
            .zip(&left)
            .map(|(c, l)| {
                if bool::arbitrary(g) {
                    l.clone()
                } else {
                    nullable(g, c.data_type)
                }
            })
            .collect();
        KeyPair {
            columns,
            left,
            right,
        }
    }
}

fn compare_column(column: &KeyColumn, a: &Value, b: &Value) -> Ordering {
    match (matches!(a, Value::Null), matches!(b, Value::Null)) {
        (true, true) => Ordering::Equal,
        (true, false) if column.nulls_first => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if column.nulls_first => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if column.descending => compare(a, b).reverse(),
        (false, false) => compare(a, b),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float4(a), Value::Float4(b)) => a.to_bits() == b.to_bits(),
        (Value::Float8(a), Value::Float8(b)) => a.to_bits() == b.to_bits(),
        (Value::Decimal(a), Value::Decimal(b)) => a.to_parts() == b.to_parts(),
        _ => a == b,
    }
}

/// A random table and a row of it.
#[derive(Clone, Debug)]
struct TableRow {
    types: Vec<DataType>,
    primary_key: Vec<usize>,
    row: Vec<Value>,
    wanted: Vec<usize>,
}

impl Arbitrary for TableRow {
    fn arbitrary(g: &mut Gen) -> Self {
        let width = 1 + usize::arbitrary(g) % 12;
        let types: Vec<DataType> = (0..width).map(|_| *g.choose(TYPES).unwrap()).collect();
        let mut primary_key: Vec<usize> = Vec::new();
        for _ in 0..usize::arbitrary(g) % 3 {
            let column = usize::arbitrary(g) % width;
            if !primary_key.contains(&column) {
                primary_key.push(column);
            }
        }
        let row = types
            .iter()
            .enumerate()
            .map(|(at, of)| {
                if primary_key.contains(&at) {
                    value(g, *of)
                } else {
                    nullable(g, *of)
                }
            })
            .collect();
        let mut wanted: Vec<usize> = (0..width).filter(|_| bool::arbitrary(g)).collect();
        if bool::arbitrary(g) {
            wanted.reverse();
        }
        TableRow {
            types,
            primary_key,
            row,
            wanted,
        }
    }
}

quickcheck! {
    fn key_order_is_value_order(pair: KeyPair) -> bool {
        let layout = KeyLayout::index(pair.columns.clone());
        let (mut left, mut right) = (Vec::new(), Vec::new());
        layout.encode(&pair.left, &mut left).unwrap();
        layout.encode(&pair.right, &mut right).unwrap();
        let expected = pair
            .columns
            .iter()
            .zip(pair.left.iter().zip(&pair.right))
            .map(|(column, (a, b))| compare_column(column, a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal);
        left.cmp(&right) == expected
    }

    fn key_suffix_survives(pair: KeyPair, suffix: Vec<u8>) -> bool {
        let layout = KeyLayout::index(pair.columns.clone());
        let mut key = Vec::new();
        layout.encode(&pair.left, &mut key).unwrap();
        key.extend_from_slice(&suffix);
        layout.suffix(&key).unwrap() == suffix
    }

    fn primary_key_order_is_value_order(of: u8, seed: u64) -> bool {
        let mut g = Gen::from_size_and_seed(20, seed);
        let of = TYPES[usize::from(of) % TYPES.len()];
        let layout = KeyLayout::primary([of]);
        let (a, b) = (value(&mut g, of), value(&mut g, of));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        layout.encode([&a], &mut left).unwrap();
        layout.encode([&b], &mut right).unwrap();
        left.cmp(&right) == compare(&a, &b)
    }

    fn rows_come_back(table: TableRow) -> bool {
        let codec = Arc::new(TableCodec::from_types(table.types.clone(), &table.primary_key));
        let (mut key, mut stored) = (Vec::new(), Vec::new());
        codec.encode_key(&table.row, &mut key).unwrap();
        if codec.key.is_none() {
            key.extend_from_slice(&row_number_key(7));
        }
        codec.encode_row(&table.row, &mut stored).unwrap();
        let decoder = RowDecoder::new(codec, &table.wanted);
        let mut row = vec![Value::Boolean(true); table.wanted.len()];
        decoder.decode_values(&key, &stored, &mut Vec::new(), &mut row).unwrap();
        table.wanted.iter().zip(&row).all(|(ordinal, got)| same(&table.row[*ordinal], got))
    }

    fn damaged_rows_are_errors_or_values(table: TableRow, flips: Vec<(u16, u8)>, cut: u16) -> bool {
        let codec = Arc::new(TableCodec::from_types(table.types.clone(), &table.primary_key));
        let (mut key, mut stored) = (Vec::new(), Vec::new());
        codec.encode_key(&table.row, &mut key).unwrap();
        codec.encode_row(&table.row, &mut stored).unwrap();
        for bytes in [&mut key, &mut stored] {
            for (at, bits) in &flips {
                let len = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(usize::from(*at) % len) {
                    *byte ^= bits;
                }
            }
            bytes.truncate(usize::from(cut) % (bytes.len() + 1));
        }
        let all: Vec<usize> = (0..table.types.len()).collect();
        let decoder = RowDecoder::new(codec, &all);
        let mut row = vec![Value::Null; all.len()];
        let _ = decoder.decode_values(&key, &stored, &mut Vec::new(), &mut row);
        true
    }
}

#[test]
fn rows_are_small() {
    // A flight of nycflights13: what a row of 19 mostly small columns takes.
    let types = vec![
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Text,
        DataType::Int4,
        DataType::Text,
        DataType::Text,
        DataType::Text,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Int4,
        DataType::Timestamp,
    ];
    let int = Value::Int4;
    let row = [
        int(2013),
        int(1),
        int(1),
        int(517),
        int(515),
        int(2),
        int(830),
        int(819),
        int(11),
        Value::Text("UA".into()),
        int(1545),
        Value::Text("N14228".into()),
        Value::Text("EWR".into()),
        Value::Text("IAH".into()),
        int(227),
        int(1400),
        int(5),
        int(15),
        Value::Timestamp(1_357_016_400_000_000),
    ];
    let codec = TableCodec::from_types(types, &[]);
    let mut stored = Vec::new();
    codec.encode_row(&row, &mut stored).unwrap();
    // version 1, tags 10, integers 7 × 1 + 9 × 2 − none wider, strings 14, seconds 4.
    assert!(stored.len() <= 56, "{} bytes", stored.len());
}

#[test]
fn a_reference_borrows_from_the_row() {
    let codec = Arc::new(TableCodec::from_types(
        vec![DataType::Text, DataType::Int4],
        &[1],
    ));
    let row = [Value::Text("hello".into()), Value::Int4(-5)];
    let (mut key, mut stored) = (Vec::new(), Vec::new());
    codec.encode_key(&row, &mut key).unwrap();
    codec.encode_row(&row, &mut stored).unwrap();
    let decoder = RowDecoder::new(codec, &[1, 0]);
    let mut seen = Vec::new();
    decoder
        .decode(&key, &stored, &mut Vec::new(), |slot, value| {
            match (slot, value) {
                (0, ValueRef::Integer(-5)) | (1, ValueRef::Bytes(b"hello")) => seen.push(slot),
                other => panic!("{other:?}"),
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(seen.len(), 2);
}

/// A type whose labels were added at these places.
fn enum_type(places: &[u16]) -> crate::types::EnumType {
    use crate::types::{EnumPlace, EnumType, new_enum_labels};
    let made = |labels| EnumType::new(1, 2, "public".to_owned(), "e".to_owned(), labels);
    let names = ["a", "b"].map(str::to_owned).to_vec();
    let mut of = made(new_enum_labels(names).unwrap());
    for (count, place) in places.iter().enumerate() {
        let labels: Vec<_> = of.labels().collect();
        let place = match labels.get(usize::from(*place) % (labels.len() + 1)) {
            Some(next) => EnumPlace::Before(next.name().to_owned()),
            None => EnumPlace::End,
        };
        of = made(of.with_label(0, format!("l{count}"), &place).unwrap());
    }
    of
}

quickcheck! {
    fn keys_of_labels_are_in_their_order(places: Vec<u16>, flags: u8) -> bool {
        let of = enum_type(&places);
        let column = KeyColumn {
            data_type: DataType::Enum(of),
            descending: flags & 1 != 0,
            nulls_first: flags & 2 != 0,
            nullable: flags & 4 != 0,
        };
        let layout = KeyLayout::index(vec![column]);
        let mut keys = Vec::new();
        for value in of.values() {
            let mut key = Vec::new();
            layout.encode([&value], &mut key).unwrap();
            let mut back = Value::Null;
            layout
                .decode(&key, &[Some(0)], &mut Vec::new(), &mut |_, found| {
                    back = found.to_value(column.data_type)?;
                    Ok(())
                })
                .unwrap();
            if back != value || layout.suffix(&key).unwrap() != [0u8; 0] {
                return false;
            }
            keys.push(key);
        }
        keys.windows(2)
            .all(|pair| pair[0] != pair[1] && (pair[0] < pair[1]) != column.descending)
    }

    fn labels_and_their_arrays_survive_in_rows(places: Vec<u16>, which: u16) -> bool {
        let of = enum_type(&places);
        let values: Vec<Value> = of.values().collect();
        let value = values[usize::from(which) % values.len()].clone();
        let array = Value::Array(Box::new(crate::types::Array::new(vec![
            Value::Null,
            value.clone(),
        ])));
        let data_type = DataType::Enum(of);
        let types = vec![data_type, data_type.array().unwrap(), data_type];
        let codec = Arc::new(TableCodec::from_types(types, &[2]));
        let row = [value.clone(), array, value];
        let (mut key, mut bytes) = (Vec::new(), Vec::new());
        codec.encode_key(&row, &mut key).unwrap();
        codec.encode_row(&row, &mut bytes).unwrap();
        let mut back = vec![Value::Null; 3];
        RowDecoder::new(codec, &[0, 1, 2])
            .decode_values(&key, &bytes, &mut Vec::new(), &mut back)
            .unwrap();
        back == row
    }
}
