//! Enumerated types.
//!
//! A type's labels change only by ALTER TYPE, which makes another definition of it. Definitions
//! are immutable and live as long as the process: equal ones are one, so a [`DataType`] or a
//! [`Value`] names one by a pointer and is as cheap to copy and compare as any other. What a
//! process keeps is bounded by how many different definitions it has seen; they share their labels
//! (`enum_labels`).
//!
//! [`DataType`]: super::DataType
//! [`Value`]: super::Value

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use super::{
    EnumLabel, EnumPlace, EnumValue, Value,
    enum_labels::{Kept, LabelList, check_count, check_label, kept_label},
    enum_position, excerpt,
};
use crate::{Error, Result, SqlState};

/// A hint lists no more labels.
const MAX_LISTED: usize = 10;

static DEFINITIONS: Kept<Definition> = Kept::new();

/// An enumerated type, at one moment.
///
/// Two are equal where they are the same type with the same labels.
#[derive(Clone, Copy)]
pub struct EnumType(&'static Definition);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Definition {
    id: u32,
    array_id: u32,
    schema: String,
    name: String,
    /// In their order.
    labels: LabelList,
    /// In the order of their names.
    by_name: LabelList,
}

impl EnumType {
    /// The type with these numbers, this name and these labels, which are brought into the order
    /// of their positions.
    #[must_use]
    pub fn new(
        id: u32,
        array_id: u32,
        schema: String,
        name: String,
        labels: Vec<EnumLabel>,
    ) -> EnumType {
        let mut labels: Vec<&'static EnumLabel> = labels.into_iter().map(kept_label).collect();
        labels.sort_by(|left, right| left.position().cmp(right.position()));
        let in_order = LabelList::new(&labels);
        labels.sort_by(|left, right| left.name().cmp(right.name()));
        let definition = Definition {
            id,
            array_id,
            schema,
            name,
            labels: in_order,
            by_name: LabelList::new(&labels),
        };
        EnumType(DEFINITIONS.take(definition))
    }

    /// Its number in the catalog.
    #[must_use]
    pub fn id(self) -> u32 {
        self.0.id
    }

    /// The number of the type of its arrays in the catalog.
    #[must_use]
    pub fn array_id(self) -> u32 {
        self.0.array_id
    }

    /// Its number in `pg_type`.
    #[must_use]
    pub fn oid(self) -> u32 {
        super::FIRST_USER_OID + self.0.id
    }

    /// The number of the type of its arrays in `pg_type`.
    #[must_use]
    pub fn array_oid(self) -> u32 {
        super::FIRST_USER_OID + self.0.array_id
    }

    /// Its schema.
    #[must_use]
    pub fn schema(self) -> &'static str {
        &self.0.schema
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.0.name
    }

    /// Its labels, in order.
    pub fn labels(self) -> impl DoubleEndedIterator<Item = &'static EnumLabel> {
        self.0.labels.iter()
    }

    /// Its values, in order.
    pub fn values(self) -> impl DoubleEndedIterator<Item = Value> {
        self.labels()
            .map(move |label| Value::Enum(EnumValue::new(self, label)))
    }

    /// The value with that label.
    #[must_use]
    pub fn labelled(self, name: &str) -> Option<EnumValue> {
        let found = self.0.by_name.find(|label| label.name().cmp(name))?;
        Some(EnumValue::new(self, found))
    }

    /// The value whose label stands there.
    #[must_use]
    pub fn positioned(self, position: &[u8]) -> Option<EnumValue> {
        let found = self.0.labels.find(|label| label.position().cmp(position))?;
        Some(EnumValue::new(self, found))
    }

    /// Reads a value.
    ///
    /// # Errors
    /// 22P02 where there is no such label.
    pub fn parse(self, text: &str) -> Result<EnumValue> {
        self.labelled(text).ok_or_else(|| {
            let error = Error::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {self}: \"{}\"", excerpt(text)),
            );
            self.with_nearest(error, text)
        })
    }

    /// An error about what is no label, with the hint which one was meant.
    fn with_nearest(self, error: Error, name: &str) -> Error {
        if let Some(hint) = crate::binder::did_you_mean(name, self.labels().map(EnumLabel::name)) {
            return error.hint(hint);
        }
        let labels: Vec<&str> = self.labels().map(EnumLabel::name).collect();
        if labels.is_empty() || labels.len() > MAX_LISTED {
            return error;
        }
        error.hint(format!("Its values are {}.", labels.join(", ")))
    }

    /// The type with these labels in the place of its own.
    #[must_use]
    pub fn with_labels(self, labels: Vec<EnumLabel>) -> EnumType {
        let Definition { schema, name, .. } = self.0;
        EnumType::new(
            self.id(),
            self.array_id(),
            schema.clone(),
            name.clone(),
            labels,
        )
    }

    /// The type with another name.
    #[must_use]
    pub fn renamed(self, schema: String, name: String) -> EnumType {
        let labels = self.labels().cloned().collect();
        EnumType::new(self.id(), self.array_id(), schema, name, labels)
    }

    /// The labels with one more, whose number is `id`.
    ///
    /// # Errors
    /// 42710 where there is one of that name, 22023 where the neighbour is no label, 42602 for a
    /// label that is too long, 54000 where there are too many.
    pub fn with_label(self, id: u32, name: String, place: &EnumPlace) -> Result<Vec<EnumLabel>> {
        check_label(&name)?;
        if self.labelled(&name).is_some() {
            return Err(already_there(&name));
        }
        let mut labels: Vec<EnumLabel> = self.labels().cloned().collect();
        check_count(labels.len() + 1)?;
        let at = match place {
            EnumPlace::End => labels.len(),
            EnumPlace::Before(neighbour) => self.place_of(neighbour)?,
            EnumPlace::After(neighbour) => self.place_of(neighbour)? + 1,
        };
        let low = at.checked_sub(1).and_then(|low| labels.get(low));
        let position = enum_position::between(
            low.map(EnumLabel::position),
            labels.get(at).map(EnumLabel::position),
        );
        labels.insert(at, EnumLabel::new(id, name, &position));
        Ok(labels)
    }

    /// The labels with another name for one of them.
    ///
    /// # Errors
    /// As [`EnumType::with_label`].
    pub fn with_renamed(self, from: &str, to: &str) -> Result<Vec<EnumLabel>> {
        let at = self.place_of(from)?;
        check_label(to)?;
        if self.labelled(to).is_some() {
            return Err(already_there(to));
        }
        let mut labels: Vec<EnumLabel> = self.labels().cloned().collect();
        if let Some(label) = labels.get_mut(at) {
            *label = EnumLabel::new(label.id(), to.to_owned(), label.position());
        }
        Ok(labels)
    }

    fn place_of(self, name: &str) -> Result<usize> {
        let found = self.labels().position(|label| label.name() == name);
        found.ok_or_else(|| {
            let error = Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("\"{name}\" is not an existing enum label"),
            );
            self.with_nearest(error, name)
        })
    }
}

fn already_there(name: &str) -> Error {
    Error::new(
        SqlState("42710"),
        format!("enum label \"{name}\" already exists"),
    )
}

impl PartialEq for EnumType {
    fn eq(&self, other: &EnumType) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for EnumType {}

impl Hash for EnumType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for EnumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}#{}", self.0.id)
    }
}

/// Writes its name, with the schema in front where that is not `public`.
impl fmt::Display for EnumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.schema != "public" {
            write_name(f, &self.0.schema)?;
            f.write_str(".")?;
        }
        write_name(f, &self.0.name)
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    f.write_str(&crate::parser::quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::new_enum_labels;

    fn mood(names: &[&str]) -> EnumType {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let labels = new_enum_labels(names).expect("labels");
        EnumType::new(7, 8, "public".to_owned(), "mood".to_owned(), labels)
    }

    fn names(of: EnumType) -> Vec<&'static str> {
        of.labels().map(EnumLabel::name).collect()
    }

    #[test]
    fn equal_definitions_are_one() {
        assert_eq!(mood(&["sad", "ok"]), mood(&["sad", "ok"]));
        assert_ne!(mood(&["sad", "ok"]), mood(&["sad", "ok", "happy"]));
    }

    #[test]
    fn values_are_in_the_order_of_the_labels_also_across_definitions() {
        let old = mood(&["sad", "ok", "happy"]);
        let place = EnumPlace::Before("ok".to_owned());
        let labels = old.with_label(9, "meh".to_owned(), &place).expect("labels");
        let new = EnumType::new(7, 8, "public".to_owned(), "mood".to_owned(), labels);
        assert_eq!(names(new), ["sad", "meh", "ok", "happy"]);
        let value = |of: EnumType, name| of.labelled(name).expect("a label");
        assert!(value(old, "sad") < value(new, "meh"));
        assert!(value(new, "meh") < value(old, "ok"));
        assert_eq!(value(old, "happy"), value(new, "happy"));
        assert_eq!(
            value(old, "ok").in_type(new).expect("a value").enum_type(),
            new
        );
        assert!(value(new, "meh").in_type(old).is_err());
    }

    #[test]
    fn what_is_no_label_says_which_was_meant() {
        let error = mood(&["sad", "happy"]).parse("hapy").expect_err("no label");
        assert_eq!(error.state().0, "22P02");
        assert_eq!(
            error.message(),
            "invalid input value for enum mood: \"hapy\""
        );
        assert!(error.to_string().contains("mood"));
    }

    #[test]
    fn labels_are_checked() {
        let state = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            new_enum_labels(names).expect_err("a refusal").0.state().0
        };
        assert_eq!(state(&["a", "b", "a"]), "42710");
        assert_eq!(state(&[&"x".repeat(64)]), "42602");
        let of = mood(&["a", "b"]);
        assert!(of.with_label(1, "a".to_owned(), &EnumPlace::End).is_err());
        assert!(of.with_renamed("c", "d").is_err());
        assert!(of.with_renamed("a", "b").is_err());
        assert!(of.with_renamed("a", "c").is_ok());
    }

    quickcheck::quickcheck! {
        fn stored_positions_keep_the_labels_order(places: Vec<u16>) -> bool {
            let mut of = mood(&["a", "b", "c"]);
            let mut expected: Vec<String> = names(of).into_iter().map(str::to_owned).collect();
            for (count, place) in places.into_iter().enumerate() {
                let at = usize::from(place) % (expected.len() + 1);
                let place = match expected.get(at) {
                    None => EnumPlace::End,
                    Some(_) if place % 2 == 0 && at > 0 => {
                        EnumPlace::After(expected[at - 1].clone())
                    }
                    Some(next) => EnumPlace::Before(next.clone()),
                };
                let name = format!("l{count}");
                let labels = of.with_label(0, name.clone(), &place).expect("labels");
                of = EnumType::new(7, 8, "public".to_owned(), "mood".to_owned(), labels);
                expected.insert(at, name);
            }
            let found: Vec<_> = expected
                .iter()
                .filter_map(|name| of.labelled(name))
                .collect();
            names(of) == expected
                && found.windows(2).all(|pair| {
                    pair[0] < pair[1] && pair[0].position() < pair[1].position()
                })
                && found.iter().all(|value| of.positioned(value.position()) == Some(*value))
        }
    }
}
