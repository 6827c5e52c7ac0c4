//! SQL's types as types of Rust: what parameters are checked against. They have no values.

use rustling_sql::DataType;

/// A type of SQL.
pub trait SqlType {
    /// The engine's name for it.
    fn data_type() -> DataType;
}

macro_rules! sql_types {
    ($($(#[$doc:meta])* $name:ident = $data_type:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl SqlType for $name {
            fn data_type() -> DataType {
                $data_type
            }
        }
    )* };
}

sql_types! {
    /// `boolean`
    Boolean = DataType::Boolean;
    /// `int1`
    TinyInt = DataType::Int1;
    /// `smallint`
    SmallInt = DataType::Int2;
    /// `integer`
    Integer = DataType::Int4;
    /// `bigint`
    BigInt = DataType::Int8;
    /// `real`
    Real = DataType::Float4;
    /// `double precision`
    DoublePrecision = DataType::Float8;
    /// `numeric`
    Numeric = DataType::Decimal(None);
    /// `text`, `varchar`, `char`
    Text = DataType::Text;
    /// `bytea`
    Bytea = DataType::Bytea;
    /// `date`
    Date = DataType::Date;
    /// `time`
    Time = DataType::Time;
    /// `timestamp`
    Timestamp = DataType::Timestamp;
    /// `timestamp with time zone`
    TimestampTz = DataType::TimestampTz;
    /// `interval`
    Interval = DataType::Interval;
    /// `uuid`
    Uuid = DataType::Uuid;
    /// `json`
    Json = DataType::Json;
    /// `jsonb`
    Jsonb = DataType::Jsonb;
}

/// Arrays of elements of a type.
#[derive(Clone, Copy, Debug)]
pub struct Array<T>(std::convert::Infallible, std::marker::PhantomData<T>);

impl<T: SqlType> SqlType for Array<T> {
    fn data_type() -> DataType {
        T::data_type().array().unwrap_or(DataType::Unknown)
    }
}
