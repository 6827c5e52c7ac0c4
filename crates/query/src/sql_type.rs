//! SQL's types as types of Rust: what parameters are checked against. They have no values.

macro_rules! sql_types {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
    )* };
}

sql_types! {
    /// `boolean`
    Boolean;
    /// `int1`
    TinyInt;
    /// `smallint`
    SmallInt;
    /// `integer`
    Integer;
    /// `bigint`
    BigInt;
    /// `real`
    Real;
    /// `double precision`
    DoublePrecision;
    /// `numeric`
    Numeric;
    /// `text`, `varchar`, `char`
    Text;
    /// `bytea`
    Bytea;
    /// `date`
    Date;
    /// `time`
    Time;
    /// `timestamp`
    Timestamp;
    /// `timestamp with time zone`
    TimestampTz;
    /// `interval`
    Interval;
    /// `uuid`
    Uuid;
    /// `json`
    Json;
    /// `jsonb`
    Jsonb;
}

/// Arrays of elements of a type.
#[derive(Clone, Copy, Debug)]
pub struct Array<T>(std::convert::Infallible, std::marker::PhantomData<T>);
