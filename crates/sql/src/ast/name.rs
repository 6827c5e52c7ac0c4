//! Names of things and of types.

use crate::span::Span;

/// A name: unquoted ones are folded to lower case.
#[derive(Clone, Debug)]
pub struct Ident {
    /// The name as it is looked up.
    pub name: String,
    /// Whether it stood in double quotes.
    pub quoted: bool,
    /// Where.
    pub span: Span,
}

/// A name of one or more parts: `table`, `schema.table`.
#[derive(Clone, Debug)]
pub struct ObjectName {
    /// The parts; never empty.
    pub parts: Vec<Ident>,
    /// Where.
    pub span: Span,
}

impl ObjectName {
    /// The last part, the object's own name.
    #[must_use]
    pub fn last(&self) -> &Ident {
        self.parts.last().expect("a name has at least one part")
    }

    /// The part before the last.
    #[must_use]
    pub fn qualifier(&self) -> Option<&Ident> {
        self.parts
            .len()
            .checked_sub(2)
            .map(|index| &self.parts[index])
    }
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct TypeName {
    /// Which.
    pub kind: TypeNameKind,
    /// How many `[]` follow.
    pub dimensions: usize,
    /// Where.
    pub span: Span,
}

/// The forms of a type name.
#[derive(Clone, Debug)]
pub enum TypeNameKind {
    /// `name` or `name(arguments)`; `double precision`, `character varying` and the like under
    /// their short names (`float8`, `varchar`).
    Named {
        /// The name.
        name: ObjectName,
        /// `(10, 2)`.
        arguments: Vec<i64>,
    },
    /// `time` or `timestamp` with `WITH TIME ZONE`.
    WithTimeZone {
        /// `timestamp`, not `time`.
        timestamp: bool,
        /// Digits of the second's fraction.
        precision: Option<u32>,
    },
    /// `interval`, with its fields or precision.
    Interval {
        /// The fields, first to last.
        fields: Option<(super::IntervalField, super::IntervalField)>,
        /// Digits of the second's fraction.
        precision: Option<u32>,
    },
}
