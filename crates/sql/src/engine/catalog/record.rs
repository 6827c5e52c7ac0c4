//! The stored form of definitions. Field numbers are for ever.

use prost::Message;

use crate::{
    DataType, Result,
    encoding::corrupt,
    types::{ElementType, ObjectClass, RoundedTime},
};

/// The version of the catalog's format that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// Facts about the database as a whole.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseRecord {
    /// Version of the catalog's format.
    #[prost(uint32, tag = "1")]
    pub(crate) format: u32,
    /// The id that the next table or index gets.
    #[prost(uint32, tag = "2")]
    pub(crate) next_id: u32,
    /// The keyspace of the sequences' states; 0: there is none yet.
    #[prost(uint32, tag = "3")]
    pub(crate) sequences: u32,
    /// How often the catalog was changed: in a transaction's snapshot as in the newest version,
    /// unless another transaction has changed it since.
    #[prost(uint64, tag = "4")]
    pub(crate) changes: u64,
}

/// A schema.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SchemaRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

/// A domain, a distinct type, or an enumerated type.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NamedTypeRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) schema: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    /// 0 shell, 1 distinct type, 2 domain, 3 enumerated type.
    #[prost(uint32, tag = "4")]
    pub(crate) kind: u32,
    #[prost(message, optional, tag = "5")]
    pub(crate) base: Option<TypeRecord>,
    #[prost(bool, tag = "6")]
    pub(crate) not_null: bool,
    /// As SQL text.
    #[prost(string, optional, tag = "7")]
    pub(crate) default_text: Option<String>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) checks: Vec<CheckRecord>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) labels: Vec<LabelRecord>,
    /// The number of the type of an enumerated type's arrays.
    #[prost(uint32, tag = "10")]
    pub(crate) array: u32,
}

impl NamedTypeRecord {
    /// Whether it is an enumerated type.
    pub(crate) fn is_enum(&self) -> bool {
        self.kind == 3
    }
}

/// A label of an enumerated type.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Where it stands among the others: the order is that of the bytes. Rows and keys hold it.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) position: Vec<u8>,
}

/// A sequence.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SequenceRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) schema: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) data_type: Option<TypeRecord>,
    #[prost(sint64, tag = "5")]
    pub(crate) start: i64,
    #[prost(sint64, tag = "6")]
    pub(crate) increment: i64,
    #[prost(sint64, tag = "7")]
    pub(crate) min: i64,
    #[prost(sint64, tag = "8")]
    pub(crate) max: i64,
    #[prost(bool, tag = "9")]
    pub(crate) cycle: bool,
    #[prost(sint64, tag = "10")]
    pub(crate) cache: i64,
    /// The table that owns it.
    #[prost(uint32, optional, tag = "11")]
    pub(crate) owner: Option<u32>,
    /// The number of that table's column.
    #[prost(uint32, tag = "12")]
    pub(crate) owner_column: u32,
    /// The number that its state is kept under.
    #[prost(uint32, tag = "13")]
    pub(crate) state: u32,
}

/// A table with its indexes and constraints.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TableRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) schema: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    /// Counts definition changes.
    #[prost(uint32, tag = "4")]
    pub(crate) version: u32,
    /// The keyspace of the rows.
    #[prost(uint32, tag = "5")]
    pub(crate) keyspace: u32,
    #[prost(message, repeated, tag = "6")]
    pub(crate) columns: Vec<ColumnRecord>,
    /// Ordinals.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) primary_key: Vec<u32>,
    #[prost(string, optional, tag = "8")]
    pub(crate) primary_key_name: Option<String>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) checks: Vec<CheckRecord>,
    #[prost(message, repeated, tag = "10")]
    pub(crate) indexes: Vec<IndexRecord>,
    /// How it is stored: 0 B+ tree, 1 LSM tree, 2 hybrid.
    #[prost(uint32, tag = "11")]
    pub(crate) storage: u32,
    #[prost(message, repeated, tag = "15")]
    pub(crate) foreign_keys: Vec<ForeignKeyRecord>,
    /// The forms that rows may have; none: one, with all columns as they are.
    #[prost(message, repeated, tag = "12")]
    pub(crate) row_versions: Vec<RowVersionRecord>,
    /// The number that the next column gets; 0: columns are numbered from 1 in order.
    #[prost(uint32, tag = "13")]
    pub(crate) next_column: u32,
    /// The view that it is.
    #[prost(message, optional, tag = "14")]
    pub(crate) view: Option<ViewRecord>,
    /// Storage parameters.
    #[prost(message, repeated, tag = "16")]
    pub(crate) parameters: Vec<ParameterRecord>,
    /// The primary key's number.
    #[prost(uint32, tag = "17")]
    pub(crate) primary_key_oid: u32,
    /// The tables that it is made of (INHERITS, PARTITION OF).
    #[prost(uint32, repeated, tag = "20")]
    pub(crate) parents: Vec<u32>,
    /// PARTITION BY.
    #[prost(message, optional, tag = "21")]
    pub(crate) partitioning: Option<PartitioningRecord>,
    /// Which rows of its parent it holds.
    #[prost(message, optional, tag = "22")]
    pub(crate) partition_bound: Option<PartitionBoundRecord>,
}

/// A comment on an object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CommentRecord {
    /// The number of the catalog that lists the object.
    #[prost(uint32, tag = "1")]
    pub(crate) class: u32,
    /// The object's number there.
    #[prost(uint32, tag = "2")]
    pub(crate) object: u32,
    /// The column's number; 0: the object itself.
    #[prost(uint32, tag = "3")]
    pub(crate) column: u32,
    #[prost(string, tag = "4")]
    pub(crate) text: String,
}

/// A storage parameter.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParameterRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// PARTITION BY.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartitioningRecord {
    /// 0 list, 1 range, 2 hash.
    #[prost(uint32, tag = "1")]
    pub(crate) strategy: u32,
    /// The key, as SQL text.
    #[prost(string, repeated, tag = "2")]
    pub(crate) keys: Vec<String>,
}

/// Which rows a partition holds.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartitionBoundRecord {
    /// 0 DEFAULT, 1 list, 2 range, 3 hash.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    /// The values of a list, or the lower ends of a range and then the upper ones.
    #[prost(message, repeated, tag = "2")]
    pub(crate) values: Vec<BoundValueRecord>,
    #[prost(uint32, tag = "3")]
    pub(crate) modulus: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) remainder: u32,
}

/// A value in a partition's bound.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BoundValueRecord {
    /// 0 a value, 1 NULL, 2 MINVALUE, 3 MAXVALUE.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) data_type: Option<TypeRecord>,
    /// As a one-column row.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) value: Vec<u8>,
}

/// One form of stored rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RowVersionRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// Columns by number, in the order they are stored.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) columns: Vec<u32>,
    /// Their types then.
    #[prost(message, repeated, tag = "3")]
    pub(crate) types: Vec<TypeRecord>,
}

/// What a view shows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ViewRecord {
    /// Its query as SQL text.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) search_path: Vec<String>,
    /// Tables and views that it reads.
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) reads: Vec<u32>,
    /// WITH CHECK OPTION: 0 none, 1 local, 2 cascaded.
    #[prost(uint32, tag = "4")]
    pub(crate) check_option: u32,
}

/// A FOREIGN KEY constraint.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ForeignKeyRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Ordinals.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) columns: Vec<u32>,
    /// The table referred to.
    #[prost(uint32, tag = "3")]
    pub(crate) parent: u32,
    /// Its columns by number.
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) parent_columns: Vec<u32>,
    /// 0 NO ACTION, 1 RESTRICT, 2 CASCADE, 3 SET NULL, 4 SET DEFAULT.
    #[prost(uint32, tag = "5")]
    pub(crate) on_delete: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) on_update: u32,
    /// Ordinals of the columns that ON DELETE sets; none: all.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) set_columns: Vec<u32>,
    #[prost(bool, tag = "8")]
    pub(crate) match_full: bool,
    /// 0 NOT DEFERRABLE, 1 INITIALLY IMMEDIATE, 2 INITIALLY DEFERRED.
    #[prost(uint32, tag = "9")]
    pub(crate) deferral: u32,
    #[prost(bool, tag = "10")]
    pub(crate) not_valid: bool,
    /// Its number.
    #[prost(uint32, tag = "11")]
    pub(crate) oid: u32,
}

/// A column.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) data_type: Option<TypeRecord>,
    #[prost(bool, tag = "3")]
    pub(crate) not_null: bool,
    /// The DEFAULT expression as SQL text.
    #[prost(string, optional, tag = "4")]
    pub(crate) default: Option<String>,
    /// What rows know it by.
    #[prost(uint32, tag = "5")]
    pub(crate) number: u32,
    /// GENERATED AS IDENTITY: the sequence.
    #[prost(uint32, optional, tag = "6")]
    pub(crate) identity: Option<u32>,
    /// … ALWAYS, not BY DEFAULT.
    #[prost(bool, tag = "7")]
    pub(crate) identity_always: bool,
    /// GENERATED ALWAYS AS (…) STORED, as SQL text.
    #[prost(string, optional, tag = "8")]
    pub(crate) generated: Option<String>,
    /// What older rows hold in it, as a one-column row; empty: NULL.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) before: Vec<u8>,
    /// Number of the DEFAULT or generating expression.
    #[prost(uint32, tag = "10")]
    pub(crate) default_oid: u32,
    /// The domain or distinct type that it was declared with.
    #[prost(uint32, optional, tag = "11")]
    pub(crate) named_type: Option<u32>,
}

/// A type: a number for its kind, and its modifiers.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct TypeRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    /// Length, or precision; of an enumerated type, its number.
    #[prost(uint32, optional, tag = "2")]
    pub(crate) size: Option<u32>,
    /// Scale.
    #[prost(sint32, optional, tag = "3")]
    pub(crate) scale: Option<i32>,
}

/// A CHECK constraint.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRecord {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// The condition as SQL text.
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    #[prost(bool, tag = "3")]
    pub(crate) not_valid: bool,
    /// Its number.
    #[prost(uint32, tag = "4")]
    pub(crate) oid: u32,
}

/// An index.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IndexRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) columns: Vec<IndexColumnRecord>,
    #[prost(bool, tag = "4")]
    pub(crate) unique: bool,
    #[prost(uint32, tag = "5")]
    pub(crate) keyspace: u32,
    /// Computed key columns as SQL text.
    #[prost(string, repeated, tag = "6")]
    pub(crate) expressions: Vec<String>,
    /// WHERE as SQL text.
    #[prost(string, optional, tag = "7")]
    pub(crate) predicate: Option<String>,
    /// INCLUDE: ordinals.
    #[prost(uint32, repeated, tag = "8")]
    pub(crate) included: Vec<u32>,
    /// Whether it stands for a UNIQUE constraint.
    #[prost(bool, tag = "9")]
    pub(crate) constraint: bool,
    /// Storage parameters.
    #[prost(message, repeated, tag = "10")]
    pub(crate) parameters: Vec<ParameterRecord>,
}

/// A key column of an index.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct IndexColumnRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) ordinal: u32,
    #[prost(bool, tag = "2")]
    pub(crate) descending: bool,
    #[prost(bool, tag = "3")]
    pub(crate) nulls_first: bool,
}

/// What ANALYZE found out about a table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatisticsRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) rows: u64,
    /// Bytes of keys and rows.
    #[prost(uint64, tag = "2")]
    pub(crate) bytes: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) columns: Vec<ColumnStatisticsRecord>,
}

/// … and about a column of it. Values are stored as one-column rows.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnStatisticsRecord {
    #[prost(double, tag = "1")]
    pub(crate) null_fraction: f64,
    #[prost(double, tag = "2")]
    pub(crate) distinct: f64,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) common_values: Vec<Vec<u8>>,
    #[prost(double, repeated, tag = "4")]
    pub(crate) common_fractions: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) histogram: Vec<Vec<u8>>,
}

/// Decodes a record.
pub(crate) fn decode<R: Message + Default>(bytes: &[u8]) -> Result<R> {
    R::decode(bytes).map_err(|error| corrupt(&format!("a catalog record: {error}")))
}

/// The kind of a [`TypeRecord`] that is an enumerated type.
pub(crate) const ENUM_TYPE: u32 = 29;
/// … and of one that is an array of such values.
pub(crate) const ARRAY_OF_ENUM: u32 = 30;

impl From<DataType> for TypeRecord {
    fn from(data_type: DataType) -> TypeRecord {
        let (kind, size, scale) = match data_type {
            DataType::Unknown => (0, None, None),
            DataType::Boolean => (1, None, None),
            DataType::Int1 => (2, None, None),
            DataType::Int2 => (3, None, None),
            DataType::Int4 => (4, None, None),
            DataType::Int8 => (5, None, None),
            DataType::Float4 => (6, None, None),
            DataType::Float8 => (7, None, None),
            DataType::Decimal(None) => (8, None, None),
            DataType::Decimal(Some((precision, scale))) => {
                (8, Some(u32::from(precision)), Some(i32::from(scale)))
            }
            DataType::Text => (9, None, None),
            DataType::Varchar(limit) => (10, limit, None),
            DataType::Char(len) => (11, Some(len), None),
            DataType::Bytea => (12, None, None),
            DataType::Date => (13, None, None),
            DataType::Time => (14, None, None),
            DataType::Timestamp => (15, None, None),
            DataType::TimestampTz => (16, None, None),
            DataType::Interval => (17, None, None),
            DataType::Uuid => (18, None, None),
            DataType::Json => (19, None, None),
            DataType::Jsonb => (20, None, None),
            DataType::Enum(of) => (ENUM_TYPE, Some(of.id()), None),
            DataType::Array(element) => match element.data_type() {
                DataType::Enum(of) => (ARRAY_OF_ENUM, Some(of.id()), None),
                _ => (21, Some(element.number()), None),
            },
            DataType::Name => (22, None, None),
            DataType::InternalChar => (23, None, None),
            DataType::Oid => (24, None, None),
            DataType::Object(class) => {
                let place = ObjectClass::ALL.iter().position(|of| *of == class);
                (25, place.map(|place| place as u32), None)
            }
            DataType::Int2Vector => (26, None, None),
            DataType::OidVector => (27, None, None),
            DataType::TimeTz => (28, None, None),
            DataType::Rounded(time, digits) => {
                return TypeRecord {
                    size: Some(u32::from(digits)),
                    scale: Some(1),
                    ..TypeRecord::from(time.data_type())
                };
            }
        };
        TypeRecord { kind, size, scale }
    }
}

impl TypeRecord {
    /// The type, if every database has it; the others `NamedTypes` knows.
    pub(super) fn built_in(self) -> Result<DataType> {
        let bad = || corrupt("a column's type in the catalog");
        Ok(match (self.kind, self.size, self.scale) {
            (0, ..) => DataType::Unknown,
            (1, ..) => DataType::Boolean,
            (2, ..) => DataType::Int1,
            (3, ..) => DataType::Int2,
            (4, ..) => DataType::Int4,
            (5, ..) => DataType::Int8,
            (6, ..) => DataType::Float4,
            (7, ..) => DataType::Float8,
            (8, None, _) => DataType::Decimal(None),
            (8, Some(precision), scale) => DataType::Decimal(Some((
                precision.try_into().map_err(|_| bad())?,
                scale.unwrap_or(0).try_into().map_err(|_| bad())?,
            ))),
            (9, ..) => DataType::Text,
            (10, limit, _) => DataType::Varchar(limit),
            (11, Some(len), _) => DataType::Char(len),
            (12, ..) => DataType::Bytea,
            (13, ..) => DataType::Date,
            (kind @ (14..=17 | 28), Some(digits), Some(1)) => DataType::Rounded(
                match kind {
                    28 => RoundedTime::TimeTz,
                    14 => RoundedTime::Time,
                    15 => RoundedTime::Timestamp,
                    16 => RoundedTime::TimestampTz,
                    _ => RoundedTime::Interval,
                },
                digits
                    .try_into()
                    .ok()
                    .filter(|digits| *digits < 6)
                    .ok_or_else(bad)?,
            ),
            (14, ..) => DataType::Time,
            (15, ..) => DataType::Timestamp,
            (16, ..) => DataType::TimestampTz,
            (17, ..) => DataType::Interval,
            (18, ..) => DataType::Uuid,
            (19, ..) => DataType::Json,
            (20, ..) => DataType::Jsonb,
            (21, Some(element), _) => {
                DataType::Array(ElementType::numbered(element).ok_or_else(bad)?)
            }
            (22, ..) => DataType::Name,
            (23, ..) => DataType::InternalChar,
            (24, ..) => DataType::Oid,
            (25, Some(place), _) => DataType::Object(
                ObjectClass::ALL
                    .get(place as usize)
                    .copied()
                    .ok_or_else(bad)?,
            ),
            (26, ..) => DataType::Int2Vector,
            (27, ..) => DataType::OidVector,
            (28, ..) => DataType::TimeTz,
            _ => return Err(bad()),
        })
    }
}
