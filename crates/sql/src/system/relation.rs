//! How a system relation is declared.

use std::fmt;

use crate::types::DataType;
#[cfg(feature = "engine")]
use crate::{Result, Value, engine::system::SystemView};

/// A column of a system relation.
#[derive(Clone, Copy, Debug)]
pub struct SystemColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub data_type: DataType,
}

/// Gives a relation's rows to the function. Where the relation's key is known to equal a value,
/// rows with other keys may be left out.
#[cfg(feature = "engine")]
pub(crate) type Rows =
    fn(&SystemView, Option<&Value>, &mut dyn FnMut(Vec<Value>) -> Result<()>) -> Result<()>;

/// A relation whose rows the engine makes when they are asked for.
#[derive(Clone, Copy)]
pub struct SystemRelation {
    /// Its name.
    pub name: &'static str,
    /// Its number in `pg_class`.
    pub oid: u32,
    /// Its columns in order.
    pub columns: &'static [SystemColumn],
    /// The column by which rows are found without making all of them.
    pub key: Option<&'static str>,
    #[cfg(feature = "engine")]
    pub(crate) rows: Rows,
}

impl fmt::Debug for SystemRelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemRelation")
            .field("name", &self.name)
            .field("oid", &self.oid)
            .finish_non_exhaustive()
    }
}

/// Declares a [`SystemRelation`]: its name and number, the key column if it has one, where its
/// rows come from, and every column with its type and value. A relation without a source is
/// empty.
macro_rules! relation {
    ($name:ident $oid:literal; $($column:ident: $type:ident,)*) => {
        $crate::system::SystemRelation {
            name: stringify!($name),
            oid: $oid,
            columns: &[$($crate::system::SystemColumn {
                name: stringify!($column),
                data_type: $crate::system::relation::column_type!($type),
            },)*],
            key: None,
            #[cfg(feature = "engine")]
            rows: |_, _, _| Ok(()),
        }
    };
    (
        $name:ident $oid:literal;
        for $item:pat_param in |$view:pat_param| $rows:expr;
        $($column:ident: $type:ident = $value:expr,)*
    ) => {
        $crate::system::SystemRelation {
            name: stringify!($name),
            oid: $oid,
            columns: &[$($crate::system::SystemColumn {
                name: stringify!($column),
                data_type: $crate::system::relation::column_type!($type),
            },)*],
            key: None,
            #[cfg(feature = "engine")]
            rows: |$view, _, give| {
                for $item in $rows {
                    give(vec![$($crate::system::cell($value),)*])?;
                }
                Ok(())
            },
        }
    };
    (
        $name:ident $oid:literal by $key:ident;
        for $item:pat_param in |$view:pat_param, $of:pat_param| $rows:expr;
        $($column:ident: $type:ident = $value:expr,)*
    ) => {
        $crate::system::SystemRelation {
            name: stringify!($name),
            oid: $oid,
            columns: &[$($crate::system::SystemColumn {
                name: stringify!($column),
                data_type: $crate::system::relation::column_type!($type),
            },)*],
            key: Some(stringify!($key)),
            #[cfg(feature = "engine")]
            rows: |$view, $of, give| {
                for $item in $rows {
                    give(vec![$($crate::system::cell($value),)*])?;
                }
                Ok(())
            },
        }
    };
}

/// The types of columns, by names that are shorter than theirs.
macro_rules! column_type {
    (Bool) => {
        $crate::types::DataType::Boolean
    };
    (Char) => {
        $crate::types::DataType::InternalChar
    };
    (Function) => {
        $crate::types::DataType::Object($crate::types::ObjectClass::Function)
    };
    (RegClass) => {
        $crate::types::DataType::Object($crate::types::ObjectClass::Relation)
    };
    (RegType) => {
        $crate::types::DataType::Object($crate::types::ObjectClass::Type)
    };
    (Decimal) => {
        $crate::types::DataType::Decimal(None)
    };
    // What PostgreSQL keeps as a tree of nodes, here as SQL text.
    (Tree) => {
        $crate::types::DataType::Text
    };
    // Transaction numbers.
    (Xid) => {
        $crate::types::DataType::Oid
    };
    (TextArray) => {
        $crate::types::DataType::Array($crate::types::ElementType::TEXT)
    };
    (NameArray) => {
        $crate::types::DataType::Array($crate::types::ElementType::NAME)
    };
    (CharArray) => {
        $crate::types::DataType::Array($crate::types::ElementType::INTERNAL_CHAR)
    };
    (OidArray) => {
        $crate::types::DataType::Array($crate::types::ElementType::OID)
    };
    (Int2Array) => {
        $crate::types::DataType::Array($crate::types::ElementType::INT2)
    };
    (Float4Array) => {
        $crate::types::DataType::Array($crate::types::ElementType::FLOAT4)
    };
    ($type:ident) => {
        $crate::types::DataType::$type
    };
}

pub(super) use {column_type, relation};

/// What a column's value can be given as.
#[cfg(feature = "engine")]
pub(crate) fn cell(value: impl Into<Value>) -> Value {
    value.into()
}
