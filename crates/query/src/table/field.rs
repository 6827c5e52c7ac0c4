//! Rust types as columns.

use std::borrow::Cow;

use rustling_sql::{Decimal, FromValue, Interval, Value, types::Json};
use uuid::Uuid;

use crate::{Parameter, sql_type};

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

    /// The value as SQL has it.
    fn to_sql(&self) -> Value {
        Parameter::<Self::Sql>::value(self)
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
}
