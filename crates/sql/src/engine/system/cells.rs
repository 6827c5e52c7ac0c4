//! Values of system relations.

use compact_str::CompactString;

use crate::{Value, types::Array};

/// A number of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oid(pub(crate) u32);

impl From<Oid> for Value {
    fn from(Oid(number): Oid) -> Value {
        Value::Oid(number)
    }
}

/// A `"char"`; the character 0 is written as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter(pub(crate) char);

impl From<Letter> for Value {
    fn from(Letter(letter): Letter) -> Value {
        Value::Text(match letter {
            '\0' => CompactString::default(),
            letter => std::iter::once(letter).collect(),
        })
    }
}

fn array(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(Box::new(Array::new(values.collect())))
}

/// `text[]`
pub(crate) fn texts<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Value {
    array(texts.into_iter().map(|text| Value::from(text.as_ref())))
}

/// `name[]`
pub(crate) fn name_array<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Value {
    texts(names)
}

/// `smallint[]`
pub(crate) fn int2s(numbers: impl IntoIterator<Item = i16>) -> Value {
    array(numbers.into_iter().map(Value::Int2))
}

/// `real[]`
pub(crate) fn float4s(numbers: impl IntoIterator<Item = f32>) -> Value {
    array(numbers.into_iter().map(Value::Float4))
}

/// `int2vector`
pub(crate) fn int2_vector(numbers: impl IntoIterator<Item = i16>) -> Value {
    let values = numbers.into_iter().map(Value::Int2).collect();
    Value::Array(Box::new(Array::vector(values)))
}

/// `oidvector`
pub(crate) fn oid_vector(numbers: impl IntoIterator<Item = u32>) -> Value {
    let values = numbers.into_iter().map(Value::Oid).collect();
    Value::Array(Box::new(Array::vector(values)))
}
