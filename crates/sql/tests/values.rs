//! Values: input and output against recorded facts, and the laws that hold for all of them.

use std::{cmp::Ordering, hash::BuildHasher};

use quickcheck::{Arbitrary, Gen, QuickCheck, TestResult};
use rustling_sql::{
    DataType, Decimal, Interval, Value,
    types::{CastContext, GroupKey, calendar},
};

fn type_by_name(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "smallint" => DataType::Int2,
        "integer" => DataType::Int4,
        "bigint" => DataType::Int8,
        "real" => DataType::Float4,
        "double precision" => DataType::Float8,
        "numeric" => DataType::Decimal(None),
        "numeric(5,2)" => DataType::Decimal(Some((5, 2))),
        "numeric(4,-2)" => DataType::Decimal(Some((4, -2))),
        "varchar(3)" => DataType::Varchar(Some(3)),
        "char(3)" => DataType::Char(3),
        "bytea" => DataType::Bytea,
        "uuid" => DataType::Uuid,
        "date" => DataType::Date,
        "time" => DataType::Time,
        "timestamp" => DataType::Timestamp,
        "timestamptz" => DataType::TimestampTz,
        "interval" => DataType::Interval,
        _ => return None,
    })
}

/// What `text` reads as, in the notation of the tables.
fn read(text: &str, to: DataType) -> String {
    // The recorded facts come from a cast of a literal, which cuts strings.
    match Value::from(text).cast(to, CastContext::Explicit) {
        Ok(value) => value.to_string(),
        Err(error) => format!("!{}", error.state().0),
    }
}

#[test]
fn input_and_output_are_as_recorded() {
    let mut wrong = Vec::new();
    for line in include_str!("types/input_output.tsv").lines() {
        if line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, input, expected] = fields[..] else {
            panic!("malformed line {line:?}");
        };
        let found = read(input, type_by_name(name).expect("a known type"));
        if found != expected {
            wrong.push(format!("{name} {input:?}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A value of any type, with a leaning towards edges.
#[derive(Clone, Debug)]
struct AnyValue(Value);

fn pick(g: &mut Gen, choices: &[i64]) -> i64 {
    *g.choose(choices).expect("choices are not empty")
}

fn value_of(kind: u32, g: &mut Gen) -> Value {
    match kind {
        0 => Value::Boolean(bool::arbitrary(g)),
        1 => Value::Int1(i8::arbitrary(g)),
        2 => Value::Int2(i16::arbitrary(g)),
        3 => Value::Int4(i32::arbitrary(g)),
        4 => Value::Int8(i64::arbitrary(g)),
        5 => Value::Float4(f32::arbitrary(g)),
        6 => Value::Float8(f64::arbitrary(g)),
        7 => {
            let scale = i64::from(u8::arbitrary(g) % 40);
            let mut digits = i128::from(i64::arbitrary(g));
            if bool::arbitrary(g) {
                digits *= i128::from(i64::arbitrary(g));
            }
            if bool::arbitrary(g) {
                digits = digits % 100 * 1_000;
            }
            Value::Decimal(Decimal::from_parts(digits.into(), scale).expect("in range"))
        }
        8 => Value::from(String::arbitrary(g)),
        9 => Value::Bytea(Vec::arbitrary(g)),
        10 => {
            let edge = [
                calendar::MIN_DATE.into(),
                calendar::MAX_DATE.into(),
                i32::MAX.into(),
                i32::MIN.into(),
                0,
            ];
            Value::Date(if bool::arbitrary(g) {
                pick(g, &edge) as i32
            } else {
                i32::arbitrary(g) % 2_400_000
            })
        }
        11 => Value::Time(i64::arbitrary(g).rem_euclid(calendar::MICROS_PER_DAY + 1)),
        12 | 13 => {
            let edge = [
                calendar::MIN_TIMESTAMP,
                calendar::END_TIMESTAMP - 1,
                i64::MAX,
                i64::MIN,
                0,
            ];
            let micros = if bool::arbitrary(g) {
                pick(g, &edge)
            } else {
                i64::arbitrary(g) % 200_000_000_000_000_000
            };
            if kind == 12 {
                Value::Timestamp(micros)
            } else {
                Value::TimestampTz(micros)
            }
        }
        14 => Value::Interval(Interval {
            months: i32::arbitrary(g),
            days: i32::arbitrary(g),
            // Beyond 2^31 hours the text form cannot be read back.
            micros: i64::arbitrary(g) / 2,
        }),
        _ => Value::Uuid(
            format!("{:032x}", u128::arbitrary(g))
                .parse()
                .expect("32 digits"),
        ),
    }
}

impl Arbitrary for AnyValue {
    fn arbitrary(g: &mut Gen) -> AnyValue {
        let kind = u32::arbitrary(g) % 16;
        AnyValue(value_of(kind, g))
    }
}

/// Three values of one type.
#[derive(Clone, Debug)]
struct Triple(Value, Value, Value);

impl Arbitrary for Triple {
    fn arbitrary(g: &mut Gen) -> Triple {
        let kind = u32::arbitrary(g) % 16;
        Triple(value_of(kind, g), value_of(kind, g), value_of(kind, g))
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same_value() {
    fn property(AnyValue(value): AnyValue) -> bool {
        let data_type = value.data_type().expect("not NULL");
        let text = value.to_string();
        let back = Value::parse(&text, data_type).unwrap_or_else(|error| {
            panic!("{data_type} {text:?}: {error}");
        });
        assert_eq!(back.to_string(), text);
        value.compare(&back) == Ordering::Equal
    }
    QuickCheck::new()
        .tests(20_000)
        .quickcheck(property as fn(AnyValue) -> bool);
}

#[test]
fn compare_is_a_total_order_that_hashing_follows() {
    fn property(Triple(a, b, c): Triple) -> bool {
        let hasher = std::hash::RandomState::new();
        let hash = |value: &Value| hasher.hash_one(GroupKey(value.clone()));
        let antisymmetric = a.compare(&b) == b.compare(&a).reverse();
        let reflexive = a.compare(&a) == Ordering::Equal;
        let transitive = !(a.compare(&b).is_le() && b.compare(&c).is_le()) || a.compare(&c).is_le();
        let hashes_agree = a.compare(&b) != Ordering::Equal || hash(&a) == hash(&b);
        antisymmetric && reflexive && transitive && hashes_agree
    }
    QuickCheck::new()
        .tests(20_000)
        .quickcheck(property as fn(Triple) -> bool);
}

#[test]
fn equal_decimals_of_different_scales_are_one_group() {
    fn property(digits: i64, zeros: u8) -> bool {
        let zeros = zeros % 60;
        let short = Decimal::from(digits);
        let long: Decimal = format!("{digits}.{}", "0".repeat(zeros.into()))
            .parse()
            .expect("a number");
        let hasher = std::hash::RandomState::new();
        short == long && hasher.hash_one(&short) == hasher.hash_one(&long)
    }
    QuickCheck::new().quickcheck(property as fn(i64, u8) -> bool);
}

#[test]
fn wider_types_and_text_hold_every_value() {
    fn property(AnyValue(value): AnyValue) -> TestResult {
        let own = value.data_type().expect("not NULL");
        let through = |to: DataType| {
            value
                .clone()
                .cast(to, CastContext::Explicit)
                .and_then(|wide| wide.cast(own, CastContext::Explicit))
        };
        let wider: &[DataType] = match own {
            DataType::Int1 => &[DataType::Int2, DataType::Float4, DataType::Decimal(None)],
            DataType::Int2 => &[DataType::Int4, DataType::Float4, DataType::Decimal(None)],
            DataType::Int4 => &[DataType::Int8, DataType::Float8, DataType::Decimal(None)],
            DataType::Int8 => &[DataType::Decimal(None)],
            DataType::Float4 => &[DataType::Float8],
            _ => &[],
        };
        for to in wider.iter().chain(&[DataType::Text]) {
            let back = through(*to).unwrap_or_else(|error| panic!("{own} → {to}: {error}"));
            if back.compare(&value) != Ordering::Equal {
                return TestResult::error(format!("{value} through {to} is {back}"));
            }
        }
        TestResult::passed()
    }
    QuickCheck::new()
        .tests(10_000)
        .quickcheck(property as fn(AnyValue) -> TestResult);
}

#[test]
fn no_text_makes_any_type_panic() {
    fn property(noise: String, pieces: Vec<u8>) -> bool {
        const PIECES: [&str; 24] = [
            "1",
            "-",
            "+",
            ":",
            ".",
            " ",
            "e",
            "99999",
            "T",
            "P",
            "D",
            "BC",
            "jan",
            "/",
            "12",
            "inf",
            "pm",
            "\\",
            "x",
            "{",
            "day",
            "é",
            "Europe/Berlin",
            "00",
        ];
        let assembled: String = pieces
            .iter()
            .map(|piece| PIECES[usize::from(*piece) % PIECES.len()])
            .collect();
        for text in [noise.as_str(), assembled.as_str()] {
            for to in ALL_TYPES {
                drop(Value::parse(text, *to));
            }
        }
        true
    }
    QuickCheck::new()
        .tests(5_000)
        .quickcheck(property as fn(String, Vec<u8>) -> bool);
}

const ALL_TYPES: &[DataType] = &[
    DataType::Boolean,
    DataType::Int1,
    DataType::Int2,
    DataType::Int4,
    DataType::Int8,
    DataType::Float4,
    DataType::Float8,
    DataType::Decimal(None),
    DataType::Decimal(Some((10, 3))),
    DataType::Text,
    DataType::Varchar(Some(3)),
    DataType::Char(4),
    DataType::Bytea,
    DataType::Date,
    DataType::Time,
    DataType::Timestamp,
    DataType::TimestampTz,
    DataType::Interval,
    DataType::Uuid,
];
