//! The numbers and shapes that PostgreSQL's clients know types by (`pg_type`).

use super::{DataType, ElementType, ObjectClass, RoundedTime};

/// A type as the catalog lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeEntry {
    /// The type; without length or precision.
    pub data_type: DataType,
    /// Its number.
    pub oid: u32,
    /// The number of the type of its arrays.
    pub array: u32,
    /// Its name in the catalog.
    pub name: &'static str,
    /// Bytes of a value on the wire; -1: they vary.
    pub size: i16,
    /// `typcategory`.
    pub category: char,
}

/// The least number of an object that a user has made.
pub const FIRST_USER_OID: u32 = 16_384;

macro_rules! entries {
    ($($oid:literal $array:literal $name:literal $size:literal $category:literal $data_type:expr;)*) => {
        &[$(TypeEntry {
            data_type: $data_type,
            oid: $oid,
            array: $array,
            name: $name,
            size: $size,
            category: $category,
        },)*]
    };
}

/// Every type that is not an array, by number. `int1` is not PostgreSQL's; its numbers are from
/// those that PostgreSQL leaves to forks.
pub const TYPES: &[TypeEntry] = entries! {
    16 1000 "bool" 1 'B' DataType::Boolean;
    17 1001 "bytea" -1 'U' DataType::Bytea;
    18 1002 "char" 1 'Z' DataType::InternalChar;
    19 1003 "name" 64 'S' DataType::Name;
    20 1016 "int8" 8 'N' DataType::Int8;
    21 1005 "int2" 2 'N' DataType::Int2;
    22 1006 "int2vector" -1 'A' DataType::Int2Vector;
    23 1007 "int4" 4 'N' DataType::Int4;
    24 1008 "regproc" 4 'N' DataType::Object(ObjectClass::Function);
    25 1009 "text" -1 'S' DataType::Text;
    26 1028 "oid" 4 'N' DataType::Oid;
    30 1013 "oidvector" -1 'A' DataType::OidVector;
    114 199 "json" -1 'U' DataType::Json;
    700 1021 "float4" 4 'N' DataType::Float4;
    701 1022 "float8" 8 'N' DataType::Float8;
    705 0 "unknown" -2 'X' DataType::Unknown;
    1042 1014 "bpchar" -1 'S' DataType::Char(1);
    1043 1015 "varchar" -1 'S' DataType::Varchar(None);
    1082 1182 "date" 4 'D' DataType::Date;
    1083 1183 "time" 8 'D' DataType::Time;
    1114 1115 "timestamp" 8 'D' DataType::Timestamp;
    1184 1185 "timestamptz" 8 'D' DataType::TimestampTz;
    1186 1187 "interval" 16 'T' DataType::Interval;
    1266 1270 "timetz" 12 'D' DataType::TimeTz;
    1700 1231 "numeric" -1 'N' DataType::Decimal(None);
    2202 2207 "regprocedure" 4 'N' DataType::Object(ObjectClass::FunctionWithArguments);
    2203 2208 "regoper" 4 'N' DataType::Object(ObjectClass::Operator);
    2205 2210 "regclass" 4 'N' DataType::Object(ObjectClass::Relation);
    2206 2211 "regtype" 4 'N' DataType::Object(ObjectClass::Type);
    2950 2951 "uuid" 16 'U' DataType::Uuid;
    3802 3807 "jsonb" -1 'U' DataType::Jsonb;
    4089 4090 "regnamespace" 4 'N' DataType::Object(ObjectClass::Schema);
    4096 4097 "regrole" 4 'N' DataType::Object(ObjectClass::Role);
    4191 4192 "regcollation" 4 'N' DataType::Object(ObjectClass::Collation);
    8010 8011 "int1" 1 'N' DataType::Int1;
};

/// What a length is raised by in a type modifier (`VARHDRSZ`).
const MODIFIER_OFFSET: i64 = 4;

/// The type without length or precision.
fn base(data_type: DataType) -> DataType {
    match data_type {
        DataType::Decimal(_) => DataType::Decimal(None),
        DataType::Varchar(_) => DataType::Varchar(None),
        DataType::Char(_) => DataType::Char(1),
        other => other.of_values(),
    }
}

impl DataType {
    /// How the catalog lists the type, if every database has it; of an array: its elements' type.
    #[must_use]
    pub fn entry(self) -> Option<&'static TypeEntry> {
        let wanted = match self {
            DataType::Array(element) => element.data_type(),
            other => other,
        };
        let wanted = base(wanted);
        TYPES.iter().find(|entry| entry.data_type == wanted)
    }

    /// The type's number in `pg_type`.
    #[must_use]
    pub fn oid(self) -> u32 {
        let is_array = matches!(self, DataType::Array(_));
        match self.enum_type() {
            Some(of) if is_array => return of.array_oid(),
            Some(of) => return of.oid(),
            None => {}
        }
        self.entry()
            .map_or(705, |entry| if is_array { entry.array } else { entry.oid })
    }

    /// The type of that number in `pg_type`, without length or precision.
    #[must_use]
    pub fn from_oid(oid: u32) -> Option<DataType> {
        TYPES.iter().find_map(|entry| {
            if entry.oid == oid {
                Some(entry.data_type)
            } else if entry.array == oid && oid != 0 {
                ElementType::of(entry.data_type).map(DataType::Array)
            } else {
                None
            }
        })
    }

    /// The type modifier: what its length or precision is in `atttypmod`; -1: none.
    #[must_use]
    pub fn modifier(self) -> i32 {
        let modifier = match self {
            DataType::Varchar(Some(length)) | DataType::Char(length) => {
                i64::from(length) + MODIFIER_OFFSET
            }
            DataType::Decimal(Some((precision, scale))) => {
                (i64::from(precision) << 16 | i64::from(scale) & 0x7ff) + MODIFIER_OFFSET
            }
            // All fields, and the digits.
            DataType::Rounded(RoundedTime::Interval, digits) => 0x7fff << 16 | i64::from(digits),
            DataType::Rounded(_, digits) => i64::from(digits),
            _ => -1,
        };
        i32::try_from(modifier).unwrap_or(-1)
    }

    /// The type with the length or precision that a modifier stands for.
    #[must_use]
    pub fn with_modifier(self, modifier: i32) -> DataType {
        let length = || u32::try_from(i64::from(modifier) - MODIFIER_OFFSET).ok();
        let rounded = |time| match u8::try_from(modifier & 0xffff) {
            Ok(digits @ 0..=5) if modifier >= 0 => DataType::Rounded(time, digits),
            _ => self,
        };
        match self {
            DataType::Varchar(None) => DataType::Varchar(length()),
            DataType::Char(_) => length().map_or(self, DataType::Char),
            DataType::Decimal(None) => match length() {
                Some(packed) => {
                    // The scale has eleven bits, the highest of them its sign.
                    let scale = ((packed & 0x7ff) ^ 0x400) as i16 - 0x400;
                    DataType::Decimal(Some(((packed >> 16) as u16, scale)))
                }
                None => self,
            },
            DataType::Time => rounded(RoundedTime::Time),
            DataType::TimeTz => rounded(RoundedTime::TimeTz),
            DataType::Timestamp => rounded(RoundedTime::Timestamp),
            DataType::TimestampTz => rounded(RoundedTime::TimestampTz),
            DataType::Interval => rounded(RoundedTime::Interval),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_types() {
        for entry in TYPES {
            assert_eq!(entry.data_type.oid(), entry.oid, "{}", entry.name);
            assert_eq!(DataType::from_oid(entry.oid), Some(entry.data_type));
            if let Some(array @ DataType::Array(_)) = entry.data_type.array()
                && array.element() == Some(entry.data_type)
            {
                assert_eq!(array.oid(), entry.array, "{}", entry.name);
                assert_eq!(DataType::from_oid(entry.array), Some(array));
            }
        }
    }

    #[test]
    fn modifiers_keep_lengths_and_precisions() {
        for data_type in [
            DataType::Varchar(Some(12)),
            DataType::Char(3),
            DataType::Decimal(Some((10, 2))),
            DataType::Decimal(Some((3, -2))),
            DataType::Rounded(RoundedTime::Timestamp, 3),
            DataType::Rounded(RoundedTime::Interval, 0),
            DataType::Text,
        ] {
            let back = base(data_type).with_modifier(data_type.modifier());
            assert_eq!(back, data_type);
        }
        assert_eq!(DataType::Varchar(Some(12)).modifier(), 16);
        assert_eq!(DataType::Decimal(Some((10, 2))).modifier(), 655_366);
    }
}
