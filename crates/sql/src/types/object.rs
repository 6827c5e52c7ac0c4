//! Types whose values name objects of the catalog.

use std::fmt;

use compact_str::CompactString;

/// Which objects a `reg…` type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectClass {
    /// `regclass`: tables, views, indexes, sequences.
    Relation,
    /// `regtype`.
    Type,
    /// `regproc`: functions, by name alone.
    Function,
    /// `regprocedure`: functions with their arguments' types.
    FunctionWithArguments,
    /// `regnamespace`.
    Schema,
    /// `regrole`.
    Role,
    /// `regoper`: operators, by name alone.
    Operator,
    /// `regcollation`.
    Collation,
}

impl ObjectClass {
    /// All of them.
    pub const ALL: [ObjectClass; 8] = [
        ObjectClass::Relation,
        ObjectClass::Type,
        ObjectClass::Function,
        ObjectClass::FunctionWithArguments,
        ObjectClass::Schema,
        ObjectClass::Role,
        ObjectClass::Operator,
        ObjectClass::Collation,
    ];

    /// The type's name.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            ObjectClass::Relation => "regclass",
            ObjectClass::Type => "regtype",
            ObjectClass::Function => "regproc",
            ObjectClass::FunctionWithArguments => "regprocedure",
            ObjectClass::Schema => "regnamespace",
            ObjectClass::Role => "regrole",
            ObjectClass::Operator => "regoper",
            ObjectClass::Collation => "regcollation",
        }
    }
}

/// An object of the catalog: a value of a `reg…` type. It is its number; the name is what the
/// number stood for when the value was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReference {
    /// Its number in the catalog.
    pub oid: u32,
    /// How it is written.
    pub name: CompactString,
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
