//! Keys: columns as values that can be hashed, compared and sorted.
//!
//! Grouping and joining by up to 128 bits of integers packs them into one number; by one string
//! column it uses the string's bytes; everything else goes through Arrow's row format (the
//! order-preserving encoding of `arrow-row`). Values that SQL takes for equal though their
//! bytes differ (`-0`, NaN, numerics of several scales, intervals, blank-padded strings) are
//! brought to one form first.

use std::{borrow::Cow, hash::BuildHasher, sync::Arc};

use arrow_array::{
    Array, ArrayRef, PrimitiveArray, StringViewArray,
    builder::BinaryBuilder,
    cast::AsArray,
    types::{
        Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType as ArrowType, SortOptions};

use crate::{
    DataType, Result,
    encoding::KeyColumn,
    vector::{
        batch::arrow_error,
        convert::{arrow_type, value_at},
    },
};

/// What keys are hashed with: one state for all, so that parts made by several threads agree.
pub(crate) type KeyHasher = foldhash::fast::FixedState;

/// Whether values of the type need to be brought to one form through the key encoding.
fn is_encoded(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal(_)
            | DataType::Interval
            | DataType::Char(_)
            | DataType::Array(_)
            | DataType::Int2Vector
            | DataType::OidVector
            | DataType::Object(_)
            | DataType::Jsonb
    )
}

/// The type in which a key column enters the row format.
fn key_type(data_type: DataType) -> ArrowType {
    if is_encoded(data_type) {
        ArrowType::Binary
    } else {
        arrow_type(data_type)
    }
}

/// An array in which equal values have equal bytes and the order of bytes is SQL's.
fn normal_form(array: &ArrayRef, data_type: DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Float4 => {
            let values: &PrimitiveArray<Float32Type> = array.as_primitive();
            Arc::new(values.unary::<_, Float32Type>(|value| {
                if value.is_nan() {
                    f32::NAN
                } else {
                    value + 0.0
                }
            }))
        }
        DataType::Float8 => {
            let values: &PrimitiveArray<Float64Type> = array.as_primitive();
            Arc::new(values.unary::<_, Float64Type>(|value| {
                if value.is_nan() {
                    f64::NAN
                } else {
                    value + 0.0
                }
            }))
        }
        _ if is_encoded(data_type) => {
            let column = KeyColumn::ascending(data_type);
            let mut builder = BinaryBuilder::with_capacity(array.len(), array.len() * 8);
            let mut bytes = Vec::new();
            for at in 0..array.len() {
                if array.is_null(at) {
                    builder.append_null();
                } else {
                    bytes.clear();
                    column.encode(&value_at(array, data_type, at)?, &mut bytes)?;
                    builder.append_value(&bytes);
                }
            }
            Arc::new(builder.finish())
        }
        _ => Arc::clone(array),
    })
}

/// Makes keys of columns.
#[derive(Debug)]
pub(crate) struct KeyEncoder {
    types: Vec<DataType>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// No columns: all keys are equal.
    None,
    /// The bit widths of the columns.
    Packed(Vec<u32>),
    Text,
    Rows(RowConverter),
}

/// The keys of a batch.
pub(crate) enum Keys {
    /// This many equal keys.
    None(usize),
    /// Packed integers.
    Packed(Vec<u128>),
    /// A string column; NULL has a key of its own.
    Text(StringViewArray),
    /// The row format.
    Rows(Rows),
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// Of no columns.
    None,
    /// Packed integers.
    Packed(u128),
    /// Bytes; `None`: a NULL string.
    Bytes(Option<&'a [u8]>),
}

impl Key<'_> {
    /// Its hash.
    #[inline]
    pub(crate) fn hash(&self, hasher: &KeyHasher) -> u64 {
        match self {
            Key::None => 0,
            Key::Packed(key) => hasher.hash_one(key),
            Key::Bytes(Some(bytes)) => hasher.hash_one(bytes),
            Key::Bytes(None) => 1,
        }
    }
}

/// Integers up to 32 bits and, alone or with a narrow one, 64 bits.
fn bits(data_type: DataType) -> Option<u32> {
    Some(match data_type {
        DataType::Boolean => 1,
        DataType::Int1 => 8,
        DataType::Int2 => 16,
        DataType::Int4 | DataType::Date => 32,
        DataType::Int8 | DataType::Time | DataType::Timestamp | DataType::TimestampTz => 64,
        _ => return None,
    })
}

/// The values of a column of integers, days or microseconds; what stands in the place of NULL
/// means nothing.
pub(crate) fn integers(column: &ArrayRef, data_type: DataType) -> Option<Cow<'_, [i64]>> {
    macro_rules! wide {
        ($type:ty) => {{
            let values = column.as_primitive_opt::<$type>()?.values();
            Cow::Owned(values.iter().map(|value| i64::from(*value)).collect())
        }};
    }
    macro_rules! as_is {
        ($type:ty) => {
            Cow::Borrowed(&column.as_primitive_opt::<$type>()?.values()[..])
        };
    }
    Some(match data_type {
        DataType::Int1 => wide!(Int8Type),
        DataType::Int2 => wide!(Int16Type),
        DataType::Int4 => wide!(Int32Type),
        DataType::Date => wide!(Date32Type),
        DataType::Int8 => as_is!(Int64Type),
        DataType::Time => as_is!(Time64MicrosecondType),
        DataType::Timestamp | DataType::TimestampTz => as_is!(TimestampMicrosecondType),
        _ => return None,
    })
}

impl KeyEncoder {
    /// For hashing columns of these types.
    pub(crate) fn new(types: Vec<DataType>) -> Result<KeyEncoder> {
        let packed: Option<Vec<u32>> = types.iter().map(|of| bits(*of)).collect();
        let form = match (packed, types.as_slice()) {
            (_, []) => Form::None,
            // One more bit per column for NULL.
            (Some(widths), _) if widths.iter().map(|width| width + 1).sum::<u32>() <= 128 => {
                Form::Packed(widths)
            }
            (_, [DataType::Text | DataType::Varchar(_)]) => Form::Text,
            _ => Form::Rows(KeyEncoder::converter(
                types.iter().map(|of| (*of, SortOptions::default())),
            )?),
        };
        Ok(KeyEncoder { types, form })
    }

    /// For sorting by columns of these types.
    pub(crate) fn sorting(columns: &[(DataType, SortOptions)]) -> Result<KeyEncoder> {
        Ok(KeyEncoder {
            types: columns.iter().map(|(of, _)| *of).collect(),
            form: Form::Rows(KeyEncoder::converter(columns.iter().copied())?),
        })
    }

    fn converter(columns: impl Iterator<Item = (DataType, SortOptions)>) -> Result<RowConverter> {
        let fields = columns
            .map(|(of, options)| SortField::new_with_options(key_type(of), options))
            .collect();
        RowConverter::new(fields).map_err(arrow_error)
    }

    /// The keys of `rows` rows of `columns`.
    pub(crate) fn keys(&self, columns: &[ArrayRef], rows: usize) -> Result<Keys> {
        Ok(match &self.form {
            Form::None => Keys::None(rows),
            Form::Text => match columns.first() {
                Some(column) => Keys::Text(column.as_string_view().clone()),
                None => Keys::None(rows),
            },
            Form::Packed(widths) => {
                let mut keys = vec![0u128; rows];
                for ((column, data_type), width) in columns.iter().zip(&self.types).zip(widths) {
                    pack(&mut keys, column, *data_type, *width);
                }
                Keys::Packed(keys)
            }
            Form::Rows(converter) => {
                let columns = columns
                    .iter()
                    .zip(&self.types)
                    .map(|(column, data_type)| normal_form(column, *data_type))
                    .collect::<Result<Vec<_>>>()?;
                Keys::Rows(converter.convert_columns(&columns).map_err(arrow_error)?)
            }
        })
    }
}

/// Appends a column to packed keys: its bits, then one that says whether it is there.
fn pack(keys: &mut [u128], column: &ArrayRef, data_type: DataType, width: u32) {
    let nulls = column.nulls();
    macro_rules! integers {
        ($type:ty, $unsigned:ty) => {{
            let values = column.as_primitive::<$type>().values();
            for (at, (key, value)) in keys.iter_mut().zip(values).enumerate() {
                let valid = nulls.is_none_or(|nulls| nulls.is_valid(at));
                let bits = if valid {
                    u128::from(*value as $unsigned) << 1 | 1
                } else {
                    0
                };
                *key = *key << (width + 1) | bits;
            }
        }};
    }
    match data_type {
        DataType::Boolean => {
            let values = column.as_boolean();
            for (at, key) in keys.iter_mut().enumerate() {
                let bits = if nulls.is_none_or(|nulls| nulls.is_valid(at)) {
                    u128::from(values.value(at)) << 1 | 1
                } else {
                    0
                };
                *key = *key << 2 | bits;
            }
        }
        DataType::Int1 => integers!(Int8Type, u8),
        DataType::Int2 => integers!(Int16Type, u16),
        DataType::Int4 => integers!(Int32Type, u32),
        DataType::Date => integers!(Date32Type, u32),
        DataType::Time => integers!(Time64MicrosecondType, u64),
        DataType::Timestamp | DataType::TimestampTz => integers!(TimestampMicrosecondType, u64),
        _ => integers!(Int64Type, u64),
    }
}

impl Keys {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Keys::None(rows) => *rows,
            Keys::Packed(keys) => keys.len(),
            Keys::Text(texts) => texts.len(),
            Keys::Rows(rows) => rows.num_rows(),
        }
    }

    /// The key of row `at`.
    #[inline]
    pub(crate) fn at(&self, at: usize) -> Key<'_> {
        match self {
            Keys::None(_) => Key::None,
            Keys::Packed(keys) => Key::Packed(keys[at]),
            Keys::Text(texts) => {
                Key::Bytes((!texts.is_null(at)).then(|| texts.value(at).as_bytes()))
            }
            Keys::Rows(rows) => Key::Bytes(Some(rows.row(at).data())),
        }
    }

    /// About how many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Keys::None(_) => 0,
            Keys::Packed(keys) => size_of_val(keys.as_slice()),
            Keys::Text(texts) => texts.get_array_memory_size(),
            Keys::Rows(rows) => rows.size(),
        }
    }
}

/// Which rows have no NULL in any of `columns`, save those where NULL equals NULL; `None`: all.
pub(crate) fn without_null(columns: &[ArrayRef], nulls_equal: &[bool]) -> Option<NullBuffer> {
    columns
        .iter()
        .zip(nulls_equal)
        .filter(|(_, nulls_equal)| !**nulls_equal)
        .fold(None, |nulls, (column, _)| {
            NullBuffer::union(nulls.as_ref(), column.nulls())
        })
}
