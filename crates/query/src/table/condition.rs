//! Conditions on rows.

use std::{fmt, marker::PhantomData, ops::Not};

use rustling_sql::Value;

use crate::Statement;

/// A condition on the rows of `R`.
pub struct Condition<R> {
    parts: Vec<Part>,
    row: PhantomData<fn() -> R>,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(&'static str),
    Value(Value),
}

impl<R> Clone for Condition<R> {
    fn clone(&self) -> Condition<R> {
        Condition::of(self.parts.clone())
    }
}

impl<R> fmt::Debug for Condition<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.parts).finish()
    }
}

impl<R> Condition<R> {
    pub(crate) fn of(parts: Vec<Part>) -> Condition<R> {
        Condition {
            parts,
            row: PhantomData,
        }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Condition<R>) -> Condition<R> {
        self.joined(" AND ", other)
    }

    /// One or both.
    #[must_use]
    pub fn or(self, other: Condition<R>) -> Condition<R> {
        self.joined(" OR ", other)
    }

    fn joined(self, word: &'static str, other: Condition<R>) -> Condition<R> {
        let mut parts = Vec::with_capacity(self.parts.len() + other.parts.len() + 3);
        parts.push(Part::Text("("));
        parts.extend(self.parts);
        parts.push(Part::Text(word));
        parts.extend(other.parts);
        parts.push(Part::Text(")"));
        Condition::of(parts)
    }

    pub(crate) fn write(self, statement: &mut Statement) {
        for part in self.parts {
            match part {
                Part::Text(text) => statement.push_text(text),
                Part::Value(value) => statement.push_value(value),
            }
        }
    }
}

/// `NOT`: true where the condition is false, not where it is unknown.
impl<R> Not for Condition<R> {
    type Output = Condition<R>;

    fn not(self) -> Condition<R> {
        let mut parts = vec![Part::Text("(NOT ")];
        parts.extend(self.parts);
        parts.push(Part::Text(")"));
        Condition::of(parts)
    }
}
