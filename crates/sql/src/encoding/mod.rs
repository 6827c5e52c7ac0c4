//! How rows and index entries become bytes.
//!
//! - [`key`]: keys whose byte order is the order of the SQL values, for tables and indexes.
//! - [`row`]: compact rows, each naming the version of its format.
//! - [`composite`]: arrays and `jsonb` within rows.
//! - [`decode`]: reads wanted columns of a row without touching the rest, into [`ValueRef`]s
//!   that borrow from the stored bytes; the caller makes values or Arrow arrays of them.
//!
//! Every decoder treats its input as untrusted: a damaged row is an error, never a panic.

pub(crate) mod composite;
pub(crate) mod decode;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod key;
mod key_decimal;
pub(crate) mod row;
#[cfg(test)]
mod tests;
pub(crate) mod value_ref;

pub(crate) use decode::RowDecoder;
pub(crate) use key::{KeyColumn, KeyLayout};
pub(crate) use row::TableCodec;
pub(crate) use value_ref::{ValueRef, enum_value};

use crate::{Error, SqlState};

/// Stored bytes that do not decode.
#[cold]
pub(crate) fn corrupt(what: &str) -> Error {
    Error::new(
        SqlState::DATA_CORRUPTED,
        format!("stored data is damaged: {what}"),
    )
    .hint("Run \"rustling check\" on the database and restore the damaged table from a backup.")
}

/// A value of another type than its column: a bug of ours, caught before it is stored.
#[cold]
pub(crate) fn wrong_type(data_type: crate::DataType, value: &crate::Value) -> Error {
    // A program may hand in a tree of any depth.
    if let crate::Value::Jsonb(json) = value
        && let Err(error) = json.check_depth()
    {
        return error;
    }
    Error::new(
        SqlState::INTERNAL_ERROR,
        format!("a value of another type reached a column of type {data_type}: {value:?}"),
    )
}
