//! `IN` a list of constants.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray,
    cast::AsArray,
    types::{
        Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
        TimestampMicrosecondType,
    },
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use hashbrown::HashSet;

use crate::{
    DataType, Value,
    bound::{Expr, ExprKind},
};

/// The constants of a list.
#[derive(Debug)]
pub(super) struct ConstantSet {
    data_type: DataType,
    integers: HashSet<i64, foldhash::fast::RandomState>,
    texts: HashSet<Box<str>, foldhash::fast::RandomState>,
    has_null: bool,
}

impl ConstantSet {
    /// The set of `list`; `None` where it is not of constants of a type that is handled.
    pub(super) fn new(data_type: DataType, list: &[Expr]) -> Option<ConstantSet> {
        use DataType as T;
        if !matches!(
            data_type,
            T::Text | T::Varchar(_) | T::Int1 | T::Int2 | T::Int4 | T::Int8 | T::Date | T::Time
        ) && !matches!(data_type, T::Timestamp | T::TimestampTz)
        {
            return None;
        }
        let mut set = ConstantSet {
            data_type,
            integers: HashSet::default(),
            texts: HashSet::default(),
            has_null: false,
        };
        for item in list {
            let ExprKind::Literal(value) = &item.kind else {
                return None;
            };
            match (data_type, value) {
                (_, Value::Null) => set.has_null = true,
                (DataType::Text | DataType::Varchar(_), Value::Text(text))
                    if !matches!(item.data_type, DataType::Char(_)) =>
                {
                    set.texts.insert(text.as_str().into());
                }
                (DataType::Int1, Value::Int1(_))
                | (DataType::Int2, Value::Int2(_))
                | (DataType::Int4, Value::Int4(_))
                | (DataType::Int8, Value::Int8(_)) => {
                    set.integers.insert(value.as_integer()?);
                }
                (DataType::Date, Value::Date(days)) => {
                    set.integers.insert(i64::from(*days));
                }
                (DataType::Time, Value::Time(micros))
                | (DataType::Timestamp, Value::Timestamp(micros))
                | (DataType::TimestampTz, Value::TimestampTz(micros)) => {
                    set.integers.insert(*micros);
                }
                _ => return None,
            }
        }
        Some(set)
    }

    /// For every value whether it is in the set; NULL where that is unknown.
    pub(super) fn contains(&self, values: &ArrayRef, negated: bool) -> ArrayRef {
        macro_rules! integers {
            ($type:ty) => {{
                let numbers = values.as_primitive::<$type>().values();
                BooleanBuffer::collect_bool(values.len(), |at| {
                    self.integers.contains(&i64::from(numbers[at]))
                })
            }};
        }
        let found = match self.data_type {
            DataType::Int1 => integers!(Int8Type),
            DataType::Int2 => integers!(Int16Type),
            DataType::Int4 => integers!(Int32Type),
            DataType::Int8 => integers!(Int64Type),
            DataType::Date => integers!(Date32Type),
            DataType::Time => integers!(Time64MicrosecondType),
            DataType::Timestamp | DataType::TimestampTz => integers!(TimestampMicrosecondType),
            _ => {
                let texts = values.as_string_view();
                BooleanBuffer::collect_bool(values.len(), |at| self.texts.contains(texts.value(at)))
            }
        };
        // Beside a NULL in the list, what is not found is unknown.
        let nulls = if self.has_null {
            NullBuffer::union(values.nulls(), Some(&NullBuffer::new(found.clone())))
        } else {
            values.nulls().cloned()
        };
        let truth = if negated { !&found } else { found };
        Arc::new(BooleanArray::new(truth, nulls))
    }
}
