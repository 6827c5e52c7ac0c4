//! Statements about types that users name.

use super::{ColumnConstraint, Ident, ObjectName, TypeName};
use crate::span::Span;

/// CREATE TYPE.
#[derive(Clone, Debug)]
pub struct CreateType {
    /// Its name.
    pub name: ObjectName,
    /// What it is.
    pub body: TypeBody,
}

/// What CREATE TYPE says of a type.
#[derive(Clone, Debug)]
pub enum TypeBody {
    /// Nothing: it is defined later.
    Shell,
    /// AS type: another name of that type.
    Alias(TypeName),
    /// AS ENUM (…): the labels in order.
    Enum(Vec<Label>),
}

/// A label of an enumerated type.
#[derive(Clone, Debug)]
pub struct Label {
    /// The label.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// CREATE DOMAIN.
#[derive(Clone, Debug)]
pub struct CreateDomain {
    /// Its name.
    pub name: ObjectName,
    /// The type of its values.
    pub base: TypeName,
    /// Its default and constraints.
    pub constraints: Vec<ColumnConstraint>,
}

/// ALTER TYPE.
#[derive(Clone, Debug)]
pub struct AlterType {
    /// Which.
    pub name: ObjectName,
    /// What happens to it.
    pub action: TypeAction,
}

/// What ALTER TYPE does.
#[derive(Clone, Debug)]
pub enum TypeAction {
    /// ADD VALUE.
    AddValue {
        /// The new label.
        label: Label,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// BEFORE (`true`) or AFTER a label.
        place: Option<(bool, Label)>,
    },
    /// RENAME VALUE … TO ….
    RenameValue(Label, Label),
    /// RENAME TO.
    Rename(Ident),
    /// SET SCHEMA.
    SetSchema(Ident),
}

/// DROP TYPE, DROP DOMAIN.
#[derive(Clone, Debug)]
pub struct DropType {
    /// DOMAIN, not TYPE.
    pub domain: bool,
    /// Which.
    pub names: Vec<ObjectName>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
}
