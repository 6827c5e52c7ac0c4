//! The order and the equality of values.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use super::{Interval, Value, calendar::MICROS_PER_DAY};

impl Interval {
    /// The length in microseconds with months of 30 days and days of 24 hours: what intervals
    /// compare by.
    #[must_use]
    pub fn span(&self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * i128::from(MICROS_PER_DAY)
            + i128::from(self.micros)
    }
}

/// PostgreSQL's order of floats: NaN equals itself and is above everything, -0 equals 0.
#[must_use]
pub fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right)
        .unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

impl Value {
    /// The order of two values of one type, as ORDER BY and the comparison operators have it.
    /// Total: NaN is the largest number and equals itself; text is in the order of its bytes;
    /// intervals compare by [`Interval::span`].
    ///
    /// NULL handling is the caller's: here NULL equals NULL and is above everything. Values of
    /// different types compare by type where they are not both numbers.
    #[must_use]
    #[inline]
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int4(a), Value::Int4(b)) => a.cmp(b),
            (Value::Int8(a), Value::Int8(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Float8(a), Value::Float8(b)) => compare_floats(*a, *b),
            _ => self.compare_any(other),
        }
    }

    fn compare_any(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::Int1(a), Value::Int1(b)) => a.cmp(b),
            (Value::Int2(a), Value::Int2(b)) => a.cmp(b),
            (Value::Float4(a), Value::Float4(b)) => compare_floats((*a).into(), (*b).into()),
            (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
            (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b))
            | (Value::Timestamp(a), Value::Timestamp(b))
            | (Value::TimestampTz(a), Value::TimestampTz(b)) => a.cmp(b),
            (Value::TimeTz(a), Value::TimeTz(b)) => a.cmp(b),
            (Value::Interval(a), Value::Interval(b)) => a.span().cmp(&b.span()),
            (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
            (Value::Enum(a), Value::Enum(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.compare(b),
            (Value::Json(a), Value::Json(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Jsonb(a), Value::Jsonb(b)) => a.compare(b),
            _ => self
                .type_rank()
                .cmp(&other.type_rank())
                .then_with(|| self.compare_equal_rank(other)),
        }
    }

    /// The order among types; integers share a rank, so that values of two widths compare.
    fn type_rank(&self) -> u8 {
        match self {
            Value::Boolean(_) => 0,
            Value::Int1(_)
            | Value::Int2(_)
            | Value::Int4(_)
            | Value::Int8(_)
            | Value::Oid(_)
            | Value::Object(_) => 1,
            Value::Float4(_) | Value::Float8(_) => 2,
            Value::Decimal(_) => 3,
            Value::Text(_) => 4,
            Value::Bytea(_) => 5,
            Value::Date(_) => 6,
            Value::Time(_) => 7,
            Value::Timestamp(_) => 8,
            Value::TimestampTz(_) => 9,
            Value::Interval(_) => 10,
            Value::Uuid(_) => 11,
            Value::Array(_) => 12,
            Value::Json(_) => 13,
            Value::Jsonb(_) => 14,
            Value::Null => 15,
            Value::TimeTz(_) => 16,
            Value::Enum(_) => 17,
        }
    }

    fn compare_equal_rank(&self, other: &Value) -> Ordering {
        if let (Some(a), Some(b)) = (self.as_integer(), other.as_integer()) {
            return a.cmp(&b);
        }
        if let (Some(a), Some(b)) = (self.as_float(), other.as_float()) {
            return compare_floats(a, b);
        }
        Ordering::Equal
    }

    fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float4(number) => Some(f64::from(*number)),
            Value::Float8(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of an integer of any width.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Int1(number) => Some(i64::from(*number)),
            Value::Int2(number) => Some(i64::from(*number)),
            Value::Int4(number) => Some(i64::from(*number)),
            Value::Int8(number) => Some(*number),
            Value::Oid(number) => Some(i64::from(*number)),
            Value::Object(object) => Some(i64::from(object.oid)),
            _ => None,
        }
    }

    /// The value of a character string.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The label of a value of an enumerated type.
    #[must_use]
    pub fn as_label(&self) -> Option<&'static str> {
        match self {
            Value::Enum(value) => Some(value.label()),
            _ => None,
        }
    }

    /// The value of a `boolean`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }
}

/// A value as a key of GROUP BY, DISTINCT or a hash join: equal where [`Value::compare`] says
/// so, NULL equal to NULL, and hashed accordingly (`1.0` with `1.00`, `-0` with `0`, one month
/// with 30 days).
#[derive(Clone, Debug, Default)]
pub struct GroupKey(pub Value);

impl PartialEq for GroupKey {
    #[inline]
    fn eq(&self, other: &GroupKey) -> bool {
        self.0.compare(&other.0) == Ordering::Equal
    }
}

impl Eq for GroupKey {}

impl PartialOrd for GroupKey {
    fn partial_cmp(&self, other: &GroupKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupKey {
    fn cmp(&self, other: &GroupKey) -> Ordering {
        self.0.compare(&other.0)
    }
}

impl Hash for GroupKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
}

impl Value {
    /// Feeds a hasher so that values equal by [`Value::compare`] hash alike.
    #[inline]
    pub fn hash_key<H: Hasher>(&self, state: &mut H) {
        match self {
            Value::Null => state.write_u8(u8::MAX),
            Value::Boolean(truth) => state.write_u8(u8::from(*truth)),
            Value::Int1(number) => state.write_i64(i64::from(*number)),
            Value::Int2(number) => state.write_i64(i64::from(*number)),
            Value::Int4(number) => state.write_i64(i64::from(*number)),
            Value::Int8(number) => state.write_i64(*number),
            Value::Oid(number) => state.write_i64(i64::from(*number)),
            Value::Object(object) => state.write_i64(i64::from(object.oid)),
            Value::Float4(number) => hash_float(f64::from(*number), state),
            Value::Float8(number) => hash_float(*number, state),
            Value::Decimal(number) => number.hash(state),
            Value::Text(text) => text.as_str().hash(state),
            Value::Bytea(bytes) => bytes.hash(state),
            Value::Date(days) => state.write_i32(*days),
            Value::Time(micros) | Value::Timestamp(micros) | Value::TimestampTz(micros) => {
                state.write_i64(*micros);
            }
            Value::TimeTz(time) => time.hash(state),
            Value::Interval(interval) => interval.span().hash(state),
            Value::Uuid(uuid) => uuid.hash(state),
            Value::Enum(value) => value.hash(state),
            Value::Array(array) => array
                .values()
                .iter()
                .for_each(|value| value.hash_key(state)),
            Value::Json(text) => text.as_str().hash(state),
            Value::Jsonb(json) => json.hash_key(state),
        }
    }
}

fn hash_float<H: Hasher>(number: f64, state: &mut H) {
    let canonical = if number.is_nan() {
        f64::NAN
    } else if number == 0.0 {
        0.0
    } else {
        number
    };
    state.write_u64(canonical.to_bits());
}

/// How a NULL or a value sorts: the comparison of ORDER BY and of index keys.
#[must_use]
#[inline]
pub fn compare_sort_keys(
    left: &Value,
    right: &Value,
    descending: bool,
    nulls_first: bool,
) -> Ordering {
    match (left.is_null(), right.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if nulls_first => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if nulls_first => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => right.compare(left),
        (false, false) => left.compare(right),
    }
}
