//! Values of enumerated types.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use super::{EnumLabel, EnumType};
use crate::{Error, Result, SqlState};

/// A value of an enumerated type.
#[derive(Clone, Copy)]
pub struct EnumValue {
    of: EnumType,
    label: &'static EnumLabel,
}

impl EnumValue {
    /// The value with one of a type's labels.
    pub(super) fn new(of: EnumType, label: &'static EnumLabel) -> EnumValue {
        EnumValue { of, label }
    }

    /// Its type.
    #[must_use]
    pub fn enum_type(self) -> EnumType {
        self.of
    }

    /// Its label.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.label.name()
    }

    /// Where its label stands: what rows and keys hold.
    #[must_use]
    pub fn position(self) -> &'static [u8] {
        self.label.position()
    }

    /// The same value of another definition of its type in the same database, if that has it: its
    /// label may have been renamed.
    #[must_use]
    pub fn in_definition(self, to: EnumType) -> Option<EnumValue> {
        if self.of.id() != to.id() {
            return None;
        }
        let there = to.positioned(self.position())?;
        // After a rollback a position may stand for another label.
        (there.label.id() == self.label.id()).then_some(there)
    }

    /// The value with the same label of a definition of its type.
    ///
    /// # Errors
    /// 42846 where that is another type, 22P02 where it does not have the label.
    pub fn in_type(self, to: EnumType) -> Result<EnumValue> {
        if self.of == to {
            return Ok(self);
        }
        if self.of.id() != to.id() {
            return Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {} to {to}", self.of),
            ));
        }
        // By the label: another database may have a type with the same number, and after a
        // rollback a position stands for another label.
        to.parse(self.label())
    }
}

impl PartialEq for EnumValue {
    fn eq(&self, other: &EnumValue) -> bool {
        self.cmp(other).is_eq() && self.of.id() == other.of.id()
    }
}

impl Eq for EnumValue {}

impl PartialOrd for EnumValue {
    fn partial_cmp(&self, other: &EnumValue) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of the labels.
impl Ord for EnumValue {
    fn cmp(&self, other: &EnumValue) -> Ordering {
        let by_position = self.position().cmp(other.position());
        by_position.then_with(|| self.of.id().cmp(&other.of.id()))
    }
}

impl Hash for EnumValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.position().hash(state);
    }
}

impl fmt::Debug for EnumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.{}", self.of, self.label())
    }
}

impl fmt::Display for EnumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
