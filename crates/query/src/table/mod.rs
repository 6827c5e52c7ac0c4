//! Rows of a table as structs: what `#[derive(QueryBuilder)]` makes, and what it is made with.

mod column;
mod condition;
mod create;
mod field;
mod relation;
mod rows;
mod runs;
mod select;
mod update;

pub use column::{Column, Order, OrderOf};
pub use condition::Condition;
pub use create::create_table;
pub use field::Field;
#[doc(hidden)]
pub use field::{ColumnType, are_labels};
pub use relation::{children, children_of_one, parent, parents};
pub use rows::{delete, find, find_all, insert, insert_all, update, upsert};
pub(crate) use runs::Fetch;
pub use runs::Runs;
#[cfg(feature = "async")]
pub(crate) use runs::{Join, Read, run_as_connection};
pub use select::Select;
pub use update::Update;

use rustling_sql::{Result, Row, Value};

/// A struct that stands for the rows of a table; made by `#[derive(QueryBuilder)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not stand for the rows of a table",
    note = "a struct does with `#[derive(QueryBuilder)]`"
)]
pub trait Table: Sized {
    /// The table's name as SQL writes it.
    const NAME: &'static str;
    /// Its columns, one for each field.
    const COLUMNS: &'static [ColumnInfo];

    /// Reads a row of just these columns.
    ///
    /// # Errors
    /// Where a value does not fit its field.
    fn from_row(row: &Row) -> Result<Self>;

    /// The value of a column by position.
    fn value(&self, column: usize) -> Value;
}

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name as SQL writes it.
    pub name: &'static str,
    /// Its type as SQL writes it.
    pub sql_type: &'static str,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Whether it belongs to the primary key.
    pub primary_key: bool,
    /// Whether it is unique by itself, beside the primary key.
    pub unique: bool,
    /// Whether the database makes its values: neither insert nor update gives one.
    pub generated: bool,
    /// What they are computed from, as SQL writes it; those of other generated columns are drawn
    /// from a sequence.
    pub expression: Option<&'static str>,
    /// Its default as SQL writes it; insert leaves the value to the database then.
    pub default: Option<&'static str>,
}

/// Positions of the columns of a primary key.
pub(crate) fn key_columns<R: Table>() -> impl Iterator<Item = usize> {
    R::COLUMNS
        .iter()
        .enumerate()
        .filter(|(_, column)| column.primary_key)
        .map(|(at, _)| at)
}

/// Compiles where a field of the SQL type `F` is a column of the SQL type `S`.
#[doc(hidden)]
pub fn is_column<F: IsOf<S>, S>() {}

/// The types of field and column are one.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a field whose SQL type is `{Self}` does not fit a column of type `{S}`",
    label = "the migrations say that the column is `{S}`",
    note = "give the field the type of the column, or change the column in a migration"
)]
pub trait IsOf<S> {}

impl<S> IsOf<S> for S {}
