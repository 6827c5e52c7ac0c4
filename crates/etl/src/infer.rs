//! Which type a column is: what every one of its values can be.
//!
//! Inference reads the whole file, so there is no later row that contradicts it. It is
//! conservative where a wrong guess would lose something: numbers with leading zeros stay text,
//! as do columns that mix zoned and plain timestamps; integers beyond 64 bits and decimals beyond
//! a float's precision become `numeric`.

use rustling_sql::DataType;

use crate::text::{self, Number};

const BOOLEAN: u16 = 1;
const INTEGER: u16 = 1 << 1;
const FLOAT: u16 = 1 << 2;
const DECIMAL: u16 = 1 << 3;
const DATE: u16 = 1 << 4;
const TIME: u16 = 1 << 5;
const TIMESTAMP: u16 = 1 << 6;
const TIMESTAMP_TZ: u16 = 1 << 7;
const UUID: u16 = 1 << 8;
const ALL: u16 = (1 << 9) - 1;

/// What is known of a column so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    /// Types that no value has ruled out.
    possible: u16,
    /// Whether any value was not NULL.
    seen: bool,
    /// Whether an integer did not fit 32 bits.
    wide: bool,
}

impl Default for Guess {
    fn default() -> Guess {
        Guess {
            possible: ALL,
            seen: false,
            wide: false,
        }
    }
}

impl Guess {
    /// Takes a value that is not NULL into account.
    pub(crate) fn observe(&mut self, field: &[u8]) {
        self.seen = true;
        if self.possible != 0 {
            self.possible &= self.kinds(field.trim_ascii());
        }
    }

    fn kinds(&mut self, field: &[u8]) -> u16 {
        let Some(&first) = field.first() else {
            return 0;
        };
        if first.is_ascii_digit() || first == b'-' || first == b'.' {
            if let Some(number) = text::number(field) {
                return match number {
                    Number::Integer(value) => {
                        self.wide |= i32::try_from(value).is_err();
                        // A float holds integers exactly up to 2^53.
                        let exact = value.unsigned_abs() <= 1 << 53;
                        INTEGER | DECIMAL | if exact { FLOAT } else { 0 }
                    }
                    Number::Float => FLOAT | DECIMAL,
                    Number::Decimal => DECIMAL,
                    Number::Exponent => FLOAT,
                };
            }
            let temporal = DATE | TIME | TIMESTAMP | TIMESTAMP_TZ;
            if self.possible & temporal != 0 {
                if text::date(field).is_some() {
                    return DATE | TIMESTAMP;
                }
                if let Some(timestamp) = text::timestamp(field) {
                    return if timestamp.zoned {
                        TIMESTAMP_TZ
                    } else {
                        TIMESTAMP
                    };
                }
                if text::time(field).is_some() {
                    return TIME;
                }
            }
        }
        if self.possible & BOOLEAN != 0 && text::boolean(field).is_some() {
            return BOOLEAN;
        }
        if self.possible & UUID != 0 && text::is_uuid(field) {
            UUID
        } else {
            0
        }
    }

    /// Joins what another part of the file says of the same column.
    pub(crate) fn merge(&mut self, other: Guess) {
        self.possible &= other.possible;
        self.seen |= other.seen;
        self.wide |= other.wide;
    }

    /// The narrowest type that takes every value.
    pub(crate) fn data_type(self) -> DataType {
        let can = |kind: u16| self.seen && self.possible & kind != 0;
        if can(BOOLEAN) {
            DataType::Boolean
        } else if can(INTEGER) {
            if self.wide {
                DataType::Int8
            } else {
                DataType::Int4
            }
        } else if can(FLOAT) {
            DataType::Float8
        } else if can(DECIMAL) {
            DataType::Decimal(None)
        } else if can(DATE) {
            DataType::Date
        } else if can(TIME) {
            DataType::Time
        } else if can(TIMESTAMP) {
            DataType::Timestamp
        } else if can(TIMESTAMP_TZ) {
            DataType::TimestampTz
        } else if can(UUID) {
            DataType::Uuid
        } else {
            DataType::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use rustling_sql::DataType;

    use super::Guess;

    fn check(values: &[&str], expected: DataType) {
        let mut whole = Guess::default();
        values
            .iter()
            .for_each(|value| whole.observe(value.as_bytes()));
        assert_eq!(whole.data_type(), expected, "{values:?}");
        // The order and the cut of the file must not matter.
        let mut merged = Guess::default();
        for value in values.iter().rev() {
            let mut part = Guess::default();
            part.observe(value.as_bytes());
            merged.merge(part);
        }
        assert_eq!(merged.data_type(), expected, "merged {values:?}");
    }

    #[test]
    fn the_narrowest_type_that_takes_every_value() {
        check(&[], DataType::Text);
        check(&["1", "-2"], DataType::Int4);
        check(&["1", "3000000000"], DataType::Int8);
        check(&["1", "2.5"], DataType::Float8);
        check(&["1", "99999999999999999999"], DataType::Decimal(None));
        check(&["9007199254740993", "0.5"], DataType::Decimal(None));
        check(&["99999999999999999999", "1e5"], DataType::Text);
        check(&["true", "FALSE"], DataType::Boolean);
        check(&["2013-01-01", "2013-02-28"], DataType::Date);
        check(&["2013-01-01", "2013-01-01 10:00"], DataType::Timestamp);
        check(&["2013-01-01T10:00:00Z"], DataType::TimestampTz);
        check(
            &["2013-01-01T10:00:00Z", "2013-01-01 10:00"],
            DataType::Text,
        );
        check(&["10:30", "23:59:59.5"], DataType::Time);
        check(&["550e8400-e29b-41d4-a716-446655440000"], DataType::Uuid);
    }

    #[test]
    fn codes_stay_text() {
        check(&["00501", "10001"], DataType::Text);
        check(&["+441234", "12"], DataType::Text);
        check(&["1", ""], DataType::Text);
        check(&["2013-02-30"], DataType::Text);
        check(&["NaN", "1.5"], DataType::Text);
    }
}
