//! Types that users name: domains, distinct types and enumerated types.

use crate::{
    error::{Error, Result, SqlState},
    parser::quoted,
    types::{DataType, EnumType},
};

/// Names a type for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type that a user has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedType {
    /// Its id.
    pub id: TypeId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NamedTypeKind,
}

/// The kinds of named type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedTypeKind {
    /// A name that is to be defined later (CREATE TYPE name).
    Shell,
    /// Another name for a type (CREATE TYPE … AS type): values convert freely between both.
    Distinct(DataType),
    /// A type whose values satisfy conditions.
    Domain(Domain),
    /// A type whose values are a list of labels.
    Enum(EnumType),
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The type of its values.
    pub base: DataType,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The default of columns of it, as SQL text.
    pub default: Option<String>,
    /// CHECK constraints: names, and conditions about VALUE as SQL text.
    pub checks: Vec<(String, String)>,
}

/// What can only be done to an enumerated type was asked of another one.
pub(crate) fn not_an_enum(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("{name} is not an enum"),
    )
}

impl NamedType {
    /// An enumerated type.
    #[must_use]
    pub fn of_enum(of: EnumType) -> NamedType {
        NamedType {
            id: TypeId(of.id()),
            schema: of.schema().to_owned(),
            name: of.name().to_owned(),
            kind: NamedTypeKind::Enum(of),
        }
    }

    /// What it is, as an enumerated type.
    #[must_use]
    pub fn as_enum(&self) -> Option<EnumType> {
        match self.kind {
            NamedTypeKind::Enum(of) => Some(of),
            _ => None,
        }
    }

    /// As [`NamedType::as_enum`], where it has to be one.
    ///
    /// # Errors
    /// 42809 where it is none.
    pub fn expect_enum(&self) -> Result<EnumType> {
        self.as_enum()
            .ok_or_else(|| not_an_enum(&quoted(&self.name)))
    }

    /// It with another name.
    #[must_use]
    pub fn renamed(&self, schema: String, name: String) -> NamedType {
        match self.as_enum() {
            Some(of) => NamedType::of_enum(of.renamed(schema, name)),
            None => NamedType {
                schema,
                name,
                ..self.clone()
            },
        }
    }

    /// Whether values of `data_type` are values of it: columns that have the type by itself.
    #[must_use]
    pub fn is_type_of(&self, data_type: DataType) -> bool {
        match (self.as_enum(), data_type.enum_type()) {
            (Some(of), Some(other)) => of.id() == other.id(),
            _ => false,
        }
    }

    /// The type of its values; `None`: it has none yet.
    #[must_use]
    pub fn base(&self) -> Option<DataType> {
        match &self.kind {
            NamedTypeKind::Shell => None,
            NamedTypeKind::Distinct(base) => Some(*base),
            NamedTypeKind::Domain(domain) => Some(domain.base),
            NamedTypeKind::Enum(of) => Some(DataType::Enum(*of)),
        }
    }

    /// Whether not every value of its base is one of it.
    #[must_use]
    pub fn is_constrained(&self) -> bool {
        matches!(&self.kind, NamedTypeKind::Domain(of) if of.not_null || !of.checks.is_empty())
    }
}
