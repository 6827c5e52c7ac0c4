//! The types that elements of arrays can have, and times of a lower precision.

use super::{DataType, EnumType, ObjectClass};

/// The type of an array's elements: any scalar type, without length or precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementType(Scalar);

macro_rules! scalars {
    ($($number:literal $name:ident => $data_type:expr, [$($pattern:tt)*];)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        enum Scalar { $($name,)* Enum(EnumType) }

        impl ElementType {
            /// The element type for values of this type; `None` for arrays and what has no
            /// values of its own.
            #[must_use]
            pub fn of(data_type: DataType) -> Option<ElementType> {
                Some(ElementType(match data_type {
                    $($($pattern)* => Scalar::$name,)*
                    DataType::Enum(of) => Scalar::Enum(of),
                    _ => return None,
                }))
            }

            /// The type.
            #[must_use]
            pub fn data_type(self) -> DataType {
                match self.0 {
                    $(Scalar::$name => $data_type,)*
                    Scalar::Enum(of) => DataType::Enum(of),
                }
            }

            /// The number that the catalog names it by; of all enumerated types [`ENUM_ELEMENT`].
            #[cfg(feature = "engine")]
            pub(crate) fn number(self) -> u32 {
                match self.0 {
                    $(Scalar::$name => $number,)*
                    Scalar::Enum(_) => ENUM_ELEMENT,
                }
            }

            /// The element type of that number, which is none of an enumerated type.
            #[cfg(feature = "engine")]
            pub(crate) fn numbered(number: u32) -> Option<ElementType> {
                Some(ElementType(match number {
                    $($number => Scalar::$name,)*
                    _ => return None,
                }))
            }
        }
    };
}

/// The number of elements of enumerated types: which, their column knows.
#[cfg(feature = "engine")]
pub(crate) const ENUM_ELEMENT: u32 = 31;

scalars! {
    1 Boolean => DataType::Boolean, [DataType::Boolean];
    2 Int1 => DataType::Int1, [DataType::Int1];
    3 Int2 => DataType::Int2, [DataType::Int2];
    4 Int4 => DataType::Int4, [DataType::Int4];
    5 Int8 => DataType::Int8, [DataType::Int8];
    6 Float4 => DataType::Float4, [DataType::Float4];
    7 Float8 => DataType::Float8, [DataType::Float8];
    8 Decimal => DataType::Decimal(None), [DataType::Decimal(_)];
    9 Text => DataType::Text, [DataType::Text | DataType::Unknown];
    10 Varchar => DataType::Varchar(None), [DataType::Varchar(_)];
    12 Bytea => DataType::Bytea, [DataType::Bytea];
    13 Date => DataType::Date, [DataType::Date];
    14 Time => DataType::Time, [DataType::Time];
    30 TimeTz => DataType::TimeTz, [DataType::TimeTz];
    15 Timestamp => DataType::Timestamp, [DataType::Timestamp];
    16 TimestampTz => DataType::TimestampTz, [DataType::TimestampTz];
    17 Interval => DataType::Interval, [DataType::Interval];
    18 Uuid => DataType::Uuid, [DataType::Uuid];
    19 Json => DataType::Json, [DataType::Json];
    20 Jsonb => DataType::Jsonb, [DataType::Jsonb];
    22 Name => DataType::Name, [DataType::Name];
    23 InternalChar => DataType::InternalChar, [DataType::InternalChar];
    24 Oid => DataType::Oid, [DataType::Oid];
    25 Relation => DataType::Object(ObjectClass::Relation), [DataType::Object(ObjectClass::Relation)];
    26 Type => DataType::Object(ObjectClass::Type), [DataType::Object(ObjectClass::Type)];
    27 Function => DataType::Object(ObjectClass::Function), [DataType::Object(ObjectClass::Function)];
    28 Schema => DataType::Object(ObjectClass::Schema), [DataType::Object(ObjectClass::Schema)];
    29 Role => DataType::Object(ObjectClass::Role), [DataType::Object(ObjectClass::Role)];
}

impl ElementType {
    /// `text`.
    pub const TEXT: ElementType = ElementType(Scalar::Text);
    /// `integer`.
    pub const INT4: ElementType = ElementType(Scalar::Int4);
    /// `smallint`.
    pub const INT2: ElementType = ElementType(Scalar::Int2);
    /// `oid`.
    pub const OID: ElementType = ElementType(Scalar::Oid);
    /// `name`.
    pub const NAME: ElementType = ElementType(Scalar::Name);
    /// `"char"`.
    pub const INTERNAL_CHAR: ElementType = ElementType(Scalar::InternalChar);
    /// `double precision`.
    pub const FLOAT8: ElementType = ElementType(Scalar::Float8);
    /// `real`.
    pub const FLOAT4: ElementType = ElementType(Scalar::Float4);
}

/// A type of times that can be declared with fewer digits of seconds than six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoundedTime {
    /// `time(n)`.
    Time,
    /// `time(n) with time zone`.
    TimeTz,
    /// `timestamp(n)`.
    Timestamp,
    /// `timestamp(n) with time zone`.
    TimestampTz,
    /// `interval(n)`.
    Interval,
}

impl RoundedTime {
    /// The type without its precision, which its values have.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            RoundedTime::Time => DataType::Time,
            RoundedTime::TimeTz => DataType::TimeTz,
            RoundedTime::Timestamp => DataType::Timestamp,
            RoundedTime::TimestampTz => DataType::TimestampTz,
            RoundedTime::Interval => DataType::Interval,
        }
    }
}
