//! Rust types as columns.

use std::borrow::Cow;

use rustling_sql::{Decimal, FromValue, Interval, Result, Row, Value, types::Json};
use uuid::Uuid;

use crate::{Parameter, query::column, sql_type};

/// A Rust type that a column can have.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be a column",
    note = "columns have types such as `i32`, `String` or `Option<Date>`; an enum becomes one with `#[derive(QueryBuilder)]`"
)]
pub trait Field: FromValue + Parameter<Self::Sql> {
    /// The column's SQL type.
    type Sql: sql_type::SqlType;
    /// How SQL writes it.
    const SQL_TYPE: &'static str;
    /// Whether NULL is a value.
    const NULLABLE: bool = false;
    /// The names of its values, where it is an enum; none: any text that there is.
    const LABELS: &'static [&'static str] = &[];

    /// The value as SQL has it.
    fn to_sql(&self) -> Value {
        Parameter::<Self::Sql>::value(self)
    }
}

/// What is made of a [`Field`], without the traits that it stands on: of a type that is none the
/// compiler says that, and not of each of them that it is not there.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be a column",
    note = "columns have types such as `i32`, `String` or `Option<Date>`; an enum becomes one with `#[derive(QueryBuilder)]`"
)]
pub trait ColumnType: Sized {
    type Sql: sql_type::SqlType;
    const SQL_TYPE: &'static str;
    const NULLABLE: bool;
    const LABELS: &'static [&'static str];

    fn to_sql(&self) -> Value;

    fn from_column(row: &Row, at: usize) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<F: Field> ColumnType for F {
    type Sql = F::Sql;
    const SQL_TYPE: &'static str = F::SQL_TYPE;
    const NULLABLE: bool = F::NULLABLE;
    const LABELS: &'static [&'static str] = F::LABELS;

    fn to_sql(&self) -> Value {
        Field::to_sql(self)
    }

    fn from_column(row: &Row, at: usize) -> Result<F> {
        column::<F, F::Sql>(row, at)
    }
}

macro_rules! fields {
    ($($rust:ty => $sql:ident $name:literal $array:literal;)*) => { $(
        impl Field for $rust {
            type Sql = sql_type::$sql;
            const SQL_TYPE: &'static str = $name;
        }
        impl Field for Vec<Option<$rust>> {
            type Sql = sql_type::Array<sql_type::$sql>;
            const SQL_TYPE: &'static str = $array;
        }
    )* };
}

fields! {
    bool => Boolean "boolean" "boolean[]";
    i8 => TinyInt "int1" "int1[]";
    i16 => SmallInt "smallint" "smallint[]";
    i32 => Integer "integer" "integer[]";
    i64 => BigInt "bigint" "bigint[]";
    f32 => Real "real" "real[]";
    f64 => DoublePrecision "double precision" "double precision[]";
    Decimal => Numeric "numeric" "numeric[]";
    String => Text "text" "text[]";
    Vec<u8> => Bytea "bytea" "bytea[]";
    jiff::civil::Date => Date "date" "date[]";
    jiff::civil::Time => Time "time" "time[]";
    jiff::civil::DateTime => Timestamp "timestamp" "timestamp[]";
    jiff::Timestamp => TimestampTz "timestamp with time zone" "timestamp with time zone[]";
    Interval => Interval "interval" "interval[]";
    Uuid => Uuid "uuid" "uuid[]";
    Json => Jsonb "jsonb" "jsonb[]";
}

impl Field for Cow<'_, str> {
    type Sql = sql_type::Text;
    const SQL_TYPE: &'static str = "text";
}

impl<F: Field> Field for Option<F> {
    type Sql = F::Sql;
    const SQL_TYPE: &'static str = F::SQL_TYPE;
    const NULLABLE: bool = true;
    const LABELS: &'static [&'static str] = F::LABELS;
}

/// Whether all of `names` are among `labels`.
#[doc(hidden)]
#[must_use]
pub const fn are_labels(names: &[&str], labels: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        if !is_label(names[at].as_bytes(), labels) {
            return false;
        }
        at += 1;
    }
    true
}

const fn is_label(name: &[u8], labels: &[&str]) -> bool {
    let mut at = 0;
    while at < labels.len() {
        let label = labels[at].as_bytes();
        let mut same = 0;
        while same < name.len() && same < label.len() && name[same] == label[same] {
            same += 1;
        }
        if same == name.len() && same == label.len() {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::are_labels;

    #[test]
    fn labels_are_known_whole() {
        assert!(are_labels(&["low", "high"], &["high", "none", "low"]));
        assert!(are_labels(&[], &[]));
        for name in ["lo", "lows", "", "Low"] {
            assert!(!are_labels(&["low", name], &["low", "high"]), "{name}");
        }
    }
}
