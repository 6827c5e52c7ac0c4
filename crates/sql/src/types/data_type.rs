//! The types a column or expression can have.

use std::fmt;

use super::{ElementType, EnumType, ObjectClass, RoundedTime};

/// An SQL data type. The names and rules are PostgreSQL's, with an 8-bit integer added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// The type of a bare `NULL` or an untyped string literal before its context decides.
    Unknown,
    /// `boolean`.
    Boolean,
    /// `int1`, 8 bits, signed.
    Int1,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric` / `decimal`, exact. `None`: any precision and scale.
    Decimal(Option<(u16, i16)>),
    /// `text`.
    Text,
    /// `varchar(n)`; `None`: no limit. Lengths count characters.
    Varchar(Option<u32>),
    /// `char(n)`, blank-padded.
    Char(u32),
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time` without time zone, microseconds.
    Time,
    /// `time with time zone`: a time of day with a distance from UTC.
    TimeTz,
    /// `timestamp` without time zone, microseconds.
    Timestamp,
    /// `timestamp with time zone`, microseconds, kept in UTC.
    TimestampTz,
    /// `interval`.
    Interval,
    /// `uuid`.
    Uuid,
    /// `json`: text that is JSON.
    Json,
    /// `jsonb`: JSON taken apart.
    Jsonb,
    /// `name`: text of at most 63 bytes, the names of things.
    Name,
    /// `"char"`: one byte, the catalog's small enumerations.
    InternalChar,
    /// `oid`: the number of an object of the catalog.
    Oid,
    /// An object of the catalog by its number, written as its name.
    Object(ObjectClass),
    /// `int2vector`: an array of `smallint` written as `1 2`.
    Int2Vector,
    /// `oidvector`: an array of `oid` written as `1 2`.
    OidVector,
    /// An array of any number of dimensions.
    Array(ElementType),
    /// An enumerated type.
    Enum(EnumType),
    /// A time with so many digits of seconds, 0 to 5: the type of a column or a cast; values and
    /// expressions are of the type without it.
    Rounded(RoundedTime, u8),
}

/// PostgreSQL's type categories, which steer implicit conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeCategory {
    /// Not decided.
    Unknown,
    /// Truth values.
    Boolean,
    /// Integers, floats, decimals.
    Numeric,
    /// Character strings.
    String,
    /// Byte strings.
    Binary,
    /// Dates and times.
    DateTime,
    /// Intervals.
    Timespan,
    /// UUID and other types of their own.
    User,
    /// Arrays.
    Array,
    /// Numbers of objects of the catalog.
    Object,
    /// Enumerated types.
    Enum,
}

impl DataType {
    /// The type's category.
    #[must_use]
    pub fn category(self) -> TypeCategory {
        match self {
            DataType::Unknown => TypeCategory::Unknown,
            DataType::Boolean => TypeCategory::Boolean,
            DataType::Int1
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Float4
            | DataType::Float8
            | DataType::Decimal(_) => TypeCategory::Numeric,
            DataType::Text
            | DataType::Varchar(_)
            | DataType::Char(_)
            | DataType::Name
            | DataType::InternalChar => TypeCategory::String,
            DataType::Bytea => TypeCategory::Binary,
            DataType::Date
            | DataType::Time
            | DataType::TimeTz
            | DataType::Timestamp
            | DataType::TimestampTz => TypeCategory::DateTime,
            DataType::Interval => TypeCategory::Timespan,
            DataType::Uuid | DataType::Json | DataType::Jsonb => TypeCategory::User,
            DataType::Array(_) | DataType::Int2Vector | DataType::OidVector => TypeCategory::Array,
            DataType::Oid | DataType::Object(_) => TypeCategory::Object,
            DataType::Enum(_) => TypeCategory::Enum,
            DataType::Rounded(time, _) => time.data_type().category(),
        }
    }

    /// The type that values and expressions have: times without a precision.
    #[must_use]
    pub fn of_values(self) -> DataType {
        match self {
            DataType::Rounded(time, _) => time.data_type(),
            other => other,
        }
    }

    /// The enumerated type that values, or the elements of arrays, are of.
    #[must_use]
    pub fn enum_type(self) -> Option<EnumType> {
        match self.element().unwrap_or(self) {
            DataType::Enum(of) => Some(of),
            _ => None,
        }
    }

    /// The type with that definition of its enumerated type, if it is one of that type.
    #[must_use]
    pub fn with_definition(self, of: EnumType) -> DataType {
        if self.enum_type().is_none_or(|own| own.id() != of.id()) {
            return self;
        }
        match self {
            DataType::Array(_) => DataType::Enum(of).array().unwrap_or(self),
            _ => DataType::Enum(of),
        }
    }

    /// The type of an array's elements.
    #[must_use]
    pub fn element(self) -> Option<DataType> {
        match self {
            DataType::Array(element) => Some(element.data_type()),
            DataType::Int2Vector => Some(DataType::Int2),
            DataType::OidVector => Some(DataType::Oid),
            _ => None,
        }
    }

    /// The type of arrays of this type; `None` where there is none.
    #[must_use]
    pub fn array(self) -> Option<DataType> {
        ElementType::of(self.of_values()).map(DataType::Array)
    }

    /// Whether values are character strings.
    #[must_use]
    pub fn is_string(self) -> bool {
        self.category() == TypeCategory::String
    }

    /// Whether values are numbers.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        self.category() == TypeCategory::Numeric
    }

    /// Whether values are integers.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(
            self,
            DataType::Int1 | DataType::Int2 | DataType::Int4 | DataType::Int8
        )
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Unknown => f.write_str("unknown"),
            DataType::Boolean => f.write_str("boolean"),
            DataType::Int1 => f.write_str("int1"),
            DataType::Int2 => f.write_str("smallint"),
            DataType::Int4 => f.write_str("integer"),
            DataType::Int8 => f.write_str("bigint"),
            DataType::Float4 => f.write_str("real"),
            DataType::Float8 => f.write_str("double precision"),
            DataType::Decimal(None) => f.write_str("numeric"),
            DataType::Decimal(Some((precision, scale))) => {
                write!(f, "numeric({precision},{scale})")
            }
            DataType::Text => f.write_str("text"),
            DataType::Varchar(None) => f.write_str("character varying"),
            DataType::Varchar(Some(n)) => write!(f, "character varying({n})"),
            DataType::Char(n) => write!(f, "character({n})"),
            DataType::Bytea => f.write_str("bytea"),
            DataType::Date => f.write_str("date"),
            DataType::Time => f.write_str("time without time zone"),
            DataType::TimeTz => f.write_str("time with time zone"),
            DataType::Timestamp => f.write_str("timestamp without time zone"),
            DataType::TimestampTz => f.write_str("timestamp with time zone"),
            DataType::Interval => f.write_str("interval"),
            DataType::Uuid => f.write_str("uuid"),
            DataType::Json => f.write_str("json"),
            DataType::Jsonb => f.write_str("jsonb"),
            DataType::Name => f.write_str("name"),
            DataType::InternalChar => f.write_str("\"char\""),
            DataType::Oid => f.write_str("oid"),
            DataType::Object(class) => f.write_str(class.type_name()),
            DataType::Int2Vector => f.write_str("int2vector"),
            DataType::OidVector => f.write_str("oidvector"),
            DataType::Array(element) => write!(f, "{}[]", element.data_type()),
            DataType::Enum(of) => write!(f, "{of}"),
            DataType::Rounded(RoundedTime::Time, digits) => {
                write!(f, "time({digits}) without time zone")
            }
            DataType::Rounded(RoundedTime::TimeTz, digits) => {
                write!(f, "time({digits}) with time zone")
            }
            DataType::Rounded(RoundedTime::Timestamp, digits) => {
                write!(f, "timestamp({digits}) without time zone")
            }
            DataType::Rounded(RoundedTime::TimestampTz, digits) => {
                write!(f, "timestamp({digits}) with time zone")
            }
            DataType::Rounded(RoundedTime::Interval, digits) => write!(f, "interval({digits})"),
        }
    }
}
