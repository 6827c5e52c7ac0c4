//! Enumerated types and their values.
//!
//! A type's labels change only by ALTER TYPE, which makes another definition of it. Definitions
//! are immutable and live as long as the process: equal ones are one, so a [`DataType`] or a
//! [`Value`] names one by a pointer and is as cheap to copy and compare as any other. What a
//! process keeps is bounded by how many different definitions it has seen.
//!
//! [`DataType`]: super::DataType
//! [`Value`]: super::Value

use std::{
    cmp::Ordering,
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{
    Value,
    enum_position::{self, Position},
    excerpt,
};
use crate::{Error, Result, SqlState};

/// How many bytes a label may have.
const MAX_LABEL: usize = 63;

/// How many labels a type may have.
const MAX_LABELS: usize = 32_767;

static DEFINITIONS: LazyLock<Mutex<HashSet<&'static Definition>>> = LazyLock::new(Mutex::default);

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
    labels: Vec<EnumLabel>,
    /// Places in `labels`, in the order of the names.
    by_name: Vec<u32>,
}

/// A label of an enumerated type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumLabel {
    id: u32,
    name: String,
    position: Position,
}

impl EnumLabel {
    /// A label as the catalog keeps it: its number there, its name and its position.
    #[must_use]
    pub fn new(id: u32, name: String, position: &[u8]) -> EnumLabel {
        EnumLabel {
            id,
            name,
            position: position.into(),
        }
    }

    /// Its number in the catalog.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands: the order of labels is that of these bytes.
    #[must_use]
    pub fn position(&self) -> &[u8] {
        &self.position
    }
}

/// Where a label is put that ALTER TYPE … ADD VALUE adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnumPlace {
    /// Behind all others.
    End,
    /// BEFORE a label.
    Before(String),
    /// AFTER a label.
    After(String),
}

/// The labels of a new type, in this order, without numbers yet.
///
/// # Errors
/// 42602 for a label that is too long, 42710 for one that is there twice, with its place among
/// them; 54000 where there are too many, without a place.
pub fn new_enum_labels(names: Vec<String>) -> Result<Vec<EnumLabel>, (Error, Option<usize>)> {
    if names.len() > MAX_LABELS {
        return Err((too_many_labels(), None));
    }
    let mut seen = HashSet::new();
    for (at, name) in names.iter().enumerate() {
        check_label(name).map_err(|error| (error, Some(at)))?;
        if !seen.insert(name.as_str()) {
            let error = Error::new(
                SqlState("42710"),
                format!("enum label \"{name}\" used more than once"),
            );
            return Err((error, Some(at)));
        }
    }
    let positions = enum_position::spread(names.len());
    Ok(names
        .into_iter()
        .zip(positions)
        .map(|(name, position)| EnumLabel {
            id: 0,
            name,
            position,
        })
        .collect())
}

fn check_label(name: &str) -> Result<()> {
    if name.len() > MAX_LABEL {
        return Err(Error::new(
            SqlState("42602"),
            format!("invalid enum label \"{}\"", excerpt(name)),
        )
        .detail(format!("Labels must be {MAX_LABEL} bytes or less.")));
    }
    Ok(())
}

fn too_many_labels() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("an enumerated type has at most {MAX_LABELS} labels"),
    )
}

fn already_there(name: &str) -> Error {
    Error::new(
        SqlState("42710"),
        format!("enum label \"{name}\" already exists"),
    )
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
        mut labels: Vec<EnumLabel>,
    ) -> EnumType {
        labels.sort_by(|left, right| left.position.cmp(&right.position));
        let mut by_name: Vec<u32> = (0..labels.len() as u32).collect();
        by_name.sort_by(|left, right| {
            labels[*left as usize]
                .name
                .cmp(&labels[*right as usize].name)
        });
        let definition = Definition {
            id,
            array_id,
            schema,
            name,
            labels,
            by_name,
        };
        let mut known = DEFINITIONS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&definition) {
            return EnumType(known);
        }
        let kept: &'static Definition = Box::leak(Box::new(definition));
        known.insert(kept);
        EnumType(kept)
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
    #[must_use]
    pub fn labels(self) -> &'static [EnumLabel] {
        &self.0.labels
    }

    /// Its values, in order.
    pub fn values(self) -> impl DoubleEndedIterator<Item = Value> {
        (0..self.0.labels.len() as u32).map(move |index| Value::Enum(EnumValue { of: self, index }))
    }

    /// The value with that label.
    #[must_use]
    pub fn labelled(self, name: &str) -> Option<EnumValue> {
        let Definition {
            labels, by_name, ..
        } = self.0;
        let found = by_name
            .binary_search_by(|index| labels[*index as usize].name.as_str().cmp(name))
            .ok()?;
        Some(EnumValue {
            of: self,
            index: *by_name.get(found)?,
        })
    }

    /// The value whose label stands there.
    #[must_use]
    pub fn positioned(self, position: &[u8]) -> Option<EnumValue> {
        let index = self
            .0
            .labels
            .binary_search_by(|label| label.position.as_slice().cmp(position))
            .ok()?;
        Some(EnumValue {
            of: self,
            index: index as u32,
        })
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
            let names = self.labels().iter().map(EnumLabel::name);
            match crate::binder::did_you_mean(text, names) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
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
        let labels = self.labels();
        if labels.len() >= MAX_LABELS {
            return Err(too_many_labels());
        }
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
        let mut labels = labels.to_vec();
        labels.insert(at, EnumLabel { id, name, position });
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
        let mut labels = self.labels().to_vec();
        if let Some(label) = labels.get_mut(at) {
            label.name = to.to_owned();
        }
        Ok(labels)
    }

    fn place_of(self, name: &str) -> Result<usize> {
        match self.labelled(name) {
            Some(found) => Ok(found.index as usize),
            None => {
                let error = Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("\"{name}\" is not an existing enum label"),
                );
                let names = self.labels().iter().map(EnumLabel::name);
                Err(match crate::binder::did_you_mean(name, names) {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
        }
    }
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

/// A value of an enumerated type.
#[derive(Clone, Copy)]
pub struct EnumValue {
    of: EnumType,
    index: u32,
}

impl EnumValue {
    /// Its type.
    #[must_use]
    pub fn enum_type(self) -> EnumType {
        self.of
    }

    /// Its label.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.entry().map_or("", EnumLabel::name)
    }

    /// Where its label stands: what rows and keys hold.
    #[must_use]
    pub fn position(self) -> &'static [u8] {
        self.entry().map_or(&[], EnumLabel::position)
    }

    fn entry(self) -> Option<&'static EnumLabel> {
        self.of.0.labels.get(self.index as usize)
    }

    /// The same value of a definition of its type.
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
        if self.of == other.of {
            self.index.cmp(&other.index)
        } else {
            (self.position(), self.of.id()).cmp(&(other.position(), other.of.id()))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(names: &[&str]) -> EnumType {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let labels = new_enum_labels(names).expect("labels");
        EnumType::new(7, 8, "public".to_owned(), "mood".to_owned(), labels)
    }

    fn names(of: EnumType) -> Vec<&'static str> {
        of.labels().iter().map(EnumLabel::name).collect()
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
